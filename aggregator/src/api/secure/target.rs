//! What a request of the HTTPS listener is about, read once: for who decides whether it may be, and for who
//! answers it.

use http::Method;

use super::super::path;
use crate::access::{Attributes, Resource};

/// The only group.
pub(in super::super) const GROUP: &str = "metrics.k8s.io";

/// Its only version.
pub(in super::super) const VERSION: &str = "v1beta1";

/// What is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Target {
    /// Which paths there are.
    Paths,
    /// The groups.
    Groups,
    /// The versions of the group.
    Group,
    /// The resources of the version.
    Resources,
    /// Which program this is.
    Version,
    /// What objects look like, in `OpenAPI` 2.
    OpenApi2,
    /// Where that is said in `OpenAPI` 3.
    OpenApi3Index,
    /// What objects look like, in `OpenAPI` 3.
    OpenApi3,
    /// Whether the process is well: `livez`, `readyz` or `healthz`, and one check of it or all.
    Probe(Probe, Option<String>),
    /// All nodes.
    Nodes,
    /// A node, by name.
    Node(String),
    /// The pods of a namespace, or of all.
    Pods(Option<String>),
    /// A pod, by namespace and name.
    Pod(String, String),
    /// Nothing that is served.
    Nothing,
}

/// What is asked of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Probe {
    /// Whether it turns.
    Live,
    /// Whether it shall be asked.
    Ready,
    /// The older name of the first.
    Health,
}

impl Probe {
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Probe::Live => "livez",
            Probe::Ready => "readyz",
            Probe::Health => "healthz",
        }
    }
}

/// The segments of a path, decoded. A slash is a separator however it is spelt, and those at both ends do not
/// matter.
fn segments(path: &str) -> Vec<String> {
    let decoded = path::decode(path);
    let inner = decoded.trim_matches('/');
    if inner.is_empty() {
        return Vec::new();
    }
    inner.split('/').map(str::to_owned).collect()
}

impl Target {
    /// Reads a path.
    pub(in super::super) fn parse(path: &str) -> Self {
        let segments = segments(path);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["apis"] => Target::Groups,
            ["version"] => Target::Version,
            ["openapi", "v2"] => Target::OpenApi2,
            ["openapi", "v3"] => Target::OpenApi3Index,
            ["openapi", "v3", "apis", GROUP, VERSION] => Target::OpenApi3,
            ["livez", check @ ..] => probe(Probe::Live, check),
            ["readyz", check @ ..] => probe(Probe::Ready, check),
            ["healthz", check @ ..] => probe(Probe::Health, check),
            ["apis", GROUP] => Target::Group,
            ["apis", GROUP, VERSION, rest @ ..] => match rest {
                [] => Target::Resources,
                ["nodes"] => Target::Nodes,
                ["nodes", name] => Target::Node((*name).to_owned()),
                ["pods"] => Target::Pods(None),
                ["namespaces", namespace, "pods"] => Target::Pods(Some((*namespace).to_owned())),
                ["namespaces", namespace, "pods", name] => {
                    Target::Pod((*namespace).to_owned(), (*name).to_owned())
                }
                _ => Target::Nothing,
            },
            _ => Target::Nothing,
        }
    }
}

fn probe(probe: Probe, check: &[&str]) -> Target {
    match check {
        [] => Target::Probe(probe, None),
        [check] => Target::Probe(probe, Some((*check).to_owned())),
        _ => Target::Nothing,
    }
}

/// What is to be decided about, as the API server itself reads paths.
pub(super) fn attributes(method: &Method, path: &str, query: Option<&str>) -> Attributes {
    let segments = segments(path);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        _ => {
            return Attributes::Path {
                verb: path_verb(method),
                path: path::decode(path),
            };
        }
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, inner @ ..] if !inner.is_empty() => (*namespace, inner),
        ["namespaces", namespace] => (*namespace, rest),
        _ => ("", rest),
    };
    let at = |n: usize| rest.get(n).copied().unwrap_or_default().to_owned();
    let mut name = at(1);
    let is_one = !name.is_empty();
    if !is_one && let Some(only) = only_name(query) {
        name = only;
    }
    Attributes::Resource(Resource {
        verb: resource_verb(method, is_one, is_watch(query)),
        group: group.to_owned(),
        version: version.to_owned(),
        resource: at(0),
        subresource: at(2),
        namespace: namespace.to_owned(),
        name,
    })
}

/// The name that a field selector leaves.
fn only_name(query: Option<&str>) -> Option<String> {
    let selector = path::parameter(query, "fieldSelector")?;
    let name = selector.split(',').find_map(|term| {
        let name = term.trim().strip_prefix("metadata.name=")?;
        Some(name.strip_prefix('=').unwrap_or(name).to_owned())
    });
    name.filter(|name| !name.is_empty())
}

