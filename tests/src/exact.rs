//! What the scripts of `tests/expect` say of a recording, held against what an aggregator says.
//!
//! [`Expected`] is the output of a script, [`Found`] collects what differs from it, and [`Asker`]
//! asks for the many series of one tick over kept connections.

mod asker;
mod expected;
mod found;
mod native;

pub use asker::Asker;
pub use expected::{Expected, Script, is_of_host, is_of_kubelet};
pub use found::Found;
pub use native::{Cell, Cells};
pub(crate) use native::{Entity, key};

use std::collections::BTreeMap;

/// Points of one series of the model API by tick, Unix ms.
pub type Points = BTreeMap<u64, Point>;

/// A value and, of a metric with a fraction, the value with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The value without its fraction.
    pub value: u64,
    /// The value with it.
    pub float: Option<f64>,
}

/// Whether two numbers are one, but for the last digits of the arithmetic.
fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}

/// [`is_near`] of numbers that may be absent.
fn are_near(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => is_near(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

#[cfg(test)]
mod tests;
