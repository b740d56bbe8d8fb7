//! Whose turn it is among those who wait for a look.
//!
//! Readers with different rights cannot share a look, so their looks are made one after the other. Next is the
//! reader who was served longest ago, and of one reader a few frames are written at a turn: so whoever waits, waits for
//! one turn of each other reader, however much that one wants.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Readers whose last turn is remembered: as many as there are places in the line, and some who have just left it.
const MOST_READERS: usize = 512;

/// When each reader had a turn.
#[derive(Debug, Default)]
pub(super) struct Order {
    turn: u64,
    last: BTreeMap<Arc<str>, u64>,
}

impl Order {
    /// When one of these had the last turn, of the one for whom that is longest ago; 0 for nobody in particular, and
    /// for whoever had none.
    pub(super) fn last(&self, readers: &[Arc<str>]) -> u64 {
        let last = readers.iter().map(|reader| self.last.get(reader).copied());
        last.map(Option::unwrap_or_default).min().unwrap_or(0)
    }

    /// These have a turn now.
    pub(super) fn serve<'a>(&mut self, readers: impl Iterator<Item = &'a Arc<str>>) {
        self.turn += 1;
        for reader in readers {
            self.last.insert(Arc::clone(reader), self.turn);
        }
        while self.last.len() > MOST_READERS {
            // Whoever was served longest ago is next all the same.
            let oldest = self.last.iter().min_by_key(|(_, turn)| **turn);
            let Some(oldest) = oldest.map(|(reader, _)| Arc::clone(reader)) else {
                return;
            };
            self.last.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_is_who_was_served_longest_ago() {
        let mut order = Order::default();
        let [jane, joe, new] = ["jane", "joe", "new"].map(Arc::<str>::from);
        order.serve([&jane].into_iter());
        order.serve([&joe].into_iter());
        let of = |readers: &[&Arc<str>]| {
            let readers: Vec<_> = readers.iter().copied().cloned().collect();
            order.last(&readers)
        };
        assert!(of(&[&new]) < of(&[&jane]) && of(&[&jane]) < of(&[&joe]));
        // What several wait for is as urgent as for the most urgent of them.
        assert_eq!(of(&[&joe, &jane]), of(&[&jane]));
        assert_eq!((of(&[]), of(&[&joe, &new])), (0, 0));
    }

    #[test]
    fn no_more_are_remembered_than_wait() {
        let mut order = Order::default();
        for n in 0..3 * MOST_READERS {
            let reader: Arc<str> = n.to_string().into();
            order.serve([&reader].into_iter());
        }
        assert_eq!(order.last.len(), MOST_READERS);
        let newest: Arc<str> = (3 * MOST_READERS - 1).to_string().into();
        assert_eq!(order.last(&[newest]), order.turn);
    }
}
