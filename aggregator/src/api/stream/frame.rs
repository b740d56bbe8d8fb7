//! One frame of the page's stream: some ticks of some series.

use cairn_proto::model::EntityKind;
use serde::Serialize;

use super::super::{Api, answer};
use super::levels::Levels;
use super::values::{Cluster, NodeSeries, PodSeries, Reader, Values};
use crate::query::{View, Visible, is_late, is_skewed};
use crate::store::{Entity, EntityPath, Limited, NodeState, Selector};

/// Pods of one node's frame: ten times what a kubelet runs by default.
const MAX_PODS: usize = 1_100;

/// What a client looks at: every node, or one node and its pods; and what of that it may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) node: Option<String>,
    pub(super) visible: Visible,
}

/// Series of one length, that of `ticks`; `null` where there is no value.
#[derive(Debug, Serialize)]
pub(super) struct Frame<'a> {
    interval_ms: u64,
    window_ms: u64,
    now_ms: u64,
    /// How short memory is.
    memory: &'static str,
    ticks: &'a [u64],
    /// What the sums are of, when that is not everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'static str>,
    nodes_missing: usize,
    cluster: &'a Cluster,
    nodes: Vec<NodeFrame<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<Vec<PodFrame<'a>>>,
}

#[derive(Debug, Serialize)]
struct NodeFrame<'a> {
    name: &'a str,
    state: &'static str,
    since_ms: u64,
    newest_tick_ms: Option<u64>,
    /// Ticks of its window, since the oldest row of it, at which it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_ticks: Option<u64>,
    reason: Option<String>,
    /// How far its clock is ahead of ours, where that is more than half an interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_offset_ms: Option<i64>,
    sources: Vec<SourceFrame<'a>>,
    series: &'a NodeSeries,
    #[serde(skip_serializing_if = "Levels::is_empty")]
    levels: Levels,
}

#[derive(Debug, Serialize)]
struct SourceFrame<'a> {
    name: &'a str,
    state: &'static str,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct PodFrame<'a> {
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    series: PodSeries,
    #[serde(skip_serializing_if = "Levels::is_empty")]
    levels: Levels,
}

/// What of a frame is made for it alone, and not for everybody who looks.
pub(super) struct Own {
    blank: NodeSeries,
    pods: Option<Vec<Entity>>,
}

impl Own {
    pub(super) fn of(view: &View, scope: &Scope, values: &Values) -> Self {
        let reader = Reader {
            view,
            ticks: &values.ticks,
        };
        let first = values.ticks.first().copied().unwrap_or(0);
        let pods = scope.node.as_deref().map(|node| {
            let pods = view.entities(&Selector::PodsOfNode(node)).into_iter();
            let there = pods.filter(|pod| pod.last_tick_ms >= first);
            there.take(MAX_PODS).collect()
        });
        Self {
            blank: reader.no_node(),
            pods,
        }
    }
}

impl<'a> Frame<'a> {
    /// The ticks of the values.
    pub(super) fn new(
        api: &Api,
        view: &'a View,
        scope: &Scope,
        values: &'a Values,
        own: &'a Own,
    ) -> Self {
        let wanted = |node: &&NodeState| {
            let name = scope.node.as_deref();
            name.is_none_or(|name| *node.name == *name)
        };
        // Of the values, and not what is published by now: writing may come long after reading.
        let newest = values.ticks.last().copied();
        let newest_ms = newest.unwrap_or_else(|| view.published_ms());
        let nodes = view.nodes().iter().filter(wanted).map(|state| {
            let series = values.nodes.get(&state.name).unwrap_or(&own.blank);
            NodeFrame {
                levels: Levels::of_node(view, &state.name),
                ..node_frame(state, series, newest_ms)
            }
        });
        let reader = Reader {
            view,
            ticks: &values.ticks,
        };
        let pods = own.pods.as_deref().map(|pods| {
            let series = reader.pods(pods);
            let both = pods.iter().zip(series);
            both.map(|(pod, series)| PodFrame {
                levels: Levels::of_pod(view, pod),
                ..pod_frame(pod, series)
            })
            .collect()
        });
        Frame {
            interval_ms: api.interval_ms,
            window_ms: api.window_ms,
            now_ms: api.clock.unix_ms(),
            memory: api.pressure.level().word(),
            of: view.is_narrowed().then_some(answer::OF_VISIBLE),
            nodes_missing: view.nodes_missing_at(newest_ms),
            cluster: &values.cluster,
            nodes: nodes.collect(),
            pods,
            ticks: &values.ticks,
        }
    }
}

fn node_frame<'a>(state: &'a NodeState, series: &'a NodeSeries, newest_ms: u64) -> NodeFrame<'a> {
    let newest = state.newest_tick_ms;
    let late = is_late(state, newest_ms);
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
        name: &source.name,
        state: if source.ok { "ok" } else { "failing" },
        reason: &source.reason,
    });
    let since_ms = if word == "fresh" {
        newest.unwrap_or(0)
    } else {
        state.since_ms
    };
    NodeFrame {
        name: &state.name,
        state: word,
        since_ms,
        newest_tick_ms: newest,
        gap_ticks: Some(state.gap_ticks).filter(|ticks| *ticks > 0),
        reason,
        clock_offset_ms: Some(state.offset_ms).filter(|_| is_skewed(state)),
        sources: sources.collect(),
        series,
        levels: Levels::default(),
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

fn pod_frame(pod: &Entity, series: PodSeries) -> PodFrame<'_> {
    debug_assert!(pod.kind == EntityKind::Pod, "the selector asked for pods");
    let uid = match &pod.path {
        EntityPath::Pod(uid) => uid,
        _ => "",
    };
    PodFrame {
        namespace: &pod.namespace,
        name: &pod.name,
        uid,
        series,
        levels: Levels::default(),
    }
}
