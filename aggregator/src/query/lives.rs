//! What a name says: its lives as one series.

use cairn_proto::catalogue::{Field, FieldId, table};

use super::view::wanted;
use super::{Sample, View};
use crate::store::Entity;

/// The fields whose stamps tell the start of a life, best first: memory is the summary's, which
/// tells the start of everything that it lists.
const UPTIME_BY: [FieldId; 3] = [table::MEMORY_WORKING_SET, table::MEMORY_USAGE, table::CPU];

/// The lives of one name: what an API that addresses names means by it.
#[derive(Clone, Debug)]
pub struct Named {
    /// Sorted by the start of the life; never empty.
    pub lives: Vec<Entity>,
}

impl View {
    /// The series of a name: at each tick that of the life that was alive then, of two the later.
    /// With none alive the one that began last before is held, so that what an earlier life left
    /// behind never shows again.
    #[must_use]
    pub fn named_series(
        &self,
        named: &Named,
        field: &Field,
        ticks_ms: &[u64],
    ) -> Vec<Option<Sample>> {
        self.merged(named, ticks_ms, |life| {
            let told = self.told(life, field, ticks_ms);
            told.into_iter().map(|t| (t.present, t.sample)).collect()
        })
    }

    /// At each tick what the life says that speaks then. `read` says at each tick whether a life is there,
    /// and its value.
    pub(super) fn merged<T: Copy>(
        &self,
        named: &Named,
        ticks_ms: &[u64],
        mut read: impl FnMut(&Entity) -> Vec<(bool, Option<T>)>,
    ) -> Vec<Option<T>> {
        merge_lives(named, ticks_ms, |_, life| read(life))
    }

    /// The same of several fields, one list each: what they share in the rows is read once.
    #[must_use]
    pub fn named_fields(
        &self,
        named: &Named,
        fields: &[&Field],
        ticks_ms: &[u64],
    ) -> Vec<Vec<Option<Sample>>> {
        // Of each field, of each life.
        let mut told = vec![vec![Vec::new(); named.lives.len()]; fields.len()];
        let lives: Vec<&Entity> = named.lives.iter().collect();
        let wanted = wanted(fields, ticks_ms);
        self.visit_rows(&lives, &wanted, &mut |at, nth, rows| {
            let slot = told.get_mut(at).and_then(|of| of.get_mut(nth));
            if let (Some(field), Some(life), Some(slot)) = (fields.get(at), lives.get(nth), slot) {
                self.meaning(field, life).walk(field, rows, ticks_ms, |t| {
                    slot.push((t.present, t.sample));
                });
            }
        });
        let merged = told.into_iter().map(|mut of| {
            merge_lives(named, ticks_ms, |nth, _| {
                of.get_mut(nth).map(std::mem::take).unwrap_or_default()
            })
        });
        merged.collect()
    }

    /// Time since one life began, ms, at each tick at which it is measured.
    #[must_use]
    pub fn uptime(&self, entity: &Entity, ticks_ms: &[u64]) -> Vec<Option<u64>> {
        let told = self.told_uptime(entity, ticks_ms);
        told.into_iter().map(|(_, uptime)| uptime).collect()
    }

    /// The same of a name: at each tick of the life that speaks for it then.
    #[must_use]
    pub fn named_uptime(&self, named: &Named, ticks_ms: &[u64]) -> Vec<Option<u64>> {
        let told = |_, life: &Entity| self.told_uptime(life, ticks_ms);
        merge_lives(named, ticks_ms, told)
    }

    /// The uptime of one life, and whether it is there.
    fn told_uptime(&self, entity: &Entity, ticks_ms: &[u64]) -> Vec<(bool, Option<u64>)> {
        let mut uptime = vec![(false, None); ticks_ms.len()];
        for field in UPTIME_BY.iter().filter_map(|id| table::field(*id)) {
            let told = self.told(entity, field, ticks_ms);
            for (tick_ms, (into, told)) in ticks_ms.iter().zip(uptime.iter_mut().zip(told)) {
                let start_ms = told.sample.and_then(|sample| sample.start_ms);
                let since = start_ms.map(|start_ms| tick_ms.saturating_sub(start_ms));
                *into = (told.present, into.1.or(since));
            }
            if uptime.iter().all(|(_, uptime)| uptime.is_some()) {
                break;
            }
        }
        uptime
    }
}

/// At each tick what the life says that is alive then; of two, the later one. With none alive it is
/// the one that began last before. `read` says at each tick whether a life is there, and its value.
fn merge_lives<T: Copy>(
    named: &Named,
    ticks_ms: &[u64],
    mut read: impl FnMut(usize, &Entity) -> Vec<(bool, Option<T>)>,
) -> Vec<Option<T>> {
    // For each tick: whether the life that speaks is alive then, and what it says.
    let mut merged = vec![(false, None); ticks_ms.len()];
    for (nth, life) in named.lives.iter().enumerate() {
        let told = read(nth, life);
        for (tick, (into, (present, value))) in ticks_ms.iter().zip(merged.iter_mut().zip(told)) {
            let alive = present && *tick <= life.last_tick_ms;
            if life.first_tick_ms <= *tick && (alive || !into.0) {
                *into = (alive, value);
            }
        }
    }
    merged.into_iter().map(|(_, value)| value).collect()
}
