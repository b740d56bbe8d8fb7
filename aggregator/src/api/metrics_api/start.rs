//! When answers begin: not before most nodes have been measured.
//!
//! A replica that has just started knows a part of the pods, and who is told a part takes it for all: an autoscaler
//! would scale by it. So until two measurements have come from nine in ten of the nodes that run an agent, there is
//! no answer, and autoscalers hold. A node without an agent shall not keep the others waiting for ever: 45 s after
//! the start there are answers in any case, and what is missing is said where people look.
//!
//! A replica beside which another is ready is not ready itself before that (`held`). It does not wait so long for
//! agents that do not come up: the other one does without them already, and each replica of a rolling update would
//! wait again. Beside a ready one an agent whose pod has not been ready for 15 s is not awaited (`agents`).
//!
//! One task looks once a second until there are ([`Start::run`]); requests only read what it found.

mod agents;
mod held;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_runtime::clock::{Clock, Line};
use cairn_runtime::readiness::{Note, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::TaskError;
use tokio::time::sleep;

use crate::api::Api;
use crate::cluster::Known;
use crate::store::{Entity, Selector};
use agents::Agents;

pub use held::HELD;

/// Answers begin so long after the start in any case, ms: a rolling update goes on although some nodes have no
/// agent, and a fleet whose rings are empty has told two measurements by then.
pub(super) const LONGEST_MS: u64 = 45_000;

/// Of so many nodes in ten two measurements are awaited.
const TENTHS: usize = 9;

/// How often the nodes are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is looked at when it answers with what it has.
const SELDOM: Duration = Duration::from_secs(30);

/// Under which name it is noted.
const NOTE: &str = "metrics.k8s.io";

/// What is found out since the start. A clone is the same.
#[derive(Clone, Debug)]
pub struct Start {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    line: Line,
    began_ms: u64,
    agents: Agents,
    /// Another replica was ready when it was asked last.
    is_beside: AtomicBool,
    found: Mutex<Found>,
}

/// What was found last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Found {
    /// The nodes are not known yet.
    #[default]
    Nothing,
    /// So many of them have been measured.
    Some(Share),
    /// Enough of those had been whose agents are up; others are not, and are not awaited.
    Without(Share),
    /// Enough had been, once.
    Enough,
}

/// How many of the nodes that are awaited have been measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) measured: usize,
    pub(super) of: usize,
    /// They are those that run an agent, and not all that there are.
    pub(super) run_agents: bool,
    /// So many more have an agent that does not come up, and are not awaited.
    pub(super) down: usize,
}

impl Share {
    /// How many of them have to be measured.
    pub(super) fn awaited(&self) -> usize {
        (self.of * TENTHS).div_ceil(10)
    }

    fn is_enough(&self) -> bool {
        self.measured >= self.awaited()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = if self.run_agents {
            "nodes that run an agent"
        } else {
            "nodes of the cluster"
        };
        write!(
            f,
            "{} of {} {nodes} have been measured twice, {} are awaited",
            self.measured,
            self.of,
            self.awaited()
        )?;
        if self.down > 0 {
            write!(
                f,
                "; on {} more the agent's pod is not ready, and they are not awaited",
                self.down
            )?;
        }
        Ok(())
    }
}

impl Start {
    /// Begins now. `agents` is the user name of the agents' service account; without one, or where no pod has it,
    /// all nodes are awaited.
    #[must_use]
    pub fn new(clock: &Clock, agents: Option<&str>) -> Self {
        let line = clock.line();
        Self {
            inner: Arc::new(Inner {
                began_ms: line.unix_ms(),
                line,
                agents: Agents::new(agents),
                is_beside: AtomicBool::new(false),
                found: Mutex::default(),
            }),
        }
    }

    /// True when there are answers.
    pub(super) fn is_over(&self) -> bool {
        matches!(*self.lock(), Found::Enough | Found::Without(_)) || self.left_ms() == 0
    }

    /// How long until there are answers in any case, ms.
    fn left_ms(&self) -> u64 {
        self.left_of_ms(LONGEST_MS)
    }

    /// What is left of so long after the start, ms.
    fn left_of_ms(&self, longest_ms: u64) -> u64 {
        let passed_ms = self
            .inner
            .line
            .unix_ms()
            .saturating_sub(self.inner.began_ms);
        longest_ms.saturating_sub(passed_ms)
    }

