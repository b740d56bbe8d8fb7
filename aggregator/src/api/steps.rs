//! Answers that are made while they are read.
//!
//! A piece is made on a thread of its own, with a turn that it gives back at once, and two of them at
//! a time: the next ones when the client's connection has taken those. So a client that reads slowly
//! holds a place among the readers, two pieces, and nothing that a writer waits for.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use cairn_runtime::tasks::{self, Group};
use futures_util::FutureExt as _;
use futures_util::stream::{Stream, StreamExt as _, iter, unfold};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout_at};

use super::room::{self, NoRoom, Share};
use super::secure::Pieces;
use super::shares::{Part, READERS};
use super::{Api, Lease, MAX_READERS, MAX_STREAMS, OWN_TURNS, Over, Seat, TURN_WITHIN};
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
    /// As many streams as may be are open.
    #[error("too many open event streams: close some pages and try again")]
    Crowded,
    /// This reader has as much as one may have.
    #[error("{0}")]
    OfOne(Most),
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

/// The most that one reader may have of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Most {
    /// Answers that are made while they are read.
    #[error(
        "one reader may have {n} answers under way that are made while they are read, and you have: read or close \
         some, then try again",
        n = MAX_READERS / READERS
    )]
    Readers,
    /// Event streams and watches.
    #[error(
        "one reader may have {n} open streams, and you have: close some pages or watches, then try again",
        n = MAX_STREAMS / READERS
    )]
    Streams,
    /// Large requests that are made.
    #[error(
        "one reader may have {n} large requests made at a time, and yours before this one took too long: try again \
         in a moment, or ask for less",
        n = OWN_TURNS
    )]
    Turns,
    /// Frames of pages that are waited for.
    #[error(
        "one reader may wait for {n} different pages, and you do: close some, then try again",
        n = MAX_STREAMS / READERS
    )]
    Looks,
    /// Bytes of answers that are not sent yet.
    #[error(
        "one reader may have {n} bytes of answers that were not read yet, and you have: read or close them, then try \
         again",
        n = room::ROOM_BYTES / READERS
    )]
    Room,
}

impl Most {
    pub(super) const ALL: [Self; 5] = [
        Self::Readers,
        Self::Streams,
        Self::Turns,
        Self::Looks,
        Self::Room,
    ];

    /// What it is called in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Readers => "answers",
            Self::Streams => "streams",
            Self::Turns => "turns",
            Self::Looks => "looks",
            Self::Room => "room",
        }
    }
}

/// A turn, which is also one of its reader's own.
struct Turn {
    of_all: OwnedSemaphorePermit,
    _own: Part,
}

impl Api {
    /// Runs what may read much of the window on a thread of its own, when its turn comes.
    ///
    /// # Errors
    ///
    /// [`Cut::Busy`] when none comes in time, [`Cut::OfOne`] when that is for others of the same reader,
    /// [`Cut::Failed`].
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
    /// [`Cut::Short`], [`Cut::Busy`] without a turn or room in time, [`Cut::OfOne`] when that is for others of the
    /// same reader, [`Cut::Failed`].
    pub(super) async fn whole<E: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<Response, E> + Send + 'static,
    ) -> Result<Result<Response, E>, Cut> {
        if self.pressure.level() == Level::Refuse {
            self.metrics.short_of_memory.inc();
            return Err(Cut::Short);
        }
        let turn = self.turn().await?;
        // The turn is held until the work is done also when nobody waits for it any more, and the reader's own until
        // the answer has its room: who does not read has no more made meanwhile.
        let answered = tasks::blocking("query", move || (work(), turn)).await;
        let (response, Turn { of_all, _own }) = answered.map_err(|_| Cut::Failed)?;
        let response = match response {
            Ok(response) => response,
            refused => return Ok(refused),
        };
        let until = Instant::now() + TURN_WITHIN;
        let is_all = self.visible.has_all();
        let reader = (&self.reader, is_all);
        let held = self.room.held(response, reader, until, of_all);
        match held.await {
            Ok(response) => Ok(Ok(response)),
            Err(NoRoom::OfOne) => Err(self.over(Most::Room)),
            Err(NoRoom::TooLarge) => Ok(Ok(room::too_large_for_one())),
            Err(NoRoom::All) => {
                self.metrics.no_room.inc();
                Err(Cut::Busy)
            }
        }
    }

    /// A share of the room for something that is kept while it is read. Who may see all of it has no share of
    /// their own.
    ///
    /// # Errors
    ///
    /// [`Cut::Busy`], [`Cut::OfOne`].
    pub(super) fn share(&self, bytes: usize, is_all: bool) -> Result<Share, Cut> {
        let reader = self.reader.as_ref().filter(|_| !is_all);
        self.room
            .share(bytes, &reader.cloned())
            .map_err(|no_room| match no_room {
                NoRoom::OfOne => self.over(Most::Room),
                NoRoom::All | NoRoom::TooLarge => {
                    self.metrics.no_room.inc();
                    Cut::Busy
                }
            })
    }

    /// Does something more with each of the pieces, one after the other, on a thread of its own when its turn comes:
    /// what takes as long as the piece is large is no work for the threads that hand answers out. `None` is the end of
    /// the pieces, and comes once.
    pub(super) fn dressed<S: Send + 'static>(
        &self,
        pieces: Pieces,
        state: S,
        dress: fn(&mut S, Option<Bytes>) -> Result<Bytes, Cut>,
    ) -> Pieces {
        let begin = Some((
            pieces,
            state,
            self.clone(),
            Group::new("dressing", MOST_TASKS),
        ));
        let dressed = unfold(begin, move |begin| async move {
            let (mut pieces, mut state, api, tasks) = begin?;
            let piece = match pieces.next().await {
                Some(Err(cut)) => return Some((Err(cut), None)),
                Some(Ok(piece)) => Some(piece),
                None => None,
            };
            let is_end = piece.is_none();
            let (tell, told) = oneshot::channel();
            let turn = api.clone();
            // In a task, for the reason that `made` has.
            let started = tasks.try_spawn(async move {
                let done = turn.in_turn(move || {
                    let done = dress(&mut state, piece);
                    (state, done)
                });
                drop(tell.send(done.await));
            });
            let done = match started {
                Ok(()) => told.await.unwrap_or(Err(Cut::Failed)),
                Err(_) => Err(Cut::Failed),
            };
            match done {
                Ok((_, Ok(bytes))) if is_end => (!bytes.is_empty()).then_some((Ok(bytes), None)),
                Ok((state, Ok(bytes))) => Some((Ok(bytes), Some((pieces, state, api, tasks)))),
                Ok((_, Err(cut))) | Err(cut) => Some((Err(cut), None)),
            }
        });
        dressed.boxed()
    }

    /// Waits at first for those of the same reader, who so stands in the line of all with few requests at a time.
    async fn turn(&self) -> Result<Turn, Cut> {
        let until = Instant::now() + TURN_WITHIN;
        let own = self.own_turns.take(&self.reader, 1, until).await;
        let own = own.ok_or_else(|| self.over(Most::Turns))?;
        let turns = Arc::clone(&self.turns);
        let turn = timeout_at(until, turns.acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or_else(|| {
            self.metrics.busy.inc();
            Cut::Busy
        })?;
        Ok(Turn {
            of_all: turn,
            _own: own,
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
