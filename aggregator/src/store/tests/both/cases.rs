//! What chance would seldom make.

use std::collections::BTreeSet;

use cairn_proto::codec::chunk::MAX_ROWS;

use super::*;

/// Scenario: twenty rows one after the other, then a reconnect, then some more.
/// Guarantees: the rows of the last 45 s are at hand, and after a new session as many as it told.
#[test]
fn the_cpu_of_the_last_rows_is_at_hand() {
    let mut both = Both::new(600);
    for told in 1..=20_usize {
        let row = both.sample();
        both.send(row);
        both.compare();
        assert_eq!(rows_at_hand(&*both.packed), told.min(5), "{told}");
    }
    both.act(&Op::Reconnect(0));
    assert_eq!(rows_at_hand(&*both.packed), 1);
    let row = both.sample();
    both.send(row);
    assert_eq!(rows_at_hand(&*both.packed), 2);
}

/// Of how many rows the CPU is at hand, of every container.
fn rows_at_hand(store: &dyn Door) -> usize {
    let mut rows = BTreeSet::new();
    store.recent("node1", None, &mut |one| {
        rows.insert(one.cpu.len());
    });
    assert_eq!(rows.len(), 1);
    rows.pop_first().unwrap()
}

/// Scenario: 900 rows one after the other, evicted at each, in windows of every kind.
/// Guarantees: blocks are put together, and nothing differs from the plain store meanwhile.
#[test]
fn old_blocks_are_put_together_and_say_the_same() {
    for window_rows in [30, 100, 700] {
        let mut both = Both::new(window_rows);
        for n in 0..900 {
            let row = both.sample();
            both.send(row);
            both.act(&Op::Evict);
            if n % 50 == 0 {
                both.act(&Op::Churn(u8::try_from(n % 250).unwrap()));
                both.compare();
            }
        }
        both.compare();
        let bytes = both.packed.size().bytes;
        assert!(
            bytes * 5 < both.plain.size().bytes,
            "{window_rows}: {bytes}"
        );
    }
    assert_eq!(MAX_ROWS, 64);
}
