//! An aggregator that watches a simulated API server, as processes.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

#[path = "cluster/explained.rs"]
mod explained;
#[path = "cluster/objects.rs"]
mod objects;

use std::collections::BTreeMap;
use std::time::Duration;

use cairn_proto::v1::{self, agent_frame::Kind, aggregator_frame::Kind as Answer};
use serde_json::{Value, json};
use testkit::apiserver::{ApiServer, Fault};
use testkit::deadline::Deadline;
use testkit::proc::Proc;
use testkit::raw::RawAgent;
use testkit::system::{FIRST_TICK_MS, Options, System, at};

/// How long anything may take to come about, a machine under load and the longest pause between two
/// attempts included.
const SOON: Duration = Duration::from_secs(60);

struct Bed {
    server: ApiServer,
    system: System,
    _dir: tempfile::TempDir,
}

impl Bed {
    /// An aggregator that watches the API server, and simulated nodes.
    fn start(nodes: &[&str], prepare: impl FnOnce(&ApiServer)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::start(dir.path()).unwrap();
        prepare(&server);
        // Without simulated nodes a test may speak for the recorded ones.
        let guests = ["node1", "node2"].into_iter().filter(|_| nodes.is_empty());
        let options = Options {
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            guests: guests.map(str::to_owned).collect(),
            extra_aggregator_args: server.flags(),
            ..Options::default()
        };
        Self {
            system: System::start(options).unwrap(),
            server,
            _dir: dir,
        }
    }

    fn aggregator(&self) -> &Proc {
        self.system.aggregator().unwrap()
    }

    /// A count of the aggregator's own figures, over all labels that contain these.
    fn figure(&self, name: &str, labels: &str) -> u64 {
        let name = format!("cairn_aggregator_cluster_{name}");
        let count = System::metric(self.aggregator(), &name, labels).unwrap();
        count.to_string().parse().unwrap()
    }

    /// Waits until so many pods are known.
    fn wait_for_pods(&self, count: u64) {
        self.wait("pods", || self.figure("objects", "\"pods\"") == count);
    }

    fn wait(&self, what: &str, mut is: impl FnMut() -> bool) {
        let came = Deadline::after(SOON).poll(|| is().then_some(()));
        let seen = self.aggregator().get("admin", "/metrics").unwrap().text();
        let seen: Vec<&str> = seen
            .lines()
            .filter(|line| line.contains("_cluster_"))
            .collect();
        assert!(
            came.is_some(),
            "{what} did not come:\n{}\n{}",
            seen.join("\n"),
            self.aggregator().stderr()
        );
    }

    fn readyz(&self) -> (u16, String) {
        let answer = self.aggregator().get("admin", "/readyz?verbose").unwrap();
        (answer.status, answer.text())
    }
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-of-{name}"),
                     "creationTimestamp": "2026-11-22T07:27:16Z", "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "resources": {}}]},
        "status": {"phase": "Running"},
    })
}

/// Scenario: an aggregator starts beside an API server with 1,204 pods; pods come and go.
/// Guarantees: each resource is listed once, in pages, and watched once: not one request more.
#[test]
fn everything_is_listed_once_and_then_watched() {
    let bed = Bed::start(&[], |server| {
        for n in 0..1_200 {
            server
                .control()
                .put("pods", pod(&format!("many-{n}"), "node1"));
        }
    });
    bed.wait_for_pods(1_204);
    let control = bed.server.control();
    control.put("pods", pod("new", "node1"));
    bed.wait_for_pods(1_205);
    assert!(control.delete("pods", "shop", "new"));
    assert!(control.delete("nodes", "", "node2"));
    bed.wait_for_pods(1_204);
    bed.wait("one node", || bed.figure("objects", "\"nodes\"") == 1);
    // What is read every minute besides is no list and no watch.
    let requests = control.all_requests().into_iter();
    let requests: Vec<_> = requests.filter(|((verb, _), _)| verb != "get").collect();
    let of =
        |verb: &str, resource: &str, count: u64| ((verb.to_owned(), resource.to_owned()), count);
    let expected = [
        of("list", "nodes", 1),
        of("list", "pods", 3),
        of("watch", "nodes", 1),
        of("watch", "pods", 1),
    ];
    assert_eq!(requests, expected);
    assert_eq!(bed.figure("lists_total", ""), 2);
    assert_eq!(bed.figure("bad_objects_total", ""), 0);
}

/// Scenario: the version is forgotten in the middle of a list, and under an open watch; meanwhile a pod goes.
/// Guarantees: another list each time, and what it does not name goes.
#[test]
fn a_forgotten_version_costs_another_list() {
    let bed = Bed::start(&[], |server| {
        for n in 0..600 {
            server
                .control()
                .put("pods", pod(&format!("many-{n}"), "node1"));
        }
        // The second page of the first list, which the first one takes the place of.
        server.control().fault("list", "pods", Fault::Gone, 1);
    });
    bed.wait_for_pods(604);
    let control = bed.server.control();
    assert_eq!(control.requests("list", "pods"), 3);
    bed.wait("a watch", || control.requests("watch", "pods") == 1);
    control.fault("watch", "pods", Fault::Gone, 1);
    control.close_watches();
    assert!(control.delete("pods", "shop", "many-7"));
    bed.wait_for_pods(603);
    bed.wait("a list", || bed.figure("lists_total", "\"pods\"") == 2);
    bed.wait("a watch", || control.requests("watch", "pods") >= 3);
    control.expire_watches();
    bed.wait("a list", || bed.figure("lists_total", "\"pods\"") == 3);
    control.put("pods", pod("after", "node1"));
    bed.wait_for_pods(604);
    assert!(bed.figure("failures_total", "\"gone\"") >= 3);
}

