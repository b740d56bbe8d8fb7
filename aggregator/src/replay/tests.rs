//! What is asked for and in which order; what an answer may hold.

use std::convert::Infallible;

use bytes::Bytes;
use cairn_proto::codec::DENSE;
use cairn_proto::stream::SmallBuffers;
use cairn_proto::v1::replay_frame::Kind as Frame;
use http_body_util::StreamBody;
use prometheus_client::registry::Registry;
use prost::Message as _;
use tonic::Code;
use tonic::codec::Codec as _;

use super::asking::Queue;
use super::end::Kind;
use super::taking::{Taking, Took};
use super::*;
use crate::ingest::Identity;
use crate::store::PackedStore;

const NOW_MS: u64 = 1_795_332_330_000;

pub(super) fn parts() -> Parts {
    Parts {
        store: Arc::new(PackedStore::new(900_000, 0)),
        clock: Clock::new(format!("driven={NOW_MS}").parse().unwrap()),
        auth: Arc::new(Authenticator::None),
        pressure: Pressure::default(),
        wishes: Wishes::new(Duration::from_secs(900)),
        metrics: Metrics::new(&mut Registry::default(), true),
        instance: "own".to_owned(),
        readiness: Readiness::new(),
        token: Token::new(),
    }
}

fn queue(wishes: &Wishes) -> Queue {
    Queue::new(wishes.clone())
}

fn next(queue: &mut Queue) -> Option<String> {
    queue.next().map(|wish| wish.node)
}

