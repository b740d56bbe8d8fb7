//! What is still asked for, and taken, when windows were shortened meanwhile.

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::model::{Builder, EntityId, Stamp};
use tokio::task::{LocalSet, yield_now};
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::pressure::Level;
use crate::store::{Door as _, Exchange as _};

const NOW_MS: u64 = 1_795_332_330_000;

/// Rows that an agent has: of four blocks.
const ROWS: u64 = 64;

/// Parts of a node of which a block has more than a hundred thousand bytes.
const MANY: u32 = 1_000;

/// Room for history between two looks, bytes: for small chunks, and not for a large one.
const ROOM: u64 = 64 << 10;

/// The chunk of a block in which a node has so many parts.
fn chunk(block: u64, parts: u32) -> Kind {
    let tick = |offset: u64| NOW_MS - (ROWS - 1 - 16 * block - offset) * 1_000;
    let snapshot = |time_ms: u64| {
        let mut builder = Builder::default();
        for id in 1..=parts {
            let stamp = Stamp {
                time_ms,
                start_ms: None,
                source: Source::Summary,
            };
            let value = (time_ms ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            builder.value(EntityId(id), table::MEMORY_USAGE, value >> 8);
            builder.stamp(EntityId(id), Group::Memory, stamp);
        }
        builder.build()
    };
    let rows: Vec<Snapshot> = (0..16).map(|offset| snapshot(tick(offset))).collect();
    let rows = (0..).zip(&rows).map(|(offset, snapshot)| RowOf {
        offset,
        tick: tick(offset),
        snapshot,
    });
    Kind::Chunk(v1::Chunk {
        run: run_of_agent(),
        block,
        codec: codec::DENSE,
        payload: chunk::encode(codec::DENSE, &rows.collect::<Vec<RowOf<'_>>>()),
    })
}

fn define(id: u32, node: &str) -> Kind {
    let (kind, parent, name) = match id {
        1 => (v1::EntityKind::Node, 0, node.to_owned()),
        id => (v1::EntityKind::Filesystem, 1, format!("/{id}")),
    };
    Kind::Define(v1::Define {
        id,
        kind: kind.into(),
        parent,
        name,
        ..v1::Define::default()
    })
}

/// The aggregator, and its window.
struct Bed {
    ingest: Ingest,
    store: Arc<PackedStore>,
}

impl Bed {
    fn new() -> Self {
        let store = Arc::new(PackedStore::new(900_000, 0));
        let ingest = Ingest::new(Parts {
            store: Arc::clone(&store) as _,
            clock: Clock::new(format!("driven={NOW_MS}").parse().unwrap()),
            pressure: Pressure::below(16 * ROOM),
            ..parts()
        });
        Self { ingest, store }
    }

    fn rows(&self, node: &str) -> u32 {
        let held = self.store.held_of(node).into_iter();
        let blocks = held.flat_map(|run| run.blocks);
        blocks.map(|(_, rows)| rows.count_ones()).sum()
    }

    /// The longest window loses what goes at once.
    fn shorten(&self) {
        assert_eq!(self.store.shorten(self.store.bytes() - 1), 16);
    }

    /// An agent that is welcomed, has named its node, and then says these frames, one each time that it is told to.
    async fn agent(&self, node: &str, frames: Vec<Kind>) -> Agent {
        let mut first = hello_of(node);
        first.unix_ms = NOW_MS;
        let first = frame(NOW_MS, Kind::Hello(first));
        let frames = [define(1, node)].into_iter().chain(frames);
        let frames = frames.map(|kind| frame(NOW_MS, kind));
        let (say, said) = mpsc::channel(8);
        let all = [first].into_iter().chain(frames);
        let messages = ReceiverStream::new(said);
        let (serving, told) = stream(&self.ingest, Identity::Anyone, all, messages);
        tokio::task::spawn_local(serving);
        let mut agent = Agent { say, told };
        agent.says(2).await;
        let welcome = agent.told.recv().await.unwrap().unwrap();
        assert!(matches!(welcome.kind, Some(Answer::Welcome(_))));
        agent
    }
}

fn hello_of(node: &str) -> v1::Hello {
    v1::Hello {
        node: node.to_owned(),
        row_codecs: codec::SUPPORTED.to_vec(),
        chunk_codecs: codec::SUPPORTED.to_vec(),
        interval_ms: 1_000,
        run: run_of_agent(),
        next_seq: ROWS,
        ..v1::Hello::default()
    }
}

struct Agent {
    say: mpsc::Sender<Message>,
    told: Heard,
}

impl Agent {
    /// Says so many frames.
    async fn says(&self, count: usize) {
        for _ in 0..count {
            self.say.send(message()).await.unwrap();
        }
    }

    /// The next request for history.
    async fn wanted(&mut self) -> (u64, u64) {
        let wanted = async {
            loop {
                let told = self.told.recv().await.expect("it goes on").unwrap();
                if let Some(Answer::Want(want)) = told.kind {
                    return (want.first_block, want.last_block);
                }
            }
        };
        timeout(Duration::from_secs(60), wanted).await.unwrap()
    }

    /// Says its last frame, which is `Bye`; the requests for history until the stream ends.
    async fn leaves(mut self) -> Vec<(u64, u64)> {
        self.says(1).await;
        let mut wanted = Vec::new();
        let told = async {
            while let Some(told) = self.told.recv().await {
                if let Some(Answer::Want(want)) = told.unwrap().kind {
                    wanted.push((want.first_block, want.last_block));
                }
            }
        };
        timeout(Duration::from_secs(60), told).await.unwrap();
        wanted
    }
}

fn bye() -> Kind {
    Kind::Bye(v1::Bye::default())
}

/// Lets others go on until it is so.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if is_so() {
            return;
        }
        yield_now().await;
    }
    panic!("it does not become so");
}

