//! A source that reads in a thread of its own, asked once.

use std::io;
use std::time::Duration;

use cairn_runtime::clock::Line;

use super::finding::{Finding, Trouble};
use crate::sources::{Feed, Outcome, Reading, Trigger};

/// That no thread can be had.
pub(super) fn none(error: &io::Error) -> Trouble {
    let reason = format!("no thread to read it in: {error}: check this user's limits");
    Trouble::new("read", reason)
}

/// Asks it and notes what came of it; its reading, when that is good. `late` says what to check when it
/// does not answer in time.
pub(super) async fn ask<'a, T>(
    feed: &'a mut Feed<T>,
    line: Line,
    deadline: Duration,
    found: &mut Finding,
    late: &str,
) -> Option<&'a Reading<T>> {
    let tick = line.unix_ms();
    match feed.scrape(Trigger { tick, line }, deadline).await {
        Outcome::Answered(Ok(_)) => {
            found.reached = true;
            return feed.last();
        }
        Outcome::Answered(Err(failure)) => found.failure = Some(failure.into()),
        Outcome::Pending | Outcome::Busy | Outcome::Gone => {
            let address = &found.address;
            let reason = format!("{address} was not read within {deadline:?}: check {late}");
            found.failure = Some(Trouble::new("timeout", reason));
        }
    }
    None
}
