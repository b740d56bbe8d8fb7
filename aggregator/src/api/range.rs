//! One field over a range of ticks, of many entities, as Cairn's own JSON.
//!
//! The same series as those of the gRPC service, made while they are read.

use std::iter;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use cairn_proto::catalogue::{EntityKind, Kind};
use futures_util::StreamExt as _;
use http::StatusCode;
use serde::Serialize;

use super::{Api, Asked, answer, model, path};
use crate::query::{Choice, Piece, Range, Sample, Series};
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
struct Written<'a, V: Serialize> {
    kind: &'static str,
    node: &'a str,
    namespace: &'a str,
    pod: &'a str,
    pod_uid: &'a str,
    container: &'a str,
    values: V,
}

/// What is to be written next.
enum Part {
    Head(Writing),
    Series(Writing, Piece),
    End,
}

/// How a range is written.
#[derive(Clone)]
struct Writing {
    range: Range,
    rate: bool,
    interval_ms: u64,
}

/// Answers a request for `/api/cairn/v1/range`.
pub(super) async fn answer(api: Api, asked: Asked) -> Response {
    if let Some(refusal) = answer::not_get(&asked.method) {
        return refusal;
    }
    let seat = match api.seat() {
        Ok(seat) => seat,
        Err(cut) => return answer::cut(cut),
    };
    let making = api.clone();
    let writing = api.in_turn(move || begin(&making, &asked)).await;
    let writing = match writing {
        Ok(Ok(writing)) => writing,
        Ok(Err(refusal)) => return *refusal,
        Err(cut) => return answer::cut(cut),
    };
    let head = iter::once(Part::Head(writing.clone()));
    let pieces = writing.range.pieces();
    let series = pieces.map(move |piece| Part::Series(writing.clone(), piece));
    let parts = head.chain(series).chain(iter::once(Part::End));
    let mut is_first = true;
    let texts = api.made(seat, parts, Part::text).map(move |text| {
        // Every series begins with a comma, and the first of all must not.
        text.map(|text| match text.first() {
            Some(b',') if std::mem::take(&mut is_first) => text.slice(1..),
            _ => text,
        })
    });
    answer::build(
        StatusCode::OK,
        answer::JSON,
        Body::from_stream(texts.boxed()),
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
    let choice = choice(query).map_err(bad)?;
    let range = Range::new(api.view(), &choice, &metric, bounds).map_err(|e| bad(e.0))?;
    if rate && range.field().kind == Kind::Gauge {
        return Err(bad(format!("{metric} is a gauge and has no rate")));
    }
    Ok(Writing {
        range,
        rate,
        interval_ms: api.interval_ms,
    })
}

/// Of which entities a range is.
///
/// # Errors
///
/// When their kind is none.
pub(super) fn choice(query: Option<&str>) -> Result<Choice, String> {
    let word = |name| path::parameter(query, name).unwrap_or_default();
    let mut choice = Choice {
        kind: None,
        node: word("node"),
        namespace: word("namespace"),
        pod: word("pod"),
        container: word("container"),
    };
    choice.kind = kind(&choice, &word("kind"))?;
    Ok(choice)
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
        _ => Err("kind is node, system, pod, container or workload".to_owned()),
    }
}

impl Part {
    fn text(self) -> Bytes {
        match self {
            Part::Head(writing) => writing.head().into(),
            Part::Series(writing, piece) => writing.series(&piece).into(),
            Part::End => Bytes::from_static(b"]}\n"),
        }
    }
}

impl Writing {
    fn head(&self) -> Vec<u8> {
        let head = Head {
            metric: self.range.field().name,
            unit: self.range.field().unit.as_str(),
            rate: self.rate,
            interval_ms: self.interval_ms,
            ticks: self.range.ticks_ms(),
        };
        let mut text = Vec::new();
        put(&mut text, &head);
        // The series come where the object would end.
        text.pop();
        text.extend_from_slice(b",\"series\":[");
        text
    }

    fn series(&self, piece: &Piece) -> Vec<u8> {
        let count = self.range.ticks_ms().len();
        let mut text = Vec::new();
        piece.read(
            |Series {
                 entity, samples, ..
             }| {
                text.push(b',');
                if self.rate {
                    let rate = |s: Sample| s.rate.map(|rate| rate.per_second());
                    put_series(&mut text, entity, whole(samples, count, rate));
                } else {
                    put_series(&mut text, entity, whole(samples, count, |s| Some(s.value)));
                }
            },
        );
        text
    }
}

/// A value for each tick; `null` where there is none.
fn whole<V>(
    samples: &[Option<Sample>],
    count: usize,
    of: impl Fn(Sample) -> Option<V>,
) -> Vec<Option<V>> {
    let values = samples.iter().map(|sample| sample.and_then(&of));
    let rest = iter::repeat_with(|| None);
    values.chain(rest).take(count).collect()
}

fn put_series<V: Serialize>(text: &mut Vec<u8>, entity: &Entity, values: Vec<Option<V>>) {
    let (pod, container) = match entity.kind {
        EntityKind::Pod => (&*entity.name, ""),
        EntityKind::Node => ("", ""),
        _ => (&*entity.pod, &*entity.name),
    };
    let series = Written {
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
