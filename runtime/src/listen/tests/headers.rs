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

/// The whole answer to what is sent, read to its end.
async fn answer_to(running: &Running, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    let (mut from, mut to) = stream.split();
    let mut text = String::new();
    // The server may end the answer before it has read all.
    let (read, _) = tokio::join!(from.read_to_string(&mut text), to.write_all(request));
    read.unwrap();
    text
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong_and_what_to_do() {
    let roomy = Config {
        max_header_bytes: 72 * 1024,
        ..config()
    };
    let roomy = start(roomy, LONG, introduce).await;
    let usual = start(config(), LONG, introduce).await;
    let with_target = |bytes| format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(bytes));
    let with_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    for (running, request, status, part) in [
        (
            &roomy,
            with_target(65_534),
            "414 URI Too Long",
            "over 65534 bytes",
        ),
        (
            &roomy,
            with_target(200_000),
            "431 Request Header Fields Too Large",
            "over 73728 bytes",
        ),
        (
            &usual,
            with_target(60_000),
            "431 Request Header Fields Too Large",
            "over 32768 bytes",
        ),
        (
            &usual,
            with_headers,
            "431 Request Header Fields Too Large",
            "more than 100 headers",
        ),
        (
            &usual,
            "nonsense\r\n\r\n".to_owned(),
            "400 Bad Request",
            "not a request of HTTP/1.1",
        ),
        (
            &usual,
            "GET / HTTP/7.0\r\n\r\n".to_owned(),
            "400 Bad Request",
            "check the request line",
        ),
    ] {
        let text = answer_to(running, request.as_bytes()).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{head}"
        );
        for line in [
            "content-type: text/plain; charset=utf-8",
            &format!("content-length: {}", body.len()),
            "connection: close",
        ] {
            assert_eq!(
                head.lines().filter(|l| *l == line).count(),
                1,
                "{line}: {head}"
            );
        }
        assert!(body.contains(part), "{part}: {body}");
    }
}

#[tokio::test]
async fn a_refusal_after_an_answer_says_it_too() {
    let running = start(config(), LONG, introduce).await;
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    ask(&mut stream).await;
    stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
    assert!(text.contains("not a request of HTTP/1.1"), "{text}");
}

/// As bare as an answer can be.
async fn refuse(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let status = request
        .uri()
        .path()
        .trim_start_matches('/')
        .parse()
        .unwrap();
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
    let close = http::HeaderValue::from_static("close");
    answer.headers_mut().insert("connection", close);
    Ok(answer)
}

#[tokio::test]
async fn a_service_that_refuses_in_the_same_way_keeps_its_answer() {
    let running = start(config(), LONG, refuse).await;
    for status in ["400", "414", "431", "404"] {
        for method in ["GET", "HEAD", "POST"] {
            let request = format!("{method} /{status} HTTP/1.1\r\nhost: x\r\n\r\n");
            let text = answer_to(&running, request.as_bytes()).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
            assert!(text.ends_with("\r\n\r\n"), "{text}");
            let lengths = text.matches("content-length: 0\r\n").count();
            assert_eq!(lengths, usize::from(method != "HEAD"), "{text}");
            assert_eq!(text.matches("connection: close\r\n").count(), 1, "{text}");
        }
    }
}
