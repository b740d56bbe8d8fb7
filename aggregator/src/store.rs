//! The window: what every node said, row by row, for as long as it is kept.
//!
//! [`Door`] is all that ingest and query may use. Behind it stands [`PackedStore`], which keeps
//! rows as chunks. [`PlainStore`] keeps them decoded and is obvious rather than small: it is the
//! oracle that tests hold the packed one against.
//!
//! The door hands out raw values with their measurement times and never computes: rates, holding
//! and sums are [`query`](crate::query)'s, through `proto::rate`.

mod arriving;
mod attendance;
mod earlier;
mod entity;
mod error;
mod exchange;
mod frame;
mod gap;
mod index;
mod packed;
mod plain;
mod recent;
mod share;
mod spelled;

use std::fmt::Debug;
use std::sync::Arc;

pub use entity::{Entity, EntityPath, PodName, Selector};
pub use error::Error;
pub use exchange::{Copied, Exchange, HeldRun, Known, Named, Piece};
pub use packed::Parts;
pub use recent::{Recent, SeeRecent, Ticks};
pub use share::NODE_BUDGET;

/// Keeps rows as chunks of the dense codec.
pub type PackedStore = frame::Store<packed::Node>;

/// Keeps decoded rows.
pub type PlainStore = frame::Store<plain::Node>;

use cairn_proto::catalogue::{FieldId, Source};
use cairn_proto::model::{EarlierRun, EntityDef, EntityId, Run};
use cairn_proto::rate::Point;
use tokio::sync::watch;

/// One stream's right to write a node's rows. Opening another one for the node ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose rows it may write.
    pub node: String,
    /// Rises with every session of the process.
    pub number: u64,
}

/// What a session says of itself when it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The run that it reports.
    pub run: Run,
    /// Distance of the run's ticks, ms.
    pub interval_ms: u64,
    /// The agent's wall clock when it said so, Unix ms.
    pub sent_ms: u64,
    /// The aggregator's wall clock, Unix ms.
    pub now_ms: u64,
}

/// A row as it travelled.
#[derive(Clone, Copy, Debug)]
pub struct WireRow<'a> {
    /// Number in its run.
    pub seq: u64,
    /// The row that the payload refers to; `None` for a keyframe.
    pub base_seq: Option<u64>,
    /// Grid time, Unix ms.
    pub tick_ms: u64,
    /// Encoded values.
    pub payload: &'a [u8],
    /// The agent's clock when the row was sent, Unix ms.
    pub sent_ms: u64,
    /// The aggregator's clock when it arrived, Unix ms.
    pub now_ms: u64,
}

/// What became of a row that was not at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is in the window.
    Applied,
    /// Its (run, seq) or its tick is held already.
    Duplicate,
    /// In the window, behind a newer row of its node: a tick was corrected.
    Late,
    /// Its tick is older than the window: not kept.
    TooOld,
    /// Its tick is more than one interval ahead of the node's own clock as measured: not kept.
    TooNew,
}

/// What became of an entity that was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defined {
    /// The window knew it, in this run or in another.
    Known,
    /// It is new to the window.
    New,
    /// It is new, and its node holds more than its share with nothing but its newest row: its cells
    /// are skipped.
    Refused,
}

/// What a node's share of the memory does to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limited {
    /// Nothing: it is within its share.
    #[default]
    No,
    /// Rows of its present window went early.
    Shortened,
    /// It has only its newest row left and is still over: what is new on it is refused.
    Full,
}

/// What is known of a node beside its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Its name.
    pub name: Arc<str>,
    /// True while a session is open.
    pub live: bool,
    /// Since when it is live or not, Unix ms of the aggregator.
    pub since_ms: u64,
    /// Its newest tick; `None` before the first row.
    pub newest_tick_ms: Option<u64>,
    /// When its newest row arrived, Unix ms of the aggregator.
    pub arrived_ms: u64,
    /// Distance of its ticks, ms.
    pub interval_ms: u64,
    /// Its clock minus the aggregator's, ms: the largest recent difference, which is the one with
    /// the least delay in it.
    pub offset_ms: i64,
    /// State of its sources, sorted by name.
    pub sources: Arc<[SourceState]>,
    /// Rows known not to come: fallen out of the agent's ring before anybody had them.
    pub gap_rows: u64,
    /// Ticks from the oldest of which it is known that it was there, by a row or by its agent's word, to the
    /// newest, at which it has no row, whoever was to blame.
    pub gap_ticks: u64,
    /// What its share of the memory does to it.
    pub limited: Limited,
    /// Entities refused because it was over its share.
    pub refused_entities: u64,
}

