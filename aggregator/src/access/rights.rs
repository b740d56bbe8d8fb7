//! What a user may do.

use std::sync::Arc;
use std::time::Duration;

use super::{AUTHENTICATED, Attributes, MASTERS, Resource, Reviews, Unsettled, User, Within};

/// Paths that everybody may read, and those below them.
const ALWAYS: [&str; 3] = ["/livez", "/readyz", "/healthz"];

/// Paths that say what is served here, and those below them: whoever has said who they are may read them.
/// The role `system:discovery`, which every cluster binds to them, says the same.
const DISCOVERY: [&str; 4] = ["/api", "/apis", "/openapi", "/version"];

/// Whether something may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allowed,
    /// It may not, with what the one who decided said; usually nothing.
    Denied(String),
    /// Nobody could say; why.
    Unanswered(String),
    /// Too many ask.
    Busy,
}

/// Who is asked what a user may do, beyond the rules that need nobody.
#[derive(Clone, Debug, Default)]
pub enum Rights {
    /// Nobody: the rules are all there is.
    #[default]
    Rules,
    /// The Kubernetes API.
    Reviewed(Reviews),
}

impl Rights {
    /// Decides. [`MASTERS`] may do everything.
    pub async fn decide(&self, user: &User, what: &Attributes) -> Decision {
        match self {
            _ if is_allowed_by_rules(user, what) => Decision::Allowed,
            Rights::Rules => Decision::Denied(String::new()),
            Rights::Reviewed(reviews) => reviews.decide(user, what).await,
        }
    }

    /// In which of these namespaces somebody may do this who may not do it in all: what is settled after that time at
    /// most. Of `what` the namespace is empty.
    ///
    /// # Errors
    ///
    /// [`Unsettled`].
    pub async fn within(
        &self,
        user: &User,
        what: &Resource,
        names: (&[Arc<str>], Duration),
    ) -> Result<Within, Unsettled> {
        match self {
            Rights::Rules => Ok(Within::default()),
            Rights::Reviewed(reviews) => reviews.within(user, what, names).await,
        }
    }
}

fn is_allowed_by_rules(user: &User, what: &Attributes) -> bool {
    if user.is_in(MASTERS) {
        return true;
    }
    let Attributes::Path { verb, path } = what else {
        return false;
    };
    // A monitor may ask without wanting the body.
    let is_probe = matches!(*verb, "get" | "head");
    let is_below = |root: &str| {
        let rest = path.strip_prefix(root);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let reads = *verb == "get" && user.is_in(AUTHENTICATED);
    (is_probe && ALWAYS.iter().any(|root| is_below(root)))
        || (reads && DISCOVERY.iter().any(|root| is_below(root)))
}

impl Attributes {
    /// The same in all namespaces; `None` of what is in none, and of what is asked of all already.
    pub(super) fn everywhere(&self) -> Option<Self> {
        let Attributes::Resource(resource) = self else {
            return None;
        };
        let is_in_one = !resource.namespace.is_empty();
        is_in_one.then(|| {
            Attributes::Resource(Resource {
                namespace: String::new(),
                name: String::new(),
                ..resource.clone()
            })
        })
    }

    /// What a refusal says that the user cannot do, as the API server says it.
    #[must_use]
    pub fn refusal(&self, user: &User, reason: &str) -> String {
        let name = &user.name;
        let cannot = match self {
            Attributes::Path { verb, path } => {
                format!("User {name:?} cannot {verb} path {path:?}")
            }
            Attributes::Resource(resource) => resource.refusal(name),
        };
        // What the user said is shown to somebody else by a client that may be a browser.
        let mut text = cannot
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        if !reason.is_empty() {
            text.push_str(": ");
            text.push_str(reason);
        }
        text
    }
}

impl Resource {
    fn refusal(&self, user: &str) -> String {
        let Self {
            verb,
            group,
            namespace,
            ..
        } = self;
        let mut resource = self.resource.clone();
        if !self.subresource.is_empty() {
            resource = format!("{resource}/{}", self.subresource);
        }
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, groups: &[&str]) -> User {
        User {
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..User::default()
        }
    }

    fn path(verb: &'static str, path: &str) -> Attributes {
        let path = path.to_owned();
        Attributes::Path { verb, path }
    }

    fn pods(namespace: &str) -> Resource {
        Resource {
            verb: "list",
            group: "metrics.k8s.io".to_owned(),
            version: "v1beta1".to_owned(),
            resource: "pods".to_owned(),
            namespace: namespace.to_owned(),
            ..Resource::default()
        }
    }

    #[tokio::test]
    async fn rules_let_masters_do_all_and_others_find_out_what_is_served() {
        let (master, somebody, nobody) = (
            user("system:kube-aggregator", &[MASTERS]),
            user("jane", &[AUTHENTICATED]),
            User::anonymous(),
        );
        let list = Attributes::Resource(pods("shop"));
        for (what, of_somebody, of_nobody) in [
            (path("get", "/livez"), true, true),
            (path("get", "/readyz/ping"), true, true),
            (path("head", "/livez"), true, true),
            (path("head", "/apis"), false, false),
            (path("post", "/livez"), false, false),
            (path("get", "/livezy"), false, false),
            (path("get", "/apis"), true, false),
            (path("get", "/apis/metrics.k8s.io/v1beta1"), true, false),
            (path("get", "/openapi/v3"), true, false),
            (path("get", "/version"), true, false),
            (path("get", "/metrics"), false, false),
            (path("get", "/"), false, false),
            (path("delete", "/apis"), false, false),
            (list, false, false),
        ] {
            for (user, may) in [
                (&master, true),
                (&somebody, of_somebody),
                (&nobody, of_nobody),
            ] {
                let decided = Rights::Rules.decide(user, &what).await;
                assert_eq!(decided == Decision::Allowed, may, "{what:?} {}", user.name);
            }
        }
    }

    #[test]
    fn refusals_say_who_cannot_do_what_and_where() {
        let jane = user("jane", &[]);
        for (what, reason, text) in [
            (
                Attributes::Resource(pods("shop")),
                "",
                r#"User "jane" cannot list resource "pods" in API group "metrics.k8s.io" in the namespace "shop""#,
            ),
            (
                Attributes::Resource(pods("")),
                "no rule",
                r#"User "jane" cannot list resource "pods" in API group "metrics.k8s.io" at the cluster scope: no rule"#,
            ),
            (
                path("get", "/metrics"),
                "",
                r#"User "jane" cannot get path "/metrics""#,
            ),
            (
                path("get", "/<b>&"),
                "",
                r#"User "jane" cannot get path "/&lt;b&gt;&amp;""#,
            ),
        ] {
            assert_eq!(what.refusal(&jane, reason), text);
        }
    }
}
