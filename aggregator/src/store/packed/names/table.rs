//! Names by id: one list of places, and one piece of text for all of them.

#[cfg(test)]
mod tests;

use cairn_proto::model::{EntityId, EntityKind};

use super::push;
use super::text::{Label, Moved, Name, Text};
use crate::store::spelled::Spelled;

#[derive(Debug, Default)]
pub(super) struct Table {
    // Rising by id.
    records: Vec<Record>,
    // What records refer to, and how much of it none refers to any more.
    text: Text,
    left: usize,
}

// Small, for a node has hundreds of them: all else that is known of a thing stands in the text.
#[derive(Clone, Copy, Debug)]
struct Record {
    id: EntityId,
    at: u32,
}

/// Where a name was put into the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Put {
    /// Its place.
    pub(super) at: u16,
    /// Those from this place on are one further than before.
    pub(super) moves: bool,
}

impl Table {
    /// The place of an id, or the one where it would be.
    fn position(&self, id: EntityId) -> Result<usize, usize> {
        // Nearly always ids rise.
        if self.records.last().is_none_or(|last| last.id < id) {
            return Err(self.records.len());
        }
        self.records.binary_search_by_key(&id, |record| record.id)
    }

    fn record(&self, id: EntityId) -> Option<&Record> {
        self.records.get(self.position(id).ok()?)
    }

    fn seen(&self, record: &Record) -> Name<'_> {
        self.text.read(record.id, record.at)
    }

    pub(super) fn get(&self, id: EntityId) -> Option<Name<'_>> {
        Some(self.seen(self.record(id)?))
    }

    /// What stands at a place.
    pub(super) fn at(&self, place: u16) -> Option<(EntityId, Name<'_>)> {
        let record = self.records.get(usize::from(place))?;
        Some((record.id, self.seen(record)))
    }

    /// Where an id stands.
    pub(super) fn place(&self, id: EntityId) -> Option<u16> {
        self.position(id).ok().map(place)
    }

    pub(super) fn has(&self, id: EntityId) -> bool {
        self.position(id).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// What an id is and what it is a part of: no more is read for that.
    pub(super) fn link(&self, id: EntityId) -> Option<(EntityKind, Option<EntityId>)> {
        Some(self.text.link(id, self.record(id)?.at))
    }

    /// All of some kinds, rising by id.
    pub(super) fn all(
        &self,
        is_one: impl Fn(EntityKind) -> bool,
    ) -> impl Iterator<Item = (EntityId, Name<'_>)> {
        let all = self.records.iter();
        let ones = all.filter(move |one| is_one(self.text.link(one.id, one.at).0));
        ones.map(|record| (record.id, self.seen(record)))
    }

    /// All of a kind in a namespace, rising by id.
    pub(super) fn all_in(&self, kind: EntityKind, namespace: &str) -> Vec<EntityId> {
        let all = self.records.iter();
        let ones = all.filter(|one| self.text.is_in(one.at, kind, namespace));
        ones.map(|record| record.id).collect()
    }

    /// All of a kind that are a part of something, each with that; no more is read for it.
    pub(super) fn parts(&self, kind: EntityKind) -> impl Iterator<Item = (EntityId, EntityId)> {
        self.records.iter().filter_map(move |record| {
            let (own, parent) = self.text.link(record.id, record.at);
            Some((record.id, parent.filter(|_| own == kind)?))
        })
    }

    pub(super) fn labels(&self, id: EntityId) -> Vec<(String, String)> {
        let labels = self.record(id).map(|one| self.text.labels(id, one.at));
        let labels = labels.unwrap_or_default().into_iter();
        let owned = |(key, value): Label<'_>| (key.to_owned(), value.with(str::to_owned));
        labels.map(owned).collect()
    }

    /// Names an id, which may have been called otherwise.
    pub(super) fn put(
        &mut self,
        id: EntityId,
        name: &Name<'_>,
        labels: &[(String, String)],
    ) -> Put {
        let labels = labels.iter();
        let labels = labels.map(|(key, value)| (key.as_str(), Spelled::whole(value)));
        let labels: Vec<Label<'_>> = labels.collect();
        let position = self.position(id);
        if let Some(record) = position.ok().and_then(|at| self.records.get(at)) {
            self.left += self.text.length(record.id, record.at);
        }
        let record = Record {
            id,
            at: self.text.put(id, name, &labels),
        };
        let put = match position {
            Ok(at) => {
                if let Some(slot) = self.records.get_mut(at) {
                    *slot = record;
                }
                Put {
                    at: place(at),
                    moves: false,
                }
            }
            Err(at) => {
                push(&mut self.records, at, record);
                Put {
                    at: place(at),
                    moves: at + 1 < self.records.len(),
                }
            }
        };
        self.tidy_much();
        put
    }

    /// Forgets an id; gives the place where it was. Those behind are one nearer than before.
    pub(super) fn remove(&mut self, id: EntityId) -> Option<u16> {
        let at = self.position(id).ok()?;
        let record = self.records.remove(at);
        self.left += self.text.length(record.id, record.at);
        self.tidy_much();
        Some(place(at))
    }

    /// Keeps the names of these ids alone. Tells of each place where its name is now.
    pub(super) fn retain(&mut self, is_kept: impl Fn(EntityId) -> bool) -> Vec<Option<u16>> {
        let mut count = 0;
        let kept = self.records.iter().map(|record| {
            is_kept(record.id).then(|| {
                count += 1;
                place(count - 1)
            })
        });
        let moved = kept.collect();
        self.records.retain(|record| is_kept(record.id));
        self.records.shrink_to_fit();
        self.tidy();
        moved
    }

    /// Lets go of the text that no record refers to, when that is much.
    fn tidy_much(&mut self) {
        if self.left > self.text.len() / 2 {
            self.tidy();
        }
    }

    /// Lets go of the text that no record refers to. The node is locked meanwhile, so nothing is looked
    /// for: it takes as long as to copy what is left.
    fn tidy(&mut self) {
        let mut text = Text::with_room(self.text.len().saturating_sub(self.left));
        let mut moved = Moved::of(&self.text);
        for record in &mut self.records {
            record.at = text.carry(&self.text, record.at, &mut moved);
        }
        // The old text goes before the new one is copied to where it fits.
        self.text = text;
        self.text.shrink();
        self.left = 0;
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>() + self.text.size()
    }
}

/// A node has less than 65,536 names.
fn place(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}
