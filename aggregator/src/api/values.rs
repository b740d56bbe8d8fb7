//! Every value of one node, as Cairn's own JSON.
//!
//! One entry a life: a pod that was created again under its name is another entry. Values are the
//! raw ones in the units of `docs/metrics.md`, held as the catalogue says; of a counter the rates
//! stand beside them, per second.

use std::collections::BTreeMap;

use axum::response::Response;
use cairn_proto::catalogue::{FIELDS, Field, Kind, Origin, UPTIME, UPTIME_ENTITIES, table};
use http::StatusCode;
use serde::Serialize;

use super::{Api, Asked, answer, model, path};
use crate::query::{MAX_VALUES, Sample, View};
use crate::store::{Entity, Selector};

#[derive(Serialize)]
struct Values<'a> {
    node: &'a str,
    interval_ms: u64,
    window_ms: u64,
    ticks: &'a [u64],
    entities: Vec<EntityValues<'a>>,
}

#[derive(Serialize)]
struct EntityValues<'a> {
    kind: &'static str,
    namespace: &'a str,
    pod: &'a str,
    pod_uid: &'a str,
    container: &'a str,
    name: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    metrics: BTreeMap<&'static str, Series>,
}

#[derive(Serialize)]
struct Series {
    values: Vec<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<Vec<Option<f64>>>,
}

/// Answers a request for `/api/cairn/v1/values`.
pub(super) fn answer(api: &Api, asked: &Asked) -> Response {
    if let Some(refusal) = answer::not_get(&asked.method) {
        return refusal;
    }
    let query = asked.uri.query();
    let bounds = match model::wanted(query) {
        Ok(wanted) => wanted.bounds,
        Err(refusal) => return *refusal,
    };
    let Some(node) = path::parameter(query, "node") else {
        let body = "node is missing: ask for ?node=NAME, one of /api/v1/model/nodes/";
        return answer::text(StatusCode::BAD_REQUEST, body);
    };
    let metric = path::parameter(query, "metric");
    if let Some(name) = &metric
        && name != UPTIME
        && table::by_name(name).is_none()
    {
        let body = "metric is not known: the names are in docs/metrics.md";
        return answer::text(StatusCode::BAD_REQUEST, body);
    }
    let view = api.view();
    let mut found = view.entities(&Selector::OfNode(&node));
    // Whoever may not see the node may see pods on it.
    if view.node(&node).is_none() && found.is_empty() {
        let body = "no such node: see /api/v1/model/nodes/ for those that are here";
        return answer::text(StatusCode::NOT_FOUND, body);
    }
    let ticks = view.ticks(view.newest_of_node(&node), bounds);
    found.sort_by(|a, b| order(a).cmp(&order(b)));
    let wanted = |name: &str| metric.as_deref().is_none_or(|metric| metric == name);
    let is_watched = view.is_watched();
    let series_count: usize = found
        .iter()
        .map(|entity| {
            carried(entity, is_watched)
                .filter(|field| wanted(field.name))
                .count()
                + 1
        })
        .sum();
    if series_count.saturating_mul(ticks.len()) > MAX_VALUES {
        let body =
            "that is more than 4000000 values: shorten it by start and end, or name a metric";
        return answer::text(StatusCode::BAD_REQUEST, body);
    }
    let mut metrics = metrics(&view, &found, &ticks, wanted).into_iter();
    let entities = found.iter().map(|entity| EntityValues {
        kind: entity.kind.as_str(),
        namespace: &entity.namespace,
        pod: &entity.pod,
        pod_uid: &entity.pod_uid,
        container: &entity.container,
        name: &entity.name,
        labels: labels(entity),
        metrics: metrics.next().unwrap_or_default(),
    });
    answer::compact(&Values {
        node: &node,
        interval_ms: api.interval_ms,
        window_ms: api.window_ms,
        ticks: &ticks,
        entities: entities.filter(|e| !e.metrics.is_empty()).collect(),
    })
}

fn order(entity: &Entity) -> (u8, &str, &str, &str, &str, &str) {
    (
        entity.kind as u8,
        &entity.namespace,
        &entity.pod,
        &entity.container,
        &entity.name,
        &entity.pod_uid,
    )
}

fn labels(entity: &Entity) -> BTreeMap<&str, &str> {
    entity
        .labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

/// The fields that an entity of this kind can have.
fn carried(entity: &Entity, is_watched: bool) -> impl Iterator<Item = &'static Field> {
    FIELDS
        .iter()
        .filter(move |field| is_carried(field, entity, is_watched))
}

/// Of what objects say nothing is read where nobody watches them. That something is there is seen from the rest.
fn is_carried(field: &Field, entity: &Entity, is_watched: bool) -> bool {
    let can_be = match field.origin {
        Origin::Measured => true,
        Origin::Cluster | Origin::Utilization { .. } => is_watched,
        Origin::Presence => false,
    };
    can_be && field.entities.contains(&entity.kind)
}

/// Of each entity the metrics that have a value at any of the ticks. Metric by metric: what the
/// entities of a node share is read once.
fn metrics(
    view: &View,
    entities: &[Entity],
    ticks_ms: &[u64],
    wanted: impl Fn(&str) -> bool,
) -> Vec<BTreeMap<&'static str, Series>> {
    let mut all: Vec<BTreeMap<&'static str, Series>> = Vec::new();
    all.resize_with(entities.len(), BTreeMap::new);
    let is_watched = view.is_watched();
    for field in FIELDS.iter().filter(|field| wanted(field.name)) {
        let places = entities.iter().enumerate();
        let places = places.filter(|(_, entity)| is_carried(field, entity, is_watched));
        let (places, asked): (Vec<usize>, Vec<&Entity>) = places.unzip();
        for (at, samples) in places
            .into_iter()
            .zip(view.all_series(&asked, field, ticks_ms))
        {
            let is_there = samples.iter().any(Option::is_some);
            if let Some(metrics) = all.get_mut(at).filter(|_| is_there) {
                metrics.insert(field.name, series(field, samples));
            }
        }
    }
    for (entity, metrics) in entities.iter().zip(&mut all) {
        if wanted(UPTIME) && UPTIME_ENTITIES.contains(&entity.kind) {
            let values = view.uptime(entity, ticks_ms);
            let rates = None;
            if values.iter().any(Option::is_some) {
                metrics.insert(UPTIME, Series { values, rates });
            }
        }
    }
    all
}

fn series(field: &Field, samples: Vec<Option<Sample>>) -> Series {
    let rates = (field.kind == Kind::Counter).then(|| {
        let rate = |sample: &Option<_>| sample.and_then(rate_of);
        samples.iter().map(rate).collect()
    });
    Series {
        values: samples.into_iter().map(|s| s.map(|s| s.value)).collect(),
        rates,
    }
}

fn rate_of(sample: Sample) -> Option<f64> {
    sample.rate.map(|rate| rate.per_second())
}
