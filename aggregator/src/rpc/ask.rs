//! What a request means.

use cairn_proto::catalogue::{EntityKind, Field};
use cairn_proto::v1;
use tonic::Status;

use crate::query::{Bounds, Choice, Refusal, WorkloadChoice};

/// Fields of one request.
const MAX_FIELDS: usize = 16;

/// What is chosen; without a selector every pod.
pub(super) fn choice(selector: Option<v1::Selector>) -> Result<Choice, Status> {
    let v1::Selector {
        kind,
        node,
        namespace,
        pod,
        container,
    } = selector.unwrap_or_default();
    let kind = match v1::EntityKind::try_from(kind) {
        Ok(v1::EntityKind::Unspecified | v1::EntityKind::Pod) => EntityKind::Pod,
        Ok(v1::EntityKind::Node) => EntityKind::Node,
        Ok(v1::EntityKind::System) => EntityKind::System,
        Ok(v1::EntityKind::Container) => EntityKind::Container,
        _ => {
            let why = "kind is one of nodes, system containers, pods and containers";
            return Err(Status::invalid_argument(why));
        }
    };
    Ok(Choice {
        kind: Some(kind),
        node,
        namespace,
        pod,
        container,
    })
}

/// The fields of these names.
pub(super) fn fields(choice: &Choice, names: &[String]) -> Result<Vec<&'static Field>, Status> {
    if names.is_empty() || names.len() > MAX_FIELDS {
        let why = format!("name 1 to {MAX_FIELDS} fields; docs/metrics.md has them");
        return Err(Status::invalid_argument(why));
    }
    let fields = names.iter().map(|name| choice.field(name).map_err(refused));
    fields.collect()
}

/// The fields of these names, of which workloads have sums; there may be none.
pub(super) fn summed(names: &[String]) -> Result<Vec<&'static Field>, Status> {
    if names.len() > MAX_FIELDS {
        let why = format!("name up to {MAX_FIELDS} fields; docs/metrics.md has them");
        return Err(Status::invalid_argument(why));
    }
    let fields = names.iter().map(|name| WorkloadChoice::field(name));
    fields.collect::<Result<_, _>>().map_err(refused)
}

/// The bounds of a range, of which 0 is none.
pub(super) fn bounds(start_ms: u64, end_ms: u64) -> Bounds {
    Bounds {
        start_ms,
        end_ms: if end_ms == 0 { u64::MAX } else { end_ms },
    }
}

pub(super) fn refused(refusal: Refusal) -> Status {
    Status::invalid_argument(refusal.0)
}
