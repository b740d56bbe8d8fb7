//! One frame of the page's stream: some ticks of some series.

use std::ops::RangeInclusive;

use cairn_proto::catalogue::{Field, FieldId, Kind, table};
use cairn_proto::model::EntityKind;
use serde::Serialize;

use super::super::Api;
use crate::query::{Bounds, Named, Sample, View, is_skewed, newest_here};
use crate::store::{Entity, Limited, NodeState, Selector};

/// Pods of one node's frame: ten times what a kubelet runs by default.
const MAX_PODS: usize = 1_100;

/// What a client looks at: every node, or one node and its pods.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) node: Option<String>,
}

type Values = Vec<Option<f64>>;

/// Series of one length, that of `ticks`; `null` where there is no value.
#[derive(Debug, Serialize)]
pub(super) struct Frame {
    interval_ms: u64,
    window_ms: u64,
    now_ms: u64,
    ticks: Vec<u64>,
    nodes_missing: usize,
    cluster: Cluster,
    nodes: Vec<NodeFrame>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<Vec<PodFrame>>,
}

#[derive(Debug, Serialize)]
struct Cluster {
    cpu: Values,
    memory: Values,
}

#[derive(Debug, Serialize)]
struct NodeFrame {
    name: String,
    state: &'static str,
    since_ms: u64,
    newest_tick_ms: Option<u64>,
    /// Ticks of its window, since the oldest row of it, at which it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_ticks: Option<u64>,
    reason: Option<String>,
    sources: Vec<SourceFrame>,
    series: NodeSeries,
}

#[derive(Debug, Serialize)]
struct SourceFrame {
    name: String,
    state: &'static str,
    reason: String,
}

#[derive(Debug, Serialize)]
struct NodeSeries {
    cpu: Values,
    memory: Values,
    rx: Values,
    tx: Values,
    load1: Values,
    load5: Values,
    load15: Values,
}

#[derive(Debug, Serialize)]
struct PodFrame {
    namespace: String,
    name: String,
    uid: String,
    series: PodSeries,
}

#[derive(Debug, Serialize)]
struct PodSeries {
    cpu: Values,
    memory: Values,
    rx: Values,
    tx: Values,
}

/// Reads series of one entity in the units that a person reads.
struct Reader<'a> {
    view: &'a View,
    ticks: &'a [u64],
}

impl Reader<'_> {
    fn read(
        &self,
        lives: &[Entity],
        id: FieldId,
        number: impl Fn(Sample) -> Option<f64>,
    ) -> Values {
        let Some(field) = table::field(id).filter(|_| !lives.is_empty()) else {
            return vec![None; self.ticks.len()];
        };
        let named = Named {
            lives: lives.to_vec(),
        };
        let series = self.view.named_series(&named, field, self.ticks);
        series
            .into_iter()
            .map(|sample| sample.and_then(&number))
            .collect()
    }

    fn cores(&self, lives: &[Entity], id: FieldId) -> Values {
        self.read(lives, id, |s| s.rate.map(|r| r.per_second() / 1e9))
    }

    fn rate(&self, lives: &[Entity], id: FieldId) -> Values {
        self.read(lives, id, |s| s.rate.map(|r| r.per_second()))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a graph needs no more than 53 bits"
    )]
    fn gauge(&self, lives: &[Entity], id: FieldId, unit: f64) -> Values {
        self.read(lives, id, |s| Some(s.value as f64 / unit))
    }

    /// The first series that has any value.
    fn either(&self, lives: &[Entity], best: FieldId, other: FieldId) -> Values {
        let series = self.rate(lives, best);
        if series.iter().any(Option::is_some) {
            series
        } else {
            self.rate(lives, other)
        }
    }

    fn node(&self, lives: &[Entity]) -> NodeSeries {
        NodeSeries {
            cpu: self.cores(lives, table::CPU),
            memory: self.gauge(lives, table::MEMORY_WORKING_SET, 1.0),
            // Kubelets name a default interface only where it is called eth0; the host's own
            // figures are there on every node.
            rx: self.either(lives, table::HOST_NETWORK_RX, table::NETWORK_RX),
            tx: self.either(lives, table::HOST_NETWORK_TX, table::NETWORK_TX),
            load1: self.gauge(lives, table::HOST_LOAD1, 1e3),
            load5: self.gauge(lives, table::HOST_LOAD5, 1e3),
            load15: self.gauge(lives, table::HOST_LOAD15, 1e3),
        }
    }

    fn pod(&self, pod: &Entity) -> PodSeries {
        let lives = std::slice::from_ref(pod);
        PodSeries {
            cpu: self.cores(lives, table::CPU),
            memory: self.gauge(lives, table::MEMORY_WORKING_SET, 1.0),
            rx: self.rate(lives, table::NETWORK_RX),
            tx: self.rate(lives, table::NETWORK_TX),
        }
    }

    fn sum(&self, pods: &[Entity], field: &Field) -> Values {
        let unit = if field.kind == Kind::Counter {
            1e9
        } else {
            1.0
        };
        let totals = self.view.sum_over_pods(pods, field, self.ticks);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a graph needs no more than 53 bits"
        )]
        totals
            .into_iter()
            .map(|total| total.map(|t| t as f64 / unit))
            .collect()
    }
}

