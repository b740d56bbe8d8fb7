//! Of each source: what it costs, how often it is asked, and what the newest row has of it.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{BySource, LAG_SECONDS, Seconds};

/// Of each source.
#[derive(Clone, Debug)]
pub struct Sources {
    /// CPU time that scrapes took of the agent.
    pub cpu: Family<BySource, Counter<f64, AtomicU64>>,
    /// How far apart its scrapes are now.
    pub cadence: Family<BySource, Gauge<f64, AtomicU64>>,
    /// From the tick at which it was asked to the beginning of its reading.
    pub lag: Seconds,
    /// Values of it in the newest row.
    pub samples: Family<BySource, Gauge>,
    /// Of these, those that were measured more than an interval before.
    pub held: Family<BySource, Gauge>,
    /// Of these, those that are too old to be shown.
    pub absent: Family<BySource, Gauge>,
}

impl Sources {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let new = Self {
            cpu: Family::default(),
            cadence: Family::default(),
            lag: Family::new_with_constructor(|| Histogram::new(LAG_SECONDS)),
            samples: Family::default(),
            held: Family::default(),
            absent: Family::default(),
        };
        let (cpu, cadence, lag) = (new.cpu.clone(), new.cadence.clone(), new.lag.clone());
        let help = "CPU time of the agent for its scrapes";
        registry.register_with_unit("scrape_cpu", help, Unit::Seconds, cpu);
        let help = "Distance of its scrapes, longer than configured while they cost too much";
        registry.register_with_unit("scrape_cadence", help, Unit::Seconds, cadence);
        let help = "Delay of its reading behind the tick";
        registry.register_with_unit("scrape_lag", help, Unit::Seconds, lag);
        let help = "Values of it in the newest row";
        registry.register("row_samples", help, new.samples.clone());
        let help = "Values in the newest row that were measured more than an interval before";
        registry.register("row_held_samples", help, new.held.clone());
        let help = "Values in the newest row that are too old to be shown";
        registry.register("row_absent_samples", help, new.absent.clone());
        new
    }
}
