//! What the rows of an entity mean in a field that is not, or not only, measured.

use cairn_proto::catalogue::{Field, FieldId, Kind, Origin, table};

use super::known;
use super::series::{Told, walk};
use super::{NODE_MAX_AGE_MS, Named, Sample, View};
use crate::store::{Entity, RawRow};

/// How rows become values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// They have them.
    Measured,
    /// This one wherever there is a row; no value at all for `None`.
    Now(Option<u64>),
    /// What they say as a part of this; no value at all for `None`.
    PartOf(Option<u64>),
}

impl View {
    /// What the rows of an entity mean in a field.
    pub(super) fn meaning(&self, field: &Field, entity: &Entity) -> Meaning {
        match field.origin {
            Origin::Measured => Meaning::Measured,
            Origin::Presence => Meaning::Now(Some(1)),
            Origin::Cluster => Meaning::Now(known::value(self.specs(), entity, field.id)),
            Origin::Utilization { allocatable, .. } => {
                Meaning::PartOf(known::value(self.specs(), entity, allocatable))
            }
        }
    }

    /// True when somebody watches the cluster's objects.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.specs().is_watched()
    }

    /// What the cluster's objects say of an entity now; `None` where that is nothing.
    #[must_use]
    pub fn known_now(&self, entity: &Entity, of: FieldId) -> Option<u64> {
        known::value(self.specs(), entity, of)
    }

    /// The same of the node of a name.
    #[must_use]
    pub fn known_of_node(&self, name: &str, of: FieldId) -> Option<u64> {
        known::value_of_node(self.specs(), name, of)
    }

    /// How many of a resource beside CPU, memory and ephemeral storage a pod or container asks for, at each
    /// tick at which it has a row.
    #[must_use]
    pub fn other_request(&self, named: &Named, name: &str, ticks_ms: &[u64]) -> Vec<Option<u64>> {
        let Some(field) = table::field(table::POD_COUNT) else {
            return Vec::new();
        };
        self.merged(named, ticks_ms, |life| {
            let now = known::other_request(self.specs(), life, name);
            let mut told = Vec::with_capacity(ticks_ms.len());
            let rows = self.rows(life, field, ticks_ms);
            Meaning::Now(now).walk(field, &rows, ticks_ms, |t| {
                told.push((t.present, t.sample.map(|sample| sample.value)));
            });
            told
        })
    }

    /// Names of the resources beside those that any life of a name asks for, sorted.
    #[must_use]
    pub fn other_names(&self, named: &Named) -> Vec<Box<str>> {
        let lives = named.lives.iter();
        let mut names: Vec<Box<str>> = lives
            .flat_map(|life| known::other_names(self.specs(), life))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Meaning {
    /// Goes through the rows of [`Field::read_as`] and says what they mean at each tick.
    pub(super) fn walk(
        self,
        field: &Field,
        rows: &[RawRow],
        ticks_ms: &[u64],
        mut say: impl FnMut(Told),
    ) {
        let read = field.read_as();
        match self {
            Self::Measured => walk(read, rows, ticks_ms, say),
            Self::Now(now) => walk_present(now, rows, ticks_ms, say),
            Self::PartOf(all) => walk(read, rows, ticks_ms, |told| {
                let of_all = |sample: Sample| Some(plain(part(read, sample, all?)?));
                say(Told {
                    sample: told.sample.and_then(of_all),
                    ..told
                });
            }),
        }
    }
}

/// A value at each tick whose last row knows the entity and is young enough: a node that is silent is not
/// taken for one that is there.
fn walk_present(now: Option<u64>, rows: &[RawRow], ticks_ms: &[u64], mut say: impl FnMut(Told)) {
    let mut rows = rows.iter().peekable();
    let mut last: Option<&RawRow> = None;
    for tick_ms in ticks_ms {
        while let Some(row) = rows.next_if(|row| row.tick_ms <= *tick_ms) {
            last = Some(row);
        }
        let present = last.is_some_and(|row| row.present);
        let is_young = |row: &RawRow| tick_ms.saturating_sub(row.tick_ms) <= NODE_MAX_AGE_MS;
        let is_there = present && last.is_some_and(is_young);
        say(Told {
            present,
            sample: now.filter(|_| is_there).map(plain),
        });
    }
}

/// A usage as a part of what can be asked for. CPU is told in thousandths of a core there, and used in
/// billionths.
fn part(usage: &Field, sample: Sample, all: u64) -> Option<u64> {
    match usage.kind {
        Kind::Gauge => known::part_of(sample.value, all),
        Kind::Counter => sample.rate?.nanocores().checked_div(all),
    }
}

/// A value without a history.
fn plain(value: u64) -> Sample {
    Sample {
        value,
        rate: None,
        start_ms: None,
    }
}
