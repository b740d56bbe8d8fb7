//! Which entities a question is about, and which series of them.

use std::fmt;

use cairn_proto::catalogue::{EntityKind, Field, table};

use super::View;
use crate::store::{Entity, Selector};

/// Which entities: those of one kind that have the names that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Nodes, system containers, pods or containers; `None` means pods.
    pub kind: Option<EntityKind>,
    /// The node that reports them; empty means any.
    pub node: String,
    /// Namespace of the pods, or of those that the containers are in; empty means any.
    pub namespace: String,
    /// Name of these pods; empty means any.
    pub pod: String,
    /// Name of the containers; empty means any.
    pub container: String,
}

/// Why a question cannot be answered: for people, with what to ask instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Choice {
    /// The kind that is meant.
    #[must_use]
    pub fn kind(&self) -> EntityKind {
        self.kind.unwrap_or(EntityKind::Pod)
    }

    /// The field of this name.
    ///
    /// # Errors
    ///
    /// When there is none, or what is chosen does not carry it.
    pub fn field(&self, name: &str) -> Result<&'static Field, Refusal> {
        let Some(field) = table::by_name(name) else {
            let why = "the metric is not known: the names are in docs/metrics.md";
            return Err(Refusal(why.to_owned()));
        };
        let kind = self.kind();
        if field.entities.contains(&kind) {
            return Ok(field);
        }
        let carriers: Vec<&str> = field.entities.iter().map(|kind| kind.as_str()).collect();
        Err(Refusal(format!(
            "{name} is not measured of a {}, but of: {}",
            kind.as_str(),
            carriers.join(", ")
        )))
    }

    /// What is chosen, alive or not, sorted by namespace, name and start.
    #[must_use]
    pub fn find(&self, view: &View) -> Vec<Entity> {
        let (node, namespace, pod) = (&*self.node, &*self.namespace, &*self.pod);
        let has = |word: &str| !word.is_empty();
        let selector = match self.kind() {
            EntityKind::Node if has(node) => Selector::Node(node),
            EntityKind::Node => Selector::Nodes,
            EntityKind::System => {
                let mut found = Vec::new();
                let asked = |name: &&str| !has(node) || *name == node;
                let names = view.nodes().iter().map(|state| &*state.name);
                for name in names.filter(asked) {
                    found.extend(view.entities(&Selector::Systems(name)));
                }
                found.retain(|entity| self.admits(entity));
                return found;
            }
            EntityKind::Container if has(namespace) && has(pod) => {
                Selector::Containers { namespace, pod }
            }
            EntityKind::Container if has(namespace) => Selector::ContainersOf(namespace),
            EntityKind::Container => Selector::AllContainers,
            _ if has(namespace) && has(pod) => Selector::Pod {
                namespace,
                name: pod,
            },
            _ if has(namespace) => Selector::Namespace(namespace),
            _ if has(node) => Selector::PodsOfNode(node),
            _ => Selector::Pods,
        };
        let mut found = view.entities(&selector);
        found.retain(|entity| self.admits(entity));
        found
    }

    fn admits(&self, entity: &Entity) -> bool {
        let is = |wanted: &str, name: &str| wanted.is_empty() || wanted == name;
        let (pod, container) = match entity.kind {
            EntityKind::Pod => (&entity.name, &entity.container),
            _ => (&entity.pod, &entity.name),
        };
        is(&self.node, &entity.node)
            && is(&self.namespace, &entity.namespace)
            && is(&self.pod, pod)
            && is(&self.container, container)
    }
}
