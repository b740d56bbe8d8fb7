//! A namespace whose pods lie on many nodes, a few on each.

use std::sync::Arc;

use cairn_proto::catalogue::{EntityKind, Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityDef, EntityId, Run, Stamp};

use crate::query::{Bounds, Choice, Range, Sample, View};
use crate::store::{Door, Opening, PackedStore, PlainStore, Session, WireRow};

const START_MS: u64 = 1_795_332_330_000;
const INTERVAL_MS: u64 = 10_000;
const WINDOW_MS: u64 = 900_000;

/// More than are read together.
const NODES: u32 = 75;

/// Sealed blocks, put together and not, and an open one.
const ROWS: u64 = 88;

/// Those of one series: node, name, whether it is there now, and its samples.
type Shown = (String, String, bool, Vec<Option<Sample>>);

/// Begins a run with its names.
fn open(store: &dyn Door, node: u32, epoch_ms: u64) -> Session {
    let opening = Opening {
        run: Run {
            boot_id: [1; 16],
            epoch_ms,
            clock_stepped: false,
        },
        interval_ms: INTERVAL_MS,
        sent_ms: epoch_ms,
        now_ms: epoch_ms,
    };
    let session = store.open(&format!("node-{node:02}"), opening);
    for id in 0..=pods(node) {
        let is_pod = id > 0;
        let text = |text: String| if is_pod { text } else { String::new() };
        let def = EntityDef {
            id: EntityId(id),
            kind: if is_pod {
                EntityKind::Pod
            } else {
                EntityKind::Node
            },
            parent: is_pod.then_some(EntityId(0)),
            name: if is_pod {
                format!("web-{id}")
            } else {
                session.node.clone()
            },
            namespace: text("shop".to_owned()),
            uid: text(format!("uid-{node}-{id}")),
            runtime_id: String::new(),
            labels: Vec::new(),
        };
        store.define(&session, def).unwrap();
    }
    session
}

/// One to six: some nodes have more than are followed one by one.
fn pods(node: u32) -> u32 {
    node % 6 + 1
}

/// A row in which some stand still and others move, the summary tells some lives, and a few are away at
/// times.
fn payload(node: u32, seq: u64, tick_ms: u64) -> Vec<u8> {
    let mut builder = Builder::default();
    builder.entity(EntityId(0));
    for id in 1..=pods(node) {
        if (seq + u64::from(id)) % 23 == u64::from(node % 23) {
            continue;
        }
        let number = u64::from(node * 7 + id);
        let by = if number.is_multiple_of(3) {
            Source::Summary
        } else {
            Source::Cgroup
        };
        let stamp = |time_ms, source| Stamp {
            time_ms,
            // Some began anew within the window.
            start_ms: (!number.is_multiple_of(5)).then_some({
                let again = number.is_multiple_of(11) && seq > 50;
                START_MS - number * 1_000 + if again { 400_000 } else { 0 }
            }),
            source,
        };
        builder.stamp(EntityId(id), Group::Memory, stamp(tick_ms - number, by));
        builder.stamp(EntityId(id), Group::Cpu, stamp(tick_ms - 3, Source::Cgroup));
        if number.is_multiple_of(2) {
            let stamp = stamp(tick_ms / 30_000 * 30_000, Source::Summary);
            builder.stamp(EntityId(id), Group::Network, stamp);
        }
        let moved = if number.is_multiple_of(4) {
            0
        } else {
            seq * seq
        };
        builder.value(EntityId(id), table::MEMORY_USAGE, number * 4_096 + moved);
        builder.value(EntityId(id), table::CPU, seq * number * 1_000);
    }
    row::keyframe(DENSE, tick_ms, &builder.build())
}

/// A store with the rows of all nodes; some began another run on the way, and some lack the last tick.
fn fill(store: &dyn Door) {
    let mut sessions: Vec<Session> = (0..NODES).map(|n| open(store, n, START_MS)).collect();
    for seq in 0..ROWS {
        let tick_ms = START_MS + seq * INTERVAL_MS;
        for (node, session) in (0..NODES).zip(&mut sessions) {
            if node % 9 == 0 && seq == ROWS - 1 {
                continue;
            }
            if node % 10 == 0 && seq == 37 {
                *session = open(store, node, tick_ms);
            }
            let wire = WireRow {
                seq: if node % 10 == 0 && seq >= 37 {
                    seq - 37
                } else {
                    seq + u64::from(node % 16)
                },
                base_seq: None,
                tick_ms,
                payload: &payload(node, seq, tick_ms),
                sent_ms: tick_ms,
                now_ms: tick_ms,
            };
            store.append(session, wire).unwrap();
        }
        store.evict(tick_ms);
    }
}

fn shown(store: &Arc<dyn Door>, field: &str, bounds: Bounds) -> Vec<Shown> {
    let now_ms = START_MS + (ROWS - 1) * INTERVAL_MS + 100;
    let view = View::new(store, INTERVAL_MS, WINDOW_MS, now_ms);
    let choice = Choice {
        namespace: "shop".to_owned(),
        ..Choice::default()
    };
    let mut shown = Vec::new();
    for piece in Range::new(view, &choice, field, bounds).unwrap().pieces() {
        piece.read(|series| {
            shown.push((
                series.entity.node.to_string(),
                series.entity.name.to_string(),
                series.is_current,
                series.samples.to_vec(),
            ));
        });
    }
    shown
}

/// Scenario: pods of a namespace on more nodes than are read together, one to six on each, over chunks of
/// several blocks and of one, open rows and two runs; some restarted, some away at times.
/// Guarantees: every series is the one that the plain store gives, in the same order, whatever part of
/// the window is asked for.
#[test]
fn pods_on_many_nodes_are_what_the_plain_store_says() {
    let packed: Arc<dyn Door> = Arc::new(PackedStore::new(WINDOW_MS + 100_000, 0));
    let plain: Arc<dyn Door> = Arc::new(PlainStore::new(WINDOW_MS + 100_000, 0));
    fill(&*packed);
    fill(&*plain);
    let last_minutes = Bounds {
        start_ms: START_MS + (ROWS - 30) * INTERVAL_MS,
        end_ms: START_MS + (ROWS - 4) * INTERVAL_MS,
    };
    let count: u32 = (0..NODES).map(pods).sum();
    for id in [table::MEMORY_USAGE, table::CPU] {
        let field = table::field(id).unwrap().name;
        for bounds in [Bounds::ALL, last_minutes] {
            let (packed, plain) = (shown(&packed, field, bounds), shown(&plain, field, bounds));
            assert_eq!(packed.len(), count as usize);
            for (packed, plain) in packed.iter().zip(&plain) {
                assert_eq!(packed, plain);
            }
            assert_eq!(packed.len(), plain.len());
        }
    }
}
