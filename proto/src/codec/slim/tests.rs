use crate::model::{Column, ColumnId, EntityId, Snapshot};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::Slim;
use crate::codec::chunk::{RowOf, Sealed, WireRow};
use crate::codec::row::{self, Timed};
use crate::codec::{DENSE, PLAIN};

/// Numbers of every size, and those with something in common.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        any::<u64>(),
        any::<u64>().prop_map(|value| value >> 40),
        any::<u16>().prop_map(|pages| u64::from(pages) * 4096 + (1 << 40)),
        any::<u8>().prop_map(|tick| 1_795_332_330_000 + u64::from(tick)),
    ]
}

/// Rows of no entity and of up to 150, with columns of all of them, of some, and of the same as others.
fn row() -> impl Strategy<Value = Snapshot> {
    let column = (
        0_u16..100,
        any::<bool>(),
        vec(value(), 150),
        vec(any::<bool>(), 150),
    );
    let columns = btree_map(0_u16..100, column, 0..12);
    let entities = prop_oneof![1 => Just(0_usize), 9 => 1_usize..150];
    (entities, columns).prop_map(|(entities, columns)| {
        let ids = (0..entities).map(|nth| EntityId(u32::try_from(nth * 3).unwrap()));
        let columns = columns
            .into_iter()
            .filter_map(|(id, (_, is_full, values, are_in))| {
                let there = |place: &u32| is_full || are_in.get(*place as usize) == Some(&true);
                let places: Vec<u32> = (0..u32::try_from(entities).unwrap())
                    .filter(there)
                    .collect();
                let values = values.into_iter().take(places.len()).collect();
                let column = Column::from_parts(ColumnId(id), places, values).unwrap();
                (!column.is_empty()).then_some(column)
            });
        Snapshot::from_parts(ids.collect(), columns.collect()).unwrap()
    })
}

proptest! {
    #[test]
    fn a_row_comes_back_as_it_was(row in row()) {
        let slim = Slim::of(&row);
        prop_assert_eq!(&slim.row(), &row);
        for place in 0..row.entities().len() + 70 {
            for id in (0..100).map(ColumnId) {
                prop_assert_eq!(slim.cell(place, id), row.cell(place, id));
            }
        }
        let some = [ColumnId(3), ColumnId(70)];
        let only = slim.only(&some);
        for id in some {
            prop_assert_eq!(only.column(id), row.column(id));
        }
        prop_assert!(only.columns().len() <= some.len());
        prop_assert_eq!(slim.narrowed(&some), Slim::of(&only));
        for first in (0..100).map(ColumnId) {
            let together = [first, ColumnId(3), ColumnId(70)];
            let mut shown = Vec::new();
            slim.together(together, |place, cells| shown.push((place, cells)));
            let there = (0..row.entities().len()).filter(|place| row.cell(*place, first).is_some());
            let cells = |place: usize| (place, together.map(|id| row.cell(place, id)));
            prop_assert_eq!(shown, there.map(cells).collect::<Vec<_>>());
        }
    }
}

/// Two columns of stamps with the same values take the bytes of one.
#[test]
fn stamps_that_are_alike_are_kept_once() {
    let entities: Vec<EntityId> = (0..400).map(EntityId).collect();
    let values: Vec<u64> = (0..400).map(|nth| 1_795_332_330_000 + nth * 700).collect();
    let column = |id, values: &[u64]| {
        let places: Vec<u32> = (0..400).collect();
        Column::from_parts(ColumnId(id), places, values.to_vec()).unwrap()
    };
    let one = Snapshot::from_parts(entities.clone(), vec![column(0, &values)]).unwrap();
    let two = [column(0, &values), column(4, &values)];
    let two = Snapshot::from_parts(entities, two.to_vec()).unwrap();
    let (one, two) = (Slim::of(&one), Slim::of(&two));
    assert_eq!(one.values.len(), 1_536, "1,200 of three bytes each");
    assert_eq!(one.values, two.values);
    assert_eq!(two.row().columns().len(), 2);
}

/// What happens to a column from row to row.
#[derive(Clone, Debug)]
enum Change {
    Stays,
    Goes,
    /// All values move by as much.
    Moves(u64),
    /// Those of some places differ.
    Differs(Vec<(prop::sample::Index, u64)>),
    /// Others have a value.
    Comes(Vec<bool>, Vec<u64>),
}

fn change() -> impl Strategy<Value = Change> {
    let differs = vec((any::<prop::sample::Index>(), value()), 0..6);
    prop_oneof![
        3 => Just(Change::Stays),
        1 => Just(Change::Goes),
        2 => prop_oneof![Just(10_000), value()].prop_map(Change::Moves),
        3 => differs.prop_map(Change::Differs),
        2 => (vec(any::<bool>(), 150), vec(value(), 150)).prop_map(|(is, of)| Change::Comes(is, of)),
    ]
}

/// The same without every so-manyth entity.
fn without(row: &Snapshot, nth: usize) -> Snapshot {
    let goes = |place: usize| place % nth == nth - 1;
    let all = row.entities().iter().enumerate();
    let entities = all.filter(|(place, _)| !goes(*place)).map(|(_, id)| *id);
    let columns = row.columns().iter().map(|column| {
        let left = column.cells().filter(|(place, _)| !goes(*place as usize));
        let (places, values): (Vec<u32>, Vec<u64>) = left
            .map(|(place, value)| (place - place / u32::try_from(nth).unwrap(), value))
            .unzip();
        Column::from_parts(column.id(), places, values).unwrap()
    });
    let columns = columns.filter(|column| !column.is_empty());
    Snapshot::from_parts(entities.collect(), columns.collect()).unwrap()
}

