//! Seeded rows of whole fleets: what the agents of many nodes would sample.
//!
//! Three kinds, and every figure of a benchmark says which one it was measured on. Pure: the same
//! options give the same rows, on every machine and in every process. [`Mix`] is the fleet,
//! [`Node`] gives the rows of one node one after the other, each with the definitions that an
//! uplink has to send before it.

mod dictionary;
mod fields;
mod generated;
mod host;
mod load;
mod recorded;
mod rng;
mod series;
mod storage;
#[cfg(test)]
mod tests;

use std::str::FromStr;
use std::sync::Arc;

use cairn_proto::model::{EntityDef, Snapshot};

use crate::trace::{self, Replay, Trace};

use dictionary::Dictionary;
use generated::Generated;
use recorded::Recorded;

pub use fields::Fields;

/// Pods of a namespace, so that one of a large fleet has as many as the goals for queries ask for.
const PODS_OF_A_NAMESPACE: usize = 1000;

/// Where the data comes from and how much of it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The recorded kubelet trace, as an agent without cgroups reads it: CPU from
    /// `/metrics/resource` with milliseconds, everything else from `/stats/summary`. No host
    /// figures, they were not recorded. 10 s between two frames, whatever the interval.
    K,
    /// The default mode: CPU, memory and pressure from cgroups at every tick, network, storage and
    /// process counts from the summary every 30 s, host figures, disks and interfaces from /proc at
    /// every tick. Half of the containers use CPU; counters of CPU are whole microseconds, memory
    /// moves by pages.
    C,
    /// All busy: no counter equals its predecessor, CPU is counted in single nanoseconds, and the
    /// summary is read at every tick.
    B,
}

impl Kind {
    /// All of them, those that goals are stated for first.
    pub const ALL: [Kind; 3] = [Kind::C, Kind::K, Kind::B];

    /// The letter that results are printed with.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Kind::K => 'K',
            Kind::C => 'C',
            Kind::B => 'B',
        }
    }
}

impl FromStr for Kind {
    type Err = &'static str;

    /// The kind with this letter; the error says which there are.
    fn from_str(letter: &str) -> Result<Self, Self::Err> {
        Kind::ALL
            .into_iter()
            .find(|kind| letter.chars().eq([kind.letter()]))
            .ok_or("expected K, C or B")
    }
}

/// What fleet, and from when on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the data comes from.
    pub kind: Kind,
    /// How many nodes, at least 1.
    pub nodes: usize,
    /// Pods of a node. For [`Kind::K`] the recording is scaled to it; `None` is the recording as
    /// it was, and 30 for the other kinds.
    pub pods_per_node: Option<usize>,
    /// Containers of a pod; [`Kind::K`] has the recorded ones.
    pub containers_per_pod: usize,
    /// Namespaces that the pods are dealt out to; `None` is one for each thousand of them. [`Kind::K`] has the
    /// recorded ones.
    pub namespaces: Option<usize>,
    /// Decides everything that is drawn.
    pub seed: u64,
    /// The first tick, Unix ms; a multiple of the interval.
    pub start_unix_ms: u64,
    /// Distance of the ticks, ms, at least 1.
    pub interval_ms: u64,
    /// Part of the pods that is replaced by new ones each minute, 0 to 1; [`Kind::K`] has the
    /// recorded comings and goings.
    pub churn_per_minute: f64,
    /// Which fields the rows have.
    pub fields: Fields,
}

impl Options {
    /// One node of 30 pods with 2 containers, every 10 s from the first tick of the recording.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            nodes: 1,
            pods_per_node: None,
            containers_per_pod: 2,
            namespaces: None,
            seed: 1,
            start_unix_ms: 1_795_332_330_000,
            interval_ms: 10_000,
            churn_per_minute: 0.0,
            fields: Fields::All,
        }
    }

    pub(crate) fn pods(&self) -> usize {
        self.pods_per_node.unwrap_or(30)
    }

    pub(crate) fn namespace_count(&self) -> usize {
        let usual = (self.nodes * self.pods()).div_ceil(PODS_OF_A_NAMESPACE);
        self.namespaces.unwrap_or(usual).max(1)
    }

    /// Pods of the first namespace while none is replaced: they are dealt out in turn.
    pub(crate) fn first_namespace_pods(&self) -> usize {
        (self.nodes * self.pods()).div_ceil(self.namespace_count())
    }
}

