//! The packed store against the plain one: the same rows, holes, duplicates, runs and churn give the
//! same answers.

mod cases;
mod compare;
mod earlier;
mod shortened;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const STEP_MS: u64 = 10_000;

/// What happens next.
#[derive(Clone, Debug)]
enum Op {
    /// The agent samples so many rows; whether each is sent is in the bits.
    Sample(u8, u16),
    /// The session ends, and another begins, some ticks later.
    Reconnect(u8),
    /// The last row is sent again in a new session.
    Repeat,
    /// The agent starts again: after a boot, or only the process; its clock may have gone back.
    Restart { boot: bool, back: u8 },
    /// The clock goes back by so many ticks, up to nearly a window, and the process starts again; it samples so many
    /// rows before it is heard.
    SetBack { back: u16, unheard: u8 },
    /// The aggregator asks for what it lacks and gets it, of this many blocks, in this codec.
    Pull(u8, u32),
    /// Entities come and go.
    Churn(u8),
    /// Old rows are dropped.
    Evict,
    /// Another aggregator hands over so many blocks of each run that it has, from this one on.
    Restore(u8, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1..24_u8, any::<u16>()).prop_map(|(rows, sent)| Op::Sample(rows, sent | 1)),
        4 => (1..24_u8).prop_map(|rows| Op::Sample(rows, u16::MAX)),
        2 => (0..3_u8).prop_map(Op::Reconnect),
        1 => Just(Op::Repeat),
        1 => (any::<bool>(), 0..4_u8).prop_map(|(boot, back)| Op::Restart { boot, back }),
        1 => (4..600_u16, 0..24_u8).prop_map(|(back, unheard)| Op::SetBack { back, unheard }),
        3 => (1..8_u8, PLAIN..=DENSE).prop_map(|(blocks, codec)| Op::Pull(blocks, codec)),
        3 => any::<u8>().prop_map(Op::Churn),
        2 => Just(Op::Evict),
        3 => (1..8_u8, 0..4_u8).prop_map(|(blocks, from)| Op::Restore(blocks, from)),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..40)
}

#[derive(Clone, Debug)]
struct Sampled {
    seq: u64,
    tick_ms: u64,
    snapshot: Snapshot,
}

/// An agent, the two stores that hear the same of it, and that of another aggregator, which hears
/// other rows. All agents have the same stores.
struct Both {
    node: &'static str,
    plain: Arc<PlainStore>,
    packed: Arc<PackedStore>,
    sessions: (Session, Session),
    other: (Arc<PackedStore>, Session),
    window_ms: u64,
    run: Run,
    ring: Vec<Sampled>,
    ended: Vec<EarlierRun>,
    last: Option<Sampled>,
    next_seq: u64,
    tick_ms: u64,
    now_ms: u64,
    // Pods that are there, by number.
    pods: Vec<u32>,
    next_pod: u32,
    counter: u64,
}

impl Both {
    fn new(window_rows: u64) -> Self {
        let window_ms = window_rows * STEP_MS;
        let plain = Arc::new(PlainStore::new(window_ms, 0));
        let packed = Arc::new(PackedStore::new(window_ms, 0));
        let other = Arc::new(PackedStore::new(window_ms, 0));
        Self::of("node1", (plain, packed, other), window_ms)
    }

    /// Another agent, of the same stores.
    fn beside(&self, node: &'static str) -> Self {
        let plain = Arc::clone(&self.plain);
        let (packed, other) = (Arc::clone(&self.packed), Arc::clone(&self.other.0));
        Self::of(node, (plain, packed, other), self.window_ms)
    }

    fn of(
        node: &'static str,
        (plain, packed, other): (Arc<PlainStore>, Arc<PackedStore>, Arc<PackedStore>),
        window_ms: u64,
    ) -> Self {
        let run = run(1);
        let none = Session {
            node: String::new(),
            number: 0,
        };
        let mut both = Self {
            node,
            plain,
            packed,
            sessions: (none.clone(), none.clone()),
            other: (other, none),
            window_ms,
            run,
            ring: Vec::new(),
            ended: Vec::new(),
            last: None,
            next_seq: 0,
            tick_ms: T0,
            now_ms: T0,
            pods: vec![10, 20],
            next_pod: 30,
            counter: 0,
        };
        both.connect();
        both
    }

    fn connect(&mut self) {
        let opening = Opening {
            run: self.run,
            interval_ms: STEP_MS,
            sent_ms: self.now_ms,
            now_ms: self.now_ms,
        };
        self.sessions = (
            self.plain.open(self.node, opening),
            self.packed.open(self.node, opening),
        );
        self.other.1 = self.other.0.open(self.node, opening);
        self.tell_ended();
        self.last = None;
        for id in [1]
            .into_iter()
            .chain((1..self.next_pod / 10).map(|n| n * 10))
        {
            self.define(id);
        }
    }

