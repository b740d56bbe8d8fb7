//! A source that is asked less often than there are rows.

use cairn_proto::catalogue::Group;
use cairn_proto::model::ColumnId;

use super::*;
use crate::sources::cadvisor::Cgroup;
use crate::sources::{Failure, FailureKind};

/// What cAdvisor says of the node.
fn told(time_ms: u64, threads: u64) -> Cadvisor {
    let mut node = Cgroup::default();
    node.figures.measured(Group::Detail, time_ms);
    node.figures.push(table::THREADS, Some(threads));
    Cadvisor {
        node: Some(node),
        ..Cadvisor::default()
    }
}

/// The node's threads in a row, with the time of their measurement.
fn threads(ring: &Ring, seq: u64) -> Option<(u64, u64)> {
    let rows = rows_of(ring, 0).unwrap();
    let (_, _, snapshot) = rows.iter().find(|(of, ..)| *of == seq).unwrap();
    let value = snapshot.cell(0, ColumnId::field(table::THREADS))?;
    let stamp = snapshot.stamp(0, Group::Detail)?;
    Some((value, (stamp.time_ms - START) / 1_000))
}

/// Beside a kubelet, of which nothing else is looked at.
const BESIDE: [Source; 3] = [Source::Summary, Source::Cadvisor, Source::Procfs];

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_in_the_next_row_and_not_in_that_of_the_next_question() {
    let Bench {
        clock,
        ring,
        mut sampler,
        worker,
        metrics,
        ..
    } = bench();
    let (feed, mut asked) = Feed::new(Source::Cadvisor);
    sampler.feeds.cadvisor = Some(feed);
    sampler.paces = Paces::new(&BESIDE, 10_000);
    let steps = async {
        let step = async |k: u64| {
            let due_ms = START + k * 10_000 + 250;
            clock.step(due_ms, DEADLINE).await.unwrap();
        };
        step(0).await;
        let question = asked.next().await.unwrap();
        assert_eq!(question.tick, START);
        step(1).await;
        asked.answer(answer_of(START, told(START, 7)));
        for k in 2..6 {
            step(k).await;
        }
        let rows: Vec<_> = (0..6).map(|seq| threads(&ring, seq)).collect();
        let held = Some((7, 0));
        assert_eq!(rows, [None, None, held, held, held, held]);
        // That nothing came yet at a tick at which nothing was asked is no busy source.
        let source = BySource { source: "cadvisor" };
        assert_eq!(metrics.scrapes.busy.get_or_create(&source).get(), 0);
        step(6).await;
        let question = asked.next().await.unwrap();
        assert_eq!(question.tick, START + 60_000);
    };
    tokio::select! {
        ran = sampler.run(Token::new()) => panic!("{ran:?}"),
        () = answer(worker) => {}
        () = steps => {}
    }
}

/// The question that a source was asked and has not seen yet.
async fn question<T>(worker: &mut Worker<T>) -> Option<u64> {
    let soon = tokio::time::timeout(Duration::from_millis(1), worker.next());
    soon.await.ok().flatten().map(|trigger| trigger.tick)
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_a_run_that_ended_does_not_use_up_the_next_question() {
    let Bench {
        mut sampler,
        worker,
        metrics,
        ..
    } = bench();
    let (feed, mut asked) = Feed::new(Source::Cadvisor);
    sampler.feeds.cadvisor = Some(feed);
    sampler.paces = Paces::new(&BESIDE, 10_000);
    let ticks = async {
        sampler.sample(START).await.unwrap();
        assert_eq!(question(&mut asked).await, Some(START));
        sampler.step(START + 5_000);
        // It is still at the question of the run before.
        sampler.sample(START + 10_000).await.unwrap();
        assert_eq!(question(&mut asked).await, None);
        let source = BySource { source: "cadvisor" };
        assert_eq!(metrics.scrapes.busy.get_or_create(&source).get(), 1);
        asked.answer(answer_of(START, told(START, 7)));
        sampler.sample(START + 20_000).await.unwrap();
        assert_eq!(question(&mut asked).await, Some(START + 20_000));
        assert!(sampler.feeds.cadvisor.as_ref().unwrap().last().is_none());
        sampler.sample(START + 30_000).await.unwrap();
        assert_eq!(question(&mut asked).await, None);
    };
    tokio::select! {
        () = answer(worker) => {}
        () = ticks => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_is_in_each_row_and_is_taken_back_when_it_answers_again() {
    let Bench {
        ring,
        mut sampler,
        worker,
        ..
    } = bench();
    let (feed, mut asked) = Feed::new(Source::Summary);
    sampler.feeds.summary = Some(feed);
    sampler.paces = Paces::new(&[Source::Summary, Source::Procfs], 10_000);
    sampler.cpu = Preference::new(&[Source::Summary, Source::Procfs]);
    let mut sampler = sampler.with_source_cpu(10);
    let (mut questions, mut rows, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    let ticks = async {
        for k in 0..20 {
            sampler.sample(START + k * 10_000).await.unwrap();
            let row = ring.row(&ring.head().run, k).unwrap();
            rows.push(row.snapshot.entities().len());
            taken.push(sampler.cpu.as_ref().unwrap().current() == Source::Summary);
            let Some(tick) = question(&mut asked).await else {
                continue;
            };
            // It always takes longer than a row waits, and three questions fail.
            let listing = Summary {
                system: vec![crate::sources::summary::Stats {
                    name: "kubelet".to_owned(),
                    ..Default::default()
                }],
                ..Summary::default()
            };
            let mut slow = answer_of(tick, listing);
            slow.took = Duration::from_secs(3);
            if (5..8).contains(&questions.len()) {
                slow.result = Err(Failure::new(FailureKind::Status, "no answer"));
            }
            // The first three cost too much in 10 s, all of them little enough in 20 s.
            let cost_ms = if questions.len() < 3 { 150 } else { 100 };
            asked.answer_at(slow, Duration::from_millis(cost_ms));
            questions.push((tick - START) / 10_000);
        }
    };
    tokio::select! {
        () = answer(worker) => {}
        () = ticks => {}
    }
    assert_eq!(questions, [0, 1, 2, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    // What it lists is there until a failure is heard, also while a question is open.
    let gone: Vec<usize> = (0..20).filter(|k| rows[*k] == 1).collect();
    assert_eq!(gone, [0, 8, 9, 10, 11, 12, 13]);
    // Given up at the third failure, taken back at the third good reading.
    let given_up: Vec<usize> = (0..20).filter(|k| !taken[*k]).collect();
    assert_eq!(given_up, [12, 13, 14, 15, 16, 17]);
}
