//! What graphs are read against: what is asked for, what may be used, what there is. Known now, so it stands in
//! a frame once, and not at each of its ticks.

use cairn_proto::catalogue::{FieldId, table};
use serde::Serialize;

use crate::query::View;
use crate::store::Entity;

/// In cores and bytes; what is not set is not there.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Levels {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_request: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_capacity: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_request: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_capacity: Option<f64>,
}

impl Levels {
    /// Of a pod: what it asks for and may use.
    pub(super) fn of_pod(view: &View, pod: &Entity) -> Self {
        let now = |id: FieldId| view.known_now(pod, id);
        Self {
            cpu_request: now(table::CPU_REQUEST).map(cores),
            cpu_limit: now(table::CPU_LIMIT).map(cores),
            memory_request: now(table::MEMORY_REQUEST).map(bytes),
            memory_limit: now(table::MEMORY_LIMIT).map(bytes),
            ..Self::default()
        }
    }

    /// Of a node: what it has.
    pub(super) fn of_node(view: &View, name: &str) -> Self {
        let now = |id: FieldId| view.known_of_node(name, id);
        Self {
            cpu_capacity: now(table::CPU_CAPACITY).map(cores),
            memory_capacity: now(table::MEMORY_CAPACITY).map(bytes),
            ..Self::default()
        }
    }

    /// True when nothing is set.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn cores(milli: u64) -> f64 {
    bytes(milli) / 1e3
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a graph needs no more than 53 bits"
)]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}
