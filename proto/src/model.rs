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
