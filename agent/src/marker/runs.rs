//! The runs themselves: those that ended, and the one that goes on.

use cairn_proto::limits::MAX_EARLIER_RUNS;
use cairn_proto::model::EarlierRun;

/// Bounded: of more than [`MAX_EARLIER_RUNS`] that ended, the two oldest become one.
#[derive(Debug, Default)]
pub(super) struct Runs {
    // Oldest first.
    ended: Vec<EarlierRun>,
    present: Option<EarlierRun>,
}

impl Runs {
    /// Those that ended, oldest first.
    pub(super) fn ended(&self) -> &[EarlierRun] {
        &self.ended
    }

    /// All that have a row, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &EarlierRun> {
        self.ended.iter().chain(&self.present)
    }

    /// Takes what an earlier process wrote down.
    pub(super) fn restore(&mut self, runs: impl Iterator<Item = EarlierRun>) {
        runs.for_each(|run| self.end(run));
    }

    /// Adds a row of the present run, told as a run of one row. True when it is the first one after
    /// another run.
    pub(super) fn row(&mut self, row: EarlierRun) -> bool {
        match self.present.as_mut() {
            Some(present) if present.run == row.run => {
                present.last_tick_ms = row.last_tick_ms;
                false
            }
            _ => {
                let before = self.present.replace(row);
                before.into_iter().for_each(|run| self.end(run));
                before.is_some()
            }
        }
    }

    /// Ends the present run. What is later than the new present never was, by the clock that counts now.
    pub(super) fn step(&mut self, now_ms: u64) {
        let present = self.present.take();
        present.into_iter().for_each(|run| self.end(run));
        for run in &mut self.ended {
            let last_ms = run.last_tick_ms.min(now_ms);
            run.last_tick_ms = last_ms - last_ms % run.interval_ms.max(1);
        }
        self.ended
            .retain(|run| run.first_tick_ms <= run.last_tick_ms);
    }

    /// Forgets runs without a tick from this one on. True when there were any.
    pub(super) fn forget_before(&mut self, oldest_ms: u64) -> bool {
        let before = self.ended.len();
        self.ended.retain(|run| run.last_tick_ms >= oldest_ms);
        self.ended.len() < before
    }

    fn end(&mut self, run: EarlierRun) {
        self.ended.push(run);
        if self.ended.len() > MAX_EARLIER_RUNS {
            let oldest = self.ended.remove(0);
            if let Some(next) = self.ended.first_mut() {
                *next = joined(oldest, *next);
            }
        }
    }
}

/// Two runs as one, on the grid of the later one. Between them nobody sampled, which for whoever counts
/// ticks without a row is the same.
fn joined(earlier: EarlierRun, later: EarlierRun) -> EarlierRun {
    let interval_ms = later.interval_ms.max(1);
    let first_ms = earlier.first_tick_ms.div_ceil(interval_ms);
    let first_ms = first_ms.saturating_mul(interval_ms);
    let last_ms = earlier.last_tick_ms - earlier.last_tick_ms % interval_ms;
    EarlierRun {
        first_tick_ms: later.first_tick_ms.min(first_ms),
        last_tick_ms: later.last_tick_ms.max(last_ms),
        ..later
    }
}
