//! Clients that want to keep others out.

use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt as _;

use super::*;

/// Answers once all of the request has come.
async fn read_all(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let length = match request.into_body().collect().await {
        Ok(body) => body.to_bytes().len(),
        Err(_) => 0,
    };
    Ok(Response::new(Full::new(
        format!("{length} bytes: true").into(),
    )))
}

#[tokio::test]
async fn a_connection_that_rests_makes_room_and_one_under_way_does_not() {
    let config = Config {
        max_connections: 2,
        ..config()
    };
    let running = start(config, LONG, |request: Request<Incoming>| async move {
        let is_long = request.uri().path() == "/long";
        let length = if is_long { usize::MAX } else { 4 };
        Ok::<_, Infallible>(Response::new(Limited { length }))
    })
    .await;
    let mut served = TcpStream::connect(running.addr).await.unwrap();
    let long = b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n";
    served.write_all(long).await.unwrap();
    served.read_u8().await.unwrap();
    let mut resting = TcpStream::connect(running.addr).await.unwrap();
    running.connections(2).await;
    // Whoever comes before the other one has rested long enough is sent away.
    let taken = async {
        loop {
            let mut next = TcpStream::connect(running.addr).await.unwrap();
            next.write_all(GET).await.unwrap();
            if next.read_u8().await.is_ok() {
                return next;
            }
        }
    };
    let _next = tokio::time::timeout(LONG, taken).await.unwrap();
    closed(&mut resting).await;
    assert_eq!(running.metrics.closed("test", Closed::Displaced), 1);
    for _ in 0..1_000 {
        served.read_u8().await.unwrap();
    }
}

/// A body of so many pieces.
struct Limited {
    length: usize,
}

impl Body for Limited {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.length == 0 {
            return Poll::Ready(None);
        }
        self.length -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"some")))))
    }
}

#[tokio::test]
async fn a_request_whose_body_does_not_come_is_given_up() {
    let config = Config {
        answer_deadline: Duration::from_millis(300),
        ..config()
    };
    let running = start(config, LONG, read_all).await;
    let mut first = TcpStream::connect(running.addr).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";
    first.write_all(head).await.unwrap();
    closed(&mut first).await;
    assert_eq!(running.metrics.unanswered("test"), 1);

    let stream = TcpStream::connect(running.addr).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let mut client = JoinSet::new();
    client.spawn(connection);
    let body = http_body_util::Either::Left(Never);
    let request = Request::post("http://x/").body(body).unwrap();
    let ended = tokio::time::timeout(LONG, sender.send_request(request)).await;
    assert!(ended.unwrap().is_err());
    assert_eq!(running.metrics.unanswered("test"), 2);
    // The others of the same connection notice nothing.
    let body = http_body_util::Either::Right(Full::new(Bytes::from_static(b"all")));
    let request = Request::post("http://x/").body(body).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "3 bytes: true"
    );
}

/// A body that never comes.
struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn who_takes_back_every_request_is_cut_and_who_takes_back_some_is_not() {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let running = start(config(), LONG, move |_: Request<Incoming>| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    })
    .await;
    let (mut sender, mut client) = http2(running.addr).await;
    let mut sent = 0;
    // A thousand may be taken back at once, and some more while that lasts.
    while client.try_join_next().is_none() {
        assert!(sent < 20_000, "nobody is cut");
        let request = Request::get("http://x/").body(Full::default()).unwrap();
        let mut answer = std::pin::pin!(sender.send_request(request));
        // Taken back when the server has begun with it, which bounds of the protocol's own miss.
        let (begun, before) = (&begun, sent);
        let begins = async move {
            while begun.load(Ordering::Relaxed) <= before {
                tokio::task::yield_now().await;
            }
        };
        let begins = std::pin::pin!(tokio::time::timeout(LONG, begins));
        tokio::select! {
            biased;
            _ = answer.as_mut() => break,
            begun = begins => begun.unwrap(),
        }
        sent += 1;
        if sent == 900 {
            assert_eq!(running.metrics.closed("test", Closed::Resets), 0);
        }
    }
    running.connections(0).await;
    assert_eq!(running.metrics.closed("test", Closed::Resets), 1);
    assert!(sent >= 1_000, "{sent}");
}

#[tokio::test]
async fn who_breaks_the_protocol_is_counted_and_who_leaves_is_not() {
    let running = start(config(), LONG, introduce).await;
    let mut gone = TcpStream::connect(running.addr).await.unwrap();
    gone.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
    drop(gone);
    let (mut sender, client) = http2(running.addr).await;
    drop(ask2(&mut sender, "http://x/").await.into_body());
    drop((sender, client));
    running.connections(0).await;
    assert_eq!(running.metrics.closed("test", Closed::Malformed), 0);
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let broken: [&[u8]; 3] = [
        b"no request\r\n\r\n",
        // DATA of a stream that nobody opened.
        &[preface.as_bytes(), b"\0\0\x01\0\0\0\0\0\x01x"].concat(),
        &[b"GET / HTTP/1.1\r\nx: ", "x".repeat(64 * 1024).as_bytes()].concat(),
    ];
    for (count, bytes) in (1..).zip(broken) {
        let mut stream = TcpStream::connect(running.addr).await.unwrap();
        drop(stream.write_all(bytes).await);
        closed(&mut stream).await;
        running.connections(0).await;
        assert_eq!(
            running.metrics.closed("test", Closed::Malformed),
            count,
            "{:?}",
            String::from_utf8_lossy(bytes.get(..20).unwrap_or(bytes))
        );
    }
}
