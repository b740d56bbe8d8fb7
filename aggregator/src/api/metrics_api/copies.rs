//! What nodes say while a list is made, each copied once, and where of it a pod's stands.

use std::collections::HashMap;
use std::hint;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::query::{ContainerNames, OfNode, Places};

/// What nodes said, each copied once.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// Of which alone there are copies; `None` for all.
    pub(super) namespace: Option<String>,
    pub(super) names: ContainerNames,
    of_nodes: Mutex<HashMap<Arc<str>, Arc<OnceLock<OfNode>>>>,
}

/// Where it stands what a pod uses: who has that looks nothing up any more.
#[derive(Debug)]
pub(super) struct Spot {
    /// It is there.
    pub(super) of_node: Arc<OnceLock<OfNode>>,
    pub(super) places: Places,
}

impl Copies {
    /// None yet.
    pub(super) fn new(namespace: Option<&str>) -> Arc<Self> {
        Arc::new(Self {
            namespace: namespace.map(str::to_owned),
            ..Self::default()
        })
    }

    /// The places for those of some nodes, all looked up at once: two pieces are made at a time, and would wait for
    /// each other at every pod.
    pub(super) fn of<'a>(
        &self,
        nodes: impl Iterator<Item = &'a Arc<str>>,
    ) -> Vec<Arc<OnceLock<OfNode>>> {
        let of_nodes = self.of_nodes.lock();
        let mut of_nodes = of_nodes.unwrap_or_else(PoisonError::into_inner);
        let place = |node: &Arc<str>| match of_nodes.get(node) {
            Some(of_node) => Arc::clone(of_node),
            None => Arc::clone(of_nodes.entry(Arc::clone(node)).or_default()),
        };
        nodes.map(place).collect()
    }
}

/// Reads a little of each of some things, and does nothing with it. Those of many pods lie in memory that is in no cache;
/// read so, one after the other, the processor asks for many of them at a time.
pub(super) fn touch(all: impl Iterator<Item = u64>) {
    hint::black_box(all.fold(0, |all, one| all ^ one));
}

/// The beginning and the end of a text, to be touched.
pub(super) fn ends(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let end = |byte: Option<&u8>| byte.copied().unwrap_or(0);
    u64::from(end(bytes.first()) ^ end(bytes.last()))
}

#[cfg(test)]
mod tests {
    use super::Spot;

    #[test]
    fn where_it_stands_takes_little_of_what_a_list_may_have() {
        // Of 150,000 pods, beside the copies.
        let bytes = 150_000 * size_of::<Option<Spot>>();
        assert!(bytes <= 5 << 19, "{bytes}");
    }
}
