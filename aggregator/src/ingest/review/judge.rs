//! What a token must be to be an agent's: of the agents' service account, for this audience, and bound to a
//! pod whose node is known. One that is bound to a node, a secret or nothing could be anybody's.

use std::sync::Arc;

use cairn_proto::model::{EntityKind, check_name};
use cairn_runtime::logging;

use super::super::refusal::Refusal;
use super::grant::{Role, Subject};
use crate::cluster::Cluster;
use crate::cluster::authority::Review;
use crate::cluster::token::Claims;

/// Whom to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// One of these a token must be meant for.
    pub audiences: Vec<String>,
    /// `system:serviceaccount:NAMESPACE:NAME` of the agents.
    pub agent: String,
    /// That of the aggregators.
    pub peer: String,
}

/// What a token is of, whoever said so.
struct Said {
    username: String,
    audiences: Vec<String>,
    pod: Option<(String, String)>,
    node: Option<String>,
}

/// Judges what a token says that the cluster's keys signed.
pub(super) fn claims(rules: &Rules, cluster: &Cluster, claims: Claims) -> Result<Subject, Refusal> {
    let said = Said {
        username: claims.username,
        audiences: claims.audiences,
        pod: claims.pod,
        node: claims.node,
    };
    judge(rules, cluster, said)
}

/// Judges what the Kubernetes API says of a token.
pub(super) fn review(rules: &Rules, cluster: &Cluster, review: Review) -> Result<Subject, Refusal> {
    if !review.authenticated {
        return Err(Refusal::NotAuthenticated(logging::escape(&review.error)));
    }
    let said = Said {
        username: review.username,
        audiences: review.audiences,
        pod: Some((review.pod_name, review.pod_uid)),
        node: Some(review.node_name),
    };
    judge(rules, cluster, said)
}

fn judge(rules: &Rules, cluster: &Cluster, said: Said) -> Result<Subject, Refusal> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let is_meant = said.audiences.iter().any(|a| rules.audiences.contains(a));
    if !is_meant {
        return Err(Refusal::Audience(rules.audiences.join(", ")));
    }
    let is_peer = said.username == rules.peer;
    if said.username != rules.agent && !is_peer {
        return Err(Refusal::Account {
            is: logging::escape(&said.username),
            expected: rules.agent.clone(),
        });
    }
    let bound = said
        .pod
        .filter(|(name, uid)| !name.is_empty() && !uid.is_empty());
    let (pod, pod_uid) = bound.ok_or(Refusal::NotBound)?;
    let account = said.username.strip_prefix("system:serviceaccount:");
    let namespace = account.and_then(|account| account.split_once(':'));
    let namespace = namespace.map(|(namespace, _)| namespace.to_owned());
    let namespace = namespace.ok_or(Refusal::NotBound)?;
    let role = if is_peer {
        Role::Peer
    } else {
        let known = cluster
            .known()
            .and_then(|known| known.pod(&namespace, &pod));
        // Empty while it is not heard of that the pod was placed.
        let placed = known.filter(|known| *known.uid == *pod_uid && !known.node.is_empty());
        let node = match (filled(said.node), placed) {
            (Some(node), Some(placed)) if *placed.node != *node => return Err(Refusal::Placed),
            (Some(node), _) => Arc::from(node),
            // Before Kubernetes 1.30 a token does not say it.
            (None, Some(placed)) => Arc::clone(&placed.node),
            (None, None) => return Err(Refusal::PodUnknown),
        };
        check_name(EntityKind::Node, &node).map_err(|_| Refusal::NotBound)?;
        Role::Node(node)
    };
    Ok(Subject {
        role,
        namespace,
        pod,
        pod_uid,
    })
}
