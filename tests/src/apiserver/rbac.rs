//! Role-based access control, decided as an API server does: roles and bindings as they are applied, and each
//! right of them that something has used.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Somebody who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) user: String,
    pub(super) groups: Vec<String>,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) verb: String,
    pub(super) group: String,
    /// With its subresource, such as `nodes/stats`; empty of what is no resource.
    pub(super) resource: String,
    /// Empty of what is in none, and of all.
    pub(super) namespace: String,
    /// Empty of all.
    pub(super) name: String,
    /// Of what is no resource.
    pub(super) path: String,
}

/// Whom a role is of: `ClusterRole` or `Role`, namespace, name.
type RoleKey = (String, String, String);

/// One verb on one thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    Resource {
        verb: String,
        group: String,
        resource: String,
        name: Option<String>,
    },
    Path {
        verb: String,
        path: String,
    },
}

#[derive(Clone, Debug)]
struct Role {
    rights: Vec<Right>,
    /// The roles that it becomes part of, such as `view`.
    part_of: Vec<String>,
}

#[derive(Clone, Debug)]
struct Binding {
    role: RoleKey,
    /// `None` for everywhere.
    within: Option<String>,
    /// Users and groups, as they are called.
    users: Vec<String>,
    groups: Vec<String>,
}

/// Roles and bindings.
#[derive(Clone, Debug, Default)]
pub(super) struct Rbac {
    roles: BTreeMap<RoleKey, Role>,
    bindings: Vec<Binding>,
    used: BTreeSet<(RoleKey, Right)>,
    refused: BTreeSet<String>,
}

/// What may do everything.
const MASTERS: &str = "system:masters";

/// What an API server lets everybody do who has said who they are: it makes these bindings itself
/// (`system:basic-user`, `system:discovery`). The keys of its tokens are not among them: clusters take that away.
const FOR_ALL_CREATE: [(&str, &str); 3] = [
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"),
];
const FOR_ALL_GET: [&str; 7] = [
    "/api", "/apis", "/healthz", "/livez", "/openapi", "/readyz", "/version",
];

impl Rbac {
    /// Reads the roles and bindings among some objects.
    pub(super) fn new(objects: &[Value]) -> Self {
        let mut rbac = Self::default();
        rbac.read(objects);
        rbac
    }

    /// Reads the roles and bindings anew. What was used and refused so far is remembered.
    pub(super) fn read(&mut self, objects: &[Value]) {
        self.roles.clear();
        self.bindings.clear();
        for object in objects {
            let kind = text(&object["kind"]);
            match kind.as_str() {
                "Role" | "ClusterRole" => {
                    let meta = &object["metadata"];
                    let key = (kind, text(&meta["namespace"]), text(&meta["name"]));
                    self.roles.insert(key, Role::read(object));
                }
                "RoleBinding" | "ClusterRoleBinding" => self.bindings.push(Binding::read(object)),
                _ => {}
            }
        }
    }

    /// Whether somebody may do something. Of the rights that say so the first one counts as used.
    pub(super) fn allows(&mut self, who: &Caller, act: &Act) -> bool {
        if who.groups.iter().any(|group| group == MASTERS) || is_for_all(act) {
            return true;
        }
        let bindings = self.bindings.iter().filter(|binding| {
            let is_here = binding.within.as_ref();
            // A role that is bound in a namespace says nothing of what is in none.
            let is_here =
                is_here.is_none_or(|within| *within == act.namespace && act.path.is_empty());
            is_here && binding.is_of(who)
        });
        let found = bindings
            .flat_map(|binding| self.rights(&binding.role))
            .find(|(_, right)| right.fits(act));
        let found = found.map(|(key, right)| (key.clone(), right.clone()));
        let is_allowed = found.is_some();
        self.used.extend(found);
        is_allowed
    }

    /// The same of a request that is made, which is remembered when it is refused; a review only asks.
    ///
    /// # Errors
    ///
    /// Why it is refused, as an API server words it.
    pub(super) fn admit(&mut self, who: &Caller, act: &Act) -> Result<(), String> {
        if self.allows(who, act) {
            return Ok(());
        }
        let why = act.refusal(who);
        self.refused.insert(why.clone());
        Err(why)
    }

