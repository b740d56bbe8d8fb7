//! A cAdvisor of its own on a node that has a kubelet.

use std::collections::BTreeSet;
use std::io::Read as _;

use serde_json::Value;
use testkit::system::{Options, Recording, System};

use super::{authorized, entities, fixture, near, says, start, url};

/// The text that a kubelet was recorded to answer, as a cAdvisor of its own would have written it: with
/// the runtime's labels, and none on the pods' own cgroups.
fn recorded() -> String {
    let file = std::fs::File::open(fixture("kubelet-1.36/cadvisor/cgroup-v2.gz")).unwrap();
    let mut text = String::new();
    let mut plain = flate2::read::GzDecoder::new(file);
    plain.read_to_string(&mut text).unwrap();
    let mut out = String::new();
    for line in text.lines() {
        let named = line
            .replace(
                "{container=\"",
                "{container_label_io_kubernetes_container_name=\"",
            )
            .replace(",pod=\"", ",container_label_io_kubernetes_pod_name=\"");
        let (front, back) = named.split_once(",namespace=\"").unwrap_or((&named, ""));
        out += front;
        if front.ends_with("name=\"\"") {
            let value = back.split_once('}').map_or("", |(_, value)| value);
            out += &format!("}}{value}");
        } else if !back.is_empty() {
            out += &format!(",container_label_io_kubernetes_pod_namespace=\"{back}");
        }
        out.push('\n');
    }
    out
}

/// What the text says of a family of a container of a pod.
fn said(text: &str, family: &str, labels: [&str; 2]) -> f64 {
    let begin = format!("container_{family}{{");
    let mut lines = text.lines().filter(|line| line.starts_with(&begin));
    let line = lines
        .find(|line| labels.iter().all(|label| line.contains(label)))
        .unwrap();
    line.rsplit(' ').nth(1).unwrap().parse().unwrap()
}

/// Checks that no pod or container is there twice, and nothing that the kubelet does not name.
#[track_caller]
fn each_is_there_once(system: &System) {
    let all = entities(system, "node3", "memory_working_set_bytes");
    let names: Vec<String> = all
        .iter()
        .map(|one| {
            format!(
                "{} {} {} {}",
                one["kind"], one["namespace"], one["pod_uid"], one["name"]
            )
        })
        .collect();
    let once: BTreeSet<&String> = names.iter().collect();
    assert_eq!(once.len(), names.len(), "{names:?}");
    let is_of_system = |one: &&Value| one["kind"] == "system";
    let system_names: BTreeSet<&str> = all
        .iter()
        .filter(is_of_system)
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert!(
        system_names
            .iter()
            .all(|name| ["pods", "kubelet", "runtime", "misc"].contains(name)),
        "{names:?}"
    );
}

/// Scenario: a node with a kubelet and a cAdvisor of its own, which tells of the same pods at the tick at
/// which all that it tells was measured.
/// Guarantees: what it tells is of the kubelet's pods and containers, which are there once, and nothing
/// else came of it; the kubelet's own endpoint is left alone.
#[test]
fn beside_a_kubelet_it_is_joined_and_nothing_is_there_twice() {
    const ASKED: usize = 24;
    const POD: &str = "burner-6cb655c9bf-skbkr";
    let options = Options::replaying(Recording::named("cgroup-v2").unwrap());
    let ticks: Vec<u64> = options.recording.ticks().collect();
    let system = start(options, &[], |system, args| {
        args.extend(["--cadvisor".to_owned(), url(system, "http")]);
    });
    let text = recorded();
    for (k, tick_ms) in (0..=ASKED).zip(&ticks) {
        if k == ASKED {
            says(&system, &text);
        }
        system.tick(*tick_ms).unwrap();
    }
    system.shows("cadvisor", "").unwrap();
    let pod = format!("pod_name=\"{POD}\"");
    for (kind, metric, family, container, factor) in [
        (
            "container",
            "cpu_cfs_throttled_nanos",
            "cpu_cfs_throttled_seconds_total",
            "cpu",
            1e9,
        ),
        ("container", "thread_count", "threads", "disk", 1.0),
        (
            "blockdevice",
            "io_write_bytes",
            "fs_writes_bytes_total",
            "disk",
            1.0,
        ),
    ] {
        let told = said(
            &text,
            family,
            [&pod, &format!("container_name=\"{container}\"")],
        ) * factor;
        let owner = if kind == "container" {
            "name"
        } else {
            "container"
        };
        let all = entities(&system, "node3", metric);
        let mut found = all
            .iter()
            .filter(|one| one["kind"] == kind && one["pod"] == POD && one[owner] == container);
        let one = found.next().unwrap();
        assert!(found.next().is_none(), "{metric}: {all:?}");
        let shown = one["metrics"][metric]["values"]
            .as_array()
            .unwrap()
            .last()
            .unwrap();
        near(metric, shown.as_f64().unwrap(), told);
    }
    // The pod's own cgroup, which has no labels, is found by its containers'.
    let own = entities(&system, "node3", "thread_count");
    assert!(
        own.iter()
            .any(|one| one["kind"] == "pod" && one["name"] == POD)
    );

    each_is_there_once(&system);
    near("tokens", authorized(&system), 0.0);
}
