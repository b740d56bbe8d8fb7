//! Streams that are not taken yet: a few of each node at once, so that one token cannot take the places of
//! all. They have not said `Hello`, have not paid, or rest because they were refused. Where nobody asks who
//! it is, the node is known from `Hello` on, and so many of it at once wait to be paid for.
//!
//! Bounds: one entry for each node that has such a stream, none for others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pace::MOST_DEBT;
use super::{HELLO_DEADLINE, Identity, REFUSED_AFTER};

/// Such streams of one node. An agent says `Hello` with the first bytes of its stream and has one; what
/// it left behind when its connection broke may not be noticed yet.
const MOST: u32 = 4;

/// The node has too many streams that are not taken yet. What they may wait for one after the other is
/// `Hello`, and to be paid for or refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{MOST} streams of node {node} are open that have said no Hello, or one that was \
     refused, or wait to be opened: is its token or its name used by others, or its agent refused? there is \
     a place again within {} s", (HELLO_DEADLINE + MOST_DEBT + REFUSED_AFTER).as_secs()
)]
pub(super) struct TooMany {
    node: Arc<str>,
}

/// Counts them. A clone is the same count.
#[derive(Clone, Debug, Default)]
pub(super) struct Unheard {
    by_node: Arc<Mutex<HashMap<Arc<str>, u32>>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    of: Unheard,
    // None when it is not known, or counted already.
    node: Option<Arc<str>>,
}

impl Unheard {
    /// Takes one more, unless its node has too many.
    pub(super) fn enter(&self, identity: &Identity) -> Result<Waiting, TooMany> {
        self.take(identity.node().cloned())
    }

    /// Takes one more to wait until it is paid for, where its node was not known before: what is owed beyond
    /// [`MOST_DEBT`] is forgiven, so that those who wait have to be few.
    pub(super) fn pay(&self, identity: &Identity, node: &str) -> Result<Waiting, TooMany> {
        let is_counted = identity.node().is_some();
        self.take((!is_counted).then(|| node.into()))
    }

    fn take(&self, node: Option<Arc<str>>) -> Result<Waiting, TooMany> {
        if let Some(node) = &node {
            let mut by_node = self.lock();
            let count = by_node.entry(Arc::clone(node)).or_default();
            if *count >= MOST {
                let node = Arc::clone(node);
                return Err(TooMany { node });
            }
            *count += 1;
        }
        let of = self.clone();
        Ok(Waiting { of, node })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, u32>> {
        self.by_node.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(node) = self.node.take() else { return };
        if let Entry::Occupied(mut count) = self.of.lock().entry(node) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Identity {
        Identity::Node(name.into(), [0; 32])
    }

    #[test]
    fn a_node_has_a_few_at_once_and_takes_no_other_nodes_place() {
        let unheard = Unheard::default();
        let held: Vec<Waiting> = (0..MOST)
            .map(|_| unheard.enter(&node("many")).unwrap())
            .collect();
        let refused = unheard.enter(&node("many")).unwrap_err();
        assert!(refused.to_string().contains("node many"), "{refused}");
        let other = unheard.enter(&node("other")).unwrap();
        drop(held);
        assert_eq!(unheard.lock().len(), 1, "nothing is left of it");
        let again = unheard.enter(&node("many")).unwrap();
        drop((other, again));
        assert!(unheard.lock().is_empty());
    }

    #[test]
    fn where_nobody_asks_who_it_is_they_are_told_apart_when_they_pay() {
        let unheard = Unheard::default();
        let held: Vec<Waiting> = (0..=MOST)
            .map(|_| unheard.enter(&Identity::Anyone).unwrap())
            .collect();
        assert!(unheard.lock().is_empty() && held.len() == 5);
        let paying: Vec<Waiting> = (0..MOST)
            .map(|_| unheard.pay(&Identity::Anyone, "many").unwrap())
            .collect();
        unheard.pay(&Identity::Anyone, "many").unwrap_err();
        assert!(unheard.pay(&Identity::Anyone, "other").is_ok());
        drop(paying);
        assert!(unheard.lock().is_empty());
        // Whose token is known has its place already.
        assert!(unheard.pay(&node("many"), "many").unwrap().node.is_none());
    }
}
