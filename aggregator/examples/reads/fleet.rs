//! A store with the window of some generated nodes.

use std::sync::Arc;

use cairn_aggregator::store::{Door, Opening, PackedStore, WireRow};
use cairn_proto::codec::DENSE;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::{EntityKind, Run};
use testkit::mix::{Kind, Mix, Options, Row};

/// The namespace that is asked for.
pub(crate) const NAMESPACE: &str = "shop";

/// Distance of the ticks, ms.
pub(crate) const INTERVAL_MS: u64 = 10_000;

/// The window that is asked for, ms.
pub(crate) const WINDOW_MS: u64 = 900_000;

/// Rows of a node: the window, and what the store keeps beyond it.
const ROWS: usize = 101;

/// A store, and the moment after its newest tick.
pub(crate) struct Fleet {
    pub(crate) store: Arc<dyn Door>,
    pub(crate) now_ms: u64,
}

/// 34 nodes of 30 pods with 2 containers, mix C: every pod in the namespace, or of each node another
/// one alone.
#[expect(
    clippy::unwrap_used,
    reason = "generated rows are good, or nothing is measured"
)]
pub(crate) fn fleet(is_spread: bool) -> Fleet {
    let options = Options {
        nodes: 34,
        pods_per_node: Some(30),
        ..Options::of(Kind::C)
    };
    let store = PackedStore::new(WINDOW_MS + 100_000, 0);
    let mix = Mix::new(options).unwrap();
    let mut now_ms = 0;
    for index in 0..mix.node_count() {
        let mut node = mix.node(index).unwrap();
        let mut opened = None;
        let mut before: Option<Row> = None;
        let mut pods = 0;
        for _ in 0..ROWS {
            let row = node.next_row().unwrap();
            now_ms = row.tick_ms + 100;
            let session = opened.get_or_insert_with(|| {
                let opening = Opening {
                    run: Run {
                        boot_id: [7; 16],
                        epoch_ms: row.tick_ms,
                        clock_stepped: false,
                    },
                    interval_ms: INTERVAL_MS,
                    sent_ms: now_ms,
                    now_ms,
                };
                store.open(node.name(), opening)
            });
            for mut def in row.new_defs.clone() {
                if def.kind == EntityKind::Pod {
                    let is_asked = !is_spread || pods == index % 30;
                    pods += 1;
                    if is_asked {
                        NAMESPACE.clone_into(&mut def.namespace);
                    }
                }
                store.define(session, def).unwrap();
            }
            let timed = |row: &'_ Row| (row.tick_ms, row.snapshot.clone());
            let base = before.as_ref().map(timed);
            let payload = row::encode(
                DENSE,
                base.as_ref().map(|(tick_ms, snapshot)| Timed {
                    tick_ms: *tick_ms,
                    snapshot,
                }),
                Timed {
                    tick_ms: row.tick_ms,
                    snapshot: &row.snapshot,
                },
            );
            let wire = WireRow {
                seq: row.seq,
                base_seq: before.as_ref().map(|before| before.seq),
                tick_ms: row.tick_ms,
                payload: &payload,
                sent_ms: now_ms,
                now_ms,
            };
            store.append(session, wire).unwrap();
            before = Some(row);
        }
    }
    store.evict(now_ms);
    Fleet {
        store: Arc::new(store),
        now_ms,
    }
}
