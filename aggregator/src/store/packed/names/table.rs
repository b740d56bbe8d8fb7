//! Names by id: one list of records, and one piece of text for all of them.

use std::collections::BTreeMap;

use cairn_proto::model::{EntityDef, EntityId, EntityKind};

use super::push;
use super::text::{Place, Text, Words};
use super::uid::Uid;

/// What a label is counted as beside its text.
const LABEL_BYTES: usize = 48;

/// What a list of labels is counted as beside them.
const LABELS_BYTES: usize = 64;

type Labels = Box<[(String, String)]>;

#[derive(Debug, Default)]
pub(super) struct Table {
    // Rising by id.
    records: Vec<Record>,
    // What records refer to, and how much of it none refers to any more.
    text: Text,
    left: usize,
    // Few things have any.
    labels: BTreeMap<EntityId, Labels>,
    label_bytes: usize,
}

// Flat, so that it has no holes: sixteen bytes.
#[derive(Clone, Copy, Debug)]
struct Record {
    id: EntityId,
    // Means nothing without `PARENT`.
    parent: EntityId,
    at: u32,
    name_bytes: u16,
    // As of its `Place`, and `PARENT`.
    has: u8,
    kind: EntityKind,
}

/// It is a part of something.
const PARENT: u8 = 128;

impl Record {
    fn new(def: &EntityDef, place: Place) -> Self {
        let parent = if def.parent.is_some() { PARENT } else { 0 };
        Self {
            id: def.id,
            parent: def.parent.unwrap_or(def.id),
            at: place.at,
            name_bytes: place.name_bytes,
            has: place.has | parent,
            kind: def.kind,
        }
    }

    fn place(&self) -> Place {
        Place {
            at: self.at,
            name_bytes: self.name_bytes,
            has: self.has & !PARENT,
        }
    }

    fn set_place(&mut self, place: Place) {
        self.at = place.at;
        self.name_bytes = place.name_bytes;
        self.has = place.has | self.has & PARENT;
    }

    fn parent(&self) -> Option<EntityId> {
        (self.has & PARENT != 0).then_some(self.parent)
    }
}

/// What an id is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub(super) id: EntityId,
    pub(super) kind: EntityKind,
    pub(super) parent: Option<EntityId>,
    pub(super) words: Words<'a>,
}

impl Table {
    fn position(&self, id: EntityId) -> Result<usize, usize> {
        // Nearly always ids rise.
        if self.records.last().is_none_or(|last| last.id < id) {
            return Err(self.records.len());
        }
        self.records.binary_search_by_key(&id, |record| record.id)
    }

    fn seen(&self, record: &Record) -> Name<'_> {
        Name {
            id: record.id,
            kind: record.kind,
            parent: record.parent(),
            words: self.text.read(record.place()).0,
        }
    }

    pub(super) fn get(&self, id: EntityId) -> Option<Name<'_>> {
        let record = self.records.get(self.position(id).ok()?)?;
        Some(self.seen(record))
    }

    pub(super) fn has(&self, id: EntityId) -> bool {
        self.position(id).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The ids of things of some kinds, rising.
    pub(super) fn of_kinds(
        &self,
        is_one: impl Fn(EntityKind) -> bool,
    ) -> impl Iterator<Item = EntityId> {
        let all = self.records.iter();
        all.filter(move |record| is_one(record.kind))
            .map(|record| record.id)
    }

    /// What an id is and what it is a part of: no text is read for that.
    pub(super) fn link(&self, id: EntityId) -> Option<(EntityKind, Option<EntityId>)> {
        let record = self.records.get(self.position(id).ok()?)?;
        Some((record.kind, record.parent()))
    }

    /// All of a kind.
    pub(super) fn all(&self, kind: EntityKind) -> impl Iterator<Item = Name<'_>> {
        let of_kind = self.records.iter().filter(move |one| one.kind == kind);
        of_kind.map(|record| self.seen(record))
    }

    pub(super) fn labels(&self, id: EntityId) -> &[(String, String)] {
        let labels = self.labels.get(&id);
        labels.map(|labels| &**labels).unwrap_or_default()
    }

    /// Names an id, which may have been called otherwise.
    pub(super) fn put(&mut self, def: EntityDef) {
        self.remove(def.id);
        let words = Words {
            name: &def.name,
            namespace: &def.namespace,
            uid: Uid::of(&def.uid),
            runtime_id: &def.runtime_id,
        };
        let record = Record::new(&def, self.text.put(&words));
        let at = self.position(def.id).unwrap_or_else(|at| at);
        push(&mut self.records, at, record);
        if !def.labels.is_empty() {
            let labels: Labels = def.labels.into();
            self.label_bytes += bytes_of(&labels);
            self.labels.insert(def.id, labels);
        }
    }

    pub(super) fn remove(&mut self, id: EntityId) {
        if let Ok(at) = self.position(id) {
            let record = self.records.remove(at);
            self.left += self.text.read(record.place()).1;
            if let Some(labels) = self.labels.remove(&id) {
                self.label_bytes -= bytes_of(&labels);
            }
            if self.left > self.text.len() / 2 {
                self.tidy();
            }
        }
    }

    /// Keeps the names of these ids alone.
    pub(super) fn retain(&mut self, is_kept: impl Fn(EntityId) -> bool) {
        self.records.retain(|record| is_kept(record.id));
        self.records.shrink_to_fit();
        self.labels.retain(|id, _| is_kept(*id));
        self.label_bytes = self.labels.values().map(bytes_of).sum();
        self.tidy();
    }

    /// Lets go of the text that no record refers to.
    fn tidy(&mut self) {
        let lengths = self.records.iter();
        let lengths = lengths.map(|record| self.text.read(record.place()).1);
        let mut text = Text::with_room(lengths.sum());
        for record in &mut self.records {
            let place = text.put(&self.text.read(record.place()).0);
            record.set_place(place);
        }
        self.text = text;
        self.left = 0;
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let records = self.records.capacity() * size_of::<Record>();
        records + self.text.size() + self.label_bytes
    }
}

fn bytes_of(labels: &Labels) -> usize {
    let text = |(key, value): &(String, String)| key.len() + value.len() + LABEL_BYTES;
    LABELS_BYTES + labels.iter().map(text).sum::<usize>()
}
