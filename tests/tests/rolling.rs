//! Three aggregators that are replaced one after the other, as a Deployment does it: what readers are told
//! meanwhile.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

#[path = "rolling/asking.rs"]
mod asking;

use std::time::Duration;

use asking::{Asking, whole};
use testkit::replicas::{Replicas, WITHOUT_AGENT};
use testkit::system::{at, ticks};
use testkit::trace::Trace;
use testkit::usage::Recorded;
use tokio::time::Instant;

const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";

const SPAN_MS: u64 = 30_000;

/// A tick by which both nodes were measured twice, so far apart that CPU is known.
const MEASURED: u64 = 6;

fn recorded() -> Recorded {
    let all: Vec<u64> = ticks().collect();
    Recorded::at(&Trace::carried().unwrap(), &all).unwrap()
}

/// Scenario: the first replica starts alone, the second beside it, both without any data.
/// Guarantees: who is alone is ready at once; who is not waits for the nodes that run an agent, and says so.
#[test]
fn a_replica_beside_a_ready_one_is_not_ready_before_it_has_answers() {
    let recorded = recorded();
    let mut replicas = Replicas::start(&recorded, 2).unwrap();
    replicas.ready(0).unwrap();
    let answer = replicas.target(0).unwrap().get(&format!("{ROOT}/pods"));
    assert_eq!(answer.unwrap().status, 503);
    replicas.begin(1).unwrap();
    // One of the three nodes has no agent and is not awaited.
    let awaited = "[-]nodes 0 of 2 nodes that run an agent have been measured twice, 2 are awaited; another \
                   replica is ready meanwhile; ready then, and in 45 s in any case";
    let (status, told) = asking::until(|| {
        let (status, told) = replicas.readyz(1).ok()?;
        told.contains(awaited).then_some((status, told))
    })
    .unwrap_or_else(|| panic!("{:?}\n{}", replicas.readyz(1), replicas.stderr()));
    assert_ne!(status, 200, "{told}");
    for k in 0..2 {
        replicas.tick(at(k)).unwrap();
        assert_ne!(replicas.readyz(1).unwrap().0, 200);
    }
    for k in 2..MEASURED {
        replicas.tick(at(k)).unwrap();
    }
    replicas.ready(1).unwrap();
    let nodes = replicas.target(1).unwrap().get(&format!("{ROOT}/nodes"));
    let nodes = nodes.unwrap();
    assert_eq!(nodes.status, 200);
    assert!(!nodes.text().contains(WITHOUT_AGENT));
}

/// Scenario: three replicas hold the recording; each is replaced by a new one, which begins in a free place,
/// becomes ready, and then the old one is asked to go; a tick passes between the steps. A third of the nodes has no
/// agent. Somebody asks every replica all the while.
/// Guarantees: after each step all replicas give the same lists, byte by byte; nobody is ever told a part of the
/// pods; somebody who is ready answers what is served at every moment; the rollout is over within 90 s.
#[test]
fn a_rolling_update_shows_nobody_a_part_of_the_pods() {
    let recorded = recorded();
    let mut replicas = three(&recorded);
    let mut k = MEASURED - 1;
    let began = Instant::now();
    let asking = Asking::start(&replicas, whole(&recorded, &[at(k)], SPAN_MS));
    same_lists(&replicas);
    for (new, old) in [(3, 0), (0, 1), (1, 2)] {
        replicas.begin(new).unwrap();
        asking.joins(&replicas, new);
        replicas.ready(new).unwrap();
        asking.is_ready(new);
        same_lists(&replicas);
        asking.leaves(old);
        replicas.end(old).unwrap();
        same_lists(&replicas);
        // Between the steps time goes on, and pods come and go.
        passes(&replicas, &asking, &recorded, &mut k);
        same_lists(&replicas);
    }
    let (answers, problems) = asking.end();
    assert!(problems.is_empty(), "{problems:#?}\n{}", replicas.stderr());
    assert!(answers > 100, "{answers}");
    assert_eq!(replicas.places().collect::<Vec<_>>(), [0, 1, 3]);
    // By the machine's own clock: replicas wait by that one.
    let took = began.elapsed();
    assert!(took <= Duration::from_secs(90), "{took:?}");
}

