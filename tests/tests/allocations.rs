//! What a tick of the agent allocates, counted by an allocator.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../examples/row-work/node.rs"]
mod node;

use allocation_counter::measure;

use self::node::{INTERVAL_MS, Node, Work};

/// Ticks until nearly all room is made.
const FIRST_TICKS: u64 = 40;

/// Ticks that are counted.
const TICKS: u64 = 6;

/// More allocations that 110 more pods may cost: about one a pod is a text that finds too little room.
const MORE: u64 = 150;

/// The most allocations of one tick, and the values in a row, of so many pods.
fn allocations(pods: usize) -> (u64, usize) {
    let (begin_ms, replay) = node::replay(pods).unwrap();
    let mut node = Node::default();
    let (mut most, mut values) = (0, 0);
    for n in 0..FIRST_TICKS + TICKS {
        let tick = begin_ms + n * INTERVAL_MS;
        let frame = replay.at(tick);
        let counted = measure(|| {
            let (bytes, of_row) = node.tick(tick, &frame, Some(Work::Row)).unwrap();
            assert_ne!(bytes, 0);
            values = of_row;
        });
        if n >= FIRST_TICKS {
            most = most.max(counted.count_total);
        }
    }
    (most, values)
}

/// Scenario: the recorded kubelet with 110 pods, and with 220, none of which comes or goes; from the bytes
/// of the summary to the encoded row.
/// Guarantees: nothing is allocated for a sample: 6,500 more cost no more than some allocation a pod.
#[test]
fn a_tick_allocates_nothing_for_a_sample() {
    let (few, few_values) = allocations(110);
    let (many, many_values) = allocations(220);
    println!("{few} allocations for {few_values} values, {many} for {many_values}");
    assert!(
        many_values > few_values * 3 / 2,
        "{few_values} and {many_values}"
    );
    assert!(
        many <= few + MORE,
        "{few} allocations, {many} with twice the pods"
    );
}
