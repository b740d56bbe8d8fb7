use serde_json::{Value, json};

use super::{Act, Caller, Rbac};

fn role(kind: &str, namespace: &str, name: &str, rules: &Value) -> Value {
    json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}, "rules": rules})
}

fn binding(namespace: &str, role: (&str, &str), subjects: &Value) -> Value {
    let kind = if namespace.is_empty() {
        "ClusterRoleBinding"
    } else {
        "RoleBinding"
    };
    json!({"kind": kind, "metadata": {"namespace": namespace, "name": "b"},
           "roleRef": {"kind": role.0, "name": role.1}, "subjects": subjects})
}

fn account() -> (Value, Caller) {
    let subject = json!([{"kind": "ServiceAccount", "namespace": "cairn", "name": "agg"}]);
    (subject, Caller::account("cairn", "agg"))
}

fn act(request: &str) -> Act {
    let (method, path) = request.split_once(' ').unwrap();
    let (method, is_watch) = if method == "WATCH" {
        ("GET", true)
    } else {
        (method, false)
    };
    Act::of(method, path, is_watch)
}

#[test]
fn a_request_is_read_off_its_path() {
    for (request, verb, group, resource, namespace, name) in [
        ("GET /api/v1/nodes", "list", "", "nodes", "", ""),
        ("WATCH /api/v1/pods", "watch", "", "pods", "", ""),
        (
            "GET /api/v1/namespaces/shop",
            "get",
            "",
            "namespaces",
            "shop",
            "shop",
        ),
        (
            "GET /api/v1/namespaces/shop/pods",
            "list",
            "",
            "pods",
            "shop",
            "",
        ),
        (
            "PUT /api/v1/namespaces/a/secrets/tls",
            "update",
            "",
            "secrets",
            "a",
            "tls",
        ),
        (
            "GET /api/v1/nodes/n/proxy/x",
            "get",
            "",
            "nodes/proxy",
            "",
            "n",
        ),
        (
            "PATCH /apis/apiregistration.k8s.io/v1/apiservices/x",
            "patch",
            "apiregistration.k8s.io",
            "apiservices",
            "",
            "x",
        ),
    ] {
        let act = act(request);
        let told = (
            &*act.verb,
            &*act.group,
            &*act.resource,
            &*act.namespace,
            &*act.name,
        );
        assert_eq!(told, (verb, group, resource, namespace, name), "{request}");
    }
    for path in ["/openid/v1/jwks", "/version", "/apis", "/api/v1"] {
        assert_eq!(act(&format!("GET {path}")).path, path);
    }
}

#[test]
fn a_role_counts_where_it_is_bound_and_for_whom() {
    let (subject, agg) = account();
    let pods = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]);
    let lists = |namespace: &str, objects: &[Value]| {
        let path = if namespace.is_empty() {
            "GET /api/v1/pods".to_owned()
        } else {
            format!("GET /api/v1/namespaces/{namespace}/pods")
        };
        let mut rbac = Rbac::new(objects);
        let other = Caller::account("cairn", "other");
        assert!(!rbac.allows(&other, &act(&path)));
        rbac.allows(&agg, &act(&path))
    };
    let cluster = [
        role("ClusterRole", "", "r", &pods),
        binding("", ("ClusterRole", "r"), &subject),
    ];
    assert!(lists("", &cluster) && lists("shop", &cluster));
    // A ClusterRole that is bound in a namespace counts there alone.
    let narrowed = [
        role("ClusterRole", "", "r", &pods),
        binding("shop", ("ClusterRole", "r"), &subject),
    ];
    assert!(lists("shop", &narrowed) && !lists("bank", &narrowed) && !lists("", &narrowed));
    // A Role is one of its own namespace.
    let elsewhere = [
        role("Role", "bank", "r", &pods),
        binding("shop", ("Role", "r"), &subject),
    ];
    assert!(!lists("shop", &elsewhere) && !lists("bank", &elsewhere));
}

