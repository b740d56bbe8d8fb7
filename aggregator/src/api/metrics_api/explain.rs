//! Why metrics.k8s.io shows a pod or a node, or does not: the way that its values go, step by step, to where it ends.
//!
//! The steps are those by which `items` finds it; what `items` shows is shown here too, and whatever it does not
//! show has a reason. Of nodes no more is told than the reader may see: who reads one namespace is told that the rest
//! lies with the node.

mod because;

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::Awaited;
use super::items::{Finder, Found, Item, Used, by_name, rests};
use crate::api::{Api, Asked, answer, path};
use crate::cluster::{ContainerState, Phase, Pod};
use crate::query::{Usage, is_late, newest_here};
use crate::store::{Entity, Limited, NodeState, Selector};
use because::Because;

/// What is asked for.
enum What {
    Node(String),
    Pod { namespace: String, name: String },
}

/// The answer.
#[derive(Debug, Serialize)]
struct Explained {
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    name: String,
    /// metrics.k8s.io answers with its values.
    served: bool,
    #[serde(flatten)]
    because: Because,
    /// The node that it is on, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// What is wrong with the sources of that node, where that may be seen.
    sources: Vec<Source>,
    /// Of a pod, by name.
    containers: Vec<Container>,
}

#[derive(Debug, Serialize)]
struct Source {
    name: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Container {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Values>,
    /// What is missing; empty with `usage`.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
}

#[derive(Debug, Serialize)]
struct Values {
    cpu_nanocores: u64,
    memory_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_bytes: Option<u64>,
    time_ms: u64,
    window_ms: u64,
}

/// Answers a request for `/api/cairn/v1/explain`.
pub(in crate::api) fn answer(api: &Api, asked: &Asked) -> Response {
    if let Some(refusal) = answer::not_get(&asked.method) {
        return refusal;
    }
    let word = |name| path::parameter(asked.uri.query(), name).unwrap_or_default();
    let what = match (word("namespace"), word("pod"), word("node")) {
        (namespace, name, node) if node.is_empty() && !namespace.is_empty() && !name.is_empty() => {
            What::Pod { namespace, name }
        }
        (namespace, pod, node) if namespace.is_empty() && pod.is_empty() && !node.is_empty() => {
            What::Node(node)
        }
        _ => {
            let body = "name what is to be explained: ?namespace=NAMESPACE&pod=POD, or ?node=NODE";
            return answer::text(StatusCode::BAD_REQUEST, body);
        }
    };
    let explained = match what {
        What::Node(name) => Asking::new(api, None).node(name),
        What::Pod { namespace, name } => Asking::new(api, Some(&namespace)).pod(namespace, name),
    };
    answer::compact(&explained)
}

/// Looks at one moment for one reader.
struct Asking<'a> {
    api: &'a Api,
    finder: Finder,
}

impl<'a> Asking<'a> {
    fn new(api: &'a Api, namespace: Option<&str>) -> Self {
        Self {
            api,
            finder: Finder::new(api, namespace),
        }
    }

    fn node(&self, name: String) -> Explained {
        let found = self.finder.node(&name, |_| ());
        let because = self.waits().unwrap_or_else(|| match &found {
            // What may not be seen is what is not there.
            _ if !self.sees_node(&name) => Because::no_node(&name),
            Found::Item(_) => Because::served(),
            // Without a watched cluster there is none before its first row.
            Found::Unknown(_) if self.finder.view.node(&name).is_some() => self
                .of_node(&name)
                .unwrap_or_else(|| Because::node_untold(&name)),
            Found::Unknown(_) => Because::no_node(&name),
            Found::Unmeasured(_) => self
                .of_node(&name)
                .unwrap_or_else(|| self.unmeasured_node(&name)),
        });
        Explained {
            kind: "node",
            namespace: String::new(),
            served: because.is_served(),
            because,
            node: None,
            sources: self.sources(&name),
            containers: Vec::new(),
            name,
        }
    }

    fn unmeasured_node(&self, name: &str) -> Because {
        let entities = self.view_of(&Selector::Node(name));
        let node = entities.iter().find(|entity| *entity.name == *name);
        let lacks = node.and_then(|node| self.finder.view.lacks(node, self.finder.span_ms));
        match lacks {
            Some(lacks) => Because::unmeasured("the node", lacks, self.finder.span_ms),
            None => Because::node_untold(name),
        }
    }

