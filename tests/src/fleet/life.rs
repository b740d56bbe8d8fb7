//! One life of an agent: its run, and what its ring holds of the shared rows.
//!
//! The ring has no storage of its own. A real one drops whole blocks by age, so what is left of it
//! follows from the row that the run began with and the newest one.

use std::ops::Range;

use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::Run;

/// The grid that all agents share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Tick of row 0, Unix ms.
    pub first_tick_ms: u64,
    /// Distance of the ticks.
    pub interval_ms: u64,
    /// How long the rings reach back.
    pub window_ms: u64,
}

impl Grid {
    /// The grid of a fleet that starts at `now_ms` with so many rows behind it.
    #[must_use]
    pub fn starting(now_ms: u64, history: u64, interval_ms: u64, window_ms: u64) -> Self {
        let interval_ms = interval_ms.max(1);
        let next_ms = (now_ms / interval_ms + 1) * interval_ms;
        Self {
            first_tick_ms: next_ms.saturating_sub(history.saturating_mul(interval_ms)),
            interval_ms,
            window_ms,
        }
    }

    /// The tick of a row, Unix ms.
    #[must_use]
    pub fn tick_ms(&self, row: u64) -> u64 {
        self.first_tick_ms
            .saturating_add(row.saturating_mul(self.interval_ms))
    }

    /// Rows that are held at most: a window of them, and what a block that it cuts has beyond it.
    #[must_use]
    pub fn most_rows(&self) -> usize {
        let rows = self.window_ms / self.interval_ms + BLOCK_ROWS + 1;
        usize::try_from(rows).unwrap_or(usize::MAX)
    }
}

/// One life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) run: Run,
    /// The row that its seq 0 is.
    pub(super) first_row: u64,
}

impl Life {
    /// The oldest block that the ring holds, when `rows` is the number of the next row.
    pub(super) fn oldest_block(&self, rows: u64, grid: &Grid) -> u64 {
        let newest = rows.saturating_sub(1);
        // Rows before it are older than the window.
        let kept = newest.saturating_sub(grid.window_ms / grid.interval_ms);
        kept.saturating_sub(self.first_row) / BLOCK_ROWS
    }

    /// The first block that has not begun.
    pub(super) fn end_block(&self, rows: u64) -> u64 {
        self.seq(rows).div_ceil(BLOCK_ROWS)
    }

    /// The seq of a row.
    pub(super) fn seq(&self, row: u64) -> u64 {
        row.saturating_sub(self.first_row)
    }

    /// The rows of a block, of those before `end`.
    pub(super) fn rows(&self, block: u64, end: u64) -> Range<u64> {
        let first = self.first_row + block * BLOCK_ROWS;
        first..(first + BLOCK_ROWS).min(end).max(first)
    }
}

#[cfg(test)]
mod tests {
    use super::{Grid, Life};
    use cairn_proto::model::Run;

    const GRID: Grid = Grid {
        first_tick_ms: 0,
        interval_ms: 10_000,
        window_ms: 900_000,
    };

    fn life(first_row: u64) -> Life {
        let run = Run {
            epoch_ms: 1,
            boot_id: [0; 16],
            clock_stepped: false,
        };
        Life { run, first_row }
    }

    #[test]
    fn a_block_goes_when_its_last_row_is_older_than_the_window() {
        let life = life(0);
        assert_eq!(life.oldest_block(0, &GRID), 0);
        // Row 15 is exactly 90 rows old.
        assert_eq!(life.oldest_block(15 + 90 + 1, &GRID), 0);
        assert_eq!(life.oldest_block(15 + 90 + 2, &GRID), 1);
        assert_eq!((life.end_block(16), life.end_block(17)), (1, 2));
        assert_eq!((life.rows(1, 100), life.rows(1, 20)), (16..32, 16..20));
        assert!(life.rows(1, 3).is_empty());
    }

    #[test]
    fn a_later_run_counts_from_its_own_first_row() {
        let life = life(100);
        assert_eq!((life.seq(100), life.end_block(101)), (0, 1));
        assert_eq!(life.oldest_block(206, &GRID), 0);
        assert_eq!(life.oldest_block(207, &GRID), 1);
        assert_eq!(life.rows(0, 101), 100..101);
    }

    #[test]
    fn history_lies_before_the_start() {
        let grid = Grid::starting(1_000_500, 3, 10_000, 900_000);
        assert_eq!(grid.first_tick_ms, 980_000);
        assert_eq!(grid.tick_ms(2), 1_000_000);
    }
}
