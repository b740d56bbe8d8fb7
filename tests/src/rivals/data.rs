//! The same rows of one fleet in the forms that the systems take them in, made before anything is
//! measured: whoever feeds a system then only copies bytes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use cairn_proto::catalogue::table;
use cairn_proto::codec::DENSE;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::Snapshot;
use cairn_proto::v1;
use prost::Message as _;

use super::answer::{Points, Question};
use super::series::Names;
use super::{line_protocol, remote_write};
use crate::mix::{Mix, Node, Options};

/// In front of each message of a stream: the prefix of gRPC and the head of an HTTP/2 frame.
const FRAMING_BYTES: usize = 5 + 9;

/// What the question is about.
const ASKED: cairn_proto::catalogue::FieldId = table::MEMORY_WORKING_SET;

/// The question is about the largest namespace of so many pods or fewer, as the goal is.
const MOST_ASKED: usize = 1200;

/// What one agent sends at one tick.
#[derive(Debug)]
pub(super) struct Tick {
    /// Unix ms.
    pub(super) tick_ms: u64,
    /// Entities that no earlier row had.
    pub(super) defines: Vec<v1::Define>,
    /// The values.
    pub(super) row: v1::Row,
}

/// What one agent sends.
#[derive(Debug)]
pub(super) struct Feed {
    /// The node's name.
    pub(super) node: String,
    /// One a tick.
    pub(super) ticks: Vec<Tick>,
}

/// Bodies of requests, by node and tick.
pub(super) type Bodies = Vec<Vec<Vec<u8>>>;

/// One fleet over one window.
#[derive(Debug)]
pub(super) struct Data {
    /// Values, stamps not counted.
    pub(super) samples: u64,
    /// Series at the last tick.
    pub(super) series: u64,
    /// Pods.
    pub(super) pods: usize,
    /// For an aggregator.
    pub(super) feeds: Vec<Feed>,
    /// Bytes of the feeds with their framing, TLS not counted.
    pub(super) feed_bytes: u64,
    /// For Prometheus and `VictoriaMetrics`.
    pub(super) remote_write: Bodies,
    /// For `InfluxDB`.
    pub(super) lines: Bodies,
    /// What is asked of every system.
    pub(super) question: Question,
    /// The answer, out of the rows.
    pub(super) expected: Points,
}

/// What is collected from node to node.
#[derive(Debug, Default)]
struct Made {
    samples: u64,
    series: u64,
    feed_bytes: u64,
    /// The field that is asked for, by namespace.
    asked: BTreeMap<String, Points>,
}

impl Data {
    /// Makes so many ticks of a fleet.
    pub(super) fn make(options: &Options, ticks: u64) -> Result<Self> {
        let mix = Mix::new(options.clone())?;
        let (mut made, mut feeds) = (Made::default(), Vec::new());
        let (mut remote_write, mut lines) = (Bodies::new(), Bodies::new());
        for index in 0..mix.node_count() {
            let bodies = made.node(mix.node(index)?, ticks)?;
            feeds.push(bodies.feed);
            remote_write.push(bodies.remote_write);
            lines.push(bodies.lines);
        }
        let pods = made.asked.values().map(BTreeMap::len).sum();
        let asked = made.asked.into_iter();
        let largest = asked
            .filter(|(_, pods)| pods.len() <= MOST_ASKED)
            .max_by_key(|(_, pods)| pods.len());
        let (namespace, expected) =
            largest.with_context(|| format!("no namespace of {MOST_ASKED} pods or fewer"))?;
        let question = Question {
            namespace,
            field: table::field(ASKED).context("a field that is not in the catalogue")?,
            first_ms: options.start_unix_ms,
            last_ms: options.start_unix_ms + (ticks.max(1) - 1) * options.interval_ms,
            interval_ms: options.interval_ms,
        };
        Ok(Self {
            samples: made.samples,
            series: made.series,
            pods,
            feeds,
            feed_bytes: made.feed_bytes,
            remote_write,
            lines,
            question,
            expected,
        })
    }
}

/// What one node sends, in every form.
struct OfNode {
    feed: Feed,
    remote_write: Vec<Vec<u8>>,
    lines: Vec<Vec<u8>>,
}

