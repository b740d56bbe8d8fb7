//! The kubelet's `/metrics/resource`, parsed: CPU counters with millisecond times.
//!
//! Pure, line by line: a line that is not understood is counted and the rest survives.

mod line;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use self::line::Line;

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

/// What the endpoint says of one container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// CPU time.
    pub cpu: Option<Cpu>,
    /// When this life of it began, Unix ms, rounded down.
    pub start_ms: Option<u64>,
}

/// What the endpoint says of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// CPU time of the pod's cgroup.
    pub cpu: Option<Cpu>,
    /// Its containers by name.
    pub containers: HashMap<String, Container>,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// CPU time of the node.
    pub node: Option<Cpu>,
    /// Pods by namespace, then by name.
    pub pods: HashMap<String, HashMap<String, Pod>>,
    /// Lines that were not understood.
    pub odd_count: u64,
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
    let mut rest = body;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        reader.line(rest.get(..end).unwrap_or_default());
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    // A last line without its end may be half a line: a shorter number is still a number.
    reader.resource.odd_count += u64::from(!rest.is_empty());
    match reader {
        Reader {
            scrape_error: true, ..
        } => Err(Error::ScrapeError),
        Reader { known_count: 0, .. } => Err(Error::Nothing),
        Reader { resource, .. } => Ok(resource),
    }
}

#[derive(Debug, Default)]
struct Reader {
    resource: Resource,
    scrape_error: bool,
    known_count: u64,
}

impl Reader {
    fn line(&mut self, bytes: &[u8]) {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() || bytes.starts_with(b"#") {
            return;
        }
        let name = line::name(bytes);
        let known = matches!(
            name,
            b"container_cpu_usage_seconds_total"
                | b"container_start_time_seconds"
                | b"pod_cpu_usage_seconds_total"
                | b"node_cpu_usage_seconds_total"
                | b"resource_scrape_error"
        );
        if !known {
            return;
        }
        let taken = line::parse(bytes).and_then(|line| self.take(name, line));
        match taken {
            Some(()) => self.known_count += 1,
            None => self.resource.odd_count += 1,
        }
    }

    fn take(&mut self, name: &[u8], line: Line<'_>) -> Option<()> {
        match name {
            b"node_cpu_usage_seconds_total" => self.resource.node = Some(line.cpu()?),
            b"pod_cpu_usage_seconds_total" => {
                let cpu = line.cpu()?;
                self.pod(line)?.cpu = Some(cpu);
            }
            b"container_cpu_usage_seconds_total" => {
                let cpu = line.cpu()?;
                self.container(line)?.cpu = Some(cpu);
            }
            b"container_start_time_seconds" => {
                let start_ms = line.scaled(3)?;
                self.container(line)?.start_ms = Some(start_ms);
            }
            _ => self.scrape_error |= line.scaled(0)? != 0,
        }
        Some(())
    }

    fn pod(&mut self, line: Line<'_>) -> Option<&mut Pod> {
        let (namespace, pod) = (line.namespace?, line.pod?);
        let pods = self
            .resource
            .pods
            .entry(namespace.into_owned())
            .or_default();
        Some(pods.entry(pod.into_owned()).or_default())
    }

    fn container(&mut self, mut line: Line<'_>) -> Option<&mut Container> {
        let container = line.container.take()?.into_owned();
        Some(self.pod(line)?.containers.entry(container).or_default())
    }
}
