//! A cAdvisor of its own, end to end: on a host without a kubelet, whose containers are the entities,
//! and beside a kubelet.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

#[path = "standalone_cadvisor/beside.rs"]
mod beside;
#[path = "standalone_cadvisor/faults.rs"]
mod faults;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::deadline::Deadline;
use testkit::system::{Options, System, at, take_flag};

/// Longer than a scrape may take of one that is asked every 10 s, and a good deal more.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// What a row waits for an answer, and what it takes to be shown: what has not come by then comes with
/// the next row.
const ROW_WITHIN: Duration = Duration::from_secs(4);

/// The moment of which the times in the fixture tell, Unix ms.
const WRITTEN_MS: u64 = 1_786_809_732_000;

/// What is added to the CPU time of a container between two ticks, s; the rest stands still.
const GROWTH: [(&str, f64); 3] = [
    ("id=\"/\",", 10.0),
    ("name=\"web\"}", 2.5),
    ("container_name=\"app\",", 5.0),
];

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(path)
}

/// The fixture as it would be at a tick: measured a second before.
fn text_at(k: u16) -> String {
    let text = std::fs::read_to_string(fixture("cadvisor/standalone.txt")).unwrap();
    let mut out = String::new();
    for line in text.lines() {
        let parts: Option<(&str, f64, u64)> = line.rsplit_once(' ').and_then(|(front, time)| {
            let (labels, value) = front.rsplit_once(' ')?;
            let is_time = time.starts_with("17868097") && !labels.starts_with('#');
            Some((
                labels,
                value.parse().ok()?,
                time.parse().ok().filter(|_| is_time)?,
            ))
        });
        let Some((labels, value, time_ms)) = parts else {
            out += line;
            out.push('\n');
            continue;
        };
        let grows = |(label, _): &&(&str, f64)| labels.contains(label);
        let is_cpu = labels.starts_with("container_cpu_usage_seconds_total");
        let growth = GROWTH.iter().find(grows).filter(|_| is_cpu);
        let value = value + growth.map_or(0.0, |(_, each)| each * f64::from(k));
        let time_ms = time_ms - WRITTEN_MS + at(k.into()) - 1_000;
        out += &format!("{labels} {value} {time_ms}\n");
    }
    out
}

fn says(system: &System, text: &str) {
    let fault = json!({"kind": "body", "text": text}).to_string();
    system.break_kubelet("cadvisor", &fault).unwrap();
}

/// A simulated node with a cAdvisor of its own, whose agent is started with these flags for it.
fn start(
    mut options: Options,
    more: &[&str],
    change: impl FnOnce(&System, &mut Vec<String>),
) -> System {
    let sim = ["--cadvisor-listen", "127.0.0.1:0"].iter().chain(more);
    options.sim_args = sim.map(|arg| (*arg).to_owned()).collect();
    let mut system = System::start(options).unwrap();
    system.nodes[0].agent = None;
    let mut args = Vec::new();
    change(&system, &mut args);
    system
        .start_agent_but(0, |all| {
            take_flag(all, "--cadvisor");
            if args.iter().any(|arg| arg == "--kubelet") {
                ["--kubelet", "--kubelet-ca", "--kubelet-token-file"]
                    .iter()
                    .for_each(|flag| take_flag(all, flag));
            }
            all.extend(args);
        })
        .unwrap();
    system
}

fn url(system: &System, scheme: &str) -> String {
    let address = system.nodes[0].kubelet.addr("cadvisor").unwrap();
    format!("{scheme}://{address}")
}

/// A host without a kubelet.
fn alone() -> System {
    start(Options::one_node(), &[], |system, args| {
        let own = ["--kubelet", "off", "--cadvisor", &url(system, "http")];
        args.extend(own.map(str::to_owned));
    })
}

/// Makes a tick, whose row has the host's figures whatever cAdvisor does.
#[track_caller]
fn tick(system: &System, k: u16) {
    system.tick(at(k.into())).unwrap();
    let node = system.first_node().unwrap();
    assert!(node["series"]["load1"][0].is_number(), "tick {k}: {node}");
}

/// Makes ticks from the next one on until something is so: on a slow machine an answer may come too late
/// for the row that it was asked for.
#[track_caller]
fn until(system: &System, next: &mut u16, is_so: impl Fn() -> bool) {
    let came = Deadline::after(TOLD_WITHIN).poll(|| {
        tick(system, *next);
        *next += 1;
        Deadline::after(ROW_WITHIN).poll(|| is_so().then_some(()))
    });
    assert!(
        came.is_some(),
        "{:?}\n{}",
        system.reason("cadvisor"),
        system.stderr()
    );
}

