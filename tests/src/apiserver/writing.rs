//! Writes of single objects by their names, as an API server takes them: by the version that was read, or by a
//! JSON patch whose tests hold. Who wrote which field last is in the managed fields.

use cairn_proto::rfc3339;
use hyper::Response;
use serde_json::{Map, Value, json};

use super::answer::{self, Body};

/// Who writes, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct By<'a> {
    /// As the managed fields call them.
    pub(super) manager: &'a str,
    /// By the server's clock, Unix ms.
    pub(super) now_ms: u64,
}

/// A refused write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: u16,
    reason: &'static str,
    message: String,
}

impl Refused {
    pub(super) fn answer(&self) -> Response<Body> {
        answer::refusal(self.code, self.reason, &self.message)
    }

    pub(super) fn new(code: u16, reason: &'static str, message: &str) -> Self {
        Self {
            code,
            reason,
            message: message.to_owned(),
        }
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(422, "Invalid", message)
    }
}

/// What an object is after it was replaced by `new`.
pub(super) fn replaced(
    (resource, name): (&str, &str),
    held: &Value,
    mut new: Value,
    by: By<'_>,
) -> Result<Value, Refused> {
    let version = &new["metadata"]["resourceVersion"];
    if version.is_string() && *version != held["metadata"]["resourceVersion"] {
        let message = format!(
            "Operation cannot be fulfilled on {resource} \"{name}\": the object has been modified; please apply \
             your changes to the latest version and try again"
        );
        return Err(Refused::new(409, "Conflict", &message));
    }
    if new["metadata"]["name"].as_str() != Some(name) {
        let message = format!("the name of the object is not {name}");
        return Err(Refused::new(400, "BadRequest", &message));
    }
    validate(resource, &new)?;
    manage(held, &mut new, by);
    Ok(new)
}

/// What an object is after a JSON patch.
pub(super) fn patched(
    (resource, name): (&str, &str),
    held: &Value,
    patch: &Value,
    by: By<'_>,
) -> Result<Value, Refused> {
    let mut new = held.clone();
    let steps = patch.as_array().map(Vec::as_slice).unwrap_or_default();
    for step in steps {
        // Of a patch that cannot be applied no more is said.
        let refused = "the server rejected our request due to an error in our request";
        apply(&mut new, step).ok_or_else(|| Refused::invalid(refused))?;
    }
    replaced((resource, name), held, new, by)
}

/// One step of a patch; `None` when it cannot be applied, or a test does not hold.
fn apply(object: &mut Value, step: &Value) -> Option<()> {
    let path = step["path"].as_str()?;
    let (within, key) = path.rsplit_once('/')?;
    let found = object.pointer(path).cloned();
    let value = step["value"].clone();
    match step["op"].as_str()? {
        "test" => return (found? == value).then_some(()),
        "replace" | "remove" if found.is_none() => return None,
        _ => {}
    }
    let parent = object.pointer_mut(within)?.as_object_mut()?;
    match step["op"].as_str()? {
        "add" | "replace" => drop(parent.insert(key.to_owned(), value)),
        "remove" => drop(parent.remove(key)),
        _ => return None,
    }
    Some(())
}

/// What the server holds an object to.
pub(super) fn validate(resource: &str, object: &Value) -> Result<(), Refused> {
    let spec = &object["spec"];
    let has_bundle = spec["caBundle"]
        .as_str()
        .is_some_and(|text| !text.is_empty());
    if resource == "apiservices" && has_bundle && spec["insecureSkipTLSVerify"] == true {
        return Err(Refused::invalid(
            "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
        ));
    }
    Ok(())
}

