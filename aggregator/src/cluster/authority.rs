//! Who a bearer token belongs to, as the API server says: one question, and its answer without JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;

use cairn_runtime::logging;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::token::Keys;
use super::{Client, Error};

/// Keys of [`Review::extra`], as API servers send them.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// What comes of a question, later.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unanswered>> + Send + 'a>>;

/// The API server gave no answer that says anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Kubernetes API gave no answer: {why}")]
pub struct Unanswered {
    /// What came instead.
    pub why: String,
}

/// What the API server is asked about tokens.
pub trait Authority: fmt::Debug + Send + Sync {
    /// Whose token this is, if it is meant for one of these audiences.
    fn review<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> Asked<'a, Review>;

    /// Whether somebody may do something.
    fn access<'a>(&'a self, question: &'a Access) -> Asked<'a, Allowed>;

    /// By which keys its tokens are known.
    fn keys(&self) -> Asked<'_, Keys>;

    /// The `ConfigMap` in which it says how its proxy and its clients are known, as JSON.
    fn published(&self) -> Asked<'_, Vec<u8>>;
}

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
const ISSUER: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/openid/v1/jwks";
const PUBLISHED: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

impl Authority for Client {
    fn review<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> Asked<'a, Review> {
        Box::pin(async move {
            let body = self.post(TOKEN_REVIEWS, question(token, audiences)).await?;
            answer(&body)
        })
    }

    fn access<'a>(&'a self, question: &'a Access) -> Asked<'a, Allowed> {
        Box::pin(async move {
            let body = self.post(ACCESS_REVIEWS, access_question(question)).await?;
            access_answer(&body)
        })
    }

    fn keys(&self) -> Asked<'_, Keys> {
        Box::pin(async {
            let (issuer, keys) = (self.get(ISSUER).await?, self.get(KEYS).await?);
            Keys::parse(&issuer, &keys).map_err(|error| Unanswered {
                why: format!("its keys are not understood: {error}"),
            })
        })
    }

    fn published(&self) -> Asked<'_, Vec<u8>> {
        Box::pin(async { Ok(self.get(PUBLISHED).await?.to_vec()) })
    }
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        let why = logging::chain(&error);
        Self { why }
    }
}

/// An answer about a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// Whether it is good, for one of the audiences asked for.
    pub authenticated: bool,
    /// Why it is not.
    pub error: String,
    /// Whose it is.
    pub username: String,
    /// What tells two users of one name apart.
    pub uid: String,
    /// Groups of its user.
    pub groups: Vec<String>,
    /// What else is said of the user.
    pub extra: Vec<(String, Vec<String>)>,
    /// For which of the audiences it is meant.
    pub audiences: Vec<String>,
    /// Name of the pod that it is bound to.
    pub pod_name: String,
    /// UID of that pod.
    pub pod_uid: String,
    /// Node of that pod; empty before Kubernetes 1.30.
    pub node_name: String,
}

/// A question about somebody's rights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// Who.
    pub user: String,
    /// What tells two users of one name apart.
    pub uid: String,
    /// Groups that the user is in.
    pub groups: Vec<String>,
    /// What else is said of the user.
    pub extra: Vec<(String, Vec<String>)>,
    /// What is to be done: `get`, `list` and so on.
    pub verb: String,
    /// With what.
    pub what: What,
}

/// With what something is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Something with a path alone.
    Path(String),
    /// Objects of the Kubernetes API.
    Resource {
        /// Their group.
        group: String,
        /// Its version.
        version: String,
        /// Such as `pods`.
        resource: String,
        /// What of each object; empty for the object itself.
        subresource: String,
        /// Where they are; empty for everywhere.
        namespace: String,
        /// The one that is meant; empty for all.
        name: String,
    },
}

impl Default for What {
    fn default() -> Self {
        What::Path("/".to_owned())
    }
}

/// An answer about rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Whether it may be done.
    pub allowed: bool,
    /// What the one who decided said; usually nothing.
    pub reason: String,
}

