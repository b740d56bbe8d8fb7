//! A cluster whose pods have all been measured, and a client that asks for them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::super::fill::{self, Ticking};
use super::super::machine;
use super::client::{Client, Took};
use crate::deadline::Deadline;
use crate::fleet;
use crate::fleet::bed::{self, Bed, Setup};
use crate::fleet::cluster::Cluster;
use crate::front_proxy::Identity;
use crate::proc::used::Memory;
use crate::system::TRACE_START_MS;

/// Enough rows for CPU over the least span, and some more.
const TICKS: u64 = 8;

/// How long everything may take that is not measured.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// What a node takes in this process, in the aggregator and in the fleet.
const NODE_BYTES: u64 = 512 << 10;

/// The list of all pods.
pub(in crate::bench) const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

/// What several asks took, the medians.
pub(in crate::bench) struct Asked {
    pub(in crate::bench) first_us: u64,
    pub(in crate::bench) last_us: u64,
    pub(in crate::bench) bytes: usize,
    /// How much more memory the aggregator had at most than before.
    pub(in crate::bench) memory: u64,
}

/// A cluster whose pods have all been measured.
pub(in crate::bench) struct Ready {
    pub(in crate::bench) ticking: Ticking,
    client: Client,
    pub(in crate::bench) pods: usize,
    _cluster: Cluster,
}

impl Ready {
    /// Starts all of it; what the cluster is known by is in this directory.
    pub(in crate::bench) fn start(
        fleet: fleet::Options,
        cluster: Cluster,
        dir: &Path,
    ) -> Result<Self> {
        machine::has_room(fleet.mix.nodes as u64 * (NODE_BYTES + fill::CLUSTER_BYTES))?;
        let pods = cluster.pods;
        let identity = Identity::new(dir)?;
        let mut args = identity.aggregator_args();
        // Told of both by flags, it waits for nobody to publish them.
        let clients = identity.server_ca.cert_pem.display().to_string();
        args.extend(["--client-ca-file".to_owned(), clients]);
        args.extend(["--memory-limit", "0"].map(str::to_owned));
        let grid = fleet.grid(TRACE_START_MS);
        let setup = Setup {
            aggregator_args: args,
            cluster: Some(cluster.access()),
            ..Setup::of(fleet, TRACE_START_MS)
        };
        let deadline = Deadline::after(READY_WITHIN);
        let bed = Bed::start_through(setup, |aggregator| {
            fill::heard_of(aggregator, &cluster)?;
            Ok(aggregator.addr("grpc")?)
        })?;
        let connected = bed::wait(deadline.left().unwrap_or_default(), || {
            Ok(bed.state()?.is_connected().then_some(()))
        })?;
        connected.with_context(|| format!("not all agents are connected:\n{}", bed.stderr()))?;
        let ca = bed.dir().join("ingest-ca.pem");
        let client = Client::new(bed.aggregator.addr("https")?, &ca, &identity.client)?;
        let mut ticking = Ticking::new(bed, grid);
        ticking.steps(TICKS, deadline)?;
        ticking.taken(deadline)?;
        let ready = Self {
            ticking,
            client,
            pods,
            _cluster: cluster,
        };
        let complete = bed::wait(deadline.left().unwrap_or_default(), || {
            Ok((ready.client.count(PODS)?.items == pods).then_some(()))
        })?;
        complete.with_context(|| {
            let told = ready
                .client
                .count(PODS)
                .map(|took| (took.status, took.items));
            format!("not all {pods} pods are listed: {told:?}")
        })?;
        Ok(ready)
    }

    /// Asks so often and gives the medians.
    pub(in crate::bench) fn asks(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        times: usize,
    ) -> Result<Asked> {
        let pid = self.ticking.bed.aggregator.id();
        let (mut took, mut memory) = (Vec::new(), 0);
        for _ in 0..times {
            let before = Memory::of(pid)?.resident;
            Memory::forget_peak(pid)?;
            took.push(self.client.ask(path, headers)?);
            memory = memory.max(Memory::of(pid)?.peak.saturating_sub(before));
        }
        let bad = took.iter().find(|took| took.status != 200);
        ensure!(bad.is_none(), "{path}: {:?}", bad.map(|took| took.status));
        let median = |of: fn(&Took) -> u64| {
            let mut all: Vec<u64> = took.iter().map(of).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or(0)
        };
        Ok(Asked {
            first_us: median(|took| took.first_us),
            last_us: median(|took| took.last_us),
            bytes: took.last().map_or(0, |took| took.bytes),
            memory,
        })
    }
}
