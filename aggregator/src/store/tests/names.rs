//! Names that no row uses any more, in both stores.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::frame::{self, Store, Window};
use super::*;

/// New ids a row, of which two rows have as many as may live.
const MANY: u32 = 17_000;

/// The same where ids live as long as the block of rows that they are in.
const MANY_OF_A_BLOCK: u32 = 1_500;

/// The last id of every node here; the others are below it.
const LAST: u32 = 60_000;

fn stores(window_ms: u64) -> [Box<dyn Door>; 2] {
    [
        Box::new(PlainStore::new(window_ms, 0)),
        Box::new(PackedStore::new(window_ms, 0)),
    ]
}

fn pod(store: &dyn Door, session: &Session, id: u32) -> Result<Defined, Error> {
    store.define(session, def(id, EntityKind::Pod, Some(1), "web"))
}

/// Names these pods and appends a row of them.
fn crowd(store: &dyn Door, session: &Session, seq: u64, ids: std::ops::Range<u32>) {
    for id in ids.clone() {
        pod(store, session, id).unwrap();
    }
    let all: Vec<(u32, u64)> = ids.map(|id| (id, 1)).collect();
    let applied = append(store, session, seq, T0 + seq * 10_000, &all);
    assert_eq!(applied, Ok(Applied::Applied));
}

/// Gives a node 4,000 names that are in no row any more, and rows 28 to 30 in a window of 20 s.
fn spare_names(store: &dyn Door) -> Session {
    let session = open(store, 1);
    crowd(store, &session, 0, 1_000..5_000);
    pod(store, &session, LAST).unwrap();
    for seq in 1..=30 {
        let row = [(1, 1), (LAST, 1)];
        append(store, &session, seq, T0 + seq * 10_000, &row).unwrap();
    }
    session
}

/// Scenario: a large node on which everything is new at each tick.
/// Guarantees: ids that are in no row any more do not count as live ones.
#[test]
fn a_large_node_may_have_new_names_for_ever() {
    let check = |store: &dyn Door, rows: u64, new: u32| {
        let session = open(store, 1);
        for seq in 0..rows {
            let first = 2 + u32::try_from(seq).unwrap() * new;
            crowd(store, &session, seq, first..first + new);
            store.evict(T0 + seq * 10_000);
        }
    };
    check(&PlainStore::new(10_000, 0), 12, MANY);
    for store in stores(10_000) {
        check(&*store, 60, MANY_OF_A_BLOCK);
    }
}

/// Scenario: names are looked through between an old block's names and the block itself.
/// Guarantees: the block is taken.
#[test]
fn what_was_just_named_is_known_until_it_is_used() {
    let now_ms = T0 + 300_000;
    let old = snapshot(&[(1, 1), (500, 1)], T0);
    let payload = chunk::encode(DENSE, &[row_of(15, T0 + 315_000 / 10_000 * 10_000, &old)]);
    for store in stores(20_000) {
        let session = spare_names(&*store);
        pod(&*store, &session, 500).unwrap();
        let before = store.size().bytes;
        store.evict(now_ms);
        assert_eq!(store.take(&session, 1, &payload, now_ms), Ok(1));
        assert!(store.size().bytes < before, "names were looked through");
    }
}

/// Gives pod 2 this namespace.
fn call(store: &dyn Door, session: &Session, namespace: &str) {
    let pod = def(2, EntityKind::Pod, Some(1), "web");
    let namespace = namespace.to_owned();
    let defined = store.define(session, EntityDef { namespace, ..pod });
    defined.unwrap();
}

/// Names a pod again and again, each time with another namespace.
fn moves<N: Window>(store: &Store<N>) {
    let session = open(store, 1);
    for round in 0..10 {
        for nth in 0..1_000 {
            call(store, &session, &format!("n{}", round * 1_000 + nth));
        }
        let tick_ms = T0 + round * 10_000;
        append(store, &session, round, tick_ms, &[(1, 1), (2, 1)]).unwrap();
        store.evict(tick_ms);
        assert_eq!(store.index.len(), 1, "after round {round}");
    }
    assert_eq!(store.index.nodes("n0").len(), 0);
    assert_eq!(store.index.nodes("n9999").len(), 1);
    assert_eq!(store.entities(&Selector::Namespace("n9999")).len(), 1);
    // Also without an eviction in between.
    for nth in 0..10_000 {
        call(store, &session, &format!("m{nth}"));
        assert!(store.index.len() < 2_000, "after {nth}");
    }
    assert_eq!(store.index.nodes("m9999").len(), 1);
    store.close(&session, T0);
    store.evict(T0 + 10 * WINDOW);
    assert_eq!(store.index.len(), 0);
}

/// Scenario: an agent gives one pod another namespace, thousands of times.
/// Guarantees: only the one that it has now leads to the node, and between two evictions there are never
/// many more.
#[test]
fn a_namespace_that_a_pod_has_no_more_leads_to_no_node() {
    moves(&PlainStore::new(WINDOW, 0));
    moves(&PackedStore::new(WINDOW, 0));
}

