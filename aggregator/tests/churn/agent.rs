//! An agent's side of the door: ids, rows, definitions, sessions that break and runs that end.

use std::collections::{HashMap, VecDeque};

use cairn_aggregator::store::{Applied, Door, Opening, PackedStore, Session, WireRow};
use cairn_proto::catalogue::table::{self, Storage};
use cairn_proto::catalogue::{EntityKind, FieldId, Group, Source};
use cairn_proto::codec::DENSE;
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{Builder, EntityDef, EntityId, Run, Snapshot, Stamp};

use super::load::{Thing, things};

pub(crate) const START: u64 = 1_795_332_330_000;
pub(crate) const INTERVAL_MS: u64 = 10_000;
pub(crate) const WINDOW_MS: u64 = 900_000;

/// Ticks between two breaks of the session, and how long it is away.
const BREAK_EVERY: u64 = 211;
const AWAY: u64 = 20;

/// Ticks between two steps of the agent's clock, and by how much: each goes further back.
const STEP_EVERY: u64 = 1_000;
const STEP_MS: u64 = 11 * 3_600_000;

/// Rows that the agent keeps.
const RING_ROWS: usize = 106;

#[derive(Clone)]
struct Row {
    seq: u64,
    tick_ms: u64,
    snapshot: Snapshot,
    defs: Vec<EntityDef>,
}

impl Row {
    fn timed(&self) -> Timed<'_> {
        Timed {
            tick_ms: self.tick_ms,
            snapshot: &self.snapshot,
        }
    }
}

#[derive(Clone)]
struct Known {
    def: EntityDef,
    seen: u64,
}

pub(crate) struct Agent {
    name: String,
    run: Run,
    back_ms: u64,
    // By path. What was not seen for a window is forgotten and gets another id.
    known: HashMap<String, Known>,
    next_id: u32,
    next_seq: u64,
    ring: VecDeque<Row>,
    session: Option<Session>,
    last: Option<Row>,
    defined: HashMap<EntityId, EntityDef>,
}

impl Agent {
    pub(crate) fn new(name: String) -> Self {
        let run = Run {
            epoch_ms: START,
            boot_id: [3; 16],
            clock_stepped: false,
        };
        Self {
            name,
            run,
            back_ms: 0,
            known: HashMap::new(),
            next_id: 1,
            next_seq: 0,
            ring: VecDeque::new(),
            session: None,
            last: None,
            defined: HashMap::new(),
        }
    }

    pub(crate) fn leave(&mut self, store: &PackedStore, now_ms: u64) {
        if let Some(session) = self.session.take() {
            store.close(&session, now_ms);
        }
    }

    pub(crate) fn tick(&mut self, store: &PackedStore, n: u64, now_ms: u64) {
        if n > 0 && n.is_multiple_of(STEP_EVERY) {
            self.leave(store, now_ms);
            self.back_ms += STEP_MS;
            self.run = Run {
                epoch_ms: now_ms - self.back_ms,
                clock_stepped: true,
                ..self.run
            };
            self.known.clear();
            self.ring.clear();
            self.next_seq = 0;
        }
        self.sample(n, now_ms);
        if n % BREAK_EVERY == BREAK_EVERY - AWAY {
            self.leave(store, now_ms);
        }
        if n % BREAK_EVERY >= BREAK_EVERY - AWAY {
            return;
        }
        if self.session.is_none() {
            self.open(store, now_ms);
        }
        if let Some(row) = self.ring.pop_back() {
            self.send(store, &row, now_ms);
            self.ring.push_back(row);
        }
    }

