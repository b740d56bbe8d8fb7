//! Peers whose frames are cut, flipped or over the limit: each exchange ends for a reason that names the
//! fault, the window is as it was, and a good peer beside them still gives what it has.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::DENSE;
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::limits::MAX_FRAME_BYTES;
use cairn_proto::model::{Builder, EntityId, Stamp};
use cairn_proto::v1::replay_frame::Kind as Frame;
use cairn_proto::v1::replay_request::Kind as Asked;
use cairn_proto::v1::{self, ReplayFrame};
use prost::Message as _;
use testkit::deadline::Deadline;
use testkit::peer::{FakePeer, encoded, greeting};
use testkit::system::{Options, System, at};

/// Within which each peer has been asked: the first delay after a failure is a moment, the longest 15 s.
const SOON: Duration = Duration::from_secs(60);

/// Frames of an exchange about a node, each by its word and right as it is.
fn frames(instance: &str, node: &str) -> Vec<(&'static str, Frame)> {
    let [welcome, nodes] = greeting(instance, &[node]);
    let run = v1::Run {
        boot_id: vec![9; 16],
        epoch_ms: 1,
        clock_stepped: false,
    };
    let mut builder = Builder::default();
    let stamp = Stamp {
        time_ms: at(0),
        start_ms: None,
        source: Source::Summary,
    };
    builder.value(EntityId(1), table::MEMORY_USAGE, 77);
    builder.stamp(EntityId(1), Group::Memory, stamp);
    let row = RowOf {
        offset: 0,
        tick: at(0),
        snapshot: &builder.build(),
    };
    let recalled = v1::RecalledRun {
        node: node.to_owned(),
        run: Some(run.clone()),
        interval_ms: 10_000,
        offset_ms: 0,
        arrived_ms: at(0),
    };
    let define = v1::Define {
        id: 1,
        kind: v1::EntityKind::Node.into(),
        name: node.to_owned(),
        ..v1::Define::default()
    };
    let chunk = v1::Chunk {
        run: Some(run),
        block: 0,
        codec: DENSE,
        payload: chunk::encode(DENSE, &[row]),
    };
    let end = v1::RecallEnd {
        node: node.to_owned(),
    };
    vec![
        ("welcome", welcome),
        ("nodes", nodes),
        ("run", Frame::Run(recalled)),
        ("define", Frame::Define(define)),
        ("chunk", Frame::Chunk(chunk)),
        ("end", Frame::End(end)),
    ]
}

/// Frames that stand in the answer about a node, behind the greeting.
const GREETING: usize = 2;

/// What may be wrong with one frame.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Half,
    LastByte,
    Flipped,
    Large,
}

const FAULTS: [Fault; 4] = [Fault::Half, Fault::LastByte, Fault::Flipped, Fault::Large];

impl Fault {
    fn done_to(self, frame: &[u8]) -> Vec<u8> {
        let mut bytes = frame.to_vec();
        match self {
            Self::Half => bytes.truncate(frame.len() / 2),
            Self::LastByte => bytes.truncate(frame.len() - 1),
            Self::Flipped => {
                let mut all = (0..frame.len() * 8).map(|bit| {
                    let mut flipped = frame.to_vec();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    flipped
                });
                // The first such bit would always be in the tag of its kind.
                let broken = all.rfind(|flipped| ReplayFrame::decode(&**flipped).is_err());
                bytes = broken.unwrap();
            }
            Self::Large => {
                // A field that no version knows.
                let large = vec![0_u8; MAX_FRAME_BYTES];
                prost::encoding::bytes::encode(100, &large, &mut bytes);
            }
        }
        bytes
    }

    fn words(self) -> &'static str {
        match self {
            Self::Large => "not one of this protocol: Error, decoded message length too large",
            _ => "not one of this protocol: failed to decode Protobuf message",
        }
    }
}

