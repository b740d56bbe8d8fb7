//! The benchmarks of large clusters, with few nodes: every line is there, and none has a verdict, as
//! its goal is worded for another size.

use std::time::Duration;

use testkit::bench::{self, Options, Part};

/// Enough that the namespace that is asked for has pods on several nodes.
const AGENTS: usize = 20;

/// The names of the lines of these parts, in their order.
#[expect(clippy::unwrap_used, reason = "a text that cannot be read has failed")]
fn lines(parts: &[Part]) -> Vec<String> {
    let mut out = Vec::new();
    let options = Options {
        parts: parts.to_vec(),
        duration: Duration::from_secs(1),
        questions: None,
        agents: AGENTS,
    };
    let ran = bench::run(&options, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(ran.is_ok(), "{ran:?}\n{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let names = lines.map(|line| {
        let figure = line.split("  # ").next().unwrap_or_default();
        let words: Vec<&str> = figure.split_whitespace().collect();
        assert_eq!(words.len(), 6, "{line}");
        assert_eq!(words[4..], ["-", "-"], "{line}");
        assert!(words[2].parse::<f64>().unwrap() >= 0.0, "{line}");
        words[..2].join(" ")
    });
    names.collect()
}

#[test]
fn a_large_cluster_is_measured() {
    let of_a_fill = [
        "4 window_bytes_per_sample",
        "4 window_counted_bytes_per_sample",
        "6 ingest_samples_per_core",
        "6 ingest_samples_per_cpu_second",
        "7 aggregator_cores",
    ];
    let while_ticks_pass = [
        "8 namespace_query_p50",
        "8 namespace_query_p99",
        "8 namespace_query_max",
        "8 namespace_query_json_p50",
        "8 namespace_query_json_p99",
        "8 namespace_query_json_max",
        "10 freshness_w10_p50",
        "10 freshness_w10_p99",
        "10 freshness_w10_max",
        "10 freshness_w10_at_once_p50",
        "10 freshness_w10_at_once_p99",
        "10 freshness_w10_at_once_max",
        "7 aggregator_rss",
    ];
    let of_all = [
        "7 aggregator_rss",
        "12 growth_cpu_per_row",
        "12 growth_bytes_per_node",
    ];
    let wanted = [
        &of_a_fill[..],
        &while_ticks_pass[..],
        &of_a_fill[..],
        &of_all[..],
    ];
    assert_eq!(lines(&[Part::W10]), wanted.concat());
}

#[test]
fn a_killed_aggregator_is_measured() {
    let alone = [
        "11 restart_latest",
        "11 restart_window",
        "11 restart_samples_lost",
        "11 restart_samples_twice",
        "11 restart_peak_memory",
    ];
    let within_a_cluster = [&alone[..], &["11 restart_pods"]].concat();
    let wanted = [&alone[..], &within_a_cluster].concat();
    assert_eq!(lines(&[Part::Restart]), wanted);
}

#[test]
fn lists_of_all_pods_are_measured() {
    let wanted = [
        "9 list_json_last_byte",
        "9 list_json_first_byte",
        "9 list_protobuf_last_byte",
        "9 list_protobuf_first_byte",
        "9 list_gzip_last_byte",
        "9 list_extra_memory",
        "9 list_namespace_last_byte",
    ];
    assert_eq!(lines(&[Part::Lists]), wanted);
}
