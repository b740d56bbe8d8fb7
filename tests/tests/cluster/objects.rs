//! What is served of the cluster's objects: requests, limits and what follows from them, and workloads.

#![expect(
    clippy::cast_precision_loss,
    reason = "amounts and parts that JSON writes exactly"
)]

use cairn_proto::v1;
use serde_json::{Value, json};
use testkit::reader::Reader;
use testkit::system::at;

use super::Bed;

/// Scenario: agents of both recorded nodes report the recorded pods, whose objects the API server has; one pod's
/// requests are changed.
/// Guarantees: requests, limits and what follows from them are answered by Heapster's API and by ours as the objects
/// have them now, as sums where there are sums; nothing where nothing is set.
#[test]
fn requests_and_limits_are_served_as_objects_have_them() {
    let bed = Bed::start(&["node1", "node2"], |_| ());
    bed.wait_for_pods(4);
    // By then three of the four pods that the API server was recorded with have begun.
    for n in 0..18 {
        bed.system.tick(at(n)).unwrap();
    }
    let burner = "namespaces/shop/pods/burner-6cb655c9bf-vd7bl";
    let web = "namespaces/shop/pods/web-7ffcbbddf7-4kxhb";
    bed.wait("requests", || newest(&bed, burner, "cpu/request").is_some());
    let mib = |count: u64| Some((count << 20) as f64);
    for (of, metric, expected) in [
        (burner, "cpu/request", Some(60.0)),
        (burner, "cpu/limit", Some(200.0)),
        (burner, "memory/request", mib(24)),
        (burner, "memory/limit", mib(128)),
        (burner, "restart_count", Some(0.0)),
        (burner, "ephemeral_storage/request", None),
        (
            &format!("{burner}/containers/disk"),
            "cpu/request",
            Some(10.0),
        ),
        (&format!("{burner}/containers/disk"), "cpu/limit", None),
        (web, "cpu/limit", None),
        ("namespaces/shop", "cpu/request", Some(130.0)),
        ("namespaces/shop", "memory/limit", mib(2 * 128 + 32)),
        ("", "cpu/limit", Some(400.0)),
        ("nodes/node1", "cpu/request", Some(60.0)),
        ("nodes/node1", "cpu/node_capacity", Some(2_000.0)),
        ("nodes/node1", "cpu/node_reservation", Some(0.03)),
        ("nodes/node2", "cpu/node_reservation", Some(0.04)),
        (
            "nodes/node2",
            "memory/node_allocatable",
            Some(25_171_656_704.0),
        ),
    ] {
        assert_eq!(newest(&bed, of, metric), expected, "{of} {metric}");
    }
    let utilization = newest(&bed, "nodes/node1", "cpu/node_utilization").unwrap();
    let usage = newest(&bed, "nodes/node1", "cpu/usage_rate").unwrap();
    // The rate is whole thousandths of a core.
    let apart = utilization - usage / 2_000.0;
    assert!(
        (0.0..=1.0 / 2_000.0).contains(&apart),
        "{utilization} {usage}"
    );
    let control = bed.server.control();
    let pod = ("shop", "burner-6cb655c9bf-vd7bl");
    assert!(control.change("pods", pod, |pod| {
        pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("1");
        pod["spec"]["containers"][1]["resources"]["requests"]["memory"] = json!("much");
    }));
    bed.wait("the change", || {
        newest(&bed, burner, "cpu/request") == Some(1_010.0)
    });
    assert_eq!(newest(&bed, burner, "memory/request"), mib(16));
    assert_eq!(bed.figure("bad_amounts_total", "\"pods\""), 1);
    let range = "/api/cairn/v1/range?namespace=shop&metric=cpu_request_millicores&pod=burner-6cb655c9bf-vd7bl";
    let range = bed.system.json(range).unwrap();
    let values = range["series"][0]["values"].as_array().unwrap().iter();
    let values: Vec<u64> = values.filter_map(Value::as_u64).collect();
    // No history: what is known now, wherever it was there.
    assert!(
        values.len() > 3 && values.iter().all(|value| *value == 1_010),
        "{values:?}"
    );
}

/// The newest value of a metric of the model, as its fraction where it has one.
fn newest(bed: &Bed, of: &str, metric: &str) -> Option<f64> {
    let of = if of.is_empty() {
        String::new()
    } else {
        format!("{of}/")
    };
    let path = format!("/api/v1/model/{of}metrics/{metric}");
    let found = bed.system.json(&path).unwrap();
    let point = found["metrics"].as_array().unwrap().last()?.clone();
    point["floatValue"].as_f64().or(point["value"].as_f64())
}

/// Scenario: agents of both nodes report the recorded pods, of two Deployments; the only one of the second is deleted.
/// Guarantees: our lists and ranges, over HTTP and gRPC, have each Deployment with the sums of its pods; what went
/// counts where it was.
#[test]
fn workloads_are_the_sums_of_their_pods() {
    let bed = Bed::start(&["node1", "node2"], |_| ());
    bed.wait_for_pods(4);
    for n in 0..18 {
        bed.system.tick(at(n)).unwrap();
    }
    let list = || {
        bed.system
            .json("/api/cairn/v1/workloads?namespace=shop")
            .unwrap()
    };
    bed.wait("three pods", || {
        let pods = |nth: usize| list()["workloads"][nth]["pods"].as_u64();
        [pods(0), pods(1)] == [Some(2), Some(1)]
    });
    let found = list();
    let burner = &found["workloads"][0];
    assert_eq!(burner["workload"], "burner");
    assert_eq!(found["workloads"][1]["workload"], "web");
    assert_eq!(
        (&burner["workload_kind"], &burner["derived"]),
        (&json!("Deployment"), &json!(true))
    );
    assert_eq!(burner["values"]["cpu_request_millicores"], 120);
    let sum = |metric: &str| {
        let range = format!("/api/cairn/v1/range?{metric}");
        let range = bed.system.json(&range).unwrap();
        let series = range["series"].as_array().unwrap().iter();
        let last = series.filter_map(|one| one["values"].as_array()?.last()?.as_u64());
        last.sum::<u64>()
    };
    let memory = "metric=memory_working_set_bytes&namespace=shop";
    let of_pods = sum(memory);
    assert!(of_pods > 0);
    assert_eq!(sum(&format!("{memory}&kind=workload")), of_pods);
    let request = v1::ListWorkloadsRequest {
        kind: v1::WorkloadKind::Deployment.into(),
        namespace: "shop".to_owned(),
        fields: vec![
            "memory_working_set_bytes".to_owned(),
            "cpu_request_millicores".to_owned(),
        ],
        ..v1::ListWorkloadsRequest::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listed = runtime.block_on(async {
        let addr = bed.aggregator().addr("http").unwrap();
        let mut reader = Reader::plain(addr).await.unwrap();
        reader.workloads(request).await.unwrap()
    });
    let names: Vec<(&str, u32, bool)> = listed
        .iter()
        .map(|one| (&*one.name, one.pods, one.derived))
        .collect();
    assert_eq!(names, [("burner", 2, true), ("web", 1, true)]);
    let value = |nth: usize, at: usize| listed[nth].sums[at].value.unwrap();
    assert_eq!(value(0, 0) + value(1, 0), of_pods);
    assert_eq!((value(0, 1), value(1, 1)), (120, 10));
    let web = "kind=workload&workload=web&metric=memory_working_set_bytes";
    let before = sum(web);
    assert!(
        bed.server
            .control()
            .delete("pods", "shop", "web-7ffcbbddf7-4kxhb")
    );
    bed.wait_for_pods(3);
    assert_eq!(sum(web), before);
}