    fn sample(&mut self, n: u64, now_ms: u64) {
        let tick_ms = (now_ms - self.back_ms) / INTERVAL_MS * INTERVAL_MS;
        let (mut builder, mut defs) = (Builder::default(), Vec::new());
        for thing in things(&self.name, n) {
            let def = self.see(&thing, tick_ms);
            let (field, group) = field_of(thing.kind);
            let stamp = Stamp {
                time_ms: tick_ms,
                start_ms: None,
                source: Source::Summary,
            };
            builder.value(def.id, field, n * 512);
            builder.stamp(def.id, group, stamp);
            defs.push(def);
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.ring.push_back(Row {
            seq,
            tick_ms,
            snapshot: builder.build(),
            defs,
        });
        if self.ring.len() > RING_ROWS {
            self.ring.pop_front();
        }
        self.known
            .retain(|_, known| known.seen + WINDOW_MS >= tick_ms);
    }

    fn see(&mut self, thing: &Thing, tick_ms: u64) -> EntityDef {
        let path = thing.path();
        let parent = self.known.get(&thing.parent).map(|parent| parent.def.id);
        let known = self.known.get(&path).map(|known| known.def.id);
        let id = known.unwrap_or(EntityId(self.next_id));
        self.next_id += u32::from(known.is_none());
        let is_pod = thing.kind == EntityKind::Pod;
        let labels = [("claim".to_owned(), thing.claim.clone())];
        let def = EntityDef {
            id,
            kind: thing.kind,
            parent,
            name: thing.name.clone(),
            namespace: if is_pod { "shop".into() } else { String::new() },
            uid: if is_pod {
                thing.key.clone()
            } else {
                String::new()
            },
            runtime_id: String::new(),
            labels: labels.into_iter().filter(|l| !l.1.is_empty()).collect(),
        };
        let known = Known {
            def: def.clone(),
            seen: tick_ms,
        };
        self.known.insert(path, known);
        def
    }

    fn open(&mut self, store: &PackedStore, now_ms: u64) {
        let opening = Opening {
            run: self.run,
            interval_ms: INTERVAL_MS,
            sent_ms: now_ms - self.back_ms,
            now_ms,
        };
        let session = store.open(&self.name, opening);
        (self.last, self.defined) = (None, HashMap::new());
        self.session = Some(session.clone());
        let first = self.ring.front().map_or(0, |row| row.seq);
        let offered = first.div_ceil(BLOCK_ROWS)..self.next_seq / BLOCK_ROWS;
        for block in store.missing(&session, offered) {
            let seqs = block * BLOCK_ROWS..(block + 1) * BLOCK_ROWS;
            let rows: Vec<Row> = self.ring.drain(..).collect();
            let of_block = || rows.iter().filter(|row| seqs.contains(&row.seq));
            of_block().for_each(|row| self.define(store, row));
            let all: Vec<_> = of_block()
                .map(|row| RowOf {
                    offset: row.seq % BLOCK_ROWS,
                    tick: row.tick_ms,
                    snapshot: &row.snapshot,
                })
                .collect();
            let payload = chunk::encode(DENSE, &all);
            store.take(&session, block, &payload, now_ms).unwrap();
            self.ring.extend(rows);
        }
    }

    /// Names what this session does not know yet.
    fn define(&mut self, store: &PackedStore, row: &Row) {
        let session = self.session.as_ref().unwrap();
        for def in &row.defs {
            if self.defined.get(&def.id) == Some(def) {
                continue;
            }
            // A name with a space is not taken.
            if def.name.contains(' ') {
                store.refuse(session, def.id).unwrap();
            } else {
                store.define(session, def.clone()).unwrap();
            }
            self.defined.insert(def.id, def.clone());
        }
    }

    fn send(&mut self, store: &PackedStore, row: &Row, now_ms: u64) {
        self.define(store, row);
        // As an agent does: what is not in the newest row is named again when it comes back.
        self.defined
            .retain(|id, _| row.snapshot.position(*id).is_some());
        let base = self.last.as_ref();
        let timed = base.map(|base| base.timed());
        let payload = row::encode(DENSE, timed, row.timed());
        let wire = WireRow {
            seq: row.seq,
            base_seq: base.map(|base| base.seq),
            tick_ms: row.tick_ms,
            payload: &payload,
            sent_ms: now_ms - self.back_ms,
            now_ms,
        };
        let applied = store.append(self.session.as_ref().unwrap(), wire).unwrap();
        // The last row of a block may have come with the block.
        assert!(
            matches!(applied, Applied::Applied | Applied::Duplicate),
            "row {} of {}: {applied:?}",
            row.seq,
            self.name
        );
        self.last = Some(row.clone());
    }
}

fn field_of(kind: EntityKind) -> (FieldId, Group) {
    match kind {
        EntityKind::Volume => (table::volume(Storage::Usage), Group::Volume),
        EntityKind::Filesystem => (table::filesystem(Storage::Usage), Group::Filesystem),
        EntityKind::Interface => (table::INTERFACE_RX_BYTES, Group::Network),
        _ => (table::MEMORY_USAGE, Group::Memory),
    }
}
