//! Goal 4 at one row a second: a window of as many rows as seconds.

use anyhow::Result;

use super::fill::Fill;
use super::sheet::Sheet;
use super::w10::memory;
use super::{Goal, Options};
use crate::mix::Kind;
use crate::proc::cores;

/// A window of 900 rows, and what is kept beyond it for rates and held values at its border.
const TICKS: u64 = 1_016;

pub(super) fn run(options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let fill = Fill {
        interval_ms: 1_000,
        ticks: TICKS,
        ..Fill::alone(Kind::C, options.share(25))
    };
    let filled = cores::on(cores::OURS, || fill.run(Vec::new()))?;
    memory::tell(&filled, options.goal(Goal::AtMost(0.6)), sheet)
}