/// Scenario: the API server is away when the aggregator starts, comes, goes and comes back.
/// Guarantees: the aggregator is ready throughout and says what it lacks; what was known stays in use; nothing
/// is listed a second time.
#[test]
fn an_api_server_that_is_away_is_missed_and_not_needed() {
    let bed = Bed::start(&[], ApiServer::go_away);
    bed.wait("ready", || bed.readyz().0 == 200);
    bed.wait("a note", || bed.readyz().1.contains("[!]cluster pods: "));
    bed.server.come_back();
    bed.wait_for_pods(4);
    bed.wait("no note", || !bed.readyz().1.contains("[!]cluster"));
    let control = bed.server.control();
    bed.wait("watches", || {
        control.requests("watch", "pods") > 0 && control.requests("watch", "nodes") > 0
    });
    bed.server.go_away();
    bed.wait("a note", || bed.readyz().1.contains("[!]cluster pods: "));
    control.put("pods", pod("meanwhile", "node1"));
    assert_eq!(bed.figure("objects", "\"pods\""), 4);
    assert_eq!(bed.readyz().0, 200);
    bed.server.come_back();
    bed.wait_for_pods(5);
    bed.wait("no note", || !bed.readyz().1.contains("[!]cluster"));
    assert_eq!(
        (
            control.requests("list", "pods"),
            control.requests("list", "nodes")
        ),
        (1, 1)
    );
}

/// Scenario: too many requests, a wrong token, an object that is broken, watches that are closed.
/// Guarantees: each is told in its own words, and all is well again afterwards.
#[test]
fn what_goes_wrong_is_named_and_passes() {
    let bed = Bed::start(&[], |server| {
        server.control().lock_out(testkit::apiserver::TOKEN);
        server.control().put(
            "pods",
            json!({"metadata": {"namespace": "shop", "name": "broken"}}),
        );
    });
    bed.wait("a refusal", || {
        bed.readyz().1.contains("--kubernetes-token-file")
    });
    let control = bed.server.control();
    control.let_in(testkit::apiserver::TOKEN);
    control.fault("list", "pods", Fault::TooMany(1), 1);
    bed.wait_for_pods(4);
    assert_eq!(bed.figure("bad_objects_total", "\"pods\""), 1);
    bed.wait("a watch", || control.requests("watch", "pods") > 0);
    control.close_watches();
    bed.wait("another watch", || {
        bed.figure("watch_restarts_total", "\"pods\"") >= 1
    });
    control.put("pods", pod("after", "node1"));
    bed.wait_for_pods(5);
    control.bookmark();
    assert_eq!(bed.figure("lists_total", "\"pods\""), 1);
}

/// Scenario: a real agent reports a node's pods; the API server has an object for each; one changes its labels,
/// one is deleted.
/// Guarantees: labels stand in the dump and select in the lists as the objects have them now.
#[test]
fn labels_of_objects_are_served_as_they_are_now() {
    let pods = reported();
    assert!(pods.len() > 1, "{pods:?}");
    let mut known = 4;
    let bed = Bed::start(&["node1"], |server| {
        for (name, (namespace, uid, containers)) in &pods {
            let mut object = pod(name, "node1");
            object["metadata"]["namespace"] = json!(namespace);
            object["metadata"]["uid"] = json!(uid);
            let containers = containers.iter().map(|name| json!({"name": name}));
            object["spec"]["containers"] = containers.collect();
            let control = server.control();
            known += u64::from(control.get("pods", namespace, name).is_none());
            control.put("pods", object);
        }
    });
    bed.wait_for_pods(known);
    for n in 0..2 {
        bed.system.tick(at(n)).unwrap();
    }
    let control = bed.server.control();
    let (first, (within, uid, _)) = pods.iter().next().unwrap();
    bed.wait("labels", || {
        labels_in_dump(&bed, first) == format!("app:{first}")
    });
    bed.wait("all pods", || selected(&bed, "app") == pods.len());
    assert_eq!(selected(&bed, &format!("app={first}")), 1);
    let nodes = bed
        .system
        .json("/apis/metrics/v1alpha1/nodes?labelSelector=kubernetes.io/os=linux");
    assert_eq!(nodes.unwrap()["items"].as_array().unwrap().len(), 1);
    let as_machine = labels_in_dump(&bed, "");
    assert!(
        as_machine.contains("kubernetes.io/hostname:node1"),
        "{as_machine}"
    );
    assert!(control.change("pods", (within, first), |pod| {
        pod["metadata"]["labels"] = json!({"app": "other", "tier": "x"});
    }));
    bed.wait("other labels", || {
        labels_in_dump(&bed, first) == "app:other,tier:x"
    });
    assert_eq!(selected(&bed, &format!("app={first}")), 0);
    // Another pod of the name is not the one that the agent reports.
    assert!(control.change("pods", (within, first), |pod| {
        pod["metadata"]["uid"] = json!(format!("not-{uid}"));
    }));
    bed.wait("no labels", || labels_in_dump(&bed, first).is_empty());
    assert!(control.delete("pods", within, first));
    bed.wait("one less", || selected(&bed, "app") == pods.len() - 1);
}

