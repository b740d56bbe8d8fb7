//! What of the cluster a question is about: what its answer may be made of.

use cairn_proto::catalogue::EntityKind;

use crate::query::Choice;

/// One thing by name, all of them, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Asks {
    /// None.
    #[default]
    Nothing,
    /// The one of this name.
    One(String),
    /// Whatever there is.
    All,
}

/// What a question is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Nodes, with their system containers and their agents' states.
    pub nodes: Asks,
    /// Namespaces, of which pods and containers are asked for.
    pub namespaces: Asks,
}

impl Asks {
    /// The one of this name; without a name all.
    pub(crate) fn of(name: &str) -> Self {
        if name.is_empty() {
            Asks::All
        } else {
            Asks::One(name.to_owned())
        }
    }
}

impl Needs {
    /// Nodes alone.
    pub(super) fn nodes(nodes: Asks) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// Pods and containers alone.
    pub(crate) fn pods(namespaces: Asks) -> Self {
        Self {
            namespaces,
            ..Self::default()
        }
    }

    /// Everything that there is, of one node where one is named.
    pub(super) fn all(node: &str) -> Self {
        Self {
            nodes: Asks::of(node),
            namespaces: Asks::All,
        }
    }

    /// What a choice of entities is about.
    #[must_use]
    pub fn of(choice: &Choice) -> Self {
        match choice.kind() {
            EntityKind::Node | EntityKind::System => Self::nodes(Asks::of(&choice.node)),
            _ => Self::pods(Asks::of(&choice.namespace)),
        }
    }

    /// True of what is the same whatever there is in the cluster.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}
