//! Answers that are made while they are read.
//!
//! A piece is made on a thread of its own, with a turn that it gives back at once, and two of them at
//! a time: the next ones when the client's connection has taken those. So a client that reads slowly
//! holds a place among the readers, two pieces, and nothing that a writer waits for.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use cairn_runtime::tasks::{self, Group};
use futures_util::FutureExt as _;
use futures_util::stream::{Stream, StreamExt as _, iter, unfold};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout};

use super::{Api, Lease, Over, Seat, TURN_WITHIN};
use crate::pressure::Level;

/// Pieces of one answer that are made at once: one for each of two cores.
const AT_ONCE: usize = 2;

/// Tasks of one answer: those that make pieces, and as many that are about to end.
const MOST_TASKS: usize = 8 * AT_ONCE;

/// How long one answer may be read.
const READ_WITHIN: Duration = Duration::from_secs(600);

/// Why an answer does not begin, or ends before it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// No turn came in time.
    #[error("too many large requests at once: try again in a moment, or ask for less")]
    Busy,
    /// As many as may be are being read.
    #[error("too many answers are being read: try again in a moment")]
    Full,
    /// Memory is short.
    #[error("memory is short: try again in a while, or ask for less")]
    Short,
    /// It was not read to its end in time.
    #[error("the answer was not read within ten minutes: read faster, or ask for less")]
    Late,
    /// Its reader may be told no more.
    #[error("{0}")]
    Over(Over),
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
        let turn = self.turn().await?;
        // The turn is held until the work is done also when nobody waits for it any more, and no longer
        // than that also when nobody looks at what came of it.
        let done = tasks::blocking("query", move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| Cut::Failed)
    }

    /// An answer that is made as a whole, on a thread of its own, when its turn comes, and that has its share of
    /// the room of those that wait for their readers. What `work` refuses needs none.
    ///
    /// # Errors
    ///
    /// [`Cut::Short`], [`Cut::Busy`] without a turn or room in time, [`Cut::Failed`].
    pub(super) async fn whole<E: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<Response, E> + Send + 'static,
    ) -> Result<Result<Response, E>, Cut> {
        if self.pressure.level() == Level::Refuse {
            self.metrics.short_of_memory.inc();
            return Err(Cut::Short);
        }
        let turn = self.turn().await?;
        // The turn is held until the answer has its room, so that no more than a turn's answers are
        // without, and until the work is done also when nobody waits for it any more.
        let answered = tasks::blocking("query", move || (work(), turn)).await;
        let (response, _turn) = answered.map_err(|_| Cut::Failed)?;
        let response = match response {
            Ok(response) => response,
            refused => return Ok(refused),
        };
        let held = self.room.held(response, TURN_WITHIN).await;
        held.map(Ok).ok_or_else(|| {
            self.metrics.no_room.inc();
            Cut::Busy
        })
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Cut> {
        let turns = Arc::clone(&self.turns);
        let turn = timeout(TURN_WITHIN, turns.acquire_owned()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            self.metrics.busy.inc();
            Cut::Busy
        })
    }

    /// What `make` makes of each piece, in their order, for as long as its reader may be told. The seat is left
    /// at the end.
    ///
    /// A client that does not read leaves the stream unpolled. So each piece waits for its turn in a task
    /// of its own: in the stream it would be given a turn and hold it without knowing.
    pub(crate) fn made<P: Send + 'static, T: Send + 'static>(
        &self,
        seat: Seat,
        pieces: impl Iterator<Item = P> + Send + 'static,
        make: fn(P) -> T,
    ) -> impl Stream<Item = Result<T, Cut>> + Send + 'static {
        let held = Arc::new((self.clone(), seat));
        let until = Instant::now() + READ_WITHIN;
        // Tasks end with the stream.
        let tasks = Group::new("pieces", MOST_TASKS);
        let making = iter(pieces).map(move |piece| {
            let held = Arc::clone(&held);
            let (tell, told) = oneshot::channel();
            let making = async move {
                let (api, _) = &*held;
                let made = if api.token.is_cancelled() {
                    Err(Cut::Going)
                } else if Instant::now() > until {
                    Err(Cut::Late)
                } else {
                    api.in_turn(move || make(piece)).await
                };
                drop(tell.send(made));
            };
            let started = tasks.try_spawn(making);
            async move {
                started.map_err(|_| Cut::Failed)?;
                told.await.unwrap_or(Err(Cut::Failed))
            }
        });
        while_leased(making.buffered(AT_ONCE), self.lease.clone())
    }
}

/// Ends with why, when the lease is over before everything was told.
fn while_leased<T>(
    told: impl Stream<Item = Result<T, Cut>> + Send + 'static,
    lease: Lease,
) -> impl Stream<Item = Result<T, Cut>> + Send + 'static
where
    T: Send + 'static,
{
    let begin = Some((told.boxed(), lease.clone(), lease.over().boxed()));
    unfold(begin, |state| async move {
        let (mut told, lease, mut over) = state?;
        tokio::select! {
            biased;
            over = &mut over => Some((Err(Cut::Over(over)), None)),
            next = lease.settled(told.next()) => next.map(|next| (next, Some((told, lease, over)))),
        }
    })
}
