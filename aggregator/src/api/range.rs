//! One field over a range of ticks, of many entities, as Cairn's own JSON.
//!
//! The same series as those of the gRPC service, made while they are read.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use cairn_proto::catalogue::{EntityKind, Kind};
use futures_util::StreamExt as _;
use http::StatusCode;
use serde::Serialize;

use super::{Api, Asked, answer, model, path};
use crate::query::{Choice, Range, Sample};
use crate::store::Entity;

#[derive(Serialize)]
struct Head<'a> {
    metric: &'static str,
    unit: &'static str,
    rate: bool,
    interval_ms: u64,
    ticks: &'a [u64],
}

#[derive(Serialize)]
struct Series<'a, V: Serialize> {
    kind: &'static str,
    node: &'a str,
    namespace: &'a str,
    pod: &'a str,
    pod_uid: &'a str,
    container: &'a str,
    values: V,
}

/// A range on its way to its reader.
struct Writing {
    range: Range,
    rate: bool,
    interval_ms: u64,
    is_first: bool,
    is_begun: bool,
    is_over: bool,
}

/// Answers a request for `/api/cairn/v1/range`.
pub(super) async fn answer(api: Api, asked: Asked) -> Response {
    if let Some(refusal) = answer::not_get(&asked.method) {
        return refusal;
    }
    let Some(seat) = api.seat() else {
        return answer::busy();
    };
    let making = api.clone();
    let writing = api.in_turn(move || begin(&making, &asked)).await;
    let writing = match writing {
        Ok(Ok(writing)) => writing,
        Ok(Err(refusal)) => return *refusal,
        Err(_) => return answer::busy(),
    };
    let steps = api.steps(seat, writing, Writing::step);
    answer::build(
        StatusCode::OK,
        answer::JSON,
        Body::from_stream(steps.boxed()),
    )
}

fn begin(api: &Api, asked: &Asked) -> Result<Writing, Box<Response>> {
    let bad = |why: String| Box::new(answer::text(StatusCode::BAD_REQUEST, why));
    let query = asked.uri.query();
    let bounds = model::wanted(query)?.bounds;
    let word = |name| path::parameter(query, name).unwrap_or_default();
    let metric = path::parameter(query, "metric")
        .ok_or_else(|| bad("metric is missing: the names are in docs/metrics.md".to_owned()))?;
    let rate = match &*word("rate") {
        "" | "false" => false,
        "true" => true,
        _ => return Err(bad("rate is true or false".to_owned())),
    };
    let mut choice = Choice {
        kind: None,
        node: word("node"),
        namespace: word("namespace"),
        pod: word("pod"),
        container: word("container"),
    };
    choice.kind = kind(&choice, &word("kind")).map_err(bad)?;
    let range = Range::new(api.view(), &choice, &metric, bounds).map_err(|e| bad(e.0))?;
    if rate && range.field().kind == Kind::Gauge {
        return Err(bad(format!("{metric} is a gauge and has no rate")));
    }
    Ok(Writing {
        range,
        rate,
        interval_ms: api.interval_ms,
        is_first: true,
        is_begun: false,
        is_over: false,
    })
}

/// The kind that is named, or the one that the other words are about.
fn kind(choice: &Choice, named: &str) -> Result<Option<EntityKind>, String> {
    match named {
        "node" => Ok(Some(EntityKind::Node)),
        "system" => Ok(Some(EntityKind::System)),
        "pod" => Ok(Some(EntityKind::Pod)),
        "container" => Ok(Some(EntityKind::Container)),
        "" if !choice.container.is_empty() => Ok(Some(EntityKind::Container)),
        "" => Ok(None),
        _ => Err("kind is node, system, pod or container".to_owned()),
    }
}

impl Writing {
    /// The next piece of the text.
    fn step(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let mut text = Vec::new();
        if !self.is_begun {
            self.is_begun = true;
            self.head(&mut text);
        }
        self.is_over = !self.series(&mut text);
        if self.is_over {
            text.extend_from_slice(b"]}\n");
        }
        Some(text.into())
    }

    fn head(&self, text: &mut Vec<u8>) {
        let head = Head {
            metric: self.range.field().name,
            unit: self.range.field().unit.as_str(),
            rate: self.rate,
            interval_ms: self.interval_ms,
            ticks: self.range.ticks_ms(),
        };
        put(text, &head);
        // The series come where the object would end.
        text.pop();
        text.extend_from_slice(b",\"series\":[");
    }

    fn series(&mut self, text: &mut Vec<u8>) -> bool {
        let (rate, count) = (self.rate, self.range.ticks_ms().len());
        let is_first = &mut self.is_first;
        self.range.batch(|entity, samples| {
            if !std::mem::take(is_first) {
                text.push(b',');
            }
            if rate {
                let rate = |s: Sample| s.rate.map(|rate| rate.per_second());
                put_series(text, entity, whole(samples, count, rate));
            } else {
                put_series(text, entity, whole(samples, count, |s| Some(s.value)));
            }
        })
    }
}

/// A value for each tick; `null` where there is none.
fn whole<V>(
    samples: &[Option<Sample>],
    count: usize,
    of: impl Fn(Sample) -> Option<V>,
) -> Vec<Option<V>> {
    let values = samples.iter().map(|sample| sample.and_then(&of));
    let rest = std::iter::repeat_with(|| None);
    values.chain(rest).take(count).collect()
}

fn put_series<V: Serialize>(text: &mut Vec<u8>, entity: &Entity, values: Vec<Option<V>>) {
    let (pod, container) = match entity.kind {
        EntityKind::Pod => (&*entity.name, ""),
        EntityKind::Node => ("", ""),
        _ => (&*entity.pod, &*entity.name),
    };
    let series = Series {
        kind: entity.kind.as_str(),
        node: &entity.node,
        namespace: &entity.namespace,
        pod,
        pod_uid: &entity.pod_uid,
        container,
        values,
    };
    put(text, &series);
}

/// Memory does not fail, and the keys are text: there is nothing to go wrong.
fn put(text: &mut Vec<u8>, value: &impl Serialize) {
    drop(serde_json::to_writer(text, value));
}
