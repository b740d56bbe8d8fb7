//! What containers said last, as [`Door::recent`](super::Door::recent) shows it.

use cairn_proto::rate::Point;

use super::RawRow;

/// How far back the rows of CPU reach that are at hand, ms: two measurements thirty seconds apart are among them,
/// though sources measure up to ten seconds before the tick.
pub(super) const REACH_MS: u64 = 45_000;

/// What a container says in its node's newest row.
#[derive(Clone, Copy, Debug)]
pub struct Recent<'a> {
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
