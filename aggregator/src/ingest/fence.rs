//! One stream writes a node: a newer one ends the older.
//!
//! Two agents that both believe to be the node would replace each other for ever; after the third
//! replacement in a minute the newcomer is refused until the oldest of them is a minute ago, so that one
//! of them gets through.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_runtime::logging::Repeat;
use cairn_runtime::shutdown::Token;
use tokio::time::Instant;

use super::pace::{Elapsed, Pace, Passed};

/// Within which replacements are counted.
const WITHIN: Duration = Duration::from_secs(60);

/// Replacements after which the next newcomer is refused.
const REPLACEMENTS: usize = 3;

/// Nodes remembered at most; beyond it, those without a living stream are forgotten first.
const MAX_NODES: usize = 16_384;

/// The newcomer has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this node's stream was replaced {REPLACEMENTS} times within a minute: do two agents run with \
     its name? the next is taken in {} s", .wait.as_millis().div_ceil(1_000)
)]
pub(super) struct Refused {
    wait: Duration,
}

/// Nodes remembered before any is looked at to be forgotten.
const MIN_NODES: usize = 64;

#[derive(Debug)]
pub(super) struct Fence {
    nodes: Mutex<Nodes>,
    elapsed: Elapsed,
}

/// What a stream that got through has.
#[derive(Debug)]
pub(super) struct Entered<T> {
    /// Cancelled when a newer stream comes.
    pub(super) stream: Token,
    /// How fast it may be read.
    pub(super) pace: Arc<Pace>,
    /// What it was opened as.
    pub(super) opened: T,
}

#[derive(Debug, Default)]
struct Nodes {
    by_name: HashMap<String, Living>,
    // How many were left when those that say nothing any more were forgotten last.
    left: usize,
}

#[derive(Debug)]
struct Living {
    stream: Token,
    pace: Arc<Pace>,
    // The oldest first, and no more than are allowed.
    replaced: Vec<Instant>,
    asked: Repeat,
    slowed: Repeat,
}

/// What is said of a node at most once a minute.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    /// That somebody asked whether its stream would be taken.
    Asked,
    /// That its streams are opened more slowly.
    Slowed,
}

impl Nodes {
    /// The node, which may be a new one.
    fn living(&mut self, node: &str, now: Instant, elapsed: Passed) -> &mut Living {
        self.tidy(now, elapsed);
        self.by_name.entry(node.to_owned()).or_insert_with(|| {
            let stream = Token::new();
            stream.cancel();
            Living {
                stream,
                pace: Arc::new(Pace::new(elapsed)),
                replaced: Vec::new(),
                asked: Repeat::new(),
                slowed: Repeat::new(),
            }
        })
    }

    /// Forgets nodes that went, whenever there are twice as many as were left the last time.
    fn tidy(&mut self, now: Instant, elapsed: Passed) {
        if self.by_name.len() < MAX_NODES.min(MIN_NODES.max(2 * self.left)) {
            return;
        }
        self.by_name
            .retain(|_, living| living.matters(now, elapsed));
        if self.by_name.len() >= MAX_NODES {
            self.by_name
                .retain(|_, living| !living.stream.is_cancelled());
        }
        self.left = self.by_name.len();
    }
}

impl Living {
    /// Why the next stream would be refused, if it would.
    fn refused(&mut self, now: Instant) -> Option<Refused> {
        self.replaced
            .retain(|at| now.saturating_duration_since(*at) < WITHIN);
        let is_full = !self.stream.is_cancelled() && self.replaced.len() >= REPLACEMENTS;
        let oldest = self.replaced.first().filter(|_| is_full)?;
        let wait = (*oldest + WITHIN).saturating_duration_since(now);
        Some(Refused { wait })
    }

    /// True while it may decide about the next stream.
    fn matters(&self, now: Instant, elapsed: Passed) -> bool {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < WITHIN;
        !self.stream.is_cancelled()
            || self.replaced.iter().any(recent)
            || !self.pace.is_full(elapsed)
    }
}

impl Fence {
    pub(super) fn new(elapsed: Elapsed) -> Self {
        Self {
            nodes: Mutex::default(),
            elapsed,
        }
    }

    /// Time since the start of the process.
    pub(super) fn elapsed(&self) -> Passed {
        self.elapsed.now()
    }

    /// Makes room for a new stream of the node and opens it, in one step: of two streams that
    /// come at once the later is the later everywhere. The token is cancelled when a newer comes.
    pub(super) fn enter<T>(
        &self,
        node: &str,
        now: Instant,
        shutdown: &Token,
        open: impl FnOnce() -> T,
    ) -> Result<Entered<T>, Refused> {
        let mut nodes = self.lock();
        let living = nodes.living(node, now, self.elapsed.now());
        if let Some(refused) = living.refused(now) {
            return Err(refused);
        }
        if !living.stream.is_cancelled() {
            living.replaced.push(now);
            living.stream.cancel();
        }
        living.stream = shutdown.child_token();
        Ok(Entered {
            stream: living.stream.clone(),
            pace: Arc::clone(&living.pace),
            opened: open(),
        })
    }

