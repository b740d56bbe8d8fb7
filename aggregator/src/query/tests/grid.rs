//! The grid against a model that goes through all rows at each tick.

use cairn_proto::catalogue::{Field, FieldId, Source, table};
use cairn_proto::model::Stamp;
use cairn_proto::rate::{Point, Tracker};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::query::{Sample, on_grid};
use crate::store::RawRow;

/// What one row says of the entity.
#[derive(Clone, Copy, Debug)]
pub(super) enum Said {
    /// It is not there.
    Gone,
    /// It is there, and has no value.
    Nothing,
    /// A value measured so long before the tick, ms, grown by so much.
    Value(u64, u64),
}

pub(super) fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        1 => Just(Said::Gone),
        1 => Just(Said::Nothing),
        6 => (0_u64..40_000, 0_u64..1_000).prop_map(|(age, grown)| Said::Value(age, grown)),
    ]
}

/// Distances of rows: mostly an interval, with some rows missing.
pub(super) fn distances() -> impl Strategy<Value = u64> {
    prop_oneof![8 => Just(1_u64), 2 => 2_u64..4, 1 => 8_u64..17]
}

pub(super) fn point(tick_ms: u64, age_ms: u64, value: u64, start_ms: u64) -> Point {
    Point {
        value,
        stamp: Stamp {
            time_ms: tick_ms.saturating_sub(age_ms),
            start_ms: Some(start_ms),
            source: Source::Resource,
        },
    }
}

/// What a series says at a tick: its rows up to there are all that is known, and a tracker that
/// has seen nothing else says what they come to.
pub(super) fn sample_at(field: &Field, rows: &[RawRow], tick_ms: u64) -> Option<Sample> {
    let known = rows.iter().filter(|row| row.tick_ms <= tick_ms);
    if !known.clone().max_by_key(|row| row.tick_ms)?.present {
        return None;
    }
    let mut tracker = Tracker::new(field);
    for row in known {
        if row.interrupted {
            tracker.interrupt();
        }
        row.point.map(|point| tracker.observe(point));
    }
    let point = tracker.value_at(tick_ms)?;
    Some(Sample {
        value: point.value,
        rate: tracker.rate_at(tick_ms),
        start_ms: point.stamp.start_ms,
    })
}

fn rows() -> impl Strategy<Value = Vec<RawRow>> {
    let row = (distances(), said(), prop::bool::weighted(0.05));
    (
        prop::sample::select(vec![1_000_u64, 5_000, 10_000, 15_000]),
        vec(row, 0..30),
    )
        .prop_map(|(interval_ms, rows)| {
            let (mut tick_ms, mut value) = (1_000_000 / interval_ms * interval_ms, 0);
            let row = |(distance, said, interrupted): (u64, Said, bool)| {
                tick_ms += distance * interval_ms;
                let point = match said {
                    Said::Value(age_ms, grown) => {
                        value += grown;
                        Some(point(tick_ms, age_ms, value, 5_000))
                    }
                    Said::Gone | Said::Nothing => None,
                };
                RawRow {
                    tick_ms,
                    present: !matches!(said, Said::Gone),
                    point,
                    began: None,
                    interrupted,
                }
            };
            rows.into_iter().map(row).collect()
        })
}

fn fields() -> impl Strategy<Value = FieldId> {
    prop::sample::select(vec![table::CPU, table::MEMORY_USAGE, table::NETWORK_RX])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn at_every_tick_a_series_says_what_all_its_rows_come_to(
        id in fields(), rows in rows(), interval_ms in prop::sample::select(vec![1_000_u64, 5_000, 10_000, 60_000]),
        skipped in 0_u64..40
    ) {
        let field = table::field(id).unwrap();
        let ticks: Vec<u64> = (980_000 / interval_ms + skipped..=1_400_000 / interval_ms)
            .map(|n| n * interval_ms)
            .collect();
        let expected: Vec<_> = ticks.iter().map(|tick| sample_at(field, &rows, *tick)).collect();
        prop_assert_eq!(on_grid(field, &rows, &ticks), expected);
    }

    #[test]
    fn what_is_gone_has_no_value_until_it_comes_back(rows in rows()) {
        let field = table::field(table::CPU).unwrap();
        for pair in rows.windows(2) {
            let ticks: Vec<u64> = (pair[0].tick_ms..pair[1].tick_ms).step_by(500).collect();
            if !pair[0].present {
                let told = on_grid(field, &rows, &ticks);
                prop_assert!(told.iter().all(Option::is_none), "{:?} at {:?}", told, ticks);
            }
        }
    }

    #[test]
    fn a_tick_says_the_same_whatever_other_ticks_are_asked_for(rows in rows(), asked in 0_u64..80) {
        let field = table::field(table::CPU).unwrap();
        let all: Vec<u64> = (1_000..1_400).map(|n| n * 1_000).collect();
        let tick_ms = 1_000_000 + asked * 5_000;
        let alone = on_grid(field, &rows, &[tick_ms]);
        let at = all.iter().position(|tick| *tick == tick_ms).unwrap();
        prop_assert_eq!(alone[0], on_grid(field, &rows, &all)[at]);
    }
}
