//! The CAs as the `ConfigMap` and the `APIService` have them, and who has written them. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_runtime::logging;
use serde_json::{Value, json};

/// What we are called in the managed fields of what we write.
pub(super) const MANAGER: &str = "cairn-aggregator";

/// The key of the `ConfigMap`, and so the file that agents read.
const KEY: &str = "ca.crt";

/// The longest name of a writer that is told, characters.
const MAX_NAME_CHARS: usize = 128;

/// The `ConfigMap` with this bundle; `None` when it has it already. What else it has stays.
pub(super) fn config_map(object: &Value, bundle: &str) -> Option<Value> {
    if object["data"][KEY].as_str() == Some(bundle) {
        return None;
    }
    let mut object = object.clone();
    if !object["data"].is_object() {
        object["data"] = json!({});
    }
    object["data"][KEY] = json!(bundle);
    Some(object)
}

/// What is to be done to an `APIService`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ApiService {
    /// It has the bundle.
    Same,
    /// This JSON patch gives it the bundle, if it is still Cairn's by then.
    Patch(Vec<u8>),
    /// It leads elsewhere, to this `namespace/service`.
    Theirs(String),
}

/// Looks at an `APIService` that is Cairn's when it leads to one of these Services of this namespace.
pub(super) fn api_service(
    object: &Value,
    namespace: &str,
    services: &[String],
    bundle: &str,
) -> ApiService {
    let service = &object["spec"]["service"];
    let found = (service["namespace"].as_str(), service["name"].as_str());
    let name = match found {
        (Some(within), Some(name))
            if within == namespace && services.iter().any(|service| service == name) =>
        {
            name
        }
        (Some(within), Some(name)) => {
            return ApiService::Theirs(plain(&format!("{within}/{name}")));
        }
        // It is served by the API server itself.
        _ => return ApiService::Theirs("no Service".to_owned()),
    };
    let wanted = STANDARD.encode(bundle);
    if object["spec"]["caBundle"].as_str() == Some(&wanted) {
        return ApiService::Same;
    }
    let patch = json!([
        {"op": "test", "path": "/spec/service/namespace", "value": namespace},
        {"op": "test", "path": "/spec/service/name", "value": name},
        {"op": "add", "path": "/spec/caBundle", "value": wanted},
    ]);
    ApiService::Patch(patch.to_string().into_bytes())
}

/// Who has written a field last, as far as the object says, other than ourselves: the owner of the field, or
/// whoever wrote anything last, since a field that was taken away has no owner.
pub(super) fn writer(object: &Value, field: [&str; 2]) -> Option<String> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let others = entries.iter().filter(|entry| {
        entry["manager"]
            .as_str()
            .is_some_and(|name| name != MANAGER)
            && entry["subresource"].is_null()
    });
    let others: Vec<&Value> = others.collect();
    let [outer, inner] = field;
    let owns = |entry: &&&Value| !entry["fieldsV1"][outer][inner].is_null();
    let time = |entry: &&&Value| entry["time"].as_str().unwrap_or_default().to_owned();
    let owner = others.iter().filter(owns).max_by_key(time);
    let last = owner.or_else(|| others.iter().max_by_key(time))?;
    Some(plain(last["manager"].as_str()?))
}

/// A name that somebody else chose, for a log.
fn plain(name: &str) -> String {
    let cut: String = name.chars().take(MAX_NAME_CHARS).collect();
    logging::escape(&cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map_gets_the_bundle_and_keeps_the_rest() {
        let shipped = json!({"metadata": {"name": "cairn-ca"}});
        let filled = config_map(&shipped, "pem").unwrap();
        assert_eq!(filled["data"], json!({"ca.crt": "pem"}));
        assert_eq!(config_map(&filled, "pem"), None);
        let other = json!({"data": {"ca.crt": "old", "more": "x"}});
        let filled = config_map(&other, "pem").unwrap();
        assert_eq!(filled["data"], json!({"ca.crt": "pem", "more": "x"}));
    }

    #[test]
    fn an_api_service_of_others_is_named_and_left_alone() {
        let recorded: Value = serde_json::from_slice(include_bytes!(
            "../../../tests/fixtures/apiserver-1.36/apiservice.json"
        ))
        .unwrap();
        let services = ["cairn-aggregator".to_owned()];
        let look = |object: &Value| api_service(object, "cairn", &services, "pem");
        let theirs = ApiService::Theirs("kube-system/metrics-server".to_owned());
        assert_eq!(look(&recorded), theirs);
        let none = json!({"spec": {"service": null}});
        assert_eq!(look(&none), ApiService::Theirs("no Service".to_owned()));
        let mut ours =
            json!({"spec": {"service": {"namespace": "cairn", "name": "cairn-aggregator"}}});
        let ApiService::Patch(patch) = look(&ours) else {
            panic!("not patched")
        };
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        let ops: Vec<_> = patch
            .as_array()
            .unwrap()
            .iter()
            .map(|op| &op["op"])
            .collect();
        assert_eq!(ops, ["test", "test", "add"]);
        ours["spec"]["caBundle"] = patch[2]["value"].clone();
        assert_eq!(look(&ours), ApiService::Same);
    }

    #[test]
    fn who_took_a_field_away_is_named() {
        let entry = |manager: &str, time: &str, fields: Value| json!({"manager": manager, "time": time, "fieldsV1": fields});
        let bundle = || json!({"f:spec": {"f:caBundle": {}}});
        let field = ["f:spec", "f:caBundle"];
        let object = |entries: Vec<Value>| json!({"metadata": {"managedFields": entries}});
        let owned = object(vec![
            entry(MANAGER, "2026-11-27T12:00:09Z", bundle()),
            entry("argocd-controller", "2026-11-27T12:00:05Z", bundle()),
            entry("kubectl", "2026-11-27T12:00:08Z", json!({"f:spec": {}})),
        ]);
        assert_eq!(writer(&owned, field).unwrap(), "argocd-controller");
        let gone = object(vec![
            entry(
                "kubectl-client-side-apply",
                "2026-11-22T07:30:13Z",
                json!({}),
            ),
            entry("helm\n", "2026-11-27T12:00:08Z", json!({})),
        ]);
        assert_eq!(writer(&gone, field).unwrap(), "helm\\u{a}");
        assert_eq!(writer(&json!({}), field), None);
    }
}
