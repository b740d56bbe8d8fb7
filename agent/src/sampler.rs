//! One row a tick.
//!
//! One task owns all of it. At each tick of the grid it asks every source, waits a bounded time for
//! those that answer in time, makes a row of the newest readings, and appends it to the ring: with
//! that it is handed to every session. Only then does it wait for the next tick, so a driven clock
//! has come to rest when all of it is done.
//!
//! When the wall clock steps, the run ends and a new one begins.

mod again;

mod asking;

pub mod boot;

mod budget;

mod pace;

pub mod cadence;

mod cgroups;

mod due;

pub mod grid;

mod kubelet_clock;

pub mod merge;

pub mod preference;

pub mod registry;

pub mod roster;

mod shortage;

mod spending;

mod tally;

mod tick;

#[cfg(test)]
mod tests;

use std::time::Duration;

use cairn_proto::catalogue::{Source, table};
use cairn_proto::model::Run;
use cairn_runtime::clock::{Clock, Line, Waiter};
use cairn_runtime::readiness::{Blocker, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::TaskError;

use self::asking::Asking;
use self::cadence::{Cadence, Seen};
use self::grid::Grid;
use self::kubelet_clock::KubeletClock;
use self::pace::Paces;
use self::preference::Preference;
use self::registry::Registry;
use self::roster::Roster;
use self::shortage::Shortage;
use crate::marker::Marker;
use crate::metrics::Metrics;
use crate::ring::{Ring, Stock};
use crate::sources::Feed;
use crate::sources::cadvisor::Cadvisor;
use crate::sources::cgroup::{Cgroups, Sandboxes};
use crate::sources::procfs::Host;
use crate::sources::resource::Resource;
use crate::sources::status::{Board, Statuses};
use crate::sources::summary::Summary;

/// How far wall time and the run's line may part before the run ends, ms. Below it a time daemon's
/// slewing would end runs; above it rates would be wrong by more than a twentieth.
const STEP_MS: u64 = 500;

/// The sampler's ends of all sources; `None` is switched off.
#[derive(Debug, Default)]
pub struct Feeds {
    /// The kubelet's summary.
    pub summary: Option<Feed<Summary>>,
    /// The kubelet's resource endpoint.
    pub resource: Option<Feed<Resource>>,
    /// cAdvisor: the kubelet's, or one of its own.
    pub cadvisor: Option<Feed<Cadvisor>>,
    /// The node's cgroups.
    pub cgroups: Option<Feed<Cgroups>>,
    /// What those who read cgroups are told of sandboxes.
    pub sandboxes: Sandboxes,
    /// The node's /proc.
    pub host: Option<Feed<Host>>,
}

/// What the sampler works with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node's name.
    pub node: String,
    /// Distance of the ticks, ms.
    pub interval_ms: u64,
    /// How long rows are kept and entities remembered, ms.
    pub window_ms: u64,
    /// How often the summary is asked, ms; `None` is every half minute beside cgroups, and at every
    /// tick without.
    pub summary_every_ms: Option<u64>,
    /// Wall time.
    pub clock: Clock,
    /// Where rows go.
    pub ring: Ring,
    /// Where the first row is waited for and sources are noted.
    pub readiness: Readiness,
    /// Where things are counted.
    pub metrics: Metrics,
}

/// Makes the rows.
#[derive(Debug)]
pub struct Sampler {
    setup: Setup,
    feeds: Feeds,
    grid: Grid,
    run: Run,
    marker: Marker,
    line: Line,
    // These two from the start: a clock that is stepped before the task runs first must find
    // somebody who waits, and must not step over the first tick.
    waiter: Waiter,
    next_tick: u64,
    board: Board,
    registry: Registry,
    cpu: Option<Preference>,
    memory: Option<Preference>,
    // Between cgroups and everybody else.
    cgroups: Option<Preference>,
    cadence: Cadence,
    // There is no kubelet, and cAdvisor says what is there.
    cadvisor_is_alone: bool,
    roster: Roster,
    // Who is asked for the names that it lacks; `None` when nobody is.
    asking: Option<Asking>,
    // The tick whose row waits for names, while one does, and what its cgroups said.
    held: Option<(u64, Seen)>,
    first_row: Option<Blocker>,
    evicted: Stock,
    shortage: Shortage,
    // The kubelet's name for the node, when it is another one and was told.
    misnamed: Option<String>,
    kubelet_clock: KubeletClock,
    paces: Paces,
    // What each source may use, thousandths of a core; 0 is no limit.
    source_cpu_millis: u64,
    // More was listed than is taken, and it was told.
    crowded: bool,
    // What was told of cgroups that are left out.
    shut_out: Option<String>,
    // What was told of cgroups that cannot be told apart.
    strangers: Option<String>,
}

