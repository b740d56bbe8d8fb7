//! Names that aggregators are asked for.
//!
//! Cgroups know pods by UID and containers by their runtime's id. An aggregator that watches pods knows
//! who they are. The sampler puts one question at a time; the session whose turn it is takes it, and what
//! its aggregator says comes back the same way. Only what was asked for gets through: whoever the
//! aggregator is, it tells of nobody else.
//!
//! Bounds: one question of [`MAX_RESOLVE_IDS`] pods and as many containers, one answer that was not taken
//! yet, and one seat a session, with one question unanswered at most.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_proto::limits::MAX_RESOLVE_IDS;
use cairn_proto::model::{EntityKind, check_name};
use cairn_proto::v1::{self, names};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::metrics::{ByKind, Names as Metrics};

/// An aggregator that has not answered for so long is asked nothing more until it has, and the next one
/// is asked.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Whom somebody wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// UIDs of pods, at most [`MAX_RESOLVE_IDS`].
    pub pods: Vec<Box<str>>,
    /// Runtime ids of containers, as many.
    pub containers: Vec<Box<str>>,
}

/// What an aggregator said to a question. What is not in it, it does not know.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The question.
    pub question: Question,
    /// Pods that were asked for, each once, with names that may be shown.
    pub pods: Vec<names::Pod>,
    /// The same of containers.
    pub containers: Vec<names::Container>,
    /// How long the answer took.
    pub took: Duration,
}

impl Told {
    /// True when everybody who was asked for is named.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let Question { pods, containers } = &self.question;
        self.pods.len() + self.containers.len() == pods.len() + containers.len()
    }
}

/// Where questions and answers wait. All clones are one.
#[derive(Clone, Debug)]
pub struct Names {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    // Told of each question, and of each end of one.
    asked: watch::Sender<()>,
    ended: watch::Sender<()>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    // In the order in which they came.
    seats: Vec<Place>,
    newest: u64,
    // Who is asked next, counted on over all seats.
    turn: usize,
    out: Option<Out>,
    told: Option<Told>,
}

#[derive(Debug)]
struct Place {
    id: u64,
    // It was sent a question and has not answered.
    owes: bool,
}

/// A question that is not answered yet.
#[derive(Debug)]
struct Out {
    question: Question,
    seat: u64,
    since: Instant,
}

impl Names {
    /// Makes a place without anybody to ask.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        let inner = Inner {
            state: Mutex::default(),
            asked: watch::Sender::default(),
            ended: watch::Sender::default(),
            metrics,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Takes a session whose aggregator answers questions; it may be asked until the seat is dropped.
    #[must_use]
    pub fn enrol(&self) -> Seat {
        let asked = self.inner.asked.subscribe();
        let mut state = self.lock();
        state.newest += 1;
        let id = state.newest;
        state.seats.push(Place { id, owes: false });
        Seat {
            names: self.clone(),
            id,
            asked,
        }
    }

    /// The number of the session that came last, while there is somebody who can be asked now.
    #[must_use]
    pub fn newest_session(&self) -> Option<u64> {
        let mut state = self.lock();
        if let Some(out) = state.out.take() {
            if out.since.elapsed() < ANSWER_DEADLINE {
                state.out = Some(out);
                return None;
            }
            self.count("late", 1);
        }
        let is_free = state.told.is_none() && state.seats.iter().any(|seat| !seat.owes);
        is_free.then_some(state.newest)
    }

    /// Puts a question. False when there is nobody to ask, or another one is under way.
    pub fn ask(&self, question: Question) -> bool {
        let mut state = self.lock();
        if state.out.is_some() || state.told.is_some() {
            return false;
        }
        let count = state.seats.len();
        let order = (0..count).filter_map(|n| state.turn.wrapping_add(n).checked_rem(count));
        let mut seats = order.filter_map(|at| state.seats.get(at));
        let Some(seat) = seats.find(|seat| !seat.owes).map(|seat| seat.id) else {
            return false;
        };
        let ids = question.pods.len() + question.containers.len();
        self.inner.metrics.asked.inc_by(ids as u64);
        state.out = Some(Out {
            question,
            seat,
            since: Instant::now(),
        });
        drop(state);
        self.inner.asked.send_modify(|()| ());
        true
    }

    /// Waits until no question is under way; false when there still is one at `until`. Cancel safe.
    pub async fn answered(&self, until: Instant) -> bool {
        let mut ended = self.inner.ended.subscribe();
        loop {
            if self.lock().out.is_none() {
                return true;
            }
            if !matches!(timeout_at(until, ended.changed()).await, Ok(Ok(()))) {
                return false;
            }
        }
    }

