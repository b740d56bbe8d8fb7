//! Names of containers, each once, and how pods are told apart.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// A pod of a node, by its UID and its name.
pub type PodKey = u64;

/// Names on the first shelf; each further one has twice as many.
const FIRST_SHELF: u64 = 64;

/// Shelves that take as many names as there are numbers.
const SHELVES: usize = 27;

/// Names that are compared before one is looked up: the pods of a node have few different containers.
const LAST: usize = 4;

/// Names of containers, each once, and how pods are told apart.
#[derive(Debug, Default)]
pub struct ContainerNames {
    // Not to be guessed, so that nobody can make two pods of a node seem one.
    state: RandomState,
    places: RwLock<HashMap<Arc<str>, u32>>,
    // A name that is there stays where it is: who reads one waits for nobody and counts no reference, which all threads
    // would count in the same place.
    shelves: [OnceLock<Shelf>; SHELVES],
}

type Shelf = Box<[OnceLock<Arc<str>>]>;

/// What was named last.
#[derive(Debug)]
pub(super) struct Last<'a> {
    names: &'a ContainerNames,
    uid: String,
    pod: String,
    key: Option<PodKey>,
    places: [Option<(&'a str, u32)>; LAST],
    next: usize,
}

impl ContainerNames {
    /// What tells a pod from the others of its node.
    #[must_use]
    pub fn key(&self, uid: &str, pod: &str) -> PodKey {
        self.state.hash_one((uid, pod))
    }

    /// To name containers one after the other.
    pub(super) fn last(&self) -> Last<'_> {
        Last {
            names: self,
            uid: String::new(),
            pod: String::new(),
            key: None,
            places: [None; LAST],
            next: 0,
        }
    }

    /// The name at a place.
    pub(super) fn name(&self, place: u32) -> Option<&str> {
        let (shelf, nth) = at(place);
        let name = self.shelves.get(shelf)?.get()?.get(nth)?.get();
        name.map(|name| &**name)
    }

    /// The place of a name.
    pub(super) fn place(&self, name: &str) -> u32 {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(name) {
            return *place;
        }
        drop(places);
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(name) {
            return *place;
        }
        let place = u32::try_from(places.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        let (nth_shelf, nth) = at(place);
        if let Some(shelf) = self.shelves.get(nth_shelf) {
            let room = FIRST_SHELF << nth_shelf;
            let shelf = shelf.get_or_init(|| (0..room).map(|_| OnceLock::new()).collect());
            if let Some(slot) = shelf.get(nth) {
                slot.get_or_init(|| Arc::clone(&name));
            }
        }
        places.insert(name, place);
        place
    }
}

/// On which shelf the name of a place is, and where on it.
fn at(place: u32) -> (usize, usize) {
    let nth = u64::from(place) + FIRST_SHELF;
    let shelf = nth.ilog2() - FIRST_SHELF.ilog2();
    let before = FIRST_SHELF << shelf;
    (
        shelf as usize,
        usize::try_from(nth - before).unwrap_or(usize::MAX),
    )
}

impl Last<'_> {
    /// The key of a container's pod: those of one pod mostly come together.
    pub(super) fn key(&mut self, uid: &str, pod: &str) -> PodKey {
        if let Some(key) = self.key.filter(|_| self.uid == uid && self.pod == pod) {
            return key;
        }
        let key = self.names.key(uid, pod);
        for (own, told) in [(&mut self.uid, uid), (&mut self.pod, pod)] {
            own.clear();
            own.push_str(told);
        }
        *self.key.insert(key)
    }

    /// The place of a container's name.
    pub(super) fn place(&mut self, name: &str) -> u32 {
        let mut last = self.places.iter().flatten();
        if let Some((_, place)) = last.find(|(last, _)| *last == name) {
            return *place;
        }
        let place = self.names.place(name);
        if let Some(slot) = self.places.get_mut(self.next) {
            *slot = self.names.name(place).map(|name| (name, place));
        }
        self.next = (self.next + 1) % LAST;
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_one_of_a_shelf() {
        let mut expected = (0, 0);
        for place in 0..10_000 {
            assert_eq!(at(place), expected);
            expected.1 += 1;
            if expected.1 as u64 == FIRST_SHELF << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        let (shelf, nth) = at(u32::MAX);
        assert!(shelf < SHELVES && (nth as u64) < FIRST_SHELF << shelf);
    }

    #[test]
    fn a_name_has_one_place_whoever_asks_and_pods_have_a_key_each() {
        let names = ContainerNames::default();
        let mut last = names.last();
        for round in 0..2 {
            for nth in 0..300_u32 {
                let name = format!("app-{nth}");
                assert_eq!(last.place(&name), nth, "{round}");
                assert_eq!(names.place(&name), nth);
                assert_eq!(names.name(nth), Some(&*name));
                // Once more, and it is among the last.
                assert_eq!(last.place(&name), nth);
            }
        }
        assert_eq!(names.name(300), None);
        for (uid, pod) in [
            ("a", "b"),
            ("a", "c"),
            ("", "ab"),
            ("ab", ""),
            ("a", "b"),
            ("a", "b"),
        ] {
            assert_eq!(last.key(uid, pod), names.key(uid, pod));
        }
        assert_ne!(names.key("a", "b"), names.key("ab", ""));
    }
}
