//! Names that an agent is told by aggregators, as processes: the API server, the aggregator, the agent beside
//! a node's recorded cgroups, and its kubelet.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::Path;
use std::time::Duration;

use cairn_proto::v1::{self, aggregator_frame::Kind as Answer};
use serde_json::{Value, json};
use testkit::apiserver::ApiServer;
use testkit::deadline::Deadline;
use testkit::greedy::Greedy;
use testkit::proc::Proc;
use testkit::system::{CgroupFiles, Options, Recording, System};

/// How long anything may take to come about.
const SOON: Duration = Duration::from_secs(60);

/// A pod that is there all the time, and the runtime ids of its containers.
const POD: &str = "burner-6cb655c9bf-skbkr";
const UID: &str = "1df17ad5-f176-4aad-a700-aface64000ef";
const CPU: &str = "f42b221bc0b5c7eb5123ee26f9c3c0a7244d5f8f6db5878a4d2f36e785d0a2b7";
const DISK: &str = "64a6e01fb4464807e269423a61527480e1abaefa321a37d0eeed5a0944229d1b";

/// Ticks after which an answer that did not come with the first one has come: each waits for it.
const TICKS: usize = 4;

/// An agent beside a recorded node.
struct Bed {
    files: CgroupFiles,
    root: tempfile::TempDir,
    system: System,
    ticks: Vec<u64>,
    shown: usize,
}

impl Bed {
    /// Starts an aggregator with these arguments, and an agent that reads cgroups and no cAdvisor.
    fn start(aggregator: Vec<String>) -> Self {
        let files = CgroupFiles::recorded().unwrap();
        let in_memory = tempfile::tempdir_in("/dev/shm");
        let root = in_memory.or_else(|_| tempfile::tempdir()).unwrap();
        files.show(0, root.path()).unwrap();
        let mut options = Options::replaying(Recording::named("cgroup-v2").unwrap());
        let cgroup_root = root.path().display().to_string();
        options.extra_agent_args = ["--cgroup-root", &cgroup_root, "--cadvisor", "off"]
            .map(str::to_owned)
            .into();
        options.extra_aggregator_args = aggregator;
        Self {
            ticks: options.recording.ticks().collect(),
            system: System::start(options).unwrap(),
            files,
            root,
            shown: 0,
        }
    }

    /// Lets the kubelet refuse everything.
    fn without_kubelet(self) -> Self {
        let refuses = r#"{"kind":"status","code":500}"#;
        self.system.break_kubelet("all", refuses).unwrap();
        self
    }

    fn agent(&self) -> &Proc {
        self.system.nodes[0].agent.as_ref().unwrap()
    }

    /// A count of the agent's own figures, over all labels that contain these.
    fn count(&self, name: &str, labels: &str) -> u64 {
        System::count(self.agent(), &format!("cairn_agent_{name}"), labels).unwrap()
    }

    fn wait(&self, what: &str, mut is: impl FnMut() -> bool) {
        let came = Deadline::after(SOON).poll(|| is().then_some(()));
        assert!(
            came.is_some(),
            "{what} did not come:\n{}",
            self.system.stderr()
        );
    }

    /// Waits until the agent streams to so many aggregators.
    fn wait_for_sessions(&self, count: u64) {
        self.wait("sessions", || self.count("uplink_sessions", "") == count);
    }

    /// Waits until the aggregator knows so many pods of the API server.
    fn wait_for_pods(&self, count: u64) {
        let aggregator = self.system.aggregator().unwrap();
        let pods = || System::of_aggregator(aggregator, "cluster_objects", "\"pods\"").unwrap();
        self.wait("pods", || pods() >= count);
    }

    /// Steps to the `n`th tick with the cgroups of that time.
    fn tick(&mut self, n: usize) {
        let tick = self.ticks[n];
        let frame = self.files.frame_at(tick).unwrap_or(0);
        for frame in self.shown + 1..=frame {
            self.files.show(frame, self.root.path()).unwrap();
        }
        self.shown = frame.max(self.shown);
        self.system.step(tick).unwrap();
        // A row in which somebody is new whom the kubelet does not list yet waits for so long.
        self.system.step(tick + 1_000).unwrap();
        self.system.arrived(tick, SOON).unwrap();
    }

    /// What has CPU time at the last tick: kind, pod and name.
    fn alive(&self) -> Vec<[String; 3]> {
        let path = "/api/cairn/v1/values?node=node3&metric=cpu_usage_core_nanos";
        let answer = self.system.json(path).unwrap();
        let is_alive = |of: &&Value| {
            let values = of["metrics"]["cpu_usage_core_nanos"]["values"].as_array();
            values.unwrap().last().is_some_and(|last| !last.is_null())
        };
        let entities = answer["entities"].as_array().unwrap().iter();
        let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
        entities
            .filter(is_alive)
            .map(|of| ["kind", "pod", "name"].map(|key| text(of, key)))
            .collect()
    }

    /// The containers of the pod that are there.
    fn containers(&self) -> Vec<String> {
        let alive = self.alive().into_iter();
        let own = alive.filter(|[kind, pod, _]| kind == "container" && pod == POD);
        own.map(|[.., name]| name).collect()
    }

    /// Ticks from the `n`th on until the containers have their names; gives the last tick.
    fn until_named(&mut self, n: usize) -> usize {
        for n in n..n + TICKS {
            self.tick(n);
            if self.containers() == ["cpu", "disk"] {
                return n;
            }
        }
        panic!("{:?}\n{}", self.alive(), self.system.stderr())
    }
}

