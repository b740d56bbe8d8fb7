//! The HTTPS listener: who asks, whether they may, and then what they asked for.
//!
//! * `target`: what a request is about, for the decision and for the answer;
//! * `accept`: which form of an answer the client takes;
//! * `status`: what goes wrong, as clients of Kubernetes read it;
//! * `discovery`: what is served; `openapi`: what objects look like; `probes`: whether the process is well;
//! * `sent`, `wire`: bodies, as the API server sends them;
//! * `reading`: Cairn's own answers, to who may see something of what they are about.
//!
//! What is said of nodes and pods is [`metrics_api`](super::metrics_api)'s.

mod accept;
mod discovery;
mod openapi;
mod probes;
mod reading;
mod sent;
mod status;
mod target;
mod wire;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use cairn_runtime::listen::Peer;
use http::{HeaderValue, Method, StatusCode, header};

use super::Api;
use super::metrics_api::{self, MetricsApi};
use crate::access::{Attributes, Authenticators, Decision, Rights, Unproven};

pub(super) use accept::{Form, Kind, Media, Shape, choose};
pub(super) use discovery::GROUP_VERSION;
pub use probes::Wellness;
pub(super) use sent::{How, Pieces, indented, pieces, small};
pub(super) use status::{Details, Status};
pub(super) use target::{GROUP, Target, is_watch};
pub(super) use wire::{Count, Message, Sink, Written, envelope, envelope_end, envelope_head};

/// What the listener needs.
#[derive(Clone, Debug)]
pub struct Secure {
    /// Cairn's own answers.
    pub api: Api,
    /// metrics.k8s.io.
    pub metrics: MetricsApi,
    /// Who asks.
    pub authenticators: Authenticators,
    /// What they may.
    pub rights: Rights,
    /// Whether the process is well.
    pub wellness: Wellness,
}

/// Every route of the HTTPS listener.
pub fn secure_router(secure: Secure) -> Router {
    Router::new().fallback(answer).with_state(secure)
}

async fn answer(State(secure): State<Secure>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let (path, query) = (parts.uri.path(), parts.uri.query());
    let target = meant(path, &parts.headers);
    if target == Target::Nothing
        && let Some(wanted) = reading::wanted(path, query)
    {
        return reading::answer(&secure, parts, wanted).await;
    }
    let peer: Option<&Peer> = parts.extensions.get();
    let shown = peer.and_then(|peer| peer.tls.clone());
    let user = secure
        .authenticators
        .user(&mut parts.headers, shown.as_deref())
        .await;
    let (path, query) = (parts.uri.path(), parts.uri.query());
    let refuse = |status: Status| status.response(&parts.headers, query);
    let user = match user {
        Ok(user) => user,
        Err(Unproven::Unauthorized) => return refuse(Status::unauthorized()),
        Err(Unproven::Busy) => return refuse(Status::too_many_tokens()),
    };
    let attributes = target::attributes(&parts.method, path, query);
    match secure.rights.decide(&user, &attributes).await {
        Decision::Allowed => {}
        Decision::Denied(reason) => {
            let details = match &attributes {
                Attributes::Path { .. } => Details::default(),
                Attributes::Resource(of) => Details::of(&of.name, &of.group, &of.resource),
            };
            let why = attributes.refusal(&user, &reason);
            return refuse(Status::forbidden(details, &why));
        }
        Decision::Unanswered(why) => {
            tracing::warn!(
                why,
                "what a reader may do could not be found out: it is refused"
            );
            return refuse(Status::undecided());
        }
        Decision::Busy => return refuse(Status::too_many_questions()),
    }
    if target != Target::Nothing && parts.method != Method::GET {
        // A monitor's HEAD is answered like GET; the server leaves the body out.
        let is_probe = matches!(target, Target::Probe(..)) && parts.method == Method::HEAD;
        if !is_probe {
            return not_get();
        }
    }
    let headers = &parts.headers;
    match target {
        Target::Paths => discovery::paths(StatusCode::OK),
        Target::Groups => discovery::groups(headers, query),
        Target::Group => discovery::one_group(headers, query),
        Target::Resources => discovery::resources(headers, query),
        Target::Version => discovery::version(headers, query),
        Target::OpenApi2 => openapi::v2(headers, query),
        Target::OpenApi3Index => openapi::index(headers, query),
        Target::OpenApi3 => openapi::v3(headers, query),
        Target::Probe(probe, check) => {
            let answered = secure.wellness.answer(probe, check.as_deref(), query);
            answered.unwrap_or_else(|| discovery::paths(StatusCode::NOT_FOUND))
        }
        Target::Nothing => discovery::paths(StatusCode::NOT_FOUND),
        target => {
            let question = metrics_api::Question { headers, query };
            let metrics = secure.metrics.for_reader(&user.name);
            let answered = metrics_api::answer(&metrics, &target, question).await;
            answered.unwrap_or_else(refuse)
        }
    }
}

fn not_get() -> Response {
    let text = "text/plain; charset=utf-8";
    let mut response = small(
        StatusCode::METHOD_NOT_ALLOWED,
        text,
        "405: Method Not Allowed",
    );
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}

/// What a request means: at `/` browsers find the page, and clients of Kubernetes which paths there are.
fn meant(path: &str, headers: &http::HeaderMap) -> Target {
    if path == "/" && accept::is_of_programs(headers) {
        return Target::Paths;
    }
    Target::parse(path)
}

#[cfg(test)]
pub(super) mod tests;
