//! A request becomes an answer.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, DATE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::aggregating;
use super::answer::{self, Body};
use super::control::Control;
use super::discovery;
use super::fault::Fault;
use super::kinds::{self, Kind, Place};
use super::objects::Snapshot;
use super::rbac::{Act, Caller};
use super::review;
use super::selecting;
use super::storing;
use super::watching::{self, Wanted};
use crate::rfc3339;

/// No test waits longer for an answer that does not come; then the request ends all the same.
const HANG_LIMIT: Duration = Duration::from_secs(600);

/// The largest body of a review, or of an object.
const MOST_BODY_BYTES: usize = 64 * 1024;

/// What a path means.
enum Route {
    /// Objects of a resource, in one namespace or all.
    Many(&'static str, Option<String>),
    /// One object: resource, namespace, name.
    One(&'static str, String, String),
    /// One object of which a test may have put a document in its place.
    Written(&'static str, String, String),
    /// A write of an object.
    Write(Place),
    TokenReview,
    AccessReview,
    OwnAccessReview,
    OwnReview,
    Other,
}

/// Answers one request, and says when, as every server does.
pub(super) async fn answer(
    control: Control,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut response = answered(&control, request).await;
    let date = rfc3339::date(control.now_ms() / 1000);
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(DATE, date);
    }
    Ok(response)
}

async fn answered(control: &Control, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let query = Query::of(request.uri().query());
    let route = route(request.method(), &path);
    let act = Act::of(request.method().as_str(), &path, query.is("watch"));
    let (verb, resource) = match &route {
        Route::Many(resource, _) if query.is("watch") => ("watch", *resource),
        Route::Many(resource, _) => ("list", *resource),
        Route::One(resource, ..) => ("get", *resource),
        Route::Written(resource, ..) => ("get", *resource),
        Route::Write(place) => (act.verb.as_str(), place.kind.resource),
        Route::TokenReview => ("create", "tokenreviews"),
        Route::AccessReview => ("create", "subjectaccessreviews"),
        Route::OwnAccessReview => ("create", "selfsubjectaccessreviews"),
        Route::OwnReview => ("create", "selfsubjectreviews"),
        Route::Other => ("get", path.as_str()),
    };
    let fault = control.count_request(verb, resource);
    let authorization = request.headers().get(AUTHORIZATION);
    let Some(caller) = control.caller(authorization.map(|value| value.as_bytes())) else {
        return answer::refusal(401, "Unauthorized", "Unauthorized");
    };
    if let Err(why) = control.admit(&caller, &act) {
        return answer::refusal(403, "Forbidden", &why);
    }
    if let Some(broken) = broken(fault, verb).await {
        return broken;
    }
    let wanted = match &route {
        Route::TokenReview | Route::AccessReview | Route::OwnAccessReview | Route::OwnReview => {
            Method::POST
        }
        _ => Method::GET,
    };
    if request.method() != wanted && !matches!(route, Route::Write(_)) {
        let text = "the server does not allow this method on the requested resource";
        return answer::refusal(405, "MethodNotAllowed", text);
    }
    match route {
        // No streaming lists: clients fall back to a list and a watch.
        Route::Many(..) if query.is("sendInitialEvents") => answer::refusal(
            422,
            "Invalid",
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature \
             gate is enabled",
        ),
        Route::Many(resource, namespace) if query.is("watch") => {
            watch(control, resource, namespace, &query)
        }
        Route::Many(resource, namespace) => list(control, resource, namespace.as_deref(), &query),
        Route::One(resource, namespace, name) => found(control.get(resource, &namespace, &name)),
        Route::Write(place) => storing::answer(control, &place, &query, request).await,
        Route::Written(resource, namespace, name) => {
            let held = control.get(resource, &namespace, &name);
            // A test may have put a document there, which nobody writes.
            found(held.or_else(|| control.document(&path)))
        }
        Route::TokenReview | Route::AccessReview | Route::OwnAccessReview | Route::OwnReview => {
            match body(request).await {
                Some(sent) => reviewed(control, &route, &caller, sent).await,
                None => unreadable(),
            }
        }
        Route::Other => match control.document(&path) {
            Some(document) => answer::json(StatusCode::OK, &document),
            None => other(control, &caller, request).await,
        },
    }
}

/// What is told of the server itself, and what others serve.
async fn other(control: &Control, caller: &Caller, request: Request<Incoming>) -> Response<Body> {
    let told = discovery::answer(control, request.uri().path(), request.headers());
    match told {
        Some(told) => told,
        None => {
            let handed = aggregating::answer(control, caller, request).await;
            handed.unwrap_or_else(|| found(None))
        }
    }
}

/// What a review says.
async fn reviewed(
    control: &Control,
    route: &Route,
    caller: &Caller,
    review: Value,
) -> Response<Body> {
    match route {
        Route::TokenReview => review::token(control, review).await,
        Route::AccessReview => review::access(control, review).await,
        Route::OwnAccessReview => review::own_access(control, caller, review).await,
        _ => review::oneself(caller, review),
    }
}

fn route(method: &Method, path: &str) -> Route {
    if let Some(place) = kinds::located(path)
        && matches!(
            *method,
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE
        )
    {
        return Route::Write(place);
    }
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let resource = |name: &str| match name {
        "nodes" => Some("nodes"),
        "namespaces" => Some("namespaces"),
        "pods" => Some("pods"),
        _ => None,
    };
    let text = |text: &str| text.to_owned();
    match segments.as_slice() {
        ["api", "v1", name] => resource(name).map_or(Route::Other, |of| Route::Many(of, None)),
        ["api", "v1", "nodes", name] => Route::One("nodes", String::new(), text(name)),
        ["api", "v1", "namespaces", name] => Route::One("namespaces", String::new(), text(name)),
        ["api", "v1", "namespaces", within, "pods"] => Route::Many("pods", Some(text(within))),
        ["api", "v1", "namespaces", within, "pods", name] => {
            Route::One("pods", text(within), text(name))
        }
        ["api", "v1", "namespaces", within, "secrets", name] => {
            Route::Written("secrets", text(within), text(name))
        }
        ["api", "v1", "namespaces", within, "configmaps", name] => {
            Route::Written("configmaps", text(within), text(name))
        }
        [
            "apis",
            "discovery.k8s.io",
            "v1",
            "namespaces",
            within,
            "endpointslices",
        ] => Route::Many("endpointslices", Some(text(within))),
        [
            "apis",
            "coordination.k8s.io",
            "v1",
            "namespaces",
            within,
            "leases",
            name,
        ] => Route::Written("leases", text(within), text(name)),
        ["apis", "apiregistration.k8s.io", "v1", "apiservices", name] => {
            Route::Written("apiservices", String::new(), text(name))
        }
        [
            "apis",
            "apps",
            "v1",
            "namespaces",
            within,
            "daemonsets",
            name,
        ] => Route::One("daemonsets", text(within), text(name)),
        ["apis", "authentication.k8s.io", "v1", "tokenreviews"] => Route::TokenReview,
        ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"] => Route::OwnReview,
        [
            "apis",
            "authorization.k8s.io",
            "v1",
            "selfsubjectaccessreviews",
        ] => Route::OwnAccessReview,
        ["apis", "authorization.k8s.io", "v1", "subjectaccessreviews"] => Route::AccessReview,
        _ => kinds::located(path).map_or(Route::Other, stored),
    }
}

/// Objects of a kind that nothing is special about.
fn stored(place: Place) -> Route {
    let Place {
        kind,
        namespace,
        name,
    } = place;
    if name.is_empty() {
        return Route::Many(kind.resource, (!namespace.is_empty()).then_some(namespace));
    }
    Route::One(kind.resource, namespace, name)
}

/// What a fault answers instead; a slow one waits and then lets the answer be made.
async fn broken(fault: Option<Fault>, verb: &str) -> Option<Response<Body>> {
    match fault? {
        Fault::Slow(wait) => {
            sleep(wait).await;
            None
        }
        Fault::Hang => {
            sleep(HANG_LIMIT).await;
            Some(answer::refusal(
                503,
                "ServiceUnavailable",
                "hung, as ordered",
            ))
        }
        Fault::TooMany(retry_after_s) => Some(answer::too_many(retry_after_s)),
        Fault::Gone if verb == "watch" => {
            let line = json!({"type": "ERROR", "object": answer::gone()}).to_string() + "\n";
            let body = http_body_util::Full::new(line.into()).boxed_unsync();
            Some(answer::respond(StatusCode::OK, body))
        }
        Fault::Gone => Some(answer::json(StatusCode::GONE, &answer::gone())),
        Fault::Status(code) => Some(answer::refusal(code, "", "broken, as ordered")),
    }
}

fn watch(
    control: &Control,
    resource: &'static str,
    namespace: Option<String>,
    query: &Query,
) -> Response<Body> {
    let wanted = Wanted {
        resource,
        namespace,
        version: query.number("resourceVersion").unwrap_or(0),
        selectors: ["labelSelector", "fieldSelector"]
            .map(|name| query.get(name).unwrap_or_default().to_owned()),
        bookmarks: query.is("allowWatchBookmarks"),
        timeout: query.number("timeoutSeconds").map(Duration::from_secs),
    };
    answer::respond(StatusCode::OK, watching::body(control, wanted))
}

/// A list, or a page of it. `continue` names the list's version, its length and where to go on.
fn list(
    control: &Control,
    resource: &'static str,
    namespace: Option<&str>,
    query: &Query,
) -> Response<Body> {
    let mut objects = control.objects();
    let (snapshot, from) = match query.get("continue").filter(|text| !text.is_empty()) {
        None => {
            let mut listed = objects.list(resource, namespace);
            let asked = |name: &str| query.get(name).unwrap_or_default();
            let (labels, fields) = (asked("labelSelector"), asked("fieldSelector"));
            listed.retain(|object| selecting::selects((labels, fields), object));
            (objects.keep(listed), 0)
        }
        Some(text) => {
            match further(text).map(|(version, count, from)| (objects.kept(version, count), from)) {
                None => return answer::refusal(400, "BadRequest", "continue key is not valid"),
                Some((None, _)) => return answer::json(StatusCode::GONE, &answer::gone()),
                Some((Some(snapshot), from)) => (snapshot, from),
            }
        }
    };
    drop(objects);
    let limit = query.number("limit").unwrap_or(0);
    answer::json(StatusCode::OK, &page(resource, &snapshot, from, limit))
}

fn page(resource: &str, snapshot: &Snapshot, from: usize, limit: u64) -> Value {
    let rest = snapshot.objects.get(from..).unwrap_or_default();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let taken = if limit == 0 {
        rest.len()
    } else {
        limit.min(rest.len())
    };
    let items = rest.iter().take(taken).map(|object| Value::clone(object));
    let mut metadata = json!({"resourceVersion": snapshot.version.to_string()});
    if taken < rest.len() {
        let (version, count, next) = (snapshot.version, snapshot.objects.len(), from + taken);
        metadata["continue"] = json!(format!("{version}-{count}-{next}"));
        metadata["remainingItemCount"] = json!(rest.len() - taken);
    }
    let kind = kinds::of_resource(resource);
    let version = kind.map(Kind::api_version);
    let kind = kind.map(|kind| format!("{}List", kind.kind));
    json!({
        "kind": kind, "apiVersion": version, "metadata": metadata,
        "items": items.collect::<Vec<Value>>(),
    })
}

fn further(text: &str) -> Option<(u64, usize, usize)> {
    let mut numbers = text.split('-');
    let version = numbers.next()?.parse().ok()?;
    let count = numbers.next()?.parse().ok()?;
    Some((version, count, numbers.next()?.parse().ok()?))
}

fn found(object: Option<Value>) -> Response<Body> {
    match object {
        Some(object) => answer::json(StatusCode::OK, &object),
        None => answer::refusal(
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
    }
}

pub(super) fn unreadable() -> Response<Body> {
    answer::refusal(400, "BadRequest", "the body of the request was not JSON")
}

pub(super) async fn body(request: Request<Incoming>) -> Option<Value> {
    let body = Limited::new(request.into_body(), MOST_BODY_BYTES);
    let body = body.collect().await.ok()?.to_bytes();
    serde_json::from_slice(&body).ok()
}

/// What stands after the `?`. Nothing here is percent-encoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    fn of(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&');
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    fn is(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}
