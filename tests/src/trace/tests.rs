mod loops;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Options, Position, Recorded, Replay, Trace};

const BASE_MS: u64 = 1_795_332_326_328;

fn replay(node: &str, change: impl FnOnce(&mut Options)) -> Replay {
    let trace = Trace::carried().unwrap();
    let mut options = Options::starting(BASE_MS);
    change(&mut options);
    Replay::new(&trace, node, options).unwrap()
}

fn recorded(node: &str) -> Vec<Recorded> {
    Trace::carried().unwrap().frames(node).unwrap().to_vec()
}

/// (namespace/pod/uid, container) -> (CPU ns, time s), read without the code under test.
type Cpu = BTreeMap<(String, String), (u64, String)>;

fn summary_cpu(body: &[u8]) -> Cpu {
    let summary: Value = serde_json::from_slice(body).unwrap();
    let mut found = Cpu::new();
    let mut add = |owner: &str, name: &str, cpu: &Value| {
        if let Some(usage) = cpu["usageCoreNanoSeconds"].as_u64() {
            let time = cpu["time"].as_str().unwrap().to_owned();
            found.insert((owner.to_owned(), name.to_owned()), (usage, time));
        }
    };
    add("node", "", &summary["node"]["cpu"]);
    for pod in summary["pods"].as_array().unwrap() {
        let r = &pod["podRef"];
        let owner = format!("{}/{}/{}", r["namespace"], r["name"], r["uid"]).replace('"', "");
        add(&owner, "", &pod["cpu"]);
        for container in pod["containers"].as_array().unwrap() {
            let life = format!("{}@{}", container["name"], container["startTime"]);
            add(&owner, &life.replace('"', ""), &container["cpu"]);
        }
    }
    found
}

/// "namespace/pod container" -> (CPU ns, time ms), read with plain string splits; the container is
/// empty for a pod, and both are for the node.
fn resource_cpu(body: &[u8]) -> BTreeMap<String, (u64, i64)> {
    let mut found = BTreeMap::new();
    for line in std::str::from_utf8(body).unwrap().lines() {
        let quoted: Vec<&str> = line.split('"').collect();
        let key = match line.split(['{', ' ']).next().unwrap() {
            "container_cpu_usage_seconds_total" => {
                format!("{}/{} {}", quoted[3], quoted[5], quoted[1])
            }
            "pod_cpu_usage_seconds_total" => format!("{}/{} ", quoted[1], quoted[3]),
            "node_cpu_usage_seconds_total" => "node ".to_owned(),
            _ => continue,
        };
        let words: Vec<&str> = line.rsplit(' ').collect();
        let seconds: f64 = words[1].parse().unwrap();
        let nanos: u64 = format!("{:.0}", seconds * 1e9).parse().unwrap();
        found.insert(key, (nanos, words[0].parse().unwrap()));
    }
    found
}

/// The keys of [`resource_cpu`] for a summary, with the CPU figures.
fn summary_cpu_by_name(body: &[u8]) -> BTreeMap<String, u64> {
    summary_cpu(body)
        .into_iter()
        .map(|((owner, life), (usage, _))| {
            let pod = owner.rsplit_once('/').map_or("node", |(pod, _)| pod);
            let container = life.split('@').next().unwrap();
            (format!("{pod} {container}"), usage)
        })
        .collect()
}

#[test]
fn without_a_shift_the_bodies_are_the_recorded_bytes() {
    for node in ["node1", "node2"] {
        let replay = replay(node, |_| {});
        for frame in recorded(node) {
            let shown = replay.at(frame.captured_at_ms);
            assert!(
                shown.summary == frame.summary,
                "{node} {}",
                frame.captured_at_ms
            );
            assert!(
                shown.resource == frame.resource,
                "{node} {}",
                frame.captured_at_ms
            );
        }
    }
}

#[test]
fn a_frame_is_shown_from_its_capture_to_the_next() {
    let replay = replay("node2", |_| {});
    let at = |offset_ms: u64| replay.position(BASE_MS + offset_ms);
    let place = |loop_index, frame| Position { loop_index, frame };
    assert_eq!(replay.loop_ms(), 300_000);
    assert_eq!(replay.frame_count(), 30);
    assert_eq!(replay.position(0), place(0, 0));
    assert_eq!(at(0), place(0, 0), "before node2's first capture");
    assert_eq!(at(10_088), place(0, 0));
    assert_eq!(at(10_089), place(0, 1));
    assert_eq!(at(299_999), place(0, 29));
    assert_eq!(
        at(300_205),
        place(0, 29),
        "the new loop's first frame comes 206 ms later"
    );
    assert_eq!(at(300_206), place(1, 0));
    assert_eq!(at(900_206 + 9_883), place(3, 1));
}

#[test]
fn the_two_bodies_agree_in_every_loop_and_at_every_scale() {
    let apart = |replay: &Replay, step: u64| -> usize {
        let shown = replay.at(BASE_MS + step * 10_000 + 900);
        let resource = resource_cpu(&shown.resource);
        summary_cpu_by_name(&shown.summary)
            .into_iter()
            .filter(|(key, usage)| resource[key].0 != *usage)
            .count()
    };
    let plain = replay("node1", |_| {});
    let scaled = replay("node1", |options| options.pods = Some(60));
    let mut recorded = 0;
    for step in 0..90 {
        // In the recording a figure was sometimes renewed between the two requests; no loop and
        // no copy may add to that.
        let allowed = apart(&plain, step % 30);
        recorded += allowed;
        assert_eq!(apart(&plain, step), allowed, "at {step}");
        assert!(apart(&scaled, step) <= allowed * 20, "at {step}");
    }
    assert!(
        recorded < 90 * 2,
        "{recorded} figures differ in the recording itself"
    );
}

