//! Aggregator and agent as `deploy/overlays/metrics-api` renders them: processes of their args, variables, volumes
//! and probes, under an API server that grants what the rendered roles grant and nothing else.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::apiserver::{ApiServer, Minted, SERVER_NAME, Signer};
use testkit::deadline::Deadline;
use testkit::http1::{Answer, Target};
use testkit::pod::{Ground, Pod, Probe, addresses};
use testkit::proc::Proc;
use testkit::rendered;
use testkit::system::{SERVICE_HOST, System, ticks};
use testkit::trace::Trace;
use testkit::usage::Recorded;

/// Everything here is in real time: a pod is shown when it was measured twice, half a minute apart, and a busy machine
/// takes longer.
const SOON: Duration = Duration::from_secs(300);

const API_SERVICE: &str = "v1beta1.metrics.k8s.io";
const TLS: &str = "cairn-aggregator-tls";
const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";
const NODE: &str = "node1";

/// The reader's account.
const OPS: &str = "system:serviceaccount:readers:ops";

struct Bed {
    server: ApiServer,
    signer: Signer,
    objects: Vec<Value>,
    kubelet: Option<Proc>,
    aggregator: Pod,
    aggregators: [IpAddr; 1],
    agent: Pod,
    reader: String,
    dir: tempfile::TempDir,
}

impl Bed {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::start(dir.path()).unwrap();
        let objects = rendered::render("overlays/metrics-api").unwrap();
        let [pod_ip, node_ip] = addresses();
        let of = |kind: &str, name: &str, of: (&str, IpAddr)| {
            let workload = rendered::named(&objects, kind, name).unwrap();
            Pod::of(workload, (of.0, NODE), dir.path(), of.1).unwrap()
        };
        let aggregator = of(
            "Deployment",
            "cairn-aggregator",
            ("cairn-aggregator-0", pod_ip),
        );
        let agent = of("DaemonSet", "cairn-agent", ("cairn-agent-0", node_ip));
        let reader = server.control().mint(Minted {
            account: ("readers".to_owned(), "ops".to_owned()),
            audience: "cairn".to_owned(),
            pod: None,
            node: None,
            lifetime: Duration::from_secs(3_600),
        });
        let bed = Self {
            reader,
            signer: Signer::new("key-1").unwrap(),
            kubelet: None,
            server,
            objects,
            aggregators: [aggregator.ip],
            aggregator,
            agent,
            dir,
        };
        bed.apply();
        bed
    }

    /// Puts there what a cluster has, and what is rendered.
    fn apply(&self) {
        let control = self.server.control();
        for (resource, kind) in [
            ("secrets", "Secret"),
            ("configmaps", "ConfigMap"),
            ("leases", "Lease"),
            ("apiservices", "APIService"),
        ] {
            for object in self.objects.iter().filter(|object| object["kind"] == kind) {
                control.put(resource, object.clone());
            }
        }
        let ca = std::fs::read_to_string(&self.server.ca).unwrap();
        let of_cluster = json!({"kind": "ConfigMap", "metadata": {"namespace": "cairn", "name": "kube-root-ca.crt"},
                                "data": {"ca.crt": ca}});
        control.put("configmaps", of_cluster);
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/apiserver-1.36/extension-apiserver-authentication.json");
        let proxy = serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap();
        let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
        control.put_document(path, proxy);
        self.signer.publish(&self.server);
        // The recorded API server has a pod that begins two minutes after the kubelets' recording; all of that are here.
        let all: Vec<u64> = ticks().collect();
        let recorded = Recorded::at(&Trace::carried().unwrap(), &all).unwrap();
        for pod in recorded.pod_objects() {
            control.put("pods", pod);
        }
        control.put("pods", self.aggregator.object.clone());
        control.put("pods", self.agent.object.clone());
        // Of people an administrator has made one that may look at everything.
        let mut rights = self.objects.clone();
        rights.push(json!({"kind": "ClusterRoleBinding", "metadata": {"name": "ops-view"},
            "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "User", "name": OPS}]}));
        control.enforce(&rights);
        control.let_in_as(
            "kubelet",
            &format!("system:node:{NODE}"),
            &["system:masters"],
        );
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            server: &self.server,
            signer: &self.signer,
            aggregators: &self.aggregators,
            node: self.agent.ip,
        }
    }

    fn probe(&self, pod: &Pod, which: &str) -> Probe {
        let mapped = self.ground().mapped(pod).unwrap();
        pod.probe(which, &mapped).unwrap()
    }

    fn start_aggregator(&self) -> Proc {
        self.ground().start_aggregator(&self.aggregator).unwrap()
    }

    /// Starts the kubelet of the node and its agent.
    fn start_agent(&mut self) -> Proc {
        let kubelet = self.ground().start_kubelet(&self.agent, self.dir.path());
        self.kubelet = Some(kubelet.unwrap());
        self.ground().start_agent(&self.agent).unwrap()
    }

    /// Asks the aggregator's HTTPS listener as a reader.
    fn read(&self, path: &str) -> Answer {
        let ca = self.dir.path().join("serving-ca.crt");
        let bundle = self
            .server
            .control()
            .get("configmaps", "cairn", "cairn-ca")
            .unwrap();
        std::fs::write(&ca, bundle["data"]["ca.crt"].as_str().unwrap()).unwrap();
        let addr = SocketAddr::new(self.aggregator.ip, 10250);
        let target = Target::tls(addr, SERVICE_HOST, &ca)
            .unwrap()
            .bearer(&self.reader);
        target.get(path).unwrap()
    }

    /// What a kubelet asks before it answers an agent, for each endpoint of its that the agent has read. The
    /// simulated one knows its agent's token and asks nobody.
    fn asked_by_the_kubelet(&self) {
        let read = |endpoint: &str| {
            let kubelet = self.kubelet.as_ref().unwrap();
            let label = format!("endpoint=\"{endpoint}\"");
            System::metric(kubelet, "kubelet_sim_authorized_requests_total", &label).unwrap() > 0.5
        };
        let server = Target::tls(self.server.addr, SERVER_NAME, &self.server.ca)
            .unwrap()
            .bearer("kubelet");
        for (endpoint, subresource) in [("summary", "stats"), ("resource", "metrics")] {
            let came = Deadline::after(SOON).poll(|| read(endpoint).then_some(()));
            assert!(came.is_some(), "{endpoint} was not read");
            let question = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": {"user": "system:serviceaccount:cairn:cairn-agent", "groups": ["system:authenticated"],
                         "resourceAttributes": {"verb": "get", "resource": "nodes", "subresource": subresource,
                                                "name": NODE}}});
            let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            let answer = server.post(path, question.to_string().as_bytes()).unwrap();
            let answer: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(answer["status"]["allowed"], true, "{endpoint}");
        }
    }
}

