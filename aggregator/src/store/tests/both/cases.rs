//! What chance would seldom make.

use cairn_proto::codec::chunk::MAX_ROWS;

use super::*;

/// Scenario: after a row the next nine are lost, so that the newest two lie 100 s apart.
/// Guarantees: no rate reaches over that: both stores say that there was no CPU before.
#[test]
fn the_cpu_before_is_none_from_beyond_reach() {
    for lost in [8, 9] {
        let mut both = Both::new(600);
        let row = both.sample();
        both.send(row);
        (0..lost).for_each(|_| drop(both.sample()));
        let row = both.sample();
        both.send(row);
        both.compare();
        let entities = both.packed.entities(&Selector::Node("node1"));
        let asked: Vec<&Entity> = entities.iter().collect();
        let before = both.packed.current(&asked)[0].and_then(|one| one.cpu_before);
        assert_eq!(before.is_some(), lost == 8);
    }
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
