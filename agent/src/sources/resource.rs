//! The kubelet's `/metrics/resource`, parsed: CPU counters, working sets and swap, with millisecond
//! times.
//!
//! Pure, line by line: a line that is not understood is counted and the rest survives. Of pods and
//! containers no more are kept than a node can have, so a body costs a small multiple of its size.

mod roll;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use cairn_proto::limits::{MAX_ENTITIES, MAX_NAME_BYTES};

use self::roll::{Key, Roll};
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// What the pod's cgroup uses.
    pub usage: Usage,
    /// When the first of its containers that tell it began, Unix ms.
    pub first_start_ms: Option<u64>,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// What the node uses.
    pub node: Usage,
    pods: Roll<Pod>,
    containers: Roll<Container>,
    /// Lines that were not understood.
    pub odd_count: u64,
    /// Lines about pods and containers beyond the most that are kept: those that came later.
    pub dropped_count: u64,
}

impl Resource {
    /// What is said of a pod.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.pods.get([namespace, name, ""])
    }

    /// What is said of a container.
    #[must_use]
    pub fn container(&self, namespace: &str, pod: &str, name: &str) -> Option<&Container> {
        self.containers.get([namespace, pod, name])
    }

    /// The pods: namespace, name, and what is said of each.
    pub fn pods(&self) -> impl Iterator<Item = (&str, &str, &Pod)> {
        self.pods
            .iter()
            .map(|([namespace, name, _], pod)| (namespace, name, pod))
    }

    /// The containers: namespace, pod and name, and what is said of each.
    pub fn containers(&self) -> impl Iterator<Item = ([&str; 3], &Container)> {
        self.containers.iter()
    }

    /// Makes it an answer of which nothing is read yet.
    fn begin(&mut self) {
        self.node = Usage::default();
        self.pods.begin();
        self.containers.begin();
        (self.odd_count, self.dropped_count) = (0, 0);
    }

    /// Settles what only the whole answer tells.
    fn finish(&mut self) {
        self.containers.finish();
        self.pods.finish();
        for ([namespace, pod, _], container) in self.containers.iter() {
            if container.start_ms.is_some()
                && let Some(pod) = self.pods.named([namespace, pod, ""])
            {
                let starts = pod.first_start_ms.into_iter().chain(container.start_ms);
                pod.first_start_ms = starts.min();
            }
        }
    }
}

/// Parses one answer.
///
/// # Errors
///
/// [`Error::ScrapeError`], [`Error::Nothing`].
pub fn parse(body: &[u8]) -> Result<Resource, Error> {
    parse_into(body, None)
}

/// Parses one answer, in the room that an earlier one took.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_into(body: &[u8], spare: Option<Resource>) -> Result<Resource, Error> {
    let mut reader = Reader {
        resource: spare.unwrap_or_default(),
        ..Reader::default()
    };
    reader.resource.begin();
    let (lines, is_cut) = exposition::lines(body);
    lines.for_each(|line| reader.line(line));
    reader.resource.odd_count += u64::from(is_cut);
    reader.resource.finish();
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
        let key = [name(line.namespace.as_ref())?, name(line.pod.as_ref())?, ""];
        let is_new = !self.resource.pods.has(key);
        self.make_room(usize::from(is_new))?;
        self.resource.pods.named(key).ok_or(Refused::Dropped)
    }

    fn container(&mut self, line: &Line<'_>) -> Result<&mut Container, Refused> {
        let [namespace, pod] = [name(line.namespace.as_ref())?, name(line.pod.as_ref())?];
        let key: Key<'_> = [namespace, pod, name(line.container.as_ref())?];
        if !self.resource.containers.has(key) {
            // A pod of which nothing is said is not kept for the sake of a container that is not.
            let of = [namespace, pod, ""];
            let more = 1 + usize::from(!self.resource.pods.has(of));
            self.make_room(more)?;
            self.resource.pods.named(of).ok_or(Refused::Dropped)?;
        }
        self.resource.containers.named(key).ok_or(Refused::Dropped)
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
