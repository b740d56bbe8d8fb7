//! The JSON of a summary, and its way into the inner types.
//!
//! Read in one go, element by element: what is not asked for is skipped where it stands, and no
//! body, whatever is in it, is held in another form than as the entities that are taken of it. A
//! pod is cut out as text first, so that one which cannot be read loses itself alone; so are the
//! node's own values.

mod field;

mod reader;

mod shape;

mod storage;

use std::fmt;

use cairn_proto::limits::MAX_ENTITIES;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use self::field::{Field, Wanted};
use self::reader::Reader;
pub(super) use self::shape::Summary;
use self::shape::{Container, Node, RawCgroup, Text};
use super::{Pod, Stats};

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
                    entities += entity_count(&pod);
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

/// How many entities a pod is with all that belongs to it.
fn entity_count(pod: &Pod) -> usize {
    let of = |stats: &Stats| 1 + stats.parts.len();
    of(&pod.stats) + pod.containers.iter().map(of).sum::<usize>()
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
    let mut stats = reader.cgroup(
        String::new(),
        RawCgroup {
            start_time: cut_out(node.start_time),
            cpu: cut_out(node.cpu),
            memory: cut_out(node.memory),
            io: cut_out(node.io),
            swap: cut_out(node.swap),
            averages: true,
        },
    );
    reader.network(&mut stats, cut_out(node.network));
    reader.node_storage(&mut stats, cut_out(node.fs), cut_out(node.runtime));
    reader.rlimit(&mut stats, cut_out(node.rlimit));
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
