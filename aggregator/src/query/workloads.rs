//! Workloads: sums over the pods that belong to them now, or did when they went.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_proto::catalogue::{EntityKind, Field, Unit, table};

use super::view::amount;
use super::{MAX_VALUES, Refusal, Sum, View};
use crate::cluster::WorkloadKind;
use crate::store::{Entity, Selector};

/// Which workloads: those that have the words that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadChoice {
    /// What they are; `None` means any.
    pub kind: Option<WorkloadKind>,
    /// Namespace of their pods; empty means any.
    pub namespace: String,
    /// Their name; empty means any.
    pub name: String,
}

/// A workload that has pods in the window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Namespace of its pods.
    pub namespace: Arc<str>,
    /// What it is.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: Arc<str>,
    /// True when it was read off the name of its pods' owner.
    pub derived: bool,
}

/// Workloads with their pods.
#[derive(Debug)]
pub struct Workloads {
    found: Vec<Found>,
    pods: Vec<Entity>,
    // Of each pod: the place of its workload.
    owner_of: Vec<usize>,
}

impl WorkloadChoice {
    /// The field of this name, if workloads have sums of it.
    ///
    /// # Errors
    ///
    /// When there is none, when no pod carries it, and when its sum says nothing.
    pub fn field(name: &str) -> Result<&'static Field, Refusal> {
        let Some(field) = table::by_name(name) else {
            let why = "the metric is not known: the names are in docs/metrics.md";
            return Err(Refusal(why.to_owned()));
        };
        let adds_up = matches!(
            field.unit,
            Unit::CpuNanos | Unit::Bytes | Unit::Count | Unit::Millicores
        );
        let is_of_pods = field.entities.contains(&EntityKind::Pod);
        if is_of_pods && adds_up && field.id != table::POD_PHASE {
            return Ok(field);
        }
        Err(Refusal(format!(
            "workloads have no sum of {name}: ask for a metric of pods that is an amount or a count"
        )))
    }
}

impl Workloads {
    /// Looks up what is chosen, sorted by namespace, kind and name.
    #[must_use]
    pub fn find(view: &View, choice: &WorkloadChoice) -> Self {
        let mut pods = match &*choice.namespace {
            "" => view.entities(&Selector::Pods),
            namespace => view.entities(&Selector::Namespace(namespace)),
        };
        let mut places: BTreeMap<Found, Vec<usize>> = BTreeMap::new();
        for (nth, pod) in pods.iter().enumerate() {
            if let Some(found) = choice.owner(view, pod) {
                places.entry(found).or_default().push(nth);
            }
        }
        let mut owners: Vec<Option<usize>> = vec![None; pods.len()];
        let mut found = Vec::with_capacity(places.len());
        for (one, nths) in places {
            for nth in nths {
                if let Some(owner) = owners.get_mut(nth) {
                    *owner = Some(found.len());
                }
            }
            found.push(one);
        }
        let mut each = owners.iter();
        pods.retain(|_| each.next().is_some_and(Option::is_some));
        Self {
            found,
            pods,
            owner_of: owners.into_iter().flatten().collect(),
        }
    }

    /// What was found.
    #[must_use]
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    /// Of each field, of each workload, the sum over its pods at each tick: of a gauge of its values, of a
    /// counter of its rates in whole units per second, each rounded down.
    ///
    /// # Errors
    ///
    /// When it would be too many values.
    pub fn sums(
        &self,
        view: &View,
        fields: &[&Field],
        ticks_ms: &[u64],
    ) -> Result<Vec<Vec<Sum>>, Refusal> {
        let series = self.found.len().saturating_mul(fields.len());
        if series.saturating_mul(ticks_ms.len()) > MAX_VALUES {
            return Err(Refusal(format!(
                "that is more than {MAX_VALUES} values: shorten it by start and end, or name a namespace or a \
                 workload"
            )));
        }
        let mut sums = vec![vec![Sum::new(ticks_ms.len()); self.found.len()]; fields.len()];
        let pods: Vec<&Entity> = self.pods.iter().collect();
        view.each_of_fields(&pods, fields, ticks_ms, |at, nth, samples| {
            let sums = sums.get_mut(at);
            let sum = sums
                .zip(self.owner_of.get(nth))
                .and_then(|(sums, owner)| sums.get_mut(*owner));
            if let (Some(field), Some(sum)) = (fields.get(at), sum) {
                let amounts = samples.iter();
                sum.add(amounts.map(|sample| sample.and_then(|s| amount(field, s))));
            }
        });
        Ok(sums)
    }
}

impl Workloads {
    /// Of each workload, of each field, the sum at one tick.
    ///
    /// # Errors
    ///
    /// As [`Workloads::sums`].
    pub fn newest(
        &self,
        view: &View,
        fields: &[&Field],
        tick_ms: u64,
    ) -> Result<Vec<Vec<Option<u64>>>, Refusal> {
        let mut newest = vec![Vec::with_capacity(fields.len()); self.found.len()];
        for of_field in self.sums(view, fields, &[tick_ms])? {
            for (values, sum) in newest.iter_mut().zip(of_field) {
                values.extend(sum.totals());
            }
        }
        Ok(newest)
    }
}

impl WorkloadChoice {
    /// The workload of a pod, if it is one of those that are chosen.
    fn owner(&self, view: &View, pod: &Entity) -> Option<Found> {
        let known = view.cluster().known()?;
        let workload = known.workload(&pod.namespace, &pod.name, &pod.pod_uid)?;
        let is_kind = self.kind.is_none_or(|kind| kind == workload.kind);
        let is_named = self.name.is_empty() || *self.name == *workload.name;
        (is_kind && is_named).then(|| Found {
            namespace: Arc::clone(&pod.namespace),
            kind: workload.kind,
            name: workload.name,
            derived: workload.derived,
        })
    }
}
