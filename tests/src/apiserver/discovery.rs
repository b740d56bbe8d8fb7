//! What is served: aggregated discovery, the version, and of `OpenAPI` which kinds have their fields validated by the
//! server, which is what clients look for before they write.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::aggregating;
use super::answer::{self, Body};
use super::control::Control;
use super::kinds::{KINDS, Kind};

/// The form of aggregated discovery.
const FORM: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// What every kind can be asked for.
const VERBS: [&str; 7] = [
    "create", "delete", "get", "list", "patch", "update", "watch",
];

/// Answers what is asked about the server itself; `None` when this path is something else.
pub(super) fn answer(control: &Control, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    Some(match path {
        "/version" => answer::json(
            StatusCode::OK,
            &json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2"}),
        ),
        "/api" | "/apis" => {
            let accept = headers.get(ACCEPT).and_then(|text| text.to_str().ok());
            if !accept.is_some_and(|text| text.contains("as=APIGroupDiscoveryList")) {
                let text = "only aggregated discovery is served";
                return Some(answer::refusal(406, "NotAcceptable", text));
            }
            let groups = if path == "/api" {
                vec![group("")]
            } else {
                groups(control)
            };
            let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
                              "metadata": {}, "items": groups});
            let mut answer = answer::json(StatusCode::OK, &list);
            let form = HeaderValue::from_static(FORM);
            answer.headers_mut().insert(CONTENT_TYPE, form);
            answer
        }
        "/openapi/v3" => answer::json(StatusCode::OK, &documents()),
        path => {
            let root = path.strip_prefix("/openapi/v3/")?;
            let served: Vec<&Kind> = KINDS.iter().filter(|kind| kind.root() == root).collect();
            if served.is_empty() {
                return None;
            }
            answer::json(StatusCode::OK, &document(&served))
        }
    })
}

/// The groups with their kinds, and those that others serve.
fn groups(control: &Control) -> Vec<Value> {
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.group).collect();
    names.retain(|name| !name.is_empty());
    names.dedup();
    let own = names.into_iter().map(group);
    own.chain(aggregating::groups(control)).collect()
}

fn group(name: &str) -> Value {
    let kinds = KINDS.iter().filter(|kind| kind.group == name);
    let resources: Vec<Value> = kinds.map(resource).collect();
    json!({"metadata": {"name": name},
           "versions": [{"version": "v1", "freshness": "Current", "resources": resources}]})
}

fn resource(kind: &Kind) -> Value {
    json!({
        "resource": kind.resource, "singularResource": kind.kind.to_lowercase(), "verbs": VERBS,
        "scope": if kind.is_namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    })
}

/// Where there are documents of `OpenAPI`.
fn documents() -> Value {
    let mut paths = Map::new();
    for kind in &KINDS {
        let root = kind.root();
        let url = format!("/openapi/v3/{root}?hash=1");
        paths.insert(root, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// The one of a group: that its kinds are patched, with fields that the server validates when it is asked to.
fn document(kinds: &[&Kind]) -> Value {
    let mut paths = Map::new();
    for kind in kinds {
        let within = if kind.is_namespaced {
            "/namespaces/{namespace}"
        } else {
            ""
        };
        let path = format!("/{}{within}/{}/{{name}}", kind.root(), kind.resource);
        let patch = json!({
            "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
            "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
            "responses": {"200": {"description": "OK"}},
        });
        paths.insert(path, json!({"patch": patch}));
    }
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": paths})
}
