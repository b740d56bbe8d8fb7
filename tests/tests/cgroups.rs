//! A node's cgroups, end to end: from recorded files to the API.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::proc::Proc;
use testkit::system::{CgroupFiles, Options, Recording, System};

/// A pod that is there all the time, and one of its containers.
const POD: &str = "burner-6cb655c9bf-skbkr";
const UID: &str = "1df17ad5_f176_4aad_a700_aface64000ef";
const CONTAINER: &str = "cpu";
const SCOPE: &str =
    "cri-containerd-f42b221bc0b5c7eb5123ee26f9c3c0a7244d5f8f6db5878a4d2f36e785d0a2b7.scope";

/// The tick, counted from the first, from which on the kubelet refuses everything: later than it named
/// everybody.
const DOWN: u64 = 12;

/// How long anything may take to come about.
const SOON: Duration = Duration::from_secs(10);

/// An agent beside a recorded kubelet, with the cgroups of the same node.
struct Bed {
    files: CgroupFiles,
    root: tempfile::TempDir,
    system: System,
    shown: Option<usize>,
}

/// The answer of cAdvisor that has everybody's runtime id.
fn identities() -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubelet-1.36/cadvisor/cgroup-v2.gz");
    let file = fs::File::open(path).unwrap();
    let mut text = String::new();
    let mut plain = flate2::read::GzDecoder::new(file);
    plain.read_to_string(&mut text).unwrap();
    text
}

/// A directory in memory where there is such a place: there are some hundred files in each frame.
fn memory_dir() -> tempfile::TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).unwrap()
}

impl Bed {
    fn new(cadvisor: &str) -> Self {
        let files = CgroupFiles::recorded().unwrap();
        let root = memory_dir();
        files.show(0, root.path()).unwrap();
        let mut options = Options::replaying(Recording::named("cgroup-v2").unwrap());
        let cgroup_root = root.path().display().to_string();
        options.extra_agent_args = ["--cgroup-root", &cgroup_root, "--cadvisor", cadvisor]
            .map(str::to_owned)
            .into();
        let bed = Self {
            system: System::start(options).unwrap(),
            files,
            root,
            shown: Some(0),
        };
        bed.order("cadvisor", &json!({"kind": "body", "text": identities()}));
        bed
    }

    fn order(&self, endpoint: &str, fault: &Value) {
        let order = json!({"endpoint": endpoint, "fault": fault}).to_string();
        let kubelet = &self.system.nodes[0].kubelet;
        let answer = kubelet.post("admin", "/debug/fault", &order).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Steps to a tick with the cgroups of that time.
    fn tick(&mut self, tick: u64) {
        let frame = self.files.frame_at(tick);
        if frame != self.shown {
            let next = self.shown.map_or(0, |shown| shown + 1);
            for frame in next..=frame.unwrap_or(0) {
                self.files.show(frame, self.root.path()).unwrap();
            }
            self.shown = frame;
        }
        self.system.step(tick).unwrap();
        // A row in which somebody is new whom the kubelet does not list yet waits for so long.
        self.system.step(tick + 1_000).unwrap();
        self.system.arrived(tick, SOON).unwrap();
    }

    /// The text of a file of the pod's cgroup, or of one below, at the tick that was last.
    fn text(&self, below: &str, file: &str) -> &str {
        let pods = Path::new("kubepods.slice/kubepods-burstable.slice");
        let mut path: PathBuf = pods.join(format!("kubepods-burstable-pod{UID}.slice"));
        path.push(below);
        path.push(file);
        self.files.text(self.shown.unwrap(), &path).unwrap()
    }

    /// The newest value of a metric in the API, of the pod or of its container.
    fn value(&self, kind: &str, metric: &str) -> Option<u64> {
        let path = format!("/api/cairn/v1/values?node=node3&metric={metric}");
        let answer = self.system.json(&path).unwrap();
        let name = if kind == "pod" { POD } else { CONTAINER };
        let mut found = answer["entities"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entity| {
                let pod = if kind == "pod" { "name" } else { "pod" };
                entity["kind"] == kind && entity["name"] == name && entity[pod] == POD
            });
        let entity = found.next()?;
        assert!(found.next().is_none(), "{metric}: {answer}");
        entity["metrics"][metric]["values"]
            .as_array()?
            .last()?
            .as_u64()
    }

    /// Requests that the kubelet had at an endpoint.
    fn requests(&self, endpoint: &str) -> f64 {
        let kubelet = &self.system.nodes[0].kubelet;
        let labels = format!("endpoint=\"{endpoint}\"");
        System::metric(kubelet, "kubelet_sim_requests_total", &labels).unwrap()
    }
}

/// A number in lines of names and numbers.
fn number(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(other, _)| *other == name).unwrap();
    found.1.parse().unwrap()
}

