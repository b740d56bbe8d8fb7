//! Frames of every kind, cut, flipped, over the limit and out of order: each ends its own stream with a
//! status that names the fault, changes nothing of what is held, and nobody else notices.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use cairn_proto::catalogue::table;
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::limits;
use cairn_proto::model::{Builder, EntityId, Snapshot};
use cairn_proto::v1::{self, agent_frame::Kind};
use serde_json::Value;
use testkit::peer;
use testkit::raw::RawAgent;
use testkit::rfc3339;
use testkit::system::{FIRST_TICK_MS, Options, System};
use tonic::{Code, Status};

const TICK: u64 = FIRST_TICK_MS;

/// Bytes of the clock that stands before the kind of a frame: its tag and a number of six bytes.
const CLOCK_BYTES: usize = 7;

/// One frame of each kind, right as it is, by its name.
fn frames() -> Vec<(&'static str, Kind)> {
    let tick = TICK + 10_000;
    let snapshot = snapshot(tick);
    let rows = [RowOf {
        offset: 0,
        tick,
        snapshot: &snapshot,
    }];
    let chunk = v1::Chunk {
        run: run(),
        block: 0,
        codec: DENSE,
        payload: chunk::encode(DENSE, &rows),
    };
    let gap = v1::Gap {
        run: run(),
        first_seq: 16,
        last_seq: 31,
        reason: v1::GapReason::Evicted.into(),
    };
    let status = v1::SourceStatus {
        source: "summary".to_owned(),
        state: v1::SourceState::Failing.into(),
        since_ms: TICK,
        last_success_ms: TICK,
        reason: "a reason".to_owned(),
        missing_right: "get nodes/stats".to_owned(),
    };
    let resolve = v1::Resolve {
        runtime_ids: vec!["containerd://1".to_owned()],
        pod_uids: vec!["03a70c4b-ca1d-4b94-9704-26a125eae027".to_owned()],
    };
    let token = v1::Token {
        bearer: "agent-token-of-guest".to_owned(),
    };
    let bye = v1::Bye {
        reason: "agent stops".to_owned(),
    };
    vec![
        ("hello", Kind::Hello(hello())),
        ("define", define(2, v1::EntityKind::System, "kubelet")),
        ("row", row_of(0, None, tick)),
        ("chunk", Kind::Chunk(chunk)),
        ("gap", Kind::Gap(gap)),
        ("source status", Kind::SourceStatus(status)),
        ("resolve", Kind::Resolve(resolve)),
        ("token", Kind::Token(token)),
        ("bye", Kind::Bye(bye)),
    ]
}

fn run() -> Option<v1::Run> {
    Some(v1::Run {
        boot_id: vec![7; 16],
        epoch_ms: 2,
        clock_stepped: false,
    })
}

fn hello() -> v1::Hello {
    v1::Hello {
        node: "guest".to_owned(),
        version: "test".to_owned(),
        row_codecs: vec![DENSE],
        chunk_codecs: vec![DENSE],
        catalogue: 1,
        interval_ms: 10_000,
        unix_ms: TICK + 20_500,
        run: run(),
        ..v1::Hello::default()
    }
}

fn define(id: u32, kind: v1::EntityKind, name: &str) -> Kind {
    Kind::Define(v1::Define {
        id,
        kind: kind.into(),
        name: name.to_owned(),
        ..v1::Define::default()
    })
}

fn snapshot(tick: u64) -> Snapshot {
    peer::one_value(tick).build()
}

fn row_of(seq: u64, base_seq: Option<u64>, tick: u64) -> Kind {
    Kind::Row(v1::Row {
        seq,
        base_seq,
        tick,
        payload: row::keyframe(DENSE, tick, &snapshot(tick)),
    })
}

/// Two honest nodes, and a guest that has told one row; then a minute in which it may send others.
struct Scene {
    system: System,
    before: Vec<Value>,
}

