//! The agent's own metrics. Labels are words of closed sets, never a name or an address.

mod cgroups;
mod file_systems;
mod marker;
mod names;
mod sources;
#[cfg(test)]
mod tests;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use self::cgroups::Cgroups;
pub use self::file_systems::FileSystems;
pub use self::marker::Marker;
pub use self::names::Names;
pub use self::sources::Sources;

/// What every own metric's name begins with.
pub const PREFIX: &str = "cairn_agent";

/// From a reading of /proc to the deadline of a scrape.
const SCRAPE_SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// From a timer's jitter to a whole missed tick.
const LAG_SECONDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Which source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BySource {
    /// The source's word.
    pub source: &'static str,
}

/// Which source failed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BySourceKind {
    /// The source's word.
    pub source: &'static str,
    /// The failure's word.
    pub kind: &'static str,
}

/// Which kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByKind {
    /// A word of a closed set, named where it is counted.
    pub kind: &'static str,
}

type Seconds = Family<BySource, Histogram, fn() -> Histogram>;

/// Of the scrapes.
#[derive(Clone, Debug)]
pub struct Scrapes {
    /// How long a scrape took, to its answer.
    pub duration: Seconds,
    /// Scrapes that brought nothing.
    pub failures: Family<BySourceKind, Counter>,
    /// Ticks at which a source was still at an earlier one.
    pub busy: Family<BySource, Counter>,
    /// Values in answers that were not understood.
    pub odd: Family<BySource, Counter>,
}

/// Of the sampler.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// How late a tick's scrapes began.
    pub lag: Histogram,
    /// Rows made.
    pub rows: Counter,
    /// Samples in them.
    pub samples: Counter,
    /// Measurements with an earlier time than the one before.
    pub late: Counter,
    /// Measurements whose time is still to come.
    pub future: Counter,
    /// Pods, containers and parts left out of rows because too many are listed; each row counts them.
    pub dropped: Counter,
    /// Ticks at which no row was made because the process was not awake.
    pub skipped_ticks: Counter,
    /// Rows that waited for the names of who had just come.
    pub awaited: Counter,
    /// Runs that a step of the wall clock began.
    pub clock_steps: Counter,
    /// Entities in the newest row.
    pub entities: Gauge,
    /// Entities that got no id in the newest row.
    pub refused: Gauge,
}

/// Of the ring.
#[derive(Clone, Debug)]
pub struct Ring {
    /// Rows held.
    pub rows: Gauge,
    /// Bytes of them: chunks, decoded rows, references to definitions.
    pub bytes: Gauge,
    /// Rows that fell out, by kind: age, memory, clock step.
    pub evicted: Family<ByKind, Counter>,
    /// Of these, rows that no aggregator had acknowledged or been sent on request.
    pub dropped: Counter,
}

/// Of the uplink.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// Addresses of aggregators that are tried or streamed to.
    pub addresses: Gauge,
    /// Sessions that live.
    pub sessions: Gauge,
    /// Ends of sessions and of attempts, by kind.
    pub ends: Family<ByKind, Counter>,
    /// Rows sent, over all sessions.
    pub rows: Counter,
    /// Rows that a session passed over because two newer ones waited.
    pub rows_skipped: Counter,
    /// Rows sent as keyframes.
    pub keyframes: Counter,
    /// Bytes of rows and chunks after encoding.
    pub encoded_bytes: Counter,
    /// Blocks sent on request.
    pub chunks: Counter,
    /// Answers that rows will not come, by kind.
    pub gaps: Family<ByKind, Counter>,
    /// Requests for history that were ignored, by kind: too many at once.
    pub wants_ignored: Family<ByKind, Counter>,
    /// Times that history was held back because too much was asked for in ten minutes.
    pub wants_postponed: Counter,
    /// Times that an aggregator was not read for a moment because it sent too much.
    pub slowed: Counter,
    /// Frames that were skipped, by kind.
    pub frames_ignored: Family<ByKind, Counter>,
    /// Rows sent and not acknowledged, over all sessions.
    pub unacked: Gauge,
    /// When the last acknowledgement came, Unix seconds.
    pub last_ack: Gauge,
}

/// All of them. A clone counts into the same metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Of the scrapes.
    pub scrapes: Scrapes,
    /// Of each source.
    pub sources: Sources,
    /// Of the node's cgroups.
    pub cgroups: Cgroups,
    /// Of the host's file systems.
    pub file_systems: FileSystems,
    /// Of names that aggregators are asked for.
    pub names: Names,
    /// Of the sampler.
    pub sampler: Sampler,
    /// Of the file that outlives the process.
    pub marker: Marker,
    /// Of the ring.
    pub ring: Ring,
    /// Of the uplink.
    pub uplink: Uplink,
}

impl Metrics {
    /// Makes and registers all metrics.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix(PREFIX);
        Self {
            scrapes: Scrapes::new(registry),
            sources: Sources::new(registry),
            cgroups: Cgroups::new(registry),
            file_systems: FileSystems::new(registry),
            names: Names::new(registry),
            sampler: Sampler::new(registry),
            marker: Marker::new(registry),
            ring: Ring::new(registry),
            uplink: Uplink::new(registry),
        }
    }
}

