//! What becomes of the kubelet's answers until they are an encoded row, for whoever counts its
//! instructions (scripts/check-instructions.sh).
//!
//! `row-work cadvisor [TEXTS]` understands the recorded text of a cAdvisor of 51 pods so often, and prints how often.
//! `row-work WORK [PODS] [TICKS]` takes the recorded kubelet with 51 pods, scaled to so many, does the work
//! within `measured` at each tick after the first ones, and prints how many ticks these were.

mod node;

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use cairn_agent::sources::cadvisor::{self, Ids};
use flate2::read::GzDecoder;

use self::node::{INTERVAL_MS, Node, Work, measured};

/// A kubelet's text of 51 pods, 2 MB.
const TEXT: &[u8] = include_bytes!("../../fixtures/kubelet-1.36/cadvisor/pods-51.gz");

/// The names of all entities are new at first.
const FIRST_TICKS: u64 = 4;

/// Bytes of a large piece of memory.
const LARGE: usize = 64 * 1024;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map(String::as_str);
    if argument(0) == Some("cadvisor") {
        texts(argument(1).unwrap_or("5").parse().context("TEXTS")?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let work = match argument(0) {
        Some("parse") => Work::Parse,
        Some("resource") => Work::Resource,
        Some("merge") => Work::Merge,
        Some("encode") => Work::Encode,
        Some("row") => Work::Row,
        _ => {
            let usage = "usage: row-work parse|resource|merge|encode|row [PODS] [TICKS]\n       row-work cadvisor [TEXTS]\n";
            std::io::stderr().write_all(usage.as_bytes())?;
            return Ok(ExitCode::from(64));
        }
    };
    let pods = argument(1).unwrap_or("110").parse().context("PODS")?;
    let ticks = argument(2).unwrap_or("10").parse().context("TICKS")?;
    run(work, pods, ticks)?;
    Ok(ExitCode::SUCCESS)
}

fn run(work: Work, pods: usize, ticks: u64) -> Result<()> {
    let (begin_ms, replay) = node::replay(pods)?;
    let mut node = Node::default();
    for n in 0..FIRST_TICKS + ticks {
        let tick = begin_ms + n * INTERVAL_MS;
        let frame = replay.at(tick);
        let counted = (n >= FIRST_TICKS).then_some(work);
        // The allocator puts together what was freed when a large piece is asked for: what the making of
        // the answers left is not the agent's.
        drop(black_box(Vec::<u8>::with_capacity(LARGE)));
        match counted {
            Some(Work::Row) => measured(|| node.tick(tick, &frame, counted))?,
            counted => node.tick(tick, &frame, counted)?,
        };
    }
    writeln!(std::io::stdout(), "{ticks}")?;
    Ok(())
}

fn texts(times: u64) -> Result<()> {
    let mut text = Vec::new();
    GzDecoder::new(TEXT).read_to_end(&mut text)?;
    for _ in 0..times {
        let told = measured(|| cadvisor::parse(&text, Ids::Unwanted))?;
        anyhow::ensure!(told.pods.len() > 1, "the text names no pods");
    }
    writeln!(std::io::stdout(), "{times}")?;
    Ok(())
}
