//! One session against an aggregator that says what the test says.

mod asking;
mod fake;
mod opening;

mod history;

mod host;

mod unreadable;

use std::sync::Arc;
use std::time::Duration;

use cairn_proto::catalogue::table;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind, Run, Snapshot};
use cairn_proto::v1;
use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use cairn_runtime::clock::Clock;
use cairn_runtime::readiness::Readiness;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use self::fake::Fake;
use super::living::Living;
use super::session::Session;
use super::wants::Budget;
use super::{End, EndKind, Setup};
use crate::marker::Past;
use crate::metrics::{ByKind, Metrics};
use crate::names::{Names, Question};
use crate::ring::Ring;

const RUN: Run = Run {
    epoch_ms: 5,
    boot_id: [3; 16],
    clock_stepped: false,
};

pub(super) fn setup() -> Setup {
    // The sender of the sources' states is gone, as after the sampler's end.
    let statuses = watch::Sender::new(Vec::new()).subscribe();
    let metrics = Metrics::new(&mut Registry::default());
    Setup {
        living: Living::default(),
        node: "node1".into(),
        interval_ms: 10_000,
        window_ms: 900_000,
        token_file: None,
        clock: Clock::driven(1_000),
        ring: Ring::new(RUN, 900_000, 1 << 24),
        past: Past::default(),
        statuses,
        readiness: Readiness::new(),
        names: Names::new(metrics.names),
        metrics: metrics.uplink,
    }
}

fn timed(tick_ms: u64, snapshot: &Snapshot) -> Timed<'_> {
    Timed { tick_ms, snapshot }
}

fn snapshot(value: u64) -> Snapshot {
    let mut builder = Builder::default();
    builder.value(EntityId(1), table::CPU, value);
    builder.build()
}

fn def() -> Arc<EntityDef> {
    Arc::new(EntityDef {
        id: EntityId(1),
        kind: EntityKind::Node,
        parent: None,
        name: "node1".into(),
        namespace: String::new(),
        uid: String::new(),
        runtime_id: String::new(),
        labels: Vec::new(),
    })
}

/// Samples rows whose value is ten times their seq.
fn sample(ring: &Ring, count: u64, def: &Arc<EntityDef>) {
    for _ in 0..count {
        let seq = ring.head().next_seq;
        ring.push(seq * 10_000, snapshot(seq * 10), vec![Arc::clone(def)]);
        ring.seal();
    }
}

/// Runs a session beside a scenario of its aggregator; returns how the session ended.
async fn session(setup: &Setup, scenario: impl AsyncFnOnce(Fake)) -> End {
    let (fake, link) = Fake::connect().await;
    let streaming = async {
        match Session::begin(link, setup).await {
            Ok(session) => session.run(setup, &mut Budget::new(900_000, 10_000)).await,
            Err(end) => end,
        }
    };
    let (end, ()) = tokio::join!(streaming, scenario(fake));
    end
}

fn ack(seq: u64) -> Option<Answer> {
    Some(Answer::Ack(v1::Ack {
        run: Some((&RUN).into()),
        seq,
    }))
}

fn want(run: &Run, first_block: u64, last_block: u64) -> Option<Answer> {
    Some(Answer::Want(v1::Want {
        run: Some(run.into()),
        first_block,
        last_block,
    }))
}

async fn next_row(fake: &mut Fake) -> v1::Row {
    match fake.next_but_defines().await {
        Kind::Row(row) => row,
        other => panic!("expected a row, got {other:?}"),
    }
}

#[tokio::test]
async fn hello_then_a_keyframe_of_the_newest_row_then_differences() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 3, &def);
    let end = session(&setup, async |mut fake| {
        let hello = fake.welcome().await;
        assert_eq!(
            (hello.node.as_str(), hello.next_seq, hello.oldest_block),
            ("node1", 3, 0)
        );
        let Kind::Define(define) = fake.next().await else {
            panic!("Define before its use")
        };
        assert_eq!((define.id, define.name.as_str()), (1, "node1"));
        let Kind::Row(first) = fake.next().await else {
            panic!("a row")
        };
        assert_eq!((first.seq, first.base_seq, first.tick), (2, None, 20_000));
        let first = row::decode(None, first.tick, &first.payload).unwrap();
        assert_eq!(first, snapshot(20));
        sample(&setup.ring, 1, &def);
        let Kind::Row(second) = fake.next().await else {
            panic!("no second Define")
        };
        assert_eq!((second.seq, second.base_seq), (3, Some(2)));
        assert_eq!(
            row::decode(Some(timed(20_000, &first)), 30_000, &second.payload),
            Ok(snapshot(30))
        );
        // A changed definition is sent again before its use.
        let changed = Arc::new(EntityDef {
            runtime_id: "containerd://x".into(),
            ..(*def).clone()
        });
        sample(&setup.ring, 1, &changed);
        assert!(matches!(fake.next().await, Kind::Define(d) if d.runtime_id == "containerd://x"));
        assert_eq!(next_row(&mut fake).await.seq, 4);
        fake.refuse(Status::aborted("a newer session")).await;
    })
    .await;
    assert_eq!(end.kind, EndKind::Fenced);
    assert_eq!(
        (setup.metrics.rows.get(), setup.metrics.keyframes.get()),
        (3, 1)
    );
    assert_eq!(setup.metrics.unacked.get(), 0);
}

