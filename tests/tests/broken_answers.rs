//! Aggregators whose frames are cut, flipped, over the limit or out of order: each ends its own session for
//! a reason that names the fault, and the agent's rows go on to another aggregator as if there were none.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use cairn_proto::v1::{self, AgentFrame, AggregatorFrame};
use prost::Message as _;
use testkit::broken::{flipped, oversized};
use testkit::deadline::Deadline;
use testkit::pair::values;
use testkit::played::{Line, Played, any_run, recorded};
use testkit::proc::{Held, Proc};
use testkit::system::{Options, System, at};

/// Within which each of them has been tried as often as it is looked for: the agent waits four seconds
/// at most between two attempts, and all of them are tried at once.
const SOON: Duration = Duration::from_secs(120);

/// The five kinds of frames, as they were recorded.
const KINDS: [&str; 5] = ["welcome", "want", "names", "ack", "drain"];

/// Rows that go on meanwhile.
const ROWS: u64 = 6;

/// What the agent may grow by while each of them is tried over and over: what its allocator does not give
/// back. Sessions that leave something behind each time come to more.
const MOST_GROWN: u64 = 3 << 20;

/// What one of them says, and what the agent must say of it.
struct Case {
    name: String,
    lines: Vec<Line>,
    reason: &'static str,
}

fn case(name: impl Into<String>, frames: Vec<Vec<u8>>, reason: &'static str) -> Case {
    let lines = frames.into_iter().map(|frame| Line {
        after_rows: 0,
        frame,
    });
    Case {
        name: name.into(),
        lines: lines.collect(),
        reason,
    }
}

fn frame(word: &str) -> Vec<u8> {
    let frames = recorded("aggregator-current.txt").unwrap().into_iter();
    let mut named = frames.filter(|(other, _)| other == word);
    named.next().unwrap().1
}

/// A frame in its place: behind Welcome, or as it.
fn in_place(word: &str, frame: Vec<u8>) -> Vec<Vec<u8>> {
    match word {
        "welcome" => vec![frame],
        _ => vec![self::frame("welcome"), frame],
    }
}

fn cases() -> Vec<Case> {
    let none = "not one of this protocol: failed to decode Protobuf message";
    let mut cases = Vec::new();
    for word in KINDS {
        let good = frame(word);
        for cut in [good.len() / 2, good.len() - 1] {
            let name = format!("{word} cut to {cut} of {}", good.len());
            cases.push(case(name, in_place(word, good[..cut].to_vec()), none));
        }
        let name = format!("{word} with a flipped bit");
        let flipped = flipped::<AggregatorFrame>(&good).unwrap();
        cases.push(case(name, in_place(word, flipped), none));
        let name = format!("{word} over the limit");
        let limit = "not one of this protocol: Error, decoded message length too large";
        cases.push(case(name, in_place(word, oversized(&good)), limit));
    }
    for word in ["want", "names", "ack"] {
        let name = format!("{word} before Welcome");
        let first = "first frame is not Welcome";
        cases.push(case(name, vec![frame(word), frame("welcome")], first));
    }
    let twice = vec![frame("welcome"), frame("welcome")];
    cases.push(case("a second Welcome", twice, "a second Welcome"));
    let ack = Answer::Ack(v1::Ack {
        run: Some(any_run()),
        seq: 1_000_000,
    });
    let early = AggregatorFrame { kind: Some(ack) }.encode_to_vec();
    let early = vec![frame("welcome"), early];
    let reason = "acknowledged a row that was not sent";
    cases.push(case("an Ack of what was not sent", early, reason));
    cases
}

/// How often the agent has come.
fn attempts(played: &Played) -> usize {
    let heard = played.heard().into_iter();
    let frames = heard.filter_map(|bytes| AgentFrame::decode(bytes).ok()?.kind);
    frames.filter(|kind| matches!(kind, Kind::Hello(_))).count()
}

/// Resident memory of a process, bytes.
fn resident(process: &Proc) -> u64 {
    Held::by(process).unwrap().resident_kib * 1024
}

