//! Why a stream is not who it says, or no longer.

use std::sync::Arc;

use tonic::Status;

/// Why a stream is not who it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No `authorization` with a bearer token.
    #[error("no bearer token was sent: start the agent with --token-file")]
    NoToken,
    /// A token that no line of the file has.
    #[error(
        "the token is not in the aggregator's token file: is the node's line there, with the \
         sha256 of this token?"
    )]
    Unknown,
    /// No client certificate.
    #[error(
        "no client certificate was shown: start the agent with --aggregator-client-cert and \
         --aggregator-client-key"
    )]
    NoCertificate,
    /// One that does not hold.
    #[error("the client certificate is refused: {0} (see --ingest-client-ca)")]
    Certificate(String),
    /// Its CA signs for others than agents too: which, and what to do.
    #[error("{0}")]
    SharedCa(Arc<str>),
    /// One that names no node, or more than one.
    #[error("the client certificate must have one DNS name, and that must be the node's")]
    NoNodeName,
    /// Not what an API server makes for a service account.
    #[error("the token is no service account's: is it the projected one of the agent's pod?")]
    NoServiceAccount,
    /// Changed, or of another cluster.
    #[error("the token was not signed by this cluster: does the agent run in another one?")]
    Signature,
    /// Its time is over.
    #[error("the token has expired: does the kubelet still renew the agent's projected token?")]
    Expired,
    /// Meant for somebody else.
    #[error("the token is not meant for this aggregator: its audience must be one of {0}")]
    Audience(String),
    /// Of another service account.
    #[error("the token belongs to {is}, and agents are {expected}: see --agent-service-account")]
    Account {
        /// Its own.
        is: String,
        /// The agents'.
        expected: String,
    },
    /// Nothing says on which node it is used.
    #[error("the token is not bound to a pod: agents send the projected token of their pod")]
    NotBound,
    /// What the token says is not where the pod is.
    #[error("the token's pod is placed on another node than the token says")]
    Placed,
    /// Neither the token nor the watch says where its pod is.
    #[error("the token's pod is not known yet: it is taken as soon as the cluster's watch has it")]
    PodUnknown,
    /// The Kubernetes API does not know it.
    #[error("the Kubernetes API does not know the token: {0}")]
    NotAuthenticated(String),
    /// The Kubernetes API was asked and said nothing.
    #[error(
        "the token could not be reviewed, since the Kubernetes API gave no answer: try again later"
    )]
    Unanswered,
    /// Too many others wait.
    #[error("too many tokens wait for their review: try again later")]
    Busy,
    /// It was good.
    #[error("{0}")]
    Over(Over),
}

impl Refusal {
    /// The same token will be refused again.
    pub(super) fn is_lasting(&self) -> bool {
        !matches!(self, Self::Unanswered | Self::Busy | Self::PodUnknown)
    }

    /// What to answer with: later it may go well, or not.
    pub(crate) fn status(&self) -> Status {
        let text = self.to_string();
        match self {
            Self::Unanswered | Self::Busy | Self::PodUnknown => Status::unavailable(text),
            _ => Status::unauthenticated(text),
        }
    }

    /// In metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Unknown => "unknown_token",
            Self::NoCertificate => "no_certificate",
            Self::Certificate(_) => "certificate",
            Self::SharedCa(_) => "shared_ca",
            Self::NoNodeName => "no_node_name",
            Self::NoServiceAccount => "no_service_account",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::Audience(_) => "audience",
            Self::Account { .. } => "account",
            Self::NotBound => "not_bound",
            Self::Placed => "placed",
            Self::PodUnknown => "pod_unknown",
            Self::NotAuthenticated(_) => "not_authenticated",
            Self::Unanswered => "unanswered",
            Self::Busy => "busy",
            Self::Over(_) => "over",
        }
    }
}

/// Why an identity that was given out is no good any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Over {
    /// Its line is not in the file of tokens any more.
    #[error("the token was taken out of the aggregator's token file")]
    Removed,
    /// Its end has come, and no fresh one.
    #[error("the token has expired and no fresh one came: does the kubelet still renew it?")]
    Expired,
    /// The end of a certificate has come.
    #[error(
        "the client certificate has expired: is it renewed, and are the agent's files the new ones?"
    )]
    CertificateExpired,
    /// No CA that is trusted now signed it.
    #[error("the CA of the client certificate is not in --ingest-client-ca any more")]
    Untrusted,
    /// A CA that is trusted now signs for others than agents too.
    #[error(
        "a CA of --ingest-client-ca signs for others than agents too: /readyz?verbose of the aggregator says for whom"
    )]
    SharedCa,
    /// The Kubernetes API does not know it any more.
    #[error("the Kubernetes API does not know the token any more")]
    Revoked,
    /// The pod that it was made for.
    #[error("the token's pod is gone")]
    PodGone,
}