/// Guarantees: an aggregator may forget what is not in the newest row.
#[tokio::test]
async fn what_comes_back_after_an_absence_is_named_again() {
    let (setup, node) = (setup(), def());
    let pod = Arc::new(EntityDef {
        id: EntityId(2),
        ..(*node).clone()
    });
    session(&setup, async |mut fake| {
        fake.welcome().await;
        for (tick, defs) in [(0, 2), (1, 1), (2, 2), (3, 2)] {
            let defs = [&node, &pod].into_iter().take(defs);
            let mut builder = Builder::default();
            defs.clone().for_each(|def| _ = builder.entity(def.id));
            setup
                .ring
                .push(tick, builder.build(), defs.cloned().collect());
            let mut named = Vec::new();
            let row = loop {
                match fake.next().await {
                    Kind::Define(define) => named.push(define.id),
                    Kind::Row(row) => break row,
                    _ => {}
                }
            };
            let expected = [vec![1, 2], vec![], vec![2], vec![]];
            assert_eq!(named, expected[usize::try_from(row.seq).unwrap()]);
        }
        fake.refuse(Status::invalid_argument("enough")).await;
    })
    .await;
}

#[tokio::test]
async fn of_more_than_two_waiting_rows_the_oldest_are_passed_over() {
    let (setup, def) = (setup(), def());
    let end = session(&setup, async |mut fake| {
        fake.welcome().await;
        sample(&setup.ring, 1, &def);
        let first = next_row(&mut fake).await;
        sample(&setup.ring, 5, &def);
        let second = next_row(&mut fake).await;
        assert_eq!((first.seq, second.seq, second.base_seq), (0, 4, Some(0)));
        let base = row::decode(None, first.tick, &first.payload).unwrap();
        assert_eq!(
            row::decode(Some(timed(first.tick, &base)), second.tick, &second.payload),
            Ok(snapshot(40))
        );
        assert_eq!(next_row(&mut fake).await.seq, 5);
        fake.refuse(Status::invalid_argument("enough")).await;
    })
    .await;
    assert_eq!(
        (end.kind, setup.metrics.rows_skipped.get()),
        (EndKind::Refused, 3)
    );
}

#[tokio::test]
async fn a_session_that_is_dropped_leaves_nothing_unacknowledged() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 1, &def);
    let (mut fake, link) = Fake::connect().await;
    let mut budget = Budget::new(900_000, 10_000);
    let streaming = async {
        let session = Session::begin(link, &setup).await.unwrap();
        session.run(&setup, &mut budget).await
    };
    tokio::select! {
        end = streaming => panic!("{end:?}"),
        () = async {
            fake.welcome().await;
            next_row(&mut fake).await;
            while setup.metrics.unacked.get() != 1 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    assert_eq!(setup.metrics.unacked.get(), 0);
}

#[tokio::test]
async fn at_the_end_the_last_row_is_sent_and_its_acknowledgement_waited_for() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 1, &def);
    let end = session(&setup, async |mut fake| {
        fake.welcome().await;
        next_row(&mut fake).await;
        sample(&setup.ring, 1, &def);
        setup.ring.close();
        assert_eq!(next_row(&mut fake).await.seq, 1);
        assert!(matches!(fake.next().await, Kind::Bye(_)));
        fake.answer(ack(0)).await;
        fake.answer(ack(1)).await;
    })
    .await;
    let said = (end.kind, end.reason.as_str());
    assert_eq!(
        said,
        (EndKind::Shutdown, "agent stops: row 1 is acknowledged")
    );
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_that_nobody_answers_ends_in_time() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 1, &def);
    setup.ring.close();
    let began = Instant::now();
    let end = session(&setup, async |mut fake| {
        fake.welcome().await;
        next_row(&mut fake).await;
        assert!(matches!(fake.next().await, Kind::Bye(_)));
        tokio::time::sleep(Duration::from_secs(3)).await;
    })
    .await;
    assert_eq!(
        end.reason,
        "agent stops: row 0 was sent and not acknowledged in time"
    );
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_drain_is_answered_with_bye_and_its_wish_is_kept() {
    let setup = setup();
    let end = session(&setup, async |mut fake| {
        fake.welcome().await;
        let reason = "memory\nis short".to_owned();
        let drain = v1::Drain {
            reconnect_after_ms: 1_500,
            reason,
        };
        fake.answer(Some(Answer::Drain(drain))).await;
        assert!(matches!(fake.next().await, Kind::Bye(_)));
    })
    .await;
    assert_eq!(end.kind, EndKind::Drained);
    assert_eq!(
        end.reason,
        "aggregator asked to leave: memory\\u{a}is short"
    );
    assert_eq!(end.retry_after, Some(Duration::from_millis(1_500)));
}

