//! Several aggregators beside an API server that knows which of them are ready, as those of a Deployment are.
//!
//! Each has a place with an address that agents know; a new one begins in a free place before an old one is
//! asked to go, so there are more places than replicas. What the API server says of who is ready is what the
//! probes of their pods say: [`Replicas::publish`] asks them. Agents are known by the tokens of their pods.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::apiserver::{ApiServer, Minted, Permit};
use crate::deadline::Deadline;
use crate::front_proxy::Core;
use crate::http1::Target;
use crate::proc::Proc;
use crate::system::{Options, Recording, SERVICE_HOST, System};
use crate::usage::Recorded;

/// How long anything may take to come about: agents come back to an address within five seconds.
const SOON: Duration = Duration::from_secs(60);

/// The namespace of agents and aggregators.
const NAMESPACE: &str = "cairn";

/// The Service of the aggregators.
const SERVICE: &str = "cairn-aggregator";

/// What an API server publishes of its proxy and its clients.
const PUBLISHED: &[u8] =
    include_bytes!("../fixtures/apiserver-1.36/extension-apiserver-authentication.json");

/// Who reads.
const READER: (&str, &str) = ("readers", "ops");

/// The node on which no agent is placed.
pub const WITHOUT_AGENT: &str = "node-without-agent";

/// The node whose agent does not come up, where there is one.
pub const AGENT_DOWN: &str = "node-whose-agent-is-down";

/// Aggregators in their places, and everything else of the cluster.
#[derive(Debug)]
pub struct Replicas {
    /// Kubelets and agents; its own aggregator is the first of the replicas.
    pub system: System,
    /// What is known of the cluster.
    pub server: ApiServer,
    addresses: Vec<SocketAddr>,
    running: Vec<Option<Proc>>,
    token: String,
    _dir: tempfile::TempDir,
}

impl Replicas {
    /// Starts the kubelets of the carried recording, an agent for each, and one aggregator in the first of so
    /// many places. One node more has no agent.
    ///
    /// # Errors
    ///
    /// A process that did not come up, with its stderr.
    pub fn start(recorded: &Recorded, places: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let server = ApiServer::empty(dir.path())?;
        let recording = Recording::carried();
        put_objects(&server, recorded, &recording.nodes)?;
        // Beside a ready replica it is waited for.
        let published: Value = serde_json::from_slice(PUBLISHED)?;
        server.control().put("configmaps", published);
        std::fs::write(dir.path().join("namespace"), NAMESPACE)?;
        let mut addresses = free(places.saturating_sub(1))?;
        let others = addresses.iter();
        let others = others.flat_map(|at| ["--aggregator".to_owned(), format!("https://{at}")]);
        let options = Options {
            extra_agent_args: others.collect(),
            extra_aggregator_args: aggregator_args(&server, &dir.path().join("namespace")),
            ..Options::replaying(recording)
        };
        let mut system = System::start(options)?;
        let first = system.aggregator.take().context("no aggregator")?;
        addresses.insert(0, first.addr("grpc")?);
        let mut running = vec![Some(first)];
        running.resize_with(places, || None);
        let token = server.control().mint(Minted {
            account: (READER.0.to_owned(), READER.1.to_owned()),
            audience: "cairn".to_owned(),
            pod: None,
            node: None,
            lifetime: Duration::from_secs(3_600),
        });
        let replicas = Self {
            system,
            server,
            addresses,
            running,
            token,
            _dir: dir,
        };
        replicas.publish()?;
        Ok(replicas)
    }

    /// Adds a node on which an agent is placed whose image cannot be pulled.
    ///
    /// # Errors
    ///
    /// When no node was recorded.
    pub fn add_node_whose_agent_is_down(&self) -> Result<()> {
        let control = self.server.control();
        let core = Core::recorded()?;
        let first = core.nodes["items"].get(0).context("no node")?;
        control.put("nodes", renamed(first, AGENT_DOWN));
        control.put("pods", agent_pod(AGENT_DOWN, false));
        Ok(())
    }

