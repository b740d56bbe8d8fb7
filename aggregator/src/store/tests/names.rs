//! Names that no row uses any more.

use super::*;

const MANY: u32 = 17_000;

/// The last id of every node here; the others are below it.
const LAST: u32 = 60_000;

fn pod(store: &PlainStore, session: &Session, id: u32) -> Result<Defined, Error> {
    store.define(session, def(id, EntityKind::Pod, Some(1), "web"))
}

/// Names these pods and appends a row of them.
fn crowd(store: &PlainStore, session: &Session, seq: u64, ids: std::ops::Range<u32>) {
    for id in ids.clone() {
        pod(store, session, id).unwrap();
    }
    let all: Vec<(u32, u64)> = ids.map(|id| (id, 1)).collect();
    let applied = append(store, session, seq, T0 + seq * 10_000, &all);
    assert_eq!(applied, Ok(Applied::Applied));
}

/// A node with 4,000 names that are in no row any more, and rows 28 to 30 in its window.
fn with_spare_names() -> (PlainStore, Session) {
    let store = PlainStore::new(20_000, 0);
    let session = open(&store, 1);
    crowd(&store, &session, 0, 1_000..5_000);
    pod(&store, &session, LAST).unwrap();
    for seq in 1..=30 {
        let row = [(1, 1), (LAST, 1)];
        append(&store, &session, seq, T0 + seq * 10_000, &row).unwrap();
    }
    (store, session)
}

/// Scenario: a large node on which everything is new at each tick.
/// Guarantees: ids that are in no row any more do not count as live ones.
#[test]
fn a_large_node_may_have_new_names_for_ever() {
    let store = PlainStore::new(10_000, 0);
    let session = open(&store, 1);
    for seq in 0..12 {
        let first = 2 + u32::try_from(seq).unwrap() * MANY;
        crowd(&store, &session, seq, first..first + MANY);
        store.evict(T0 + seq * 10_000);
    }
}

/// Scenario: names are looked through between an old block's names and the block itself.
/// Guarantees: the block is taken.
#[test]
fn what_was_just_named_is_known_until_it_is_used() {
    let (store, session) = with_spare_names();
    pod(&store, &session, 500).unwrap();
    let before = store.size().bytes;
    let now_ms = T0 + 300_000;
    store.evict(now_ms);
    let old = snapshot(&[(1, 1), (500, 1)], T0);
    let payload = chunk::encode(DENSE, &[row_of(15, T0 + 315_000 / 10_000 * 10_000, &old)]);
    assert_eq!(store.take(&session, 1, &payload, now_ms), Ok(1));
    assert!(store.size().bytes < before, "names were looked through");
}

/// Scenario: the only pod of a namespace goes, and later its rows.
/// Guarantees: as soon as a block of rows has gone its name has too, and who asks for the namespace does
/// not look at the node any more; another namespace's pod stays.
#[test]
fn a_namespace_whose_pods_are_forgotten_leads_to_no_node() {
    let store = PackedStore::new(20_000, 0);
    let session = open(&store, 1);
    for (id, namespace) in [(2, "old"), (3, "new")] {
        let pod = def(id, EntityKind::Pod, Some(1), namespace);
        let namespace = namespace.to_owned();
        store
            .define(&session, EntityDef { namespace, ..pod })
            .unwrap();
    }
    let mut seen = Vec::new();
    for seq in 0..40 {
        let row = [(1, 1), (3, 1), (2, 1)];
        let row = if seq == 0 { &row[..] } else { &row[..2] };
        append(&store, &session, seq, T0 + seq * 10_000, row).unwrap();
        store.evict(T0 + seq * 10_000);
        seen.push(store.index.nodes("old").len());
    }
    assert_eq!((seen[0], seen[39]), (1, 0));
    assert_eq!(store.index.nodes("new").len(), 1);
    assert_eq!(store.entities(&Selector::Namespace("old")), []);
    assert_eq!(store.entities(&Selector::Namespace("new")).len(), 1);
}
