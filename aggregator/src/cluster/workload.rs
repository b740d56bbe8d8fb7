//! Which workload a pod belongs to.
//!
//! Pods alone are watched, so what owns their owners is read off names: a `Deployment` names its `ReplicaSet`s
//! after itself and the hash of the pods' template, a `CronJob` its `Job`s after itself and the minute that they
//! were due.

use std::fmt;
use std::sync::Arc;

use super::Pod;

/// The label in which a Deployment puts the hash of its pods' template.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// How long before a pod was made its Job may have been due, minutes: a week. A number in a Job's name that is
/// further away is no minute, but a date or a count of somebody's.
const DUE_BEFORE_MIN: u64 = 7 * 24 * 60;

/// How long after that: clocks differ.
const DUE_AFTER_MIN: u64 = 10;

/// What keeps pods running, or runs them to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// Runs jobs at given times.
    CronJob,
    /// One pod on each node.
    DaemonSet,
    /// Pods that can take each other's place, and a way from one version to the next.
    Deployment,
    /// Pods that run to their end.
    Job,
    /// Pods that can take each other's place; of no Deployment.
    ReplicaSet,
    /// The same, as it was once.
    ReplicationController,
    /// Pods with names that stay.
    StatefulSet,
}

impl WorkloadKind {
    /// All of them, by name.
    pub const ALL: [Self; 7] = [
        Self::CronJob,
        Self::DaemonSet,
        Self::Deployment,
        Self::Job,
        Self::ReplicaSet,
        Self::ReplicationController,
        Self::StatefulSet,
    ];

    /// What Kubernetes calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CronJob => "CronJob",
            Self::DaemonSet => "DaemonSet",
            Self::Deployment => "Deployment",
            Self::Job => "Job",
            Self::ReplicaSet => "ReplicaSet",
            Self::ReplicationController => "ReplicationController",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// The kind of this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A workload, within the namespace of its pods.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload {
    /// What it is.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: Arc<str>,
    /// True when it was read off the name of the pod's owner, false when it is that owner.
    pub derived: bool,
}

impl Pod {
    /// The workload that it belongs to; `None` of a pod without a controller, or with one of another kind,
    /// such as the node of a static pod.
    #[must_use]
    pub fn workload(&self) -> Option<Workload> {
        let owner = self.owner.as_deref()?;
        let kind = WorkloadKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == &*owner.kind)?;
        let above = match kind {
            WorkloadKind::ReplicaSet => self
                .deployment(&owner.name)
                .map(|name| (WorkloadKind::Deployment, name)),
            WorkloadKind::Job => self
                .cron_job(&owner.name)
                .map(|name| (WorkloadKind::CronJob, name)),
            _ => None,
        };
        let own = (kind, &*owner.name);
        let derived = above.is_some();
        let (kind, name) = above.unwrap_or(own);
        Some(Workload {
            kind,
            name: name.into(),
            derived,
        })
    }

    /// `web` of the `ReplicaSet` `web-7d4b9c`, when the pod is labelled with the hash `7d4b9c`.
    fn deployment<'a>(&self, replica_set: &'a str) -> Option<&'a str> {
        let (name, hash) = replica_set.rsplit_once('-')?;
        let mut labels = self.labels.iter();
        let (_, value) = labels.find(|(label, _)| **label == *TEMPLATE_HASH)?;
        (!name.is_empty() && **value == *hash).then_some(name)
    }

    /// `backup` of the Job `backup-29385600`, when that many minutes after 1970 were not long before the pod.
    fn cron_job<'a>(&self, job: &'a str) -> Option<&'a str> {
        let (name, minute) = job.rsplit_once('-')?;
        if name.is_empty() || !minute.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let due: u64 = minute.parse().ok()?;
        let made = self.created_ms / 60_000;
        let span = made.saturating_sub(DUE_BEFORE_MIN)..=made + DUE_AFTER_MIN;
        span.contains(&due).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Owner;

    /// 2026-11-22T07:27:16Z, minute 29,922,207 since 1970.
    const MADE_MS: u64 = 1_795_332_436_000;

    fn owned(kind: &str, name: &str, hash: &str) -> Pod {
        let labels = [("app", "x"), (TEMPLATE_HASH, hash)];
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
        Pod {
            owner: Some(Arc::new(Owner {
                kind: kind.into(),
                name: name.into(),
            })),
            labels: labels.map(|(k, v)| (k.into(), v.into())).collect(),
            created_ms: MADE_MS,
            ..Pod::default()
        }
    }

    fn said(pod: &Pod) -> Option<(&'static str, String, bool)> {
        let workload = pod.workload()?;
        Some((
            workload.kind.as_str(),
            workload.name.to_string(),
            workload.derived,
        ))
    }

    #[test]
    fn a_replica_set_that_is_named_by_its_hash_is_a_deployments() {
        let of = |name, hash| said(&owned("ReplicaSet", name, hash));
        let deployment = |name: &str| Some(("Deployment", name.to_owned(), true));
        let itself = |name: &str| Some(("ReplicaSet", name.to_owned(), false));
        assert_eq!(of("web-7d4b9c", "7d4b9c"), deployment("web"));
        assert_eq!(of("web-v2-7d4b9c", "7d4b9c"), deployment("web-v2"));
        for (name, hash) in [
            ("web-7d4b9c", ""),
            ("web-7d4b9c", "7d4"),
            ("web", "web"),
            ("-7d4", "7d4"),
        ] {
            assert_eq!(of(name, hash), itself(name), "{name} {hash}");
        }
    }

    #[test]
    fn a_job_that_is_named_by_its_minute_is_a_cron_jobs() {
        let of = |name: &str| said(&owned("Job", name, ""));
        let cron_job = |name: &str| Some(("CronJob", name.to_owned(), true));
        let itself = |name: &str| Some(("Job", name.to_owned(), false));
        for due in ["29922207", "29922217", "29912127"] {
            assert_eq!(of(&format!("backup-{due}")), cron_job("backup"), "{due}");
        }
        // A date, a count, seconds, later and longer ago than a Job can be due, and no number at all.
        for other in [
            "20261122",
            "7",
            "1795332436",
            "29922218",
            "29912126",
            "+29922207",
            "x",
            "",
        ] {
            let name = format!("backup-{other}");
            assert_eq!(of(&name), itself(&name), "{name}");
        }
        assert_eq!(of("-29922207"), itself("-29922207"));
    }

    #[test]
    fn others_are_what_they_say_and_a_node_is_no_workload() {
        let of = |kind: &'static str| said(&owned(kind, "x-1", "1")).map(|s| (s.0, s.2));
        for kind in ["StatefulSet", "DaemonSet", "ReplicationController"] {
            assert_eq!(of(kind), Some((kind, false)));
        }
        for kind in ["Node", "CloneSet", "statefulset", ""] {
            assert_eq!(of(kind), None, "{kind}");
        }
        assert_eq!(said(&Pod::default()), None);
        assert_eq!(
            WorkloadKind::named("statefulset"),
            Some(WorkloadKind::StatefulSet)
        );
        assert_eq!(WorkloadKind::named("node"), None);
        assert!(WorkloadKind::ALL.map(WorkloadKind::as_str).is_sorted());
    }
}
