//! Reading `/api/cairn/v1/values`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::are_near;

/// What a node has at one tick, by entity in words and metric.
pub type Cells = BTreeMap<String, Cell>;

/// A value and, of a counter with one, its rate per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// The value.
    pub value: u64,
    /// The rate.
    pub rate: Option<f64>,
}

impl Cell {
    pub(super) fn is_same(&self, other: Option<&Self>) -> bool {
        other.is_some_and(|other| self.value == other.value && are_near(self.rate, other.rate))
    }
}

/// What names an entity: in the script's lines and in the API's answer alike.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Entity {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) pod_uid: String,
    pub(crate) container: String,
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// An entity in words, all that tells it from others and its labels. The node's own name is that
/// of the request.
pub(crate) fn key(entity: &Entity) -> String {
    let name = if entity.kind == "node" {
        ""
    } else {
        &entity.name
    };
    format!(
        "{} namespace={} pod={} uid={} container={} name={name} {:?}",
        entity.kind, entity.namespace, entity.pod, entity.pod_uid, entity.container, entity.labels
    )
}

/// The metric at the end of a key.
pub(super) fn metric_of(key: &str) -> &str {
    key.rsplit(' ').next().unwrap_or(key)
}

#[derive(Deserialize)]
struct Answer {
    node: String,
    interval_ms: u64,
    ticks: Vec<u64>,
    entities: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    #[serde(flatten)]
    entity: Entity,
    metrics: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
struct Row {
    values: Vec<Option<u64>>,
    rates: Option<Vec<Option<f64>>>,
}

/// Reads an answer about a node: by tick, what the metrics that `wanted` accepts have there. Every
/// tick of the answer is in it. The error says what is not as the API promises.
pub(super) fn read(
    node: &str,
    body: &[u8],
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<u64, Cells>, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if (answer.node.as_str(), answer.interval_ms) != (node, 10_000) {
        return Err(format!("of {} every {}", answer.node, answer.interval_ms));
    }
    let mut cells: BTreeMap<u64, Cells> = BTreeMap::new();
    for &tick in &answer.ticks {
        if cells.insert(tick, Cells::new()).is_some() {
            return Err(format!("tick {tick} twice"));
        }
    }
    in_order(&answer.entities)?;
    for described in &answer.entities {
        let key = key(&described.entity);
        if described.metrics.is_empty() {
            return Err(format!("{key} has no metrics"));
        }
        for (metric, row) in &described.metrics {
            let key = format!("{key} {metric}");
            shape(row, answer.ticks.len()).map_err(|problem| format!("{key}: {problem}"))?;
            if !wanted(metric) {
                continue;
            }
            for (place, tick) in answer.ticks.iter().enumerate() {
                let at = |row: &Vec<Option<f64>>| row.get(place).copied().flatten();
                let rate = row.rates.as_ref().and_then(at);
                let Some(value) = row.values.get(place).copied().flatten() else {
                    continue;
                };
                let there = cells.entry(*tick).or_default();
                if there.insert(key.clone(), Cell { value, rate }).is_some() {
                    return Err(format!("{key} is there twice"));
                }
            }
        }
    }
    Ok(cells)
}

/// As many values and rates as ticks, one value at least, and no rate without a value.
fn shape(row: &Row, ticks: usize) -> Result<(), &'static str> {
    if row.values.len() != ticks {
        return Err("not one value a tick");
    }
    if row.values.iter().all(Option::is_none) {
        return Err("no value at all");
    }
    let Some(rates) = &row.rates else {
        return Ok(());
    };
    if rates.len() != ticks {
        return Err("not one rate a tick");
    }
    let mut pairs = rates.iter().zip(&row.values);
    if pairs.any(|(rate, value)| rate.is_some() && value.is_none()) {
        return Err("a rate without a value");
    }
    Ok(())
}

