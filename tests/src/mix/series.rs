//! Values that move by a table: one line says where a field begins, in what steps and how fast.

use cairn_proto::catalogue::{FieldId, Kind as FieldKind, table};

use super::Kind;
use super::load::Step;
use super::rng::Rng;

/// How a field begins and moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) field: FieldId,
    /// About so much at the beginning.
    pub(super) start: u64,
    /// It moves by multiples of this.
    pub(super) unit: u64,
    /// By so many units in a thousand seconds, on the average.
    pub(super) pace: u64,
}

/// Short for a table's line.
pub(super) const fn shape(field: FieldId, start: u64, unit: u64, pace: u64) -> Shape {
    Shape {
        field,
        start,
        unit,
        pace,
    }
}

#[derive(Clone, Debug)]
struct Series {
    shape: Shape,
    is_counter: bool,
    value: u64,
}

/// The values of one entity that are measured together.
#[derive(Clone, Debug, Default)]
pub(super) struct Bundle(Vec<Series>);

impl Bundle {
    /// Counters begin somewhere about their start, gauges there.
    pub(super) fn new(shapes: impl IntoIterator<Item = Shape>, rng: &mut Rng) -> Self {
        let series = |shape: Shape| {
            let is_counter =
                table::field(shape.field).is_some_and(|row| row.kind == FieldKind::Counter);
            let spread = if is_counter { shape.start } else { 0 };
            let begun = shape.start + rng.below(spread);
            Series {
                shape,
                is_counter,
                value: begun / shape.unit * shape.unit,
            }
        };
        Self(shapes.into_iter().map(series).collect())
    }

    /// Lets so many ms pass.
    pub(super) fn step(&mut self, step: Step, over_ms: u64, rng: &mut Rng) {
        for one in &mut self.0 {
            let Shape {
                start, unit, pace, ..
            } = one.shape;
            // In thousandths, so that slow ones move now and then.
            let moved = (rng.below(2 * pace * over_ms / 1000 + 1) + rng.below(1000)) / 1000;
            if one.is_counter {
                let least = if step.kind == Kind::B { 1 } else { 0 };
                one.value += moved.max(least) * unit;
            } else if rng.one_in(2) {
                // Up to twice of what it began with, so that nothing runs away.
                one.value = (one.value + moved * unit).min(start.saturating_mul(2));
            } else {
                one.value = one.value.saturating_sub(moved * unit);
            }
        }
    }

    /// The values.
    pub(super) fn values(&self) -> impl Iterator<Item = (FieldId, u64)> + '_ {
        self.0.iter().map(|one| (one.shape.field, one.value))
    }

    /// One of the values; 0 when it is not among them.
    pub(super) fn value(&self, field: FieldId) -> u64 {
        let mut values = self.values();
        values
            .find(|(one, _)| *one == field)
            .map_or(0, |(_, value)| value)
    }
}