#[track_caller]
fn until(what: &str, of: &[&Proc], mut is_so: impl FnMut() -> bool) {
    let came = Deadline::after(SOON).poll(|| is_so().then_some(()));
    let said: String = of.iter().map(|process| process.stderr()).collect();
    assert!(came.is_some(), "{what}:\n{said}");
}

fn items(answer: &Answer) -> Vec<String> {
    let list: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let name = |item: &Value| {
        item["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    items.iter().map(name).collect()
}

/// Scenario: what is rendered of `overlays/metrics-api` is applied; the aggregator and an agent run from their pods'
/// specs, with the rights of the rendered roles; a reader whom an administrator lets `view` reads metrics.k8s.io.
/// Guarantees: every probe of both succeeds as it is written; the certificate, the `ConfigMap`, the `APIService`, the
/// agent's stream and the reader's answers come about; each right of every role was used, and no more than those
/// was asked for.
#[test]
fn the_rendered_pods_work_with_the_rendered_rights_and_use_each() {
    let mut bed = Bed::start();
    let aggregator = bed.start_aggregator();
    for which in ["livenessProbe", "readinessProbe"] {
        let probe = bed.probe(&bed.aggregator, which);
        until(
            &format!("{which} of the aggregator: {probe:?}"),
            &[&aggregator],
            || probe.succeeds(),
        );
    }
    let of_agent =
        ["livenessProbe", "readinessProbe"].map(|which| (which, bed.probe(&bed.agent, which)));
    let agent = bed.start_agent();
    let both = [&aggregator, &agent];
    for (which, probe) in of_agent {
        until(&format!("{which} of the agent: {probe:?}"), &both, || {
            // The CA reaches it as the kubelet brings the volume up to date.
            bed.agent.mount(&bed.server, &bed.signer).unwrap();
            probe.succeeds()
        });
    }
    let control = bed.server.control();
    let service = control.get("apiservices", "", API_SERVICE).unwrap();
    assert!(service["spec"]["caBundle"].is_string(), "{service}");

    let mut nodes = Vec::new();
    until("metrics.k8s.io has the node", &both, || {
        nodes = items(&bed.read(&format!("{ROOT}/nodes")));
        nodes == [NODE]
    });
    let one = bed.read(&format!("{ROOT}/nodes/{NODE}"));
    assert_eq!(one.status, 200, "{}", one.text());
    let mut pods = Vec::new();
    until("metrics.k8s.io has pods", &both, || {
        pods = items(&bed.read(&format!("{ROOT}/namespaces/shop/pods")));
        !pods.is_empty()
    });
    let one = bed.read(&format!("{ROOT}/namespaces/shop/pods/{}", pods[0]));
    assert_eq!(one.status, 200, "{}", one.text());
    bed.asked_by_the_kubelet();
    let mut unused = Vec::new();
    until("every right is used", &both, || {
        unused = control.unused_rights();
        // Renewed under its Lease every few seconds.
        unused.is_empty()
            || unused
                .iter()
                .all(|right| EXCEPTED.contains(&right.as_str()))
    });
    assert_eq!(unused, EXCEPTED, "rights that nothing used");
    assert_eq!(
        control.refused_acts(),
        Vec::<String>::new(),
        "asked for without a right"
    );
}

/// Rights that no test can use, each with the reason: none.
const EXCEPTED: [&str; 0] = [];

/// Guarantees: one verb less, and the test above would fail: what is enforced is what is rendered.
#[test]
fn a_right_that_is_taken_away_is_missed() {
    let bed = Bed::start();
    let mut rights = bed.objects.clone();
    for role in rights
        .iter_mut()
        .filter(|one| one["metadata"]["name"] == "cairn-aggregator-certificates")
    {
        for rule in role["rules"].as_array_mut().into_iter().flatten() {
            if rule["resources"] == json!(["secrets"]) {
                rule["verbs"] = json!(["get"]);
            }
        }
    }
    bed.server.control().enforce(&rights);
    let aggregator = bed.start_aggregator();
    let control = bed.server.control();
    let missed = format!(
        "secrets \"{TLS}\" is forbidden: User \"system:serviceaccount:cairn:cairn-aggregator\" cannot update \
         resource \"secrets\" in API group \"\" in the namespace \"cairn\""
    );
    until("it is refused", &[&aggregator], || {
        control.refused_acts().contains(&missed)
    });
    let probe = bed.probe(&bed.aggregator, "readinessProbe");
    assert!(!probe.succeeds(), "{}", aggregator.stderr());
}
