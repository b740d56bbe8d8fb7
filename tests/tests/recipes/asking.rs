//! Somebody who asks for metrics.k8s.io all the while, as an autoscaler does, and who answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use testkit::again::Again;
use testkit::deadline::Deadline;
use testkit::http1::{Answer, Target};

use super::SOON;

/// Between two questions.
const PACE: Duration = Duration::from_millis(50);

/// What is asked for.
const PATH: &str = "/apis/metrics.k8s.io/v1beta1/nodes";

/// What was answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// So often by the one who was there before.
    pub(super) before: usize,
    /// So often by Cairn.
    pub(super) cairn: usize,
    /// What else came.
    pub(super) failures: Vec<String>,
}

/// Asks in a thread of its own until it is dropped.
pub(super) struct Asking {
    seen: Arc<Mutex<Seen>>,
    _again: Again,
}

impl Asking {
    /// Asks this server; what the one before answers is known.
    pub(super) fn start(target: Target, before: Value) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let into = Arc::clone(&seen);
        let again = Again::every(PACE, move || {
            let answer = target.get(PATH).map_err(|error| format!("{error:?}"));
            let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
            match answer.and_then(|answer| read(&answer)) {
                Ok(list) if list == before => seen.before += 1,
                Ok(_) => seen.cairn += 1,
                Err(why) => seen.failures.push(why),
            }
        });
        Self {
            seen,
            _again: again,
        }
    }

    /// What came since this was asked last.
    pub(super) fn take(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *seen)
    }

    /// Waits for some answers more, and says what came since this was asked last.
    pub(super) fn more(&self) -> Seen {
        let mut all = Seen::default();
        let enough = Deadline::after(SOON).poll(|| {
            let seen = self.take();
            all.before += seen.before;
            all.cairn += seen.cairn;
            all.failures.extend(seen.failures);
            (all.before + all.cairn + all.failures.len() >= 20).then_some(())
        });
        assert!(enough.is_some(), "{all:?}");
        all
    }
}

/// A list with nodes in it.
fn read(answer: &Answer) -> Result<Value, String> {
    let told = || format!("{} {}", answer.status, answer.text());
    let list: Value = serde_json::from_slice(&answer.body).map_err(|_| told())?;
    let has_nodes = list["items"]
        .as_array()
        .is_some_and(|items| !items.is_empty());
    if answer.status != 200 || !has_nodes {
        return Err(told());
    }
    Ok(list)
}