/// Kinds come one after the other, and each is sorted.
fn in_order(entities: &[Described]) -> Result<(), String> {
    let mut kinds: Vec<&str> = Vec::new();
    for pair in entities.windows(2) {
        let [
            Described { entity: one, .. },
            Described { entity: next, .. },
        ] = pair
        else {
            continue;
        };
        if one.kind != next.kind {
            kinds.push(&one.kind);
            if kinds.contains(&next.kind.as_str()) {
                return Err(format!("{} begins twice", next.kind));
            }
            continue;
        }
        let [first, second] = [one, next].map(|e| {
            let inner = (&e.container, &e.name, &e.pod_uid);
            (&e.namespace, &e.pod, inner)
        });
        if first > second {
            return Err(format!("{} comes after {}", key(one), key(next)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Cell, read};

    fn entity(kind: &str, name: &str, metrics: &Value) -> Value {
        json!({"kind": kind, "namespace": "", "pod": "", "pod_uid": "", "container": "",
            "name": name, "labels": {}, "metrics": metrics})
    }

    fn answer(ticks: &[u64], entities: &[Value]) -> Vec<u8> {
        json!({"node": "node1", "interval_ms": 10_000, "window_ms": 900_000, "ticks": ticks,
            "entities": entities})
        .to_string()
        .into_bytes()
    }

    fn problem(ticks: &[u64], entities: &[Value]) -> String {
        read("node1", &answer(ticks, entities), |_| true).unwrap_err()
    }

    #[test]
    fn values_and_rates_are_read_by_tick() {
        let metrics = json!({
            "cpu_usage_core_nanos": {"values": [5, 6], "rates": [null, 0.1]},
            "memory_usage_bytes": {"values": [null, 7]},
            "host_load1": {"values": [1, 2]},
        });
        let body = answer(&[10, 20], &[entity("node", "node1", &metrics)]);
        let cells = read("node1", &body, |metric| !metric.starts_with("host_")).unwrap();
        let node = "node namespace= pod= uid= container= name= {}";
        let at = |tick: u64, metric: &str| cells[&tick].get(&format!("{node} {metric}")).copied();
        let cell = |value, rate| Some(Cell { value, rate });
        assert_eq!(at(10, "cpu_usage_core_nanos"), cell(5, None));
        assert_eq!(at(20, "cpu_usage_core_nanos"), cell(6, Some(0.1)));
        assert_eq!(at(10, "memory_usage_bytes"), None);
        assert_eq!(at(20, "memory_usage_bytes"), cell(7, None));
        assert_eq!((cells[&10].len(), cells[&20].len()), (1, 2));
        assert!(read("node2", &body, |_| true).is_err(), "another node's");
        let empty = read("node1", &answer(&[10], &[]), |_| true).unwrap();
        assert!(empty[&10].is_empty());
    }

    #[test]
    fn what_the_api_does_not_promise_is_refused() {
        let of = |metrics: Value| entity("system", "misc", &json!({"m": metrics}));
        let one = || of(json!({"values": [1]}));
        for (entities, expected) in [
            (vec![of(json!({"values": [1, 2]}))], "not one value a tick"),
            (vec![of(json!({"values": [null]}))], "no value at all"),
            (
                vec![of(json!({"values": [1], "rates": []}))],
                "not one rate",
            ),
            (vec![one(), one()], "is there twice"),
            (vec![entity("system", "a", &json!({}))], "has no metrics"),
            (vec![of(json!({"values": [1.5]}))], "invalid type"),
            (
                vec![one(), entity("system", "a", &json!({"m": {"values": [1]}}))],
                "comes after",
            ),
            (
                vec![
                    one(),
                    entity("node", "", &json!({"m": {"values": [1]}})),
                    one(),
                ],
                "begins twice",
            ),
        ] {
            let problem = problem(&[10], &entities);
            assert!(problem.contains(expected), "{problem}");
        }
        let rate = of(json!({"values": [1, null], "rates": [null, 1.0]}));
        assert!(problem(&[10, 20], &[rate]).contains("a rate without a value"));
        assert!(problem(&[10, 10], &[]).contains("twice"));
    }
}
