//! A row in the making.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind, Stamp};

use super::{Chosen, Inputs, Merged};
use crate::sampler::registry::{Description, Entry, Registry};
use crate::sources::summary::Stats;
use crate::sources::{Figures, Part};

/// How far a measurement may lie ahead of the row, ms: the kubelet's times are rounded to the second.
pub(in crate::sampler) const FUTURE_TOLERANCE_MS: u64 = 1_000;

/// Up to so many parts each is compared with each. More are the processors of a large machine, 512 of
/// which would be 130,000 comparisons in each row.
const FEW_PARTS: usize = 32;

/// Figures that are owned or borrowed.
#[derive(Clone, Debug)]
pub(super) enum Held<'a> {
    Owned(Figures),
    Borrowed(&'a Figures),
}

impl From<Figures> for Held<'_> {
    fn from(figures: Figures) -> Self {
        Held::Owned(figures)
    }
}

impl Deref for Held<'_> {
    type Target = Figures;

    fn deref(&self) -> &Figures {
        match self {
            Held::Owned(figures) => figures,
            Held::Borrowed(figures) => figures,
        }
    }
}

/// What one source says of one entity.
#[derive(Clone, Debug)]
pub(super) struct Statement<'a> {
    pub(super) source: Source,
    /// When the entity began, as this source says, Unix ms.
    pub(super) start_ms: Option<u64>,
    /// When the answer was read, Unix ms: the time of values that name none.
    pub(super) taken_ms: u64,
    pub(super) figures: Held<'a>,
}

/// Collects the entities of one row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) tick: u64,
    made_ms: u64,
    // What says what is there, a summary or else cAdvisor, has answered last.
    list_is_fresh: bool,
    host_is_fresh: bool,
    registry: &'a mut Registry,
    builder: Builder,
    // As they came; an entity that came twice is there twice.
    defs: Vec<Arc<EntityDef>>,
    late_count: u64,
    future_count: u64,
    refused_count: u64,
    dropped_count: u64,
}

impl<'a> Row<'a> {
    pub(super) fn new(inputs: &Inputs<'_>, registry: &'a mut Registry) -> Self {
        let builder = std::mem::take(registry.builder());
        let defs = Vec::with_capacity(registry.len());
        Self {
            tick: inputs.tick,
            made_ms: inputs.made_ms,
            list_is_fresh: inputs.summary_is_fresh
                || inputs.alone.is_some_and(|alone| alone.is_fresh),
            host_is_fresh: inputs.host_is_fresh,
            registry,
            builder,
            defs,
            late_count: 0,
            future_count: 0,
            refused_count: 0,
            dropped_count: 0,
        }
    }

    /// True when an entity that a summary lists belongs into the row: the summary is of this tick,
    /// or something that it says of the entity itself still means something. What the resource
    /// endpoint says does not count: it knows names only, and goes on for the next pod of the same
    /// name. Nor do parts: a volume that is young for five minutes keeps no pod alive.
    pub(super) fn belongs(&self, stats: &Stats) -> bool {
        self.list_is_fresh
            || [Group::Cpu, Group::Memory, Group::Network]
                .into_iter()
                .any(|group| self.is_young(&stats.figures, group))
    }

    /// The same for a part of an entity that belongs, by the word of the source that lists it.
    fn part_belongs(&self, part: &Part, of: &Statement<'_>) -> bool {
        let is_fresh = match of.source {
            Source::Procfs => self.host_is_fresh,
            // Read so seldom that its answer is never of this tick for long.
            Source::Cadvisor => self.tick.saturating_sub(of.taken_ms) <= Group::Detail.max_age_ms(),
            // Whoever has a cgroup has these, too.
            Source::Cgroup => true,
            _ => self.list_is_fresh,
        };
        is_fresh || self.has_young(part)
    }

    /// The same of a part that the summary lists.
    pub(super) fn summary_has(&self, part: &Part) -> bool {
        self.list_is_fresh || self.has_young(part)
    }

    fn has_young(&self, part: &Part) -> bool {
        let mut groups = Group::ALL.into_iter();
        groups.any(|group| self.is_young(&part.figures, group))
    }

    /// True when a measurement still means something.
    fn is_young(&self, figures: &Figures, group: Group) -> bool {
        figures.time_ms(group).is_some_and(|time_ms| {
            time_ms <= self.made_ms.saturating_add(FUTURE_TOLERANCE_MS)
                && self.tick.saturating_sub(time_ms) <= group.max_age_ms()
        })
    }

    /// Counts entities that are listed beyond what is taken.
    pub(super) fn drop_more(&mut self, count: u64) {
        self.dropped_count += count;
    }

    /// Counts entities that cannot be there because what they belong to is refused.
    pub(super) fn refuse(&mut self, count: usize) {
        self.refused_count += count as u64;
    }

