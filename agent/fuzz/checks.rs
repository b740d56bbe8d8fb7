//! What holds for the parsers' answers, whatever the body: the fuzz targets and `tests/corpus.rs`
//! make the same checks.

use std::collections::HashSet;
use std::fmt::Debug;

use cairn_agent::sources::cadvisor::{Ids, Teller};
use cairn_agent::sources::{cadvisor, resource, summary};
use cairn_proto::limits::{MAX_ENTITIES, MAX_NAME_BYTES};
use serde_json::Value;

/// The shortest pod that has all its names, and the shortest container, bytes.
const POD_BYTES: usize = r#"{"podRef":{"name":"a","namespace":"b","uid":"c"}}"#.len();
const CONTAINER_BYTES: usize = r#"{"name":"a"}"#.len();

/// The shortest line of `/metrics/resource` that names a pod or a container, bytes.
const LINE_BYTES: usize = "container_start_time_seconds{} 0\n".len();

/// What is needed of a summary, so that its other fields may change.
struct Told<'a> {
    pods: Vec<(&'a str, &'a str, &'a str)>,
    containers: Vec<&'a str>,
    odd_count: u64,
    dropped_count: u64,
}

fn told(summary: &summary::Summary) -> Told<'_> {
    let pods = summary.pods.iter();
    let containers = pods.clone().flat_map(|pod| &pod.containers);
    Told {
        pods: pods
            .map(|p| (p.namespace.as_str(), p.name.as_str(), p.uid.as_str()))
            .collect(),
        containers: containers
            .chain(&summary.system)
            .map(|c| c.name.as_str())
            .collect(),
        odd_count: summary.odd_count,
        dropped_count: summary.dropped_count,
    }
}

/// Checks one body of `/stats/summary`.
///
/// # Panics
///
/// The parser broke one of its promises.
pub(crate) fn summary(body: &[u8]) {
    let parsed = summary::parse(body);
    same(&parsed, &summary::parse(body), "a second time");
    let padded = [b" \n", body, b"\r\n\t "].concat();
    same(&parsed, &summary::parse(&padded), "between spaces");
    if let Ok(earlier) = &parsed {
        let again = summary::parse_into(body, Some(earlier.clone()));
        same(&parsed, &again, "in the room of itself");
    }
    let text = std::str::from_utf8(body);
    let Ok(parsed) = parsed else {
        return;
    };
    assert!(
        text.is_ok() || serde_json::from_slice::<Value>(body).is_err(),
        "JSON is UTF-8"
    );
    compared(&parsed);
    let told = told(&parsed);
    kept_within(&told, body.len());
    if let Ok(json) = serde_json::from_slice::<Value>(body) {
        agrees_with(&told, &json);
    }
}

/// Both are the same value or both an error.
fn same<T: PartialEq + Debug, E: Debug>(a: &Result<T, E>, b: &Result<T, E>, how: &str) {
    match (a, b) {
        (Ok(a), Ok(b)) => assert!(a == b, "another answer {how}: {a:?} and {b:?}"),
        (Err(_), Err(_)) => {}
        _ => panic!("an answer and an error {how}: {a:?} and {b:?}"),
    }
}

/// Compiles only while no float, and so no NaN, is in there.
fn compared<T: Eq>(_: &T) {}

/// Nothing nameless is kept, and no more than the body can have said or a node can have.
fn kept_within(told: &Told<'_>, body_bytes: usize) {
    let names = told.pods.iter().flat_map(|(a, b, c)| [a, b, c]);
    let names = names.chain(&told.containers);
    assert!(names.clone().all(|name| !name.is_empty()), "an empty name");
    // An escape is longer than what it stands for.
    let name_bytes: usize = names.map(|name| name.len()).sum();
    assert!(name_bytes <= body_bytes, "longer names than the body");
    let (pods, containers) = (told.pods.len(), told.containers.len());
    assert!(pods <= MAX_ENTITIES, "{pods} pods");
    assert!(containers <= 2 * MAX_ENTITIES, "{containers} containers");
    let least = pods * POD_BYTES + containers * CONTAINER_BYTES;
    assert!(least <= body_bytes, "more entities than the body can name");
    let uncounted = told.odd_count.saturating_add(told.dropped_count);
    let fits = usize::try_from(uncounted).is_ok_and(|n| n <= body_bytes);
    assert!(fits, "{uncounted} odd and dropped in {body_bytes} bytes");
}

/// Another reader of JSON finds the same pods in the same order, and each that is not kept counts.
fn agrees_with(told: &Told<'_>, json: &Value) {
    assert!(json.get("node").is_some_and(Value::is_object), "no node");
    let empty = Vec::new();
    let pods = json.get("pods").and_then(Value::as_array).unwrap_or(&empty);
    let mut named = pods.iter().filter_map(names_of);
    for pod in &told.pods {
        assert!(named.any(|n| n == *pod), "{pod:?} is made up or moved");
    }
    let lost = (pods.len() - told.pods.len()) as u64;
    let counted = told.odd_count + told.dropped_count;
    assert!(lost <= counted, "{lost} pods lost, {counted} counted");
}

fn names_of(pod: &Value) -> Option<(&str, &str, &str)> {
    let pod_ref = pod.get("podRef")?;
    let name = |key: &str| pod_ref.get(key)?.as_str();
    Some((name("namespace")?, name("name")?, name("uid")?))
}

