//! A binary that runs as somebody else.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::{As, Error, Proc};

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

impl Proc {
    /// Starts a binary as a user that is not root, in its own directory, and waits until it has published
    /// its addresses. Where the tests themselves are not run by root, that user is theirs.
    ///
    /// # Errors
    ///
    /// As [`Proc::start`].
    pub fn start_foreign(name: &str, args: &[&str]) -> Result<Self, Error> {
        let stdout = |_: &Path| Ok(std::process::Stdio::null());
        Self::spawn(name, args, &[], As::User(Self::foreign_user()), stdout)?.up()
    }

    pub(super) fn foreign_user() -> u32 {
        let own = rustix::process::geteuid();
        if own.is_root() { NOBODY } else { own.as_raw() }
    }
}

/// A command that runs a binary as a user, in a directory that becomes that user's. The binary is run
/// from there: the directory that it was built in may be closed to others.
pub(super) fn command(binary: &Path, dir: &Path, user: u32) -> std::io::Result<Command> {
    let own = dir.join("binary");
    if std::fs::hard_link(binary, &own).is_err() {
        std::fs::copy(binary, &own)?;
    }
    let mut command = Command::new(own);
    command.current_dir(dir);
    if rustix::process::geteuid().is_root() {
        chown(dir, Some(user), Some(user))?;
        command.uid(user).gid(user);
    }
    Ok(command)
}
