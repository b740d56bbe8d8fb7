//! Counters of what was asked of peers and what they were given.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::end::Kind;

/// One label whose values are a closed set of words.
type Label = [(&'static str, &'static str); 1];

/// Figures of replay.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(super) exchanges: Gauge,
    pub(super) asked_nodes: Counter,
    pub(super) taken_chunks: Counter,
    pub(super) taken_rows: Counter,
    pub(super) taken_bytes: Counter,
    pub(super) skipped_frames: Counter,
    failures: Family<Label, Counter>,
    pub(super) streams: Gauge,
    pub(super) answered_nodes: Counter,
    pub(super) given_chunks: Counter,
    pub(super) given_bytes: Counter,
    refused: Family<Label, Counter>,
}

impl Metrics {
    /// Makes them and shows them in the registry; those of asking only where there are peers to ask.
    pub fn new(registry: &mut Registry, has_peers: bool) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("cairn_aggregator_replay");
        let help = "Peers that are being answered";
        r.register("streams", help, m.streams.clone());
        let help = "Nodes whose history was given to a peer";
        r.register("answered_nodes", help, m.answered_nodes.clone());
        let help = "Chunks given to peers";
        r.register("given_chunks", help, m.given_chunks.clone());
        let help = "Payload bytes of chunks given to peers";
        r.register("given_bytes", help, m.given_bytes.clone());
        let help = "Streams of peers not taken or ended for a fault, by reason";
        r.register("refused_streams", help, m.refused.clone());
        if has_peers {
            m.register_asking(r);
        }
        m
    }

    fn register_asking(&self, r: &mut Registry) {
        let help = "Peers that are being asked for history";
        r.register("exchanges", help, self.exchanges.clone());
        let help = "Nodes that peers were asked for";
        r.register("asked_nodes", help, self.asked_nodes.clone());
        let help = "Chunks that came from peers";
        r.register("taken_chunks", help, self.taken_chunks.clone());
        let help = "Rows of chunks from peers that were not in the window before";
        r.register("taken_rows", help, self.taken_rows.clone());
        let help = "Payload bytes of chunks that came from peers";
        r.register("taken_bytes", help, self.taken_bytes.clone());
        let help = "Frames of peers passed over: of an unknown kind, or too large a block";
        r.register("skipped_frames", help, self.skipped_frames.clone());
        let help = "Exchanges with peers that failed, by kind";
        r.register("failures", help, self.failures.clone());
    }

    pub(super) fn failed(&self, kind: Kind) {
        let kind = kind.as_str();
        self.failures.get_or_create(&[("kind", kind)]).inc();
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }
}