/// The body of a question about rights.
#[must_use]
pub fn access_question(access: &Access) -> Vec<u8> {
    let extra: serde_json::Map<String, Value> = access
        .extra
        .iter()
        .map(|(key, values)| (key.clone(), json!(values)))
        .collect();
    let mut spec = json!({
        "user": access.user, "uid": access.uid, "groups": access.groups, "extra": extra,
    });
    let verb = &access.verb;
    let (section, what) = match &access.what {
        What::Path(path) => ("nonResourceAttributes", json!({"path": path, "verb": verb})),
        What::Resource {
            group,
            version,
            resource,
            subresource,
            namespace,
            name,
        } => (
            "resourceAttributes",
            json!({
                "verb": verb, "group": group, "version": version, "resource": resource,
                "subresource": subresource, "namespace": namespace, "name": name,
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

/// Reads the answer to a question about rights. What may be done and must not, must not.
///
/// # Errors
///
/// When it is no `SubjectAccessReview`.
pub fn access_answer(body: &[u8]) -> Result<Allowed, Unanswered> {
    let answer: AccessAnswer = serde_json::from_slice(body).map_err(|error| Unanswered {
        why: format!("no SubjectAccessReview came back: {error}"),
    })?;
    let AccessStatus {
        allowed,
        denied,
        reason,
    } = answer.status;
    Ok(Allowed {
        allowed: allowed && !denied,
        reason,
    })
}

/// The body of the question whose token something is.
#[must_use]
pub fn question(token: &str, audiences: &[String]) -> Vec<u8> {
    let question = Question {
        api_version: "authentication.k8s.io/v1",
        kind: "TokenReview",
        spec: Spec { token, audiences },
    };
    // Of strings alone, so it cannot fail.
    serde_json::to_vec(&question).unwrap_or_default()
}

/// Reads the answer.
///
/// # Errors
///
/// When it is no `TokenReview`.
pub fn answer(body: &[u8]) -> Result<Review, Unanswered> {
    let Answer { status } = serde_json::from_slice(body).map_err(|error| Unanswered {
        why: format!("no TokenReview came back: {error}"),
    })?;
    let extra = status.user.extra;
    let one = |key: &str| {
        let values = extra.get(key).and_then(|values| values.first());
        values.cloned().unwrap_or_default()
    };
    Ok(Review {
        authenticated: status.authenticated,
        error: status.error,
        pod_name: one(POD_NAME),
        pod_uid: one(POD_UID),
        node_name: one(NODE_NAME),
        username: status.user.username,
        uid: status.user.uid,
        groups: status.user.groups,
        extra: extra.into_iter().collect(),
        audiences: status.audiences,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    api_version: &'static str,
    kind: &'static str,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Spec<'a> {
    token: &'a str,
    audiences: &'a [String],
}

#[derive(Deserialize)]
struct Answer {
    status: Status,
}

#[derive(Deserialize)]
struct AccessAnswer {
    status: AccessStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccessStatus {
    allowed: bool,
    denied: bool,
    reason: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    error: String,
    audiences: Vec<String>,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    // As a Kubernetes 1.36 cluster answered.
    const GOOD: &str = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview",
        "metadata":{},"spec":{"audiences":["cairn-aggregator"]},"status":{
        "audiences":["cairn-aggregator"],"authenticated":true,"user":{"extra":{
        "authentication.kubernetes.io/credential-id":["JTI=f8c887fa-22d1-4538-b8f9-6e451fd741e8"],
        "authentication.kubernetes.io/node-name":["node2"],
        "authentication.kubernetes.io/pod-name":["tok"],
        "authentication.kubernetes.io/pod-uid":["11325225-8688-42bb-aa5d-5688919055f5"]},
        "groups":["system:serviceaccounts","system:authenticated"],
        "username":"system:serviceaccount:kube-system:probe"}}}"#;

    #[test]
    fn a_good_answer_says_who_and_where() {
        let review = answer(GOOD.as_bytes()).unwrap();
        assert!(review.authenticated);
        assert_eq!(review.username, "system:serviceaccount:kube-system:probe");
        assert_eq!((&*review.pod_name, &*review.node_name), ("tok", "node2"));
        assert_eq!(review.pod_uid, "11325225-8688-42bb-aa5d-5688919055f5");
        assert_eq!(review.audiences, ["cairn-aggregator"]);
    }

    #[test]
    fn a_bad_one_says_why() {
        let bad = r#"{"status":{"error":"invalid bearer token","user":{}}}"#;
        let review = answer(bad.as_bytes()).unwrap();
        assert!(!review.authenticated && review.error == "invalid bearer token");
        for body in ["", "{}", "[]", r#"{"status":{"user":{"extra":{"a":"b"}}}}"#] {
            assert!(answer(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_question_about_rights_names_who_and_what() {
        let access = Access {
            user: "jane".to_owned(),
            groups: vec!["dev".to_owned()],
            extra: vec![("scopes".to_owned(), vec!["a".to_owned(), "b".to_owned()])],
            verb: "list".to_owned(),
            what: What::Resource {
                group: "metrics.k8s.io".to_owned(),
                version: "v1beta1".to_owned(),
                resource: "pods".to_owned(),
                subresource: String::new(),
                namespace: "shop".to_owned(),
                name: String::new(),
            },
            ..Access::default()
        };
        let body: Value = serde_json::from_slice(&access_question(&access)).unwrap();
        assert_eq!(body["kind"], "SubjectAccessReview");
        assert_eq!(body["spec"]["user"], "jane");
        assert_eq!(body["spec"]["extra"]["scopes"][1], "b");
        assert_eq!(body["spec"]["resourceAttributes"]["namespace"], "shop");
        assert!(body["spec"]["nonResourceAttributes"].is_null());
        let path = What::Path("/metrics".to_owned());
        let access = Access {
            verb: "get".to_owned(),
            what: path,
            ..access
        };
        let body: Value = serde_json::from_slice(&access_question(&access)).unwrap();
        assert_eq!(body["spec"]["nonResourceAttributes"]["path"], "/metrics");
    }

    #[test]
    fn what_is_denied_is_not_allowed() {
        let read = |body: &str| access_answer(body.as_bytes()).map(|answer| answer.allowed);
        assert_eq!(read(r#"{"status":{"allowed":true}}"#), Ok(true));
        assert_eq!(read(r#"{"status":{"allowed":false}}"#), Ok(false));
        assert_eq!(
            read(r#"{"status":{"allowed":true,"denied":true}}"#),
            Ok(false)
        );
        assert_eq!(read(r#"{"status":{}}"#), Ok(false));
        assert!(read("{}").is_err() && read("").is_err());
    }

    #[test]
    fn a_question_names_token_and_audiences() {
        let body = question("to\"ken", &["cairn-aggregator".to_owned()]);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["kind"], "TokenReview");
        assert_eq!(body["spec"]["token"], "to\"ken");
        assert_eq!(body["spec"]["audiences"][0], "cairn-aggregator");
    }
}
