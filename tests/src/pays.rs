//! What a node pays for being watched: its kubelet's, its container runtime's and its agent's CPU time.
//!
//! The requests are counted by the simulator, and each is charged what it cost on a real node; what the
//! agent uses is measured.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::busy::{BusyNode, Pod};
use crate::proc::Proc;
use crate::sim::Endpoint;
use crate::system::{FIRST_TICK_MS, Options, System};

/// CPU time of kubelet and container runtime for one request, ms: measured on a node of Kubernetes 1.36 with
/// containerd and 51 pods, the cluster of the recordings. What is not asked for statistics is not charged.
pub const PRICES_MS: [(Endpoint, f64); 5] = [
    (Endpoint::Summary, 41.0),
    (Endpoint::SummaryOfCpuAndMemory, 29.0),
    (Endpoint::Resource, 34.0),
    (Endpoint::Cadvisor, 216.0),
    (Endpoint::Pods, 8.0),
];

/// The most that all of it may be a minute, ms, at one row in ten seconds and at one a second.
pub const GOALS_MS: [(u64, f64); 2] = [(10_000, 130.0), (1_000, 600.0)];

/// A pod and its containers have their names so long after the first tick at which its cgroup is there, ms.
pub const NAMED_WITHIN_MS: u64 = 2_000;

/// The kubelet stands so long after a tick, ms, when an agent whose rows are far apart asks it again. A pod that
/// came right before the tick is listed by then.
const ASKED_AGAIN_MS: u64 = 1_000;

/// How long anything may take to come about.
const SOON: Duration = Duration::from_secs(10);

const MINUTE_MS: u64 = 60_000;

/// What was paid since the start. Not in it is what nobody asks for beside cgroups: open files, and packets by
/// interface, which cAdvisor's text alone tells, at its price for each time.
#[derive(Clone, Debug, PartialEq)]
pub struct Paid {
    /// Over how many minutes.
    pub minutes: u64,
    /// Requests by endpoint.
    pub requests: Vec<(Endpoint, u64)>,
    /// CPU time of the agent's process, ms.
    pub agent_ms: f64,
    /// Pods that came.
    pub newcomers: usize,
}

impl Paid {
    /// What the kubelet and its runtime are charged a minute, ms.
    #[must_use]
    pub fn kubelet_ms(&self) -> f64 {
        let charged = PRICES_MS.iter().map(|(endpoint, price_ms)| {
            let mut counted = self.requests.iter();
            let found = counted.find(|(of, _)| of == endpoint);
            found.map_or(0.0, |(_, count)| *count as f64 * price_ms)
        });
        charged.sum::<f64>() / self.minutes as f64
    }

    /// What the agent used a minute, ms.
    #[must_use]
    pub fn own_ms(&self) -> f64 {
        self.agent_ms / self.minutes as f64
    }

    /// All of it a minute, ms.
    #[must_use]
    pub fn all_ms(&self) -> f64 {
        self.kubelet_ms() + self.own_ms()
    }
}

impl fmt::Display for Paid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self.requests.iter().filter(|(_, count)| *count > 0);
        let asked: Vec<String> = asked
            .map(|(endpoint, count)| format!("{count} {}", endpoint.as_str()))
            .collect();
        write!(
            f,
            "{} in {} min with {} new pods: {:.1} ms a minute of the kubelet and its runtime, {:.1} of the \
             agent",
            asked.join(", "),
            self.minutes,
            self.newcomers,
            self.kubelet_ms(),
            self.own_ms()
        )
    }
}

fn without_container_cpu(summary: &str) -> Result<String> {
    let mut summary: Value = serde_json::from_str(summary)?;
    let pods = summary["pods"].as_array_mut().into_iter().flatten();
    for container in pods
        .filter_map(|pod| pod["containers"].as_array_mut())
        .flatten()
    {
        container
            .as_object_mut()
            .context("no container")?
            .remove("cpu");
    }
    Ok(summary.to_string())
}

/// A node with everything on, stepped tick by tick.
#[derive(Debug)]
pub struct Watched {
    /// The processes.
    pub system: System,
    /// What they look at.
    pub node: BusyNode,
    /// True: what the kubelet says of containers lacks their CPU time from now on.
    pub hides_container_cpu: bool,
    interval_ms: u64,
    identities: Vec<String>,
    next_tick_ms: u64,
    agent_ms: f64,
}

impl Watched {
    /// Starts a node's kubelet, agent and aggregator. The first tick is [`FIRST_TICK_MS`].
    ///
    /// # Errors
    ///
    /// What did not come up.
    pub fn start(interval_ms: u64, minutes: u64, extra_agent_args: &[&str]) -> Result<Self> {
        let node = BusyNode::new(FIRST_TICK_MS, minutes)?;
        Self::start_with(node, interval_ms, extra_agent_args)
    }

