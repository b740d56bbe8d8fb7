//! Connections that ask nothing more, and clients that take nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Sleep;

use super::*;

/// Long enough for the kernel's probes, whose pauses double from 0.2 s.
const SOON: Duration = Duration::from_secs(8);

/// Waits until no connection is left, and returns how long that took.
async fn gone(running: &Running) -> Duration {
    let started = Instant::now();
    running.connections(0).await;
    started.elapsed()
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let config = Config {
        idle_deadline: Duration::from_millis(300),
        ..config()
    };
    let running = start(config, LONG, introduce).await;
    let mut first = TcpStream::connect(running.addr).await.unwrap();
    ask(&mut first).await;
    let (mut sender, mut client) = http2(running.addr).await;
    drop(ask2(&mut sender, "http://x/").await.into_body());
    let started = Instant::now();
    // The farewell of HTTP/2 is no error to its client.
    let ended = tokio::time::timeout(SOON, client.join_next()).await;
    ended.unwrap().unwrap().unwrap().unwrap();
    assert!(started.elapsed() >= Duration::from_millis(250));
    closed(&mut first).await;
    assert!(gone(&running).await < SOON);
    assert_eq!(running.metrics.closed("test", Closed::Idle), 2);
}

#[tokio::test]
async fn a_client_that_is_deaf_to_the_farewell_is_cut() {
    let deadline = Duration::from_millis(300);
    let config = Config {
        idle_deadline: deadline,
        write_deadline: deadline,
        ..config()
    };
    let running = start(config, LONG, introduce).await;
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    // The preface, empty settings, and the headers of `GET /` of host x on stream 1. Pings are
    // never answered, so that the server cannot tell when its farewell has arrived.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let headers = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01x";
    stream.write_all(preface).await.unwrap();
    stream.write_all(headers).await.unwrap();
    let started = Instant::now();
    closed(&mut stream).await;
    let elapsed = started.elapsed();
    assert!(elapsed >= deadline * 3 / 2 && elapsed < SOON, "{elapsed:?}");
    assert_eq!(running.metrics.closed("test", Closed::Idle), 1);
    assert_eq!(running.metrics.refused("test", Refused::HeaderTimeout), 0);
}

/// A body that says one thing at once and another one after a while.
struct Quiet {
    said: usize,
    pause: Pin<Box<Sleep>>,
}

impl Body for Quiet {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.said == 1 && self.pause.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.said += 1;
        Poll::Ready((self.said <= 2).then(|| Ok(Frame::data(Bytes::from_static(b"tick")))))
    }
}

async fn quiet(_: Request<Incoming>) -> Result<Response<Quiet>, Infallible> {
    let pause = Box::pin(tokio::time::sleep(Duration::from_secs(1)));
    Ok(Response::new(Quiet { said: 0, pause }))
}

#[tokio::test]
async fn a_quiet_stream_is_neither_idle_nor_stalled() {
    let deadline = Duration::from_millis(200);
    let config = Config {
        idle_deadline: deadline,
        write_deadline: deadline,
        ..config()
    };
    let running = start(config, LONG, quiet).await;
    let mut first = TcpStream::connect(running.addr).await.unwrap();
    first.write_all(GET).await.unwrap();
    let (mut sender, _client) = http2(running.addr).await;
    let answer = ask2(&mut sender, "http://x/").await;
    let text = crate::body::read_capped(answer.into_body(), 1024, LONG).await;
    assert_eq!(text.unwrap(), "ticktick");
    let mut text = Vec::new();
    first.read_to_end(&mut text).await.unwrap();
    assert!(
        text.ends_with(b"tick\r\n4\r\ntick\r\n0\r\n\r\n"),
        "{text:?}"
    );
    assert_eq!(running.metrics.closed("test", Closed::Stalled), 0);
}

type Answer = std::future::Ready<Result<Response<Held>, Infallible>>;

/// An endless body that is counted while it lives.
struct Held {
    body: Endless,
    living: Arc<AtomicUsize>,
}

