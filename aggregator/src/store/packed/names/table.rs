//! Names by id: one list of records, and one piece of text for all of them.

use std::collections::BTreeMap;

use cairn_proto::model::{EntityDef, EntityId, EntityKind};

use super::push;

/// What a label is counted as beside its text.
const LABEL_BYTES: usize = 48;

/// What a list of labels is counted as beside them.
const LABELS_BYTES: usize = 64;

type Labels = Box<[(String, String)]>;

#[derive(Debug, Default)]
pub(super) struct Table {
    // Rising by id.
    records: Vec<Record>,
    // What records refer to, and what is left of those that went.
    text: String,
    left: usize,
    // Few things have any.
    labels: BTreeMap<EntityId, Labels>,
    label_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    id: EntityId,
    parent: Option<EntityId>,
    kind: EntityKind,
    // Name, namespace, uid and runtime id, one after the other: where each ends, counted from the
    // first's beginning.
    ends: [u16; 4],
    at: u32,
}

impl Record {
    fn length(&self) -> usize {
        self.ends[3].into()
    }
}

/// What an id is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub(super) kind: EntityKind,
    pub(super) parent: Option<EntityId>,
    text: &'a str,
    ends: [u16; 4],
}

impl<'a> Name<'a> {
    fn part(&self, from: u16, to: u16) -> &'a str {
        self.text.get(from.into()..to.into()).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &'a str {
        self.part(0, self.ends[0])
    }

    pub(super) fn namespace(&self) -> &'a str {
        self.part(self.ends[0], self.ends[1])
    }

    pub(super) fn uid(&self) -> &'a str {
        self.part(self.ends[1], self.ends[2])
    }

    pub(super) fn runtime_id(&self) -> &'a str {
        self.part(self.ends[2], self.ends[3])
    }
}

impl Table {
    fn position(&self, id: EntityId) -> Result<usize, usize> {
        // Nearly always ids rise.
        if self.records.last().is_none_or(|last| last.id < id) {
            return Err(self.records.len());
        }
        self.records.binary_search_by_key(&id, |record| record.id)
    }

    fn seen<'a>(&'a self, record: &Record) -> Name<'a> {
        let at = record.at as usize;
        Name {
            kind: record.kind,
            parent: record.parent,
            text: self.text.get(at..at + record.length()).unwrap_or_default(),
            ends: record.ends,
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

    pub(super) fn all(&self) -> impl Iterator<Item = Name<'_>> {
        self.records.iter().map(|record| self.seen(record))
    }

    pub(super) fn labels(&self, id: EntityId) -> &[(String, String)] {
        let labels = self.labels.get(&id);
        labels.map(|labels| &**labels).unwrap_or_default()
    }

    /// Names an id, which may have been called otherwise.
    pub(super) fn put(&mut self, def: EntityDef) {
        self.remove(def.id);
        let at = self.text.len();
        let parts = [&def.name, &def.namespace, &def.uid, &def.runtime_id];
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let spare = self.text.capacity() - at;
        if spare < length {
            self.text.reserve_exact(length + at / 8);
        }
        let ends = parts.map(|part| {
            self.text.push_str(part);
            u16::try_from(self.text.len() - at).unwrap_or(u16::MAX)
        });
        let record = Record {
            id: def.id,
            parent: def.parent,
            kind: def.kind,
            ends,
            at: u32::try_from(at).unwrap_or(u32::MAX),
        };
        let place = self.position(def.id).unwrap_or_else(|place| place);
        push(&mut self.records, place, record);
        if !def.labels.is_empty() {
            let labels: Labels = def.labels.into();
            self.label_bytes += bytes_of(&labels);
            self.labels.insert(def.id, labels);
        }
    }

    pub(super) fn remove(&mut self, id: EntityId) {
        if let Ok(place) = self.position(id) {
            let record = self.records.remove(place);
            self.left += record.length();
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
        let length = self.records.iter().map(Record::length).sum();
        let mut text = String::with_capacity(length);
        for record in &mut self.records {
            let (from, at) = (record.at as usize, text.len());
            let own = self.text.get(from..from + record.length());
            text.push_str(own.unwrap_or_default());
            record.at = u32::try_from(at).unwrap_or(u32::MAX);
        }
        self.text = text;
        self.left = 0;
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let records = self.records.capacity() * size_of::<Record>();
        records + self.text.capacity() + self.label_bytes
    }
}

fn bytes_of(labels: &Labels) -> usize {
    let text = |(key, value): &(String, String)| key.len() + value.len() + LABEL_BYTES;
    LABELS_BYTES + labels.iter().map(text).sum::<usize>()
}
