//! Why a scrape of the kubelet failed.

use std::time::Duration;

use cairn_runtime::{body, files, logging, tls};

use super::Endpoint;
use crate::config::Who;
use crate::sources::{Failure, FailureKind, cadvisor, resource, summary};

/// Why a scrape brought nothing. Most of the texts go on from who it is about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No file to verify the kubelet's certificate with.
    #[error(
        "no certificate to verify the kubelet with was found in the usual places yet: give --kubelet-ca or \
         --kubelet-cert"
    )]
    NoTrust,
    /// The token's file could not be read.
    #[error("no token for the kubelet: check --kubelet-token-file")]
    ReadToken {
        /// Which file, and why.
        source: files::Error,
    },
    /// The token's file holds what no header can carry.
    #[error(
        "--kubelet-token-file is empty or holds characters that no token has: check which file it names"
    )]
    Token,
    /// No verified connection.
    #[error("was not reached")]
    Connect {
        /// Why.
        source: Box<tls::ConnectError>,
    },
    /// The connection broke before there was an answer.
    #[error("closed the connection without an answer: check that it runs")]
    Exchange {
        /// What the connection said.
        source: hyper::Error,
    },
    /// Not done in time.
    #[error("did not answer within {deadline:?}: check its load and its log")]
    Deadline {
        /// The time given for everything.
        deadline: Duration,
    },
    /// 401 or 403.
    #[error("answered {code}")]
    Refused {
        /// The status.
        code: u16,
        /// Whether a token was shown.
        with_token: bool,
    },
    /// Any other status than 200.
    #[error("answered {code}")]
    Status {
        /// The status.
        code: u16,
    },
    /// Another kind of content than was asked for.
    #[error("answered with content type {found:?}: check what listens on that address")]
    ContentType {
        /// The content type found, escaped and cut.
        found: String,
    },
    /// The body could not be read.
    #[error("gave an answer that could not be read")]
    Body {
        /// Why.
        source: body::Error,
    },
    /// The body is no summary.
    #[error("gave an answer that could not be understood")]
    Summary {
        /// Why.
        source: summary::Error,
    },
    /// The body is no resource answer.
    #[error("gave an answer that could not be understood")]
    Resource {
        /// Why.
        source: resource::Error,
    },
    /// The body is none of cAdvisor's.
    #[error("gave an answer that could not be understood")]
    Cadvisor {
        /// Why.
        source: cadvisor::Error,
    },
}

impl Error {
    /// The kind, for metrics.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::NoTrust => FailureKind::Certificate,
            Self::ReadToken { .. } | Self::Token => FailureKind::Read,
            Self::Connect { source } => match source.kind() {
                tls::ConnectKind::Connect => FailureKind::Connect,
                tls::ConnectKind::Timeout => FailureKind::Timeout,
                tls::ConnectKind::Certificate | tls::ConnectKind::Handshake => {
                    FailureKind::Certificate
                }
            },
            Self::Exchange { .. } => FailureKind::Connect,
            Self::Deadline { .. } => FailureKind::Timeout,
            Self::Refused { .. } => FailureKind::Auth,
            Self::Status { .. } | Self::ContentType { .. } => FailureKind::Status,
            Self::Body { source } => match source {
                body::Error::TooLarge { .. } => FailureKind::TooLarge,
                body::Error::Deadline { .. } => FailureKind::Timeout,
                body::Error::Read { .. } => FailureKind::Connect,
            },
            Self::Summary { .. } | Self::Resource { .. } | Self::Cadvisor { .. } => {
                FailureKind::Parse
            }
        }
    }

    /// The whole chain of who it is about.
    pub(super) fn told_of(&self, who: Who) -> String {
        let chain = logging::chain(self);
        match self {
            Self::NoTrust | Self::ReadToken { .. } | Self::Token => chain,
            _ => format!("{} {chain}", who.as_str()),
        }
    }

    /// What people are told: the whole chain, the endpoint, and what to check.
    pub(super) fn failure(&self, endpoint: Endpoint, who: Who) -> Failure {
        let Endpoint { path, right, .. } = endpoint;
        let chain = self.told_of(who);
        let (reason, missing_right) = match self {
            Self::Refused { .. } if who == Who::Cadvisor => (
                format!(
                    "{chain} for {path}: it wants a password, which the agent does not send: serve it \
                     without one on loopback"
                ),
                "",
            ),
            Self::Refused {
                with_token: false, ..
            } => (
                format!(
                    "{chain} for {path} without a token: give --kubelet-token-file; it is sent \
                     only where the certificate is verified, or else to a process of uid 0"
                ),
                "",
            ),
            Self::Refused { code: 401, .. } => (
                format!(
                    "{chain} for {path}: is --kubelet-token-file a token of this cluster, for its \
                     API server's audience? the right it then needs is {right}"
                ),
                "",
            ),
            Self::Refused { .. } => (
                format!("{chain} for {path}: does the agent's ClusterRole allow {right}?"),
                right,
            ),
            Self::Status { code: 300..400 } => (
                format!("{chain}, a redirect, for {path}: check {}", who.flag()),
                "",
            ),
            Self::Status { code } => {
                let step = status_step(*code, who);
                (format!("{chain} for {path}: {step}"), "")
            }
            Self::Body {
                source: body::Error::TooLarge { .. },
            } => (
                format!(
                    "{path}: {chain}: check that {} is the address of a {}, and how many pods and volumes it has",
                    who.flag(),
                    who.as_str()
                ),
                "",
            ),
            _ => (format!("{path}: {chain}"), ""),
        };
        Failure {
            kind: self.kind(),
            reason,
            missing_right,
        }
    }
}

/// What to do about a status that says nothing of rights.
fn status_step(code: u16, who: Who) -> String {
    let name = who.as_str();
    match code {
        // Too many requests, or a fault of its own.
        429 | 500..600 if who == Who::Kubelet => "look into the kubelet's log".to_owned(),
        429 | 500..600 => format!("look into {name}'s log"),
        _ => format!("check that {} is the address of a {name}", who.flag()),
    }
}
