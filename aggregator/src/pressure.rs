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
//! of the level wakes those who wait for it. History that is asked for comes in faster than memory is looked
//! at, so only a part of the limit may come until the next look (`room`).

mod ladder;
mod room;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

pub use ladder::{Gauges, Ladder, Look};
use room::Room;

/// The part of the limit, as one in so many, that history under way may have, and that may come between two
/// looks. Both together are an eighth: from 75 hundredths, where no more is asked for, up to 88. Less would make many
/// looks, more could go over the limit before it is seen.
const ROOM: u64 = 16;

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

/// The level as everybody sees it, and the room for history. A clone is the same.
#[derive(Clone, Debug)]
pub struct Pressure {
    limit: u64,
    level: Arc<watch::Sender<Level>>,
    room: Arc<Room>,
}

/// Without a limit.
impl Default for Pressure {
    fn default() -> Self {
        Self::below(0)
    }
}

impl Pressure {
    /// Below a limit in bytes; 0 means that there is none.
    #[must_use]
    pub fn below(limit: u64) -> Self {
        Self {
            limit,
            level: Arc::default(),
            room: Arc::new(Room::new(part(limit))),
        }
    }

    /// Bytes of history that may be under way at a time, as far as memory goes: a look cannot see them.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        part(self.limit)
    }

    /// The level of now.
    #[must_use]
    pub fn level(&self) -> Level {
        *self.level.borrow()
    }

    /// Says what a look found, and makes room for more; true when the level is new.
    pub fn looked(&self, level: Level) -> bool {
        let is_new = self.set(level);
        self.room.set(part(self.limit));
        is_new
    }

    /// Says what the level is; true when that is new.
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

    /// Takes note of so many bytes of history that have come.
    pub fn took(&self, bytes: u64) {
        self.room.take(bytes);
    }

    /// True when more history may come before the next look.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.room.is_left()
    }

    /// Lets something happen when it was read whether there is room, once.
    #[cfg(test)]
    pub(crate) fn once_read(&self, then: impl FnOnce() + Send + 'static) {
        *self.room.once_read.0.lock().unwrap() = Some(Box::new(then));
    }

    /// Waits until more may come: when nothing is left, for the next look. Cancel safe.
    pub async fn room(&self) {
        self.room.left().await;
    }

    /// Waits until somebody waits for a look. For the one task that looks. Cancel safe.
    pub async fn look_wanted(&self) {
        self.room.wanted().await;
    }
}

/// Bytes of history that may be under way, and come between two looks; with no limit all there is.
fn part(limit: u64) -> u64 {
    if limit == 0 {
        u64::MAX
    } else {
        (limit / ROOM).max(1)
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