impl Frame {
    /// The ticks of the range.
    pub(super) fn new(api: &Api, view: &View, scope: &Scope, range: RangeInclusive<u64>) -> Self {
        let bounds = Bounds {
            start_ms: *range.start(),
            end_ms: *range.end(),
        };
        let ticks = view.ticks(*range.end(), bounds);
        let reader = Reader {
            view,
            ticks: &ticks,
        };
        let wanted =
            |node: &&NodeState| scope.node.as_ref().is_none_or(|name| *node.name == **name);
        let nodes: Vec<NodeFrame> = view
            .nodes()
            .iter()
            .filter(wanted)
            .map(|state| {
                let lives = view.entities(&Selector::Node(&state.name));
                node_frame(state, reader.node(&lives), view.published_ms())
            })
            .collect();
        let pods = scope.node.as_deref().map(|node| {
            let first = ticks.first().copied().unwrap_or(0);
            let pods = view.entities(&Selector::PodsOfNode(node));
            let there = pods.into_iter().filter(|pod| pod.last_tick_ms >= first);
            there
                .take(MAX_PODS)
                .map(|pod| pod_frame(&reader, &pod))
                .collect()
        });
        let all = view.entities(&Selector::Pods);
        let sum = |id| table::field(id).map_or_else(Vec::new, |field| reader.sum(&all, field));
        let cluster = Cluster {
            cpu: sum(table::CPU),
            memory: sum(table::MEMORY_WORKING_SET),
        };
        Frame {
            interval_ms: api.interval_ms,
            window_ms: api.window_ms,
            now_ms: api.clock.unix_ms(),
            nodes_missing: view.nodes_missing(),
            cluster,
            nodes,
            pods,
            ticks,
        }
    }
}

fn node_frame(state: &NodeState, series: NodeSeries, published_ms: u64) -> NodeFrame {
    let newest = state.newest_tick_ms;
    let age_ms = published_ms.saturating_sub(newest_here(state));
    let late = newest.is_some() && age_ms > 2 * state.interval_ms.max(1);
    let (word, reason) = match (state.live, newest) {
        (true, None) => (
            "connecting",
            Some("connected, and no row has arrived yet".to_owned()),
        ),
        (true, Some(_)) if late => (
            "stale",
            Some("connected, but its rows are not arriving".to_owned()),
        ),
        (true, Some(_)) if is_skewed(state) => {
            let side = if state.offset_ms > 0 {
                "ahead of"
            } else {
                "behind"
            };
            let seconds = state.offset_ms.unsigned_abs() / 1_000;
            let text = format!(
                "its clock is {seconds} s {side} the aggregator's, so its rows lie elsewhere: \
                 synchronise it"
            );
            ("fresh", Some(text))
        }
        (true, Some(_)) => {
            let failing = state.sources.iter().find(|s| !s.ok);
            let failing = failing.map(|s| s.reason.clone());
            ("fresh", failing.or_else(|| share_reason(state)))
        }
        (false, _) => ("stale", Some("its agent is not connected".to_owned())),
    };
    // What keeps a node from being shown at all comes before what is wrong with what is shown.
    let is_full = state.live && state.limited == Limited::Full;
    let reason = share_reason(state).filter(|_| is_full).or(reason);
    let sources = state.sources.iter().map(|source| SourceFrame {
        name: source.name.clone(),
        state: if source.ok { "ok" } else { "failing" },
        reason: source.reason.clone(),
    });
    let since_ms = if word == "fresh" {
        newest.unwrap_or(0)
    } else {
        state.since_ms
    };
    NodeFrame {
        name: state.name.to_string(),
        state: word,
        since_ms,
        newest_tick_ms: newest,
        gap_ticks: Some(state.gap_ticks).filter(|ticks| *ticks > 0),
        reason,
        sources: sources.collect(),
        series,
    }
}

/// What a node's share of the memory does to it, for people.
fn share_reason(state: &NodeState) -> Option<String> {
    match state.limited {
        Limited::No => None,
        Limited::Shortened => Some(
            "it holds more than its share of the memory, so its graphs reach back less far: see \
             --node-budget"
                .to_owned(),
        ),
        Limited::Full => Some(format!(
            "it holds more than its share of the memory: only its newest row is kept, and {} new things \
             on it were refused; see --node-budget",
            state.refused_entities
        )),
    }
}

fn pod_frame(reader: &Reader<'_>, pod: &Entity) -> PodFrame {
    debug_assert!(pod.kind == EntityKind::Pod, "the selector asked for pods");
    let uid = match &pod.path {
        crate::store::EntityPath::Pod(uid) => uid.to_string(),
        _ => String::new(),
    };
    PodFrame {
        namespace: pod.namespace.to_string(),
        name: pod.name.to_string(),
        uid,
        series: reader.pod(pod),
    }
}
