//! Pods that have just come, end to end: from the cgroup to the API.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use serde_json::Value;
use testkit::busy::{BusyNode, Pod};
use testkit::pays::{NAMED_WITHIN_MS, Watched};
use testkit::sim::Endpoint;
use testkit::system::{FIRST_TICK_MS, System};

const INTERVAL_MS: u64 = 10_000;

/// How long before a tick each of them comes, ms. The kubelet lists it a second after that.
const BEFORE_MS: [u64; 4] = [999, 600, 300, 1];

/// Their containers' cgroups come so long after their own, ms.
const CONTAINERS_AFTER_MS: u64 = 700;

/// Pods of the Heapster model.
const MODEL: &str = "/api/v1/model/namespaces/shop/pods";

fn tick(n: u64) -> u64 {
    FIRST_TICK_MS + n * INTERVAL_MS
}

/// When the row of a tick is to be there for whoever asks.
fn now_ms(watched: &Watched) -> u64 {
    let aggregator = watched.system.aggregator().unwrap();
    let clock = aggregator.get("admin", "/debug/clock").unwrap();
    let clock: Value = serde_json::from_slice(&clock.body).unwrap();
    clock["unix_ms"].as_u64().unwrap()
}

/// The pod that is there at a tick and came at this time.
fn newcomer(watched: &Watched, tick_ms: u64, from_ms: u64) -> Pod {
    let mut pods = watched.node.pods(tick_ms);
    let pod = pods.find(|pod| pod.there_from_ms() == from_ms);
    pod.unwrap().clone()
}

/// The pod's memory at a tick by the Heapster model.
fn memory(system: &System, pod: &Pod, tick_ms: u64) -> Option<u64> {
    let path = format!("{MODEL}/{}/metrics/memory/usage", pod.name);
    let answer = system.get(&path).unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).ok()?;
    let last = answer["metrics"].as_array()?.last()?.clone();
    let time = testkit::rfc3339::format(tick_ms);
    assert_eq!(last["timestamp"], time.as_str(), "{path}");
    last["value"].as_u64()
}

/// Scenario: a row every ten seconds; before each of four ticks a pod comes, by a second at most, and its kubelet
/// lists it a second after its cgroup is there, so after the tick.
/// Guarantees: within two seconds of the tick the Heapster model lists the pod by its name, with its memory at that
/// tick, and its containers by theirs; the row of the next tick has it too, and the kubelet was asked for it at the tick,
/// once more, and at the next one if its containers came behind the tick.
#[test]
fn a_pod_that_comes_right_before_a_tick_is_served_by_name_within_two_seconds_of_it() {
    let arrivals: Vec<u64> = (0..)
        .zip(BEFORE_MS)
        .map(|(n, before_ms)| tick(2 + 2 * n) - before_ms)
        .collect();
    let node = BusyNode::with_arrivals(FIRST_TICK_MS, &arrivals).unwrap();
    let mut watched = Watched::start_with(node, INTERVAL_MS, &["--cadvisor", "off"]).unwrap();
    watched.tick(tick(0)).unwrap();
    watched.tick(tick(1)).unwrap();
    for (n, from_ms) in (0..).zip(&arrivals) {
        let tick_ms = tick(2 + 2 * n);
        let before = watched.requests(Endpoint::Summary).unwrap();
        watched.tick(tick_ms).unwrap();
        let late_ms = now_ms(&watched) - tick_ms;
        assert!((1..=NAMED_WITHIN_MS).contains(&late_ms), "{late_ms}");
        let pod = newcomer(&watched, tick_ms, *from_ms);
        assert!(pod.listed_from_ms() > tick_ms);
        let system = &watched.system;
        let listed = system.json(&format!("{MODEL}/")).unwrap();
        let mut names = listed.as_array().unwrap().iter();
        assert!(names.any(|name| name == pod.name.as_str()), "{listed}");
        assert!(memory(system, &pod, tick_ms).is_some_and(|bytes| bytes > 0));
        let containers = system
            .json(&format!("{MODEL}/{}/containers/", pod.name))
            .unwrap();
        let mut expected: Vec<&str> = pod.container_names().collect();
        expected.sort_unstable();
        assert_eq!(containers, serde_json::json!(expected));
        watched.tick(tick_ms + INTERVAL_MS).unwrap();
        let next_ms = tick_ms + INTERVAL_MS;
        assert!(memory(&watched.system, &pod, next_ms).is_some());
        let asked = watched.requests(Endpoint::Summary).unwrap() - before;
        // Containers whose cgroups come behind the tick are newcomers at the next one.
        let are_there = tick_ms - from_ms >= CONTAINERS_AFTER_MS;
        let expected = if are_there { 2 } else { 3 };
        assert_eq!(asked, expected, "{}", watched.system.stderr());
    }
}

/// Scenario: a row every ten seconds; between each of four rows and the next a pod goes, and five seconds later another
/// of its class comes, so that there are as many cgroups as before.
/// Guarantees: the one that came is served by its name, with its memory, in the first row after that, also where the
/// kubelet's summary was not due at it.
#[test]
fn a_pod_in_the_place_of_another_is_served_by_name_in_the_first_row() {
    let goes_ms = |n| tick(n) - 7_000;
    let comes_ms = |n| tick(n) - 2_000;
    let mut stays = vec![(FIRST_TICK_MS - 60_000, goes_ms(2))];
    stays.extend((2..5).map(|n| (comes_ms(n), goes_ms(n + 1))));
    stays.push((comes_ms(5), u64::MAX));
    let node = BusyNode::with_stays(FIRST_TICK_MS, &stays).unwrap();
    let mut watched = Watched::start_with(node, INTERVAL_MS, &["--cadvisor", "off"]).unwrap();
    let there = |watched: &Watched, n| watched.node.pods(tick(n)).count();
    watched.tick(tick(0)).unwrap();
    watched.tick(tick(1)).unwrap();
    for n in 2..6 {
        assert_eq!(there(&watched, n), there(&watched, n - 1));
        watched.tick(tick(n)).unwrap();
        let pod = newcomer(&watched, tick(n), comes_ms(n));
        let used = memory(&watched.system, &pod, tick(n));
        assert!(used.is_some_and(|bytes| bytes > 0), "{n}: {}", pod.name);
    }
}