/// Waits until the agent has come to each of them so often.
fn tried(system: &System, all: &[(Case, Played)], times: usize) {
    for (case, played) in all {
        let came = Deadline::after(SOON).poll(|| (attempts(played) >= times).then_some(()));
        let (name, count) = (&case.name, attempts(played));
        assert!(came.is_some(), "{name}: {count}\n{}", system.stderr());
    }
}

/// Scenario: an agent streams to its own aggregator and to 25 others, of which each says one frame that is
/// cut, flipped, too large or out of order, to every session.
/// Guarantees: each of these sessions ends, is counted, and its address is noted with a reason that names the
/// fault; the agent comes again and grows no more; its own aggregator gets every row, and knows of no gap.
#[test]
fn each_broken_answer_ends_its_session_and_no_row_is_late_for_it() {
    let mut system = System::start(Options::one_node()).unwrap();
    let cases = cases().into_iter();
    let all: Vec<(Case, Played)> = cases
        .map(|case| {
            let played = Played::start(system.dir(), case.lines.clone()).unwrap();
            (case, played)
        })
        .collect();
    system.nodes[0].agent = None;
    for (_, played) in &all {
        let address = format!("https://{}", played.addr);
        let args = &mut system.options.extra_agent_args;
        args.extend(["--aggregator".to_owned(), address]);
    }
    system.start_agent(0).unwrap();
    let agent = system.nodes[0].agent.as_ref().unwrap();
    for (case, played) in &all {
        let note = format!("aggregator 127.0.0.1 ({}): ", played.addr);
        let mut said = String::new();
        let named = Deadline::after(SOON).poll(|| {
            let page = agent.get("admin", "/readyz?verbose").ok()?.text();
            let line = page.lines().find_map(|line| line.split_once(&note))?;
            line.1.clone_into(&mut said);
            said.contains(case.reason).then_some(())
        });
        assert!(
            named.is_some(),
            "{}: {said:?}\n{}",
            case.name,
            system.stderr()
        );
    }
    tried(&system, &all, 3);
    let before = resident(agent);
    for k in 0..ROWS {
        system.tick(at(k)).unwrap();
    }
    tried(&system, &all, 7);
    let grown = resident(agent).saturating_sub(before);
    println!("{} aggregators, {grown} bytes more", all.len());
    assert!(grown < MOST_GROWN, "{grown} bytes");

    let ends = "cairn_agent_uplink_ends_total";
    let protocol = System::count(agent, ends, "kind=\"protocol\"").unwrap();
    assert!(protocol >= 6 * all.len() as u64, "{protocol} ends");
    let aggregator = system.aggregator().unwrap();
    let held = values(aggregator, "node1", (at(0), at(ROWS - 1))).unwrap();
    let entities = held["entities"].as_array().unwrap();
    let node = entities.iter().find(|entity| entity["kind"] == "node");
    let memory = &node.unwrap()["metrics"]["memory_usage_bytes"]["values"];
    let there = memory.as_array().unwrap().iter();
    assert_eq!(
        there.filter(|value| value.is_u64()).count() as u64,
        ROWS,
        "{memory}"
    );
    let rows = System::count(aggregator, "cairn_aggregator_store_rows", "").unwrap();
    assert_eq!(rows, ROWS);
    // None came late, twice or not to be kept.
    let came = "cairn_aggregator_ingest_rows_total";
    let came = |labels| System::count(aggregator, came, labels).unwrap();
    assert_eq!((came("result=\"applied\""), came("")), (ROWS, ROWS));
    let history = "cairn_aggregator_ingest_history_rows_total";
    assert_eq!(System::count(aggregator, history, "").unwrap(), 0);
    for none in ["ingest_gap_rows_total", "store_gap_ticks"] {
        let name = format!("cairn_aggregator_{none}");
        assert_eq!(System::count(aggregator, &name, "").unwrap(), 0, "{none}");
    }
}
