//! Answers that are kept for a while, and questions that are under way.
//!
//! Who asks what is kept is answered at once; who asks what somebody else is asking waits for the same answer. So
//! however many ask the same at once, one question is asked.
//!
//! Bounds: [`MOST_KEPT`] answers and [`MOST_BYTES`] of them and their questions, of which the oldest goes for one more,
//! and none is there longer than [`KEPT`] once anybody asks again. Questions under way are as many as there are places for them, which whoever asks
//! sees to; those that wait for one of them, as many as there are requests.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Shared, WeakShared};
use tokio::time::Instant;

/// How long an answer is kept.
pub(super) const KEPT: Duration = Duration::from_secs(10);

/// Answers of a kind: those of a thousand readers who ask about four things each, in some megabytes.
pub(super) const MOST_KEPT: usize = 4_096;

/// Bytes of answers of a kind, with their questions. A user of many groups has some kilobytes and a front proxy may
/// tell of thirty, so that by number alone they would be a hundred megabytes.
const MOST_BYTES: usize = 8 << 20;

/// What each takes beside its texts: its places in both lists.
const OVERHEAD_BYTES: usize = 256;

/// Questions under way of which those that nobody waits for any more are looked for at first.
const FEW_UNDER_WAY: usize = 64;

/// Something whose bytes are counted.
pub(super) trait Weigh {
    /// Bytes of its texts, about.
    fn bytes(&self) -> usize;
}

/// What came of a question.
#[derive(Clone, Debug)]
pub(super) enum Told<V> {
    /// An answer.
    Kept(V),
    /// Nothing that says anything about a later question.
    Passing(V),
}

/// Answers by their questions. A clone is the same.
pub(super) struct Answers<K, V> {
    state: Arc<Mutex<State<K, V>>>,
}

type Asking<V> = Pin<Box<dyn Future<Output = V> + Send>>;

struct State<K, V> {
    kept: HashMap<Arc<K>, Held<V>>,
    // Of all that is kept.
    bytes: usize,
    // When each of them goes, in that order: all are kept equally long.
    ends: VecDeque<(Instant, Arc<K>)>,
    // Who waits for a question holds it; the dead ones are those that nobody waited for to the end.
    under_way: HashMap<Arc<K>, WeakShared<Asking<V>>>,
    // When there are so many, the dead ones are looked for: twice as many as lived the last time.
    prune_at: usize,
}

/// An answer that is kept.
struct Held<V> {
    value: V,
    end: Instant,
    bytes: usize,
}

impl<K, V> Answers<K, V>
where
    K: Eq + Hash + Weigh + Send + Sync + 'static,
    V: Clone + Weigh + Send + Sync + 'static,
{
    /// What is kept of this question.
    pub(super) fn kept(&self, key: &K) -> Option<V> {
        let now = Instant::now();
        let mut state = self.lock();
        state.purge(now);
        state.kept.get(key).map(|held| held.value.clone())
    }

    /// What is kept, or what comes of the question, which `ask` makes unless somebody else is asking it.
    /// Cancel safe: the question goes on while anybody waits for it.
    pub(super) async fn ask<F>(&self, key: K, ask: impl FnOnce(Arc<K>) -> F) -> V
    where
        F: Future<Output = Told<V>> + Send + 'static,
    {
        let asking = {
            let mut state = self.lock();
            state.purge(Instant::now());
            if let Some(held) = state.kept.get(&key) {
                return held.value.clone();
            }
            let under_way = state.under_way.get(&key).and_then(WeakShared::upgrade);
            match under_way {
                Some(asking) => asking,
                None => self.begin(&mut state, Arc::new(key), ask),
            }
        };
        asking.await
    }

    fn begin<F>(
        &self,
        state: &mut State<K, V>,
        key: Arc<K>,
        ask: impl FnOnce(Arc<K>) -> F,
    ) -> Shared<Asking<V>>
    where
        F: Future<Output = Told<V>> + Send + 'static,
    {
        let (asked, answers) = (ask(Arc::clone(&key)), self.clone());
        let of = Arc::clone(&key);
        let asking: Asking<V> = Box::pin(async move {
            let told = asked.await;
            answers.end(&of, told)
        });
        let asking = asking.shared();
        if state.under_way.len() >= state.prune_at {
            state.under_way.retain(|_, one| one.upgrade().is_some());
            state.prune_at = (2 * state.under_way.len()).max(FEW_UNDER_WAY);
        }
        if let Some(weak) = asking.downgrade() {
            state.under_way.insert(key, weak);
        }
        asking
    }

    /// The question is answered.
    fn end(&self, key: &Arc<K>, told: Told<V>) -> V {
        let now = Instant::now();
        let mut state = self.lock();
        state.under_way.remove(key);
        match told {
            Told::Passing(value) => value,
            Told::Kept(value) => {
                state.purge(now);
                state.put(Arc::clone(key), value.clone(), now + KEPT);
                value
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Weigh, V: Weigh> State<K, V> {
    /// Forgets what is too old.
    fn purge(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|(end, _)| *end <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((end, key)) = self.ends.pop_front() else {
            return;
        };
        // A later answer to the same question has an end of its own.
        if self.kept.get(&key).is_some_and(|held| held.end == end)
            && let Some(held) = self.kept.remove(&key)
        {
            self.bytes -= held.bytes;
        }
    }

    fn put(&mut self, key: Arc<K>, value: V, end: Instant) {
        let bytes = OVERHEAD_BYTES + key.bytes() + value.bytes();
        if bytes > MOST_BYTES {
            // It would be in the place of all others.
            return;
        }
        while self.ends.len() >= MOST_KEPT || self.bytes + bytes > MOST_BYTES {
            self.forget_oldest();
        }
        self.ends.push_back((end, Arc::clone(&key)));
        self.bytes += bytes;
        let before = self.kept.insert(key, Held { value, end, bytes });
        self.bytes -= before.map_or(0, |before| before.bytes);
    }
}

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        let state = State {
            kept: HashMap::new(),
            bytes: 0,
            prune_at: FEW_UNDER_WAY,
            ends: VecDeque::new(),
            under_way: HashMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }
}

impl<K, V> Clone for Answers<K, V> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
        }
    }
}

