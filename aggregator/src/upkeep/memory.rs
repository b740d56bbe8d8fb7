//! Memory: what is dropped, when, and what is said about it.
//!
//! Owned by the task that lets old rows expire. Once for each tick of the grid, in the middle between two,
//! it evicts and looks at the gauges (on a driven clock at the tick itself); between these times it only
//! looks, each second, so that a burst does not wait for the next one.
//! Nodes that are over their share are told in the log when that begins and ends, on the page, and
//! as a number in `/readyz?verbose`, which names no node.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use cairn_runtime::clock::Clock;
use cairn_runtime::memory;
use cairn_runtime::readiness::{Note, Readiness};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::pressure::{self, Gauges, Ladder, Level, Look, Pressure};
use crate::store::{Door, Limited};

/// Nodes named in the log when something changes about many of them.
const NAMED: usize = 8;

/// What was dropped or refused for memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    shortened: Family<[(&'static str, &'static str); 1], Counter>,
    refused_entities: Counter,
    ladder: pressure::Metrics,
}

impl Metrics {
    /// Makes them and shows them in the registry.
    pub(crate) fn new(registry: &mut Registry, limit: u64) -> Self {
        let m = Self {
            ladder: pressure::Metrics::new(registry, limit),
            ..Self::default()
        };
        let r = registry.sub_registry_with_prefix("cairn_aggregator_store");
        let help = "Rows dropped before their time, by why: a node's share, the memory limit, or a \
                    node's clock that was set back behind them";
        r.register("shortened_rows", help, m.shortened.clone());
        let help =
            "New entities of nodes that were over their share with only their newest row left";
        r.register("refused_entities", help, m.refused_entities.clone());
        m
    }

    fn shortened(&self, why: &'static str, rows: u64) {
        if rows > 0 {
            self.shortened.get_or_create(&[("why", why)]).inc_by(rows);
        }
    }
}

/// Parts of a [`Memory`].
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Door>,
    pub(crate) clock: Clock,
    pub(crate) window_ms: u64,
    /// Bytes of the process; 0 means no limit.
    pub(crate) limit: u64,
    /// Says how much memory the process has.
    pub(crate) status: PathBuf,
    pub(crate) pressure: Pressure,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
}

/// Keeps the store within its bounds.
#[derive(Debug)]
pub(super) struct Memory {
    parts: Parts,
    ladder: Ladder,
    // When windows were shortened last; nothing once a whole window has come since.
    shortened_ms: Option<u64>,
    limited: BTreeSet<Arc<str>>,
}

impl Memory {
    pub(super) fn new(parts: Parts) -> Self {
        let ladder = Ladder::new(parts.limit);
        Self {
            parts,
            ladder,
            shortened_ms: None,
            limited: BTreeSet::new(),
        }
    }

    /// Drops what the window does not cover, and what nodes hold beyond their share.
    pub(super) fn evict(&mut self) {
        let evicted = self.parts.store.evict(self.parts.clock.unix_ms());
        let metrics = &self.parts.metrics;
        metrics.shortened("share", evicted.share_rows);
        metrics.shortened("limit", evicted.limit_rows);
        metrics.shortened("clock", evicted.clock_rows);
        metrics.refused_entities.inc_by(evicted.refused_entities);
        if evicted.limit_rows > 0 {
            self.say_shortened();
        }
        if evicted.share_rows + evicted.refused_entities > 0 || !self.limited.is_empty() {
            self.say_shares();
        }
    }

    /// Looks at the gauges and does what they ask for.
    pub(super) fn look(&mut self) {
        let gauges = Gauges {
            counted: self.parts.store.bytes(),
            real: memory::anonymous_bytes(&self.parts.status).unwrap_or(0),
        };
        let look = self.ladder.look(gauges);
        self.parts.metrics.ladder.looked(gauges, look);
        if self.parts.pressure.looked(look.level) {
            self.say_level(look);
        }
        if let Some(to) = look.shorten_to {
            let rows = self.parts.store.shorten(to);
            self.parts.metrics.shortened("limit", rows);
            tracing::warn!(
                rows,
                from_bytes = gauges.counted,
                to_bytes = self.parts.store.bytes(),
                real_bytes = gauges.real,
                "every window was shortened: memory is short"
            );
            if rows > 0 {
                self.say_shortened();
            }
        }
        self.forget_shortened();
    }

    fn say_level(&self, look: Look) {
        self.parts.metrics.ladder.stepped(look.level);
        let (used, limit) = (look.used, self.parts.limit);
        let does = match look.level {
            Level::Calm => {
                self.parts.readiness.clear("memory");
                tracing::info!(used, limit, "memory is not short any more");
                return;
            }
            Level::NoWants => "no more history is asked for",
            Level::Shorten => "every window is shortened, oldest rows first",
            Level::Refuse => {
                "windows are as short as they can be made: new agents and large requests are sent away \
                 for a while"
            }
        };
        let text = format!(
            "{used} of {limit} bytes are used: {does}; raise --memory-limit and the limit of the \
             container, or shorten --window"
        );
        tracing::warn!(level = look.level.word(), "{text}");
        self.parts.readiness.note("memory", Note::Degraded(text));
    }

    fn say_shortened(&mut self) {
        self.shortened_ms = Some(self.parts.clock.unix_ms());
        let text = "rows went early because memory was short: graphs reach back less far until a whole \
                    window has come since";
        let note = Note::Degraded(text.to_owned());
        self.parts.readiness.note("window", note);
    }

    fn forget_shortened(&mut self) {
        let whole_ms = |at: u64| at.saturating_add(self.parts.window_ms);
        let now_ms = self.parts.clock.unix_ms();
        if self.shortened_ms.is_some_and(|at| whole_ms(at) <= now_ms) {
            self.shortened_ms = None;
            self.parts.readiness.clear("window");
        }
    }

    /// Says which nodes their share limits, when those are others than before.
    fn say_shares(&mut self) {
        let nodes = self.parts.store.nodes();
        let limited = nodes.iter().filter(|node| node.limited != Limited::No);
        let full = limited
            .clone()
            .filter(|node| node.limited == Limited::Full)
            .count();
        let now: BTreeSet<Arc<str>> = limited.map(|node| Arc::clone(&node.name)).collect();
        let share = self.parts.store.share();
        for node in now.difference(&self.limited).take(NAMED) {
            tracing::warn!(
                node = &**node,
                share_bytes = share,
                "node holds more than its share: its own window is shortened, then what is new on it \
                 is refused; see --node-budget"
            );
        }
        for node in self.limited.difference(&now).take(NAMED) {
            tracing::info!(node = &**node, "node is within its share again");
        }
        if now.is_empty() {
            self.parts.readiness.clear("shares");
        } else {
            let text = format!(
                "{} nodes hold more than their share of {share} bytes and have shorter windows, {full} \
                 of them get nothing new: the page says which; see --node-budget",
                now.len()
            );
            self.parts.readiness.note("shares", Note::Degraded(text));
        }
        self.limited = now;
    }
}