    fn pod(&self, namespace: String, name: String) -> Explained {
        let found = if self.api.visible.namespaces.has(&namespace) {
            self.finder.pod((&namespace, &name), Container::measured)
        } else {
            Found::Unknown(name.clone())
        };
        let object = self.object(&namespace, &name);
        let told = self.view_of(&Selector::Pod {
            namespace: &namespace,
            name: &name,
        });
        let node = object.as_ref().map(|pod| pod.node.to_string());
        let node = node.or_else(|| Some(told.last()?.node.to_string()));
        let node = node.filter(|node| !node.is_empty());
        let mut containers = Vec::new();
        let because = match found {
            Found::Item(measured) => {
                containers = measured;
                Because::served()
            }
            Found::Unknown(_) => self.no_pod((&namespace, &name), object.as_deref(), &told),
            Found::Unmeasured(_) => {
                let own = self.own(object.as_deref(), &told);
                containers = self.containers((&namespace, &name), object.as_deref(), own);
                self.of_pod(&containers, object.as_deref(), (&told, own))
            }
        };
        let because = self.waits().unwrap_or(because);
        Explained {
            kind: "pod",
            served: because.is_served(),
            because,
            sources: node
                .as_deref()
                .map_or_else(Vec::new, |node| self.sources(node)),
            node,
            containers,
            namespace,
            name,
        }
    }

    /// Why nothing at all is answered; `None` when there are answers.
    fn waits(&self) -> Option<Because> {
        // How many nodes there are is for who may see nodes.
        let is_for_all = !self.finder.view.is_narrowed();
        let note = || self.api.terms.start.note().filter(|_| is_for_all);
        Awaited::of(self.api).map(|awaited| match awaited {
            Awaited::List => Because::listing(),
            Awaited::Start => Because::starting(note()),
        })
    }

    /// The pod's object, as far as its reader may know of it.
    fn object(&self, namespace: &str, name: &str) -> Option<std::sync::Arc<Pod>> {
        let visible = &self.api.visible;
        if !visible.namespaces.has(namespace) {
            return None;
        }
        let pod = self.api.cluster.known()?.pod(namespace, name)?;
        // Phases are for who may list pods; that it runs is what metrics.k8s.io tells.
        (visible.specs || pod.phase == Phase::Running).then_some(pod)
    }

    /// Why there is no pod that could be shown.
    fn no_pod(
        &self,
        (namespace, name): (&str, &str),
        object: Option<&Pod>,
        told: &[Entity],
    ) -> Because {
        match object {
            Some(pod) => Because::not_running(pod.phase),
            None if self.api.cluster.is_watched() => Because::no_pod(namespace, name),
            None => match told.last() {
                Some(last) => self
                    .of_node(&last.node)
                    .unwrap_or_else(|| Because::gone(&last.node, last.last_tick_ms)),
                None => Because::nobody_told(namespace, name),
            },
        }
    }