impl<K, V> fmt::Debug for Answers<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{join_all, select};
    use tokio::time::{advance, sleep};

    use super::*;

    impl Weigh for u64 {
        fn bytes(&self) -> usize {
            0
        }
    }

    impl Weigh for usize {
        fn bytes(&self) -> usize {
            0
        }
    }

    impl Weigh for String {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    impl<K, V> Answers<K, V>
    where
        K: Eq + Hash + Weigh + Send + Sync + 'static,
        V: Clone + Weigh + Send + Sync + 'static,
    {
        fn len(&self) -> usize {
            self.lock().kept.len()
        }
    }

    /// Asks how much twice a number is, which takes a second, and counts.
    async fn twice(answers: &Answers<u64, u64>, asked: &Arc<AtomicUsize>, of: u64) -> u64 {
        let asked = Arc::clone(asked);
        let ask = |of: Arc<u64>| async move {
            asked.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(1)).await;
            Told::Kept(*of * 2)
        };
        answers.ask(of, ask).await
    }

    #[tokio::test(start_paused = true)]
    async fn equal_questions_at_once_are_one_and_its_answer_is_kept() {
        let (answers, asked) = (Answers::default(), Arc::default());
        let all = join_all((0..200).map(|n| twice(&answers, &asked, n % 2))).await;
        assert!(all.iter().zip(0..).all(|(twice, n)| *twice == n % 2 * 2));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        twice(&answers, &asked, 1).await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        advance(KEPT).await;
        twice(&answers, &asked, 1).await;
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_takes_the_question_from_nobody() {
        let (answers, asked) = (Answers::default(), Arc::default());
        let first = Box::pin(twice(&answers, &asked, 7));
        let second = Box::pin(twice(&answers, &asked, 7));
        // The first asks, and goes before the answer is there.
        let gone = select(first, Box::pin(sleep(Duration::from_millis(500))));
        let (_, told) = futures_util::future::join(async { drop(gone.await) }, async {
            sleep(Duration::from_millis(100)).await;
            second.await
        })
        .await;
        assert_eq!((told, asked.load(Ordering::Relaxed)), (14, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_says_nothing_is_not_kept() {
        let answers: Answers<u64, u64> = Answers::default();
        let failed = |_| async { Told::Passing(0) };
        assert_eq!(answers.ask(1, failed).await, 0);
        assert_eq!((answers.kept(&1), answers.len()), (None, 0));
        assert_eq!(answers.ask(1, |_| async { Told::Kept(5) }).await, 5);
        assert_eq!(answers.kept(&1), Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_bounded_by_number_and_go_with_age() {
        let answers: Answers<usize, usize> = Answers::default();
        for n in 0..MOST_KEPT + 10 {
            answers.ask(n, |n| async move { Told::Kept(*n) }).await;
        }
        assert_eq!(answers.len(), MOST_KEPT);
        // The oldest made room.
        assert_eq!(answers.kept(&9), None);
        assert_eq!(answers.kept(&10), Some(10));
        advance(KEPT).await;
        assert_eq!((answers.kept(&(MOST_KEPT + 9)), answers.len()), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_bounded_by_bytes() {
        let answers: Answers<usize, String> = Answers::default();
        let large = "x".repeat(1 << 20);
        for n in 0..20 {
            let value = large.clone();
            answers.ask(n, |_| async move { Told::Kept(value) }).await;
        }
        assert_eq!(answers.len(), 7);
        assert!(answers.lock().bytes <= MOST_BYTES);
        assert!(answers.kept(&12).is_none() && answers.kept(&13).is_some());
        // One that is larger than all of it is told and drives nothing out.
        let huge = "x".repeat(MOST_BYTES);
        let told = answers.ask(99, |_| async move { Told::Kept(huge) }).await;
        assert_eq!((told.len(), answers.kept(&99)), (MOST_BYTES, None));
        assert_eq!(answers.len(), 7);
        advance(KEPT).await;
        assert!(answers.kept(&13).is_none());
        assert_eq!((answers.len(), answers.lock().bytes), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn questions_that_nobody_waits_for_do_not_pile_up() {
        let answers: Answers<usize, usize> = Answers::default();
        for n in 0..3 * MOST_KEPT {
            let asking = answers.ask(n, |_| async {
                std::future::pending::<()>().await;
                Told::Passing(0)
            });
            assert_eq!(asking.now_or_never(), None);
        }
        assert!(answers.lock().under_way.len() <= FEW_UNDER_WAY);
    }
}