/// State of one source of a node, as the agent said it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// Name of the source.
    pub name: String,
    /// True while it delivers.
    pub ok: bool,
    /// Since when, Unix ms of the agent.
    pub since_ms: u64,
    /// What is wrong and what to check; empty when fine.
    pub reason: String,
}

/// One row, seen from one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRow {
    /// Grid time, Unix ms.
    pub tick_ms: u64,
    /// False when the source no longer knew the entity at this tick: its life was over.
    pub present: bool,
    /// The value with its measurement, when the row has one.
    pub point: Option<Point>,
    /// When the entity's life began, by whom of its stamps in this row says so best, Unix ms.
    pub began: Option<(Source, u64)>,
    /// True when rates may not reach from the rows before into this one.
    pub interrupted: bool,
}

/// What [`Door::evict`] dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Rows older than the window.
    pub expired_rows: u64,
    /// Rows of nodes over their share, dropped since the eviction before.
    pub share_rows: u64,
    /// Rows dropped since the eviction before by writes that found the whole store over its limit.
    pub limit_rows: u64,
    /// Rows dropped since the eviction before because their nodes' clocks were set back behind them.
    pub clock_rows: u64,
    /// Entities refused since the eviction before because their nodes were over their shares.
    pub refused_entities: u64,
    /// Nodes of which nothing is left.
    pub nodes: u64,
}

/// Figures of the store for its own metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Nodes with rows or a session.
    pub nodes: u64,
    /// Rows held.
    pub rows: u64,
    /// Samples held.
    pub samples: u64,
    /// Bytes that they are counted as.
    pub bytes: u64,
}

impl Size {
    /// Adds what else is held.
    pub fn add(&mut self, other: Size) {
        self.nodes += other.nodes;
        self.rows += other.rows;
        self.samples += other.samples;
        self.bytes += other.bytes;
    }

