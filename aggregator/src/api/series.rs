//! Series by what is addressed, for every API that addresses names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use cairn_proto::catalogue::{
    FIELDS, Field, HEAPSTER_UPTIME, HeapsterMetric, Kind, Origin, RateUnit, Sum, Unit,
};
use cairn_proto::model::EntityKind;

use super::route::Target;
use crate::query::{Bounds, Named, Sample, View};
use crate::store::{Entity, Selector};

/// A point as an integer, and with its fraction when it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Grid time, Unix ms.
    pub(super) tick_ms: u64,
    /// Truncated toward zero.
    pub(super) value: u64,
    /// Only of metrics that are fractions by nature.
    pub(super) float: Option<f64>,
}

/// The lives of what is addressed; `None` when nothing of that name is in the window.
pub(super) fn named(view: &View, target: Target<'_>) -> Option<Named> {
    let own_name = match target {
        Target::FreeContainer(_, name) | Target::Container(_, _, name) => Some(name),
        _ => None,
    };
    let mut lives = view.entities(&target.selector()?);
    lives.retain(|entity| own_name.is_none_or(|name| *entity.name == *name));
    (!lives.is_empty()).then_some(Named { lives })
}

/// The lives of every pod name of a namespace: found once for a request that names many.
pub(super) fn pods_by_name(view: &View, namespace: &str) -> HashMap<Arc<str>, Named> {
    let mut pods: HashMap<Arc<str>, Named> = HashMap::new();
    for pod in view.entities(&Selector::Namespace(namespace)) {
        let named = pods.entry(Arc::clone(&pod.name));
        named
            .or_insert_with(|| Named { lives: Vec::new() })
            .lives
            .push(pod);
    }
    pods
}

/// The points of a metric within the bounds; none when there is nothing of that name.
pub(super) fn points(
    view: &View,
    target: Target<'_>,
    metric: HeapsterMetric,
    bounds: Bounds,
) -> Vec<Point> {
    match target {
        Target::Cluster | Target::Namespace(_) => sum(view, &pods_of(view, target), metric, bounds),
        _ => named(view, target).map_or_else(Vec::new, |named| {
            let newest = view.newest_of(&named.lives);
            of_named(view, &named, metric, &view.ticks(newest, bounds))
        }),
    }
}

/// The pods that a sum is over.
fn pods_of(view: &View, target: Target<'_>) -> Vec<Entity> {
    match target {
        Target::Namespace(namespace) => view.entities(&Selector::Namespace(namespace)),
        _ => view.entities(&Selector::Pods),
    }
}

/// The points of one name on the given ticks.
pub(super) fn of_named(
    view: &View,
    named: &Named,
    metric: HeapsterMetric,
    ticks_ms: &[u64],
) -> Vec<Point> {
    let Some(field) = metric.field() else {
        let uptime = view.named_uptime(named, ticks_ms);
        let points = ticks_ms.iter().zip(uptime);
        return points
            .filter_map(|(tick, value)| Some(whole(*tick, value?)))
            .collect();
    };
    let series = view.named_series(named, field, ticks_ms);
    let samples = ticks_ms.iter().zip(series);
    samples
        .filter_map(|(tick, sample)| point(*tick, sample?, metric))
        .collect()
}

/// The points of a metric of parts, told apart by the labels: they must be all the labels by which
/// this API knows such a part, in order of their keys.
pub(super) fn labeled_points(
    view: &View,
    target: Target<'_>,
    metric: &str,
    labels: &[(String, String)],
    bounds: Bounds,
) -> Vec<Point> {
    let Some(parts) = parts_of(target) else {
        return Vec::new();
    };
    let lives = labeled(view, &parts, labels);
    let metric = lives
        .first()
        .and_then(|part| HeapsterMetric::find_labeled(metric, part.kind));
    let ticks = view.ticks(view.newest_of(&lives), bounds);
    metric.map_or_else(Vec::new, |metric| {
        of_named(view, &Named { lives }, metric, &ticks)
    })
}

/// The parts that the labels mean of each pod of a namespace, by the pod's name.
pub(super) fn parts_by_pod(
    view: &View,
    namespace: &str,
    metric: &str,
    labels: &[(String, String)],
) -> HashMap<Arc<str>, (Named, HeapsterMetric)> {
    let mut pods: HashMap<Arc<str>, (Named, HeapsterMetric)> = HashMap::new();
    for part in labeled(view, &Selector::NamespaceParts(namespace), labels) {
        if let Some(metric) = HeapsterMetric::find_labeled(metric, part.kind) {
            let pod = pods.entry(Arc::clone(&part.pod));
            let (named, _) = pod.or_insert_with(|| (Named { lives: Vec::new() }, metric));
            named.lives.push(part);
        }
    }
    pods
}

/// Those of the parts that have exactly these labels.
fn labeled(view: &View, parts: &Selector<'_>, labels: &[(String, String)]) -> Vec<Entity> {
    let mut found = view.entities(parts);
    found.retain(|part| heapster_labels(part).eq(labels.iter()));
    found
}

/// The labels by which the Heapster API knows a part, in order of their keys.
pub(super) fn heapster_labels(part: &Entity) -> impl Iterator<Item = &(String, String)> {
    let known = part.kind.heapster_labels();
    part.labels
        .iter()
        .filter(move |(key, _)| known.contains(&key.as_str()))
}

