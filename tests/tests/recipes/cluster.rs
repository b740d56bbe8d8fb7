//! A cluster with a metrics-server, in which commands are carried out as people do it: by a shell, with a stock
//! kubectl, beside the repository's `deploy/`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::apiserver::{ApiServer, SERVER_NAME, Signer, Stub, recorded};
use testkit::deadline::Deadline;
use testkit::front_proxy::Identity;
use testkit::http1::Target;
use testkit::pod::addresses;

use super::SOON;
use super::controllers::{Cluster, Controllers};

/// The only node.
pub(super) const NODE: &str = "node1";

/// Whose token is whose: an administrator.
const ADMIN: &str = "token-of-admin";

/// No block of commands takes longer, those that wait for a rollout of two replicas too; of a busy machine, s.
const LONGEST_S: &str = "580";

pub(super) const API_SERVICE: &str = "v1beta1.metrics.k8s.io";

/// The cluster and the directory in which people are.
pub(super) struct Bed {
    pub(super) controllers: Controllers,
    dir: tempfile::TempDir,
    kubeconfig: String,
}

impl Bed {
    /// A cluster of one node; metrics.k8s.io is metrics-server's where that is there.
    pub(super) fn start(has_metrics_server: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::empty(dir.path()).unwrap();
        let identity = Identity::new(&dir.path().join("front-proxy")).unwrap();
        furnish(&server, &identity);
        if has_metrics_server {
            let file = fixture("apiserver-1.36/apiservice.json");
            server.control().put("apiservices", file);
            server.control().stub(metrics_server());
        }
        let kubeconfig = server.kubeconfig(ADMIN).unwrap().display().to_string();
        server.aggregate(identity.client.clone());
        let signer = Signer::new("key-1").unwrap();
        signer.publish(&server);
        people(dir.path());
        let [first, second, third, node] = addresses();
        let controllers = Controllers::start(Cluster {
            server,
            signer,
            aggregators: [first, second, third],
            node,
            dir: dir.path().join("pods"),
        });
        Self {
            controllers,
            dir,
            kubeconfig,
        }
    }

    pub(super) fn server(&self) -> &ApiServer {
        &self.controllers.cluster.server
    }

    /// The object of a kind and a name that is in no namespace.
    pub(super) fn api_service(&self) -> Option<Value> {
        self.server().control().get("apiservices", "", API_SERVICE)
    }

    /// Namespace and name of the Service that metrics.k8s.io is sent to.
    pub(super) fn owner(&self) -> Option<String> {
        let service = self.api_service()?;
        let of = &service["spec"]["service"];
        Some(format!(
            "{}/{}",
            of["namespace"].as_str()?,
            of["name"].as_str()?
        ))
    }

    /// Waits until requests for metrics.k8s.io are handed on.
    pub(super) fn available(&self) {
        let there = Deadline::after(SOON).poll(|| {
            let service = self.api_service()?;
            (service["status"]["conditions"][0]["status"] == "True").then_some(())
        });
        assert!(there.is_some(), "{:?}", self.api_service());
    }

    /// Asks the API server as the administrator.
    pub(super) fn target(&self) -> Target {
        let server = self.server();
        let target = Target::tls(server.addr, SERVER_NAME, &server.ca).unwrap();
        target.bearer(ADMIN)
    }

    /// What a shell makes of some commands; the first that fails ends them.
    pub(super) fn shell(&self, commands: &str) -> Output {
        let home = self.dir.path().join("people");
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin");
        assert!(tools.exists(), "run scripts/deps.sh test");
        let shims = home.join("shims");
        let path = format!("{}:{}:/usr/bin:/bin", shims.display(), tools.display());
        Command::new("timeout")
            .args([LONGEST_S, "bash", "-e", "-o", "pipefail", "-c", commands])
            .current_dir(&home)
            .env_clear()
            .env("HOME", &home)
            .env("PATH", path)
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .unwrap()
    }

    /// What commands print that all succeed.
    #[track_caller]
    pub(super) fn run(&self, commands: &str) -> String {
        let done = self.shell(commands);
        let (out, err) = (text(&done.stdout), text(&done.stderr));
        assert!(
            done.status.success(),
            "{}:\n{commands}\n{out}{err}\n{}",
            done.status,
            self.controllers.said()
        );
        out
    }

    /// What commands complain of that do not.
    #[track_caller]
    pub(super) fn fails(&self, commands: &str) -> String {
        let done = self.shell(commands);
        let (out, err) = (text(&done.stdout), text(&done.stderr));
        assert!(!done.status.success(), "{commands}\n{out}{err}");
        err
    }

    /// A file that commands have written.
    pub(super) fn file(&self, name: &str) -> String {
        let path = self.dir.path().join("people").join(name);
        std::fs::read_to_string(path).unwrap()
    }
}

/// What a cluster has before anything of Cairn is there: one node, its namespaces, whom its API server believes.
fn furnish(server: &ApiServer, identity: &Identity) {
    let control = server.control();
    control.let_in_as(ADMIN, "kubernetes-admin", &["system:masters"]);
    for namespace in recorded("namespaces").unwrap() {
        if namespace["metadata"]["name"] != "cairn" {
            control.put("namespaces", namespace);
        }
    }
    let is_on =
        |pod: &Value| pod["spec"]["nodeName"] == NODE && pod["metadata"]["namespace"] != "cairn";
    for node in recorded("nodes").unwrap() {
        if node["metadata"]["name"] == NODE {
            control.put("nodes", node);
        }
    }
    recorded("pods")
        .unwrap()
        .into_iter()
        .filter(is_on)
        .for_each(|pod| control.put("pods", pod));
    control.put("configmaps", identity.published().unwrap());
    control.enforce_stored();
}

/// What metrics-server answered when it was recorded.
fn metrics_server() -> Stub {
    let root = "/apis/metrics.k8s.io/v1beta1";
    let answers = [
        (root.to_owned(), "resources"),
        (format!("{root}/nodes"), "nodes"),
        (format!("{root}/pods"), "pods"),
    ];
    let of = |name: &str| fixture(&format!("reference/metrics-server/{name}.json"));
    Stub {
        service: ("kube-system".to_owned(), "metrics-server".to_owned()),
        answers: answers.map(|(path, name)| (path, of(name))).to_vec(),
    }
}

/// The answer by which metrics-server is told from Cairn.
pub(super) fn of_metrics_server() -> Value {
    fixture("reference/metrics-server/nodes.json")
}

fn fixture(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(path);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The directory in which people are: `deploy/` as it is, and a docker that builds nothing, since the binaries of
/// this machine are what is run.
fn people(dir: &Path) {
    let home = dir.join("people");
    let shims = home.join("shims");
    std::fs::create_dir_all(&shims).unwrap();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let copied = Command::new("cp").arg("-r").arg(deploy).arg(&home).status();
    assert!(copied.unwrap().success());
    let docker = shims.join("docker");
    std::fs::write(&docker, "#!/bin/sh\nexit 0\n").unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
