//! Resource metrics, v1alpha1: what `kubectl top` and the first autoscalers asked Heapster for.
//!
//! Values are those of the newest tick alone. A pod that lacks CPU or memory of any of its
//! containers is left out as a whole: an autoscaler would take a part of it for all of it.

use axum::response::Response;
use cairn_proto::catalogue::table;
use cairn_runtime::logging;
use http::StatusCode;
use serde::Serialize;

use super::known_labels::KnownLabels;
use super::moment::{Moment, of_pod};
use super::path::Segments;
use super::selector::Selector as Labels;
use super::{Api, Asked, answer, path, quantity, time};
use crate::cluster::Cluster;
use crate::store::{Entity, Selector};

/// The span that the first server named, whatever its resolution was.
const WINDOW: &str = "1m0s";

#[derive(Serialize)]
struct List<T> {
    metadata: Empty,
    // Go writes a list that was never made as null.
    items: Option<Vec<T>>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct NodeMetrics {
    metadata: Metadata,
    timestamp: String,
    window: &'static str,
    usage: Usage,
}

#[derive(Serialize)]
struct PodMetrics {
    metadata: Metadata,
    timestamp: String,
    window: &'static str,
    containers: Vec<ContainerMetrics>,
}

#[derive(Serialize)]
struct ContainerMetrics {
    name: String,
    usage: Usage,
}

#[derive(Serialize)]
struct Metadata {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(rename = "creationTimestamp")]
    creation_timestamp: String,
}

#[derive(Serialize)]
struct Usage {
    cpu: String,
    memory: String,
}

