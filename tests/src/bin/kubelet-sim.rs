//! `kubelet-sim`: a kubelet that answers with recorded statistics, and breaks when told to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use cairn_runtime::clock::{Clock, Mode};
use cairn_runtime::exit::{self, Failure};
use cairn_runtime::{bound, shutdown};
use clap::Parser;
use testkit::args;
use testkit::pki::{Leaf, Pki, Validity};
use testkit::sim;
use testkit::trace::{Options, Replay, Trace};

/// Serves recorded kubelet statistics over TLS.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where the kubelet's port is; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where /livez, /metrics, /debug/clock, /debug/fault and /debug/identity are.
    #[arg(long, default_value = "127.0.0.1:0")]
    admin_listen: SocketAddr,
    /// Where the port without TLS and without a token is; without it there is none.
    #[arg(long)]
    read_only_listen: Option<SocketAddr>,
    /// Where a cAdvisor of its own answers /metrics; without it there is none. It breaks with the
    /// kubelet's endpoint of that name.
    #[arg(long)]
    cadvisor_listen: Option<SocketAddr>,
    /// That cAdvisor has the kubelet's certificate; without it there is no TLS.
    #[arg(long)]
    cadvisor_tls: bool,
    /// Recorded node to replay.
    #[arg(long, default_value = "node1")]
    node: String,
    /// Node name to answer with, when it is not the recorded one.
    #[arg(long)]
    node_name: Option<String>,
    /// Recording to replay, a .tar.gz; without it the one carried in the binary.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// PEM file with the certificate chain.
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// PEM file with the private key.
    #[arg(long, requires = "cert")]
    key: Option<PathBuf>,
    /// Makes a certificate of a default kubelet's shape in this directory
    /// (NAME-kubelet.pem, NAME-kubelet.key, NAME-kubelet-ca.pem) and serves it.
    #[arg(long, conflicts_with = "cert")]
    make_pki: Option<PathBuf>,
    /// Bearer token to expect; without it everybody is let in.
    #[arg(long)]
    token: Option<String>,
    /// Number of pods in the first frame; without it the recorded ones.
    #[arg(long)]
    pods: Option<usize>,
    /// Decides names, UIDs and sizes of pods that the recording does not have.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// When the recording begins, Unix milliseconds; without it the clock's time at the start.
    #[arg(long)]
    start_unix_ms: Option<u64>,
    /// Clock to replay on: system, driven or driven=N, N in Unix milliseconds.
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(&error))?;
    let bound_file = args.bound_file.clone();
    let config = configure(args)?;
    runtime.block_on(async {
        let sim = sim::bind(config)
            .await
            .map_err(|error| Failure::config(&error))?;
        let mut addrs = vec![("kubelet", sim.kubelet_addr())];
        addrs.extend(sim.admin_addr().map(|addr| ("admin", addr)));
        addrs.extend(sim.read_only_addr().map(|addr| ("read-only", addr)));
        addrs.extend(sim.cadvisor_addr().map(|addr| ("cadvisor", addr)));
        if let Some(path) = &bound_file {
            bound::publish(path, &addrs).map_err(|error| Failure::config(&error))?;
        }
        let token = shutdown::Token::new();
        let stop = async {
            let signal = shutdown::signalled().await;
            token.cancel();
            signal
        };
        let (signal, ()) = tokio::join!(stop, sim.run(token.clone()));
        signal.map(drop).map_err(|error| Failure::other(&error))
    })
}

fn configure(args: Args) -> Result<sim::Config, Failure> {
    let trace = match &args.trace {
        Some(path) => Trace::load(path),
        None => Trace::carried(),
    }
    .map_err(|error| Failure::config(&error))?;
    let options = Options {
        start_unix_ms: args
            .start_unix_ms
            .unwrap_or_else(|| Clock::new(args.clock).unix_ms()),
        pods: args.pods,
        seed: args.seed,
        node_name: args.node_name.clone(),
    };
    let replay =
        Replay::new(&trace, &args.node, options).map_err(|error| Failure::config(&error))?;
    let leaf = match (args.cert, args.key, &args.make_pki) {
        (Some(cert_pem), Some(key_pem), _) => Leaf { cert_pem, key_pem },
        (_, _, Some(dir)) => {
            let name = args.node_name.as_deref().unwrap_or(&args.node);
            Pki::new(dir)
                .and_then(|pki| pki.kubelet_default(name, Validity::Current))
                .map_err(|error| Failure::config(&error))?
        }
        _ => {
            let text = "no certificate: give --cert and --key, or --make-pki DIR";
            return Err(Failure::Config(text.to_owned()));
        }
    };
    Ok(sim::Config {
        listen: args.listen,
        admin_listen: Some(args.admin_listen),
        read_only_listen: args.read_only_listen,
        cadvisor_listen: args.cadvisor_listen,
        cadvisor_tls: args.cadvisor_tls,
        cert: leaf.cert_pem,
        key: leaf.key_pem,
        token: args.token,
        clock: args.clock,
        replay,
    })
}
