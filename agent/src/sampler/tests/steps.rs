//! Steps of the wall clock.

use super::*;

#[tokio::test]
async fn a_step_back_of_the_wall_clock_begins_a_run_at_zero() {
    let (ring, metrics, _) = with(bench(), async |clock, ring| {
        clock.step(START + 10_250, DEADLINE).await.unwrap();
        assert_eq!(ticks(ring), [0, 10]);
        clock.step(START + 5_000, DEADLINE).await.unwrap();
        let head = ring.head();
        assert!(head.run.clock_stepped && head.next_seq == 0, "{head:?}");
        assert_eq!(head.run.epoch_ms, START + 5_000);
        clock.step(START + 10_250, DEADLINE).await.unwrap();
    })
    .await;
    assert_eq!(
        (ticks(&ring), metrics.sampler.clock_steps.get()),
        (vec![10], 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_back_while_a_row_is_made_begins_a_run_at_once() {
    let Bench {
        clock,
        ring,
        sampler,
        mut worker,
        ..
    } = bench();
    let steps = async {
        // Nobody answers yet, so the row is still in the making.
        let unsettled = clock.step(START + 250, Duration::from_millis(100)).await;
        assert!(unsettled.is_err());
        let trigger = worker.next().await.unwrap();
        let answered = async {
            worker.answer(answer_of(trigger.tick, loaded(trigger.tick, 1)));
        };
        let (stepped, ()) = tokio::join!(clock.step(START - 60_000, DEADLINE), answered);
        stepped.unwrap();
        let run = ring.head().run;
        assert!(run.clock_stepped, "{run:?}");
        assert_eq!(run.epoch_ms, START - 60_000);
        clock.step(START - 50_000 + 250, DEADLINE).await.unwrap();
        let run = ring.head().run;
        let first = ring.row(&run, 0).unwrap();
        assert!(first.tick < START, "{}", first.tick);
        // What the old run had read is not in the new one's rows.
        assert_eq!(first.snapshot.sample_count(), 0);
    };
    tokio::select! {
        ran = sampler.run(Token::new()) => panic!("{ran:?}"),
        () = steps => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_run_has_nothing_that_the_old_one_was_told() {
    let Bench {
        clock,
        ring,
        mut sampler,
        mut worker,
        ..
    } = bench();
    let (summary, mut listing) = Feed::new(Source::Summary);
    let (resource, mut measuring) = Feed::new(Source::Resource);
    (sampler.feeds.summary, sampler.feeds.resource) = (Some(summary), Some(resource));
    let sources = [Source::Summary, Source::Resource, Source::Procfs];
    sampler.paces = Paces::new(&sources, 10_000);
    sampler.cpu = Preference::new(&[Source::Resource]);
    let steps = async {
        let answers = async {
            drop((worker.next().await, measuring.next().await));
            let tick = listing.next().await.unwrap().tick;
            let mut system = crate::sources::summary::Stats {
                name: "pods".to_owned(),
                ..Default::default()
            };
            // Young, and not from the future, by the new run's clock too.
            let memory = cairn_proto::catalogue::Group::Memory;
            system.figures.measured(memory, START - 70_000);
            system.figures.push(table::MEMORY_USAGE, Some(1));
            listing.answer(answer_of(
                tick,
                Summary {
                    system: vec![system],
                    ..Summary::default()
                },
            ));
            let body = format!("node_cpu_usage_seconds_total 7e-9 {}\n", START - 70_000);
            let measured = crate::sources::resource::parse(body.as_bytes());
            measuring.answer(answer_of(tick, measured.unwrap()));
        };
        let (stepped, ()) = tokio::join!(clock.step(START + 250, DEADLINE), answers);
        stepped.unwrap();
        let row = |ring: &Ring| {
            let run = ring.head().run;
            let row = ring.row(&run, 0).unwrap();
            (
                run.clock_stepped,
                row.defs.len(),
                row.snapshot.sample_count(),
            )
        };
        assert_eq!(row(&ring), (false, 2, 2));
        // From here on every source is silent.
        clock.step(START - 60_000, DEADLINE).await.unwrap();
        clock.step(START - 50_000 + 250, DEADLINE).await.unwrap();
        assert_eq!(row(&ring), (true, 1, 0));
    };
    tokio::select! {
        ran = sampler.run(Token::new()) => panic!("{ran:?}"),
        () = steps => {}
    }
}

#[tokio::test]
async fn a_step_back_of_less_than_half_a_second_changes_nothing() {
    let (ring, metrics, _) = with(bench(), async |clock, _| {
        clock.step(START + 9_500, DEADLINE).await.unwrap();
        clock.step(START + 9_200, DEADLINE).await.unwrap();
        clock.step(START + 10_250, DEADLINE).await.unwrap();
    })
    .await;
    assert_eq!(
        (ticks(&ring), metrics.sampler.clock_steps.get()),
        (vec![0, 10], 0)
    );
}
