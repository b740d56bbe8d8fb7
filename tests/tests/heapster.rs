//! Answers of the model API against recorded answers of Heapster 1.6 on the recorded cluster:
//! status, content type, key order, white space and types.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::system::{Options, System, at};

/// A recorded answer.
struct Reference {
    status: u16,
    content_type: Option<String>,
    body: String,
}

fn reference(name: &str) -> Reference {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/reference/heapster");
    let text = fs::read_to_string(root.join(name).with_extension("http")).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let content_type = head.lines().find_map(|l| l.strip_prefix("Content-Type: "));
    Reference {
        status,
        content_type: content_type.map(|t| t.trim().to_owned()),
        body: body.to_owned(),
    }
}

/// The shape of a body: every string that is a value is `S`, every number `N`; what comes again in
/// a list is there once. White space and keys stay as they are.
fn shape(body: &str) -> String {
    let mut out = String::new();
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '"' {
            let text: String = chars.by_ref().take_while(|c| *c != '"').collect();
            let is_key = chars.peek() == Some(&':');
            // The time of "never" is part of the contract.
            let kept = is_key || text.starts_with("0001-");
            out.push_str(&if kept {
                format!("\"{text}\"")
            } else {
                "\"S\"".to_owned()
            });
        } else if c.is_ascii_digit() {
            while chars
                .peek()
                .is_some_and(|c| c.is_ascii_digit() || *c == '.')
            {
                chars.next();
            }
            out.push('N');
        } else {
            out.push(c);
        }
    }
    let name = "     \"name\": \"S\"";
    let container = format!("     {{\n {name},\n{}\n     }}", usage("      "));
    let containers = format!("    \"containers\": [\n{container}\n    ]");
    let point = "   {\n    \"timestamp\": \"S\",\n    \"value\": N\n   }";
    for (unit, separator) in [
        (point, ",\n"),
        ("  \"S\"", ",\n"),
        ("{\"timestamp\":\"S\",\"value\":N}", ","),
        (&container, ",\n"),
        (
            &item(
                &format!("\n{name},\n     \"namespace\": \"S\""),
                &containers,
            ),
            ",\n",
        ),
        (&item(&format!("\n{name}"), &usage("    ")), ",\n"),
    ] {
        let twice = format!("{unit}{separator}{unit}");
        while out.contains(&twice) {
            out = out.replace(&twice, unit);
        }
    }
    out
}

/// The shape of an item of resource metrics that ends so.
fn item(metadata: &str, end: &str) -> String {
    let times = "    \"timestamp\": \"S\",\n    \"window\": \"S\"";
    let created = "     \"creationTimestamp\": \"S\"";
    format!("   {{\n    \"metadata\": {{{metadata},\n{created}\n    }},\n{times},\n{end}\n   }}")
}

/// The shape of a usage at this depth.
fn usage(indent: &str) -> String {
    let values = format!("{indent} \"cpu\": \"S\",\n{indent} \"memory\": \"S\"");
    format!("{indent}\"usage\": {{\n{values}\n{indent}}}")
}

/// What is not as in the recorded answer.
fn differences(system: &System, expected: &Reference, path: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let found = system.get(path).unwrap();
    let content_type = found.header("content-type").map(str::to_owned);
    let body = found.text();
    if found.status != expected.status || content_type != expected.content_type {
        let (status, wanted) = (expected.status, &expected.content_type);
        wrong.push(format!(
            "{path}: {status} {wanted:?}, found {} {content_type:?}",
            found.status
        ));
    }
    if shape(&body) != shape(&expected.body) {
        wrong.push(format!(
            "{path}: expected the shape\n{}\nfound\n{}",
            shape(&expected.body),
            shape(&body)
        ));
    }
    wrong
}

