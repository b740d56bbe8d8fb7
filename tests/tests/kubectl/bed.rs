//! A front proxy before an aggregator whose agents read the recorded kubelets.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testkit::apiserver::ApiServer;
use testkit::deadline::Deadline;
use testkit::front_proxy::{Core, FrontProxy, Identity};
use testkit::http1::Target;
use testkit::system::{Options, Recording, SERVICE_HOST, System, ticks};
use testkit::trace::Trace;
use testkit::usage::Recorded;

use super::{ROOT, SOON};

/// What the node with swap has of it, bytes.
pub(super) const SWAP_BYTES: u64 = 1 << 30;

/// That node.
pub(super) const SWAPPING: &str = "node1";

/// A system whose aggregator believes a front proxy, and that.
pub(super) struct Bed {
    pub(super) system: System,
    pub(super) identity: Identity,
    /// What the kubelets say.
    pub(super) recorded: Recorded,
    /// The nodes and pods of the API server, as lists.
    pub(super) core: Core,
    _server: Option<ApiServer>,
    _dir: tempfile::TempDir,
}

impl Bed {
    /// The aggregator watches an API server that has the recorded nodes and pods, and learns there whom to
    /// believe.
    pub(super) fn watched() -> Self {
        Self::start(true)
    }

    /// The aggregator knows no API server, and is told by flags whom to believe.
    pub(super) fn alone() -> Self {
        Self::start(false)
    }

    fn start(is_watched: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::new(dir.path()).unwrap();
        let all: Vec<u64> = ticks().collect();
        // The machines that were recorded have used no swap; one of them does here.
        let trace = Trace::carried().unwrap().with_swap(SWAPPING).unwrap();
        let archive = dir.path().join("trace.tar.gz");
        trace.pack(&archive).unwrap();
        let recorded = Recorded::at(&trace, &all).unwrap();
        let core = core(&recorded);
        let server = is_watched.then(|| serving(dir.path(), &core, &identity));
        let args = match &server {
            Some(server) => server.flags(),
            None => identity.aggregator_args(),
        };
        let options = Options {
            extra_aggregator_args: args,
            ..Options::replaying(Recording::load(&archive).unwrap())
        };
        let bed = Self {
            system: System::start(options).unwrap(),
            identity,
            recorded,
            core,
            _server: server,
            _dir: dir,
        };
        if is_watched {
            bed.settle();
        }
        bed
    }

    /// Waits until the aggregator has the objects and knows the front proxy.
    fn settle(&self) {
        let pods = self.core.pods["items"].as_array().unwrap().len();
        let proxy = self.proxy();
        let ca = &self.identity.server_ca.cert_pem;
        let asked = Target::tls(proxy.addr, "127.0.0.1", ca).unwrap();
        let asked = asked.bearer(super::ADMIN);
        let there = Deadline::after(SOON).poll(|| {
            let name = "cairn_aggregator_cluster_objects";
            let aggregator = self.system.aggregator().ok()?;
            let found = System::metric(aggregator, name, "\"pods\"").ok()?;
            let is_known = found.to_string() == pods.to_string();
            let answer = asked.get(ROOT).ok()?;
            (is_known && answer.status == 200).then_some(())
        });
        assert!(there.is_some(), "not settled:\n{}", self.system.stderr());
    }

    /// Where the aggregator serves metrics.k8s.io.
    pub(super) fn aggregator(&self) -> SocketAddr {
        self.system.aggregator().unwrap().addr("https").unwrap()
    }

    /// A new front proxy.
    pub(super) fn proxy(&self) -> FrontProxy {
        let ca = self.system.path("ingest-ca.pem");
        let verified = (SERVICE_HOST, &*ca);
        let core = self.core.clone();
        FrontProxy::start(&self.identity, self.aggregator(), verified, core).unwrap()
    }

    /// Asks the aggregator past the front proxy.
    pub(super) fn direct(&self) -> Target {
        let ca = self.system.path("ingest-ca.pem");
        Target::tls(self.aggregator(), SERVICE_HOST, &ca).unwrap()
    }
}

/// An API server with these objects, which publishes by whom its front proxy is known.
fn serving(dir: &std::path::Path, core: &Core, identity: &Identity) -> ApiServer {
    let server = ApiServer::empty(dir).unwrap();
    let control = server.control();
    for (resource, list) in [("nodes", &core.nodes), ("pods", &core.pods)] {
        for object in list["items"].as_array().unwrap() {
            control.put(resource, object.clone());
        }
    }
    control.put("configmaps", identity.published().unwrap());
    server
}

/// The recorded nodes, the first with swap, and the pods of the kubelets' recording.
fn core(recorded: &Recorded) -> Core {
    let mut core = Core::recorded().unwrap();
    core.nodes["items"][0]["status"]["nodeInfo"]["swap"] = json!({"capacity": SWAP_BYTES});
    core.pods = json!({
        "kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"},
        "items": Value::from(recorded.pod_objects()),
    });
    core
}