/// What is addressed below the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    Nodes,
    Node(&'a str),
    Pods,
    PodsOf(&'a str),
    Pod(&'a str, &'a str),
}

impl<'a> Route<'a> {
    fn parse(segments: &[&'a str]) -> Option<Self> {
        match *segments {
            [
                "apis",
                "metrics" | "metrics.k8s.io",
                "v1alpha1",
                ref rest @ ..,
            ] => match *rest {
                ["nodes"] => Some(Route::Nodes),
                ["nodes", node] => Some(Route::Node(node)),
                ["pods"] => Some(Route::Pods),
                ["namespaces", namespace, "pods"] => Some(Route::PodsOf(namespace)),
                ["namespaces", namespace, "pods", pod] => Some(Route::Pod(namespace, pod)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Answers a request below `/apis/metrics/v1alpha1` or `/apis/metrics.k8s.io/v1alpha1`.
pub(super) fn answer(api: &Api, asked: &Asked, segments: &Segments) -> Response {
    let readings = segments.readings();
    let Some(route) = readings.iter().find_map(|reading| Route::parse(reading)) else {
        return answer::no_page();
    };
    if let Some(refusal) = answer::not_for_json_get(asked) {
        return refusal;
    }
    let text = path::parameter(asked.uri.query(), "labelSelector").unwrap_or_default();
    let labels = match (route, Labels::parse(&text)) {
        (Route::Node(_) | Route::Pod(..), _) => Labels::default(),
        (_, Ok(labels)) => labels,
        (_, Err(error)) => {
            let text = logging::escape(&text);
            let body = format!("Error while parsing selector {text}: {error}");
            return answer::text(StatusCode::BAD_REQUEST, body);
        }
    };
    let view = api.view();
    let now = Now {
        cluster: &api.cluster,
        moment: Moment::newest(&view),
        now: time::format(api.clock.unix_ms() / 1000 * 1000),
    };
    match route {
        Route::Nodes => list(now.nodes(&labels)),
        Route::Pods => list(now.pods(&Selector::Pods, &Selector::AllContainers, &labels)),
        Route::PodsOf(namespace) => {
            let pods = Selector::Namespace(namespace);
            let containers = Selector::ContainersOf(namespace);
            list(now.pods(&pods, &containers, &labels))
        }
        Route::Node(name) => now.one_node(name),
        Route::Pod(namespace, name) => now.one_pod(namespace, name),
    }
}

fn list<T: Serialize>(items: Vec<T>) -> Response {
    answer::pretty(&List {
        metadata: Empty {},
        items: (!items.is_empty()).then_some(items),
    })
}

/// The newest moment and the time of the answer.
struct Now<'a> {
    cluster: &'a Cluster,
    moment: Moment<'a>,
    now: String,
}

impl Now<'_> {
    fn nodes(&self, labels: &Labels) -> Vec<NodeMetrics> {
        let nodes = self.moment.entities(&Selector::Nodes);
        let wanted = nodes.iter().filter(|node| self.meets(node, labels));
        wanted.filter_map(|node| self.node(node)).collect()
    }

    fn pods(
        &self,
        pods: &Selector<'_>,
        containers: &Selector<'_>,
        labels: &Labels,
    ) -> Vec<PodMetrics> {
        let containers = self.moment.containers(containers);
        let pods = self.moment.entities(pods);
        let wanted = pods.iter().filter(|pod| self.meets(pod, labels));
        wanted
            .filter_map(|pod| self.pod(pod, containers.get(&of_pod(pod))?))
            .collect()
    }

    fn meets(&self, entity: &Entity, labels: &Labels) -> bool {
        KnownLabels::of(self.cluster, entity).meet(labels)
    }

    fn one_node(&self, name: &str) -> Response {
        let nodes = self.moment.entities(&Selector::Node(name));
        match nodes.first().and_then(|node| self.node(node)) {
            Some(metrics) => answer::pretty(&metrics),
            None => {
                let body = format!("No metrics for node {}", logging::escape(name));
                answer::text(StatusCode::NOT_FOUND, body)
            }
        }
    }

    fn one_pod(&self, namespace: &str, name: &str) -> Response {
        let selector = Selector::Pod { namespace, name };
        if self.moment.entities(&selector).is_empty() {
            let shown = logging::escape(name);
            let body = format!("Error while getting pod {shown}: pod {name:?} not found");
            return answer::text(StatusCode::INTERNAL_SERVER_ERROR, body);
        }
        let containers = Selector::Containers {
            namespace,
            pod: name,
        };
        let pods = self.pods(&selector, &containers, &Labels::default());
        match pods.first() {
            Some(metrics) => answer::pretty(metrics),
            None => {
                // Spelt as its clients have always read it.
                let body = format!("No metrics availalble for pod {namespace}/{name}");
                answer::text(StatusCode::NOT_FOUND, body)
            }
        }
    }

    fn node(&self, node: &Entity) -> Option<NodeMetrics> {
        Some(NodeMetrics {
            usage: self.usage(node)?,
            metadata: self.metadata(node),
            timestamp: time::format(self.moment.tick_ms),
            window: WINDOW,
        })
    }

    /// `None` unless every container has both values.
    fn pod(&self, pod: &Entity, containers: &[Entity]) -> Option<PodMetrics> {
        let containers = containers.iter().map(|container| {
            Some(ContainerMetrics {
                name: container.name.to_string(),
                usage: self.usage(container)?,
            })
        });
        Some(PodMetrics {
            containers: containers.collect::<Option<Vec<_>>>()?,
            metadata: self.metadata(pod),
            timestamp: time::format(self.moment.tick_ms),
            window: WINDOW,
        })
    }

    fn usage(&self, entity: &Entity) -> Option<Usage> {
        let rate = self.moment.sample(entity, table::CPU)?.rate?;
        let memory = self.moment.sample(entity, table::MEMORY_WORKING_SET)?;
        Some(Usage {
            cpu: quantity::millicores(rate.nanocores() / 1_000_000),
            memory: quantity::bytes(memory.value).to_string(),
        })
    }

    fn metadata(&self, entity: &Entity) -> Metadata {
        Metadata {
            name: entity.name.to_string(),
            namespace: entity.namespace.to_string(),
            creation_timestamp: self.now.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
