//! What a check found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cairn_runtime::tls::Voucher;

use super::{json, table};
use crate::sources::Failure;

/// As whom a source was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Nobody is asked: it is read from this machine.
    #[default]
    Local,
    /// Without a token.
    Anonymous,
    /// With the token in this file.
    Token(PathBuf),
}

impl Identity {
    /// That of a token's file, if there is one.
    #[must_use]
    pub fn of(file: Option<&Path>) -> Self {
        file.map_or(Self::Anonymous, |path| Self::Token(path.to_owned()))
    }
}

/// How much a source said; `None` of what it never says, and of one that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Pods.
    pub pods: Option<usize>,
    /// Containers of these pods.
    pub containers: Option<usize>,
    /// Numbers that the catalogue has a field for.
    pub values: Option<usize>,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its kind, as in the agent's metrics.
    pub kind: &'static str,
    /// One line for people: what is wrong and what to do.
    pub reason: String,
    /// The right that is missing, such as `get nodes/stats`; empty when none is.
    pub missing_right: &'static str,
}

impl Trouble {
    /// A failure without a missing right.
    pub fn new(kind: &'static str, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            missing_right: "",
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self {
            kind: failure.kind.as_str(),
            reason: failure.reason,
            missing_right: failure.missing_right,
        }
    }
}

/// What became of one source, or one address of an aggregator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// The source's name, as in the agent's metrics, or `aggregator`.
    pub source: &'static str,
    /// What was reached; of what was not, what was tried.
    pub address: String,
    /// True when it was reached: a verified connection, or a file that could be read.
    pub reached: bool,
    /// As whom.
    pub identity: Identity,
    /// The name that the certificate must have; `None` where there is none.
    pub server_name: Option<String>,
    /// Why the certificate is trusted; `None` without a connection.
    pub voucher: Option<Voucher>,
    /// How much it said.
    pub values: Values,
    /// How long it took.
    pub took: Duration,
    /// What the kubelet calls its node, where it says so and that is another name than the agent's.
    pub node_name: Option<String>,
    /// What is worth knowing and no failure.
    pub notes: Vec<String>,
    /// Why it failed; `None` when all is well.
    pub failure: Option<Trouble>,
}

impl Finding {
    /// A finding of something that was not reached yet.
    pub fn new(source: &'static str, address: impl Into<String>) -> Self {
        Self {
            source,
            address: address.into(),
            ..Self::default()
        }
    }
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The node that is reported.
    pub node: String,
    /// How long all of it took.
    pub took: Duration,
    /// One finding a source, and one an address of an aggregator.
    pub findings: Vec<Finding>,
    /// What is worth knowing of the configuration and no failure.
    pub notes: Vec<String>,
}

impl Report {
    /// The report for people: some lines of text.
    #[must_use]
    pub fn text(&self) -> String {
        table::render(self)
    }

    /// The report for programs: one JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        json::render(self)
    }

    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        let failed = |finding: &&Finding| finding.failure.is_some();
        self.findings.iter().filter(failed).count()
    }
}
