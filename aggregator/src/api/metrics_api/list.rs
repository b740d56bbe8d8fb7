//! Lists, made while they are read.
//!
//! A list of all pods is made namespace by namespace, so that it takes no more memory than a few of them,
//! however many there are. Protobuf says first how long it is, so such a list has to be there as a whole; it
//! counts as one of the answers that wait for their readers.

use std::iter;
use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::items::{Finder, Item, Wanted};
use super::{Items, What, Writing, json, meta, of_cut, protobuf};
use crate::api::Api;
use crate::api::room::ROOM_BYTES;
use crate::api::secure::{GROUP_VERSION, How, Media, Shape, Status, compressed, envelope, pieces};

/// Pods of one piece, about: a few hundred kilobytes.
const PIECE_PODS: usize = 500;

/// What is asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) finder: Finder,
    pub(super) wanted: Wanted,
    /// `None` for all.
    pub(super) namespace: Option<String>,
    pub(super) writing: Writing,
}

/// What is to be written next.
enum Part {
    Head(Arc<Asked>),
    Nodes(Arc<Asked>),
    Pods(Arc<Asked>, Vec<Arc<str>>),
    Tail,
}

/// Answers for a list.
pub(super) async fn answer(api: &Api, asked: Asked, how: How) -> Result<Response, Status> {
    let asked = Arc::new(asked);
    if asked.writing.form.media == Media::Protobuf {
        return at_once(api, asked, how).await;
    }
    let seat = api.seat().map_err(of_cut)?;
    let looking = Arc::clone(&asked);
    let batches = api
        .in_turn(move || looking.batches())
        .await
        .map_err(of_cut)?;
    let head = iter::once(Part::Head(Arc::clone(&asked)));
    let items: Vec<Part> = match asked.writing.what {
        What::Nodes => vec![Part::Nodes(asked)],
        What::Pods => batches
            .into_iter()
            .map(|batch| Part::Pods(Arc::clone(&asked), batch))
            .collect(),
    };
    let parts = head.chain(items).chain(iter::once(Part::Tail));
    let mut is_first = true;
    let texts = api.made(seat, parts, Part::text).map(move |text| {
        // Every item begins with a comma, and the first of all must not.
        text.map(|text| match text.first() {
            Some(b',') if std::mem::take(&mut is_first) => text.slice(1..),
            _ => text,
        })
    });
    pieces(texts.boxed(), how).await.map_err(of_cut)
}

impl Asked {
    /// The namespaces of each piece.
    fn batches(&self) -> Vec<Vec<Arc<str>>> {
        if self.writing.what == What::Nodes {
            return Vec::new();
        }
        let namespaces = match &self.namespace {
            Some(namespace) => vec![(Arc::from(namespace.as_str()), 0)],
            None => self.finder.namespaces(),
        };
        let mut batches: Vec<Vec<Arc<str>>> = Vec::new();
        let mut room = 0;
        for (namespace, count) in namespaces {
            match batches.last_mut().filter(|_| count <= room) {
                Some(batch) => batch.push(namespace),
                None => {
                    batches.push(vec![namespace]);
                    room = PIECE_PODS;
                }
            }
            room = room.saturating_sub(count);
        }
        batches
    }

    fn items(&self) -> Items {
        let items: Vec<Item> = match self.writing.what {
            What::Nodes => self.finder.nodes(&self.wanted),
            What::Pods => {
                let batches = self.batches().into_iter().flatten();
                batches
                    .flat_map(|namespace| self.finder.pods(&namespace, &self.wanted))
                    .collect()
            }
        };
        items.into_iter().map(Arc::new).collect()
    }

    fn protobuf(&self) -> Vec<u8> {
        let items = self.items();
        let items = items.iter().map(|item| &**item);
        let writing = &self.writing;
        match writing.form.shape {
            Shape::Metadata(version) => {
                let list = protobuf::list(items, |item| protobuf::metadata_only(item, writing));
                envelope(meta(version), "PartialObjectMetadataList", &list)
            }
            _ => {
                let list = protobuf::list(items, |item| protobuf::item(item, writing));
                envelope(
                    GROUP_VERSION,
                    &format!("{}List", writing.what.kind()),
                    &list,
                )
            }
        }
    }
}

impl Part {
    fn text(self) -> Bytes {
        let put = |asked: &Asked, items: Vec<Item>| {
            let mut text = Vec::with_capacity(items.len() * 256);
            for item in &items {
                text.push(b',');
                json::put(&mut text, item, &asked.writing);
            }
            text.into()
        };
        match self {
            Part::Head(asked) => json::head(&asked.writing).into(),
            Part::Nodes(asked) => put(&asked, asked.finder.nodes(&asked.wanted)),
            Part::Pods(asked, namespaces) => {
                let finder = &asked.finder;
                let pods = namespaces.iter();
                let pods = pods.flat_map(|namespace| finder.pods(namespace, &asked.wanted));
                put(&asked, pods.collect())
            }
            Part::Tail => Bytes::from_static(json::TAIL),
        }
    }
}

/// A list as a whole, with its share of the room of answers that wait.
async fn at_once(api: &Api, asked: Arc<Asked>, how: How) -> Result<Response, Status> {
    let made = api.whole(move || {
        let body = asked.protobuf();
        if body.len() <= ROOM_BYTES {
            return Ok(compressed(body, how));
        }
        let message = format!(
            "the list is over {ROOM_BYTES} bytes: ask for one namespace, or for JSON, which is sent \
             while it is made"
        );
        Err(Status::bad_request(message))
    });
    made.await.map_err(of_cut)?
}
