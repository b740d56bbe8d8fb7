//! How many values of a row are of which source, and how many of them are no news.
//!
//! Pure.

use cairn_proto::catalogue::{FIRST_FIELD, FieldId, Group, Source, table};
use cairn_proto::model::{ColumnId, Snapshot};

/// The values of one source in one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// All of them.
    pub(super) samples: u64,
    /// Those that were measured more than an interval ago: the row before could have them.
    pub(super) held: u64,
    /// Of these, those that are too old to be shown.
    pub(super) absent: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.held += other.held;
        self.absent += other.absent;
    }
}

/// Counts the values of the row of a tick (Unix ms) of each source that has any.
pub(super) fn tally(row: &Snapshot, tick: u64, interval_ms: u64) -> Vec<(Source, Count)> {
    let mut counts: Vec<(Source, Count)> = Vec::new();
    for group in Group::ALL {
        let stamps = stamps(row, group, tick, interval_ms);
        let columns = row.columns().iter().filter(|column| {
            let id = column.id().0;
            id >= FIRST_FIELD && table::field(FieldId(id)).is_some_and(|f| f.group == group)
        });
        for place in columns.flat_map(|column| column.places()) {
            let stamp = usize::try_from(*place).ok().and_then(|at| stamps.get(at));
            let Some((source, one)) = stamp.copied().flatten() else {
                continue;
            };
            match counts.iter_mut().find(|(of, _)| *of == source) {
                Some((_, count)) => count.add(one),
                None => counts.push((source, one)),
            }
        }
    }
    counts
}

/// What a value of a group counts as, by the place of its entity.
fn stamps(
    row: &Snapshot,
    group: Group,
    tick: u64,
    interval_ms: u64,
) -> Vec<Option<(Source, Count)>> {
    let Some(times) = row.column(ColumnId::time(group)) else {
        return Vec::new();
    };
    let mut stamps = vec![None; row.entities().len()];
    for (place, time_ms) in times.cells() {
        let Ok(at) = usize::try_from(place) else {
            continue;
        };
        let source = row.cell(at, ColumnId::source(group));
        let age_ms = tick.saturating_sub(time_ms);
        let count = Count {
            samples: 1,
            held: u64::from(age_ms > interval_ms),
            absent: u64::from(age_ms > group.max_age_ms()),
        };
        if let (Some(source), Some(slot)) =
            (source.and_then(Source::from_number), stamps.get_mut(at))
        {
            *slot = Some((source, count));
        }
    }
    stamps
}

#[cfg(test)]
mod tests {
    use cairn_proto::model::{Builder, EntityId, Stamp};

    use super::*;

    const TICK: u64 = 1_000_000;

    #[test]
    fn values_count_for_the_source_of_their_stamp_and_by_its_age() {
        let mut row = Builder::default();
        let mut put = |id: u32, group, source, age_ms: u64, fields: &[FieldId]| {
            let stamp = Stamp {
                time_ms: TICK - age_ms,
                start_ms: None,
                source,
            };
            row.stamp(EntityId(id), group, stamp);
            for field in fields {
                row.value(EntityId(id), *field, 7);
            }
        };
        put(1, Group::Cpu, Source::Resource, 10_000, &[table::CPU]);
        put(2, Group::Cpu, Source::Resource, 10_001, &[table::CPU]);
        let memory = [table::MEMORY_USAGE, table::MEMORY_WORKING_SET];
        put(1, Group::Memory, Source::Summary, 90_000, &memory);
        put(2, Group::Memory, Source::Summary, 90_001, &memory);
        put(
            3,
            Group::Detail,
            Source::Cadvisor,
            90_001,
            &[table::THREADS],
        );
        put(4, Group::Host, Source::Procfs, 0, &[table::HOST_LOAD1]);
        // A stamp without a value is none.
        put(5, Group::Cpu, Source::Resource, 0, &[]);
        let mut counts = tally(&row.build(), TICK, 10_000);
        counts.sort_by_key(|(source, _)| *source as u8);
        let count = |samples, held, absent| Count {
            samples,
            held,
            absent,
        };
        let expected = [
            (Source::Summary, count(4, 4, 2)),
            (Source::Resource, count(2, 1, 0)),
            (Source::Procfs, count(1, 0, 0)),
            (Source::Cadvisor, count(1, 1, 0)),
        ];
        assert_eq!(counts, expected);
        assert_eq!(tally(&Snapshot::default(), TICK, 10_000), []);
    }
}
