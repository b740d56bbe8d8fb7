//! What outlives the process: which runs there were, and from which tick to which they sampled.
//!
//! Rows die with their process, and what dies before any aggregator had it is missing for good. So that
//! it does not go missing unnoticed, the next process tells aggregators of the runs before its own
//! (`Hello`), and those count the ticks that nobody brings. What it tells stands in a file of at most 4
//! KiB, which is written anew at each row, once the sessions had that, by a rename, so that it is whole
//! whenever the process is killed. No disk is waited for: it is to outlive the
//! process, not the machine. The directory is of this machine's memory or of a disk of its own; one
//! that another machine serves would keep all that the agent does waiting when that is gone, probes too.
//!
//! A file that is broken, of another node, user or version, or of a time to come says nothing: then no
//! ticks are told, as without a directory. The runs that ended in this process by a step of the clock
//! are told in any case.
//!
//! The sampler owns it; sessions read [`Past`].

mod file;

mod runs;

mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cairn_proto::model::{EarlierRun, Run};
use tokio::sync::watch;

pub use self::file::Keeper;
use self::runs::Runs;

/// The runs that ended before the present one, oldest first. A clone reads the same.
#[derive(Clone, Debug)]
pub struct Past(watch::Receiver<Arc<[EarlierRun]>>);

impl Past {
    /// Those with a tick in the window, at most
    /// [`MAX_EARLIER_RUNS`](cairn_proto::limits::MAX_EARLIER_RUNS).
    #[must_use]
    pub fn runs(&self) -> Arc<[EarlierRun]> {
        Arc::clone(&self.0.borrow())
    }
}

/// There were none.
impl Default for Past {
    fn default() -> Self {
        Self(watch::Sender::default().subscribe())
    }
}

/// Remembers runs, and writes them down where there is a directory for it.
#[derive(Debug)]
pub struct Marker {
    interval_ms: u64,
    window_ms: u64,
    runs: Runs,
    past: watch::Sender<Arc<[EarlierRun]>>,
    keeper: Option<Keeper>,
}

impl Marker {
    /// One that writes nothing down. Ticks are `interval_ms` apart, and runs are remembered for
    /// `window_ms`.
    #[must_use]
    pub fn new(interval_ms: u64, window_ms: u64) -> Self {
        Self {
            interval_ms,
            window_ms,
            runs: Runs::default(),
            past: watch::Sender::default(),
            keeper: None,
        }
    }

    /// The same with a file: what is in it is remembered, as far as it is of the window before `now_ms`
    /// and not of the present run, and each row is written down.
    #[must_use]
    pub fn kept(mut self, keeper: Keeper, own: Run, now_ms: u64) -> Self {
        let runs = keeper.read(now_ms);
        self.runs
            .restore(runs.into_iter().filter(|run| run.run != own));
        self.runs
            .forget_before(now_ms.saturating_sub(self.window_ms));
        if let Some(last) = self.runs.ended().last() {
            let (runs, last_tick) = (self.runs.ended().len(), last.last_tick_ms);
            tracing::info!(runs, last_tick, "runs before this one are known");
        }
        self.keeper = Some(keeper);
        self.publish();
        self
    }

    /// Lets somebody read which runs ended.
    #[must_use]
    pub fn past(&self) -> Past {
        Past(self.past.subscribe())
    }

    /// Takes note of a row of the present run, and writes it down.
    pub fn row(&mut self, run: Run, tick_ms: u64) {
        let row = EarlierRun {
            run,
            interval_ms: self.interval_ms,
            first_tick_ms: tick_ms,
            last_tick_ms: tick_ms,
        };
        let is_begun = self.runs.row(row);
        let oldest_ms = tick_ms.saturating_sub(self.window_ms);
        if self.runs.forget_before(oldest_ms) || is_begun {
            self.publish();
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.write(self.runs.all());
        }
    }

    /// The clock stepped to `now_ms`: the present run has ended. To be called before the next one is
    /// made known.
    pub fn step(&mut self, now_ms: u64) {
        self.runs.step(now_ms);
        self.runs
            .forget_before(now_ms.saturating_sub(self.window_ms));
        self.publish();
    }

    fn publish(&self) {
        self.past.send_replace(self.runs.ended().into());
    }
}
