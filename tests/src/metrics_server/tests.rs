//! The cases of its own tests.

use super::*;

const RESOLUTION_MS: u64 = 15_000;

/// Seconds, core-seconds used, and the start in seconds.
fn point(time_s: u64, used_s: u64, start_s: u64) -> Point {
    Point {
        time_ms: time_s * 1_000,
        start_ms: start_s * 1_000,
        used_nanos: used_s * 1_000_000_000,
        memory_bytes: 1 << 20,
    }
}

fn pod() -> PodName {
    ("shop".to_owned(), "web".to_owned())
}

/// One pod with these containers.
fn batch(containers: &[(&str, Point)]) -> Batch {
    let containers = containers.iter();
    let containers = containers.map(|(name, point)| ((*name).to_owned(), *point));
    BTreeMap::from([(pod(), containers.collect())])
}

/// What is answered after these scrapes: millicores and seconds of each container, if the pod is there.
fn after(scrapes: &[&[(&str, Point)]]) -> Option<Vec<(u64, u64)>> {
    let mut storage = Storage::new(RESOLUTION_MS);
    for scrape in scrapes {
        storage.store(batch(scrape));
    }
    let pods = storage.pods();
    let containers = pods.get(&pod())?.values();
    let both = containers.map(|one| (one.cpu_nanocores / 1_000_000, one.window_ms / 1_000));
    Some(both.collect())
}

#[test]
fn two_scrapes_are_a_rate_over_the_newest_two() {
    let (a, b, c) = (point(100, 10, 1), point(115, 16, 1), point(130, 19, 1));
    assert_eq!(after(&[&[("a", a)]]), None);
    assert_eq!(after(&[&[("a", a)], &[("a", b)]]), Some(vec![(400, 15)]));
    assert_eq!(
        after(&[&[("a", a)], &[("a", b)], &[("a", c)]]),
        Some(vec![(200, 15)])
    );
    // The same measurement again keeps the one before.
    assert_eq!(
        after(&[&[("a", a)], &[("a", b)], &[("a", b)]]),
        Some(vec![(400, 15)])
    );
}

#[test]
fn what_differs_from_cairn_is_as_it_is_there() {
    let (a, b) = (point(100, 10, 1), point(115, 16, 1));
    // Nothing used: the pod is dropped.
    assert_eq!(after(&[&[("a", a)], &[("a", point(115, 0, 1))]]), None);
    // A scrape that fails costs two more.
    assert_eq!(
        after(&[&[("a", a)], &[("a", b)], &[], &[("a", point(145, 20, 1))]]),
        None
    );
    // A restarted container hides its pod.
    let restarted = point(130, 1, 125);
    let both: &[&[(&str, Point)]] = &[&[("a", a), ("b", a)], &[("a", b), ("b", b)]];
    let third: &[(&str, Point)] = &[("a", point(130, 20, 1)), ("b", restarted)];
    assert_eq!(after(both).map(|all| all.len()), Some(2));
    assert_eq!(after(&[both, &[third]].concat()), None);
    // One whose counter fell is left out of it.
    let fell: &[(&str, Point)] = &[("a", point(130, 20, 1)), ("b", point(130, 12, 1))];
    assert_eq!(after(&[both, &[fell]].concat()), Some(vec![(266, 15)]));
    // A fresh one is measured since its start.
    assert_eq!(
        after(&[&[("a", point(112, 3, 100))]]),
        Some(vec![(250, 12)])
    );
    assert_eq!(after(&[&[("a", point(109, 3, 100))]]), None);
}
