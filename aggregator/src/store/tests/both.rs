//! The packed store against the plain one: the same rows, holes, duplicates, runs and churn give the
//! same answers.

mod cases;
mod earlier;

use cairn_proto::catalogue::FieldId;
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
    /// The aggregator asks for what it lacks and gets it, of this many blocks, in this codec.
    Pull(u8, u32),
    /// Entities come and go.
    Churn(u8),
    /// Old rows are dropped.
    Evict,
    /// Another aggregator hands over so many blocks of each run that it has, from this one on.
    Restore(u8, u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (1..24_u8, any::<u16>()).prop_map(|(rows, sent)| Op::Sample(rows, sent | 1)),
        4 => (1..24_u8).prop_map(|rows| Op::Sample(rows, u16::MAX)),
        2 => (0..3_u8).prop_map(Op::Reconnect),
        1 => Just(Op::Repeat),
        1 => (any::<bool>(), 0..4_u8).prop_map(|(boot, back)| Op::Restart { boot, back }),
        3 => (1..8_u8, PLAIN..=DENSE).prop_map(|(blocks, codec)| Op::Pull(blocks, codec)),
        3 => any::<u8>().prop_map(Op::Churn),
        2 => Just(Op::Evict),
        3 => (1..8_u8, 0..4_u8).prop_map(|(blocks, from)| Op::Restore(blocks, from)),
    ];
    prop::collection::vec(op, 1..40)
}

#[derive(Clone, Debug)]
struct Sampled {
    seq: u64,
    tick_ms: u64,
    snapshot: Snapshot,
}

