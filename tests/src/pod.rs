//! A rendered pod as a process: what a kubelet does with it, but for containers.
//!
//! Arguments and variables are those of the manifest, volumes are directories below one that stands for the pod's
//! root, tokens are minted by the simulated API server, and probes are asked as they are written. What differs
//! from a node is listed by whoever starts it, as [`Mapping`]s.

mod ground;
mod volumes;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::apiserver::{ApiServer, Signer};
use crate::http1::Target;
use crate::proc::Proc;

pub use ground::{Ground, addresses};

/// What stands for a text of the manifest on this machine, and why it must.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The text in an argument or variable.
    pub from: String,
    /// What takes its place.
    pub to: String,
}

impl Mapping {
    /// One text for another.
    #[must_use]
    pub fn new(from: &str, to: impl Into<String>) -> Self {
        Self {
            from: from.to_owned(),
            to: to.into(),
        }
    }
}

/// A pod of a rendered workload, placed on a node.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The object, as the API server has it.
    pub object: Value,
    /// Stands for the root of its files.
    pub root: PathBuf,
    /// The address that it is reached at.
    pub ip: IpAddr,
}

/// A probe of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where it asks.
    pub addr: SocketAddr,
    /// For what.
    pub path: String,
}

impl Pod {
    /// Makes the pod of a workload's template, as its controller does.
    ///
    /// # Errors
    ///
    /// When the workload has no template.
    pub fn of(
        workload: &Value,
        (name, node): (&str, &str),
        root: &Path,
        ip: IpAddr,
    ) -> Result<Self> {
        let template = &workload["spec"]["template"];
        ensure!(template["spec"].is_object(), "{workload} has no template");
        let mut object = template.clone();
        object["kind"] = json!("Pod");
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = workload["metadata"]["namespace"].clone();
        object["metadata"]["uid"] = json!(format!("uid-of-{name}"));
        object["metadata"]["creationTimestamp"] = json!("2026-11-22T07:27:16Z");
        object["spec"]["nodeName"] = json!(node);
        object["status"] =
            json!({"phase": "Running", "hostIP": ip.to_string(), "podIP": ip.to_string()});
        Ok(Self {
            object,
            root: root.join(name),
            ip,
        })
    }

    fn spec(&self) -> &Value {
        &self.object["spec"]
    }

    /// Its only container.
    ///
    /// # Errors
    ///
    /// When it has none.
    fn container(&self) -> Result<&Value> {
        self.spec()["containers"].get(0).context("no container")
    }

    /// A place in the pod, on this machine.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// Where its mounts are, for every argument that names a file in one.
    ///
    /// # Errors
    ///
    /// When it has no container.
    pub fn mounts(&self) -> Result<Vec<Mapping>> {
        let mounts = self.container()?["volumeMounts"].as_array();
        let paths = mounts
            .into_iter()
            .flatten()
            .filter_map(|mount| mount["mountPath"].as_str());
        let mapped = paths.map(|path| Mapping::new(path, self.path(path).display().to_string()));
        Ok(mapped.collect())
    }

    /// Fills its volumes, or brings them up to date, as a kubelet does each minute.
    ///
    /// # Errors
    ///
    /// When an object that must be there is not, or a file cannot be written.
    pub fn mount(&self, server: &ApiServer, signer: &Signer) -> Result<()> {
        let volumes = self.spec()["volumes"].as_array();
        for volume in volumes.into_iter().flatten() {
            let name = &volume["name"];
            let mounts = self.container()?["volumeMounts"].as_array();
            let mut mounts = mounts.into_iter().flatten();
            let mount = mounts.find(|mount| mount["name"] == *name);
            let path = mount.and_then(|mount| mount["mountPath"].as_str());
            let path = self.path(path.with_context(|| format!("{name} is not mounted"))?);
            volumes::fill(self, volume, &path, (server, signer))?;
        }
        Ok(())
    }

