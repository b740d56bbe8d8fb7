//! One run of a node in the plain store: its dictionary and its rows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cairn_proto::catalogue::{FieldId, Source, table};
use cairn_proto::limits;
use cairn_proto::model::{ColumnId, EntityDef, EntityId, EntityKind, Run, Snapshot};
use cairn_proto::rate::{self, Point};

use crate::store::entity::same_identity;
use crate::store::{EntityPath, Error, RawRow, Size};

/// What a row is counted as beside its cells: its lists and its places in two maps.
const ROW_BYTES: usize = 512;

/// How deep parts of parts may lie: a file system of a container of a pod of a node.
const MAX_DEPTH: usize = 4;

/// Names kept though no row uses them. Beyond this and four times those in use the unused ones are
/// forgotten.
const SPARE_NAMES: usize = 1_024;

/// Names beyond which the unused ones are forgotten in any case: the rest is for those to come.
const MANY_NAMES: usize = limits::MAX_ENTITIES / 2;

#[derive(Debug)]
pub(super) struct RunRows {
    pub(super) run: Run,
    pub(super) interval_ms: u64,
    pub(super) defs: HashMap<EntityId, Arc<EntityDef>>,
    pub(super) refused: HashSet<EntityId>,
    pub(super) paths: HashMap<EntityPath, EntityId>,
    pub(super) rows: BTreeMap<u64, Held>,
    // Since names were looked through, whatever came of it: rows that went, and ids that were named
    // and are in no row.
    gone_rows: u64,
    fresh: HashSet<EntityId>,
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) tick_ms: u64,
    pub(super) snapshot: Arc<Snapshot>,
    samples: u64,
    bytes: u64,
}

impl Held {
    pub(super) fn new(tick_ms: u64, snapshot: Arc<Snapshot>) -> Self {
        let bytes = snapshot.bytes() + ROW_BYTES;
        let samples = snapshot.sample_count() as u64;
        Self {
            tick_ms,
            snapshot,
            samples,
            bytes: bytes as u64,
        }
    }

    /// What it adds to what is held.
    pub(super) fn size(&self) -> Size {
        Size {
            nodes: 0,
            rows: 1,
            samples: self.samples,
            bytes: self.bytes,
        }
    }
}

/// A row, seen from one entity; computed on outside the lock.
#[derive(Debug)]
pub struct EntityRow {
    pub(super) tick_ms: u64,
    pub(super) place: Option<usize>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) interrupted: bool,
}

impl EntityRow {
    pub(super) fn raw(&self, field: FieldId) -> RawRow {
        let group = table::field(field).map(|f| f.group);
        let point = self.place.zip(group).and_then(|(place, group)| {
            let value = self.snapshot.cell(place, ColumnId::field(field))?;
            Some(Point {
                value,
                stamp: self.snapshot.stamp(place, group)?,
            })
        });
        RawRow {
            tick_ms: self.tick_ms,
            present: self.place.is_some(),
            point,
            began: self.place.and_then(|place| began(&self.snapshot, place)),
            interrupted: self.interrupted,
        }
    }
}

impl RunRows {
    pub(super) fn new(run: Run, interval_ms: u64) -> Self {
        Self {
            run,
            interval_ms,
            defs: HashMap::new(),
            refused: HashSet::new(),
            paths: HashMap::new(),
            rows: BTreeMap::new(),
            gone_rows: 0,
            fresh: HashSet::new(),
        }
    }

    pub(super) fn path(&self, id: EntityId) -> Option<EntityPath> {
        self.path_within(id, MAX_DEPTH)
    }

    /// A path of so many steps at most: parents that go in circles lead nowhere.
    fn path_within(&self, id: EntityId, depth: usize) -> Option<EntityPath> {
        let def = self.defs.get(&id)?;
        EntityPath::of(def, |parent| {
            self.path_within(parent, depth.checked_sub(1)?)
        })
    }

    /// The definition of the nearest thing of a kind that has this one in it, or is it.
    pub(super) fn enclosing(&self, def: &Arc<EntityDef>, kind: EntityKind) -> Option<&EntityDef> {
        let mut parent = def.parent;
        for _ in 0..MAX_DEPTH {
            let above = self.defs.get(&parent?)?;
            if above.kind == kind {
                return Some(above);
            }
            parent = above.parent;
        }
        None
    }

    pub(super) fn knows(&self, id: EntityId) -> bool {
        self.defs.contains_key(&id) || self.refused.contains(&id)
    }

