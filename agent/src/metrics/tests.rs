//! Names and numbers of the own metrics.

use prometheus_client::encoding::text::encode;

use super::*;

#[test]
fn names_have_the_prefix_and_are_few() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    // One of each label, so that every family shows.
    metrics
        .scrapes
        .busy
        .get_or_create(&BySource { source: "summary" })
        .inc();
    let summary = BySource { source: "summary" };
    metrics
        .scrapes
        .duration
        .get_or_create(&summary)
        .observe(0.1);
    metrics
        .ring
        .evicted
        .get_or_create(&ByKind { kind: "age" })
        .inc();
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let families: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert!(
        families.iter().all(|name| name.starts_with("cairn_agent_")),
        "{families:?}"
    );
    assert!(
        families.contains(&"cairn_agent_scrape_duration_seconds"),
        "{families:?}"
    );
    assert!(families.contains(&"cairn_agent_ring_bytes"), "{families:?}");
    assert!(families.len() < 50, "{}", families.len());
    assert!(
        text.contains("cairn_agent_scrape_busy_total{source=\"summary\"} 1"),
        "{text}"
    );
}