    fn define(&self, id: u32) {
        let mut defs = vec![def(1, EntityKind::Node, None, self.node)];
        if id > 1 {
            // Every third pod has the name of another one.
            let pod = def(id, EntityKind::Pod, Some(1), &format!("pod-{}", id / 30));
            let mut container = def(id + 1, EntityKind::Container, Some(id), "app");
            container.runtime_id = format!("run-{id}");
            let part = def(id + 2, EntityKind::Filesystem, Some(id + 1), "/");
            defs = vec![pod, container, part];
        }
        for def in defs {
            let plain = self.plain.define(&self.sessions.0, def.clone());
            let packed = self.packed.define(&self.sessions.1, def.clone());
            // It forgets sooner what no row has.
            let is_forgotten = plain == Ok(Defined::Known) && packed == Ok(Defined::New);
            assert!(plain == packed || is_forgotten, "{plain:?}, {packed:?}");
            // It has other rows, so another run of it may be gone with what that knew.
            self.other.0.define(&self.other.1, def).unwrap();
        }
    }

    /// Names what is in a row and not in the last one, as agents do.
    fn define_for(&self, row: &Snapshot) {
        let last = self.last.as_ref();
        let is_known = |id| last.is_some_and(|last| last.snapshot.position(id).is_some());
        for id in row.entities().iter().filter(|id| !is_known(**id)) {
            if id.0 == 1 || id.0.is_multiple_of(10) {
                self.define(id.0);
            }
        }
    }

    fn sample(&mut self) -> Sampled {
        self.counter += 1;
        let mut builder = Builder::default();
        let n = self.counter;
        let mut put = |id: u32, source, start_ms| {
            // Repeated for three ticks, and missing now and then.
            let time_ms = self.tick_ms / (3 * STEP_MS) * (3 * STEP_MS);
            let stamp = Stamp {
                time_ms,
                start_ms,
                source,
            };
            if !(n + u64::from(id)).is_multiple_of(7) {
                builder.value(EntityId(id), table::CPU, n * 1_000_000);
                builder.stamp(EntityId(id), Group::Cpu, stamp);
            }
            builder.value(EntityId(id), table::MEMORY_USAGE, n / 3 * 4096);
            builder.stamp(EntityId(id), Group::Memory, stamp);
        };
        put(1, Source::Resource, None);
        for pod in &self.pods {
            put(*pod, Source::Resource, Some(T0 + u64::from(*pod)));
            put(
                pod + 1,
                Source::Summary,
                Some(T0 + u64::from(*pod) + n / 40),
            );
            put(pod + 2, Source::Summary, None);
        }
        let row = Sampled {
            seq: self.next_seq,
            tick_ms: self.tick_ms,
            snapshot: builder.build(),
        };
        self.ring.push(row.clone());
        self.next_seq += 1;
        self.tick_ms += STEP_MS;
        self.now_ms = self.now_ms.max(row.tick_ms + 250);
        row
    }

    fn send(&mut self, row: Sampled) {
        self.define_for(&row.snapshot);
        let at = |row: &'_ Sampled| (row.tick_ms, row.snapshot.clone());
        let (base, new) = (self.last.as_ref().map(at), at(&row));
        let timed = |(tick_ms, snapshot): &'_ (u64, Snapshot)| (*tick_ms, snapshot.clone());
        let base = base.as_ref().map(timed);
        let base = base.as_ref().map(|(tick_ms, snapshot)| Timed {
            tick_ms: *tick_ms,
            snapshot,
        });
        let codec = if row.seq.is_multiple_of(5) {
            PLAIN
        } else {
            DENSE
        };
        let new = Timed {
            tick_ms: new.0,
            snapshot: &new.1,
        };
        let payload = row::encode(codec, base, new);
        let wire = WireRow {
            seq: row.seq,
            base_seq: self.last.as_ref().map(|last| last.seq),
            tick_ms: row.tick_ms,
            payload: &payload,
            sent_ms: self.now_ms,
            now_ms: self.now_ms,
        };
        let plain = self.plain.append(&self.sessions.0, wire);
        let packed = self.packed.append(&self.sessions.1, wire);
        assert_eq!(plain, packed, "{row:?}");
        if plain.is_ok() {
            self.last = Some(row);
        }
    }

    fn send_to_other(&self, row: &Sampled) {
        let payload = row::keyframe(DENSE, row.tick_ms, &row.snapshot);
        let wire = WireRow {
            seq: row.seq,
            base_seq: None,
            tick_ms: row.tick_ms,
            payload: &payload,
            sent_ms: self.now_ms,
            now_ms: self.now_ms,
        };
        self.other.0.append(&self.other.1, wire).unwrap();
    }

