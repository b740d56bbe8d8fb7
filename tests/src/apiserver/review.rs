//! `TokenReview` and `SubjectAccessReview`, and who is known to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::answer::{self, Body};
use super::control::Control;
use super::rbac::{Act, Caller};

/// How long a review takes.
const TAKES: Duration = Duration::from_millis(50);

/// Reviews within a second before the next ones are told to come later.
const MOST_A_SECOND: usize = 100;

/// The audience of the API server itself, which a review without one means.
const OWN_AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

/// What may do everything.
const MASTERS: &str = "system:masters";

/// A service account's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// Namespace and name of the account.
    pub account: (String, String),
    /// Whom it is for.
    pub audience: String,
    /// Namespace, name and UID of the pod that it is bound to.
    pub pod: Option<(String, String, String)>,
    /// Name and UID of the node that it is bound to, or on which its pod is.
    pub node: Option<(String, String)>,
    /// How long it is good for.
    pub lifetime: Duration,
}

impl Minted {
    /// The token of a pod as a kubelet projects it: of the pod's own service account, bound to the pod
    /// and its node, for an hour. The pod is an object as the server has it; what it does not say is empty.
    #[must_use]
    pub fn of_pod(pod: &Value, audience: &str) -> Self {
        let of =
            |section: &str, name: &str| pod[section][name].as_str().unwrap_or_default().to_owned();
        let namespace = of("metadata", "namespace");
        let node = of("spec", "nodeName");
        Self {
            account: (namespace.clone(), of("spec", "serviceAccountName")),
            audience: audience.to_owned(),
            pod: Some((namespace, of("metadata", "name"), of("metadata", "uid"))),
            node: (!node.is_empty()).then(|| (node.clone(), format!("uid-of-{node}"))),
            lifetime: Duration::from_secs(3_600),
        }
    }

    fn user(&self) -> Value {
        let (namespace, name) = &self.account;
        let mut extra = BTreeMap::new();
        let mut put = |name: &str, value: &str| {
            extra.insert(
                format!("authentication.kubernetes.io/{name}"),
                json!([value]),
            );
        };
        if let Some((_, name, uid)) = &self.pod {
            put("pod-name", name);
            put("pod-uid", uid);
        }
        if let Some((name, uid)) = &self.node {
            put("node-name", name);
            put("node-uid", uid);
        }
        json!({
            "username": format!("system:serviceaccount:{namespace}:{name}"),
            "uid": format!("uid-of-{namespace}-{name}"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"),
                       "system:authenticated"],
            "extra": extra,
        })
    }
}

/// What somebody may do. `*` as namespace or as another word means all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permit {
    /// Name of the user, or of a group.
    pub who: String,
    /// Such as `get`.
    pub verb: String,
    /// Such as `metrics.k8s.io`; empty for the core group.
    pub group: String,
    /// Such as `pods`; of what is no resource, its path.
    pub resource: String,
    /// Empty for what is in none.
    pub namespace: String,
}

/// Tokens and permits.
#[derive(Debug, Default)]
pub(super) struct Reviews {
    minted: BTreeMap<String, (Minted, Instant)>,
    count: u64,
    permits: BTreeSet<Permit>,
    recent: VecDeque<Instant>,
}

impl Reviews {
    pub(super) fn mint(&mut self, minted: Minted) -> String {
        self.count += 1;
        let token = format!("minted-{}", self.count);
        self.know(token.clone(), minted);
        token
    }

    pub(super) fn know(&mut self, token: String, minted: Minted) {
        let ends = Instant::now() + minted.lifetime;
        self.minted.insert(token, (minted, ends));
    }

    pub(super) fn revoke(&mut self, token: &str) {
        self.minted.remove(token);
    }

    pub(super) fn permit(&mut self, permit: Permit) {
        self.permits.insert(permit);
    }

    pub(super) fn forbid(&mut self, permit: &Permit) {
        self.permits.remove(permit);
    }

    /// True when this review may begin now.
    fn has_room(&mut self, now: Instant) -> bool {
        while let Some(oldest) = self.recent.front()
            && now.duration_since(*oldest) >= Duration::from_secs(1)
        {
            self.recent.pop_front();
        }
        let has_room = self.recent.len() < MOST_A_SECOND;
        if has_room {
            self.recent.push_back(now);
        }
        has_room
    }

