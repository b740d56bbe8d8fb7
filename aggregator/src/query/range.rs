//! One field over a range of ticks, of many entities, a few series at a time.

use std::ops;
use std::sync::Arc;

use cairn_proto::catalogue::Field;

use super::present::is_current_at;
use super::{Bounds, Choice, Refusal, Sample, View};
use crate::store::Entity;

/// Values of one answer: a quarter of an hour of ten-second ticks of 250 pods with every field. More
/// would be hundreds of megabytes for one request.
pub const MAX_VALUES: usize = 4_000_000;

/// Values that are read at once: 90 pods over a quarter of an hour, in about a millisecond.
const PIECE_VALUES: usize = 8_192;

/// What is to be read. It holds the names of the entities and nothing of their rows.
#[derive(Clone, Debug)]
pub struct Range(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    view: View,
    field: &'static Field,
    ticks_ms: Vec<u64>,
    // By node, so that what the entities of one share is read once; each with the newest tick of its node.
    entities: Vec<(Entity, u64)>,
}

/// One of its series.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Whose it is.
    pub entity: &'a Entity,
    /// True when that was there in its node's newest row, and the row was young enough.
    pub is_current: bool,
    /// A sample for each tick. It may end before the ticks do: what its node has not delivered is not
    /// known yet.
    pub samples: &'a [Option<Sample>],
}

/// Some of its series.
#[derive(Clone, Debug)]
pub struct Piece {
    of: Range,
    places: ops::Range<usize>,
}

impl Range {
    /// Looks up what is chosen.
    ///
    /// # Errors
    ///
    /// When there is no such field, or it would be too many values.
    pub fn new(view: View, choice: &Choice, field: &str, bounds: Bounds) -> Result<Self, Refusal> {
        let field = choice.field(field)?;
        let mut entities = choice.find(&view);
        entities.sort_by(|a, b| a.node.cmp(&b.node));
        let of_nodes: Vec<&[Entity]> = entities.chunk_by(|a, b| a.node == b.node).collect();
        let names = of_nodes
            .iter()
            .filter_map(|some| Some(&*some.first()?.node));
        let newest = view.newest_of_each(&names.collect::<Vec<&str>>());
        // A right clock comes before a later tick. A node's own values do not wait for other nodes.
        let last = newest.iter().max().map(|(_, newest)| *newest);
        let each = of_nodes.iter().zip(newest);
        let each = each.flat_map(|(some, (_, newest))| some.iter().map(move |_| newest));
        let each: Vec<u64> = each.collect();
        let ticks_ms = last.map_or_else(Vec::new, |newest| view.ticks(newest, bounds));
        let mut entities: Vec<(Entity, u64)> = entities.into_iter().zip(each).collect();
        if let (Some(first), Some(last)) = (ticks_ms.first(), ticks_ms.last()) {
            let held_ms = field.read_as().group.max_age_ms();
            entities.retain(|(entity, _)| {
                let until = entity.last_tick_ms.saturating_add(held_ms);
                until >= *first && entity.first_tick_ms <= *last
            });
        }
        if entities.len().saturating_mul(ticks_ms.len()) > MAX_VALUES {
            return Err(Refusal(format!(
                "that is more than {MAX_VALUES} values: shorten it by start and end, or name a \
                 namespace, a node or a pod"
            )));
        }
        Ok(Self(Arc::new(Asked {
            view,
            field,
            ticks_ms,
            entities,
        })))
    }

    /// The field.
    #[must_use]
    pub fn field(&self) -> &'static Field {
        self.0.field
    }

    /// The ticks of every series, Unix ms.
    #[must_use]
    pub fn ticks_ms(&self) -> &[u64] {
        &self.0.ticks_ms
    }

    /// All of it, in pieces that can be read one after the other or at once.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + Send + use<> {
        let of = self.clone();
        let fit = PIECE_VALUES.div_ceil(of.ticks_ms().len().max(1));
        let ends = (0..of.0.entities.len()).step_by(fit);
        ends.map(move |start| {
            let end = (start + fit).min(of.0.entities.len());
            let (of, places) = (of.clone(), start..end);
            Piece { of, places }
        })
    }
}

impl Piece {
    /// Shows the series that have a value at any of the ticks.
    pub fn read(&self, mut see: impl FnMut(Series<'_>)) {
        let Asked {
            view,
            field,
            ticks_ms,
            entities,
        } = &*self.of.0;
        let known = |newest: u64| ticks_ms.partition_point(|tick_ms| *tick_ms <= newest);
        let some = entities.get(self.places.clone()).unwrap_or_default();
        // Nearly always all of them: nodes that have delivered as much are read together.
        for alike in some.chunk_by(|a, b| known(a.1) == known(b.1)) {
            let known = known(alike.first().map_or(0, |(_, newest)| *newest));
            let known = ticks_ms.get(..known).unwrap_or_default();
            let asked: Vec<&Entity> = alike.iter().map(|(entity, _)| entity).collect();
            view.each_series(&asked, field, known, |nth, samples| {
                let has_any = samples.iter().any(Option::is_some);
                if let Some((entity, newest)) = alike.get(nth).filter(|_| has_any) {
                    see(Series {
                        entity,
                        is_current: is_current_at(entity, *newest),
                        samples,
                    });
                }
            });
        }
    }
}
