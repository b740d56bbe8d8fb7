mod deadlines;
mod headers;
mod siege;
mod tls;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Frame;
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;

const LONG: Duration = Duration::from_secs(20);

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

fn config() -> Config {
    Config {
        name: "test",
        max_connections: 8,
        max_per_peer: 8,
        max_handshakes: 8,
        handshake_deadline: LONG,
        header_deadline: LONG,
        answer_deadline: LONG,
        idle_deadline: LONG,
        write_deadline: LONG,
        max_header_bytes: 32 * 1024,
        tls: None,
        metrics: Arc::default(),
    }
}

/// A listener at work.
struct Running {
    addr: SocketAddr,
    token: Token,
    metrics: Arc<ListenMetrics>,
    task: JoinSet<ServeSummary>,
}

/// Serves the peer's address, its certificates' number and whether it is on loopback.
async fn introduce(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let peer: &Peer = request.extensions().get().unwrap();
    let certificates = peer.tls.as_ref().map_or(0, |tls| tls.chain.len());
    let text = format!("{} {certificates} {}", peer.addr, peer.is_loopback());
    Ok(Response::new(Full::new(text.into())))
}

/// A body that never ends and is always ready.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 4096])))))
    }
}

async fn endless(_: Request<Incoming>) -> Result<Response<Endless>, Infallible> {
    Ok(Response::new(Endless))
}

async fn start<F, R, B>(config: Config, drain: Duration, answer: F) -> Running
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (addr, token) = (bound.local_addr(), Token::new());
    let metrics = Arc::clone(&config.metrics);
    let mut task = JoinSet::new();
    task.spawn(serve(
        bound,
        config,
        service_fn(answer),
        token.clone(),
        drain,
    ));
    Running {
        addr,
        token,
        metrics,
        task,
    }
}

impl Running {
    async fn stop(mut self) -> ServeSummary {
        self.token.cancel();
        self.task.join_next().await.unwrap().unwrap()
    }