    /// See [`Door::define`](crate::store::Door::define). Returns the namespace that a pod had before, when
    /// that was another one.
    pub(super) fn define(&mut self, def: EntityDef) -> Result<Option<String>, Error> {
        let (id, entity) = (def.id, def.id.0);
        if !self.knows(id) && self.defs.len() + self.refused.len() >= limits::MAX_ENTITIES {
            return Err(Error::TooManyEntities { entity });
        }
        let old = self.defs.get(&id);
        if old.is_some_and(|old| !same_identity(old, &def)) {
            return Err(Error::Redefined { entity });
        }
        let is_pod = def.kind == EntityKind::Pod;
        let before = old.filter(|old| is_pod && old.namespace != def.namespace);
        let before = before.map(|old| old.namespace.clone());
        if let Some(old) = self.path(id) {
            self.paths.remove(&old);
        }
        self.note(id);
        self.refused.remove(&id);
        self.defs.insert(id, Arc::new(def));
        match self.path(id) {
            Some(path) => {
                self.paths.insert(path, id);
            }
            None => {
                // A part of something unknown has no identity: its cells are skipped.
                self.defs.remove(&id);
                self.refused.insert(id);
            }
        }
        Ok(before)
    }

    /// See [`Door::refuse`](crate::store::Door::refuse).
    pub(super) fn refuse(&mut self, id: EntityId) -> Result<(), Error> {
        if !self.knows(id) && self.defs.len() + self.refused.len() >= limits::MAX_ENTITIES {
            return Err(Error::TooManyEntities { entity: id.0 });
        }
        self.note(id);
        self.refused.insert(id);
        Ok(())
    }

    /// Takes note of an id that is named: its row is still to come.
    fn note(&mut self, id: EntityId) {
        self.fresh.insert(id);
    }

    /// Takes a row.
    pub(super) fn insert(&mut self, seq: u64, held: Held) {
        if !self.fresh.is_empty() {
            for id in held.snapshot.entities() {
                self.fresh.remove(id);
            }
        }
        self.rows.insert(seq, held);
    }

    /// Lets go of a row.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Held> {
        let held = self.rows.remove(&seq);
        self.gone_rows += u64::from(held.is_some());
        held
    }

    /// Forgets ids that no held row uses, once there are many, so that names seen long ago cost
    /// nothing. `last` is what the living session sent last: an agent uses the ids of its last row
    /// without naming them again, and names again what comes back after an absence. What was named
    /// since the last look and not used is kept for a row or a block that is still to come; the next look
    /// does not know it from others, whether this one forgets anything or not.
    ///
    /// It looks at every id of every row, so it waits until a block of rows has gone.
    pub(super) fn sweep(&mut self, last: Option<&[EntityId]>) {
        let names = self.defs.len() + self.refused.len();
        let early = self.gone_rows < limits::BLOCK_ROWS && names <= MANY_NAMES;
        if names <= SPARE_NAMES || early {
            return;
        }
        self.gone_rows = 0;
        let mut used: HashSet<EntityId> = HashSet::new();
        for held in self.rows.values() {
            used.extend(held.snapshot.entities());
        }
        used.extend(last.into_iter().flatten());
        used.extend(std::mem::take(&mut self.fresh));
        if names <= MANY_NAMES.min(SPARE_NAMES + 4 * used.len()) {
            return;
        }
        let mut level: Vec<EntityId> = used.iter().copied().collect();
        for _ in 0..MAX_DEPTH {
            let above = level
                .iter()
                .filter_map(|id| self.defs.get(id).and_then(|def| def.parent));
            level = above.collect();
            used.extend(&level);
        }
        self.defs.retain(|id, _| used.contains(id));
        self.refused.retain(|id| used.contains(id));
        self.paths.retain(|_, id| used.contains(id));
    }
}

/// Every id of a row must have been defined, or refused, before it.
pub(super) fn check_defined(run: &RunRows, seq: u64, snapshot: &Snapshot) -> Result<(), Error> {
    match snapshot.entities().iter().find(|id| !run.knows(**id)) {
        Some(id) => Err(Error::Undefined { seq, entity: id.0 }),
        None => Ok(()),
    }
}

/// Within a run, ticks rise with seqs.
pub(super) fn check_rises(run: &RunRows, seq: u64, tick_ms: u64) -> Result<(), Error> {
    let before = run.rows.range(..seq).next_back();
    let after = run.rows.range(seq.saturating_add(1)..).next();
    let falls = before.is_some_and(|(_, held)| held.tick_ms >= tick_ms)
        || after.is_some_and(|(_, held)| held.tick_ms <= tick_ms);
    if falls {
        Err(Error::Tick { seq })
    } else {
        Ok(())
    }
}

pub(super) struct Seen {
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
    pub(super) start_ms: Option<u64>,
}

/// When an entity was there in a run; `None` when it never was.
pub(super) fn seen(run: &RunRows, id: EntityId) -> Option<Seen> {
    let there = |held: &&Held| held.snapshot.position(id).is_some();
    let first = run.rows.values().find(there)?;
    let last = run.rows.values().rev().find(there)?;
    let place = last.snapshot.position(id);
    let start_ms = place.and_then(|place| began(&last.snapshot, place));
    let start_ms = start_ms.map(|(_, start_ms)| start_ms);
    Some(Seen {
        first_ms: first.tick_ms,
        last_ms: last.tick_ms,
        start_ms,
    })
}

/// When the life of the entity at this place began, and by whom.
fn began(snapshot: &Snapshot, place: usize) -> Option<(Source, u64)> {
    rate::began(|group| snapshot.stamp(place, group))
}
