//! A whole fleet of agents in one process: thousands of streams, each as a real agent has it.
//!
//! [`bind`] prepares a fleet, [`Bound::run`] streams until it is told to stop, [`Control`] is how a
//! test looks at it and breaks it; the binary `fleet-sim` is a thin shell around them. [`Truth`]
//! tells what each agent holds; [`restart`] compares it with an aggregator that was killed, and
//! [`beside`] with one that hostile agents set upon.
//!
//! Rows come from a [`Mix`] and are cheap to send: some of its nodes are templates,
//! whose rows are made and encoded once and sent by many agents. What differs from agent to agent is
//! in the definitions: names of nodes and pods, and UIDs. Everything else is the agents' own: a TLS
//! connection and an HTTP/2 stream each, what they have sent, a run and what its ring holds. One task
//! keeps the ticks, one task each a stream; a row waits for nobody but the session that sends it.
//!
//! All data is drawn from the seed, whatever the clock. When a stream that ended comes back is not:
//! its jitter is the real one.

mod admin;
pub(crate) mod bed;
pub mod beside;
pub mod cluster;
mod compare;
mod connect;
mod control;
mod encode;
mod end;
mod identities;
mod life;
mod naming;
pub mod restart;
pub mod rolling;
mod session;
mod shared;
pub mod sockets;
mod tally;
mod template;
mod ticker;
mod truth;
mod turnstile;
mod uplink;
mod wants;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cairn_runtime::clock::{Clock, Mode, Waiter};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Group, TaskError};
use cairn_runtime::tls::{self, Connector, Trust, TrustFiles, server_name};
use cairn_runtime::{listen, logging};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Duration, Instant};

use crate::mix::{self, Mix};
use shared::{Agent, Pulse, Shared};
use template::{Maker, Template};
use ticker::Ticker;
use turnstile::Turnstile;

pub use control::{Control, Order};
pub use identities::write_token_file;
pub use life::Grid;
pub use naming::Naming;
pub use tally::State;
pub use truth::{Totals, Truth};

/// Streams end with their connections; there is nothing to wait for.
const DRAIN: Duration = Duration::from_secs(1);

/// What fleet.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data; `nodes` of it is the number of agents. Its start is not looked at: the fleet's
    /// clock decides.
    pub mix: mix::Options,
    /// Nodes of the data that are made; all others send their rows.
    pub templates: usize,
    /// How long the agents' rings reach back, ms.
    pub window_ms: u64,
    /// Rows that the agents have behind them when the fleet starts.
    pub history: u64,
}

impl Options {
    /// So many agents of nodes with 30 pods of 2 containers, and nothing behind them.
    #[must_use]
    pub fn of(kind: mix::Kind, agents: usize) -> Self {
        Self {
            mix: mix::Options {
                nodes: agents,
                ..mix::Options::of(kind)
            },
            templates: 32,
            window_ms: 900_000,
            history: 0,
        }
    }

    /// How the nodes are named.
    #[must_use]
    pub fn naming(&self) -> Naming {
        Naming::new(&self.mix, self.template_count())
    }

    /// The grid of a fleet that starts at this time.
    #[must_use]
    pub fn grid(&self, now_ms: u64) -> Grid {
        Grid::starting(now_ms, self.history, self.mix.interval_ms, self.window_ms)
    }

    /// The data of the templates, from the first row of this grid on.
    pub(crate) fn data(&self, grid: &Grid) -> Result<Vec<mix::Node>, mix::Error> {
        let mix = Mix::new(mix::Options {
            start_unix_ms: grid.first_tick_ms,
            ..self.mix.clone()
        })?;
        (0..self.template_count()).map(|at| mix.node(at)).collect()
    }

    fn template_count(&self) -> usize {
        self.templates.clamp(1, self.mix.nodes.max(1))
    }
}

/// What to run, and against whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// The fleet.
    pub options: Options,
    /// The aggregators' addresses; each agent streams to all of them.
    pub aggregators: Vec<SocketAddr>,
    /// PEM file with the CA of their certificates.
    pub ca: PathBuf,
    /// The name that their certificates have.
    pub server_name: String,
    /// Where the admin port is.
    pub admin_listen: SocketAddr,
    /// The clock that decides which rows there are.
    pub clock: Mode,
    /// Attempts to connect that may be under way at a time, at least 1.
    pub connecting: usize,
    /// The agents' tokens; empty for those that [`write_token_file`] writes of.
    pub tokens: Vec<String>,
}

