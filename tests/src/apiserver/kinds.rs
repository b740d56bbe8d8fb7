//! The kinds that are served, and where their objects are found.

/// A kind of objects.
#[derive(Debug)]
pub(super) struct Kind {
    /// Empty of the core.
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    /// The plural, as paths have it.
    pub(super) resource: &'static str,
    pub(super) kind: &'static str,
    pub(super) is_namespaced: bool,
}

/// What a path names.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) kind: &'static Kind,
    /// Empty of what is in none, and of all.
    pub(super) namespace: String,
    /// Empty of all.
    pub(super) name: String,
}

/// What a Kubernetes has that Cairn's manifests and recipes need: nothing of `OpenShift`, nothing of cert-manager.
pub(super) const KINDS: [Kind; 20] = [
    of("", "v1", "namespaces", "Namespace", false),
    of("", "v1", "nodes", "Node", false),
    of("", "v1", "pods", "Pod", true),
    of("", "v1", "secrets", "Secret", true),
    of("", "v1", "configmaps", "ConfigMap", true),
    of("", "v1", "services", "Service", true),
    of("", "v1", "serviceaccounts", "ServiceAccount", true),
    of("", "v1", "resourcequotas", "ResourceQuota", true),
    of("apps", "v1", "deployments", "Deployment", true),
    of("apps", "v1", "daemonsets", "DaemonSet", true),
    of("coordination.k8s.io", "v1", "leases", "Lease", true),
    of(
        "discovery.k8s.io",
        "v1",
        "endpointslices",
        "EndpointSlice",
        true,
    ),
    of(
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        "NetworkPolicy",
        true,
    ),
    of(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        true,
    ),
    of(
        "scheduling.k8s.io",
        "v1",
        "priorityclasses",
        "PriorityClass",
        false,
    ),
    of(RBAC, "v1", "clusterroles", "ClusterRole", false),
    of(
        RBAC,
        "v1",
        "clusterrolebindings",
        "ClusterRoleBinding",
        false,
    ),
    of(RBAC, "v1", "roles", "Role", true),
    of(RBAC, "v1", "rolebindings", "RoleBinding", true),
    of(
        "apiregistration.k8s.io",
        "v1",
        "apiservices",
        "APIService",
        false,
    ),
];

/// The group of roles and bindings.
pub(super) const RBAC: &str = "rbac.authorization.k8s.io";

const fn of(
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    kind: &'static str,
    is_namespaced: bool,
) -> Kind {
    Kind {
        group,
        version,
        resource,
        kind,
        is_namespaced,
    }
}

impl Kind {
    /// As manifests name it.
    pub(super) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Below which path it is.
    pub(super) fn root(&self) -> String {
        match self.group {
            "" => format!("api/{}", self.version),
            group => format!("apis/{group}/{}", self.version),
        }
    }

    /// Only a controller writes its status, and its spec has a generation.
    pub(super) fn is_controlled(&self) -> bool {
        matches!(
            self.resource,
            "deployments" | "daemonsets" | "poddisruptionbudgets"
        )
    }

    /// Objects whose status is kept by writes of the rest.
    pub(super) fn has_status(&self) -> bool {
        self.is_controlled()
            || matches!(
                self.resource,
                "apiservices" | "namespaces" | "nodes" | "pods" | "services" | "resourcequotas"
            )
    }
}

/// The kind of this resource; names of resources differ between all groups.
pub(super) fn of_resource(resource: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.resource == resource)
}

/// What a path names, when it is of a kind that is served and of no subresource.
pub(super) fn located(path: &str) -> Option<Place> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (resource, name) = match rest {
        [resource] => (*resource, ""),
        [resource, name] => (*resource, *name),
        _ => return None,
    };
    let kind = KINDS
        .iter()
        .find(|kind| kind.group == group && kind.version == version && kind.resource == resource)?;
    // A namespaced object has a name only within its namespace.
    let is_placed = kind.is_namespaced != namespace.is_empty();
    let is_all = kind.is_namespaced && namespace.is_empty() && name.is_empty();
    (is_placed || is_all).then(|| Place {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_kind_and_an_object() {
        for (path, expected) in [
            ("/api/v1/namespaces", Some(("Namespace", "", ""))),
            ("/api/v1/namespaces/cairn", Some(("Namespace", "", "cairn"))),
            (
                "/api/v1/namespaces/cairn/secrets",
                Some(("Secret", "cairn", "")),
            ),
            (
                "/apis/apps/v1/namespaces/cairn/daemonsets/a",
                Some(("DaemonSet", "cairn", "a")),
            ),
            ("/apis/apps/v1/deployments", Some(("Deployment", "", ""))),
            (
                "/apis/apiregistration.k8s.io/v1/apiservices/a",
                Some(("APIService", "", "a")),
            ),
            ("/apis/apps/v1/deployments/a", None),
            ("/apis/apps/v1beta1/deployments", None),
            ("/apis/apps/v1/namespaces/cairn/deployments/a/status", None),
            ("/api/v1/namespaces/cairn/nodes/a", None),
            ("/version", None),
        ] {
            let found = located(path);
            let found = found.as_ref();
            let found = found.map(|at| (at.kind.kind, &*at.namespace, &*at.name));
            assert_eq!(found, expected, "{path}");
        }
    }
}
