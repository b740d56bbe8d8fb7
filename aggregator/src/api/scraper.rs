//! The API of the Dashboard's metrics scraper.
//!
//! Its client matches items by name, adds series up by exact second, and fails as a whole on one
//! value that is not an integer. All series of one answer therefore lie on the ticks of the sums.

use std::collections::HashSet;

use axum::response::Response;
use cairn_proto::catalogue::HeapsterMetric;
use http::StatusCode;
use serde::Serialize;

use super::path::Segments;
use super::route::Target;
use super::series::{named, of_named, pods_by_name};
use super::{Api, Asked, answer, time};
use crate::query::{Bounds, Named, View};

#[derive(Serialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    #[serde(rename = "dataPoints")]
    data_points: [u8; 0],
    #[serde(rename = "metricPoints")]
    metric_points: Vec<MetricPoint>,
    #[serde(rename = "metricName")]
    metric_name: &'static str,
    uids: [String; 1],
}

#[derive(Serialize)]
struct MetricPoint {
    timestamp: String,
    value: u64,
}

/// Answers a request below `/api/v1/dashboard`.
pub(super) fn answer(api: &Api, asked: &Asked, segments: &Segments) -> Response {
    if let Some(refusal) = answer::not_get(&asked.method) {
        return refusal;
    }
    let view = api.view();
    let [_, meant] = segments.readings();
    match meant.get(3..).unwrap_or_default() {
        ["nodes", node, "metrics", metric, _, ..] => {
            let nodes = named(&view, Target::Node(node));
            let lives = |_: &str| nodes.as_ref();
            answer::compact(&list(&view, metric, [*node].into_iter(), lives))
        }
        [
            "namespaces",
            namespace,
            "pod-list",
            pods,
            "metrics",
            metric,
            _,
            ..,
        ] => {
            let names = pods.split(',').filter(|name| !name.is_empty());
            let pods = pods_by_name(&view, namespace);
            answer::compact(&list(&view, metric, names, |name| pods.get(name)))
        }
        // The client's health check asks for paths that never existed and wants 200.
        _ => answer::text(StatusCode::OK, format!("URL: {}", asked.uri.path())),
    }
}

fn list<'a, 'b>(
    view: &View,
    metric: &str,
    names: impl Iterator<Item = &'a str>,
    lives: impl Fn(&str) -> Option<&'b Named>,
) -> List {
    let (metric_name, found) = match metric {
        "cpu" => ("cpu", HeapsterMetric::find("cpu/usage_rate")),
        // What the client calls usage is the working set.
        _ => ("memory", HeapsterMetric::find("memory/working_set")),
    };
    let ticks = view.ticks(view.published_ms(), Bounds::ALL);
    let mut items: Vec<Item> = Vec::new();
    // A name that is asked for twice is answered once: the client finds items by name.
    let mut seen: HashSet<&str> = HashSet::new();
    for name in names.filter(|name| seen.insert(name)) {
        let Some((lives, metric)) = lives(name).zip(found) else {
            continue;
        };
        let points = of_named(view, lives, metric, &ticks);
        if points.is_empty() {
            continue;
        }
        let metric_points = points.into_iter().map(|p| MetricPoint {
            timestamp: time::format(p.tick_ms),
            value: p.value,
        });
        items.push(Item {
            data_points: [],
            metric_points: metric_points.collect(),
            metric_name,
            uids: [name.to_owned()],
        });
    }
    List { items }
}
