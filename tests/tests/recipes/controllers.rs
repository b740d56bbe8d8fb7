//! What the controllers and the kubelet of a cluster do with the Deployment and the `DaemonSet` that are applied:
//! pods of their templates, which are processes; replaced one by one when a template changes; endpoints and states.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testkit::again::Again;
use testkit::apiserver::{ApiServer, Signer};
use testkit::deadline::Deadline;
use testkit::pod::{Ground, Pod, Probe};
use testkit::proc::Proc;

use super::SOON;
use super::cluster::NODE;

/// Between two looks at what is wanted and what is there.
const PACE: Duration = Duration::from_millis(200);

const NAMESPACE: &str = "cairn";
const AGGREGATOR: &str = "cairn-aggregator";
const AGENT: &str = "cairn-agent";

/// What pods are started in.
pub(super) struct Cluster {
    pub(super) server: ApiServer,
    pub(super) signer: Signer,
    /// Of two replicas and one more while they are replaced.
    pub(super) aggregators: [IpAddr; 3],
    pub(super) node: IpAddr,
    /// Where files of pods are.
    pub(super) dir: PathBuf,
}

impl Cluster {
    fn ground(&self) -> Ground<'_> {
        Ground {
            server: &self.server,
            signer: &self.signer,
            aggregators: &self.aggregators,
            node: self.node,
        }
    }
}

/// What they say of their work.
#[derive(Clone, Debug, Default)]
struct Said {
    /// Processes that run.
    running: usize,
    /// What those have written, and what was wrong in the last round.
    now: String,
    /// How processes ended that did not end well.
    faults: String,
}

/// They work in a thread of their own until they are dropped.
pub(super) struct Controllers {
    pub(super) cluster: Arc<Cluster>,
    said: Arc<Mutex<Said>>,
    _again: Again,
}

impl Controllers {
    pub(super) fn start(cluster: Cluster) -> Self {
        let cluster = Arc::new(cluster);
        let said = Arc::new(Mutex::new(Said::default()));
        let mut work = Work {
            cluster: Arc::clone(&cluster),
            replicas: Vec::new(),
            agent: None,
            begun: 0,
            faults: String::new(),
        };
        let into = Arc::clone(&said);
        let again = Again::every(PACE, move || {
            let done = work.round();
            let mut told = work.said();
            if let Err(error) = done {
                told.now.push_str(&format!("--- controllers: {error:#}\n"));
            }
            *into.lock().unwrap_or_else(PoisonError::into_inner) = told;
        });
        Self {
            cluster,
            said,
            _again: again,
        }
    }

    /// What the processes have written, and what was wrong.
    pub(super) fn said(&self) -> String {
        let said = self.look();
        said.now + &said.faults
    }

    /// Waits until no process runs any more, and says which have not ended well.
    #[track_caller]
    pub(super) fn faults_at_the_end(&self) -> String {
        let ended = Deadline::after(SOON).poll(|| {
            let said = self.look();
            (said.running == 0).then_some(said.faults)
        });
        assert!(ended.is_some(), "{}", self.said());
        ended.unwrap_or_default()
    }

    fn look(&self) -> Said {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.clone()
    }
}

/// A pod that runs.
struct Running {
    pod: Pod,
    template: Value,
    probe: Probe,
    process: Proc,
    /// Of the probe, one after the other.
    failures: u64,
    /// So many make it unready.
    most_failures: u64,
    is_ready: bool,
    /// The kubelet of an agent's node.
    _kubelet: Option<Proc>,
}

struct Work {
    cluster: Arc<Cluster>,
    replicas: Vec<Running>,
    agent: Option<Running>,
    /// Pods so far.
    begun: usize,
    /// How processes ended that did not end well.
    faults: String,
}

impl Work {
    fn said(&self) -> Said {
        let all = self.replicas.iter().chain(&self.agent);
        let of = |one: &Running| format!("--- {}\n{}", name(&one.pod), one.process.stderr());
        Said {
            running: all.clone().count(),
            now: all.map(of).collect(),
            faults: self.faults.clone(),
        }
    }

