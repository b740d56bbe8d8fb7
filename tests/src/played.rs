//! An aggregator of another version: says recorded bytes, and writes down the bytes that an agent sends.
//!
//! Frames go both ways as they are: no message of the day is in between, so that what this version does
//! not know is said too, and what it writes is seen as it is.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::{AgentFrame, Run};
use cairn_runtime::tasks::Group;
use prost::Message as _;
use tonic::Streaming;
use tonic::service::Routes;

use crate::as_it_is::{Says, Talk, Talking};
use crate::served::Served;

/// Frames of an agent that are written down at most: a test looks at a few dozen.
const MOST_FRAMES: usize = 4_096;

/// Streams at a time.
const STREAMS: usize = 4;

/// The run that a recording speaks of: no agent has it, and it takes as many bytes as theirs.
#[must_use]
pub fn any_run() -> Run {
    Run {
        boot_id: vec![7; 16],
        epoch_ms: 1_795_332_330_000,
        clock_stepped: false,
    }
}

/// The frames of a file of `tests/fixtures/frames`, each with its word.
///
/// # Errors
///
/// When it cannot be read, or a line is not a word and bytes in hexadecimal.
pub fn recorded(file: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let frames = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/frames");
    let text = std::fs::read_to_string(frames.join(file)).with_context(|| file.to_owned())?;
    let line = |line: &str| {
        let (word, hex) = line.split_once(' ')?;
        let bytes = (0..hex.len()).step_by(2);
        let byte = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        let frame: Option<Vec<u8>> = bytes.map(byte).collect();
        Some((word.to_owned(), frame?))
    };
    let frames: Option<Vec<_>> = text.lines().map(line).collect();
    frames.with_context(|| format!("{file}: a line is not a word and bytes in hexadecimal"))
}

/// What is said, and when: as soon as so many rows have come.
#[derive(Clone, Debug)]
pub struct Line {
    /// Rows that come first; with 0 it answers `Hello`.
    pub after_rows: usize,
    /// The frame. Where it speaks of [`any_run`], it is told of the agent's own.
    pub frame: Vec<u8>,
}

/// A running one. Dropping it ends it.
#[derive(Debug)]
pub struct Played {
    /// Where it listens.
    pub addr: SocketAddr,
    heard: Arc<Mutex<Vec<Bytes>>>,
    _served: Served,
}

impl Played {
    /// Starts one with the certificate `server.pem` of a directory, which says these lines in their
    /// order to every agent.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub fn start(dir: &Path, lines: Vec<Line>) -> Result<Self> {
        let heard = Arc::default();
        let script = Script {
            lines: lines.into(),
            heard: Arc::clone(&heard),
            streams: Group::new("played aggregator", STREAMS),
        };
        let served = Served::start(dir, Routes::new(Talking(script)))?;
        Ok(Self {
            addr: served.addr,
            heard,
            _served: served,
        })
    }

    /// The frames that came so far, as they were.
    #[must_use]
    pub fn heard(&self) -> Vec<Bytes> {
        lock(&self.heard).clone()
    }
}

/// Nothing panics while the lock is held.
fn lock(heard: &Mutex<Vec<Bytes>>) -> MutexGuard<'_, Vec<Bytes>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Debug)]
struct Script {
    lines: Arc<[Line]>,
    heard: Arc<Mutex<Vec<Bytes>>>,
    streams: Group,
}

impl Talk for Script {
    const NAME: &'static str = "cairn.v1.Ingest";

    fn streams(&self) -> &Group {
        &self.streams
    }

    async fn talk(self, mut frames: Streaming<Bytes>, says: Says) {
        let (mut run, mut rows, mut said) = (None, 0, 0);
        while let Ok(Some(bytes)) = frames.message().await {
            {
                let mut heard = lock(&self.heard);
                if heard.len() < MOST_FRAMES {
                    heard.push(bytes.clone());
                }
            }
            match AgentFrame::decode(bytes).ok().and_then(|frame| frame.kind) {
                Some(Kind::Hello(hello)) => run = hello.run,
                Some(Kind::Row(_)) => rows += 1,
                _ => {}
            }
            let due = self.lines.iter().skip(said);
            for line in due.take_while(|line| line.after_rows <= rows) {
                said += 1;
                let frame = told_of(&line.frame, run.as_ref());
                if says.send(Ok(frame.into())).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The frame with the agent's run in the place of the recorded one.
fn told_of(frame: &[u8], run: Option<&Run>) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let (from, to) = (any_run(), run.cloned().unwrap_or_default());
    let varint = |run: &Run| {
        let alone = Run {
            epoch_ms: run.epoch_ms,
            ..Run::default()
        };
        alone.encode_to_vec()
    };
    for (from, to) in [
        (from.boot_id.clone(), to.boot_id.clone()),
        (varint(&from), varint(&to)),
    ] {
        let at = frame.windows(from.len()).position(|part| part == from);
        let place = at.and_then(|at| frame.get_mut(at..at + to.len()));
        if let Some(place) = place {
            place.copy_from_slice(&to);
        }
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_told_of_the_agents_own_run() {
        let own = Run {
            boot_id: vec![1; 16],
            epoch_ms: 1_800_000_000_000,
            clock_stepped: true,
        };
        let recorded = [any_run().encode_to_vec(), vec![0x92, 3, 1, 9]].concat();
        let told = told_of(&recorded, Some(&own));
        let expected = Run {
            clock_stepped: false,
            ..own
        };
        assert_eq!(Run::decode(&*told).unwrap(), expected);
        assert_eq!(told_of(b"nothing of it", Some(&expected)), b"nothing of it");
    }
}