/// Scenario: as above, and beside the two nodes that tell there is one whose agent never comes up. Time passes by
/// ticks alone.
/// Guarantees: each new replica waits for that agent two ticks, 20 s, and not 45; it says then what it does without;
/// all three are replaced within 90 s; nobody is told a part of the pods of the nodes that tell.
#[test]
fn a_rolling_update_does_not_wait_for_agents_that_never_come_up() {
    let recorded = recorded();
    let mut replicas = three(&recorded);
    replicas.add_node_whose_agent_is_down().unwrap();
    let mut k = MEASURED - 1;
    let began_ms = at(k);
    let asking = Asking::start(&replicas, whole(&recorded, &[at(k)], SPAN_MS));
    for (new, old) in [(3, 0), (0, 1), (1, 2)] {
        replicas.begin(new).unwrap();
        asking.joins(&replicas, new);
        told(
            &replicas,
            new,
            "2 of 3 nodes that run an agent have been measured twice, 3 are awaited; another replica is ready \
             meanwhile",
        );
        for _ in 0..2 {
            assert_ne!(replicas.readyz(new).unwrap().0, 200);
            passes(&replicas, &asking, &recorded, &mut k);
        }
        replicas.ready(new).unwrap();
        asking.is_ready(new);
        told(
            &replicas,
            new,
            "answers without the pods of some nodes: 2 of 2 nodes that run an agent have been measured twice, 2 are \
             awaited; on 1 more the agent's pod is not ready, and they are not awaited",
        );
        asking.leaves(old);
        replicas.end(old).unwrap();
        same_lists(&replicas);
    }
    let (answers, problems) = asking.end();
    assert!(problems.is_empty(), "{problems:#?}\n{}", replicas.stderr());
    assert!(answers > 100, "{answers}");
    let took_ms = at(k) - began_ms;
    assert!(took_ms <= 90_000, "{took_ms}");
}

/// Three replicas that hold the recording and are ready.
fn three(recorded: &Recorded) -> Replicas {
    let mut replicas = Replicas::start(recorded, 4).unwrap();
    for k in 0..MEASURED {
        replicas.tick(at(k)).unwrap();
    }
    replicas.ready(0).unwrap();
    for place in [1, 2] {
        replicas.begin(place).unwrap();
        replicas.caught_up(place, at(MEASURED - 1)).unwrap();
        replicas.ready(place).unwrap();
    }
    replicas
}

/// One tick passes, at which pods come and go.
fn passes(replicas: &Replicas, asking: &Asking, recorded: &Recorded, k: &mut u64) {
    asking.expect(whole(recorded, &[at(*k), at(*k + 1)], SPAN_MS));
    *k += 1;
    replicas.tick(at(*k)).unwrap();
    asking.expect(whole(recorded, &[at(*k)], SPAN_MS));
}

/// Waits until the readiness of a replica says this.
#[track_caller]
fn told(replicas: &Replicas, place: usize, text: &str) {
    let is_told = || replicas.readyz(place).ok()?.1.contains(text).then_some(());
    let came = asking::until(is_told);
    assert!(
        came.is_some(),
        "{:?}\n{}",
        replicas.readyz(place),
        replicas.stderr()
    );
}

/// Every replica that runs gives the same lists but for the time at which it was asked.
fn same_lists(replicas: &Replicas) {
    for path in ["nodes", "pods", "namespaces/shop/pods"] {
        let mut lists = replicas.places().map(|place| {
            let answer = replicas
                .target(place)
                .unwrap()
                .get(&format!("{ROOT}/{path}"));
            let answer = answer.unwrap();
            assert_eq!(answer.status, 200, "{place} {}", answer.text());
            (place, asking::timeless(&answer.text()))
        });
        let (first, expected) = lists.next().unwrap();
        for (place, list) in lists {
            assert_eq!(list, expected, "{path} of {place} and of {first}");
        }
    }
}
