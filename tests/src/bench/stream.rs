//! Goal 3 with everything that travels: bytes that a few agents and an aggregator write into their
//! TCP sockets, in both directions, by samples.
//!
//! Counted are TLS records, HTTP/2 frames, gRPC heads, rows and acknowledgements; TCP's and IP's own
//! heads are not, as they depend on the network. An aggregator acknowledges at most once a second of
//! real time, so the driven clock is stepped no faster: each row has its acknowledgement, as in
//! operation. The pings of a connection that is idle for 10 s are not in it. All combinations are
//! counted at the same time, as they have little to do.

mod proxy;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::sheet::Sheet;
use super::{Goal, Line};
use crate::deadline::Deadline;
use crate::fleet::bed::{self, Bed, Setup};
use crate::fleet::{self, State};
use crate::mix::{Fields, Kind};
use crate::system::TRACE_START_MS;
use proxy::Proxy;

/// Each of a template of its own, so that no row is counted twice.
const AGENTS: usize = 4;

/// Connecting, names and first rows are over by then.
const WARM_TICKS: u64 = 6;

/// What is counted: every source is read again in it at 1 s, and at 10 s the recording is shown whole.
const TICKS: u64 = 30;

/// A tick that is not acknowledged by then never is: acknowledgements are a second apart.
const SOON: Duration = Duration::from_secs(20);

/// Past every phase, and before the next tick.
const PAST_PHASE_MS: u64 = 500;

/// The rows, and the goal where there is one.
const COMBINATIONS: [(Kind, u64, Fields, Option<f64>); 8] = [
    (Kind::K, 10_000, Fields::Twenty, Some(0.8)),
    (Kind::C, 10_000, Fields::Twenty, Some(1.0)),
    (Kind::B, 10_000, Fields::Twenty, None),
    (Kind::C, 1_000, Fields::Twenty, Some(0.6)),
    (Kind::K, 10_000, Fields::All, None),
    (Kind::C, 10_000, Fields::All, None),
    (Kind::B, 10_000, Fields::All, None),
    (Kind::C, 1_000, Fields::All, None),
];

pub(super) fn run(sheet: &mut Sheet<'_>) -> Result<()> {
    let counted = std::thread::scope(|scope| {
        let threads = COMBINATIONS.map(|(kind, interval_ms, fields, _)| {
            scope.spawn(move || count(kind, interval_ms, fields))
        });
        threads.map(|thread| thread.join().ok().context("a thread ended")?)
    });
    for ((kind, interval_ms, fields, goal), counted) in COMBINATIONS.into_iter().zip(counted) {
        let counted = counted?;
        sheet.line(&Line {
            number: "3",
            name: "wire_bytes_per_sample",
            value: counted.by_sample(counted.up + counted.down),
            unit: "bytes",
            goal: goal.map(Goal::AtMost),
            data: format!(
                "{} every {} s, 30 pods, {} fields, {} samples a row; TLS, HTTP/2 and gRPC: rows {:.3}, names and frames {:.3}, back {:.3}",
                kind.letter(),
                interval_ms / 1000,
                fields.as_str(),
                counted.samples / counted.rows.max(1),
                counted.by_sample(counted.payload),
                counted.by_sample(counted.up.saturating_sub(counted.payload)),
                counted.by_sample(counted.down),
            ),
        })?;
    }
    Ok(())
}

/// What passed between two moments.
#[derive(Clone, Copy, Debug)]
struct Counted {
    up: u64,
    down: u64,
    rows: u64,
    samples: u64,
    /// Of `up`, the encoded rows.
    payload: u64,
}

impl Counted {
    fn by_sample(&self, bytes: u64) -> f64 {
        bytes as f64 / self.samples.max(1) as f64
    }
}

fn count(kind: Kind, interval_ms: u64, fields: Fields) -> Result<Counted> {
    let mut fleet = fleet::Options::of(kind, AGENTS);
    fleet.mix.fields = fields;
    fleet.mix.pods_per_node = Some(30);
    fleet.mix.interval_ms = interval_ms;
    let grid = fleet.grid(TRACE_START_MS);
    let interval = format!("{}s", interval_ms / 1000);
    let setup = Setup {
        aggregator_args: vec!["--interval".to_owned(), interval],
        ..Setup::of(fleet, TRACE_START_MS)
    };
    // Dropped after the processes whose connections it holds.
    let mut proxy = None;
    let mut bed = Bed::start_through(setup, |aggregator| {
        let started = Proxy::start(aggregator.addr("grpc")?)?;
        Ok(proxy.insert(started).addr)
    })?;
    let passed = &proxy.as_ref().context("no proxy")?.passed;
    let connected = bed::wait(SOON, || Ok(bed.state()?.is_connected().then_some(())))?;
    connected.with_context(|| format!("not all agents are connected:\n{}", bed.stderr()))?;
    let mut before = None;
    for row in 0..WARM_TICKS + TICKS {
        if row == WARM_TICKS {
            before = Some((bed.state()?, passed.read()));
        }
        bed.step(grid.tick_ms(row) + PAST_PHASE_MS)?;
        acked(&bed)?;
    }
    let (state, (up, down)) = (bed.state()?, passed.read());
    let (earlier, (up_before, down_before)) = before.context("no tick was counted")?;
    ensure!(
        state.reconnects == 0 && state.rows_skipped == 0,
        "not every row travelled once:\n{}",
        bed.stderr()
    );
    drop(bed);
    let since = |of: fn(&State) -> u64| of(&state) - of(&earlier);
    Ok(Counted {
        up: up - up_before,
        down: down - down_before,
        rows: since(|state| state.rows_sent),
        samples: since(|state| state.samples_sent),
        payload: since(|state| state.row_bytes_sent),
    })
}

/// Waits until every row has arrived, so that nothing counted is of another tick.
fn acked(bed: &Bed) -> Result<()> {
    let arrived = || bed.state().map(|state| state.is_acked()).unwrap_or(false);
    let found = Deadline::after(SOON).poll(|| arrived().then_some(()));
    found.with_context(|| format!("a row is not acknowledged:\n{}", bed.stderr()))
}
