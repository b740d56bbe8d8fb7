use serde_json::{Value, json};

use super::*;
use crate::cluster::{Amounts, Requirements};

fn present(resource: Resource, json: &Value) -> Change {
    resource.present(json.to_string().as_bytes()).unwrap()
}

fn read_pod(json: &Value) -> Pod {
    match present(Resource::Pods, json) {
        Change::Pod(pod) => pod,
        other => panic!("{other:?}"),
    }
}

fn recorded(name: &str) -> Vec<Value> {
    let dir = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/apiserver-1.36/"
    );
    let text = std::fs::read(format!("{dir}{name}.json")).unwrap();
    let mut list: Value = serde_json::from_slice(&text).unwrap();
    list["items"].as_array_mut().unwrap().drain(..).collect()
}

#[test]
fn a_pod_is_ready_when_its_condition_says_so() {
    let of = |conditions: Value| {
        let pod = json!({"metadata": {"name": "a", "uid": "u"}, "spec": {}, "status": {"conditions": conditions}});
        read_pod(&pod).ready
    };
    let condition =
        |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "r"});
    assert!(of(json!([
        condition("Initialized", "True"),
        condition("Ready", "True")
    ])));
    for conditions in [
        json!([
            condition("Initialized", "True"),
            condition("Ready", "False")
        ]),
        json!([condition("Ready", "Unknown")]),
        json!([condition("ContainersReady", "True")]),
        json!([]),
        Value::Null,
    ] {
        assert!(!of(conditions.clone()), "{conditions}");
    }
}

#[test]
fn a_recorded_pod_is_read_in_full() {
    let pods = recorded("pods");
    let pod = read_pod(&pods[0]);
    let pair = |(a, b): &(&str, &str)| (Box::from(*a), Box::from(*b));
    let labels = [
        ("app", "burner"),
        ("pod-template-hash", "6cb655c9bf"),
        ("tier", "backend"),
    ];
    let amounts = |cpu_milli, memory_mib: u64| Amounts {
        cpu_milli,
        memory_bytes: Some(memory_mib << 20),
        ..Amounts::default()
    };
    let container = |name: &str, id: &str, requests, limits| Container {
        name: name.into(),
        runtime_id: id.into(),
        restarts: 0,
        state: ContainerState::Running,
        requirements: Arc::new(Requirements { requests, limits }),
    };
    let (cpu, disk) = (
        "5a3a25ecbabe7b1eff6e3938de74f0199b7fbdd0687ed53ba4f282d6a421f427",
        "0069a216c529d97fb8dd5eadb35285cf4ed66f071867d0df835f51bf13e54bd4",
    );
    let expected = Pod {
        namespace: "shop".into(),
        name: "burner-6cb655c9bf-2gkn9".into(),
        uid: "5402d901-31d5-4803-8aef-f0e65de709b8".into(),
        node: "node2".into(),
        mirror_of: "".into(),
        service_account: "default".into(),
        labels: labels.iter().map(pair).collect(),
        phase: Phase::Running,
        ready: true,
        // 2026-11-22T07:27:16Z
        created_ms: 1_795_332_436_000,
        owner: Some(Arc::new(Owner {
            kind: "ReplicaSet".into(),
            name: "burner-6cb655c9bf".into(),
        })),
        containers: Box::new([
            container("cpu", cpu, amounts(Some(50), 16), amounts(Some(200), 64)),
            container("disk", disk, amounts(Some(10), 8), amounts(None, 64)),
        ]),
        others: Box::new([]),
        bad_amounts: 0,
    };
    assert_eq!(pod, expected);
    assert_eq!(
        version(pods[0].to_string().as_bytes()).as_deref(),
        Some("930")
    );
}

#[test]
fn a_recorded_node_is_read_in_full() {
    let Change::Node(node) = present(Resource::Nodes, &recorded("nodes")[0]) else {
        panic!("no node")
    };
    assert_eq!(
        (&*node.name, node.ready, node.labels.len()),
        ("node1", true, 5)
    );
    let amounts = |memory_kib: u64, ephemeral_storage_bytes: u64| Amounts {
        cpu_milli: Some(2_000),
        memory_bytes: Some(memory_kib << 10),
        ephemeral_storage_bytes: Some(ephemeral_storage_bytes),
        ..Amounts::default()
    };
    assert_eq!(node.capacity, amounts(24_684_096, 264_212_084 << 10));
    assert_eq!(node.allocatable, amounts(24_581_696, 243_497_856_212));
}

#[test]
fn sidecars_count_and_what_only_prepares_does_not() {
    let pod = read_pod(&json!({
        "metadata": {"namespace": "shop", "name": "web", "uid": "u", "labels": null,
                     "annotations": {"kubernetes.io/config.mirror": "f00", "other": "x"}},
        "spec": {
            "containers": [{"name": "web", "resources": {}}],
            "initContainers": [
                {"name": "prepare", "resources": {"requests": {"cpu": "1"}}},
                {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
            ],
            "ephemeralContainers": [{"name": "debugger"}],
        },
        "status": {
            "phase": "Pending",
            "containerStatuses": [{"name": "web", "restartCount": 3}],
            "initContainerStatuses": [{"name": "proxy", "containerID": "cri-o://abc", "restartCount": 1}],
        },
    }));
    let seen: Vec<_> = pod
        .containers
        .iter()
        .map(|c| (&*c.name, &*c.runtime_id, c.restarts))
        .collect();
    assert_eq!(seen, [("web", "", 3), ("proxy", "abc", 1)]);
    assert_eq!(
        pod.containers[1].requirements.requests.cpu_milli,
        Some(1_000)
    );
    let others: Vec<&str> = pod.others.iter().map(|name| &**name).collect();
    assert_eq!(others, ["prepare", "debugger"]);
    assert_eq!(
        (&*pod.mirror_of, &*pod.node, pod.phase),
        ("f00", "", Phase::Pending)
    );
}

#[test]
fn an_amount_that_is_none_takes_nothing_with_it() {
    let pod = read_pod(&json!({
        "metadata": {"namespace": "shop", "name": "web", "uid": "u"},
        "spec": {"containers": [
            {"name": "a", "resources": {"requests": {"cpu": "much", "memory": "64Mi"}}},
            {"name": "b", "resources": {"limits": {"nvidia.com/gpu": "one"}}},
        ]},
    }));
    let first = &pod.containers[0].requirements.requests;
    assert_eq!(
        (first.cpu_milli, first.memory_bytes),
        (None, Some(64 << 20))
    );
    assert_eq!((pod.containers.len(), pod.bad_amounts), (2, 2));
    let node = json!({
        "metadata": {"name": "n", "uid": "u"},
        "status": {"capacity": {"cpu": "4", "memory": true, "example.com/x": "?"}},
    });
    let Change::Node(node) = present(Resource::Nodes, &node) else {
        panic!("no node")
    };
    assert_eq!(
        (node.capacity.cpu_milli, node.bad_amounts),
        (Some(4_000), 1)
    );
}

#[test]
fn a_broken_object_is_an_error_and_a_gone_one_needs_only_its_name() {
    for broken in [json!({}), json!({"metadata": {"name": "web"}}), json!([1])] {
        assert!(
            Resource::Pods
                .present(broken.to_string().as_bytes())
                .is_err()
        );
    }
    let gone = json!({"metadata": {"namespace": "shop", "name": "web", "uid": "u"}}).to_string();
    let expected = Change::PodGone("shop".into(), "web".into(), "u".into());
    assert_eq!(Resource::Pods.gone(gone.as_bytes()).unwrap(), expected);
}
