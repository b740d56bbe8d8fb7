//! What the dump may hold, for programs that read it.

use cairn_proto::catalogue::{EntityKind, FIELDS, Field, HEAPSTER_UPTIME, Kind, Unit};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Schema {
    metrics: Vec<Metric>,
    common_labels: &'static [Label],
    pod_labels: &'static [Label],
}

#[derive(Serialize)]
struct Metric {
    name: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "<[Label]>::is_empty")]
    labels: &'static [Label],
    #[serde(rename = "type")]
    kind: &'static str,
    value_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<&'static str>,
}

#[derive(Serialize)]
struct Label {
    key: &'static str,
    description: &'static str,
}

const fn label(key: &'static str, description: &'static str) -> Label {
    Label { key, description }
}

const COMMON_LABELS: &[Label] = &[
    label("nodename", "name of the node that it is on"),
    label("hostname", "host name of that node"),
    label(
        "host_id",
        "what the provider calls that node; empty when not known",
    ),
    label(
        "container_name",
        "name of the container; machine for a node, /pod for a pod as a whole",
    ),
    label(
        "container_base_image",
        "image that the container runs; empty when not known",
    ),
];

const POD_LABELS: &[Label] = &[
    label("pod_name", "name of the pod"),
    label("pod_id", "UID of the pod"),
    label(
        "namespace_id",
        "UID of the pod's namespace; empty when not known",
    ),
    label("labels", "labels of the pod or node, as one text"),
];

/// What tells the file systems of a thing apart.
const STORAGE_LABELS: &[Label] = &[label(
    "resource_id",
    "which one of several: a mount point, logs or a volume",
)];

/// What tells the accelerators of a thing apart.
const ACCELERATOR_LABELS: &[Label] = &[
    label("make", "who made the accelerator"),
    label("model", "which model it is"),
    label("accelerator_id", "which one of several"),
];

/// Every metric of the catalogue that the dump may hold.
pub(super) fn schema() -> Schema {
    let mut metrics: Vec<Metric> = vec![Metric {
        name: HEAPSTER_UPTIME,
        description: "time since the thing began",
        labels: &[],
        kind: "cumulative",
        value_type: "int64",
        units: Some("ms"),
    }];
    for field in FIELDS.iter().filter(super::is_exported) {
        let Some(name) = field.heapster else { continue };
        // Two fields of one name are one metric of different things.
        if metrics.iter().all(|known| known.name != name) {
            metrics.push(metric(field, name));
        }
    }
    Schema {
        metrics,
        common_labels: COMMON_LABELS,
        pod_labels: POD_LABELS,
    }
}

fn metric(field: &Field, name: &'static str) -> Metric {
    Metric {
        name,
        description: field.help,
        labels: labels(field),
        kind: match field.kind {
            Kind::Counter => "cumulative",
            Kind::Gauge => "gauge",
        },
        value_type: "int64",
        units: match field.unit {
            Unit::Bytes => Some("bytes"),
            Unit::CpuNanos => Some("ns"),
            // Pieces have no unit.
            _ => None,
        },
    }
}

/// The labels of a metric of parts; none of a metric of whole things.
fn labels(field: &Field) -> &'static [Label] {
    match field.entities.first() {
        Some(EntityKind::Filesystem | EntityKind::Volume) => STORAGE_LABELS,
        Some(EntityKind::Accelerator) => ACCELERATOR_LABELS,
        _ => &[],
    }
}
