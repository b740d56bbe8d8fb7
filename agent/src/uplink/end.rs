//! How an attempt or a session ends.

use std::time::Duration;

use cairn_proto::{stream, v1, wire};
use cairn_runtime::logging;
use cairn_runtime::tls::{ConnectError, ConnectKind};
use tonic::{Code, Status};

/// Kinds of ends: a closed set, used as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndKind {
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
    /// A newer session of this node took over.
    Fenced,
    /// The aggregator refused for another reason.
    Refused,
    /// The aggregator takes nothing any more.
    Stalled,
    /// The connection ended.
    Closed,
    /// The aggregator said something that makes no sense.
    Protocol,
    /// The aggregator asked to leave.
    Drained,
    /// A new run began.
    NewRun,
    /// This process stops.
    Shutdown,
}

impl EndKind {
    /// The word for it in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EndKind::Resolve => "resolve",
            EndKind::Connect => "connect",
            EndKind::Certificate => "certificate",
            EndKind::Timeout => "timeout",
            EndKind::Auth => "auth",
            EndKind::Fenced => "fenced",
            EndKind::Refused => "refused",
            EndKind::Stalled => "stalled",
            EndKind::Closed => "closed",
            EndKind::Protocol => "protocol",
            EndKind::Drained => "drained",
            EndKind::NewRun => "new_run",
            EndKind::Shutdown => "shutdown",
        }
    }
}

/// How an attempt or a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// What kind of end.
    pub kind: EndKind,
    /// One line for people: what happened and what to check.
    pub reason: String,
    /// When the aggregator wants to be asked again, if it said so.
    pub retry_after: Option<Duration>,
}

impl End {
    /// The end that an aggregator asked for, with its wish.
    #[must_use]
    pub fn drained(drain: v1::Drain) -> Self {
        let reason = logging::escape(&wire::cut(drain.reason));
        Self {
            kind: EndKind::Drained,
            reason: format!("aggregator asked to leave: {reason}"),
            retry_after: Some(Duration::from_millis(drain.reconnect_after_ms)),
        }
    }

    /// An end without a wish for the next attempt.
    #[must_use]
    pub fn new(kind: EndKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// The end of an attempt that got no verified connection.
    #[must_use]
    pub fn of_connect(error: &ConnectError) -> Self {
        let kind = match error.kind() {
            ConnectKind::Connect => EndKind::Connect,
            ConnectKind::Timeout => EndKind::Timeout,
            ConnectKind::Certificate | ConnectKind::Handshake => EndKind::Certificate,
        };
        Self::new(kind, logging::chain(error))
    }

    /// The end that the aggregator, or the connection to it, gave a stream.
    #[must_use]
    pub fn of_status(status: &Status) -> Self {
        if let Some(why) = stream::unreadable(status) {
            let why = logging::escape(why);
            let reason = format!(
                "aggregator sent a frame that is not one of this protocol: {why}: check --aggregator, and \
                 what is between"
            );
            return Self::new(EndKind::Protocol, reason);
        }
        let (kind, check) = match status.code() {
            Code::Unauthenticated => (
                EndKind::Auth,
                ": check --token-file or --aggregator-client-cert",
            ),
            Code::PermissionDenied => (
                EndKind::Auth,
                ": check --node-name, and --token-file or --aggregator-client-cert",
            ),
            Code::Aborted => (EndKind::Fenced, ""),
            Code::DeadlineExceeded => (EndKind::Timeout, ""),
            // What the connection itself says comes with these codes.
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal => {
                (EndKind::Closed, "")
            }
            _ => (EndKind::Refused, ""),
        };
        let said = logging::escape(&wire::cut(status.message().to_owned()));
        let code = status.code();
        Self::new(
            kind,
            format!("aggregator ended the stream: {code:?}: {said}{check}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_token_names_its_flag() {
        let end = End::of_status(&Status::unauthenticated("token is\nexpired"));
        assert_eq!(end.kind, EndKind::Auth);
        let expected = "aggregator ended the stream: Unauthenticated: token is\\u{a}expired: check \
                        --token-file or --aggregator-client-cert";
        assert_eq!(end.reason, expected);
        assert_eq!(
            End::of_status(&Status::aborted("newer session")).kind,
            EndKind::Fenced
        );
        assert_eq!(
            End::of_status(&Status::invalid_argument("x")).kind,
            EndKind::Refused
        );
    }
}