impl Made {
    fn node(&mut self, mut node: Node, ticks: u64) -> Result<OfNode> {
        let mut names = Names::default();
        let mut out = OfNode {
            feed: Feed {
                node: node.name().to_owned(),
                ticks: Vec::new(),
            },
            remote_write: Vec::new(),
            lines: Vec::new(),
        };
        let mut base = None;
        for tick in 0..ticks {
            let row = node.next_row()?;
            names.add(node.name(), &row.new_defs);
            let sent = Tick {
                tick_ms: row.tick_ms,
                defines: row.new_defs.iter().map(v1::Define::from).collect(),
                row: v1::Row {
                    seq: row.seq,
                    base_seq: base.as_ref().map(|_| row.seq.saturating_sub(1)),
                    tick: row.tick_ms,
                    payload: row::encode(
                        DENSE,
                        base.as_ref().map(timed),
                        Timed {
                            tick_ms: row.tick_ms,
                            snapshot: &row.snapshot,
                        },
                    ),
                },
            };
            self.feed_bytes += wire_bytes(&sent);
            let readings = names.readings(&row.snapshot);
            let ended = base
                .as_ref()
                .map(|(_, base)| names.ended(base, &row.snapshot));
            let ended = ended.unwrap_or_default();
            let body = remote_write::encode(row.tick_ms, &readings, &ended)?;
            out.remote_write.push(body);
            out.lines
                .push(line_protocol::encode(row.tick_ms, &readings)?);
            out.feed.ticks.push(sent);
            let count: usize = readings.iter().map(|one| one.values.len()).sum();
            self.samples += count as u64;
            if tick + 1 == ticks {
                self.series += count as u64;
            }
            for reading in readings.iter().filter(|one| one.whose.kind() == "pod") {
                let mut values = reading.values.iter();
                let Some((_, value)) = values.find(|(field, _)| field.id == ASKED) else {
                    continue;
                };
                let pods = self.asked.entry(reading.whose.namespace.clone());
                let points = pods.or_default().entry(reading.whose.pod.clone());
                points.or_default().push((row.tick_ms, *value));
            }
            base = Some((row.tick_ms, row.snapshot));
        }
        Ok(out)
    }
}

fn wire_bytes(tick: &Tick) -> u64 {
    let frame = |kind| {
        let frame = v1::AgentFrame {
            unix_ms: tick.tick_ms,
            kind: Some(kind),
        };
        (frame.encoded_len() + FRAMING_BYTES) as u64
    };
    let defines = tick.defines.iter().cloned();
    let defines: u64 = defines
        .map(|define| frame(v1::agent_frame::Kind::Define(define)))
        .sum();
    defines + frame(v1::agent_frame::Kind::Row(tick.row.clone()))
}

fn timed((tick_ms, snapshot): &(u64, Snapshot)) -> Timed<'_> {
    Timed {
        tick_ms: *tick_ms,
        snapshot,
    }
}

#[cfg(test)]
mod tests {
    use super::Data;
    use crate::mix::{Fields, Kind, Options};

    #[test]
    fn every_form_has_every_row() {
        let options = Options {
            nodes: 2,
            pods_per_node: Some(3),
            fields: Fields::Twenty,
            ..Options::of(Kind::C)
        };
        let data = Data::make(&options, 4).unwrap();
        assert_eq!((data.pods, data.expected.len()), (6, 6));
        assert_eq!(data.samples, data.series * 4);
        for bodies in [&data.remote_write, &data.lines] {
            assert_eq!(bodies.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
        }
        let [first, ..] = &data.feeds[..] else {
            panic!("no feed")
        };
        assert_eq!(first.ticks[0].defines.len(), 1 + 4 + 3 + 6);
        assert_eq!(first.ticks[0].row.base_seq, None);
        assert!(first.ticks[1].defines.is_empty());
        assert_eq!(first.ticks[1].row.base_seq, Some(0));
        let points = data.expected.values().next().unwrap();
        let ticks: Vec<u64> = points.iter().map(|(tick, _)| *tick).collect();
        assert_eq!(ticks.len(), 4);
        assert_eq!(ticks[3], data.question.last_ms);
    }
}
