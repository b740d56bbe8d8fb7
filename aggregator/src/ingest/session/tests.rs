//! When a stream counts as silent, and when its rows are acknowledged.

use std::collections::VecDeque;
use std::convert::Infallible;

use bytes::Bytes;
use cairn_proto::codec::row;
use cairn_proto::model::Snapshot;
use cairn_runtime::clock::Clock;
use cairn_runtime::shutdown::Token;
use futures_util::StreamExt as _;
use futures_util::stream::{iter, pending};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tonic::Code;
use tonic::codec::{DecodeBuf, Decoder};

use super::super::{Authenticator, Ingest, Metrics, Parts};
use super::*;
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

fn hello(next_seq: u64) -> v1::AgentFrame {
    let hello = v1::Hello {
        node: "n".to_owned(),
        row_codecs: codec::SUPPORTED.to_vec(),
        chunk_codecs: codec::SUPPORTED.to_vec(),
        interval_ms: 1_000,
        run: Some(v1::Run {
            boot_id: vec![7; 16],
            epoch_ms: 1,
            clock_stepped: false,
        }),
        next_seq,
        ..v1::Hello::default()
    };
    frame(0, Kind::Hello(hello))
}

fn ingest() -> Ingest {
    Ingest::new(Parts {
        store: Arc::new(PackedStore::new(900_000, 0)),
        clock: Clock::system(),
        auth: Arc::new(Authenticator::None),
        pressure: Pressure::default(),
        metrics: Metrics::default(),
        instance: String::new(),
        wishes: None,
        token: Token::new(),
    })
}

/// Scenario: an agent says `Hello`, has history, and then nothing more of it comes; its connection stands.
/// Guarantees: it is silent however often it is asked for its history.
#[tokio::test(start_paused = true)]
async fn who_is_asked_again_and_again_and_says_nothing_is_silent() {
    let ingest = ingest();
    // One message without a byte, and no end.
    let message = Frame::data(Bytes::from_static(&[0; 5]));
    let body = StreamBody::new(iter([Ok::<_, Infallible>(message)]).chain(pending()));
    let frames = Streaming::new_request(Told([hello(32)].into()), body, None, None);
    let waiting = ingest.inner.unheard.enter(&Identity::Anyone).unwrap();
    let (answers, mut told) = mpsc::channel(8);
    let serving = run(
        Arc::clone(&ingest.inner),
        frames,
        (Identity::Anyone, waiting),
        answers,
    );
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
    let told = [hello(0)].into_iter().chain(rows).chain([bye]).collect();
    let began = Instant::now();
    // `Hello` and the first row at once.
    let messages = iter(0..ROWS + 2).then(move |nth| async move {
        let after = Duration::from_millis(90) * u32::try_from(nth.saturating_sub(1)).unwrap();
        tokio::time::sleep_until(began + after).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 5])))
    });
    let body = StreamBody::new(Box::pin(messages));
    let frames = Streaming::new_request(Told(told), body, None, None);
    let waiting = ingest.inner.unheard.enter(&Identity::Anyone).unwrap();
    let (answers, mut told) = mpsc::channel(8);
    let (inner, identity) = (Arc::clone(&ingest.inner), Identity::Anyone);
    let serving = run(inner, frames, (identity, waiting), answers);
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

/// Scenario: an agent opens 63 streams one after the other, and one with the token of another node.
/// Guarantees: the first 60 are answered at once, each further one a second later; who may not report the
/// node is told so after a second.
#[tokio::test(start_paused = true)]
async fn who_opens_streams_in_a_loop_waits_for_each() {
    let ingest = ingest();
    let opened = async |identity: Identity| {
        let began = Instant::now();
        let message = Frame::data(Bytes::from_static(&[0; 5]));
        let body = StreamBody::new(iter([Ok::<_, Infallible>(message)]));
        let frames = Streaming::new_request(Told([hello(0)].into()), body, None, None);
        let waiting = ingest.inner.unheard.enter(&identity).unwrap();
        let (answers, mut told) = mpsc::channel(8);
        let inner = Arc::clone(&ingest.inner);
        run(inner, frames, (identity, waiting), answers).await;
        let first = told.recv().await.unwrap();
        let is_welcome = first
            .map(|frame| matches!(frame.kind, Some(Answer::Welcome(_))))
            .map_err(|status| status.code());
        (began.elapsed().as_millis(), is_welcome)
    };
    for nth in 0..63 {
        let (took_ms, first) = opened(Identity::Anyone).await;
        let expected_ms = if nth < 60 { 0 } else { 1_000 };
        // A timer is no more exact than a millisecond or two.
        assert!(took_ms.abs_diff(expected_ms) < 5, "{nth}: {took_ms}");
        assert_eq!(first, Ok(true), "{nth}");
    }
    let other = Identity::Node("other".into(), [0; 32]);
    let (took_ms, first) = opened(other).await;
    assert!(took_ms.abs_diff(1_000) < 5, "{took_ms}");
    assert_eq!(first, Err(Code::PermissionDenied));
}