#[test]
fn answers_have_the_shape_of_the_recorded_ones() {
    let system = System::start(Options::default()).unwrap();
    for k in 0..6 {
        system.tick(at(k)).unwrap();
    }
    let pods = system.json("/api/v1/model/namespaces/shop/pods/").unwrap();
    let first = pods[0].as_str().unwrap();
    let second = pods[1].as_str().unwrap();
    let pod = format!("/api/v1/model/namespaces/shop/pods/{first}");
    let container = format!("{pod}/containers/cpu");
    let list = format!("namespaces/shop/pod-list/{first},{second},no-such-pod");
    let routes = [
        (
            "cluster_cpu_usage_rate",
            "/api/v1/model/metrics/cpu/usage_rate".to_owned(),
        ),
        ("cluster_metric_names", "/api/v1/model/metrics/".to_owned()),
        ("allkeys", "/api/v1/model/debug/allkeys".to_owned()),
        ("nodes", "/api/v1/model/nodes/".to_owned()),
        (
            "node_memory_usage",
            "/api/v1/model/nodes/node1/metrics/memory/usage".to_owned(),
        ),
        (
            "node_metric_names",
            "/api/v1/model/nodes/node1/metrics/".to_owned(),
        ),
        ("namespaces", "/api/v1/model/namespaces/".to_owned()),
        (
            "ns_metric_names",
            "/api/v1/model/namespaces/shop/metrics".to_owned(),
        ),
        ("pods", "/api/v1/model/namespaces/shop/pods/".to_owned()),
        (
            "pod_list",
            format!("/api/v1/model/{list}/metrics/memory/usage"),
        ),
        ("pod_metric_names", format!("{pod}/metrics")),
        ("containers", format!("{pod}/containers")),
        (
            "container_cpu_usage_rate",
            format!("{container}/metrics/cpu/usage_rate"),
        ),
        ("container_metric_names", format!("{container}/metrics")),
        (
            "freecontainers",
            "/api/v1/model/nodes/node1/freecontainers/".to_owned(),
        ),
        (
            "unknown_node",
            "/api/v1/model/nodes/nope/metrics/cpu/usage_rate".to_owned(),
        ),
        ("unknown_route", "/api/v1/model/nope".to_owned()),
        ("healthz", "/healthz".to_owned()),
        (
            "node_filesystem_usage",
            "/api/v1/model/nodes/node1/metrics/filesystem/usage?labels=resource_id:/".to_owned(),
        ),
        ("v1alpha1_nodes", "/apis/metrics/v1alpha1/nodes".to_owned()),
        (
            "v1alpha1_pods",
            "/apis/metrics/v1alpha1/namespaces/shop/pods".to_owned(),
        ),
    ];
    let wrong: Vec<String> = routes
        .iter()
        .flat_map(|(name, path)| differences(&system, &reference(name), path))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Metrics that the cluster's own objects give: no Kubernetes API is watched here.
const OF_OBJECTS: [&str; 7] = [
    "/request",
    "/limit",
    "/node_capacity",
    "/node_allocatable",
    "/node_utilization",
    "/node_reservation",
    "restart_count",
];

#[test]
fn each_kind_of_thing_has_the_metrics_that_the_recorded_one_has() {
    let system = System::start(Options::default()).unwrap();
    for k in 0..6 {
        system.tick(at(k)).unwrap();
    }
    let pods = system.json("/api/v1/model/namespaces/shop/pods/").unwrap();
    let pod = format!("namespaces/shop/pods/{}", pods[0].as_str().unwrap());
    for (name, of) in [
        ("cluster_metric_names", String::new()),
        ("ns_metric_names", "namespaces/shop/".to_owned()),
        ("node_metric_names", "nodes/node1/".to_owned()),
        ("pod_metric_names", format!("{pod}/")),
        ("container_metric_names", format!("{pod}/containers/cpu/")),
    ] {
        let recorded: Vec<String> = serde_json::from_str(&reference(name).body).unwrap();
        let of_objects = |metric: &String| OF_OBJECTS.iter().any(|end| metric.ends_with(end));
        let mut expected: Vec<String> = recorded.into_iter().filter(|m| !of_objects(m)).collect();
        expected.sort();
        let found = system.json(&format!("/api/v1/model/{of}metrics/")).unwrap();
        assert_eq!(found, serde_json::json!(expected), "{name}");
    }
}

#[test]
fn every_recorded_answer_is_compared() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = fs::read_to_string(root.join("tests/heapster.rs")).unwrap();
    let recorded = fs::read_dir(root.join("fixtures/reference/heapster")).unwrap();
    let names: Vec<String> = recorded
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "http"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 24);
    for name in names {
        assert!(tests.contains(&format!("\"{name}\"")), "{name}");
    }
}

/// What an exported thing is, by its labels.
fn kind(exported: &Value) -> &'static str {
    let labels = &exported["labels"];
    match labels["container_name"].as_str() {
        Some("machine") => "node",
        Some("/pod") => "pod",
        _ if labels["pod_name"].is_string() => "container",
        _ => "system",
    }
}

/// Each kind of thing with its labels' names, and each metric with the names that its points have
/// and the times that its first point has.
fn exported(body: &str) -> BTreeMap<String, Vec<String>> {
    let all: Vec<Value> = serde_json::from_str(body).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect();
    let mut found = BTreeMap::new();
    for one in &all {
        assert_eq!(keys(one), ["metrics", "labels"]);
        found.insert(kind(one).to_owned(), keys(&one["labels"]));
        for (name, points) in one["metrics"].as_object().unwrap() {
            let mut about: Vec<String> = keys(&points[0]);
            let whole_life = points[0]["start"] != points[0]["end"];
            about.push(format!("whole life: {whole_life}"));
            found.insert(format!("{} {name}", kind(one)), about);
        }
    }
    found
}

