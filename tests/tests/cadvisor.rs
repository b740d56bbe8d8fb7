//! The kubelet's cAdvisor, end to end: from its recorded text to the API.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::deadline::Deadline;
use testkit::proc::Proc;
use testkit::system::{FIRST_TICK_MS, Options, Recording, System};

const SOON: Duration = Duration::from_secs(10);

/// A check ends within 30 s whatever happens; a busy machine gets some more.
const CHECKED_WITHIN: Duration = Duration::from_secs(60);

/// The first tick at which cAdvisor is asked after everything in the recorded text was measured.
const ASKED: u64 = 24;

/// A pod that was there then, throttled and writing.
const POD: &str = "burner-6cb655c9bf-skbkr";

/// Kind, container, metric in the API, family in the text, and what the metric's unit is to the text's.
const FIGURES: [(&str, &str, &str, &str, f64); 7] = [
    (
        "container",
        "cpu",
        "cpu_cfs_throttled_nanos",
        "cpu_cfs_throttled_seconds_total",
        1e9,
    ),
    (
        "container",
        "cpu",
        "cpu_cfs_throttled_periods",
        "cpu_cfs_throttled_periods_total",
        1.0,
    ),
    (
        "container",
        "cpu",
        "cpu_cfs_periods",
        "cpu_cfs_periods_total",
        1.0,
    ),
    (
        "container",
        "disk",
        "memory_cache_bytes",
        "memory_cache",
        1.0,
    ),
    ("container", "disk", "thread_count", "threads", 1.0),
    (
        "blockdevice",
        "disk",
        "io_write_bytes",
        "fs_writes_bytes_total",
        1.0,
    ),
    ("blockdevice", "disk", "io_writes", "fs_writes_total", 1.0),
];

fn recorded() -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubelet-1.36/cadvisor/cgroup-v2.gz");
    let file = std::fs::File::open(path).unwrap();
    let mut text = String::new();
    let mut plain = flate2::read::GzDecoder::new(file);
    plain.read_to_string(&mut text).unwrap();
    text
}

/// What the text says of a family of a container of that pod.
fn said(text: &str, family: &str, container: &str) -> f64 {
    let begin = format!("container_{family}{{container=\"{container}\",");
    let pod = format!("pod=\"{POD}\"}} ");
    let mut lines = text.lines().filter(|line| line.starts_with(&begin));
    let line = lines.find(|line| line.contains(&pod)).unwrap();
    line.rsplit(' ').nth(1).unwrap().parse().unwrap()
}

/// The newest value of a metric in the API, of a container of that pod or of a part of it.
fn shown(system: &System, kind: &str, container: &str, metric: &str) -> Option<f64> {
    let path = format!("/api/cairn/v1/values?node=node3&metric={metric}");
    let answer = system.json(&path).unwrap();
    let entities = answer["entities"].as_array().unwrap();
    let owner = if kind == "container" {
        "name"
    } else {
        "container"
    };
    let mut found = entities.iter().filter(|entity| {
        entity["kind"] == kind && entity["pod"] == POD && entity[owner] == container
    });
    let entity = found.next()?;
    assert!(found.next().is_none(), "{metric}: {answer}");
    entity["metrics"][metric]["values"]
        .as_array()?
        .last()?
        .as_f64()
}

