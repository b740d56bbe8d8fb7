//! Agents that break the protocol: their stream ends with a status that names the fault, the
//! window stays as it was, and nobody else notices.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::codec::{DENSE, PLAIN, row};
use cairn_proto::limits;
use cairn_proto::model::{Builder, EntityId, Snapshot, Stamp};
use cairn_proto::v1::{self, agent_frame::Kind, aggregator_frame::Kind as Answer};
use testkit::raw::RawAgent;
use testkit::system::{FIRST_TICK_MS, Options, System};
use tonic::Code;

const TICK: u64 = FIRST_TICK_MS;

/// One honest node (node1), and a token for another one that no agent uses (node2).
fn system() -> System {
    let options = Options {
        guests: vec!["node2".to_owned()],
        ..Options::one_node()
    };
    let system = System::start(options).unwrap();
    system.tick(TICK).unwrap();
    system
}

async fn connect(system: &System) -> RawAgent {
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    RawAgent::connect(addr, &ca, "agent-token-of-node2", TICK + 500)
        .await
        .unwrap()
}

fn define(id: u32, kind: v1::EntityKind, parent: u32, name: &str) -> Kind {
    Kind::Define(v1::Define {
        id,
        kind: kind.into(),
        parent,
        name: name.to_owned(),
        ..v1::Define::default()
    })
}

fn snapshot(entity: u32) -> Snapshot {
    let mut builder = Builder::default();
    let stamp = Stamp {
        time_ms: TICK,
        start_ms: None,
        source: Source::Summary,
    };
    builder.value(EntityId(entity), table::MEMORY_USAGE, 77);
    builder.stamp(EntityId(entity), Group::Memory, stamp);
    builder.build()
}

fn row(seq: u64, tick: u64, payload: Vec<u8>) -> Kind {
    Kind::Row(v1::Row {
        seq,
        base_seq: None,
        tick,
        payload,
    })
}

fn good_row() -> Kind {
    row(0, TICK, row::keyframe(DENSE, TICK, &snapshot(1)))
}

/// Frames after Hello and the definition of the node, and what the status must say.
type Fault = (&'static str, Vec<Kind>, &'static str);

fn wrong_rows() -> Vec<Fault> {
    let good = row::keyframe(DENSE, TICK, &snapshot(1));
    let cut = good.split_last().unwrap().1.to_vec();
    let stranger = row::keyframe(DENSE, TICK, &snapshot(5));
    let delta = v1::Row {
        seq: 1,
        base_seq: Some(9),
        tick: TICK,
        payload: Vec::new(),
    };
    vec![
        ("a cut row", vec![row(0, TICK, cut)], "ends inside"),
        (
            "no row at all",
            vec![row(0, TICK, Vec::new())],
            "codec number",
        ),
        ("another codec", vec![row(0, TICK, vec![9])], "codec 9"),
        (
            "a tick off the grid",
            vec![row(0, TICK + 1, vec![1, 0, 0])],
            "grid",
        ),
        (
            "a base that was not sent",
            vec![Kind::Row(delta)],
            "refers to row 9",
        ),
        ("an id of nobody", vec![row(0, TICK, stranger)], "entity 5"),
        (
            "the same seq again",
            vec![good_row(), good_row()],
            "does not rise",
        ),
    ]
}

fn wrong_frames() -> Vec<Fault> {
    let hello = v1::Hello {
        node: "node2".to_owned(),
        ..v1::Hello::default()
    };
    let run = Some(v1::Run {
        boot_id: vec![7; 16],
        epoch_ms: 1,
        clock_stepped: false,
    });
    let chunk = v1::Chunk {
        run: run.clone(),
        block: 0,
        codec: 1,
        payload: Vec::new(),
    };
    let gap = v1::Gap {
        run,
        first_seq: 5,
        last_seq: 4,
        reason: 0,
    };
    let long = "x".repeat(limits::MAX_DEFINE_BYTES + 1);
    let ids = vec![String::new(); limits::MAX_RESOLVE_IDS + 1];
    let uids = Kind::Resolve(v1::Resolve {
        pod_uids: ids.clone(),
        ..v1::Resolve::default()
    });
    let ids = Kind::Resolve(v1::Resolve {
        runtime_ids: ids,
        ..v1::Resolve::default()
    });
    let (node, system) = (v1::EntityKind::Node, v1::EntityKind::System);
    vec![
        ("a second Hello", vec![Kind::Hello(hello)], "second Hello"),
        ("a chunk unasked", vec![Kind::Chunk(chunk)], "not asked for"),
        (
            "a gap backwards",
            vec![Kind::Gap(gap)],
            "ends before it begins",
        ),
        (
            "strings too long",
            vec![define(2, system, 1, &long)],
            "over the limit",
        ),
        (
            "an id as two things",
            vec![define(1, system, 0, "x")],
            "as something else",
        ),
        (
            "another node's name",
            vec![define(3, node, 0, "node1")],
            "another name",
        ),
        ("too many questions", vec![ids], "too many ids"),
        ("too many pods", vec![uids], "too many ids"),
    ]
}

