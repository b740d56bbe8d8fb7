use cairn_proto::catalogue::Source;
use cairn_proto::model::Stamp;

use super::*;

const SPAN_MS: u64 = 30_000;

/// A row each 10 s from 0 on, with the time of its measurement, in seconds, and its value.
fn rows(told: &[Option<(u64, u64)>]) -> Vec<RawRow> {
    let rows = (0..).zip(told).map(|(n, told)| RawRow {
        tick_ms: n * 10_000,
        present: true,
        point: told.map(|(time_s, value)| Point {
            value,
            stamp: Stamp {
                time_ms: time_s * 1_000,
                start_ms: Some(1),
                source: Source::Resource,
            },
        }),
        began: None,
        interrupted: false,
    });
    rows.collect()
}

fn cpu(told: &[Option<(u64, u64)>], tick_s: u64) -> Option<Lacks> {
    of_cpu(&rows(told), tick_s * 1_000, SPAN_MS)
}

#[test]
fn of_cpu_it_says_what_was_measured_so_far() {
    assert_eq!(cpu(&[], 10), Some(Lacks::Cpu));
    assert_eq!(cpu(&[None, None], 10), Some(Lacks::Cpu));
    assert_eq!(cpu(&[Some((0, 5))], 0), Some(Lacks::CpuOver(0)));
    let ten = [Some((0, 5)), Some((10, 6))];
    assert_eq!(cpu(&ten, 10), Some(Lacks::CpuOver(10_000)));
    // The same measurement again is none.
    let again = [Some((0, 5)), Some((0, 5)), Some((0, 5)), Some((0, 5))];
    assert_eq!(cpu(&again, 30), Some(Lacks::CpuOver(0)));
    // A counter that falls begins anew.
    let fell = [Some((0, 5)), Some((10, 6)), Some((20, 1)), Some((30, 2))];
    assert_eq!(cpu(&fell, 30), Some(Lacks::CpuOver(10_000)));
    let thirty = [Some((0, 5)), Some((10, 6)), Some((20, 7)), Some((30, 8))];
    assert_eq!(cpu(&thirty, 30), None);
}

#[test]
fn what_is_too_old_is_told_with_its_age() {
    let one = [Some((0, 5)), None];
    assert_eq!(cpu(&one, 500), Some(Lacks::CpuSince(500_000)));
    let memory = |tick_s: u64| of_memory(&rows(&one), tick_s * 1_000);
    assert_eq!(memory(0), None);
    assert_eq!(memory(500), Some(Lacks::MemorySince(500_000)));
    assert_eq!(of_memory(&rows(&[None]), 0), Some(Lacks::Memory));
}
