//! Items as protobuf, field by field as the API server writes them, those that are empty too.

use super::items::{Item, Used};
use super::{Writing, json};
use crate::api::secure::Message;
use crate::query::Usage;

/// A list of items, as it stands in its envelope.
pub(super) fn list<'a>(
    items: impl Iterator<Item = &'a Item>,
    write: impl Fn(&Item) -> Message,
) -> Message {
    let mut metadata = Message::default();
    metadata.bytes(1, "").bytes(2, "").bytes(3, "");
    let mut list = Message::default();
    list.bytes(1, metadata);
    for item in items {
        list.bytes(2, write(item));
    }
    list
}

/// One item.
pub(super) fn item(item: &Item, writing: &Writing) -> Message {
    let mut window = Message::default();
    window.number(1, item.window_ms.saturating_mul(1_000_000));
    let mut message = Message::default();
    message
        .bytes(1, metadata(item, writing))
        .bytes(2, time(item.time_ms))
        .bytes(3, window);
    match &item.used {
        Used::Node(usage) => {
            message.join(&quantities(4, usage));
        }
        Used::Pod(containers) => {
            for (name, usage) in containers {
                let mut container = Message::default();
                container.bytes(1, &**name).join(&quantities(2, usage));
                message.bytes(4, container);
            }
        }
    }
    message
}

/// The metadata of one item, for who wants no more.
pub(super) fn metadata_only(item: &Item, writing: &Writing) -> Message {
    let mut message = Message::default();
    message.bytes(1, metadata(item, writing));
    message
}

fn metadata(item: &Item, writing: &Writing) -> Message {
    let mut message = Message::default();
    message
        .bytes(1, &*item.name)
        .bytes(2, "")
        .bytes(3, &*item.namespace)
        .bytes(4, "")
        .bytes(5, "")
        .bytes(6, "")
        .number(7, 0)
        .bytes(8, time(writing.now_ms));
    for (key, value) in item.labels() {
        message.bytes(11, pair(key, value.as_bytes()));
    }
    message
}

/// Whole seconds.
fn time(unix_ms: u64) -> Message {
    let mut message = Message::default();
    message.number(1, unix_ms / 1_000).number(2, 0);
    message
}

/// An entry of a map.
fn pair(key: &str, value: &[u8]) -> Message {
    let mut message = Message::default();
    message.bytes(1, key).bytes(2, value);
    message
}

fn quantities(field: u8, usage: &Usage) -> Message {
    let mut message = Message::default();
    for (name, text) in json::quantities(usage) {
        let mut quantity = Message::default();
        quantity.bytes(1, text);
        message.bytes(field, pair(name, quantity.as_ref()));
    }
    message
}
