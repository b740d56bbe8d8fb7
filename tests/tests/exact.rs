//! The whole recording through the real binaries, compared with an independent computation.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::rfc3339;
use testkit::system::{Options, System, ticks};

type Paths = BTreeMap<String, BTreeMap<u64, (u64, Option<f64>)>>;
type Lists = BTreeMap<String, BTreeMap<u64, Vec<String>>>;

/// What the script says: points by path and tick, names by list and tick (both Unix s).
fn expectations() -> (Paths, Lists) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3")
        .arg(root.join("expect/expect.py"))
        .arg(root.join("fixtures/kubelet-1.36/trace.tar.gz"))
        .output()
        .expect("python3 runs the expectation script: install python3");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (mut paths, mut lists) = (Paths::new(), Lists::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let tick = line["tick"].as_u64().unwrap();
        if let Some(path) = line["path"].as_str() {
            let point = (line["value"].as_u64().unwrap(), line["float"].as_f64());
            paths
                .entry(path.to_owned())
                .or_default()
                .insert(tick, point);
        } else {
            let names = line["names"].as_array().unwrap();
            let names = names
                .iter()
                .map(|n| n.as_str().unwrap().to_owned())
                .collect();
            let list = line["list"].as_str().unwrap().to_owned();
            lists.entry(list).or_default().insert(tick, names);
        }
    }
    (paths, lists)
}

/// Points of an answer of the model API by tick, Unix s.
fn points(answer: &Value) -> BTreeMap<u64, (u64, Option<f64>)> {
    let metrics = answer["metrics"].as_array().unwrap();
    let points: BTreeMap<_, _> = metrics
        .iter()
        .map(|p| {
            let tick = rfc3339::parse(p["timestamp"].as_str().unwrap()).unwrap();
            (
                tick / 1000,
                (p["value"].as_u64().unwrap(), p["floatValue"].as_f64()),
            )
        })
        .collect();
    assert_eq!(points.len(), metrics.len(), "a point twice: {answer}");
    points
}

fn same(a: Option<&(u64, Option<f64>)>, b: Option<&(u64, Option<f64>)>) -> bool {
    let float = |p: &(u64, Option<f64>)| p.1.unwrap_or(-1.0);
    match (a, b) {
        (Some(a), Some(b)) => a.0 == b.0 && (float(a) - float(b)).abs() <= 1e-9 * float(a).abs(),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Scenario: two nodes replay the recording: pods appear, vanish, restart and come back.
/// Guarantees: at every tick each metric of every node, system container, pod and container, and
/// each sum, is what the script computes, is absent where the script says so, and every list names
/// exactly what is there; and the window, read as a whole at the end, says the same again.
#[test]
fn every_value_at_every_tick_is_the_independently_computed_one() {
    let (paths, lists) = expectations();
    assert!(paths.len() > 100, "the script found {} series", paths.len());
    let system = System::start(Options::default()).unwrap();
    let mut wrong: BTreeSet<String> = BTreeSet::new();
    let mut compared = 0;
    for tick_ms in ticks() {
        system.tick(tick_ms).unwrap();
        let tick = tick_ms / 1000;
        let time = rfc3339::format(tick_ms);
        for (path, expected) in &paths {
            let found = points(
                &system
                    .json(&format!("{path}?start={time}&end={time}"))
                    .unwrap(),
            );
            if !same(expected.get(&tick), found.get(&tick)) || found.len() > 1 {
                let (e, f) = (expected.get(&tick), found.get(&tick));
                wrong.insert(format!("{tick} {path}: expected {e:?}, found {f:?}"));
            }
            compared += 1;
        }
        for (list, expected) in &lists {
            let found = system.json(list).unwrap();
            let expected = expected.get(&tick).cloned().unwrap_or_default();
            if found != serde_json::json!(expected) {
                wrong.insert(format!(
                    "{tick} {list}: expected {expected:?}, found {found}"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {compared} differ:\n{}",
        wrong.len(),
        some(&wrong)
    );
    for (path, expected) in &paths {
        let found = points(&system.json(path).unwrap());
        let equal = found.len() == expected.len()
            && expected
                .iter()
                .all(|(tick, point)| same(Some(point), found.get(tick)));
        if !equal {
            wrong.insert(format!("{path}: expected {expected:?}, found {found:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} whole series differ:\n{}",
        wrong.len(),
        some(&wrong)
    );
}

fn some(wrong: &BTreeSet<String>) -> String {
    wrong
        .iter()
        .take(20)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n")
}
