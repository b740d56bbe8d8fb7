//! One small frame of each kind, cut at every byte and with every bit flipped, over a stream of its own.

use std::fmt::Write as _;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind, Stamp};
use cairn_proto::stream::SmallBuffers;
use prost::Message as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::Codec as _;

use super::*;
use crate::store::{Entity, NodeState, Opening, RawRow, Selector, WireRow};

/// What time it is, throughout.
const NOW_MS: u64 = 1_795_332_330_000;

/// The last tick before the stream begins, and the one that is told.
const BEFORE_MS: u64 = NOW_MS - 10_000;

fn ingest_of_now() -> Ingest {
    let auth = Arc::new(Authenticator::None);
    Ingest::new(Parts {
        cluster: Cluster::off(),
        store: Arc::new(PackedStore::new(900_000, 0)),
        clock: Clock::new(format!("driven={NOW_MS}").parse().unwrap()),
        auth,
        pressure: Pressure::default(),
        metrics: Metrics::default(),
        instance: String::new(),
        wishes: None,
        token: Token::new(),
    })
}

fn snapshot(tick_ms: u64, value: u64) -> Snapshot {
    let mut builder = Builder::default();
    let stamp = Stamp {
        time_ms: tick_ms,
        start_ms: None,
        source: Source::Summary,
    };
    builder.value(EntityId(1), table::MEMORY_USAGE, value);
    builder.stamp(EntityId(1), Group::Memory, stamp);
    builder.build()
}

/// A node told a row in a stream that is over.
fn told(ingest: &Ingest, node: &str) {
    let store = &ingest.inner.store;
    let opening = Opening {
        run: Run {
            epoch_ms: 1,
            boot_id: [9; 16],
            clock_stepped: false,
        },
        interval_ms: 10_000,
        sent_ms: NOW_MS,
        now_ms: NOW_MS,
    };
    let session = store.open(node, opening);
    let def = EntityDef {
        id: EntityId(1),
        kind: EntityKind::Node,
        parent: None,
        name: node.into(),
        namespace: String::new(),
        uid: String::new(),
        runtime_id: String::new(),
        labels: Vec::new(),
    };
    store.define(&session, def).unwrap();
    let payload = row::keyframe(codec::DENSE, BEFORE_MS, &snapshot(BEFORE_MS, 7));
    let row = WireRow {
        seq: 0,
        base_seq: None,
        tick_ms: BEFORE_MS,
        payload: &payload,
        sent_ms: NOW_MS,
        now_ms: NOW_MS,
    };
    store.append(&session, row).unwrap();
    store.close(&session, NOW_MS);
}

/// Everything that is held of a node.
#[derive(Debug, PartialEq)]
struct Held {
    state: Option<NodeState>,
    rows: Vec<(Entity, Vec<RawRow>)>,
}

fn held(ingest: &Ingest, node: &str) -> Held {
    let store = &ingest.inner.store;
    let entities = store.entities(&Selector::OfNode(node)).into_iter();
    let rows = entities.map(|entity| {
        let rows = store.read(&entity, table::MEMORY_USAGE, (0, u64::MAX));
        (entity, rows)
    });
    Held {
        state: store.node_state(node),
        rows: rows.collect(),
    }
}

/// A run of the agent that has a block of the past.
fn hello_with_past() -> Kind {
    Kind::Hello(v1::Hello {
        node: "n".to_owned(),
        version: "1".to_owned(),
        row_codecs: codec::SUPPORTED.to_vec(),
        chunk_codecs: codec::SUPPORTED.to_vec(),
        interval_ms: 10_000,
        unix_ms: NOW_MS,
        run: run_of_agent(),
        next_seq: 16,
        ..v1::Hello::default()
    })
}

fn define() -> Kind {
    Kind::Define(v1::Define {
        id: 1,
        kind: v1::EntityKind::Node.into(),
        name: "n".to_owned(),
        ..v1::Define::default()
    })
}

