//! Made-up answers of a cAdvisor on a host without a kubelet, read by another parser of the same text too.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};

use cairn_agent::sources::cadvisor::{self, Cadvisor, Ids, Teller};
use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FieldId, field};
use prometheus_parse::{Scrape, Value};
use proptest::prelude::*;

/// The families: more labels of each, its field, and what its unit is to the text's.
const FAMILIES: [(&str, &str, FieldId, f64); 15] = [
    ("cpu_usage_seconds_total", "cpu=\"total\",", table::CPU, 1e9),
    ("memory_usage_bytes", "", table::MEMORY_USAGE, 1.0),
    (
        "memory_working_set_bytes",
        "",
        table::MEMORY_WORKING_SET,
        1.0,
    ),
    ("memory_rss", "", table::MEMORY_RSS, 1.0),
    ("memory_swap", "", table::SWAP_USAGE, 1.0),
    ("memory_cache", "", table::MEMORY_CACHE, 1.0),
    ("memory_mapped_file", "", table::MEMORY_MAPPED_FILE, 1.0),
    ("cpu_cfs_periods_total", "", table::CFS_PERIODS, 1.0),
    (
        "cpu_cfs_throttled_seconds_total",
        "",
        table::CFS_THROTTLED_TIME,
        1e9,
    ),
    ("oom_events_total", "", table::OOM_EVENTS, 1.0),
    ("file_descriptors", "", table::FILE_DESCRIPTORS, 1.0),
    ("threads", "", table::THREADS, 1.0),
    (
        "fs_reads_bytes_total",
        "device=\"/dev/vda\",",
        table::IO_READ_BYTES,
        1.0,
    ),
    (
        "fs_writes_total",
        "device=\"/dev/vda\",",
        table::IO_WRITES,
        1.0,
    ),
    (
        "pressure_io_waiting_seconds_total",
        "",
        table::pressure_total(PressureOf::Io, false),
        1e6,
    ),
];

/// Container, part and field; value and measurement time.
type Values = BTreeMap<(String, String, FieldId), (u64, u64)>;

/// A container: its name and what somebody wrote on it, and a value of each family that is told.
type Drawn = (String, String, Vec<Option<(u32, bool)>>);

/// As the format wants it.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n")
}

/// What the other parser leaves as it is written.
fn unescape(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next().unwrap() {
                'n' => '\n',
                other => other,
            },
            other => other,
        });
    }
    out
}

fn text(containers: &[Drawn]) -> String {
    let mut lines = String::new();
    for (at, (family, more, ..)) in FAMILIES.iter().enumerate() {
        lines += &format!("# HELP container_{family} Made up.\n# TYPE container_{family} gauge\n");
        for (n, (name, label, values)) in containers.iter().enumerate() {
            let Some(Some((value, is_short))) = values.get(at) else {
                continue;
            };
            let value = match is_short {
                true => format!("{value}"),
                false => format!("{:e}", f64::from(*value)),
            };
            lines += &format!(
                "container_{family}{{container_label_a=\"{}\",{more}id=\"/docker/{n:064x}\",image=\"a:1\",\
                 name=\"{}\"}} {value} {}\n",
                escape(label),
                escape(name),
                1_795_332_330_000 + n
            );
        }
    }
    lines
}

/// What another parser finds, by rules that are written down here anew.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what was drawn is small and not negative"
)]
fn expected(text: &str) -> Values {
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let told = scrape.samples.iter().map(|sample| {
        let family = sample.metric.strip_prefix("container_").unwrap();
        let mut families = FAMILIES.iter();
        let (.., field, factor) = families.find(|of| of.0 == family).unwrap();
        let label = |name| sample.labels.get(name).unwrap_or("");
        let (Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)) = sample.value
        else {
            panic!("{sample:?}");
        };
        let part = label("device").trim_start_matches("/dev/").to_owned();
        let time_ms = u64::try_from(sample.timestamp.timestamp_millis()).unwrap();
        let key = (unescape(label("name")), part, *field);
        (key, ((value * factor).round() as u64, time_ms))
    });
    told.collect()
}

fn found(all: &Cadvisor) -> Values {
    let mut values = Values::new();
    for (name, cgroup) in &all.free {
        let own = ("", &cgroup.figures);
        let parts = cgroup.parts.iter();
        let parts = parts.map(|part| (part.name.as_str(), &part.figures));
        for (part, figures) in parts.chain([own]) {
            for (id, value) in figures.values() {
                let time_ms = figures.time_ms(field(*id).unwrap().group).unwrap();
                let key = (name.to_string(), part.to_owned(), *id);
                assert_eq!(values.insert(key, (*value, time_ms)), None);
            }
        }
    }
    values
}

/// What neither parser could mistake for the end of a label: the other one knows no quotes around commas,
/// equals signs and braces, and takes quotes away from the ends.
fn labels() -> impl Strategy<Value = String> {
    "[a-z0-9][a-zA-Z0-9 \\\\\"\n/._-]{0,24}[a-z0-9]"
}

proptest! {
    #[test]
    fn another_parser_finds_the_same_in_made_up_lines(
        drawn in prop::collection::vec(
            (
                labels(),
                labels(),
                prop::collection::vec(prop::option::of((any::<u32>(), any::<bool>())), FAMILIES.len()),
            ),
            1..6,
        ),
    ) {
        let mut names = BTreeSet::new();
        let containers: Vec<Drawn> =
            drawn.into_iter().filter(|(name, ..)| names.insert(name.clone())).collect();
        let text = text(&containers);
        let expected = expected(&text);
        match cadvisor::parse_of(text.as_bytes(), Teller::Alone, Ids::Unwanted) {
            Ok(all) => {
                prop_assert_eq!((all.odd_count, all.dropped_count), (0, 0));
                prop_assert_eq!(found(&all), expected);
            }
            Err(error) => prop_assert!(expected.is_empty(), "{error}: {text}"),
        }
    }
}
