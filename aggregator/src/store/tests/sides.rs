//! Both stores, each with both of its sides.

use super::*;

/// A store with both of its sides.
pub(super) trait Whole: Door + Exchange {}

impl<S: Door + Exchange> Whole for S {}

pub(super) fn stores() -> [Box<dyn Whole>; 2] {
    [
        Box::new(PlainStore::new(WINDOW, 0)),
        Box::new(PackedStore::new(WINDOW, 0)),
    ]
}

/// Distance of the ticks.
pub(super) const STEP: u64 = 10_000;

/// The tick of this number.
pub(super) fn at(k: u64) -> u64 {
    T0 + k * STEP
}
