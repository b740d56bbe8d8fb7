//! What all agents of a fleet share, and what each of them has of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_proto::model::Run;
use cairn_runtime::clock::Clock;
use cairn_runtime::tls::Connector;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::life::{Grid, Life};
use super::naming::Naming;
use super::tally::Tally;
use super::template::Template;
use super::turnstile::Turnstile;

/// What every session watches: new rows, and what a test tells the agents to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    /// The number of the next row.
    pub(super) rows: u64,
    /// When the newest one was made.
    pub(super) made_at: Instant,
    /// How often all connections were cut.
    pub(super) cuts: u64,
    /// Agents, from the first on, that neither read nor send.
    pub(super) paused: usize,
    /// True: rows are sampled and not sent.
    pub(super) is_muted: bool,
    /// True: each row is sent at the phase of its node.
    pub(super) is_spread: bool,
}

/// What all sessions use.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) naming: Naming,
    pub(super) grid: Grid,
    pub(super) clock: Clock,
    pub(super) templates: Vec<Template>,
    pub(super) pulse: watch::Sender<Pulse>,
    pub(super) turnstile: Turnstile,
    pub(super) tally: Tally,
    pub(super) connector: Connector,
    /// Attempts to connect that may be under way.
    pub(super) connecting: Semaphore,
    pub(super) agents: Vec<Agent>,
}

impl Shared {
    /// The template of an agent.
    pub(super) fn template(&self, agent: usize) -> Option<&Template> {
        self.templates.get(self.naming.template(agent))
    }

    /// How long after a tick an agent's row is sampled: a little, and each node its own, so that a
    /// fleet does not send in step. On a driven clock, which is stepped past all of them, only when it
    /// is ordered to pass in real time.
    pub(super) fn phase(&self, agent: usize) -> Duration {
        let name = self.naming.node(agent);
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Duration::from_millis(hash % self.most_phase_ms())
    }

    /// No phase is as long as this.
    pub(super) fn most_phase_ms(&self) -> u64 {
        (self.grid.interval_ms / 10).clamp(1, 250)
    }
}

/// One agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) index: usize,
    life: Mutex<Life>,
    kept: Mutex<Kept>,
    pub(super) uplinks: Vec<Uplink>,
}

/// What became of the rows of a life.
#[derive(Debug, Default)]
struct Kept {
    // Every row before this one is acknowledged or dropped.
    until_row: u64,
    dropped: u64,
}

/// One stream of an agent: to whom, and how it is.
#[derive(Debug)]
pub(super) struct Uplink {
    pub(super) address: SocketAddr,
    pub(super) is_connected: AtomicBool,
    /// Number of the row after the last one that this session's aggregator acknowledged; 0 for none.
    pub(super) acked_rows: AtomicU64,
}

impl Agent {
    pub(super) fn new(index: usize, naming: &Naming, grid: &Grid, to: &[SocketAddr]) -> Self {
        let run = Run {
            // It began before its first row.
            epoch_ms: grid.first_tick_ms.saturating_sub(1_000),
            boot_id: naming.boot_id(index),
            clock_stepped: false,
        };
        let uplinks = to.iter().map(|address| Uplink {
            address: *address,
            is_connected: AtomicBool::new(false),
            acked_rows: AtomicU64::new(0),
        });
        Self {
            index,
            life: Mutex::new(Life { run, first_row: 0 }),
            kept: Mutex::default(),
            uplinks: uplinks.collect(),
        }
    }

    pub(super) fn life(&self) -> Life {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins another life, whose first row is the next one.
    pub(super) fn restart(&self, now_ms: u64, first_row: u64) {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two within one moment the later is still the later.
        let epoch_ms = now_ms.max(life.run.epoch_ms + 1);
        life.run.epoch_ms = epoch_ms;
        life.first_row = first_row;
        *self.kept() = Kept {
            until_row: first_row,
            dropped: 0,
        };
    }

    /// Rows of this life that fell out of the ring before anybody had acknowledged them, when it
    /// holds them from this one on. To be asked before a session begins: nothing falls out unheard
    /// while one lives.
    pub(super) fn dropped(&self, oldest_row: u64) -> u64 {
        let mut kept = self.kept();
        kept.dropped += oldest_row.saturating_sub(kept.until_row);
        kept.until_row = kept.until_row.max(oldest_row);
        kept.dropped
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks a stream as living; it is not any more when this is dropped.
pub(super) struct Living {
    shared: Arc<Shared>,
    agent: usize,
    uplink: usize,
}

impl Living {
    pub(super) fn enter(shared: &Arc<Shared>, agent: usize, uplink: usize) -> Self {
        let living = Self {
            shared: Arc::clone(shared),
            agent,
            uplink,
        };
        if let Some(uplink) = living.uplink() {
            uplink.acked_rows.store(0, Ordering::Relaxed);
            uplink.is_connected.store(true, Ordering::Relaxed);
        }
        living
    }

    /// Notes that every row before this one is acknowledged.
    pub(super) fn acked(&self, rows: u64) {
        if let Some(uplink) = self.uplink() {
            uplink.acked_rows.fetch_max(rows, Ordering::Relaxed);
        }
        if let Some(agent) = self.shared.agents.get(self.agent) {
            let mut kept = agent.kept();
            kept.until_row = kept.until_row.max(rows);
        }
    }

    fn uplink(&self) -> Option<&Uplink> {
        self.shared.agents.get(self.agent)?.uplinks.get(self.uplink)
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        if let Some(uplink) = self.uplink() {
            uplink.is_connected.store(false, Ordering::Relaxed);
        }
    }
}