/// Scenario: an agent begins run after run, each with pods of other namespaces and without a row.
/// Guarantees: the index does not keep those of the runs that are gone.
#[test]
fn runs_without_rows_leave_no_namespaces() {
    fn begins<N: Window>(store: &Store<N>) {
        for epoch_ms in 1..=10 {
            let session = open(store, epoch_ms);
            for id in 2..1_002 {
                let pod = def(id, EntityKind::Pod, Some(1), "web");
                let namespace = format!("n{epoch_ms}-{id}");
                let defined = store.define(&session, EntityDef { namespace, ..pod });
                defined.unwrap();
            }
            assert!(store.index.len() <= 4_000, "{}", store.index.len());
        }
        store.evict(T0);
        assert_eq!(store.index.len(), 1_000);
    }
    begins(&PlainStore::new(WINDOW, 0));
    begins(&PackedStore::new(WINDOW, 0));
}

/// Scenario: another aggregator hands over a block whose names give a pod another namespace than the
/// agent did.
/// Guarantees: what the agent said stays, and the other namespace leads to no node after an eviction.
#[test]
fn a_namespace_that_another_aggregator_told_in_vain_leads_to_no_node() {
    fn restores<N: exchange::Blocks>(store: &Store<N>) {
        let session = open(store, 1);
        call(store, &session, "own");
        append(store, &session, 1, T0, &[(1, 1), (2, 1)]).unwrap();
        let pod = def(2, EntityKind::Pod, Some(1), "web");
        let namespace = "other".to_owned();
        let old = snapshot(&[(1, 1), (2, 1)], T0 - 10_000);
        let payload = chunk::encode(DENSE, &[row_of(0, T0 - 10_000, &old)]);
        let piece = Piece {
            run: run(1),
            interval_ms: 10_000,
            block: 0,
            names: &[Named::Def(EntityDef { namespace, ..pod })],
            payload: &payload,
            known: Known::default(),
            now_ms: T0,
        };
        assert_eq!(store.restore("node1", &piece), Ok(1));
        store.evict(T0);
        assert_eq!(store.index.nodes("other").len(), 0);
        assert_eq!(store.entities(&Selector::Namespace("own")).len(), 1);
    }
    restores(&PlainStore::new(WINDOW, 0));
    restores(&PackedStore::new(WINDOW, 0));
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

/// Scenario: a pod goes, and comes back under another id of the same run, as an agent names what it has
/// forgotten; a container is in it.
/// Guarantees: it is one thing, which was there from the first row to the last.
#[test]
fn what_a_run_names_by_two_ids_is_one_thing() {
    for store in stores(900_000) {
        let session = open(&*store, 1);
        let mut known = Vec::new();
        for (seq, id) in [(0, 2), (1, 3), (2, 9), (3, 4)] {
            let name = if id == 2 || id == 9 { "back" } else { "other" };
            let uid = format!("uid-{name}-{}", if name == "back" { 0 } else { id });
            let named = EntityDef {
                uid,
                ..def(id, EntityKind::Pod, Some(1), name)
            };
            store.define(&session, named).unwrap();
            let tick_ms = T0 + seq * 10_000;
            append(&*store, &session, seq, tick_ms, &[(1, 1), (id, 7)]).unwrap();
            known.push(tick_ms);
        }
        let pods = store.entities(&Selector::Namespace("shop"));
        let back: Vec<_> = pods.iter().filter(|pod| &*pod.name == "back").collect();
        assert_eq!(back.len(), 1, "{pods:?}");
        assert_eq!(back[0].last_tick_ms, known[2]);
        assert_eq!(pods.len(), 3);
    }
}

/// Scenario: somebody reads another node all the while.
/// Guarantees: whether a node has a pod is told all the same, for who defines pods asks it of each.
#[test]
fn whether_a_node_has_a_pod_is_found_without_looking_at_the_others() {
    let store = PackedStore::new(WINDOW, 0);
    for node in ["n1", "n2"] {
        let opening = Opening {
            run: run(1),
            interval_ms: 10_000,
            sent_ms: T0,
            now_ms: T0,
        };
        let session = store.open(node, opening);
        store
            .define(&session, def(1, EntityKind::Node, None, node))
            .unwrap();
        let pod = def(2, EntityKind::Pod, Some(1), "web");
        store.define(&session, pod).unwrap();
    }
    let others = Arc::clone(&store.nodes.read().unwrap()["n2"]);
    let _reading = frame::lock(&others);
    let pod = |namespace, name, uid| PodName {
        namespace,
        name,
        uid,
    };
    let asked = [
        pod("shop", "web", "uid-2"),
        pod("shop", "web", "uid-3"),
        pod("shop", "we", "uid-2"),
        pod("bank", "web", "uid-2"),
    ];
    let (say, said) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| say.send(asked.map(|pod| store.has_pod("n1", &pod))));
        let told = said.recv_timeout(Duration::from_secs(10));
        assert_eq!(told, Ok([true, false, false, false]));
    });
    assert!(!store.has_pod("n3", &asked[0]));
}