    /// The arguments of its container, with `$(NAME)` filled in and then mapped; what is `more` comes behind.
    ///
    /// # Errors
    ///
    /// When a variable is not understood.
    pub fn args(&self, mapped: &[Mapping], more: &[String]) -> Result<Vec<String>> {
        let env = self.env(&[])?;
        let args = self.container()?["args"].as_array();
        let args = args.into_iter().flatten().filter_map(Value::as_str);
        let expand = |arg: &str| {
            env.iter().fold(arg.to_owned(), |arg, (name, value)| {
                arg.replace(&format!("$({name})"), value)
            })
        };
        let args = args.map(|arg| map(&expand(arg), mapped));
        Ok(args.chain(more.iter().cloned()).collect())
    }

    /// The variables of its container, mapped.
    ///
    /// # Errors
    ///
    /// When one is not understood.
    pub fn env(&self, mapped: &[Mapping]) -> Result<BTreeMap<String, String>> {
        let all = self.container()?["env"].as_array();
        let mut env = BTreeMap::new();
        for one in all.into_iter().flatten() {
            let name = one["name"].as_str().context("a variable has no name")?;
            let value = match &one["valueFrom"]["fieldRef"]["fieldPath"] {
                Value::String(path) => self.field(path)?,
                _ => one["value"].as_str().unwrap_or_default().to_owned(),
            };
            env.insert(name.to_owned(), map(&value, mapped));
        }
        Ok(env)
    }

    /// What a field reference says.
    fn field(&self, path: &str) -> Result<String> {
        let found = path
            .split('.')
            .fold(&self.object, |within, key| &within[key]);
        let found = found.as_str().map(str::to_owned);
        found.with_context(|| format!("no field {path} in {}", self.object["metadata"]["name"]))
    }

    /// Starts its container's binary.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn start(&self, mapped: &[Mapping], more: &[String], cluster: &ApiServer) -> Result<Proc> {
        let image = self.container()?["image"].as_str().unwrap_or_default();
        let name = image.rsplit('/').next().unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default();
        let args = self.args(mapped, more)?;
        let mut env = self.env(mapped)?;
        // What a kubelet tells each pod of the API's Service.
        let told = [
            ("KUBERNETES_SERVICE_HOST", cluster.addr.ip().to_string()),
            ("KUBERNETES_SERVICE_PORT", cluster.addr.port().to_string()),
        ];
        env.extend(told.map(|(name, value)| (name.to_owned(), value)));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        Ok(Proc::start(name, &args, &env)?)
    }

    /// A probe, such as `livenessProbe`, at the address of the pod unless it names another, which is then
    /// mapped.
    ///
    /// # Errors
    ///
    /// When the manifest has no such probe, or one that is no `httpGet` without TLS.
    pub fn probe(&self, which: &str, mapped: &[Mapping]) -> Result<Probe> {
        let container = self.container()?;
        let get = &container[which]["httpGet"];
        ensure!(get.is_object(), "no {which} with httpGet");
        let scheme = get["scheme"].as_str().unwrap_or("HTTP");
        ensure!(scheme == "HTTP", "{which} is over {scheme}");
        let host = match get["host"].as_str() {
            Some(host) => map(host, mapped),
            None => self.ip.to_string(),
        };
        let port = match &get["port"] {
            Value::Number(port) => port.as_u64(),
            Value::String(name) => {
                let ports = container["ports"].as_array();
                let mut ports = ports.into_iter().flatten();
                ports
                    .find(|port| port["name"] == **name)
                    .and_then(|port| port["containerPort"].as_u64())
            }
            _ => None,
        };
        let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else {
            bail!("{which} names no port of the container: {get}")
        };
        Ok(Probe {
            addr: SocketAddr::new(host.parse()?, port),
            path: get["path"].as_str().unwrap_or("/").to_owned(),
        })
    }
}

impl Probe {
    /// Asks once: true for every answer that a kubelet takes for success.
    #[must_use]
    pub fn succeeds(&self) -> bool {
        let answer = Target::plain(self.addr).get(&self.path);
        answer.is_ok_and(|answer| (200..400).contains(&answer.status))
    }
}

fn map(text: &str, mapped: &[Mapping]) -> String {
    let take = |text: String, one: &Mapping| text.replace(&one.from, &one.to);
    mapped.iter().fold(text.to_owned(), take)
}
