//! Pods that the kubelet lists a moment after their cgroup is there.

use super::*;
use crate::sources::Failure;
use crate::sources::FailureKind;
use crate::sources::cgroup::{Pod, Stat};
use crate::sources::summary;

const STEADY: &str = "03a70c4b-ca1d-4b94-9704-26a125eae027";
const COMES: &str = "1df17ad5-f176-4aad-a700-aface64000ef";

/// Cgroups of these pods.
fn cgroups(uids: &[&str]) -> Cgroups {
    let pod = |uid: &&str| Pod {
        uid: (*uid).into(),
        own: Stat::default(),
        containers: Vec::new(),
    };
    Cgroups {
        pods: uids.iter().map(pod).collect(),
        ..Cgroups::default()
    }
}

/// What a kubelet says that lists these pods; each is called by the beginning of its UID.
fn listing(uids: &[&str]) -> Summary {
    let pod = |uid: &&str| summary::Pod {
        name: uid.get(..8).unwrap().to_owned(),
        namespace: "shop".to_owned(),
        uid: (*uid).to_owned(),
        stats: summary::Stats::default(),
        containers: Vec::new(),
    };
    Summary {
        pods: uids.iter().map(pod).collect(),
        ..Summary::default()
    }
}

/// What the kubelet says to its questions in turn; `None` is a failure.
type Told = &'static [Option<&'static [&'static str]>];

/// What became of it.
struct Found {
    ring: Ring,
    metrics: Metrics,
    /// Seconds after the first tick of the ticks at which the kubelet was asked.
    asked: Vec<u64>,
}

impl Found {
    /// The pods with a name in each row, in the order in which they came.
    fn names(&self) -> Vec<Vec<String>> {
        let head = self.ring.head();
        let rows = (0..head.next_seq).filter_map(|seq| self.ring.row(&head.run, seq));
        let rows = rows.map(|row| {
            let named = row.defs.iter().filter(|def| !def.namespace.is_empty());
            named.map(|def| def.name.clone()).collect()
        });
        rows.collect()
    }

    fn awaited(&self) -> u64 {
        self.metrics.sampler.awaited.get()
    }
}

/// Runs a sampler with rows so far apart, ms, on a node whose second pod comes with the second row, beside a
/// kubelet and a scenario.
async fn run(interval_ms: u64, told: Told, scenario: impl AsyncFnOnce(&Clock, &Ring)) -> Found {
    let Bench {
        clock,
        ring,
        metrics,
        mut sampler,
        worker,
        ..
    } = bench();
    let sources = [Source::Summary, Source::Cgroup, Source::Procfs];
    let (summary, mut kubelet) = Feed::new(Source::Summary);
    let (there, mut kernel) = Feed::new(Source::Cgroup);
    sampler.feeds.summary = Some(summary);
    sampler.feeds.cgroups = Some(there);
    sampler.setup.interval_ms = interval_ms;
    sampler.grid = Grid::new(interval_ms, "node1");
    sampler.paces = Paces::new(&sources, interval_ms);
    sampler.cgroups = Preference::new(&[Source::Cgroup, Source::Summary]);
    let asked = std::sync::Mutex::new(Vec::new());
    let answers = async {
        for told in told {
            let trigger = kubelet.next().await.unwrap();
            asked.lock().unwrap().push((trigger.tick - START) / 1_000);
            let mut answer = answer_of(trigger.line.unix_ms(), listing(told.unwrap_or_default()));
            if told.is_none() {
                answer.result = Err(Failure::new(FailureKind::Status, "no answer"));
            }
            kubelet.answer(answer);
        }
        kubelet.next().await;
        panic!("the kubelet is asked once more than it should be");
    };
    let reads = async {
        while let Some(trigger) = kernel.next().await {
            let count = if trigger.tick == START { 1 } else { 2 };
            let there = cgroups(&[STEADY, COMES][..count]);
            kernel.answer(answer_of(trigger.line.unix_ms(), there));
        }
    };
    let token = Token::new();
    let stopped = token.clone();
    let steps = async {
        scenario(&clock, &ring).await;
        stopped.cancel();
    };
    let ran = async { tokio::join!(sampler.run(token), steps) };
    tokio::select! {
        (ran, ()) = ran => assert_eq!(ran, Ok(())),
        () = answer(worker) => {}
        () = answers => {}
        () = reads => {}
    }
    Found {
        ring,
        metrics,
        asked: asked.into_inner().unwrap(),
    }
}

const OLD: &[&str] = &[STEADY];
const BOTH: &[&str] = &[STEADY, COMES];

#[tokio::test(start_paused = true)]
async fn the_row_of_its_first_tick_waits_until_it_is_listed() {
    let found = run(
        10_000,
        &[Some(OLD), Some(OLD), Some(BOTH)],
        async |clock, ring| {
            clock.step(START + 250, DEADLINE).await.unwrap();
            assert_eq!(ticks(ring), [0]);
            clock.step(START + 11_499, DEADLINE).await.unwrap();
            assert_eq!(ticks(ring), [0]);
            clock.step(START + 11_500, DEADLINE).await.unwrap();
            assert_eq!(ticks(ring), [0, 10]);
        },
    )
    .await;
    assert_eq!(
        found.names(),
        [vec!["03a70c4b"], vec!["03a70c4b", "1df17ad5"]]
    );
    assert_eq!((found.asked.clone(), found.awaited()), (vec![0, 10, 10], 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_it_a_second_time_and_the_next_row_asks_again() {
    let told: Told = &[Some(OLD), Some(OLD), Some(OLD), Some(BOTH)];
    let found = run(10_000, told, async |clock, ring| {
        for (ms, rows) in [(250, 1), (11_500, 2), (20_250, 3), (30_250, 4)] {
            clock.step(START + ms, DEADLINE).await.unwrap();
            assert_eq!(ticks(ring).len(), rows, "{ms}");
        }
    })
    .await;
    // The newest two are held as they are.
    assert!(found.names().iter().all(|names| names.len() == 2));
    assert_eq!(
        (found.asked.clone(), found.awaited()),
        (vec![0, 10, 10, 20], 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_kubelet_said_stands_when_it_fails_the_second_time() {
    let told: Told = &[Some(OLD), Some(OLD), None, Some(BOTH)];
    let found = run(10_000, told, async |clock, _| {
        clock.step(START + 250, DEADLINE).await.unwrap();
        clock.step(START + 11_500, DEADLINE).await.unwrap();
    })
    .await;
    assert_eq!(found.names(), [["03a70c4b"], ["03a70c4b"]]);
    let failed = crate::metrics::BySourceKind {
        source: "summary",
        kind: FailureKind::Status.as_str(),
    };
    let failures = &found.metrics.scrapes.failures;
    assert_eq!(failures.get_or_create(&failed).get(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_or_silent_at_the_tick_is_not_waited_for() {
    let found = run(
        10_000,
        &[Some(OLD), None, Some(BOTH)],
        async |clock, ring| {
            clock.step(START + 250, DEADLINE).await.unwrap();
            clock.step(START + 10_250, DEADLINE).await.unwrap();
            assert_eq!(ticks(ring), [0, 10]);
        },
    )
    .await;
    assert_eq!((found.asked.clone(), found.awaited()), (vec![0, 10], 0));
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_near_each_other_do_not_wait() {
    let told: Told = &[Some(OLD), Some(OLD), Some(BOTH)];
    let found = run(1_000, told, async |clock, ring| {
        for k in 0..4 {
            let due_ms = START + k * 1_000 + 100;
            clock.step(due_ms, DEADLINE).await.unwrap();
            assert_eq!(ticks(ring).len() as u64, k + 1);
        }
    })
    .await;
    assert_eq!(found.awaited(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_waits_when_the_agent_stops_goes_without_the_name() {
    let found = run(10_000, &[Some(OLD), Some(OLD)], async |clock, _| {
        clock.step(START + 250, DEADLINE).await.unwrap();
        clock.step(START + 10_250, DEADLINE).await.unwrap();
    })
    .await;
    assert_eq!(ticks(&found.ring), [0, 10]);
    assert_eq!(found.names(), [["03a70c4b"], ["03a70c4b"]]);
    assert_eq!((found.asked.clone(), found.awaited()), (vec![0, 10], 1));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_slept_through_the_wait_makes_both_rows() {
    let told: Told = &[Some(OLD), Some(OLD), Some(BOTH)];
    let found = run(10_000, told, async |clock, ring| {
        clock.step(START + 250, DEADLINE).await.unwrap();
        clock.step(START + 10_250, DEADLINE).await.unwrap();
        clock.step(START + 20_250, DEADLINE).await.unwrap();
        assert_eq!(ticks(ring), [0, 10, 20]);
    })
    .await;
    let names = found.names();
    assert_eq!(names.last().unwrap(), &["03a70c4b", "1df17ad5"]);
    assert_eq!((found.asked.clone(), found.awaited()), (vec![0, 10, 20], 1));
}
