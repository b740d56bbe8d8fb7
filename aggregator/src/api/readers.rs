//! Who reads, and what of the cluster they may see: one value, made before anything is looked up.
//!
//! Nodes are for who may list `nodes.metrics.k8s.io`, or get the one that is asked for. Pods and containers are
//! for who may list `pods.metrics.k8s.io`: everywhere, which is asked first, or in their namespace. A question
//! about all namespaces is answered of those that may be listed, which are asked for one by one.

mod lease;

use std::sync::Arc;

use cairn_runtime::clock::Clock;
use cairn_runtime::tls::PeerCertificates;
use futures_util::future::{try_join, try_join_all};
use http::HeaderMap;

use super::needs::{Asks, Needs};
use super::secure::GROUP;
use crate::access::{
    Attributes, Authenticators, Decision, Resource, Rights, UNAUTHENTICATED, Unproven, User,
    evidence,
};
use crate::cluster::{Cluster, Known};
use crate::query::{Names, Visible};

pub use lease::{Lease, Over};

/// Questions about namespaces that one request has under way: half of what one reader may have.
const AT_ONCE: usize = 8;

/// Namespaces that are asked about for one request: at 20 a second they are answered while the first answer
/// is still kept.
const MOST_NAMESPACES: usize = 160;

/// Knows who reads and asks what they may.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    pub(super) authenticators: Authenticators,
    pub(super) rights: Rights,
    pub(super) cluster: Cluster,
    pub(super) clock: Clock,
}

/// Somebody who is let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who they are: what they have is counted by it.
    pub reader: Arc<str>,
    /// What they may see of what they ask for.
    pub visible: Visible,
    /// True when that may be less than they ask for.
    pub is_part: bool,
    /// For how long.
    pub lease: Lease,
}

/// Why somebody is not let in: for people, with the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nothing was shown.
    #[error(
        "this is for readers who say who they are: show a client certificate, or a token of the readers' \
         audience in the header Authorization (docs/access.md)"
    )]
    Anonymous,
    /// What was shown does not hold.
    #[error(
        "what was shown does not hold: check that the certificate or token has not run out, that the token is \
         for the readers' audience (--reader-audience), and that a trusted CA signed the certificate \
         (docs/access.md)"
    )]
    Unauthorized,
    /// Too many tokens wait for their review.
    #[error("too many tokens wait for their review: try again in a moment")]
    Unheard,
    /// They may see nothing of it.
    #[error("{0}: ask for a role that may (docs/access.md)")]
    Forbidden(String),
    /// Nobody could say.
    #[error(
        "what you may see could not be found out, for the Kubernetes API gave no answer: try again in a moment"
    )]
    Undecided,
    /// Too many questions about rights are under way.
    #[error("too many questions about what you may see are under way: try again in a moment")]
    Busy,
    /// There are more namespaces than can be asked about.
    #[error(
        "there are more than {MOST_NAMESPACES} namespaces to ask about one by one: name one, or ask for the \
         right to list pods.metrics.k8s.io in all of them"
    )]
    TooMany,
}

/// What may be done with metrics.k8s.io.
fn resource(verb: &'static str, resource: &str, (namespace, name): (&str, &str)) -> Attributes {
    Attributes::Resource(Resource {
        verb,
        group: GROUP.to_owned(),
        version: "v1beta1".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Resource::default()
    })
}

impl Readers {
    /// Lets somebody in, as far as they may see something of what they ask for. Takes from the headers what
    /// says who asks.
    pub(super) async fn admit(
        &self,
        headers: &mut HeaderMap,
        shown: Option<Arc<PeerCertificates>>,
        needs: Needs,
    ) -> Result<Admitted, Denied> {
        let evidence = evidence(headers);
        let until_ms = self.authenticators.until_ms(headers, shown.as_deref());
        let (reader, visible) = self.visible(headers, shown.as_deref(), &needs).await?;
        let is_part = is_part(&needs.nodes, &visible.nodes)
            || is_part(&needs.namespaces, &visible.namespaces);
        let proof = lease::Proof {
            evidence,
            shown,
            until_ms,
        };
        let lease = Lease::new(self.clone(), proof, needs, visible.clone());
        Ok(Admitted {
            reader,
            visible,
            is_part,
            lease,
        })
    }

