//! What containers said last, as [`Door::recent`](super::Door::recent) shows it.

use cairn_proto::rate::Point;

use super::{NodeState, RawRow};

/// How far back the rows of CPU reach that are at hand, ms: two measurements thirty seconds apart are among them,
/// though sources measure up to ten seconds before the tick.
pub(super) const REACH_MS: u64 = 45_000;

/// What says which tick of a node counts as its newest: a part of its [`NodeState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticks {
    /// See [`NodeState::newest_tick_ms`].
    pub newest_tick_ms: Option<u64>,
    /// See [`NodeState::interval_ms`].
    pub interval_ms: u64,
    /// See [`NodeState::offset_ms`].
    pub offset_ms: i64,
}

impl NodeState {
    /// Its ticks.
    #[must_use]
    pub fn ticks(&self) -> Ticks {
        Ticks {
            newest_tick_ms: self.newest_tick_ms,
            interval_ms: self.interval_ms,
            offset_ms: self.offset_ms,
        }
    }
}

/// What a container says in its node's newest row.
#[derive(Clone, Copy, Debug)]
pub struct Recent<'a> {
    /// Of its node, as it is now.
    pub ticks: Ticks,
    /// Namespace of its pod.
    pub namespace: &'a str,
    /// Name of its pod.
    pub pod: &'a str,
    /// UID of its pod.
    pub pod_uid: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Rows of its CPU in rising order of their ticks, the last of them the newest of the node: those of one run
    /// that are at hand. They do not say when lives began but by the stamps of CPU themselves.
    pub cpu: &'a [RawRow],
    /// Its working set.
    pub memory: Option<Point>,
    /// Its swap in use.
    pub swap: Option<Point>,
}

/// Takes what one container says.
pub type SeeRecent<'a> = dyn FnMut(&Recent<'_>) + 'a;