/// An agent, the two stores that hear the same of it, and that of another aggregator, which hears
/// other rows.
struct Both {
    plain: PlainStore,
    packed: PackedStore,
    sessions: (Session, Session),
    other: (PackedStore, Session),
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
        let plain = PlainStore::new(window_ms, 0);
        let packed = PackedStore::new(window_ms, 0);
        let run = run(1);
        let none = Session {
            node: String::new(),
            number: 0,
        };
        let mut both = Self {
            plain,
            packed,
            sessions: (none.clone(), none.clone()),
            other: (PackedStore::new(window_ms, 0), none),
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
            self.plain.open("node1", opening),
            self.packed.open("node1", opening),
        );
        self.other.1 = self.other.0.open("node1", opening);
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
        let mut defs = vec![def(1, EntityKind::Node, None, "node1")];
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
        for held in self.other.0.held_of("node1") {
            for (block, _) in held.blocks.iter().rev().skip(from).take(blocks) {
                let copy = self.other.0.chunk("node1", held.run, *block).unwrap();
                let piece = Piece {
                    run: held.run,
                    interval_ms: held.interval_ms,
                    block: *block,
                    names: &copy.names,
                    payload: &copy.payload,
                    known: Known::default(),
                    now_ms: self.now_ms,
                };
                let plain = self.plain.restore("node1", &piece);
                assert_eq!(plain, self.packed.restore("node1", &piece), "{block}");
                assert!(plain.is_ok(), "{plain:?}");
                assert_eq!(self.packed.restore("node1", &piece), Ok(0), "twice");
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
                self.end_run();
                self.tick_ms -= u64::from(back) * STEP_MS;
                self.now_ms = self.tick_ms;
                self.run.epoch_ms += 1;
                self.run.boot_id[0] ^= u8::from(boot);
                self.run.clock_stepped = back > 0;
                (self.next_seq, self.ring) = (0, Vec::new());
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

    /// What the two would hand over is the same.
    fn compare_copies(&self) {
        let held = self.plain.held_of("node1");
        assert_eq!(held, self.packed.held_of("node1"));
        for held in held {
            for (block, _) in held.blocks {
                let plain = self.plain.chunk("node1", held.run, block).unwrap();
                let packed = self.packed.chunk("node1", held.run, block).unwrap();
                let (plain_rows, mut rows) = (
                    chunk::decode(&plain.payload).unwrap(),
                    chunk::decode(&packed.payload).unwrap(),
                );
                // A block is handed over with what has expired of it.
                rows.retain(|row| plain_rows.iter().any(|other| other.tick == row.tick));
                assert_eq!(plain_rows, rows, "{block}");
                let known: Vec<EntityId> = packed.names.iter().map(Named::id).collect();
                let missing = plain
                    .names
                    .iter()
                    .find(|named| !packed.names.contains(named));
                assert_eq!(missing, None, "{block}: {known:?}");
            }
        }
    }

    fn compare(&self) {
        self.compare_copies();
        assert_eq!(self.plain.nodes(), self.packed.nodes());
        let (plain, packed) = (self.plain.size(), self.packed.size());
        assert_eq!((plain.nodes, plain.rows), (packed.nodes, packed.rows));
        assert_eq!(plain.samples, packed.samples);
        let all = [
            Selector::Nodes,
            Selector::Pods,
            Selector::AllContainers,
            Selector::AllParts,
            Selector::Namespace("shop"),
            Selector::Pod {
                namespace: "shop",
                name: "pod-1",
            },
            Selector::ContainersOf("shop"),
            Selector::Containers {
                namespace: "shop",
                pod: "pod-1",
            },
            Selector::OfNode("node1"),
        ];
        for selector in all {
            let plain = self.plain.entities(&selector);
            assert_eq!(plain, self.packed.entities(&selector), "{selector:?}");
        }
        let entities = self.plain.entities(&Selector::OfNode("node1"));
        let asked: Vec<&Entity> = entities.iter().collect();
        let ranges = [
            (0, u64::MAX),
            (
                self.tick_ms.saturating_sub(self.window_ms / 2),
                self.tick_ms - 3 * STEP_MS,
            ),
        ];
        for namespace in [None, Some("shop"), Some("none")] {
            self.compare_recent(namespace);
        }
        let fields = [
            (table::CPU, ranges[1]),
            (table::NETWORK_RX, ranges[0]),
            (table::MEMORY_USAGE, ranges[1]),
        ];
        for store in [&self.plain as &dyn Door, &self.packed] {
            store.visit_fields(&asked, &fields, &mut |at, nth, rows| {
                let (field, range) = fields[at];
                assert_eq!(rows, store.read(asked[nth], field, range), "{field:?}");
            });
        }
        for field in [
            table::CPU,
            table::MEMORY_USAGE,
            table::NETWORK_RX,
            FieldId(9_999),
        ] {
            for range in ranges {
                let plain = self.plain.read_all(&asked, field, range);
                let packed = self.packed.read_all(&asked, field, range);
                for ((entity, plain), packed) in entities.iter().zip(plain).zip(packed) {
                    assert_eq!(plain, packed, "{field:?} of {:?} in {range:?}", entity.path);
                    assert_eq!(packed, self.packed.read(entity, field, range));
                }
            }
        }
    }
}

/// What one container says: names, then CPU, memory and swap.
type Said = ([String; 4], Vec<RawRow>, [Option<Point>; 2]);

fn said(store: &dyn Door, namespace: Option<&str>) -> Option<Vec<Said>> {
    let mut all: Vec<Said> = Vec::new();
    let is_at_hand = store.recent("node1", namespace, &mut |one| {
        let names = [one.namespace, one.pod, one.pod_uid, one.name];
        let names = names.map(str::to_owned);
        all.push((names, one.cpu.to_vec(), [one.memory, one.swap]));
    });
    all.sort_by(|a, b| a.0.cmp(&b.0));
    is_at_hand.then_some(all)
}

impl Both {
    /// What is at hand is what the window says, of fewer rows at most.
    fn compare_recent(&self, namespace: Option<&str>) {
        let Some(packed) = said(&self.packed, namespace) else {
            return;
        };
        let plain = said(&self.plain, namespace).unwrap();
        assert_eq!(packed.len(), plain.len());
        for (packed, plain) in packed.iter().zip(&plain) {
            assert_eq!((&packed.0, packed.2), (&plain.0, plain.2));
            assert!(
                plain.1.ends_with(&packed.1) && !packed.1.is_empty(),
                "{packed:?} {plain:?}"
            );
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
        }
        both.compare();
        both.act(&Op::Evict);
        both.compare();
    }
}
