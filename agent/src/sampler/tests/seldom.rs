//! A source that is asked less often than there are rows.

use cairn_proto::catalogue::Group;
use cairn_proto::model::ColumnId;

use super::*;
use crate::sources::cadvisor::Cgroup;

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
    let row = ring.row(&ring.head().run, seq).unwrap();
    let value = row.snapshot.cell(0, ColumnId::field(table::THREADS))?;
    let stamp = row.snapshot.stamp(0, Group::Detail)?;
    Some((value, (stamp.time_ms - START) / 1_000))
}

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
    sampler.paces = Paces::new(&[Source::Cadvisor, Source::Procfs], 10_000);
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