impl Scene {
    async fn new() -> Self {
        let options = Options {
            guests: vec!["guest".to_owned()],
            ..Options::default()
        };
        let system = System::start(options).unwrap();
        system.tick(TICK).unwrap();
        let mut scene = Self {
            system,
            before: Vec::new(),
        };
        let mut agent = scene.connect().await;
        agent.hello("guest", 1).await.unwrap();
        agent.send(define(1, v1::EntityKind::Node, "guest")).await;
        agent.send(row_of(0, None, TICK)).await;
        agent.send(Kind::Bye(v1::Bye::default())).await;
        assert_eq!(agent.end().await.unwrap().code(), Code::Ok);
        scene.system.step(TICK + 10_000).unwrap();
        scene.system.tick(TICK + 20_000).unwrap();
        // What a stream that tells nothing leaves behind: a node that was there again.
        assert_eq!(scene.after(Vec::new()).await.code(), Code::Ok);
        scene.before = scene.held();
        assert!(
            scene.before[0].to_string().contains("77"),
            "{}",
            scene.before[0]
        );
        scene
    }

    async fn connect(&self) -> RawAgent {
        let addr = self.system.aggregator().unwrap().addr("grpc").unwrap();
        let ca = self.system.path("ingest-ca.pem");
        let token = "agent-token-of-guest";
        RawAgent::connect(addr, &ca, token, TICK + 20_500)
            .await
            .unwrap()
    }

    /// Everything that is held of the guest and of the honest nodes.
    fn held(&self) -> Vec<Value> {
        let nodes = ["guest", "node1", "node2"].iter();
        let (start, end) = (rfc3339::format(TICK), rfc3339::format(TICK + 20_000));
        let path = |node| format!("/api/cairn/v1/values?node={node}&start={start}&end={end}");
        nodes
            .map(|node| self.system.json(&path(node)).unwrap())
            .collect()
    }

    /// A welcomed stream that has named its node, sends frames, and says goodbye; how it ended.
    async fn after(&self, frames: Vec<Vec<u8>>) -> Status {
        let mut agent = self.connect().await;
        // Another run each time: nothing of an earlier stream is known.
        agent.send(Kind::Hello(hello())).await;
        agent.receive().await.unwrap();
        agent.send(define(1, v1::EntityKind::Node, "guest")).await;
        for frame in frames {
            agent.send_bytes(frame).await;
        }
        agent.send(Kind::Bye(v1::Bye::default())).await;
        agent.end().await.unwrap()
    }

    async fn encoded(&self) -> Vec<(&'static str, Vec<u8>)> {
        let agent = self.connect().await;
        let frames = frames().into_iter();
        frames
            .map(|(name, kind)| (name, agent.encoded(kind)))
            .collect()
    }

    fn unchanged(&self, what: &str) {
        for (now, before) in self.held().iter().zip(&self.before) {
            assert_eq!(now, before, "{what}\n{}", self.system.stderr());
        }
    }

    /// The honest nodes go on.
    fn goes_on(&self) {
        self.system.tick(TICK + 30_000).unwrap();
        let ended = "cairn_aggregator_ingest_ended_streams_total";
        let aggregator = self.system.aggregator().unwrap();
        for reason in ["defect", "fenced", "silent"] {
            let label = format!("reason=\"{reason}\"");
            assert!(
                System::metric(aggregator, ended, &label).unwrap() < 0.5,
                "{reason}"
            );
        }
    }
}

/// Checks that a stream was ended for a fault that its status names.
fn names(status: &Status, part: &str, what: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
    assert!(status.message().contains(part), "{what}: {status:?}");
}

/// Scenario: of each of the nine kinds a frame is cut behind its head, in the middle, and by its last byte.
/// Guarantees: each ends its stream with a status that says that it is no frame; nothing that is held of
/// anybody changes, and the honest nodes go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cut_frame_of_any_kind_ends_its_stream_and_nothing_else() {
    let scene = Scene::new().await;
    for (name, frame) in scene.encoded().await {
        let body = frame.len() - CLOCK_BYTES;
        for cut in [CLOCK_BYTES + 1, CLOCK_BYTES + body / 2, frame.len() - 1] {
            let status = scene.after(vec![frame[..cut].to_vec()]).await;
            let what = format!("{name} cut to {cut} of {}", frame.len());
            names(&status, "not one of this protocol", &what);
        }
        scene.unchanged(name);
    }
    scene.goes_on();
}

