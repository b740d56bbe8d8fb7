//! Why something is not served, asked of real processes.

use serde_json::{Value, json};
use testkit::system::at;

use super::{Bed, pod};

/// What the aggregator says of it.
fn explain(bed: &Bed, query: &str) -> Value {
    let path = format!("/api/cairn/v1/explain?{query}");
    bed.system.json(&path).unwrap()
}

/// Waits until it says this, and returns all of it.
fn says(bed: &Bed, query: &str, why: &str) -> Value {
    let mut told = Value::Null;
    bed.wait(&format!("{why} of {query}"), || {
        told = explain(bed, query);
        told["why"] == why
    });
    assert_eq!(told["served"], why == "served", "{told}");
    told
}

/// Scenario: the agent of one recorded node reports its pods, whose objects the API server has; the other node has no
/// agent. A pod is made that does not start, another one that its kubelet, which refuses by then, does not tell of; at
/// last the agent is killed.
/// Guarantees: of each the cause is named, and of what is served its values.
#[test]
fn of_each_pod_it_is_said_why_it_is_served_or_not() {
    let mut bed = Bed::start(&["node1"], |_| ());
    bed.wait_for_pods(4);
    says(&bed, "node=node1", "starting");
    for n in 0..18 {
        bed.system.tick(at(n)).unwrap();
    }
    let burner = "namespace=shop&pod=burner-6cb655c9bf-vd7bl";
    let told = says(&bed, burner, "served");
    let usage = &told["containers"][0]["usage"];
    assert!(usage["cpu_nanocores"].as_u64() > Some(0), "{told}");
    assert!(usage["memory_bytes"].as_u64() > Some(0), "{told}");
    says(&bed, "node=node1", "served");
    says(&bed, "node=node2", "no-agent");
    // It is placed on the other node.
    let told = says(&bed, "namespace=shop&pod=web-7ffcbbddf7-4kxhb", "no-agent");
    assert_eq!(told["node"], "node2", "{told}");
    let mut pending = pod("pending", "node1");
    pending["status"] = json!({"phase": "Pending"});
    let control = bed.server.control();
    control.put("pods", pending);
    says(&bed, "namespace=shop&pod=pending", "not-running");
    says(&bed, "namespace=shop&pod=nosuch", "no-pod");
    bed.system
        .break_kubelet("all", r#"{"kind":"status","code":403}"#)
        .unwrap();
    control.put("pods", pod("late", "node1"));
    // By then each source has been asked again.
    for n in 18..26 {
        bed.system.tick(at(n)).unwrap();
    }
    let told = says(&bed, "namespace=shop&pod=late", "pod-untold");
    let reasons = told["sources"].to_string();
    assert!(reasons.contains("403"), "{told}");
    drop(bed.system.nodes[0].agent.take());
    bed.system.step(at(50)).unwrap();
    for query in [burner, "node=node1"] {
        let told = says(&bed, query, "silent");
        let reason = told["reason"].as_str().unwrap();
        assert!(
            reason.contains("the agent of node1 is not connected"),
            "{reason}"
        );
    }
}
