//! The JSON of a summary, and its way into the inner types.

mod number;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use self::number::Number;
use super::{Cpu, Memory, Network, Pod, Stats};
use crate::sources::time;

/// What was meant to be a `T`; anything else is kept as the fact that it was there.
#[derive(Deserialize)]
#[serde(untagged)]
enum Maybe<T> {
    Good(T),
    Odd(IgnoredAny),
}

type Text<'a> = Option<Cow<'a, str>>;

#[derive(Deserialize)]
pub(super) struct Summary<'a> {
    #[serde(borrow)]
    node: Option<Node<'a>>,
    #[serde(borrow)]
    pods: Option<Vec<Maybe<RawPod<'a>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node<'a> {
    #[serde(borrow)]
    node_name: Text<'a>,
    #[serde(borrow)]
    system_containers: Option<Vec<Maybe<Container<'a>>>>,
    #[serde(borrow, flatten)]
    stats: RawStats<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPod<'a> {
    #[serde(borrow)]
    pod_ref: PodRef<'a>,
    #[serde(borrow)]
    containers: Option<Vec<Maybe<Container<'a>>>>,
    #[serde(borrow, flatten)]
    stats: RawStats<'a>,
}

#[derive(Deserialize)]
struct PodRef<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
}

#[derive(Deserialize)]
struct Container<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, flatten)]
    stats: RawStats<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStats<'a> {
    #[serde(borrow)]
    start_time: Text<'a>,
    #[serde(borrow)]
    cpu: Option<RawCpu<'a>>,
    #[serde(borrow)]
    memory: Option<RawMemory<'a>>,
    #[serde(borrow)]
    network: Option<RawNetwork<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCpu<'a> {
    #[serde(borrow)]
    time: Text<'a>,
    #[serde(default)]
    usage_core_nano_seconds: Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMemory<'a> {
    #[serde(borrow)]
    time: Text<'a>,
    #[serde(default)]
    usage_bytes: Number,
    #[serde(default)]
    working_set_bytes: Number,
    #[serde(default)]
    rss_bytes: Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawNetwork<'a> {
    #[serde(borrow)]
    time: Text<'a>,
    #[serde(default)]
    rx_bytes: Number,
    #[serde(default)]
    tx_bytes: Number,
    #[serde(default)]
    rx_errors: Number,
    #[serde(default)]
    tx_errors: Number,
}

/// Turns raw parts into inner ones and counts what was not understood.
#[derive(Debug, Default)]
pub(super) struct Reader {
    odd_count: u64,
}

impl Reader {
    pub(super) fn summary(mut self, raw: Summary<'_>) -> Option<super::Summary> {
        let node = raw.node?;
        let stats = self.stats(String::new(), node.stats);
        let system = self.containers(node.system_containers);
        let mut pods = Vec::new();
        for pod in raw.pods.unwrap_or_default() {
            match self.pod(pod) {
                Some(pod) => pods.push(pod),
                None => self.odd_count += 1,
            }
        }
        let node_name = node.node_name.unwrap_or_default().into_owned();
        Some(super::Summary {
            node_name,
            node: stats,
            system,
            pods,
            odd_count: self.odd_count,
        })
    }

    fn pod(&mut self, raw: Maybe<RawPod<'_>>) -> Option<Pod> {
        let Maybe::Good(raw) = raw else { return None };
        let named = |text: Text<'_>| text.filter(|t| !t.is_empty()).map(Cow::into_owned);
        Some(Pod {
            name: named(raw.pod_ref.name)?,
            namespace: named(raw.pod_ref.namespace)?,
            uid: named(raw.pod_ref.uid)?,
            stats: self.stats(String::new(), raw.stats),
            containers: self.containers(raw.containers),
        })
    }

    fn containers(&mut self, raw: Option<Vec<Maybe<Container<'_>>>>) -> Vec<Stats> {
        let mut containers = Vec::new();
        for container in raw.unwrap_or_default() {
            match container {
                Maybe::Good(Container {
                    name: Some(name),
                    stats,
                }) if !name.is_empty() => {
                    containers.push(self.stats(name.into_owned(), stats));
                }
                _ => self.odd_count += 1,
            }
        }
        containers
    }

    fn stats(&mut self, name: String, raw: RawStats<'_>) -> Stats {
        Stats {
            name,
            start_ms: self.time(raw.start_time.as_deref()),
            cpu: self.cpu(raw.cpu),
            memory: self.memory(raw.memory),
            network: self.network(raw.network),
        }
    }

    fn cpu(&mut self, raw: Option<RawCpu<'_>>) -> Option<Cpu> {
        let raw = raw?;
        let usage_core_nanos = self.number(raw.usage_core_nano_seconds)?;
        Some(Cpu {
            time_ms: self.time(raw.time.as_deref())?,
            usage_core_nanos,
        })
    }

    fn memory(&mut self, raw: Option<RawMemory<'_>>) -> Option<Memory> {
        let raw = raw?;
        let usage_bytes = self.number(raw.usage_bytes);
        let working_set_bytes = self.number(raw.working_set_bytes);
        let rss_bytes = self.number(raw.rss_bytes);
        usage_bytes.or(working_set_bytes).or(rss_bytes)?;
        let time_ms = self.time(raw.time.as_deref())?;
        Some(Memory {
            time_ms,
            usage_bytes,
            working_set_bytes,
            rss_bytes,
        })
    }

    fn network(&mut self, raw: Option<RawNetwork<'_>>) -> Option<Network> {
        let raw = raw?;
        let (rx_bytes, tx_bytes) = (self.number(raw.rx_bytes), self.number(raw.tx_bytes));
        let (rx_errors, tx_errors) = (self.number(raw.rx_errors), self.number(raw.tx_errors));
        rx_bytes.or(tx_bytes).or(rx_errors).or(tx_errors)?;
        let time_ms = self.time(raw.time.as_deref())?;
        Some(Network {
            time_ms,
            rx_bytes,
            tx_bytes,
            rx_errors,
            tx_errors,
        })
    }

    fn number(&mut self, number: Number) -> Option<u64> {
        self.odd_count += u64::from(number == Number::Odd);
        match number {
            Number::Value(value) => Some(value),
            Number::Absent | Number::Odd => None,
        }
    }

    fn time(&mut self, text: Option<&str>) -> Option<u64> {
        let parsed = time::parse_unix_ms(text?);
        self.odd_count += u64::from(parsed.is_none());
        parsed
    }
}
