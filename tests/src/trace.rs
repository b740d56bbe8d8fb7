//! The recorded kubelet answers of a real two-node cluster, and their replay.
//!
//! [`Trace`] holds the recording as it was captured. [`Replay`] answers, for any moment, what the
//! kubelet of one node would say then: the recording moved in time, repeated for as long as asked,
//! and scaled to a number of pods. A replay is pure: the same options and the same moment give the
//! same bytes, in every process.
//!
//! The rules of moving, repeating and scaling are written at [`Replay`].

mod exposition;
mod growth;
mod identity;
mod replay;
mod roster;
mod summary;
pub mod swap;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use replay::{Frame, Options, Position, Replay};

/// The recording that the repository carries, in the binary so that the simulator needs no file.
const RECORDED: &[u8] = include_bytes!("../fixtures/kubelet-1.36/trace.tar.gz");

/// The same with more pods.
const RECORDED_51_PODS: &[u8] = include_bytes!("../fixtures/kubelet-1.36/pods-51.tar.gz");

/// More than forty times the carried recording; a wrong file is refused before it fills memory.
const UNPACKED_LIMIT_BYTES: u64 = 64 << 20;

/// What can go wrong between the archive and a replay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive could not be opened.
    #[error("cannot read the recording {}: does the file exist?", path.display())]
    Open {
        /// The file asked for.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The archive is damaged, or is no gzip-packed tar.
    #[error("cannot unpack the recording: it must be a .tar.gz of at most 64 MiB")]
    Unpack(#[source] std::io::Error),
    /// A folder lacks one of its three files, or `captured_at` is no time.
    #[error("recording folder {folder}: {problem}")]
    Folder {
        /// `node/number`.
        folder: String,
        /// What is missing or wrong.
        problem: &'static str,
    },
    /// The recording has no such node.
    #[error("the recording has no node {wanted:?}, only {found:?}")]
    Node {
        /// The node asked for.
        wanted: String,
        /// The nodes there are.
        found: Vec<String>,
    },
    /// A recorded summary is no JSON.
    #[error("recorded summary number {number} is no JSON")]
    Json {
        /// The frame's number in time order, from 1.
        number: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A recorded body has another shape than a kubelet's.
    #[error("recorded body number {number}: {problem}")]
    Shape {
        /// The frame's number in time order, from 1.
        number: usize,
        /// What was met.
        problem: String,
    },
}

/// One recorded pair of answers.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When the pair was captured, Unix milliseconds; not before any time inside the bodies.
    pub captured_at_ms: u64,
    /// The body of `/stats/summary`, as the kubelet sent it.
    pub summary: Vec<u8>,
    /// The body of `/metrics/resource`, as the kubelet sent it.
    pub resource: Vec<u8>,
}

/// A recording of one or more nodes.
#[derive(Clone, Debug)]
pub struct Trace {
    nodes: BTreeMap<String, Vec<Recorded>>,
}

impl Trace {
    /// Reads a recording from a `.tar.gz` with `trace/NODE/NN/{captured_at,stats_summary,
    /// metrics_resource}`; other files in it are ignored.
    ///
    /// # Errors
    ///
    /// `Open`, `Unpack`, or `Folder` when a folder is not whole.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Open {
            path: path.to_path_buf(),
            source,
        })?;
        Self::unpack(&bytes)
    }

    /// Gives the recording that the repository carries: `node1` and `node2`, 30 frames each,
    /// about 10 s apart, from Unix time 1795332326.
    ///
    /// # Errors
    ///
    /// As [`Trace::load`]; a test holds that it does not happen.
    pub fn carried() -> Result<Self, Error> {
        Self::unpack(RECORDED)
    }

    /// The carried recording of `node1` with 51 pods, none of which comes or goes: 6 frames. What is measured of a
    /// number of pods is measured on it.
    ///
    /// # Errors
    ///
    /// As [`Trace::load`]; a test holds that it does not happen.
    pub fn of_51_pods() -> Result<Self, Error> {
        Self::unpack(RECORDED_51_PODS)
    }

    /// The names of the recorded nodes, sorted.
    #[must_use]
    pub fn nodes(&self) -> Vec<&str> {
        self.nodes.keys().map(String::as_str).collect()
    }

    /// The frames of a node in time order; never empty.
    ///
    /// # Errors
    ///
    /// `Node` when the recording has no such node.
    pub fn frames(&self, node: &str) -> Result<&[Recorded], Error> {
        match self.nodes.get(node) {
            Some(frames) => Ok(frames),
            None => Err(Error::Node {
                wanted: node.to_owned(),
                found: self.nodes.keys().cloned().collect(),
            }),
        }
    }

    /// When the first frame of the first node was captured, Unix milliseconds: the zero of every
    /// node's replay, so that all nodes move by the same shift.
    #[must_use]
    pub fn base_ms(&self) -> u64 {
        self.nodes
            .values()
            .next()
            .and_then(|frames| frames.first())
            .map_or(0, |frame| frame.captured_at_ms)
    }

    fn unpack(bytes: &[u8]) -> Result<Self, Error> {
        let plain = flate2::read::GzDecoder::new(bytes).take(UNPACKED_LIMIT_BYTES);
        let mut archive = tar::Archive::new(plain);
        let mut folders: BTreeMap<(String, String), Folder> = BTreeMap::new();
        for entry in archive.entries().map_err(Error::Unpack)? {
            let mut entry = entry.map_err(Error::Unpack)?;
            let path = entry.path().map_err(Error::Unpack)?.into_owned();
            let Some((node, number, file)) = split(&path) else {
                continue;
            };
            let mut body = Vec::new();
            entry.read_to_end(&mut body).map_err(Error::Unpack)?;
            let folder = folders.entry((node, number)).or_default();
            match file.as_str() {
                "captured_at" => folder.captured_at_ms = milliseconds(&body),
                "stats_summary" => folder.summary = Some(body),
                "metrics_resource" => folder.resource = Some(body),
                _ => {}
            }
        }
        let mut nodes: BTreeMap<String, Vec<Recorded>> = BTreeMap::new();
        for ((node, number), folder) in folders {
            let recorded = folder.whole().map_err(|problem| Error::Folder {
                folder: format!("{node}/{number}"),
                problem,
            })?;
            nodes.entry(node).or_default().push(recorded);
        }
        for frames in nodes.values_mut() {
            frames.sort_by_key(|frame| frame.captured_at_ms);
        }
        Ok(Self { nodes })
    }
}

