//! The native comparison over a whole recording, with an answer made of the script's own lines.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Expected, Found, native};
use crate::system::Recording;

const NODE: &str = "node1";

/// The answer for the whole window that says what the lines say.
fn answer(text: &str, ticks: &[u64]) -> Value {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut entities: BTreeMap<Vec<String>, Map<String, Value>> = BTreeMap::new();
    for line in lines.filter(|line: &Value| line["node"] == NODE) {
        let order = ["kind", "namespace", "pod", "container", "name", "pod_uid"];
        let order = order.map(|key| line[key].as_str().unwrap().to_owned());
        let entity = entities.entry(order.to_vec()).or_default();
        for key in [
            "kind",
            "namespace",
            "pod",
            "container",
            "name",
            "pod_uid",
            "labels",
        ] {
            entity.insert(key.to_owned(), line[key].clone());
        }
        let metrics = entity.entry("metrics").or_insert_with(|| json!({}));
        let row = &mut metrics[line["metric"].as_str().unwrap()];
        if row.is_null() {
            *row = json!({"values": vec![Value::Null; ticks.len()]});
        }
        let tick_ms = line["tick"].as_u64().unwrap() * 1000;
        let place = ticks.iter().position(|tick| *tick == tick_ms).unwrap();
        row["values"][place] = line["value"].clone();
        if let Some([delta, over_ms]) = line["rate"].as_array().map(Vec::as_slice) {
            if row["rates"].is_null() {
                row["rates"] = json!(vec![Value::Null; ticks.len()]);
            }
            let rate = delta.as_f64().unwrap() * 1000.0 / over_ms.as_f64().unwrap();
            row["rates"][place] = json!(rate);
        }
    }
    let entities: Vec<Map<String, Value>> = entities.into_values().collect();
    json!({"node": NODE, "interval_ms": 10_000, "window_ms": 900_000, "ticks": ticks,
        "entities": entities})
}

fn judge(expected: &Expected, answer: &Value) -> Found {
    let mut found = Found::default();
    let cells = native::read(NODE, answer.to_string().as_bytes(), |_| true).unwrap();
    for (tick, cells) in &cells {
        found.cells(NODE, *tick, &expected.nodes[NODE][tick], cells);
    }
    found
}

#[test]
fn an_answer_of_the_scripts_own_lines_is_right_and_any_change_is_seen() {
    let recording = Recording::named("trace").unwrap();
    let ticks: Vec<u64> = recording.ticks().collect();
    let archive = recording.archive.as_deref().unwrap();
    let text = Expected::run("expect/expect.py", archive).unwrap();
    let expected = Expected::read(&text).unwrap();
    let right = answer(&text, &ticks);
    let found = judge(&expected, &right);
    assert!(found.is_right(), "{found}");
    assert!(found.compared() > 10_000, "{}", found.compared());

    let place = right["entities"].as_array().unwrap();
    let place = place
        .iter()
        .position(|entity| entity["kind"] == "container")
        .unwrap();
    let metrics = |answer: &mut Value| answer["entities"][place]["metrics"].take();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut wrong = right.clone();
        let mut taken = metrics(&mut wrong);
        change(&mut taken);
        wrong["entities"][place]["metrics"] = taken;
        judge(&expected, &wrong).to_string()
    };
    let there = right["entities"][place]["metrics"]["memory_usage_bytes"]["values"].as_array();
    let there = there
        .unwrap()
        .iter()
        .filter(|value| !value.is_null())
        .count();
    let whole = found.compared();
    let verdicts = [
        changed(&|metrics| {
            metrics
                .as_object_mut()
                .unwrap()
                .remove("memory_usage_bytes");
        }),
        changed(&|metrics| metrics["extra"] = metrics["memory_usage_bytes"].clone()),
        changed(&|metrics| metrics["cpu_usage_core_nanos"]["rates"] = Value::Null),
        changed(&|metrics| metrics["memory_usage_bytes"]["values"][0] = json!(1)),
    ];
    assert!(
        verdicts[0].starts_with(&format!("{there} of {whole} differ")),
        "{}",
        verdicts[0]
    );
    let more = whole + there as u64;
    assert!(
        verdicts[1].starts_with(&format!("{there} of {more} differ")),
        "{}",
        verdicts[1]
    );
    assert!(
        verdicts[2].contains("native cpu_usage_core_nanos: "),
        "{}",
        verdicts[2]
    );
    assert!(
        verdicts[3].starts_with(&format!("1 of {whole} differ")),
        "{}",
        verdicts[3]
    );
}