/// Scenario: an aggregator asks to leave and ends the stream in the same breath, as one that is going
/// does, while the agent has a row to send.
/// Guarantees: its wish is kept, and what it acknowledged before counts.
#[tokio::test]
async fn a_drain_counts_though_the_stream_takes_nothing_any_more() {
    for rows in [0, 1] {
        let (setup, def) = (setup(), def());
        sample(&setup.ring, 1, &def);
        let end = session(&setup, async |mut fake| {
            fake.welcome().await;
            assert_eq!(next_row(&mut fake).await.seq, 0);
            fake.answer(ack(0)).await;
            let drain = v1::Drain {
                reconnect_after_ms: 7_000,
                reason: "shutdown".to_owned(),
            };
            fake.answer(Some(Answer::Drain(drain))).await;
            fake.refuse(Status::unavailable("the aggregator is going"))
                .await;
            sample(&setup.ring, rows, &def);
        })
        .await;
        assert_eq!(end.kind, EndKind::Drained, "{end:?}");
        assert_eq!(end.retry_after, Some(Duration::from_secs(7)));
        assert!(setup.metrics.last_ack.get() > 0, "the acknowledgement");
    }
}

#[tokio::test]
async fn a_new_run_ends_the_session() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 2, &def);
    let end = session(&setup, async |mut fake| {
        fake.welcome().await;
        next_row(&mut fake).await;
        setup.ring.begin(Run {
            epoch_ms: 6,
            clock_stepped: true,
            ..RUN
        });
    })
    .await;
    assert_eq!(end.kind, EndKind::NewRun);
}

#[tokio::test]
async fn frames_that_are_not_known_are_counted_and_skipped() {
    let (setup, def) = (setup(), def());
    session(&setup, async |mut fake| {
        fake.welcome().await;
        fake.answer(None).await;
        fake.answer(Some(Answer::Names(v1::Names::default()))).await;
        assert!(fake.is_silent().await);
        sample(&setup.ring, 1, &def);
        next_row(&mut fake).await;
        fake.refuse(Status::invalid_argument("enough")).await;
    })
    .await;
    for kind in ["unknown", "names"] {
        let ignored = setup
            .metrics
            .frames_ignored
            .get_or_create(&ByKind { kind })
            .get();
        assert_eq!(ignored, 1, "{kind}");
    }
}

#[tokio::test]
async fn a_second_welcome_ends_the_session() {
    let end = session(&setup(), async |mut fake| {
        fake.welcome().await;
        fake.answer(Some(Answer::Welcome(fake::welcome(1)))).await;
    })
    .await;
    assert!(
        end.kind == EndKind::Protocol && end.reason.contains("second Welcome"),
        "{end:?}"
    );
}

#[tokio::test]
async fn an_acknowledgement_of_what_was_not_sent_ends_the_session() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 1, &def);
    let end = session(&setup, async |mut fake| {
        fake.welcome().await;
        next_row(&mut fake).await;
        fake.answer(ack(1)).await;
    })
    .await;
    assert_eq!(end.kind, EndKind::Protocol);
}

#[tokio::test]
async fn a_codec_that_the_agent_cannot_write_is_refused() {
    let end = session(&setup(), async |mut fake| {
        assert!(matches!(fake.next().await, Kind::Hello(_)));
        fake.answer(Some(Answer::Welcome(fake::welcome(99)))).await;
    })
    .await;
    assert!(
        end.kind == EndKind::Protocol && end.reason.contains("codec 99"),
        "{end:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_token_is_shown_at_the_start_and_again_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "one\n").unwrap();
    let setup = Setup {
        token_file: Some(path.clone()),
        ..setup()
    };
    session(&setup, async |mut fake| {
        fake.welcome().await;
        let shown = (&mut fake.authorization).await.unwrap();
        assert_eq!(shown.as_deref(), Some("Bearer one"));
        std::fs::write(&path, "two\n").unwrap();
        assert!(matches!(fake.next().await, Kind::Token(token) if token.bearer == "two"));
        fake.refuse(Status::unauthenticated("token is not known"))
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_token_file_that_cannot_be_read_is_told() {
    let setup = Setup {
        token_file: Some("/nonexistent/token".into()),
        ..setup()
    };
    let end = session(&setup, async |_| {}).await;
    assert!(
        end.kind == EndKind::Auth && end.reason.contains("--token-file"),
        "{end:?}"
    );
}