/// Checks one body of `/metrics/resource`.
///
/// # Panics
///
/// The parser broke one of its promises.
pub(crate) fn resource(body: &[u8]) {
    let parsed = resource::parse(body);
    same(&parsed, &resource::parse(body), "a second time");
    let commented = [b"# HELP x y\nunknown_metric{a=\"b\"} 1\n\r\n", body].concat();
    same(&parsed, &resource::parse(&commented), "behind a comment");
    let cut = body.get(..body.len() / 2).unwrap_or_default();
    let spare = resource::parse(cut).ok();
    let again = resource::parse_into(body, spare);
    same(&parsed, &again, "in the room of another");
    let Ok(parsed) = parsed else {
        return;
    };
    compared(&parsed);
    let mut name_bytes = 0;
    let mut of_containers = HashSet::new();
    for ([namespace, pod, name], container) in parsed.containers() {
        assert!(
            *container != resource::Container::default(),
            "a container of which nothing is known"
        );
        of_containers.insert((namespace, pod));
        name_bytes += a_name(name);
    }
    let mut entities = parsed.containers().count();
    for (namespace, name, pod) in parsed.pods() {
        a_name(namespace);
        name_bytes += a_name(name);
        if of_containers.remove(&(namespace, name)) {
            continue;
        }
        entities += 1;
        assert!(
            pod.usage != resource::Usage::default(),
            "a pod of which nothing is known"
        );
    }
    assert!(of_containers.is_empty(), "a container without its pod");
    let kept = parsed.containers().count() + parsed.pods().count();
    assert!(kept <= MAX_ENTITIES, "{kept} pods and containers");
    assert!(
        entities * LINE_BYTES <= body.len() + 1,
        "more entities than lines"
    );
    assert!(name_bytes <= body.len(), "longer names than the body");
    let lines = body.split(|byte| *byte == b'\n').count();
    let uncounted = usize::try_from(parsed.odd_count + parsed.dropped_count);
    assert!(
        uncounted.is_ok_and(|uncounted| uncounted <= lines),
        "more odd and dropped lines than lines"
    );
    twice(body, &parsed);
}

/// The length of a name that something can have, bytes.
fn a_name(name: &str) -> usize {
    let bytes = name.len();
    assert!(
        (1..=MAX_NAME_BYTES).contains(&bytes),
        "a name of {bytes} bytes"
    );
    bytes
}

/// A body of whole lines says nothing new when it is repeated.
fn twice(body: &[u8], once: &resource::Resource) {
    if !body.ends_with(b"\n") {
        return;
    }
    let twice = resource::parse(&[body, body].concat());
    let twice = twice.expect("whole lines that were taken once");
    assert_eq!(twice.odd_count, 2 * once.odd_count, "odd lines");
    assert_eq!(twice.dropped_count, 2 * once.dropped_count, "dropped lines");
    assert!(
        twice.pods().eq(once.pods())
            && twice.containers().eq(once.containers())
            && twice.node == once.node,
        "the last line of a kind counts"
    );
}

/// Checks one body of `/metrics/cadvisor`, and the same as the `/metrics` of a cAdvisor of its own.
///
/// # Panics
///
/// The parser broke one of its promises.
pub(crate) fn cadvisor(body: &[u8]) {
    for teller in [Teller::Kubelet, Teller::Beside, Teller::Alone] {
        cadvisor_of(body, teller);
    }
}

fn cadvisor_of(body: &[u8], teller: Teller) {
    let parse = |body: &[u8]| cadvisor::parse_of(body, teller, Ids::Wanted);
    let parsed = parse(body);
    same(&parsed, &parse(body), "a second time");
    let commented = [b"# HELP x y\nunknown_metric{a=\"b\"} 1\n\r\n", body].concat();
    same(&parsed, &parse(&commented), "behind a comment");
    let Ok(parsed) = parsed else {
        return;
    };
    compared(&parsed);
    let mut values = 0;
    let mut look_at = |cgroup: &cadvisor::Cgroup| {
        values += cgroup.figures.values().len();
        assert!(cgroup.parts.len() <= 128, "too many parts");
        for part in &cgroup.parts {
            a_name(&part.name);
            let count = part.figures.values().len();
            assert!(count > 0, "a part of which nothing is known");
            values += count;
        }
    };
    parsed.node.iter().for_each(&mut look_at);
    for (namespace, pods) in &parsed.pods {
        a_name(namespace);
        for (name, of) in pods {
            a_name(name);
            for pod in of {
                pod.own.iter().for_each(&mut look_at);
                pod.containers.keys().for_each(|name| {
                    a_name(name);
                });
                let containers = pod.containers.values().map(Box::as_ref);
                containers.for_each(&mut look_at);
            }
        }
    }
    for (name, cgroup) in &parsed.free {
        a_name(name);
        look_at(cgroup);
    }
    let lines = body.split(|byte| *byte == b'\n').count() as u64;
    // The network of an interface may be that of what has it too.
    let each = if teller == Teller::Alone { 2 } else { 1 };
    let told = values as u64 + parsed.odd_count;
    assert!(told <= lines * each, "more values and odd lines than lines");
}
