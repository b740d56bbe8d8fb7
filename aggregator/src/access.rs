//! Who asks at the HTTPS listener, and what they may see.
//!
//! [`Authenticators`] make a [`User`] of a request: by the front proxy of the API server, by a client
//! certificate, or nobody in particular. [`Rights`] say whether this user may do what [`Attributes`] name.
//! Both are asked for each request, and both may have to ask somebody else; what they ask by is an enum, where
//! the reviews of the Kubernetes API join.

mod answers;
mod identity;
mod metrics;
mod proxy;
mod published;
mod reviews;
mod rights;

pub use identity::Unproven::{self, Unauthorized};
pub use identity::{Authenticators, Tokens};
pub use metrics::Metrics;
pub use proxy::{FrontProxy, ProxyHeaders};
pub use published::{Follow, Published, PublishedError};
pub use reviews::{Kept, MOST_RIGHTS_OF_ONE, Reviews, Unsettled, Within};
pub use rights::{Decision, Rights};

pub use crate::cluster::access::{Attributes, Resource, User};

/// The user that nobody in particular is.
pub const ANONYMOUS: &str = "system:anonymous";

/// The group of everybody who has said who they are.
pub const AUTHENTICATED: &str = "system:authenticated";

/// The group of everybody else.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";

/// The group that may do everything.
pub const MASTERS: &str = "system:masters";

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
