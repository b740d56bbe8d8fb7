//! Two aggregators and every agent of a fleet are started anew, one after the other, within a window.
//!
//! Each agent streams to both, and each aggregator is the other's peer. The agents' rings are empty
//! after it, so that the second aggregator has what was before from the first one alone. Then both are
//! asked for every value of every node.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::bed::{ANY, Setup, start_aggregator, start_fleet, state, wait, write_files};
use super::{Order, Totals, Truth, compare, sockets};
use crate::exact::Found;
use crate::proc::Proc;
use crate::system::System;

/// How far past a tick the clocks are stepped: later than any node's phase.
const PAST_PHASE_MS: u64 = 500;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long an aggregator may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// How long aggregators keep rows: their window, and what rates and held values at its border need.
const KEPT_MS: u64 = 900_000 + 100_000;

/// The token with which the aggregators ask each other.
const PEER: (&str, &str) = ("@peer", "peer-token");

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The fleet, with the rows that it has behind it at the start.
    pub fleet: super::Options,
    /// When it starts, Unix ms.
    pub start_unix_ms: u64,
    /// Ticks before the update.
    pub ticks_before: u64,
    /// Ticks after it.
    pub ticks_after: u64,
}

/// What one aggregator holds at the end.
#[derive(Debug)]
pub struct Holds {
    /// Rows and samples.
    pub held: Totals,
    /// Rows that came a second time and were counted as such.
    pub duplicates: u64,
    /// Rows that it took from the other one.
    pub replayed_rows: u64,
    /// Every value of every node, compared one by one.
    pub found: Found,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Rows and samples that were sampled within what aggregators keep.
    pub expected: Totals,
    /// Both aggregators, in the order in which they were started anew.
    pub holds: [Holds; 2],
}

impl Report {
    /// True when both hold all that was sampled, each row once and with the values that were sampled. A
    /// row may come twice, from its agent and from the other aggregator: the second one is dropped.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.holds.iter().all(|holds| {
            holds.held == self.expected && holds.found.is_right() && holds.found.compared() > 0
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { rows, samples } = self.expected;
        for holds in &self.holds {
            writeln!(
                f,
                "held {} of {rows} rows, {} of {samples} samples; {} from the other one, {} came twice; \
                 values: {}",
                holds.held.rows,
                holds.held.samples,
                holds.replayed_rows,
                holds.duplicates,
                holds.found
            )?;
        }
        Ok(())
    }
}

/// Runs it.
///
/// # Errors
///
/// When a process does not come up or end, or what is waited for does not come about in minutes. What
/// is missing or wrong afterwards is no error but stands in the report.
pub fn run(options: &Options) -> Result<Report> {
    let mut truth = Truth::new(&options.fleet, options.fleet.grid(options.start_unix_ms))?;
    truth.grow(options.fleet.history)?;
    let mut bed = Replicas::start(options)?;
    bed.both_whole(&truth)?;
    for _ in 0..options.ticks_before {
        bed.tick(&mut truth)?;
    }
    bed.both_whole(&truth)?;

    bed.restart(0)?;
    bed.tick(&mut truth)?;
    bed.both_whole(&truth)?;
    bed.acknowledged()?;
    bed.restart_agents(&mut truth)?;
    bed.tick(&mut truth)?;
    bed.tick(&mut truth)?;
    bed.both_whole(&truth)?;
    bed.restart(1)?;
    for _ in 0..options.ticks_after {
        bed.tick(&mut truth)?;
    }
    bed.both_whole(&truth)?;
    let [first, second] = &bed.aggregators;
    Ok(Report {
        expected: bed.expected(&truth),
        holds: [bed.holds(first, &truth)?, bed.holds(second, &truth)?],
    })
}

/// The processes; they end when this is dropped.
struct Replicas {
    dir: tempfile::TempDir,
    setup: Setup,
    nodes: usize,
    aggregators: [Proc; 2],
    fleet: Proc,
    now_ms: u64,
}

impl Replicas {
    fn start(options: &Options) -> Result<Self> {
        let nodes = options.fleet.mix.nodes;
        sockets::make_room(2 * nodes)?;
        let setup = Setup {
            guests: vec![(PEER.0.to_owned(), PEER.1.to_owned())],
            ..Setup::of(options.fleet.clone(), options.start_unix_ms)
        };
        let (dir, now_ms) = (tempfile::tempdir()?, options.start_unix_ms);
        write_files(&setup, dir.path())?;
        std::fs::write(dir.path().join("peer.token"), PEER.1)?;
        // The second takes any port beside a first one that knows no peer; then each knows the other.
        let mut alone = start_aggregator(&dir, ANY, &setup, now_ms)?;
        let first = alone.addr("grpc")?;
        let beside = |other| with_peer(&setup, dir.path(), other);
        let second = start_aggregator(&dir, ANY, &beside(first), now_ms)?;
        alone.kill9()?;
        let to = second.addr("grpc")?;
        let aggregators = [start_aggregator(&dir, first, &beside(to), now_ms)?, second];
        let fleet = start_fleet(&dir, &[first, to], &setup, now_ms)?;
        Ok(Self {
            dir,
            setup,
            nodes,
            aggregators,
            fleet,
            now_ms,
        })
    }

