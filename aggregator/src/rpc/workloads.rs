//! What pods belong to, with sums over them.

use cairn_proto::catalogue::{Field, table};
use cairn_proto::v1;
use futures_util::StreamExt as _;
use tonic::Status;

use super::{Answers, ask, status};
use crate::api::{Api, workloads};
use crate::query::{Refusal, WorkloadChoice, WorkloadKind, Workloads};

/// Workloads of one answer.
const BATCH: usize = 1_000;

pub(super) async fn list(
    api: &Api,
    request: v1::ListWorkloadsRequest,
) -> Result<Answers<v1::ListWorkloadsResponse>, Status> {
    let fields = ask::summed(&request.fields)?;
    let choice = WorkloadChoice {
        kind: kind(request.kind)?,
        namespace: request.namespace,
        name: request.name,
    };
    if !api.cluster.is_watched() {
        let why = workloads::reason(&api.cluster).unwrap_or_default();
        return Err(Status::failed_precondition(why));
    }
    let seat = api.seat().map_err(status)?;
    let asked = api.clone();
    let listed = api.in_turn(move || batches(&asked, &choice, &fields));
    let batches = listed.await.map_err(status)?.map_err(ask::refused)?;
    let made = api.made(seat, batches.into_iter(), |batch| batch);
    Ok(made.map(|made| made.map_err(status)).boxed())
}

fn batches(
    api: &Api,
    choice: &WorkloadChoice,
    fields: &[&'static Field],
) -> Result<Vec<v1::ListWorkloadsResponse>, Refusal> {
    let view = api.view();
    let found = Workloads::find(&view, choice);
    let tick_ms = view.published_ms();
    let count = table::field(table::POD_COUNT);
    let read: Vec<&Field> = count.into_iter().chain(fields.iter().copied()).collect();
    let mut sums = found.newest(&view, &read, tick_ms)?.into_iter();
    let workloads = found.found().iter().filter_map(|one| {
        let mut values = sums.next()?.into_iter();
        let pods = values.next().flatten()?;
        Some(v1::Workload {
            kind: said(one.kind).into(),
            namespace: one.namespace.to_string(),
            name: one.name.to_string(),
            derived: one.derived,
            pods: u32::try_from(pods).unwrap_or(u32::MAX),
            sums: values.map(|value| v1::WorkloadSum { value }).collect(),
        })
    });
    let workloads: Vec<v1::Workload> = workloads.collect();
    let batch = |workloads: &[v1::Workload]| v1::ListWorkloadsResponse {
        tick_ms,
        nodes_missing: u32::try_from(view.nodes_missing()).unwrap_or(u32::MAX),
        workloads: workloads.to_vec(),
        complete: workloads::reason(&api.cluster).is_none(),
    };
    if workloads.is_empty() {
        return Ok(vec![batch(&[])]);
    }
    Ok(workloads.chunks(BATCH).map(batch).collect())
}

fn kind(asked: i32) -> Result<Option<WorkloadKind>, Status> {
    let asked = v1::WorkloadKind::try_from(asked);
    if asked == Ok(v1::WorkloadKind::Unspecified) {
        return Ok(None);
    }
    let mut all = WorkloadKind::ALL.into_iter();
    let found = all.find(|kind| Ok(said(*kind)) == asked);
    let unknown = || Status::invalid_argument("kind is none of WorkloadKind's");
    found.map(Some).ok_or_else(unknown)
}

fn said(kind: WorkloadKind) -> v1::WorkloadKind {
    match kind {
        WorkloadKind::CronJob => v1::WorkloadKind::CronJob,
        WorkloadKind::DaemonSet => v1::WorkloadKind::DaemonSet,
        WorkloadKind::Deployment => v1::WorkloadKind::Deployment,
        WorkloadKind::Job => v1::WorkloadKind::Job,
        WorkloadKind::ReplicaSet => v1::WorkloadKind::ReplicaSet,
        WorkloadKind::ReplicationController => v1::WorkloadKind::ReplicationController,
        WorkloadKind::StatefulSet => v1::WorkloadKind::StatefulSet,
    }
}
