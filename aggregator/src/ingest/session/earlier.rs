//! Runs before its own of which an agent tells in `Hello`.

use cairn_proto::model::EarlierRun;
use cairn_proto::{limits, rfc3339, v1, wire};

use crate::ingest::Inner;
use crate::store::Session;

/// Takes note of the runs that ended, and counts those that cannot be.
pub(super) fn hear(inner: &Inner, session: &Session, told: &[v1::EarlierRun]) {
    if told.is_empty() {
        return;
    }
    let read = told.iter().take(limits::MAX_EARLIER_RUNS);
    let possible = read.filter_map(|run| wire::earlier_run(run).ok());
    let possible: Vec<EarlierRun> = possible.collect();
    let not_read = (told.len() - possible.len()) as u64;
    let now_ms = inner.clock.unix_ms();
    let refused = not_read + inner.store.earlier(session, &possible, now_ms);
    let node = &session.node;
    if refused > 0 {
        inner.metrics.refused_earlier_runs(refused);
        tracing::warn!(
            node,
            refused,
            "agent tells of earlier runs that cannot be, and they are passed over: check the node's clock"
        );
    }
    if let Some(last) = possible.iter().map(|run| run.last_tick_ms).max() {
        tracing::info!(
            node,
            runs = possible.len(),
            up_to = rfc3339::format(last),
            "agent tells of earlier runs: ticks of which nobody has a row count as missing"
        );
    }
}
