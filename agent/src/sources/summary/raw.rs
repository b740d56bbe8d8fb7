//! The JSON of a summary, and its way into the inner types.
//!
//! Read in one go, element by element: what is not asked for is skipped where it stands, and no
//! body, whatever is in it, is held in another form than as the entities that are taken of it. A
//! pod is cut out as text first, so that one which cannot be read loses itself alone; so are the
//! node's own values.

mod field;

mod shape;

use std::borrow::Cow;
use std::fmt;

use cairn_proto::limits::MAX_ENTITIES;
use cairn_proto::rfc3339;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use self::field::{Field, Wanted};
pub(super) use self::shape::Summary;
use self::shape::{Container, Node, RawCpu, RawMemory, RawNetwork, RawPod, RawStats, Text};
use super::{Cpu, Memory, Network, Pod, Stats};

/// Containers kept of a pod, those of one name included: far more than are taken of it, and few
/// enough that a body cannot grow to many times its size.
const MAX_CONTAINERS: usize = 1_024;

/// The pods of a body, taken as they come.
#[derive(Default)]
struct Pods {
    kept: Vec<Pod>,
    reader: Reader,
}

impl<'de> Deserialize<'de> for Pods {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::default())
    }
}

impl<'de> Visitor<'de> for Pods {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of pods")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self, A::Error> {
        // Each pod and each container counts: no body makes more of them than a row can have.
        let mut entities = 0;
        while entities < MAX_ENTITIES {
            let Some(raw) = seq.next_element::<&RawValue>()? else {
                return Ok(self);
            };
            match self.reader.pod(raw) {
                Some(pod) => {
                    entities += 1 + pod.containers.len();
                    self.kept.push(pod);
                }
                None => self.reader.odd_count += 1,
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            self.reader.dropped_count += 1;
        }
        Ok(self)
    }
}

/// The containers of one pod or of the system, taken as they come.
#[derive(Default)]
struct Containers {
    kept: Vec<Stats>,
    reader: Reader,
}

impl<'de> Wanted<'de> for Containers {
    fn seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut this = Self::default();
        while this.kept.len() < MAX_CONTAINERS {
            let Some(raw) = seq.next_element::<Field<Container<'_>>>()? else {
                return Ok(Some(this));
            };
            match this.reader.container(raw) {
                Some(stats) => this.kept.push(stats),
                None => this.reader.odd_count += 1,
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            this.reader.dropped_count += 1;
        }
        Ok(Some(this))
    }
}

/// Turns raw parts into inner ones and counts what was not understood.
#[derive(Debug, Default)]
struct Reader {
    odd_count: u64,
    dropped_count: u64,
}

/// Reads a summary; `None` when there is no node in it.
///
/// # Errors
///
/// The body is no JSON object, its node none, or its pods no list.
pub(super) fn summary(raw: Summary<'_>) -> Result<Option<super::Summary>, serde_json::Error> {
    let Some(node) = raw.node else {
        return Ok(None);
    };
    if !node.get().starts_with('{') {
        return Err(serde_json::Error::custom("node is no object"));
    }
    let node: Node<'_> = serde_json::from_str(node.get())?;
    let Pods {
        kept: pods,
        mut reader,
    } = raw.pods.unwrap_or_default();
    let stats = RawStats {
        start_time: cut_out(node.start_time),
        cpu: cut_out(node.cpu),
        memory: cut_out(node.memory),
        network: cut_out(node.network),
    };
    let stats = reader.stats(String::new(), stats);
    let system = reader.containers(cut_out(node.system_containers));
    let name: Text<'_> = cut_out(node.node_name);
    let node_name = reader.value(name).unwrap_or_default().into_owned();
    Ok(Some(super::Summary {
        node_name,
        node: stats,
        system,
        pods,
        odd_count: reader.odd_count,
        dropped_count: reader.dropped_count,
    }))
}

/// Reads one value of the node, whose failure is its own.
fn cut_out<'a, T: Wanted<'a>>(raw: Option<&'a RawValue>) -> Field<T> {
    raw.map_or(Field::Absent, |raw| {
        serde_json::from_str(raw.get()).unwrap_or(Field::Odd)
    })
}

