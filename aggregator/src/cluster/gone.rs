//! Whose the pods were that are gone: what is held of them counts for their workloads as long as it is there.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Pod, Workload};

/// Pods that are remembered, some 200 bytes each. In a window of a quarter of an hour that is 18 pods a second;
/// where more go, sums over workloads lack the earliest of them in their past.
const MOST: usize = 16_384;

/// Workloads by the UIDs of pods that are gone, the latest ones.
#[derive(Debug, Default)]
pub(super) struct Gone {
    workloads: HashMap<Arc<str>, Workload>,
    order: VecDeque<Arc<str>>,
}

impl Gone {
    /// A pod went.
    pub(super) fn add(&mut self, pod: &Pod) {
        let Some(workload) = pod.workload() else {
            return;
        };
        let uid: Arc<str> = pod.uid_on_node().into();
        if self.workloads.insert(Arc::clone(&uid), workload).is_some() {
            return;
        }
        self.order.push_back(uid);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.workloads.remove(&oldest);
        }
    }

    /// Whose the pod was that its node called by this UID.
    pub(super) fn workload(&self, uid: &str) -> Option<&Workload> {
        self.workloads.get(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Owner;

    fn pod(uid: &str, kind: &str) -> Pod {
        Pod {
            uid: uid.into(),
            owner: Some(Arc::new(Owner {
                kind: kind.into(),
                name: "db".into(),
            })),
            ..Pod::default()
        }
    }

    #[test]
    fn the_latest_are_remembered_and_those_of_no_workload_are_not() {
        let mut gone = Gone::default();
        gone.add(&pod("static", "Node"));
        for n in 0..=MOST {
            for _ in 0..2 {
                gone.add(&pod(&n.to_string(), "StatefulSet"));
            }
        }
        assert_eq!((gone.workloads.len(), gone.order.len()), (MOST, MOST));
        assert!(gone.workload("static").is_none() && gone.workload("0").is_none());
        assert_eq!(gone.workload("1").map(|of| &*of.name), Some("db"));
    }
}