/// Makes ticks until such a reason is shown of cAdvisor, or with "" that it is fine.
#[track_caller]
fn until_shown(system: &System, next: &mut u16, part: &str) {
    until(system, next, || {
        let is_it = |reason: String| reason.contains(part) && reason.is_empty() == part.is_empty();
        system.reason("cadvisor").is_ok_and(is_it)
    });
}

/// The entities of a metric.
fn entities(system: &System, node: &str, metric: &str) -> Vec<Value> {
    let path = format!("/api/cairn/v1/values?node={node}&metric={metric}");
    system.json(&path).unwrap()["entities"]
        .as_array()
        .unwrap()
        .clone()
}

/// The newest values of a metric of the entities below the node, with their names; of those that have one.
fn values(system: &System, metric: &str) -> Vec<(String, f64)> {
    let all = entities(system, "node1", metric);
    let below = all.iter().filter(|entity| entity["kind"] != "node");
    let told = below.filter_map(|entity| {
        let values = entity["metrics"][metric]["values"].as_array()?;
        let name = entity["name"].as_str()?.to_owned();
        Some((name, values.last()?.as_f64()?))
    });
    told.collect()
}

/// Whether there is a figure of a container of this name.
fn has(system: &System, name: &str) -> bool {
    let told = values(system, "memory_rss_bytes");
    told.iter().any(|(found, _)| found == name)
}

/// The newest value of a metric of the one entity of this kind that has these names, and its rate.
#[track_caller]
fn newest(
    system: &System,
    kind: &str,
    names: [(&str, &str); 2],
    metric: &str,
) -> (f64, Option<f64>) {
    let all = entities(system, "node1", metric);
    let is_it = |entity: &&Value| {
        entity["kind"] == kind && names.iter().all(|(key, name)| entity[key] == *name)
    };
    let mut found = all.iter().filter(is_it);
    let (Some(entity), None) = (found.next(), found.next()) else {
        panic!("{kind} {names:?} {metric}: {all:?}\n{}", system.stderr());
    };
    let series = &entity["metrics"][metric];
    let last = |of: &Value| of.as_array().and_then(|of| of.last()?.as_f64());
    let value = last(&series["values"]);
    assert!(value.is_some(), "{kind} {names:?} {metric}: {series}");
    (value.unwrap(), last(&series["rates"]))
}

#[track_caller]
fn near(what: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-6 * expected.abs().max(1.0),
        "{what}: {found}, not {expected}"
    );
}

fn authorized(system: &System) -> f64 {
    let name = "kubelet_sim_authorized_requests_total";
    System::metric(&system.nodes[0].kubelet, name, "cadvisor").unwrap()
}

fn readyz(system: &System) -> String {
    let agent = system.nodes[0].agent.as_ref().unwrap();
    agent.get("admin", "/readyz?verbose").unwrap().text()
}

/// The newest value of a metric in the Heapster model.
fn model(system: &System, path: &str) -> Value {
    let answer = system.json(&format!("/api/v1/model/{path}")).unwrap();
    answer["metrics"].as_array().unwrap().last().unwrap()["value"].clone()
}

/// Checks the free containers of the model, and what it says of them, of the node and of the pod.
#[track_caller]
fn the_model_has_them(system: &System) {
    let listed = system
        .json("/api/v1/model/nodes/node1/freecontainers/")
        .unwrap();
    let listed: BTreeSet<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let batch = "4bb24efc9641afc5ded1ca77eabb6e2fcf062d2112ccd61bd8bd6acd89180bae";
    let expected = [
        batch,
        "db",
        "docker",
        "system.slice",
        "system.slice/docker.service",
        "web",
    ];
    assert_eq!(listed, BTreeSet::from(expected));

    let web = "nodes/node1/freecontainers/web/metrics";
    assert_eq!(model(system, &format!("{web}/cpu/usage_rate")), 250);
    assert_eq!(
        model(system, &format!("{web}/memory/working_set")),
        41_943_040
    );
    assert_eq!(model(system, &format!("{web}/network/rx")), 123_456);
    let service = "nodes/node1/freecontainers/system.slice%2Fdocker.service/metrics";
    assert_eq!(
        model(system, &format!("{service}/memory/working_set")),
        46_071_808
    );
    assert_eq!(model(system, "nodes/node1/metrics/cpu/usage_rate"), 1_000);
    assert_eq!(
        model(system, "nodes/node1/metrics/memory/usage"),
        8_123_456_512_u64
    );
    let app = "namespaces/shop/pods/checkout-0/containers/app/metrics";
    assert_eq!(model(system, &format!("{app}/cpu/usage_rate")), 500);
    assert_eq!(
        model(
            system,
            "namespaces/shop/pods/checkout-0/metrics/memory/usage"
        ),
        6_291_456
    );
}