    /// Waits until a refusal was counted.
    async fn refused(&self, reason: Refused, count: u64) {
        tokio::time::timeout(LONG, async {
            while self.metrics.refused("test", reason) < count {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    async fn connections(&self, count: i64) {
        tokio::time::timeout(LONG, async {
            while self.metrics.connections("test") != count {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}

/// Asks on a connection of HTTP/1.1 and returns the whole answer's text.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(GET).await.unwrap();
    let mut text = String::new();
    while !text.contains("true") && !text.contains("false") {
        let mut part = [0; 1024];
        let count = stream.read(&mut part).await.unwrap();
        assert_ne!(count, 0, "closed after {text}");
        text.push_str(std::str::from_utf8(&part[..count]).unwrap());
    }
    text
}

/// Reads to the end; a reset counts as an end.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    drop(
        tokio::time::timeout(LONG, stream.read_to_end(&mut rest))
            .await
            .unwrap(),
    );
}

/// A client of HTTP/2, and the task that drives its connection.
async fn http2(addr: SocketAddr) -> (SendRequest<Full<Bytes>>, JoinSet<hyper::Result<()>>) {
    let stream = TcpStream::connect(addr).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    let mut client = JoinSet::new();
    client.spawn(connection);
    (sender, client)
}

/// Asks on a connection of HTTP/2.
async fn ask2(sender: &mut SendRequest<Full<Bytes>>, uri: &str) -> Response<Incoming> {
    let request = Request::get(uri).body(Full::default()).unwrap();
    sender.send_request(request).await.unwrap()
}

#[tokio::test]
async fn both_protocols_are_served_and_know_their_peer() {
    let running = start(config(), LONG, introduce).await;
    let mut first = TcpStream::connect(running.addr).await.unwrap();
    let expected = format!("{} 0 true", first.local_addr().unwrap());
    assert!(ask(&mut first).await.ends_with(&expected));
    assert!(
        ask(&mut first).await.ends_with(&expected),
        "the connection is kept"
    );

    let (mut sender, _client) = http2(running.addr).await;
    let answer = ask2(&mut sender, "http://x/").await;
    let text = crate::body::read_capped(answer.into_body(), 1024, LONG)
        .await
        .unwrap();
    assert!(text.ends_with(b" 0 true"));
    assert_eq!(
        running.stop().await,
        ServeSummary {
            accepted: 2,
            aborted: 0
        }
    );
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_counted() {
    let running = start(
        Config {
            max_connections: 1,
            ..config()
        },
        Duration::from_millis(200),
        endless,
    )
    .await;
    // An answer is under way, so nobody makes room.
    let mut first = TcpStream::connect(running.addr).await.unwrap();
    first.write_all(GET).await.unwrap();
    first.read_u8().await.unwrap();
    let mut second = TcpStream::connect(running.addr).await.unwrap();
    closed(&mut second).await;
    running.refused(Refused::Limit, 1).await;
    assert_eq!(running.metrics.connections("test"), 1);
    drop(first);
    running.connections(0).await;
    let mut third = TcpStream::connect(running.addr).await.unwrap();
    third.write_all(GET).await.unwrap();
    third.read_u8().await.unwrap();
    assert_eq!(
        running.stop().await,
        ServeSummary {
            accepted: 2,
            aborted: 1
        }
    );
}

#[tokio::test]
async fn one_peer_cannot_take_all_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let config = Config {
        max_per_peer: 1,
        ..config()
    };
    let metrics = Arc::clone(&config.metrics);
    let accept = accept::Accept::new(config, addr, Token::new());
    let take = async |peer: &str| {
        let client = TcpStream::connect(addr).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (
            client,
            accept.take(stream, peer.parse().unwrap(), service_fn(introduce)),
        )
    };
    let (_first, taken) = take("192.0.2.1:1").await;
    assert!(taken);
    // The same address as seen by a dual-stack socket.
    let (mut second, taken) = take("[::ffff:192.0.2.1]:2").await;
    assert!(!taken);
    closed(&mut second).await;
    assert!(
        take("192.0.2.2:1").await.1 && take("127.0.0.1:1").await.1 && take("127.0.0.1:2").await.1
    );
    assert_eq!(metrics.refused("test", Refused::PerPeer), 1);
}

#[tokio::test]
async fn a_slow_header_ends_the_connection_whatever_it_starts_with() {
    let header_deadline = Duration::from_millis(100);
    let running = start(
        Config {
            header_deadline,
            ..config()
        },
        LONG,
        introduce,
    )
    .await;
    let starts: [&[u8]; 4] = [
        b"",
        b"P",
        b"GET / HTTP/1.1\r\nhost:",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for (count, start) in (1..).zip(starts) {
        let mut stream = TcpStream::connect(running.addr).await.unwrap();
        stream.write_all(start).await.unwrap();
        closed(&mut stream).await;
        running.refused(Refused::HeaderTimeout, count).await;
    }
    assert_eq!(
        running.stop().await,
        ServeSummary {
            accepted: 4,
            aborted: 0
        }
    );
}

#[tokio::test]
async fn an_idle_connection_ends_at_once_when_draining() {
    let running = start(config(), LONG, introduce).await;
    let mut idle = TcpStream::connect(running.addr).await.unwrap();
    ask(&mut idle).await;
    let mut silent = TcpStream::connect(running.addr).await.unwrap();
    running.connections(2).await;
    let started = Instant::now();
    assert_eq!(
        running.stop().await,
        ServeSummary {
            accepted: 2,
            aborted: 0
        }
    );
    assert!(started.elapsed() < LONG / 2);
    closed(&mut idle).await;
    closed(&mut silent).await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_aborted_after_the_drain() {
    let drain = Duration::from_millis(200);
    let running = start(config(), drain, endless).await;
    let mut first = TcpStream::connect(running.addr).await.unwrap();
    first.write_all(GET).await.unwrap();
    let (mut sender, _client) = http2(running.addr).await;
    let answer = ask2(&mut sender, "http://x/").await;
    // The first one's answer has begun too.
    first.read_u8().await.unwrap();
    let started = Instant::now();
    assert_eq!(
        running.stop().await,
        ServeSummary {
            accepted: 2,
            aborted: 2
        }
    );
    let elapsed = started.elapsed();
    assert!(elapsed >= drain && elapsed < LONG, "{elapsed:?}");
    drop(answer);
}

#[tokio::test]
async fn failing_accepts_are_counted_and_do_not_end_the_listener() {
    let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    // A listening socket that was shut down fails each accept.
    socket2::SockRef::from(&bound.listener)
        .shutdown(std::net::Shutdown::Both)
        .unwrap();
    let (addr, token, config) = (bound.local_addr(), Token::new(), config());
    let metrics = Arc::clone(&config.metrics);
    let mut task = JoinSet::new();
    task.spawn(serve(
        bound,
        config,
        service_fn(introduce),
        token.clone(),
        LONG,
    ));
    let running = Running {
        addr,
        token,
        metrics,
        task,
    };
    let started = Instant::now();
    running.refused(Refused::Accept, 3).await;
    assert!(
        started.elapsed() >= Duration::from_millis(190),
        "there is a pause after each"
    );
    assert_eq!(running.stop().await, ServeSummary::default());
}

#[tokio::test]
async fn the_exposition_names_listener_and_reason() {
    let metrics = ListenMetrics::default();
    metrics.count_refused("grpc", Refused::PerPeer);
    drop(metrics.open("grpc"));
    metrics.count_closed("grpc", Closed::Idle);
    metrics.count_closed("grpc", Closed::Stalled);
    metrics.count_closed("grpc", Closed::Displaced);
    metrics.count_closed("grpc", Closed::Resets);
    metrics.count_closed("grpc", Closed::Malformed);
    metrics.count_unanswered("grpc");
    metrics.count_aborted("grpc", 2);
    let mut registry = prometheus_client::registry::Registry::default();
    metrics.register(&mut registry, "cairn_aggregator");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "cairn_aggregator_listener_refused_connections_total{listener=\"grpc\",reason=\"per_peer\"} 1",
        "cairn_aggregator_listener_accepted_connections_total{listener=\"grpc\"} 1",
        "cairn_aggregator_listener_connections{listener=\"grpc\"} 0",
        "cairn_aggregator_listener_closed_connections_total{listener=\"grpc\",reason=\"idle\"} 1",
        "cairn_aggregator_listener_closed_connections_total{listener=\"grpc\",reason=\"stalled\"} 1",
        "cairn_aggregator_listener_closed_connections_total{listener=\"grpc\",reason=\"displaced\"} 1",
        "cairn_aggregator_listener_closed_connections_total{listener=\"grpc\",reason=\"resets\"} 1",
        "cairn_aggregator_listener_closed_connections_total{listener=\"grpc\",reason=\"malformed\"} 1",
        "cairn_aggregator_listener_unanswered_requests_total{listener=\"grpc\"} 1",
        "cairn_aggregator_listener_aborted_connections_total{listener=\"grpc\"} 2",
    ] {
        assert!(
            text.contains(&format!("{line}\n")),
            "{line} is not in:\n{text}"
        );
    }
}

#[tokio::test]
async fn a_taken_port_is_named_and_any_address_takes_ipv4() {
    let bound = bind("[::]:0".parse().unwrap()).await.unwrap();
    let port = bound.local_addr().port();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let taken = SocketAddr::from(([0, 0, 0, 0], port));
    let error = bind(taken).await.unwrap_err();
    assert!(
        matches!(error, Error::InUse { addr, .. } if addr == taken),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains(&taken.to_string()) && text.contains("choose another port"),
        "{text}"
    );
    let error = bind("192.0.2.1:0".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::NotHere { .. }), "{error:?}");
}
