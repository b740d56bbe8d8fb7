use cairn_proto::model::{Column, ColumnId, EntityId, Snapshot};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::Slim;

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

/// Rows of up to 150 entities, with columns of all of them, of some, and of the same as others.
fn row() -> impl Strategy<Value = Snapshot> {
    let column = (
        0_u16..130,
        any::<bool>(),
        vec(value(), 150),
        vec(any::<bool>(), 150),
    );
    let columns = btree_map(0_u16..130, column, 0..12);
    (1_usize..150, columns).prop_map(|(entities, columns)| {
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
        let slim = Slim::of(&row, None);
        prop_assert_eq!(&slim.row(), &row);
        for place in 0..row.entities().len() + 70 {
            for id in (0..130).map(ColumnId) {
                prop_assert_eq!(slim.cell(place, id), row.cell(place, id));
            }
        }
        let some = [ColumnId(3), ColumnId(70)];
        let only = slim.only(&some);
        for id in some {
            prop_assert_eq!(only.column(id), row.column(id));
        }
        prop_assert!(only.columns().len() <= some.len());
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
    let (one, two) = (Slim::of(&one, None), Slim::of(&two, None));
    assert_eq!(one.values.len(), 1_536, "1,200 of three bytes each");
    assert_eq!(one.values, two.values);
    assert_eq!(two.row().columns().len(), 2);
}
