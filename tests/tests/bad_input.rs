//! Bodies that no kubelet should send, through the real binaries: each is refused with a reason that
//! says what is wrong, or taken without what is wrong and counted; everything else goes on.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use serde_json::{Value, json};
use testkit::deadline::Deadline;
use testkit::rfc3339;
use testkit::system::{Options, System, at};

const SOON: Duration = Duration::from_secs(10);

const MIB: u64 = 1024 * 1024;

fn one_node() -> System {
    let options = Options::one_node();
    let system = System::start(options).unwrap();
    system.tick(at(0)).unwrap();
    system
}

/// Orders a fault of an endpoint.
fn order(system: &System, endpoint: &str, fault: &Value) {
    let order = json!({"endpoint": endpoint, "fault": fault}).to_string();
    let kubelet = &system.nodes[0].kubelet;
    let answer = kubelet.post("admin", "/debug/fault", &order).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Lets an endpoint answer with a body, and makes the tick of it.
fn tick_with(system: &System, k: u64, endpoint: &str, body: &str) {
    order(system, endpoint, &json!({"kind": "body", "text": body}));
    system.tick(at(k)).unwrap();
}

/// What is measured a second before a tick.
fn memory(k: u64, bytes: &Value) -> Value {
    let time = rfc3339::format(at(k) - 1_000);
    json!({"time": time, "usageBytes": bytes, "workingSetBytes": bytes})
}

/// A summary of a node that uses 1,000 bytes, with these pods.
fn summary(k: u64, pods: &[Value]) -> String {
    let node = json!({"nodeName": "node1", "memory": memory(k, &json!(1_000))});
    json!({"node": node, "pods": pods}).to_string()
}

fn pod(name: &str, uid: &str, start_s: u64, more: &Value) -> Value {
    let mut pod = json!({
        "podRef": {"name": name, "namespace": "shop", "uid": uid},
        "startTime": rfc3339::format(at(0) - 100_000_000 + start_s * 1_000),
    });
    for (key, value) in more.as_object().unwrap() {
        pod[key] = value.clone();
    }
    pod
}

/// Values of a series of the model at its last point; `None` when it has none at this tick.
fn model(system: &System, k: u64, path: &str) -> Option<u64> {
    let time = rfc3339::format(at(k));
    let path = format!("/api/v1/model/{path}?start={time}&end={time}");
    let answer = system.json(&path).unwrap();
    answer["metrics"][0]["value"].as_u64()
}

fn count(system: &System, name: &str, labels: &str) -> f64 {
    let agent = system.nodes[0].agent.as_ref().unwrap();
    System::metric(agent, name, labels).unwrap()
}

fn readyz(system: &System) -> String {
    let agent = system.nodes[0].agent.as_ref().unwrap();
    agent.get("admin", "/readyz?verbose").unwrap().text()
}

/// Waits until the aggregator shows a reason of a source with this in it; `/readyz?verbose` of the
/// agent has it too, and the host goes on.
fn told(system: &System, source: &str, part: &str) {
    let reason = || {
        let overview = system.overview().unwrap();
        let sources = overview["nodes"][0]["sources"].as_array().unwrap().clone();
        let mut of = sources.into_iter().filter(|s| s["name"] == source);
        let reason = of.next().map(|s| s["reason"].as_str().unwrap().to_owned());
        reason.unwrap_or_default()
    };
    let shown = Deadline::after(SOON).poll(|| reason().contains(part).then_some(()));
    assert!(
        shown.is_some(),
        "{:?} lacks {part:?}\n{}",
        reason(),
        system.stderr()
    );
    let ready = readyz(system);
    let line = ready
        .lines()
        .find(|l| l.starts_with(&format!("[!]source {source}")));
    assert!(line.is_some_and(|line| line.contains(part)), "{ready}");
    host_goes_on(system);
}

fn host_goes_on(system: &System) {
    let overview = system.overview().unwrap();
    let load = &overview["nodes"][0]["series"]["load1"];
    assert!(load[0].is_number(), "{overview}");
}

/// The most memory that the agent ever had, bytes.
fn peak_bytes(system: &System) -> u64 {
    let agent = system.nodes[0].agent.as_ref().unwrap();
    agent.peak_bytes().unwrap()
}

/// Scenario: a summary that begins as it should and goes on with pods for a gigabyte, as its length
/// says; then one of fifteen megabytes, which is still read.
/// Guarantees: the first is refused by its length and told; the agent never holds more than a few
/// times the cap.
#[test]
fn a_body_of_a_gigabyte_is_refused_with_bounded_memory() {
    let system = one_node();
    let before = peak_bytes(&system);
    for (k, endpoint) in [(1, "summary"), (2, "resource")] {
        let huge = json!({"kind": "huge", "bytes": 1_u64 << 30});
        order(&system, endpoint, &huge);
        system.tick(at(k)).unwrap();
        told(&system, endpoint, "larger than");
        let failures = "cairn_agent_scrape_failures_total";
        let labels = format!("source=\"{endpoint}\",kind=\"too_large\"");
        assert!(count(&system, failures, &labels) >= 1.0, "{endpoint}");
    }
    // Nothing of a body whose length is over the cap is read.
    let grown = peak_bytes(&system) - before;
    assert!(grown < 8 * MIB, "{grown} bytes");
    // This one is read whole, and breaks off within a pod.
    order(
        &system,
        "summary",
        &json!({"kind": "huge", "bytes": 15 * MIB}),
    );
    system.tick(at(3)).unwrap();
    told(&system, "summary", "JSON");
    let grown = peak_bytes(&system) - before;
    assert!(grown < 64 * MIB, "{grown} bytes");
    for endpoint in ["summary", "resource"] {
        order(&system, endpoint, &json!({"kind": "none"}));
    }
    system.tick(at(4)).unwrap();
    assert!(model(&system, 4, "nodes/node1/metrics/memory/usage").is_some());
}

/// Scenario: the resource endpoint's text ends in a line of nine megabytes that has no end; then it is nothing
/// but such a line.
/// Guarantees: what stands before it is taken and the line is counted; without anything it is told; the agent never
/// holds more than a few times its length.
#[test]
fn a_line_of_nine_megabytes_costs_itself_alone() {
    let system = one_node();
    let before = peak_bytes(&system);
    let begun = "pod_cpu_usage_seconds_total{namespace=\"";
    let good = format!("node_cpu_usage_seconds_total 5 {}\n", at(1) - 1_000);
    let long = |text: &str| json!({"kind": "long_line", "text": text, "bytes": 9 * MIB});
    order(&system, "resource", &long(&(good + begun)));
    let path = "/api/cairn/v1/values?node=node1&metric=cpu_usage_core_nanos";
    let values = || system.json(path).unwrap().to_string();
    // An answer that comes too late for its row comes with the next one.
    let mut rows = 0;
    let mut until = |is_so: &dyn Fn() -> bool| {
        let came = Deadline::after(SOON).poll(|| {
            rows += 1;
            system.tick(at(rows)).unwrap();
            is_so().then_some(())
        });
        assert!(came.is_some(), "{}", system.stderr());
        rows
    };
    let asked = until(&|| values().contains("5000000000"));
    let odd = "cairn_agent_scrape_odd_values_total";
    let counted = count(&system, odd, "source=\"resource\"");
    assert!((1.0..=asked as f64).contains(&counted), "{asked} rows");
    order(&system, "resource", &long(begun));
    until(&|| readyz(&system).contains("none of the metrics"));
    told(&system, "resource", "none of the metrics");
    let grown = peak_bytes(&system) - before;
    assert!(grown < 48 * MIB, "{grown} bytes");
}

/// Guarantees: a redirect is not followed, so the token goes nowhere else.
#[test]
fn the_token_does_not_follow_a_redirect() {
    let system = one_node();
    order(&system, "all", &json!({"kind": "redirect"}));
    system.tick(at(1)).unwrap();
    for endpoint in ["summary", "resource"] {
        told(&system, endpoint, "redirect");
    }
    let kubelet = &system.nodes[0].kubelet;
    for name in [
        "kubelet_sim_requests_total",
        "kubelet_sim_authorized_requests_total",
    ] {
        let elsewhere = System::metric(kubelet, name, "endpoint=\"other\"").unwrap();
        assert!(elsewhere < 0.5, "{elsewhere} requests followed");
    }
}

/// Scenario: bodies that stop half-way, come a byte a second, or are said to be something else, from
/// the endpoint that measures CPU.
/// Guarantees: each is told and no other source waits; what is mended delivers again.
#[test]
fn a_broken_resource_endpoint_is_told_and_holds_up_nobody() {
    let system = one_node();
    let faults = [
        (json!({"kind": "truncate", "at": 500}), "body"),
        (json!({"kind": "content_type"}), "text/html"),
        (json!({"kind": "garbage"}), "none of the metrics"),
        (json!({"kind": "endless"}), "larger than"),
        (
            json!({"kind": "body", "text": "resource_scrape_error 1\n"}),
            "scrape_error",
        ),
        (json!({"kind": "body", "text": ""}), "none of the metrics"),
    ];
    for (k, (fault, part)) in (1..).zip(faults) {
        order(&system, "resource", &fault);
        system.tick(at(k)).unwrap();
        told(&system, "resource", part);
        let memory = model(&system, k, "nodes/node1/metrics/memory/usage");
        assert!(memory.is_some(), "{fault}: the summary goes on");
    }
    order(&system, "resource", &json!({"kind": "none"}));
    system.tick(at(7)).unwrap();
    order(
        &system,
        "resource",
        &json!({"kind": "drip", "bytes_per_s": 1}),
    );
    system.tick(at(8)).unwrap();
    system.tick(at(9)).unwrap();
    told(&system, "resource", "earlier tick");
    let busy = "cairn_agent_scrape_busy_total";
    assert!(count(&system, busy, "source=\"resource\"") >= 1.0);
    assert!(model(&system, 9, "nodes/node1/metrics/memory/usage").is_some());
}

/// Guarantees: what is no JSON object with a node is refused whole, told and counted.
#[test]
fn what_is_no_summary_is_refused_whole_and_told() {
    let system = one_node();
    let good = summary(1, &[]);
    let bodies = [
        ("", "JSON"),
        ("null", "JSON"),
        ("[]", "JSON"),
        ("{\"node\":{},}", "JSON"),
        ("{\"pods\":[]}", "no node"),
        ("{\"node\":null}", "no node"),
        ("{\"node\":[]}", "JSON"),
        ("{\"node\":{},\"pods\":{}}", "JSON"),
        ("{\"node\":{\"memory\":{\"usageBytes\":NaN}}}", "JSON"),
        (good.split_at(good.len() / 2).0, "JSON"),
    ];
    let failures = "cairn_agent_scrape_failures_total";
    for (k, (body, part)) in (1..).zip(bodies) {
        tick_with(&system, k, "summary", body);
        told(&system, "summary", part);
        let failed = count(&system, failures, "source=\"summary\",kind=\"parse\"");
        assert!((failed - k as f64).abs() < 0.5, "{body}: {failed}");
    }
    // The other endpoint measured memory meanwhile; three good readings, and it is the summary again.
    for k in 11..14 {
        tick_with(&system, k, "summary", &summary(k, &[]));
    }
    assert_eq!(
        model(&system, 13, "nodes/node1/metrics/memory/usage"),
        Some(1_000)
    );
}

/// Scenario: nulls wherever the kubelet may leave something out; numbers that are no counts.
/// Guarantees: a null is as good as absent; a number that is none is counted and costs itself
/// alone: every other value of its pod and the other pods are there.
#[test]
fn nulls_are_absent_and_a_number_that_is_no_count_costs_itself_alone() {
    let system = one_node();
    let nulls = json!({"startTime": null, "containers": null, "cpu": null, "memory": null,
        "network": null, "volume": null, "ephemeral-storage": null, "process_stats": null});
    let good = |k| pod("good", "g", 1, &json!({"memory": memory(k, &json!(7))}));
    let body = json!({
        "node": {"nodeName": null, "startTime": null, "cpu": null, "memory": memory(1, &json!(9)),
            "network": null, "fs": null, "runtime": null, "rlimit": null, "systemContainers": null},
        "pods": [pod("nulls", "n", 1, &nulls), good(1), null],
    });
    tick_with(&system, 1, "summary", &body.to_string());
    assert_eq!(
        model(&system, 1, "nodes/node1/metrics/memory/usage"),
        Some(9)
    );
    let pods = system.json("/api/v1/model/namespaces/shop/pods/").unwrap();
    assert_eq!(pods, json!(["good", "nulls"]));
    let odd = || {
        count(
            &system,
            "cairn_agent_scrape_odd_values_total",
            "source=\"summary\"",
        )
    };
    assert!((odd() - 1.0).abs() < 0.5, "a pod that is null: {}", odd());
    let numbers = [
        "-1",
        "18446744073709551616",
        "0.5",
        "1e3",
        "1e400",
        "\"NaN\"",
        "\"12\"",
        "[]",
    ];
    for (k, number) in (2..).zip(numbers) {
        let before = odd();
        let whole = json!({"memory": memory(k, &json!("HERE"))});
        let body = summary(k, &[pod("odd", "o", 1, &whole), good(k)]);
        let once = body
            .replacen("\"HERE\"", number, 1)
            .replacen("\"HERE\"", "5", 1);
        tick_with(&system, k, "summary", &once);
        let of = |what: &str| model(&system, k, &format!("namespaces/shop/pods/{what}"));
        assert_eq!(of("good/metrics/memory/usage"), Some(7), "{number}");
        assert_eq!(of("odd/metrics/memory/working_set"), Some(5), "{number}");
        // What it was before is not there either: the value is missing, not held.
        assert_eq!(of("odd/metrics/memory/usage"), None, "{number}");
        assert!((odd() - before - 1.0).abs() < 0.5, "{number}");
        host_goes_on(&system);
    }
}

/// The text of the resource endpoint: the node, a good pod, and a pod whose counter is this.
fn resource(k: u64, value: &str) -> String {
    let ms = at(k) - 1_000;
    format!(
        "node_cpu_usage_seconds_total {k} {ms}\n\
         pod_cpu_usage_seconds_total{{namespace=\"shop\",pod=\"good\"}} {k} {ms}\n\
         pod_cpu_usage_seconds_total{{namespace=\"shop\",pod=\"odd\"}} {value} {ms}\n"
    )
}

/// Guarantees: a value that is no count costs its own line and is counted; the others have rates,
/// and none is negative or wrapped.
#[test]
fn nan_infinity_and_overflow_in_the_resource_text_cost_their_own_line() {
    let system = one_node();
    let pods = |k| {
        summary(
            k,
            &[
                pod("good", "g", 1, &json!({})),
                pod("odd", "o", 1, &json!({})),
            ],
        )
    };
    let values = [
        "1",
        "NaN",
        "+Inf",
        "-Inf",
        "-1",
        "1e999",
        "18446744073.709551616",
        "0x1p4",
        "",
    ];
    for (k, value) in (1..).zip(values) {
        order(
            &system,
            "resource",
            &json!({"kind": "body", "text": resource(k, value)}),
        );
        tick_with(&system, k, "summary", &pods(k));
        let odd = count(
            &system,
            "cairn_agent_scrape_odd_values_total",
            "source=\"resource\"",
        );
        assert!((odd - (k - 1) as f64).abs() < 0.5, "{value}: {odd}");
        let rate = |pod: &str| {
            let path = format!("namespaces/shop/pods/{pod}/metrics/cpu/usage_rate");
            model(&system, k, &path)
        };
        // One second in ten; the other pod was measured once and has no rate.
        assert_eq!(rate("good"), (k > 1).then_some(100), "{value}");
        assert_eq!(rate("odd"), None, "{value}");
    }
    assert_eq!(
        model(&system, 9, "namespaces/shop/pods/odd/metrics/cpu/usage"),
        Some(1_000_000_000)
    );
}

/// Guarantees: of 2,000 pods the 1,024 that began first are taken, at every tick the same; the rest
/// is counted and told; the aggregator takes the row.
#[test]
fn of_two_thousand_pods_the_oldest_1024_are_taken_and_the_rest_is_told() {
    let system = one_node();
    for k in 1..3 {
        let one = |n: u64| {
            let more = json!({"memory": memory(k, &json!(n))});
            pod(&format!("pod-{n:04}"), &format!("uid-{n}"), n, &more)
        };
        let pods: Vec<Value> = (0..2_000).rev().map(one).collect();
        tick_with(&system, k, "summary", &summary(k, &pods));
        let dropped = count(&system, "cairn_agent_sampler_dropped_entities_total", "");
        assert!((dropped - 976.0 * k as f64).abs() < 0.5, "{dropped}");
    }
    let listed = system.json("/api/v1/model/namespaces/shop/pods/").unwrap();
    let taken: Vec<String> = (0..1_024).map(|n| format!("pod-{n:04}")).collect();
    assert_eq!(listed, json!(taken));
    let whole = model(&system, 2, "namespaces/shop/metrics/memory/usage");
    assert_eq!(whole, Some((0..1_024).sum()));
    let ready = readyz(&system);
    let line = ready.lines().find(|line| line.starts_with("[!]pods"));
    assert!(line.is_some_and(|line| line.contains("976")), "{ready}");
    // When there are fewer again the note is gone.
    tick_with(&system, 3, "summary", &summary(3, &[]));
    assert!(!readyz(&system).contains("[!]pods"), "{}", readyz(&system));
}

/// Scenario: a pod without containers; two containers of one name in a pod; two pods of one name,
/// the older still listed beside the newer, in either order.
/// Guarantees: of each name the later start is meant, also by what knows names only; the values of
/// the two are never mixed, and each pod is kept under its own UID.
#[test]
fn of_two_of_one_name_the_later_start_is_meant_and_nothing_is_mixed() {
    let system = one_node();
    for k in 1..4 {
        let container = |start_ms: u64, bytes: u64| {
            let start = rfc3339::format(at(0) - start_ms);
            json!({"name": "app", "startTime": start, "memory": memory(k, &json!(bytes))})
        };
        let twice = [container(9_000, 30), container(5_000, 40)];
        let own = |bytes: u64| json!({"memory": memory(k, &json!(bytes)), "containers": twice});
        let mut pods = vec![
            pod("bare", "b", 1, &json!({"memory": memory(k, &json!(3))})),
            pod("db-0", "old", 10, &own(111)),
            pod("db-0", "new", 20, &own(222)),
        ];
        if k == 2 {
            pods.reverse();
        }
        let ms = at(k) - 1_000;
        let line = "pod_cpu_usage_seconds_total{namespace=\"shop\",pod=\"db-0\"}";
        let text = format!("{line} {} {ms}\n", k * 5);
        order(&system, "resource", &json!({"kind": "body", "text": text}));
        tick_with(&system, k, "summary", &summary(k, &pods));
        let of = |path: &str| model(&system, k, &format!("namespaces/shop/pods/{path}"));
        assert_eq!(of("db-0/metrics/memory/usage"), Some(222), "tick {k}");
        assert_eq!(
            of("db-0/containers/app/metrics/memory/usage"),
            Some(40),
            "tick {k}"
        );
        assert_eq!(of("bare/metrics/memory/usage"), Some(3), "tick {k}");
        assert_eq!(
            of("db-0/metrics/cpu/usage_rate"),
            (k > 1).then_some(500),
            "tick {k}"
        );
    }
    let none = system
        .json("/api/v1/model/namespaces/shop/pods/bare/containers")
        .unwrap();
    assert_eq!(none, json!([]));
    let values = system.json("/api/cairn/v1/values?node=node1").unwrap();
    let of = |uid: &str| {
        let entities = values["entities"].as_array().unwrap();
        let is_pod = |e: &&Value| e["kind"] == "pod" && e["pod_uid"] == uid;
        let found = entities.iter().find(is_pod);
        found.unwrap_or_else(|| panic!("{uid}: {values}"))["metrics"].clone()
    };
    let newest = |series: &Value| series["values"].as_array().unwrap().last().cloned();
    assert_eq!(
        newest(&of("old")["memory_usage_bytes"]),
        Some(json!(111)),
        "{}",
        of("old")
    );
    assert_eq!(newest(&of("new")["memory_usage_bytes"]), Some(json!(222)));
    assert!(
        of("old").get("cpu_usage_core_nanos").is_none(),
        "{}",
        of("old")
    );
}
