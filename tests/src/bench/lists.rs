//! Goal 9: a list of all pods of a large cluster, as `kubectl top pods -A` asks for it.
//!
//! The aggregator watches an API server that has every pod of the fleet, as it does in a cluster, and believes
//! a front proxy. Who asks is that proxy: a client of its own, over TLS, that only counts what it reads. Both
//! have all cores; ticks stand still meanwhile.

mod client;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::fill::{self, Ticking};
use super::sheet::Sheet;
use super::{Goal, Line, Options, machine};
use crate::deadline::Deadline;
use crate::fleet;
use crate::fleet::bed::{self, Bed, Setup};
use crate::fleet::cluster::Cluster;
use crate::front_proxy::Identity;
use crate::mix::{Fields, Kind};
use crate::proc::used::Memory;
use crate::system::TRACE_START_MS;
use client::{Client, Took};

/// Enough rows for CPU over the least span, and some more.
const TICKS: u64 = 8;

/// How long everything may take that is not measured.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// What a node takes in this process, in the aggregator and in the fleet.
const NODE_BYTES: u64 = 512 << 10;

/// How often a list of everything is asked for, and one of a namespace.
const LISTS: usize = 7;
const NAMESPACES: usize = 101;

/// The lists.
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";
const NAMESPACE: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/ns-0/pods";

pub(super) fn run(options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    machine::has_room(options.agents as u64 * (NODE_BYTES + fill::CLUSTER_BYTES))?;
    let dir = tempfile::tempdir()?;
    let ready = Ready::start(options, dir.path())?;
    let words = format!(
        "C, {} pods of {} nodes with 2 containers, four labels each, over TLS on loopback, all cores for both",
        ready.pods, options.agents
    );
    let json = ready.asks(PODS, &[], LISTS)?;
    let protobuf = ready.asks(
        PODS,
        &[("Accept", "application/vnd.kubernetes.protobuf")],
        LISTS,
    )?;
    let gzip = ready.asks(PODS, &[("Accept-Encoding", "gzip")], LISTS)?;
    let namespace = ready.asks(NAMESPACE, &[], NAMESPACES)?;
    let in_ms = |us: u64| us as f64 / 1e3;
    for (asked, form, last, first) in [
        (
            &json,
            "JSON",
            ("list_json_last_byte", 300.0),
            Some(("list_json_first_byte", 20.0)),
        ),
        (
            &protobuf,
            "protobuf",
            ("list_protobuf_last_byte", 300.0),
            Some(("list_protobuf_first_byte", 60.0)),
        ),
        (&gzip, "JSON, gzip", ("list_gzip_last_byte", 900.0), None),
    ] {
        let kib = asked.bytes >> 10;
        let data = format!("{words}; {form}, {kib} KiB, median of {LISTS}");
        let line = |(name, goal_ms), us| Line {
            number: "9",
            name,
            value: in_ms(us),
            unit: "ms",
            goal: options.goal(Goal::AtMost(goal_ms)),
            data: data.clone(),
        };
        sheet.line(&line(last, asked.last_us))?;
        if let Some(first) = first {
            sheet.line(&line(first, asked.first_us))?;
        }
    }
    let most = json.memory.max(protobuf.memory).max(gzip.memory);
    sheet.line(&Line {
        number: "9",
        name: "list_extra_memory",
        value: most as f64 / f64::from(1 << 20),
        unit: "MiB",
        goal: options.goal(Goal::AtMost(16.0)),
        data: format!(
            "{words}; most resident memory of the aggregator less that before, of all these lists"
        ),
    })?;
    sheet.line(&Line {
        number: "9",
        name: "list_namespace_last_byte",
        value: in_ms(namespace.last_us),
        unit: "ms",
        goal: options.goal(Goal::AtMost(5.0)),
        data: format!(
            "{words}; JSON of one namespace, {} KiB, median of {NAMESPACES}",
            namespace.bytes >> 10
        ),
    })?;
    Ok(())
}

/// What several asks took.
struct Asked {
    first_us: u64,
    last_us: u64,
    bytes: usize,
    /// How much more memory the aggregator had at most than before.
    memory: u64,
}

/// A cluster whose pods have all been measured.
struct Ready {
    ticking: Ticking,
    client: Client,
    pods: usize,
    _cluster: Cluster,
}

impl Ready {
    fn start(options: &Options, dir: &Path) -> Result<Self> {
        let mut fleet = fleet::Options::of(Kind::C, options.agents);
        fleet.mix.fields = Fields::Twenty;
        fleet.mix.pods_per_node = Some(30);
        let cluster = Cluster::start(&fleet, dir)?;
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
    fn asks(&self, path: &str, headers: &[(&str, &str)], times: usize) -> Result<Asked> {
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
