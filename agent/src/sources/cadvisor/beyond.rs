//! What is left out of an answer because it has too much of it.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

/// Names that are remembered so that each counts once: twice as many as anything has that is not
/// hostile. Whatever comes after them counts with each of its lines.
const MAX_REMEMBERED: usize = 4_096;

/// The names that were left out.
#[derive(Debug, Default)]
pub(super) struct Beyond {
    // Hashes with a key of this answer: the names themselves are as long as the peer likes.
    seen: HashSet<u64>,
    keys: RandomState,
    count: u64,
}

impl Beyond {
    /// Counts a thing that has a line for each of its values, once.
    pub(super) fn leave_out(&mut self, path: &str, part: &str) {
        let hash = self.keys.hash_one((path, part));
        let is_new = if self.seen.len() < MAX_REMEMBERED {
            self.seen.insert(hash)
        } else {
            !self.seen.contains(&hash)
        };
        self.count += u64::from(is_new);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_once_and_what_is_remembered_is_bounded() {
        let mut beyond = Beyond::default();
        for _ in 0..3 {
            for n in 0..10 {
                beyond.leave_out("/a", &n.to_string());
                beyond.leave_out("/b", &n.to_string());
            }
        }
        assert_eq!(beyond.count(), 20);
        for n in 0..2 * MAX_REMEMBERED {
            beyond.leave_out("/c", &n.to_string());
        }
        assert_eq!(beyond.seen.len(), MAX_REMEMBERED);
        assert_eq!(beyond.count(), 20 + 2 * MAX_REMEMBERED as u64);
    }
}
