//! The nodes of a view: those that are shown, and those that tell what a tick means.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::View;
use crate::query::watermark::nodes_missing;
use crate::query::{Names, Visible};
use crate::store::NodeState;

impl View {
    /// The same for somebody who may see this and nothing else.
    #[must_use]
    pub fn narrowed(self, visible: Visible) -> Self {
        Self {
            visible,
            shown: OnceLock::new(),
            ..self
        }
    }

    /// True when some nodes or namespaces may be left out of what is found.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        !self.visible.has_all()
    }

    /// Every node that may be seen, sorted by name.
    #[must_use]
    pub fn nodes(&self) -> &[NodeState] {
        if matches!(self.visible.nodes, Names::All) {
            return self.states();
        }
        self.shown.get_or_init(|| {
            let states = self.states().iter();
            let shown = states.filter(|state| self.visible.nodes.has(&state.name));
            shown.cloned().collect()
        })
    }

    /// The states of all nodes, sorted by name: for what a tick means, and never to be shown.
    pub(crate) fn states(&self) -> &[NodeState] {
        self.nodes.get_or_init(|| self.store.nodes())
    }

    /// One node that may be seen; `None` when it is not known.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Cow<'_, NodeState>> {
        let is_visible = self.visible.nodes.has(name);
        is_visible.then(|| self.state(name)).flatten()
    }

    /// The state of a node, whoever asks.
    pub(in crate::query) fn state(&self, name: &str) -> Option<Cow<'_, NodeState>> {
        let Some(all) = self.nodes.get() else {
            return self.store.node_state(name).map(Cow::Owned);
        };
        // Sorted by name: this is asked for every entity of a list.
        let at = all.binary_search_by(|node| (*node.name).cmp(name));
        at.ok().and_then(|at| all.get(at)).map(Cow::Borrowed)
    }

    /// Nodes that count at the published tick with held values.
    #[must_use]
    pub fn nodes_missing(&self) -> usize {
        self.nodes_missing_at(self.published_ms())
    }

    /// Nodes that may be seen and count at a tick with held values.
    #[must_use]
    pub fn nodes_missing_at(&self, tick_ms: u64) -> usize {
        nodes_missing(self.nodes(), tick_ms)
    }
}
