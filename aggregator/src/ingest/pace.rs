//! How fast one node's stream is read.
//!
//! Five buckets a node: streams, entities that are new to the window, frames, their bytes, and rows.
//! What is too much is not refused: it waits, because the next frame is not read before what was taken
//! is paid for. The wait is the stream's alone, its frames wait in its own connection, and no lock is
//! held meanwhile. The buckets belong to the node and not to the stream, so that a new stream does not
//! fill them.
//!
//! The time is the aggregator's elapsed time; steps of a driven clock count as well, but for streams:
//! nobody opens one because a tick has come.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cairn_runtime::clock::{Clock, Line};
use tokio::time::Instant;

/// Time for one stream: a handshake costs as much as a hundred rows.
const STREAM: Duration = Duration::from_secs(1);

/// Streams at once: an agent on a bad network, which comes back after each cut.
const STREAMS: u32 = 60;

/// A stream waits no longer than this: an agent hears nothing for ten seconds and gives up, and others that
/// have its token must not bring that about. Of those that would owe more only a few wait at once, by `unheard`.
pub(super) const MOST_DEBT: Duration = Duration::from_secs(5);

/// Time for one entity that is new to the window: 200 a second.
const ENTITY: Duration = Duration::from_millis(5);

/// New entities at once: a rollout that replaces every pod of a node of 200.
const ENTITIES: u32 = 2_000;

/// New entities of a node that nothing is known of, once: all of a node of 800 pods, so that after a
/// restart of the aggregator nobody waits for the names of a large node. It is 2.5 MB of names.
const FIRST_ENTITIES: u32 = 8_192;

/// Time for one frame of any kind: 500 a second, a hundred times what an agent sends.
const FRAME: Duration = Duration::from_millis(2);

/// Frames at once: a node with as many entities as it may have names all of them when it comes back.
const FRAMES: u32 = 70_000;

/// Time for one byte of what was not asked for: a megabyte a second, many times what the largest node
/// sends at one row a second.
const BYTE: Duration = Duration::from_micros(1);

/// Bytes at once: as many names as a node may have, each as long as it may be.
const BYTES: u32 = 32 << 20;

/// Rows at once: two blocks. An agent sends the newest at first and no more than two that waited, but
/// one that is stepped by a test, or whose machine was held up, makes several ticks at once.
const ROWS: u32 = 32;

/// Rows that an interval has room for; twice what it needs, so that nobody who keeps to it ever waits.
const ROWS_PER_INTERVAL: u32 = 2;

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Streams,
    Entities,
    Frames,
    Bytes,
    Rows,
}

impl Kind {
    /// All of them, in the order in which they are numbered.
    const ALL: [Self; 5] = [
        Kind::Streams,
        Kind::Entities,
        Kind::Frames,
        Kind::Bytes,
        Kind::Rows,
    ];

    /// The price of one, and how many may be taken at once. That of a row comes with its stream.
    fn rule(self) -> (Duration, u32) {
        match self {
            Kind::Streams => (STREAM, STREAMS),
            Kind::Entities => (ENTITY, ENTITIES),
            Kind::Frames => (FRAME, FRAMES),
            Kind::Bytes => (BYTE, BYTES),
            Kind::Rows => (Duration::ZERO, ROWS),
        }
    }

    /// The longest wait for one.
    fn most_debt(self) -> Duration {
        match self {
            Kind::Streams => MOST_DEBT,
            _ => Duration::MAX,
        }
    }

    /// Its name in metrics and logs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Streams => "streams",
            Kind::Entities => "entities",
            Kind::Frames => "frames",
            Kind::Bytes => "bytes",
            Kind::Rows => "rows",
        }
    }
}

/// Elapsed time since the start of the process.
#[derive(Debug)]
pub(super) struct Elapsed {
    began: Instant,
    // Of a driven clock, which passes when it is stepped.
    driven: Option<(Line, u64)>,
}

impl Elapsed {
    pub(super) fn new(clock: &Clock) -> Self {
        let driven = clock.is_driven().then(|| {
            let line = clock.line();
            let began_ms = line.unix_ms();
            (line, began_ms)
        });
        Self {
            began: Instant::now(),
            driven,
        }
    }

    pub(super) fn now(&self) -> Passed {
        let stepped_ms = self.driven.as_ref();
        let stepped_ms = stepped_ms.map_or(0, |(line, began)| line.unix_ms() - began);
        let real = self.began.elapsed();
        Passed {
            real,
            stepped: real + Duration::from_millis(stepped_ms),
        }
    }
}