/// Scenario: two agents come back to an aggregator that was started again; one has brought all of its history and the
/// other one a block, when a look shortens the longest window.
/// Guarantees: the late one gets all of its history, so that it has no less than the other; what the early one lost is
/// not asked for again when it comes back.
#[tokio::test(start_paused = true)]
async fn late_nodes_get_as_much_history_as_early_ones_when_windows_are_shortened() {
    let test = async {
        let bed = Bed::new();
        let chunks = || vec![chunk(3, 1), chunk(2, 1), chunk(1, 1), chunk(0, 1), bye()];
        let mut early = bed.agent("early", chunks()).await;
        let mut late = bed.agent("late", chunks()).await;
        for agent in [&mut early, &mut late] {
            assert_eq!(agent.wanted().await, (3, 3));
            agent.says(1).await;
            assert_eq!(agent.wanted().await, (0, 2));
        }
        early.says(3).await;
        until(|| bed.rows("early") == 64).await;
        assert_eq!(bed.rows("late"), 16);
        bed.shorten();
        assert_eq!((bed.rows("early"), bed.rows("late")), (48, 16));
        late.says(3).await;
        assert_eq!(late.leaves().await, []);
        assert_eq!((bed.rows("early"), bed.rows("late")), (48, 64));
        assert_eq!(early.leaves().await, []);
        let early = bed.agent("early", vec![bye()]).await;
        assert_eq!(early.leaves().await, []);
    };
    LocalSet::new().run_until(test).await;
}

/// Scenario: a large chunk waits for its turn to be decoded when a look shortens its node's window; a block that is
/// older was asked for, and comes after it.
/// Guarantees: the rows of the chunk do not come in before those that went, and the older block is left unread.
#[tokio::test]
async fn what_is_decoded_while_a_look_shortens_its_window_leaves_no_hole() {
    let test = async {
        let bed = Bed::new();
        let mut frames: Vec<Kind> = (2..=MANY).map(|id| define(id, "n")).collect();
        frames.extend([chunk(3, 1), chunk(2, 1), chunk(1, MANY), chunk(0, 1), bye()]);
        let mut agent = bed.agent("n", frames).await;
        agent.says(MANY as usize - 1).await;
        assert_eq!(agent.wanted().await, (3, 3));
        agent.says(1).await;
        assert_eq!(agent.wanted().await, (0, 2));
        agent.says(1).await;
        until(|| bed.rows("n") == 32).await;
        let inner = &bed.ingest.inner;
        let all = u32::try_from(inner.large.available_permits()).unwrap();
        let turns = Arc::clone(&inner.large).acquire_many_owned(all).await;
        agent.says(1).await;
        // It is counted, and then waits.
        until(|| !inner.pressure.has_room()).await;
        assert_eq!(bed.rows("n"), 32);
        bed.shorten();
        assert_eq!(bed.rows("n"), 16);
        drop(turns);
        agent.says(1).await;
        assert_eq!(agent.leaves().await, []);
        assert_eq!(bed.rows("n"), 16, "{:?}", bed.store.held_of("n"));
        assert_eq!(inner.metrics.useless_chunks.get(), 1);
    };
    LocalSet::new().run_until(test).await;
}

/// Scenario: blocks of a node are so large that they are asked for one by one, and one takes all the room that there
/// is between two looks; at the next look its node's window is shortened.
/// Guarantees: the blocks that were wanted and not asked for yet, all older than what went, are not asked for.
#[tokio::test]
async fn what_is_wanted_when_a_look_shortens_its_window_is_not_asked_for() {
    let test = async {
        let bed = Bed::new();
        let pressure = &bed.ingest.inner.pressure;
        let mut frames: Vec<Kind> = (2..=MANY).map(|id| define(id, "n")).collect();
        frames.extend([chunk(3, MANY), chunk(2, MANY), bye()]);
        let mut agent = bed.agent("n", frames).await;
        agent.says(MANY as usize - 1).await;
        assert_eq!(agent.wanted().await, (3, 3));
        agent.says(1).await;
        until(|| bed.rows("n") == 16).await;
        pressure.looked(Level::Calm);
        assert_eq!(agent.wanted().await, (2, 2), "alone");
        agent.says(1).await;
        until(|| bed.rows("n") == 32).await;
        assert!(!pressure.has_room());
        bed.shorten();
        pressure.looked(Level::Calm);
        assert_eq!(agent.leaves().await, []);
        assert_eq!(bed.rows("n"), 16);
    };
    LocalSet::new().run_until(test).await;
}
