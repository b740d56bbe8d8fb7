//! When a stream counts as silent, when its rows are acknowledged, and what ends it.

mod broken;
mod late;
mod opening;
mod renewing;
mod shortened;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;

use bytes::Bytes;
use cairn_proto::codec::row;
use cairn_proto::model::Snapshot;
use cairn_proto::v1::agent_frame::Kind;
use cairn_runtime::clock::Clock;
use cairn_runtime::shutdown::Token;
use futures_util::stream::{iter, pending};
use futures_util::{Stream, StreamExt as _};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tonic::Code;
use tonic::codec::{DecodeBuf, Decoder};

use super::super::{Authenticator, Ingest, Metrics, Parts};
use super::*;
use crate::cluster::Cluster;
use crate::pressure::Pressure;
use crate::store::PackedStore;

/// Makes a frame of each message, whatever its bytes: the next one of these.
struct Told(VecDeque<v1::AgentFrame>);

impl Decoder for Told {
    type Item = v1::AgentFrame;
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<v1::AgentFrame>, Status> {
        Ok(self.0.pop_front())
    }
}

fn frame(unix_ms: u64, kind: Kind) -> v1::AgentFrame {
    let kind = Some(kind);
    v1::AgentFrame { unix_ms, kind }
}

#[expect(clippy::unnecessary_wraps, reason = "as frames carry it")]
fn run_of_agent() -> Option<v1::Run> {
    Some(v1::Run {
        boot_id: vec![7; 16],
        epoch_ms: 1,
        clock_stepped: false,
    })
}

fn hello(next_seq: u64) -> v1::AgentFrame {
    let hello = v1::Hello {
        node: "n".to_owned(),
        row_codecs: codec::SUPPORTED.to_vec(),
        chunk_codecs: codec::SUPPORTED.to_vec(),
        interval_ms: 1_000,
        run: run_of_agent(),
        next_seq,
        ..v1::Hello::default()
    };
    frame(0, Kind::Hello(hello))
}

/// A frame comes with each message, whatever its bytes; one message has none.
type Message = Result<Frame<Bytes>, Infallible>;

/// The task of a stream.
type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a peer is told.
type Heard = mpsc::Receiver<Result<v1::AggregatorFrame, Status>>;

fn message() -> Message {
    Ok(Frame::data(Bytes::from_static(&[0; 5])))
}

/// Serves a stream that tells these frames, one with each message.
fn stream(
    ingest: &Ingest,
    identity: Identity,
    frames: impl IntoIterator<Item = v1::AgentFrame>,
    messages: impl Stream<Item = Message> + Send + 'static,
) -> (Serving, Heard) {
    let told = Told(frames.into_iter().collect());
    let body = StreamBody::new(Box::pin(messages));
    let frames = Streaming::new_request(told, body, None, None);
    let waiting = ingest.inner.unheard.enter(&identity).unwrap();
    let (answers, heard) = mpsc::channel(8);
    let inner = Arc::clone(&ingest.inner);
    let serving = run(inner, frames, (identity, waiting), answers);
    (Box::pin(serving), heard)
}

fn ingest() -> Ingest {
    Ingest::new(parts())
}

/// An aggregator without a cluster, that anybody may report to.
fn parts() -> Parts {
    Parts {
        cluster: Cluster::off(),
        store: Arc::new(PackedStore::new(900_000, 0)),
        clock: Clock::system(),
        auth: Arc::new(Authenticator::None),
        pressure: Pressure::default(),
        metrics: Metrics::default(),
        instance: String::new(),
        wishes: None,
        token: Token::new(),
    }
}