    /// Lets one tick pass for everybody; does not wait until its rows have come.
    fn tick(&mut self, truth: &mut Truth) -> Result<()> {
        truth.grow(truth.rows() + 1)?;
        self.now_ms = truth.tick_ms(truth.rows() - 1) + PAST_PHASE_MS;
        // First, so that no row seems to come from the future.
        for aggregator in &self.aggregators {
            aggregator.step(self.now_ms)?;
        }
        Ok(self.fleet.step(self.now_ms)?)
    }

    /// Ends an aggregator as an update does and starts it again where it listened, with nothing in it.
    fn restart(&mut self, which: usize) -> Result<()> {
        let [first, second] = &mut self.aggregators;
        let (one, other) = if which == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let (grpc, peer) = (one.addr("grpc")?, other.addr("grpc")?);
        one.sigterm()?;
        let status = one.wait(GRACE)?;
        ensure!(status.success(), "{status}: {}", one.stderr());
        let setup = with_peer(&self.setup, self.dir.path(), peer);
        *one = start_aggregator(&self.dir, grpc, &setup, self.now_ms)?;
        Ok(())
    }

    /// Every agent ends without a word and begins anew with an empty ring.
    fn restart_agents(&self, truth: &mut Truth) -> Result<()> {
        let order = Order {
            restart: self.nodes,
            ..Order::default()
        };
        let order = serde_json::to_string(&order)?;
        let answer = self.fleet.post("admin", "/debug/fault", &order)?;
        ensure!(answer.status == 200, "{}", answer.text());
        truth.restart(self.nodes);
        Ok(())
    }

    /// All that was sampled and is not too old.
    fn expected(&self, truth: &Truth) -> Totals {
        let kept = truth.row_at(self.now_ms.saturating_sub(KEPT_MS));
        truth.sum(|_| kept..truth.rows())
    }

    /// Waits until both hold all of it, of agents that are all connected to both.
    fn both_whole(&self, truth: &Truth) -> Result<()> {
        let expected = self.expected(truth).rows;
        let mut rows = [0, 0];
        let whole = wait(PATIENCE, || {
            for (rows, aggregator) in rows.iter_mut().zip(&self.aggregators) {
                *rows = System::of_aggregator(aggregator, "store_rows", "")?;
            }
            let connected = state(&self.fleet)?.is_connected();
            let whole = rows.iter().all(|rows| *rows >= expected);
            Ok((whole && connected).then_some(()))
        })?;
        let said = || {
            self.aggregators
                .each_ref()
                .map(Proc::stderr)
                .join("\n---\n")
        };
        whole.with_context(|| format!("{rows:?} of {expected} rows each:\n{}", said()))
    }

    /// Waits until every agent knows that both have its newest row.
    fn acknowledged(&self) -> Result<()> {
        let streams = 2 * self.nodes as u64;
        let all = || Ok((state(&self.fleet)?.acked_newest == streams).then_some(()));
        wait(PATIENCE, all)?.context("not every row is acknowledged")
    }

    fn holds(&self, aggregator: &Proc, truth: &Truth) -> Result<Holds> {
        let figure = |name, labels| System::of_aggregator(aggregator, name, labels);
        Ok(Holds {
            held: Totals {
                rows: figure("store_rows", "")?,
                samples: figure("store_samples", "")?,
            },
            duplicates: figure("ingest_rows_total", "duplicate")?,
            replayed_rows: figure("replay_taken_rows_total", "")?,
            found: compare::nodes(aggregator, truth, 0..self.nodes, |_| 0)?,
        })
    }
}

/// The same aggregator with this one as its peer.
fn with_peer(setup: &Setup, dir: &std::path::Path, peer: std::net::SocketAddr) -> Setup {
    let path = |name: &str| dir.join(name).display().to_string();
    let args = [
        "--memory-limit",
        "0",
        "--peer",
        &format!("https://{peer}"),
        "--peer-ca",
        &path("ingest-ca.pem"),
        "--peer-token-file",
        &path("peer.token"),
    ];
    Setup {
        aggregator_args: args.map(str::to_owned).to_vec(),
        ..setup.clone()
    }
}