/// Writes down who owns the fields that have changed.
pub(super) fn manage(before: &Value, after: &mut Value, By { manager, now_ms }: By<'_>) {
    let mut entries = match &before["metadata"]["managedFields"] {
        Value::Array(entries) => entries.clone(),
        _ => Vec::new(),
    };
    let mut owned = Map::new();
    for section in ["data", "spec"] {
        let fields = |object: &Value| object[section].as_object().cloned().unwrap_or_default();
        let (old, new) = (fields(before), fields(after));
        let outer = format!("f:{section}");
        for key in old.keys().chain(new.keys()) {
            if old.get(key) == new.get(key) {
                continue;
            }
            let inner = format!("f:{key}");
            for entry in &mut entries {
                if let Some(fields) = entry["fieldsV1"][&outer].as_object_mut() {
                    fields.remove(&inner);
                }
            }
            if new.contains_key(key) {
                let of_section = owned.entry(outer.clone()).or_insert_with(|| json!({}));
                of_section[&inner] = json!({});
            }
        }
    }
    let now = rfc3339::format(now_ms / 1000 * 1000);
    let known = entries.iter_mut().find(|entry| entry["manager"] == manager);
    if let Some(entry) = known {
        entry["time"] = json!(now);
        for (outer, fields) in owned {
            for (inner, field) in fields.as_object().into_iter().flatten() {
                entry["fieldsV1"][&outer][inner] = field.clone();
            }
        }
    } else {
        entries.push(json!({
            "manager": manager, "operation": "Update", "apiVersion": after["apiVersion"],
            "time": now, "fieldsType": "FieldsV1", "fieldsV1": owned,
        }));
    }
    after["metadata"]["managedFields"] = Value::Array(entries);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(manager: &str) -> By<'_> {
        let now_ms = 1_800_000_000_000;
        By { manager, now_ms }
    }

    fn config_map() -> Value {
        json!({"metadata": {"name": "cairn-ca", "resourceVersion": "7"}})
    }

    #[test]
    fn an_object_is_replaced_by_the_version_that_was_read() {
        let of = ("configmaps", "cairn-ca");
        let mut new = config_map();
        new["data"] = json!({"ca.crt": "pem"});
        let written = replaced(of, &config_map(), new.clone(), by("cairn")).unwrap();
        assert_eq!(written["data"], new["data"]);
        let entry = &written["metadata"]["managedFields"][0];
        assert_eq!(entry["manager"], "cairn");
        assert_eq!(entry["time"], "2027-01-15T08:00:00Z");
        assert_eq!(entry["fieldsV1"], json!({"f:data": {"f:ca.crt": {}}}));
        new["metadata"]["resourceVersion"] = json!("6");
        assert_eq!(
            replaced(of, &config_map(), new, by("cairn"))
                .unwrap_err()
                .code,
            409
        );
        // Another takes it away: nobody owns it then, and the other one was last.
        let gone = replaced(of, &written, config_map(), by("argo")).unwrap();
        let entries = gone["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0]["fieldsV1"], json!({"f:data": {}}));
    }

    #[test]
    fn a_patch_is_taken_when_its_tests_hold() {
        let of = ("apiservices", "v1beta1.metrics.k8s.io");
        let object = json!({"metadata": {"name": of.1},
            "spec": {"service": {"namespace": "cairn", "name": "cairn-aggregator"}}});
        let patch = |namespace: &str| {
            json!([{"op": "test", "path": "/spec/service/namespace", "value": namespace},
                   {"op": "add", "path": "/spec/caBundle", "value": "cGVt"}])
        };
        let patched_by = |object: &Value, patch: &Value| patched(of, object, patch, by("cairn"));
        let written = patched_by(&object, &patch("cairn")).unwrap();
        assert_eq!(written["spec"]["caBundle"], "cGVt");
        assert_eq!(
            patched_by(&object, &patch("kube-system")).unwrap_err().code,
            422
        );
        let mut insecure = object.clone();
        insecure["spec"]["insecureSkipTLSVerify"] = json!(true);
        let refused = patched_by(&insecure, &patch("cairn")).unwrap_err();
        assert!(refused.message.contains("may not be true"), "{refused:?}");
        let remove = json!([{"op": "remove", "path": "/spec/caBundle"}]);
        assert!(
            patched_by(&written, &remove).unwrap()["spec"]
                .get("caBundle")
                .is_none()
        );
        assert_eq!(patched_by(&object, &remove).unwrap_err().code, 422);
    }
}
