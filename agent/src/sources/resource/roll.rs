//! What is said of things by their names, in the order in which they are named.
//!
//! A kubelet names the same things in the same order, family by family and answer by answer. Where the
//! next one stands is guessed from where the last one stood, and nothing is hashed or allocated while
//! that is right. An answer is read into the list of an earlier one; what it does not name is gone.

use std::hash::{BuildHasher as _, RandomState};

use crate::sources::hashed::Index;

/// What tells a thing apart: namespace, pod and container; of a pod itself no container.
pub(super) type Key<'a> = [&'a str; 3];

/// Entries that may be kept room for, for each that is there, before the room is given back.
const SLACK: usize = 4;

/// A list of things by their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Roll<T> {
    entries: Vec<Entry<T>>,
    // By the hash of the names: the last entry of it.
    index: Index,
    keys: RandomState,
    // Where the next thing is expected.
    guess: usize,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    names: [Box<str>; 3],
    value: T,
    is_named: bool,
    // Another entry of the same hash.
    next: Option<u32>,
}

impl<T> Entry<T> {
    fn is(&self, key: Key<'_>) -> bool {
        // The container first: of what is told apart here it differs most often.
        self.names
            .iter()
            .rev()
            .zip(key.iter().rev())
            .all(|(name, wanted)| **name == **wanted)
    }
}

impl<T: Default> Roll<T> {
    /// Makes the list one of which nothing is named yet.
    pub(super) fn begin(&mut self) {
        for entry in &mut self.entries {
            (entry.value, entry.is_named) = (T::default(), false);
        }
        self.guess = 0;
    }

    /// Forgets what was not named, and room that an answer of another size took.
    pub(super) fn finish(&mut self) {
        if self.entries.iter().any(|entry| !entry.is_named) {
            self.entries.retain(|entry| entry.is_named);
            self.index.clear();
            for at in 0..self.entries.len() {
                self.enter(at);
            }
        }
        if self.entries.capacity() > self.entries.len().saturating_mul(SLACK) {
            self.entries.shrink_to_fit();
            self.index.shrink_to_fit();
        }
    }

    /// Whether this was named.
    pub(super) fn has(&mut self, key: Key<'_>) -> bool {
        let at = self.expected(key).or_else(|| self.find(key));
        // Whoever asks is about to write there.
        self.guess = at.unwrap_or(self.guess);
        at.and_then(|at| self.entries.get(at))
            .is_some_and(|entry| entry.is_named)
    }

    /// What is said of this, or the beginning of it. `None` when the list is as long as it can be.
    pub(super) fn named(&mut self, key: Key<'_>) -> Option<&mut T> {
        let at = match self.expected(key).or_else(|| self.find(key)) {
            Some(at) => at,
            None => {
                let at = self.entries.len();
                u32::try_from(at).ok()?;
                self.entries.push(Entry {
                    names: key.map(Into::into),
                    value: T::default(),
                    is_named: false,
                    next: None,
                });
                self.enter(at);
                at
            }
        };
        self.guess = at + 1;
        let entry = self.entries.get_mut(at)?;
        entry.is_named = true;
        Some(&mut entry.value)
    }

    /// What is said of this.
    pub(super) fn get(&self, key: Key<'_>) -> Option<&T> {
        let entry = self.entries.get(self.find(key)?)?;
        entry.is_named.then_some(&entry.value)
    }

    /// Everything that was named, by its names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key<'_>, &T)> {
        let named = self.entries.iter().filter(|entry| entry.is_named);
        named.map(|entry| (entry.names.each_ref().map(AsRef::as_ref), &entry.value))
    }

    /// How many were named.
    fn named_count(&self) -> usize {
        self.iter().count()
    }

    /// Where the thing stands if it stands where it is expected: behind the last one, or first again.
    fn expected(&self, key: Key<'_>) -> Option<usize> {
        let guesses = [self.guess, 0];
        let is_there = |at: &usize| self.entries.get(*at).is_some_and(|entry| entry.is(key));
        guesses.into_iter().find(is_there)
    }

    fn find(&self, key: Key<'_>) -> Option<usize> {
        let mut at = self.index.get(&self.keys.hash_one(key)).copied();
        while let Some(place) = at {
            let entry = self.entries.get(place as usize)?;
            if entry.is(key) {
                return Some(place as usize);
            }
            at = entry.next;
        }
        None
    }

    /// Makes an entry found by its names.
    fn enter(&mut self, at: usize) {
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        let names: Key<'_> = entry.names.each_ref().map(AsRef::as_ref);
        let hash = self.keys.hash_one(names);
        entry.next = u32::try_from(at)
            .ok()
            .and_then(|at| self.index.insert(hash, at));
    }
}

/// The same is said of the same things, in whatever order.
impl<T: Default + PartialEq> PartialEq for Roll<T> {
    fn eq(&self, other: &Self) -> bool {
        let is_there = |(key, value)| other.get(key) == Some(value);
        self.named_count() == other.named_count() && self.iter().all(is_there)
    }
}

impl<T: Default + Eq> Eq for Roll<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(roll: &Roll<u32>) -> Vec<(Key<'_>, u32)> {
        roll.iter().map(|(key, value)| (key, *value)).collect()
    }

    #[test]
    fn what_is_named_again_in_any_order_is_found_and_what_is_not_is_gone() {
        let mut roll = Roll::default();
        let keys = [
            ["a", "p", "x"],
            ["a", "p", "y"],
            ["a", "q", "x"],
            ["b", "p", ""],
        ];
        roll.begin();
        for (n, key) in (1..).zip(keys) {
            assert!(!roll.has(key));
            *roll.named(key).unwrap() = n;
        }
        for key in keys.into_iter().rev() {
            assert!(roll.has(key));
            *roll.named(key).unwrap() += 10;
        }
        roll.finish();
        assert_eq!(names(&roll), keys.into_iter().zip(11..).collect::<Vec<_>>());
        roll.begin();
        assert_eq!((names(&roll), roll.get(keys[0])), (Vec::new(), None));
        for key in [keys[3], keys[1], ["c", "", ""]] {
            *roll.named(key).unwrap() += 1;
        }
        roll.finish();
        let left = [(keys[1], 1), (keys[3], 1), (["c", "", ""], 1)];
        assert_eq!(names(&roll), left);
        assert!(left.iter().all(|(key, _)| roll.get(*key) == Some(&1)));
        assert_eq!(roll.get(keys[0]), None);
    }

    #[test]
    fn names_that_run_together_are_not_one() {
        let mut roll = Roll::default();
        *roll.named(["ab", "c", ""]).unwrap() = 1;
        assert_eq!(roll.get(["a", "bc", ""]), None);
        assert_eq!(roll.get(["ab", "", "c"]), None);
    }

    #[test]
    fn the_room_of_a_long_answer_is_given_back() {
        let mut roll = Roll::<u32>::default();
        for n in 0..1_000 {
            roll.named(["", "", &n.to_string()]).unwrap();
        }
        roll.finish();
        roll.begin();
        roll.named(["", "", "7"]).unwrap();
        roll.finish();
        assert!(roll.entries.capacity() <= SLACK && roll.index.capacity() < 16);
    }
}
