//! What an aggregator says of nodes, held against what they sampled.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use cairn_proto::catalogue::{Field, Origin, table};
use serde::Deserialize;

use super::Truth;
use crate::exact::{Asker, Cells, Found, Point, Points};
use crate::proc::Proc;

/// The window that an aggregator serves.
const WINDOW_MS: u64 = 900_000;

/// Compares every value of these nodes at every tick of the window, both ways. Before the row that
/// `first` gives for a node, nothing of it is expected.
pub(super) fn nodes(
    aggregator: &Proc,
    truth: &Truth,
    nodes: impl Iterator<Item = usize>,
    first: impl Fn(usize) -> u64,
) -> Result<Found> {
    let mut found = Found::default();
    let mut asker = Asker::new(aggregator.addr("http")?, 2);
    let newest_ms = truth.tick_ms(truth.rows().saturating_sub(1));
    let oldest = truth.row_at(newest_ms.saturating_sub(WINDOW_MS));
    for node in nodes {
        let name = truth.name(node);
        let mut answered = asker.cells(&name, None, is_of_rows)?;
        let rows = first(node).max(oldest)..truth.rows();
        let cells = rows.map(|row| (truth.tick_ms(row), truth.cells(node, row)));
        let mut cells: BTreeMap<u64, Cells> = cells.collect();
        let ticks: BTreeSet<u64> = cells.keys().chain(answered.keys()).copied().collect();
        let mut before = Cells::new();
        for tick in ticks {
            let mut there = answered.remove(&tick).unwrap_or_default();
            for cell in there.values_mut() {
                cell.rate = None;
            }
            let expected = cells.remove(&tick).unwrap_or_default();
            let shown = there.clone();
            // Where a row has no value the last one may be held; how long is other tests' business.
            there.retain(|key, cell| expected.contains_key(key) || before.get(key) != Some(cell));
            found.cells(&name, tick, &expected, &there);
            before.extend(shown);
        }
    }
    Ok(found)
}

/// True of a metric that agents tell in rows: not of the uptime, nor of what the Kubernetes API says.
fn is_of_rows(metric: &str) -> bool {
    let of_cluster = table::by_name(metric).is_some_and(|field| field.origin == Origin::Cluster);
    metric != "uptime_ms" && !of_cluster
}

/// An answer for one field of many nodes.
#[derive(Debug, Deserialize)]
struct Range {
    ticks: Vec<u64>,
    series: Vec<Series>,
}

/// The values of one of them, one for each tick.
#[derive(Debug, Deserialize)]
struct Series {
    node: String,
    values: Vec<Option<u64>>,
}

impl Range {
    /// The values that are there, by node and tick.
    fn by_node(self) -> BTreeMap<String, Points> {
        let mut nodes = BTreeMap::<String, Points>::new();
        for series in self.series {
            let pairs = self.ticks.iter().zip(series.values);
            let points = pairs.filter_map(|(tick, value)| Some((*tick, point(value?))));
            nodes.entry(series.node).or_default().extend(points);
        }
        nodes
    }
}

fn point(value: u64) -> Point {
    Point { value, float: None }
}

/// Compares the CPU time of each of so many nodes at every tick of the window, in one question, as
/// [`nodes`] compares everything of a few of them: so that of no node the rows are counted alone.
pub(super) fn cpu_of_all(
    aggregator: &Proc,
    truth: &Truth,
    nodes: usize,
    first: impl Fn(usize) -> u64,
    found: &mut Found,
) -> Result<()> {
    let field = cpu()?;
    let mut answered = range(aggregator, field)?.by_node();
    let newest_ms = truth.tick_ms(truth.rows().saturating_sub(1));
    let oldest = truth.row_at(newest_ms.saturating_sub(WINDOW_MS));
    let ticks: Vec<u64> = (oldest..truth.rows())
        .map(|row| truth.tick_ms(row))
        .collect();
    for node in 0..nodes {
        let name = truth.name(node);
        let rows = first(node).max(oldest)..truth.rows();
        let own = |row| Some((truth.tick_ms(row), point(truth.own(node, row, field)?)));
        let expected: Points = rows.filter_map(own).collect();
        let mut there = answered.remove(&name).unwrap_or_default();
        let mut before = None;
        // As above: where a row has no value the last one may be held.
        there.retain(|tick, value| {
            let is_held = before.replace(*value) == Some(*value);
            expected.contains_key(tick) || !is_held
        });
        let of = format!("{name}/metrics/{} of all nodes", field.name);
        found.points(&of, &ticks, &expected, &there);
    }
    Ok(())
}

/// By node, the first row that the aggregator says anything of; the row after the newest where it says
/// nothing.
pub(super) fn first_rows(aggregator: &Proc, truth: &Truth, nodes: usize) -> Result<Vec<u64>> {
    let answered = range(aggregator, cpu()?)?.by_node();
    let first = |node| {
        let first = answered
            .get(&truth.name(node))
            .and_then(|points| points.first_key_value());
        first.map_or(truth.rows(), |(tick, _)| truth.row_at(*tick))
    };
    Ok((0..nodes).map(first).collect())
}

fn cpu() -> Result<&'static Field> {
    table::field(table::CPU).context("the catalogue has no CPU time")
}

/// A field of every node at every tick of the window.
fn range(aggregator: &Proc, field: &Field) -> Result<Range> {
    let path = format!("/api/cairn/v1/range?metric={}&kind=node", field.name);
    let answer = aggregator.get("http", &path)?;
    ensure!(answer.status == 200, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).context(path)
}

#[cfg(test)]
mod tests {
    use super::{Points, Range, point};

    #[test]
    fn an_answer_is_taken_apart_by_node_and_tick() {
        let text = r#"{"metric": "x", "ticks": [10, 20], "series": [
            {"kind": "node", "node": "a", "values": [null, 2]},
            {"kind": "node", "node": "b", "values": [1, 2]}]}"#;
        let range: Range = serde_json::from_str(text).unwrap();
        let nodes = range.by_node();
        assert_eq!(nodes["a"], Points::from([(20, point(2))]));
        assert_eq!(nodes["b"], Points::from([(10, point(1)), (20, point(2))]));
    }
}
