//! Nodes that are held by somebody who is long at work.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cairn_proto::model::Run;

use super::*;
use crate::store::{Door as _, Opening, PackedStore};

const T0: u64 = 1_795_332_330_000;

/// After so long nothing comes any more.
const PATIENCE: Duration = Duration::from_secs(30);

fn open(store: &PackedStore, node: &str) -> Session {
    let run = Run {
        epoch_ms: 1,
        boot_id: [1; 16],
        clock_stepped: false,
    };
    let opening = Opening {
        run,
        interval_ms: 10_000,
        sent_ms: T0,
        now_ms: T0,
    };
    store.open(node, opening)
}

/// What is done to the store by another thread, once it is.
fn elsewhere<T: Send + 'static>(
    store: &Arc<PackedStore>,
    work: impl FnOnce(&PackedStore) -> T + Send + 'static,
) -> mpsc::Receiver<T> {
    let (done, receiver) = mpsc::channel();
    let store = Arc::clone(store);
    // Nobody may listen any more.
    thread::spawn(move || drop(done.send(work(&store))));
    receiver
}

/// Scenario: a node is locked for long, and its agent comes again meanwhile.
/// Guarantees: the sessions of others open, and what is empty is forgotten, before the lock is free.
#[test]
fn a_node_that_is_long_at_work_holds_up_no_other() {
    let store = Arc::new(PackedStore::new(900_000, 0));
    open(&store, "busy");
    let gone = open(&store, "gone");
    store.close(&gone, T0);
    let busy = store.node("busy").unwrap();
    let at_work = lock(&busy);
    let again = elsewhere(&store, |store| open(store, "busy").number);
    // It stands before the node when three have that: the map, this thread and the other one.
    for _ in 0..500 {
        if Arc::strong_count(&busy) == 3 || again.recv_timeout(PATIENCE / 1_000).is_ok() {
            break;
        }
    }
    let other = elsewhere(&store, |store| open(store, "other").node);
    let other = other.recv_timeout(PATIENCE);
    let forgotten = elsewhere(&store, Store::drop_empty).recv_timeout(PATIENCE);
    drop(at_work);
    assert_eq!(other.as_deref(), Ok("other"));
    assert_eq!(forgotten, Ok(1));
    assert_eq!(again.recv_timeout(PATIENCE), Ok(3));
    assert_eq!(store.bytes(), store.size().bytes);
}

/// Scenario: a node without rows or a session is held by somebody who may be about to open one.
/// Guarantees: it is forgotten when nobody holds it any more, and not before.
#[test]
fn a_node_that_somebody_holds_is_not_forgotten() {
    let store = PackedStore::new(900_000, 0);
    store.close(&open(&store, "node1"), T0);
    let held = store.node("node1");
    assert_eq!(store.evict(T0).nodes, 0);
    drop(held);
    assert_eq!(store.evict(T0).nodes, 1);
    assert_eq!(store.bytes(), 0);
}
