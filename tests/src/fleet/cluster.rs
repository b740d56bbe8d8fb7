//! The cluster around a fleet: an API server that has its nodes, its pods and those that its agents run in, and
//! the tokens by which these are known.
//!
//! A pod is the recorded one (7 KiB as JSON, two containers) under the names that the fleet gives it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cairn_proto::model::{EntityDef, EntityKind};
use serde_json::{Value, json};

use super::Options;
use crate::apiserver::{ApiServer, Minted, Signer, recorded};
use crate::mix::Mix;

/// Where the agents run, and as whom.
const NAMESPACE: &str = "cairn";
const ACCOUNT: &str = "cairn-agent";

/// Whom their tokens are for.
const AUDIENCE: &str = "cairn-aggregator";

/// Pods that [`Cluster::change`] changes.
const MOST_CHANGED: usize = 5_000;

/// How an aggregator reaches the cluster, and how the fleet's agents are known to it.
#[derive(Clone, Debug)]
pub struct Access {
    /// Flags of the aggregator.
    pub(super) args: Vec<String>,
    /// The agents' tokens, a line each.
    pub(super) tokens: PathBuf,
    /// All pods that there are.
    pub(super) pods: usize,
}

/// A running API server with all of it. Dropping it ends it.
#[derive(Debug)]
pub struct Cluster {
    /// The API server.
    pub api: ApiServer,
    /// Pods of the fleet's rows; those of its agents come to them.
    pub pods: usize,
    /// Namespace and name of some of them.
    some: Vec<(String, String)>,
    tokens: PathBuf,
    signer: Signer,
}

impl Cluster {
    /// Starts it. Certificate and tokens are written into this directory.
    ///
    /// # Errors
    ///
    /// When there is no recorded pod, or it cannot write or listen.
    pub fn start(fleet: &Options, dir: &Path) -> Result<Self> {
        Self::of_deployments(fleet, dir, None)
    }

    /// The same with pods dealt out to so many Deployments; `None` is one.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn of_deployments(fleet: &Options, dir: &Path, deployments: Option<usize>) -> Result<Self> {
        let api = ApiServer::empty(dir)?;
        let signer = Signer::new("fleet")?;
        signer.publish(&api);
        let templates = templates(fleet)?;
        let (naming, shape) = (fleet.naming(), shape()?);
        let (mut pods, mut some, mut tokens) = (0, Vec::new(), String::new());
        for index in 0..fleet.mix.nodes {
            let node = naming.node(index);
            api.control().put("nodes", node_object(&node));
            let agent = agent_object(&node);
            tokens += &signer.mint(api.control(), Minted::of_pod(&agent, AUDIENCE))?;
            tokens.push('\n');
            api.control().put("pods", agent);
            let defs = templates.get(naming.template(index));
            let defs = defs.map_or(&[][..], |of| of);
            for def in defs.iter().filter(|def| def.kind == EntityKind::Pod) {
                let inner = defs.iter().filter(|one| one.parent == Some(def.id));
                let inner = inner.filter(|one| one.kind == EntityKind::Container);
                let inner: Vec<&str> = inner.map(|one| one.name.as_str()).collect();
                let own = naming.define(index, def);
                let mut object = pod_object(&shape, &own, &inner, &node);
                if let Some(deployments) = deployments {
                    owned(&mut object, pods % deployments.max(1));
                }
                api.control().put("pods", object);
                pods += 1;
                if some.len() < MOST_CHANGED {
                    some.push((own.namespace, own.name));
                }
            }
        }
        let path = dir.join("fleet.tokens");
        std::fs::write(&path, tokens)?;
        Ok(Self {
            api,
            pods,
            some,
            tokens: path,
            signer,
        })
    }

    /// All pods that its API server has.
    #[must_use]
    pub fn all_pods(&self) -> usize {
        self.api.control().count("pods")
    }

    /// Lets the agent of one more node in; gives its token.
    ///
    /// # Errors
    ///
    /// When it cannot be signed.
    pub fn admit(&self, node: &str) -> Result<String> {
        let control = self.api.control();
        let agent = agent_object(node);
        control.put("nodes", node_object(node));
        let token = self
            .signer
            .mint(control, Minted::of_pod(&agent, AUDIENCE))?;
        control.put("pods", agent);
        Ok(token)
    }

    /// Changes some pods, as a kubelet does that tells of a restart; gives how many. After them comes a new
    /// pod: who knows as many as [`Cluster::all_pods`] then has heard of all.
    pub fn change(&self) -> usize {
        let control = self.api.control();
        for (namespace, name) in &self.some {
            control.change("pods", (namespace, name), |pod| {
                let restarts = &mut pod["status"]["containerStatuses"][0]["restartCount"];
                *restarts = json!(restarts.as_u64().unwrap_or(0) + 1);
            });
        }
        control.put("pods", agent_object("of-no-node"));
        self.some.len() + 1
    }

    /// How an aggregator reaches it, and knows its agents.
    #[must_use]
    pub fn access(&self) -> Access {
        let mut args = self.api.flags();
        let account = format!("{NAMESPACE}/{ACCOUNT}");
        let peer = format!("{NAMESPACE}/cairn-aggregator");
        for (flag, value) in [
            ("--ingest-auth", "token-review"),
            ("--agent-service-account", &account),
            ("--peer-service-account", &peer),
        ] {
            args.extend([flag.to_owned(), value.to_owned()]);
        }
        Access {
            args,
            tokens: self.tokens.clone(),
            pods: self.all_pods(),
        }
    }
}

