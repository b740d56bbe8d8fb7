//! Kubelets that misbehave: the host goes on, no source waits for another, and the reason shows.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use testkit::deadline::Deadline;
use testkit::rfc3339;
use testkit::system::{MovingHost, Options, System, at};

fn one_node() -> MovingHost {
    let system = MovingHost::start().unwrap();
    system.tick(at(0)).unwrap();
    system.tick(at(1)).unwrap();
    system
}

fn order(system: &System, endpoint: &str, fault: &str) {
    system.break_kubelet(endpoint, fault).unwrap();
}

fn node(system: &System) -> Value {
    system.first_node().unwrap()
}

fn shows(system: &System, source: &str, part: &str) {
    system.shows(source, part).unwrap();
}

/// The line of `/readyz?verbose` about the summary, when it is degraded.
fn degraded(system: &System) -> Option<String> {
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let ready = agent.get("admin", "/readyz?verbose").unwrap().text();
    let mut lines = ready.lines().filter(|l| l.starts_with("[!]source summary"));
    lines.next().map(str::to_owned)
}

/// Scenario: the summary breaks in every way that a test can make it break, one after another.
/// Guarantees: every tick still has the host's figures of that tick and the CPU of the other endpoint; the
/// reason, and the missing right, are shown by `/readyz?verbose` and by the aggregator, and
/// counted; what was known is held; after the fault the source delivers again.
#[test]
fn a_broken_summary_stops_neither_the_host_nor_the_other_endpoint() {
    let system = one_node();
    let faults = [
        (r#"{"kind":"status","code":401}"#, "401"),
        (r#"{"kind":"status","code":403}"#, "nodes/stats"),
        (r#"{"kind":"status","code":500}"#, "500"),
        (r#"{"kind":"garbage"}"#, "JSON"),
        (r#"{"kind":"truncate","at":1000}"#, "body"),
        (r#"{"kind":"redirect"}"#, "redirect"),
        (r#"{"kind":"content_type"}"#, "text/html"),
        (r#"{"kind":"endless"}"#, "larger than"),
    ];
    for (k, (fault, part)) in (2..).zip(faults) {
        order(&system, "summary", fault);
        system.tick(at(k)).unwrap();
        shows(&system, "summary", part);
        let node = node(&system);
        system.has_host(at(k)).unwrap();
        assert!(node["series"]["cpu"][0].is_number(), "{fault}: {node}");
        // Measured up to 13 s before the second tick, and held for 90 s.
        let held = node["series"]["memory"][0].is_number();
        assert!(held || k > 8, "{fault}: held: {node}");
        let line = degraded(&system).unwrap_or_else(|| panic!("{fault}: not degraded"));
        assert!(line.contains(part), "{line}");
    }
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let failures = System::metric(
        agent,
        "cairn_agent_scrape_failures_total",
        "source=\"summary\"",
    )
    .unwrap();
    assert!((failures - 8.0).abs() < 0.5, "{failures}");
    order(&system, "summary", r#"{"kind":"none"}"#);
    system.tick(at(10)).unwrap();
    shows(&system, "summary", "");
    assert_eq!(degraded(&system), None);
}

/// An agent whose summary is broken from the third tick on; each tick has the host as it is then, and the
/// CPU.
fn ticks_without_waiting(fault: &str) {
    let system = one_node();
    order(&system, "summary", fault);
    let agent = system.nodes[0].agent.as_ref().unwrap();
    for k in 2..6 {
        system.tick(at(k)).unwrap();
        let node = node(&system);
        system.has_host(at(k)).unwrap();
        assert!(
            node["series"]["cpu"][0].is_number(),
            "{fault} at {k}: {node}"
        );
        assert!(
            node["series"]["memory"][0].is_number(),
            "{fault} at {k}: held: {node}"
        );
    }
    let busy = System::metric(agent, "cairn_agent_scrape_busy_total", "summary").unwrap();
    assert!(busy >= 3.0, "{fault}: busy at {busy} ticks");
    for k in 11..14 {
        system.tick(at(k)).unwrap();
        system.has_host(at(k)).unwrap();
    }
    let node = node(&system);
    // The working set comes from the other endpoint by now; what only the summary tells is gone.
    assert!(node["series"]["memory"][0].is_number(), "{node}");
    let time = rfc3339::format(at(13));
    let metric = |name: &str| {
        let path = format!("/api/v1/model/nodes/node1/metrics/{name}?start={time}&end={time}");
        system.json(&path).unwrap()["metrics"]
            .as_array()
            .unwrap()
            .len()
    };
    let found = ["memory/working_set", "memory/usage", "memory/rss"].map(metric);
    assert_eq!(found, [1, 0, 0], "older than max-age: {node}");
}

/// Scenario: the summary hangs.
/// Guarantees: each row comes, the first one late by no more than the bound and the others at
/// once; `busy` is counted; values are withdrawn at max-age, not before.
#[test]
fn a_hanging_summary_delays_no_other_source() {
    ticks_without_waiting(r#"{"kind":"hang"}"#);
}

/// The same for a summary that comes a few bytes at a time.
#[test]
fn a_dripping_summary_delays_no_other_source() {
    ticks_without_waiting(r#"{"kind":"drip","bytes_per_s":100}"#);
}

/// Scenario: the endpoint that CPU is taken from fails for good.
/// Guarantees: after three ticks CPU comes from the summary, the series goes on, and it goes back
/// after three good readings; no rate is negative or missing on the way.
#[test]
fn cpu_comes_from_the_summary_when_the_resource_endpoint_is_silent() {
    let system = one_node();
    order(&system, "resource", r#"{"kind":"status","code":500}"#);
    for k in 2..8 {
        system.tick(at(k)).unwrap();
    }
    order(&system, "resource", r#"{"kind":"none"}"#);
    for k in 8..14 {
        system.tick(at(k)).unwrap();
    }
    let usage = system
        .json("/api/v1/model/nodes/node1/metrics/cpu/usage")
        .unwrap();
    let values: Vec<u64> = usage["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["value"].as_u64().unwrap())
        .collect();
    assert_eq!(values.len(), 14);
    assert!(values.is_sorted(), "{values:?}");
    assert!(
        values[7] > values[2],
        "the summary's figures came in: {values:?}"
    );
    let rates = system
        .json("/api/v1/model/nodes/node1/metrics/cpu/usage_rate")
        .unwrap();
    assert_eq!(rates["metrics"].as_array().unwrap().len(), 13, "{rates}");
    // What uses CPU all the time has no tick without: the two endpoints tell one reading with
    // different times.
    let pods = system.json("/api/v1/model/namespaces/shop/pods/").unwrap();
    let names = pods.as_array().unwrap().iter();
    let burner = names
        .filter_map(Value::as_str)
        .find(|n| n.starts_with("burner"));
    for container in ["cpu", "disk"] {
        let path = format!(
            "/api/v1/model/namespaces/shop/pods/{}/containers/{container}/metrics/cpu/usage_rate",
            burner.unwrap()
        );
        let rates = system.json(&path).unwrap();
        let rates = rates["metrics"].as_array().unwrap();
        assert!(
            rates.len() > 10 && rates.iter().all(|p| p["value"] != 0),
            "{path}: {rates:?}"
        );
    }
}

/// Scenario: nothing listens where the kubelet should be.
/// Guarantees: the host's figures arrive, and the refusal is explained.
#[test]
fn without_a_kubelet_the_host_is_reported() {
    let mut system = MovingHost::start().unwrap();
    let mut args = system.agent_args(0).unwrap();
    let at_flag = args.iter().position(|a| a == "--kubelet").unwrap();
    let free = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    args[at_flag + 1] = format!("https://{nobody}");
    args.extend(["--clock", "driven=1795332326328"].map(str::to_owned));
    let strs: Vec<&str> = args.iter().map(String::as_str).collect();
    system.nodes[0].agent = Some(testkit::proc::Proc::start("cairn-agent", &strs, &[]).unwrap());
    for k in 0..3 {
        system.tick(at(k)).unwrap();
        system.has_host(at(k)).unwrap();
    }
    shows(&system, "summary", &nobody.to_string());
}

/// Scenario: an agent is started before the CA of its aggregator has been published.
/// Guarantees: it samples into its ring and says what it waits for; once the CA is there everything that it
/// sampled is sent.
#[test]
fn an_agent_waits_for_the_ca_of_its_aggregator() {
    let mut system = System::start(Options::one_node()).unwrap();
    system.nodes[0].agent = None;
    let (ca, aside) = (system.path("ingest-ca.pem"), system.path("not-yet.pem"));
    std::fs::rename(&ca, &aside).unwrap();
    system.start_agent(0).unwrap();
    let agent = system.nodes[0].agent.as_ref().unwrap();
    for k in 0..3 {
        agent.step(at(k)).unwrap();
        system.aggregator().unwrap().step(at(k)).unwrap();
    }
    let told = agent.stderr();
    assert!(
        told.contains("no file of --aggregator-ca is there yet"),
        "{told}"
    );
    let shown = system.first_node();
    assert!(
        !shown.is_ok_and(|node| node.is_object()),
        "nothing was sent"
    );
    std::fs::rename(&aside, &ca).unwrap();
    // The files are read again every 10 s.
    let rows = Deadline::after(Duration::from_secs(60)).poll(|| {
        let path = "/api/cairn/v1/range?metric=host_load1&kind=node";
        let answer = system.json(path).ok()?;
        let values = answer["series"].as_array()?.first()?["values"]
            .as_array()?
            .len();
        (values >= 3).then_some(())
    });
    assert!(rows.is_some(), "{}", system.stderr());
}