    fn round(&mut self) -> Result<()> {
        self.publish_ca();
        for one in self.replicas.iter_mut().chain(&mut self.agent) {
            one.look(&self.cluster.server);
        }
        self.deployment()?;
        self.daemon_set()
    }

    /// Every namespace is given the CA of the API server.
    fn publish_ca(&self) {
        const NAME: &str = "kube-root-ca.crt";
        let control = self.cluster.server.control();
        let has_namespace = control.get("namespaces", "", NAMESPACE).is_some();
        if has_namespace && control.get("configmaps", NAMESPACE, NAME).is_none() {
            let ca = std::fs::read_to_string(&self.cluster.server.ca).unwrap_or_default();
            let object = json!({"kind": "ConfigMap", "apiVersion": "v1",
                                "metadata": {"namespace": NAMESPACE, "name": NAME}, "data": {"ca.crt": ca}});
            control.put("configmaps", object);
            // The namespace may have ended meanwhile.
            if control.get("namespaces", "", NAMESPACE).is_none() {
                control.delete("configmaps", NAMESPACE, NAME);
            }
        }
    }

    /// As the rendered strategy says: one more while they are replaced, and never one less that is ready.
    fn deployment(&mut self) -> Result<()> {
        let control = self.cluster.server.control();
        let Some(wanted) = control.get("deployments", NAMESPACE, AGGREGATOR) else {
            for one in std::mem::take(&mut self.replicas) {
                self.end(one);
            }
            return Ok(());
        };
        let count = usize::try_from(wanted["spec"]["replicas"].as_u64().unwrap_or(1))?;
        let template = &wanted["spec"]["template"];
        let is_new = |one: &Running| one.template == *template;
        let ready = self.replicas.iter().filter(|one| one.is_ready).count();
        let updated = self.replicas.iter().filter(|one| is_new(one)).count();
        if updated < count && self.replicas.len() <= count {
            let replica = self.begin_replica(&wanted)?;
            self.replicas.push(replica);
        } else if ready > count {
            let old = self.replicas.iter().position(|one| !is_new(one));
            let gone = self.replicas.remove(old.unwrap_or(0));
            self.publish_endpoints();
            self.end(gone);
        }
        self.publish_endpoints();
        let updated = self.replicas.iter().filter(|one| is_new(one)).count();
        let ready = self.replicas.iter().filter(|one| one.is_ready).count();
        let status = json!({
            "observedGeneration": wanted["metadata"]["generation"], "replicas": self.replicas.len(),
            "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready,
        });
        let control = self.cluster.server.control();
        control.set_status("deployments", (NAMESPACE, AGGREGATOR), &status);
        Ok(())
    }

    fn begin_replica(&mut self, wanted: &Value) -> Result<Running> {
        let taken: Vec<IpAddr> = self.replicas.iter().map(|one| one.pod.ip).collect();
        let mut places = self.cluster.aggregators.iter();
        let free = places.find(|ip| !taken.contains(ip));
        let ip = *free.context("no address is free")?;
        self.begin(wanted, (AGGREGATOR, ip), |cluster, pod| {
            Ok((cluster.ground().start_aggregator(pod)?, None))
        })
    }

    fn daemon_set(&mut self) -> Result<()> {
        let control = self.cluster.server.control();
        let Some(wanted) = control.get("daemonsets", NAMESPACE, AGENT) else {
            if let Some(agent) = self.agent.take() {
                self.end(agent);
            }
            return Ok(());
        };
        let is_old = |one: &Running| one.template != wanted["spec"]["template"];
        if let Some(old) = self.agent.take_if(|one| is_old(one)) {
            self.end(old);
        }
        if let Some(agent) = &self.agent {
            // As a kubelet brings volumes up to date: the CA is not there from the beginning.
            agent
                .pod
                .mount(&self.cluster.server, &self.cluster.signer)?;
        } else {
            let of = (AGENT, self.cluster.node);
            let agent = self.begin(&wanted, of, |cluster, pod| {
                let ground = cluster.ground();
                let kubelet = ground.start_kubelet(pod, &cluster.dir)?;
                Ok((ground.start_agent(pod)?, Some(kubelet)))
            })?;
            self.agent = Some(agent);
        }
        let ready = u8::from(self.agent.as_ref().is_some_and(|one| one.is_ready));
        let status = json!({
            "observedGeneration": wanted["metadata"]["generation"], "desiredNumberScheduled": 1,
            "currentNumberScheduled": 1, "updatedNumberScheduled": 1, "numberMisscheduled": 0,
            "numberReady": ready, "numberAvailable": ready,
        });
        let control = self.cluster.server.control();
        control.set_status("daemonsets", (NAMESPACE, AGENT), &status);
        Ok(())
    }

