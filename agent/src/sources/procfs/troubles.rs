//! Which file systems give no values, in words.

use std::io;
use std::path::Path;
use std::time::Duration;

use cairn_runtime::logging::{self, Repeat};
use tokio::time::Instant;

use super::mounts::Mount;

/// What was found in one round.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    hanging: Vec<String>,
    // How long the first of them has not answered.
    since: Duration,
    no_thread: Vec<String>,
    failures: Vec<String>,
    no_list: Option<String>,
    // What the log heard last, by what is in trouble.
    logged: Vec<String>,
    repeat: Repeat,
}

impl Troubles {
    /// A round begins.
    pub(super) fn begin(&mut self) {
        self.hanging.clear();
        self.no_thread.clear();
        self.failures.clear();
        self.no_list = None;
    }

    pub(super) fn hangs(&mut self, mount: &Mount, since: Duration) {
        if self.hanging.is_empty() {
            self.since = since;
        }
        self.hanging.push(name(mount));
    }

    pub(super) fn finds_no_thread(&mut self, mount: &Mount) {
        self.no_thread.push(name(mount));
    }

    pub(super) fn fails(&mut self, path: &Path, error: &io::Error) {
        let path = logging::escape(&path.display().to_string());
        let next = match error.kind() {
            io::ErrorKind::Other => "",
            io::ErrorKind::NotFound => {
                ": check that --host-root is the host's root directory with all that is mounted \
                 below it"
            }
            io::ErrorKind::PermissionDenied => {
                ": check that the agent's user may search the directories above it"
            }
            _ => ": check its disk or server, or unmount it",
        };
        self.failures.push(format!("{path}: {error}{next}"));
    }

    pub(super) fn has_no_list(&mut self, error: &str) {
        self.no_list = Some(format!(
            "{error}: --host-root needs the list of mounts of the host's first process, which root \
             may read in the host's /proc (--proc-root)"
        ));
    }

    /// One line on all of it, for people; `None` when there is nothing to say. The log hears it when
    /// something else is in trouble, and once a minute.
    pub(super) fn tell(&mut self) -> Option<String> {
        let seconds = self.since.as_secs();
        let sentences: Vec<String> = [
            self.no_list.clone(),
            several(&self.hanging, |first| {
                format!(
                    "{first} has not answered for {seconds} s and is passed over until it does: \
                     check its server or disk, or unmount it"
                )
            }),
            several(&self.no_thread, |first| {
                format!("{first} is not asked, for others that hang hold all threads")
            }),
            several(&self.failures, str::to_owned),
        ]
        .into_iter()
        .flatten()
        .collect();
        let troubled: Vec<String> = [&self.hanging, &self.no_thread, &self.failures]
            .into_iter()
            .flatten()
            .chain(&self.no_list)
            .cloned()
            .collect();
        let changed = troubled != self.logged;
        self.logged = troubled;
        if sentences.is_empty() {
            if changed {
                tracing::info!("all file systems of the host answer again");
            }
            self.repeat.reset();
            return None;
        }
        let reason = sentences.join("; ");
        if let Some(held_back) = self.repeat.should_log(Instant::now(), changed) {
            tracing::warn!(reason, held_back, "file systems are not read");
        }
        Some(reason)
    }
}

/// What is said of the first, and how many more there are.
fn several(names: &[String], say: impl Fn(&str) -> String) -> Option<String> {
    let (first, more) = names.split_first()?;
    let said = say(first);
    Some(match more.len() {
        0 => said,
        count => format!("{said} (and {count} more)"),
    })
}

fn name(mount: &Mount) -> String {
    let text = format!("{} ({} of {})", mount.point, mount.fs_type, mount.source);
    logging::escape(&text)
}
