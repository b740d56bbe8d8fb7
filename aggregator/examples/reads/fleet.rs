//! A store with the window of some generated nodes, filled tick by tick as in operation.

use std::sync::Arc;

use cairn_aggregator::store::{Door, Opening, PackedStore, Session, WireRow};
use cairn_proto::codec::DENSE;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{EntityDef, EntityKind, Run};
use testkit::mix::{Fields, Kind, Mix, Options, Row};

/// The namespace that is asked for; the first of those of a large fleet.
pub(crate) const NAMESPACE: &str = "shop";

/// Distance of the ticks, ms.
pub(crate) const INTERVAL_MS: u64 = 10_000;

/// The window that is asked for, ms.
pub(crate) const WINDOW_MS: u64 = 900_000;

/// What the store keeps, ms.
pub(crate) const KEPT_MS: u64 = WINDOW_MS + 100_000;

/// Rows of a node: what is kept, and so many more that blocks were sealed, put together and cut.
const ROWS: usize = 140;

/// Nodes whose rows differ; the others have those of one of them.
pub(crate) const DIFFERENT: usize = 34;

/// Pods of a node.
pub(crate) const PODS: usize = 30;

/// Pods of a namespace where a node has one of it.
const SPREAD: usize = 1_000;

/// A store, and the moment after its newest tick.
pub(crate) struct Fleet {
    pub(crate) store: Arc<dyn Door>,
    pub(crate) now_ms: u64,
    /// Those that may be asked for, in turn.
    pub(crate) namespaces: Vec<String>,
}

/// Where the pods of the namespace are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// All pods of all nodes.
    All,
    /// Of each node another one alone; of more nodes than a namespace has pods, in several namespaces.
    One,
}

/// One row as it travels.
pub(crate) struct Tick {
    pub(crate) tick_ms: u64,
    pub(crate) defs: Vec<EntityDef>,
    pub(crate) payload: Vec<u8>,
}

/// So many nodes of 30 pods with 2 containers, mix C.
#[expect(
    clippy::unwrap_used,
    reason = "generated rows are good, or nothing is measured"
)]
pub(crate) fn fleet(nodes: usize, spread: Spread) -> Fleet {
    let store = PackedStore::new(KEPT_MS, 0);
    let templates = templates(nodes.min(DIFFERENT), ROWS);
    let first_ms = templates
        .first()
        .and_then(|ticks| Some(ticks.first()?.tick_ms));
    let first_ms = first_ms.unwrap();
    let opening = opening(first_ms);
    let name = |node| format!("node-{node:05}");
    let sessions: Vec<Session> = (0..nodes).map(|n| store.open(&name(n), opening)).collect();
    let mut now_ms = 0;
    for nth in 0..ROWS {
        for (node, session) in sessions.iter().enumerate() {
            let tick = templates.get(node % templates.len()).unwrap();
            let tick = tick.get(nth).unwrap();
            define(&store, session, tick, (node, spread));
            now_ms = tick.tick_ms + 100;
            // Their blocks end at different ticks.
            let seq = (node as u64 % BLOCK_ROWS) + nth as u64;
            let wire = WireRow {
                seq,
                base_seq: (nth > 0).then(|| seq - 1),
                tick_ms: tick.tick_ms,
                payload: &tick.payload,
                sent_ms: now_ms,
                now_ms,
            };
            store.append(session, wire).unwrap();
        }
        store.evict(now_ms);
    }
    Fleet {
        store: Arc::new(store),
        now_ms,
        namespaces: (0..nodes.div_ceil(SPREAD)).map(namespace).collect(),
    }
}

/// A node's agent comes.
pub(crate) fn opening(first_ms: u64) -> Opening {
    Opening {
        run: Run {
            boot_id: [7; 16],
            epoch_ms: first_ms,
            clock_stepped: false,
        },
        interval_ms: INTERVAL_MS,
        sent_ms: first_ms,
        now_ms: first_ms,
    }
}

/// One of those that a fleet has.
fn namespace(nth: usize) -> String {
    match nth {
        0 => NAMESPACE.to_owned(),
        _ => format!("{NAMESPACE}-{nth}"),
    }
}

#[expect(
    clippy::unwrap_used,
    reason = "generated rows are good, or nothing is measured"
)]
fn define(store: &PackedStore, session: &Session, tick: &Tick, (node, spread): (usize, Spread)) {
    let mut pods = 0;
    for mut def in tick.defs.iter().cloned() {
        if def.kind == EntityKind::Pod {
            if spread == Spread::All {
                def.namespace = namespace(0);
            } else if pods == node % PODS {
                def.namespace = namespace(node / SPREAD);
            }
            pods += 1;
        }
        store.define(session, def).unwrap();
    }
}

/// So many rows of each of so many nodes.
#[expect(
    clippy::unwrap_used,
    reason = "generated rows are good, or nothing is measured"
)]
pub(crate) fn templates(count: usize, rows: usize) -> Vec<Vec<Tick>> {
    let options = Options {
        nodes: count,
        pods_per_node: Some(PODS),
        fields: Fields::Twenty,
        ..Options::of(Kind::C)
    };
    let mix = Mix::new(options).unwrap();
    let timed = |row: &'_ Row| (row.tick_ms, row.snapshot.clone());
    let of = |index| {
        let mut node = mix.node(index).unwrap();
        let mut before: Option<(u64, _)> = None;
        let tick = |_| {
            let row = node.next_row().unwrap();
            let base = before.as_ref().map(|(tick_ms, snapshot)| Timed {
                tick_ms: *tick_ms,
                snapshot,
            });
            let own = Timed {
                tick_ms: row.tick_ms,
                snapshot: &row.snapshot,
            };
            let payload = row::encode(DENSE, base, own);
            before = Some(timed(&row));
            Tick {
                tick_ms: row.tick_ms,
                defs: row.new_defs,
                payload,
            }
        };
        (0..rows).map(tick).collect()
    };
    (0..count).map(of).collect()
}
