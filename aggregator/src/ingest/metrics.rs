//! Counters of what came in and what became of it.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::refusal::Refusal;
use crate::store::{Applied, Error};

/// One label whose values are a closed set of words.
type Label = [(&'static str, &'static str); 1];

/// Figures of ingest.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    streams: Gauge,
    refused: Family<Label, Counter>,
    ended: Family<Label, Counter>,
    frames: Family<Label, Counter>,
    bytes: Counter,
    rows: Family<Label, Counter>,
    rejected: Family<Label, Counter>,
    entities_refused: Counter,
    misplaced: Family<Label, Counter>,
    history_rows: Counter,
    pub(super) useless_chunks: Counter,
    gap_rows: Counter,
    earlier_runs_refused: Counter,
    wants: Counter,
    slowed: Family<Label, Counter>,
}

impl Metrics {
    /// Makes them and shows them in the registry.
    pub fn new(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("cairn_aggregator_ingest");
        r.register("streams", "Open streams of agents", m.streams.clone());
        r.register(
            "refused_streams",
            "Streams not taken, by reason",
            m.refused.clone(),
        );
        r.register("ended_streams", "Streams ended, by reason", m.ended.clone());
        r.register("frames", "Frames received, by kind", m.frames.clone());
        r.register(
            "row_bytes",
            "Bytes of row and chunk payloads",
            m.bytes.clone(),
        );
        r.register(
            "rows",
            "Rows received, by what became of them",
            m.rows.clone(),
        );
        r.register(
            "rejected_frames",
            "Frames at fault, by fault",
            m.rejected.clone(),
        );
        let help = "Entities refused for their names, kinds or number";
        r.register("refused_entities", help, m.entities_refused.clone());
        let help = "Pods and parts of them that the cluster does not have on their agent's node";
        r.register("misplaced_entities", help, m.misplaced.clone());
        r.register(
            "history_rows",
            "Rows taken over from agents' rings",
            m.history_rows.clone(),
        );
        let help =
            "Blocks of agents' rings that came when their nodes had let go of them, and were left";
        r.register("useless_chunks", help, m.useless_chunks.clone());
        r.register(
            "gap_rows",
            "Rows that agents said will not come, or dropped before anybody had them",
            m.gap_rows.clone(),
        );
        let help = "Earlier runs that agents told of and that cannot be";
        r.register("refused_earlier_runs", help, m.earlier_runs_refused.clone());
        r.register("wants", "Requests for history sent", m.wants.clone());
        let help =
            "Times that a stream was not read for a moment because it sent too much, by what";
        r.register("slowed", help, m.slowed.clone());
        m
    }

    pub(super) fn opened(&self) {
        self.streams.inc();
    }

    pub(super) fn closed(&self, reason: &'static str) {
        self.streams.dec();
        self.ended.get_or_create(&[("reason", reason)]).inc();
    }

    pub(super) fn refused_identity(&self, refusal: &Refusal) {
        self.refused(refusal.word());
    }

    pub(super) fn refused_full(&self) {
        self.refused("full");
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }

    pub(super) fn frame(&self, kind: &'static str) {
        self.frames.get_or_create(&[("kind", kind)]).inc();
    }

    pub(super) fn payload(&self, bytes: usize) {
        self.bytes.inc_by(bytes as u64);
    }

    pub(super) fn row(&self, applied: Applied) {
        let result = match applied {
            Applied::Applied => "applied",
            Applied::Duplicate => "duplicate",
            Applied::Late => "late",
            Applied::TooOld => "too_old",
            Applied::TooNew => "too_new",
        };
        self.rows.get_or_create(&[("result", result)]).inc();
    }

    pub(super) fn rejected(&self, error: &Error) {
        let fault = match error {
            Error::Fenced => "fenced",
            Error::Decode { .. } => "decode",
            Error::Base { .. } => "base",
            Error::Undefined { .. } => "undefined",
            Error::TooManyEntities { .. } => "too_many_entities",
            Error::Redefined { .. } => "redefined",
            Error::Tick { .. } => "tick",
            Error::PassedOver { .. } => "passed_over",
            Error::TooLarge { .. } | Error::TooManyCells { .. } => "too_large",
            Error::Block { .. } => "block",
        };
        self.rejected.get_or_create(&[("fault", fault)]).inc();
    }

    pub(super) fn refused_entity(&self) {
        self.entities_refused.inc();
    }

    pub(super) fn refused_place(&self, reason: &'static str) {
        self.misplaced.get_or_create(&[("reason", reason)]).inc();
    }

    pub(super) fn history(&self, rows: u64) {
        self.history_rows.inc_by(rows);
    }

    pub(super) fn useless_chunk(&self) {
        self.useless_chunks.inc();
    }

    pub(super) fn gap(&self, rows: u64) {
        self.gap_rows.inc_by(rows);
    }

    pub(super) fn refused_earlier_runs(&self, runs: u64) {
        self.earlier_runs_refused.inc_by(runs);
    }

    pub(super) fn want(&self) {
        self.wants.inc();
    }

    pub(super) fn slowed(&self, what: &'static str) {
        self.slowed.get_or_create(&[("what", what)]).inc();
    }
}
