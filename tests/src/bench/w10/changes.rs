//! What it costs an aggregator that its cluster changes.

use anyhow::{Context as _, Result};

use super::super::fill::{self, Filled};
use crate::proc::used::cpu_seconds;

/// Lets pods of the cluster change and the aggregator hear of all; gives its CPU time of one, s.
///
/// As often as they change here is as fast as the API server can tell of them; no rows come meanwhile.
pub(super) fn measure(filled: &Filled) -> Result<f64> {
    let (cluster, _) = filled.around.as_ref().context("there is no cluster")?;
    let aggregator = &filled.ticking.bed.aggregator;
    let before = cpu_seconds(aggregator.id())?;
    let changes = cluster.change();
    fill::heard_of(aggregator, cluster)?;
    let taken = cpu_seconds(aggregator.id())? - before;
    Ok(taken / changes.max(1) as f64)
}
