//! How many entities are read at once.

use super::View;
use crate::store::{Entity, Wanted};

/// Cells that are read of a node at once: entities times rows times fields. Each takes up to 48 bytes until
/// all are shown, so this is about 50 MB. Ten times more, and a question about a node full of pods could
/// fill the container; ten times fewer, and nodes of a few hundred pods are cut, whose rows are then
/// decoded for each piece anew.
pub(super) const AT_ONCE: u64 = 1 << 20;

/// The least that lies between two rows of an agent, ms.
const LEAST_INTERVAL_MS: u64 = 1_000;

impl View {
    /// Cuts entities into pieces of one node each, node by node, each given by its places among all. A
    /// piece has so few that what is read of it in these fields is no more than [`AT_ONCE`] cells; one
    /// entity in any case.
    pub(super) fn pieces(&self, entities: &[&Entity], wanted: &[Wanted]) -> Vec<Vec<usize>> {
        let cells = |interval_ms: u64| -> u64 {
            let rows = wanted.iter().map(|(_, (first, last))| {
                let span_ms = last.saturating_sub(*first);
                span_ms / interval_ms.max(LEAST_INTERVAL_MS) + 1
            });
            rows.sum()
        };
        let node_of = |at: &usize| entities.get(*at).map_or("", |entity| &*entity.node);
        let mut order: Vec<usize> = (0..entities.len()).collect();
        // Stable: of a node in the order asked for.
        order.sort_by(|a, b| node_of(a).cmp(node_of(b)));
        let most = cells(LEAST_INTERVAL_MS);
        let mut pieces = Vec::new();
        for places in order.chunk_by(|a, b| node_of(a) == node_of(b)) {
            // Mostly they are few, however often the node tells rows.
            if (places.len() as u64).saturating_mul(most) <= AT_ONCE {
                pieces.push(places.to_vec());
                continue;
            }
            let state = self.node(places.first().map_or("", node_of));
            let cells = cells(state.map_or(LEAST_INTERVAL_MS, |state| state.interval_ms));
            let fit = usize::try_from(AT_ONCE / cells.max(1)).unwrap_or(usize::MAX);
            pieces.extend(places.chunks(fit.max(1)).map(<[usize]>::to_vec));
        }
        pieces
    }
}

/// Those at these places.
pub(super) fn at<'a>(places: &[usize], entities: &[&'a Entity]) -> Vec<&'a Entity> {
    let at = places.iter().filter_map(|at| entities.get(*at).copied());
    at.collect()
}
