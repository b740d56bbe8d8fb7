//! Answers that are made while they are read.
//!
//! A step is computed when the one before it has been taken by the client's connection, on a thread
//! of its own and with a turn that it gives back at once. So a client that reads slowly holds a place
//! among the readers, what it has not taken of one step, and nothing that a writer waits for.

use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::tasks;
use futures_util::stream::{Stream, unfold};
use tokio::time::{Instant, timeout};

use super::{Api, Seat, TURN_WITHIN};

/// How long one answer may be read.
const READ_WITHIN: Duration = Duration::from_secs(600);

/// Why an answer ends before it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// No turn came in time.
    #[error("too many large requests at once: try again in a moment, or ask for less")]
    Busy,
    /// It was not read to its end in time.
    #[error("the answer was not read within ten minutes: read faster, or ask for less")]
    Late,
    /// The process is going.
    #[error("the aggregator is going: ask another one")]
    Going,
    /// A defect of ours.
    #[error("the answer could not be made: see the log")]
    Failed,
}

impl Api {
    /// Runs what may read much of the window on a thread of its own, when its turn comes.
    ///
    /// # Errors
    ///
    /// [`Cut::Busy`] when none comes in time, [`Cut::Failed`].
    pub async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Cut> {
        let turns = Arc::clone(&self.turns);
        let Ok(Ok(turn)) = timeout(TURN_WITHIN, turns.acquire_owned()).await else {
            self.metrics.busy.inc();
            return Err(Cut::Busy);
        };
        // The turn is held until the work is done also when nobody waits for it any more.
        let done = tasks::blocking("query", move || (work(), turn)).await;
        done.map(|(done, _turn)| done).map_err(|_| Cut::Failed)
    }

    /// What `step` gives until it gives none, each when the one before has been taken. The seat is
    /// left at the end.
    pub fn steps<S: Send + 'static, T: Send + 'static>(
        &self,
        seat: Seat,
        state: S,
        step: fn(&mut S) -> Option<T>,
    ) -> impl Stream<Item = Result<T, Cut>> + Send + 'static {
        let api = self.clone();
        let until = Instant::now() + READ_WITHIN;
        unfold(Some((state, seat)), move |left| {
            let api = api.clone();
            async move {
                let (mut state, seat) = left?;
                if api.token.is_cancelled() {
                    return Some((Err(Cut::Going), None));
                }
                if Instant::now() > until {
                    return Some((Err(Cut::Late), None));
                }
                let stepped = api.in_turn(move || (step(&mut state), state)).await;
                match stepped {
                    Ok((made, state)) => Some((Ok(made?), Some((state, seat)))),
                    Err(cut) => Some((Err(cut), None)),
                }
            }
        })
    }
}
