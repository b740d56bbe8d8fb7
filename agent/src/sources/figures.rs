//! What a source says of one thing: values by field, and one measurement time for each group.

use cairn_proto::catalogue::{FieldId, Group, table};
use cairn_proto::model::EntityKind;

/// Values of one thing, as one source read them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Figures {
    values: Vec<(FieldId, u64)>,
    // 0 of a group without one: it is in every part, twice as large with options.
    times_ms: [u64; Group::ALL.len()],
}

impl Clone for Figures {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            times_ms: self.times_ms,
        }
    }

    // What is read at every tick is copied into the room of an earlier reading.
    fn clone_from(&mut self, from: &Self) {
        self.values.clone_from(&from.values);
        self.times_ms = from.times_ms;
    }
}

impl Figures {
    /// Makes room for so many values more.
    pub fn reserve(&mut self, values: usize) {
        self.values.reserve(values);
    }

    /// Forgets everything but the room that it took.
    pub fn clear(&mut self) {
        self.values.clear();
        self.times_ms = [0; Group::ALL.len()];
    }

    /// Takes away all but the first values.
    pub fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
    }

    /// Says when a group was measured, Unix ms. Without it, it was when the answer was read.
    pub fn measured(&mut self, group: Group, time_ms: u64) {
        if let Some(slot) = self.times_ms.get_mut(group as usize) {
            // The first moment of 1970 is as long ago as the second one.
            *slot = time_ms.max(1);
        }
    }

    /// Adds a value; `None` adds nothing.
    pub fn push(&mut self, field: FieldId, value: Option<u64>) {
        self.values.extend(value.map(|value| (field, value)));
    }

    /// When a group was measured, when its source says so.
    #[must_use]
    pub fn time_ms(&self, group: Group) -> Option<u64> {
        let time_ms = self.times_ms.get(group as usize).copied();
        time_ms.filter(|time_ms| *time_ms > 0)
    }

    /// The values, in the order in which they were added.
    #[must_use]
    pub fn values(&self) -> &[(FieldId, u64)] {
        &self.values
    }

    /// The value of a field.
    #[must_use]
    pub fn value(&self, field: FieldId) -> Option<u64> {
        self.values
            .iter()
            .find_map(|(id, value)| (*id == field).then_some(*value))
    }

    /// True when there is a value of the group.
    #[must_use]
    pub fn has(&self, group: Group) -> bool {
        self.values
            .iter()
            .any(|(id, _)| table::field(*id).is_some_and(|field| field.group == group))
    }
}

/// A part of a thing with values of its own: a file system, a volume, an interface, a device.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: EntityKind,
    /// Its name; never empty.
    pub name: String,
    /// What else tells it apart, sorted by key.
    pub labels: Vec<(String, String)>,
    /// Its values.
    pub figures: Figures,
}

impl Clone for Part {
    fn clone(&self) -> Self {
        Self {
            kind: self.kind,
            name: self.name.clone(),
            labels: self.labels.clone(),
            figures: self.figures.clone(),
        }
    }

    fn clone_from(&mut self, from: &Self) {
        self.kind = from.kind;
        self.name.clone_from(&from.name);
        self.labels.clone_from(&from.labels);
        self.figures.clone_from(&from.figures);
    }
}
