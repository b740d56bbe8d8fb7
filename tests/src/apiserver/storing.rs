//! Objects of any kind that is served: created, replaced, patched and deleted by their names, with versions,
//! generations and `Status` answers as an API server has them.
//!
//! Patches are JSON patches, merge patches and strategic ones; server-side apply is refused as an unknown media
//! type. Fields are not held to schemas: manifests are, in the tests of `deploy/`.

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::control::Control;
use super::kinds::{Kind, Place};
use super::merging;
use super::objects::Objects;
use super::routes::{self, Query};
use super::writing::{self, By, Refused};
use crate::rfc3339;

/// The patches that are taken, by their media types.
const PATCHES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// Answers a request that writes.
pub(super) async fn answer(
    control: &Control,
    place: &Place,
    query: &Query,
    request: Request<Incoming>,
) -> Response<Body> {
    let method = request.method().clone();
    if method == Method::DELETE {
        return delete(control, place);
    }
    let media_type = request.headers().get(CONTENT_TYPE);
    let media_type = media_type.and_then(|of| of.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_owned();
    if method == Method::PATCH && !PATCHES.contains(&media_type.as_str()) {
        let text = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            PATCHES.join(", ")
        );
        return answer::refusal(415, "UnsupportedMediaType", &text);
    }
    let Some(sent) = routes::body(request).await else {
        return routes::unreadable();
    };
    let manager = query.get("fieldManager").unwrap_or("unknown").to_owned();
    let by = By {
        manager: &manager,
        now_ms: control.now_ms(),
    };
    let written = match method {
        Method::POST => control
            .create(place.kind.resource, |held| created(held, place, sent, by))
            .map(|object| (StatusCode::CREATED, object)),
        _ => {
            changed(control, place, (&media_type, sent), by).map(|object| (StatusCode::OK, object))
        }
    };
    match written {
        Ok((status, object)) => answer::json(status, &object),
        Err(refused) => refused.answer(),
    }
}

/// A new object.
fn created(held: &Objects, place: &Place, mut object: Value, by: By<'_>) -> Result<Value, Refused> {
    let kind = place.kind;
    let has = |resource: &'static str, within: &str, name: &str| {
        held.get(resource, within, name).is_some()
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let name = name.to_owned();
    if name.is_empty() || !place.name.is_empty() {
        return Err(Refused::invalid("metadata.name: Required value"));
    }
    if kind.is_namespaced {
        let within = &place.namespace;
        if !has("namespaces", "", within) {
            let text = format!("namespaces \"{within}\" not found");
            return Err(Refused::new(404, "NotFound", &text));
        }
        let told = object["metadata"]["namespace"].as_str();
        if told.is_some_and(|told| told != within) {
            let text = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Refused::new(400, "BadRequest", text));
        }
        object["metadata"]["namespace"] = json!(within);
    }
    if has(kind.resource, &place.namespace, &name) {
        let text = format!("{} \"{name}\" already exists", named(kind));
        return Err(Refused::new(409, "AlreadyExists", &text));
    }
    writing::validate(kind.resource, &object)?;
    if kind.has_status() {
        remove(&mut object, "status");
    }
    if kind.resource == "namespaces" {
        object["status"] = json!({"phase": "Active"});
    }
    let meta = &mut object["metadata"];
    meta["uid"] = json!(format!(
        "00000000-0000-4000-8000-{:012x}",
        held.version() + 1
    ));
    meta["creationTimestamp"] = json!(rfc3339::format(by.now_ms / 1000 * 1000));
    if kind.is_controlled() {
        meta["generation"] = json!(1);
    }
    writing::manage(&Value::Null, &mut object, by);
    Ok(object)
}

/// An object after a `PUT` or a `PATCH`.
fn changed(
    control: &Control,
    place: &Place,
    (media_type, sent): (&str, Value),
    by: By<'_>,
) -> Result<Value, Refused> {
    let (kind, name) = (place.kind, place.name.as_str());
    let of = (kind.resource, name);
    let written = control.write(kind.resource, (&place.namespace, name), |held| {
        let new = match media_type {
            "application/json-patch+json" => writing::patched(of, held, &sent, by)?,
            "application/merge-patch+json" => {
                let mut new = held.clone();
                merging::merge(&mut new, &sent);
                writing::replaced(of, held, new, by)?
            }
            "application/strategic-merge-patch+json" => {
                let mut new = held.clone();
                if let (Value::Object(new), Value::Object(sent)) = (&mut new, &sent) {
                    merging::strategic(new, sent);
                }
                writing::replaced(of, held, new, by)?
            }
            _ => writing::replaced(of, held, sent, by)?,
        };
        Ok(kept(kind, held, new))
    });
    written.unwrap_or_else(|| Err(missing(place)))
}

/// What a writer cannot change is as it was.
fn kept(kind: &Kind, held: &Value, mut new: Value) -> Value {
    for field in ["uid", "creationTimestamp", "generation"] {
        match held["metadata"].get(field) {
            Some(value) => new["metadata"][field] = value.clone(),
            None => remove(&mut new["metadata"], field),
        }
    }
    if kind.has_status() {
        match held.get("status") {
            Some(status) => new["status"] = status.clone(),
            None => remove(&mut new, "status"),
        }
    }
    if kind.is_controlled() && held["spec"] != new["spec"] {
        let before = held["metadata"]["generation"].as_u64().unwrap_or(0);
        new["metadata"]["generation"] = json!(before + 1);
    }
    new
}

fn remove(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove(field);
    }
}

/// Deletes an object, and with a namespace everything that is in it.
fn delete(control: &Control, place: &Place) -> Response<Body> {
    let resource = place.kind.resource;
    let held = control.get(resource, &place.namespace, &place.name);
    if !control.delete(resource, &place.namespace, &place.name) {
        return missing(place).answer();
    }
    if resource == "namespaces" {
        control.empty(&place.name);
    }
    let uid = held.map(|object| object["metadata"]["uid"].clone());
    let details =
        json!({"name": place.name, "group": place.kind.group, "kind": resource, "uid": uid});
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                        "details": details});
    answer::json(StatusCode::OK, &status)
}

/// There is no object of this name.
pub(super) fn missing(place: &Place) -> Refused {
    let text = format!("{} \"{}\" not found", named(place.kind), place.name);
    Refused::new(404, "NotFound", &text)
}

/// A resource as refusals name it.
fn named(kind: &Kind) -> String {
    match kind.group {
        "" => kind.resource.to_owned(),
        group => format!("{}.{group}", kind.resource),
    }
}
