//! The whole system on loopback: simulated kubelets, agents and an aggregator, as processes.
//!
//! With the driven clock a test steps all of them tick by tick: [`System::tick`] returns when the
//! tick has been sampled, sent, and is in the aggregator's window.

mod cgroups;
mod figures;
mod host;
mod kubelet;
mod network;
mod recording;
mod sources;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::deadline::Deadline;
use crate::http1::Answer;
use crate::pki::Pki;
use crate::proc::Proc;

pub use cgroups::CgroupFiles;
pub use host::{HostFiles, MovingHost};
pub use kubelet::take_flag;
pub use recording::{FIRST_TICK_MS, Recording, TRACE_START_MS, TRACE_TICKS, at, ticks};

/// How far past a tick the clocks are stepped: later than any node's phase.
const PAST_PHASE_MS: u64 = 500;

/// The aggregator's name as the API server calls it: service, namespace and `svc`.
pub const SERVICE_HOST: &str = "cairn-aggregator.cairn.svc";

/// How long anything may take to come about.
const SOON: Duration = Duration::from_secs(10);

/// How a system is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the kubelets answer with.
    pub recording: Recording,
    /// Nodes of the recording to simulate.
    pub nodes: Vec<String>,
    /// Distance of the ticks, such as `10s`.
    pub interval: String,
    /// Nodes whose agents have another one than that.
    pub agent_intervals: BTreeMap<String, String>,
    /// How far the kubelets' clocks, and all times that they tell, are ahead, ms.
    pub kubelet_ahead_ms: i64,
    /// True: every clock stands at the recording's start until it is stepped.
    pub driven: bool,
    /// The token that kubelets take from now on; the agents' file begins with it.
    pub kubelet_token: String,
    /// Further arguments of each kubelet simulator.
    pub sim_args: Vec<String>,
    /// Further arguments of each agent.
    pub extra_agent_args: Vec<String>,
    /// Further arguments of the aggregator.
    pub extra_aggregator_args: Vec<String>,
    /// The address at which every process listens.
    pub loopback: IpAddr,
    /// Nodes that are not simulated, but whose tokens the aggregator knows.
    pub guests: Vec<String>,
}

impl Options {
    /// One node of the carried recording, with a driven clock.
    #[must_use]
    pub fn one_node() -> Self {
        Self {
            nodes: vec!["node1".to_owned()],
            ..Self::default()
        }
    }

    /// All nodes of a recording, with a driven clock.
    #[must_use]
    pub fn replaying(recording: Recording) -> Self {
        Self {
            nodes: recording.nodes.clone(),
            interval: "10s".to_owned(),
            agent_intervals: BTreeMap::new(),
            kubelet_ahead_ms: 0,
            driven: true,
            kubelet_token: "kubelet-token".to_owned(),
            sim_args: Vec::new(),
            extra_agent_args: Vec::new(),
            extra_aggregator_args: Vec::new(),
            loopback: IpAddr::V4(Ipv4Addr::LOCALHOST),
            guests: Vec::new(),
            recording,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::replaying(Recording::carried())
    }
}

/// One node: its kubelet and its agent.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The simulated kubelet.
    pub kubelet: Proc,
    /// How far its clock is ahead of everybody's, ms; taken at the next step.
    pub ahead_ms: i64,
    /// Its agent; `None` while there is none.
    pub agent: Option<Proc>,
}

/// Processes of one system; all end when it is dropped.
#[derive(Debug)]
pub struct System {
    /// How processes are started from now on.
    pub options: Options,
    dir: tempfile::TempDir,
    grpc: SocketAddr,
    /// The nodes, in the order asked for.
    pub nodes: Vec<Node>,
    /// The aggregator; `None` while there is none.
    pub aggregator: Option<Proc>,
}

impl System {
    /// Starts everything.
    ///
    /// # Errors
    ///
    /// A process that did not come up, with its stderr.
    pub fn start(options: Options) -> Result<Self> {
        let mut system = Self::new(options)?;
        system.start_aggregator()?;
        system.start_kubelets()?;
        for index in 0..system.nodes.len() {
            system.start_agent(index)?;
        }
        Ok(system)
    }

    fn new(options: Options) -> Result<Self> {
        let system = Self {
            grpc: SocketAddr::new(options.loopback, 0),
            options,
            dir: tempfile::tempdir()?,
            nodes: Vec::new(),
            aggregator: None,
        };
        system.write_identities()?;
        Ok(system)
    }