    fn good(&self, token: &str, audiences: &[&str], now: Instant) -> Option<Minted> {
        let (minted, ends) = self.minted.get(token)?;
        let is_good = *ends > now && audiences.contains(&minted.audience.as_str());
        is_good.then(|| minted.clone())
    }

    fn allows(&self, who: &[&str], spec: &Value) -> bool {
        if who.contains(&MASTERS) {
            return true;
        }
        let of = |section: &str, name: &str| spec[section][name].as_str().unwrap_or_default();
        let is_resource = spec["resourceAttributes"].is_object();
        let (verb, group, resource, namespace) = if is_resource {
            let of = |name| of("resourceAttributes", name);
            (of("verb"), of("group"), of("resource"), of("namespace"))
        } else {
            let of = |name| of("nonResourceAttributes", name);
            (of("verb"), "", of("path"), "")
        };
        let fits = |permitted: &str, asked: &str| permitted == "*" || permitted == asked;
        self.permits.iter().any(|permit| {
            who.contains(&permit.who.as_str())
                && fits(&permit.verb, verb)
                && permit.group == group
                && fits(&permit.resource, resource)
                && fits(&permit.namespace, namespace)
        })
    }
}

/// Answers a `TokenReview`.
pub(super) async fn token(control: &Control, review: Value) -> Response<Body> {
    if !control.reviews().has_room(Instant::now()) {
        return answer::too_many(1);
    }
    sleep(TAKES).await;
    let spec = &review["spec"];
    let asked = spec["audiences"].as_array().into_iter().flatten();
    let mut audiences: Vec<&str> = asked.filter_map(Value::as_str).collect();
    if audiences.is_empty() {
        audiences.push(OWN_AUDIENCE);
    }
    let token = spec["token"].as_str().unwrap_or_default();
    let good = control.reviews().good(token, &audiences, Instant::now());
    let good = good.filter(|minted| has_pod(control, minted));
    let status = match good {
        Some(minted) => json!({
            "authenticated": true, "audiences": [minted.audience], "user": minted.user(),
        }),
        None => json!({"error": "invalid bearer token", "user": {}}),
    };
    answered(review, status)
}

/// A token of a pod ends with it.
fn has_pod(control: &Control, minted: &Minted) -> bool {
    minted.pod.as_ref().is_none_or(|(namespace, name, uid)| {
        let pod = control.get("pods", namespace, name);
        pod.is_some_and(|pod| pod["metadata"]["uid"] == *uid)
    })
}

/// Answers a `SubjectAccessReview`.
pub(super) async fn access(control: &Control, review: Value) -> Response<Body> {
    if !control.reviews().has_room(Instant::now()) {
        return answer::too_many(1);
    }
    sleep(TAKES).await;
    let spec = &review["spec"];
    let groups = spec["groups"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let caller = Caller {
        user: text(&spec["user"]),
        groups: groups.map(text).collect(),
    };
    let allowed = may(control, &caller, spec);
    answered(review, json!({"allowed": allowed}))
}

/// Answers a `SelfSubjectAccessReview`.
pub(super) async fn own_access(
    control: &Control,
    caller: &Caller,
    review: Value,
) -> Response<Body> {
    sleep(TAKES).await;
    let allowed = may(control, caller, &review["spec"]);
    answered(review, json!({"allowed": allowed}))
}

/// Answers a `SelfSubjectReview`.
pub(super) fn oneself(caller: &Caller, review: Value) -> Response<Body> {
    let Caller { user, groups } = caller;
    answered(
        review,
        json!({"userInfo": {"username": user, "groups": groups}}),
    )
}

/// By what a test has permitted, and by the enforced roles.
fn may(control: &Control, caller: &Caller, spec: &Value) -> bool {
    let groups = caller.groups.iter().map(String::as_str);
    let who: Vec<&str> = groups.chain([caller.user.as_str()]).collect();
    let is_permitted = control.reviews().allows(&who, spec);
    is_permitted || control.grants(caller, &Act::of_review(spec))
}

fn answered(mut review: Value, status: Value) -> Response<Body> {
    review["status"] = status;
    if let Some(spec) = review["spec"].as_object_mut() {
        // Nobody shall find a token in a log of answers.
        spec.remove("token");
    }
    answer::json(StatusCode::CREATED, &review)
}
