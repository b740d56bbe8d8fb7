//! Goal 13: pods that come and go for two hours of the driven clock.

use std::time::Duration;

use anyhow::Result;

use super::fill::Fill;
use super::sheet::Sheet;
use super::{Goal, Line, Options};
use crate::deadline::Deadline;
use crate::mix::Kind;
use crate::proc::cores;
use crate::proc::used::Memory;

/// Two hours every 10 s.
const TICKS: u64 = 720;

/// The rows of half of that are behind it at this tick.
const HALF: u64 = TICKS / 2;

/// Part of the pods that is replaced each minute.
const CHURN: f64 = 0.1;

/// Memory is looked at so often.
const LOOK_EVERY: u64 = 10;

/// Several times what it takes.
const WITHIN: Duration = Duration::from_secs(180);

pub(super) fn run(kind: Kind, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    cores::on(cores::OURS, || soak(kind, options, sheet))
}

fn soak(kind: Kind, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let fill = Fill {
        churn_per_minute: CHURN,
        ..Fill::alone(kind, options.share(50))
    };
    let mut filled = fill.run(Vec::new())?;
    let ticking = &mut filled.ticking;
    let deadline = Deadline::after(WITHIN);
    let first = filled.full.resident;
    let counted_first = filled.counted_bytes;
    let (mut most, mut last, mut half) = (first, first, first);
    for tick in fill.ticks..TICKS {
        ticking.steps(1, deadline)?;
        if tick % LOOK_EVERY == 0 || tick + 1 == TICKS {
            last = Memory::of(ticking.bed.aggregator.id())?.resident;
            most = most.max(last);
        }
        if tick == HALF {
            half = last;
        }
    }
    ticking.taken(deadline)?;
    let counted = ticking.bed.figure("store_bytes", "")?;
    let data = format!(
        "{}, a tenth of the pods replaced a minute, {TICKS} ticks",
        fill.words()
    );
    let times = |a: u64, b: u64| a as f64 / b.max(1) as f64;
    let mib = |bytes: u64| bytes >> 20;
    let line = |name, value, goal, more: String| Line {
        number: "13",
        name,
        value,
        unit: "times",
        goal,
        data: format!("{data}; {more}"),
    };
    let of_first = format!(
        "the most resident memory by the {} MiB after the first window; the store counts {} MiB after {} MiB",
        mib(first),
        mib(counted),
        mib(counted_first)
    );
    let goal = options.goal_of(kind, Goal::AtMost(1.15));
    sheet.line(&line("churn_rss", times(most, first), goal, of_first))?;
    let of_half = format!(
        "the {} MiB at the end by the {} MiB an hour earlier",
        mib(last),
        mib(half)
    );
    sheet.line(&line(
        "churn_rss_second_hour",
        times(last, half),
        options.goal_of(kind, Goal::AtMost(1.03)),
        of_half,
    ))?;
    Ok(())
}
