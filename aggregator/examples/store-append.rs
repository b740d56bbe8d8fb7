//! What it costs the store to take rows in, in one thread and without a network.
//!
//! `store-append K|C|B` takes the rows of a generated node of W10 into a store under many names in
//! turn, and says in a line of JSON what a sample cost; `make bench` reads it.

use std::io::Write as _;
use std::process::ExitCode;

use cairn_aggregator::store::{Applied, Door as _, Opening, PackedStore, WireRow};
use cairn_proto::codec::DENSE;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::Run;
use testkit::mix::{Fields, Kind, Mix, Options, Row};
use tokio::time::Instant;

/// As many as do not fit into a core's cache together.
const NODES: usize = 64;

/// More than a window: blocks are sealed, put together and dropped as in operation.
const ROWS: usize = 160;

/// The first rows bring names and buffers; two blocks of them are not timed.
const WARM_ROWS: usize = 32;

/// The quickest of so many turns counts, tick by tick: whatever else the machine does makes one
/// slower, never quicker.
const TURNS: usize = 5;

/// A window, and what the aggregator keeps beyond it.
const KEPT_MS: u64 = 1_000_000;

/// One row as it travels, and as it is.
struct Tick {
    row: Row,
    base_seq: Option<u64>,
    payload: Vec<u8>,
}

fn main() -> ExitCode {
    let letter = std::env::args().nth(1).unwrap_or_default();
    let kinds = [Kind::K, Kind::C, Kind::B];
    let kind = kinds
        .into_iter()
        .find(|kind| letter.chars().eq([kind.letter()]));
    let measured = kind
        .ok_or_else(|| "store-append K|C|B".to_owned())
        .and_then(measure);
    let written = match &measured {
        Ok(text) => writeln!(std::io::stdout(), "{text}"),
        Err(problem) => writeln!(std::io::stderr(), "{problem}"),
    };
    match (measured, written) {
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn measure(kind: Kind) -> Result<String, String> {
    let ticks = ticks(kind)?;
    let (samples, decode) = decode(&ticks)?;
    let mut quickest = vec![f64::INFINITY; ticks.len()];
    for _ in 0..TURNS {
        append(&ticks, &mut quickest)?;
    }
    let append: f64 = quickest.iter().skip(WARM_ROWS).sum();
    let count = (samples * NODES).max(1);
    Ok(format!(
        "{{\"nodes\":{NODES},\"samples\":{count},\"append_ns\":{:.3},\"decode_ns\":{:.3}}}",
        append * 1e9 / count as f64,
        decode * 1e9 / count as f64
    ))
}

fn ticks(kind: Kind) -> Result<Vec<Tick>, String> {
    let options = Options {
        pods_per_node: Some(30),
        fields: Fields::Twenty,
        ..Options::of(kind)
    };
    let node = Mix::new(options).and_then(|mix| mix.node(0));
    let mut node = node.map_err(|error| error.to_string())?;
    let mut ticks: Vec<Tick> = Vec::new();
    for _ in 0..ROWS {
        let row = node.next_row().map_err(|error| error.to_string())?;
        let base = ticks.last().map(|tick| &tick.row);
        ticks.push(Tick {
            base_seq: base.map(|base| base.seq),
            payload: row::encode(DENSE, base.map(timed), timed(&row)),
            row,
        });
    }
    Ok(ticks)
}

fn timed(row: &Row) -> Timed<'_> {
    Timed {
        tick_ms: row.tick_ms,
        snapshot: &row.snapshot,
    }
}

/// Decodes the rows as often as there are nodes; gives the samples of one node and the seconds of all.
fn decode(ticks: &[Tick]) -> Result<(usize, f64), String> {
    let mut seconds = 0.0;
    let mut samples = 0;
    let bases = std::iter::once(None).chain(ticks.iter().map(Some));
    for (tick, base) in ticks.iter().zip(bases).skip(WARM_ROWS) {
        let mut quickest = f64::INFINITY;
        for _ in 0..TURNS {
            let began = Instant::now();
            for _ in 0..NODES {
                let base = base.map(|base| timed(&base.row));
                let decoded = row::decode(base, tick.row.tick_ms, &tick.payload);
                std::hint::black_box(decoded.map_err(|error| error.to_string())?);
            }
            quickest = quickest.min(began.elapsed().as_secs_f64());
        }
        seconds += quickest;
        samples += tick.row.snapshot.sample_count();
    }
    Ok((samples, seconds))
}

/// Appends the rows of every node, a tick at a time, and drops what is too old; lowers the seconds of
/// the ticks that were quicker than before.
fn append(ticks: &[Tick], quickest: &mut [f64]) -> Result<(), String> {
    let store = PackedStore::new(KEPT_MS, 0);
    let first_ms = ticks.first().ok_or("no rows")?.row.tick_ms;
    let run = Run {
        epoch_ms: first_ms.saturating_sub(1_000),
        boot_id: [7; 16],
        clock_stepped: false,
    };
    let opening = Opening {
        run,
        interval_ms: 10_000,
        sent_ms: first_ms,
        now_ms: first_ms,
    };
    let sessions = (0..NODES).map(|node| store.open(&format!("node{node}"), opening));
    let sessions: Vec<_> = sessions.collect();
    for (tick, quickest) in ticks.iter().zip(quickest) {
        for session in &sessions {
            for def in &tick.row.new_defs {
                let defined = store.define(session, def.clone());
                defined.map_err(|error| error.to_string())?;
            }
        }
        let row = WireRow {
            seq: tick.row.seq,
            base_seq: tick.base_seq,
            tick_ms: tick.row.tick_ms,
            payload: &tick.payload,
            sent_ms: tick.row.tick_ms,
            now_ms: tick.row.tick_ms,
        };
        let began = Instant::now();
        for session in &sessions {
            let applied = store.append(session, row);
            if applied.map_err(|error| error.to_string())? != Applied::Applied {
                return Err(format!("row {} was not taken", tick.row.seq));
            }
        }
        store.evict(tick.row.tick_ms);
        *quickest = quickest.min(began.elapsed().as_secs_f64());
    }
    Ok(())
}
