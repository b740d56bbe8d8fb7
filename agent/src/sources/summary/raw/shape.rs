//! The objects of a summary as they are written: every value may be anything.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::field::{self, Field, Wanted};
use super::{Containers, Pods};

pub(super) type Text<'a> = Field<Cow<'a, str>>;

#[derive(Deserialize)]
pub(in crate::sources::summary) struct Summary<'a> {
    #[serde(borrow)]
    pub(super) node: Option<&'a RawValue>,
    pub(super) pods: Option<Pods>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node<'a> {
    #[serde(borrow)]
    pub(super) node_name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) system_containers: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) start_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) cpu: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) memory: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) network: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawPod<'a> {
    #[serde(borrow)]
    pub(super) pod_ref: Field<PodRef<'a>>,
    pub(super) containers: Field<Containers>,
    #[serde(borrow)]
    pub(super) start_time: Text<'a>,
    #[serde(borrow)]
    pub(super) cpu: Field<RawCpu<'a>>,
    #[serde(borrow)]
    pub(super) memory: Field<RawMemory<'a>>,
    #[serde(borrow)]
    pub(super) network: Field<RawNetwork<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PodRef<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow)]
    pub(super) uid: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) start_time: Text<'a>,
    #[serde(borrow)]
    pub(super) cpu: Field<RawCpu<'a>>,
    #[serde(borrow)]
    pub(super) memory: Field<RawMemory<'a>>,
    #[serde(borrow)]
    pub(super) network: Field<RawNetwork<'a>>,
}

/// The values that a node, pod and container have in common.
#[derive(Default)]
pub(super) struct RawStats<'a> {
    pub(super) start_time: Text<'a>,
    pub(super) cpu: Field<RawCpu<'a>>,
    pub(super) memory: Field<RawMemory<'a>>,
    pub(super) network: Field<RawNetwork<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawCpu<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) usage_core_nano_seconds: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawMemory<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) usage_bytes: Field<u64>,
    pub(super) working_set_bytes: Field<u64>,
    pub(super) rss_bytes: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawNetwork<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) rx_bytes: Field<u64>,
    pub(super) tx_bytes: Field<u64>,
    pub(super) rx_errors: Field<u64>,
    pub(super) tx_errors: Field<u64>,
}

field::objects!(PodRef, Container, RawCpu, RawMemory, RawNetwork);
