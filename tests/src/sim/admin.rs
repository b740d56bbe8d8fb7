//! The simulator's admin port: health, counts, the clock, faults, token and certificate.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use cairn_runtime::body::read_capped;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;

use super::control::Control;
use super::delivery::Delivery;
use super::fault::{Endpoint, Order};
use super::kubelet::respond;

/// Orders are a line of JSON, at most with a whole answer in it.
const BODY_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// A test's request comes in one piece.
const BODY_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Step {
    unix_ms: u64,
}

/// Another token, or other files of the certificate; what is not named stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    token: Option<String>,
    #[serde(default)]
    reload_certificate: bool,
}

/// Answers one request to the admin port.
pub(super) async fn answer(
    control: Control,
    request: Request<Incoming>,
) -> Result<Response<Delivery>, Infallible> {
    let (parts, body) = request.into_parts();
    let (status, text) = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/livez" | "/readyz") => (StatusCode::OK, "ok\n".to_owned()),
        (&Method::GET, "/metrics") => (StatusCode::OK, metrics(&control)),
        (&Method::GET, "/debug/clock") => (StatusCode::OK, clock(&control)),
        (&Method::POST, path @ ("/debug/clock" | "/debug/fault" | "/debug/identity")) => {
            match read_capped(body, BODY_LIMIT_BYTES, BODY_DEADLINE).await {
                Ok(bytes) if path == "/debug/clock" => step(&control, &bytes).await,
                Ok(bytes) if path == "/debug/identity" => identity(&control, &bytes),
                Ok(bytes) => fault(&control, &bytes),
                Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
            }
        }
        _ => (
            StatusCode::NOT_FOUND,
            "GET /livez /readyz /metrics /debug/clock, POST /debug/clock /debug/fault /debug/identity\n"
                .to_owned(),
        ),
    };
    let body = Delivery::Whole(Bytes::from(text));
    Ok(respond(status, "text/plain; charset=utf-8", body))
}

async fn step(control: &Control, body: &[u8]) -> (StatusCode, String) {
    let step: Step = match serde_json::from_slice(body) {
        Ok(step) => step,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    match control.step(step.unix_ms).await {
        Ok(()) => (StatusCode::OK, clock(control)),
        Err(error) => (StatusCode::CONFLICT, format!("{error}\n")),
    }
}

fn fault(control: &Control, body: &[u8]) -> (StatusCode, String) {
    match serde_json::from_slice::<Order>(body) {
        Ok(order) => {
            control.fault(&order);
            (StatusCode::OK, "ok\n".to_owned())
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

fn identity(control: &Control, body: &[u8]) -> (StatusCode, String) {
    let identity: Identity = match serde_json::from_slice(body) {
        Ok(identity) => identity,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    if let Some(token) = identity.token {
        control.set_token(token);
    }
    if identity.reload_certificate
        && let Err(error) = control.reload()
    {
        return (StatusCode::CONFLICT, format!("{error}\n"));
    }
    (StatusCode::OK, "ok\n".to_owned())
}

fn clock(control: &Control) -> String {
    format!("{{\"unix_ms\":{}}}", control.unix_ms())
}

fn metrics(control: &Control) -> String {
    let mut text = String::new();
    let all: fn(&Control, Endpoint) -> u64 = Control::requests;
    for (name, help, count) in [
        (
            "kubelet_sim_requests_total",
            "requests to the kubelet's port, refused and broken ones too",
            all,
        ),
        (
            "kubelet_sim_authorized_requests_total",
            "requests that came with an Authorization header",
            Control::authorized_requests,
        ),
    ] {
        // Writing into a String cannot fail.
        write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n").unwrap_or_default();
        for endpoint in Endpoint::ALL {
            let (label, value) = (endpoint.as_str(), count(control, endpoint));
            writeln!(text, "{name}{{endpoint=\"{label}\"}} {value}").unwrap_or_default();
        }
    }
    text
}