    /// Starts a new one in a free place. It is not ready yet.
    ///
    /// # Errors
    ///
    /// When it does not come up, or the place is taken.
    pub fn begin(&mut self, place: usize) -> Result<()> {
        let mut args = self.system.aggregator_args();
        let listen = args.iter().position(|arg| arg == "--grpc-listen");
        let listen = listen.and_then(|at| args.get_mut(at + 1));
        let address = self.addresses.get(place).context("no such place")?;
        *listen.context("no listener")? = address.to_string();
        args.extend(["--clock".to_owned(), self.system.clock()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let free = self.running.get_mut(place).context("no such place")?;
        ensure!(free.is_none(), "place {place} is taken");
        *free = Some(Proc::start("cairn-aggregator", &args, &[])?);
        Ok(())
    }

    /// Asks one to go and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not go in time, or not well.
    pub fn end(&mut self, place: usize) -> Result<()> {
        let process = self.running.get_mut(place).and_then(Option::take);
        let mut process = process.context("nothing runs there")?;
        // Its endpoint is not ready from the moment it is asked.
        self.publish()?;
        process.sigterm()?;
        let status = process.wait(SOON)?;
        ensure!(status.success(), "{status}: {}", process.stderr());
        Ok(())
    }

    /// The places in which one runs.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        let running = self.running.iter().enumerate();
        running.filter_map(|(place, one)| one.as_ref().map(|_| place))
    }

    /// The one in this place.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn at(&self, place: usize) -> Result<&Proc> {
        let process = self.running.get(place).and_then(Option::as_ref);
        process.with_context(|| format!("nothing runs in place {place}"))
    }

    /// What its readiness probe is told: the status, and the text.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn readyz(&self, place: usize) -> Result<(u16, String)> {
        let answer = self.at(place)?.get("admin", "/readyz?verbose")?;
        Ok((answer.status, answer.text()))
    }

    /// Waits until it is ready, and publishes that.
    ///
    /// # Errors
    ///
    /// When it is not in time, with what it waits for.
    pub fn ready(&self, place: usize) -> Result<()> {
        let ready = Deadline::after(SOON).poll(|| {
            let (status, _) = self.readyz(place).ok()?;
            (status == 200).then_some(())
        });
        ensure!(
            ready.is_some(),
            "{:?}\n{}",
            self.readyz(place),
            self.stderr()
        );
        self.publish()
    }

    /// Lets the API server say who is ready.
    ///
    /// # Errors
    ///
    /// When one of them does not answer.
    pub fn publish(&self) -> Result<()> {
        let mut endpoints = Vec::new();
        for place in self.places() {
            let (status, _) = self.readyz(place)?;
            endpoints.push(json!({
                "addresses": [format!("10.244.0.{place}")],
                "conditions": {"ready": status == 200, "serving": status == 200, "terminating": false},
            }));
        }
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"namespace": NAMESPACE, "name": format!("{SERVICE}-x7k2p"),
                         "labels": {"kubernetes.io/service-name": SERVICE}},
            "endpoints": endpoints,
            "ports": [{"name": "https", "port": 10_250, "protocol": "TCP"}],
        });
        self.server.control().put("endpointslices", slice);
        Ok(())
    }

    /// Asks the one in this place over HTTPS, as a reader who may list everything of metrics.k8s.io.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn target(&self, place: usize) -> Result<Target> {
        let (addr, ca) = (
            self.at(place)?.addr("https")?,
            self.system.path("ingest-ca.pem"),
        );
        Ok(Target::tls(addr, SERVICE_HOST, &ca)?.bearer(&self.token))
    }

    /// Steps every clock past a tick and waits until every aggregator holds it of every node with an agent.
    ///
    /// # Errors
    ///
    /// When it does not come about in time; with the stderr of everybody.
    pub fn tick(&self, tick_ms: u64) -> Result<()> {
        for place in self.places() {
            self.at(place)?.step(tick_ms + 500)?;
        }
        self.system.step(tick_ms)?;
        for place in self.places() {
            self.caught_up(place, tick_ms)?;
        }
        Ok(())
    }

    /// Waits until the one in this place holds a tick of every node with an agent.
    ///
    /// # Errors
    ///
    /// When it does not come about in time; with the stderr of everybody.
    pub fn caught_up(&self, place: usize, tick_ms: u64) -> Result<()> {
        let aggregator = self.at(place)?;
        let arrived = Deadline::after(SOON).poll(|| {
            let overview = aggregator.get("http", "/api/cairn/v1/overview").ok()?;
            let overview: Value = serde_json::from_slice(&overview.body).ok()?;
            let told = overview["nodes"].as_array()?;
            let has = |name: &String| {
                let mut told = told.iter();
                told.any(|node| node["name"] == **name && node["newest_tick_ms"] == tick_ms)
            };
            let mut nodes = self.system.nodes.iter();
            nodes.all(|node| has(&node.name)).then_some(())
        });
        ensure!(
            arrived.is_some(),
            "tick {tick_ms} did not arrive in place {place}:\n{}",
            self.stderr()
        );
        Ok(())
    }

    /// What every process has said.
    #[must_use]
    pub fn stderr(&self) -> String {
        let mut text = self.system.stderr();
        for (place, one) in self.running.iter().enumerate() {
            let said = one.as_ref().map(Proc::stderr).unwrap_or_default();
            text.push_str(&format!("--- aggregator in place {place}\n{said}"));
        }
        text
    }
}

