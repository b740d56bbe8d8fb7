//! Items as protobuf, field by field as the API server writes them, those that are empty too.

use super::Writing;
use super::items::{Item, Used};
use crate::api::quantity::{self, Quantity};
use crate::api::secure::{Message, Sink, Written};
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

/// One item.
pub(super) struct Whole<'a>(pub(super) &'a Item, pub(super) &'a Writing);

impl Written for Whole<'_> {
    fn put(&self, into: &mut impl Sink) {
        let Self(item, writing) = self;
        into.message(1, &Meta(item, writing));
        into.message(2, &Time(item.time_ms));
        into.message(3, &Window(item.window_ms));
        match &item.used {
            Used::Node(usage) => quantities(into, 4, usage),
            Used::Pod(containers) => {
                for (name, usage) in containers {
                    into.message(4, &Container(name, usage));
                }
            }
        }
    }
}

/// The metadata of one item, for who wants no more.
pub(super) struct MetadataOnly<'a>(pub(super) &'a Item, pub(super) &'a Writing);

impl Written for MetadataOnly<'_> {
    fn put(&self, into: &mut impl Sink) {
        into.message(1, &Meta(self.0, self.1));
    }
}

struct Meta<'a>(&'a Item, &'a Writing);

impl Written for Meta<'_> {
    fn put(&self, into: &mut impl Sink) {
        let Self(item, writing) = self;
        into.bytes(1, item.name.as_bytes());
        into.bytes(2, b"");
        into.bytes(3, item.namespace.as_bytes());
        (4..=6).for_each(|field| into.bytes(field, b""));
        into.number(7, 0);
        into.message(8, &Time(writing.now_ms));
        for (key, value) in item.labels() {
            into.message(11, &Label(key, value));
        }
    }
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
        into.message(field, &Amount(name, quantity));
    }
}

/// An entry of a map of quantities.
struct Amount(&'static str, Quantity);

impl Written for Amount {
    fn put(&self, into: &mut impl Sink) {
        into.bytes(1, self.0.as_bytes());
        into.message(2, &Text(self.1));
    }
}

struct Text(Quantity);

impl Written for Text {
    fn put(&self, into: &mut impl Sink) {
        let Quantity { number, suffix } = self.0;
        into.decimal(1, number, suffix);
    }
}
