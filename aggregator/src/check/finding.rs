//! What a check found.

use std::time::Duration;

use super::{json, table};

/// How it stands with what was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work.
    Fail,
    /// It was not looked at.
    Unasked,
}

impl State {
    /// What it is called in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unasked => "unasked",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing, of a closed set.
    pub check: &'static str,
    /// Which one of them.
    pub about: String,
    /// How it stands.
    pub state: State,
    /// What was found; the reason where it is not well.
    pub found: String,
    /// The one thing to do; empty where nothing is.
    pub todo: String,
}

impl Finding {
    fn new(
        (check, about): (&'static str, impl Into<String>),
        state: State,
        found: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            check,
            about: about.into(),
            state,
            found: found.into(),
            todo: todo.into(),
        }
    }

    /// Something that is well.
    pub(super) fn ok(of: (&'static str, impl Into<String>), found: impl Into<String>) -> Self {
        Self::new(of, State::Ok, found, "")
    }

    /// Something to be looked at.
    pub(super) fn warn(
        of: (&'static str, impl Into<String>),
        found: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self::new(of, State::Warn, found, todo)
    }

    /// Something that does not work.
    pub(super) fn fail(
        of: (&'static str, impl Into<String>),
        found: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self::new(of, State::Fail, found, todo)
    }

    /// Something that was not looked at.
    pub(super) fn unasked(
        of: (&'static str, impl Into<String>),
        found: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self::new(of, State::Unasked, found, todo)
    }
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The API server, host and port.
    pub server: String,
    /// As whom it was asked; empty where it did not say.
    pub user: String,
    /// Where Cairn is looked for.
    pub namespace: String,
    /// How long all of it took.
    pub took: Duration,
    /// Whether every node that runs pods has an agent; `None` where that could not be found out.
    pub covers_all: Option<bool>,
    /// In the order in which they are told.
    pub findings: Vec<Finding>,
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

    /// How many findings stand so.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        let all = self.findings.iter();
        all.filter(|finding| finding.state == state).count()
    }

    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(State::Fail)
    }

    /// True when metrics.k8s.io may be taken over: every node that runs pods has an agent, and nothing
    /// failed.
    #[must_use]
    pub fn ready_to_take_over(&self) -> bool {
        self.covers_all == Some(true) && self.failed() == 0
    }
}