/// Scenario: an agent reads a node's cgroups beside its kubelet, which is down from the twelfth tick on.
/// Guarantees: pods and containers that were named before go on, with what their cgroups say at each
/// tick, for longer than anything that the kubelet said would be shown.
#[test]
fn pods_and_containers_go_on_while_the_kubelet_is_down() {
    let mut bed = Bed::new("auto");
    let ticks: Vec<u64> = bed.system.options.recording.ticks().collect();
    let mut moved = 0;
    let mut before = None;
    for (n, tick) in (0..).zip(&ticks) {
        if n == DOWN {
            bed.order("all", &json!({"kind": "status", "code": 500}));
        }
        bed.tick(*tick);
        if n + 1 < DOWN {
            continue;
        }
        let expected = number(bed.text("", "cpu.stat"), "usage_usec") * 1_000;
        let pod = bed.value("pod", "cpu_usage_core_nanos");
        assert_eq!(pod, Some(expected), "tick {n}\n{}", bed.system.stderr());
        let container = bed.value("container", "cpu_usage_core_nanos");
        let expected = number(bed.text(SCOPE, "cpu.stat"), "usage_usec") * 1_000;
        assert_eq!(container, Some(expected), "tick {n}");
        let memory = bed.value("pod", "memory_usage_bytes").unwrap();
        let current = bed.text("", "memory.current").trim();
        assert_eq!(memory.to_string(), current, "tick {n}");
        moved += u64::from(before != container);
        before = container;
    }
    // Until longer than CPU and memory are held.
    assert!(ticks.len() as u64 - DOWN > 10 && moved > 5, "{moved}");
}

/// Scenario: an agent reads a node's cgroups beside a kubelet that answers, for eight minutes in which a
/// pod is replaced and another one comes and goes.
/// Guarantees: the summary is asked for twice a minute and once for each change, the resource endpoint
/// never, and cAdvisor a few times for names; throttling, pressure and block I/O come from cgroups, and
/// what the summary alone knows is there at every tick.
#[test]
fn beside_cgroups_the_kubelet_is_asked_seldom_and_nothing_is_missing() {
    let mut bed = Bed::new("auto");
    let ticks: Vec<u64> = bed.system.options.recording.ticks().collect();
    for (n, tick) in ticks.iter().enumerate() {
        bed.tick(*tick);
        if n < 10 {
            continue;
        }
        for metric in [
            "cpu_cfs_throttled_nanos",
            "cpu_pressure_some_micros",
            "thread_count",
            "memory_cache_bytes",
        ] {
            let value = bed.value("container", metric);
            assert!(value.is_some(), "{metric} at {n}\n{}", bed.system.stderr());
        }
        for metric in ["network_rx_bytes", "process_count", "memory_page_faults"] {
            let value = bed.value("pod", metric);
            assert!(value.is_some(), "{metric} at {n}\n{}", bed.system.stderr());
        }
    }
    let slow = number(bed.text(SCOPE, "cpu.stat"), "throttled_usec") * 1_000;
    let shown = bed.value("container", "cpu_cfs_throttled_nanos").unwrap();
    // At most half a minute old.
    assert!(shown <= slow && shown > slow / 2, "{shown} of {slow}");
    let minutes = ticks.len() as f64 / 6.0;
    let (summaries, resources) = (bed.requests("summary"), bed.requests("resource"));
    assert!(resources < 1.0, "{resources}");
    assert!(summaries >= minutes * 2.0 - 1.0, "{summaries}");
    assert!(summaries < minutes * 3.0 + 10.0, "{summaries}");
    let cadvisors = bed.requests("cadvisor");
    assert!((1.0..=6.0).contains(&cadvisors), "{cadvisors}");
    println!("{minutes:.1} min: {summaries} summaries, {cadvisors} of cAdvisor");
}

