//! Goal 3: bytes a sample on the wire.

use anyhow::Result;

use cairn_proto::codec::DENSE;

use super::payload::measure;
use super::{Goal, Line};
use crate::mix::{Kind, Options};

/// A virtual hour every 10 s.
const ROWS: u32 = 360;

pub(super) fn run() -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (kind, interval_ms, goal) in [
        (Kind::K, 10_000, Some(0.8)),
        (Kind::C, 10_000, Some(1.0)),
        (Kind::B, 10_000, None),
        (Kind::C, 1_000, Some(0.6)),
        (Kind::B, 1_000, None),
    ] {
        let options = Options {
            pods_per_node: Some(30),
            interval_ms,
            ..Options::of(kind)
        };
        let payload = measure(DENSE, options, ROWS)?;
        let data = format!(
            "{} every {} s, 30 pods, {:.0} samples a row; dense codec, payload only: no frame, no TLS",
            kind.letter(),
            interval_ms / 1000,
            payload.samples_per_row
        );
        let (number, name, value) = ("3", "wire_row_bytes_per_sample", payload.bytes_per_sample);
        // The goal counts frames and TLS too: a payload over it is short, one below it says nothing.
        let goal = goal.filter(|goal| value > *goal).map(Goal::AtMost);
        lines.push(Line {
            number,
            name,
            value,
            unit: "bytes",
            goal,
            data,
        });
    }
    Ok(lines)
}
