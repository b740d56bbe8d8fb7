//! Names of the pods of namespaces, as a reader finds them.

use std::sync::Arc;

use cairn_proto::model::EntityId;

use super::{MOST_IDLE_MS, PIECE_BYTES};
use crate::store::Entity;

/// Bytes of one node: three pods without labels (computed, names of forty characters). Of more of them on a node what
/// they have in common is found once for all.
pub(super) const NAMES_BYTES: usize = 1280;

/// A pod of which only the names are known.
pub(in crate::store::packed) type NamedPod = (EntityId, Entity);

/// The namespaces that were asked for.
#[derive(Debug, Default)]
pub(super) struct Names {
    // Rising by when they were put in.
    of: Vec<OfOne>,
}

#[derive(Debug)]
struct OfOne {
    namespace: Box<str>,
    pods: Arc<[NamedPod]>,
    // Since somebody asked for it, by the interval of its node.
    idle_ms: u64,
}

impl Names {
    pub(super) fn find(&mut self, namespace: &str) -> Option<Arc<[NamedPod]>> {
        let mut of = self.of.iter_mut();
        let found = of.find(|of| *of.namespace == *namespace)?;
        found.idle_ms = 0;
        Some(Arc::clone(&found.pods))
    }

    /// Takes one in that is not there, and lets go of the first ones as far as it needs room.
    pub(super) fn put(&mut self, namespace: &str, pods: &Arc<[NamedPod]>) {
        let new = OfOne {
            namespace: namespace.into(),
            pods: Arc::clone(pods),
            idle_ms: 0,
        };
        if new.bytes() > NAMES_BYTES {
            return;
        }
        self.of.push(new);
        while self.bytes() > NAMES_BYTES {
            self.of.remove(0);
        }
    }

    pub(super) fn tidy(&mut self, interval_ms: u64) {
        let all = self.of.iter_mut();
        all.for_each(|of| of.idle_ms = of.idle_ms.saturating_add(interval_ms));
        self.of.retain(|of| of.idle_ms <= MOST_IDLE_MS);
        if self.of.is_empty() {
            self.of = Vec::new();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.of.iter().map(OfOne::bytes).sum()
    }
}

impl OfOne {
    fn bytes(&self) -> usize {
        let texts = self.pods.iter().map(|(_, pod)| {
            let labels = pod.labels.iter();
            let labels = labels.map(|(key, value)| {
                size_of::<(String, String)>() + 2 * PIECE_BYTES + key.len() + value.len()
            });
            let texts = [&pod.name, &pod.pod_uid];
            let texts = texts.map(|text| PIECE_BYTES + text.len());
            texts.into_iter().chain(labels).sum::<usize>()
        });
        let pods = PIECE_BYTES + size_of_val(&*self.pods);
        size_of::<Self>() + PIECE_BYTES + self.namespace.len() + pods + texts.sum::<usize>()
    }
}