/// The pod as the API server has it.
fn pod() -> Value {
    let status = |name: &str, id: &str| {
        json!({"name": name, "containerID": format!("containerd://{id}"), "restartCount": 0,
               "state": {"running": {}}})
    };
    json!({
        "metadata": {"namespace": "shop", "name": POD, "uid": UID,
                     "creationTimestamp": "2026-11-22T08:20:00Z"},
        "spec": {"nodeName": "node3",
                 "containers": [{"name": "cpu", "resources": {}}, {"name": "disk", "resources": {}}]},
        "status": {"phase": "Running",
                   "containerStatuses": [status("cpu", CPU), status("disk", DISK)]},
    })
}

/// A number in lines of names and numbers.
fn number(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(other, _)| *other == name).unwrap();
    found.1.parse().unwrap()
}

/// Scenario: an agent begins beside a kubelet that refuses everything, with cgroups and no cAdvisor; its
/// aggregator watches an API server that has one of the node's pods.
/// Guarantees: that pod and its containers are shown under their names, with what their cgroups say, for as
/// long as the kubelet is down, and nothing else of it, its sandbox included; the rest of the node's pods,
/// whom nobody names, are not.
#[test]
fn an_aggregator_names_containers_while_the_kubelet_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let server = ApiServer::empty(dir.path()).unwrap();
    server.control().put("pods", pod());
    let mut bed = Bed::start(server.flags()).without_kubelet();
    bed.wait_for_pods(1);
    bed.wait_for_sessions(1);
    let named = bed.until_named(0);
    let path = format!(
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{CPU}.scope/cpu.stat",
        UID.replace('-', "_")
    );
    // Longer than a container without a name waits to be called by its runtime id.
    for n in named + 1..named + 10 {
        bed.tick(n);
        assert_eq!(bed.containers(), ["cpu", "disk"], "{n}");
        let alive = bed.alive();
        let pods = alive.iter().filter(|[kind, ..]| kind == "pod");
        assert_eq!(pods.map(|[.., name]| name).collect::<Vec<_>>(), [POD]);
    }
    let files = bed.files.text(bed.shown, Path::new(&path)).unwrap();
    let expected = number(files, "usage_usec") * 1_000;
    let values = "/api/cairn/v1/values?node=node3&metric=cpu_usage_core_nanos";
    let answer = bed.system.json(values).unwrap();
    let mut entities = answer["entities"].as_array().unwrap().iter();
    let cpu = entities.find(|of| of["kind"] == "container" && of["name"] == "cpu");
    let value = cpu.unwrap()["metrics"]["cpu_usage_core_nanos"]["values"].as_array();
    assert_eq!(value.unwrap().last().unwrap(), expected);
    assert_eq!(bed.count("names_told_total", "taken"), 3);
    assert_eq!(bed.count("names_told_total", "not_asked"), 0);
}

/// Scenario: the same, and the API server hears of the pod later than the agent sees its cgroups.
/// Guarantees: nobody has a name until then; then the pod and its containers have theirs.
#[test]
fn who_comes_to_be_known_later_is_named_then() {
    let dir = tempfile::tempdir().unwrap();
    let server = ApiServer::empty(dir.path()).unwrap();
    let mut bed = Bed::start(server.flags()).without_kubelet();
    bed.wait_for_sessions(1);
    bed.tick(0);
    bed.wait("a question", || bed.count("names_asked_total", "") > 0);
    assert_eq!(bed.containers(), [""; 0]);
    server.control().put("pods", pod());
    bed.wait_for_pods(1);
    bed.until_named(1);
}

/// Scenario: an aggregator without a Kubernetes API, and another one that says it knows pods, and says of
/// everything that it is something else, asked or not.
/// Guarantees: beside a kubelet that answers this changes no name from the third tick on; what was not asked for is
/// counted.
#[test]
fn a_wrong_aggregator_changes_no_name_that_the_kubelet_says() {
    let mut bed = Bed::start(Vec::new());
    let container = |id: &str, uid: &str| v1::names::Container {
        runtime_id: id.to_owned(),
        pod_uid: uid.to_owned(),
        container: "wrong".to_owned(),
    };
    let wrong = Greedy::start(bed.system.dir(), move |_, _| {
        let pod = |uid: &str| v1::names::Pod {
            uid: uid.to_owned(),
            namespace: "wrong".to_owned(),
            name: "wrong".to_owned(),
        };
        Some(Answer::Names(v1::Names {
            containers: vec![
                container(CPU, UID),
                container(DISK, UID),
                container("x", UID),
            ],
            pods: vec![pod(UID), pod("not-on-this-node")],
        }))
    });
    let wrong = wrong.unwrap();
    wrong.begin();
    bed.system.nodes[0].agent = None;
    let address = format!("https://localhost:{}", wrong.addr.port());
    let more = ["--aggregator".to_owned(), address];
    bed.system.options.extra_agent_args.extend(more);
    bed.system.start_agent(0).unwrap();
    bed.wait_for_sessions(2);
    for n in 0..20 {
        bed.tick(n);
        // At the first tick the kubelet may answer later than the row is made.
        if n > 1 {
            let alive = bed.alive();
            let is_wrong = |of: &[String; 3]| of.iter().any(|text| text == "wrong");
            assert!(!alive.iter().any(is_wrong), "{n}: {alive:?}");
            assert_eq!(bed.containers(), ["cpu", "disk"], "{n}");
        }
    }
    assert!(bed.count("names_asked_total", "") > 0);
    assert!(bed.count("names_told_total", "not_asked") > 0);
    assert!(bed.count("uplink_frames_ignored_total", "names") > 0);
}
