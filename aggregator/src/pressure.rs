//! What the process does when memory gets short, rung by rung.
//!
//! ```text
//! >= 75 %   no more history is asked for
//! >= 85 %   every window is shortened, oldest rows first, until 70 % are used
//! >= 95 %   new sessions are sent away for a while, and large requests are answered with 429
//! ```
//!
//! Rows of the newest tick land on every rung, and no living stream is closed for memory. The task
//! of `upkeep` looks at two gauges, what the window is counted as and what the process really has;
//! `ladder` decides; whoever has to act reads the [`Level`] here. Nothing waits in a queue: a change
//! of the level wakes those who wait for it.

mod ladder;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

pub use ladder::{Gauges, Ladder, Look};

/// How short memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is not.
    #[default]
    Calm,
    /// No more history is asked for.
    NoWants,
    /// Every window is shortened.
    Shorten,
    /// New sessions and large requests are sent away.
    Refuse,
}

impl Level {
    /// Its name in metrics and logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Level::Calm => "calm",
            Level::NoWants => "no_wants",
            Level::Shorten => "shorten",
            Level::Refuse => "refuse",
        }
    }
}

/// The level as everybody sees it. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Pressure {
    level: Arc<watch::Sender<Level>>,
}

impl Pressure {
    /// The level of now.
    #[must_use]
    pub fn level(&self) -> Level {
        *self.level.borrow()
    }

    /// Says what it is; true when that is new.
    pub fn set(&self, level: Level) -> bool {
        self.level.send_if_modified(|old| {
            let is_new = *old != level;
            *old = level;
            is_new
        })
    }

    /// Waits until history may be asked for. Cancel safe.
    pub async fn calm(&self) {
        let mut level = self.level.subscribe();
        // The sender is in `self`, so it cannot be gone.
        drop(level.wait_for(|level| *level == Level::Calm).await);
    }
}

/// Figures of the ladder.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    level: Gauge,
    used: Gauge<u64, AtomicU64>,
    real: Gauge<u64, AtomicU64>,
    limit: Gauge<u64, AtomicU64>,
    steps: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Metrics {
    /// Makes them and shows them in the registry.
    pub fn new(registry: &mut Registry, limit: u64) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("cairn_aggregator_memory");
        let help = "How short memory is: 0 calm, 1 no history is asked for, 2 windows are shortened, \
                    3 new sessions and large requests are sent away";
        r.register("level", help, m.level.clone());
        let help = "What the level is judged by: bytes of the window, or of the process without what \
                    its allocator keeps of a window that was shortened";
        r.register("used_bytes", help, m.used.clone());
        let help = "Anonymous memory of the process";
        r.register("real_bytes", help, m.real.clone());
        let help = "The memory limit; 0 when there is none";
        r.register("limit_bytes", help, m.limit.clone());
        let help = "Changes of the level, by the new one";
        r.register("steps", help, m.steps.clone());
        m.limit.set(limit);
        m
    }

    /// Shows what was seen.
    pub fn looked(&self, gauges: Gauges, look: Look) {
        self.used.set(look.used);
        self.real.set(gauges.real);
        self.level.set(look.level as i64);
    }

    /// Counts a change.
    pub fn stepped(&self, level: Level) {
        self.steps.get_or_create(&[("level", level.word())]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_calm_is_woken_when_it_comes() {
        let pressure = Pressure::default();
        pressure.calm().await;
        assert!(pressure.set(Level::Refuse) && !pressure.set(Level::Refuse));
        let other = pressure.clone();
        let (_, level) = tokio::join!(other.calm(), async {
            pressure.set(Level::NoWants);
            tokio::task::yield_now().await;
            pressure.set(Level::Calm);
            pressure.level()
        });
        assert_eq!(level, Level::Calm);
    }
}
