//! One field over a range of ticks, of many entities, a few series at a time.

use cairn_proto::catalogue::Field;

use super::{Bounds, Choice, Refusal, Sample, View};
use crate::store::Entity;

/// Values of one answer: a quarter of an hour of ten-second ticks of 250 pods with every field. More
/// would be hundreds of megabytes for one request.
pub const MAX_VALUES: usize = 4_000_000;

/// Values that are read at once: 180 pods over a quarter of an hour, in some two milliseconds.
const BATCH_VALUES: usize = 16_384;

/// The series that are still to be read. Between two batches it holds the names of the entities and
/// nothing of their rows.
#[derive(Debug)]
pub struct Range {
    view: View,
    field: &'static Field,
    ticks_ms: Vec<u64>,
    // By node, so that what the entities of one share is read once.
    entities: Vec<Entity>,
    next: usize,
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
        // A node's own values do not wait for other nodes.
        let newest = entities.iter().map(|e| view.newest_of_node(&e.node)).max();
        let ticks_ms = newest.map_or_else(Vec::new, |newest| view.ticks(newest, bounds));
        if let (Some(first), Some(last)) = (ticks_ms.first(), ticks_ms.last()) {
            let held_ms = field.group.max_age_ms();
            entities.retain(|entity| {
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
        entities.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(Self {
            view,
            field,
            ticks_ms,
            entities,
            next: 0,
        })
    }

    /// The field.
    #[must_use]
    pub fn field(&self) -> &'static Field {
        self.field
    }

    /// The ticks of every series, Unix ms.
    #[must_use]
    pub fn ticks_ms(&self) -> &[u64] {
        &self.ticks_ms
    }

    /// Shows the next series that have a value at any of the ticks; false when there are none left.
    /// A series may end before the ticks do: what its node has not delivered is not known yet.
    pub fn batch(&mut self, mut see: impl FnMut(&Entity, &[Option<Sample>])) -> bool {
        let left = self.entities.get(self.next..).unwrap_or_default();
        let mut room = BATCH_VALUES;
        for of_node in left.chunk_by(|a, b| a.node == b.node) {
            let fit = room.div_ceil(self.ticks_ms.len().max(1));
            let some: Vec<&Entity> = of_node.iter().take(fit).collect();
            let newest = some
                .first()
                .map_or(0, |e| self.view.newest_of_node(&e.node));
            let known = self.ticks_ms.partition_point(|tick_ms| *tick_ms <= newest);
            let ticks_ms = self.ticks_ms.get(..known).unwrap_or_default();
            self.view
                .each_series(&some, self.field, ticks_ms, |nth, samples| {
                    let entity = some
                        .get(nth)
                        .filter(|_| samples.iter().any(Option::is_some));
                    if let Some(entity) = entity {
                        see(entity, samples);
                    }
                });
            self.next += some.len();
            room = room.saturating_sub(some.len() * self.ticks_ms.len().max(1));
            if room == 0 {
                break;
            }
        }
        !left.is_empty()
    }
}