impl Scrapes {
    fn new(registry: &mut Registry) -> Self {
        let duration: Seconds = Family::new_with_constructor(|| Histogram::new(SCRAPE_SECONDS));
        let new = Self {
            duration,
            failures: Family::default(),
            busy: Family::default(),
            odd: Family::default(),
        };
        let duration = new.duration.clone();
        registry.register_with_unit(
            "scrape_duration",
            "Time to an answer",
            Unit::Seconds,
            duration,
        );
        registry.register(
            "scrape_failures",
            "Scrapes that brought nothing",
            new.failures.clone(),
        );
        registry.register(
            "scrape_busy",
            "Ticks at which it was busy",
            new.busy.clone(),
        );
        registry.register(
            "scrape_odd_values",
            "Values not understood",
            new.odd.clone(),
        );
        new
    }
}

impl Sampler {
    fn new(registry: &mut Registry) -> Self {
        let new = Self {
            lag: Histogram::new(LAG_SECONDS),
            rows: Counter::default(),
            samples: Counter::default(),
            late: Counter::default(),
            future: Counter::default(),
            dropped: Counter::default(),
            skipped_ticks: Counter::default(),
            awaited: Counter::default(),
            clock_steps: Counter::default(),
            entities: Gauge::default(),
            refused: Gauge::default(),
        };
        let lag = new.lag.clone();
        registry.register_with_unit("sampler_lag", "Delay of a tick", Unit::Seconds, lag);
        registry.register("sampler_rows", "Rows made", new.rows.clone());
        registry.register("sampler_samples", "Samples made", new.samples.clone());
        registry.register(
            "sampler_late",
            "Measurements out of order",
            new.late.clone(),
        );
        registry.register(
            "sampler_future",
            "Measurements from the future",
            new.future.clone(),
        );
        registry.register(
            "sampler_dropped_entities",
            "Entities left out of rows",
            new.dropped.clone(),
        );
        registry.register(
            "sampler_skipped_ticks",
            "Ticks missed",
            new.skipped_ticks.clone(),
        );
        registry.register(
            "sampler_awaited_rows",
            "Rows that waited for names",
            new.awaited.clone(),
        );
        registry.register(
            "sampler_clock_steps",
            "Runs begun by a step of the wall clock",
            new.clock_steps.clone(),
        );
        registry.register(
            "sampler_entities",
            "Entities in the newest row",
            new.entities.clone(),
        );
        registry.register(
            "sampler_refused_entities",
            "Entities without id",
            new.refused.clone(),
        );
        new
    }
}

impl Ring {
    fn new(registry: &mut Registry) -> Self {
        let new = Self {
            rows: Gauge::default(),
            bytes: Gauge::default(),
            evicted: Family::default(),
            dropped: Counter::default(),
        };
        registry.register("ring_rows", "Rows held", new.rows.clone());
        registry.register_with_unit("ring", "Estimated size", Unit::Bytes, new.bytes.clone());
        registry.register(
            "ring_evicted_rows",
            "Rows that fell out",
            new.evicted.clone(),
        );
        let help = "Rows that fell out before an aggregator had them";
        registry.register("ring_dropped_rows", help, new.dropped.clone());
        new
    }
}

impl Uplink {
    fn new(registry: &mut Registry) -> Self {
        let new = Self {
            addresses: Gauge::default(),
            sessions: Gauge::default(),
            ends: Family::default(),
            rows: Counter::default(),
            rows_skipped: Counter::default(),
            keyframes: Counter::default(),
            encoded_bytes: Counter::default(),
            chunks: Counter::default(),
            gaps: Family::default(),
            wants_ignored: Family::default(),
            wants_postponed: Counter::default(),
            slowed: Counter::default(),
            frames_ignored: Family::default(),
            unacked: Gauge::default(),
            last_ack: Gauge::default(),
        };
        registry.register(
            "uplink_addresses",
            "Aggregator addresses",
            new.addresses.clone(),
        );
        registry.register("uplink_sessions", "Live sessions", new.sessions.clone());
        registry.register(
            "uplink_ends",
            "Ends of sessions and attempts",
            new.ends.clone(),
        );
        registry.register("uplink_rows", "Rows sent", new.rows.clone());
        registry.register(
            "uplink_rows_skipped",
            "Rows passed over",
            new.rows_skipped.clone(),
        );
        registry.register("uplink_keyframes", "Keyframes sent", new.keyframes.clone());
        let bytes = new.encoded_bytes.clone();
        registry.register_with_unit("uplink_encoded", "Encoded rows", Unit::Bytes, bytes);
        registry.register("uplink_chunks", "Blocks sent", new.chunks.clone());
        registry.register("uplink_gaps", "Rows said not to come", new.gaps.clone());
        registry.register(
            "uplink_wants_ignored",
            "Requests for history that were ignored because too many waited, by kind",
            new.wants_ignored.clone(),
        );
        registry.register(
            "uplink_wants_postponed",
            "Times that history was held back because too much was asked for in ten minutes",
            new.wants_postponed.clone(),
        );
        registry.register(
            "uplink_slowed",
            "Times that an aggregator was not read for a moment because it sent too much",
            new.slowed.clone(),
        );
        registry.register(
            "uplink_frames_ignored",
            "Frames of aggregators that were skipped, by kind",
            new.frames_ignored.clone(),
        );
        registry.register(
            "uplink_unacked_rows",
            "Rows not acknowledged",
            new.unacked.clone(),
        );
        let ack = new.last_ack.clone();
        let help = "Unix time at which an aggregator last acknowledged a row, 0 before the first";
        registry.register_with_unit("uplink_last_ack", help, Unit::Seconds, ack);
        new
    }
}
