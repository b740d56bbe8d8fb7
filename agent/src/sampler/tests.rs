//! The loop on a driven clock, with sources that answer what the test says.

mod dear;
mod marked;
mod seldom;
mod steps;
mod strangers;

use std::sync::Arc;

use cairn_proto::model::{Builder, EntityId};
use prometheus_client::registry::Registry as Metered;

use super::*;
use crate::metrics::{ByKind, BySource};
use crate::ring::Block;
use crate::ring::tests::rows_of;
use crate::sources::{Answer, Reading, Worker};

const START: u64 = 1_795_332_330_000;
const DEADLINE: Duration = Duration::from_secs(20);

struct Bench {
    clock: Clock,
    ring: Ring,
    readiness: Readiness,
    metrics: Metrics,
    sampler: Sampler,
    worker: Worker<Host>,
}

fn bench() -> Bench {
    let clock = Clock::driven(START - 1);
    let run = Run {
        epoch_ms: START - 1,
        boot_id: [7; 16],
        clock_stepped: false,
    };
    let ring = Ring::new(run, 900_000, 1 << 20);
    let readiness = Readiness::new();
    let metrics = Metrics::new(&mut Metered::default());
    let setup = Setup {
        node: "node1".into(),
        interval_ms: 10_000,
        window_ms: 900_000,
        summary_every_ms: None,
        clock: clock.clone(),
        ring: ring.clone(),
        readiness: readiness.clone(),
        metrics: metrics.clone(),
    };
    let (host, worker) = Feed::new(Source::Procfs);
    let sampler = Sampler::new(
        setup,
        Feeds {
            host: Some(host),
            ..Feeds::default()
        },
    );
    Bench {
        clock,
        ring,
        readiness,
        metrics,
        sampler,
        worker,
    }
}

/// A host with one load.
fn loaded(time_ms: u64, load: u64) -> Host {
    let mut host = Host::default();
    host.figures
        .measured(cairn_proto::catalogue::Group::Host, time_ms);
    host.figures.push(table::HOST_LOAD1, Some(load));
    host
}

/// Answers at once, for ever, with the tick as the load.
async fn answer(mut worker: Worker<Host>) {
    while let Some(trigger) = worker.next().await {
        let time_ms = trigger.line.unix_ms();
        let host = loaded(time_ms, trigger.tick);
        let result = Ok(Reading {
            values: Arc::new(host),
            taken_ms: time_ms,
        });
        worker.answer(Answer {
            result,
            took: Duration::ZERO,
        });
    }
}

fn answer_of<T>(taken_ms: u64, values: T) -> Answer<T> {
    let values = Arc::new(values);
    Answer {
        result: Ok(Reading { values, taken_ms }),
        took: Duration::ZERO,
    }
}

/// Runs the sampler beside a scenario.
async fn with(
    bench: Bench,
    scenario: impl AsyncFnOnce(&Clock, &Ring),
) -> (Ring, Metrics, Readiness) {
    let Bench {
        clock,
        ring,
        readiness,
        metrics,
        sampler,
        worker,
    } = bench;
    let token = Token::new();
    let stopped = token.clone();
    let steps = async {
        scenario(&clock, &ring).await;
        stopped.cancel();
    };
    let (ran, (), ()) = tokio::join!(sampler.run(token), answer(worker), steps);
    assert_eq!(ran, Ok(()));
    (ring, metrics, readiness)
}

fn ticks(ring: &Ring) -> Vec<u64> {
    let rows = rows_of(ring, 0).unwrap().into_iter();
    rows.map(|(_, tick, _)| (tick - START) / 1_000).collect()
}

#[tokio::test]
async fn a_step_ends_when_every_due_tick_is_in_the_ring() {
    let (ring, metrics, readiness) = with(bench(), async |clock, ring| {
        clock.step(START + 250, DEADLINE).await.unwrap();
        assert_eq!(ticks(ring), [0]);
        clock.step(START + 9_999, DEADLINE).await.unwrap();
        assert_eq!(ticks(ring), [0]);
        clock.step(START + 30_250, DEADLINE).await.unwrap();
        assert_eq!(ticks(ring), [0, 10, 20, 30]);
    })
    .await;
    assert!(ring.head().closed && readiness.is_ready());
    assert_eq!(
        (
            metrics.sampler.rows.get(),
            metrics.sampler.skipped_ticks.get()
        ),
        (4, 0)
    );
}

#[tokio::test]
async fn who_waits_for_a_row_has_it_before_the_block_behind_it_is_sealed() {
    let (ring, _, _) = with(bench(), async |clock, ring| {
        clock.step(START + 150_250, DEADLINE).await.unwrap();
        let mut head = ring.subscribe();
        let run = head.borrow_and_update().run;
        let waiting = async {
            head.changed().await.unwrap();
            let row = ring.row(&run, 16).map(|row| row.tick);
            (row, ring.block(&run, 0))
        };
        let step = clock.step(START + 160_250, DEADLINE);
        let ((row, block), stepped) = tokio::join!(waiting, step);
        assert_eq!((row, stepped), (Some(START + 160_000), Ok(())));
        assert!(matches!(block, Block::Rows(rows) if rows.len() == 16));
        assert!(matches!(ring.block(&run, 0), Block::Sealed(_)));
    })
    .await;
    assert_eq!(ring.stock().rows, 17);
}

