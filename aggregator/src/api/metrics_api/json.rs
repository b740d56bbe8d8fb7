//! Items as JSON: objects, rows of a table, metadata.

use std::fmt;
use std::io::Write as _;

use cairn_proto::rfc3339;

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

/// Writes items one after the other. Of times and spans most are those of the item before, and are written once.
pub(super) struct Pen {
    text: Vec<u8>,
    second: Option<(u64, String)>,
    span: Option<(u64, String)>,
}

impl Pen {
    /// Nothing yet, with room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            second: None,
            span: None,
        }
    }

    /// What was written.
    pub(super) fn text(self) -> Vec<u8> {
        self.text
    }

    /// One of a list, with the comma before it.
    pub(super) fn put(&mut self, item: &Item, writing: &Writing) {
        self.raw(",");
        match writing.form.shape {
            Shape::Table(version) => self.row(item, writing, meta(version)),
            Shape::Metadata(version) => self.partial(item, writing, meta(version)),
            _ => self.object(item, writing, false),
        }
    }

    fn row(&mut self, item: &Item, writing: &Writing, api_version: &str) {
        let (cpu, memory) = item.total();
        self.raw("{\"cells\":[");
        self.string(&item.name);
        let (cpu, memory) = (quantity::nanocores(cpu), quantity::bytes(memory));
        self.args(format_args!(",\"{cpu}\",\"{memory}\",\""));
        self.window(item.window_ms);
        self.raw("\"],\"object\":");
        match writing.include {
            Include::Nothing => self.raw("null"),
            Include::Metadata => self.partial(item, writing, api_version),
            Include::Object => self.object(item, writing, true),
        }
        self.raw("}");
    }

    fn partial(&mut self, item: &Item, writing: &Writing, api_version: &str) {
        self.args(format_args!(
            "{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"{api_version}\","
        ));
        self.metadata(item, writing);
        self.raw("}");
    }

    /// A whole object. Those of a list do not say what they are.
    fn object(&mut self, item: &Item, writing: &Writing, is_named: bool) {
        self.raw("{");
        if is_named {
            let kind = writing.what.kind();
            self.args(format_args!(
                "\"kind\":\"{kind}\",\"apiVersion\":\"{GROUP_VERSION}\","
            ));
        }
        self.metadata(item, writing);
        self.raw(",\"timestamp\":\"");
        self.second(item.time_ms);
        self.raw("\",\"window\":\"");
        self.window(item.window_ms);
        match &item.used {
            Used::Node(usage) => {
                self.raw("\",");
                self.usage(usage);
            }
            Used::Pod(containers) => {
                self.raw("\",\"containers\":[");
                for (nth, (name, usage)) in containers.iter().enumerate() {
                    self.raw(if nth > 0 { ",{\"name\":" } else { "{\"name\":" });
                    self.string(name);
                    self.raw(",");
                    self.usage(usage);
                    self.raw("}");
                }
                self.raw("]");
            }
        }
        self.raw("}");
    }

    fn metadata(&mut self, item: &Item, writing: &Writing) {
        self.raw("\"metadata\":{\"name\":");
        self.string(&item.name);
        if !item.namespace.is_empty() {
            self.raw(",\"namespace\":");
            self.string(&item.namespace);
        }
        self.raw(",\"creationTimestamp\":\"");
        self.raw(&writing.now);
        self.raw("\"");
        for (nth, (key, value)) in item.labels().iter().enumerate() {
            self.raw(if nth > 0 { "," } else { ",\"labels\":{" });
            self.string(key);
            self.raw(":");
            self.string(value);
        }
        self.raw(if item.labels().is_empty() { "}" } else { "}}" });
    }

    fn usage(&mut self, usage: &Usage) {
        self.raw("\"usage\":{");
        for (nth, (name, quantity)) in quantity::of_usage(usage).enumerate() {
            let comma = if nth > 0 { "," } else { "" };
            self.args(format_args!("{comma}\"{name}\":\"{quantity}\""));
        }
        self.raw("}");
    }

    fn second(&mut self, time_ms: u64) {
        let time_ms = time_ms / 1_000 * 1_000;
        if self.second.as_ref().is_none_or(|(of, _)| *of != time_ms) {
            self.second = Some((time_ms, rfc3339::format(time_ms)));
        }
        let (_, text) = self.second.get_or_insert_default();
        self.text.extend_from_slice(text.as_bytes());
    }

    fn window(&mut self, ms: u64) {
        if self.span.as_ref().is_none_or(|(of, _)| *of != ms) {
            self.span = Some((ms, window(ms)));
        }
        let (_, text) = self.span.get_or_insert_default();
        self.text.extend_from_slice(text.as_bytes());
    }

    fn raw(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// Memory does not fail, here and below.
    fn args(&mut self, args: fmt::Arguments<'_>) {
        drop(self.text.write_fmt(args));
    }

    fn string(&mut self, text: &str) {
        drop(serde_json::to_writer(&mut self.text, text));
    }
}

/// One by itself, as a line.
pub(super) fn alone(item: &Item, writing: &Writing) -> Vec<u8> {
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

/// A span as Go writes it: `15.061s`, `1m0.2s`, `500ms`.
pub(super) fn window(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let (minutes, rest_ms) = (ms / 60_000, ms % 60_000);
    let mut seconds = format!("{}", rest_ms / 1_000);
    let fraction = format!("{:03}", rest_ms % 1_000);
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        seconds = format!("{seconds}.{fraction}");
    }
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn spans_are_written_as_go_does() {
        for (ms, expected) in [
            (0, "0s"),
            (500, "500ms"),
            (1_000, "1s"),
            (10_019, "10.019s"),
            (15_061, "15.061s"),
            (60_000, "1m0s"),
            (60_200, "1m0.2s"),
            (3_600_010, "1h0m0.01s"),
        ] {
            assert_eq!(window(ms), expected);
        }
    }
}
