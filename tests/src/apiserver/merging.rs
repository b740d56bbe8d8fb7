//! Merge patches, and strategic merge patches as kubectl makes them: lists of objects that have a key are merged by
//! it, and `$patch`, `$setElementOrder`, `$deleteFromPrimitiveList` and `$retainKeys` mean what they mean to an API
//! server.

use serde_json::{Map, Value};

/// What of an object's list is merged by which key, as the types of Kubernetes say; all others are replaced.
const KEYS: [(&str, &str); 9] = [
    ("containers", "name"),
    ("env", "name"),
    ("imagePullSecrets", "name"),
    ("initContainers", "name"),
    ("ports", "containerPort"),
    ("servicePorts", "port"),
    ("topologySpreadConstraints", "topologyKey"),
    ("volumeMounts", "mountPath"),
    ("volumes", "name"),
];

const ORDER: &str = "$setElementOrder/";
const PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const RETAIN: &str = "$retainKeys";
const DIRECTIVE: &str = "$patch";

/// What a value is after a JSON merge patch (RFC 7396).
pub(super) fn merge(held: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *held = patch.clone();
        return;
    };
    if !held.is_object() {
        *held = Value::Object(Map::new());
    }
    let Some(held) = held.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            held.shift_remove(key);
        } else {
            merge(held.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// What an object is after a strategic merge patch.
pub(super) fn strategic(held: &mut Map<String, Value>, patch: &Map<String, Value>) {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            *held = patch.clone();
            held.shift_remove(DIRECTIVE);
            return;
        }
        Some("delete") => {
            held.clear();
            return;
        }
        _ => {}
    }
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        match (held.get_mut(key), value) {
            (_, Value::Null) => drop(held.shift_remove(key)),
            (Some(Value::Object(within)), Value::Object(value)) => strategic(within, value),
            (Some(Value::Array(within)), Value::Array(value)) => match key_of(key, value) {
                Some(by) => elements(within, value, by),
                None if is_primitive(key) => {
                    within.retain(|one| !value.contains(one));
                    within.extend(value.iter().cloned());
                }
                None => *within = value.clone(),
            },
            (_, Value::Object(value)) => {
                let mut fresh = Map::new();
                strategic(&mut fresh, value);
                held.insert(key.clone(), Value::Object(fresh));
            }
            (_, Value::Array(value)) => {
                let mut fresh = Vec::new();
                match key_of(key, value) {
                    Some(by) => elements(&mut fresh, value, by),
                    None => fresh.clone_from(value),
                }
                held.insert(key.clone(), Value::Array(fresh));
            }
            (_, value) => drop(held.insert(key.clone(), value.clone())),
        }
    }
    directives(held, patch);
}

/// What a patch says of lists and keys beside their values.
fn directives(held: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        let told = value.as_array().map(Vec::as_slice).unwrap_or_default();
        if key == RETAIN {
            held.retain(|key, _| told.iter().any(|kept| *kept == **key));
            continue;
        }
        if let Some(list) = key.strip_prefix(PRIMITIVES)
            && let Some(Value::Array(list)) = held.get_mut(list)
        {
            list.retain(|one| !told.contains(one));
        }
        if let Some(name) = key.strip_prefix(ORDER)
            && let Some(Value::Array(list)) = held.get_mut(name)
        {
            let by = key_of(name, told);
            let place = |one: &Value| {
                let is_it = |told: &&Value| by.map_or(**told == *one, |by| told[by] == one[by]);
                told.iter()
                    .position(|told| is_it(&told))
                    .unwrap_or(usize::MAX)
            };
            list.sort_by_key(place);
        }
    }
}

/// Merges the elements of a list by their key.
fn elements(held: &mut Vec<Value>, patch: &[Value], by: &str) {
    for one in patch {
        let Value::Object(fields) = one else {
            continue;
        };
        let at = held.iter().position(|kept| kept[by] == one[by]);
        let is_gone = fields.get(DIRECTIVE).is_some_and(|told| told == "delete");
        match at.map(|at| (at, held.get_mut(at))) {
            Some((at, _)) if is_gone => drop(held.remove(at)),
            Some((_, Some(Value::Object(kept)))) => strategic(kept, fields),
            _ if is_gone => {}
            _ => {
                let mut fresh = Map::new();
                strategic(&mut fresh, fields);
                held.push(Value::Object(fresh));
            }
        }
    }
}

