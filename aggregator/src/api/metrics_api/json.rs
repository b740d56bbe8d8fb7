//! Items as JSON: objects, rows of a table, metadata.

use serde::ser::{SerializeMap as _, SerializeStruct as _};
use serde::{Serialize, Serializer};

use super::items::{Item, Used};
use super::{Include, Writing, meta};
use crate::api::quantity;
use crate::api::secure::{GROUP_VERSION, Shape};
use crate::query::Usage;
use cairn_proto::rfc3339;

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

/// One of a list.
pub(super) fn put(text: &mut Vec<u8>, item: &Item, writing: &Writing) {
    match writing.form.shape {
        Shape::Table(version) => {
            let (cpu, memory) = item.total();
            let row = Row {
                cells: [
                    item.name.to_string(),
                    quantity::nanocores(cpu),
                    quantity::bytes(memory),
                    window(item.window_ms),
                ],
                object: beside(item, writing, meta(version)),
            };
            write(text, &row);
        }
        Shape::Metadata(version) => write(text, &partial(item, writing, meta(version))),
        _ => write(text, &Object::of(item, writing, false)),
    }
}

/// One by itself, as a line.
pub(super) fn alone(item: &Item, writing: &Writing) -> Vec<u8> {
    let mut text = Vec::new();
    match writing.form.shape {
        Shape::Table(_) => {
            text.extend(head(writing));
            put(&mut text, item, writing);
            text.extend_from_slice(TAIL);
            return text;
        }
        Shape::Metadata(version) => write(&mut text, &partial(item, writing, meta(version))),
        _ => write(&mut text, &Object::of(item, writing, true)),
    }
    text.push(b'\n');
    text
}

/// Memory does not fail, and the keys are text: there is nothing to go wrong.
fn write(text: &mut Vec<u8>, value: &impl Serialize) {
    drop(serde_json::to_writer(text, value));
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

/// Usage as quantities, by name.
pub(super) fn quantities(usage: &Usage) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("cpu", quantity::nanocores(usage.cpu_nanocores)),
        ("memory", quantity::bytes(usage.memory_bytes)),
    ];
    all.extend(usage.swap_bytes.map(|swap| ("swap", quantity::bytes(swap))));
    all
}

#[derive(Serialize)]
struct Row<'a> {
    cells: [String; 4],
    object: Beside<'a>,
}

/// What stands beside the cells of a row.
#[derive(Serialize)]
#[serde(untagged)]
enum Beside<'a> {
    Nothing(()),
    Metadata(Partial<'a>),
    Whole(Object<'a>),
}

fn beside<'a>(item: &'a Item, writing: &'a Writing, api_version: &'static str) -> Beside<'a> {
    match writing.include {
        Include::Nothing => Beside::Nothing(()),
        Include::Metadata => Beside::Metadata(partial(item, writing, api_version)),
        Include::Object => Beside::Whole(Object::of(item, writing, true)),
    }
}

#[derive(Serialize)]
struct Partial<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: Metadata<'a>,
}

fn partial<'a>(item: &'a Item, writing: &'a Writing, api_version: &'static str) -> Partial<'a> {
    Partial {
        kind: "PartialObjectMetadata",
        api_version,
        metadata: Metadata::of(item, writing),
    }
}

struct Metadata<'a> {
    item: &'a Item,
    created: &'a str,
}

impl<'a> Metadata<'a> {
    fn of(item: &'a Item, writing: &'a Writing) -> Self {
        let created = &writing.now;
        Self { item, created }
    }
}

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { item, created } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &*item.name)?;
        if !item.namespace.is_empty() {
            map.serialize_entry("namespace", &*item.namespace)?;
        }
        map.serialize_entry("creationTimestamp", created)?;
        if !item.labels().is_empty() {
            map.serialize_entry("labels", &Pairs(item.labels()))?;
        }
        map.end()
    }
}

struct Pairs<'a, T>(&'a [(T, T)]);

impl<T: AsRef<str>> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = self.0.iter();
        serializer.collect_map(pairs.map(|(key, value)| (key.as_ref(), value.as_ref())))
    }
}

/// A whole object.
struct Object<'a> {
    item: &'a Item,
    writing: &'a Writing,
    // Those of a list do not say what they are.
    is_named: bool,
}

impl<'a> Object<'a> {
    fn of(item: &'a Item, writing: &'a Writing, is_named: bool) -> Self {
        Self {
            item,
            writing,
            is_named,
        }
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { item, writing, .. } = self;
        let mut map = serializer.serialize_map(None)?;
        if self.is_named {
            map.serialize_entry("kind", writing.what.kind())?;
            map.serialize_entry("apiVersion", GROUP_VERSION)?;
        }
        map.serialize_entry("metadata", &Metadata::of(item, writing))?;
        map.serialize_entry("timestamp", &rfc3339::format(item.time_ms / 1_000 * 1_000))?;
        map.serialize_entry("window", &window(item.window_ms))?;
        match &item.used {
            Used::Node(usage) => map.serialize_entry("usage", &Quantities(usage))?,
            Used::Pod(containers) => {
                let containers = containers.iter();
                let containers = containers.map(|(name, usage)| Container { name, usage });
                map.serialize_entry("containers", &containers.collect::<Vec<_>>())?;
            }
        }
        map.end()
    }
}

struct Container<'a> {
    name: &'a str,
    usage: &'a Usage,
}

impl Serialize for Container<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Container", 2)?;
        fields.serialize_field("name", self.name)?;
        fields.serialize_field("usage", &Quantities(self.usage))?;
        fields.end()
    }
}

struct Quantities<'a>(&'a Usage);

impl Serialize for Quantities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(quantities(self.0))
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
