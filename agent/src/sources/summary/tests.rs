//! The recorded answer, and hostile ones.

mod again;

mod size;

mod storage;

use cairn_proto::catalogue::{Group, table};
use cairn_proto::model::EntityKind;
use proptest::prelude::*;

use super::*;

const RECORDED: &[u8] = include_bytes!("../../../testdata/stats_summary");

fn pods(json: &str) -> Summary {
    parse(format!("{{\"node\":{{}},\"pods\":{json}}}").as_bytes()).unwrap()
}

#[test]
fn the_recorded_answer_is_read_whole() {
    let summary = parse(RECORDED).unwrap();
    assert_eq!(
        (summary.odd_count, summary.node_name.as_str()),
        (0, "node1")
    );
    let node = &summary.node.figures;
    assert_eq!(node.time_ms(Group::Cpu), Some(1_795_332_407_000));
    assert_eq!(node.value(table::CPU), Some(84_940_021_013));
    assert_eq!(node.value(table::MEMORY_USAGE), Some(787_873_792));
    // The node has interfaces and no default one.
    assert!(!node.has(Group::Network));
    assert_eq!(
        summary
            .system
            .iter()
            .map(|s| s.name.as_str())
            .collect::<Vec<_>>(),
        ["pods"]
    );
    assert_eq!(summary.pods.len(), 5);
    let burner = summary
        .pods
        .iter()
        .find(|pod| pod.name.starts_with("burner"))
        .unwrap();
    assert_eq!((burner.namespace.as_str(), burner.uid.len()), ("shop", 36));
    assert_eq!(burner.stats.start_ms, Some(1_795_332_220_000));
    let value = |field| burner.stats.figures.value(field);
    assert_eq!(value(table::NETWORK_RX), Some(4_566));
    assert_eq!(burner.containers.len(), 2);
    let figures = &burner.containers[0].figures;
    assert_eq!(figures.time_ms(Group::Memory), Some(1_795_332_404_000));
    for (field, bytes) in [
        (table::MEMORY_USAGE, 614_400),
        (table::MEMORY_WORKING_SET, 614_400),
        (table::MEMORY_RSS, 114_688),
    ] {
        assert_eq!(figures.value(field), Some(bytes));
    }
    let parts = |stats: &Stats| -> Vec<(EntityKind, String)> {
        let named = |part: &Part| (part.kind, part.name.clone());
        stats.parts.iter().map(named).collect()
    };
    let named = |kind, name: &str| (kind, name.to_owned());
    assert_eq!(
        parts(&summary.node),
        [
            named(EntityKind::Interface, "l1"),
            named(EntityKind::Interface, "cni0"),
            named(EntityKind::Filesystem, "/"),
            named(EntityKind::Filesystem, "imagefs"),
            named(EntityKind::Filesystem, "containerfs"),
        ]
    );
    assert_eq!(
        parts(&burner.stats)[0],
        named(EntityKind::Interface, "eth0")
    );
    assert_eq!(
        parts(&burner.containers[0]),
        [
            named(EntityKind::Filesystem, "/"),
            named(EntityKind::Filesystem, "logs"),
        ]
    );
}

#[test]
fn what_is_missing_or_null_is_absent_and_not_counted() {
    let ids = r#""podRef":{"name":"a","namespace":"b","uid":"c"}"#;
    for rest in [
        "",
        r#","startTime":null,"containers":null,"cpu":null,"memory":null,"network":null"#,
        r#","cpu":{},"memory":{"time":"2026-11-22T07:26:47Z"},"network":{"time":null}"#,
        r#","cpu":{"time":"2026-11-22T07:26:47Z","usageCoreNanoSeconds":null},"containers":[]"#,
        r#","memory":{"usageBytes":1},"unknown":[{"x":1.5}]"#,
    ] {
        let summary = pods(&format!("[{{{ids}{rest}}}]"));
        assert_eq!((summary.pods.len(), summary.odd_count), (1, 0), "{rest}");
        let pod = &summary.pods[0];
        assert!(
            pod.stats == Stats::default() && pod.containers.is_empty(),
            "{rest}"
        );
    }
}