impl Reader {
    fn pod(&mut self, raw: &RawValue) -> Option<Pod> {
        let text = raw.get();
        let raw: RawPod<'_> = text
            .starts_with('{')
            .then(|| serde_json::from_str(text).ok())??;
        let named = |text: Text<'_>| text.known().filter(|t| !t.is_empty()).map(Cow::into_owned);
        let pod_ref = raw.pod_ref.known()?;
        let (name, namespace) = (named(pod_ref.name)?, named(pod_ref.namespace)?);
        let uid = named(pod_ref.uid)?;
        let stats = RawStats {
            start_time: raw.start_time,
            cpu: raw.cpu,
            memory: raw.memory,
            network: raw.network,
        };
        Some(Pod {
            name,
            namespace,
            uid,
            stats: self.stats(String::new(), stats),
            containers: self.containers(raw.containers),
        })
    }

    fn containers(&mut self, raw: Field<Containers>) -> Vec<Stats> {
        let Some(Containers { kept, reader }) = self.value(raw) else {
            return Vec::new();
        };
        self.odd_count += reader.odd_count;
        self.dropped_count += reader.dropped_count;
        kept
    }

    fn container(&mut self, raw: Field<Container<'_>>) -> Option<Stats> {
        let raw = raw.known()?;
        let name = raw.name.known().filter(|name| !name.is_empty())?;
        let stats = RawStats {
            start_time: raw.start_time,
            cpu: raw.cpu,
            memory: raw.memory,
            network: raw.network,
        };
        Some(self.stats(name.into_owned(), stats))
    }

    fn stats(&mut self, name: String, raw: RawStats<'_>) -> Stats {
        Stats {
            name,
            start_ms: self.time(raw.start_time),
            cpu: self.cpu(raw.cpu),
            memory: self.memory(raw.memory),
            network: self.network(raw.network),
        }
    }

    fn cpu(&mut self, raw: Field<RawCpu<'_>>) -> Option<Cpu> {
        let raw = self.value(raw)?;
        let usage_core_nanos = self.value(raw.usage_core_nano_seconds)?;
        Some(Cpu {
            time_ms: self.time(raw.time)?,
            usage_core_nanos,
        })
    }

    fn memory(&mut self, raw: Field<RawMemory<'_>>) -> Option<Memory> {
        let raw = self.value(raw)?;
        let usage_bytes = self.value(raw.usage_bytes);
        let working_set_bytes = self.value(raw.working_set_bytes);
        let rss_bytes = self.value(raw.rss_bytes);
        usage_bytes.or(working_set_bytes).or(rss_bytes)?;
        let time_ms = self.time(raw.time)?;
        Some(Memory {
            time_ms,
            usage_bytes,
            working_set_bytes,
            rss_bytes,
        })
    }

    fn network(&mut self, raw: Field<RawNetwork<'_>>) -> Option<Network> {
        let raw = self.value(raw)?;
        let (rx_bytes, tx_bytes) = (self.value(raw.rx_bytes), self.value(raw.tx_bytes));
        let (rx_errors, tx_errors) = (self.value(raw.rx_errors), self.value(raw.tx_errors));
        rx_bytes.or(tx_bytes).or(rx_errors).or(tx_errors)?;
        let time_ms = self.time(raw.time)?;
        Some(Network {
            time_ms,
            rx_bytes,
            tx_bytes,
            rx_errors,
            tx_errors,
        })
    }

    /// What was understood; what was not is counted.
    fn value<T>(&mut self, field: Field<T>) -> Option<T> {
        self.odd_count += u64::from(matches!(field, Field::Odd));
        field.known()
    }

    fn time(&mut self, text: Text<'_>) -> Option<u64> {
        let text = self.value(text)?;
        // Nothing that runs was measured before 1970.
        let parsed = rfc3339::parse(&text).and_then(|ms| u64::try_from(ms).ok());
        self.odd_count += u64::from(parsed.is_none());
        parsed
    }
}
