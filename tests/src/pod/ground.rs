//! Cairn's rendered pods on this machine: what stands for addresses, names and directories of a cluster, and which
//! flags are added because a default of theirs names one.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context as _, Result};

use super::{Mapping, Pod};
use crate::apiserver::{ApiServer, Signer};
use crate::proc::Proc;

/// The cluster that pods are started in.
#[derive(Debug)]
pub struct Ground<'a> {
    /// Its API server.
    pub server: &'a ApiServer,
    /// Signs the tokens of its pods.
    pub signer: &'a Signer,
    /// Addresses of loopback at which aggregators may be; there is no DNS that would tell.
    pub aggregators: &'a [IpAddr],
    /// The address of loopback that stands for the node's.
    pub node: IpAddr,
}

/// Addresses of loopback that stand for pods and nodes, and that nobody else of this process is given: so ports may be
/// those of the manifest.
#[must_use]
pub fn addresses<const N: usize>() -> [IpAddr; N] {
    static TAKEN: AtomicU8 = AtomicU8::new(10);
    let [.., high, low] = std::process::id().to_be_bytes();
    std::array::from_fn(|_| {
        let last = TAKEN.fetch_add(1, Ordering::Relaxed);
        IpAddr::V4(Ipv4Addr::new(127, high.max(1), low, last))
    })
}

/// Where the token of a service account is mounted.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl Ground<'_> {
    /// What stands for the manifest's texts on this machine, all of it; files of mounts come in front.
    ///
    /// # Errors
    ///
    /// When the pod has no container, or there is no place for an aggregator.
    pub fn mapped(&self, pod: &Pod) -> Result<Vec<Mapping>> {
        let first = self.aggregators.first().context("no place")?;
        let mut mapped = pod.mounts()?;
        mapped.extend([
            // All addresses of a pod are one of loopback.
            Mapping::new("[::]:", format!("{}:", pod.ip)),
            Mapping::new(
                "https://cairn-ingest.cairn.svc:",
                format!("https://{first}:"),
            ),
            // The pod's own loopback, and the node's, for its probes.
            Mapping::new("=127.0.0.1:", format!("={}:", pod.ip)),
            Mapping::new("127.0.0.1", self.node.to_string()),
        ]);
        Ok(mapped)
    }

    /// Starts an aggregator. What is added are defaults that name a mount, and the addresses as names of the
    /// certificate: peers are verified by them, since there is no DNS.
    ///
    /// # Errors
    ///
    /// When a volume cannot be filled, or it does not come up.
    pub fn start_aggregator(&self, pod: &Pod) -> Result<Proc> {
        pod.mount(self.server, self.signer)?;
        let file = |name: &str| pod.path(&format!("{ACCOUNT}/{name}")).display().to_string();
        let addresses = self.aggregators.iter().map(IpAddr::to_string);
        let names = ["cairn-aggregator", "cairn-ingest"].map(str::to_owned);
        let names: Vec<String> = names.into_iter().chain(addresses).collect();
        let more = [
            format!("--kubernetes-ca={}", file("ca.crt")),
            format!("--kubernetes-token-file={}", file("token")),
            format!("--namespace-file={}", file("namespace")),
            format!("--tls-service={}", names.join(",")),
        ];
        pod.start(&self.mapped(pod)?, &more, self.server)
    }

    /// Starts the kubelet of an agent's node, whose files are in this directory.
    ///
    /// # Errors
    ///
    /// When a volume cannot be filled, or it does not come up.
    pub fn start_kubelet(&self, agent: &Pod, dir: &Path) -> Result<Proc> {
        agent.mount(self.server, self.signer)?;
        let node = agent.field("spec.nodeName")?;
        let token = std::fs::read_to_string(agent.path(&format!("{ACCOUNT}/token")))?;
        let made = dir.join("kubelet-pki");
        std::fs::create_dir_all(&made)?;
        let args = [
            format!("--listen={}:10250", self.node),
            format!("--node={node}"),
            format!("--token={token}"),
            format!("--make-pki={}", made.display()),
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let kubelet = Proc::start("kubelet-sim", &args, &[])?;
        // The key of a kubelet is nothing that an agent could read.
        let certificate = made.join(format!("{node}-kubelet.pem"));
        std::fs::copy(
            certificate,
            agent.path("/var/lib/kubelet/pki").join("kubelet.crt"),
        )?;
        Ok(kubelet)
    }

    /// Starts an agent beside the kubelet of its node. What is added are defaults: the place of the kubelet's
    /// certificate, the node's loopback, the name by which aggregators are verified, and where more of them are.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn start_agent(&self, agent: &Pod) -> Result<Proc> {
        let certificate = agent.path("/var/lib/kubelet/pki").join("kubelet.crt");
        let mut more = vec![
            format!("--kubelet-cert={}", certificate.display()),
            format!("--admin-listen={}:9101", agent.ip),
            "--aggregator-server-name=cairn-ingest.cairn.svc".to_owned(),
        ];
        let others = self.aggregators.iter().skip(1);
        more.extend(others.map(|at| format!("--aggregator=https://{at}:9443")));
        agent.start(&self.mapped(agent)?, &more, self.server)
    }
}