#[test]
fn odd_values_are_absent_and_counted() {
    for odd in [
        "-1",
        "1.5",
        "1e30",
        "1e999",
        "\"7\"",
        r#""\ud800""#,
        "true",
        "[1]",
        "{\"a\":1}",
        "18446744073709551616",
    ] {
        let json = format!(
            r#"[{{"podRef":{{"name":"a","namespace":"b","uid":"c"}},
            "memory":{{"time":"2026-11-22T07:26:47Z","usageBytes":{odd},"rssBytes":7}}}}]"#
        );
        let summary = pods(&json);
        let figures = &summary.pods[0].stats.figures;
        let (usage, rss) = (table::MEMORY_USAGE, table::MEMORY_RSS);
        let values = (figures.value(usage), figures.value(rss), summary.odd_count);
        assert_eq!(values, (None, Some(7), 1), "{odd}");
    }
}

#[test]
fn a_bad_pod_loses_itself_alone() {
    let good = r#"{"podRef":{"name":"a","namespace":"b","uid":"c"},
        "containers":[{"name":"x"},{"name":""},{"startTime":5},7]}"#;
    for bad in [
        "7",
        "null",
        "{}",
        r#"{"podRef":{"name":"a","namespace":"b"}}"#,
        r#"{"podRef":{"name":"","namespace":"b","uid":"c"}}"#,
        r#"{"podRef":{"name":1,"namespace":"b","uid":"c"}}"#,
        "[]",
    ] {
        let summary = pods(&format!("[{bad},{good}]"));
        assert_eq!((summary.pods.len(), summary.odd_count), (1, 4), "{bad}");
        assert_eq!(summary.pods[0].containers.len(), 1);
    }
}

#[test]
fn an_odd_value_of_the_node_or_a_pod_loses_itself_alone() {
    let memory = r#""memory":{"time":"2026-11-22T07:26:47Z","usageBytes":5}"#;
    for odd in ["7", "\"x\"", "[1,[2]]", "false", "{\"time\":{\"a\":[]}}"] {
        for field in ["cpu", "network"] {
            let common = format!("{memory},\"{field}\":{odd}");
            let ids = r#""podRef":{"name":"a","namespace":"b","uid":"c"}"#;
            let body = format!(r#"{{"node":{{{common}}},"pods":[{{{ids},{common}}}]}}"#);
            let summary = parse(body.as_bytes()).unwrap();
            // An object without a counter says nothing, so nothing in it is looked at.
            let odd_count = if odd.starts_with('{') { 0 } else { 2 };
            assert_eq!(summary.odd_count, odd_count, "{body}");
            for stats in [&summary.node, &summary.pods[0].stats] {
                let figures = &stats.figures;
                assert_eq!(figures.value(table::MEMORY_USAGE), Some(5), "{body}");
                assert!(!figures.has(Group::Cpu) && !figures.has(Group::Network));
            }
        }
    }
    for node in [
        r#""nodeName":7"#,
        r#""startTime":[]"#,
        r#""systemContainers":"x""#,
        r#""systemContainers":[7]"#,
        r#""cpu":{"time":"2026-11-22T07:26:47Z","usageCoreNanoSeconds":1e999}"#,
        r#""nodeName":"\ud800""#,
    ] {
        let body = format!("{{\"node\":{{{node},{memory}}}}}");
        let summary = parse(body.as_bytes()).unwrap();
        assert_eq!(summary.odd_count, 1, "{node}");
        assert!(summary.node.figures.has(Group::Memory), "{node}");
    }
}

#[test]
fn what_is_no_summary_is_refused() {
    for body in [
        "",
        "7",
        "<html>",
        "{\"node\":",
        "{\"node\":7}",
        "{\"pods\":7}",
    ] {
        assert!(
            matches!(parse(body.as_bytes()), Err(Error::Json { .. })),
            "{body}"
        );
    }
    for body in ["{}", "{\"node\":null}", "{\"pods\":[]}"] {
        assert!(
            matches!(parse(body.as_bytes()), Err(Error::NoNode)),
            "{body}"
        );
    }
    let deep = format!("{{\"node\":{{\"x\":{}", "[".repeat(100_000));
    assert!(parse(deep.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(parse(&body));
    }

    #[test]
    fn no_changed_byte_panics(at in 0..RECORDED.len(), byte: u8) {
        let mut body = RECORDED.to_vec();
        body[at] = byte;
        drop(parse(&body));
    }
}