    /// What was refused, each once.
    pub(super) fn refused(&self) -> Vec<String> {
        self.refused.iter().cloned().collect()
    }

    /// The rights of a role, with those that are gathered in it.
    fn rights<'a>(&'a self, key: &'a RoleKey) -> impl Iterator<Item = (&'a RoleKey, &'a Right)> {
        let roles = self.roles.iter().filter(move |(own, role)| {
            let gathers = key.0 == "ClusterRole" && role.part_of.contains(&key.2);
            *own == key || gathers
        });
        roles.flat_map(|(key, role)| role.rights.iter().map(move |right| (key, right)))
    }

    /// The rights that nothing has used, for people.
    pub(super) fn unused(&self) -> Vec<String> {
        let all = self.roles.iter().flat_map(|(key, role)| {
            let rights = role.rights.iter();
            rights.map(move |right| (key.clone(), right.clone()))
        });
        let unused = all.filter(|one| !self.used.contains(one));
        unused
            .map(|((kind, _, name), right)| format!("{kind} {name}: {}", right.told()))
            .collect()
    }
}

impl Role {
    fn read(object: &Value) -> Self {
        let rules = object["rules"].as_array().into_iter().flatten();
        let mut rights: Vec<Right> = rules.flat_map(rights_of).collect();
        rights.sort();
        rights.dedup();
        let labels = object["metadata"]["labels"]
            .as_object()
            .into_iter()
            .flatten();
        let part_of = labels
            .filter(|(_, value)| **value == json!("true"))
            .filter_map(|(key, _)| {
                let name = key.strip_prefix("rbac.authorization.k8s.io/aggregate-to-")?;
                Some(name.to_owned())
            });
        Self {
            rights,
            part_of: part_of.collect(),
        }
    }
}

impl Binding {
    fn read(object: &Value) -> Self {
        let reference = &object["roleRef"];
        let own = text(&object["metadata"]["namespace"]);
        let (kind, name) = (text(&reference["kind"]), text(&reference["name"]));
        let of_role = if kind == "Role" {
            own.clone()
        } else {
            String::new()
        };
        let is_cluster = object["kind"] == "ClusterRoleBinding";
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for subject in object["subjects"].as_array().into_iter().flatten() {
            let name = text(&subject["name"]);
            match subject["kind"].as_str() {
                Some("ServiceAccount") => {
                    let namespace = text(&subject["namespace"]);
                    users.push(format!("system:serviceaccount:{namespace}:{name}"));
                }
                Some("Group") => groups.push(name),
                _ => users.push(name),
            }
        }
        Self {
            role: (kind, of_role, name),
            within: (!is_cluster).then_some(own),
            users,
            groups,
        }
    }

    fn is_of(&self, who: &Caller) -> bool {
        self.users.contains(&who.user) || who.groups.iter().any(|group| self.groups.contains(group))
    }
}

/// Each verb on each thing of a rule.
fn rights_of(rule: &Value) -> Vec<Right> {
    let texts = |key: &str| -> Vec<String> {
        rule[key]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect()
    };
    let mut names: Vec<Option<String>> = texts("resourceNames").into_iter().map(Some).collect();
    if names.is_empty() {
        names.push(None);
    }
    let mut rights = Vec::new();
    for verb in texts("verbs") {
        for path in texts("nonResourceURLs") {
            let verb = verb.clone();
            rights.push(Right::Path { verb, path });
        }
        for group in texts("apiGroups") {
            for resource in texts("resources") {
                for name in &names {
                    rights.push(Right::Resource {
                        verb: verb.clone(),
                        group: group.clone(),
                        resource: resource.clone(),
                        name: name.clone(),
                    });
                }
            }
        }
    }
    rights
}

