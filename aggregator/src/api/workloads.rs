//! Workloads with sums over their pods, as Cairn's own JSON: a list of them at the newest tick, and one
//! metric over a range.

use std::collections::BTreeMap;

use axum::response::Response;
use cairn_proto::catalogue::{Field, FieldId, Kind, table};
use http::StatusCode;
use serde::Serialize;

use super::{Api, Asked, answer, model, path};
use crate::cluster::Cluster;
use crate::query::{Found, Refusal, View, WorkloadChoice, WorkloadKind, Workloads};

/// What a list says of each, beside the number of its pods.
const LISTED: [FieldId; 11] = [
    table::CPU,
    table::MEMORY_USAGE,
    table::MEMORY_WORKING_SET,
    table::NETWORK_RX,
    table::NETWORK_TX,
    table::CPU_REQUEST,
    table::CPU_LIMIT,
    table::MEMORY_REQUEST,
    table::MEMORY_LIMIT,
    table::EPHEMERAL_STORAGE_REQUEST,
    table::EPHEMERAL_STORAGE_LIMIT,
];

#[derive(Serialize)]
struct List<'a> {
    tick_ms: u64,
    nodes_missing: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    workloads: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    pods: u64,
    values: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Name<'a> {
    namespace: &'a str,
    workload_kind: &'static str,
    workload: &'a str,
    derived: bool,
}

#[derive(Serialize)]
struct Range<'a> {
    metric: &'static str,
    unit: &'static str,
    rate: bool,
    interval_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    ticks: &'a [u64],
    series: Vec<Series<'a>>,
}

#[derive(Serialize)]
struct Series<'a> {
    kind: &'static str,
    #[serde(flatten)]
    name: Name<'a>,
    values: Vec<Option<u64>>,
}

/// Answers a request for `/api/cairn/v1/workloads`.
pub(super) fn list(api: &Api, asked: &Asked) -> Response {
    answered(api, asked, listed)
}

/// Answers a request for `/api/cairn/v1/range?kind=workload`.
pub(super) fn range(api: &Api, asked: &Asked) -> Response {
    answered(api, asked, ranged)
}

/// True of a range of workloads.
pub(super) fn is_range(query: Option<&str>) -> bool {
    path::parameter(query, "kind").is_some_and(|kind| kind == "workload")
}

/// Why workloads may be missing; `None` when nothing is.
pub(crate) fn reason(cluster: &Cluster) -> Option<&'static str> {
    match cluster.known() {
        None => Some(
            "no Kubernetes API is watched, so nobody knows which workload a pod belongs to: see \
             --kubernetes in docs/cluster.md",
        ),
        Some(known) if !known.is_synced() => Some(
            "the cluster's objects are still being listed, so workloads may be missing: see \
             /readyz?verbose on the admin listener",
        ),
        Some(_) => None,
    }
}

fn answered(
    api: &Api,
    asked: &Asked,
    answer: fn(&Api, &Asked) -> Result<Response, Box<Response>>,
) -> Response {
    if let Some(refusal) = answer::not_get(&asked.method) {
        return refusal;
    }
    answer(api, asked).unwrap_or_else(|refusal| *refusal)
}

fn listed(api: &Api, asked: &Asked) -> Result<Response, Box<Response>> {
    let view = api.view();
    let workloads = Workloads::find(&view, &choice(asked)?);
    let tick_ms = view.published_ms();
    let listed = LISTED.into_iter().chain([table::POD_COUNT]);
    let fields: Vec<&Field> = listed.filter_map(table::field).collect();
    let newest = workloads.newest(&view, &fields, tick_ms).map_err(bad)?;
    let all = workloads.found().iter().zip(newest);
    let workloads = all.filter_map(|(found, newest)| {
        let values = fields.iter().zip(newest);
        let values = values.filter_map(|(field, value)| Some((field.name, value?)));
        let mut values: BTreeMap<&'static str, u64> = values.collect();
        // One of which no pod is there any more is not there either.
        let pods = values.remove(POD_COUNT)?;
        Some(Listed {
            name: name(found),
            pods,
            values,
        })
    });
    Ok(answer::compact(&List {
        workloads: workloads.collect(),
        tick_ms,
        nodes_missing: view.nodes_missing(),
        reason: reason(&api.cluster),
    }))
}

/// The name of the number of pods among metrics.
const POD_COUNT: &str = "pod_count";

fn ranged(api: &Api, asked: &Asked) -> Result<Response, Box<Response>> {
    let query = asked.uri.query();
    let bounds = model::wanted(query)?.bounds;
    let metric = path::parameter(query, "metric").unwrap_or_default();
    let field = WorkloadChoice::field(&metric).map_err(bad)?;
    let rate = path::parameter(query, "rate").is_some_and(|word| word == "true");
    if rate != (field.kind == Kind::Counter) {
        let why = if rate {
            format!("{metric} is a gauge and has no rate")
        } else {
            format!("{metric} is a counter, of which only rates add up: ask with rate=true")
        };
        return Err(bad(Refusal(why)));
    }
    let view: View = api.view();
    let workloads = Workloads::find(&view, &choice(asked)?);
    let ticks = view.ticks(view.published_ms(), bounds);
    let mut sums = workloads.sums(&view, &[field], &ticks).map_err(bad)?;
    let sums = sums.pop().unwrap_or_default().into_iter();
    let series = workloads
        .found()
        .iter()
        .zip(sums)
        .filter_map(|(found, sum)| {
            let values = sum.totals();
            values.iter().any(Option::is_some).then(|| Series {
                kind: "workload",
                name: name(found),
                values,
            })
        });
    let answer = answer::compact(&Range {
        metric: field.name,
        unit: field.unit.as_str(),
        rate,
        interval_ms: api.interval_ms,
        reason: reason(&api.cluster),
        ticks: &ticks,
        series: series.collect(),
    });
    Ok(answer::with_missing(answer, view.nodes_missing()))
}

fn choice(asked: &Asked) -> Result<WorkloadChoice, Box<Response>> {
    let word = |name| path::parameter(asked.uri.query(), name).unwrap_or_default();
    let kind = match &*word("workload_kind") {
        "" => None,
        named => Some(WorkloadKind::named(named).ok_or_else(|| {
            let kinds = WorkloadKind::ALL.map(WorkloadKind::as_str).join(", ");
            bad(Refusal(format!("workload_kind is one of {kinds}")))
        })?),
    };
    Ok(WorkloadChoice {
        kind,
        namespace: word("namespace"),
        name: word("workload"),
    })
}

fn name(found: &Found) -> Name<'_> {
    Name {
        namespace: &found.namespace,
        workload_kind: found.kind.as_str(),
        workload: &found.name,
        derived: found.derived,
    }
}

fn bad(refusal: Refusal) -> Box<Response> {
    Box::new(answer::text(StatusCode::BAD_REQUEST, refusal.0))
}