fn order(system: &System, fault: &Value) {
    let order = json!({"endpoint": "cadvisor", "fault": fault}).to_string();
    let kubelet = &system.nodes[0].kubelet;
    let answer = kubelet.post("admin", "/debug/fault", &order).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The reason that the aggregator shows for the source, and the right that is missing.
fn reason(system: &System) -> Option<String> {
    let overview = system.overview().unwrap();
    let sources = overview["nodes"][0]["sources"].as_array().cloned()?;
    let source = sources.into_iter().find(|s| s["name"] == "cadvisor")?;
    Some(source["reason"].as_str()?.to_owned())
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.5
}

/// Scenario: a kubelet answers what one was recorded to answer, with one line cut in half; a minute
/// later it refuses.
/// Guarantees: cAdvisor is asked once a minute; what the text says of a container's throttling and
/// of its disk is in the API, to the last digit; the cut line costs nothing but itself and is counted;
/// the refusal names the right that is missing, and what was measured is held meanwhile.
#[test]
fn what_cadvisor_says_is_in_the_api() {
    let mut options = Options::replaying(Recording::named("cgroup-v2").unwrap());
    options.extra_agent_args = ["--cadvisor", "auto"].map(str::to_owned).to_vec();
    let ticks: Vec<u64> = options.recording.ticks().collect();
    let system = System::start(options).unwrap();
    let text = recorded();
    let cut = "container_threads{container=\"\",id=\"/\",image=\"\"";
    let broken = text.replace(&format!("{cut},name"), &format!("{cut} name"));
    assert_ne!(text, broken);
    for (k, tick_ms) in (0..=ASKED).zip(&ticks) {
        if k == ASKED {
            order(&system, &json!({"kind": "body", "text": broken}));
        }
        system.tick(*tick_ms).unwrap();
    }
    for (kind, container, metric, family, factor) in FIGURES {
        let said = said(&text, family, container) * factor;
        assert!(said > 0.0, "{family} tells nothing");
        let shown = shown(&system, kind, container, metric);
        assert!(
            shown.is_some_and(|shown| near(shown, said)),
            "{metric}: {shown:?}, not {said}"
        );
    }
    let node = system
        .json("/api/cairn/v1/values?node=node3&metric=oom_events")
        .unwrap();
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let odd = System::metric(agent, "cairn_agent_scrape_odd_values_total", "cadvisor").unwrap();
    assert!(near(odd, 1.0), "{odd} odd lines: {node}");
    let requests = "kubelet_sim_requests_total";
    let asked = System::metric(&system.nodes[0].kubelet, requests, "cadvisor").unwrap();
    assert!(near(asked, 5.0), "asked {asked} times in {ASKED} ticks");

    order(&system, &json!({"kind": "status", "code": 403}));
    for k in ASKED + 1..=ASKED + 6 {
        system.tick(ticks[usize::try_from(k).unwrap()]).unwrap();
    }
    let named = Deadline::after(SOON).poll(|| {
        let reason = reason(&system)?;
        reason.contains("get nodes/metrics").then_some(())
    });
    assert!(
        named.is_some(),
        "{:?}\n{}",
        reason(&system),
        system.stderr()
    );
    let held = shown(&system, "container", "cpu", "cpu_cfs_periods");
    assert!(held.is_some(), "not held");
}

/// Scenario: rows are a second apart, and cAdvisor takes one and a half for its answer.
/// Guarantees: it is waited for, by the agent and by `cairn-agent check`; the answer is taken at one
/// of the next rows, long before it is asked again.
#[test]
fn a_slow_answer_is_taken_when_it_comes_however_near_the_rows_are() {
    let mut options = Options::one_node();
    options.interval = "1s".to_owned();
    options.extra_agent_args = ["--cadvisor", "auto"].map(str::to_owned).to_vec();
    let system = System::start(options).unwrap();
    order(&system, &json!({"kind": "slow", "ms": 1_500}));
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let count = |name: &str| System::metric(agent, name, "cadvisor").unwrap();
    let answered = (0..55).any(|k| {
        system.tick(FIRST_TICK_MS + k * 1_000).unwrap();
        let answered = || near(count("cairn_agent_scrape_duration_seconds_count"), 1.0);
        let look = || answered().then_some(());
        Deadline::after(Duration::from_millis(200))
            .poll(look)
            .is_some()
    });
    assert!(answered, "{}", system.stderr());
    assert!(near(count("cairn_agent_scrape_failures_total"), 0.0));
    let args = system.agent_args(0).unwrap();
    let args = ["check", "--output", "json"]
        .map(str::to_owned)
        .into_iter()
        .chain(args);
    let args: Vec<String> = args.collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let said = Proc::finish("cairn-agent", &args, &[], CHECKED_WITHIN).unwrap();
    let said: Value = serde_json::from_str(&said.stdout).unwrap();
    let checks = said["checks"].as_array().unwrap();
    let cadvisor = checks
        .iter()
        .find(|one| one["source"] == "cadvisor")
        .unwrap();
    assert_eq!(cadvisor["ok"], true, "{cadvisor}");
}

/// Scenario: the agent is told to leave cAdvisor.
/// Guarantees: the endpoint, whose answer costs the kubelet most, is never asked for.
#[test]
fn switched_off_it_is_never_asked() {
    let mut options = Options::one_node();
    options.extra_agent_args = ["--cadvisor", "off"].map(str::to_owned).to_vec();
    let ticks: Vec<u64> = options.recording.ticks().take(8).collect();
    let system = System::start(options).unwrap();
    for tick_ms in ticks {
        system.tick(tick_ms).unwrap();
    }
    let requests = "kubelet_sim_requests_total";
    let kubelet = &system.nodes[0].kubelet;
    let asked = System::metric(kubelet, requests, "cadvisor").unwrap();
    assert!(near(asked, 0.0), "asked {asked} times");
    assert_eq!(reason(&system), None);
}