/// How much time has passed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    /// Of this process.
    real: Duration,
    /// The same and what a driven clock was stepped by.
    stepped: Duration,
}

impl Passed {
    fn of(self, kind: Kind) -> Duration {
        match kind {
            Kind::Streams => self.real,
            Kind::Entities | Kind::Frames | Kind::Bytes | Kind::Rows => self.stepped,
        }
    }
}

/// Allows so much at once, and one more each time that its price has passed.
#[derive(Clone, Debug)]
struct Bucket {
    price: Duration,
    most: Duration,
    // The longest wait.
    most_debt: Duration,
    // Invariant: when this is not nothing, `at` is not in the future.
    credit: Duration,
    at: Duration,
}

impl Bucket {
    fn new(price: Duration, at_once: u32, now: Duration) -> Self {
        let most = price * at_once;
        Self {
            price,
            most,
            most_debt: Duration::MAX,
            credit: most,
            at: now,
        }
    }

    /// The same with another price.
    fn set_price(&mut self, price: Duration, at_once: u32) {
        self.price = price;
        self.most = price * at_once;
        self.credit = self.credit.min(self.most);
    }

    /// Takes so many; how long it takes until they are paid for.
    fn take(&mut self, count: u32, now: Duration) -> Duration {
        let gained = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        // What was given beyond the most at the start is not taken away.
        if self.credit < self.most {
            self.credit = (self.credit + gained).min(self.most);
        }
        let price = self.price * count;
        let owed = price.saturating_sub(self.credit);
        self.credit = self.credit.saturating_sub(price);
        self.at = (self.at + owed).min(now.saturating_add(self.most_debt));
        self.at.saturating_sub(now)
    }

    fn holds(&self, credit: Duration, now: Duration) -> bool {
        self.credit + now.saturating_sub(self.at) >= credit
    }
}

/// The buckets of one node.
#[derive(Debug)]
pub(super) struct Pace {
    // One a kind, in their order.
    buckets: Mutex<[Bucket; Kind::ALL.len()]>,
}

impl Pace {
    /// Of a node that nothing is known of.
    pub(super) fn new(now: Passed) -> Self {
        let buckets = Kind::ALL.map(|kind| {
            let (price, at_once) = kind.rule();
            let mut bucket = Bucket::new(price, at_once, now.of(kind));
            bucket.most_debt = kind.most_debt();
            if kind == Kind::Entities {
                bucket.credit = ENTITY * FIRST_ENTITIES;
            }
            bucket
        });
        Self {
            buckets: Mutex::new(buckets),
        }
    }

    /// Says how far apart the rows of the stream that begins are.
    pub(super) fn begin(&self, interval: Duration) {
        let price = interval / ROWS_PER_INTERVAL;
        self.with(Kind::Rows, |rows| {
            if rows.price.is_zero() {
                rows.credit = price * ROWS;
            }
            rows.set_price(price, ROWS);
        });
    }

    /// Takes so many of a kind; how long the stream must rest.
    pub(super) fn take(&self, kind: Kind, count: u32, now: Passed) -> Duration {
        self.with(kind, |bucket| bucket.take(count, now.of(kind)))
    }

    /// True when a new one would give its node no more: then it may be forgotten.
    pub(super) fn is_full(&self, now: Passed) -> bool {
        Kind::ALL.into_iter().all(|kind| {
            self.with(kind, |bucket| match kind {
                Kind::Entities => bucket.holds(ENTITY * FIRST_ENTITIES, now.of(kind)),
                _ => bucket.holds(bucket.most, now.of(kind)),
            })
        })
    }

    fn with<T>(&self, kind: Kind, work: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut buckets[kind as usize])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// So much time, and no clock was stepped.
    fn at(time: Duration) -> Passed {
        Passed {
            real: time,
            stepped: time,
        }
    }

    /// How many of a kind are taken within a time by who always waits.
    fn taken(pace: &Pace, kind: Kind, from: Duration, within: Duration) -> u64 {
        let (mut now, mut count) = (from, 0);
        while now <= from + within {
            now += pace.take(kind, 1, at(now));
            count += 1;
        }
        count
    }

