//! Why the API server gave no answer.

use std::time::Duration;

use cairn_runtime::tls::ConnectError;
use cairn_runtime::{body, files};

/// Why a request to the API server failed. Messages say what to check.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of the token was not read.
    #[error("--kubernetes-token-file")]
    Token {
        /// Why.
        source: files::Error,
    },
    /// The file of the token holds none.
    #[error("--kubernetes-token-file: it is empty or holds characters that no token has")]
    NoToken,
    /// The name of the API server does not resolve.
    #[error("{why}")]
    Lookup {
        /// Why, and what to check.
        why: String,
    },
    /// No verified connection came to be.
    #[error("no connection to the Kubernetes API")]
    Connect {
        /// Why.
        #[source]
        source: Box<ConnectError>,
    },
    /// It speaks something else.
    #[error("{authority} does not speak HTTP/2: check --kubernetes-api")]
    Protocol {
        /// Host and port.
        authority: String,
    },
    /// The connection broke off.
    #[error(
        "the connection to the Kubernetes API broke off ({why}): check the API server and the network"
    )]
    Broken {
        /// What it said, on one line.
        why: String,
    },
    /// The request cannot be put into words.
    #[error("the request to the Kubernetes API cannot be made: {why}")]
    Request {
        /// Why.
        why: String,
    },
    /// No answer began in time.
    #[error("the Kubernetes API did not answer {path} within {deadline:?}: check its load")]
    Deadline {
        /// What was asked for.
        path: String,
        /// The time given.
        deadline: Duration,
    },
    /// It answered with another status than success.
    #[error("the Kubernetes API answered {code} for {path}{}", said(*.code, .message))]
    Status {
        /// The HTTP status.
        code: u16,
        /// What was asked for.
        path: String,
        /// What its `Status` said; may be empty.
        message: String,
        /// When to come again, where it said so.
        retry_after: Option<Duration>,
    },
    /// The version that was asked for is forgotten: everything has to be listed anew.
    #[error("the Kubernetes API has forgotten the version that was asked for")]
    Gone {
        /// Of a list: where it may be gone on with, as of a later version.
        next: Option<String>,
    },
    /// The body of an answer was not read.
    #[error("the answer of the Kubernetes API was not read")]
    Body {
        /// Why.
        #[from]
        source: body::Error,
    },
    /// The body of an answer is not what it should be.
    #[error("the answer of the Kubernetes API to {path} is not understood: check --kubernetes-api")]
    Decode {
        /// What was asked for.
        path: String,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
}

/// The kinds of [`Error`], closed, for metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Not reached, or broken off.
    Connect,
    /// Not in time.
    Timeout,
    /// No token, or one that is not taken.
    Auth,
    /// The version is forgotten.
    Gone,
    /// Another status.
    Status,
    /// The answer is not understood.
    Parse,
}

impl Kind {
    /// What it is called in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Auth => "auth",
            Self::Gone => "gone",
            Self::Status => "status",
            Self::Parse => "parse",
        }
    }
}

impl Error {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Token { .. } | Self::NoToken => Kind::Auth,
            Self::Status {
                code: 401 | 403, ..
            } => Kind::Auth,
            Self::Lookup { .. } | Self::Connect { .. } | Self::Broken { .. } => Kind::Connect,
            Self::Deadline { .. } => Kind::Timeout,
            Self::Gone { .. } => Kind::Gone,
            Self::Status { .. } => Kind::Status,
            Self::Body { source } => match source {
                body::Error::Deadline { .. } => Kind::Timeout,
                body::Error::TooLarge { .. } => Kind::Parse,
                body::Error::Read { .. } => Kind::Connect,
            },
            Self::Protocol { .. } | Self::Request { .. } | Self::Decode { .. } => Kind::Parse,
        }
    }

    /// True when the same question may be answered a moment later: it is load or the way there that speaks against it,
    /// and not what was asked for.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Status { code, .. } => *code == 429 || *code >= 500,
            Self::Lookup { .. }
            | Self::Connect { .. }
            | Self::Broken { .. }
            | Self::Deadline { .. }
            | Self::Body { .. } => true,
            Self::Token { .. }
            | Self::NoToken
            | Self::Protocol { .. }
            | Self::Request { .. }
            | Self::Gone { .. }
            | Self::Decode { .. } => false,
        }
    }

    /// When the API server wishes to be asked again, where it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What a status means here, for the message.
fn said(code: u16, message: &str) -> String {
    let hint = match code {
        401 => ": check --kubernetes-token-file",
        403 => ": does the ClusterRole allow get, list and watch?",
        _ => "",
    };
    match message {
        "" => hint.to_owned(),
        message => format!(": {message}{hint}"),
    }
}