#[tokio::test]
async fn not_ready_before_the_first_row() {
    let bench = bench();
    let readiness = bench.readiness.clone();
    assert!(
        readiness
            .render(true)
            .1
            .contains("[-]first-row no row was sampled yet")
    );
    with(bench, async |clock, _| {
        clock.step(START + 250, DEADLINE).await.unwrap();
    })
    .await;
    let (ready, text) = readiness.render(true);
    assert!(
        ready && text.contains("[+]source procfs: delivers"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hanging_source_is_busy_and_its_last_reading_is_repeated_with_its_old_time() {
    let Bench {
        clock,
        ring,
        readiness,
        metrics,
        sampler,
        mut worker,
    } = bench();
    let token = Token::new();
    let stopped = token.clone();
    let first = async move {
        let trigger = worker.next().await.unwrap();
        let host = loaded(trigger.tick, 1);
        let result = Ok(Reading {
            values: Arc::new(host),
            taken_ms: trigger.tick,
        });
        worker.answer(Answer {
            result,
            took: Duration::ZERO,
        });
        // Takes every further question and answers none.
        worker.next().await;
        std::future::pending::<()>().await;
    };
    let steps = async {
        for k in 0..4 {
            clock
                .step(START + k * 10_000 + 250, DEADLINE)
                .await
                .unwrap();
        }
        stopped.cancel();
    };
    tokio::select! {
        (ran, ()) = async { tokio::join!(sampler.run(token), steps) } => assert_eq!(ran, Ok(())),
        () = first => {}
    }
    assert_eq!(ticks(&ring), [0, 10, 20, 30]);
    let run = ring.head().run;
    let newest = ring.row(&run, 3).unwrap();
    let stamp = newest
        .snapshot
        .stamp(0, cairn_proto::catalogue::Group::Host)
        .unwrap();
    assert_eq!(stamp.time_ms, START);
    let busy = metrics
        .scrapes
        .busy
        .get_or_create(&BySource { source: "procfs" })
        .get();
    assert_eq!(busy, 2);
    assert!(
        readiness
            .render(true)
            .1
            .contains("[!]source procfs: still at the scrape")
    );
}

#[tokio::test]
async fn a_source_that_is_gone_ends_the_sampler() {
    let Bench {
        clock,
        sampler,
        worker,
        ..
    } = bench();
    drop(worker);
    let (ran, stepped) = tokio::join!(sampler.run(Token::new()), clock.step(START + 250, DEADLINE));
    assert!(ran.unwrap_err().to_string().contains("procfs"));
    assert_eq!(stepped, Ok(()));
}

#[tokio::test]
async fn a_kubelet_that_knows_the_node_by_another_name_is_told() {
    let Bench {
        clock,
        readiness,
        mut sampler,
        worker,
        ..
    } = bench();
    let (feed, mut asked) = Feed::new(Source::Summary);
    sampler.feeds.summary = Some(feed);
    sampler.paces = Paces::new(&[Source::Summary, Source::Procfs], 10_000);
    let answers = async move {
        for name in ["node2", "node1"] {
            let trigger = asked.next().await.unwrap();
            let values = Arc::new(Summary {
                node_name: name.to_owned(),
                ..Summary::default()
            });
            let result = Ok(Reading {
                values,
                taken_ms: trigger.tick,
            });
            asked.answer(Answer {
                result,
                took: Duration::ZERO,
            });
        }
        std::future::pending::<()>().await;
    };
    let steps = async {
        clock.step(START + 250, DEADLINE).await.unwrap();
        let told = "[!]node name: kubelet calls this node node2, not node1: check --node-name";
        let text = readiness.render(true).1;
        assert!(text.contains(told), "{text}");
        clock.step(START + 10_250, DEADLINE).await.unwrap();
        assert!(!readiness.render(true).1.contains("node name"));
    };
    tokio::select! {
        ran = sampler.run(Token::new()) => panic!("{ran:?}"),
        () = answer(worker) => {}
        () = answers => {}
        () = steps => {}
    }
}

#[test]
fn a_ring_that_cannot_hold_its_window_is_told_until_it_does() {
    let Bench {
        readiness,
        metrics,
        mut sampler,
        ..
    } = bench();
    sampler.setup.window_ms = 40_000;
    sampler.setup.ring = Ring::new(sampler.run, 40_000, 1_300);
    let mut tick = START;
    let mut push = |entities: u32| {
        let mut row = Builder::default();
        for id in 1..=entities {
            row.entity(EntityId(id));
        }
        sampler.setup.ring.push(tick, row.build(), Vec::new());
        sampler.count_ring(tick);
        tick += 10_000;
        readiness.render(true).1
    };
    let texts: Vec<String> = (0..3).map(|_| push(150)).collect();
    assert!(!texts[0].contains("ring"), "{}", texts[0]);
    let told = "[!]ring: holds only 20 s of 40 for memory: raise --ring-bytes";
    assert!(texts[2].contains(told), "{texts:?}");
    let texts: Vec<String> = (0..8).map(|_| push(1)).collect();
    assert!(texts[0].contains("[!]ring: "), "{texts:?}");
    assert!(!texts[7].contains("ring"), "{texts:?}");
    let kind = ByKind { kind: "memory" };
    assert!(metrics.ring.evicted.get_or_create(&kind).get() > 0);
}
