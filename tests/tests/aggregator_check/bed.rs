//! A cluster with Cairn in it, as a check finds it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::apiserver::{ApiServer, Minted, Permit};
use testkit::deadline::Deadline;
use testkit::lone_agent;
use testkit::proc::{Finished, Proc};
use testkit::rendered;
use testkit::system::sha256_hex;

const SOON: Duration = Duration::from_secs(60);

/// A check of a cluster that is well has 10 s; a busy machine gets more.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

const TLS: &str = "cairn-aggregator-tls";
pub(crate) const API_SERVICE: &str = "v1beta1.metrics.k8s.io";
pub(crate) const PROXY: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

/// A cluster of one node with an agent on it, as its API server has it.
pub(crate) struct Bed {
    pub(crate) server: ApiServer,
    dir: tempfile::TempDir,
    pub(crate) rights: Vec<Value>,
}

pub(crate) fn agent_pod(node: &str, status: &Value) -> Value {
    json!({
        "metadata": {"namespace": "cairn", "name": format!("cairn-agent-{node}"), "uid": format!("uid-{node}"),
                     "labels": {"app.kubernetes.io/name": "cairn", "app.kubernetes.io/component": "agent"}},
        "spec": {"nodeName": node, "serviceAccountName": "cairn-agent",
                 "containers": [{"name": "agent", "image": "registry.example:5000/cairn-agent:0.1.0"}]},
        "status": status,
    })
}

pub(crate) fn running() -> Value {
    json!({"phase": "Running", "containerStatuses": [{"name": "agent", "ready": true, "state": {"running": {}}}]})
}

pub(crate) fn node(name: &str, labels: &[(&str, &str)]) -> Value {
    let mut all = json!({"kubernetes.io/os": "linux", "kubernetes.io/hostname": name});
    for (key, value) in labels {
        all[*key] = json!(value);
    }
    json!({"metadata": {"name": name, "uid": format!("uid-of-{name}"), "labels": all}, "spec": {}})
}

pub(crate) fn busy_pod(node: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "name": format!("web-{node}"), "uid": format!("web-{node}")},
           "spec": {"nodeName": node, "containers": [{"name": "web"}]}, "status": {"phase": "Running"}})
}