/// What the rows of each template are about.
fn templates(fleet: &Options) -> Result<Vec<Vec<EntityDef>>> {
    let mix = Mix::new(fleet.mix.clone())?;
    let defs = |index| {
        let mut node = mix.node(index)?;
        node.next_row()?;
        Ok(node.defs())
    };
    (0..fleet.template_count()).map(defs).collect()
}

/// A recorded pod of two containers.
fn shape() -> Result<Value> {
    let mut pods = recorded("pods")?.into_iter();
    let has_two = |pod: &Value| pod["spec"]["containers"].as_array().map(Vec::len) == Some(2);
    pods.find(has_two)
        .context("no recorded pod has two containers")
}

fn node_object(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-of-{name}"),
                     "labels": {"kubernetes.io/os": "linux"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn agent_object(node: &str) -> Value {
    let name = format!("{ACCOUNT}-{node}");
    json!({
        "metadata": {"namespace": NAMESPACE, "name": name, "uid": format!("uid-of-{name}"),
                     "labels": {"app.kubernetes.io/name": ACCOUNT}},
        "spec": {"nodeName": node, "serviceAccountName": ACCOUNT, "containers": [{"name": "agent"}]},
        "status": {"phase": "Running",
                   "containerStatuses": [{"name": "agent", "state": {"running": {}}}]},
    })
}

/// The recorded pod as this one.
fn pod_object(shape: &Value, own: &EntityDef, containers: &[&str], node: &str) -> Value {
    let mut pod = shape.clone();
    let metadata = &mut pod["metadata"];
    metadata["namespace"] = json!(own.namespace);
    metadata["name"] = json!(own.name);
    metadata["uid"] = json!(own.uid);
    metadata["labels"] = json!({
        "app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "backend",
        "pod-template-hash": "6cb655c9bf", "tier": "web",
    });
    pod["spec"]["nodeName"] = json!(node);
    named(&mut pod["spec"]["containers"], containers);
    named(&mut pod["status"]["containerStatuses"], containers);
    pod
}

/// Lets a pod belong to the Deployment of this number.
fn owned(pod: &mut Value, deployment: usize) {
    let hash = "6cb655c9bf";
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("shop{deployment}-{hash}"),
        "uid": format!("uid-of-shop{deployment}"), "controller": true, "blockOwnerDeletion": true,
    }]);
}

/// Gives the parts of a list these names, and as many of them as there are names.
fn named(list: &mut Value, names: &[&str]) {
    let Some(parts) = list.as_array_mut() else {
        return;
    };
    let first = parts.first().cloned().unwrap_or_default();
    parts.resize(names.len(), first);
    for (part, name) in parts.iter_mut().zip(names) {
        part["name"] = json!(name);
    }
}
