//! Figures of the store and of the nodes, read when somebody asks for them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::clock::Clock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::api::Streams;
use crate::store::{Door, Limited};

/// Reads the store at scrape time.
#[derive(Debug)]
struct StoreFigures {
    store: Arc<dyn Door>,
    clock: Clock,
    streams: Streams,
    window_ms: u64,
}

/// Shows the figures of the store in the registry.
pub(crate) fn register(
    registry: &mut Registry,
    store: &Arc<dyn Door>,
    clock: &Clock,
    streams: &Streams,
    window_ms: u64,
) {
    let (store, clock, streams) = (Arc::clone(store), clock.clone(), streams.clone());
    let figures = StoreFigures {
        store,
        clock,
        streams,
        window_ms,
    };
    registry.register_collector(Box::new(figures));
}

impl Collector for StoreFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (size, nodes) = (self.store.size(), self.store.nodes());
        let now_ms = self.clock.unix_ms();
        let live = || nodes.iter().filter(|n| n.live);
        let failing = nodes.iter().filter(|n| n.sources.iter().any(|s| !s.ok));
        let silent_ms = live()
            .map(|n| now_ms.saturating_sub(n.arrived_ms.max(n.since_ms)))
            .max();
        let skew_ms = nodes.iter().map(|n| n.offset_ms.unsigned_abs()).max();
        let gaps: u64 = nodes.iter().map(|n| n.gap_rows).sum();
        let limited = nodes.iter().filter(|n| n.limited != Limited::No);
        let mut out = Figures {
            encoder: &mut encoder,
        };
        out.gauge("store_nodes", "Nodes with rows or a session", size.nodes)?;
        out.gauge("store_rows", "Rows held", size.rows)?;
        out.gauge("store_samples", "Samples held", size.samples)?;
        out.gauge(
            "store_bytes",
            "Bytes that the rows are counted as",
            size.bytes,
        )?;
        out.seconds("store_window", "Time held at most", self.window_ms)?;
        out.gauge(
            "nodes_live",
            "Nodes with an open stream",
            live().count() as u64,
        )?;
        out.gauge(
            "nodes_failing",
            "Nodes with a failing source",
            failing.count() as u64,
        )?;
        let help = "Nodes whose windows are shorter because they hold more than their share";
        out.gauge("nodes_limited", help, limited.count() as u64)?;
        let help = "What one node may hold";
        out.gauge("store_node_share_bytes", help, self.store.share())?;
        let help = "Age of the newest row of the live node that has been silent for longest";
        out.seconds("nodes_silent", help, silent_ms.unwrap_or(0))?;
        let help = "Largest difference of a node's clock to this one";
        out.seconds("nodes_clock_skew", help, skew_ms.unwrap_or(0))?;
        let streams = self.streams.count() as u64;
        out.gauge("api_streams", "Open event streams of pages", streams)?;
        let help = "Ticks without a row since a node is known to have been there, of all nodes";
        let gap_ticks: u64 = nodes.iter().map(|n| n.gap_ticks).sum();
        out.gauge("store_gap_ticks", help, gap_ticks)?;
        out.gauge(
            "store_gap_rows",
            "Rows known not to come, of nodes in the window",
            gaps,
        )
    }
}

/// Writes figures under the aggregator's prefix.
struct Figures<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
}

impl Figures<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        self.put(&format!("cairn_aggregator_{name}"), help, &value)
    }

    fn seconds(&mut self, name: &str, help: &str, ms: u64) -> fmt::Result {
        let value = ConstGauge::new(Duration::from_millis(ms).as_secs_f64());
        self.put(&format!("cairn_aggregator_{name}_seconds"), help, &value)
    }

    fn put(&mut self, name: &str, help: &str, value: &impl EncodeMetric) -> fmt::Result {
        let metric = self
            .encoder
            .encode_descriptor(name, help, None, value.metric_type())?;
        value.encode(metric)
    }
}
