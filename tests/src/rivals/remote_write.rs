//! Prometheus remote write 1.0: one request of samples that were read together.

use cairn_proto::catalogue::Field;
use prost::Message;

use super::series::{Reading, Whose};

/// The body before compression.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    /// One entry a series.
    #[prost(message, repeated, tag = "1")]
    pub(super) timeseries: Vec<TimeSeries>,
}

/// Samples of one series.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeries {
    /// Its labels, sorted by name; the metric's name is one of them.
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    /// Its samples, oldest first.
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
}

/// A name and a value.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Label {
    /// The name.
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// A value at a time.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Sample {
    /// The value.
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    /// Unix ms.
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
}

/// The header lines of such a request.
pub(super) const HEADERS: [(&str, &str); 3] = [
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// The value that says that a series has ended: without it the last one would be shown for minutes.
/// It is one not-a-number of many, so only its bits tell it.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Writes the body: what was read at one tick, and what was read at the tick before and is not there
/// any more, as a block of snappy.
///
/// # Errors
///
/// When it is over 4 GiB, which snappy has no length for.
pub(super) fn encode(
    tick_ms: u64,
    readings: &[Reading<'_>],
    ended: &[(&Whose, &'static Field)],
) -> Result<Vec<u8>, snap::Error> {
    let timestamp = i64::try_from(tick_ms).unwrap_or(i64::MAX);
    let one = |whose: &Whose, field: &Field, value: f64| {
        // "__name__" sorts before every letter.
        let named = std::iter::once(("__name__", field.name)).chain(whose.labels());
        let label = |(name, value): (&str, &str)| Label {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        TimeSeries {
            labels: named.map(label).collect(),
            samples: vec![Sample { value, timestamp }],
        }
    };
    let there = readings.iter().flat_map(|reading| {
        let values = reading.values.iter();
        values.map(move |(field, value)| one(reading.whose, field, *value as f64))
    });
    let gone = ended.iter().map(|(whose, field)| one(whose, field, STALE));
    let request = WriteRequest {
        timeseries: there.chain(gone).collect(),
    };
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use cairn_proto::catalogue::table;
    use prost::Message as _;

    use super::{Label, Sample, WriteRequest, encode};
    use crate::rivals::series::{Reading, Whose};

    #[test]
    fn a_body_reads_back_as_what_went_in() {
        let whose = Whose {
            node: "node1".to_owned(),
            namespace: "ns-0".to_owned(),
            pod: "app".to_owned(),
            container: String::new(),
        };
        let field = |id| table::field(id).unwrap();
        let values = vec![
            (field(table::CPU), 86_400_000_000_000),
            (field(table::MEMORY_RSS), 4096),
        ];
        let reading = Reading {
            whose: &whose,
            values,
        };
        let ended = [(&whose, field(table::SWAP_USAGE))];
        let body = encode(1_795_332_330_000, &[reading], &ended).unwrap();
        let plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let request = WriteRequest::decode(plain.as_slice()).unwrap();
        let [cpu, rss, gone] = &request.timeseries[..] else {
            panic!("three series: {request:?}")
        };
        let label = |name: &str, value: &str| Label {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let expected = [
            label("__name__", "cpu_usage_core_nanos"),
            label("namespace", "ns-0"),
            label("node", "node1"),
            label("pod", "app"),
        ];
        assert_eq!(cpu.labels, expected);
        assert!(cpu.labels.is_sorted_by(|a, b| a.name < b.name));
        let sample = |value| Sample {
            value,
            timestamp: 1_795_332_330_000,
        };
        assert_eq!(cpu.samples, [sample(86_400_000_000_000.0)]);
        assert_eq!(rss.samples, [sample(4096.0)]);
        assert_eq!(rss.labels[0], label("__name__", "memory_rss_bytes"));
        assert_eq!(gone.labels[0], label("__name__", "swap_usage_bytes"));
        let bits = gone.samples[0].value.to_bits();
        assert_eq!(bits, 0x7ff0_0000_0000_0002, "an ended series says so");
    }
}
