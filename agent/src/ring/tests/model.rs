//! The ring against a list of all rows that were ever pushed.
//!
//! What went is always what was oldest, so the ring's own count of it says which rows must be
//! there; that the count is right shows in what is there, and in the rules of age and memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const WINDOW_MS: u64 = 300;

/// Nothing that is noted of it is noted of the ring's own run.
const OTHER: Run = Run { epoch_ms: 0, ..RUN };

/// What is done to the ring.
#[derive(Clone, Debug)]
enum Op {
    /// A row, so many ms after the one before, of the entities whose bits are set; one of them may
    /// have got another name. Sealing may be left out.
    Push {
        later_ms: u64,
        entities: u8,
        value: u64,
        renamed: Option<u32>,
        seals: bool,
    },
    /// A stream was sent the row that lies so far behind the newest.
    Send { behind: u64 },
    /// An aggregator has what was sent of so many of a hundred parts of the run's rows.
    Ack { percent: u64 },
    /// An aggregator asked for so many rows from this one on, and was sent them.
    Give { first: u64, count: u64 },
    /// The clock stepped.
    Step,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let later_ms = prop_oneof![9 => Just(10u64), 1 => 1u64..400];
    let renamed = prop_oneof![4 => Just(None), 1 => (0u32..4).prop_map(Some)];
    let seals = prop::bool::weighted(0.8);
    let push = (later_ms, 1u8..16, any::<u64>(), renamed, seals);
    let push = push.prop_map(|(later_ms, entities, value, renamed, seals)| Op::Push {
        later_ms,
        entities,
        value,
        renamed,
        seals,
    });
    let ack = (0u64..=100).prop_map(|percent| Op::Ack { percent });
    let send = prop_oneof![4 => Just(0u64), 1 => 0u64..40];
    let send = send.prop_map(|behind| Op::Send { behind });
    let give = (0u64..100, 1u64..20).prop_map(|(first, count)| Op::Give { first, count });
    vec(
        prop_oneof![60 => push, 30 => send, 3 => ack, 3 => give, 1 => Just(Op::Step)],
        1..150,
    )
}

/// A row that was pushed.
struct Pushed {
    seq: u64,
    tick: u64,
    snapshot: Arc<Snapshot>,
    defs: Vec<Arc<EntityDef>>,
}

/// All rows of a run, and how the ring is to be.
struct Model {
    ring: Ring,
    run: Run,
    rows: Vec<Pushed>,
    names: [Arc<EntityDef>; 4],
    max_bytes: usize,
    tick: u64,
    stepped_rows: u64,
    // Rows of the run that were sent, those that an aggregator has, the first row held at the last
    // look, and rows of all runs that went without anybody having them.
    sent: BTreeSet<u64>,
    had: BTreeSet<u64>,
    gone: u64,
    dropped: u64,
    // The first row that nothing has sealed.
    unsealed: u64,
}

impl Model {
    fn new(max_bytes: usize) -> Self {
        Self {
            ring: Ring::new(RUN, WINDOW_MS, max_bytes),
            run: RUN,
            rows: Vec::new(),
            names: [1, 2, 3, 4].map(|id| def(id, "")),
            max_bytes,
            tick: 1_000,
            stepped_rows: 0,
            sent: BTreeSet::new(),
            had: BTreeSet::new(),
            gone: 0,
            dropped: 0,
            unsealed: 0,
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Push {
                later_ms,
                entities,
                value,
                renamed,
                seals,
            } => {
                self.tick += later_ms;
                if let Some(at) = renamed {
                    self.names[*at as usize] = def(at + 1, "another");
                }
                self.push(*entities, *value);
                self.check();
                if *seals {
                    self.ring.seal();
                    self.unsealed = (self.rows.len() as u64 - 1) / 16 * 16;
                }
            }
            Op::Send { behind } => {
                if let Some(seq) = (self.rows.len() as u64).checked_sub(behind + 1) {
                    self.sent.insert(seq);
                    self.ring.sent(&self.run, seq);
                    self.ring.sent(&OTHER, seq.saturating_sub(1));
                }
            }
            Op::Ack { percent } => {
                let acked = self.rows.len() as u64 * percent / 100;
                self.had.extend(self.sent.range(..acked));
                if let Some(seq) = acked.checked_sub(1) {
                    self.ring.acknowledged(&self.run, seq);
                }
                self.ring.acknowledged(&OTHER, u64::MAX);
            }
            Op::Give { first, count } => {
                let end = (first + count).min(self.rows.len() as u64);
                self.had.extend(*first..end);
                self.ring.given(&self.run, *first..end);
                self.ring.given(&OTHER, 0..u64::MAX);
            }
            Op::Step => {
                self.go_until(self.rows.len() as u64);
                self.gone = 0;
                self.sent.clear();
                self.had.clear();
                self.stepped_rows += self.ring.stock().rows as u64;
                // Set back, as clocks are.
                self.tick -= self.tick.min(500);
                self.run = Run {
                    epoch_ms: self.run.epoch_ms + 1,
                    clock_stepped: true,
                    ..self.run
                };
                self.ring.begin(self.run);
                self.rows.clear();
                self.unsealed = 0;
            }
        }
        self.go_until(self.ring.stock().evicted_of_run());
        assert_eq!(self.ring.stock().dropped_rows, self.dropped);
        self.check();
    }

