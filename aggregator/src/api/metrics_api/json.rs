//! Items as JSON: objects, rows of a table, metadata.

use cairn_proto::rfc3339;

use super::common::Common;
use super::items::{Item, Used};
use super::{Include, Writing, meta};
use crate::api::quantity;
use crate::api::secure::{GROUP_VERSION, Shape};
use crate::query::Usage;

/// A list up to its items.
pub(super) fn head(writing: &Writing) -> Vec<u8> {
    let text = match writing.form.shape {
        Shape::Table(version) => format!(
            "{{\"kind\":\"Table\",\"apiVersion\":\"{}\",\"metadata\":{{}},\"columnDefinitions\":[{}],\
             \"rows\":[",
            meta(version),
            columns()
        ),
        Shape::Metadata(version) => format!(
            "{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"{}\",\"metadata\":{{}},\"items\":[",
            meta(version)
        ),
        _ => format!(
            "{{\"kind\":\"{}List\",\"apiVersion\":\"{GROUP_VERSION}\",\"metadata\":{{}},\"items\":[",
            writing.what.kind()
        ),
    };
    text.into_bytes()
}

/// The end of a list.
pub(super) const TAIL: &[u8] = b"]}\n";

/// The columns that metrics-server shows. Swap is in the objects alone: columns are of the whole list, and not
/// every node has swap.
fn columns() -> String {
    let column = |(name, format, description): (&str, &str, &str)| {
        format!(
            "{{\"name\":\"{name}\",\"type\":\"string\",\"format\":\"{format}\",\
             \"description\":\"{description}\",\"priority\":0}}"
        )
    };
    let all = [
        ("Name", "name", "Name of the resource"),
        ("cpu", "quantity", ""),
        ("memory", "quantity", ""),
        ("Window", "duration", ""),
    ];
    all.map(column).join(",")
}

/// Seconds whose text is kept: nodes are measured within one or two of each other.
const SECONDS: usize = 4;

/// Writes items one after the other. What most of them have in common with the one before is written once.
pub(super) struct Pen<'f> {
    text: Vec<u8>,
    seconds: Vec<(u64, String)>,
    // An item's metadata behind its name.
    rest: Common<'f>,
}

impl<'f> Pen<'f> {
    /// Nothing yet, with room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            seconds: Vec::with_capacity(SECONDS),
            rest: Common::default(),
        }
    }

    /// What was written.
    pub(super) fn text(self) -> Vec<u8> {
        self.text
    }

    /// One of a list, with the comma before it.
    pub(super) fn put(&mut self, item: &Item<'f, '_>, writing: &Writing) {
        self.raw(",");
        match writing.form.shape {
            Shape::Table(version) => self.row(item, writing, meta(version)),
            Shape::Metadata(version) => self.partial(item, writing, meta(version)),
            _ => self.object(item, writing, false),
        }
    }

    fn row(&mut self, item: &Item<'f, '_>, writing: &Writing, api_version: &str) {
        let (cpu, memory) = item.total();
        self.raw("{\"cells\":[");
        string(&mut self.text, item.name);
        self.raw(",\"");
        quantity::nanocores(cpu).put(&mut self.text);
        self.raw("\",\"");
        quantity::bytes(memory).put(&mut self.text);
        self.raw("\",\"");
        window(&mut self.text, item.window_ms);
        self.raw("\"],\"object\":");
        match writing.include {
            Include::Nothing => self.raw("null"),
            Include::Metadata => self.partial(item, writing, api_version),
            Include::Object => self.object(item, writing, true),
        }
        self.raw("}");
    }

    fn partial(&mut self, item: &Item<'f, '_>, writing: &Writing, api_version: &str) {
        self.raw("{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
        self.raw(api_version);
        self.raw("\",");
        self.metadata(item, writing);
        self.raw("}");
    }

    /// A whole object. Those of a list do not say what they are.
    fn object(&mut self, item: &Item<'f, '_>, writing: &Writing, is_named: bool) {
        self.raw("{");
        if is_named {
            self.raw("\"kind\":\"");
            self.raw(writing.what.kind());
            self.raw("\",\"apiVersion\":\"");
            self.raw(GROUP_VERSION);
            self.raw("\",");
        }
        self.metadata(item, writing);
        self.raw(",\"timestamp\":\"");
        self.second(item.time_ms);
        self.raw("\",\"window\":\"");
        window(&mut self.text, item.window_ms);
        match &item.used {
            Used::Node(usage) => {
                self.raw("\",");
                self.usage(usage);
            }
            Used::Pod(containers) => {
                self.raw("\",\"containers\":[");
                for (nth, (name, usage)) in containers.iter().enumerate() {
                    self.raw(if nth > 0 { ",{\"name\":" } else { "{\"name\":" });
                    string(&mut self.text, name);
                    self.raw(",");
                    self.usage(usage);
                    self.raw("}");
                }
                self.raw("]");
            }
        }
        self.raw("}");
    }

    fn metadata(&mut self, item: &Item<'f, '_>, writing: &Writing) {
        self.raw("\"metadata\":{\"name\":");
        string(&mut self.text, item.name);
        let rest = self.rest.of(item, |text| rest(text, item, writing));
        self.text.extend_from_slice(rest);
    }

    fn usage(&mut self, usage: &Usage) {
        self.raw("\"usage\":{\"");
        for (nth, (name, quantity)) in quantity::of_usage(usage).enumerate() {
            self.raw(if nth > 0 { "\",\"" } else { "" });
            self.raw(name);
            self.raw("\":\"");
            quantity.put(&mut self.text);
        }
        self.raw("\"}");
    }

    fn second(&mut self, time_ms: u64) {
        let time_ms = time_ms / 1_000 * 1_000;
        let known = self.seconds.iter().find(|(of, _)| *of == time_ms);
        if let Some((_, text)) = known {
            self.text.extend_from_slice(text.as_bytes());
            return;
        }
        if self.seconds.len() == SECONDS {
            self.seconds.clear();
        }
        let text = rfc3339::format(time_ms);
        self.raw(&text);
        self.seconds.push((time_ms, text));
    }

    fn raw(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }
}

