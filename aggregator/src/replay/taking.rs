//! Checks what a peer sends of one node, and takes it into the window.

use std::collections::HashSet;

use cairn_proto::limits::{self, MAX_ENTITIES};
use cairn_proto::model::{EntityId, EntityKind, Run};
use cairn_proto::v1::replay_frame::Kind as Frame;
use cairn_proto::{codec, v1, wire};
use cairn_runtime::logging;

use super::Parts;
use super::end::{Failure, Kind};
use crate::store::{Error, Known, Named, Piece};

/// Runs of one node: an agent that is started anew every few seconds, for a whole window.
const MAX_RUNS: usize = 256;

/// Blocks of one node: a day of rows of one second has 5,400.
const MAX_BLOCKS: usize = 16_384;

/// What a frame did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// So many rows are new; more frames follow.
    More(u64),
    /// It was the last frame of the node.
    All,
}

/// The answer about one node, as far as it has come.
#[derive(Debug)]
pub(super) struct Taking {
    node: String,
    current: Option<Current>,
    runs: HashSet<Run>,
    blocks: usize,
}

#[derive(Debug)]
struct Current {
    run: Run,
    interval_ms: u64,
    known: Known,
    // Named since the last chunk.
    names: Vec<Named>,
    // All that were named.
    count: usize,
    last_block: Option<u64>,
}

fn data(text: impl Into<String>) -> Failure {
    Failure::new(Kind::Data, text)
}

impl Taking {
    pub(super) fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            current: None,
            runs: HashSet::new(),
            blocks: 0,
        }
    }

    /// Takes one frame.
    ///
    /// # Errors
    ///
    /// What is wrong with it; the rows of the window are as before.
    pub(super) fn take(&mut self, parts: &Parts, frame: Frame) -> Result<Took, Failure> {
        match frame {
            Frame::Run(run) => self.begin(&run),
            Frame::Define(define) => self.define(define),
            Frame::Chunk(chunk) => self.chunk(parts, &chunk),
            Frame::End(end) => self.is_about(&end.node).map(|()| Took::All),
            Frame::Welcome(_) | Frame::Nodes(_) => {
                let reason = "a frame that belongs to the beginning of an exchange";
                Err(Failure::new(Kind::Protocol, reason))
            }
        }
    }

    fn is_about(&self, node: &str) -> Result<(), Failure> {
        if node == self.node {
            return Ok(());
        }
        let other = logging::escape(&wire::cut(node.to_owned()));
        let asked = &self.node;
        Err(data(format!(
            "it sent data of node {other} when asked for {asked}"
        )))
    }

    fn begin(&mut self, begun: &v1::RecalledRun) -> Result<Took, Failure> {
        self.is_about(&begun.node)?;
        let run = wire::run(begun.run.as_ref()).map_err(|e| data(format!("run: {e}")))?;
        if !limits::is_interval(begun.interval_ms) {
            return Err(data("a run whose interval is not on the grid"));
        }
        if !self.runs.insert(run) || self.runs.len() > MAX_RUNS {
            return Err(data("a run that came before, or too many of them"));
        }
        self.current = Some(Current {
            run,
            interval_ms: begun.interval_ms,
            known: Known {
                offset_ms: begun.offset_ms,
                arrived_ms: begun.arrived_ms,
            },
            names: Vec::new(),
            count: 0,
            last_block: None,
        });
        Ok(Took::More(0))
    }

    fn current(&mut self) -> Result<&mut Current, Failure> {
        let current = self.current.as_mut();
        current.ok_or_else(|| data("a name or a chunk before its run"))
    }

    fn define(&mut self, define: v1::Define) -> Result<Took, Failure> {
        let id = EntityId(define.id);
        let named = match wire::define(define) {
            Ok(def) if def.kind == EntityKind::Node && def.name != self.node => {
                return Err(data("it names another node than it was asked for"));
            }
            Ok(def) => Named::Def(def),
            Err(error) if error.refuses_entity() => Named::Refused(id),
            Err(error) => return Err(data(format!("a name: {error}"))),
        };
        let current = self.current()?;
        current.count += 1;
        if current.count > MAX_ENTITIES {
            return Err(data("more names than a node may have"));
        }
        current.names.push(named);
        Ok(Took::More(0))
    }

    fn chunk(&mut self, parts: &Parts, chunk: &v1::Chunk) -> Result<Took, Failure> {
        self.blocks += 1;
        let many = self.blocks > MAX_BLOCKS;
        let run = wire::run(chunk.run.as_ref()).map_err(|e| data(format!("chunk: {e}")))?;
        let node = self.node.clone();
        let current = self.current()?;
        if run != current.run {
            return Err(data("a chunk of another run than the one that was begun"));
        }
        let is_newer = current.last_block.is_some_and(|last| chunk.block >= last);
        if many || is_newer {
            return Err(data("a block that came before, or too many of them"));
        }
        current.last_block = Some(chunk.block);
        parts.metrics.taken_chunks.inc();
        parts.metrics.taken_bytes.inc_by(chunk.payload.len() as u64);
        parts.pressure.took(chunk.payload.len() as u64);
        let piece = Piece {
            run,
            interval_ms: current.interval_ms,
            block: chunk.block,
            names: &current.names,
            payload: &chunk.payload,
            known: current.known,
            now_ms: parts.clock.unix_ms(),
        };
        match parts.store.restore(&node, &piece) {
            Ok(rows) => {
                // A chunk of which nothing is kept leaves its names for the next.
                if rows > 0 {
                    current.names.clear();
                }
                parts.metrics.taken_rows.inc_by(rows);
                Ok(Took::More(rows))
            }
            // Too large as a block, though its rows came live: no fault of the peer's.
            Err(Error::Decode {
                source: codec::Error::Limit(_),
                ..
            }) => {
                parts.metrics.skipped_frames.inc();
                Ok(Took::More(0))
            }
            Err(error) => Err(data(format!("a chunk: {}", logging::chain(&error)))),
        }
    }
}
