//! The parts of objects, lists and events that are read. Unknown fields are passed over; texts are borrowed
//! where they have no escapes. `null` stands for what is absent, as in everything that Go writes.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(in crate::cluster) struct List<'a> {
    #[serde(borrow, default)]
    pub(in crate::cluster) metadata: ListMetadata<'a>,
    // Each is decoded by itself, so that one that is broken does not take the page with it.
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(in crate::cluster) items: Vec<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct ListMetadata<'a> {
    #[serde(borrow, rename = "resourceVersion")]
    pub(in crate::cluster) resource_version: Cow<'a, str>,
    #[serde(borrow, rename = "continue")]
    pub(in crate::cluster) next: Cow<'a, str>,
}

/// One line of a watch.
#[derive(Debug, Deserialize)]
pub(in crate::cluster) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(in crate::cluster) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(in crate::cluster) object: &'a RawValue,
}

/// What a watch says instead of an object when it fails.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct Failure {
    pub(in crate::cluster) code: u16,
    pub(in crate::cluster) message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Versioned<'a> {
    #[serde(borrow)]
    pub(super) metadata: Named<'a>,
}

/// Who an object is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Named<'a> {
    #[serde(borrow)]
    pub(super) namespace: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) uid: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) resource_version: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NodeObject<'a> {
    #[serde(borrow)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(super) status: NodeStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) capacity: Resources<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) allocatable: Resources<'a>,
    #[serde(deserialize_with = "nullable")]
    pub(super) conditions: IsReady,
}

#[derive(Debug, Deserialize)]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PodObject<'a> {
    #[serde(borrow)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow)]
    pub(super) spec: PodSpec<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(super) status: PodStatus<'a>,
}

/// Of the name nothing is assumed: an object without one is broken.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) namespace: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) uid: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(super) creation_timestamp: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(super) labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(super) annotations: Annotations<'a>,
    #[serde(
        borrow,
        default,
        rename = "ownerReferences",
        deserialize_with = "nullable"
    )]
    pub(super) owners: Vec<Owner<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Annotations<'a> {
    #[serde(borrow, rename = "kubernetes.io/config.mirror")]
    pub(super) mirror: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Owner<'a> {
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(default)]
    pub(super) controller: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec<'a> {
    #[serde(borrow)]
    pub(super) node_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) service_account_name: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) containers: Vec<ContainerSpec<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) init_containers: Vec<ContainerSpec<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) ephemeral_containers: Vec<ContainerSpec<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerSpec<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) restart_policy: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(super) resources: Requirements<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct Requirements<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(in crate::cluster) requests: Resources<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(in crate::cluster) limits: Resources<'a>,
}

/// Amounts by the names of their resources. Each is taken as it stands there, so that one that is no text
/// does not take the object with it.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::cluster) struct Resources<'a>(#[serde(borrow)] BTreeMap<Word<'a>, &'a RawValue>);

/// A text that is borrowed where it can be.
#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

impl Borrow<str> for Word<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Resources<'_> {
    /// Names of the resources, sorted.
    pub(in crate::cluster) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &*name.0)
    }

    /// The amount of a resource, as it is written; `None` where it is not set.
    pub(in crate::cluster) fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?.get();
        let quoted = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        (text != "null").then(|| quoted.unwrap_or(text))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodStatus<'a> {
    #[serde(borrow)]
    pub(super) phase: Cow<'a, str>,
    #[serde(deserialize_with = "nullable")]
    pub(super) conditions: IsReady,
    #[serde(borrow, rename = "containerStatuses", deserialize_with = "nullable")]
    pub(super) containers: Vec<ContainerStatus<'a>>,
    #[serde(
        borrow,
        rename = "initContainerStatuses",
        deserialize_with = "nullable"
    )]
    pub(super) init_containers: Vec<ContainerStatus<'a>>,
}

/// Conditions, of which only one is looked at: whether `Ready` is true. None of them is kept meanwhile.
#[derive(Debug, Default)]
pub(super) struct IsReady(pub(super) bool);

impl<'de> Deserialize<'de> for IsReady {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Conditions)
    }
}

struct Conditions;

impl<'de> Visitor<'de> for Conditions {
    type Value = IsReady;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of conditions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut of: A) -> Result<IsReady, A::Error> {
        let mut is_ready = false;
        while let Some(condition) = of.next_element::<Condition<'de>>()? {
            is_ready |= condition.kind == "Ready" && condition.status == "True";
        }
        Ok(IsReady(is_ready))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerStatus<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    // Absent until it was begun.
    #[serde(borrow, default, rename = "containerID")]
    pub(super) container_id: Cow<'a, str>,
    #[serde(default)]
    pub(super) restart_count: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) state: State,
}

/// What a container does: what is said of it is passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) running: Option<IgnoredAny>,
    pub(super) terminated: Option<IgnoredAny>,
    pub(super) waiting: Option<IgnoredAny>,
}

/// Takes `null` for the default.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