#[derive(Default)]
struct Folder {
    captured_at_ms: Option<u64>,
    summary: Option<Vec<u8>>,
    resource: Option<Vec<u8>>,
}

impl Folder {
    fn whole(self) -> Result<Recorded, &'static str> {
        Ok(Recorded {
            captured_at_ms: self
                .captured_at_ms
                .ok_or("captured_at is missing or is not like 1795332326.328")?,
            summary: self.summary.ok_or("stats_summary is missing")?,
            resource: self.resource.ok_or("metrics_resource is missing")?,
        })
    }
}

/// Splits `trace/NODE/NN/FILE` into its last three parts.
fn split(path: &Path) -> Option<(String, String, String)> {
    let parts: Vec<&str> = path
        .iter()
        .map(|part| part.to_str())
        .collect::<Option<_>>()?;
    match parts.as_slice() {
        ["trace", node, number, file] => Some(((*node).into(), (*number).into(), (*file).into())),
        _ => None,
    }
}

/// Reads `1795332326.328` as Unix milliseconds.
fn milliseconds(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let (seconds, fraction) = text.split_once('.')?;
    if fraction.len() != 3 {
        return None;
    }
    let seconds: u64 = seconds.parse().ok()?;
    let fraction: u64 = fraction.parse().ok()?;
    seconds.checked_mul(1000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests;
