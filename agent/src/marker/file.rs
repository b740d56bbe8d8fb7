//! The file: who may have written it, and what is done when it cannot be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cairn_proto::model::EarlierRun;
use cairn_runtime::files;
use cairn_runtime::logging;
use cairn_runtime::readiness::{Note, Readiness};
use rustix::fs::OFlags;

use super::text::{self, Bad};
use crate::metrics::{self, ByKind};

/// Its name in the directory, and that of the one that takes its place.
const NAME: &str = "runs";
const NEXT: &str = "runs.next";

/// Under this name `/readyz?verbose` says that it cannot be written.
const STATE_NOTE: &str = "state";

/// Why a file is not believed.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("it is no plain file")]
    NoFile,
    #[error("it belongs to user {0} and this process is of user {1}")]
    Owner(u32, u32),
    #[error("its text is not whole")]
    Broken,
    #[error("another version wrote it")]
    Version,
    #[error("it is of node {0}")]
    Node(String),
    #[error("it tells of a tick at {0} ms, which is to come")]
    Future(u64),
}

impl Refused {
    fn kind(&self) -> &'static str {
        match self {
            Refused::Unreadable(_) | Refused::NoFile => "unreadable",
            Refused::Owner(..) => "owner",
            Refused::Broken => "broken",
            Refused::Version => "version",
            Refused::Node(_) => "node",
            Refused::Future(_) => "future",
        }
    }
}

/// Reads the file once, and writes it at each row.
#[derive(Debug)]
pub struct Keeper {
    node: String,
    user: u32,
    path: PathBuf,
    next: PathBuf,
    // Room of the text, kept from row to row.
    text: String,
    readiness: Readiness,
    metrics: metrics::Marker,
    is_failing: bool,
}

impl Keeper {
    /// One for a node, in a directory that must be there.
    #[must_use]
    pub fn new(dir: &Path, node: &str, readiness: Readiness, metrics: metrics::Marker) -> Self {
        Self {
            node: node.to_owned(),
            user: rustix::process::geteuid().as_raw(),
            path: dir.join(NAME),
            next: dir.join(NEXT),
            text: String::new(),
            readiness,
            metrics,
            is_failing: false,
        }
    }

    /// One of another user, for tests.
    #[cfg(test)]
    pub(super) fn of_user(self, user: u32) -> Self {
        Self { user, ..self }
    }

    /// The runs that the file tells of; none where there is no file, or none that is believed.
    pub(super) fn read(&self, now_ms: u64) -> Vec<EarlierRun> {
        match self.believed(now_ms) {
            Ok(runs) => runs,
            Err(refused) => {
                let kind = refused.kind();
                self.metrics.refused.get_or_create(&ByKind { kind }).inc();
                let reason = logging::chain(&refused);
                tracing::warn!(
                    path = %self.path.display(), reason,
                    "what was sampled before this start is not known, and what is missing of it is not \
                     counted: the file is passed over, and written anew at the next row"
                );
                Vec::new()
            }
        }
    }

    fn believed(&self, now_ms: u64) -> Result<Vec<EarlierRun>, Refused> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or(0);
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&self.path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Refused::Unreadable(error)),
        };
        let about = file.metadata().map_err(Refused::Unreadable)?;
        if !about.is_file() {
            return Err(Refused::NoFile);
        }
        if about.uid() != self.user {
            return Err(Refused::Owner(about.uid(), self.user));
        }
        let bytes = files::rest(file, text::MAX_BYTES).map_err(Refused::Unreadable)?;
        let bytes = bytes.ok_or(Refused::Broken)?;
        let said = text::read(&bytes).map_err(|bad| match bad {
            Bad::Version => Refused::Version,
            Bad::Broken => Refused::Broken,
        })?;
        if said.node != self.node {
            return Err(Refused::Node(said.node));
        }
        match said.runs.iter().map(|run| run.last_tick_ms).max() {
            Some(last_ms) if last_ms > now_ms => Err(Refused::Future(last_ms)),
            _ => Ok(said.runs),
        }
    }

    /// Writes the runs down. That it cannot be done is told, and costs no row.
    pub(super) fn write<'a>(&mut self, runs: impl Iterator<Item = &'a EarlierRun>) {
        text::write(&mut self.text, &self.node, runs);
        match self.replace() {
            Ok(()) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!(path = %self.path.display(), "--state-dir is written again");
                    self.readiness.clear(STATE_NOTE);
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    fn replace(&self) -> io::Result<()> {
        let mut file = match create(&self.next) {
            // Of a process that was killed in between.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&self.next)?;
                create(&self.next)?
            }
            created => created?,
        };
        file.write_all(self.text.as_bytes())?;
        drop(file);
        fs::rename(&self.next, &self.path)
    }

    fn failed(&mut self, error: &io::Error) {
        self.metrics.write_failures.inc();
        if std::mem::replace(&mut self.is_failing, true) {
            return;
        }
        let reason = format!(
            "--state-dir: cannot write {}: {error}: check that its directory is there, has room and may be \
             written by user {}; rows that die with this process may go uncounted",
            self.path.display(),
            self.user
        );
        tracing::warn!(reason, "runs are not written down");
        self.readiness.note(STATE_NOTE, Note::Degraded(reason));
    }
}

/// Makes a file that was not there, so that no link leads elsewhere.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
