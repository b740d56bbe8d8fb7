//! A fleet that fills an aggregator's window, tick after tick on the driven clock, and what that
//! took.
//!
//! The aggregator has one core to itself, the fleet has the other one; whoever calls this should be
//! on [`cores::OURS`](crate::proc::cores::OURS). The rows are encoded beforehand and shared by many
//! agents, so that making them does not count. A tick begins when the rows of the one before it are
//! handed over, not when they have arrived.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::machine;
use super::moment::unix_us;
use crate::deadline::Deadline;
use crate::fleet::bed::{self, Bed, Setup};
use crate::fleet::cluster::Cluster;
use crate::fleet::{self, Grid};
use crate::mix::{Fields, Kind};
use crate::proc::Proc;
use crate::proc::used::{Memory, cpu_seconds};
use crate::system::{System, TRACE_START_MS};

/// Past every phase, and before the next tick.
const PAST_PHASE_MS: u64 = 500;

/// The first rows carry names and refer to no other: they are not in the steady state.
const WARM_ROWS: u64 = 2;

/// How long all connections may take, and after them all rows. Several times what they need.
const CONNECTED_WITHIN: Duration = Duration::from_secs(120);
const FILLED_WITHIN: Duration = Duration::from_secs(300);
const LISTED_WITHIN: Duration = Duration::from_secs(120);

/// What a node takes of the machine's memory, in the aggregator and in the fleet together, with room
/// to spare: beyond what there is, the kernel would end processes that are not ours.
pub(super) fn node_bytes(kind: Kind) -> u64 {
    match kind {
        Kind::C | Kind::K => 512 << 10,
        // Each value of a window differs from the one before it.
        Kind::B => 768 << 10,
    }
}

/// The same of the API server's: thirty pods as trees of JSON.
pub(super) const CLUSTER_BYTES: u64 = 1 << 20;

/// What to fill a window with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fill {
    pub(super) kind: Kind,
    pub(super) nodes: usize,
    pub(super) interval_ms: u64,
    pub(super) ticks: u64,
    /// Part of the pods that is replaced each minute.
    pub(super) churn_per_minute: f64,
    /// True: the aggregator watches an API server that has all nodes and pods, and reviews the agents' tokens.
    pub(super) has_cluster: bool,
}

impl Fill {
    /// Nodes of W10, until as many rows are held as ever are: a window, and what the block that it
    /// cuts has beyond it.
    pub(super) fn w10(kind: Kind, nodes: usize) -> Self {
        Self {
            kind,
            nodes,
            interval_ms: 10_000,
            ticks: 107,
            churn_per_minute: 0.0,
            has_cluster: true,
        }
    }

    /// The same without a Kubernetes API: agents are known by a file, and what they name is taken.
    pub(super) fn alone(kind: Kind, nodes: usize) -> Self {
        Self {
            has_cluster: false,
            ..Self::w10(kind, nodes)
        }
    }

    /// In words, for the end of a line.
    pub(super) fn words(&self) -> String {
        format!(
            "{}, {} nodes of 30 pods with 2 containers, twenty fields, every {} s{}",
            self.kind.letter(),
            self.nodes,
            self.interval_ms / 1000,
            if self.has_cluster {
                ", all pods watched"
            } else {
                ""
            }
        )
    }

    pub(super) fn options(&self) -> fleet::Options {
        let mut options = fleet::Options::of(self.kind, self.nodes);
        options.mix.fields = Fields::Twenty;
        options.mix.pods_per_node = Some(30);
        options.mix.interval_ms = self.interval_ms;
        options.mix.churn_per_minute = self.churn_per_minute;
        options
    }

