//! Whether the aggregator's service account has every right that `deploy/` gives it. The rules are those of the
//! table in `deploy/README.md`, verb by verb.

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Asker, Missed};
use super::finding::Finding;
use super::{API_SERVICE, SERVICE};

const CHECK: &str = "rights";

/// What needs a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Every aggregator in a cluster.
    All,
    /// One that makes its certificate itself.
    Certificates,
    /// One that does, and whose CAs are in the `APIService`.
    Bundle,
}

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Cluster,
    KubeSystem,
    /// The namespace that Cairn is deployed to.
    Own,
}

struct Right {
    need: For,
    verb: &'static str,
    group: &'static str,
    /// Of what is no resource, its path.
    resource: &'static str,
    within: Within,
    name: &'static str,
}

const fn right(
    need: For,
    verb: &'static str,
    (group, resource): (&'static str, &'static str),
    (within, name): (Within, &'static str),
) -> Right {
    Right {
        need,
        verb,
        group,
        resource,
        within,
        name,
    }
}

const EVERYWHERE: (Within, &str) = (Within::Cluster, "");
const TLS: (Within, &str) = (Within::Own, "cairn-aggregator-tls");
const LEASES: (&str, &str) = ("coordination.k8s.io", "leases");
const API_SERVICES: (&str, &str) = ("apiregistration.k8s.io", "apiservices");

const RIGHTS: [Right; 18] = [
    right(For::All, "list", ("", "nodes"), EVERYWHERE),
    right(For::All, "watch", ("", "nodes"), EVERYWHERE),
    right(For::All, "list", ("", "pods"), EVERYWHERE),
    right(For::All, "watch", ("", "pods"), EVERYWHERE),
    right(
        For::All,
        "create",
        ("authentication.k8s.io", "tokenreviews"),
        EVERYWHERE,
    ),
    right(
        For::All,
        "create",
        ("authorization.k8s.io", "subjectaccessreviews"),
        EVERYWHERE,
    ),
    right(
        For::All,
        "get",
        ("", "/.well-known/openid-configuration"),
        EVERYWHERE,
    ),
    right(For::All, "get", ("", "/openid/v1/jwks"), EVERYWHERE),
    right(
        For::All,
        "get",
        ("", "configmaps"),
        (Within::KubeSystem, "extension-apiserver-authentication"),
    ),
    right(
        For::All,
        "list",
        ("discovery.k8s.io", "endpointslices"),
        (Within::Own, ""),
    ),
    right(For::Certificates, "get", ("", "secrets"), TLS),
    right(For::Certificates, "update", ("", "secrets"), TLS),
    right(
        For::Certificates,
        "get",
        ("", "configmaps"),
        (Within::Own, "cairn-ca"),
    ),
    right(
        For::Certificates,
        "update",
        ("", "configmaps"),
        (Within::Own, "cairn-ca"),
    ),
    right(For::Certificates, "get", LEASES, TLS),
    right(For::Certificates, "update", LEASES, TLS),
    right(
        For::Bundle,
        "get",
        API_SERVICES,
        (Within::Cluster, API_SERVICE),
    ),
    right(
        For::Bundle,
        "patch",
        API_SERVICES,
        (Within::Cluster, API_SERVICE),
    ),
];

/// Whose rights are asked about, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// The aggregator's user name.
    pub(super) user: String,
    namespace: String,
    /// The caller is that account itself.
    is_caller: bool,
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
}

impl Account {
    /// The aggregator's account of a namespace, asked about by this user.
    pub(super) fn new(namespace: &str, caller: &str) -> Self {
        let user = format!("system:serviceaccount:{namespace}:{SERVICE}");
        Self {
            is_caller: caller == user,
            user,
            namespace: namespace.to_owned(),
        }
    }

    /// Asks about every right; `has_bundle` when the `APIService` leads to Cairn.
    pub(super) async fn look(&self, asker: &Asker, has_bundle: bool) -> Vec<Finding> {
        let asked = join_all(RIGHTS.iter().map(|right| self.ask(asker, right))).await;
        let answers: Vec<(&Right, Result<bool, Missed>)> = RIGHTS.iter().zip(asked).collect();
        if let Some((_, Err(missed))) = answers.iter().find(|(_, answer)| answer.is_err()) {
            let (found, todo) = missed.told("access review");
            return vec![Finding::warn((CHECK, self.user.clone()), found, todo)];
        }
        self.judge(&answers, has_bundle)
    }