/// One frame of each kind, right as it is, by its name.
fn frames() -> Vec<(&'static str, Kind)> {
    let past_ms = NOW_MS - 20_000;
    let (past, snapshot) = (snapshot(past_ms, 6), snapshot(NOW_MS, 8));
    let row = v1::Row {
        seq: 16,
        base_seq: None,
        tick: NOW_MS,
        payload: row::keyframe(codec::DENSE, NOW_MS, &snapshot),
    };
    let rows = [RowOf {
        offset: 0,
        tick: past_ms,
        snapshot: &past,
    }];
    let chunk = v1::Chunk {
        run: run_of_agent(),
        block: 0,
        codec: codec::DENSE,
        payload: chunk::encode(codec::DENSE, &rows),
    };
    let gap = v1::Gap {
        run: run_of_agent(),
        first_seq: 0,
        last_seq: 15,
        reason: v1::GapReason::Evicted.into(),
    };
    let status = v1::SourceStatus {
        source: "summary".to_owned(),
        state: v1::SourceState::Failing.into(),
        since_ms: NOW_MS,
        reason: "why".to_owned(),
        ..v1::SourceStatus::default()
    };
    let resolve = v1::Resolve {
        runtime_ids: vec!["a://1".to_owned()],
        pod_uids: vec!["uid".to_owned()],
    };
    let token = v1::Token {
        bearer: "token".to_owned(),
    };
    let bye = v1::Bye {
        reason: "stops".to_owned(),
    };
    vec![
        ("hello", hello_with_past()),
        ("define", define()),
        ("row", Kind::Row(row)),
        ("chunk", Kind::Chunk(chunk)),
        ("gap", Kind::Gap(gap)),
        ("source status", Kind::SourceStatus(status)),
        ("resolve", Kind::Resolve(resolve)),
        ("token", Kind::Token(token)),
        ("bye", Kind::Bye(bye)),
    ]
}

/// The end of a stream: its status, where it was ended, and what was held then of its node and of another.
#[derive(Debug)]
struct Ended {
    status: Option<Status>,
    own: Held,
    other: Held,
}

/// The agent's side of a stream.
struct Agent {
    bytes: mpsc::Sender<Message>,
    heard: Heard,
}

impl Agent {
    async fn send(&self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        let message = [&[0][..], &length, bytes].concat();
        // A stream that has ended takes nothing; why, is read.
        drop(self.bytes.send(Ok(Frame::data(message.into()))).await);
    }

    async fn tell(&self, kind: Kind) {
        self.send(&frame(NOW_MS, kind).encode_to_vec()).await;
    }

    /// Reads until such an answer.
    async fn until(&mut self, is_it: fn(&Answer) -> bool) {
        loop {
            let answer = self.heard.recv().await.unwrap().unwrap();
            if answer.kind.as_ref().is_some_and(is_it) {
                return;
            }
        }
    }

    /// Says these bytes where such a frame may stand, and goodbye; gives how the stream ended.
    async fn say(mut self, name: &str, bytes: Option<&[u8]>) -> Option<Status> {
        if name != "hello" {
            self.tell(hello_with_past()).await;
            self.until(|answer| matches!(answer, Answer::Welcome(_)))
                .await;
            self.tell(define()).await;
        }
        if name == "chunk" || name == "gap" {
            self.until(|answer| matches!(answer, Answer::Want(_))).await;
        }
        if let Some(bytes) = bytes {
            self.send(bytes).await;
            self.tell(Kind::Bye(v1::Bye::default())).await;
        }
        let Self { bytes, mut heard } = self;
        drop(bytes);
        while let Some(answer) = heard.recv().await {
            if let Err(status) = answer {
                return Some(status);
            }
        }
        None
    }
}

/// Says these bytes to an aggregator that holds a row of their node and of another one.
async fn after(name: &str, bytes: Option<&[u8]>) -> Ended {
    let ingest = ingest_of_now();
    told(&ingest, "n");
    told(&ingest, "other");
    let (send, queue) = mpsc::channel(8);
    let (answers, heard) = mpsc::channel(8);
    let body = StreamBody::new(ReceiverStream::new(queue));
    let decoder = SmallBuffers::<v1::AggregatorFrame, v1::AgentFrame>::default().decoder();
    let most = Some(limits::MAX_FRAME_BYTES);
    let frames = Streaming::new_request(decoder, body, None, most);
    let waiting = ingest.inner.unheard.enter(&Identity::Anyone).unwrap();
    let inner = Arc::clone(&ingest.inner);
    let serving = run(inner, frames, (Identity::Anyone, waiting), answers);
    let agent = Agent { bytes: send, heard };
    let both = async { tokio::join!(serving, agent.say(name, bytes)) };
    let within = Duration::from_secs(600);
    let ((), status) = timeout(within, both).await.expect("the stream ends");
    Ended {
        status,
        own: held(&ingest, "n"),
        other: held(&ingest, "other"),
    }
}

