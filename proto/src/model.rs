//! The inner types: entities, runs and snapshots.
//!
//! These are neither the wire types (generated) nor the JSON types of an API. Times are Unix
//! milliseconds, values are integers in the finest unit that any source gives.

mod entity;
mod name;
mod snapshot;

pub use crate::catalogue::EntityKind;
pub use entity::{EntityDef, EntityId};
pub use name::{Error as NameError, check as check_name};
pub use snapshot::{Builder, Column, ColumnId, Snapshot};

use crate::catalogue::Source;
use crate::limits;

/// One life of an agent process: boot id and start, as `Hello` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Run {
    /// When the run began, Unix ms. First, so that runs sort by age.
    pub epoch_ms: u64,
    /// The kernel's boot id.
    pub boot_id: [u8; 16],
    /// True when the run began because the wall clock stepped.
    pub clock_stepped: bool,
}

impl Run {
    /// True when rates may reach from `earlier` into this run: the same boot, and no clock step
    /// between them.
    #[must_use]
    pub fn continues(&self, earlier: &Run) -> bool {
        self == earlier || (self.boot_id == earlier.boot_id && !self.clock_stepped)
    }
}

/// A run that ended, and from which tick to which it sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlierRun {
    /// The run.
    pub run: Run,
    /// Distance of its ticks, ms.
    pub interval_ms: u64,
    /// The tick of its oldest row, Unix ms.
    pub first_tick_ms: u64,
    /// The tick of its newest row, Unix ms.
    pub last_tick_ms: u64,
}

impl EarlierRun {
    /// True when an agent can have had such ticks: on the grid of an interval that agents have, and in
    /// order.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let on_grid = |tick_ms: u64| tick_ms.is_multiple_of(self.interval_ms);
        limits::is_interval(self.interval_ms)
            && on_grid(self.first_tick_ms)
            && on_grid(self.last_tick_ms)
            && self.first_tick_ms <= self.last_tick_ms
    }
}

/// When, by whom and in which life a group of values was measured.
///
/// One per entity and [`Group`](crate::catalogue::Group), not one per value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Measurement time as the source says, Unix ms.
    pub time_ms: u64,
    /// When the measured thing began, as the same source says, Unix ms; `None` when it does not
    /// say.
    pub start_ms: Option<u64>,
    /// Who measured.
    pub source: Source,
}
