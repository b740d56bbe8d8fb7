//! The benchmarks: each measures the real binaries or the real code, and gives lines to print.
//!
//! A line is `number name value unit goal ok|short  # data`, the number being that of the goal in
//! the table of goals. A figure without a goal, or one that does not stand for the goal as it is
//! worded, has `-` for both. Every part is bounded in time and ends the processes it started.

mod bed;
mod codec;
mod cost;
mod freshness;
pub(crate) mod line;
pub(crate) mod machine;
pub(crate) mod moment;
pub mod payload;
mod wire;

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::proc;

pub use line::Line;

/// The binaries that are measured.
const BINARIES: [&str; 2] = ["cairn-agent", "cairn-aggregator"];

/// A group of lines that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes on the wire.
    Wire,
    /// What a sample costs the codec.
    Codec,
    /// From a kubelet's answer to the aggregator's.
    Freshness,
    /// CPU and memory of the processes.
    Cost,
}

impl Part {
    /// Every part, in the order they are run.
    pub const ALL: [Part; 4] = [Part::Wire, Part::Codec, Part::Freshness, Part::Cost];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::Wire => "wire",
            Part::Codec => "codec",
            Part::Freshness => "freshness",
            Part::Cost => "cost",
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The parts to run.
    pub parts: Vec<Part>,
    /// How long each part that runs processes may go on beyond its least number of ticks.
    pub duration: Duration,
}

/// Runs the benchmarks and prints the machine, then the lines as they come.
///
/// # Errors
///
/// A binary that is not built, a process that does not come up, or an output that is closed.
pub fn run(options: &Options, out: &mut impl Write) -> Result<()> {
    for name in BINARIES {
        proc::find(name)
            .ok()
            .with_context(|| format!("{name} is not built: cargo build --release --bins"))?;
    }
    for line in machine::describe() {
        writeln!(out, "# {line}")?;
    }
    if cfg!(debug_assertions) {
        writeln!(
            out,
            "# DEBUG BUILD: these figures say nothing, build with --release"
        )?;
    }
    writeln!(out, "{}", line::head())?;
    for part in &options.parts {
        let lines = match part {
            Part::Wire => wire::run()?,
            Part::Codec => codec::run()?,
            Part::Freshness => freshness::run(options.duration)?,
            Part::Cost => cost::run(options.duration)?,
        };
        print(out, &lines)?;
    }
    Ok(())
}

fn print(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Options, Part, run};

    #[test]
    fn the_machine_comes_first_and_then_a_line_a_figure() {
        let mut out = Vec::new();
        let options = Options {
            parts: vec![Part::Wire, Part::Codec],
            duration: Duration::ZERO,
        };
        run(&options, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (head, lines): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with('#'));
        assert!(head[0].starts_with("# cores "), "{text}");
        assert_eq!(lines.len(), 10, "{text}");
        for line in lines {
            let (figure, data) = line.split_once("  # ").unwrap();
            let words: Vec<&str> = figure.split_whitespace().collect();
            assert_eq!(words.len(), 6, "{line}");
            assert!(words[2].parse::<f64>().unwrap() > 0.0, "{line}");
            assert!(["ok", "short", "-"].contains(&words[5]), "{line}");
            assert!(data.starts_with(['K', 'C', 'B']), "{line}");
        }
    }
}
