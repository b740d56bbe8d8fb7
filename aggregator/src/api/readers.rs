//! Who reads, and what of the cluster they may see: one value, made before anything is looked up.
//!
//! Nodes are for who may list `nodes.metrics.k8s.io`, or get the one that is asked for. Pods and containers are
//! for who may list `pods.metrics.k8s.io`: everywhere, which is asked first, or in their namespace. A question
//! about all namespaces is answered of those that may be listed, which are asked for one by one, as far as that is
//! settled: those in which pods are now, and those of which the window has any.

mod lease;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::clock::Clock;
use cairn_runtime::tls::PeerCertificates;
use futures_util::future::try_join;
use http::HeaderMap;
use tokio::time::Instant;

use super::needs::{Asks, Needs};
use super::secure::GROUP;
use crate::access::{
    Attributes, Authenticators, Decision, Kept, MOST_RIGHTS_OF_ONE, Resource, Rights,
    UNAUTHENTICATED, Unproven, Unsettled, User, Within,
};
use crate::cluster::{Cluster, Known};
use crate::query::{Names, Visible};
use crate::store::Door;

pub use lease::{Lease, Over};

/// How long a request waits for what its reader may see of many namespaces.
const PATIENCE: Duration = Duration::from_secs(9);

/// Knows who reads and asks what they may.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    pub(super) authenticators: Authenticators,
    pub(super) rights: Rights,
    pub(super) cluster: Cluster,
    pub(super) store: Arc<dyn Door>,
    pub(super) clock: Clock,
}

/// Somebody who is let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who they are: what they have is counted by it.
    pub reader: Arc<str>,
    /// What they may see of what they ask for.
    pub visible: Visible,
    /// Whether that may be less than they ask for.
    pub of: Of,
    /// For how long.
    pub lease: Lease,
}

/// What an answer is of, beside what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Of {
    /// It may be less.
    pub is_part: bool,
    /// Namespaces of which it is not known yet whether their reader may see them; they are left out.
    pub pending: usize,
}

/// What was found out of somebody.
struct Seen {
    reader: Arc<str>,
    visible: Visible,
    // Namespaces of which it is not known yet, and those among them of which it will be.
    pending: usize,
    settling: usize,
    kept: Kept,
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
    /// Nothing is settled that they may see, and namespaces are being asked about.
    #[error(
        "what you may see is still being found out, namespace by namespace: try again in a moment, name one, or ask for \
         the right to list pods.metrics.k8s.io in all of them"
    )]
    Asking,
    /// They may see pods of more namespaces than can be asked about again in time.
    #[error(
        "you may list pods.metrics.k8s.io in more than {n} namespaces one by one, which is more than can be checked \
         again in time: name a namespace, or ask for a ClusterRoleBinding that lets you list them in all \
         (docs/access.md)",
        n = MOST_RIGHTS_OF_ONE
    )]
    TooMany,
    /// All readers together may.
    #[error(
        "readers of many namespaces have all the rights that can be checked again in time: try again in half a minute, \
         name a namespace, or ask for a ClusterRoleBinding that lets you list pods.metrics.k8s.io in all \
         (docs/access.md)"
    )]
    Crowded,
}

/// What may be done with metrics.k8s.io.
fn resource(verb: &'static str, resource: &str, of: (&str, &str)) -> Attributes {
    Attributes::Resource(of_metrics(verb, resource, of))
}

