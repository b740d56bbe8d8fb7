//! What is left when windows are shortened to a limit: of what the plain store says, that of the rows that stay.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Ticks of the rows that a store would hand over of a node.
fn ticks(store: &dyn Exchange, node: &str) -> BTreeSet<u64> {
    let mut ticks = BTreeSet::new();
    for held in store.held_of(node) {
        for (block, _) in held.blocks {
            let copy = store.chunk(node, held.run, block).unwrap();
            let rows = chunk::decode(&copy.payload).unwrap();
            ticks.extend(rows.iter().map(|row| row.tick));
        }
    }
    ticks
}

/// Ticks of rows that are left, and those of them whose row before is left too.
struct Left {
    ticks: BTreeSet<u64>,
    follow: BTreeSet<u64>,
}

impl Left {
    fn of(ticks: BTreeSet<u64>, whole: &BTreeSet<u64>) -> Self {
        let before = |tick: u64| whole.range(..tick).next_back();
        let is_left = |tick: &&u64| before(**tick).is_some_and(|before| ticks.contains(before));
        let follow = ticks.iter().filter(is_left).copied().collect();
        Self { ticks, follow }
    }

    /// The rows that are left, from the first at which the entity was there. Whether rates may reach into a row is
    /// about the one before: nothing is said of it where that one is gone. Ticks of two runs can be mixed after the
    /// clock went back, and the oldest block of one of them may reach beyond the beginning of the other.
    fn rows(&self, rows: Vec<RawRow>) -> Vec<RawRow> {
        let rows = rows
            .into_iter()
            .filter(|row| self.ticks.contains(&row.tick_ms));
        let rows = rows.skip_while(|row| !row.present).enumerate();
        let rows = rows.map(|(nth, row)| RawRow {
            interrupted: row.interrupted && nth > 0 && self.follow.contains(&row.tick_ms),
            ..row
        });
        rows.collect()
    }
}

/// What a store says of an entity: its names, and its rows of two fields.
type Series = BTreeMap<String, [Vec<RawRow>; 2]>;

impl Both {
    fn series(&self, store: &dyn Door, left: &Left) -> Series {
        let entities = store.entities(&Selector::OfNode(self.node)).into_iter();
        let series = entities.map(|entity| {
            let rows = [table::CPU, table::MEMORY_USAGE]
                .map(|field| left.rows(store.read(&entity, field, (0, u64::MAX))));
            (format!("{:?} {}", entity.path, entity.name), rows)
        });
        // Of what is not there at any of these ticks, there is nothing to say.
        series.filter(|(_, rows)| !rows[0].is_empty()).collect()
    }

    /// The packed store says of the rows that it has left what the plain one says of them.
    fn compare_left(&self) {
        let plain = ticks(&*self.plain, self.node);
        let mut packed = ticks(&*self.packed, self.node);
        // A block is handed over with what has expired of it.
        packed.retain(|tick| plain.contains(tick));
        assert_eq!(packed.is_empty(), plain.is_empty(), "its newest rows stay");
        let left = Left::of(packed, &plain);
        let said = self.series(&*self.packed, &left);
        assert_eq!(said, self.series(&*self.plain, &left));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Scenario: windows of two nodes are shortened to a part of what they take, and then to a part of that.
    #[test]
    fn a_shortened_window_says_of_what_is_left_what_the_whole_one_said(
        ops in prop::collection::vec((any::<bool>(), op()), 1..40),
        hundredths in [5..100_u64, 5..100_u64],
    ) {
        let mut first = Both::new(600);
        let mut second = first.beside("node2");
        for (of_second, op) in &ops {
            if *of_second {
                second.act(op);
            } else {
                first.act(op);
            }
        }
        let packed = Arc::clone(&first.packed);
        for hundredths in hundredths {
            let (to_bytes, before) = (packed.bytes() * hundredths / 100, packed.size().rows);
            let gone = packed.shorten(to_bytes);
            let after = packed.size();
            assert_eq!(before - gone, after.rows);
            // Below that are names, and the newest row of each.
            assert!(packed.bytes() <= to_bytes || after.rows <= 2, "{after:?} {to_bytes}");
            first.compare_left();
            second.compare_left();
        }
    }
}
