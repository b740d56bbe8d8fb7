//! Whose history the agents' rings alone do not give.
//!
//! A session that opens says how far its ring reaches. Where that is less than the window, other
//! aggregators are asked for the rest of the node, and so they are for a node that they have and no
//! agent reports here. Written by streams of agents, read by the tasks of the peers. Bounds: one
//! wish a node, each for as long as the window, since by then there is nothing left to get.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::Run;
use tokio::sync::watch;
use tokio::time::Instant;

/// Nodes wished for at most: three times the largest cluster. More would be an agent that makes up
/// names.
pub(crate) const MAX_NODES: usize = 16_384;

/// Wishes kept before any is looked at to be forgotten.
const MIN_NODES: usize = 64;

/// A node of which others may hold more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Rises with every wish of the process.
    pub(crate) number: u64,
    /// Which node.
    pub(crate) node: String,
    /// What its agent will tell itself: the blocks in its ring; `None` when no agent reports it.
    pub(crate) ring: Option<(Run, Range<u64>)>,
    made_at: Instant,
}

/// All wishes. A clone is the same list.
#[derive(Clone, Debug)]
pub struct Wishes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    window: Duration,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    newest: u64,
    by_number: BTreeMap<u64, Wish>,
    by_node: HashMap<String, u64>,
    // Nodes that a peer is being asked for: of two peers one gives what the other need not.
    busy: HashSet<String>,
    // How many were left when those that are over were forgotten last.
    left: usize,
}

impl Wishes {
    /// No wishes yet, of a window of this length.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        let inner = Inner {
            window,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// A session has opened; these blocks are in its agent's ring. Wishes for the rest of the node
    /// unless they fill the window, or the same run was wished for before.
    pub(super) fn opened(&self, node: &str, run: Run, ring: Range<u64>, interval_ms: u64) {
        let blocks = ring.end.saturating_sub(ring.start);
        let rows = blocks.saturating_mul(BLOCK_ROWS);
        let reach = Duration::from_millis(rows.saturating_mul(interval_ms));
        // The last block is open: it may have one row only.
        let open = Duration::from_millis(BLOCK_ROWS * interval_ms);
        if reach >= self.inner.window + open {
            return;
        }
        let mut state = self.lock();
        let known = state.of(node).and_then(|wish| wish.ring.as_ref());
        if known.is_none_or(|(known, _)| *known != run) {
            self.wish(&mut state, node, Some((run, ring)));
        }
    }

    /// A peer has a node that no agent reports here.
    pub(crate) fn listed(&self, node: &str) {
        let mut state = self.lock();
        if state.of(node).is_none() {
            self.wish(&mut state, node, None);
        }
    }

    fn wish(&self, state: &mut State, node: &str, ring: Option<(Run, Range<u64>)>) {
        let now = Instant::now();
        state.tidy(now, self.inner.window);
        if state.by_node.len() >= MAX_NODES && !state.by_node.contains_key(node) {
            return;
        }
        state.newest += 1;
        let wish = Wish {
            number: state.newest,
            node: node.to_owned(),
            ring,
            made_at: now,
        };
        if let Some(before) = state.by_node.insert(node.to_owned(), wish.number) {
            state.by_number.remove(&before);
        }
        state.by_number.insert(wish.number, wish);
        self.inner.changes.send_modify(|n| *n += 1);
    }

    /// The first wish after that number.
    pub(crate) fn after(&self, number: u64) -> Option<Wish> {
        let state = self.lock();
        let mut later = state.by_number.range(number + 1..);
        later.next().map(|(_, wish)| wish.clone())
    }

    /// The wish of that number, unless a newer one of its node has taken its place.
    pub(crate) fn get(&self, number: u64) -> Option<Wish> {
        self.lock().by_number.get(&number).cloned()
    }

    /// Takes a node for one peer; false while another one is asked for it.
    pub(crate) fn begin(&self, node: &str) -> bool {
        self.lock().busy.insert(node.to_owned())
    }

    /// Gives it back.
    pub(crate) fn done(&self, node: &str) {
        self.lock().busy.remove(node);
        self.inner.changes.send_modify(|n| *n += 1);
    }

    /// Wakes its receivers when there may be something to ask for.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }
}

impl State {
    fn of(&self, node: &str) -> Option<&Wish> {
        self.by_number.get(self.by_node.get(node)?)
    }

    /// Forgets wishes that are over, whenever there are twice as many as were left the last time.
    fn tidy(&mut self, now: Instant, window: Duration) {
        if self.by_node.len() < MAX_NODES.min(MIN_NODES.max(2 * self.left)) {
            return;
        }
        let over = |wish: &Wish| now.saturating_duration_since(wish.made_at) >= window;
        self.by_number.retain(|_, wish| !over(wish));
        let left = &self.by_number;
        self.by_node.retain(|_, number| left.contains_key(number));
        self.left = self.by_node.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(900);

    fn run(epoch_ms: u64) -> Run {
        Run {
            epoch_ms,
            boot_id: [0; 16],
            clock_stepped: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ring_that_fills_the_window_leaves_nothing_to_wish_for() {
        let wishes = Wishes::new(WINDOW);
        wishes.opened("old", run(1), 4..11, 10_000);
        assert_eq!(wishes.after(0), None);
        wishes.opened("endless", run(1), 0..u64::MAX, 10_000);
        assert_eq!(wishes.after(0), None);
        wishes.opened("young", run(1), 4..10, 10_000);
        let wish = wishes.after(0).unwrap();
        assert_eq!((&*wish.node, wish.ring), ("young", Some((run(1), 4..10))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_wished_for_once_a_run() {
        let wishes = Wishes::new(WINDOW);
        wishes.listed("n");
        wishes.listed("n");
        assert_eq!(wishes.after(0).unwrap().number, 1);
        wishes.opened("n", run(1), 0..1, 10_000);
        wishes.opened("n", run(1), 0..2, 10_000);
        wishes.listed("n");
        let wish = wishes.after(0).unwrap();
        assert_eq!((wish.number, wishes.get(1)), (2, None));
        assert_eq!(wishes.after(2), None);
        wishes.opened("n", run(2), 0..1, 10_000);
        assert_eq!(wishes.after(2).unwrap().number, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_peers_one_is_asked_at_a_time() {
        let wishes = Wishes::new(WINDOW);
        assert!(wishes.begin("n") && !wishes.begin("n"));
        let mut changes = wishes.changes();
        changes.mark_unchanged();
        wishes.done("n");
        assert!(changes.has_changed().unwrap() && wishes.begin("n"));
    }

    #[tokio::test(start_paused = true)]
    async fn wishes_are_forgotten_after_a_window_and_bounded_within_it() {
        let wishes = Wishes::new(WINDOW);
        for n in 0..MAX_NODES + 100 {
            wishes.listed(&format!("node-{n}"));
        }
        assert_eq!(wishes.lock().by_node.len(), MAX_NODES);
        tokio::time::advance(WINDOW).await;
        wishes.listed("new");
        let state = wishes.lock();
        assert_eq!((state.by_node.len(), state.by_number.len()), (1, 1));
    }
}