/// The row after one, of the same entities.
fn after(row: &Snapshot, changes: &[(u16, Change)]) -> Snapshot {
    let mut columns: Vec<Column> = row.columns().to_vec();
    for (id, change) in changes {
        let id = ColumnId(*id);
        let at = columns.binary_search_by_key(&id, Column::id);
        let before = at.ok().and_then(|at| columns.get(at)).cloned();
        let before = before.unwrap_or_else(|| Column::empty(id));
        let mut values = before.values().to_vec();
        let column = match change {
            Change::Stays => continue,
            Change::Goes => Column::empty(id),
            Change::Moves(by) => {
                let moved = values.iter().map(|value| value.wrapping_add(*by));
                before.with_values(moved.collect()).unwrap()
            }
            Change::Differs(cells) => {
                for (at, value) in cells.iter().filter(|_| !before.is_empty()) {
                    let at = at.index(values.len());
                    *values.get_mut(at).unwrap() = *value;
                }
                before.with_values(values).unwrap()
            }
            Change::Comes(is_there, of) => {
                let all = 0..u32::try_from(row.entities().len()).unwrap();
                let there = all.filter(|place| is_there.get(*place as usize) == Some(&true));
                let there: Vec<u32> = there.collect();
                let of = of.iter().copied().take(there.len()).collect();
                Column::from_parts(id, there, of).unwrap()
            }
        };
        columns.retain(|one| one.id() != id);
        if !column.is_empty() {
            let at = columns.partition_point(|one| one.id() < id);
            columns.insert(at, column);
        }
    }
    Snapshot::from_parts(row.entities().to_vec(), columns).unwrap()
}

proptest! {
    /// Whole payloads, and ones of which a bit is not as it was.
    #[test]
    fn the_next_row_is_read_in_the_place_of_the_one_before(
        first in row(),
        rows in vec((vec((0_u16..100, change()), 0..12), prop::option::weighted(0.3, 2_usize..9)), 1..6),
        codec in PLAIN..=DENSE,
        flipped in any::<prop::sample::Index>(),
        passed_ms in prop_oneof![Just(10_000_u64), any::<u64>()],
    ) {
        let mut before = (1_795_332_330_000_u64, first);
        let mut slim = Slim::of(&before.1);
        for (changes, goes) in rows {
            let (tick_ms, row) = (before.0.wrapping_add(passed_ms), after(&before.1, &changes));
            let row = goes.map_or_else(|| row.clone(), |nth| without(&row, nth));
            let base = Timed { tick_ms: before.0, snapshot: &before.1 };
            let mut payload = row::encode(codec, Some(base), Timed { tick_ms, snapshot: &row });
            let next = Slim::decode(Some((before.0, &slim)), tick_ms, &payload).unwrap();
            prop_assert_eq!(&next, &Slim::of(&row));
            prop_assert_eq!(&next.row(), &row);
            prop_assert_eq!(next.counts().samples, row.sample_count());
            prop_assert_eq!(next.counts().bytes, next.row().bytes());
            let bit = flipped.index(payload.len() * 8);
            *payload.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            let read = row::decode(Some(base), tick_ms, &payload);
            let in_place = Slim::decode(Some((before.0, &slim)), tick_ms, &payload);
            prop_assert_eq!(in_place.as_ref().map(Slim::row).map_err(|error| *error), read);
            (before, slim) = ((tick_ms, row), next);
        }
    }
}

/// A row's keyframe, and the row after it as it came, as a block.
fn block(keyframe: &[u8], payload: &[u8], ticks: [u64; 2]) -> Option<Sealed> {
    let row = |offset: u64, tick, payload, is_keyframe| WireRow {
        offset,
        tick,
        payload,
        is_keyframe,
    };
    let [first, next] = ticks;
    Sealed::of_wire(&[row(0, first, keyframe, true), row(1, next, payload, false)])
}

proptest! {
    /// Of a row that was given, and of those that came as what differs from the one before.
    #[test]
    fn a_keyframe_says_what_the_row_says(
        first in row(),
        rows in vec((vec((0_u16..100, change()), 0..12), prop::option::weighted(0.3, 2_usize..9)), 0..4),
    ) {
        let (mut tick_ms, mut before) = (1_795_332_330_000_u64, first);
        let mut slim = Slim::of(&before);
        prop_assert_eq!(row::decode(None, tick_ms, &slim.keyframe()), Ok(before.clone()));
        for (changes, goes) in rows {
            let row = after(&before, &changes);
            let row = goes.map_or_else(|| row.clone(), |nth| without(&row, nth));
            let ticks = [tick_ms, tick_ms + 10_000];
            let base = Timed { tick_ms, snapshot: &before };
            let payload = row::encode(DENSE, Some(base), Timed { tick_ms: ticks[1], snapshot: &row });
            let next = Slim::decode(Some((tick_ms, &slim)), ticks[1], &payload).unwrap();
            prop_assert_eq!(row::decode(None, ticks[1], &next.keyframe()), Ok(row.clone()));
            // A block that begins with it is the one that is made of the rows.
            let sealed = block(&slim.keyframe(), &payload, ticks);
            // A keyframe of nothing cannot be told from a row like the one before.
            prop_assert_eq!(sealed.is_none(), before.entities().is_empty());
            if let Some(sealed) = sealed {
                let rows = [(0, ticks[0], &before), (1, ticks[1], &row)];
                let rows = rows.map(|(offset, tick, snapshot)| RowOf { offset, tick, snapshot });
                let at_once = Sealed::encode(&rows).unwrap();
                prop_assert_eq!(sealed.bytes(), at_once.bytes());
            }
            (tick_ms, before, slim) = (ticks[1], row, next);
        }
    }
}
