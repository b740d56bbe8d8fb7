//! Windows made to measure.

use std::sync::Arc;

use cairn_proto::catalogue::{EntityKind, FieldId, Group, Source, field, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityDef, EntityId, Run, Stamp};

use super::{Api, T0, with_store};
use crate::store::{Door, Opening, PackedStore, WireRow};

/// What one thing says in each row.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Says {
    /// Core-milliseconds a second: what its CPU counter grows by.
    pub(in super::super) millicores: Option<u64>,
    /// Its working set.
    pub(in super::super) working_set: Option<u64>,
    /// Any other field.
    pub(in super::super) other: Option<(FieldId, u64)>,
    /// When its life began, Unix ms.
    pub(in super::super) start_ms: u64,
}

impl Says {
    /// Nothing but one field.
    pub(in super::super) const fn of(field: FieldId, value: u64) -> Self {
        Self {
            millicores: None,
            working_set: None,
            other: Some((field, value)),
            ..USUAL
        }
    }
}

/// Half a core and a MiB.
pub(in super::super) const USUAL: Says = Says {
    millicores: Some(500),
    working_set: Some(1 << 20),
    other: None,
    start_ms: T0 - 60_000,
};

/// A definition; the rest is as for a node.
pub(in super::super) fn def(id: u32, kind: EntityKind, parent: u32, name: &str) -> EntityDef {
    EntityDef {
        id: EntityId(id),
        kind,
        parent: (parent > 0).then_some(EntityId(parent)),
        name: name.into(),
        namespace: String::new(),
        uid: String::new(),
        runtime_id: String::new(),
        labels: Vec::new(),
    }
}

/// A pod of the node that has the id 1.
pub(in super::super) fn pod(id: u32, namespace: &str, name: &str) -> EntityDef {
    EntityDef {
        namespace: namespace.into(),
        uid: format!("uid-of-{name}"),
        ..def(id, EntityKind::Pod, 1, name)
    }
}

/// Three ticks from [`T0`] of `node1` with these things, and each of them as it says.
pub(in super::super) fn window(things: &[(EntityDef, Says)]) -> Api {
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(900_000, 0));
    report(&store, "node1", &[things; 3]);
    with_store(store)
}

/// The rows of a node from [`T0`] on, each with the things that are there then.
pub(in super::super) fn report(store: &Arc<dyn Door>, node: &str, rows: &[&[(EntityDef, Says)]]) {
    let run = Run {
        epoch_ms: 1,
        boot_id: [0; 16],
        clock_stepped: false,
    };
    let (interval_ms, sent_ms, now_ms) = (10_000, T0, T0);
    let opening = Opening {
        run,
        interval_ms,
        sent_ms,
        now_ms,
    };
    let session = store.open(node, opening);
    for (def, _) in rows.iter().copied().flatten() {
        store.define(&session, def.clone()).unwrap();
    }
    for (seq, things) in (0..).zip(rows) {
        let tick_ms = T0 + seq * 10_000;
        let mut builder = Builder::default();
        for (def, says) in *things {
            let cpu = says.millicores.map(|m| m * 10_000_000 * (seq + 100));
            let memory = (table::MEMORY_WORKING_SET, says.working_set);
            let other = says.other.map(|(field, value)| (field, Some(value)));
            for told in [(table::CPU, cpu), memory].into_iter().chain(other) {
                put(&mut builder, def.id, told, (tick_ms, says.start_ms));
            }
        }
        let payload = row::keyframe(DENSE, tick_ms, &builder.build());
        let row = WireRow {
            seq,
            base_seq: None,
            tick_ms,
            payload: &payload,
            sent_ms: tick_ms,
            now_ms: tick_ms,
        };
        store.append(&session, row).unwrap();
    }
}

fn put(
    builder: &mut Builder,
    id: EntityId,
    (of, value): (FieldId, Option<u64>),
    (time_ms, start_ms): (u64, u64),
) {
    let group = field(of).map_or(Group::Cpu, |field| field.group);
    let stamp = Stamp {
        time_ms,
        start_ms: Some(start_ms),
        source: Source::Summary,
    };
    if let Some(value) = value {
        builder.value(id, of, value);
        builder.stamp(id, group, stamp);
    }
}