/// True when a list is to go on.
pub(in super::super) fn is_watch(query: Option<&str>) -> bool {
    path::parameter(query, "watch").is_some_and(|text| is_true(&text))
}

/// How the API server reads a flag of a query: present is true.
fn is_true(text: &str) -> bool {
    text != "0" && !text.eq_ignore_ascii_case("false")
}

fn path_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "other",
    }
}

fn resource_verb(method: &Method, is_one: bool, is_watch: bool) -> &'static str {
    match *method {
        Method::GET | Method::HEAD if is_one => "get",
        Method::GET | Method::HEAD if is_watch => "watch",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if is_one => "delete",
        Method::DELETE => "deletecollection",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";

    #[test]
    fn paths_are_what_is_served_or_nothing() {
        let pods = |namespace: &str| Target::Pods(Some(namespace.to_owned()));
        for (path, target) in [
            ("/apis", Target::Groups),
            ("/apis/", Target::Groups),
            ("/apis/metrics.k8s.io", Target::Group),
            (ROOT, Target::Resources),
            ("/version", Target::Version),
            ("/openapi/v2", Target::OpenApi2),
            ("/openapi/v3", Target::OpenApi3Index),
            ("/openapi/v3/apis/metrics.k8s.io/v1beta1", Target::OpenApi3),
            ("/openapi/v3/apis/metrics.k8s.io", Target::Nothing),
            ("/livez", Target::Probe(Probe::Live, None)),
            (
                "/readyz/ping",
                Target::Probe(Probe::Ready, Some("ping".into())),
            ),
            ("/", Target::Nothing),
            ("/apis/other.k8s.io/v1", Target::Nothing),
            ("/apis/metrics.k8s.io/v1", Target::Nothing),
            ("//apis//metrics.k8s.io", Target::Nothing),
        ] {
            assert_eq!(Target::parse(path), target, "{path}");
        }
        for (path, target) in [
            ("nodes", Target::Nodes),
            ("nodes/a", Target::Node("a".into())),
            ("pods", Target::Pods(None)),
            ("namespaces/shop/pods", pods("shop")),
            ("namespaces/shop%2Fpods/", pods("shop")),
            (
                "namespaces/shop/pods/web",
                Target::Pod("shop".into(), "web".into()),
            ),
            ("namespaces//pods", pods("")),
            ("namespaces/shop", Target::Nothing),
            ("watch/nodes", Target::Nothing),
            ("pods/web", Target::Nothing),
            ("nodes/a/b", Target::Nothing),
        ] {
            assert_eq!(Target::parse(&format!("{ROOT}/{path}")), target, "{path}");
        }
    }

    #[test]
    fn what_is_decided_about_is_what_is_answered() {
        let of = |method: Method, rest: &str| {
            let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
            match attributes(&method, &format!("{ROOT}/{path}"), Some(query)) {
                Attributes::Resource(found) => format!(
                    "{} {} {} {}",
                    found.verb, found.resource, found.namespace, found.name
                ),
                other => panic!("{other:?}"),
            }
        };
        for (method, rest, expected) in [
            (Method::GET, "nodes", "list nodes  "),
            (Method::GET, "nodes/a", "get nodes  a"),
            (Method::GET, "pods", "list pods  "),
            (Method::GET, "pods?watch=true", "watch pods  "),
            (Method::GET, "pods?watch", "watch pods  "),
            (Method::GET, "pods?watch=0", "list pods  "),
            (Method::GET, "namespaces/shop/pods", "list pods shop "),
            (
                Method::GET,
                "namespaces%2Fshop/pods/web",
                "get pods shop web",
            ),
            (Method::POST, "namespaces/shop/pods", "create pods shop "),
            (Method::DELETE, "nodes/a", "delete nodes  a"),
            (Method::DELETE, "nodes", "deletecollection nodes  "),
            (
                Method::GET,
                "nodes?fieldSelector=metadata.name%3Da",
                "list nodes  a",
            ),
        ] {
            assert_eq!(of(method, rest), expected, "{rest}");
        }
        for path in ["/apis", "/apis/metrics.k8s.io", ROOT, "/metrics", "/"] {
            let expected = Attributes::Path {
                verb: "get",
                path: path.to_owned(),
            };
            assert_eq!(attributes(&Method::GET, path, None), expected);
        }
        // What other servers have is theirs to give, so it is no path of discovery.
        let core = attributes(&Method::GET, "/api/v1/pods", None);
        assert!(matches!(core, Attributes::Resource(_)));
    }
}
