//! What the window means: series on the aggregator's grid, lives of a name, sums, the watermark.
//!
//! Pure functions over what the store's [`Door`](crate::store::Door) hands out, and over what the
//! [`Cluster`](crate::cluster::Cluster) knows; the only clock here is the `now` that a caller passes
//! in. Rates, holding and max-age are `proto::rate`'s.

mod choice;
mod known;
mod lives;
mod meaning;
mod newest;
mod pieces;
mod present;
mod range;
mod series;
mod sum;
#[cfg(test)]
mod tests;
mod usage;
mod view;
mod visible;
mod watermark;
mod workloads;

pub use choice::{Choice, Refusal};
pub use lives::Named;
pub use newest::{Newest, Total, highest, newest_values, totals};
pub use range::{MAX_VALUES, Piece, Range, Series};
pub use series::{Sample, on_grid};
pub use sum::Sum;
pub use usage::{ContainerNames, Cpu, Lacks, Measured, OfNode, Places, PodKey, Usage, cpu_over};
pub use view::{Bounds, KEPT_LONGER_MS, View};
pub use visible::{Names, Visible};
pub use watermark::{
    NODE_MAX_AGE_MS, is_late, is_skewed, newest_here, nodes_missing, published_tick, wait_ms,
};
pub use workloads::{Found, WorkloadChoice, Workloads};

// Who asks need not know where workloads come from.
pub use crate::cluster::WorkloadKind;