/// Guarantees: each fault ends its own stream with `INVALID_ARGUMENT` and a text that names it;
/// nothing of it is in the window; the honest node delivers its next row.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_fault_ends_its_own_stream_with_a_status_that_names_it() {
    let system = system();
    for (name, frames, part) in wrong_rows().into_iter().chain(wrong_frames()) {
        let mut agent = connect(&system).await;
        agent.hello("node2", 1).await.unwrap();
        agent
            .send(define(1, v1::EntityKind::Node, 0, "node2"))
            .await;
        for frame in frames {
            agent.send(frame).await;
        }
        let status = agent.end().await.unwrap();
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status:?}");
        assert!(
            status.message().contains(part),
            "{name}: {}",
            status.message()
        );
    }
    let rejected = "cairn_aggregator_ingest_rejected_frames_total";
    for fault in ["decode", "base", "undefined", "redefined", "tick"] {
        let label = format!("fault=\"{fault}\"");
        let count = System::metric(system.aggregator().unwrap(), rejected, &label).unwrap();
        assert!(count >= 1.0, "{fault}: {count}");
    }
    system.tick(TICK + 10_000).unwrap();
    let nodes = system.json("/api/v1/model/nodes/").unwrap();
    // The one good row before a repeated seq is in the window, and nothing else.
    assert_eq!(nodes, serde_json::json!(["node1", "node2"]));
    let usage = system
        .json("/api/v1/model/nodes/node2/metrics/memory/usage")
        .unwrap();
    assert_eq!(usage["metrics"][0]["value"], 77, "{usage}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn streams_that_do_not_begin_as_they_should_are_refused() {
    let system = system();
    let mut agent = connect(&system).await;
    agent.send(good_row()).await;
    let status = agent.end().await.unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("Hello"), "{status:?}");

    agent = connect(&system).await;
    let hello = agent.hello_frame("node2", 1);
    for (broken, code, part) in [
        (
            v1::Hello {
                node: "node1".into(),
                ..hello.clone()
            },
            Code::PermissionDenied,
            "node1",
        ),
        (
            v1::Hello {
                node: "NODE\n2".into(),
                ..hello.clone()
            },
            Code::InvalidArgument,
            "node",
        ),
        (
            v1::Hello {
                run: None,
                ..hello.clone()
            },
            Code::InvalidArgument,
            "run",
        ),
        (
            v1::Hello {
                interval_ms: 3_000,
                ..hello.clone()
            },
            Code::InvalidArgument,
            "3000 ms",
        ),
        (
            v1::Hello {
                next_seq: limits::MAX_SEQ + 1,
                ..hello.clone()
            },
            Code::InvalidArgument,
            "next_seq",
        ),
        (
            v1::Hello {
                row_codecs: vec![99],
                ..hello.clone()
            },
            Code::FailedPrecondition,
            "codec",
        ),
    ] {
        let agent = connect(&system).await;
        agent.send(Kind::Hello(broken)).await;
        let status = agent.end().await.unwrap();
        assert_eq!(status.code(), code, "{part}: {status:?}");
        assert!(status.message().contains(part), "{status:?}");
    }
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let refused = RawAgent::connect(addr, &ca, "no-such-token", TICK)
        .await
        .unwrap_err();
    assert!(format!("{refused:#}").contains("token file"), "{refused:#}");
}