    fn judge(&self, answers: &[(&Right, Result<bool, Missed>)], has_bundle: bool) -> Vec<Finding> {
        let is = |answer: &Result<bool, Missed>| matches!(answer, Ok(true));
        let mut own = answers
            .iter()
            .filter(|(right, _)| right.need == For::Certificates);
        // Without any of these somebody else brings the certificate, and writes the bundle.
        let is_managed = own.any(|(_, answer)| is(answer));
        let needed = answers.iter().filter(|(right, _)| match right.need {
            For::All => true,
            For::Certificates => is_managed,
            For::Bundle => is_managed && has_bundle,
        });
        let needed: Vec<_> = needed.collect();
        let missing = needed.iter().filter(|(_, answer)| !is(answer));
        let mut findings: Vec<Finding> = missing
            .map(|(right, _)| {
                let found = format!("{} may not", self.user);
                Finding::fail((CHECK, self.told(right)), found, self.todo(right))
            })
            .collect();
        if findings.is_empty() {
            let (count, user) = (needed.len(), &self.user);
            let found = if is_managed {
                format!("has all {count} that it needs")
            } else {
                format!(
                    "has all {count} that it needs where somebody else brings its certificate (tls-files, \
                     cert-manager)"
                )
            };
            findings.push(Finding::ok((CHECK, user), found));
        }
        findings
    }

    async fn ask(&self, asker: &Asker, right: &Right) -> Result<bool, Missed> {
        let path = if self.is_caller {
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        } else {
            "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        };
        let needs = "create subjectaccessreviews.authorization.k8s.io";
        let Answer { status } = asker.post(path, self.question(right), needs).await?;
        Ok(status.allowed && !status.denied)
    }

    fn question(&self, right: &Right) -> Vec<u8> {
        let Right {
            verb,
            group,
            resource,
            name,
            ..
        } = right;
        let mut spec = if resource.starts_with('/') {
            json!({"nonResourceAttributes": {"path": resource, "verb": verb}})
        } else {
            json!({"resourceAttributes": {
                "verb": verb, "group": group, "resource": resource, "name": name,
                "namespace": self.within(right),
            }})
        };
        let kind = if self.is_caller {
            "SelfSubjectAccessReview"
        } else {
            spec["user"] = json!(self.user);
            // As whom an account is known beside its name.
            spec["groups"] = json!([
                "system:serviceaccounts",
                format!("system:serviceaccounts:{}", self.namespace),
                "system:authenticated",
            ]);
            "SubjectAccessReview"
        };
        let question: Value =
            json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
        question.to_string().into_bytes()
    }

    fn within(&self, right: &Right) -> &str {
        match right.within {
            Within::Cluster => "",
            Within::KubeSystem => "kube-system",
            Within::Own => &self.namespace,
        }
    }

    /// Such as `update secrets cairn-aggregator-tls in cairn`.
    fn told(&self, right: &Right) -> String {
        let Right {
            verb,
            group,
            resource,
            name,
            ..
        } = right;
        let mut text = format!("{verb} {resource}");
        if !group.is_empty() {
            text.push_str(&format!(".{group}"));
        }
        if !name.is_empty() {
            text.push_str(&format!(" {name}"));
        }
        if right.within != Within::Cluster {
            text.push_str(&format!(" in {}", self.within(right)));
        }
        text
    }

    /// The rule that gives it.
    fn todo(&self, right: &Right) -> String {
        let Right {
            verb,
            group,
            resource,
            name,
            ..
        } = right;
        let role = match right.within {
            Within::Cluster => "a ClusterRole".to_owned(),
            _ => format!("a Role in {}", self.within(right)),
        };
        let what = if resource.starts_with('/') {
            format!("nonResourceURLs: [{resource}]")
        } else {
            let names = match *name {
                "" => String::new(),
                name => format!(", resourceNames: [{name}]"),
            };
            format!("apiGroups: [\"{group}\"], resources: [{resource}]{names}")
        };
        format!(
            "apply deploy/ again; it has {role} with {{{what}, verbs: [{verb}]}} for this account"
        )
    }
}
