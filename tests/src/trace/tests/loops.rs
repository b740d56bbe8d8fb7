//! The recording shown again and again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{BASE_MS, replay, resource_cpu, summary_cpu};
use crate::trace::{Options, Recorded, Replay, Trace};

/// The one pod of node1 that is there from the first frame to the last.
const LASTING: &str = "web-7ffcbbddf7-djszf";

#[test]
fn counters_of_one_identity_never_go_down_over_three_loops() {
    for (node, pods) in [("node1", None), ("node2", None), ("node1", Some(11))] {
        let replay = replay(node, |options| options.pods = pods);
        let mut before = BTreeMap::new();
        let mut before_resource: BTreeMap<String, (u64, i64)> = BTreeMap::new();
        for step in 0..95_u64 {
            let shown = replay.at(BASE_MS + step * 10_000 + 900);
            for (key, (usage, time)) in summary_cpu(&shown.summary) {
                if let Some((old, old_time)) = before.insert(key.clone(), (usage, time.clone())) {
                    assert!(old <= usage, "{node} {key:?} at {step}: {old} -> {usage}");
                    assert!(
                        old_time <= time,
                        "{node} {key:?} at {step}: {old_time} -> {time}"
                    );
                }
            }
            let uids: BTreeSet<String> = before.keys().map(|(owner, _)| owner.clone()).collect();
            assert!(uids.len() < 200, "identities do not pile up");
            for (key, (usage, time)) in resource_cpu(&shown.resource) {
                // `crasher` keeps its name and restarts: its counters may go back.
                if key.contains("crasher") {
                    continue;
                }
                let now = (usage, time);
                if let Some(old) = before_resource.insert(key.clone(), now) {
                    assert!(
                        old.0 <= usage && old.1 <= time,
                        "{key} at {step}: {old:?} {now:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_lives_on_grows_and_what_comes_and_goes_is_new_in_every_loop() {
    let replay = replay("node1", |_| {});
    let owners = |loop_index: u64, frame: u64| -> BTreeSet<String> {
        let moment = BASE_MS + loop_index * 300_000 + frame * 10_000 + 900;
        let cpu = summary_cpu(&replay.at(moment).summary);
        cpu.into_keys().map(|(owner, _)| owner).collect()
    };
    let lasting = "shop/web-7ffcbbddf7-djszf/ec352dc9-ea47-461d-927b-088ae18b300b";
    for loop_index in 0..3 {
        assert!(owners(loop_index, 0).contains(lasting));
        assert_eq!(owners(loop_index, 9).len(), owners(0, 9).len());
    }
    let shared: Vec<String> = owners(0, 9).intersection(&owners(1, 9)).cloned().collect();
    assert_eq!(shared, ["node", lasting]);
    let burner = |loop_index| {
        let all = owners(loop_index, 20);
        all.into_iter()
            .find(|owner| owner.contains("burner"))
            .unwrap()
    };
    assert!(burner(0).starts_with("shop/burner-6cb655c9bf-vd7bl/8b5d3c86-"));
    assert!(burner(1).starts_with("shop/burner-6cb655c9bf-"));
    assert_ne!(burner(1), burner(2));
    assert!(
        owners(1, 0)
            .iter()
            .any(|owner| owner.starts_with("default/crasher/"))
    );

    let node = |loop_index: u64| {
        let moment = BASE_MS + loop_index * 300_000 + 100_900;
        summary_cpu(&replay.at(moment).summary)[&("node".into(), String::new())].0
    };
    assert!(node(1) > node(0) && node(2) - node(1) == node(1) - node(0));
}

#[test]
fn readings_of_what_lives_on_never_go_back_and_its_starts_stay() {
    let replay = replay("node1", |_| {});
    let mut times: BTreeMap<String, String> = BTreeMap::new();
    let mut lines: BTreeMap<String, i64> = BTreeMap::new();
    let (mut starts, mut line_starts) = (BTreeSet::new(), BTreeSet::new());
    for step in 0..95_u64 {
        let shown = replay.at(BASE_MS + step * 10_000 + 900);
        let summary: Value = serde_json::from_slice(&shown.summary).unwrap();
        let pods = summary["pods"].as_array().unwrap();
        let pod = pods
            .iter()
            .find(|pod| pod["podRef"]["name"] == LASTING)
            .unwrap();
        for (root, value) in [("node", &summary["node"]), ("pod", pod)] {
            visit(root, value, &mut |path, key, text| {
                if key == "startTime" {
                    starts.insert(format!("{path} {text}"));
                } else if let Some(old) = times.insert(path.to_owned(), text.to_owned()) {
                    assert!(old.as_str() <= text, "{path} at {step}: {old} -> {text}");
                }
            });
        }
        for line in std::str::from_utf8(&shown.resource).unwrap().lines() {
            let (head, last) = line.rsplit_once(' ').unwrap();
            let series = head.rsplit_once(' ').map_or("", |(series, _)| series);
            if line.starts_with("container_start_time") && line.contains(LASTING) {
                line_starts.insert(last.to_owned());
            } else if series.starts_with("node_") || series.contains(LASTING) {
                let time: i64 = last.parse().unwrap();
                if let Some(old) = lines.insert(series.to_owned(), time) {
                    assert!(old <= time, "{series} at {step}: {old} -> {time}");
                }
            }
        }
    }
    assert!(times.len() > 15 && lines.len() > 8, "{times:?} {lines:?}");
    assert_eq!(starts.len(), 4, "node, pods, pod and container: {starts:?}");
    assert_eq!(line_starts.len(), 1, "{line_starts:?}");
}

/// Calls `seen` with the path, key and text of every time in a body.
fn visit(path: &str, value: &Value, seen: &mut dyn FnMut(&str, &str, &str)) {
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                match child.as_str() {
                    Some(text) if key == "time" || key == "startTime" => seen(path, key, text),
                    _ => visit(&format!("{path}/{key}"), child, seen),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                visit(&format!("{path}:{}", item["name"]), item, seen);
            }
        }
        _ => {}
    }
}

#[test]
fn a_reading_older_than_the_end_of_the_loop_before_is_held() {
    // Two frames, a loop of 20 s. The first frame's measurement is 15 s old, the last one's is
    // fresh: 20 s later the first one's would lie 5 s before the last.
    let frame = |offset_s: u64, time: &str, time_ms: u64, nanos: u64| {
        Recorded {
        captured_at_ms: 1_795_332_300_000 + offset_s * 1000,
        summary: format!(
            r#"{{"node":{{"cpu":{{"time":"2026-11-22T07:{time}Z","usageCoreNanoSeconds":{nanos}}}}},"pods":[]}}"#
        )
        .into_bytes(),
        resource: format!("node_cpu_usage_seconds_total 0.{nanos} {time_ms}\n").into_bytes(),
    }
    };
    let frames = vec![
        frame(0, "24:45", 1_795_332_285_000, 100_000_000),
        frame(10, "25:10", 1_795_332_310_000, 350_000_000),
    ];
    let trace = Trace {
        nodes: BTreeMap::from([("n".to_owned(), frames)]),
    };
    let replay = Replay::new(&trace, "n", Options::starting(trace.base_ms())).unwrap();
    assert_eq!(replay.loop_ms(), 20_000);
    let mut shown = Vec::new();
    for step in 0..4 {
        let body = replay.at(trace.base_ms() + step * 10_000);
        let (usage, time) = summary_cpu(&body.summary).into_values().next().unwrap();
        let resource = resource_cpu(&body.resource)["node "];
        assert_eq!(resource.0, usage);
        shown.push((usage, time, resource.1));
    }
    let point =
        |usage: u64, time: &str, time_ms: i64| (usage, format!("2026-11-22T07:{time}Z"), time_ms);
    // 250 ms of CPU in 25 s are 200 ms in a loop, but the second loop's 100 + 200 is never shown:
    // what follows the held 350 is 350 + 200.
    assert_eq!(
        shown,
        [
            point(100_000_000, "24:45", 1_795_332_285_000),
            point(350_000_000, "25:10", 1_795_332_310_000),
            point(350_000_000, "25:10", 1_795_332_310_000),
            point(550_000_000, "25:30", 1_795_332_330_000),
        ]
    );
}
