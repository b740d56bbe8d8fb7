//! The plan against a world in which time jumps and publishing fails.

use cairn_runtime::tls::Validity;
use proptest::prelude::*;

use super::super::make::{CA_LIFE_S, DAY_S, EARLIER_S, LEAF_LIFE_S};
use super::super::plan::{Change, Facts, Next, PUBLISHED_FIRST_S, due};

/// A CA and the end of the last leaf that it signed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ca {
    valid: Validity,
    last_leaf_s: u64,
}

/// The Secret without cryptography.
#[derive(Debug)]
struct World {
    now_s: u64,
    ca: Ca,
    leaf: Validity,
    next: Option<(Ca, Option<u64>)>,
    old: Vec<Ca>,
    old_until_s: Option<u64>,
    begun: u32,
}

fn life(now_s: u64, life_s: u64) -> Validity {
    Validity {
        from_unix_s: now_s - EARLIER_S,
        until_unix_s: now_s + life_s,
    }
}

impl World {
    fn new(now_s: u64) -> Self {
        let mut world = Self {
            now_s,
            ca: Ca {
                valid: life(now_s, CA_LIFE_S),
                last_leaf_s: 0,
            },
            leaf: life(now_s, 0),
            next: None,
            old: Vec::new(),
            old_until_s: None,
            begun: 0,
        };
        world.sign();
        world
    }

    fn sign(&mut self) {
        let until_s = (self.now_s + LEAF_LIFE_S).min(self.ca.valid.until_unix_s);
        self.leaf = life(self.now_s, until_s - self.now_s);
        self.ca.last_leaf_s = until_s;
    }

    fn facts(&self) -> Facts {
        let leaf = if self.now_s > self.leaf.until_unix_s {
            Err("expired".to_owned())
        } else {
            Ok(self.leaf)
        };
        Facts {
            ca: self.ca.valid,
            leaf,
            missing: Vec::new(),
            next: self.next.map(|(_, published_s)| Next { published_s }),
            old_until_s: self.old_until_s,
        }
    }

    /// Does one change and checks what it may break.
    fn act(&mut self, change: &Change) {
        let signs = matches!(
            change,
            Change::Promote | Change::RenewLeaf { .. } | Change::Begin
        );
        // It would not be written.
        assert!(signs || self.facts().fault().is_none(), "{change:?}");
        match change {
            Change::MakeNext => {
                assert!(self.next.is_none());
                let valid = life(self.now_s, CA_LIFE_S);
                let last_leaf_s = 0;
                self.next = Some((Ca { valid, last_leaf_s }, None));
            }
            Change::NotePublished => {
                let (ca, _) = self.next.unwrap();
                self.next = Some((ca, Some(self.now_s)));
            }
            Change::Promote => {
                let (ca, published_s) = self.next.take().unwrap();
                let waited =
                    published_s.is_some_and(|since| self.now_s - since >= PUBLISHED_FIRST_S);
                let is_late = self.now_s + 7 * DAY_S >= self.ca.valid.until_unix_s;
                assert!(waited || is_late, "signed before it was published");
                self.old_until_s = Some(self.old_until_s.unwrap_or(0).max(self.leaf.until_unix_s));
                self.old.push(std::mem::replace(&mut self.ca, ca));
                self.sign();
            }
            Change::RenewLeaf { .. } => self.sign(),
            Change::DropOld => {
                let now_s = self.now_s;
                assert!(self.old.iter().all(|ca| ca.last_leaf_s < now_s), "{self:?}");
                self.old.clear();
                self.old_until_s = None;
            }
            Change::Begin => {
                assert!(self.now_s > self.ca.valid.until_unix_s);
                let begun = self.begun + 1;
                *self = Self::new(self.now_s);
                self.begun = begun;
            }
        }
    }

    /// Looks until nothing is due; a look does at most one change.
    fn settle(&mut self, is_published: bool) {
        for _ in 0..6 {
            match due(&self.facts(), is_published, self.now_s) {
                Some(change) => self.act(&change),
                None => return,
            }
        }
        panic!("never done: {self:?}");
    }
}

proptest! {
    #[test]
    fn nothing_is_signed_too_early_or_dropped_too_early(
        steps in prop::collection::vec((0..4usize, any::<bool>()), 1..200)
    ) {
        let mut world = World::new(1_800_000_000);
        for (length, is_published) in steps {
            world.now_s += [10, 3600, DAY_S, 20 * DAY_S][length];
            world.settle(is_published);
        }
    }

    #[test]
    fn with_a_look_a_day_no_certificate_ever_ends(
        steps in prop::collection::vec(1..=DAY_S, 500..1_000)
    ) {
        let mut world = World::new(1_800_000_000);
        for step in steps {
            world.now_s += step;
            prop_assert!(world.now_s <= world.leaf.until_unix_s);
            world.settle(true);
        }
        prop_assert_eq!(world.begun, 0);
    }
}
