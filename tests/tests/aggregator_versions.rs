//! Aggregators of one version before and after, from recorded frames, played to the built agent; and what
//! the agent itself writes, byte by byte.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::PathBuf;
use std::time::Duration;

use cairn_proto::codec::chunk::{self, ChunkRow};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::codec::{DENSE, PLAIN};
use cairn_proto::model::Snapshot;
use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::{self, AgentFrame, AggregatorFrame};
use prost::Message as _;
use testkit::deadline::Deadline;
use testkit::pki::Pki;
use testkit::played::{Line, Played, recorded};
use testkit::proc::Proc;
use testkit::system::{HostFiles, System, TRACE_START_MS, at};

const SOON: Duration = Duration::from_secs(20);

/// What an agent wrote, by kind; what it says of its sources comes when it comes and is left out.
struct Heard {
    frames: Vec<(&'static str, Vec<u8>, Kind)>,
    agent: Proc,
}

impl Heard {
    fn of(&self, word: &str) -> Vec<&Kind> {
        let of = self.frames.iter().filter(|(other, ..)| *other == word);
        of.map(|(_, _, kind)| kind).collect()
    }

    fn count(&self, name: &str, labels: &str) -> u64 {
        System::count(&self.agent, &format!("cairn_agent_{name}"), labels).unwrap()
    }

    /// The rows, decoded: by tick.
    fn rows(&self, codec: u32) -> Vec<(u64, Snapshot)> {
        let mut rows: Vec<(u64, Snapshot)> = Vec::new();
        for kind in self.of("row") {
            let Kind::Row(sent) = kind else { continue };
            assert_eq!(row::codec_of(&sent.payload), Some(codec));
            assert_eq!(sent.base_seq, sent.seq.checked_sub(1));
            let base = rows.last().map(|(tick_ms, snapshot)| Timed {
                tick_ms: *tick_ms,
                snapshot,
            });
            let snapshot = row::decode(base, sent.tick, &sent.payload).unwrap();
            rows.push((sent.tick, snapshot));
        }
        rows
    }

    /// The rows of the block that was asked for.
    fn block(&self, codec: u32) -> Vec<ChunkRow> {
        let chunks = self.of("chunk");
        let [Kind::Chunk(sent)] = chunks.as_slice() else {
            panic!("{chunks:?}")
        };
        assert_eq!((sent.codec, sent.block), (codec, 0));
        chunk::decode(&sent.payload).unwrap()
    }

    /// What was said to it is understood: each kind of answer came, once.
    fn is_understood(&self) {
        let words = ["hello", "chunk", "gap", "bye"];
        assert_eq!(words.map(|word| self.of(word).len()), [1; 4]);
        let gaps = self.of("gap");
        assert!(
            matches!(&gaps[..], [Kind::Gap(gap)] if gap.reason() == v1::GapReason::UnknownRun),
            "{gaps:?}"
        );
        assert_eq!(self.count("uplink_frames_ignored_total", "names"), 1);
        assert_eq!(self.count("uplink_ends_total", "drained"), 1);
        assert_eq!(self.count("uplink_ends_total", ""), 1);
        assert_eq!(self.of("row").len(), 3);
    }
}

/// In this order they are looked at: a block that was asked for may come before or after something else.
const WORDS: [&str; 6] = ["hello", "define", "row", "chunk", "gap", "bye"];

fn word(kind: &Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Hello(_) => "hello",
        Kind::Define(_) => "define",
        Kind::Row(_) => "row",
        Kind::Chunk(_) => "chunk",
        Kind::Gap(_) => "gap",
        Kind::Bye(_) => "bye",
        Kind::SourceStatus(_) | Kind::Resolve(_) | Kind::Token(_) => return None,
    })
}

/// Plays a recording to an agent that reads the recorded /proc of a node and nothing else, so that every
/// byte of it is the same each time; gives all that it wrote until it left.
fn played(file: &str) -> Heard {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(dir.path()).unwrap();
    let ca = pki.ca("ingest-ca").unwrap();
    ca.leaf("server").dns(&["localhost"]).write().unwrap();
    let line = |(word, frame): (String, Vec<u8>)| {
        let after_rows = match word.as_str() {
            "welcome" => 0,
            "drain" => 3,
            _ => 2,
        };
        Line { after_rows, frame }
    };
    let lines = recorded(file).unwrap().into_iter().map(line);
    let played = Played::start(dir.path(), lines.collect()).unwrap();
    let host = HostFiles::recorded().unwrap();
    let proc_root = dir.path().join("proc");
    host.show(0, &proc_root).unwrap();
    let agent = start(
        &played,
        [dir.path().join("ingest-ca.pem"), proc_root.clone()],
    );
    let until = |what: &str, count: usize| {
        let came = Deadline::after(SOON).poll(|| {
            let frames = frames(&played);
            let of = frames.iter().filter(|(word, ..)| *word == what);
            (of.count() >= count).then_some(())
        });
        assert!(came.is_some(), "no {count} {what}: {}", agent.stderr());
    };
    until("hello", 1);
    for (k, rows) in [(0, 1), (1, 2), (2, 3)] {
        host.show(rows - 1, &proc_root).unwrap();
        agent.step(at(k) + 500).unwrap();
        until("row", rows);
        if rows == 2 {
            until("chunk", 1);
            until("gap", 1);
        }
    }
    until("bye", 1);
    let left = Deadline::after(SOON).poll(|| {
        let ends = System::count(&agent, "cairn_agent_uplink_ends_total", "").ok()?;
        (ends > 0).then_some(())
    });
    assert!(left.is_some(), "{}", agent.stderr());
    Heard {
        frames: frames(&played),
        agent,
    }
}

