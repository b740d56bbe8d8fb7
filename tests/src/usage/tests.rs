use super::*;
use crate::system::{at, ticks};

const SPAN_MS: u64 = 30_000;

#[test]
fn quantities_and_spans_are_written_as_kubernetes_does() {
    let cpu = [
        (0, "0"),
        (123_456, "123456n"),
        (12_345_000, "12345u"),
        (5_000_000, "5m"),
        (500_000_000, "500m"),
        (1_000_000_000, "1"),
        (2_500_000_000, "2500m"),
    ];
    for (nanos, text) in cpu {
        assert_eq!(nanocores(nanos), text);
    }
    let memory = [
        (0, "0"),
        (1_023, "1023"),
        (1_025, "1025"),
        (12_537_856, "12244Ki"),
        (1 << 20, "1Mi"),
        (1_610_612_736, "1536Mi"),
    ];
    for (amount, text) in memory {
        assert_eq!(bytes(amount), text);
    }
    let spans = [
        (15_061, "15.061s"),
        (60_200, "1m0.2s"),
        (30_000, "30s"),
        (3_600_000, "1h0m0s"),
        (5, "5ms"),
    ];
    for (ms, text) in spans {
        assert_eq!(window(ms), text);
    }
    assert_eq!(
        (millicores(1), millicores(2_000_000)),
        ("1m".to_owned(), "2m".to_owned())
    );
    assert_eq!(
        (mebibytes((2 << 20) - 1), percent(199, 10_000)),
        ("1Mi".to_owned(), "1%".to_owned())
    );
}

fn counted(time_s: u64, used_s: u64, start_s: u64) -> Counted {
    Counted {
        time_ms: time_s * 1_000,
        used_nanos: used_s * 1_000_000_000,
        start_ms: Some(start_s * 1_000),
    }
}

fn over(all: &[Counted], from_start: bool) -> Option<(u64, u64)> {
    let mut points = Vec::new();
    for one in all {
        follow(&mut points, *one);
    }
    let found = measured(&points, points.last()?, (SPAN_MS, from_start));
    found.map(|(used_nanos, over_ms)| (used_nanos / 1_000_000_000, over_ms / 1_000))
}

#[test]
fn cpu_is_measured_by_the_written_rules() {
    let old = [
        counted(100, 10, 1),
        counted(110, 11, 1),
        counted(130, 15, 1),
    ];
    assert_eq!(over(&old, true), Some((5, 30)));
    assert_eq!(over(&old[..2], true), None);
    // What restarts, falls or was away for long begins anew.
    for next in [
        counted(140, 20, 135),
        counted(140, 3, 1),
        counted(240, 30, 1),
    ] {
        assert_eq!(over(&[&old[..], &[next]].concat(), false), None);
    }
    // Young: since its start, after ten seconds.
    assert_eq!(over(&[counted(1_009, 3, 1_000)], true), None);
    assert_eq!(over(&[counted(1_010, 3, 1_000)], true), Some((3, 10)));
    assert_eq!(over(&[counted(1_010, 3, 1_000)], false), None);
    // Nobody saw the life that this one had before.
    assert_eq!(over(&[counted(1_031, 3, 1_000)], true), None);
    // Repeated and earlier ones are none.
    let again = [old[0], old[2], old[2], old[1]];
    assert_eq!(over(&again, true), Some((5, 30)));
}

#[test]
fn a_recording_has_what_its_kubelets_said() {
    let trace = Trace::carried().unwrap();
    let ticks: Vec<u64> = ticks().collect();
    let recorded = Recorded::at(&trace, &ticks).unwrap();
    let none = recorded.usages(at(0), SPAN_MS);
    assert!(none.nodes.is_empty());
    let usages = recorded.usages(at(9), SPAN_MS);
    assert_eq!(usages.nodes.len(), 2);
    let webs = usages.pods.keys().filter(|(_, name)| app(name) == "web");
    assert_eq!(webs.count(), 8);
    let of_pods = usages.pods.values().flat_map(|pod| pod.containers.values());
    for usage in usages.nodes.values().chain(of_pods) {
        assert!(usage.memory_bytes > 0 && usage.swap_bytes == Some(0));
        assert!(usage.over_ms >= LEAST_LIFE_MS, "{usage:?}");
    }
    // Of one life each: pods that are replaced have other UIDs.
    let objects = recorded.pod_objects();
    assert!(objects.len() >= 12, "{}", objects.len());
}
