//! Where a scrape reads from, and what comes of it.
//!
//! Each source has a task (the kubelet's endpoints) or a thread (/proc) that waits for a tick, does
//! one scrape with a deadline, and answers through a queue of one. A source that is still at an
//! earlier tick is `busy`: it is counted and not asked again, so no scrape is ever queued. The
//! sampler holds the other end as a [`Feed`]. Parsers are pure: bytes go in, values come out.

pub mod decimal;

pub mod json;

pub mod exposition;

mod figures;

mod interfaces;

pub mod summary;

pub mod resource;

pub mod cadvisor;

pub mod place;

pub mod kubelet;

pub mod procfs;

pub mod cgroup;

mod cost;

pub(crate) mod hashed;

mod feed;

pub mod status;

#[cfg(test)]
mod peak;

use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::clock::Line;

pub use self::cost::{Cost, metered, thread_cpu};
pub use self::feed::{Answer, Feed, Outcome, Worker};
pub use self::figures::{Figures, Part};

/// Asks a source for one scrape.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// The tick that it is for, Unix ms.
    pub tick: u64,
    /// The line that the agent's own reads are stamped on.
    pub line: Line,
}

/// What a source said last, and when.
#[derive(Debug)]
pub struct Reading<T> {
    /// The values.
    pub values: Arc<T>,
    /// When they were read, Unix ms: the measurement time of values that name none.
    pub taken_ms: u64,
}

impl<T> Clone for Reading<T> {
    fn clone(&self) -> Self {
        Self {
            values: Arc::clone(&self.values),
            taken_ms: self.taken_ms,
        }
    }
}

/// Why a scrape brought nothing that can be shown: a closed set, used as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Not in time.
    Timeout,
    /// Not reached, or broken off.
    Connect,
    /// The certificate was refused, or there is nothing to verify it with.
    Certificate,
    /// 401 or 403.
    Auth,
    /// Another status than 200, or not the content type that was asked for.
    Status,
    /// More bytes than are taken.
    TooLarge,
    /// Not what such an answer looks like.
    Parse,
    /// Measured in the future, or too long ago to be shown.
    Clock,
    /// Still at an earlier tick.
    Busy,
    /// A file of this machine could not be read.
    Read,
}

impl FailureKind {
    /// The word for it in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Timeout => "timeout",
            FailureKind::Connect => "connect",
            FailureKind::Certificate => "certificate",
            FailureKind::Auth => "auth",
            FailureKind::Status => "status",
            FailureKind::TooLarge => "too_large",
            FailureKind::Parse => "parse",
            FailureKind::Clock => "clock",
            FailureKind::Busy => "busy",
            FailureKind::Read => "read",
        }
    }
}

/// A scrape that brought nothing that can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// One line for people: what is wrong and what to check.
    pub reason: String,
    /// The right that is missing, such as `get nodes/stats`; empty when none is.
    pub missing_right: &'static str,
}

impl Failure {
    /// A failure without a missing right.
    #[must_use]
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            missing_right: "",
        }
    }
}

/// How far apart questions to cAdvisor are in an agent of this interval, ms: an answer costs the
/// kubelet five times what a summary does, and what is taken of it changes slowly. One that alone says
/// what is there is asked as often as a kubelet would measure.
#[must_use]
pub fn cadvisor_every_ms(interval_ms: u64, is_alone: bool) -> u64 {
    interval_ms.max(if is_alone { 10_000 } else { 60_000 })
}

/// The longest that a scrape may take of a source that is asked so often: over before the next
/// question, so that one that hangs is asked again at each, and never longer than a kubelet that still
/// works could need.
#[must_use]
pub fn scrape_deadline(every_ms: u64) -> Duration {
    Duration::from_millis((every_ms / 10 * 9).min(10_000))
}