/// What can go wrong with the recording.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recording cannot be replayed.
    #[error("cannot replay the recording")]
    Replay(#[source] trace::Error),
    /// A replayed summary is not the JSON that is expected.
    #[error("the replayed summary at {tick_ms} cannot be read")]
    Summary {
        /// The tick, Unix ms.
        tick_ms: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A line or time of a replayed body is not what a kubelet sends.
    #[error("the replayed answer at {tick_ms} has {text:?} where {expected} belongs")]
    Text {
        /// The tick, Unix ms.
        tick_ms: u64,
        /// What was met.
        text: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// One row of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Number of the row, from 0 without holes.
    pub seq: u64,
    /// Grid time, Unix ms.
    pub tick_ms: u64,
    /// The values.
    pub snapshot: Snapshot,
    /// Definitions of the entities that no earlier row had, in the order of their ids.
    pub new_defs: Vec<EntityDef>,
}

/// A fleet.
#[derive(Clone, Debug)]
pub struct Mix {
    options: Options,
    trace: Option<Arc<Trace>>,
}

impl Mix {
    /// Prepares a fleet.
    ///
    /// # Errors
    ///
    /// `Replay` when the recording is damaged; only of [`Kind::K`].
    pub fn new(options: Options) -> Result<Self, Error> {
        let trace = match options.kind {
            Kind::K => Some(Arc::new(Trace::carried().map_err(Error::Replay)?)),
            Kind::C | Kind::B => None,
        };
        Ok(Self { options, trace })
    }

    /// How many nodes the fleet has.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.options.nodes
    }

    /// Begins the rows of the `index`-th node, from 0. Its name is `node<index + 1>`. Of
    /// [`Kind::K`] the nodes take turns with the recorded ones, from the third on with pods of
    /// their own names.
    ///
    /// # Errors
    ///
    /// `Replay` when the recording is damaged; only of [`Kind::K`].
    pub fn node(&self, index: usize) -> Result<Node, Error> {
        let name = format!("node{}", index + 1);
        let Some(trace) = &self.trace else {
            let rows = Generated::new(&self.options, index, &name);
            return Ok(Node::new(
                name,
                &self.options,
                Rows::Generated(Box::new(rows)),
            ));
        };
        let recorded = trace.nodes();
        let turn = recorded
            .get(index % recorded.len().max(1))
            .copied()
            .unwrap_or_default();
        let options = trace::Options {
            start_unix_ms: self.options.start_unix_ms,
            pods: self.options.pods_per_node,
            seed: self.options.seed.wrapping_add(index as u64),
            node_name: Some(name.clone()),
        };
        let replay = Replay::new(trace, turn, options).map_err(Error::Replay)?;
        let copy = (index >= recorded.len()).then_some(index);
        let rows = Rows::Recorded(Box::new(Recorded::new(replay, copy)));
        Ok(Node::new(name, &self.options, rows))
    }
}

/// One node of a fleet, or one that a kubelet simulator replays.
#[derive(Debug)]
pub struct Node {
    name: String,
    seq: u64,
    tick_ms: u64,
    interval_ms: u64,
    read_after_ms: u64,
    fields: Fields,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Recorded(Box<Recorded>),
    Generated(Box<Generated>),
}

impl Node {
    fn new(name: String, options: &Options, rows: Rows) -> Self {
        let (tick_ms, interval_ms) = (options.start_unix_ms, options.interval_ms.max(1));
        Self {
            name,
            seq: 0,
            tick_ms,
            interval_ms,
            read_after_ms: 0,
            fields: options.fields,
            rows,
        }
    }

    /// The rows of an agent that reads this replay for each tick from `first_tick_ms` on, at the
    /// moment `read_after_ms` past the tick: what an oracle is fed with beside a simulator of the
    /// same replay.
    #[must_use]
    pub fn of_replay(
        name: &str,
        replay: Replay,
        first_tick_ms: u64,
        interval_ms: u64,
        read_after_ms: u64,
    ) -> Self {
        Self {
            name: name.to_owned(),
            seq: 0,
            tick_ms: first_tick_ms,
            interval_ms: interval_ms.max(1),
            read_after_ms,
            fields: Fields::All,
            rows: Rows::Recorded(Box::new(Recorded::new(replay, None))),
        }
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Definitions of all entities of the rows so far that are not long gone, in the order of
    /// their ids: what a new session begins with.
    #[must_use]
    pub fn defs(&self) -> Vec<EntityDef> {
        let mut defs = self.dictionary().all();
        defs.retain(|def| self.fields.keep(def.kind));
        defs
    }

    fn dictionary(&self) -> &Dictionary {
        match &self.rows {
            Rows::Recorded(rows) => rows.dictionary(),
            Rows::Generated(rows) => rows.dictionary(),
        }
    }

    /// Gives the row of the next tick.
    ///
    /// # Errors
    ///
    /// `Summary` or `Text` when the recording is damaged; only of [`Kind::K`].
    pub fn next_row(&mut self) -> Result<Row, Error> {
        let (seq, tick_ms) = (self.seq, self.tick_ms);
        let (snapshot, mut new_defs) = match &mut self.rows {
            Rows::Recorded(rows) => rows.row(tick_ms, tick_ms + self.read_after_ms)?,
            Rows::Generated(rows) => rows.row(tick_ms),
        };
        let snapshot = self.fields.of(snapshot, |id| self.dictionary().kind(id));
        new_defs.retain(|def| self.fields.keep(def.kind));
        self.seq += 1;
        self.tick_ms += self.interval_ms;
        Ok(Row {
            seq,
            tick_ms,
            snapshot,
            new_defs,
        })
    }
}
