//! How an exchange with a peer ends.

use cairn_proto::{stream, wire};
use cairn_runtime::logging;
use cairn_runtime::tls::{ConnectError, ConnectKind};
use tonic::{Code, Status};

/// Kinds of ends: a closed set, used as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The host name was not resolved.
    Resolve,
    /// Not reached.
    Connect,
    /// The certificate was refused.
    Certificate,
    /// Not in time.
    Timeout,
    /// The token was refused, or could not be read.
    Auth,
    /// The peer has no such exchange: it is older, or no aggregator.
    Unsupported,
    /// The peer refused for another reason.
    Refused,
    /// The connection ended.
    Closed,
    /// The peer said something that makes no sense.
    Protocol,
    /// What it sent of a node is not what may be taken.
    Data,
}

impl Kind {
    /// The word for it in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Resolve => "resolve",
            Kind::Connect => "connect",
            Kind::Certificate => "certificate",
            Kind::Timeout => "timeout",
            Kind::Auth => "auth",
            Kind::Unsupported => "unsupported",
            Kind::Refused => "refused",
            Kind::Closed => "closed",
            Kind::Protocol => "protocol",
            Kind::Data => "data",
        }
    }
}

/// How an exchange failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What kind of end.
    pub(super) kind: Kind,
    /// One line for people: what happened and what to check.
    pub(super) reason: String,
}

impl Failure {
    pub(super) fn new(kind: Kind, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { kind, reason }
    }

    /// The end of an attempt that got no verified connection.
    pub(super) fn of_connect(error: &ConnectError) -> Self {
        let kind = match error.kind() {
            ConnectKind::Connect => Kind::Connect,
            ConnectKind::Timeout => Kind::Timeout,
            ConnectKind::Certificate | ConnectKind::Handshake => Kind::Certificate,
        };
        Self::new(kind, logging::chain(error))
    }

    /// The end that the peer, or the connection to it, gave the stream.
    pub(super) fn of_status(status: &Status) -> Self {
        if let Some(why) = stream::unreadable(status) {
            let why = logging::escape(why);
            let reason = format!(
                "the peer sent a frame that is not one of this protocol: {why}: check --peer, and what is \
                 between"
            );
            return Self::new(Kind::Protocol, reason);
        }
        let (kind, check) = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => (
                Kind::Auth,
                ": check --peer-token-file, and the @peer line in the peer's token file",
            ),
            Code::DeadlineExceeded => (Kind::Timeout, ""),
            Code::Unimplemented => (Kind::Unsupported, ": check --peer, and the peer's version"),
            // What the connection itself says comes with these codes.
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal => {
                (Kind::Closed, "")
            }
            _ => (Kind::Refused, ""),
        };
        let said = logging::escape(&wire::cut(status.message().to_owned()));
        let code = status.code();
        Self::new(kind, format!("the exchange ended: {code:?}: {said}{check}"))
    }
}

/// How an exchange ends when nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// Nothing more is wished for.
    Idle,
    /// The address leads to this very process.
    Own,
    /// The process is asked at another address already.
    Elsewhere,
    /// This process stops.
    Shutdown,
}
