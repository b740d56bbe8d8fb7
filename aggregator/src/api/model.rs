//! The Heapster model API.
//!
//! Unknown names are no errors here: clients of this API expect an empty result, and an item for
//! each pod of a list, in its order, with duplicates.

use std::collections::HashMap;

use axum::response::Response;
use cairn_proto::catalogue::HeapsterMetric;
use http::{Method, StatusCode, header};
use serde::Serialize;

use super::route::{Route, Target};
use super::series::{Point, metric_names, of_named, pods_by_name, points};
use super::{Api, Asked, answer, path, time};
use crate::query::{Bounds, View};
use crate::store::{Entity, Selector};

/// Age of the newest row at which `/healthz` fails, ms: three of the reference's own minutes.
const HEALTHY_MS: u64 = 180_000;

#[derive(Serialize)]
struct MetricResult {
    metrics: Vec<MetricPoint>,
    #[serde(rename = "latestTimestamp")]
    latest_timestamp: String,
}

#[derive(Serialize)]
struct MetricPoint {
    timestamp: String,
    value: u64,
    #[serde(rename = "floatValue", skip_serializing_if = "Option::is_none")]
    float_value: Option<f64>,
}

#[derive(Serialize)]
struct MetricResultList {
    items: Vec<MetricResult>,
}

impl From<&[Point]> for MetricResult {
    fn from(points: &[Point]) -> Self {
        let latest = points
            .last()
            .map_or_else(|| time::ZERO.to_owned(), |p| time::format(p.tick_ms));
        let metrics = points
            .iter()
            .map(|p| MetricPoint {
                timestamp: time::format(p.tick_ms),
                value: p.value,
                float_value: p.float,
            })
            .collect();
        MetricResult {
            metrics,
            latest_timestamp: latest,
        }
    }
}

/// Answers a request below `/api/v1/model`.
pub(super) fn answer(api: &Api, asked: &Asked, segments: &[&str]) -> Response {
    let Some(route) = Route::parse(segments) else {
        return answer::text(StatusCode::NOT_FOUND, "404: Page Not Found");
    };
    if let Some(refusal) = answer::not_get(&asked.method).or_else(|| not_json(asked)) {
        return refusal;
    }
    let view = api.view();
    match route {
        Route::AllKeys => answer::pretty(&all_keys(&view)),
        Route::Nodes => names(&view, &Selector::Nodes),
        Route::Namespaces => {
            let namespaces = view.namespaces();
            answer::pretty(&namespaces.iter().map(|name| &**name).collect::<Vec<&str>>())
        }
        Route::Pods(namespace) => names(&view, &Selector::Namespace(namespace)),
        Route::FreeContainers(node) => names(&view, &Selector::Systems(node)),
        Route::Containers { namespace, pod } => {
            names(&view, &Selector::Containers { namespace, pod })
        }
        Route::MetricNames(target) => answer::pretty(&metric_names(&view, target)),
        Route::Metric(target, metric) => match bounds(asked.uri.query()) {
            Ok(bounds) => {
                let found = HeapsterMetric::find(&metric);
                let points =
                    found.map_or_else(Vec::new, |metric| points(&view, target, metric, bounds));
                let response = answer::pretty(&MetricResult::from(points.as_slice()));
                match target {
                    Target::Cluster | Target::Namespace(_) => {
                        answer::with_missing(response, view.nodes_missing())
                    }
                    _ => response,
                }
            }
            Err(refusal) => *refusal,
        },
        Route::PodList {
            namespace,
            pods,
            metric,
        } => match bounds(asked.uri.query()) {
            Ok(bounds) => {
                let names = pods.split(',');
                let list = pod_list(&view, namespace, names, &metric, bounds);
                answer::with_missing(answer::compact(&list), view.nodes_missing())
            }
            Err(refusal) => *refusal,
        },
    }
}

