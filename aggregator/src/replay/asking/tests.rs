//! An exchange that waits for memory.

use std::convert::Infallible;

use bytes::Bytes;
use cairn_proto::stream::SmallBuffers;
use http_body_util::StreamBody;
use hyper::body;
use tokio::io::DuplexStream;
use tonic::codec::Codec as _;

use super::super::tests::parts;
use super::super::{Parts, Replay};
use super::*;

/// An open exchange with a peer that says nothing, what it is asked for, and its end of the connection.
async fn asking(inner: &Arc<Inner>) -> (Asking, mpsc::Receiver<v1::ReplayRequest>, DuplexStream) {
    let (own, peer) = tokio::io::duplex(64 << 10);
    let link = Link::over(own, "peer:1").await.unwrap();
    let (requests, asked) = mpsc::channel(AT_ONCE + 1);
    let decoder = SmallBuffers::<v1::ReplayRequest, v1::ReplayFrame>::default().decoder();
    let nothing = futures_util::stream::pending::<Result<body::Frame<Bytes>, Infallible>>();
    let asking = Asking {
        inner: Arc::clone(inner),
        requests,
        frames: Streaming::new_request(decoder, StreamBody::new(nothing), None, None),
        unsettled: Vec::new(),
        taking: None,
        nodes: 0,
        rows: 0,
        _link: link,
    };
    (asking, asked, peer)
}

/// Scenario: a node is wished for while there is no room for history; room comes right after that was read.
/// Guarantees: the node is asked for at once, and not when something else happens.
#[tokio::test(start_paused = true)]
async fn room_that_comes_when_it_was_just_read_is_not_missed() {
    let replay = Replay::new(parts());
    let (mut asking, mut asked, _peer) = asking(&replay.inner).await;
    let Parts {
        wishes, pressure, ..
    } = &replay.inner.parts;
    // Nothing else is awaited but the next wish.
    tokio::time::advance(SETTLED_AFTER).await;
    pressure.took(u64::MAX);
    wishes.listed("n");
    let looked = pressure.clone();
    pressure.once_read(move || {
        looked.looked(Level::Calm);
    });
    let mut queue = Queue::new(wishes.clone());
    let began = Instant::now();
    let mut hold = None;
    let request = tokio::select! {
        end = asking.serve(&mut queue, &mut hold) => panic!("{end:?} after {:?}", began.elapsed()),
        request = asked.recv() => request.unwrap(),
    };
    assert!(matches!(request.kind, Some(Ask::Recall(recall)) if recall.node == "n"));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}