#[test]
fn copies_have_the_same_memory_in_both_bodies() {
    let replay = replay("node1", |options| options.pods = Some(30));
    let shown = replay.at(BASE_MS + 90_900);
    let summary: Value = serde_json::from_slice(&shown.summary).unwrap();
    let text = String::from_utf8(shown.resource).unwrap();
    let (mut sizes, mut limits) = (BTreeSet::new(), BTreeSet::new());
    for pod in summary["pods"].as_array().unwrap() {
        let name = pod["podRef"]["name"].as_str().unwrap();
        let bytes = pod["memory"]["workingSetBytes"].as_u64().unwrap();
        let head = format!("pod_memory_working_set_bytes{{namespace=\"shop\",pod=\"{name}\"}} ");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&head))
            .unwrap();
        let value: f64 = line.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(format!("{value:.0}"), bytes.to_string(), "{name}");
        assert_eq!(bytes % 4096, 0);
        sizes.insert(bytes);
        for container in pod["containers"].as_array().unwrap() {
            let memory = &container["memory"];
            let used = memory["workingSetBytes"].as_u64().unwrap();
            if let Some(left) = memory["availableBytes"].as_u64() {
                limits.insert(used + left);
            }
        }
    }
    assert_eq!(
        limits.len(),
        2,
        "copies have the recorded limits: {limits:?}"
    );
    assert!(sizes.len() > 25, "copies differ in size: {sizes:?}");
}

#[test]
fn a_start_moves_every_time_by_whole_seconds() {
    let shift_ms = 86_400_000 + 750;
    let replay = replay("node1", |options| options.start_unix_ms += shift_ms);
    let shown = replay.at(BASE_MS + shift_ms);
    let first = &recorded("node1")[0];
    let plain = String::from_utf8(first.summary.clone()).unwrap();
    assert_eq!(
        String::from_utf8(shown.summary).unwrap(),
        plain.replace("2026-11-22T", "2026-11-23T")
    );
    let moved = resource_cpu(&shown.resource);
    for (key, (usage, time)) in resource_cpu(&first.resource) {
        assert_eq!(moved[&key], (usage, time + 86_400_000));
    }
    let text = String::from_utf8(shown.resource).unwrap();
    assert!(text.contains(r#"container_start_time_seconds{container="boom",namespace="default",pod="crasher"} 1.795418718129236e+09"#), "{text}");
}

#[test]
fn scaling_shows_the_wanted_number_and_is_the_same_each_time() {
    let count = |replay: &Replay, frame: u64| {
        let body = replay.at(BASE_MS + frame * 10_000 + 900).summary;
        let summary: Value = serde_json::from_slice(&body).unwrap();
        let pods = summary["pods"].as_array().unwrap().clone();
        let uids: BTreeSet<String> = pods
            .iter()
            .map(|pod| pod["podRef"]["uid"].to_string())
            .collect();
        let names: BTreeSet<String> = pods
            .iter()
            .map(|pod| pod["podRef"]["name"].to_string())
            .collect();
        assert_eq!((uids.len(), names.len()), (pods.len(), pods.len()));
        pods.len()
    };
    for wanted in [0, 1, 3, 50, 200] {
        let replay = replay("node1", |options| options.pods = Some(wanted));
        assert_eq!(count(&replay, 0), wanted);
    }
    let seeded = |seed| {
        replay("node1", |options| {
            options.pods = Some(30);
            options.seed = seed;
        })
    };
    assert_eq!(
        count(&seeded(1), 9),
        50,
        "five recorded pods where the first frame has three"
    );
    let moment = BASE_MS + 777_000;
    assert_eq!(seeded(1).at(moment), seeded(1).at(moment));
    assert_ne!(seeded(1).at(moment), seeded(2).at(moment));
}

#[test]
fn a_marker_and_a_name_appear_in_the_node_alone() {
    let replay = replay("node1", |options| options.node_name = Some("big".into()));
    let body = replay.summary(BASE_MS, Some(123_456_789));
    let marked: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(marked["node"]["nodeName"], "big");
    assert_eq!(marked["node"]["memory"]["workingSetBytes"], 123_456_789);
    let plain: Value = serde_json::from_slice(&recorded("node1")[0].summary).unwrap();
    assert_eq!(marked["pods"], plain["pods"]);
    let text = String::from_utf8(replay.resource(BASE_MS, Some(123_456_789))).unwrap();
    assert!(text.contains("\nnode_memory_working_set_bytes 1.23456789e+08 "));
}

#[test]
fn an_unknown_node_and_a_damaged_archive_are_refused() {
    let trace = Trace::carried().unwrap();
    let error = Replay::new(&trace, "node9", Options::starting(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the recording has no node "node9", only ["node1", "node2"]"#
    );
    assert!(Trace::unpack(b"no gzip").is_err());
    assert!(Trace::load(std::path::Path::new("/no/such/file")).is_err());
}