/// Scenario: a check of a node's cgroups, and one of a directory without any.
/// Guarantees: it says which version and driver, how many pods and containers, and what to do where there
/// are none.
#[test]
fn a_check_tells_of_cgroups_and_what_to_do_without() {
    let files = CgroupFiles::recorded().unwrap();
    let root = memory_dir();
    files.show(0, root.path()).unwrap();
    let check = |root: &Path| {
        let root = root.display().to_string();
        let args = ["check", "--node-name", "node3", "--kubelet", "off"];
        let args = [&args[..], &["--cgroup-root", &root]].concat();
        Proc::finish("cairn-agent", &args, &[], Duration::from_secs(60)).unwrap()
    };
    let well = check(root.path());
    assert_eq!(well.code, Some(0), "{}", well.stdout);
    let row = well.stdout.lines().find(|line| line.starts_with("cgroup "));
    let words: Vec<&str> = row.unwrap_or_default().split_whitespace().collect();
    assert_eq!(
        (words[1], words[5], words[6]),
        ("ok", "9", "21"),
        "{words:?}"
    );
    assert!(
        well.stdout.contains("cgroups v2, systemd driver"),
        "{}",
        well.stdout
    );
    let empty = tempfile::tempdir().unwrap();
    let failed = check(empty.path());
    assert_eq!(failed.code, Some(2), "{}", failed.stdout);
    let remedy = "mount the node's /sys/fs/cgroup there, read-only, or leave --cgroup-root out";
    assert!(failed.stdout.contains(remedy), "{}", failed.stdout);
}

/// Scenario: an agent is told of cgroups that are not there.
/// Guarantees: it says so and what to do, and reads the kubelet alone as if it had not been told.
#[test]
fn without_cgroups_the_kubelet_is_read_as_ever() {
    let mut options = Options::one_node();
    let nowhere = tempfile::tempdir().unwrap();
    let nowhere = nowhere.path().display().to_string();
    options.extra_agent_args = ["--cgroup-root", &nowhere].map(str::to_owned).into();
    let system = System::start(options).unwrap();
    for tick in system.options.recording.ticks().take(4) {
        system.tick(tick).unwrap();
    }
    let kubelet = &system.nodes[0].kubelet;
    for endpoint in ["summary", "resource"] {
        let labels = format!("endpoint=\"{endpoint}\"");
        let asked = System::metric(kubelet, "kubelet_sim_requests_total", &labels).unwrap();
        assert!((3.5..4.5).contains(&asked), "{endpoint}: {asked}");
    }
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let ready = agent.get("admin", "/readyz?verbose").unwrap().text();
    let remedy = "has no cgroups that can be read: mount the node's /sys/fs/cgroup there";
    assert!(ready.contains(remedy), "{ready}");
}