impl Bed {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::empty(dir.path()).unwrap();
        let rights = rendered::render("overlays/metrics-api").unwrap();
        let bed = Self {
            server,
            dir,
            rights,
        };
        bed.write("namespace", "cairn\n");
        bed.write("agent.token", "agent-token");
        bed.write("admin.token", "admin-token");
        bed.write("tokens", &format!("node1 {}\n", sha256_hex(b"agent-token")));
        let control = bed.server.control();
        control.let_in_as("admin-token", "kubernetes-admin", &["system:masters"]);
        control.enforce(&bed.rights);
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/apiserver-1.36/extension-apiserver-authentication.json");
        let proxy = serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap();
        control.put_document(PROXY, proxy);
        let named = |name: &str| json!({"namespace": "cairn", "name": name});
        control.put(
            "secrets",
            json!({"kind": "Secret", "metadata": named(TLS), "type": "Opaque"}),
        );
        control.put("leases", json!({"kind": "Lease", "metadata": named(TLS)}));
        control.put(
            "configmaps",
            json!({"kind": "ConfigMap", "metadata": named("cairn-ca")}),
        );
        control.put("nodes", node("node1", &[]));
        control.put("pods", busy_pod("node1"));
        control.put("pods", agent_pod("node1", &running()));
        bed.daemon_set(1, 1);
        bed.api_service("cairn", "cairn-aggregator", true);
        bed
    }

    pub(crate) fn daemon_set(&self, desired: u64, ready: u64) {
        let mut set = rendered::named(&self.rights, "DaemonSet", "cairn-agent")
            .unwrap()
            .clone();
        set["status"] = json!({"desiredNumberScheduled": desired, "numberReady": ready});
        self.server.control().put("daemonsets", set);
    }

    pub(crate) fn api_service(&self, namespace: &str, name: &str, is_available: bool) {
        let status = if is_available { "True" } else { "False" };
        let condition = json!({"type": "Available", "status": status, "reason": "FailedDiscoveryCheck",
                               "message": "no route to host"});
        self.server.control().put(
            "apiservices",
            json!({"kind": "APIService", "metadata": {"name": API_SERVICE},
                   "spec": {"service": {"namespace": namespace, "name": name, "port": 443},
                            "insecureSkipTLSVerify": false},
                   "status": {"conditions": [condition]}}),
        );
    }

    /// Makes the aggregator a replica of the Service.
    pub(crate) fn replica(&self, aggregator: &Proc) -> String {
        let addr = aggregator.addr("https").unwrap();
        let control = self.server.control();
        control.put(
            "endpointslices",
            json!({"metadata": {"namespace": "cairn", "name": "cairn-aggregator-x",
                                "labels": {"kubernetes.io/service-name": "cairn-aggregator"}},
                   "addressType": "IPv4", "ports": [{"name": "https", "port": addr.port()}],
                   "endpoints": [{"addresses": [addr.ip().to_string()], "conditions": {"ready": true},
                                  "targetRef": {"kind": "Pod", "name": "aggregator-0"}}]}),
        );
        control.put(
            "pods",
            json!({"metadata": {"namespace": "cairn", "name": "aggregator-0", "uid": "uid-of-aggregator-0",
                    "labels": {"app.kubernetes.io/name": "cairn", "app.kubernetes.io/component": "aggregator"}},
                   "spec": {"nodeName": "node1", "containers": [{"name": "a", "image": "cairn-aggregator:0.1.0"}]},
                   "status": {"phase": "Running"}}),
        );
        addr.to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// An aggregator with these flags about its certificate.
    pub(crate) fn aggregator(&self, certificate: &[&str]) -> Proc {
        let mut args = self.server.flags();
        for (flag, value) in [
            ("--grpc-listen", "127.0.0.1:0"),
            ("--http-listen", "127.0.0.1:0"),
            ("--https-listen", "127.0.0.1:0"),
            ("--admin-listen", "127.0.0.1:0"),
            ("--interval", "1s"),
            ("--ingest-auth", "token-file"),
            ("--ingest-token-file", &self.text("tokens")),
            ("--namespace-file", &self.text("namespace")),
        ] {
            args.extend([flag.to_owned(), value.to_owned()]);
        }
        args.extend(certificate.iter().map(|flag| (*flag).to_owned()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Proc::start("cairn-aggregator", &args, &[]).unwrap()
    }

    /// One that makes its certificate itself, ready, with an agent whose rows have arrived.
    pub(crate) fn well(&self) -> (Proc, Proc) {
        let made = ["--tls-self-managed", "--tls-api-service", API_SERVICE];
        let aggregator = self.aggregator(&made);
        let control = self.server.control();
        until("a certificate is made", &[&aggregator], || {
            let ca = control.get("configmaps", "cairn", "cairn-ca");
            let ca = ca.and_then(|object| object["data"]["ca.crt"].as_str().map(str::to_owned));
            let service = control.get("apiservices", "", API_SERVICE).unwrap();
            let is_ours = service["spec"]["service"]["namespace"] == "cairn";
            ca.is_some_and(|ca| {
                self.write("ca.crt", &ca);
                !ca.is_empty() && (!is_ours || service["spec"]["caBundle"].is_string())
            })
        });
        let agent = self.agent(&aggregator);
        until("rows arrive", &[&aggregator, &agent], || {
            newest(&aggregator) > 0
        });
        (aggregator, agent)
    }

    pub(crate) fn agent(&self, aggregator: &Proc) -> Proc {
        lone_agent::start(self.dir.path(), &[aggregator]).unwrap()
    }

    /// A reader's token in a file.
    pub(crate) fn reader(&self) -> String {
        let control = self.server.control();
        control.permit(Permit {
            who: "system:serviceaccount:readers:ops".to_owned(),
            verb: "*".to_owned(),
            group: "metrics.k8s.io".to_owned(),
            resource: "*".to_owned(),
            namespace: "*".to_owned(),
        });
        let token = control.mint(Minted {
            account: ("readers".to_owned(), "ops".to_owned()),
            audience: "cairn".to_owned(),
            pod: None,
            node: None,
            lifetime: Duration::from_secs(3_600),
        });
        self.write("reader.token", &token);
        self.text("reader.token")
    }

    /// Checks with the token of this file.
    pub(crate) fn check(&self, token_file: &str, more: &[&str]) -> Finished {
        let api = format!("https://{}", self.server.addr);
        let (ca, file) = (self.server.ca.display().to_string(), self.text(token_file));
        let own = ["check", "--kubernetes-api", &api, "--kubernetes-ca", &ca];
        let own = own.into_iter().chain(["--kubernetes-token-file", &file]);
        let args: Vec<&str> = own.chain(more.iter().copied()).collect();
        Proc::finish("cairn-aggregator", &args, &[], WITHIN).unwrap()
    }

    pub(crate) fn admin(&self, more: &[&str]) -> Finished {
        self.check("admin.token", more)
    }
}

#[track_caller]
fn until(what: &str, of: &[&Proc], is_so: impl Fn() -> bool) {
    let came = Deadline::after(SOON).poll(|| is_so().then_some(()));
    let said: String = of.iter().map(|process| process.stderr()).collect();
    assert!(came.is_some(), "{what}:\n{said}");
}

/// The newest tick that an aggregator has of any node, ms.
fn newest(aggregator: &Proc) -> u64 {
    let overview = aggregator.get("http", "/api/cairn/v1/overview").unwrap();
    let overview: Value = serde_json::from_slice(&overview.body).unwrap();
    let nodes = overview["nodes"].as_array().cloned().unwrap_or_default();
    nodes
        .iter()
        .filter_map(|node| node["newest_tick_ms"].as_u64())
        .max()
        .unwrap_or(0)
}
