//! Runs that ended before the one that a node reports, as its agent tells of them.
//!
//! A process that is killed takes its rows with it, but its agent's next one still knows from which tick
//! to which it sampled. Those ticks are a gap of the node, like others at which it has no row, until
//! somebody brings the rows. Nothing is known of the values.
//!
//! What an agent says counts for its own node alone, within the window, and up to the node's own present:
//! so what it may claim is a window full of ticks.

use cairn_proto::limits::MAX_EARLIER_RUNS;
use cairn_proto::model::{EarlierRun, Run};

use super::gap::Span;

/// What was told of one node; bounded by [`MAX_EARLIER_RUNS`].
#[derive(Debug, Default)]
pub(super) struct Earlier {
    runs: Vec<EarlierRun>,
    // Rows before this tick were let go before their time, so that none is there says nothing. None of them is taken in
    // again: what went between it and the rows that are left would be a hole.
    let_go_ms: u64,
}

impl Earlier {
    /// Takes what an agent whose run is `own` tells, in the place of what it told of the same runs before.
    /// The node's clock says which ticks are in the window: from the first to the last one that are given.
    /// Returns how many are not believed: of the present run, or of the future.
    pub(super) fn hear(&mut self, told: &[EarlierRun], own: Run, ticks_ms: (u64, u64)) -> u64 {
        let (oldest_ms, newest_ms) = ticks_ms;
        self.set_back(newest_ms);
        self.runs.retain(|known| known.last_tick_ms >= oldest_ms);
        let mut refused = 0;
        for run in told {
            if run.run == own || run.last_tick_ms > newest_ms {
                refused += 1;
                continue;
            }
            self.runs.retain(|known| known.run != run.run);
            // Clipped here and not where ticks are counted: it may be of another century.
            if let Some(clipped) = clip(*run, oldest_ms) {
                self.runs.push(clipped);
            }
        }
        self.runs.sort_by_key(|run| run.last_tick_ms);
        let many = self.runs.len().saturating_sub(MAX_EARLIER_RUNS);
        self.runs.drain(..many);
        refused
    }

    /// The node's clock may have been set back: ticks behind its present are none.
    pub(super) fn set_back(&mut self, present_ms: u64) {
        for run in &mut self.runs {
            let last_ms = run.last_tick_ms.min(present_ms);
            run.last_tick_ms = last_ms - last_ms % run.interval_ms.max(1);
        }
        self.runs
            .retain(|run| run.first_tick_ms <= run.last_tick_ms);
        if self.let_go_ms > present_ms {
            self.let_go_ms = 0;
        }
    }

    /// Rows before this tick went for want of room: they are not missing.
    pub(super) fn let_go(&mut self, before_ms: u64) {
        self.let_go_ms = self.let_go_ms.max(before_ms);
    }

    /// Nothing went.
    pub(super) fn forget_let_go(&mut self) {
        self.let_go_ms = 0;
    }

    /// Rows before this tick went for want of room; 0 while none did.
    pub(super) fn let_go_ms(&self) -> u64 {
        self.let_go_ms
    }

    /// The ticks of these runs from that one on. No row of them is counted here.
    pub(super) fn spans(&self, oldest_ms: u64) -> impl Iterator<Item = Span> + '_ {
        let oldest_ms = oldest_ms.max(self.let_go_ms);
        let clipped = self
            .runs
            .iter()
            .filter_map(move |run| clip(*run, oldest_ms));
        clipped.map(|run| Span {
            first_ms: run.first_tick_ms,
            last_ms: run.last_tick_ms,
            rows: 0,
            interval_ms: run.interval_ms,
        })
    }
}

/// The ticks of a run from that one on; `None` when it has none.
fn clip(run: EarlierRun, oldest_ms: u64) -> Option<EarlierRun> {
    let oldest_ms = oldest_ms.checked_next_multiple_of(run.interval_ms)?;
    let first_tick_ms = run.first_tick_ms.max(oldest_ms);
    (first_tick_ms <= run.last_tick_ms).then_some(EarlierRun {
        first_tick_ms,
        ..run
    })
}