/// Scenario: somebody opens stream after stream with one node's token and says nothing in them.
/// Guarantees: a few are kept waiting, the next is refused with the reason and counted; the node's own
/// agent gets through once one of them is gone, and the other node's goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn streams_that_say_nothing_take_a_few_places_of_their_own_node() {
    let system = system();
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let mut silent = Vec::new();
    let refused = loop {
        match RawAgent::connect(addr, &ca, "agent-token-of-node2", TICK).await {
            Ok(agent) => silent.push(agent),
            Err(refused) => break refused.downcast::<tonic::Status>().unwrap(),
        }
        assert!(silent.len() < 10, "nobody is refused");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.message().contains("node node2"), "{refused:?}");
    assert_eq!(silent.len(), 4);
    // Who has said Hello is not one of them any more.
    silent[0].hello("node2", 1).await.unwrap();
    connect(&system).await.hello("node2", 2).await.unwrap();
    let counter = "cairn_aggregator_ingest_refused_streams_total";
    let aggregator = system.aggregator().unwrap();
    let count = System::metric(aggregator, counter, "reason=\"unheard\"").unwrap();
    assert!((count - 1.0).abs() < 0.5, "{count}");
    system.tick(TICK + 10_000).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_frame_over_the_limit_ends_its_stream_before_it_is_decoded() {
    let system = system();
    let mut agent = connect(&system).await;
    agent.hello("node2", 1).await.unwrap();
    agent
        .send(row(0, TICK, vec![1; limits::MAX_FRAME_BYTES + 1]))
        .await;
    let status = agent.end().await.unwrap();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    system.tick(TICK + 10_000).unwrap();
}

/// Guarantees: hostile names refuse the entity alone, and rows with it are taken without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hostile_name_costs_only_its_own_entity() {
    let system = system();
    let mut agent = connect(&system).await;
    agent.hello("node2", 1).await.unwrap();
    agent
        .send(define(1, v1::EntityKind::Node, 0, "node2"))
        .await;
    for (id, name) in [
        (2, "a\u{202e}b"),
        (3, "<script>"),
        (4, "../../etc"),
        (5, ""),
    ] {
        agent
            .send(define(id, v1::EntityKind::Container, 1, name))
            .await;
    }
    let mut builder = Builder::default();
    for id in 1..=5 {
        let stamp = Stamp {
            time_ms: TICK,
            start_ms: None,
            source: Source::Summary,
        };
        builder.value(EntityId(id), table::MEMORY_USAGE, 55);
        builder.stamp(EntityId(id), Group::Memory, stamp);
    }
    agent
        .send(row(0, TICK, row::keyframe(DENSE, TICK, &builder.build())))
        .await;
    agent.send(Kind::Bye(v1::Bye::default())).await;
    assert!(matches!(agent.receive().await, Ok(Some(Answer::Ack(ack))) if ack.seq == 0));
    let usage = system
        .json("/api/v1/model/nodes/node2/metrics/memory/usage")
        .unwrap();
    assert_eq!(usage["metrics"][0]["value"], 55, "{usage}");
    let refused = "cairn_aggregator_ingest_refused_entities_total";
    let count = System::metric(system.aggregator().unwrap(), refused, "").unwrap();
    assert!((count - 4.0).abs() < 0.5, "{count}");
}

/// Guarantees: history comes only as asked for, and a chunk with a tick of the far future is not
/// kept and harms no reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_chunk_from_the_far_future_is_not_kept() {
    let system = system();
    let mut agent = connect(&system).await;
    let hello = v1::Hello {
        next_seq: 16,
        ..agent.hello_frame("node2", 1)
    };
    agent.send(Kind::Hello(hello)).await;
    assert!(matches!(
        agent.receive().await,
        Ok(Some(Answer::Welcome(_)))
    ));
    let Ok(Some(Answer::Want(want))) = agent.receive().await else {
        panic!("no Want")
    };
    assert_eq!((want.first_block, want.last_block), (0, 0));
    agent
        .send(define(1, v1::EntityKind::Node, 0, "node2"))
        .await;
    let snapshot = snapshot(1);
    let far = u64::MAX / 10_000 * 10_000;
    let row_of = |offset, tick| RowOf {
        offset,
        tick,
        snapshot: &snapshot,
    };
    let payload = chunk::encode(PLAIN, &[row_of(0, TICK), row_of(1, far)]);
    let chunk = v1::Chunk {
        run: want.run,
        block: 0,
        codec: PLAIN,
        payload,
    };
    agent.send(Kind::Chunk(chunk)).await;
    let path = "/api/v1/model/nodes/node2/metrics/memory/usage";
    let taken = testkit::deadline::Deadline::after(std::time::Duration::from_secs(5)).poll(|| {
        let usage = system.json(path).ok()?;
        (!usage["metrics"].as_array()?.is_empty()).then_some(())
    });
    assert!(taken.is_some(), "{}", system.stderr());
    system.tick(TICK + 10_000).unwrap();
    let usage = system.json(path).unwrap();
    let points = usage["metrics"].as_array().unwrap();
    // The next tick still waits for this node, whose stream is open.
    assert_eq!(points.len(), 1, "{usage}");
    assert_eq!(points[0]["value"], 77);
    drop(agent);
}