/// Scenario: a host with Docker, containerd and a pod, and no kubelet; four ticks of it.
/// Guarantees: what belongs to no pod is a container of its own below the node, by its name; what has
/// the labels of Kubernetes is a pod; what a container or a user made is nothing. Values and rates of
/// both APIs are those of the text; nothing failed but the one broken line.
#[test]
fn on_a_host_without_a_kubelet_its_containers_are_the_entities() {
    let system = alone();
    for k in 0..3 {
        says(&system, &text_at(k));
        tick(&system, k);
    }
    says(&system, &text_at(3));
    until(&system, &mut 3, || {
        let told = values(&system, "cpu_usage_core_nanos");
        let is_newest = |(name, cpu): &(String, f64)| name == "web" && *cpu > 51.5e9;
        told.iter().any(is_newest)
    });
    assert_eq!(system.reason("cadvisor").unwrap(), "");
    the_model_has_them(&system);
    let of_web = [("name", "web"), ("pod", "")];
    let (cpu, rate) = newest(&system, "system", of_web, "cpu_usage_core_nanos");
    near("cpu", cpu, 44_077_953_000.0 + 3.0 * 2.5e9);
    near("rate", rate.unwrap(), 0.25e9);
    for (metric, expected) in [
        ("cpu_cfs_throttled_nanos", 4.5e9),
        ("oom_events", 1.0),
        ("file_descriptors", 31.0),
        ("thread_count", 16.0),
        ("memory_cache_bytes", 1_048_576.0),
        ("memory_available_bytes", 226_492_416.0),
        ("memory_page_faults", 5_000.0),
        ("cpu_pressure_some_micros", 1_250_000.0),
    ] {
        near(
            metric,
            newest(&system, "system", of_web, metric).0,
            expected,
        );
    }
    // A device and an interface are told of what they are of.
    let of_model = "nodes/node1/freecontainers/db/metrics/cpu/usage";
    assert_eq!(model(&system, of_model), 24_000_000_000_u64);
    let disks = entities(&system, "node1", "io_write_bytes");
    let written: BTreeSet<u64> = disks
        .iter()
        .filter_map(|disk| {
            disk["metrics"]["io_write_bytes"]["values"]
                .as_array()?
                .last()?
                .as_u64()
        })
        .collect();
    assert_eq!(written, BTreeSet::from([2_097_152, 8_192, 2, 16_384]));

    let agent = system.nodes[0].agent.as_ref().unwrap();
    let count = |name: &str| System::metric(agent, name, "cadvisor").unwrap();
    near(
        "odd lines",
        count("cairn_agent_scrape_odd_values_total"),
        count("cairn_agent_scrape_duration_seconds_count"),
    );
    near("failures", count("cairn_agent_scrape_failures_total"), 0.0);
    near("tokens", authorized(&system), 0.0);
    let ready = readyz(&system);
    assert!(ready.contains("[+]source cadvisor"), "{ready}");
}

/// Scenario: a container goes; later cAdvisor says nothing for longer than its figures live.
/// Guarantees: the container is gone with the next answer, the others stay; with the silence all go.
#[test]
fn a_container_that_is_gone_is_gone_and_what_is_too_old_is_no_more() {
    let system = alone();
    let has = |name: &str| has(&system, name);
    says(&system, &text_at(0));
    tick(&system, 0);
    says(&system, &text_at(1));
    until(&system, &mut 1, || has("web") && has("db"));
    let without: Vec<String> = text_at(2)
        .lines()
        .filter(|line| !line.contains("name=\"web\""))
        .map(|line| format!("{line}\n"))
        .collect();
    says(&system, &without.concat());
    let mut next = 2;
    until(&system, &mut next, || !has("web") && has("db"));
    system
        .break_kubelet("cadvisor", r#"{"kind":"status","code":500}"#)
        .unwrap();
    for k in next..15 {
        tick(&system, k);
        let age_s = u64::from(k - 2) * 10 + 1;
        assert_eq!(has("db"), age_s <= 90, "tick {k}");
    }
}