/// A peer that says everything right but one frame, after which it goes on as if nothing were.
fn broken(system: &System, number: usize, bad: &'static str, fault: Fault) -> FakePeer {
    let instance = format!("fake{number}");
    let say = move |node: &str| -> Vec<Vec<u8>> {
        let frames = frames(&instance, node).into_iter();
        // What was right before a fault stays; of a broken end nothing comes before.
        let rows = ["run", "define", "chunk"];
        let frames = frames.filter(|(word, _)| bad != "end" || !rows.contains(word));
        let said = frames.map(|(word, frame)| {
            let good = encoded(frame);
            if word == bad {
                fault.done_to(&good)
            } else {
                good
            }
        });
        said.collect()
    };
    let started = FakePeer::verbatim(system.dir(), move |asked| match asked {
        Asked::Hello(_) => {
            let mut said = say(&format!("gone{number}"));
            said.truncate(GREETING);
            Some(said)
        }
        Asked::Recall(recall) => Some(say(&recall.node).split_off(GREETING)),
    });
    started.unwrap()
}

/// A peer that has one node, which nobody else has, and nothing of all others.
fn good(system: &System) -> FakePeer {
    let started = FakePeer::start(system.dir(), &["good"], |recall| {
        let mut said = frames("", &recall.node).split_off(GREETING);
        if recall.node != "good" {
            said.drain(..said.len() - 1);
        }
        Some(said.into_iter().map(|(_, frame)| frame).collect())
    });
    started.unwrap()
}

/// An aggregator that starts beside these peers.
fn start_beside(system: &mut System, peers: &[&FakePeer]) {
    let path = |name: &str| system.path(name).display().to_string();
    let mut args = vec![
        "--peer-ca".to_owned(),
        path("ingest-ca.pem"),
        "--peer-token-file".to_owned(),
        path("peer.token"),
    ];
    for peer in peers {
        args.extend(["--peer".to_owned(), format!("https://{}", peer.addr)]);
    }
    system.options.extra_aggregator_args = args;
    system.aggregator.take().unwrap().kill9().unwrap();
    system.start_aggregator().unwrap();
}

/// Scenario: an aggregator starts beside 24 peers, each of which cuts, flips or inflates one frame of the
/// six kinds, and one that is right.
/// Guarantees: each exchange with a broken one ends, is counted, and is noted with a reason that names the
/// fault; of the broken ones nothing is held, for none has sent a whole block before its fault; the right one's
/// node is there, and an agent's rows go on.
#[test]
fn each_broken_frame_of_a_peer_ends_its_exchange_and_nothing_else() {
    let mut system = System::start(Options::one_node()).unwrap();
    let words = frames("", "").into_iter().map(|(word, _)| word);
    let cases: Vec<(&str, Fault)> = words
        .flat_map(|word| FAULTS.map(|fault| (word, fault)))
        .collect();
    let broken: Vec<FakePeer> = cases
        .iter()
        .enumerate()
        .map(|(number, (word, fault))| broken(&system, number, word, *fault))
        .collect();
    let good = good(&system);
    let mut all: Vec<&FakePeer> = broken.iter().collect();
    all.push(&good);
    start_beside(&mut system, &all);
    system.tick(at(0)).unwrap();
    let aggregator = system.aggregator().unwrap();
    for ((word, fault), peer) in cases.iter().zip(&broken) {
        let what = format!("{word}: {fault:?}");
        let address = peer.addr.to_string();
        let told = Deadline::after(SOON).poll(|| {
            let said = aggregator.stderr();
            let is_it = |line: &&str| {
                let of = line.contains(&address) && line.contains("no history from a peer");
                of && line.contains(fault.words()) && line.contains("kind=\"protocol\"")
            };
            said.lines().any(|line| is_it(&line)).then_some(())
        });
        assert!(told.is_some(), "{what}\n{}", system.stderr());
    }
    let failures = "cairn_aggregator_replay_failures_total";
    let protocol = System::count(aggregator, failures, "kind=\"protocol\"").unwrap();
    assert!(protocol >= cases.len() as u64, "{protocol} failures");
    let there = Deadline::after(SOON).poll(|| {
        let overview = system.overview().ok()?;
        let nodes = overview["nodes"].as_array()?.clone();
        nodes
            .iter()
            .any(|node| node["name"] == "good")
            .then_some(())
    });
    assert!(there.is_some(), "{}", system.stderr());
    for k in 1..3 {
        system.tick(at(k)).unwrap();
    }
    let overview = system.overview().unwrap();
    let nodes = overview["nodes"].as_array().unwrap().iter();
    let names: Vec<&str> = nodes.map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["good", "node1"], "{overview}");
    // One of the good peer's, three of the agent's.
    assert_eq!(
        System::of_aggregator(aggregator, "store_rows", "").unwrap(),
        4
    );
}