    /// Looks at the nodes, unless enough had been measured already. Reads the newest rows of all of them: not to be
    /// called on a thread that others wait for.
    pub(super) fn look(&self, api: &Api) {
        let before = *self.lock();
        if before == Found::Enough {
            return;
        }
        let found = match api.cluster.known() {
            // There is nobody to say which nodes there are.
            None => Found::Enough,
            Some(known) if !known.is_synced() => Found::Nothing,
            Some(known) => {
                let share = self.share(known, api);
                match (share.is_enough(), before) {
                    (true, _) if share.down == 0 => Found::Enough,
                    // Who has answered once goes on.
                    (true, _) | (_, Found::Without(_)) => Found::Without(share),
                    _ => Found::Some(share),
                }
            }
        };
        *self.lock() = found;
    }

    fn share(&self, known: &Known, api: &Api) -> Share {
        let is_beside = self.inner.is_beside.load(Ordering::Relaxed);
        let now_ms = self.inner.line.unix_ms();
        let agents = self.inner.agents.look(known, now_ms, is_beside);
        let run_agents = agents.is_some();
        let (nodes, down) = agents.unwrap_or_else(|| {
            let all = known.nodes().into_iter();
            (all.map(|node| Arc::clone(&node.name)).collect(), 0)
        });
        let view = api.view();
        let mut entities = view.entities(&Selector::Nodes);
        view.retain_current(&mut entities);
        entities.retain(|entity| nodes.binary_search(&entity.name).is_ok());
        let asked: Vec<&Entity> = entities.iter().collect();
        let usages = view.usages(&asked, api.terms.span_ms);
        Share {
            measured: usages.into_iter().flatten().count(),
            of: nodes.len(),
            run_agents,
            down,
        }
    }

    /// What people are told; `None` when there is nothing to tell.
    pub(super) fn note(&self) -> Option<String> {
        let left_s = self.left_ms().div_ceil(1_000);
        match *self.lock() {
            Found::Enough => None,
            Found::Nothing => Some(
                "metrics.k8s.io answers 503: the cluster's nodes and pods are not all known yet"
                    .to_owned(),
            ),
            Found::Some(share) if left_s > 0 => Some(format!(
                "metrics.k8s.io answers 503: {share}; it answers then, and in {left_s} s in any case"
            )),
            Found::Some(share) | Found::Without(share) => Some(format!(
                "metrics.k8s.io answers without the pods of some nodes: {share}; look at the agents of \
                 the others (cairn-aggregator's overview, kubectl get pods -o wide)"
            )),
        }
    }

    /// Looks once a second, and once it answers all the same now and then, until enough nodes were measured; says in `/readyz?verbose` how far that is, and then
    /// waits for the end.
    ///
    /// # Errors
    ///
    /// When the look dies.
    pub async fn run(self, api: Api, readiness: Readiness, token: Token) -> Result<(), TaskError> {
        let mut told = None;
        loop {
            let (start, looked) = (self.clone(), api.clone());
            cairn_runtime::tasks::blocking("start", move || start.look(&looked)).await?;
            let note = self.note();
            let Some(text) = &note else {
                break;
            };
            if note != told {
                readiness.note(NOTE, Note::Degraded(text.clone()));
            }
            told = note;
            // Nobody waits for it any more: it is looked at for the note alone.
            let is_told = match *self.lock() {
                Found::Some(_) => self.left_ms() == 0,
                Found::Without(_) => true,
                Found::Nothing | Found::Enough => false,
            };
            let rest = if is_told { SELDOM } else { LOOK };
            tokio::select! {
                biased;
                () = token.cancelled() => return Ok(()),
                () = sleep(rest) => {}
            }
        }
        if told.is_some() {
            readiness.clear(NOTE);
            tracing::info!("enough nodes have been measured: metrics.k8s.io is complete");
        }
        token.cancelled().await;
        Ok(())
    }

    /// Ends it, for tests of what is answered.
    #[cfg(test)]
    pub(in crate::api) fn end(&self) {
        *self.lock() = Found::Enough;
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        let found = self.inner.found.lock();
        found.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
