//! The TLS handshake and its turns.

use super::*;
use crate::tls::{Connector, ServerTls, Trust};

/// A certificate of its own, and the directory it is in.
fn certificate() -> (Option<Arc<ServerTls>>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["node1".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Some(ServerTls::load(&cert, &key, &["http/1.1"]).unwrap());
    (tls, dir)
}

/// A listener with TLS.
async fn start_tls(config: Config) -> (Running, tempfile::TempDir) {
    let (tls, dir) = certificate();
    (start(Config { tls, ..config }, LONG, introduce).await, dir)
}

fn connector() -> Connector {
    let name = crate::tls::server_name("node1").unwrap();
    Connector::new(Trust::insecure(), name, &["http/1.1"])
}

#[tokio::test]
async fn tls_is_served_and_failed_handshakes_are_counted() {
    let (running, _dir) = start_tls(config()).await;
    let mut garbage = TcpStream::connect(running.addr).await.unwrap();
    garbage.write_all(GET).await.unwrap();
    closed(&mut garbage).await;
    running.refused(Refused::HandshakeFailed, 1).await;
    let mut stream = connector().connect(running.addr, LONG).await.unwrap();
    stream.write_all(GET).await.unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    assert_eq!(
        running.stop().await,
        ServeSummary {
            accepted: 2,
            aborted: 0
        }
    );
}

#[tokio::test]
async fn handshakes_are_bounded_and_wait_within_their_deadline() {
    let (running, _dir) = start_tls(Config {
        handshake_deadline: Duration::from_secs(1),
        max_handshakes: 1,
        ..config()
    })
    .await;
    let mut silent = TcpStream::connect(running.addr).await.unwrap();
    let mut begun = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(running.addr).await.unwrap();
        stream.write_all(&[22]).await.unwrap();
        begun.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let started = Instant::now();
    let _stream = connector().connect(running.addr, LONG).await.unwrap();
    let elapsed = started.elapsed();
    assert!(
        elapsed >= Duration::from_millis(500),
        "{elapsed:?}: it had to wait for the turn of the first"
    );
    for stream in &mut begun {
        closed(stream).await;
    }
    closed(&mut silent).await;
    running.refused(Refused::HandshakeTimeout, 3).await;
    assert_eq!(running.metrics.refused("test", Refused::HandshakeFailed), 0);
}

#[tokio::test]
async fn silent_strangers_do_not_keep_others_from_their_handshakes() {
    let (running, _dir) = start_tls(Config {
        max_handshakes: 1,
        ..config()
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(running.addr).await.unwrap());
    }
    running.connections(3).await;
    // Far below the time that the silent ones have.
    let connected = connector().connect(running.addr, LONG / 4).await;
    connected.unwrap();
}

#[tokio::test]
async fn one_peer_has_a_share_of_the_handshakes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (tls, _dir) = certificate();
    let config = Config {
        max_handshakes: 4,
        tls,
        ..config()
    };
    let accept = accept::Accept::new(config, addr, Token::new());
    let take = async |peer: &str| {
        let (stream, _) = listener.accept().await.unwrap();
        assert!(accept.take(stream, peer.parse().unwrap(), service_fn(introduce)));
    };
    let mut begun = Vec::new();
    for _ in 0..4 {
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(&[22]).await.unwrap();
        take("192.0.2.1:1").await;
        begun.push(client);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let short = Duration::from_secs(2);
    let (connector, other) = (connector(), connector());
    let (same, ()) = tokio::join!(connector.connect(addr, short), take("192.0.2.1:1"));
    assert!(same.is_err());
    let (stream, ()) = tokio::join!(other.connect(addr, short), take("192.0.2.2:1"));
    stream.unwrap();
}