#[test]
fn names_subresources_paths_and_groups_are_exact() {
    let (subject, agg) = account();
    let rules = json!([
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["tls"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes/stats"], "verbs": ["get"]},
        {"nonResourceURLs": ["/openid/v1/jwks", "/debug/*"], "verbs": ["get"]},
    ]);
    let objects = [
        role("ClusterRole", "", "r", &rules),
        binding("", ("ClusterRole", "r"), &subject),
    ];
    let mut rbac = Rbac::new(&objects);
    for (request, is_allowed) in [
        ("GET /api/v1/namespaces/a/secrets/tls", true),
        ("GET /api/v1/namespaces/a/secrets/other", false),
        ("GET /api/v1/namespaces/a/secrets", false),
        ("PUT /api/v1/namespaces/a/secrets/tls", false),
        ("GET /api/v1/nodes/n/stats", true),
        ("GET /api/v1/nodes/n", false),
        ("GET /apis/apps/v1/nodes/n/stats", false),
        ("GET /openid/v1/jwks", true),
        ("GET /openid/v1", false),
        ("GET /debug/x", true),
        ("POST /openid/v1/jwks", false),
        ("GET /version", true),
        ("GET /versions", false),
        (
            "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
            true,
        ),
        ("POST /apis/authentication.k8s.io/v1/tokenreviews", false),
    ] {
        assert_eq!(rbac.allows(&agg, &act(request)), is_allowed, "{request}");
    }
    let master = Caller {
        user: "root".to_owned(),
        groups: vec!["system:masters".to_owned()],
    };
    assert!(rbac.allows(&master, &act("DELETE /api/v1/nodes/n")));
}

#[test]
fn what_nothing_used_is_named_verb_by_verb() {
    let (subject, agg) = account();
    let rules =
        json!([{"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["list", "watch"]}]);
    let mut view = role(
        "ClusterRole",
        "",
        "reader",
        &json!([{"apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["get"]}]),
    );
    view["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    let people = json!([{"kind": "User", "name": "jane"}, {"kind": "Group", "name": "devs"}]);
    let mut rbac = Rbac::new(&[
        role("ClusterRole", "", "r", &rules),
        view,
        binding("", ("ClusterRole", "r"), &subject),
        binding("shop", ("ClusterRole", "view"), &people),
    ]);
    for request in [
        "GET /api/v1/nodes",
        "WATCH /api/v1/nodes",
        "GET /api/v1/pods",
    ] {
        assert!(rbac.allows(&agg, &act(request)), "{request}");
    }
    assert_eq!(
        rbac.unused(),
        [
            "ClusterRole r: watch pods",
            "ClusterRole reader: get pods.metrics.k8s.io"
        ]
    );
    let jane = Caller {
        user: "jane".to_owned(),
        groups: Vec::new(),
    };
    let spec = json!({"resourceAttributes": {"verb": "get", "group": "metrics.k8s.io", "resource": "pods",
                      "namespace": "shop", "name": "web"}});
    assert!(rbac.allows(&jane, &Act::of_review(&spec)));
    let elsewhere = json!({"resourceAttributes": {"verb": "get", "group": "metrics.k8s.io",
                           "resource": "pods", "namespace": "bank", "name": "web"}});
    assert!(!rbac.allows(&jane, &Act::of_review(&elsewhere)));
    assert_eq!(rbac.unused(), ["ClusterRole r: watch pods"]);
}

#[test]
fn a_refusal_is_worded_as_the_api_server_does() {
    let (_, agg) = account();
    let text = act("GET /apis/apps/v1/namespaces/cairn/daemonsets/x").refusal(&agg);
    assert_eq!(
        text,
        "daemonsets.apps \"x\" is forbidden: User \"system:serviceaccount:cairn:agg\" cannot get resource \
         \"daemonsets\" in API group \"apps\" in the namespace \"cairn\""
    );
    let text = act("GET /openid/v1/jwks").refusal(&agg);
    assert!(
        text.ends_with("cannot get path \"/openid/v1/jwks\""),
        "{text}"
    );
}
