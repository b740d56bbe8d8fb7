//! Agents of one version before and after, from recorded frames: what both sides know works exactly, what
//! is unknown is passed over.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use cairn_proto::codec::{DENSE, PLAIN};
use cairn_proto::v1::{self, aggregator_frame::Kind as Answer};
use serde_json::{Value, json};
use testkit::played::recorded;
use testkit::raw::RawAgent;
use testkit::rfc3339;
use testkit::system::{FIRST_TICK_MS, Options, System};
use tonic::Code;

const TICK: u64 = FIRST_TICK_MS;

/// Sends a recorded stream beside an honest node; gives what it was welcomed with, and its other answers.
async fn replayed(system: &System, file: &str) -> (v1::Welcome, Vec<Answer>) {
    system.tick(TICK).unwrap();
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let token = "agent-token-of-guest";
    let mut agent = RawAgent::connect(addr, &ca, token, TICK + 500)
        .await
        .unwrap();
    for (_, frame) in recorded(file).unwrap() {
        agent.send_bytes(frame).await;
    }
    let Ok(Some(Answer::Welcome(welcome))) = agent.receive().await else {
        panic!("no Welcome: {}", system.stderr())
    };
    let mut answers = Vec::new();
    loop {
        match agent.receive().await {
            Ok(answer) => answers.extend(answer),
            Err(status) => {
                assert_eq!(status.code(), Code::Ok, "{status:?}");
                return (welcome, answers);
            }
        }
    }
}

/// What the file says that it was asked for comes when it is: behind this word.
const ASKED_FOR: &str = "chunk";

/// Sends a recorded stream of an agent that has rows of the past, and gives them when it is asked for them;
/// gives what it was asked for.
async fn asked(system: &System, file: &str) -> v1::Want {
    system.tick(TICK).unwrap();
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let token = "agent-token-of-guest";
    let connected = RawAgent::connect(addr, &ca, token, TICK + 500).await;
    let mut agent = connected.unwrap();
    let mut asked = None;
    for (word, frame) in recorded(file).unwrap() {
        while word == ASKED_FOR && asked.is_none() {
            match agent.receive().await {
                Ok(Some(Answer::Want(want))) => asked = Some(want),
                Ok(_) => {}
                Err(status) => panic!("{status:?}\n{}", system.stderr()),
            }
        }
        agent.send_bytes(frame).await;
    }
    let end = agent.end().await.unwrap();
    assert_eq!(end.code(), Code::Ok, "{end:?}");
    asked.unwrap()
}

fn started() -> System {
    let options = Options {
        guests: vec!["guest".to_owned()],
        ..Options::one_node()
    };
    System::start(options).unwrap()
}

/// The entities of the guest at the tick.
fn held(system: &System) -> Value {
    held_since(system, TICK)
}

/// The same from an earlier tick on.
fn held_since(system: &System, first_ms: u64) -> Value {
    let (start, end) = (rfc3339::format(first_ms), rfc3339::format(TICK));
    let path = format!("/api/cairn/v1/values?node=guest&start={start}&end={end}");
    system.json(&path).unwrap()["entities"].clone()
}

/// What the files tell of the node, and nothing else.
fn expected() -> Value {
    expected_of(&[77])
}

fn expected_of(values: &[u64]) -> Value {
    json!([{
        "kind": "node", "namespace": "", "pod": "", "pod_uid": "", "container": "", "name": "guest",
        "labels": {}, "metrics": {"memory_usage_bytes": {"values": values}},
    }])
}

fn count(system: &System, name: &str, label: &str) -> f64 {
    let name = format!("cairn_aggregator_{name}");
    System::metric(system.aggregator().unwrap(), &name, label).unwrap()
}

fn is_acked(answers: &[Answer]) -> bool {
    answers
        .iter()
        .any(|answer| matches!(answer, Answer::Ack(ack) if ack.seq == 0))
}

/// Scenario: an agent of one version before, which writes codec 1 alone and lacks what came later.
/// Guarantees: it is welcomed in its codec; its row is held exactly and acknowledged; nothing is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_older_agent_is_understood_exactly() {
    let system = started();
    let (welcome, answers) = replayed(&system, "older.txt").await;
    assert_eq!(welcome.row_codec, PLAIN);
    assert!(is_acked(&answers), "{answers:?}");
    assert_eq!(held(&system), expected());
    assert!(count(&system, "ingest_rejected_frames_total", "") < 0.5);
    assert!(count(&system, "ingest_frames_total", "kind=\"unknown\"") < 0.5);
    system.tick(TICK + 10_000).unwrap();
}

/// Scenario: an agent of one version after, with fields, kinds of frames, of entities and of states,
/// columns, a codec and a catalogue that this version does not know.
/// Guarantees: it is welcomed in the best codec that both know; what both know of its row is held exactly
/// and acknowledged; the unknown frame is counted and passed over, the unknown entity is counted and
/// refused alone, and nothing else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_a_newer_agent_what_both_know_is_held_and_the_rest_is_passed_over() {
    let system = started();
    let (welcome, answers) = replayed(&system, "newer.txt").await;
    assert_eq!(welcome.row_codec, DENSE);
    assert!(is_acked(&answers), "{answers:?}");
    let named = |answer: &Answer| matches!(answer, Answer::Names(_));
    assert!(answers.iter().any(named), "{answers:?}");
    assert_eq!(held(&system), expected());
    assert!((count(&system, "ingest_frames_total", "kind=\"unknown\"") - 1.0).abs() < 0.5);
    assert!((count(&system, "ingest_refused_entities_total", "") - 1.0).abs() < 0.5);
    assert!(count(&system, "ingest_rejected_frames_total", "") < 0.5);
    let overview = system.overview().unwrap();
    let mut nodes = overview["nodes"].as_array().unwrap().iter();
    let guest = nodes.find(|node| node["name"] == "guest").unwrap();
    // A state that nobody knows is none that delivers.
    assert_eq!(guest["sources"][0]["state"], "failing", "{guest}");
    system.tick(TICK + 10_000).unwrap();
}

/// Scenario: agents of one version before and after begin with a row of their second block; each is asked for
/// its first, and gives it in the codec and with the fields that its version has.
/// Guarantees: the block is asked for, and what both know of it is held exactly, with the row; nothing is
/// refused but the entity that is of an unknown kind, and nothing counts as a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_past_of_agents_of_other_versions_is_asked_for_and_held_exactly() {
    for (file, unknown_entities) in [("older-past.txt", 0), ("newer-past.txt", 1)] {
        let system = started();
        let want = asked(&system, file).await;
        assert_eq!((want.first_block, want.last_block), (0, 0), "{file}");
        let held = held_since(&system, TICK - 20_000);
        assert_eq!(held, expected_of(&[77, 77, 77]), "{file}");
        let count = |name| System::of_aggregator(system.aggregator().unwrap(), name, "").unwrap();
        assert_eq!(count("ingest_history_rows_total"), 2, "{file}");
        assert_eq!(
            count("ingest_refused_entities_total"),
            unknown_entities,
            "{file}"
        );
        for none in ["ingest_rejected_frames_total", "ingest_gap_rows_total"] {
            assert_eq!(count(none), 0, "{file}: {none}");
        }
    }
}
