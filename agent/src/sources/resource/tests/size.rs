//! Bodies that are large for nothing.

use super::*;
use crate::sources::peak;

#[test]
fn no_more_pods_and_containers_are_kept_than_a_node_can_have() {
    let _turn = peak::turn();
    let pods =
        (0..65_533).map(|n| format!("pod_swap_usage_bytes{{pod=\"{n}\",namespace=\"b\"}} 0\n"));
    let container = |pod: &str, name: &str, value| {
        let labels = format!("container=\"{name}\",pod=\"{pod}\",namespace=\"b\"");
        format!("container_swap_usage_bytes{{{labels}}} {value}\n")
    };
    let body = pods.collect::<String>()
        + &container("0", "first", 1)
        // A pod and a container are one too many, a container of a pod that is there is not.
        + &container("new", "app", 2)
        + &container("0", "last", 3)
        + &container("0", "more", 4)
        + "pod_swap_usage_bytes{pod=\"more\",namespace=\"b\"} 5\n"
        + &container("0", "first", 6);
    let resource = parse(body.as_bytes()).unwrap();
    assert_eq!((resource.odd_count, resource.dropped_count), (0, 3));
    assert_eq!(resource.pods().count(), 65_533);
    let swap = |name: &str| {
        let kept = resource.container("b", "0", name)?;
        kept.usage.swap.map(|swap| swap.bytes)
    };
    assert_eq!(
        ["first", "last", "more"].map(swap),
        [Some(6), Some(3), None]
    );
}

/// Scenario: bodies of 15 MiB, each full of one thing that a kubelet never sends.
/// Guarantees: reading them takes a small multiple of their size, where keeping all that they name
/// took twenty times as much.
#[test]
fn a_hostile_body_takes_little_more_memory_than_its_size() {
    let _turn = peak::turn();
    let size = 15 << 20;
    let pod = |n: usize| format!("pod_swap_usage_bytes{{pod=\"{n}\",namespace=\"b\"}} 0\n");
    let alone = |n: usize| format!("pod_swap_usage_bytes{{pod=\"a\",namespace=\"{n}\"}} 0\n");
    let container = |n: usize| {
        format!("container_swap_usage_bytes{{container=\"a\",pod=\"{n}\",namespace=\"{n}\"}} 0\n")
    };
    let crowd = |n: usize| {
        format!("container_swap_usage_bytes{{container=\"{n}\",pod=\"a\",namespace=\"b\"}} 0\n")
    };
    let escaped =
        |n: usize| format!("pod_swap_usage_bytes{{pod=\"\\\\{n}\",namespace=\"{n:0>252}\"}} 0\n");
    let odd = |_| "pod_swap_usage_bytes 0\n".to_owned();
    let lines: [(&str, &dyn Fn(usize) -> String); 6] = [
        ("pods", &pod),
        ("pods each in its namespace", &alone),
        ("containers each in its pod", &container),
        ("containers of one pod", &crowd),
        ("long names", &escaped),
        ("odd lines", &odd),
    ];
    for (what, line) in lines {
        let mut body = "node_cpu_usage_seconds_total 1 5\n".to_owned();
        let mut n = 0;
        while body.len() < size {
            body += &line(n);
            n += 1;
        }
        let before_bytes = peak::bytes();
        drop(parse(body.as_bytes()).unwrap());
        let grown = peak::bytes().saturating_sub(before_bytes);
        assert!(grown < 4 * size as u64, "{what} took {grown} bytes");
    }
}
