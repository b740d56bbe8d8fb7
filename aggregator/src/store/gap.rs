//! Ticks of a node's window at which it has no row.
//!
//! Nobody can say of each such tick whether it was sampled: an agent that is killed takes with it what it
//! had not passed on, and while none runs there is nothing to take. But rows before and after it say
//! that the node was there, and so does an agent that tells of the runs before its own; so the node's
//! graphs have a gap, and how long it is.

use std::iter;

/// What is held of one run, or what was told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Its oldest tick, Unix ms.
    pub(super) first_ms: u64,
    /// Its newest.
    pub(super) last_ms: u64,
    /// Rows from the one to the other.
    pub(super) rows: u64,
    /// Distance of its ticks, ms.
    pub(super) interval_ms: u64,
}

/// Ticks between the oldest and the newest of these runs at which none has a row; no two have one at the
/// same tick. Between two runs the distance is that of the later one.
pub(super) fn ticks(spans: impl Iterator<Item = Span>) -> u64 {
    // Nearly always there is one, and this is asked for every node of a list.
    let mut spans = spans.peekable();
    let Some(first) = spans.next() else {
        return 0;
    };
    if spans.peek().is_none() {
        return first.gap();
    }
    let mut spans: Vec<Span> = iter::once(first).chain(spans).collect();
    spans.sort_by_key(|span| span.first_ms);
    let mut gap = 0;
    let mut open: Option<Span> = None;
    for span in spans {
        match open.as_mut() {
            // A clock that was set back lets runs overlap: together they are as one.
            Some(open) if span.first_ms <= open.last_ms => {
                open.last_ms = open.last_ms.max(span.last_ms);
                open.rows += span.rows;
            }
            _ => {
                let before = open.replace(span);
                gap += before.map_or(0, |before| before.gap() + before.gap_before(&span));
            }
        }
    }
    gap + open.map_or(0, |last| last.gap())
}

impl Span {
    fn gap(&self) -> u64 {
        let ticks = (self.last_ms - self.first_ms) / self.interval_ms.max(1) + 1;
        ticks.saturating_sub(self.rows)
    }

    fn gap_before(&self, next: &Self) -> u64 {
        let apart = next.first_ms.saturating_sub(self.last_ms);
        (apart / next.interval_ms.max(1)).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Span, ticks};

    fn span(first_ms: u64, last_ms: u64, rows: u64) -> Span {
        Span {
            first_ms,
            last_ms,
            rows,
            interval_ms: 10,
        }
    }

    #[test]
    fn ticks_without_a_row_count_within_runs_and_between_them() {
        let check = |spans: &[Span], expected| {
            assert_eq!(ticks(spans.iter().copied()), expected, "{spans:?}");
        };
        check(&[], 0);
        check(&[span(100, 100, 1)], 0);
        check(&[span(100, 190, 10)], 0);
        check(&[span(100, 190, 7)], 3);
        check(&[span(100, 190, 10), span(200, 290, 10)], 0);
        check(&[span(230, 290, 6), span(100, 190, 9)], 1 + 3 + 1);
        // The second fills a part of a hole in the first, and reaches beyond it.
        check(&[span(100, 190, 4), span(150, 210, 5)], 3);
        // The later one is sampled less often.
        let rare = Span {
            interval_ms: 60,
            ..span(360, 480, 3)
        };
        check(&[span(100, 190, 10), rare], 1);
        // Of one that was told of and not held; of one that is held in part; of one that is held whole.
        check(&[span(100, 190, 0)], 10);
        check(&[span(100, 190, 0), span(200, 290, 10)], 10);
        check(&[span(100, 190, 0), span(130, 170, 5)], 5);
        check(&[span(100, 190, 0), span(100, 190, 10)], 0);
    }
}
