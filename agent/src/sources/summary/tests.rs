//! The recorded answer, and hostile ones.

mod size;

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
    let cpu = Cpu {
        time_ms: 1_795_332_407_000,
        usage_core_nanos: 84_940_021_013,
    };
    assert_eq!(summary.node.cpu, Some(cpu));
    assert_eq!(summary.node.memory.unwrap().usage_bytes, Some(787_873_792));
    // The node has interfaces and no default one.
    assert_eq!(summary.node.network, None);
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
    assert_eq!(burner.stats.network.unwrap().rx_bytes, Some(4_566));
    assert_eq!(burner.containers.len(), 2);
    let memory = Memory {
        time_ms: 1_795_332_404_000,
        usage_bytes: Some(614_400),
        working_set_bytes: Some(614_400),
        rss_bytes: Some(114_688),
    };
    assert_eq!(burner.containers[0].memory, Some(memory));
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
        "\"7\"",
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
        let memory = summary.pods[0].stats.memory.unwrap();
        let values = (memory.usage_bytes, memory.rss_bytes, summary.odd_count);
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
        r#"{"podRef":{"name":"a","namespace":"b","uid":"c"},"cpu":{"time":1e999}}"#,
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
                assert_eq!(stats.memory.unwrap().usage_bytes, Some(5), "{body}");
                assert!(stats.cpu.is_none() && stats.network.is_none());
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
        assert!(summary.node.memory.is_some(), "{node}");
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
