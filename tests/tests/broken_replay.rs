//! Peers whose frames are cut, flipped or over the limit: each exchange ends for a reason that names the
//! fault, the window is as it was, and a good peer beside them still gives what it has.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::net::SocketAddr;
use std::time::Duration;

use cairn_proto::v1::ReplayFrame;
use cairn_proto::v1::replay_frame::Kind as Frame;
use cairn_proto::v1::replay_request::Kind as Asked;
use testkit::broken::{flipped, oversized};
use testkit::deadline::Deadline;
use testkit::peer::{
    FakePeer, chunk_at, define, encoded, end, greeting, of_chunk, restart_beside, run,
};
use testkit::system::{Options, System, at};

/// Within which each peer has been asked: the first delay after a failure is a moment, the longest 15 s.
const SOON: Duration = Duration::from_secs(60);

/// Frames of an exchange about a node, each by its word and right as it is.
fn frames(instance: &str, node: &str) -> Vec<(&'static str, Frame)> {
    let [welcome, nodes] = greeting(instance, &[node]);
    vec![
        ("welcome", welcome),
        ("nodes", nodes),
        ("run", run(node, at(0))),
        ("define", define(node)),
        ("chunk", of_chunk(chunk_at(at(0)))),
        ("end", end(node)),
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
        let cut = |bytes: usize| frame[..bytes].to_vec();
        match self {
            Self::Half => cut(frame.len() / 2),
            Self::LastByte => cut(frame.len() - 1),
            Self::Flipped => flipped::<ReplayFrame>(frame).unwrap(),
            Self::Large => oversized(frame),
        }
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
    let all = broken.iter().chain([&good]).map(|peer| peer.addr);
    let all: Vec<SocketAddr> = all.collect();
    restart_beside(&mut system, &all, "peer.token").unwrap();
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
