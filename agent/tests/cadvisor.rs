//! The recorded answers of cAdvisor, read by another parser of the same text too.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use cairn_agent::sources::cadvisor::{self, Cadvisor, Cgroup, Ids};
use cairn_proto::catalogue::{Group, table};
use prometheus_parse::{Scrape, Value};
use proptest::prelude::*;

/// The families that are read: the field of each, and what its unit is to the text's.
const FAMILIES: [(&str, &str, f64); 16] = [
    ("cpu_cfs_periods_total", "cpu_cfs_periods", 1.0),
    (
        "cpu_cfs_throttled_periods_total",
        "cpu_cfs_throttled_periods",
        1.0,
    ),
    (
        "cpu_cfs_throttled_seconds_total",
        "cpu_cfs_throttled_nanos",
        1e9,
    ),
    ("memory_cache", "memory_cache_bytes", 1.0),
    ("memory_mapped_file", "memory_mapped_file_bytes", 1.0),
    ("oom_events_total", "oom_events", 1.0),
    ("file_descriptors", "file_descriptors", 1.0),
    ("threads", "thread_count", 1.0),
    ("fs_reads_bytes_total", "io_read_bytes", 1.0),
    ("fs_writes_bytes_total", "io_write_bytes", 1.0),
    ("fs_reads_total", "io_reads", 1.0),
    ("fs_writes_total", "io_writes", 1.0),
    ("network_receive_packets_total", "network_rx_packets", 1.0),
    (
        "network_receive_packets_dropped_total",
        "network_rx_dropped",
        1.0,
    ),
    ("network_transmit_packets_total", "network_tx_packets", 1.0),
    (
        "network_transmit_packets_dropped_total",
        "network_tx_dropped",
        1.0,
    ),
];

/// Owner, part and field; value and measurement time.
type Values = BTreeMap<(String, String, String), (u64, u64)>;

fn recorded(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures/kubelet-1.36/cadvisor")
        .join(format!("{name}.gz"));
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    let mut plain = flate2::read::GzDecoder::new(file);
    plain.read_to_string(&mut text).unwrap();
    text
}

/// What another parser finds, by rules that are written down here anew.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "recorded values are small and not negative"
)]
fn expected(text: &str) -> Values {
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let mut values = Values::new();
    for sample in &scrape.samples {
        let family = FAMILIES
            .iter()
            .find(|family| sample.metric.strip_prefix("container_") == Some(family.0));
        let Some((_, field, factor)) = family else {
            continue;
        };
        let label = |name| sample.labels.get(name).unwrap_or("");
        let [id, namespace, pod, container, name] =
            ["id", "namespace", "pod", "container", "name"].map(label);
        let is_network = !label("interface").is_empty();
        let part = if is_network {
            label("interface")
        } else {
            label("device")
        };
        let owner = match (id, pod, container, name) {
            ("/", ..) if label("device").is_empty() => "node".to_owned(),
            ("/", ..) | (_, "", ..) => continue,
            (_, _, "", "") => format!("{namespace}/{pod}"),
            (_, _, "", _) if is_network => format!("{namespace}/{pod}"),
            (_, _, "", _) => continue,
            _ => format!("{namespace}/{pod}/{container}"),
        };
        let (Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)) = sample.value
        else {
            panic!("{sample:?}");
        };
        let part = part.trim_start_matches("/dev/").to_owned();
        let time_ms = u64::try_from(sample.timestamp.timestamp_millis()).unwrap();
        let told = ((value * factor).round() as u64, time_ms);
        let before = values.insert((owner, part, (*field).to_owned()), told);
        assert_eq!(before, None, "{sample:?}");
    }
    values
}

fn found(all: &Cadvisor) -> Values {
    let mut values = Values::new();
    let mut put = |owner: &str, cgroup: &Cgroup| {
        let own = ("", &cgroup.figures);
        let parts = cgroup
            .parts
            .iter()
            .map(|part| (part.name.as_str(), &part.figures));
        for (part, figures) in parts.chain([own]) {
            for (id, value) in figures.values() {
                let field = table::field(*id).unwrap().name.to_owned();
                let told = (*value, figures.time_ms(Group::Detail).unwrap());
                let key = (owner.to_owned(), part.to_owned(), field);
                assert_eq!(values.insert(key, told), None);
            }
        }
    };
    put("node", all.node.as_ref().unwrap());
    for (namespace, pods) in &all.pods {
        for (name, pod) in pods
            .iter()
            .flat_map(|(name, of)| of.iter().map(move |p| (name, p)))
        {
            assert!(pod.uid.is_some(), "{namespace}/{name}");
            pod.own
                .iter()
                .for_each(|own| put(&format!("{namespace}/{name}"), own));
            for (container, cgroup) in &pod.containers {
                put(&format!("{namespace}/{name}/{container}"), cgroup);
            }
        }
    }
    values
}

#[test]
fn another_parser_finds_the_same_in_what_was_recorded() {
    for (name, count) in [("cgroup-v2", 195), ("trace", 100), ("pods-51", 744)] {
        let text = recorded(name);
        let all = cadvisor::parse(text.as_bytes(), Ids::Wanted).unwrap();
        assert_eq!((all.odd_count, all.dropped_count), (0, 0), "{name}");
        let (found, expected) = (found(&all), expected(&text));
        assert_eq!(found, expected, "{name}");
        assert_eq!(found.len(), count, "{name}");
    }
}

proptest! {
    /// Whatever stands in one line in the place of another: no other line is lost.
    #[test]
    fn a_broken_line_costs_one_line(at: prop::sample::Index, noise in "[ -~]{0,40}") {
        let text = recorded("trace");
        let known: Vec<usize> = text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.starts_with("container_threads{"))
            .map(|(n, _)| n)
            .collect();
        let broken = known[at.index(known.len())];
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // No brace is closed and no value follows.
        lines[broken] = format!("container_threads{{id=\"{}", noise.replace(['"', '\\'], ""));
        let all = cadvisor::parse((lines.join("\n") + "\n").as_bytes(), Ids::Wanted).unwrap();
        prop_assert_eq!(all.odd_count, 1);
        lines.remove(broken);
        let rest = cadvisor::parse((lines.join("\n") + "\n").as_bytes(), Ids::Wanted).unwrap();
        prop_assert_eq!(found(&all), found(&rest));
    }
}