    /// Who asks, and what they may see of what they ask for; at least something, when it is about anything.
    async fn visible(
        &self,
        headers: &mut HeaderMap,
        shown: Option<&PeerCertificates>,
        needs: &Needs,
    ) -> Result<(Arc<str>, Visible), Denied> {
        let user = self.authenticators.user(headers, shown).await;
        let user = user.map_err(|unproven| match unproven {
            Unproven::Unauthorized => Denied::Unauthorized,
            Unproven::Busy => Denied::Unheard,
        })?;
        if user.is_in(UNAUTHENTICATED) {
            return Err(Denied::Anonymous);
        }
        let (nodes, namespaces) = try_join(
            self.nodes(&user, &needs.nodes),
            self.namespaces(&user, &needs.namespaces),
        )
        .await?;
        let visible = Visible {
            nodes,
            namespaces,
            specs: false,
        };
        let reader = Arc::from(user.name.as_str());
        if needs.is_nothing() {
            return Ok((reader, visible));
        }
        if visible.is_nothing() {
            return Err(Denied::Forbidden(refusal(&user, needs)));
        }
        let specs = self.specs(&user, &needs.namespaces).await?;
        Ok((reader, Visible { specs, ..visible }))
    }

    /// Requests and limits stand in the pods themselves: who may list these where they are asked of may see them.
    async fn specs(&self, user: &User, asks: &Asks) -> Result<bool, Denied> {
        if !self.cluster.is_watched() {
            // There is nothing to be hidden.
            return Ok(true);
        }
        let namespace = match asks {
            Asks::One(name) => name.clone(),
            Asks::Nothing | Asks::All => String::new(),
        };
        let pods = Attributes::Resource(Resource {
            verb: "list",
            version: "v1".to_owned(),
            resource: "pods".to_owned(),
            namespace,
            ..Resource::default()
        });
        self.may(user, pods).await
    }

    async fn nodes(&self, user: &User, asks: &Asks) -> Result<Names, Denied> {
        if *asks == Asks::Nothing {
            return Ok(Names::none());
        }
        if self.may(user, resource("list", "nodes", ("", ""))).await? {
            return Ok(Names::All);
        }
        let Asks::One(name) = asks else {
            return Ok(Names::none());
        };
        let may = self.may(user, resource("get", "nodes", ("", name))).await?;
        Ok(Names::only(may.then(|| name.as_str().into())))
    }

    async fn namespaces(&self, user: &User, asks: &Asks) -> Result<Names, Denied> {
        let all: Vec<Arc<str>> = match asks {
            Asks::Nothing => return Ok(Names::none()),
            Asks::One(name) => vec![name.as_str().into()],
            Asks::All => Vec::new(),
        };
        if self.may(user, resource("list", "pods", ("", ""))).await? {
            return Ok(Names::All);
        }
        let all = if *asks == Asks::All {
            let known = self.cluster.known();
            if known.is_some_and(|known| !known.is_synced()) {
                // Of namespaces that are not known yet nobody can be told that they may not see them.
                return Err(Denied::Undecided);
            }
            known.map(Known::namespaces).unwrap_or_default()
        } else {
            all
        };
        if all.len() > MOST_NAMESPACES {
            return Err(Denied::TooMany);
        }
        let mut visible: Vec<Arc<str>> = Vec::new();
        for some in all.chunks(AT_ONCE) {
            let asked = some.iter();
            let asked = asked.map(|name| self.may(user, resource("list", "pods", (name, ""))));
            let may = try_join_all(asked).await?;
            let those = some.iter().zip(may).filter(|(_, may)| *may);
            visible.extend(those.map(|(name, _)| Arc::clone(name)));
        }
        Ok(Names::only(visible))
    }

    async fn may(&self, user: &User, what: Attributes) -> Result<bool, Denied> {
        match self.rights.decide(user, &what).await {
            Decision::Allowed => Ok(true),
            Decision::Denied(_) => Ok(false),
            Decision::Unanswered(why) => {
                tracing::warn!(
                    why,
                    "what a reader may see could not be found out: it is refused"
                );
                Err(Denied::Undecided)
            }
            Decision::Busy => Err(Denied::Busy),
        }
    }
}

/// True when something that is asked for may be left out.
fn is_part(asks: &Asks, visible: &Names) -> bool {
    match asks {
        Asks::Nothing => false,
        Asks::One(name) => !visible.has(name),
        Asks::All => *visible != Names::All,
    }
}

/// What somebody cannot do who may see nothing of what they ask for: the same for what there is and for what
/// there is not.
fn refusal(user: &User, needs: &Needs) -> String {
    let what = match (&needs.namespaces, &needs.nodes) {
        (Asks::One(name), _) => resource("list", "pods", (name, "")),
        (Asks::All, _) => resource("list", "pods", ("", "")),
        (Asks::Nothing, Asks::One(name)) => resource("get", "nodes", ("", name)),
        (Asks::Nothing, _) => resource("list", "nodes", ("", "")),
    };
    let also = match needs.namespaces {
        Asks::All => "nor in any namespace",
        _ => "",
    };
    what.refusal(user, also)
}
