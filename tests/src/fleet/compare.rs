//! What an aggregator says of nodes, held against what they sampled.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Truth;
use super::bed::Bed;
use crate::exact::{Asker, Cells, Found};

/// The window that an aggregator serves.
const WINDOW_MS: u64 = 900_000;

/// Compares every value of these nodes at every tick of the window, both ways. Before the row that
/// `first` gives for a node, nothing of it is expected.
pub(super) fn nodes(
    bed: &Bed,
    truth: &Truth,
    nodes: impl Iterator<Item = usize>,
    first: impl Fn(usize) -> u64,
) -> Result<Found> {
    let mut found = Found::default();
    let mut asker = Asker::new(bed.aggregator.addr("http")?, 2);
    let newest_ms = truth.tick_ms(truth.rows().saturating_sub(1));
    let oldest = truth.row_at(newest_ms.saturating_sub(WINDOW_MS));
    for node in nodes {
        let name = truth.name(node);
        // The uptime is no value of a row.
        let mut answered = asker.cells(&name, None, |metric| metric != "uptime_ms")?;
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
