//! One entity's series on the grid.

use cairn_proto::catalogue::Field;
use cairn_proto::rate::{Rate, Tracker};

use crate::store::RawRow;

/// What a series says at one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The raw value, held if need be.
    pub value: u64,
    /// The rate of a counter; `None` at its first point, after a reset and for gauges.
    pub rate: Option<Rate>,
    /// When the measured life began, Unix ms, as the source of the value says.
    pub start_ms: Option<u64>,
}

/// Puts the rows of a series on the grid: one entry a tick, `None` where it has no value.
///
/// `rows` are in order of their ticks and should begin a max-age before the first tick, so that
/// rates and held values are right from the start. At each tick the last row at or before it
/// counts. If that row knows the entity, the last value is held up to max-age. If it does not, the
/// source has said that the entity is gone, and there is no value, however young the last one is.
#[must_use]
pub fn on_grid(field: &Field, rows: &[RawRow], ticks_ms: &[u64]) -> Vec<Option<Sample>> {
    let mut samples = Vec::with_capacity(ticks_ms.len());
    walk(field, rows, ticks_ms, |told| samples.push(told.sample));
    samples
}

/// What the rows say of an entity at one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// True when the last row at or before the tick knows the entity.
    pub(super) present: bool,
    /// Its value, if it has one.
    pub(super) sample: Option<Sample>,
}

/// Goes through the rows and says what they mean at each tick.
pub(super) fn walk(field: &Field, rows: &[RawRow], ticks_ms: &[u64], mut say: impl FnMut(Told)) {
    let mut tracker = Tracker::new(field);
    let mut rows = rows.iter().peekable();
    let mut present = false;
    for tick_ms in ticks_ms {
        while let Some(row) = rows.next_if(|row| row.tick_ms <= *tick_ms) {
            if row.interrupted {
                tracker.interrupt();
            }
            present = row.present;
            tracker.take(row.point, row.began);
        }
        let sample = tracker
            .value_at(*tick_ms)
            .filter(|_| present)
            .map(|point| Sample {
                value: point.value,
                rate: tracker.rate_at(*tick_ms),
                start_ms: point.stamp.start_ms,
            });
        say(Told { present, sample });
    }
}

#[cfg(test)]
mod tests {
    use cairn_proto::catalogue::{Source, table};
    use cairn_proto::model::Stamp;
    use cairn_proto::rate::Point;

    use super::*;

    fn row(tick_ms: u64, point: Option<(u64, u64)>) -> RawRow {
        RawRow {
            tick_ms,
            present: point.is_some(),
            point: point.map(|(time_ms, value)| Point {
                value,
                stamp: Stamp {
                    time_ms,
                    start_ms: None,
                    source: Source::Resource,
                },
            }),
            began: None,
            interrupted: false,
        }
    }

    fn cpu() -> &'static Field {
        table::field(table::CPU).unwrap()
    }

    #[test]
    fn a_row_that_is_missing_holds_and_a_row_that_lacks_the_entity_ends() {
        let rows = [
            row(10, Some((10, 1))),
            row(20, Some((20, 2))),
            row(50, None),
        ];
        let out = on_grid(cpu(), &rows, &[10, 20, 30, 40, 50, 60]);
        let values: Vec<Option<u64>> = out.iter().map(|s| s.map(|s| s.value)).collect();
        assert_eq!(values, [Some(1), Some(2), Some(2), Some(2), None, None]);
        assert_eq!(
            out[3].and_then(|s| s.rate),
            Some(Rate {
                delta: 1,
                over_ms: 10
            })
        );
    }

    #[test]
    fn of_rows_between_two_grid_times_the_last_counts() {
        let rows = [
            row(2, Some((2, 1))),
            row(4, Some((4, 2))),
            row(6, Some((6, 9))),
        ];
        let out = on_grid(cpu(), &rows, &[0, 5, 10]);
        let values: Vec<Option<u64>> = out.iter().map(|s| s.map(|s| s.value)).collect();
        assert_eq!(values, [None, Some(2), Some(9)]);
    }

    #[test]
    fn an_entity_that_comes_back_goes_on_from_its_last_measurement() {
        let rows = [
            row(10, Some((10, 100))),
            row(20, None),
            row(30, Some((30, 300))),
        ];
        let out = on_grid(cpu(), &rows, &[10, 20, 30]);
        assert_eq!(out[1], None);
        assert_eq!(
            out[2].and_then(|s| s.rate),
            Some(Rate {
                delta: 200,
                over_ms: 20
            })
        );
    }

    #[test]
    fn a_field_that_another_life_lacks_is_not_held_into_it() {
        let began = |row: RawRow, start_ms| RawRow {
            present: true,
            began: Some((Source::Summary, start_ms)),
            ..row
        };
        let rows = [
            began(row(10_000, Some((10_000, 1))), 5_000),
            began(row(20_000, None), 6_000),
            began(row(30_000, None), 25_000),
        ];
        let out = on_grid(cpu(), &rows, &[10_000, 20_000, 30_000]);
        let values: Vec<Option<u64>> = out.iter().map(|s| s.map(|s| s.value)).collect();
        assert_eq!(values, [Some(1), Some(1), None]);
    }

    #[test]
    fn a_restart_that_only_the_summary_tells_is_one() {
        let began = |tick_ms: u64, value, start_ms| RawRow {
            began: Some((Source::Summary, start_ms)),
            ..row(tick_ms, Some((tick_ms, value)))
        };
        let rows = [
            began(10_000, 1, 5_000),
            began(20_000, 2, 6_900),
            began(30_000, 900, 25_000),
            began(40_000, 910, 25_000),
        ];
        let out = on_grid(cpu(), &rows, &[10_000, 20_000, 30_000, 40_000]);
        let deltas: Vec<Option<u64>> = out
            .iter()
            .map(|s| s.and_then(|s| s.rate).map(|rate| rate.delta))
            .collect();
        assert_eq!(deltas, [None, Some(1), None, Some(10)]);
    }
}