/// An item's metadata behind its name.
fn rest(text: &mut Vec<u8>, item: &Item<'_, '_>, writing: &Writing) {
    if !item.namespace.is_empty() {
        text.extend_from_slice(b",\"namespace\":");
        string(text, item.namespace);
    }
    text.extend_from_slice(b",\"creationTimestamp\":\"");
    text.extend_from_slice(writing.now.as_bytes());
    text.push(b'"');
    for (nth, (key, value)) in item.labels.iter().enumerate() {
        let before: &[u8] = if nth > 0 { b"," } else { b",\"labels\":{" };
        text.extend_from_slice(before);
        string(text, key);
        text.push(b':');
        string(text, value);
    }
    text.extend_from_slice(if item.labels.is_empty() { b"}" } else { b"}}" });
}

/// A text in quotes. Names have nothing in them that is written otherwise.
fn string(into: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    // Every byte, since several are looked at at once then.
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        into.push(b'"');
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
    } else {
        // Memory does not fail.
        drop(serde_json::to_writer(into, text));
    }
}

/// One by itself, as a line.
pub(super) fn alone(item: &Item<'_, '_>, writing: &Writing) -> Vec<u8> {
    let mut pen = Pen::with_room(1_024);
    match writing.form.shape {
        Shape::Table(version) => {
            pen.text.extend(head(writing));
            pen.row(item, writing, meta(version));
            pen.text.extend_from_slice(TAIL);
            return pen.text;
        }
        Shape::Metadata(version) => pen.partial(item, writing, meta(version)),
        _ => pen.object(item, writing, true),
    }
    pen.raw("\n");
    pen.text
}

/// Appends a span as Go writes it: `15.061s`, `1m0.2s`, `500ms`.
pub(super) fn window(text: &mut Vec<u8>, ms: u64) {
    if ms > 0 && ms < 1_000 {
        quantity::decimal(text, ms);
        text.extend_from_slice(b"ms");
        return;
    }
    let (minutes, rest_ms) = (ms / 60_000, ms % 60_000);
    if minutes >= 60 {
        quantity::decimal(text, minutes / 60);
        text.push(b'h');
    }
    if minutes > 0 {
        quantity::decimal(text, minutes % 60);
        text.push(b'm');
    }
    quantity::decimal(text, rest_ms / 1_000);
    let mut fraction = rest_ms % 1_000;
    if fraction > 0 {
        text.push(b'.');
        // As many digits as are not the last zeros of three.
        for of_place in [100, 10, 1] {
            if fraction > 0 {
                quantity::decimal(text, fraction / of_place);
                fraction %= of_place;
            }
        }
    }
    text.push(b's');
}

#[cfg(test)]
mod tests {
    use super::{string, window};

    #[test]
    fn spans_are_written_as_go_does() {
        for (ms, expected) in [
            (0, "0s"),
            (500, "500ms"),
            (1_000, "1s"),
            (1_001, "1.001s"),
            (10_019, "10.019s"),
            (15_061, "15.061s"),
            (29_900, "29.9s"),
            (30_450, "30.45s"),
            (60_000, "1m0s"),
            (60_200, "1m0.2s"),
            (3_600_000, "1h0m0s"),
            (3_600_010, "1h0m0.01s"),
        ] {
            let mut text = Vec::new();
            window(&mut text, ms);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn texts_are_those_that_serde_writes(text in "[a-z0-9./\"\\\\\u{0}-\u{20}\u{7f}\u{e4}\u{1f600}-]{0,20}") {
            let mut own = Vec::new();
            string(&mut own, &text);
            assert_eq!(own, serde_json::to_vec(&text).unwrap());
        }
    }
}