    /// The same with what is there and comes.
    ///
    /// # Errors
    ///
    /// As [`Watched::start`].
    pub fn start_with(
        mut node: BusyNode,
        interval_ms: u64,
        extra_agent_args: &[&str],
    ) -> Result<Self> {
        node.show(FIRST_TICK_MS)?;
        let mut options = Options::one_node();
        options.interval = format!("{}s", interval_ms / 1_000);
        let root = node.root().display().to_string();
        let args = ["--cgroup-root", &root];
        let args = args.into_iter().chain(extra_agent_args.iter().copied());
        options.extra_agent_args = args.map(str::to_owned).collect();
        let system = System::start(options)?;
        let mut watched = Self {
            system,
            node,
            hides_container_cpu: false,
            interval_ms,
            identities: Vec::new(),
            next_tick_ms: FIRST_TICK_MS,
            agent_ms: 0.0,
        };
        watched.agent_ms = watched.cpu_ms()?;
        Ok(watched)
    }

    /// Steps to a tick, with what there is then; and to when the agent asks again, with what the kubelet says
    /// then, if somebody is there whom it does not list yet.
    ///
    /// # Errors
    ///
    /// What did not come about, with the stderr of everybody.
    pub fn tick(&mut self, tick_ms: u64) -> Result<()> {
        self.node.show(tick_ms)?;
        let there: Vec<String> = self.node.pods(tick_ms).map(|pod| pod.uid.clone()).collect();
        self.order_summary(tick_ms)?;
        // Of cAdvisor only names are looked at.
        if there != self.identities || tick_ms.is_multiple_of(MINUTE_MS) {
            self.order("cadvisor", &self.node.cadvisor(tick_ms))?;
            self.identities = there;
        }
        self.system.step(tick_ms)?;
        let mut pods = self.node.pods(tick_ms);
        let waits =
            self.interval_ms > NAMED_WITHIN_MS && pods.any(|pod| pod.listed_from_ms() > tick_ms);
        if waits {
            self.order_summary(tick_ms + ASKED_AGAIN_MS)?;
            self.system.step(tick_ms + ASKED_AGAIN_MS)?;
        }
        self.system.arrived(tick_ms, SOON)
    }

    /// Has the kubelet say what it says at a time.
    fn order_summary(&self, unix_ms: u64) -> Result<()> {
        let mut summary = self.node.summary(unix_ms);
        if self.hides_container_cpu {
            summary = without_container_cpu(&summary)?;
        }
        self.order("summary", &summary)
    }

    fn order(&self, endpoint: &str, text: &str) -> Result<()> {
        let fault = json!({"kind": "body", "text": text}).to_string();
        self.system.break_kubelet(endpoint, &fault)
    }

    /// The agent.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn agent(&self) -> Result<&Proc> {
        let node = self.system.nodes.first().context("no node")?;
        node.agent.as_ref().context("no agent")
    }

    fn cpu_ms(&self) -> Result<f64> {
        let seconds = System::metric(self.agent()?, "cairn_agent_process_cpu_seconds_total", "")?;
        Ok(seconds * 1e3)
    }

    /// Requests that the kubelet had at an endpoint.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn requests(&self, endpoint: Endpoint) -> Result<u64> {
        let node = self.system.nodes.first().context("no node")?;
        let labels = format!("endpoint=\"{}\"", endpoint.as_str());
        let count = System::metric(&node.kubelet, "kubelet_sim_requests_total", &labels)?;
        Ok(format!("{count:.0}").parse()?)
    }

    /// What the aggregator holds of a metric, of everything on the node.
    ///
    /// # Errors
    ///
    /// When the aggregator does not answer.
    pub fn values(&self, metric: &str) -> Result<Value> {
        let path = format!("/api/cairn/v1/values?node=node1&metric={metric}");
        self.system.json(&path)
    }

    /// Goes through the next so many minutes of ticks; `look` is called at each.
    ///
    /// # Errors
    ///
    /// What did not come about, and what `look` says.
    pub fn run(
        &mut self,
        minutes: u64,
        mut look: impl FnMut(&Self, u64) -> Result<()>,
    ) -> Result<Paid> {
        let end_ms = self.next_tick_ms + minutes * MINUTE_MS;
        while self.next_tick_ms < end_ms {
            let tick_ms = self.next_tick_ms;
            self.next_tick_ms += self.interval_ms;
            self.tick(tick_ms)?;
            look(self, tick_ms)?;
        }
        let requests = Endpoint::ALL.map(|of| Ok((of, self.requests(of)?)));
        let came = |pod: &&Pod| pod.listed_from_ms() > FIRST_TICK_MS;
        Ok(Paid {
            minutes: (end_ms - FIRST_TICK_MS) / MINUTE_MS,
            requests: requests.into_iter().collect::<Result<_>>()?,
            agent_ms: self.cpu_ms()? - self.agent_ms,
            newcomers: self.node.ever(end_ms).filter(came).count(),
        })
    }
}