/// Codes that an agent is told for a fault of its own.
const FAULTS: [Code; 5] = [
    Code::InvalidArgument,
    Code::PermissionDenied,
    Code::Unauthenticated,
    Code::FailedPrecondition,
    Code::ResourceExhausted,
];

/// Says bytes in the place of such a frame, and checks what came of it; true when they were taken.
async fn check(name: &str, bytes: &[u8], before: &Ended, what: &str) -> bool {
    let ended = after(name, Some(bytes)).await;
    assert_eq!(ended.other, before.other, "{what}: {:?}", ended.status);
    let is_frame = v1::AgentFrame::decode(bytes).is_ok();
    let Some(status) = ended.status else {
        assert!(is_frame, "{what}: taken");
        return true;
    };
    assert!(FAULTS.contains(&status.code()), "{what}: {status:?}");
    assert!(status.message().len() > 8, "{what}: {status:?}");
    if !is_frame {
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
        let words = "a frame is not one of this protocol: failed to decode";
        assert!(status.message().starts_with(words), "{what}: {status:?}");
    }
    assert_eq!(ended.own, before.own, "{what}: {status:?}");
    false
}

/// Guarantees: each frame as it is is taken and does something, or the rest of this says nothing.
#[tokio::test(start_paused = true)]
async fn each_frame_as_it_is_is_taken() {
    for (name, kind) in frames() {
        let bytes = frame(NOW_MS, kind).encode_to_vec();
        let before = after(name, None).await;
        assert!(before.status.is_none() || name == "hello", "{before:?}");
        assert!(check(name, &bytes, &before, name).await, "{name}");
        let ended = after(name, Some(&bytes)).await;
        let is_told = ["row", "chunk", "gap", "source status"].contains(&name);
        assert_eq!(ended.own != before.own, is_told, "{name}: {ended:?}");
    }
}

/// Scenario: of each of the nine kinds a frame is cut at every byte.
/// Guarantees: each cut ends its stream with a status that says that it is no frame, or is a frame of no
/// kind; nothing that is held changes.
#[tokio::test(start_paused = true)]
async fn every_cut_of_a_frame_of_any_kind_ends_its_stream_alone() {
    for (name, kind) in frames() {
        let bytes = frame(NOW_MS, kind).encode_to_vec();
        let before = after(name, None).await;
        let mut taken = Vec::new();
        for cut in 0..bytes.len() {
            let what = format!("{name} cut to {cut} of {}", bytes.len());
            if check(name, &bytes[..cut], &before, &what).await {
                taken.push(cut);
            }
        }
        // Nothing, and the clock alone. A stream that does not begin with Hello ends for that.
        let expected: &[usize] = if name == "hello" { &[] } else { &[0, 7] };
        assert_eq!(taken, expected, "{name}");
    }
}

/// Scenario: of each of the nine kinds a frame comes with one bit flipped, each of its bits.
/// Guarantees: each is taken as the frame that it is now, or ends its stream with a status that names the
/// fault; nothing that an ended stream said is held, and nothing of another node changes.
#[tokio::test(start_paused = true)]
async fn every_frame_with_a_flipped_bit_is_another_frame_or_ends_its_stream_alone() {
    let mut said = String::new();
    for (name, kind) in frames() {
        let bytes = frame(NOW_MS, kind).encode_to_vec();
        let before = after(name, None).await;
        let (mut taken, mut ended) = (0, 0);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let what = format!("{name}, bit {} of byte {}", bit % 8, bit / 8);
            if check(name, &flipped, &before, &what).await {
                taken += 1;
            } else {
                ended += 1;
            }
        }
        writeln!(said, "{name}: {taken} taken, {ended} ended").unwrap();
        assert!(taken > 0 && ended > 0, "{said}");
    }
}
