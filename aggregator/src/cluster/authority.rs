//! Who a bearer token belongs to, as the API server says: one question, and its answer without JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;

use cairn_runtime::logging;
use serde::{Deserialize, Serialize};

use super::access::{self, Access, Allowed};
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
            let body = self
                .post(ACCESS_REVIEWS, access::question(question))
                .await?;
            access::answer(&body)
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
    fn a_question_names_token_and_audiences() {
        let body = question("to\"ken", &["cairn-aggregator".to_owned()]);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["kind"], "TokenReview");
        assert_eq!(body["spec"]["token"], "to\"ken");
        assert_eq!(body["spec"]["audiences"][0], "cairn-aggregator");
    }
}