fn start(played: &Played, [ca, proc_root]: [PathBuf; 2]) -> Proc {
    let args = [
        ("--node-name", "node3".to_owned()),
        ("--interval", "10s".to_owned()),
        (
            "--aggregator",
            format!("https://localhost:{}", played.addr.port()),
        ),
        ("--aggregator-ca", ca.display().to_string()),
        ("--kubelet", "off".to_owned()),
        ("--proc-root", proc_root.display().to_string()),
        ("--admin-listen", "127.0.0.1:0".to_owned()),
        ("--clock", format!("driven={TRACE_START_MS}")),
    ];
    let args: Vec<&str> = args
        .iter()
        .flat_map(|(flag, value)| [*flag, value])
        .collect();
    Proc::start("cairn-agent", &args, &[]).unwrap()
}

fn frames(played: &Played) -> Vec<(&'static str, Vec<u8>, Kind)> {
    let heard = played.heard().into_iter().filter_map(|bytes| {
        let kind = AgentFrame::decode(bytes.clone()).unwrap().kind.unwrap();
        Some((word(&kind)?, bytes.to_vec(), kind))
    });
    let mut frames: Vec<(&'static str, Vec<u8>, Kind)> = heard.collect();
    frames.sort_by_key(|(word, ..)| WORDS.iter().position(|other| other == word));
    frames
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A recorded `Hello` with the version of the day.
fn of_today(frame: &[u8]) -> Vec<u8> {
    let mut frame = AgentFrame::decode(frame).unwrap();
    if let Some(Kind::Hello(hello)) = &mut frame.kind {
        env!("CARGO_PKG_VERSION").clone_into(&mut hello.version);
    }
    frame.encode_to_vec()
}

/// Scenario: an agent beside an aggregator of this version.
/// Guarantees: every byte of its Hello, of what it defines, of its rows, blocks and gaps and of its goodbye is
/// as recorded: nobody changes the wire without noticing.
#[test]
fn what_this_agent_writes_is_as_recorded() {
    let heard = played("aggregator-current.txt");
    heard.is_understood();
    assert_eq!(heard.count("uplink_frames_ignored_total", ""), 1);
    let written = heard.frames.iter();
    let written = written.map(|(word, bytes, _)| format!("{word} {}", hex(bytes)));
    let written: Vec<String> = written.collect();
    let expected = recorded("agent-current.txt").unwrap().into_iter();
    let expected = expected.map(|(word, frame)| {
        let frame = if word == "hello" {
            of_today(&frame)
        } else {
            frame
        };
        format!("{word} {}", hex(&frame))
    });
    let expected: Vec<String> = expected.collect();
    assert!(
        written == expected,
        "the agent writes other bytes than tests/fixtures/frames/agent-current.txt has; if that is meant, and \
         aggregators that are out read them, these are its lines now:\n{}",
        written.join("\n")
    );
}

/// Guarantees: the messages of this version are the bytes that were recorded of an aggregator of it.
#[test]
fn what_an_aggregator_of_this_version_says_is_as_recorded() {
    for (word, frame) in recorded("aggregator-current.txt").unwrap() {
        let read = AggregatorFrame::decode(&*frame).unwrap();
        assert!(read.kind.is_some(), "{word}");
        assert_eq!(hex(&read.encode_to_vec()), hex(&frame), "{word}");
    }
}

/// Scenario: an aggregator of one version before, which reads codec 1 alone and whose `Welcome` lacks what
/// came later.
/// Guarantees: the agent writes that codec, and its rows and blocks say in it what they say in the newest one; it
/// gives what it is asked for, and leaves when it is asked to.
#[test]
fn an_older_aggregator_gets_the_same_rows_in_its_codec() {
    let (older, current) = (
        played("aggregator-older.txt"),
        played("aggregator-current.txt"),
    );
    older.is_understood();
    assert_eq!(older.count("uplink_frames_ignored_total", ""), 1);
    assert_eq!(older.rows(PLAIN), current.rows(DENSE));
    assert_eq!(older.block(PLAIN), current.block(DENSE));
    assert!(older.rows(PLAIN)[2].1.sample_count() > 50);
}

/// Scenario: an aggregator of one version after, with fields in every message, a codec, a catalogue and a kind of
/// frame that this version does not know.
/// Guarantees: the agent writes the same bytes as to one of its own version; the unknown frame is counted and
/// passed over, and nothing else is.
#[test]
fn a_newer_aggregator_gets_what_one_of_this_version_gets() {
    let (newer, current) = (
        played("aggregator-newer.txt"),
        played("aggregator-current.txt"),
    );
    newer.is_understood();
    assert_eq!(newer.count("uplink_frames_ignored_total", "unknown"), 1);
    assert_eq!(newer.count("uplink_frames_ignored_total", ""), 2);
    let bytes = |heard: &Heard| -> Vec<String> {
        let bytes = heard.frames.iter();
        bytes.map(|(_, bytes, _)| hex(bytes)).collect()
    };
    assert_eq!(bytes(&newer), bytes(&current));
}