    /// A file of this system.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The aggregator's serving certificate, the agents' tokens, and the file that knows them.
    fn write_identities(&self) -> Result<()> {
        let pki = Pki::new(self.dir.path())?;
        pki.ca("ingest-ca")?
            .leaf("server")
            .dns(&["localhost", SERVICE_HOST])
            .ips(&[self.options.loopback])
            .write()?;
        let mut lines = String::from("# node, sha256 of its agent's token\n");
        if self.options.nodes.is_empty() {
            lines.push_str(&format!("nobody {}\n", sha256_hex(b"nobody")));
        }
        for name in self.options.nodes.iter().chain(&self.options.guests) {
            let token = format!("agent-token-of-{name}");
            std::fs::write(self.path(&format!("{name}.token")), &token)?;
            lines.push_str(&format!("{name} {}\n", sha256_hex(token.as_bytes())));
        }
        lines.push_str(&format!("@peer {}\n", sha256_hex(b"peer-token")));
        std::fs::write(self.path("peer.token"), "peer-token")?;
        std::fs::write(self.path("tokens"), lines)?;
        std::fs::write(self.path("kubelet.token"), &self.options.kubelet_token)?;
        Ok(())
    }

    /// Starts the aggregator; a second time, where the first one listened.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn start_aggregator(&mut self) -> Result<()> {
        let mut args = self.aggregator_args();
        let clock = self.clock();
        args.extend(["--clock".to_owned(), clock]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let aggregator = Proc::start("cairn-aggregator", &args, &[])?;
        self.grpc = aggregator.addr("grpc")?;
        self.aggregator = Some(aggregator);
        Ok(())
    }

    /// The arguments of the aggregator, without its clock.
    #[must_use]
    pub fn aggregator_args(&self) -> Vec<String> {
        let any = self.any();
        let own = [
            "--interval",
            &self.options.interval,
            "--grpc-listen",
            &self.grpc.to_string(),
            "--http-listen",
            &any,
            "--https-listen",
            &any,
            "--admin-listen",
            &any,
            "--tls-cert",
            &self.text("server.pem"),
            "--tls-key",
            &self.text("server.key"),
        ];
        let more = &self.options.extra_aggregator_args;
        let tokens = self.text("tokens");
        let by_file = [
            "--ingest-auth",
            "token-file",
            "--ingest-token-file",
            &tokens,
        ];
        let is_told = more.iter().any(|arg| arg == "--ingest-auth");
        let auth: &[&str] = if is_told { &[] } else { &by_file };
        // The machine that the tests run on may be a pod itself.
        let asked = more.iter().any(|arg| arg.starts_with("--kubernetes"));
        let off: &[&str] = if asked { &[] } else { &["--kubernetes", "off"] };
        let own = own.into_iter().chain(auth.iter().chain(off).copied());
        own.map(str::to_owned).chain(more.iter().cloned()).collect()
    }

    /// A free port of this system's address.
    pub(crate) fn any(&self) -> String {
        SocketAddr::new(self.options.loopback, 0).to_string()
    }

    /// The arguments of a node's agent, without its clock.
    ///
    /// # Errors
    ///
    /// When its kubelet published no address.
    pub fn agent_args(&self, index: usize) -> Result<Vec<String>> {
        let node = self.nodes.get(index).context("no such node")?;
        let name = &node.name;
        let kubelet = format!("https://{}", node.kubelet.addr("kubelet")?);
        let aggregator = format!("https://{}", self.grpc);
        let own = self.options.agent_intervals.get(name);
        let interval = own.unwrap_or(&self.options.interval);
        let ca = self.text(&format!("kubelet-{name}/{name}-kubelet-ca.pem"));
        let any = self.any();
        let args = [
            "--node-name",
            name,
            "--interval",
            interval,
            "--aggregator",
            &aggregator,
            "--aggregator-ca",
            &self.text("ingest-ca.pem"),
            "--token-file",
            &self.text(&format!("{name}.token")),
            "--kubelet",
            &kubelet,
            "--kubelet-ca",
            &ca,
            "--kubelet-token-file",
            &self.text("kubelet.token"),
            "--admin-listen",
            &any,
        ];
        let more = self.options.extra_agent_args.iter().map(String::as_str);
        // The recordings have nothing of cAdvisor: a test that looks at it asks for it.
        let asked = self
            .options
            .extra_agent_args
            .iter()
            .any(|arg| arg == "--cadvisor");
        let off: &[&str] = if asked { &[] } else { &["--cadvisor", "off"] };
        let more = off.iter().copied().chain(more);
        Ok(args.into_iter().chain(more).map(str::to_owned).collect())
    }

    /// Starts a node's agent.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn start_agent(&mut self, index: usize) -> Result<()> {
        let mut args = self.agent_args(index)?;
        args.extend(["--clock".to_owned(), self.clock()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let agent = Proc::start("cairn-agent", &args, &[])?;
        self.nodes.get_mut(index).context("no such node")?.agent = Some(agent);
        Ok(())
    }

    /// The clock of a process that starts now: where the kubelets' clocks stand.
    #[must_use]
    pub fn clock(&self) -> String {
        if !self.options.driven {
            return "system".to_owned();
        }
        let now = self.nodes.first().and_then(|node| {
            let answer = node.kubelet.get("admin", "/debug/clock").ok()?;
            let clock: Value = serde_json::from_slice(&answer.body).ok()?;
            let unix_ms = clock["unix_ms"].as_u64()?;
            Some(unix_ms.saturating_add_signed(-node.ahead_ms))
        });
        format!("driven={}", now.unwrap_or(self.options.recording.start_ms))
    }

    /// The aggregator.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn aggregator(&self) -> Result<&Proc> {
        self.aggregator.as_ref().context("no aggregator runs")
    }