    #[test]
    fn a_node_nothing_is_known_of_names_all_it_has_and_then_two_hundred_a_second() {
        let pace = Pace::new(at(S));
        assert_eq!(taken(&pace, Kind::Entities, S, Duration::ZERO), 8_193);
        let in_ten_seconds = taken(&pace, Kind::Entities, 2 * S, 10 * S);
        assert!(
            (2_000..=2_200).contains(&in_ten_seconds),
            "{in_ten_seconds}"
        );
        assert!(!pace.is_full(at(12 * S)));
        // The burst comes back, and no more than that.
        assert_eq!(
            taken(&pace, Kind::Entities, 1_000 * S, Duration::ZERO),
            2_001
        );
    }

    #[test]
    fn rows_at_their_interval_never_wait_and_more_of_them_do() {
        let pace = Pace::new(at(Duration::ZERO));
        pace.begin(10 * S);
        for n in 0..100 {
            assert_eq!(
                pace.take(Kind::Rows, 1, at(n * 10 * S)),
                Duration::ZERO,
                "{n}"
            );
        }
        let waits: Vec<Duration> = (0..34)
            .map(|_| pace.take(Kind::Rows, 1, at(991 * S)))
            .collect();
        assert_eq!(waits.iter().filter(|wait| wait.is_zero()).count(), 31);
        assert_eq!(waits[33], 14 * S);
        pace.begin(S);
        assert!(pace.take(Kind::Rows, 1, at(1_020 * S)) <= S);
    }

    #[test]
    fn frames_that_are_as_large_as_may_be_are_read_at_a_megabyte_a_second() {
        let pace = Pace::new(at(S));
        let frame = 4_u32 << 20;
        let at_once = (0..100).take_while(|_| pace.take(Kind::Bytes, frame, at(S)).is_zero());
        assert_eq!(at_once.count(), 8);
        // The ninth has to be paid for, and the tenth after it.
        let each = BYTE * frame;
        assert_eq!(pace.take(Kind::Bytes, frame, at(S)), 2 * each);
        assert!(!pace.is_full(at(S + 2 * each)));
        assert_eq!(pace.take(Kind::Bytes, frame, at(S + 2 * each)), each);
    }

    #[test]
    fn who_opens_streams_in_a_loop_has_one_a_second() {
        let pace = Pace::new(at(S));
        assert_eq!(taken(&pace, Kind::Streams, S, Duration::ZERO), 61);
        let in_ten_seconds = taken(&pace, Kind::Streams, 2 * S, 10 * S);
        assert!((10..=11).contains(&in_ten_seconds), "{in_ten_seconds}");
        assert!(!pace.is_full(at(60 * S)) && pace.is_full(at(80 * S)));
    }

    #[test]
    fn a_stream_waits_no_longer_than_an_agent_waits_for_it() {
        let pace = Pace::new(at(S));
        let waits: Vec<Duration> = (0..100)
            .map(|_| pace.take(Kind::Streams, 1, at(S)))
            .collect();
        assert_eq!(waits[59..66], [0, 1, 2, 3, 4, 5, 5].map(|n| n * S));
        assert_eq!(waits[99], MOST_DEBT);
        // What was not waited for is not owed either.
        assert_eq!(pace.take(Kind::Streams, 1, at(5 * S)), 2 * S);
    }

    #[test]
    fn a_pace_is_forgotten_once_it_says_nothing() {
        let pace = Pace::new(at(S));
        pace.begin(10 * S);
        assert!(pace.is_full(at(S)));
        taken(&pace, Kind::Rows, S, Duration::ZERO);
        assert!(!pace.is_full(at(2 * S)) && pace.is_full(at(200 * S)));
    }

    #[tokio::test(start_paused = true)]
    async fn steps_of_a_driven_clock_count_as_time_but_not_for_streams() {
        let clock = Clock::driven(1_000);
        let elapsed = Elapsed::new(&clock);
        clock.step(11_000, S).await.unwrap();
        clock.step(1_000, S).await.unwrap();
        tokio::time::advance(S).await;
        let now = elapsed.now();
        assert_eq!((now.of(Kind::Rows), now.of(Kind::Streams)), (11 * S, S));
    }

    proptest! {
        /// Whatever a stream takes and when, it gets no more than the burst and what time has brought.
        #[test]
        fn nobody_gets_more_than_time_brings(
            rests_ms in prop::collection::vec(0..50_u64, 1..3_000),
        ) {
            let pace = Pace::new(at(Duration::ZERO));
            let mut now = Duration::ZERO;
            let mut count = 0_u32;
            for rest_ms in rests_ms {
                now += Duration::from_millis(rest_ms);
                now += pace.take(Kind::Frames, 1, at(now));
                count += 1;
                prop_assert!(FRAME * count <= FRAME * FRAMES + now);
            }
        }
    }
}