/// Scenario: the node's cgroups are gone from one tick to the next, and come back.
/// Guarantees: pods and containers stay; within a minute their figures are the kubelet's, which is asked
/// at every tick then, and those of cgroups when they have been back for three ticks.
#[test]
fn the_kubelet_takes_over_while_there_are_no_cgroups() {
    let mut bed = Bed::new("auto");
    let ticks: Vec<u64> = bed.system.options.recording.ticks().collect();
    let pods = bed.root.path().join("kubepods.slice");
    let exactly = |bed: &Bed| {
        let files = number(bed.text(SCOPE, "cpu.stat"), "usage_usec") * 1_000;
        bed.value("container", "cpu_usage_core_nanos") == Some(files)
    };
    let mut before = 0.0;
    for (n, tick) in ticks.iter().enumerate().take(34) {
        if n == 12 {
            // As of a kernel: what was open gives nothing any more.
            fs::write(pods.join("cpu.stat"), "").unwrap();
            fs::remove_dir_all(&pods).unwrap();
        }
        if (12..24).contains(&n) {
            bed.system.tick(*tick).unwrap();
        } else {
            bed.tick(*tick);
        }
        if n < 4 {
            continue;
        }
        for kind in ["pod", "container"] {
            let value = bed.value(kind, "memory_working_set_bytes");
            assert!(value.is_some(), "{kind} at {n}\n{}", bed.system.stderr());
        }
        match n {
            11 => assert!(exactly(&bed)),
            18 => {
                assert!(!exactly(&bed));
                before = bed.requests("summary");
            }
            22 => {
                let asked = bed.requests("summary") - before;
                assert!((3.5..4.5).contains(&asked), "{asked}");
                assert!(bed.requests("resource") > 3.0);
            }
            33 => assert!(exactly(&bed), "{}", bed.system.stderr()),
            _ => {}
        }
    }
}

/// Scenario: the kubelet names the pods and is down before anybody asked for the containers' names; after
/// four minutes it answers again.
/// Guarantees: containers that nobody names go by their runtime's id, with what their cgroups say, once
/// nothing that the kubelet said of them is shown any more; when they are named they are the same things
/// under their own names, and no id is shown beside them. The aggregator, which watches no pods, is asked
/// for nobody.
#[test]
fn who_has_no_name_goes_by_its_id_until_there_is_one() {
    let mut bed = Bed::new("auto");
    let ticks: Vec<u64> = bed.system.options.recording.ticks().collect();
    let id = SCOPE.trim_start_matches("cri-containerd-");
    let id = id.trim_end_matches(".scope");
    let names = |bed: &Bed| -> Vec<String> {
        let path = "/api/cairn/v1/values?node=node3&metric=cpu_usage_core_nanos";
        let answer = bed.system.json(path).unwrap();
        let entities = answer["entities"].as_array().unwrap().iter();
        let containers = entities.filter(|of| of["kind"] == "container" && of["pod"] == POD);
        let alive = containers.filter(|of| {
            let values = &of["metrics"]["cpu_usage_core_nanos"]["values"];
            values
                .as_array()
                .unwrap()
                .last()
                .is_some_and(|last| !last.is_null())
        });
        alive
            .map(|of| of["name"].as_str().unwrap().to_owned())
            .collect()
    };
    for (n, tick) in ticks.iter().enumerate() {
        match n {
            1 => bed.order("all", &json!({"kind": "status", "code": 500})),
            24 => {
                bed.order("all", &json!({"kind": "none"}));
                bed.order("cadvisor", &json!({"kind": "body", "text": identities()}));
            }
            _ => {}
        }
        bed.tick(*tick);
        match n {
            5 => assert_eq!(names(&bed), ["cpu", "disk"]),
            23 => assert!(names(&bed).contains(&id.to_owned()), "{:?}", names(&bed)),
            34 => {
                assert_eq!(names(&bed), ["cpu", "disk"], "{}", bed.system.stderr());
                let files = number(bed.text(SCOPE, "cpu.stat"), "usage_usec") * 1_000;
                assert_eq!(bed.value("container", "cpu_usage_core_nanos"), Some(files));
            }
            _ => {}
        }
    }
    assert_eq!(bed.system.of_agent("names_asked_total").unwrap(), 0);
}