    /// Steps every clock past a tick; does not wait for the rows. While the agents read, the
    /// kubelets stand at the tick itself: a row is what was known then.
    ///
    /// # Errors
    ///
    /// When a process does not settle.
    pub fn step(&self, tick_ms: u64) -> Result<()> {
        let now = tick_ms + PAST_PHASE_MS;
        for node in &self.nodes {
            let own_ms = tick_ms.saturating_add_signed(node.ahead_ms);
            node.kubelet.step(own_ms)?;
        }
        if let Some(aggregator) = &self.aggregator {
            aggregator.step(now)?;
        }
        for agent in self.nodes.iter().filter_map(|node| node.agent.as_ref()) {
            agent.step(now)?;
        }
        for node in &self.nodes {
            let own_ms = now.saturating_add_signed(node.ahead_ms);
            node.kubelet.step(own_ms)?;
        }
        Ok(())
    }

    /// Steps every clock past a tick and waits until the aggregator holds it of every node that
    /// has an agent.
    ///
    /// # Errors
    ///
    /// When it does not come about within 10 s; with the stderr of everybody.
    pub fn tick(&self, tick_ms: u64) -> Result<()> {
        self.step(tick_ms)?;
        self.arrived(tick_ms, SOON)
    }

    /// Waits until the aggregator holds this tick of every node that has an agent.
    ///
    /// # Errors
    ///
    /// When it does not come about in time; with the stderr of everybody.
    pub fn arrived(&self, tick_ms: u64, within: Duration) -> Result<()> {
        let wanted: Vec<&str> = self.with_agents().collect();
        let arrived = Deadline::after(within).poll(|| {
            let overview = self.overview().ok()?;
            let all = wanted
                .iter()
                .all(|name| newest(&overview, name) >= Some(tick_ms));
            all.then_some(())
        });
        ensure!(
            arrived.is_some(),
            "tick {tick_ms} did not arrive:\n{}",
            self.stderr()
        );
        Ok(())
    }

    fn with_agents(&self) -> impl Iterator<Item = &str> {
        self.nodes
            .iter()
            .filter(|node| node.agent.is_some())
            .map(|node| node.name.as_str())
    }

    /// The newest frame of every node.
    ///
    /// # Errors
    ///
    /// When the aggregator does not answer.
    pub fn overview(&self) -> Result<Value> {
        let answer = self.get("/api/cairn/v1/overview")?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Asks the aggregator's plain listener.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        Ok(self.aggregator()?.get("http", path)?)
    }

    /// Asks for JSON.
    ///
    /// # Errors
    ///
    /// When the answer is not 200 or not JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        let answer = self.get(path)?;
        ensure!(
            answer.status == 200,
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        serde_json::from_slice(&answer.body).with_context(|| format!("{path}: {}", answer.text()))
    }

    /// A figure of a process's own `/metrics`, summed over its labels that contain `labels`.
    ///
    /// # Errors
    ///
    /// When the process does not answer.
    pub fn metric(process: &Proc, name: &str, labels: &str) -> Result<f64> {
        let text = process.get("admin", "/metrics")?.text();
        let matches = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| {
                (rest.starts_with('{') || rest.starts_with(' ')) && rest.contains(labels)
            })
        };
        let values = text
            .lines()
            .filter(matches)
            .filter_map(|line| line.rsplit(' ').next());
        Ok(values.filter_map(|value| value.parse::<f64>().ok()).sum())
    }

    /// What every process has said.
    #[must_use]
    pub fn stderr(&self) -> String {
        let mut text = String::new();
        let mut add = |name: &str, process: Option<&Proc>| {
            let said = process.map(Proc::stderr).unwrap_or_default();
            text.push_str(&format!("--- {name}\n{said}"));
        };
        add("aggregator", self.aggregator.as_ref());
        for node in &self.nodes {
            add(&format!("agent of {}", node.name), node.agent.as_ref());
            add(&format!("kubelet of {}", node.name), Some(&node.kubelet));
        }
        text
    }

    /// The directory of the files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Newest tick of a node in a frame.
fn newest(overview: &Value, name: &str) -> Option<u64> {
    let nodes = overview["nodes"].as_array()?;
    nodes.iter().find(|node| node["name"] == name)?["newest_tick_ms"].as_u64()
}

/// What `sha256sum` prints of it.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