fn of_metrics(verb: &'static str, resource: &str, (namespace, name): (&str, &str)) -> Resource {
    Resource {
        verb,
        group: GROUP.to_owned(),
        version: "v1beta1".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Resource::default()
    }
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
        let evidence = self.authenticators.evidence(headers);
        let until_ms = self.authenticators.until_ms(headers, shown.as_deref());
        let Seen {
            reader,
            visible,
            pending,
            kept,
            ..
        } = self
            .visible(headers, shown.as_deref(), &needs, PATIENCE)
            .await?;
        let is_part = is_part(&needs.nodes, &visible.nodes)
            || is_part(&needs.namespaces, &visible.namespaces);
        let of = Of { is_part, pending };
        let proof = lease::Proof {
            evidence,
            shown,
            until_ms,
        };
        let lease = Lease::new(self.clone(), proof, needs, (visible.clone(), kept));
        Ok(Admitted {
            reader,
            visible,
            of,
            lease,
        })
    }

    /// Who asks, and what they may see of what they ask for; at least something, when it is about anything. That time
    /// is waited for namespaces that are asked about one by one.
    async fn visible(
        &self,
        headers: &mut HeaderMap,
        shown: Option<&PeerCertificates>,
        needs: &Needs,
        patience: Duration,
    ) -> Result<Seen, Denied> {
        let began = Instant::now();
        let user = self.authenticators.user(headers, shown).await;
        let user = user.map_err(|unproven| match unproven {
            Unproven::Unauthorized => Denied::Unauthorized,
            Unproven::Busy => Denied::Unheard,
        })?;
        if user.is_in(UNAUTHENTICATED) {
            return Err(Denied::Anonymous);
        }
        let (nodes, (namespaces, within)) = try_join(
            self.nodes(&user, &needs.nodes),
            self.namespaces(&user, &needs.namespaces, patience),
        )
        .await?;
        let Within {
            pending,
            beyond,
            kept,
            ..
        } = within;
        let visible = Visible {
            nodes,
            namespaces,
            specs: false,
        };
        let reader = Arc::from(user.name.as_str());
        let seen = |visible| Seen {
            reader,
            visible,
            pending,
            settling: pending.saturating_sub(beyond),
            // What was answered first may have waited for the rest.
            kept: Kept {
                oldest: kept.oldest.max(began.elapsed()),
                ..kept
            },
        };
        if needs.is_nothing() {
            return Ok(seen(visible));
        }
        // Of namespaces that are not asked about nothing is to come.
        if visible.is_nothing() && pending > beyond {
            return Err(Denied::Asking);
        }
        if visible.is_nothing() {
            return Err(Denied::Forbidden(refusal(&user, needs, beyond > 0)));
        }
        let specs = self.specs(&user, &needs.namespaces).await?;
        Ok(seen(Visible { specs, ..visible }))
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

    /// Namespaces of which somebody may see the pods, and on what that rests where they were asked for one by one.
    async fn namespaces(
        &self,
        user: &User,
        asks: &Asks,
        patience: Duration,
    ) -> Result<(Names, Within), Denied> {
        let settled = |names| Ok((names, Within::default()));
        if *asks == Asks::Nothing {
            return settled(Names::none());
        }
        if self.may(user, resource("list", "pods", ("", ""))).await? {
            return settled(Names::All);
        }
        if let Asks::One(name) = asks {
            // Whether it is there or not: one that is not looks like one that may not be seen.
            let may = self.may(user, resource("list", "pods", (name, ""))).await?;
            return settled(Names::only(may.then(|| name.as_str().into())));
        }
        let known = self.cluster.known();
        if known.is_some_and(|known| !known.is_synced()) {
            // Of namespaces that are not known yet nobody can be told that they may not see them.
            return Err(Denied::Undecided);
        }
        let names = self.all_namespaces(known);
        let what = of_metrics("list", "pods", ("", ""));
        let within = self.rights.within(user, &what, (&names, patience)).await;
        let mut within = within.map_err(unsettled)?;
        let allowed = std::mem::take(&mut within.allowed);
        Ok((Names::only(allowed), within))
    }

    /// Namespaces in which pods are now, and then those that only the window has any of; each in order.
    fn all_namespaces(&self, known: Option<&Known>) -> Vec<Arc<str>> {
        let mut names = known.map(Known::namespaces).unwrap_or_default();
        if known.is_some() {
            let now: BTreeSet<Arc<str>> = names.iter().cloned().collect();
            let mut before = self.store.namespaces();
            before.retain(|name| !name.is_empty() && !now.contains(name));
            before.sort_unstable();
            names.append(&mut before);
        }
        names
    }

    async fn may(&self, user: &User, what: Attributes) -> Result<bool, Denied> {
        match self.rights.decide(user, &what).await {
            Decision::Allowed => Ok(true),
            Decision::Denied(_) => Ok(false),
            decision => Err(undecided(&decision)),
        }
    }
}

/// Why nobody could say, which is told.
fn undecided(decision: &Decision) -> Denied {
    let Decision::Unanswered(why) = decision else {
        return Denied::Busy;
    };
    unanswered(why)
}

fn unanswered(why: &str) -> Denied {
    tracing::warn!(
        why,
        "what a reader may see could not be found out: it is refused"
    );
    Denied::Undecided
}

/// Why it is not known, or not kept, in which namespaces.
fn unsettled(why: Unsettled) -> Denied {
    match why {
        Unsettled::Unanswered(why) => unanswered(&why),
        Unsettled::Busy => Denied::Busy,
        Unsettled::TooMany => Denied::TooMany,
        Unsettled::Crowded => Denied::Crowded,
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
/// there is not. `are_more` says that there are namespaces which were not asked about.
fn refusal(user: &User, needs: &Needs, are_more: bool) -> String {
    let what = match (&needs.namespaces, &needs.nodes) {
        (Asks::One(name), _) => resource("list", "pods", (name, "")),
        (Asks::All, _) => resource("list", "pods", ("", "")),
        (Asks::Nothing, Asks::One(name)) => resource("get", "nodes", ("", name)),
        (Asks::Nothing, _) => resource("list", "nodes", ("", "")),
    };
    let also = match needs.namespaces {
        Asks::All if are_more => {
            "nor in any namespace that was asked about, which are not all: name one"
        }
        Asks::All => "nor in any namespace",
        _ => "",
    };
    what.refusal(user, also)
}
