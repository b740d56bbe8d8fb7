//! Items as protobuf, field by field as the API server writes them, those that are empty too.

use super::Writing;
use super::common::Common;
use super::items::{Item, Used};
use crate::api::quantity;
use crate::api::secure::{Message, Shape, Sink, Written};
use crate::query::Usage;

/// The beginning of a list, before its items.
pub(super) fn list_metadata() -> Vec<u8> {
    let mut list = Message::default();
    list.message(1, &ListMeta);
    list.into_bytes()
}

struct ListMeta;

impl Written for ListMeta {
    fn put(&self, into: &mut impl Sink) {
        (1..=3).for_each(|field| into.bytes(field, b""));
    }
}

/// Writes items one after the other, as they are asked for: whole, or their metadata alone.
pub(super) struct Pen<'f, 'w> {
    writing: &'w Writing,
    // An item's metadata behind its name.
    rest: Common<'f>,
}

impl<'f, 'w> Pen<'f, 'w> {
    pub(super) fn new(writing: &'w Writing) -> Self {
        Self {
            writing,
            rest: Common::default(),
        }
    }

    /// One of a list.
    pub(super) fn put(&mut self, into: &mut impl Sink, item: &Item<'f, '_>) {
        into.message(2, &self.object(item));
    }

    /// One by itself.
    pub(super) fn object<'a>(&'a mut self, item: &'a Item<'f, 'a>) -> Object<'f, 'a> {
        let writing = self.writing;
        Object {
            item,
            rest: self.rest.of(item, |text| rest(text, item, writing)),
            is_whole: !matches!(writing.form.shape, Shape::Metadata(_)),
        }
    }
}

/// An item as it is written.
pub(super) struct Object<'f, 'a> {
    item: &'a Item<'f, 'a>,
    rest: &'a [u8],
    is_whole: bool,
}

impl Written for Object<'_, '_> {
    fn put(&self, into: &mut impl Sink) {
        let item = self.item;
        into.message(1, &Meta(item.name, self.rest));
        if !self.is_whole {
            return;
        }
        into.message(2, &Time(item.time_ms));
        into.message(3, &Window(item.window_ms));
        match &item.used {
            Used::Node(usage) => quantities(into, 4, usage),
            Used::Pod(containers) => {
                for (name, usage) in *containers {
                    into.message(4, &Container(name, usage));
                }
            }
        }
    }
}

struct Meta<'a>(&'a str, &'a [u8]);

impl Written for Meta<'_> {
    fn put(&self, into: &mut impl Sink) {
        into.bytes(1, self.0.as_bytes());
        into.raw(self.1);
    }
}

/// An item's metadata behind its name.
fn rest(text: &mut Vec<u8>, item: &Item<'_, '_>, writing: &Writing) {
    let mut meta = Message::default();
    meta.bytes(2, b"").bytes(3, item.namespace);
    for field in 4..=6 {
        meta.bytes(field, b"");
    }
    meta.number(7, 0);
    meta.message(8, &Time(writing.now_ms));
    for (key, value) in item.labels {
        meta.message(11, &Label(key, value));
    }
    text.extend_from_slice(meta.as_ref());
}

/// Whole seconds.
struct Time(u64);

impl Written for Time {
    fn put(&self, into: &mut impl Sink) {
        into.number(1, self.0 / 1_000);
        into.number(2, 0);
    }
}

struct Window(u64);

impl Written for Window {
    fn put(&self, into: &mut impl Sink) {
        into.number(1, self.0.saturating_mul(1_000_000));
    }
}

struct Label<'a>(&'a str, &'a str);

impl Written for Label<'_> {
    fn put(&self, into: &mut impl Sink) {
        into.bytes(1, self.0.as_bytes());
        into.bytes(2, self.1.as_bytes());
    }
}

struct Container<'a>(&'a str, &'a Usage);

impl Written for Container<'_> {
    fn put(&self, into: &mut impl Sink) {
        into.bytes(1, self.0.as_bytes());
        quantities(into, 2, self.1);
    }
}

fn quantities(into: &mut impl Sink, field: u8, usage: &Usage) {
    for (name, quantity) in quantity::of_usage(usage) {
        into.quantity(field, name, quantity);
    }
}