    /// How fast streams of the node may be opened, unless the next one would be refused. Nothing is changed
    /// by it for those that are there.
    pub(super) fn look(&self, node: &str, now: Instant) -> Result<Arc<Pace>, Refused> {
        let mut nodes = self.lock();
        let living = nodes.living(node, now, self.elapsed.now());
        match living.refused(now) {
            Some(refused) => Err(refused),
            None => Ok(Arc::clone(&living.pace)),
        }
    }

    /// Whether to write a line on the node now, and how many were held back (see [`Repeat`]).
    pub(super) fn should_log(&self, node: &str, line: Line, now: Instant) -> Option<u64> {
        let mut nodes = self.lock();
        let living = nodes.by_name.get_mut(node)?;
        let repeat = match line {
            Line::Asked => &mut living.asked,
            Line::Slowed => &mut living.slowed,
        };
        repeat.should_log(now, false)
    }

    fn lock(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a stream has ended by itself: its successor replaces nobody.
    pub(super) fn leave(stream: &Token) {
        stream.cancel();
    }
}

#[cfg(test)]
mod tests {
    use cairn_runtime::clock::Clock;

    use super::super::pace::Kind;
    use super::*;

    fn fence() -> Fence {
        Fence::new(Elapsed::new(&Clock::system()))
    }

    fn enter(fence: &Fence, node: &str, shutdown: &Token) -> Result<Token, Refused> {
        fence
            .enter(node, Instant::now(), shutdown, || ())
            .map(|entered| entered.stream)
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_stream_ends_the_older() {
        let (fence, shutdown) = (fence(), Token::new());
        let first = enter(&fence, "n", &shutdown).unwrap();
        let second = enter(&fence, "n", &shutdown).unwrap();
        assert!(first.is_cancelled() && !second.is_cancelled());
        let other = enter(&fence, "m", &shutdown).unwrap();
        assert!(!second.is_cancelled() && !other.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn the_newcomer_after_three_replacements_is_refused_for_a_minute() {
        let (fence, shutdown) = (fence(), Token::new());
        let mut stream = enter(&fence, "n", &shutdown).unwrap();
        for _ in 0..REPLACEMENTS {
            stream = enter(&fence, "n", &shutdown).unwrap();
        }
        assert!(enter(&fence, "n", &shutdown).is_err());
        assert!(!stream.is_cancelled(), "the one that is there stays");
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(enter(&fence, "n", &shutdown).is_err());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(enter(&fence, "n", &shutdown).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_looks_is_told_when_the_oldest_replacement_is_a_minute_ago() {
        let (fence, shutdown) = (fence(), Token::new());
        let look = || fence.look("n", Instant::now()).map(drop);
        let wait = |seconds| {
            Err(Refused {
                wait: Duration::from_secs(seconds),
            })
        };
        let advance = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        let mut stream = enter(&fence, "n", &shutdown).unwrap();
        for _ in 0..REPLACEMENTS {
            assert_eq!(look(), Ok(()));
            stream = enter(&fence, "n", &shutdown).unwrap();
            advance(10).await;
        }
        assert_eq!(look(), wait(30));
        assert_eq!(enter(&fence, "n", &shutdown).err(), wait(30).err());
        advance(29).await;
        // Being refused puts nothing off.
        assert_eq!(look(), wait(1));
        advance(1).await;
        assert!(look().is_ok() && !stream.is_cancelled());
        enter(&fence, "n", &shutdown).unwrap();
        assert_eq!(look(), wait(10));
        let half = Refused {
            wait: Duration::from_millis(500),
        };
        assert!(half.to_string().ends_with("taken in 1 s"), "{half}");
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_that_went_are_forgotten_once_they_cannot_matter() {
        let (fence, shutdown) = (fence(), Token::new());
        let stays = enter(&fence, "stays", &shutdown).unwrap();
        for _ in 0..=REPLACEMENTS {
            drop(enter(&fence, "refused", &shutdown));
        }
        for n in 0..1_000 {
            Fence::leave(&enter(&fence, &format!("guest-{n}"), &shutdown).unwrap());
        }
        assert!(fence.nodes.lock().unwrap().by_name.len() <= MIN_NODES);
        assert!(!stays.is_cancelled());
        assert!(enter(&fence, "refused", &shutdown).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_comes_back_after_its_stream_ended_replaces_nobody() {
        let (fence, shutdown) = (fence(), Token::new());
        for _ in 0..10 {
            let stream = enter(&fence, "n", &shutdown).unwrap();
            Fence::leave(&stream);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_comes_back_finds_its_pace_as_it_left_it() {
        let (fence, shutdown) = (fence(), Token::new());
        let come = || {
            let entered = fence.enter("n", Instant::now(), &shutdown, || ()).unwrap();
            Fence::leave(&entered.stream);
            entered.pace
        };
        let pace = come();
        while pace.take(Kind::Entities, 1, fence.elapsed()).is_zero() {}
        // Others come and go, and whoever says nothing any more is forgotten.
        for n in 0..1_000 {
            Fence::leave(&enter(&fence, &format!("guest-{n}"), &shutdown).unwrap());
        }
        assert!(Arc::ptr_eq(&pace, &come()));
        tokio::time::advance(Duration::from_secs(60)).await;
        for n in 0..1_000 {
            Fence::leave(&enter(&fence, &format!("guest-{n}"), &shutdown).unwrap());
        }
        assert!(!Arc::ptr_eq(&pace, &come()));
    }
}
