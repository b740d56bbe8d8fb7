//! What the page shows of all nodes: their own series, and sums over all pods.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use cairn_proto::catalogue::{Field, FieldId, Kind, table};
use serde::Serialize;

use crate::query::{Bounds, Named, Sample, Sum, View};
use crate::store::{Entity, Selector};

/// One series; `null` where there is no value.
pub(super) type Column = Vec<Option<f64>>;

/// At some ticks; every series is as long as these.
#[derive(Debug)]
pub(super) struct Values {
    /// Grid times, Unix ms.
    pub(super) ticks: Vec<u64>,
    /// Sums over all pods.
    pub(super) cluster: Cluster,
    /// By name.
    pub(super) nodes: HashMap<Arc<str>, NodeSeries>,
}

#[derive(Debug, Serialize)]
pub(super) struct Cluster {
    cpu: Column,
    memory: Column,
}

#[derive(Debug, Serialize)]
pub(super) struct NodeSeries {
    cpu: Column,
    memory: Column,
    rx: Column,
    tx: Column,
    load1: Column,
    load5: Column,
    load15: Column,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct PodSeries {
    cpu: Column,
    memory: Column,
    rx: Column,
    tx: Column,
}

impl Values {
    /// Reads them, node by node: a pod is summed where the other pods of its node are, whose rows it
    /// shares.
    pub(super) fn read(view: &View, range: RangeInclusive<u64>) -> Self {
        let bounds = Bounds {
            start_ms: *range.start(),
            end_ms: *range.end(),
        };
        let ticks = view.ticks(*range.end(), bounds);
        let reader = Reader {
            view,
            ticks: &ticks,
        };
        let summed = fields(&[table::CPU, table::MEMORY_WORKING_SET]);
        let mut sums = vec![Sum::new(ticks.len()); summed.len()];
        let mut nodes = HashMap::with_capacity(view.nodes().len());
        // Pods may be seen on nodes that may not.
        for state in view.states() {
            if view.node(&state.name).is_some() {
                let lives = view.entities(&Selector::Node(&state.name));
                nodes.insert(Arc::clone(&state.name), reader.node(lives));
            }
            let pods = view.entities(&Selector::PodsOfNode(&state.name));
            view.add_pods(&pods, &summed, &ticks, &mut sums);
        }
        let mut totals = summed
            .iter()
            .zip(sums)
            .map(|(field, sum)| in_units(sum, field));
        let mut next = || totals.next().unwrap_or_default();
        Self {
            cluster: Cluster {
                cpu: next(),
                memory: next(),
            },
            ticks,
            nodes,
        }
    }
}

/// Fields of the catalogue.
fn fields(ids: &[FieldId]) -> Vec<&'static Field> {
    ids.iter().copied().filter_map(table::field).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a graph needs no more than 53 bits"
)]
fn in_units(sum: Sum, field: &Field) -> Column {
    let unit = if field.kind == Kind::Counter {
        1e9
    } else {
        1.0
    };
    let totals = sum.totals().into_iter();
    totals.map(|total| total.map(|t| t as f64 / unit)).collect()
}

/// Reads series in the units that a person reads.
pub(super) struct Reader<'a> {
    pub(super) view: &'a View,
    pub(super) ticks: &'a [u64],
}

/// What a series shows of a sample.
type Number = fn(Sample) -> Option<f64>;

/// The series of a node, in the order in which they are read.
const OF_NODE: [(FieldId, Number); 9] = [
    (table::CPU, cores),
    (table::MEMORY_WORKING_SET, amount),
    (table::HOST_NETWORK_RX, rate),
    (table::NETWORK_RX, rate),
    (table::HOST_NETWORK_TX, rate),
    (table::NETWORK_TX, rate),
    (table::HOST_LOAD1, thousandths),
    (table::HOST_LOAD5, thousandths),
    (table::HOST_LOAD15, thousandths),
];

/// The same of a pod.
const OF_POD: [(FieldId, Number); 4] = [
    (table::CPU, cores),
    (table::MEMORY_WORKING_SET, amount),
    (table::NETWORK_RX, rate),
    (table::NETWORK_TX, rate),
];

impl Reader<'_> {
    /// A node, by its lives.
    pub(super) fn node(&self, lives: Vec<Entity>) -> NodeSeries {
        let named = Named { lives };
        let fields = fields(&OF_NODE.map(|(id, _)| id));
        let series = self.view.named_fields(&named, &fields, self.ticks);
        let mut all = series
            .into_iter()
            .zip(OF_NODE)
            .map(|(samples, (_, number))| {
                let samples = samples.into_iter();
                samples.map(|sample| sample.and_then(number)).collect()
            });
        let mut next = || -> Column { all.next().unwrap_or_default() };
        NodeSeries {
            cpu: next(),
            memory: next(),
            // Kubelets name a default interface only where it is called eth0; the host's own
            // figures are there on every node.
            rx: either(next(), next()),
            tx: either(next(), next()),
            load1: next(),
            load5: next(),
            load15: next(),
        }
    }

    /// A node of which nothing is there.
    pub(super) fn no_node(&self) -> NodeSeries {
        self.node(Vec::new())
    }

    /// Pods of one node, in their order: what they share is read once.
    pub(super) fn pods(&self, pods: &[Entity]) -> Vec<PodSeries> {
        let asked: Vec<&Entity> = pods.iter().collect();
        let none = PodSeries {
            cpu: vec![None; self.ticks.len()],
            memory: vec![None; self.ticks.len()],
            rx: vec![None; self.ticks.len()],
            tx: vec![None; self.ticks.len()],
        };
        let mut all = vec![none; pods.len()];
        let fields = fields(&OF_POD.map(|(id, _)| id));
        self.view
            .each_of_fields(&asked, &fields, self.ticks, |at, nth, samples| {
                let (Some((_, number)), Some(pod)) = (OF_POD.get(at), all.get_mut(nth)) else {
                    return;
                };
                let column = match at {
                    0 => &mut pod.cpu,
                    1 => &mut pod.memory,
                    2 => &mut pod.rx,
                    _ => &mut pod.tx,
                };
                let values = samples.iter().map(|sample| sample.and_then(number));
                *column = values.collect();
            });
        all
    }
}

/// The first of the two that has any value.
fn either(best: Column, other: Column) -> Column {
    if best.iter().any(Option::is_some) {
        best
    } else {
        other
    }
}

fn cores(sample: Sample) -> Option<f64> {
    sample.rate.map(|rate| rate.per_second() / 1e9)
}

fn rate(sample: Sample) -> Option<f64> {
    sample.rate.map(|rate| rate.per_second())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a graph needs no more than 53 bits"
)]
fn amount(sample: Sample) -> Option<f64> {
    Some(sample.value as f64)
}

fn thousandths(sample: Sample) -> Option<f64> {
    amount(sample).map(|amount| amount / 1e3)
}
