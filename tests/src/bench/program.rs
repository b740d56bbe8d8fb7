//! Programs that measure code which no other crate sees, and say in one line what came of it.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::deadline::Deadline;

/// Runs a program to its end; gives how it ended and what it said.
pub(super) fn run(program: &Path, args: &[&str], within: Duration) -> Result<(ExitStatus, String)> {
    let child = Command::new(program)
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut running = Running(child);
    let ended = Deadline::after(within).poll(|| running.0.try_wait().transpose());
    let status = ended.with_context(|| format!("{} does not end", program.display()))??;
    let mut said = String::new();
    let out = running.0.stdout.take().context("it has no output")?;
    // One line; what it wrote before it ended is in the pipe.
    out.take(4096).read_to_string(&mut said)?;
    Ok((status, said))
}

/// A process that ends with us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself, which is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
