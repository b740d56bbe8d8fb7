//! What there is, and what it says now.

use std::ops::Range;
use std::sync::Arc;

use cairn_proto::catalogue::{Field, Kind};
use cairn_proto::v1;
use futures_util::StreamExt as _;
use tonic::Status;

use super::{Answers, ask, say, status};
use crate::api::Api;
use crate::query::{MAX_VALUES, Newest, Sample, View, highest, newest_values};
use crate::store::Entity;

/// Entities of one answer.
const BATCH_ENTITIES: usize = 1_000;

/// Entries of a top, and how many when none are asked for.
const MAX_TOP: u32 = 1_000;
const USUAL_TOP: u32 = 10;

/// Entities on their way to their reader, by node where their values are asked for.
struct Listing {
    view: View,
    entities: Vec<Entity>,
    fields: Vec<&'static Field>,
}

/// Some of them.
struct Batch {
    of: Arc<Listing>,
    places: Range<usize>,
}

pub(super) async fn entities(
    api: &Api,
    request: v1::ListEntitiesRequest,
) -> Result<Answers<v1::ListEntitiesResponse>, Status> {
    let choice = ask::choice(request.selector)?;
    let seat = api.seat().map_err(status)?;
    let (view, all) = (api.view(), request.all);
    let listing = api.in_turn(move || {
        let mut entities = choice.find(&view);
        if all {
            // Whether each is there is told with it.
            view.settle(&entities);
        } else {
            view.retain_current(&mut entities);
        }
        Listing {
            view,
            entities,
            fields: Vec::new(),
        }
    });
    let listing = listing.await.map_err(status)?;
    let made = api.made(seat, listing.pieces(), Batch::names);
    Ok(made.map(|made| made.map_err(status)).boxed())
}

pub(super) async fn latest(
    api: &Api,
    request: v1::LatestRequest,
) -> Result<Answers<v1::LatestResponse>, Status> {
    let choice = ask::choice(request.selector)?;
    let fields = ask::fields(&choice, &request.fields)?;
    let seat = api.seat().map_err(status)?;
    let view = api.view();
    let listing = api.in_turn(move || {
        let mut entities = choice.find(&view);
        view.retain_current(&mut entities);
        entities.sort_by(|a, b| a.node.cmp(&b.node));
        Listing {
            view,
            entities,
            fields,
        }
    });
    let listing = listing.await.map_err(status)?;
    if listing.entities.len() * listing.fields.len() > MAX_VALUES {
        let why = format!("that is more than {MAX_VALUES} values: name a namespace or a node");
        return Err(Status::resource_exhausted(why));
    }
    let made = api.made(seat, listing.pieces(), Batch::values);
    Ok(made.map(|made| made.map_err(status)).boxed())
}

pub(super) async fn top(api: &Api, request: v1::TopRequest) -> Result<v1::TopResponse, Status> {
    let choice = ask::choice(request.selector)?;
    let field = choice.field(&request.field).map_err(ask::refused)?;
    let limit = match request.limit {
        0 => USUAL_TOP,
        limit @ 1..=MAX_TOP => limit,
        _ => {
            let why = format!("limit is 1 to {MAX_TOP}, or 0 for {USUAL_TOP}");
            return Err(Status::invalid_argument(why));
        }
    };
    let view = api.view();
    let top = api.in_turn(move || {
        let mut entities = choice.find(&view);
        view.retain_current(&mut entities);
        let asked: Vec<&Entity> = entities.iter().collect();
        let highest = highest(&view, &asked, field, limit as usize);
        let entry = |(nth, value): (usize, f64)| {
            let entity = say::entity(&view, asked.get(nth)?);
            Some(v1::TopEntry {
                entity: Some(entity),
                value,
            })
        };
        v1::TopResponse {
            tick_ms: view.published_ms(),
            nodes_missing: u32::try_from(view.nodes_missing()).unwrap_or(u32::MAX),
            entries: highest.into_iter().filter_map(entry).collect(),
        }
    });
    top.await.map_err(status)
}

impl Listing {
    fn pieces(self) -> impl Iterator<Item = Batch> + Send {
        let of = Arc::new(self);
        let starts = (0..of.entities.len()).step_by(BATCH_ENTITIES);
        starts.map(move |start| {
            let end = (start + BATCH_ENTITIES).min(of.entities.len());
            let (of, places) = (Arc::clone(&of), start..end);
            Batch { of, places }
        })
    }
}

impl Batch {
    fn entities(&self) -> &[Entity] {
        let all = &self.of.entities;
        all.get(self.places.clone()).unwrap_or_default()
    }

    fn names(self) -> v1::ListEntitiesResponse {
        let names = self
            .entities()
            .iter()
            .map(|e| say::entity(&self.of.view, e));
        v1::ListEntitiesResponse {
            entities: names.collect(),
        }
    }

    fn values(self) -> v1::LatestResponse {
        let Listing { view, fields, .. } = &*self.of;
        let mut entities = Vec::new();
        for of_node in self.entities().chunk_by(|a, b| a.node == b.node) {
            let asked: Vec<&Entity> = of_node.iter().collect();
            for newest in newest_values(view, &asked, fields) {
                let entity = asked.get(newest.nth).map(|e| say::entity(view, e));
                entities.push(values(entity, &newest, fields));
            }
        }
        v1::LatestResponse { entities }
    }
}

fn values(
    entity: Option<v1::Entity>,
    newest: &Newest,
    fields: &[&'static Field],
) -> v1::LatestValues {
    let value = |(field, sample): (&&Field, &Option<Sample>)| {
        let rate = sample.and_then(|s| s.rate);
        v1::LatestValue {
            value: sample.map(|s| s.value),
            rate: rate
                .filter(|_| field.kind == Kind::Counter)
                .map(|rate| rate.per_second()),
        }
    };
    v1::LatestValues {
        entity,
        tick_ms: newest.tick_ms,
        values: fields.iter().zip(&newest.samples).map(value).collect(),
    }
}
