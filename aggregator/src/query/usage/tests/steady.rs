//! What is seen without following the series against what following it gives.

use proptest::prelude::*;

use super::*;

/// A row each ten seconds, mostly as an agent tells them: milliseconds of the measurement before the tick, growth of
/// the counter, and now and then something else.
fn rows(steps: &[(u64, u64, u8)]) -> Vec<RawRow> {
    let mut value = 1_000;
    let rows = (0..).zip(steps).map(|(nth, (before_ms, more, odd))| {
        let tick_ms = 1_000_000 + nth * 10_000;
        value += more;
        let mut stamp = Stamp {
            time_ms: tick_ms - before_ms,
            start_ms: Some(5_000),
            source: Source::Cgroup,
        };
        let mut row = RawRow {
            tick_ms,
            present: true,
            point: None,
            began: None,
            interrupted: false,
        };
        match odd {
            0 => row.present = false,
            1 => row.began = Some((Source::Summary, 5_000)),
            2 => row.interrupted = true,
            3 => stamp.source = Source::Summary,
            4 => stamp.start_ms = Some(stamp.time_ms),
            5 => stamp.start_ms = None,
            6 => stamp.time_ms -= 90_000,
            7 => value /= 2,
            8 => return row,
            _ => {}
        }
        row.point = Some(Point { value, stamp });
        row
    });
    rows.collect()
}

fn both(rows: &[RawRow], tick_ms: u64, span_ms: u64) -> [Option<Cpu>; 2] {
    let field = table::field(table::CPU).unwrap();
    let steady = cpu_of_steady(rows, tick_ms, (span_ms, field.group.max_age_ms()));
    [steady, cpu_by_rows(field, rows, (tick_ms, span_ms), false)]
}

#[test]
fn what_an_agent_tells_is_steady() {
    for steps in [vec![(100, 7, 9); 6], vec![(100, 0, 9); 6]] {
        let rows = rows(&steps);
        let [steady, by_rows] = both(&rows, 1_051_000, 30_000);
        assert!(steady.is_some());
        assert_eq!(steady, by_rows);
    }
    // A measurement that is told twice is one.
    let mut held = rows(&[(100, 7, 9); 6]);
    held[4].point = held[3].point;
    held[5].point = held[3].point;
    let [steady, by_rows] = both(&held, 1_051_000, 30_000);
    assert_eq!(
        (steady.map(|cpu| cpu.time_ms), steady),
        (Some(1_029_900), by_rows)
    );
}

proptest! {
    #[test]
    fn a_steady_series_has_what_following_it_gives(
        steps in prop::collection::vec((0_u64..12_000, 0_u64..3, 0_u8..60), 1..10),
        after_ms in 0_u64..120_000,
        span_ms in 0_u64..60_000,
    ) {
        let rows = rows(&steps);
        let tick_ms = rows.last().map_or(0, |row| row.tick_ms) + after_ms;
        let [steady, by_rows] = both(&rows, tick_ms, span_ms);
        prop_assert!(steady.is_none() || steady == by_rows, "{steady:?} {by_rows:?} {rows:?}");
    }
}
