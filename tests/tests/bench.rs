//! The benchmarks of large clusters, with few nodes: every line is there, and none has a verdict, as
//! its goal is worded for another size.

use std::time::Duration;

use testkit::bench::{self, Options, Part};
use testkit::mix::Kind;

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
        mixes: Kind::ALL.to_vec(),
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
    let questions = [
        "8 namespace_query_p50",
        "8 namespace_query_p99",
        "8 namespace_query_max",
        "8 namespace_query_json_p50",
        "8 namespace_query_json_p99",
        "8 namespace_query_json_max",
    ];
    let a_marked_value = [
        "10 freshness_w10_p50",
        "10 freshness_w10_p99",
        "10 freshness_w10_max",
        "10 freshness_w10_at_once_p50",
        "10 freshness_w10_at_once_p99",
        "10 freshness_w10_at_once_max",
    ];
    let peak = ["7 aggregator_rss"];
    let growth = ["12 growth_cpu_per_row", "12 growth_bytes_per_node"];
    let of_the_default = [&of_a_fill[..], &questions, &a_marked_value, &peak, &growth];
    let of_the_recorded = [&of_a_fill[..], &peak];
    let of_the_busy = [&of_a_fill[..], &questions, &peak, &growth];
    let wanted = [&of_the_default[..], &of_the_recorded, &of_the_busy].concat();
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
    let of_the_busy = &within_a_cluster;
    let wanted = [&alone[..], &within_a_cluster, of_the_busy].concat();
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

#[test]
fn the_clusters_of_metrics_servers_benchmark_are_measured() {
    let of_one = ["9 scenario_write", "9 scenario_pods", "9 scenario_nodes"];
    assert_eq!(lines(&[Part::Scenarios]), [of_one; 11].concat());
}

#[test]
fn pods_that_come_and_go_are_measured_on_both_generated_mixes() {
    let wanted = ["13 churn_rss", "13 churn_rss_second_hour"];
    assert_eq!(lines(&[Part::Churn]), [wanted, wanted].concat());
}