impl Right {
    fn fits(&self, act: &Act) -> bool {
        let is = |granted: &str, asked: &str| granted == "*" || granted == asked;
        match self {
            Self::Path { verb, path } => {
                let begins = path
                    .strip_suffix('*')
                    .is_some_and(|start| act.path.starts_with(start));
                !act.path.is_empty() && is(verb, &act.verb) && (*path == act.path || begins)
            }
            Self::Resource {
                verb,
                group,
                resource,
                name,
            } => {
                let of_all = act
                    .resource
                    .split_once('/')
                    .map(|(_, sub)| format!("*/{sub}"));
                act.path.is_empty()
                    && is(verb, &act.verb)
                    && is(group, &act.group)
                    && (is(resource, &act.resource) || of_all.is_some_and(|all| *resource == all))
                    && name.as_ref().is_none_or(|name| *name == act.name)
            }
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Path { verb, path } => format!("{verb} {path}"),
            Self::Resource {
                verb,
                group,
                resource,
                name,
            } => {
                let dot = if group.is_empty() { "" } else { "." };
                let name = name
                    .as_ref()
                    .map(|name| format!(" {name}"))
                    .unwrap_or_default();
                format!("{verb} {resource}{dot}{group}{name}")
            }
        }
    }
}

fn is_for_all(act: &Act) -> bool {
    let is_create = act.verb == "create";
    let of_resource = (act.group.as_str(), act.resource.as_str());
    let begins = |root: &&str| {
        act.path
            .strip_prefix(*root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    is_create && FOR_ALL_CREATE.contains(&of_resource)
        || act.verb == "get" && !act.path.is_empty() && FOR_ALL_GET.iter().any(begins)
}

impl Caller {
    /// A service account.
    pub(super) fn account(namespace: &str, name: &str) -> Self {
        Self {
            user: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }
}

impl Act {
    /// What a request does, by its method, path and query.
    pub(super) fn of(method: &str, path: &str, is_watch: bool) -> Self {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match segments.as_slice() {
            ["api", _version, rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => ("", &[][..]),
        };
        let (namespace, rest) = match rest {
            // A namespace itself is a resource in itself.
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            ["namespaces", namespace] => (*namespace, rest),
            rest => ("", rest),
        };
        let Some((resource, rest)) = rest.split_first() else {
            return Self {
                verb: method.to_lowercase(),
                path: path.to_owned(),
                ..Self::default()
            };
        };
        let (name, sub) = match rest {
            [] => ("", None),
            [name] => (*name, None),
            [name, sub, ..] => (*name, Some(*sub)),
        };
        let verb = match method {
            "GET" if is_watch => "watch",
            "GET" if name.is_empty() => "list",
            "GET" => "get",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if name.is_empty() => "deletecollection",
            "DELETE" => "delete",
            _ => "",
        };
        Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: sub.map_or_else(|| (*resource).to_owned(), |sub| format!("{resource}/{sub}")),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            path: String::new(),
        }
    }

    /// What the spec of an access review is about.
    pub(super) fn of_review(spec: &Value) -> Self {
        let of = &spec["resourceAttributes"];
        if !of.is_object() {
            let of = &spec["nonResourceAttributes"];
            return Self {
                verb: text(&of["verb"]),
                path: text(&of["path"]),
                ..Self::default()
            };
        }
        let (resource, sub) = (text(&of["resource"]), text(&of["subresource"]));
        Self {
            verb: text(&of["verb"]),
            group: text(&of["group"]),
            resource: if sub.is_empty() {
                resource
            } else {
                format!("{resource}/{sub}")
            },
            namespace: text(&of["namespace"]),
            name: text(&of["name"]),
            path: String::new(),
        }
    }

    /// Why somebody may not, as an API server says it.
    pub(super) fn refusal(&self, who: &Caller) -> String {
        let Self {
            verb,
            group,
            resource,
            namespace,
            name,
            path,
        } = self;
        let user = &who.user;
        if !path.is_empty() {
            return format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"");
        }
        let within = match namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let dot = if group.is_empty() { "" } else { "." };
        let one = if name.is_empty() {
            String::new()
        } else {
            format!(" \"{name}\"")
        };
        format!(
            "{resource}{dot}{group}{one} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in \
             API group \"{group}\" {within}"
        )
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
