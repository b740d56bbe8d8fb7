//! Which file systems give no values, in words.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use cairn_runtime::logging::{self, Repeat};
use tokio::time::Instant;

use super::mounts::Mount;

/// What was found in one round, and since the one before it.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    hanging: Vec<String>,
    // How long the first of them has not answered.
    since: Duration,
    no_thread: Vec<String>,
    // By path.
    failures: BTreeMap<String, String>,
    no_list: Option<String>,
    // What the log heard last, by what is in trouble.
    logged: Vec<String>,
    repeat: Repeat,
}

impl Troubles {
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
        let said = format!("{path}: {error}{next}");
        self.failures.insert(path, said);
    }

    /// One answers: what was said of it before is over.
    pub(super) fn answers(&mut self, path: &Path) {
        if !self.failures.is_empty() {
            let path = logging::escape(&path.display().to_string());
            self.failures.remove(&path);
        }
    }

    pub(super) fn has_no_list(&mut self, error: &str) {
        self.no_list = Some(format!(
            "{error}: --host-root needs the list of mounts of the host's first process, which root \
             may read in the host's /proc (--proc-root)"
        ));
    }

    /// One line on all of it, for people; `None` when there is nothing to say. The log hears it when
    /// something else is in trouble, and once a minute. What was told is over: the next round finds
    /// it again, or an answer that comes before it.
    pub(super) fn tell(&mut self) -> Option<String> {
        let seconds = self.since.as_secs();
        let failures: Vec<String> = std::mem::take(&mut self.failures).into_values().collect();
        let hanging = std::mem::take(&mut self.hanging);
        let no_thread = std::mem::take(&mut self.no_thread);
        let no_list = self.no_list.take();
        let sentences: Vec<String> = [
            no_list.clone(),
            several(&hanging, |first| {
                format!(
                    "{first} has not answered for {seconds} s and is passed over until it does: \
                     check its server or disk, or unmount it"
                )
            }),
            several(&no_thread, |first| {
                format!("{first} is not asked, for others that hang hold all threads")
            }),
            several(&failures, str::to_owned),
        ]
        .into_iter()
        .flatten()
        .collect();
        let troubled: Vec<String> = [hanging, no_thread, failures]
            .into_iter()
            .flatten()
            .chain(no_list)
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
