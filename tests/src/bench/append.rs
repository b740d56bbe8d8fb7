//! Goal 5: what a sample costs the store, in one thread and without a network.
//!
//! The program that appends is an example of the aggregator's crate, as no other crate sees its store.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{Goal, Line, program};
use crate::mix::Kind;
use crate::proc;

/// The program, beside the binaries.
const PROGRAM: &str = "examples/store-append";

/// It is done long before.
const WITHIN: Duration = Duration::from_secs(120);

/// What the program says.
#[derive(Debug, Deserialize)]
struct Told {
    /// Nodes whose rows took turns.
    nodes: u64,
    samples: u64,
    /// A sample of a row in wire form: decoded, appended, sealed, dropped when it is old.
    append_ns: f64,
    /// The part of it that decoding takes, alone.
    decode_ns: f64,
}

pub(super) fn run() -> Result<Vec<Line>> {
    let program = proc::find(PROGRAM).ok().with_context(|| {
        format!("{PROGRAM} is not built: cargo build --release -p cairn-aggregator --examples")
    })?;
    let mut lines = Vec::new();
    for kind in [Kind::K, Kind::C, Kind::B] {
        let told = append(&program, kind)?;
        let data = format!(
            "{} every 10 s, 30 pods, twenty fields, {} nodes in turn, {:.1} M samples, one thread",
            kind.letter(),
            told.nodes,
            told.samples as f64 / 1e6
        );
        let line = |name, value, goal, more: &str| Line {
            number: "5",
            name,
            value,
            unit: "ns",
            goal,
            data: format!("{data}; {more}"),
        };
        lines.push(line(
            "store_append",
            told.append_ns - told.decode_ns,
            Some(Goal::AtMost(10.0)),
            "a sample of a decoded row: appended, sealed, dropped; decoding taken off",
        ));
        lines.push(line(
            "store_append_wire",
            told.append_ns,
            None,
            "a sample of a row as it comes: decoding too",
        ));
    }
    Ok(lines)
}

fn append(program: &Path, kind: Kind) -> Result<Told> {
    let letter = kind.letter().to_string();
    let (status, said) = program::run(program, &[&letter], WITHIN)?;
    ensure!(
        status.success(),
        "the store does not take the rows: {status}"
    );
    Ok(serde_json::from_str(&said)?)
}
