//! Whom the rows of a block in wire form are about, where they are not all about the same entities.

use super::write::places_of;
use crate::codec::entities::moved;
use crate::limits;
use crate::model::EntityId;

/// The entities of a block.
#[derive(Debug)]
pub(super) struct Among {
    /// All that are in any row, rising.
    pub(super) all: Vec<EntityId>,
    /// In which rows each of them is.
    pub(super) there: Vec<u64>,
    /// Of each row; none when all are in every row.
    rows: Vec<Own>,
}

/// The entities of one row.
#[derive(Debug)]
pub(super) struct Own {
    /// Where each stands among all.
    pub(super) places: Vec<u32>,
    /// Where those of the row before stand now; `None` where they stood.
    pub(super) moved: Option<Vec<Option<u32>>>,
}

impl Among {
    /// Of rows that list their entities; `None` stands for those of the row before. Nothing when they are
    /// more than a chunk may have.
    pub(super) fn of(lists: Vec<Option<Vec<EntityId>>>) -> Option<Self> {
        let mut all: Vec<EntityId> = lists.iter().flatten().flatten().copied().collect();
        if lists.iter().flatten().count() > 1 {
            all.sort_unstable();
            all.dedup();
        }
        if all.len() > limits::MAX_ENTITIES {
            return None;
        }
        if lists.iter().flatten().all(|own| *own == all) {
            let there = vec![super::all_rows(lists.len()); all.len()];
            let rows = Vec::new();
            return Some(Self { all, there, rows });
        }
        let mut there = vec![0_u64; all.len()];
        let mut rows: Vec<Own> = Vec::with_capacity(lists.len());
        let mut before: Vec<EntityId> = Vec::new();
        for (list, nth) in lists.into_iter().zip(0..) {
            let own = match (list, rows.last()) {
                (None, Some(last)) => Own {
                    places: last.places.clone(),
                    moved: None,
                },
                (list, _) => {
                    let list = list.unwrap_or_default();
                    let own = Own {
                        places: places_of(&list, &all),
                        moved: Some(moved(&before, &list)),
                    };
                    before = list;
                    own
                }
            };
            for place in &own.places {
                if let Some(mask) = there.get_mut(*place as usize) {
                    *mask |= 1 << nth;
                }
            }
            rows.push(own);
        }
        Some(Self { all, there, rows })
    }

    /// The entities of the n-th row; `None` when all are in every row.
    pub(super) fn row(&self, nth: usize) -> Option<&Own> {
        self.rows.get(nth)
    }

    /// True when all are in every row.
    pub(super) fn are_even(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Own {
    /// Where an entity stands among those of the row.
    pub(super) fn place(&self, among_all: u32) -> Option<u32> {
        let place = self.places.binary_search(&among_all).ok()?;
        u32::try_from(place).ok()
    }
}
