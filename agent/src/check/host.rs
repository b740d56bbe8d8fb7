//! /proc.

use std::path::Path;
use std::time::Duration;

use cairn_proto::catalogue::Source;
use cairn_runtime::clock::Line;
use tokio::time::Instant;

use super::finding::{Finding, Trouble, Values};
use crate::sources::{Feed, Outcome, Trigger, procfs};

/// Reads the host's figures once, in the thread that such a read needs.
pub(super) async fn look(root: &Path, line: Line, deadline: Duration) -> Vec<Finding> {
    let began = Instant::now();
    let (mut feed, worker) = Feed::new(Source::Procfs);
    let mut found = Finding::new("procfs", root.display().to_string());
    if let Err(error) = procfs::start(root.to_owned(), worker) {
        let reason = format!("no thread to read it in: {error}: check this user's limits");
        found.failure = Some(Trouble::new("read", reason));
        return vec![found];
    }
    let tick = line.unix_ms();
    let outcome = feed.scrape(Trigger { tick, line }, deadline).await;
    found.took = began.elapsed();
    match outcome {
        Outcome::Answered(Ok(_)) => {
            found.reached = true;
            found.values = Values {
                values: feed.last().map(|reading| {
                    let parts = reading.values.parts.iter();
                    let of_parts = parts.map(|part| part.figures.values().len());
                    reading.values.figures.values().len() + of_parts.sum::<usize>()
                }),
                ..Values::default()
            };
        }
        Outcome::Answered(Err(failure)) => found.failure = Some(failure.into()),
        Outcome::Pending | Outcome::Busy | Outcome::Gone => {
            let reason = format!(
                "{} was not read within {deadline:?}: check --proc-root, and the disks and file \
                 systems of this machine",
                root.display()
            );
            found.failure = Some(Trouble::new("timeout", reason));
        }
    }
    vec![found]
}
