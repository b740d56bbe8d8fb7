//! Who asks at the HTTPS listener, and what they may see.
//!
//! [`Authenticators`] make a [`User`] of a request: by the front proxy of the API server, by a client
//! certificate, or nobody in particular. [`Rights`] say whether this user may do what [`Attributes`] name.
//! Both are asked for each request, and both may have to ask somebody else; what they ask by is an enum, where
//! the reviews of the Kubernetes API join.

mod identity;
mod published;
mod reviews;
mod rights;

pub use identity::{Authenticators, FrontProxy, Tokens, Unauthorized};
pub use published::{Follow, Published, PublishedError};
pub use reviews::Reviews;
pub use rights::{Decision, Rights};

/// The user that nobody in particular is.
pub const ANONYMOUS: &str = "system:anonymous";

/// The group of everybody who has said who they are.
pub const AUTHENTICATED: &str = "system:authenticated";

/// The group of everybody else.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";

/// The group that may do everything.
pub const MASTERS: &str = "system:masters";

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

impl User {
    /// Whoever did not say.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// True for a member of the group.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|one| one == group)
    }

    /// The same, as one who has said who they are.
    fn authenticated(mut self) -> Self {
        let is_told = self.is_in(AUTHENTICATED) || self.is_in(UNAUTHENTICATED);
        if self.name != ANONYMOUS && !is_told {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }
}

/// What is to be done, as an access review names it.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
