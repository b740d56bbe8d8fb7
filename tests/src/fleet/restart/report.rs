//! What came of it.

use std::fmt;
use std::time::Duration;

use super::LIMITS;
use crate::exact::Found;
use crate::fleet::Totals;

/// What an aggregator that was killed under a fleet was seen to do.
#[derive(Debug)]
pub struct Report {
    /// Agents.
    pub agents: usize,
    /// Samples of the newest tick of all agents.
    pub samples_per_tick: u64,
    /// From the start of the fleet until every agent was connected and the rows that it had behind it
    /// were in the window.
    pub filled_in: Duration,
    /// Rows that were sent of the ticks during which the aggregator was killed, when it was.
    pub sent_before_kill: u64,
    /// Rows of these ticks in all.
    pub rows_at_kill: u64,
    /// From the start of the new aggregator until the latest value of every node was served again.
    pub latest_in: Duration,
    /// From the start of the new aggregator until it held every row of its window that a living agent
    /// holds.
    pub whole_in: Duration,
    /// From the start of the new aggregator until it knew all pods of the cluster; `None` without one.
    pub listed_in: Option<Duration>,
    /// CPU time that the new aggregator took until then.
    pub aggregator_cpu: Duration,
    /// CPU time that the fleet's process took meanwhile.
    pub fleet_cpu: Duration,
    /// Rows and samples that were sampled within the window and that no living agent holds.
    pub gone: Totals,
    /// Rows and samples that the living agents hold at the end, built ones too.
    pub expected: Totals,
    /// Rows and samples that the aggregator holds at the end.
    pub held: Totals,
    /// Rows that came a second time and were counted as such.
    pub duplicates: u64,
    /// The values of some nodes and the CPU time of every node, compared one by one.
    pub found: Found,
    /// Every value of the built agents beside the fleet, compared with what a script computes of their
    /// recording.
    pub found_of_built: Found,
    /// The most memory that the first aggregator held, KiB.
    pub first_peak_kib: u64,
    /// The most memory that the second aggregator held, KiB.
    pub second_peak_kib: u64,
    /// The most memory that the fleet's process held, KiB.
    pub fleet_peak_kib: u64,
}

impl Report {
    /// True when nothing is missing, nothing is there twice, every compared value is right, and it
    /// all came in time.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.held == self.expected
            && self.found.is_right()
            && self.found_of_built.is_right()
            && self.found.compared() > 0
            && self.latest_in <= LIMITS.0
            && self.whole_in <= LIMITS.1
            && self.listed_in.is_none_or(|listed_in| listed_in <= LIMITS.1)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { rows, samples } = self.expected;
        writeln!(
            f,
            "{} agents, {} samples a tick; connected and filled in {:.1?}",
            self.agents, self.samples_per_tick, self.filled_in
        )?;
        writeln!(
            f,
            "killed after {} of {} rows; latest in {:.2?}, window whole in {:.2?}, pods known in {:.2?}, with {:.2?} of CPU time and {:.2?} of the fleet's",
            self.sent_before_kill,
            self.rows_at_kill,
            self.latest_in,
            self.whole_in,
            self.listed_in.unwrap_or_default(),
            self.aggregator_cpu,
            self.fleet_cpu
        )?;
        writeln!(
            f,
            "held {} of {rows} rows, {} of {samples} samples; gone with their agents {} rows, {} samples; {} duplicates",
            self.held.rows, self.held.samples, self.gone.rows, self.gone.samples, self.duplicates
        )?;
        let mib = |kib: u64| kib / 1024;
        writeln!(
            f,
            "peak memory, MiB: aggregator {} before and {} after, fleet {}",
            mib(self.first_peak_kib),
            mib(self.second_peak_kib),
            mib(self.fleet_peak_kib)
        )?;
        writeln!(f, "values of built agents: {}", self.found_of_built)?;
        write!(f, "values: {}", self.found)
    }
}