    /// The life that is meant, of those that its node tells now.
    fn own<'e>(&self, object: Option<&Pod>, told: &'e [Entity]) -> Option<&'e Entity> {
        let mut current = told.iter().filter(|one| self.finder.view.is_current(one));
        match object {
            Some(pod) => current.find(|one| {
                one.node == pod.node && (pod.is_called(&one.pod_uid) || *one.pod_uid == *pod.uid)
            }),
            None => current.next_back(),
        }
    }

    /// Why a pod that runs is not shown.
    fn of_pod(
        &self,
        containers: &[Container],
        object: Option<&Pod>,
        (told, own): (&[Entity], Option<&Entity>),
    ) -> Because {
        let node = object.map(|pod| &pod.node);
        let Some(node) = node.or_else(|| Some(&told.last()?.node)) else {
            return Because::container(containers.iter().map(Container::told));
        };
        if let Some(because) = self.of_node(node) {
            return because;
        }
        if own.is_some() {
            let is_told = containers.iter().any(|one| !one.reason.is_empty());
            return if is_told || self.api.visible.specs {
                Because::container(containers.iter().map(Container::told))
            } else {
                Because::not_whole()
            };
        }
        let view = &self.finder.view;
        if let Some(other) = told.iter().find(|one| view.is_current(one)) {
            return Because::other_life(&other.node, &other.pod_uid);
        }
        let state = view.node(node);
        let refused = state.filter(|s| s.limited != Limited::No && s.refused_entities > 0);
        match refused {
            Some(state) => Because::over_budget(node, state.refused_entities),
            None => Because::pod_untold(node, self.sources(node).is_empty()),
        }
    }

    /// What is told of each container that has to be measured, or is.
    fn containers(
        &self,
        (namespace, pod): (&str, &str),
        object: Option<&Pod>,
        own: Option<&Entity>,
    ) -> Vec<Container> {
        let Some(own) = own else { return Vec::new() };
        let (view, span_ms) = (&self.finder.view, self.finder.span_ms);
        let mut told = self.view_of(&Selector::Containers { namespace, pod });
        told.retain(|one| one.pod_uid == own.pod_uid && view.is_current(one));
        let told = by_name(told);
        let usages = view.usages(&told.iter().collect::<Vec<_>>(), span_ms);
        let mut all: Vec<Container> = told
            .iter()
            .zip(usages)
            .map(|(one, usage)| {
                let reason = || match view.lacks(one, span_ms) {
                    Some(lacks) => because::lacking(lacks, span_ms),
                    None => because::LATER.to_owned(),
                };
                match usage {
                    Some(usage) => Container::of(&one.name, usage),
                    None => Container::without(&one.name, reason()),
                }
            })
            .collect();
        // What its status says is for who may list pods.
        let object = object.filter(|_| self.api.visible.specs);
        let is_rest = |name: &str| object.is_some_and(|pod| rests(pod, name));
        all.retain(|one| one.usage.is_some() || !is_rest(&one.name));
        let status = object.into_iter().flat_map(|pod| pod.containers.iter());
        for one in status.filter(|one| one.state == ContainerState::Running) {
            if all.iter().all(|told| *told.name != *one.name) {
                all.push(Container::without(&one.name, because::UNTOLD.to_owned()));
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// What keeps all that is on a node from being shown; `None` when nothing does, or it may not be seen.
    fn of_node(&self, name: &str) -> Option<Because> {
        if !self.sees_node(name) {
            return None;
        }
        let view = &self.finder.view;
        let Some(state) = view.node(name) else {
            return Some(Because::no_agent(name));
        };
        if state.newest_tick_ms.is_none() {
            return Some(Because::no_row(name, state.live));
        }
        // Not too old to be held perhaps, but what is missing then does not come either.
        let is_late = is_late(&state, view.published_ms());
        is_late.then(|| Because::silent(&state, self.api.clock.unix_ms()))
    }

    fn sees_node(&self, name: &str) -> bool {
        self.api.visible.nodes.has(name)
    }

    /// The sources of a node that fail.
    fn sources(&self, node: &str) -> Vec<Source> {
        let Some(state) = self.finder.view.node(node) else {
            return Vec::new();
        };
        let failing = state.sources.iter().filter(|one| !one.ok);
        let failing = failing.map(|one| Source {
            name: one.name.clone(),
            reason: one.reason.clone(),
        });
        failing.collect()
    }

    fn view_of(&self, selector: &Selector<'_>) -> Vec<Entity> {
        self.finder.view.entities(selector)
    }
}

impl Container {
    /// Those of a pod that is served.
    fn measured(pod: &Item<'_, '_>) -> Vec<Self> {
        match pod.used {
            Used::Pod(measured) => {
                let all = measured.iter();
                all.map(|(name, usage)| Self::of(name, *usage)).collect()
            }
            Used::Node(_) => Vec::new(),
        }
    }

    fn of(name: &str, usage: Usage) -> Self {
        Self {
            name: name.to_owned(),
            usage: Some(Values {
                cpu_nanocores: usage.cpu_nanocores,
                memory_bytes: usage.memory_bytes,
                swap_bytes: usage.swap_bytes,
                time_ms: usage.time_ms,
                window_ms: usage.over_ms,
            }),
            reason: String::new(),
        }
    }

    fn without(name: &str, reason: String) -> Self {
        Self {
            name: name.to_owned(),
            usage: None,
            reason,
        }
    }

    fn told(&self) -> (&str, &str) {
        (&self.name, &self.reason)
    }
}

#[cfg(test)]
mod tests;