    /// A new pod of a workload's template, which the API server has while it runs, and its process and kubelet.
    fn begin(
        &mut self,
        workload: &Value,
        (of, ip): (&str, IpAddr),
        start: impl FnOnce(&Cluster, &Pod) -> Result<(Proc, Option<Proc>)>,
    ) -> Result<Running> {
        self.begun += 1;
        let pod_name = format!("{of}-{}", self.begun);
        let pod = Pod::of(workload, (&pod_name, NODE), &self.cluster.dir, ip)?;
        let mapped = self.cluster.ground().mapped(&pod)?;
        let probe = pod.probe("readinessProbe", &mapped)?;
        let control = self.cluster.server.control();
        control.put("pods", pod.object.clone());
        let started = start(&self.cluster, &pod);
        let (process, kubelet) = started.inspect_err(|_| {
            control.delete("pods", NAMESPACE, &pod_name);
        })?;
        let readiness = &pod.object["spec"]["containers"][0]["readinessProbe"];
        Ok(Running {
            most_failures: readiness["failureThreshold"].as_u64().unwrap_or(3),
            template: workload["spec"]["template"].clone(),
            probe,
            pod,
            process,
            failures: 0,
            is_ready: false,
            _kubelet: kubelet,
        })
    }

    /// Asks a pod's process to go, and waits until it has.
    fn end(&mut self, mut one: Running) {
        let ended = one.process.sigterm().and_then(|()| one.process.wait(SOON));
        let is_well = ended.as_ref().is_ok_and(ExitStatus::success);
        if !is_well {
            let (of, said) = (name(&one.pod), one.process.stderr());
            let fault = format!("--- {of} did not end well: {ended:?}\n{said}\n");
            self.faults.push_str(&fault);
        }
        let control = self.cluster.server.control();
        control.delete("pods", NAMESPACE, name(&one.pod));
    }

    /// Where the Service of the aggregators leads.
    fn publish_endpoints(&self) {
        let control = self.cluster.server.control();
        if control.get("services", NAMESPACE, AGGREGATOR).is_none() {
            return;
        }
        let name = format!("{AGGREGATOR}-x7k2p");
        let endpoints = self.replicas.iter().map(|one| {
            json!({"addresses": [one.pod.ip.to_string()], "conditions": {"ready": one.is_ready}})
        });
        let endpoints = Value::Array(endpoints.collect());
        let held = control.get("endpointslices", NAMESPACE, &name);
        if held.is_some_and(|held| held["endpoints"] == endpoints) {
            return;
        }
        control.put(
            "endpointslices",
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"namespace": NAMESPACE, "name": name,
                             "labels": {"kubernetes.io/service-name": AGGREGATOR}},
                "endpoints": endpoints, "ports": [{"name": "https", "port": 10_250, "protocol": "TCP"}],
            }),
        );
    }
}

impl Running {
    /// Asks its probe, and says in its pod's status what that says.
    fn look(&mut self, server: &ApiServer) {
        self.failures = if self.probe.succeeds() {
            0
        } else {
            self.failures + 1
        };
        let is_ready = self.failures == 0 || self.is_ready && self.failures < self.most_failures;
        if is_ready == self.is_ready {
            return;
        }
        self.is_ready = is_ready;
        let mut status = self.pod.object["status"].clone();
        let told = if is_ready { "True" } else { "False" };
        status["conditions"] = json!([{"type": "Ready", "status": told}]);
        let control = server.control();
        control.set_status("pods", (NAMESPACE, name(&self.pod)), &status);
    }
}

fn name(pod: &Pod) -> &str {
    pod.object["metadata"]["name"].as_str().unwrap_or_default()
}
