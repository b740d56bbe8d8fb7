//! A source that costs more than it may.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::*;
use crate::sources::summary::Stats;

/// A summary that lists one thing and says nothing of it, so that it is there by its word alone.
fn listing() -> Summary {
    Summary {
        system: vec![Stats {
            name: "kubelet".to_owned(),
            ..Stats::default()
        }],
        ..Summary::default()
    }
}

/// Answers the summary's questions at these costs in turn, ms; the ticks at which it was asked, s.
async fn answered(mut worker: Worker<Summary>, costs_ms: &[u64], asked: &mut Vec<u64>) {
    for cost_ms in costs_ms {
        let trigger = worker.next().await.unwrap();
        asked.push((trigger.tick - START) / 1_000);
        let cpu = Duration::from_millis(*cost_ms);
        worker.answer_at(answer_of(trigger.tick, listing()), cpu);
    }
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_less_often_until_it_costs_less_and_what_it_said_stands() {
    let (registry, metrics) = {
        let mut registry = Metered::default();
        let metrics = Metrics::new(&mut registry);
        (registry, metrics)
    };
    let Bench {
        clock,
        ring,
        readiness,
        mut sampler,
        worker,
        ..
    } = bench();
    let (feed, listing) = Feed::new(Source::Summary);
    sampler.setup.metrics = metrics;
    let sources = [Source::Summary, Source::Procfs];
    sampler.paces = Paces::new(&sources, 10_000);
    sampler.feeds.summary = Some(feed);
    // 100 ms in ten seconds.
    let sampler = sampler.with_source_cpu(10);
    let mut asked = Vec::new();
    let costs = [150, 150, 150, 10, 10, 10, 10, 10];
    let line = |source: &str| {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let begin = format!("cairn_agent_scrape_cadence_seconds{{source=\"{source}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&begin));
        line.unwrap_or_default().to_owned()
    };
    let steps = async {
        let step = async |k: u64| {
            let due_ms = START + k * 10_000 + 250;
            clock.step(due_ms, DEADLINE).await.unwrap();
            readiness.render(true).1
        };
        for k in 0..2 {
            assert!(!step(k).await.contains("cadence"));
        }
        let told = step(2).await;
        let expected = "[!]cadence summary: scraped every 20 s and not every 10, since a scrape takes \
                        150.0ms of CPU: look for what makes its answers large, or raise \
                        --source-cpu-millis (10) or --interval";
        assert!(told.contains(expected), "{told}");
        assert_eq!(
            (line("summary"), line("procfs")),
            ("20.0".into(), "10.0".into())
        );
        for k in 3..8 {
            assert!(step(k).await.contains("[!]cadence summary"));
        }
        assert!(!step(8).await.contains("cadence"));
        assert_eq!(line("summary"), "10.0");
        for k in 9..11 {
            step(k).await;
        }
        // It is in each row, as is the node, and no source is in trouble.
        let rows = rows_of(&ring, 0).unwrap().into_iter();
        let counts = rows.map(|(_, _, snapshot)| snapshot.entities().len());
        assert_eq!(counts.collect::<Vec<usize>>(), [2; 11]);
        let text = readiness.render(true).1;
        assert!(!text.contains("[!]"), "{text}");
    };
    tokio::select! {
        ran = sampler.run(Token::new()) => panic!("{ran:?}"),
        () = answer(worker) => {}
        () = answered(listing, &costs, &mut asked) => {}
        () = steps => {}
    }
    assert_eq!(asked, [0, 10, 20, 40, 60, 80, 90, 100]);
}

#[tokio::test(start_paused = true)]
async fn values_that_are_not_asked_for_are_held_and_counted() {
    let Bench {
        clock,
        ring,
        metrics,
        sampler,
        mut worker,
        ..
    } = bench();
    let sampler = sampler.with_source_cpu(1);
    let dear = async {
        while let Some(trigger) = worker.next().await {
            let host = loaded(trigger.tick, trigger.tick);
            worker.answer_at(answer_of(trigger.tick, host), Duration::from_secs(9));
        }
    };
    let (mut held, mut ages) = (Vec::new(), Vec::new());
    let steps = async {
        let source = BySource { source: "procfs" };
        for k in 0..40 {
            let due_ms = START + k * 10_000 + 250;
            clock.step(due_ms, DEADLINE).await.unwrap();
            let of_row = &metrics.sources;
            let row = |metric: &Family<BySource, Gauge>| metric.get_or_create(&source).get();
            assert_eq!((row(&of_row.samples), row(&of_row.absent)), (1, 0));
            held.push(row(&of_row.held));
            let head = ring.head();
            let row = ring.row(&head.run, head.next_seq - 1).unwrap();
            let stamp = row.snapshot.stamp(0, cairn_proto::catalogue::Group::Host);
            let age_s = START / 1_000 + k * 10 - stamp.unwrap().time_ms / 1_000;
            assert!(age_s <= 60, "{age_s} s old at {k}");
            ages.push(age_s / 10);
        }
    };
    tokio::select! {
        ran = sampler.run(Token::new()) => panic!("{ran:?}"),
        () = dear => {}
        () = steps => {}
    }
    // Of the newest tick or the one before it is fresh.
    let expected: Vec<i64> = ages.iter().map(|ticks| i64::from(*ticks > 1)).collect();
    assert_eq!(held, expected);
    // 10, 20, 40 and 60 s apart, three questions each.
    let asked: Vec<usize> = (0..40).filter(|k| ages[*k] == 0).collect();
    assert_eq!(asked, [0, 1, 2, 4, 6, 8, 12, 16, 20, 26, 32, 38]);
}
