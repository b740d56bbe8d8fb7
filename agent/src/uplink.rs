//! Streams rows to aggregators.
//!
//! ```text
//! host (one task each) --resolves--> address (one task each) --connects--> session
//! ```
//!
//! Every address that an `--aggregator` host resolves to gets a session of its own, unless it leads
//! to a process that has one; they share nothing but the ring. A session reads the ring by seq, so nothing is queued for it: one that is
//! slow passes rows over, and one that is away costs nothing.

mod address;

mod bearer;

mod connect;

mod end;

mod host;

mod living;

mod pace;

mod probe;

mod session;

#[cfg(test)]
mod tests;

pub mod wants;

use std::path::PathBuf;

use cairn_runtime::clock::Clock;
use cairn_runtime::readiness::Readiness;

pub use self::end::{End, EndKind};
pub use self::host::run;
pub use self::living::Living;
pub use self::probe::{Probe, Probed};
use crate::marker::Past;
use crate::metrics::Uplink as Metrics;
use crate::names::Names;
use crate::ring::Ring;
use crate::sources::status::Statuses;

/// What every session works with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node that is reported.
    pub node: String,
    /// Distance of its ticks, ms.
    pub interval_ms: u64,
    /// How long its rows are kept, ms.
    pub window_ms: u64,
    /// File of the bearer token; `None` sends none.
    pub token_file: Option<PathBuf>,
    /// Wall time.
    pub clock: Clock,
    /// The rows.
    pub ring: Ring,
    /// Names that are asked for.
    pub names: Names,
    /// The runs whose rows are gone.
    pub past: Past,
    /// How the sources are doing.
    pub statuses: Statuses,
    /// Where sessions are noted.
    pub readiness: Readiness,
    /// Where things are counted.
    pub metrics: Metrics,
    /// The aggregators that have a session.
    pub living: Living,
}