    fn restore(&self, blocks: usize, from: usize) {
        for held in self.other.0.held_of(self.node) {
            for (block, _) in held.blocks.iter().rev().skip(from).take(blocks) {
                let copy = self.other.0.chunk(self.node, held.run, *block).unwrap();
                let piece = Piece {
                    run: held.run,
                    interval_ms: held.interval_ms,
                    block: *block,
                    names: &copy.names,
                    payload: &copy.payload,
                    known: Known::default(),
                    now_ms: self.now_ms,
                };
                let plain = self.plain.restore(self.node, &piece);
                assert_eq!(plain, self.packed.restore(self.node, &piece), "{block}");
                assert!(plain.is_ok(), "{plain:?}");
                assert_eq!(self.packed.restore(self.node, &piece), Ok(0), "twice");
            }
        }
    }

    fn pull(&mut self, blocks: usize, codec: u32) {
        let offered = 0..self.next_seq.div_ceil(16);
        let mut wanted = self.plain.missing(&self.sessions.0, offered.clone());
        wanted.extend(self.packed.missing(&self.sessions.1, offered));
        wanted.sort_unstable_by(|a, b| b.cmp(a));
        wanted.dedup();
        for block in wanted.into_iter().take(blocks) {
            let rows = self.ring.iter().filter(|row| row.seq / 16 == block);
            let rows: Vec<RowOf<'_>> = rows
                .map(|row| row_of(row.seq % 16, row.tick_ms, &row.snapshot))
                .collect();
            if rows.is_empty() {
                continue;
            }
            let payload = chunk::encode(codec, &rows);
            rows.iter().for_each(|row| self.define_for(row.snapshot));
            let plain = self
                .plain
                .take(&self.sessions.0, block, &payload, self.now_ms);
            let packed = self
                .packed
                .take(&self.sessions.1, block, &payload, self.now_ms);
            assert_eq!(plain, packed, "block {block}");
        }
    }

    /// Another run, whose clock is so many ticks behind; nobody has heard of it yet.
    fn restart(&mut self, boot: bool, back: u64) {
        self.end_run();
        self.tick_ms -= back * STEP_MS;
        self.now_ms = self.tick_ms;
        self.run.epoch_ms += 1;
        self.run.boot_id[0] ^= u8::from(boot);
        self.run.clock_stepped = back > 0;
        (self.next_seq, self.ring) = (0, Vec::new());
    }

    fn act(&mut self, op: &Op) {
        match *op {
            Op::Sample(rows, sent) => {
                for n in 0..rows {
                    let row = self.sample();
                    if sent.rotate_right(3) >> (n % 16) & 1 == 1 {
                        self.send_to_other(&row);
                    }
                    if sent >> (n % 16) & 1 == 1 {
                        self.send(row);
                    }
                }
            }
            Op::Reconnect(ticks) => {
                (0..ticks).for_each(|_| drop(self.sample()));
                self.connect();
            }
            Op::Repeat => {
                self.connect();
                if let Some(row) = self.ring.last().cloned() {
                    self.send(row);
                }
            }
            Op::Restart { boot, back } => {
                self.restart(boot, back.into());
                self.connect();
            }
            Op::SetBack { back, unheard } => {
                let rows = self.window_ms / STEP_MS;
                self.restart(false, u64::from(back) % rows);
                (0..unheard).for_each(|_| drop(self.sample()));
                self.connect();
            }
            Op::Pull(blocks, codec) => self.pull(blocks.into(), codec),
            Op::Churn(which) => {
                let at = usize::from(which) % (self.pods.len() + 1);
                if at < self.pods.len() {
                    self.pods.remove(at);
                }
                if which % 3 > 0 {
                    self.define(self.next_pod);
                    self.pods.push(self.next_pod);
                    self.next_pod += 10;
                }
            }
            Op::Restore(blocks, from) => self.restore(blocks.into(), from.into()),
            Op::Evict => {
                self.other.0.evict(self.now_ms);
                let (plain, packed) = (
                    self.plain.evict(self.now_ms),
                    self.packed.evict(self.now_ms),
                );
                assert_eq!(plain, packed);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_packed_store_answers_as_the_plain_one(
        ops in ops(),
        window_rows in prop_oneof![Just(20_u64), Just(70), Just(600)],
    ) {
        let mut both = Both::new(window_rows);
        for op in &ops {
            both.act(op);
            both.compare_again();
            both.compare_apart();
        }
        both.compare();
        both.act(&Op::Evict);
        both.compare();
    }
}