/// Scenario: an agent says `Hello`, has history, and then nothing more of it comes; its connection stands.
/// Guarantees: it is silent however often it is asked for its history.
#[tokio::test(start_paused = true)]
async fn who_is_asked_again_and_again_and_says_nothing_is_silent() {
    let ingest = ingest();
    let messages = iter([message()]).chain(pending());
    let (serving, mut told) = stream(&ingest, Identity::Anyone, [hello(32)], messages);
    let reading = async {
        let mut wants = 0;
        while let Some(answer) = told.recv().await {
            match answer {
                Ok(frame) => wants += u32::from(matches!(frame.kind, Some(Answer::Want(_)))),
                Err(status) => return (wants, status),
            }
        }
        panic!("the stream ended without a status")
    };
    let both = async { tokio::join!(serving, reading) };
    let ((), (wants, status)) = timeout(Duration::from_secs(600), both).await.unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("no frame"), "{status:?}");
    assert_eq!(wants, 2, "at once, and when the first was not answered");
}

/// Scenario: rows come every 90 ms; then `Bye`.
/// Guarantees: the first ack comes half a second after the first row and is about all that came until
/// then; the next ones a second apart; `Bye` is answered at once.
#[tokio::test(start_paused = true)]
async fn rows_are_acknowledged_later_and_together() {
    const ROWS: u64 = 30;
    let ingest = ingest();
    let clock = Clock::system();
    let first_ms = clock.unix_ms() / 1_000 * 1_000;
    let rows = (0..ROWS).map(|seq| {
        let tick = first_ms + seq * 1_000;
        let row = v1::Row {
            seq,
            tick,
            payload: row::keyframe(codec::DENSE, tick, &Snapshot::default()),
            ..v1::Row::default()
        };
        frame(tick, Kind::Row(row))
    });
    let bye = frame(0, Kind::Bye(v1::Bye::default()));
    let frames = [hello(0)].into_iter().chain(rows).chain([bye]);
    let began = Instant::now();
    // `Hello` and the first row at once.
    let messages = iter(0..ROWS + 2).then(move |nth| async move {
        let after = Duration::from_millis(90) * u32::try_from(nth.saturating_sub(1)).unwrap();
        tokio::time::sleep_until(began + after).await;
        message()
    });
    let (serving, mut told) = stream(&ingest, Identity::Anyone, frames, messages);
    let reading = async {
        let mut acks = Vec::new();
        while let Some(Ok(frame)) = told.recv().await {
            if let Some(Answer::Ack(ack)) = frame.kind {
                acks.push((began.elapsed().as_millis(), ack.seq));
            }
        }
        acks
    };
    let both = async { tokio::join!(serving, reading) };
    let ((), acks) = timeout(Duration::from_secs(600), both).await.unwrap();
    assert_eq!(acks, [(500, 5), (1_500, 16), (2_500, 27), (2_700, 29)]);
}

/// Scenario: an agent says `Hello` within a block and, too slow for its rows, begins with one of a later block.
/// Guarantees: what it passed over meanwhile is asked for, although no row of that block came.
#[tokio::test(start_paused = true)]
async fn what_is_passed_over_before_the_first_row_is_asked_for() {
    let ingest = ingest();
    let tick = Clock::system().unix_ms() / 1_000 * 1_000;
    let row = v1::Row {
        seq: 40,
        tick,
        payload: row::keyframe(codec::DENSE, tick, &Snapshot::default()),
        ..v1::Row::default()
    };
    let open = |first_seq: u64| {
        let gap = v1::Gap {
            run: run_of_agent(),
            first_seq,
            last_seq: first_seq + 15,
            reason: v1::GapReason::Open.into(),
        };
        frame(tick, Kind::Gap(gap))
    };
    let bye = frame(0, Kind::Bye(v1::Bye::default()));
    let frames = [
        hello(20),
        open(16),
        open(0),
        frame(tick, Kind::Row(row)),
        bye,
    ];
    let messages = iter(0..frames.len()).then(|_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        message()
    });
    let (serving, mut told) = stream(&ingest, Identity::Anyone, frames, messages);
    let reading = async {
        let mut wants = Vec::new();
        while let Some(Ok(frame)) = told.recv().await {
            if let Some(Answer::Want(want)) = frame.kind {
                wants.push((want.first_block, want.last_block));
            }
        }
        wants
    };
    let both = async { tokio::join!(serving, reading) };
    let ((), wants) = timeout(Duration::from_secs(600), both).await.unwrap();
    assert_eq!(wants, [(1, 1), (0, 0), (1, 1)]);
}