/// `/healthz`: fails while there is nothing young to show.
pub(super) fn healthz(api: &Api, method: &Method) -> Response {
    if let Some(refusal) = answer::not_get(method) {
        return refusal;
    }
    let now_ms = api.clock.unix_ms();
    let newest = api
        .store
        .nodes()
        .into_iter()
        .map(|n| n.arrived_ms)
        .max()
        .unwrap_or(0);
    if newest == 0 {
        let body = "no agent has delivered anything yet: are agents running, and is this their aggregator?";
        return answer::text(StatusCode::INTERNAL_SERVER_ERROR, body);
    }
    let age_ms = now_ms.saturating_sub(newest);
    if age_ms > HEALTHY_MS {
        let body = format!(
            "the newest row is {} s old: see /readyz?verbose on the admin listener",
            age_ms / 1000
        );
        return answer::text(StatusCode::INTERNAL_SERVER_ERROR, body);
    }
    answer::text(StatusCode::OK, "ok")
}

/// Every item on the ticks of the sums, since their readers add them up by second.
fn pod_list<'a>(
    view: &View,
    namespace: &str,
    names: impl Iterator<Item = &'a str>,
    metric: &str,
    bounds: Bounds,
) -> MetricResultList {
    let ticks = view.ticks(view.published_ms(), bounds);
    let metric = HeapsterMetric::find(metric);
    let pods = pods_by_name(view, namespace);
    // A name that is listed again is answered again, and computed once.
    let mut known: HashMap<&str, Vec<Point>> = HashMap::new();
    let items = names.map(|name| {
        let points = known
            .entry(name)
            .or_insert_with(|| match (pods.get(name), metric) {
                (Some(lives), Some(metric)) => of_named(view, lives, metric, &ticks),
                _ => Vec::new(),
            });
        MetricResult::from(points.as_slice())
    });
    MetricResultList {
        items: items.collect(),
    }
}

/// Names of what is there now, sorted.
fn names(view: &View, selector: &Selector<'_>) -> Response {
    let found = view.entities(selector);
    let current = found.iter().filter(|entity| view.is_current(entity));
    let mut names: Vec<&str> = current.map(|entity: &Entity| &*entity.name).collect();
    names.sort_unstable();
    names.dedup();
    answer::pretty(&names)
}

/// What the reference calls the keys of its store, of everything that is there now, sorted.
fn all_keys(view: &View) -> Vec<String> {
    let current = |selector: Selector<'_>| {
        let found = view.entities(&selector);
        found.into_iter().filter(|entity| view.is_current(entity))
    };
    let mut keys = vec!["cluster".to_owned()];
    keys.extend(view.namespaces().iter().map(|ns| format!("namespace:{ns}")));
    for node in current(Selector::Nodes) {
        let systems = current(Selector::Systems(&node.name));
        keys.extend(systems.map(|c| format!("node:{}/container:{}", node.name, c.name)));
        keys.push(format!("node:{}", node.name));
    }
    keys.extend(
        current(Selector::Pods).map(|pod| format!("namespace:{}/pod:{}", pod.namespace, pod.name)),
    );
    keys.extend(current(Selector::AllContainers).map(|c| {
        format!(
            "namespace:{}/pod:{}/container:{}",
            c.namespace, c.pod, c.name
        )
    }));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// `start` and `end` of the query, both inclusive.
pub(super) fn bounds(query: Option<&str>) -> Result<Bounds, Box<Response>> {
    let read = |name: &str, absent: u64| {
        match path::parameter(query, name) {
        None => Ok(absent),
        Some(text) if text.is_empty() => Ok(absent),
        Some(text) => time::parse(&text).ok_or_else(|| {
            let body = format!(
                "timestamp argument cannot be parsed: {name} must be an RFC 3339 time such as 2026-11-22T07:30:20Z"
            );
            Box::new(answer::text(StatusCode::BAD_REQUEST, body))
        }),
    }
    };
    Ok(Bounds {
        start_ms: read("start", 0)?,
        end_ms: read("end", u64::MAX)?,
    })
}

/// The refusal of a client that does not take JSON.
fn not_json(asked: &Asked) -> Option<Response> {
    let accept = asked.headers.get(header::ACCEPT)?;
    let takes_json = accept.to_str().is_ok_and(|accept| {
        accept.is_empty() || accept.contains("*/*") || accept.contains("application/json")
    });
    (!takes_json).then(|| answer::text(StatusCode::NOT_ACCEPTABLE, "406: Not Acceptable"))
}