/// By which key a list of this name is merged. Ports of a Service have another one than those of a container.
fn key_of(list: &str, elements: &[Value]) -> Option<&'static str> {
    let is_of_service = list == "ports"
        && elements
            .iter()
            .any(|one| one.get("port").is_some() && one.get("containerPort").is_none());
    let list = if is_of_service { "servicePorts" } else { list };
    let (_, by) = KEYS.iter().find(|(name, _)| *name == list)?;
    Some(by)
}

fn is_primitive(list: &str) -> bool {
    list == "finalizers"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_sets_and_takes_away() {
        let mut held = json!({"a": 1, "b": {"c": [1, 2], "d": 3}});
        merge(
            &mut held,
            &json!({"a": null, "b": {"c": [3], "e": {"f": 4}}}),
        );
        assert_eq!(held, json!({"b": {"c": [3], "d": 3, "e": {"f": 4}}}));
    }

    fn patched(held: &Value, patch: &Value) -> Value {
        let mut held = held.as_object().unwrap().clone();
        strategic(&mut held, patch.as_object().unwrap());
        Value::Object(held)
    }

    #[test]
    fn a_strategic_patch_merges_lists_by_their_keys() {
        let held = json!({"containers": [{"name": "a", "args": ["x", "y"], "env": [{"name": "E", "value": "1"}]}]});
        // As kubectl writes it for a variable more, and other arguments.
        let patch = json!({
            "$setElementOrder/containers": [{"name": "a"}],
            "containers": [{"name": "a", "args": ["z"], "$setElementOrder/env": [{"name": "F"}, {"name": "E"}],
                            "env": [{"name": "F", "value": "2"}]}],
        });
        let more = patched(&held, &patch);
        let env = json!([{"name": "F", "value": "2"}, {"name": "E", "value": "1"}]);
        assert_eq!(
            more,
            json!({"containers": [{"name": "a", "args": ["z"], "env": env}]})
        );
        let patch =
            json!({"containers": [{"name": "a", "env": [{"$patch": "delete", "name": "F"}]}]});
        let less = patched(&more, &patch);
        assert_eq!(
            less["containers"][0]["env"],
            json!([{"name": "E", "value": "1"}])
        );
        // Where there is no list yet what is to be deleted is not there either.
        let patch = json!({"volumes": [{"name": "v"}, {"name": "w", "$patch": "delete"}]});
        assert_eq!(patched(&less, &patch)["volumes"], json!([{"name": "v"}]));
    }

    #[test]
    fn a_strategic_patch_replaces_what_it_is_told_to() {
        let held = json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
                          "finalizers": ["a", "b"], "tolerations": [{"operator": "Exists"}], "labels": {"a": "b"}});
        let patch = json!({
            "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
            "finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"],
            "tolerations": [{"key": "k"}],
            "labels": {"$patch": "replace", "c": "d"},
        });
        assert_eq!(
            patched(&held, &patch),
            json!({"strategy": {"type": "Recreate"}, "finalizers": ["b", "c"], "tolerations": [{"key": "k"}],
                   "labels": {"c": "d"}})
        );
    }

    #[test]
    fn ports_of_services_and_of_containers_have_keys_of_their_own() {
        let held = json!({"ports": [{"port": 80, "name": "a"}, {"port": 443}]});
        let patch = json!({"ports": [{"port": 80, "name": "b"}]});
        assert_eq!(
            patched(&held, &patch)["ports"],
            json!([{"port": 80, "name": "b"}, {"port": 443}])
        );
        let held = json!({"ports": [{"containerPort": 80, "name": "a"}]});
        let patch = json!({"ports": [{"containerPort": 81}]});
        assert_eq!(
            patched(&held, &patch)["ports"].as_array().map(Vec::len),
            Some(2)
        );
    }
}
