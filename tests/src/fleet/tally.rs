//! What the fleet has done so far, as `GET /state` tells it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Different ends of streams that are told apart; texts beyond them are counted as one.
const MOST_ENDS: usize = 32;

/// How ends beyond [`MOST_ENDS`] are called.
const OTHER_ENDS: &str = "others";

/// Counters of all sessions.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) defines: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) samples: AtomicU64,
    pub(super) keyframes: AtomicU64,
    pub(super) row_bytes: AtomicU64,
    pub(super) rows_skipped: AtomicU64,
    pub(super) chunks: AtomicU64,
    pub(super) chunk_bytes: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) sessions: AtomicU64,
    pub(super) late_steps: AtomicU64,
    ends: Mutex<BTreeMap<String, u64>>,
}

/// Adds to a counter; nothing is ordered by it.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Tally {
    /// Counts the end of a stream or of an attempt.
    pub(super) fn end(&self, text: &str) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let text = if ends.len() < MOST_ENDS || ends.contains_key(text) {
            text
        } else {
            OTHER_ENDS
        };
        *ends.entry(text.to_owned()).or_default() += 1;
    }

    /// Fills in what is counted here.
    pub(super) fn tell(&self, state: &mut State) {
        state.defines_sent = read(&self.defines);
        state.rows_sent = read(&self.rows);
        state.samples_sent = read(&self.samples);
        state.keyframes_sent = read(&self.keyframes);
        state.row_bytes_sent = read(&self.row_bytes);
        state.rows_skipped = read(&self.rows_skipped);
        state.chunks_sent = read(&self.chunks);
        state.chunk_bytes_sent = read(&self.chunk_bytes);
        state.gaps_sent = read(&self.gaps);
        state.late_steps = read(&self.late_steps);
        state.reconnects = read(&self.sessions).saturating_sub(state.streams);
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        state.ends.clone_from(&ends);
    }
}

/// The fleet at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Agents.
    pub agents: u64,
    /// Streams that there are when all is well: one for each agent and address.
    pub streams: u64,
    /// Streams that have been welcomed and live.
    pub connected: u64,
    /// Rows that each agent has sampled since the fleet began, its history included.
    pub rows: u64,
    /// Tick of row 0, Unix ms.
    pub first_tick_ms: u64,
    /// Tick of the newest row, Unix ms; 0 before there is one.
    pub newest_tick_ms: u64,
    /// Samples of the newest row of all agents together.
    pub samples_per_tick: u64,
    /// The lowest seq that the aggregator has acknowledged of a living session; none while a session
    /// has no acknowledgement, or there is no session.
    pub acked_seq_min: Option<u64>,
    /// The highest such seq.
    pub acked_seq_max: Option<u64>,
    /// Living sessions whose newest row is acknowledged.
    pub acked_newest: u64,
    /// Definitions sent.
    pub defines_sent: u64,
    /// Rows sent live.
    pub rows_sent: u64,
    /// Samples of these rows.
    pub samples_sent: u64,
    /// Of these rows, those that refer to no other.
    pub keyframes_sent: u64,
    /// Bytes of the payloads of these rows.
    pub row_bytes_sent: u64,
    /// Rows that sessions passed over because they were behind.
    pub rows_skipped: u64,
    /// Blocks sent.
    pub chunks_sent: u64,
    /// Bytes of the payloads of these blocks.
    pub chunk_bytes_sent: u64,
    /// Gaps told.
    pub gaps_sent: u64,
    /// Sessions beyond the first of each stream.
    pub reconnects: u64,
    /// Ticks of a driven clock that went on before every session had taken its row.
    pub late_steps: u64,
    /// How streams and attempts have ended, by how often.
    pub ends: BTreeMap<String, u64>,
}

impl State {
    /// True when every stream is there.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected == self.streams
    }

    /// True when every stream is there and its newest row acknowledged.
    #[must_use]
    pub fn is_acked(&self) -> bool {
        self.is_connected() && self.acked_newest == self.streams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_by_text_and_bounded() {
        let tally = Tally::default();
        for n in 0..100 {
            tally.end(&format!("reason {n}"));
            tally.end("reason 0");
        }
        let mut state = State::default();
        tally.tell(&mut state);
        assert_eq!(state.ends.len(), MOST_ENDS + 1);
        assert_eq!(state.ends["reason 0"], 101);
        assert_eq!(state.ends[OTHER_ENDS], 100 - MOST_ENDS as u64);
    }
}
