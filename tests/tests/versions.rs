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

fn started() -> System {
    let options = Options {
        guests: vec!["guest".to_owned()],
        ..Options::one_node()
    };
    System::start(options).unwrap()
}

/// The entities of the guest at the tick.
fn held(system: &System) -> Value {
    let time = rfc3339::format(TICK);
    let path = format!("/api/cairn/v1/values?node=guest&start={time}&end={time}");
    system.json(&path).unwrap()["entities"].clone()
}

/// What both files tell of the node, and nothing else.
fn expected() -> Value {
    json!([{
        "kind": "node", "namespace": "", "pod": "", "pod_uid": "", "container": "", "name": "guest",
        "labels": {}, "metrics": {"memory_usage_bytes": {"values": [77]}},
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
