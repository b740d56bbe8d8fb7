//! Ids by their paths.

use cairn_proto::model::EntityId;

use super::push;

/// By the hash of a path, which only this process can compute. Who looks for one compares what is
/// found: different paths may have the same hash.
#[derive(Debug, Default)]
pub(super) struct Paths {
    // Rising by hash; of one hash in any order.
    known: Vec<(u32, EntityId)>,
}

impl Paths {
    fn range(&self, hash: u32) -> std::ops::Range<usize> {
        let from = self.known.partition_point(|(known, _)| *known < hash);
        let rest = self.known.iter().skip(from);
        from..from + rest.take_while(|(known, _)| *known == hash).count()
    }

    /// The ids whose paths have this hash.
    pub(super) fn of(&self, hash: u32) -> impl Iterator<Item = EntityId> + '_ {
        let found = self.known.get(self.range(hash)).unwrap_or_default();
        found.iter().map(|(_, id)| *id)
    }

    pub(super) fn put(&mut self, hash: u32, id: EntityId) {
        let at = self.range(hash).end;
        push(&mut self.known, at, (hash, id));
    }

    pub(super) fn remove(&mut self, hash: u32, id: EntityId) {
        let mut range = self.range(hash);
        let at = range.find(|at| self.known.get(*at) == Some(&(hash, id)));
        if let Some(at) = at {
            self.known.remove(at);
        }
    }

    /// Keeps these ids alone.
    pub(super) fn retain(&mut self, is_kept: impl Fn(EntityId) -> bool) {
        self.known.retain(|(_, id)| is_kept(*id));
        self.known.shrink_to_fit();
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.known.capacity() * size_of::<(u32, EntityId)>()
    }
}
