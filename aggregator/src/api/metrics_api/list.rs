//! Lists, made while they are read.
//!
//! What there is, is looked up once: all pods of one moment, by namespace and name. What their nodes say of them
//! is copied node by node when the first pod of a node is written (`Copies`), and stays as it was copied. So a list
//! is of one moment as far as names, labels and places go, and of each node it is of one row. It is written in
//! pieces of a few hundred kilobytes, a large namespace in several, and takes no more memory than the copies: a few
//! dozen bytes a container.
//!
//! Protobuf says first how long a list is. So it is gone through twice: once to count, which makes the copies and
//! keeps where of them each pod's stand, and once to write the very same, for which nothing is looked up.

use std::iter;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::copies::Spot;
use super::items::{Finder, Item, MeasuredNode, Wanted};
use super::listed::Pods;
use super::{What, Writing, json, meta, of_cut, protobuf};
use crate::api::room::Share;
use crate::api::secure::{Count, GROUP_VERSION, How, Media, Message, Shape, Status};
use crate::api::secure::{envelope_end, envelope_head, pieces};
use crate::api::{Api, Cut};

/// Things of one piece: some two hundred kilobytes, made in a few milliseconds.
const PIECE: usize = 500;

/// What a list has in memory for each thing while it is read: the copies of two containers, and where they stand.
const THING_BYTES: usize = 128;

/// Lists of less than that have no share of the room: places bound them, and an autoscaler asks for many of them.
const SMALL_BYTES: usize = 64 * 1024;

/// From so many things on a list is sent from its first byte on, before anybody knows how long it gets.
const LONG: usize = 1_000;

/// What is asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) finder: Finder,
    pub(super) wanted: Wanted,
    pub(super) writing: Writing,
}

/// What is to be listed, as it was at one moment.
struct Frozen {
    asked: Asked,
    nodes: Vec<MeasuredNode>,
    pods: Pods,
    // Of each piece, where what its pods use stands; none unless it is gone through twice.
    kept: Box<[OnceLock<Vec<Option<Spot>>>]>,
    // Of the room, until the last piece is made.
    share: Option<Share>,
}

/// What is to be made next.
enum Part {
    Head(Arc<Frozen>),
    Counted(Arc<Frozen>, Range<usize>),
    Length,
    Items(Arc<Frozen>, Range<usize>),
    Tail(Arc<Frozen>),
}

/// What was made of it.
enum Made {
    Bytes(Bytes),
    // So many bytes are to come.
    Counted(usize),
    // Here stands how many, before that.
    Length(Vec<u8>),
}

/// Answers for a list.
pub(super) async fn answer(api: &Api, asked: Asked, how: How) -> Result<Response, Status> {
    let seat = api.seat().map_err(of_cut)?;
    let is_counted = asked.writing.form.media == Media::Protobuf;
    let frozen = api.in_turn(move || Frozen::of(asked)).await;
    let mut frozen = frozen.map_err(of_cut)?;
    frozen.reserve(api).map_err(of_cut)?;
    let frozen = Arc::new(frozen);
    let count = frozen.count();
    let ranges = || {
        (0..count)
            .step_by(PIECE)
            .map(move |from| from..(from + PIECE).min(count))
    };
    let (of, counted) = (Arc::clone(&frozen), Arc::clone(&frozen));
    let counts = ranges().take(if is_counted { usize::MAX } else { 0 });
    let counts = counts.map(move |range| Part::Counted(Arc::clone(&counted), range));
    let length = is_counted.then_some(Part::Length);
    let items = ranges().map(move |range| Part::Items(Arc::clone(&of), range));
    let parts = iter::once(Part::Head(Arc::clone(&frozen)))
        .chain(counts)
        .chain(length)
        .chain(items)
        .chain(iter::once(Part::Tail(frozen)));
    let mut joint = Joint::default();
    let bytes = api.made(seat, parts, Part::make).filter_map(move |made| {
        let joined = made.map(|made| joint.join(made));
        std::future::ready(match joined {
            Ok(bytes) if bytes.is_empty() => None,
            joined => Some(joined),
        })
    });
    pieces(api, bytes.boxed(), how, count > LONG)
        .await
        .map_err(of_cut)
}

/// What goes from one piece to the next.
#[derive(Default)]
struct Joint {
    has_items: bool,
    counted: usize,
}

