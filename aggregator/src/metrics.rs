//! Figures of the store and of the nodes, read when somebody asks for them.

use std::fmt;
use std::sync::Arc;

use cairn_runtime::clock::Clock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::api::Streams;
use crate::store::Door;

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
        let live = nodes.iter().filter(|n| n.live).count() as u64;
        let failing = nodes
            .iter()
            .filter(|n| n.sources.iter().any(|s| !s.ok))
            .count() as u64;
        let silent = nodes.iter().filter(|n| n.live).map(|n| n.arrived_ms).min();
        let silent_ms = silent.map_or(0, |arrived| now_ms.saturating_sub(arrived));
        let skew = nodes
            .iter()
            .map(|n| n.offset_ms.unsigned_abs())
            .max()
            .unwrap_or(0);
        let gaps: u64 = nodes.iter().map(|n| n.gap_rows).sum();
        let mut gauge = |name: &str, help: &str, value: u64| {
            let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, value.metric_type())?;
            value.encode(metric)
        };
        let prefix = |name: &str| format!("cairn_aggregator_{name}");
        gauge(
            &prefix("store_nodes"),
            "Nodes with rows or a session",
            size.nodes,
        )?;
        gauge(&prefix("store_rows"), "Rows held", size.rows)?;
        gauge(&prefix("store_samples"), "Samples held", size.samples)?;
        gauge(
            &prefix("store_bytes"),
            "Bytes that the rows are counted as",
            size.bytes,
        )?;
        gauge(
            &prefix("store_window_milliseconds"),
            "Time held at most",
            self.window_ms,
        )?;
        gauge(&prefix("nodes_live"), "Nodes with an open stream", live)?;
        gauge(
            &prefix("nodes_failing"),
            "Nodes with a failing source",
            failing,
        )?;
        let help = "Age of the newest row of the live node that has been silent for longest";
        gauge(&prefix("nodes_silent_milliseconds"), help, silent_ms)?;
        let help = "Largest difference of a node's clock to this one";
        gauge(&prefix("nodes_clock_skew_milliseconds"), help, skew)?;
        gauge(
            &prefix("api_streams"),
            "Open event streams of pages",
            self.streams.count() as u64,
        )?;
        let help = "Rows that agents said will not come, of nodes in the window";
        let value = ConstCounter::new(gaps);
        let name = prefix("store_gap_rows");
        let metric = encoder.encode_descriptor(&name, help, None, value.metric_type())?;
        value.encode(metric)
    }
}
