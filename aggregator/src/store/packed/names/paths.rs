//! Places in the table of names by their paths.

use super::{push, short};

/// By a part of the hash of a path, which only this process can compute. Who looks for one compares what is
/// found: different paths may have the same.
#[derive(Debug, Default)]
pub(super) struct Paths {
    // Rising: two bytes of a hash above two of a place. As many things as one node may have are told
    // apart by two bytes; of their hashes few are the same.
    known: Vec<u32>,
}

impl Paths {
    fn range(&self, hash: u64) -> std::ops::Range<usize> {
        let own = short(hash);
        let from = self.known.partition_point(|known| known >> 16 < own);
        let rest = self.known.iter().skip(from);
        from..from + rest.take_while(|known| **known >> 16 == own).count()
    }

    /// The places that paths of this hash may lead to.
    pub(super) fn of(&self, hash: u64) -> impl Iterator<Item = u16> + '_ {
        let found = self.known.get(self.range(hash)).unwrap_or_default();
        found.iter().map(|known| place(*known))
    }

    pub(super) fn put(&mut self, hash: u64, at: u16) {
        let own = short(hash) << 16 | u32::from(at);
        if let Err(nth) = self.known.binary_search(&own) {
            push(&mut self.known, nth, own);
        }
    }

    pub(super) fn remove(&mut self, hash: u64, at: u16) {
        let own = short(hash) << 16 | u32::from(at);
        if let Ok(nth) = self.known.binary_search(&own) {
            self.known.remove(nth);
        }
    }

    /// Something was put into the table before others: from this place on all are one further.
    pub(super) fn shift_up(&mut self, from: u16) {
        for known in &mut self.known {
            *known += u32::from(place(*known) >= from);
        }
    }

    /// Something was taken out of the table: behind this place all are one nearer.
    pub(super) fn shift_down(&mut self, from: u16) {
        for known in &mut self.known {
            *known -= u32::from(place(*known) > from);
        }
    }

    /// Lets each lead to where it is now, and forgets those that are nowhere.
    pub(super) fn moved(&mut self, to: &[Option<u16>]) {
        self.known.retain_mut(|known| {
            let to = to.get(usize::from(place(*known))).copied().flatten();
            to.is_some_and(|to| {
                *known = *known >> 16 << 16 | u32::from(to);
                true
            })
        });
        self.known.shrink_to_fit();
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.known.capacity() * size_of::<u32>()
    }
}

/// The place of an entry.
fn place(known: u32) -> u16 {
    u16::try_from(known & 0xffff).unwrap_or(u16::MAX)
}
