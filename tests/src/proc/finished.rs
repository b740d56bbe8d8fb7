//! A binary that does one thing and ends.

use std::fs::File;
use std::time::Duration;

use super::{As, Error, Proc};

/// What a binary said until it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// The last lines of its standard error.
    pub stderr: String,
}

impl Proc {
    /// Runs a binary to its end and returns what it said.
    ///
    /// # Errors
    ///
    /// `NotBuilt`, `Process`, or `StillRunning` after the deadline; it is killed then.
    pub fn finish(
        name: &str,
        args: &[&str],
        envs: &[(&str, &str)],
        deadline: Duration,
    ) -> Result<Finished, Error> {
        Self::finish_as(As::Us, name, args, envs, deadline)
    }

    /// Runs a binary to its end as a user that is not root; see [`Proc::start_foreign`].
    ///
    /// # Errors
    ///
    /// As [`Proc::finish`].
    pub fn finish_foreign(
        name: &str,
        args: &[&str],
        deadline: Duration,
    ) -> Result<Finished, Error> {
        Self::finish_as(As::User(Self::foreign_user()), name, args, &[], deadline)
    }

    fn finish_as(
        by: As<'_>,
        name: &str,
        args: &[&str],
        envs: &[(&str, &str)],
        deadline: Duration,
    ) -> Result<Finished, Error> {
        let to_file = |dir: &std::path::Path| File::create(dir.join("stdout")).map(Into::into);
        let mut process = Self::spawn(name, args, envs, by, to_file)?;
        let code = process.wait(deadline)?.code();
        let stdout = std::fs::read(process.dir().join("stdout")).map_err(|source| {
            let name = name.to_owned();
            let step = "read the output of";
            Error::Process { name, step, source }
        })?;
        Ok(Finished {
            code,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: process.stderr(),
        })
    }
}