/// What can go wrong before a fleet runs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data cannot be made.
    #[error("cannot make the rows")]
    Data(#[source] mix::Error),
    /// The CA or the name is unusable.
    #[error("cannot trust the aggregators")]
    Trust(#[source] tls::Error),
    /// The admin port cannot be listened on.
    #[error("cannot listen for admin")]
    Listen(#[source] listen::Error),
}

/// A fleet that is prepared.
#[derive(Debug)]
pub struct Bound {
    admin: listen::Bound,
    control: Control,
    makers: Vec<Maker>,
    waiter: Waiter,
    history: u64,
}

/// Prepares a fleet and opens its admin port.
///
/// # Errors
///
/// See [`Error`].
pub async fn bind(config: Config) -> Result<Bound, Error> {
    let options = &config.options;
    let clock = Clock::new(config.clock);
    // As old as the grid, so that no step of a driven clock passes it by.
    let waiter = clock.waiter("rows");
    let naming = options.naming().with_tokens(config.tokens);
    let grid = options.grid(clock.unix_ms());
    let files = TrustFiles {
        ca: vec![config.ca.clone()],
        ..TrustFiles::default()
    };
    let trust = Trust::load(files).map_err(Error::Trust)?;
    let name = server_name(&config.server_name).map_err(Error::Trust)?;
    let data = options.data(&grid).map_err(Error::Data)?;
    let templates = data.iter().map(|_| Template::new(grid.most_rows()));
    let agents =
        (0..options.mix.nodes).map(|index| Agent::new(index, &naming, &grid, &config.aggregators));
    let shared = Shared {
        connector: Connector::new(trust, name, &["h2"]),
        connecting: Semaphore::new(config.connecting.max(1)),
        templates: templates.collect(),
        agents: agents.collect(),
        pulse: watch::Sender::new(Pulse {
            rows: 0,
            made_at: Instant::now(),
            cuts: 0,
            paused: 0,
            is_muted: false,
            is_spread: !clock.is_driven(),
        }),
        turnstile: Turnstile::default(),
        tally: tally::Tally::default(),
        naming,
        grid,
        clock,
    };
    let admin = listen::bind(config.admin_listen).await;
    Ok(Bound {
        admin: admin.map_err(Error::Listen)?,
        control: Control {
            shared: Arc::new(shared),
        },
        makers: data.into_iter().map(Maker::new).collect(),
        waiter,
        history: options.history,
    })
}

impl Bound {
    /// The address of the admin port.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// The handle by which a test looks at the fleet and breaks it.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Makes the rows of the past, then connects every agent and streams until the token is
    /// cancelled.
    ///
    /// # Errors
    ///
    /// When rows cannot be made; everything has ended then.
    pub async fn run(self, token: Token) -> Result<(), TaskError> {
        let shared = Arc::clone(&self.control.shared);
        let admin = admin::serve(self.admin, self.control, token.clone());
        let mut ticker = Ticker::new(Arc::clone(&shared), self.makers, self.waiter);
        let streams = async {
            let ran = async {
                ticker.fill(self.history, &token).await?;
                let group = start(&shared, &token)?;
                ticker.run(token.clone()).await?;
                group.drained(DRAIN).await;
                Ok(())
            };
            let ran = ran.await;
            token.cancel();
            ran
        };
        let ((), ran) = tokio::join!(admin, streams);
        ran
    }
}

/// Starts a task for each stream.
fn start(shared: &Arc<Shared>, token: &Token) -> Result<Group, TaskError> {
    let streams = shared.agents.iter().map(|agent| agent.uplinks.len()).sum();
    let group = Group::new("agents", streams);
    for agent in &shared.agents {
        for at in 0..agent.uplinks.len() {
            let run = uplink::run(Arc::clone(shared), agent.index, at, token.clone());
            let started = group.try_spawn(run);
            started.map_err(|full| TaskError::message(logging::chain(&full)))?;
        }
    }
    Ok(group)
}