    /// Rows before this one have gone.
    fn go_until(&mut self, gone: u64) {
        let unheard = (self.gone..gone).filter(|seq| !self.had.contains(seq));
        self.dropped += unheard.count() as u64;
        self.gone = gone;
    }

    fn push(&mut self, entities: u8, value: u64) {
        let there = (0..4).filter(|bit| entities >> bit & 1 == 1);
        let defs = there.map(|bit| Arc::clone(&self.names[bit]));
        let defs: Vec<Arc<EntityDef>> = defs.collect();
        let mut builder = Builder::default();
        for def in &defs {
            builder.value(def.id, table::CPU, value / u64::from(def.id.0));
        }
        let snapshot = builder.build();
        let seq = self.rows.len() as u64;
        self.rows.push(Pushed {
            seq,
            tick: self.tick,
            snapshot: Arc::new(snapshot.clone()),
            defs: defs.clone(),
        });
        assert_eq!(self.ring.push(self.tick, snapshot, defs), seq);
    }

    /// Rows that are too old by the rule: those of full blocks that ended before the window.
    fn too_old(&self) -> u64 {
        let newest = self.rows.last().map_or(0, |row| row.tick);
        let full = self.rows.len().saturating_sub(1) / 16 * 16;
        let blocks = self.rows[..full].chunks(16);
        let old = blocks.filter(|block| block[15].tick + WINDOW_MS < newest);
        old.count() as u64 * 16
    }

    fn check(&self) {
        let (stock, next_seq) = (self.ring.stock(), self.rows.len() as u64);
        let gone = stock.evicted_of_run();
        assert_eq!(stock.rows as u64, next_seq - gone);
        assert_eq!(stock.stepped_rows, self.stepped_rows);
        if self.max_bytes == usize::MAX {
            assert_eq!((gone, stock.crowded_rows), (self.too_old(), 0));
        } else {
            let waits = next_seq % 16 == 1;
            let fits = stock.bytes <= self.max_bytes;
            assert!(fits || stock.rows <= 1 || waits, "{stock:?}");
            assert!(gone >= self.too_old());
        }
        let oldest = self.rows.get(usize::try_from(gone).unwrap());
        let ends = self.rows.last().zip(oldest);
        let span_ms = ends.map_or(0, |(newest, oldest)| newest.tick - oldest.tick);
        assert_eq!(stock.span_ms, span_ms);
        assert_eq!(stock.oldest_block, gone.div_ceil(16).min(next_seq / 16));
        for number in 0..next_seq / 16 + 2 {
            self.check_block(number, gone);
        }
        self.check_rows(next_seq);
        let found = self.ring.block(&OTHER, 0);
        assert!(matches!(found, Block::Ahead | Block::Evicted));
        assert!(self.ring.row(&OTHER, 0).is_none());
    }

    fn check_rows(&self, next_seq: u64) {
        let roomy = self.max_bytes == usize::MAX;
        for row in &self.rows {
            let newest = row.seq + 1 == next_seq;
            let must = newest || (roomy && row.seq + RECENT_ROWS >= next_seq);
            match self.ring.row(&self.run, row.seq) {
                Some(found) => {
                    let expected = (row.tick, &row.snapshot);
                    assert_eq!((found.tick, &found.snapshot), expected);
                }
                None => assert!(!must, "row {}", row.seq),
            }
        }
    }

    fn check_block(&self, number: u64, gone: u64) {
        let (first, next_seq) = (number * 16, self.rows.len() as u64);
        let block = self.ring.block(&self.run, number);
        if first >= next_seq {
            assert!(matches!(block, Block::Ahead), "{number}");
            return;
        }
        if first < gone {
            assert!(matches!(block, Block::Evicted), "{number}");
            return;
        }
        let end = usize::try_from(next_seq.min(first + 16)).unwrap();
        let rows = &self.rows[usize::try_from(first).unwrap()..end];
        let expected = rows.iter();
        let expected = expected.map(|row| (row.seq, row.tick, (*row.snapshot).clone()));
        let found = rows_of(&self.ring, number).expect("it is held");
        assert_eq!(found, expected.collect::<Vec<_>>(), "{number}");
        let Block::Sealed(sealed) = block else {
            assert!(first >= self.unsealed, "{number} is sealed");
            return;
        };
        let defs = rows.iter().flat_map(|row| row.defs.iter());
        let newest: BTreeMap<EntityId, _> = defs.map(|def| (def.id, Arc::as_ptr(def))).collect();
        let found = sealed.defs.iter().map(|def| (def.id, Arc::as_ptr(def)));
        assert!(found.eq(newest), "{number}");
    }
}

proptest! {
    #[test]
    fn what_is_asked_for_is_what_was_pushed_or_rightly_gone(
        ops in ops(),
        max_bytes in prop_oneof![Just(usize::MAX), 0usize..6_000],
    ) {
        let mut model = Model::new(max_bytes);
        ops.iter().for_each(|op| model.apply(op));
    }
}
