//! Built agents beside the fleet, with kubelets of their own.
//!
//! What the fleet's process does is what an agent does as far as the wire goes; these are the binary that nodes
//! run. Their kubelets replay a recording, tick by tick, and what must be there of it a script computes that
//! shares no code with either.

use anyhow::{Context as _, Result};

use crate::exact::{self, Asker, Found, Script, is_of_kubelet};
use crate::fleet::Totals;
use crate::fleet::bed::Bed;
use crate::proc::Proc;
use crate::system::{Options, Recording, System};

/// The agents, one for each node of the recording.
#[derive(Debug, Default)]
pub(super) struct Built {
    // Kubelets and agents; none without a recording.
    system: Option<System>,
    // By the names that the agents give their nodes.
    expected: exact::Expected,
    // Their ticks so far.
    ticks: Vec<u64>,
}

/// Names and tokens of their nodes: the fleet has nodes of the recording's names.
pub(super) fn identities(recording: &Recording) -> impl Iterator<Item = (String, String)> {
    let nodes = recording.nodes.iter();
    nodes.map(|node| (name(node), format!("agent-token-of-{node}")))
}

fn name(node: &str) -> String {
    format!("built-{node}")
}

impl Built {
    /// Starts them against the bed's aggregator.
    pub(super) fn start(recording: Option<&Recording>, bed: &Bed) -> Result<Self> {
        let Some(recording) = recording else {
            return Ok(Self::default());
        };
        let archive = recording.archive.as_deref().context("no archive")?;
        let expected = exact::Expected::of(Script::Kubelet, archive)?;
        let nodes = expected.nodes.into_iter();
        let nodes = nodes.map(|(node, cells)| (name(&node), cells)).collect();
        let mut system = System::of_kubelets(Options::replaying(recording.clone()))?;
        for index in 0..system.nodes.len() {
            let agent = agent(&system, index, bed)?;
            system.nodes[index].agent = Some(agent);
        }
        Ok(Self {
            system: Some(system),
            expected: exact::Expected {
                nodes,
                ..exact::Expected::default()
            },
            ticks: Vec::new(),
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.expected.nodes.len()
    }

    /// Rows that they have sampled: one a tick.
    pub(super) fn rows(&self) -> u64 {
        (self.count() * self.ticks.len()) as u64
    }

    /// Lets them sample a tick; its rows are on their way when this returns.
    pub(super) fn step(&mut self, tick_ms: u64) -> Result<()> {
        if let Some(system) = &self.system {
            system.step(tick_ms)?;
            self.ticks.push(tick_ms);
        }
        Ok(())
    }

    /// What their rings hold: everything that they have sampled.
    pub(super) fn totals(&self) -> Result<Totals> {
        let mut totals = Totals {
            rows: self.rows(),
            samples: 0,
        };
        let nodes = self.system.iter().flat_map(|system| &system.nodes);
        for agent in nodes.filter_map(|node| node.agent.as_ref()) {
            let name = "cairn_agent_sampler_samples_total";
            totals.samples += System::count(agent, name, "")?;
        }
        Ok(totals)
    }

    /// Compares every value of the kubelets at every tick, both ways.
    pub(super) fn compare(&self, aggregator: &Proc) -> Result<Found> {
        let mut found = Found::default();
        let mut asker = Asker::new(aggregator.addr("http")?, 1);
        self.expected
            .compare_nodes(&mut found, &mut asker, &self.ticks, is_of_kubelet);
        Ok(found)
    }
}

/// Starts the agent of a node of the system.
fn agent(system: &System, index: usize, bed: &Bed) -> Result<Proc> {
    let node = &system.nodes.get(index).context("no such node")?.name;
    let mut args = system.agent_args(index)?;
    let ca = bed.dir().join("ingest-ca.pem").display().to_string();
    let other = [
        ("--node-name", name(node)),
        ("--aggregator", format!("https://{}", bed.grpc())),
        ("--aggregator-ca", ca),
    ];
    for (flag, value) in other {
        let at = args.iter().position(|arg| arg == flag);
        let at = at.with_context(|| format!("an agent without {flag}"))?;
        *args.get_mut(at + 1).context("no value")? = value;
    }
    // Its certificate is of the recording's name.
    args.extend(["--kubelet-server-name".to_owned(), node.clone()]);
    args.extend(["--clock".to_owned(), system.clock()]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Ok(Proc::start("cairn-agent", &args, &[])?)
}
