//! What is served, said in each way in which clients ask. Nothing is waited for and nothing has to be there:
//! the API server takes a group that does not answer for one that is broken, and stops deleting namespaces.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ring::digest::{SHA512, digest};
use serde_json::{Value, json};

use super::accept::{self, Kind, Media, Shape};
use super::sent;
use super::status::Status;
use super::target::{GROUP, VERSION};

/// The group `metrics.k8s.io/v1beta1`.
pub(in super::super) const GROUP_VERSION: &str = "metrics.k8s.io/v1beta1";

/// Answers which paths there are: with 200 who asks for that, with 404 who asks for one that is not among them.
pub(super) fn paths(status: StatusCode) -> Response {
    let paths = [
        "/apis",
        "/apis/metrics.k8s.io",
        "/apis/metrics.k8s.io/v1beta1",
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/apis/metrics.k8s.io/v1beta1",
        "/readyz",
        "/version",
    ];
    let body = sent::json(&json!({ "paths": paths }), true);
    let mut response = sent::small(status, Media::Json.as_str(), body);
    // Another `Accept` gets the page.
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

/// Answers for the list of groups: the list, or all that is in them for who asks for that.
pub(super) fn groups(headers: &HeaderMap, query: Option<&str>) -> Response {
    let Some(form) = accept::choose(headers, Kind::Groups) else {
        return Status::not_acceptable().response(headers, query);
    };
    let Shape::Discovery(version) = form.shape else {
        let list = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]});
        let mut response = document(headers, query, &list);
        // Another `Accept` gets another document.
        let vary = HeaderValue::from_static("Accept");
        response.headers_mut().insert(header::VARY, vary);
        return response;
    };
    aggregated(headers, query, version)
}

/// Answers for the group.
pub(super) fn one_group(headers: &HeaderMap, query: Option<&str>) -> Response {
    let mut named = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Some(named), Value::Object(group)) = (named.as_object_mut(), group()) {
        named.extend(group);
    }
    document(headers, query, &named)
}

/// Answers for what there is in the version.
pub(super) fn resources(headers: &HeaderMap, query: Option<&str>) -> Response {
    let resource = |name, namespaced, kind| {
        json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind,
               "verbs": ["get", "list"]})
    };
    let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION,
        "resources": [resource("nodes", false, "NodeMetrics"), resource("pods", true, "PodMetrics")]});
    document(headers, query, &list)
}

/// Answers which program this is.
pub(super) fn version(headers: &HeaderMap, query: Option<&str>) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let mut parts = version.split('.');
    let mut part = || parts.next().unwrap_or_default();
    let info = json!({"major": part(), "minor": part(), "gitVersion": format!("v{version}"),
        "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "",
        "compiler": "rustc", "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)});
    document(headers, query, &info)
}

fn group() -> Value {
    let version = json!({"groupVersion": GROUP_VERSION, "version": VERSION});
    json!({"name": GROUP, "versions": [version.clone()], "preferredVersion": version})
}

pub(super) fn document(headers: &HeaderMap, query: Option<&str>, document: &Value) -> Response {
    let body = sent::json(document, sent::is_pretty(headers, query));
    sent::small(StatusCode::OK, "application/json", body)
}

fn aggregated(headers: &HeaderMap, query: Option<&str>, version: &'static str) -> Response {
    // A client that finds no `responseKind` crashes, so it is there though it says no group.
    let resource = |name, kind, scope| {
        json!({"resource": name, "responseKind": {"group": "", "version": "", "kind": kind},
               "scope": scope, "singularResource": "", "verbs": ["get", "list"]})
    };
    let resources = [
        resource("nodes", "NodeMetrics", "Cluster"),
        resource("pods", "PodMetrics", "Namespaced"),
    ];
    let list = json!({"kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
        "items": [{"metadata": {"name": GROUP}, "versions": [
            {"version": VERSION, "resources": resources, "freshness": "Current"}]}]});
    let content_type = match version {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    tagged(headers, query, content_type, &list)
}

/// A document that a client may keep, and is not sent again while it is the same.
pub(super) fn tagged(
    headers: &HeaderMap,
    query: Option<&str>,
    content_type: &'static str,
    document: &Value,
) -> Response {
    let body = sent::json(document, false);
    let etag = format!("\"{}\"", hash(&body));
    let told = headers.get_all(header::IF_NONE_MATCH).iter();
    let known = told.filter_map(|told| told.to_str().ok());
    let is_known = known
        .flat_map(|told| told.split(','))
        .any(|one| one.trim() == etag);
    let mut response = if is_known {
        sent::small(StatusCode::NOT_MODIFIED, content_type, Vec::new())
    } else if sent::is_pretty(headers, query) {
        sent::small(StatusCode::OK, content_type, sent::json(document, true))
    } else {
        sent::small(StatusCode::OK, content_type, body)
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// What a document is known by: hexadecimal digits.
pub(super) fn hash(body: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA512, body).as_ref() {
        text.push_str(&format!("{byte:02X}"));
    }
    text
}