impl Joint {
    fn join(&mut self, made: Made) -> Bytes {
        match made {
            // Every item begins with a comma, and the first of all must not.
            Made::Bytes(text) if text.first() == Some(&b',') && !self.has_items => {
                self.has_items = true;
                text.slice(1..)
            }
            Made::Bytes(bytes) => bytes,
            Made::Counted(bytes) => {
                self.counted += bytes;
                Bytes::new()
            }
            Made::Length(first) => {
                let mut head = Message::default();
                head.begin(2, first.len() + self.counted);
                [head.as_ref(), &first].concat().into()
            }
        }
    }
}

impl Frozen {
    fn of(asked: Asked) -> Self {
        let (mut nodes, mut pods) = (Vec::new(), Pods::default());
        match asked.writing.what {
            What::Nodes => nodes = asked.finder.nodes(&asked.wanted),
            What::Pods => pods = asked.finder.pods(&asked.wanted),
        }
        let kept = if asked.writing.form.media == Media::Protobuf {
            pods.len().div_ceil(PIECE)
        } else {
            0
        };
        Self {
            asked,
            nodes,
            pods,
            kept: iter::repeat_with(OnceLock::new).take(kept).collect(),
            share: None,
        }
    }

    /// Takes a share of the room for what is kept while it is read. Nobody waits for room with a list in hand.
    fn reserve(&mut self, api: &Api) -> Result<(), Cut> {
        let bytes = self.count() * THING_BYTES;
        if bytes >= SMALL_BYTES {
            self.share = Some(api.share(bytes, self.asked.finder.is_of_all())?);
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.nodes.len().max(self.pods.len())
    }

    /// Shows the items of a piece, those that are measured.
    fn each<'f>(&'f self, range: &Range<usize>, mut see: impl FnMut(&Item<'f, '_>)) {
        let nodes = self.nodes.get(range.clone()).unwrap_or_default();
        nodes.iter().for_each(|node| see(&node.item()));
        let finder = &self.asked.finder;
        let find = || self.pods.spots(finder, range);
        match self.kept.get(range.start / PIECE) {
            Some(kept) => self.pods.each(finder, (range, kept.get_or_init(find)), see),
            None => self.pods.each(finder, (range, &find()), see),
        }
    }

    /// The type of the list in its envelope.
    fn list_type(&self) -> (&'static str, String) {
        let writing = &self.asked.writing;
        match writing.form.shape {
            Shape::Metadata(version) => (meta(version), "PartialObjectMetadataList".to_owned()),
            _ => (GROUP_VERSION, format!("{}List", writing.what.kind())),
        }
    }

    fn head(&self) -> Vec<u8> {
        let writing = &self.asked.writing;
        if writing.form.media == Media::Protobuf {
            let (api_version, kind) = self.list_type();
            return envelope_head(api_version, &kind);
        }
        json::head(writing)
    }

    fn counted(&self, range: &Range<usize>) -> usize {
        let mut count = Count::default();
        let mut pen = protobuf::Pen::new(&self.asked.writing);
        self.each(range, |item| pen.put(&mut count, item));
        count.bytes_written()
    }

    fn items(&self, range: &Range<usize>) -> Vec<u8> {
        let writing = &self.asked.writing;
        if writing.form.media != Media::Protobuf {
            let mut pen = json::Pen::with_room(range.len() * 512);
            self.each(range, |item| pen.put(item, writing));
            return pen.text();
        }
        let mut message = Message::with_room(range.len() * 512);
        let mut pen = protobuf::Pen::new(writing);
        self.each(range, |item| pen.put(&mut message, item));
        message.into_bytes()
    }
}

impl Part {
    // By itself, so that its instructions can be counted (scripts/check-instructions.sh).
    #[inline(never)]
    fn make(self) -> Made {
        match self {
            Part::Head(frozen) => Made::Bytes(frozen.head().into()),
            Part::Counted(frozen, range) => Made::Counted(frozen.counted(&range)),
            Part::Length => Made::Length(protobuf::list_metadata()),
            Part::Items(frozen, range) => Made::Bytes(frozen.items(&range).into()),
            Part::Tail(frozen) if frozen.asked.writing.form.media == Media::Protobuf => {
                Made::Bytes(envelope_end().into())
            }
            Part::Tail(_) => Made::Bytes(Bytes::from_static(json::TAIL)),
        }
    }
}
