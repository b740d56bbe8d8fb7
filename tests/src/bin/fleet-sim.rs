//! `fleet-sim`: thousands of agents in one process, for tests and benchmarks of an aggregator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use cairn_runtime::clock::Mode;
use cairn_runtime::exit::{self, Failure};
use cairn_runtime::{bound, duration, shutdown};
use clap::Parser;
use testkit::args;
use testkit::fleet::{self, Options, sockets};
use testkit::mix::{self, Fields, Kind};

/// Streams the rows of a seeded fleet to aggregators, as its agents would.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address of an aggregator's gRPC listener; may be repeated: every agent streams to each.
    #[arg(long, required = true, value_name = "ADDR")]
    aggregator: Vec<SocketAddr>,
    /// PEM file with the CA of the aggregators' certificates.
    #[arg(long, value_name = "FILE")]
    aggregator_ca: PathBuf,
    /// Name that the aggregators' certificates have.
    #[arg(long, default_value = "localhost", value_name = "NAME")]
    aggregator_server_name: String,
    /// File to write for the aggregators' --ingest-token-file, before anything else.
    #[arg(long, value_name = "FILE")]
    write_token_file: Option<PathBuf>,
    /// File with the agents' tokens, a line each, where an API server signed them. Without it each agent has
    /// one of its own, see --write-token-file.
    #[arg(long, value_name = "FILE", conflicts_with = "write_token_file")]
    token_file: Option<PathBuf>,
    /// Agents.
    #[arg(long, default_value_t = 500)]
    agents: usize,
    /// Nodes whose rows are made; the other agents send the same values under names of their own.
    #[arg(long, default_value_t = 32)]
    templates: usize,
    /// Data: K (recorded), C (half of the containers busy) or B (all busy).
    #[arg(long, default_value = "C")]
    kind: Kind,
    /// Fields: all, or twenty (at most twenty an entity, no parts: goal W10).
    #[arg(long, default_value = "all", value_parser = fields)]
    fields: Fields,
    /// Pods of a node; without it as many as recorded (K), or 30.
    #[arg(long)]
    pods: Option<usize>,
    /// Containers of a pod; K has the recorded ones.
    #[arg(long, default_value_t = 2)]
    containers: usize,
    /// Namespaces that the pods are dealt out to; without it one for each thousand of them. K has the recorded ones.
    #[arg(long)]
    namespaces: Option<usize>,
    /// Part of the pods that is replaced each minute, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "PART")]
    churn_per_minute: f64,
    /// Decides all data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Distance of the ticks: 1s, 2s, 5s, 10s, 15s, 20s, 30s or 60s.
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    interval: Duration,
    /// How long the agents' rings reach back.
    #[arg(long, default_value = "15m", value_parser = duration::parse)]
    window: Duration,
    /// Rows that the agents have behind them at the start.
    #[arg(long, default_value_t = 0, value_name = "TICKS")]
    history: u64,
    /// Attempts to connect that may be under way at a time.
    #[arg(long, default_value_t = 256)]
    connecting: usize,
    /// Threads that the streams share.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Where /state, /debug/clock and /debug/fault are.
    #[arg(long, default_value = "127.0.0.1:0")]
    admin_listen: SocketAddr,
    /// Clock: system, driven or driven=N, N in Unix milliseconds.
    #[arg(long, default_value = "system")]
    clock: Mode,
    /// File to write the bound addresses to.
    #[arg(long, env = "CAIRN_BOUND_FILE", hide = true)]
    bound_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    match args::parse() {
        Ok(args) => exit::report(start(args)),
        Err(code) => code,
    }
}

fn start(args: Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.workers.max(1))
        .enable_all()
        .build()
        .map_err(|error| Failure::other(&error))?;
    let streams = args.agents.saturating_mul(args.aggregator.len());
    sockets::make_room(streams).map_err(|error| Failure::config(&error))?;
    let bound_file = args.bound_file.clone();
    let tokens = args.write_token_file.clone();
    let given = args.token_file.as_deref().map(tokens_of).transpose()?;
    let config = configure(args, given.unwrap_or_default());
    if let Some(path) = tokens {
        let written = fleet::write_token_file(&config.options, &path);
        let text = |error| format!("--write-token-file {}: {error}", path.display());
        written.map_err(|error| Failure::Config(text(error)))?;
    }
    runtime.block_on(async {
        let fleet = fleet::bind(config)
            .await
            .map_err(|error| Failure::config(&error))?;
        if let Some(path) = &bound_file {
            let addrs = [("admin", fleet.admin_addr())];
            bound::publish(path, &addrs).map_err(|error| Failure::config(&error))?;
        }
        let token = shutdown::Token::new();
        let stop = async {
            tokio::select! {
                signal = shutdown::signalled() => signal.map(drop),
                () = token.cancelled() => Ok(()),
            }
            .inspect(|()| token.cancel())
        };
        let (signal, ran) = tokio::join!(stop, fleet.run(token.clone()));
        ran.map_err(|error| Failure::Other(error.to_string()))?;
        signal.map_err(|error| Failure::other(&error))
    })
}

fn tokens_of(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Config(format!("--token-file {}: {error}", path.display())))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn configure(args: Args, tokens: Vec<String>) -> fleet::Config {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mix = mix::Options {
        nodes: args.agents,
        pods_per_node: args.pods,
        containers_per_pod: args.containers,
        namespaces: args.namespaces,
        seed: args.seed,
        interval_ms: millis(args.interval),
        churn_per_minute: args.churn_per_minute,
        fields: args.fields,
        ..mix::Options::of(args.kind)
    };
    fleet::Config {
        options: Options {
            mix,
            templates: args.templates,
            window_ms: millis(args.window),
            history: args.history,
        },
        aggregators: args.aggregator,
        ca: args.aggregator_ca,
        server_name: args.aggregator_server_name,
        admin_listen: args.admin_listen,
        clock: args.clock,
        connecting: args.connecting,
        tokens,
    }
}

fn fields(word: &str) -> Result<Fields, String> {
    let all = [Fields::All, Fields::Twenty];
    let found = all.into_iter().find(|fields| fields.as_str() == word);
    found.ok_or_else(|| "expected all or twenty".to_owned())
}
