//! The kubelet's `/metrics/resource`, parsed: CPU counters, working sets and swap, with millisecond
//! times.
//!
//! Pure, line by line: a line that is not understood is counted and the rest survives. Of pods and
//! containers no more are kept than a node can have, so a body costs a small multiple of its size.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use cairn_proto::limits::{MAX_ENTITIES, MAX_NAME_BYTES};

use super::exposition::{self, Refused, Sample};

/// Why a body is no answer of that endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kubelet says that it could not read its containers.
    #[error("kubelet says resource_scrape_error 1: look into its log for what it could not read")]
    ScrapeError,
    /// No line of the endpoint in it.
    #[error("resource answer has none of the metrics of a kubelet: check what answers there")]
    Nothing,
}

/// A CPU counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// CPU time used, cumulative, ns.
    pub usage_core_nanos: u64,
    /// When it was measured, Unix ms; `None` when the line has no time: then when it was read.
    pub time_ms: Option<u64>,
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Bytes in use.
    pub bytes: u64,
    /// When it was measured, Unix ms; `None` when the line has no time: then when it was read.
    pub time_ms: Option<u64>,
}

/// What the endpoint says of a node, pod or container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time.
    pub cpu: Option<Cpu>,
    /// Working set.
    pub memory: Option<Level>,
    /// Swap in use.
    pub swap: Option<Level>,
}

/// What the endpoint says of one container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// What it uses.
    pub usage: Usage,
    /// When this life of it began, Unix ms, rounded down.
    pub start_ms: Option<u64>,
}

/// What the endpoint says of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// What the pod's cgroup uses.
    pub usage: Usage,
    /// Its containers by name.
    pub containers: HashMap<Box<str>, Container>,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// What the node uses.
    pub node: Usage,
    /// Pods by namespace, then by name.
    pub pods: HashMap<Box<str>, HashMap<Box<str>, Pod>>,
    /// Lines that were not understood.
    pub odd_count: u64,
    /// Lines about pods and containers beyond the most that are kept: those that came later.
    pub dropped_count: u64,
}

impl Resource {
    /// What is said of a pod.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.pods.get(namespace)?.get(name)
    }
}

/// Parses one answer.
///
/// # Errors
///
/// [`Error::ScrapeError`], [`Error::Nothing`].
pub fn parse(body: &[u8]) -> Result<Resource, Error> {
    let mut reader = Reader::default();
    let (lines, is_cut) = exposition::lines(body);
    lines.for_each(|line| reader.line(line));
    reader.resource.odd_count += u64::from(is_cut);
    match reader {
        Reader {
            scrape_error: true, ..
        } => Err(Error::ScrapeError),
        Reader { known_count: 0, .. } => Err(Error::Nothing),
        Reader { resource, .. } => Ok(resource),
    }
}

/// The parts of a line that are used.
#[derive(Clone, Debug)]
struct Line<'a> {
    namespace: Option<Cow<'a, str>>,
    pod: Option<Cow<'a, str>>,
    container: Option<Cow<'a, str>>,
    sample: Sample<'a>,
}

impl<'a> Line<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (mut namespace, mut pod, mut container) = (None, None, None);
        let sample = exposition::parse(bytes, |label, value| {
            let value = value.text()?;
            match label {
                b"namespace" => namespace = Some(value),
                b"pod" => pod = Some(value),
                b"container" => container = Some(value),
                _ => {}
            }
            Some(())
        })?;
        Some(Self {
            namespace,
            pod,
            container,
            sample,
        })
    }
}

/// What a line is about.
#[derive(Clone, Copy, Debug)]
enum What {
    Cpu,
    Memory,
    Swap,
    Start,
    Error,
}

/// Whose value it is.
#[derive(Clone, Copy, Debug)]
enum Of {
    Node,
    Pod,
    Container,
}

