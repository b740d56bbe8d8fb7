//! One field of entities that have few or many: what is read for it must not depend on the others.

use std::hint::black_box;

use cairn_aggregator::store::{Door, Entity, Opening, PackedStore, Selector, WireRow};
use cairn_proto::catalogue::{FIELDS, Field, Group, Source, table};
use cairn_proto::codec::DENSE;
use cairn_proto::codec::row;
use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind, Run, Stamp};

use super::fleet::{INTERVAL_MS, NAMESPACE};
use super::say;

/// Pods of the node.
const PODS: u32 = 120;

/// Two sealed blocks, which are put together, and eight rows of an open one.
const ROWS: u64 = 40;

/// The first tick, Unix ms.
const START_MS: u64 = 1_795_332_330_000;

/// Reads the CPU of a namespace whose pods have so many other fields too, and says how many. What is
/// to be counted happens in [`read`].
#[expect(
    clippy::unwrap_used,
    reason = "generated rows are good, or nothing is counted"
)]
pub(crate) fn run(fields: usize) {
    let store = PackedStore::new(900_000, 0);
    let opening = Opening {
        run: Run {
            boot_id: [7; 16],
            epoch_ms: START_MS,
            clock_stepped: false,
        },
        interval_ms: INTERVAL_MS,
        sent_ms: START_MS,
        now_ms: START_MS,
    };
    let session = store.open("node1", opening);
    let named = |id: u32, kind, parent: Option<u32>, name: String| EntityDef {
        id: EntityId(id),
        kind,
        parent: parent.map(EntityId),
        uid: name.clone(),
        name,
        namespace: NAMESPACE.to_owned(),
        runtime_id: String::new(),
        labels: Vec::new(),
    };
    let node = named(1, EntityKind::Node, None, "node1".to_owned());
    store.define(&session, node).unwrap();
    for id in 2..PODS + 2 {
        let pod = named(id, EntityKind::Pod, Some(1), format!("pod-{id}"));
        store.define(&session, pod).unwrap();
    }
    // Of whatever kind: the store does not judge which field an entity has.
    let others = FIELDS.iter().filter(|field| field.id != table::CPU);
    let others: Vec<&Field> = others.take(fields).collect();
    for seq in 0..ROWS {
        let tick_ms = START_MS + seq * INTERVAL_MS;
        let payload = payload(seq, tick_ms, &others);
        let wire = WireRow {
            seq,
            base_seq: None,
            tick_ms,
            payload: &payload,
            sent_ms: tick_ms,
            now_ms: tick_ms,
        };
        store.append(&session, wire).unwrap();
    }
    // What is complete is sealed when old rows expire.
    store.evict(START_MS + ROWS * INTERVAL_MS);
    let entities = store.entities(&Selector::Namespace(NAMESPACE));
    // Memory that was used before is cleared by the allocator, other memory comes clear: which of the two
    // depends on what the appends left. A second time all of it was used before.
    black_box(asked(&store, &entities));
    black_box(read(&store, &entities));
    say(&others.len().to_string());
}

/// A row in which nothing is as in the row before.
fn payload(seq: u64, tick_ms: u64, others: &[&Field]) -> Vec<u8> {
    let mut builder = Builder::default();
    for id in 2..PODS + 2 {
        let stamp = Stamp {
            time_ms: tick_ms,
            start_ms: Some(START_MS - 5_000),
            source: Source::Summary,
        };
        for group in [Group::Cpu, Group::Memory] {
            builder.stamp(EntityId(id), group, stamp);
        }
        let value = seq * seq * u64::from(id) * 7_919;
        builder.value(EntityId(id), table::CPU, value);
        for field in others {
            let own = u64::from(field.id.0);
            builder.value(EntityId(id), field.id, value.wrapping_mul(own) % 1_000_003);
        }
    }
    row::keyframe(DENSE, tick_ms, &builder.build())
}

/// Reads the field; the only function whose instructions count.
#[inline(never)]
fn read(store: &PackedStore, entities: &[Entity]) -> usize {
    asked(store, entities)
}

fn asked(store: &PackedStore, entities: &[Entity]) -> usize {
    let asked: Vec<&Entity> = entities.iter().collect();
    let mut values = 0;
    store.visit(&asked, table::CPU, (0, u64::MAX), &mut |_, rows| {
        values += black_box(rows)
            .iter()
            .filter(|row| row.point.is_some())
            .count();
    });
    values
}
