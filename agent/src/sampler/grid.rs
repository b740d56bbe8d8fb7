//! The grid of ticks: Unix time in multiples of the interval, the same on every node.

use cairn_runtime::hash::fnv1a;

/// When a node samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    interval_ms: u64,
    phase_ms: u64,
}

impl Grid {
    /// Makes the grid of a node. Its scrapes start a little after each grid time, by a phase of the
    /// node's own, so that a fleet shares the grid and does not send in step.
    #[must_use]
    pub fn new(interval_ms: u64, node: &str) -> Self {
        let interval_ms = interval_ms.max(1);
        // A quarter of a second is enough to spread a fleet; a tenth of the interval keeps a row
        // near its tick.
        let spread = (interval_ms / 10).clamp(1, 250);
        Self {
            interval_ms,
            // By a hash that stays the same, so that a node keeps its phase.
            phase_ms: fnv1a(node.as_bytes()) % spread,
        }
    }

    /// The first tick that is not due before `now_ms`.
    #[must_use]
    pub fn first(&self, now_ms: u64) -> u64 {
        now_ms
            .saturating_sub(self.phase_ms)
            .div_ceil(self.interval_ms)
            * self.interval_ms
    }

    /// The tick after `tick`.
    #[must_use]
    pub fn after(&self, tick: u64) -> u64 {
        tick.saturating_add(self.interval_ms)
    }

    /// When a tick's scrapes start, Unix ms.
    #[must_use]
    pub fn due_ms(&self, tick: u64) -> u64 {
        tick.saturating_add(self.phase_ms)
    }

    /// The newest tick that is due at `now_ms`, and how many due ones lie before it, when `tick` is
    /// the oldest that was not sampled.
    #[must_use]
    pub fn newest_due(&self, tick: u64, now_ms: u64) -> (u64, u64) {
        let skipped = now_ms.saturating_sub(self.due_ms(tick)) / self.interval_ms;
        (tick.saturating_add(skipped * self.interval_ms), skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_differ_and_stay_below_a_quarter_of_a_second() {
        let phases: Vec<u64> = (0..100)
            .map(|n| Grid::new(10_000, &format!("node{n}")).phase_ms)
            .collect();
        assert!(phases.iter().all(|p| *p < 250));
        let mut distinct = phases.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 60, "{distinct:?}");
        assert!((0..100).all(|n| Grid::new(1_000, &format!("node{n}")).phase_ms < 100));
    }

    #[test]
    fn ticks_are_multiples_of_the_interval() {
        let grid = Grid {
            interval_ms: 10_000,
            phase_ms: 40,
        };
        for (now, expected) in [
            (0, 0),
            (40, 0),
            (41, 10_000),
            (9_999, 10_000),
            (20_041, 30_000),
        ] {
            assert_eq!(grid.first(now), expected, "{now}");
        }
        assert_eq!((grid.after(10_000), grid.due_ms(10_000)), (20_000, 10_040));
    }

    #[test]
    fn missed_ticks_are_counted() {
        let grid = Grid {
            interval_ms: 10_000,
            phase_ms: 40,
        };
        assert_eq!(grid.newest_due(20_000, 20_040), (20_000, 0));
        assert_eq!(grid.newest_due(20_000, 30_039), (20_000, 0));
        assert_eq!(grid.newest_due(20_000, 30_040), (30_000, 1));
        assert_eq!(grid.newest_due(20_000, 65_000), (60_000, 4));
    }
}
