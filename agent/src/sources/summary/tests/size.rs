//! Bodies that are large for nothing.

use super::*;
use crate::sources::peak;

#[test]
fn of_a_body_full_of_containers_or_pods_no_more_are_read_than_a_node_can_have() {
    let _turn = peak::turn();
    let ids = r#""podRef":{"name":"a","namespace":"b","uid":"c"}"#;
    let containers = vec![r#"{"name":"x"}"#; 1_500].join(",");
    let summary = pods(&format!(r#"[{{{ids},"containers":[{containers}]}}]"#));
    assert_eq!(summary.pods[0].containers.len(), 1_024);
    assert_eq!((summary.odd_count, summary.dropped_count), (0, 476));
    let many = vec![format!("{{{ids}}}"); 70_000].join(",");
    let summary = pods(&format!("[{many}]"));
    assert_eq!((summary.pods.len(), summary.dropped_count), (65_535, 4_465));
    let odd = vec!["7"; 70_000].join(",");
    assert_eq!(pods(&format!("[{odd}]")).odd_count, 70_000);
}

/// Scenario: bodies of 15 MiB, each full of one thing that a kubelet never sends.
/// Guarantees: reading them takes a small multiple of their size, where holding them as values took
/// more than thirty times as much.
#[test]
fn a_hostile_body_takes_little_more_memory_than_its_size() {
    let _turn = peak::turn();
    let ids = r#""podRef":{"name":"a","namespace":"b","uid":"c"}"#;
    let size = 15 << 20;
    let ones = "1,".repeat(size / 2) + "1";
    let objects = "{},".repeat(size / 3) + "{}";
    let pod = format!("{{{ids}}}");
    let pods = format!("{pod},").repeat(size / (pod.len() + 1)) + &pod;
    for (before, filling, after) in [
        (format!("[{{{ids},\"unknown\":["), &ones, "]}]"),
        (format!("[{{{ids},\"cpu\":["), &ones, "]}]"),
        (format!("[{{{ids},\"containers\":["), &objects, "]}]"),
        ("[".to_owned(), &objects, "]"),
        ("[".to_owned(), &pods, "]"),
    ] {
        let body = format!("{{\"node\":{{}},\"pods\":{before}{filling}{after}}}");
        let before_bytes = peak::bytes();
        drop(parse(body.as_bytes()).unwrap());
        let grown = peak::bytes().saturating_sub(before_bytes);
        assert!(grown < 4 * size as u64, "{before} took {grown} bytes");
    }
}