    /// Takes off what is held no more; never below nothing.
    pub fn remove(&mut self, other: Size) {
        self.nodes = self.nodes.saturating_sub(other.nodes);
        self.rows = self.rows.saturating_sub(other.rows);
        self.samples = self.samples.saturating_sub(other.samples);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// Takes the rows of one entity, by its place among those that were asked for, in order of their
/// ticks.
pub type Visit<'a> = dyn FnMut(usize, &[RawRow]) + 'a;

/// A field, and the first and the last tick at which its rows are asked for, Unix ms.
pub type Wanted = (FieldId, (u64, u64));

/// Takes the rows of one entity in one field, by the places of the field and of the entity among those
/// that were asked for.
pub type VisitFields<'a> = dyn FnMut(usize, usize, &[RawRow]) + 'a;

/// The same of several nodes: the place of the node, then that of the entity among those of the node.
type VisitEach<'a> = dyn FnMut(usize, usize, &[RawRow]) + 'a;

/// A store's version, as [`Door::subscribe`] gives it.
pub type Versions = watch::Receiver<u64>;

/// All that ingest and query may do with the window.
pub trait Door: Send + Sync + Debug {
    /// Opens a session for a node and ends the one before it.
    fn open(&self, node: &str, opening: Opening) -> Session;

    /// Says that a session has ended; without effect on a newer one.
    fn close(&self, session: &Session, now_ms: u64);

    /// Names an entity id of the session's run. An upsert.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`], [`Error::TooManyEntities`], [`Error::Redefined`].
    fn define(&self, session: &Session, def: EntityDef) -> Result<Defined, Error>;

    /// Says that an id is known but refused: its cells are skipped, counted and nothing else.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`], [`Error::TooManyEntities`].
    fn refuse(&self, session: &Session, entity: EntityId) -> Result<Defined, Error>;

    /// Takes a row in. After an error the window is as before.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    fn append(&self, session: &Session, row: WireRow<'_>) -> Result<Applied, Error>;

    /// Bytes of the session's last row, decoded: what the next one costs to read at least.
    fn row_bytes(&self, session: &Session) -> u64;

    /// Takes over a sealed block of a run, replacing what is held of it in one step, but for rows that
    /// the node has let go. Returns how many rows are new.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    fn take(
        &self,
        session: &Session,
        block: u64,
        payload: &[u8],
        now_ms: u64,
    ) -> Result<u64, Error>;

    /// Blocks of the session's run, of those offered, that the window lacks, beside what its node let go for want of
    /// room: newest first.
    fn missing(&self, session: &Session, offered: std::ops::Range<u64>) -> Vec<u64>;

    /// The first block of the session's run of which a row may still be taken: the node let go of those before, and rows
    /// of them would leave a hole. 0 while it let go of none.
    fn first_block(&self, session: &Session) -> u64;

    /// Counts rows that an agent said will not come.
    fn gap(&self, session: &Session, rows: u64);

    /// Takes note of how many rows of its run an agent said that it dropped before any aggregator had
    /// them. Returns how many are news, and counts those as [`Door::gap`] does.
    fn dropped(&self, session: &Session, rows: u64) -> u64;

    /// Takes note of runs that ended before the session's, as the agent says: their ticks are missing as long
    /// as no row of them is held. Returns how many are not believed.
    fn earlier(&self, session: &Session, runs: &[EarlierRun], now_ms: u64) -> u64;

    /// Remembers the state of one of the node's sources.
    fn source(&self, session: &Session, state: SourceState);

    /// Every node, sorted by name.
    fn nodes(&self) -> Vec<NodeState>;

    /// One node; `None` when it is not known.
    fn node_state(&self, node: &str) -> Option<NodeState>;

    /// Each of several nodes, sorted by name; `None` for one that is not known.
    fn states_of(&self, nodes: &[&str]) -> Vec<Option<NodeState>> {
        nodes.iter().map(|node| self.node_state(node)).collect()
    }

    /// True when any node is as asked. Looks at no more of them than it takes to know.
    fn any_node(&self, is_it: &mut dyn FnMut(&NodeState) -> bool) -> bool;

    /// What the selector finds in the whole window, sorted by namespace, name and start.
    fn entities(&self, selector: &Selector<'_>) -> Vec<Entity>;

    /// Namespaces of pods in the window, in no order; perhaps some whose last pod has just left it.
    fn namespaces(&self) -> Vec<Arc<str>>;

    /// True when a node has named this pod, and the window still has its name. Looks at no other node.
    fn has_pod(&self, node: &str, pod: &PodName<'_>) -> bool;

    /// Shows the rows of a field of several entities with ticks in the range, each entity once. What
    /// entities share on a node is read once, so they come node by node.
    fn visit(
        &self,
        entities: &[&Entity],
        field: FieldId,
        ticks_ms: (u64, u64),
        visit: &mut Visit<'_>,
    );

    /// The same of several fields, each in its own range of ticks: what they share, such as stamps and
    /// rows in wire form, is read once. Shows the place of the field, then that of the entity.
    fn visit_fields(&self, entities: &[&Entity], fields: &[Wanted], visit: &mut VisitFields<'_>);

    /// The rows of a series with ticks in the range, in order of their ticks.
    fn read(&self, entity: &Entity, field: FieldId, ticks_ms: (u64, u64)) -> Vec<RawRow> {
        let mut read = Vec::new();
        self.visit(&[entity], field, ticks_ms, &mut |_, rows| {
            read.extend_from_slice(rows);
        });
        read
    }

    /// The same of several entities, one list each, in their order.
    fn read_all(
        &self,
        entities: &[&Entity],
        field: FieldId,
        ticks_ms: (u64, u64),
    ) -> Vec<Vec<RawRow>> {
        let mut read = vec![Vec::new(); entities.len()];
        self.visit(entities, field, ticks_ms, &mut |nth, rows| {
            if let Some(slot) = read.get_mut(nth) {
                *slot = rows.to_vec();
            }
        });
        read
    }

    /// Shows what the containers of a node, of one namespace or of all, say in its newest row, each once and in no
    /// order, without reading the window. False when that row is not at hand: then nothing was shown. The node waits
    /// meanwhile, so nothing else is done with the store.
    fn recent(&self, node: &str, namespace: Option<&str>, see: &mut SeeRecent<'_>) -> bool;

    /// A number that rises with every change; wakes its receivers.
    fn subscribe(&self) -> Versions;

    /// The lowest tick that changed since that number; `None` when that is too long ago to know.
    fn changed_since(&self, version: u64) -> Option<Option<u64>>;

    /// Drops what is outside of the window, measures the nodes' share anew, and shortens the windows
    /// of those over it.
    fn evict(&self, now_ms: u64) -> Evicted;

    /// Shortens every window evenly, oldest first, until no more than so many bytes are held or only
    /// the newest rows are left. Returns how many rows went.
    fn shorten(&self, to_bytes: u64) -> u64;

    /// Bytes that everything is counted as, kept up to date by every write.
    fn bytes(&self) -> u64;

    /// Bytes that one node may hold.
    fn share(&self) -> u64;

    /// How much is held.
    fn size(&self) -> Size;
}

#[cfg(test)]
mod tests;