    /// Takes the answer, if one came.
    #[must_use]
    pub fn take(&self) -> Option<Told> {
        self.lock().told.take()
    }

    /// Asks somebody else the next time, if there is one: what was said to everything is not all so.
    pub fn pass_turn(&self) {
        let mut state = self.lock();
        state.turn = state.turn.wrapping_add(1);
    }

    /// Counts names that came, by what became of them: `not_asked`, `malformed` or `taken`, and those taken that were of
    /// no use again as `misplaced`, or that another one has too as `doubled`; and answers that came too late, or
    /// never, as `late`.
    pub fn count(&self, kind: &'static str, count: usize) {
        if count == 0 {
            return;
        }
        let of = self.inner.metrics.told.get_or_create(&ByKind { kind });
        of.inc_by(count as u64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = &self.inner.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say_ended(&self) {
        self.inner.ended.send_modify(|()| ());
    }

    /// Keeps of an answer what was asked for and may be shown.
    fn check(&self, out: Out, names: v1::Names) -> Told {
        let Out {
            question, since, ..
        } = out;
        let mut pods: HashSet<&str> = question.pods.iter().map(|uid| &**uid).collect();
        let mut containers: HashSet<&str> = question.containers.iter().map(|id| &**id).collect();
        let came = names.pods.len() + names.containers.len();
        // No more can be meant, and what is over is not looked at.
        let named = names.pods.into_iter().take(MAX_RESOLVE_IDS);
        let named: Vec<_> = named.filter(|of| pods.remove(&*of.uid)).collect();
        let called = names.containers.into_iter().take(MAX_RESOLVE_IDS);
        let called = called.filter(|of| containers.remove(&*of.runtime_id));
        let called: Vec<_> = called.collect();
        let meant = named.len() + called.len();
        let is_pod = |text: &str| check_name(EntityKind::Pod, text).is_ok();
        let is_container = |text: &str| check_name(EntityKind::Container, text).is_ok();
        let named = named.into_iter();
        let named = named.filter(|of| is_pod(&of.namespace) && is_pod(&of.name));
        let called = called.into_iter().filter(|of| is_container(&of.container));
        let told = Told {
            pods: named.collect(),
            containers: called.collect(),
            took: since.elapsed(),
            question,
        };
        let good = told.pods.len() + told.containers.len();
        for (kind, count) in [
            ("not_asked", came - meant),
            ("malformed", meant - good),
            ("taken", good),
        ] {
            self.count(kind, count);
        }
        told
    }
}

/// A session that may be asked. Dropping it gives its turn to another one.
#[derive(Debug)]
pub struct Seat {
    names: Names,
    id: u64,
    asked: watch::Receiver<()>,
}

impl Seat {
    /// Waits until somebody is asked. Cancel safe.
    pub async fn asked(&mut self) {
        if self.asked.changed().await.is_err() {
            // The other end is in `names`, so it is not gone.
            std::future::pending::<()>().await;
        }
    }

    /// The question, if it is for this session; once.
    pub fn question(&mut self) -> Option<v1::Resolve> {
        let mut state = self.names.lock();
        let State { seats, out, .. } = &mut *state;
        let out = out.as_ref().filter(|out| out.seat == self.id)?;
        let seat = seats.iter_mut().find(|seat| seat.id == self.id)?;
        if std::mem::replace(&mut seat.owes, true) {
            return None;
        }
        let all = |ids: &[Box<str>]| ids.iter().map(ToString::to_string).collect();
        Some(v1::Resolve {
            runtime_ids: all(&out.question.containers),
            pod_uids: all(&out.question.pods),
        })
    }

    /// Takes what the aggregator says; false when it was not asked.
    pub fn answer(&mut self, names: v1::Names) -> bool {
        let mut state = self.names.lock();
        let mut seats = state.seats.iter_mut();
        let Some(seat) = seats.find(|seat| seat.id == self.id && seat.owes) else {
            return false;
        };
        seat.owes = false;
        // After its deadline somebody else has the turn.
        let Some(out) = state.out.take_if(|out| out.seat == self.id) else {
            return true;
        };
        let told = self.names.check(out, names);
        if !told.is_whole() {
            // Another one may know the rest.
            state.turn = state.turn.wrapping_add(1);
        }
        state.told = Some(told);
        drop(state);
        self.names.say_ended();
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.names.lock();
        state.seats.retain(|seat| seat.id != self.id);
        state.out.take_if(|out| out.seat == self.id);
        drop(state);
        self.names.say_ended();
    }
}

#[cfg(test)]
mod tests;