/// Addresses that nobody listens at: the agents are told them before anybody does.
fn free(count: usize) -> Result<Vec<SocketAddr>> {
    // Held until all are there, so that they differ.
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind(any))
        .collect::<Result<_, _>>()?;
    let addresses = held.iter().map(TcpListener::local_addr);
    Ok(addresses.collect::<Result<_, _>>()?)
}

/// Nodes, their agents' pods and the tokens of these, the recorded pods, and what the reader may see.
fn put_objects(server: &ApiServer, recorded: &Recorded, nodes: &[String]) -> Result<()> {
    let control = server.control();
    for name in nodes {
        let agent = agent_pod(name, true);
        let token = format!("agent-token-of-{name}");
        control.know(&token, Minted::of_pod(&agent, "cairn-aggregator"));
        control.put("pods", agent);
    }
    let core = Core::recorded()?;
    let listed = core.nodes["items"].as_array().context("no items")?;
    for node in listed {
        control.put("nodes", node.clone());
    }
    let first = listed.first().context("no node")?;
    control.put("nodes", renamed(first, WITHOUT_AGENT));
    for pod in recorded.pod_objects() {
        control.put("pods", pod);
    }
    for resource in ["nodes", "pods"] {
        control.permit(Permit {
            who: format!("system:serviceaccount:{}:{}", READER.0, READER.1),
            verb: "*".to_owned(),
            group: "metrics.k8s.io".to_owned(),
            resource: resource.to_owned(),
            namespace: "*".to_owned(),
        });
    }
    Ok(())
}

/// The pod of a node's agent, which is up, or waits for ever for its image.
fn agent_pod(node: &str, is_up: bool) -> Value {
    let (phase, ready) = if is_up {
        ("Running", "True")
    } else {
        ("Pending", "False")
    };
    json!({
        "metadata": {"namespace": NAMESPACE, "name": format!("agent-of-{node}"),
                     "uid": format!("uid-of-agent-of-{node}"),
                     "creationTimestamp": "2026-11-22T07:18:27Z"},
        "spec": {"nodeName": node, "serviceAccountName": "cairn-agent",
                 "containers": [{"name": "agent", "resources": {}}]},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
    })
}

/// A node under another name.
fn renamed(node: &Value, name: &str) -> Value {
    let mut node = node.clone();
    node["metadata"]["name"] = json!(name);
    node["metadata"]["uid"] = json!(format!("uid-of-{name}"));
    node
}

fn aggregator_args(server: &ApiServer, namespace: &Path) -> Vec<String> {
    let namespace = namespace.display().to_string();
    let own = [
        "--ingest-auth",
        "token-review",
        "--agent-service-account",
        "cairn/cairn-agent",
        "--peer-service-account",
        "cairn/cairn-aggregator",
        "--namespace-file",
        &namespace,
    ];
    let own = own.map(str::to_owned);
    server.flags().into_iter().chain(own).collect()
}
