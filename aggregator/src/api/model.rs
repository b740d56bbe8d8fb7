//! The Heapster model API.
//!
//! Unknown names are no errors here: clients of this API expect an empty result, and an item for
//! each pod of a list, in its order, with duplicates.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use axum::response::Response;
use cairn_proto::catalogue::HeapsterMetric;
use cairn_proto::model::EntityKind;
use http::StatusCode;
use serde::{Serialize, Serializer};

use super::labels::Pairs;
use super::path::Segments;
use super::route::{Route, Target};
use super::series::{
    Point, labeled_points, metric_names, of_named, other_of_named, other_points, parts_by_pod,
    pods_by_name, points,
};
use super::{Api, Asked, answer, labels, path, system_name, time};
use crate::query::{Bounds, Named, View};
use crate::store::{Entity, Selector};

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
    #[serde(serialize_with = "each")]
    items: Vec<Rc<MetricResult>>,
}

/// Writes results as if they were owned.
fn each<S: Serializer>(items: &[Rc<MetricResult>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(items.iter().map(|item| &**item))
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

/// What is asked of a metric beside its name.
pub(super) struct Wanted {
    /// Which ticks.
    pub(super) bounds: Bounds,
    // Which part of a metric that has parts; empty when none was asked for.
    labels: Pairs,
}

/// Answers a request below `/api/v1/model`.
pub(super) fn answer(api: &Api, asked: &Asked, segments: &Segments) -> Response {
    let readings = segments.readings();
    let route = readings
        .iter()
        .find_map(|reading| match reading.as_slice() {
            ["api", "v1", "model", rest @ ..] => Route::parse(rest),
            _ => None,
        });
    let Some(route) = route else {
        return answer::no_page();
    };
    if let Some(refusal) = answer::not_for_json_get(asked) {
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
        Route::Metric(target, metric) => match wanted(asked.uri.query()) {
            Ok(wanted) => {
                let points = metric_points(&view, target, &metric, &wanted);
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
        } => match wanted(asked.uri.query()) {
            Ok(wanted) => {
                let names = pods.split(',');
                let list = pod_list(&view, namespace, names, &metric, &wanted);
                answer::with_missing(answer::compact(&list), view.nodes_missing())
            }
            Err(refusal) => *refusal,
        },
    }
}

/// The points of one thing's metric, or of the part of it that the labels mean.
fn metric_points(view: &View, target: Target<'_>, metric: &str, wanted: &Wanted) -> Vec<Point> {
    let Wanted { bounds, labels } = wanted;
    if !labels.is_empty() {
        return labeled_points(view, target, metric, labels, *bounds);
    }
    match HeapsterMetric::find(metric) {
        Some(metric) => points(view, target, metric, *bounds),
        None => other_points(view, target, metric, *bounds),
    }
}

/// Every item on the ticks of the sums, since their readers add them up by second.
fn pod_list<'a>(
    view: &View,
    namespace: &str,
    names: impl Iterator<Item = &'a str>,
    metric: &str,
    wanted: &Wanted,
) -> MetricResultList {
    let ticks = view.ticks(view.published_ms(), wanted.bounds);
    let mut pods = pods_of(view, namespace, metric, wanted);
    // A name that is listed again is answered again, and its result made once.
    let mut known: HashMap<&str, Rc<MetricResult>> = HashMap::new();
    let items = names.map(|name| {
        let result = known.entry(name).or_insert_with(|| {
            let points = match pods.remove(name) {
                Some((lives, Some(found))) => of_named(view, &lives, found, &ticks),
                Some((lives, None)) => other_of_named(view, &lives, metric, &ticks),
                None => Vec::new(),
            };
            Rc::new(MetricResult::from(points.as_slice()))
        });
        Rc::clone(result)
    });
    MetricResultList {
        items: items.collect(),
    }
}

/// What answers for each pod name of a namespace: the pod, or the part of it that the labels mean; and the
/// metric of the catalogue, if it is one.
fn pods_of(
    view: &View,
    namespace: &str,
    metric: &str,
    wanted: &Wanted,
) -> HashMap<Arc<str>, (Named, Option<HeapsterMetric>)> {
    if wanted.labels.is_empty() {
        let pods = pods_by_name(view, namespace).into_iter();
        let metric = HeapsterMetric::find(metric);
        return pods.map(|(name, lives)| (name, (lives, metric))).collect();
    }
    let parts = parts_by_pod(view, namespace, metric, &wanted.labels).into_iter();
    parts
        .map(|(name, (lives, metric))| (name, (lives, Some(metric))))
        .collect()
}

/// Names of what is there now, sorted.
fn names(view: &View, selector: &Selector<'_>) -> Response {
    let mut current = view.entities(selector);
    view.retain_current(&mut current);
    let mut names: Vec<&str> = current.iter().map(shown_name).collect();
    names.sort_unstable();
    names.dedup();
    answer::pretty(&names)
}

/// What this API calls an entity.
fn shown_name(entity: &Entity) -> &str {
    match entity.kind {
        EntityKind::System => system_name::shown(&entity.name),
        _ => &entity.name,
    }
}

/// What the reference calls the keys of its store, of everything that is there now, sorted; none
/// before the first row.
fn all_keys(view: &View) -> Vec<String> {
    if view.is_empty() {
        return Vec::new();
    }
    let current = |selector: Selector<'_>| {
        let mut found = view.entities(&selector);
        view.retain_current(&mut found);
        found.into_iter()
    };
    let mut keys = vec!["cluster".to_owned()];
    keys.extend(view.namespaces().iter().map(|ns| format!("namespace:{ns}")));
    for node in current(Selector::Nodes) {
        let systems = current(Selector::Systems(&node.name));
        keys.extend(systems.map(|c| format!("node:{}/container:{}", node.name, shown_name(&c))));
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

/// `start`, `end` and `labels` of the query, or the refusal of what cannot be read.
pub(super) fn wanted(query: Option<&str>) -> Result<Wanted, Box<Response>> {
    let read = |name: &str| path::parameter(query, name);
    let refusal = |body| Box::new(answer::text(StatusCode::BAD_REQUEST, body));
    let bounds = time::bounds(read("start").as_deref(), read("end").as_deref());
    let bounds = bounds.map_err(|name| {
        refusal(format!(
            "timestamp argument cannot be parsed: {name} must be an RFC 3339 time such as \
             2026-11-22T07:30:20Z, with the + of an offset written as %2B"
        ))
    })?;
    let labels = labels::parse(&read("labels").unwrap_or_default()).map_err(refusal)?;
    Ok(Wanted { bounds, labels })
}

#[cfg(test)]
mod tests {
    use super::super::tests::api;
    use super::*;

    #[test]
    fn a_pod_that_is_listed_again_is_made_once() {
        let api = api();
        let wanted = wanted(None).unwrap();
        let names = ["web", "none", "web", "none"].into_iter();
        let list = pod_list(&api.view(), "shop", names, "memory/usage", &wanted);
        let lengths: Vec<usize> = list.items.iter().map(|i| i.metrics.len()).collect();
        assert_eq!(lengths, [3, 0, 3, 0]);
        assert!(Rc::ptr_eq(&list.items[0], &list.items[2]));
        assert!(Rc::ptr_eq(&list.items[1], &list.items[3]));
    }
}