    /// Starts both processes, fills the window, and leaves them as they are then. Where there is a cluster, it
    /// signs the guests' tokens.
    pub(super) fn run(self, mut guests: Vec<(String, String)>) -> Result<Filled> {
        let of_cluster = if self.has_cluster { CLUSTER_BYTES } else { 0 };
        machine::has_room(self.nodes as u64 * (node_bytes(self.kind) + of_cluster))?;
        let options = self.options();
        let grid = options.grid(TRACE_START_MS);
        let interval = format!("{}s", self.interval_ms / 1000);
        let around = self.around(&options)?;
        if let Some((cluster, _)) = &around {
            for (name, token) in &mut guests {
                *token = cluster.admit(name)?;
            }
        }
        let first_token = guests.first().map(|(_, token)| token.clone());
        let setup = Setup {
            // What is measured is how much it takes, not what it does when it may not.
            aggregator_args: ["--memory-limit", "0", "--interval", &interval]
                .map(str::to_owned)
                .to_vec(),
            has_own_core: true,
            cluster: around.as_ref().map(|(cluster, _)| cluster.access()),
            guests,
            ..Setup::of(options, TRACE_START_MS)
        };
        let mut alone = Memory::default();
        let bed = Bed::start_through(setup, |aggregator| {
            if let Some((cluster, _)) = &around {
                heard_of(aggregator, cluster)?;
            }
            alone = Memory::of(aggregator.id())?;
            Ok(aggregator.addr("grpc")?)
        })?;
        let connected = bed::wait(CONNECTED_WITHIN, || {
            Ok(bed.state()?.is_connected().then_some(()))
        })?;
        connected.with_context(|| format!("not all agents are connected:\n{}", bed.stderr()))?;
        let connected = memory(&bed)?;
        let mut ticking = Ticking::new(bed, grid);
        let deadline = Deadline::after(FILLED_WITHIN);
        ticking.steps(WARM_ROWS, deadline)?;
        ticking.taken(deadline)?;
        let named = memory(&ticking.bed)?;
        let before = Moment::of(&ticking.bed)?;
        ticking.steps(self.ticks.saturating_sub(WARM_ROWS), deadline)?;
        ticking.taken(deadline)?;
        let taken = Moment::of(&ticking.bed)?.since(before);
        let full = memory(&ticking.bed)?;
        let figure = |name: &str| ticking.bed.figure(name, "");
        Ok(Filled {
            fill: self,
            alone,
            connected,
            named,
            full,
            rows: figure("store_rows")?,
            samples: figure("store_samples")?,
            counted_bytes: figure("store_bytes")?,
            taken,
            ticking,
            first_token,
            around,
        })
    }

    /// The cluster around the fleet, where there is to be one, and the directory that it needs.
    fn around(&self, fleet: &fleet::Options) -> Result<Around> {
        if !self.has_cluster {
            return Ok(None);
        }
        let dir = tempfile::tempdir()?;
        let cluster = Cluster::start(fleet, dir.path())?;
        Ok(Some((cluster, dir)))
    }
}

/// Waits until the aggregator knows every pod of the cluster: what its agents name of others would be held apart.
pub(super) fn heard_of(aggregator: &Proc, cluster: &Cluster) -> Result<()> {
    let all = cluster.all_pods() as u64;
    let heard = bed::wait(LISTED_WITHIN, || {
        let known = System::of_aggregator(aggregator, "cluster_objects", "resource=\"pods\"")?;
        Ok((known >= all).then_some(()))
    })?;
    heard.context("the aggregator does not hear of all pods")
}

fn memory(bed: &Bed) -> Result<Memory> {
    Memory::of(bed.aggregator.id())
}

/// An aggregator with a full window, its fleet, and what was seen on the way.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) fill: Fill,
    /// The aggregator's memory before anybody connected.
    pub(super) alone: Memory,
    /// With every agent connected and no row.
    pub(super) connected: Memory,
    /// With the first rows, and all names.
    pub(super) named: Memory,
    /// With a full window.
    pub(super) full: Memory,
    /// Rows held then.
    pub(super) rows: u64,
    /// Samples held then.
    pub(super) samples: u64,
    /// Bytes that the aggregator counts them as.
    pub(super) counted_bytes: u64,
    /// What was taken in after the first rows, until the aggregator had all of it.
    pub(super) taken: Moment,
    /// What goes on.
    pub(super) ticking: Ticking,
    /// The token of the first guest.
    pub(super) first_token: Option<String>,
    /// Dropped after the processes that ask it.
    pub(super) around: Around,
}

