//! Each rule of Kubernetes by itself.

use super::*;

const NOW: u64 = 10_000_000;

/// Pods that run and are ready for an hour, and use so many millicores each; `None` has no metric.
fn pods(used: &[Option<u64>]) -> (BTreeMap<String, Pod>, BTreeMap<String, Metric>) {
    let (mut pods, mut metrics) = (BTreeMap::new(), BTreeMap::new());
    for (nth, used) in used.iter().enumerate() {
        let name = format!("web-{nth}");
        let pod = Pod {
            start_ms: NOW - 3_600_000,
            is_ready: true,
            since_ms: NOW - 3_590_000,
        };
        pods.insert(name.clone(), pod);
        metrics.extend(used.map(|millicores| {
            let metric = Metric {
                millicores,
                time_ms: NOW - 5_000,
                window_ms: 30_000,
            };
            (name, metric)
        }));
    }
    (pods, metrics)
}

/// What is wanted of these, each of which asks for 100 millicores and shall use half.
fn wanted(used: &[Option<u64>]) -> Option<u64> {
    let (pods, metrics) = pods(used);
    let replicas = u64::try_from(used.len()).unwrap();
    Autoscaler::new(replicas, 100, 50).wanted(NOW, &pods, &metrics)
}

#[test]
fn replicas_follow_the_ratio_beyond_the_tolerance() {
    assert_eq!(wanted(&[Some(50), Some(50)]), Some(2));
    assert_eq!(wanted(&[Some(54), Some(54)]), Some(2));
    assert_eq!(wanted(&[Some(56), Some(56)]), Some(3));
    assert_eq!(wanted(&[Some(44), Some(44), Some(44)]), Some(3));
    assert_eq!(wanted(&[Some(20), Some(20), Some(20)]), Some(2));
    assert_eq!(wanted(&[None, None]), None);
}

#[test]
fn a_missing_pod_uses_all_before_going_down_and_nothing_before_going_up() {
    // Two of three would do, but the one that is not known may use all.
    assert_eq!(wanted(&[Some(20), Some(20), None]), Some(3));
    assert_eq!(
        wanted(&[Some(10), Some(10), Some(10), Some(10), None]),
        Some(3)
    );
    // 200 millicores of two pods ask for four; of three, one of which may use nothing, for four too.
    assert_eq!(wanted(&[Some(100), Some(100), None]), Some(4));
    assert_eq!(wanted(&[Some(60), Some(60), None]), Some(3));
}

#[test]
fn a_young_pod_counts_when_it_was_ready_for_a_window() {
    let (mut pods, mut metrics) = pods(&[Some(100), Some(100)]);
    let young = Pod {
        start_ms: NOW - 60_000,
        is_ready: true,
        since_ms: NOW - 34_000,
    };
    pods.insert("web-1".to_owned(), young);
    let autoscaler = Autoscaler::new(2, 100, 50);
    // Measured until five seconds ago, over thirty: one second too early. It counts for nothing.
    assert_eq!(autoscaler.wanted(NOW, &pods, &metrics), Some(2));
    metrics.get_mut("web-1").unwrap().window_ms = 29_000;
    assert_eq!(autoscaler.wanted(NOW, &pods, &metrics), Some(4));
    pods.get_mut("web-1").unwrap().is_ready = false;
    assert_eq!(autoscaler.wanted(NOW, &pods, &metrics), Some(2));
}

#[test]
fn it_goes_up_at_once_and_down_when_nothing_asked_for_more_for_five_minutes() {
    let mut autoscaler = Autoscaler::new(2, 100, 50);
    let mut sync = |at_s: u64, millicores: u64| {
        let (pods, metrics) = pods(&[Some(millicores), Some(millicores)]);
        autoscaler.sync(NOW + at_s * 1_000, &pods, &metrics);
        (autoscaler.replicas(), autoscaler.events())
    };
    assert_eq!(sync(0, 50), (2, 0));
    assert_eq!(sync(15, 100), (4, 1));
    for at_s in (30..=315).step_by(15) {
        assert_eq!(sync(at_s, 20), (4, 1), "{at_s}");
    }
    assert_eq!(sync(330, 20), (1, 2));
}