/// The pods of a node by name, with namespace, UID and containers, as its agent reports them where nobody
/// watches.
fn reported() -> BTreeMap<String, (String, String, Vec<String>)> {
    let system = System::start(Options::one_node()).unwrap();
    for n in 0..2 {
        system.tick(at(n)).unwrap();
    }
    let lists = system.json("/apis/metrics/v1alpha1/pods").unwrap();
    let lists = lists["items"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let listed = lists.iter().map(|pod| {
        let metadata = &pod["metadata"];
        let containers = pod["containers"].as_array().unwrap().iter();
        let containers: Vec<String> = containers.map(|one| text(&one["name"])).collect();
        (
            text(&metadata["name"]),
            (text(&metadata["namespace"]), containers),
        )
    });
    let listed: BTreeMap<String, (String, Vec<String>)> = listed.collect();
    let dump = system.json("/api/v1/metric-export").unwrap();
    let pods = dump.as_array().unwrap().iter().map(|one| &one["labels"]);
    let pods = pods
        .filter(|labels| labels["container_name"] == "/pod")
        .filter_map(|labels| {
            let name = text(&labels["pod_name"]);
            let (namespace, containers) = listed.get(&name)?.clone();
            Some((name, (namespace, text(&labels["pod_id"]), containers)))
        });
    pods.collect()
}

/// The labels of a pod in the dump, or of the node for no name.
fn labels_in_dump(bed: &Bed, pod: &str) -> String {
    let dump = bed.system.json("/api/v1/metric-export").unwrap();
    let mut things = dump.as_array().unwrap().iter().map(|one| &one["labels"]);
    let found = things.find(|labels| {
        if pod.is_empty() {
            labels["container_name"] == "machine"
        } else {
            labels["container_name"] == "/pod" && labels["pod_name"] == *pod
        }
    });
    found.unwrap()["labels"].as_str().unwrap().to_owned()
}

/// How many pods a selector selects.
fn selected(bed: &Bed, selector: &str) -> usize {
    let path = format!("/apis/metrics/v1alpha1/pods?labelSelector={selector}");
    let list = bed.system.json(&path).unwrap();
    list["items"].as_array().map_or(0, Vec::len)
}

/// Scenario: agents of two nodes ask whose containers they see.
/// Guarantees: each is told of its own node's pods, and of nothing else.
#[test]
fn an_agent_is_told_the_names_of_its_own_containers() {
    let bed = Bed::start(&[], |_| ());
    bed.wait_for_pods(4);
    let control = bed.server.control();
    let pod = control
        .get("pods", "shop", "burner-6cb655c9bf-2gkn9")
        .unwrap();
    let id = pod["status"]["containerStatuses"][1]["containerID"]
        .as_str()
        .unwrap();
    let id = id.strip_prefix("containerd://").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let told = |node| runtime.block_on(names(&bed.system, node, id));
    let container = v1::names::Container {
        runtime_id: id.to_owned(),
        pod_uid: UID.to_owned(),
        container: "disk".to_owned(),
    };
    let pod = v1::names::Pod {
        uid: UID.to_owned(),
        namespace: "shop".to_owned(),
        name: "burner-6cb655c9bf-2gkn9".to_owned(),
    };
    let expected = v1::Names {
        containers: vec![container],
        pods: vec![pod],
    };
    assert_eq!(told("node1"), v1::Names::default());
    assert_eq!(told("node2"), expected);
}

/// A recorded pod.
const UID: &str = "5402d901-31d5-4803-8aef-f0e65de709b8";

/// What the agent of a node is told of that pod and of a runtime id.
async fn names(system: &System, node: &str, id: &str) -> v1::Names {
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let (ca, token) = (
        system.path("ingest-ca.pem"),
        format!("agent-token-of-{node}"),
    );
    let agent = RawAgent::connect(addr, &ca, &token, FIRST_TICK_MS).await;
    let mut agent = agent.unwrap();
    agent.hello(node, 1).await.unwrap();
    let resolve = v1::Resolve {
        runtime_ids: vec![id.to_owned(), "nonsense".to_owned()],
        pod_uids: vec!["nonsense".to_owned(), UID.to_owned()],
    };
    agent.send(Kind::Resolve(resolve)).await;
    loop {
        if let Some(Answer::Names(names)) = agent.receive().await.unwrap() {
            return names;
        }
    }
}
