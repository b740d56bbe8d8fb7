//! How much of a header is taken.

use super::*;

/// The status of the answer to a request whose target has so many bytes.
async fn status(running: &Running, target_bytes: usize) -> String {
    let target = format!("/{}", "x".repeat(target_bytes - 1));
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
    // The server may close before it has read all.
    drop(stream.write_all(request.as_bytes()).await);
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

async fn status2(running: &Running, target_bytes: usize) -> u16 {
    let (mut sender, _client) = http2(running.addr).await;
    let uri = format!("http://x/{}", "x".repeat(target_bytes - 1));
    ask2(&mut sender, &uri).await.status().as_u16()
}

#[tokio::test]
async fn a_long_list_in_the_url_is_served_where_the_listener_has_room_for_it() {
    let roomy = Config {
        max_header_bytes: 72 * 1024,
        ..config()
    };
    let roomy = start(roomy, LONG, introduce).await;
    assert_eq!(status(&roomy, 60_000).await, "200");
    assert_eq!(status2(&roomy, 60_000).await, 200);
    assert_eq!(status(&roomy, 65_534).await, "200");
    assert_eq!(status(&roomy, 65_535).await, "414");
    let usual = start(config(), LONG, introduce).await;
    assert_eq!(status(&usual, 30_000).await, "200");
    assert_eq!(status(&usual, 60_000).await, "431");
    assert_eq!(status2(&usual, 60_000).await, 431);
}

#[tokio::test]
async fn too_small_a_limit_counts_as_the_least() {
    let config = Config {
        max_header_bytes: 0,
        ..config()
    };
    let running = start(config, LONG, introduce).await;
    assert_eq!(status(&running, 7_000).await, "200");
    assert_eq!(status(&running, 9_000).await, "431");
}