#[test]
fn the_dump_says_of_each_thing_what_the_recorded_one_says() {
    let system = System::start(Options::default()).unwrap();
    for k in 0..6 {
        system.tick(at(k)).unwrap();
    }
    let recorded = reference("metric_export");
    let answer = system.get("/api/v1/metric-export").unwrap();
    assert_eq!(
        answer.header("content-type"),
        recorded.content_type.as_deref()
    );
    let body = answer.text();
    assert!(body.ends_with("}}]\n") && recorded.body.ends_with("}}]\n"));
    assert_eq!(body.lines().count(), 1);
    let (found, expected) = (exported(&body), exported(&recorded.body));
    for what in [
        "node",
        "system",
        "pod",
        "container",
        "container cpu/usage",
        "pod network/rx",
    ] {
        assert!(found.contains_key(what), "{what} is not in {found:?}");
    }
    for (what, about) in &found {
        // Heapster summed some of a pod's values, and had no value of others.
        if let Some(expected) = expected.get(what) {
            assert_eq!(about, expected, "{what}");
        }
    }
}

#[test]
fn the_schema_of_the_dump_is_written_as_the_recorded_one() {
    let system = System::start(Options::default()).unwrap();
    let recorded = reference("metric_export_schema");
    let answer = system.get("/api/v1/metric-export-schema").unwrap();
    assert_eq!(
        answer.header("content-type"),
        recorded.content_type.as_deref()
    );
    let (found, expected) = (answer.text(), recorded.body);
    // The labels at the end have one shape each; metrics are as many as there happen to be.
    let end = |body: &str| {
        shape(body)
            .split_once("\"common_labels\"")
            .map(|(_, end)| end.to_owned())
    };
    assert_eq!(end(&found), end(&expected));
    let [found, expected] = [found, expected].map(|body| {
        let schema: Value = serde_json::from_str(&body).unwrap();
        let metrics = schema["metrics"].as_array().unwrap().clone();
        let named = metrics.into_iter().map(|mut metric| {
            metric["description"] = Value::Null;
            // Heapster counted inodes in bytes, which they are not.
            if metric["name"].as_str().unwrap().contains("inodes") {
                metric.as_object_mut().unwrap().remove("units");
            }
            for label in metric["labels"].as_array_mut().into_iter().flatten() {
                label["description"] = Value::Null;
            }
            (metric["name"].to_string(), metric.to_string())
        });
        named.collect::<BTreeMap<String, String>>()
    });
    assert!(found.contains_key("\"cpu/usage\""), "{found:?}");
    for (name, metric) in &found {
        assert_eq!(Some(metric), expected.get(name), "{name}");
    }
}

#[test]
fn a_time_that_is_none_is_refused_as_the_recorded_answer_begins() {
    let system = System::start(Options::default()).unwrap();
    system.tick(at(0)).unwrap();
    let expected = reference("bad_start");
    let path = "/api/v1/model/nodes/node1/metrics/memory/usage?start=bad";
    let found = system.get(path).unwrap();
    assert_eq!(found.status, expected.status);
    assert_eq!(
        found.header("content-type"),
        expected.content_type.as_deref()
    );
    // After the prefix the recorded answer quotes its own parser.
    let prefix = "timestamp argument cannot be parsed: ";
    assert!(expected.body.starts_with(prefix) && found.text().starts_with(prefix));
}

#[test]
fn the_reader_of_shapes_tells_shapes_apart() {
    let body = "{\"a\":[{\"timestamp\":\"x\",\"value\":1},{\"timestamp\":\"y\",\"value\":2}]}";
    assert_eq!(shape(body), "{\"a\":[{\"timestamp\":\"S\",\"value\":N}]}");
    assert_ne!(shape("[]"), shape("[1]"));
    assert_ne!(shape("{\"a\": 1}"), shape("{\"a\":1}"));
    assert_ne!(shape("{\"a\":1}"), shape("{\"b\":1}"));
    assert_ne!(shape("{\"a\":1}"), shape("{\"a\":\"1\"}"));
    // Lists of nodes and of pods are as long as they happen to be.
    for name in ["v1alpha1_nodes", "v1alpha1_pods"] {
        let (found, body) = (shape(&reference(name).body), reference(name).body);
        assert_eq!(found.matches("creationTimestamp").count(), 1, "{found}");
        assert_ne!(found, shape(&body.replacen("cpu", "CPU", 1)));
    }
}