/// Scenario: of each of the nine kinds a frame is larger than any may be, by what no version knows.
/// Guarantees: each ends its stream with a status that tells the limit; nothing that is held of anybody
/// changes, and the honest nodes go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_frame_over_the_limit_of_any_kind_ends_its_stream_and_nothing_else() {
    let scene = Scene::new().await;
    for (name, mut frame) in scene.encoded().await {
        // Field 100, bytes, with a length of four bytes.
        let length = limits::MAX_FRAME_BYTES;
        frame.extend([0xa2, 0x06]);
        frame.extend((0..4).map(|at| {
            let more = if at < 3 { 0x80 } else { 0 };
            u8::try_from(length >> (7 * at) & 0x7f).unwrap() | more
        }));
        frame.resize(frame.len() + length, 0);
        let status = scene.after(vec![frame]).await;
        names(&status, "the limit is: 4198400 bytes", name);
        scene.unchanged(name);
    }
    scene.goes_on();
}

/// Scenario: of each of the nine kinds, frames with one bit flipped: in each of the first bytes, and in
/// others spread over the rest.
/// Guarantees: a stream is ended with a status that names the fault, or what came was a frame of the
/// protocol all the same and the stream goes on to its end; what an ended stream sent is not held;
/// whatever is told of the guest, what the honest nodes told is untouched, and they go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_frame_with_a_flipped_bit_harms_nobody_but_its_sender() {
    let (mut ended, mut taken) = (0, 0);
    for kind in 0..frames().len() {
        // An aggregator each: of one, a node that opens so many streams has to wait for the next.
        let scene = Scene::new().await;
        let (name, frame) = scene.encoded().await.swap_remove(kind);
        let places = 0..frame.len();
        let spread = frame.len().div_ceil(12);
        for place in places.filter(|place| *place < CLOCK_BYTES + 4 || place % spread == 0) {
            let mut flipped = frame.clone();
            flipped[place] ^= 1 << (place % 8);
            // A clock that was flipped before is right again.
            assert_eq!(scene.after(Vec::new()).await.code(), Code::Ok);
            let before = scene.held();
            let status = scene.after(vec![flipped]).await;
            let what = format!("{name} flipped at {place}: {status:?}");
            let now = scene.held();
            match status.code() {
                Code::Ok => taken += 1,
                Code::InvalidArgument | Code::Unauthenticated | Code::PermissionDenied => {
                    assert!(status.message().len() > 8, "{what}");
                    assert_eq!(now[0], before[0], "{what}");
                    ended += 1;
                }
                _ => panic!("{what}\n{}", scene.system.stderr()),
            }
            assert_eq!(now[1..], scene.before[1..], "{what}");
        }
        scene.goes_on();
    }
    println!("{ended} ended, {taken} were frames all the same");
    assert!(ended > 50 && taken > 0, "{ended} {taken}");
}

/// Scenario: each kind of frame stands where it must not: before Hello, and each that depends on another
/// before that one.
/// Guarantees: each ends its stream with a status that names what is wrong; nothing that is held of anybody
/// changes, and the honest nodes go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_frame_out_of_order_ends_its_stream_and_nothing_else() {
    let scene = Scene::new().await;
    let encoded = scene.encoded().await;
    for (name, frame) in encoded.iter().filter(|(name, _)| *name != "hello") {
        let agent = scene.connect().await;
        agent.send_bytes(frame.clone()).await;
        names(
            &agent.end().await.unwrap(),
            "first frame must be Hello",
            name,
        );
    }
    let of = |wanted: &str| {
        let found = encoded.iter().find(|(name, _)| *name == wanted);
        found.unwrap().1.clone()
    };
    let agent = scene.connect().await;
    let tick = TICK + 10_000;
    let delta = agent.encoded(row_of(1, Some(0), tick));
    let mut stranger = Builder::default();
    stranger.value(EntityId(9), table::MEMORY_USAGE, 77);
    let stranger = agent.encoded(Kind::Row(v1::Row {
        seq: 0,
        base_seq: None,
        tick,
        payload: row::keyframe(DENSE, tick, &stranger.build()),
    }));
    drop(agent);
    for (name, frames, part) in [
        ("a second Hello", vec![of("hello")], "second Hello"),
        (
            "a chunk before it is wanted",
            vec![of("chunk")],
            "not asked for",
        ),
        ("a row before its base", vec![delta], "refers to row 0"),
        ("a row before its names", vec![stranger], "entity 9"),
    ] {
        names(&scene.after(frames).await, part, name);
        scene.unchanged(name);
    }
    scene.goes_on();
}