#[tokio::test(start_paused = true)]
async fn a_node_is_asked_of_one_peer_and_then_of_the_other() {
    let wishes = parts().wishes;
    let (mut first, mut second) = (queue(&wishes), queue(&wishes));
    wishes.listed("a");
    wishes.listed("b");
    assert_eq!(next(&mut first).as_deref(), Some("a"));
    assert_eq!(next(&mut second).as_deref(), Some("b"));
    assert_eq!(next(&mut first), None, "the other peer is asked for b");
    second.answered();
    assert_eq!(next(&mut first).as_deref(), Some("b"));
    assert_eq!(next(&mut second), None);
    first.answered();
    first.answered();
    assert_eq!(next(&mut second).as_deref(), Some("a"));
    second.answered();
    assert!(first.is_done() && second.is_done());
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_exchange_left_open_is_asked_again_a_few_times() {
    let wishes = parts().wishes;
    let mut queue = queue(&wishes);
    wishes.listed("a");
    for _ in 0..3 {
        assert_eq!(next(&mut queue).as_deref(), Some("a"));
        queue.put_back();
    }
    assert_eq!(next(&mut queue), None);
    assert!(queue.is_done());
}

fn run(epoch_ms: u64) -> v1::Run {
    v1::Run {
        boot_id: vec![1; 16],
        epoch_ms,
        clock_stepped: false,
    }
}

fn begin(node: &str, epoch_ms: u64, interval_ms: u64) -> Frame {
    Frame::Run(v1::RecalledRun {
        node: node.to_owned(),
        run: Some(run(epoch_ms)),
        interval_ms,
        ..v1::RecalledRun::default()
    })
}

fn chunk(epoch_ms: u64, block: u64) -> Frame {
    Frame::Chunk(v1::Chunk {
        run: Some(run(epoch_ms)),
        block,
        codec: DENSE,
        payload: Vec::new(),
    })
}

fn define(node: &str) -> Frame {
    Frame::Define(v1::Define {
        id: 1,
        kind: v1::EntityKind::Node.into(),
        name: node.to_owned(),
        ..v1::Define::default()
    })
}

#[test]
fn frames_out_of_place_are_faults() {
    let parts = parts();
    let bad: [(&str, Vec<Frame>); 9] = [
        ("a name or a chunk before", vec![define("n")]),
        ("a name or a chunk before", vec![chunk(1, 0)]),
        ("data of node m", vec![begin("m", 1, 10_000)]),
        ("not on the grid", vec![begin("n", 1, 7_000)]),
        (
            "a run that came before",
            vec![begin("n", 1, 10_000), begin("n", 1, 10_000)],
        ),
        (
            "names another node",
            vec![begin("n", 1, 10_000), define("m")],
        ),
        ("another run", vec![begin("n", 1, 10_000), chunk(2, 0)]),
        ("a chunk: ", vec![begin("n", 1, 10_000), chunk(1, 0)]),
        (
            "data of node m",
            vec![Frame::End(v1::RecallEnd { node: "m".into() })],
        ),
    ];
    for (why, frames) in bad {
        let mut taking = Taking::new("n");
        let mut last = Ok(Took::All);
        for frame in frames {
            last = taking.take(&parts, frame);
        }
        let failure = last.unwrap_err();
        assert_eq!(failure.kind, Kind::Data, "{failure:?}");
        assert!(failure.reason.contains(why), "{why}: {}", failure.reason);
        assert!(parts.store.held_nodes().is_empty());
    }
    let mut taking = Taking::new("n");
    let welcome = Frame::Welcome(v1::PeerWelcome::default());
    let failure = taking.take(&parts, welcome).unwrap_err();
    assert_eq!(failure.kind, Kind::Protocol);
    let end = Frame::End(v1::RecallEnd { node: "n".into() });
    assert_eq!(taking.take(&parts, end), Ok(Took::All));
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_for_peers_but_not_for_ever() {
    let (readiness, token) = (Readiness::new(), Token::new());
    let mut supervisor = Supervisor::new(token.clone());
    let hold = Hold::new(&readiness, &token, &mut supervisor);
    let other = Arc::clone(&hold);
    drop(hold);
    assert!(!readiness.is_ready(), "a second task still holds it");
    drop(other);
    assert!(readiness.is_ready());
    let _held = Hold::new(&readiness, &token, &mut supervisor);
    tokio::time::sleep(ready::LONGEST - Duration::from_secs(1)).await;
    assert!(!readiness.is_ready());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(readiness.is_ready());
}

/// Scenario: another aggregator asks with bytes that are no request, are longer than any may be, or end too
/// early; as its first request, and later.
/// Guarantees: the exchange ends with a status that names the fault.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_none_ends_the_exchange_with_its_fault() {
    let replay = Replay::new(parts());
    let hello = v1::replay_request::Kind::Hello(v1::PeerHello {
        chunk_codecs: vec![DENSE],
        ..v1::PeerHello::default()
    });
    let hello = v1::ReplayRequest { kind: Some(hello) }.encode_to_vec();
    let headed = |length: usize, bytes: &[u8]| {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        [&[0][..], &length, bytes].concat()
    };
    let hello = headed(hello.len(), &hello);
    let cut = &hello[5..hello.len() - 1];
    for before in [Vec::new(), hello.clone()] {
        for (bad, words) in [
            (headed(cut.len(), cut), "failed to decode"),
            (headed(MAX_FRAME_BYTES + 1, &[]), "the limit is"),
            (headed(9, &[1]), "Unexpected EOF"),
        ] {
            let bytes = [before.clone(), bad].concat();
            let bytes = Ok::<_, Infallible>(hyper::body::Frame::data(Bytes::from(bytes)));
            let body = StreamBody::new(futures_util::stream::iter([bytes]));
            let decoder = SmallBuffers::<v1::ReplayFrame, v1::ReplayRequest>::default().decoder();
            let most = Some(MAX_FRAME_BYTES);
            let requests = Streaming::new_request(decoder, body, None, most);
            let (frames, mut told) = mpsc::channel(8);
            let inner = Arc::clone(&replay.inner);
            answer::run(inner, requests, Identity::Anyone, frames).await;
            let mut status = None;
            while let Some(answer) = told.recv().await {
                status = answer.err();
            }
            let status = status.expect("it is told");
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            let text = status.message();
            assert!(text.contains("not one of this protocol"), "{text}");
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