impl Sampler {
    /// Makes a sampler whose first run is the ring's.
    #[must_use]
    pub fn new(setup: Setup, feeds: Feeds) -> Self {
        let grid = Grid::new(setup.interval_ms, &setup.node);
        let sources: Vec<Source> = [
            feeds.summary.as_ref().map(Feed::source),
            feeds.resource.as_ref().map(Feed::source),
            feeds.cadvisor.as_ref().map(Feed::source),
            feeds.cgroups.as_ref().map(Feed::source),
            feeds.host.as_ref().map(Feed::source),
        ]
        .into_iter()
        .flatten()
        .collect();
        let board = Board::new(&sources, setup.readiness.clone());
        let preference = |field| {
            let ranked = table::field(field).map_or(&[][..], |field| field.sources);
            let ranked = ranked.iter().copied().filter(|s| sources.contains(s));
            ranked.collect::<Vec<Source>>()
        };
        // Not everything has a cgroup, so the kubelet's endpoints are chosen among themselves.
        let of_kubelet = |field| {
            let mut ranked = preference(field);
            ranked.retain(|source| !matches!(source, Source::Cgroup | Source::Cadvisor));
            Preference::new(&ranked)
        };
        let cpu = of_kubelet(table::CPU);
        let memory = of_kubelet(table::MEMORY_WORKING_SET);
        let cgroups = Preference::new(&preference(table::CPU))
            .filter(|preference| preference.current() == Source::Cgroup);
        let is_alone = feeds.cadvisor.is_some() && feeds.summary.is_none();
        let cadence = Cadence::new(setup.summary_every_ms).with_cadvisor_alone(is_alone);
        let first_row = setup.readiness.block("first-row", "no row was sampled yet");
        Self {
            run: setup.ring.head().run,
            marker: Marker::new(setup.interval_ms, setup.window_ms),
            line: setup.clock.line(),
            waiter: setup.clock.waiter("sampler"),
            next_tick: grid.first(setup.clock.unix_ms()),
            grid,
            board,
            registry: Registry::default(),
            cpu,
            memory,
            cgroups,
            cadence,
            cadvisor_is_alone: is_alone,
            roster: Roster::default(),
            asking: None,
            held: None,
            first_row: Some(first_row),
            evicted: Stock::default(),
            shortage: Shortage::default(),
            misnamed: None,
            kubelet_clock: KubeletClock::default(),
            paces: Paces::new(&sources, setup.interval_ms),
            source_cpu_millis: 0,
            crowded: false,
            shut_out: None,
            strangers: None,
            setup,
            feeds,
        }
    }

    /// The same with somebody who knows of earlier runs, or writes down this one.
    #[must_use]
    pub fn with_marker(self, marker: Marker) -> Self {
        Self { marker, ..self }
    }

    /// Lets somebody watch how the sources are doing.
    #[must_use]
    pub fn statuses(&self) -> Statuses {
        self.board.subscribe()
    }

    /// Samples until the token is cancelled; then closes the ring, so that sessions send what is in
    /// it and leave.
    ///
    /// # Errors
    ///
    /// A source's task or thread has ended.
    pub async fn run(mut self, token: Token) -> Result<(), TaskError> {
        let sampled = tokio::select! {
            biased;
            // A row in the making is given up: it was promised to nobody. One that waits for names is made.
            () = token.cancelled() => Ok(()),
            ended = self.ticks() => ended,
        };
        if let Some((tick, seen)) = self.held.take() {
            self.finish(tick, seen);
            self.marker.row(self.run, tick);
        }
        self.setup.ring.close();
        match sampled {
            // The sources stop at the same token and may be seen to be gone first.
            Err(_) if token.is_cancelled() => Ok(()),
            other => other,
        }
    }

    async fn ticks(&mut self) -> Result<(), TaskError> {
        let clock = self.setup.clock.clone();
        let mut tick = self.next_tick;
        loop {
            // Before the wait too: it sees only the steps that come during itself, and one that came
            // while a row was made would be waited out.
            if self.line.drift_ms().unsigned_abs() > STEP_MS {
                let now_ms = clock.unix_ms();
                self.step(now_ms);
                tick = self.grid.first(now_ms);
            }
            // Either way the drift says whether the clock stepped.
            let _wake = self.waiter.until_or_back(self.grid.due_ms(tick)).await;
            if self.line.drift_ms().unsigned_abs() > STEP_MS {
                continue;
            }
            let now_ms = clock.unix_ms();
            if now_ms < self.grid.due_ms(tick) {
                continue;
            }
            if !clock.is_driven() {
                let (newest, skipped) = self.grid.newest_due(tick, now_ms);
                self.setup.metrics.sampler.skipped_ticks.inc_by(skipped);
                tick = newest;
            }
            let lag_ms = now_ms.saturating_sub(self.grid.due_ms(tick));
            self.setup
                .metrics
                .sampler
                .lag
                .observe(Duration::from_millis(lag_ms).as_secs_f64());
            self.sample(tick).await?;
            tick = self.grid.after(tick);
        }
    }

    /// Ends the run and begins the next.
    fn step(&mut self, now_ms: u64) {
        let drift_ms = self.line.drift_ms();
        tracing::warn!(drift_ms, "wall clock stepped, a new run begins");
        self.setup.metrics.sampler.clock_steps.inc();
        self.line = self.setup.clock.line();
        // Two runs of one boot must not have one epoch, or they would be taken for one.
        let epoch_ms = if now_ms == self.run.epoch_ms {
            now_ms + 1
        } else {
            now_ms
        };
        self.run = Run {
            epoch_ms,
            clock_stepped: true,
            ..self.run
        };
        // Their times are on the line that ended, or by the clock before it was set.
        let Feeds {
            summary,
            resource,
            cadvisor,
            cgroups,
            host,
            sandboxes: _,
        } = &mut self.feeds;
        self.paces.forget_times();
        self.roster.begin_run(now_ms);
        cgroups.iter_mut().for_each(Feed::forget);
        cadvisor.iter_mut().for_each(Feed::forget);
        summary.iter_mut().for_each(Feed::forget);
        resource.iter_mut().for_each(Feed::forget);
        host.iter_mut().for_each(Feed::forget);
        let preferences = [&mut self.cpu, &mut self.memory, &mut self.cgroups];
        for preference in preferences.into_iter().flatten() {
            preference.forget_times();
        }
        self.registry.begin_run();
        // First, for sessions tell of it when they see the new run.
        self.marker.step(now_ms);
        self.setup.ring.begin(self.run);
    }
}
