//! `InfluxDB`'s line protocol: one line an entity, its fields together, packed with gzip.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::series::Reading;

/// The header lines of such a request.
pub(super) const HEADERS: [(&str, &str); 2] = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Encoding", "gzip"),
];

/// Writes the body: what was read at one tick, times in ms.
///
/// # Errors
///
/// None in practice: it writes to memory.
pub(super) fn encode(tick_ms: u64, readings: &[Reading<'_>]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text(tick_ms, readings).as_bytes())?;
    packed.finish()
}

/// The lines. The measurement is what the entity is, so that a pod's values are not found when its
/// containers' are asked for.
#[must_use]
pub(super) fn text(tick_ms: u64, readings: &[Reading<'_>]) -> String {
    let mut out = String::new();
    for reading in readings.iter().filter(|one| !one.values.is_empty()) {
        out.push_str(reading.whose.kind());
        for (name, value) in reading.whose.labels() {
            out.push(',');
            out.push_str(name);
            out.push('=');
            escape(value, &mut out);
        }
        for (at, (field, value)) in reading.values.iter().enumerate() {
            let before = if at == 0 { ' ' } else { ',' };
            out.push_str(&format!("{before}{}={value}i", field.name));
        }
        out.push_str(&format!(" {tick_ms}\n"));
    }
    out
}

/// A tag's value: commas, spaces and equal signs end it. A backslash means itself before any other
/// character, and no escape of it exists: names that end with one cannot be told, and none does.
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        if matches!(c, ',' | ' ' | '=') {
            out.push('\\');
        }
        // A line feed would begin the next line, escaped or not.
        out.push(if c == '\n' { ' ' } else { c });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use cairn_proto::catalogue::table;

    use super::{encode, text};
    use crate::rivals::series::{Reading, Whose};

    fn reading(whose: &Whose) -> Reading<'_> {
        let field = |id| table::field(id).unwrap();
        let values = vec![
            (field(table::CPU), 86_400_000_000_000),
            (field(table::MEMORY_RSS), 4096),
        ];
        Reading { whose, values }
    }

    #[test]
    fn what_would_end_a_tag_is_escaped() {
        let whose = Whose {
            node: "node 1".to_owned(),
            namespace: "a=b".to_owned(),
            pod: "p,q\\r".to_owned(),
            container: "c".to_owned(),
        };
        assert_eq!(
            text(7, &[reading(&whose)]),
            "container,container=c,namespace=a\\=b,node=node\\ 1,pod=p\\,q\\r \
             cpu_usage_core_nanos=86400000000000i,memory_rss_bytes=4096i 7\n"
        );
    }

    #[test]
    fn a_body_unpacks_to_its_lines() {
        let whose = Whose {
            node: "n".to_owned(),
            ..Whose::default()
        };
        let nothing = Reading {
            whose: &whose,
            values: Vec::new(),
        };
        let readings = [reading(&whose), nothing];
        let body = encode(7, &readings).unwrap();
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(body.as_slice())
            .read_to_string(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, text(7, &readings));
        assert_eq!(unpacked.lines().count(), 1, "no line without a value");
    }
}
