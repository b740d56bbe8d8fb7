//! A system with two aggregators: every agent streams to both, and each is the other's peer.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::deadline::Deadline;
use crate::proc::Proc;
use crate::rfc3339;
use crate::system::{Options, System};

/// How long anything may take to come about: agents reconnect within five seconds, and the nodes
/// that none reports are asked for after six.
const SOON: Duration = Duration::from_secs(20);

/// Two aggregators. The first is the system's own.
#[derive(Debug)]
pub struct Pair {
    /// Everything but the second aggregator.
    pub system: System,
    /// The second aggregator; `None` while there is none.
    pub second: Option<Proc>,
    grpc: [String; 2],
}

impl Pair {
    /// Starts everything.
    ///
    /// # Errors
    ///
    /// A process that did not come up, with its stderr.
    pub fn start(options: Options) -> Result<Self> {
        let mut system = System::start(options)?;
        let first = grpc(system.aggregator()?)?;
        let mut pair = Self {
            grpc: [first, String::new()],
            second: None,
            system: {
                system.nodes.iter_mut().for_each(|node| node.agent = None);
                system
            },
        };
        // The second takes any port; then the first knows it, and so do the agents.
        pair.start_second()?;
        let second = grpc(pair.second()?)?;
        let options = &mut pair.system.options;
        let both = ["--aggregator".to_owned(), format!("https://{second}")];
        options.extra_agent_args.extend(both);
        pair.grpc[1].clone_from(&second);
        pair.system.options.extra_aggregator_args = pair.peer_args(&second);
        pair.system
            .aggregator
            .take()
            .context("no aggregator")?
            .kill9()?;
        pair.start_first()?;
        for index in 0..pair.system.nodes.len() {
            pair.system.start_agent(index)?;
        }
        Ok(pair)
    }

    /// The flags that make an address a peer.
    #[must_use]
    pub fn peer_args(&self, address: &str) -> Vec<String> {
        let path = |name: &str| self.system.path(name).display().to_string();
        [
            "--peer",
            &format!("https://{address}"),
            "--peer-ca",
            &path("ingest-ca.pem"),
            "--peer-token-file",
            &path("peer.token"),
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Starts the first aggregator again.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn start_first(&mut self) -> Result<()> {
        self.system.start_aggregator()
    }

    /// Starts the second aggregator; a second time, where it listened before.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn start_second(&mut self) -> Result<()> {
        let own = std::mem::take(&mut self.system.options.extra_aggregator_args);
        let mut args = self.system.aggregator_args();
        self.system.options.extra_aggregator_args = own;
        let listen = args.iter().position(|arg| arg == "--grpc-listen");
        let listen = listen.and_then(|at| args.get_mut(at + 1));
        let any = "127.0.0.1:0";
        let before = Some(&*self.grpc[1]).filter(|before| !before.is_empty());
        before
            .unwrap_or(any)
            .clone_into(listen.context("no listener")?);
        args.extend(self.peer_args(&self.grpc[0]));
        args.extend(["--clock".to_owned(), self.system.clock()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.second = Some(Proc::start("cairn-aggregator", &args, &[])?);
        Ok(())
    }

    /// The second aggregator.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn second(&self) -> Result<&Proc> {
        self.second.as_ref().context("no second aggregator runs")
    }

    /// Steps every clock past a tick and waits until every aggregator that runs holds it of every
    /// node that has an agent.
    ///
    /// # Errors
    ///
    /// When it does not come about in time; with the stderr of everybody.
    pub fn tick(&self, tick_ms: u64) -> Result<()> {
        if let Some(second) = &self.second {
            second.step(tick_ms + 500)?;
        }
        self.system.step(tick_ms)?;
        let nodes = self.system.nodes.iter();
        let with_agent = nodes.filter(|node| node.agent.is_some());
        let names: Vec<&str> = with_agent.map(|node| node.name.as_str()).collect();
        for aggregator in self.aggregators() {
            let arrived = Deadline::after(SOON).poll(|| {
                let overview = aggregator.get("http", "/api/cairn/v1/overview").ok()?;
                let overview: Value = serde_json::from_slice(&overview.body).ok()?;
                let nodes = overview["nodes"].as_array()?;
                let has = |name: &&str| {
                    let mut nodes = nodes.iter();
                    nodes.any(|n| n["name"] == *name && n["newest_tick_ms"] == tick_ms)
                };
                names.iter().all(has).then_some(())
            });
            ensure!(
                arrived.is_some(),
                "tick {tick_ms} did not arrive:\n{}",
                self.stderr()
            );
        }
        Ok(())
    }

    /// The aggregators that run.
    pub fn aggregators(&self) -> impl Iterator<Item = &Proc> {
        self.system.aggregator.iter().chain(&self.second)
    }

    /// What every process has said.
    #[must_use]
    pub fn stderr(&self) -> String {
        let second = self.second.as_ref().map(Proc::stderr).unwrap_or_default();
        format!("{}--- second aggregator\n{second}", self.system.stderr())
    }
}

/// Every value of every series of a node at the ticks of a range, as an aggregator tells it.
///
/// # Errors
///
/// When it does not answer, or does not know the node.
pub fn values(aggregator: &Proc, node: &str, ticks_ms: (u64, u64)) -> Result<Value> {
    let (start, end) = (rfc3339::format(ticks_ms.0), rfc3339::format(ticks_ms.1));
    let path = format!("/api/cairn/v1/values?node={node}&start={start}&end={end}");
    let answer = aggregator.get("http", &path)?;
    ensure!(answer.status == 200, "{path}: {}", answer.text());
    Ok(serde_json::from_slice(&answer.body)?)
}

fn grpc(aggregator: &Proc) -> Result<String> {
    Ok(aggregator.addr("grpc")?.to_string())
}