/// A cluster, and the directory of its files.
type Around = Option<(Cluster, tempfile::TempDir)>;

impl Filled {
    /// Samples in millions.
    pub(super) fn millions(&self) -> f64 {
        self.samples as f64 / 1e6
    }

    /// The aggregator's CPU time for a row, seconds.
    pub(super) fn cpu_per_row(&self) -> f64 {
        self.taken.cpu_seconds / self.taken.rows.max(1) as f64
    }

    /// Resident memory that came with the rows, by samples.
    pub(super) fn resident_per_sample(&self) -> f64 {
        let grown = self.full.resident.saturating_sub(self.connected.resident);
        grown as f64 / self.samples.max(1) as f64
    }
}

/// What was sent and used until a moment, or between two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) rows: u64,
    pub(super) samples: u64,
    /// CPU time of the aggregator.
    pub(super) cpu_seconds: f64,
    pub(super) wall_seconds: f64,
}

impl Moment {
    fn of(bed: &Bed) -> Result<Self> {
        let state = bed.state()?;
        Ok(Self {
            rows: state.rows_sent,
            samples: state.samples_sent,
            cpu_seconds: cpu_seconds(bed.aggregator.id())?,
            wall_seconds: unix_us() as f64 / 1e6,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            rows: self.rows - before.rows,
            samples: self.samples - before.samples,
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            wall_seconds: self.wall_seconds - before.wall_seconds,
        }
    }
}

/// Processes whose clock is stepped from tick to tick.
#[derive(Debug)]
pub(super) struct Ticking {
    pub(super) bed: Bed,
    grid: Grid,
    rows: u64,
}

impl Ticking {
    /// None has passed yet.
    pub(super) fn new(bed: Bed, grid: Grid) -> Self {
        Self { bed, grid, rows: 0 }
    }

    /// The tick that was begun last, Unix ms.
    pub(super) fn newest_tick_ms(&self) -> u64 {
        self.grid.tick_ms(self.rows.saturating_sub(1))
    }

    /// Begins a tick without a step; gives the tick and the time to step to, Unix ms.
    pub(super) fn begin(&mut self) -> (u64, u64) {
        self.rows += 1;
        let tick_ms = self.newest_tick_ms();
        (tick_ms, tick_ms + PAST_PHASE_MS)
    }

    /// Lets one tick pass; returns when every agent has handed its row over.
    pub(super) fn step(&mut self) -> Result<()> {
        let (_, now_ms) = self.begin();
        self.bed.step(now_ms)
    }

    /// Lets so many ticks pass.
    pub(super) fn steps(&mut self, ticks: u64, deadline: Deadline) -> Result<()> {
        for _ in 0..ticks {
            deadline
                .left()
                .context("the window is not filled in time")?;
            self.step()?;
        }
        Ok(())
    }

    /// Waits until the aggregator has taken every row that was sent, and checks that no agent had to
    /// pass over one. Acknowledgements come up to a second later, which would be counted as time.
    pub(super) fn taken(&self, deadline: Deadline) -> Result<()> {
        let bed = &self.bed;
        let state = bed.state()?;
        let left = deadline.left().unwrap_or_default();
        let taken = bed::wait(left, || {
            let rows = bed.figure("ingest_rows_total", "applied")?;
            Ok((rows >= state.rows_sent).then_some(()))
        })?;
        taken.with_context(|| format!("not every row has arrived:\n{}", bed.stderr()))?;
        ensure!(
            state.rows_skipped == 0 && state.reconnects == 0,
            "agents passed over {} rows and came back {} times",
            state.rows_skipped,
            state.reconnects
        );
        Ok(())
    }
}