/// Where the parts of something are; `None` for sums.
fn parts_of(target: Target<'_>) -> Option<Selector<'_>> {
    match target {
        Target::Cluster | Target::Namespace(_) => None,
        Target::Node(node) => Some(Selector::NodeParts(node)),
        Target::FreeContainer(node, name) => Some(Selector::SystemParts(node, name)),
        Target::Pod(namespace, pod) => Some(Selector::PodParts { namespace, pod }),
        Target::Container(namespace, pod, container) => Some(Selector::ContainerParts {
            namespace,
            pod,
            container,
        }),
    }
}

/// Names of the metrics that have a value in the window, sorted. Those that are told apart by
/// labels are not among them.
pub(super) fn metric_names(view: &View, target: Target<'_>) -> Vec<Cow<'static, str>> {
    let kind = match target {
        Target::Cluster | Target::Namespace(_) => None,
        Target::Node(_) => Some(EntityKind::Node),
        Target::FreeContainer(..) => Some(EntityKind::System),
        Target::Pod(..) => Some(EntityKind::Pod),
        Target::Container(..) => Some(EntityKind::Container),
    };
    let carried = |field: &&Field| match kind {
        Some(kind) => field.entities.contains(&kind),
        None => field.sum == Sum::Pods,
    };
    let of_fields = FIELDS
        .iter()
        .filter(carried)
        .flat_map(|field| [field.heapster, field.heapster_rate.map(|(name, _)| name)])
        .flatten();
    // Looked up once for all names.
    let of_pods = kind.is_none().then(|| pods_of(view, target));
    let named = named(view, target);
    let ticks = |lives: &[Entity]| view.ticks(view.newest_of(lives), Bounds::ALL);
    let has_points = |metric: HeapsterMetric| match (&of_pods, &named) {
        (Some(pods), _) => !sum(view, pods, metric, Bounds::ALL).is_empty(),
        (None, Some(named)) => !of_named(view, named, metric, &ticks(&named.lives)).is_empty(),
        (None, None) => false,
    };
    let mut names: Vec<Cow<'static, str>> = of_fields
        .chain(kind.map(|_| HEAPSTER_UPTIME))
        .filter(|name| HeapsterMetric::find(name).is_some_and(has_points))
        .map(Cow::Borrowed)
        .collect();
    names.extend(named.iter().flat_map(|named| other_names(view, named)));
    names.sort_unstable();
    names
}

/// What is asked for of a resource beside CPU, memory and ephemeral storage is called after it.
const REQUEST: &str = "/request";

/// Names of the metrics of such resources.
fn other_names(view: &View, named: &Named) -> Vec<Cow<'static, str>> {
    let names = view.other_names(named).into_iter();
    names
        .map(|name| Cow::Owned(format!("{name}{REQUEST}")))
        .collect()
}

/// The points of `<resource>/request`; none of a name that is no such metric.
pub(super) fn other_points(
    view: &View,
    target: Target<'_>,
    metric: &str,
    bounds: Bounds,
) -> Vec<Point> {
    named(view, target).map_or_else(Vec::new, |named| {
        let ticks = view.ticks(view.newest_of(&named.lives), bounds);
        other_of_named(view, &named, metric, &ticks)
    })
}

/// The same of one name on the given ticks.
pub(super) fn other_of_named(
    view: &View,
    named: &Named,
    metric: &str,
    ticks_ms: &[u64],
) -> Vec<Point> {
    let Some(resource) = metric.strip_suffix(REQUEST) else {
        return Vec::new();
    };
    let values = view.other_request(named, resource, ticks_ms);
    let points = ticks_ms.iter().zip(values);
    points
        .filter_map(|(tick_ms, value)| Some(whole(*tick_ms, value?)))
        .collect()
}

fn sum(view: &View, pods: &[Entity], metric: HeapsterMetric, bounds: Bounds) -> Vec<Point> {
    let Some(field) = metric.field() else {
        return Vec::new();
    };
    let summed = match metric {
        HeapsterMetric::Value(field) => field.kind == Kind::Gauge,
        HeapsterMetric::Rate(..) => true,
        HeapsterMetric::Uptime => false,
    };
    if field.sum != Sum::Pods || !summed {
        return Vec::new();
    }
    let ticks = view.ticks(view.published_ms(), bounds);
    let totals = view.sum_over_pods(pods, field, &ticks);
    let scale = match metric {
        HeapsterMetric::Rate(_, RateUnit::Millicores) => 1_000_000,
        _ => 1,
    };
    let totals = ticks.into_iter().zip(totals);
    totals
        .filter_map(|(tick_ms, total)| {
            Some(Point {
                tick_ms,
                value: total? / scale,
                float: None,
            })
        })
        .collect()
}

fn point(tick_ms: u64, sample: Sample, metric: HeapsterMetric) -> Option<Point> {
    let (value, float) = match metric {
        HeapsterMetric::Value(field) => fraction(field, sample.value),
        HeapsterMetric::Uptime => (sample.value, None),
        HeapsterMetric::Rate(_, RateUnit::Millicores) => {
            (sample.rate?.nanocores() / 1_000_000, None)
        }
        HeapsterMetric::Rate(_, RateUnit::PerSecond) => {
            let rate = sample.rate?;
            (rate.nanocores(), Some(rate.per_second()))
        }
    };
    Some(Point {
        tick_ms,
        value,
        float,
    })
}

/// A value, and beside it its fraction where the first server of this API told one: of capacities of nodes
/// and their parts.
#[expect(
    clippy::cast_precision_loss,
    reason = "JSON has no more than 53 bits anyway"
)]
fn fraction(field: &Field, value: u64) -> (u64, Option<f64>) {
    let is_of_node = field.entities == [EntityKind::Node] && field.origin != Origin::Measured;
    match field.unit {
        Unit::Millionths => (value / 1_000_000, Some(value as f64 / 1e6)),
        _ if is_of_node => (value, Some(value as f64)),
        _ => (value, None),
    }
}

fn whole(tick_ms: u64, value: u64) -> Point {
    Point {
        tick_ms,
        value,
        float: None,
    }
}