/// The lines that are read, by the name of their metric.
fn known(name: &[u8]) -> Option<(What, Of)> {
    let (of, what) = match name.split_at_checked(name.iter().position(|b| *b == b'_')?)? {
        (b"node", what) => (Of::Node, what),
        (b"pod", what) => (Of::Pod, what),
        (b"container", what) => (Of::Container, what),
        (b"resource", b"_scrape_error") => return Some((What::Error, Of::Node)),
        _ => return None,
    };
    let what = match (what, of) {
        (b"_cpu_usage_seconds_total", _) => What::Cpu,
        (b"_memory_working_set_bytes", _) => What::Memory,
        (b"_swap_usage_bytes", _) => What::Swap,
        (b"_start_time_seconds", Of::Container) => What::Start,
        _ => return None,
    };
    Some((what, of))
}

#[derive(Debug, Default)]
struct Reader {
    resource: Resource,
    // Pods and containers that are kept.
    entities: usize,
    scrape_error: bool,
    known_count: u64,
}

impl Reader {
    fn line(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || bytes.starts_with(b"#") {
            return;
        }
        let Some((what, of)) = known(exposition::name(bytes)) else {
            return;
        };
        let line = Line::parse(bytes).ok_or(Refused::Odd);
        match line.and_then(|line| self.take(what, of, &line)) {
            Ok(()) => self.known_count += 1,
            Err(Refused::Odd) => self.resource.odd_count += 1,
            Err(Refused::Dropped) => self.resource.dropped_count += 1,
        }
    }

    fn take(&mut self, what: What, of: Of, line: &Line<'_>) -> Result<(), Refused> {
        let scale = match what {
            What::Cpu => 9,
            What::Start => 3,
            What::Memory | What::Swap | What::Error => 0,
        };
        let (value, time_ms) = (
            line.sample.scaled(scale).ok_or(Refused::Odd)?,
            line.sample.time_ms(),
        );
        let usage = match (what, of) {
            (What::Error, _) => {
                self.scrape_error |= value != 0;
                return Ok(());
            }
            (What::Start, _) => {
                self.container(line)?.start_ms = Some(value);
                return Ok(());
            }
            (_, Of::Node) => &mut self.resource.node,
            (_, Of::Pod) => &mut self.pod(line)?.usage,
            (_, Of::Container) => &mut self.container(line)?.usage,
        };
        let level = Level {
            bytes: value,
            time_ms,
        };
        match what {
            What::Memory => usage.memory = Some(level),
            What::Swap => usage.swap = Some(level),
            _ => {
                usage.cpu = Some(Cpu {
                    usage_core_nanos: value,
                    time_ms,
                });
            }
        }
        Ok(())
    }

    fn pod(&mut self, line: &Line<'_>) -> Result<&mut Pod, Refused> {
        let (namespace, pod) = (name(line.namespace.as_ref())?, name(line.pod.as_ref())?);
        self.make_room(usize::from(self.resource.pod(namespace, pod).is_none()))?;
        let pods = &mut self.resource.pods;
        Ok(kept(kept(pods, namespace), pod))
    }

    fn container(&mut self, line: &Line<'_>) -> Result<&mut Container, Refused> {
        let (namespace, pod) = (name(line.namespace.as_ref())?, name(line.pod.as_ref())?);
        let container = name(line.container.as_ref())?;
        // A pod of which nothing is said is not kept for the sake of a container that is not.
        self.make_room(match self.resource.pod(namespace, pod) {
            None => 2,
            Some(pod) => usize::from(!pod.containers.contains_key(container)),
        })?;
        let pods = &mut self.resource.pods;
        let pod = kept(kept(pods, namespace), pod);
        Ok(kept(&mut pod.containers, container))
    }

    /// Counts pods and containers that are about to be kept.
    fn make_room(&mut self, more: usize) -> Result<(), Refused> {
        if self.entities + more > MAX_ENTITIES {
            return Err(Refused::Dropped);
        }
        self.entities += more;
        Ok(())
    }
}

/// A name that something can have.
fn name<'a>(label: Option<&'a Cow<'_, str>>) -> Result<&'a str, Refused> {
    let fits = |name: &&str| !name.is_empty() && name.len() <= MAX_NAME_BYTES;
    label.map(AsRef::as_ref).filter(fits).ok_or(Refused::Odd)
}

/// What is kept under a name, or the beginning of it.
fn kept<'a, T: Default>(all: &'a mut HashMap<Box<str>, T>, name: &str) -> &'a mut T {
    all.entry(name.into()).or_default()
}