    /// Gives a container that was known by its runtime's id its name: it is the same entity.
    pub(super) fn name_container(&mut self, pod: EntityId, id: &str, name: &str) {
        if id != name {
            self.registry.rename(pod, EntityKind::Container, id, name);
        }
    }

    /// Adds an entity with what is said of it; `None` when it is refused. Of each group one source
    /// is chosen: its cgroup, if there is one and it is said first, then by `chosen`.
    pub(super) fn add<'b>(
        &mut self,
        what: Description<'_>,
        chosen: Chosen,
        said: impl IntoIterator<Item = Statement<'b>>,
    ) -> Option<EntityId> {
        let Some(entry) = self.registry.see(self.tick, what) else {
            self.refused_count += 1;
            return None;
        };
        let id = entry.def().id;
        self.defs.push(Arc::clone(entry.def()));
        self.builder.entity(id);
        let mut cells = Cells {
            id,
            newest_ms: self.made_ms.saturating_add(FUTURE_TOLERANCE_MS),
            chosen,
            entry,
            builder: &mut self.builder,
            by_cgroup: [false; Group::ALL.len()],
            late_count: 0,
            future_count: 0,
        };
        for statement in said {
            cells.take(&statement);
        }
        self.late_count += cells.late_count;
        self.future_count += cells.future_count;
        Some(id)
    }

    /// Adds the parts of an entity; of two with one name the first.
    pub(super) fn add_parts(&mut self, parent: EntityId, parts: &[Part], of: &Statement<'_>) {
        // Few are compared with each other, which takes no set.
        let many = parts.len() > FEW_PARTS;
        let mut seen = many.then(|| HashSet::with_capacity(parts.len()));
        for (at, part) in parts.iter().enumerate() {
            let again = match &mut seen {
                Some(seen) => !seen.insert((part.kind, part.name.as_str())),
                None => {
                    let is_same = |other: &Part| other.kind == part.kind && other.name == part.name;
                    parts.iter().take(at).any(is_same)
                }
            };
            if again || !self.part_belongs(part, of) {
                continue;
            }
            let what = Description {
                kind: part.kind,
                parent: Some(parent),
                name: &part.name,
                namespace: "",
                uid: "",
                labels: &part.labels,
            };
            let statement = Statement {
                figures: Held::Borrowed(&part.figures),
                ..of.clone()
            };
            self.add(what, Chosen::SUMMARY, [statement]);
        }
    }

    pub(super) fn finish(mut self) -> Merged {
        let mut defs = self.defs;
        let snapshot = self.builder.build();
        *self.registry.builder() = self.builder;
        // Of two the later one is the newer, and is kept; the sort is stable.
        defs.reverse();
        defs.sort_by_key(|def| def.id);
        defs.dedup_by_key(|def| def.id);
        Merged {
            snapshot,
            defs,
            late_count: self.late_count,
            future_count: self.future_count,
            dropped_count: self.dropped_count,
            refused_count: self.refused_count,
        }
    }
}

/// The cells of one entity in the making.
struct Cells<'a> {
    id: EntityId,
    newest_ms: u64,
    chosen: Chosen,
    entry: &'a mut Entry,
    builder: &'a mut Builder,
    // Groups that its cgroup has told.
    by_cgroup: [bool; Group::ALL.len()],
    late_count: u64,
    future_count: u64,
}

impl Cells<'_> {
    fn take(&mut self, said: &Statement<'_>) {
        let mut stamped = [None; Group::ALL.len()];
        for (field, value) in said.figures.values() {
            let Some(group) = table::field(*field).map(|field| field.group) else {
                continue;
            };
            let Some(slot) = stamped.get_mut(group as usize) else {
                continue;
            };
            if *slot.get_or_insert_with(|| self.stamp(group, said)) {
                self.builder.value(self.id, *field, *value);
            }
        }
    }

    /// Stamps a group; false when it is not taken: another source is chosen, or its time is still
    /// to come.
    fn stamp(&mut self, group: Group, said: &Statement<'_>) -> bool {
        let told = self.by_cgroup.get(group as usize) == Some(&true);
        let is_chosen = match said.source {
            Source::Cgroup => true,
            source => !told && self.chosen.takes(group, source),
        };
        if !is_chosen {
            return false;
        }
        let time_ms = said.figures.time_ms(group).unwrap_or(said.taken_ms);
        if time_ms > self.newest_ms {
            self.future_count += 1;
            return false;
        }
        if let Some(told) = self.by_cgroup.get_mut(group as usize) {
            *told |= said.source == Source::Cgroup;
        }
        let late = self.entry.is_late(group, said.source, time_ms);
        self.late_count += u64::from(late);
        let stamp = Stamp {
            time_ms,
            start_ms: said.start_ms,
            source: said.source,
        };
        self.builder.stamp(self.id, group, stamp);
        true
    }
}
