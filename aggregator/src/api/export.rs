//! The dump: everything that is there at the newest tick, in one answer.
//!
//! Only what was measured, and what CPU and memory may be used: neither rates nor sums nor what follows from
//! objects, which a reader can make of it or read there.

mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use cairn_proto::catalogue::{FIELDS, Field, HEAPSTER_UPTIME, Kind, Origin, table};
use serde::Serialize;

use super::known_labels::KnownLabels;
use super::label_rules::Labels;
use super::moment::{Moment, PartsOf, of_pod};
use super::path::Segments;
use super::series::heapster_labels;
use super::{Api, Asked, answer, system_name, time};
use crate::query::Sample;
use crate::store::{Entity, Selector};

/// What a node is called among containers.
const MACHINE: &str = "machine";

/// What a pod as a whole is called among its containers.
const WHOLE_POD: &str = "/pod";

#[derive(Debug, Serialize)]
struct Exported {
    metrics: BTreeMap<&'static str, Vec<Point>>,
    labels: Labels,
}

#[derive(Debug, PartialEq, Serialize)]
struct Point {
    start: String,
    end: String,
    // Of a part, such as one file system of several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: Labels,
    value: u64,
}

/// Answers `/api/v1/metric-export` and `/api/v1/metric-export-schema`.
pub(super) fn answer(api: &Api, asked: &Asked, segments: &Segments) -> Response {
    let readings = segments.readings();
    let name = readings.iter().find_map(|reading| match **reading {
        ["api", "v1", name] => Some(name),
        _ => None,
    });
    let is_schema = match name {
        Some("metric-export") => false,
        Some("metric-export-schema") => true,
        _ => return answer::no_page(),
    };
    if let Some(refusal) = answer::not_for_json_get(asked) {
        return refusal;
    }
    if is_schema {
        return answer::pretty(&schema::schema());
    }
    let view = api.view();
    if view.is_empty() {
        // Go writes a batch that never came as null.
        return answer::compact(&None::<Exported>);
    }
    let moment = Moment::newest(&view);
    answer::compact(&Export::new(api, &moment).all())
}

/// One dump in the making.
struct Export<'a> {
    api: &'a Api,
    moment: &'a Moment<'a>,
    parts: PartsOf,
    tick: String,
}

impl<'a> Export<'a> {
    fn new(api: &'a Api, moment: &'a Moment<'a>) -> Self {
        Self {
            api,
            moment,
            parts: moment.parts(),
            tick: time::format(moment.tick_ms),
        }
    }

    fn all(&self) -> Vec<Exported> {
        let mut all = Vec::new();
        for node in self.moment.entities(&Selector::Nodes) {
            let labels = self.known_labels(&node);
            all.push(self.one(&node, labels, MACHINE));
            for system in self.moment.entities(&Selector::Systems(&node.name)) {
                let name = system_name::shown(&system.name);
                all.push(self.one(&system, Labels::new(), name));
            }
        }
        let mut pods = Vec::new();
        for pod in self.moment.entities(&Selector::Pods) {
            let mut labels = self.known_labels(&pod);
            put(&mut labels, "pod_id", &pod.pod_uid);
            put(&mut labels, "pod_name", &pod.name);
            put(&mut labels, "namespace_id", "");
            all.push(self.one(&pod, labels.clone(), WHOLE_POD));
            put(&mut labels, "container_base_image", "");
            pods.push((of_pod(&pod), labels));
        }
        let containers = self.moment.containers(&Selector::AllContainers);
        for (pod, labels) in pods {
            for container in containers.get(&pod).into_iter().flatten() {
                all.push(self.one(container, labels.clone(), &container.name));
            }
        }
        all
    }

    fn known_labels(&self, entity: &Entity) -> Labels {
        KnownLabels::of(&self.api.cluster, entity).exported(&self.api.labels)
    }

    /// One thing; labels that every thing has take the place of others of their names.
    fn one(&self, entity: &Entity, mut labels: Labels, name: &str) -> Exported {
        put(&mut labels, "nodename", &entity.node);
        put(&mut labels, "hostname", &entity.node);
        put(&mut labels, "host_id", "");
        put(&mut labels, "container_name", name);
        let mut metrics = BTreeMap::new();
        self.add(&mut metrics, entity, &Labels::new());
        if let Some(value) = self.moment.uptime(entity) {
            let start = time::format(self.moment.tick_ms.saturating_sub(value));
            let uptime = self.point(start, value, &Labels::new());
            metrics.insert(HEAPSTER_UPTIME, vec![uptime]);
        }
        let of = (Arc::clone(&entity.node), entity.path.clone());
        for part in self.parts.get(&of).into_iter().flatten() {
            let labels: Labels = heapster_labels(part).cloned().collect();
            // Parts without labels could not be told apart.
            if !labels.is_empty() {
                self.add(&mut metrics, part, &labels);
            }
        }
        Exported { metrics, labels }
    }

    /// Adds a point for each named value that an entity has.
    fn add(
        &self,
        metrics: &mut BTreeMap<&'static str, Vec<Point>>,
        entity: &Entity,
        labels: &Labels,
    ) {
        let carried = FIELDS.iter().filter(|f| f.entities.contains(&entity.kind));
        for field in carried.filter(is_exported) {
            let Some(name) = field.heapster else { continue };
            let Some(sample) = self.moment.sample(entity, field.id) else {
                continue;
            };
            let start = match field.kind {
                Kind::Counter => self.life(entity, sample),
                Kind::Gauge => self.tick.clone(),
            };
            let point = self.point(start, sample.value, labels);
            metrics.entry(name).or_default().push(point);
        }
    }

    /// When the life began that a value belongs to, which need not be the newest one.
    fn life(&self, entity: &Entity, sample: Sample) -> String {
        let own = sample.start_ms;
        let start_ms = own.unwrap_or_else(|| self.moment.life_ms(entity));
        time::format(self.moment.start_of(entity, start_ms))
    }

    fn point(&self, start: String, value: u64, labels: &Labels) -> Point {
        Point {
            start,
            end: self.tick.clone(),
            labels: labels.clone(),
            value,
        }
    }
}

/// True of what the first server of this route exported.
fn is_exported(field: &&Field) -> bool {
    let is_limit = matches!(field.id, table::CPU_LIMIT | table::MEMORY_LIMIT);
    field.origin == Origin::Measured || is_limit
}

fn put(labels: &mut Labels, name: &str, value: &str) {
    labels.insert(name.to_owned(), value.to_owned());
}

#[cfg(test)]
mod tests;
