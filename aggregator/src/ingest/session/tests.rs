//! When a stream counts as silent.

use std::convert::Infallible;

use bytes::Bytes;
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

/// Makes a `Hello` of each message, whatever its bytes.
struct Hellos;

impl Decoder for Hellos {
    type Item = v1::AgentFrame;
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<v1::AgentFrame>, Status> {
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
            next_seq: 32,
            ..v1::Hello::default()
        };
        Ok(Some(v1::AgentFrame {
            unix_ms: 0,
            kind: Some(Kind::Hello(hello)),
        }))
    }
}

/// Scenario: an agent says `Hello`, has history, and then nothing more of it comes; its connection stands.
/// Guarantees: it is silent however often it is asked for its history.
#[tokio::test(start_paused = true)]
async fn who_is_asked_again_and_again_and_says_nothing_is_silent() {
    let ingest = Ingest::new(Parts {
        store: Arc::new(PackedStore::new(900_000, 0)),
        clock: Clock::system(),
        auth: Arc::new(Authenticator::None),
        pressure: Pressure::default(),
        metrics: Metrics::default(),
        instance: String::new(),
        wishes: None,
        token: Token::new(),
    });
    // One message without a byte, and no end.
    let message = Frame::data(Bytes::from_static(&[0; 5]));
    let body = StreamBody::new(iter([Ok::<_, Infallible>(message)]).chain(pending()));
    let frames = Streaming::new_request(Hellos, body, None, None);
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
