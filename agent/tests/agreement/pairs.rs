//! Values that two sources tell, and how far they may be apart.
//!
//! A kubelet measures at times of its own, and tells them in whole seconds. Files were read before and after
//! that. A counter lies between what they said then. So does a gauge, but for what went up and down again
//! meanwhile: four in five lie no farther outside than the share which is stated for each, and the fifth, of
//! something that began or ended its work then, no farther than a few megabytes. Where nothing moved in
//! between, all is equal to the last digit.

use std::collections::BTreeMap;

use cairn_agent::sources::Figures;
use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FieldId, Kind, Unit, field};

use crate::recorded::Moment;

/// The kubelet's times are rounded down to this.
const ROUNDED_MS: u64 = 1_000;

/// How far a gauge of pods and containers may lie outside of what the files said, thousandths of the larger.
pub(crate) const GAUGE_PERMILLE: u64 = 250;

/// How far the fifth of them may, bytes.
const FAR: u64 = 8 << 20;

/// What came of all pairs of a field.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) pairs: usize,
    /// The files said the same before and after, and so did the kubelet.
    pub(crate) equal: usize,
    pub(crate) between: usize,
    /// Gauges that are farther outside than their share.
    pub(crate) far: usize,
    /// By how much the farthest one was outside, thousandths.
    pub(crate) outside_permille: u64,
    pub(crate) odd: Vec<String>,
}

pub(crate) type ByField = BTreeMap<FieldId, Found>;

/// What is compared of a thing: what a source told of it with its time, what the files say of it, and what
/// moves there when anything does.
pub(crate) struct Thing<T, F, M> {
    /// The time and the value of a field.
    pub(crate) told: T,
    /// The value of a field.
    pub(crate) files: F,
    /// What stands still while nothing runs.
    pub(crate) moves: M,
}

/// Compares all that is told of a thing with what files say before and after. A gauge may lie so many
/// thousandths outside.
pub(crate) fn compare<'a, T, F, M>(
    moments: &'a [Moment],
    of: &Thing<T, F, M>,
    permille: u64,
    found: &mut ByField,
) where
    T: Fn(&'a Moment, FieldId) -> Option<(u64, u64)>,
    F: Fn(&'a Moment, FieldId) -> Option<u64>,
    M: Fn(&'a Moment) -> Option<u64>,
{
    for (id, found) in found {
        let mut seen = Vec::new();
        for moment in moments {
            let told = (of.told)(moment, *id).filter(|told| !seen.contains(told));
            let Some((time_ms, value)) = told else {
                continue;
            };
            seen.push((time_ms, value));
            let before = moments.iter().rfind(|other| other.ended_ms <= time_ms);
            let after = moments
                .iter()
                .find(|other| other.began_ms >= time_ms + ROUNDED_MS);
            let Some((before, after)) = before.zip(after) else {
                continue;
            };
            let both = (of.files)(before, *id).zip((of.files)(after, *id));
            let Some((low, high)) = both else { continue };
            let ran = (of.moves)(before) != (of.moves)(after);
            found.take(*id, [low, value, high], ran, permille);
        }
    }
}

impl Found {
    fn take(&mut self, id: FieldId, [low, value, high]: [u64; 3], ran: bool, permille: u64) {
        self.pairs += 1;
        if !ran {
            if low == value && value == high {
                self.equal += 1;
            } else {
                self.odd.push(format!("{low} {value} {high}, nothing ran"));
            }
            return;
        }
        let (least, most) = if is_counter(id) {
            (low, high)
        } else {
            (low.min(high), low.max(high))
        };
        let outside = least.saturating_sub(value).max(value.saturating_sub(most));
        let share = (outside * 1_000).div_ceil(most.max(1));
        self.outside_permille = self.outside_permille.max(share);
        if outside == 0 || !is_counter(id) && share <= permille {
            self.between += 1;
        } else if field(id).unwrap().unit == Unit::Bytes && !is_counter(id) && outside <= FAR {
            self.far += 1;
        } else {
            self.odd.push(format!("{low} {value} {high}"));
        }
    }
}

/// The time and the value of a field among figures.
pub(crate) fn measured(figures: &Figures, id: FieldId) -> Option<(u64, u64)> {
    let group = field(id).unwrap().group;
    Some((figures.time_ms(group)?, figures.value(id)?))
}

fn is_counter(id: FieldId) -> bool {
    field(id).unwrap().kind == Kind::Counter
}

fn of(fields: impl IntoIterator<Item = FieldId>) -> ByField {
    let fields = fields.into_iter();
    fields.map(|id| (id, Found::default())).collect()
}

/// What the summary and cgroups tell.
pub(crate) fn usage() -> ByField {
    let pressures = PressureOf::ALL
        .map(|of| [false, true].map(|full| table::pressure_total(of, full)))
        .into_iter()
        .flatten();
    let others = [
        table::CPU,
        table::MEMORY_USAGE,
        table::MEMORY_WORKING_SET,
        table::MEMORY_RSS,
        table::MEMORY_AVAILABLE,
        table::MEMORY_PAGE_FAULTS,
        table::MEMORY_MAJOR_PAGE_FAULTS,
        table::SWAP_USAGE,
    ];
    of(others.into_iter().chain(pressures))
}

/// What the resource endpoint and cgroups tell.
pub(crate) fn cpu_and_memory() -> ByField {
    of([table::CPU, table::MEMORY_WORKING_SET])
}

/// What the node's cgroup tells.
pub(crate) fn cpu() -> ByField {
    of([table::CPU])
}

/// What cAdvisor and cgroups tell.
pub(crate) fn details() -> ByField {
    of([
        table::CFS_PERIODS,
        table::CFS_THROTTLED_PERIODS,
        table::CFS_THROTTLED_TIME,
        table::MEMORY_CACHE,
        table::MEMORY_MAPPED_FILE,
        table::OOM_EVENTS,
        table::THREADS,
    ])
}

/// The same of a disk.
pub(crate) fn io() -> ByField {
    of([
        table::IO_READ_BYTES,
        table::IO_WRITE_BYTES,
        table::IO_READS,
        table::IO_WRITES,
    ])
}

/// What the summary and /proc tell of the node's memory.
pub(crate) fn memory_usage() -> ByField {
    of([table::MEMORY_USAGE])
}

/// What both tell of an interface.
pub(crate) fn traffic() -> ByField {
    of([
        table::NETWORK_RX,
        table::NETWORK_RX_ERRORS,
        table::NETWORK_TX,
        table::NETWORK_TX_ERRORS,
    ])
}

/// Says what came of it; `least` is how many pairs there have to be.
pub(crate) fn judge(what: &str, found: &ByField, least: usize) {
    for (id, found) in found {
        let name = field(*id).unwrap().name;
        let Found {
            pairs,
            equal,
            between,
            far,
            outside_permille,
            odd,
        } = found;
        println!(
            "{what} {name}: {pairs} pairs, {equal} equal, {between} between, {far} far, at most \
             {outside_permille} thousandths outside"
        );
        assert!(odd.is_empty(), "{what} {name}: {odd:?}");
        assert!(far * 5 <= far + between, "{what} {name}: {found:?}");
        assert!(pairs >= &least, "{what} {name}: {found:?}");
    }
}
