//! What somebody may do, as the API server says: one question, and its answer without JSON.

use serde::Deserialize;
use serde_json::{Value, json};

use super::authority::Unanswered;

/// Somebody whose rights are asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// The name, such as `system:kube-aggregator`.
    pub name: String,
    /// What tells two users of one name apart; empty when it is not said.
    pub uid: String,
    /// Groups, in the order in which they were said.
    pub groups: Vec<String>,
    /// What else is said, by lower-case key.
    pub extra: Vec<(String, Vec<String>)>,
}

/// What is to be done, as an access review names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attributes {
    /// Something with a path alone.
    Path {
        /// `get`, `post` and so on.
        verb: &'static str,
        /// The path, as it was asked for.
        path: String,
    },
    /// Objects of the Kubernetes API.
    Resource(Resource),
}

/// Objects of the Kubernetes API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resource {
    /// `get`, `list`, `watch`, or what changes them.
    pub verb: &'static str,
    /// Their group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// Such as `pods`.
    pub resource: String,
    /// What of each object; empty for the object itself.
    pub subresource: String,
    /// Where they are; empty for all namespaces, and for what is in none.
    pub namespace: String,
    /// The name of the one that is meant; empty for all.
    pub name: String,
}

/// A question about somebody's rights.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// Who.
    pub user: User,
    /// What is to be done.
    pub what: Attributes,
}

/// An answer about rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Whether it may be done.
    pub allowed: bool,
    /// What the one who decided said; usually nothing.
    pub reason: String,
}

/// The body of the question.
#[must_use]
pub fn question(access: &Access) -> Vec<u8> {
    let Access { user, what } = access;
    let extra = user.extra.iter();
    let extra: serde_json::Map<String, Value> = extra
        .map(|(key, values)| (key.clone(), json!(values)))
        .collect();
    let mut spec = json!({
        "user": user.name, "uid": user.uid, "groups": user.groups, "extra": extra,
    });
    let (section, what) = match what {
        Attributes::Path { verb, path } => {
            ("nonResourceAttributes", json!({"path": path, "verb": verb}))
        }
        Attributes::Resource(of) => (
            "resourceAttributes",
            json!({
                "verb": of.verb, "group": of.group, "version": of.version,
                "resource": of.resource, "subresource": of.subresource,
                "namespace": of.namespace, "name": of.name,
            }),
        ),
    };
    if let Some(spec) = spec.as_object_mut() {
        spec.insert(section.to_owned(), what);
    }
    let question = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec,
    });
    question.to_string().into_bytes()
}

/// Reads the answer. What may be done and must not, must not.
///
/// # Errors
///
/// When it is no `SubjectAccessReview`.
pub fn answer(body: &[u8]) -> Result<Allowed, Unanswered> {
    let Answer { status } = serde_json::from_slice(body).map_err(|error| Unanswered {
        why: format!("no SubjectAccessReview came back: {error}"),
    })?;
    let Status {
        allowed,
        denied,
        reason,
    } = status;
    Ok(Allowed {
        allowed: allowed && !denied,
        reason,
    })
}

#[derive(Deserialize)]
struct Answer {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    allowed: bool,
    denied: bool,
    reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_about_rights_names_who_and_what() {
        let access = Access {
            user: User {
                name: "jane".to_owned(),
                groups: vec!["dev".to_owned()],
                extra: vec![("scopes".to_owned(), vec!["a".to_owned(), "b".to_owned()])],
                ..User::default()
            },
            what: Attributes::Resource(Resource {
                verb: "list",
                group: "metrics.k8s.io".to_owned(),
                version: "v1beta1".to_owned(),
                resource: "pods".to_owned(),
                namespace: "shop".to_owned(),
                ..Resource::default()
            }),
        };
        let body: Value = serde_json::from_slice(&question(&access)).unwrap();
        assert_eq!(body["kind"], "SubjectAccessReview");
        assert_eq!(body["spec"]["user"], "jane");
        assert_eq!(body["spec"]["extra"]["scopes"][1], "b");
        assert_eq!(body["spec"]["resourceAttributes"]["namespace"], "shop");
        assert!(body["spec"]["nonResourceAttributes"].is_null());
        let what = Attributes::Path {
            verb: "get",
            path: "/metrics".to_owned(),
        };
        let access = Access { what, ..access };
        let body: Value = serde_json::from_slice(&question(&access)).unwrap();
        assert_eq!(body["spec"]["nonResourceAttributes"]["path"], "/metrics");
    }

    #[test]
    fn what_is_denied_is_not_allowed() {
        let read = |body: &str| answer(body.as_bytes()).map(|answer| answer.allowed);
        assert_eq!(read(r#"{"status":{"allowed":true}}"#), Ok(true));
        assert_eq!(read(r#"{"status":{"allowed":false}}"#), Ok(false));
        assert_eq!(
            read(r#"{"status":{"allowed":true,"denied":true}}"#),
            Ok(false)
        );
        assert_eq!(read(r#"{"status":{}}"#), Ok(false));
        assert!(read("{}").is_err() && read("").is_err());
    }
}