/// Answers endlessly; tells how many of the answers' bodies live.
fn held() -> (
    Arc<AtomicUsize>,
    impl Fn(Request<Incoming>) -> Answer + Clone,
) {
    let living = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&living);
    let answer = move |_: Request<Incoming>| {
        shared.fetch_add(1, Ordering::Relaxed);
        let living = Arc::clone(&shared);
        std::future::ready(Ok(Response::new(Held {
            body: Endless,
            living,
        })))
    };
    (living, answer)
}

impl Drop for Held {
    fn drop(&mut self) {
        self.living.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

fn impatient() -> Config {
    Config {
        write_deadline: Duration::from_secs(1),
        ..config()
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_loses_its_connection_and_its_body() {
    let (living, answer) = held();
    let running = start(impatient(), LONG, answer).await;
    let mut client = TcpStream::connect(running.addr).await.unwrap();
    client.write_all(GET).await.unwrap();
    client.read_u8().await.unwrap();
    assert_eq!(living.load(Ordering::Relaxed), 1);
    assert!(gone(&running).await < SOON);
    assert_eq!(living.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_client_that_grants_no_window_loses_its_connection_and_its_body() {
    let (living, answer) = held();
    let running = start(impatient(), LONG, answer).await;
    let (mut sender, _client) = http2(running.addr).await;
    // Its socket is read and its pings are answered all the time, by the client's own task.
    let _unread = ask2(&mut sender, "http://x/").await;
    assert_eq!(living.load(Ordering::Relaxed), 1);
    assert!(gone(&running).await < SOON);
    assert_eq!(running.metrics.closed("test", Closed::Stalled), 1);
    tokio::time::timeout(SOON, async {
        while living.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_client_that_reads_keeps_its_endless_answer() {
    let (living, answer) = held();
    let running = start(impatient(), LONG, answer).await;
    let mut client = TcpStream::connect(running.addr).await.unwrap();
    client.write_all(GET).await.unwrap();
    let started = Instant::now();
    let mut part = vec![0; 256 * 1024];
    // More than three write deadlines of slow reading.
    while started.elapsed() < Duration::from_secs(3) {
        assert_ne!(client.read(&mut part).await.unwrap(), 0);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(living.load(Ordering::Relaxed), 1);
    assert_eq!(running.metrics.connections("test"), 1);
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_whole_of_one_large_piece() {
    const LENGTH: usize = 24 * 1024 * 1024;
    let deadline = Duration::from_millis(600);
    let config = Config {
        idle_deadline: deadline,
        write_deadline: deadline,
        ..config()
    };
    let answer = |_: Request<Incoming>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(
            vec![0; LENGTH],
        )))))
    };
    let running = start(config, LONG, answer).await;
    let mut client = TcpStream::connect(running.addr).await.unwrap();
    client.write_all(GET).await.unwrap();
    let started = Instant::now();
    let (mut part, mut read) = (vec![0; 64 * 1024], 0);
    while read < LENGTH {
        let count = client.read(&mut part).await.unwrap();
        assert_ne!(count, 0, "cut after {read} of {LENGTH} bytes");
        read += count;
        // About three seconds in all, five times each deadline.
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    assert!(started.elapsed() > 2 * deadline);
}

#[tokio::test]
async fn a_client_that_takes_the_first_byte_of_one_large_piece_and_no_more_is_cut() {
    let large = async |_: Request<Incoming>| {
        let body = Bytes::from(vec![0; 32 * 1024 * 1024]);
        Ok(Response::new(Full::new(body)))
    };
    let running = start(impatient(), LONG, large).await;
    let mut client = TcpStream::connect(running.addr).await.unwrap();
    client.write_all(GET).await.unwrap();
    client.read_u8().await.unwrap();
    // By the kernel, which counts from the first probe, or by the watch over the body: whichever
    // is first.
    assert!(gone(&running).await < SOON);
    assert_eq!(running.metrics.closed("test", Closed::Idle), 0);
}
