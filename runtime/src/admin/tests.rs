use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::*;
use crate::listen::Peer;
use crate::readiness::Note;
use crate::tasks::Supervisor;

fn admin(clock: Clock) -> Admin {
    let mut registry = Registry::default();
    register_process_metrics(&mut registry, "cairn_agent");
    let (readiness, health) = (Readiness::new(), TaskHealth::new());
    Admin {
        registry: Arc::new(registry),
        readiness,
        health,
        clock,
    }
}

/// Asks without a socket, as a client of the given address.
async fn ask_from(admin: &Admin, peer: &str, method: Method, path: &str, body: &str) -> Asked {
    let addr: SocketAddr = peer.parse().unwrap();
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(body)
        .unwrap();
    request.extensions_mut().insert(Peer {
        addr,
        local: addr,
        tls: None,
    });
    let answer = routes::answer(admin, request).await;
    let (parts, body) = answer.into_parts();
    let bytes = crate::body::read_capped(body, 1 << 20, Duration::from_secs(5))
        .await
        .unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Asked {
        status: parts.status,
        headers: parts.headers,
        text,
    }
}

struct Asked {
    status: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

async fn get(admin: &Admin, path: &str) -> Asked {
    ask_from(admin, "127.0.0.1:1", Method::GET, path, "").await
}

async fn post_clock(admin: &Admin, body: &str) -> Asked {
    ask_from(admin, "[::1]:1", Method::POST, "/debug/clock", body).await
}

#[tokio::test]
async fn readyz_follows_the_blockers_and_shows_notes_when_asked() {
    let admin = admin(Clock::system());
    let blocker = admin.readiness.block("listeners", "not bound");
    let asked = get(&admin, "/readyz").await;
    assert_eq!(asked.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(asked.text, "[-]listeners not bound\nreadyz check failed\n");
    drop(blocker);
    admin
        .readiness
        .note("source summary", Note::Degraded("answered 403".to_owned()));
    assert_eq!(get(&admin, "/readyz").await.text, "ok\n");
    for path in [
        "/readyz?verbose",
        "/readyz?verbose=1",
        "/readyz?a=b&verbose",
    ] {
        let asked = get(&admin, path).await;
        assert_eq!(asked.status, StatusCode::OK);
        assert!(
            asked.text.contains("[!]source summary: answered 403"),
            "{path}: {}",
            asked.text
        );
    }
}

#[tokio::test]
async fn livez_fails_once_a_supervised_task_died() {
    let mut supervisor = Supervisor::new(Token::new());
    let admin = Admin {
        health: supervisor.health(),
        ..admin(Clock::system())
    };
    assert_eq!(get(&admin, "/livez").await.status, StatusCode::OK);
    supervisor.spawn("sampler", async {
        Err(TaskError::message("no more ticks"))
    });
    supervisor.run(Duration::from_secs(1)).await;
    let asked = get(&admin, "/livez").await;
    assert_eq!(asked.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(asked.text, "task sampler failed: no more ticks\n");
}

#[tokio::test]
async fn metrics_are_an_openmetrics_exposition() {
    let asked = get(&admin(Clock::system()), "/metrics").await;
    let kind = asked.headers[http::header::CONTENT_TYPE].to_str().unwrap();
    assert_eq!(
        kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(
        asked.text.contains("cairn_agent_process_open_fds ") && asked.text.ends_with("# EOF\n")
    );
}

#[tokio::test]
async fn the_clock_is_read_and_stepped_from_loopback_only() {
    let admin = admin(Clock::driven(1_000));
    assert_eq!(
        get(&admin, "/debug/clock").await.text,
        r#"{"unix_ms":1000}"#
    );
    let asked = post_clock(&admin, r#"{"unix_ms":11000}"#).await;
    assert_eq!(
        (asked.status, asked.text.as_str()),
        (StatusCode::OK, r#"{"unix_ms":11000}"#)
    );
    assert_eq!(admin.clock.unix_ms(), 11_000);
    let line = admin.clock.line();
    let asked = post_clock(&admin, r#"{"unix_ms":12000,"jump":true}"#).await;
    assert_eq!(asked.text, r#"{"unix_ms":12000}"#);
    assert_eq!(line.drift_ms(), 1_000);
    post_clock(&admin, r#"{"unix_ms":11000}"#).await;
    for peer in ["192.0.2.1:1", "[2001:db8::1]:1"] {
        let body = r#"{"unix_ms":1}"#;
        let asked = ask_from(&admin, peer, Method::POST, "/debug/clock", body).await;
        assert_eq!(asked.status, StatusCode::FORBIDDEN);
        assert!(asked.text.contains("127.0.0.1"), "{}", asked.text);
    }
    assert_eq!(admin.clock.unix_ms(), 11_000);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_does_not_settle_names_who_is_at_work() {
    let admin = admin(Clock::driven(0));
    let _busy = admin.clock.waiter("uplink");
    let asked = post_clock(&admin, r#"{"unix_ms":1}"#).await;
    assert_eq!(asked.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(asked.text.contains("uplink"), "{}", asked.text);
}

#[tokio::test]
async fn a_step_needs_a_driven_clock_and_a_sound_body() {
    let system = admin(Clock::system());
    assert_eq!(
        post_clock(&system, r#"{"unix_ms":1}"#).await.status,
        StatusCode::CONFLICT
    );
    let driven = admin(Clock::driven(0));
    for body in [
        "",
        "{}",
        r#"{"unix_ms":-1}"#,
        r#"{"unix_ms":1,"x":2}"#,
        "[[[[",
    ] {
        assert_eq!(
            post_clock(&driven, body).await.status,
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
    let bomb = format!(r#"{{"unix_ms":{}}}"#, " ".repeat(2_000));
    assert_eq!(
        post_clock(&driven, &bomb).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(driven.clock.unix_ms(), 0);
}

#[tokio::test]
async fn other_paths_and_methods_say_what_there_is() {
    let admin = admin(Clock::system());
    let asked = get(&admin, "/").await;
    assert_eq!(asked.status, StatusCode::NOT_FOUND);
    assert!(asked.text.contains("/readyz") && asked.text.contains("/debug/clock"));
    for (path, allowed) in [
        ("/readyz", "GET, HEAD"),
        ("/debug/clock", "GET, HEAD, POST"),
    ] {
        let asked = ask_from(&admin, "127.0.0.1:1", Method::DELETE, path, "").await;
        assert_eq!(asked.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(asked.headers[http::header::ALLOW], allowed);
    }
}

#[tokio::test]
async fn the_endpoints_are_served_over_a_socket_until_the_token() {
    let listener = listen::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (addr, token) = (listener.local_addr(), Token::new());
    let mut task = JoinSet::new();
    task.spawn(serve(listener, admin(Clock::driven(7)), token.clone()));
    for (request, expected) in [
        (
            "GET /debug/clock HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            r#"{"unix_ms":7}"#,
        ),
        ("GET /livez HTTP/1.0\r\n\r\n", "ok\n"),
        (
            "HEAD /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            "\r\n\r\n",
        ),
    ] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(
            text.contains(" 200 OK\r\n") && text.ends_with(expected),
            "{text}"
        );
    }
    token.cancel();
    assert_eq!(task.join_next().await.unwrap().unwrap(), Ok(()));
}
