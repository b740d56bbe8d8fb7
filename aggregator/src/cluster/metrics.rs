//! Figures of the watch.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::{Kind, Known, Resource};

/// One label whose values are a closed set of words.
type Label = [(&'static str, &'static str); 1];

/// Resource and reason.
type Labels = [(&'static str, &'static str); 2];

/// Figures of the watch.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    lists: Family<Label, Counter>,
    failures: Family<Labels, Counter>,
    restarts: Family<Label, Counter>,
    bad_objects: Family<Label, Counter>,
    bad_amounts: Family<Label, Counter>,
    heard: Arc<Mutex<[Option<Instant>; Resource::ALL.len()]>>,
}

impl Metrics {
    /// Makes them and shows them in the registry.
    pub fn new(registry: &mut Registry, known: Arc<Known>) -> Self {
        let m = Self::default();
        let heard = Arc::clone(&m.heard);
        let r = registry.sub_registry_with_prefix("cairn_aggregator_cluster");
        let help = "Lists of all objects that were read to their end, by resource";
        r.register("lists", help, m.lists.clone());
        let help = "Lists and watches that failed, by resource and kind";
        r.register("failures", help, m.failures.clone());
        let help = "Watches that were begun after the first of their resource";
        r.register("watch_restarts", help, m.restarts.clone());
        let help = "Objects that were not understood or too large, and passed over";
        r.register("bad_objects", help, m.bad_objects.clone());
        let help =
            "Requests, limits and capacities that were no amounts or too many, and passed over";
        r.register("bad_amounts", help, m.bad_amounts.clone());
        for resource in Resource::ALL {
            // Each is there from the start, so that its first step is seen.
            let of = [("resource", resource.as_str())];
            drop(m.lists.get_or_create(&of));
            drop(m.restarts.get_or_create(&of));
            drop(m.bad_objects.get_or_create(&of));
            drop(m.bad_amounts.get_or_create(&of));
        }
        registry.register_collector(Box::new(Figures { known, heard }));
        m
    }

    pub(super) fn listed(&self, resource: Resource) {
        let of = [("resource", resource.as_str())];
        self.lists.get_or_create(&of).inc();
    }

    pub(super) fn failed(&self, resource: Resource, kind: Kind) {
        let of = [("resource", resource.as_str()), ("kind", kind.as_str())];
        self.failures.get_or_create(&of).inc();
    }

    pub(super) fn restarted(&self, resource: Resource) {
        let of = [("resource", resource.as_str())];
        self.restarts.get_or_create(&of).inc();
    }

    pub(super) fn bad_object(&self, resource: Resource) {
        let of = [("resource", resource.as_str())];
        self.bad_objects.get_or_create(&of).inc();
    }

    pub(super) fn bad_amounts(&self, resource: Resource, count: u16) {
        let of = [("resource", resource.as_str())];
        self.bad_amounts.get_or_create(&of).inc_by(count.into());
    }

    /// Something of this resource came: an object, or a bookmark.
    pub(super) fn heard(&self, resource: Resource) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heard) = heard.get_mut(resource as usize) {
            *heard = Some(Instant::now());
        }
    }
}

/// What is read when somebody asks.
#[derive(Debug)]
struct Figures {
    known: Arc<Known>,
    heard: Arc<Mutex<[Option<Instant>; Resource::ALL.len()]>>,
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "cairn_aggregator_cluster_objects";
        let help = "Objects that are known, by resource";
        let kind = ConstGauge::new(0i64).metric_type();
        let mut objects = encoder.encode_descriptor(name, help, None, kind)?;
        for resource in Resource::ALL {
            let count = i64::try_from(self.known.count(resource)).unwrap_or(i64::MAX);
            let of = [("resource", resource.as_str())];
            ConstGauge::new(count).encode(objects.encode_family(&of)?)?;
        }
        let name = "cairn_aggregator_cluster_last_event_age_seconds";
        let help = "Time since an object or a bookmark came, by resource";
        let mut ages = encoder.encode_descriptor(name, help, None, kind)?;
        for (resource, heard) in Resource::ALL.into_iter().zip(heard) {
            if let Some(heard) = heard {
                let of = [("resource", resource.as_str())];
                let age = ConstGauge::new(heard.elapsed().as_secs_f64());
                age.encode(ages.encode_family(&of)?)?;
            }
        }
        Ok(())
    }
}
