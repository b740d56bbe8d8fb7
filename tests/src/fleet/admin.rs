//! The fleet's admin port: health, what it has done, the clock, faults.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use cairn_runtime::body::read_capped;
use cairn_runtime::listen;
use cairn_runtime::shutdown::Token;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::control::{Control, Order};

/// Orders are a line of JSON.
const BODY_LIMIT_BYTES: usize = 4 * 1024;

/// A test's request comes in one piece.
const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// More than a test and a person who looks on open.
const CONNECTION_LIMIT: usize = 32;

/// Longer than any step of the clock takes.
const IDLE_DEADLINE: Duration = Duration::from_secs(600);

/// An answer here is small: what has not gone out by then never will.
const DRAIN: Duration = Duration::from_secs(1);

#[derive(Deserialize, Serialize)]
struct Moment {
    unix_ms: u64,
}

/// Serves until the token is cancelled.
pub(super) async fn serve(bound: listen::Bound, control: Control, token: Token) {
    let service = hyper::service::service_fn(move |request| answer(control.clone(), request));
    let config = listen::Config {
        name: "admin",
        max_connections: CONNECTION_LIMIT,
        max_per_peer: CONNECTION_LIMIT,
        max_handshakes: 0,
        handshake_deadline: Duration::ZERO,
        header_deadline: IDLE_DEADLINE,
        answer_deadline: Duration::from_secs(600),
        idle_deadline: IDLE_DEADLINE,
        write_deadline: Duration::from_secs(30),
        max_header_bytes: 32 * 1024,
        tls: None,
        metrics: std::sync::Arc::default(),
    };
    listen::serve(bound, config, service, token, DRAIN).await;
}

async fn answer(
    control: Control,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let (status, text) = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/livez" | "/readyz") => (StatusCode::OK, "ok\n".to_owned()),
        (&Method::GET, "/state") => json(&control.state()),
        (&Method::GET, "/debug/clock") => clock(&control),
        (&Method::POST, path @ ("/debug/clock" | "/debug/fault")) => {
            match read_capped(body, BODY_LIMIT_BYTES, BODY_DEADLINE).await {
                Ok(bytes) if path == "/debug/clock" => step(&control, &bytes).await,
                Ok(bytes) => fault(&control, &bytes),
                Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
            }
        }
        _ => (
            StatusCode::NOT_FOUND,
            "GET /livez /readyz /state /debug/clock, POST /debug/clock /debug/fault\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    Ok(response)
}

async fn step(control: &Control, body: &[u8]) -> (StatusCode, String) {
    let to: Moment = match serde_json::from_slice(body) {
        Ok(to) => to,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    match control.step(to.unix_ms).await {
        Ok(()) => clock(control),
        Err(error) => (StatusCode::CONFLICT, format!("{error}\n")),
    }
}

fn fault(control: &Control, body: &[u8]) -> (StatusCode, String) {
    match serde_json::from_slice::<Order>(body) {
        Ok(order) => {
            control.order(&order);
            (StatusCode::OK, "ok\n".to_owned())
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

fn clock(control: &Control) -> (StatusCode, String) {
    json(&Moment {
        unix_ms: control.unix_ms(),
    })
}

fn json(value: &impl Serialize) -> (StatusCode, String) {
    match serde_json::to_string(value) {
        Ok(text) => (StatusCode::OK, text + "\n"),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
