//! A real binary under test: started on port 0, found by the file of its bound addresses, stepped
//! by its clock, ended by its own id.
//!
//! Each process has a directory of its own, an empty environment but for what the test gives, and
//! its last lines of stderr kept for the report of a failing test.

mod confined;
pub(crate) mod cores;
mod error;
mod finished;
mod foreign;
mod held;
mod tail;
pub(crate) mod used;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::deadline::Deadline;
use crate::http1;

pub use confined::{MemoryGroup, MemoryTold};
pub use error::Error;
pub use finished::Finished;
pub use held::Held;
use tail::Tail;

/// A process that is up writes its addresses within this time, also on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// Of an agent, in its directory: several of them run on one machine.
const SOCKET: &str = "agent.sock";

/// A running binary. Dropping it kills it, and only it.
#[derive(Debug)]
pub struct Proc {
    name: String,
    child: Child,
    dir: tempfile::TempDir,
    addrs: BTreeMap<String, SocketAddr>,
    stderr: Tail,
}

/// Who a binary runs as.
#[derive(Clone, Copy, Debug)]
enum As<'a> {
    /// As whoever starts it.
    Us,
    /// As another user.
    User(u32),
    /// In a control group.
    Member(&'a MemoryGroup),
}

impl Proc {
    /// Starts a binary of the workspace and waits (10 s) until it has published its addresses.
    ///
    /// # Errors
    ///
    /// `NotBuilt`, `Process`, or `NotUp` with its stderr when it ended or published nothing.
    pub fn start(name: &str, args: &[&str], envs: &[(&str, &str)]) -> Result<Self, Error> {
        Self::launch(name, args, envs)?.up()
    }

    /// Waits (10 s) until it has published its addresses.
    fn up(mut self) -> Result<Self, Error> {
        let file = self.dir.path().join("bound");
        let found = Deadline::after(START_DEADLINE).poll(|| {
            if let Ok(text) = std::fs::read_to_string(&file) {
                return Some(Some(addresses(&text)));
            }
            let ended = self.child.try_wait().ok().flatten();
            ended.map(|_| None)
        });
        if let Some(Some(addrs)) = found {
            self.addrs = addrs;
            return Ok(self);
        }
        let state = match self.child.try_wait() {
            Ok(Some(status)) => {
                self.stderr.finish();
                status.to_string()
            }
            _ => "still running".to_owned(),
        };
        Err(Error::NotUp {
            name: self.name.clone(),
            state,
            stderr: self.stderr(),
        })
    }

    /// Starts a binary without waiting for addresses: for tests of what it says when it refuses.
    ///
    /// # Errors
    ///
    /// `NotBuilt` or `Process`.
    pub fn launch(name: &str, args: &[&str], envs: &[(&str, &str)]) -> Result<Self, Error> {
        Self::spawn(name, args, envs, As::Us, |_| Ok(Stdio::null()))
    }

    /// Starts a binary as somebody; its standard output goes where `stdout` says, given its directory.
    fn spawn(
        name: &str,
        args: &[&str],
        envs: &[(&str, &str)],
        by: As<'_>,
        stdout: impl FnOnce(&Path) -> std::io::Result<Stdio>,
    ) -> Result<Self, Error> {
        let failed = |step| {
            let name = name.to_owned();
            move |source| Error::Process { name, step, source }
        };
        let binary = find(name)?;
        let dir = tempfile::tempdir().map_err(failed("make a directory for"))?;
        let mut command = match by {
            As::Us => Command::new(binary),
            As::User(user) => {
                foreign::command(&binary, dir.path(), user).map_err(failed("make room for"))?
            }
            As::Member(group) => group.command(&binary),
        };
        let mut child = command
            .args(args)
            .env_clear()
            .env("RUST_BACKTRACE", "1")
            .env("CAIRN_BOUND_FILE", dir.path().join("bound"))
            .env("CAIRN_SOCKET", dir.path().join(SOCKET))
            .envs(envs.iter().copied())
            .stdin(Stdio::null())
            .stdout(stdout(dir.path()).map_err(failed("make a file for"))?)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed("start"))?;
        let stderr = Tail::follow(child.stderr.take());
        Ok(Self {
            name: name.to_owned(),
            child,
            dir,
            addrs: BTreeMap::new(),
            stderr,
        })
    }

    /// The address published under a name, for example `admin`.
    ///
    /// # Errors
    ///
    /// `Address` when there is none of that name.
    pub fn addr(&self, wanted: &str) -> Result<SocketAddr, Error> {
        self.addrs
            .get(wanted)
            .copied()
            .ok_or_else(|| Error::Address {
                name: self.name.clone(),
                wanted: wanted.to_owned(),
                found: self.addrs.keys().cloned().collect(),
            })
    }

    /// The directory that belongs to this process alone; gone when it is dropped.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where an agent answers `cairn-agent top`.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join(SOCKET)
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Steps the driven clock; returns when everything due by then is done.
    ///
    /// # Errors
    ///
    /// `Step` when the process refuses or does not settle, `Address` or `Exchange`.
    pub fn step(&self, unix_ms: u64) -> Result<(), Error> {
        self.set_clock(&format!("{{\"unix_ms\":{unix_ms}}}"))
    }

    /// Sets the driven clock to another time without any time passing, as somebody does who sets a
    /// machine's clock.
    ///
    /// # Errors
    ///
    /// As [`Proc::step`].
    pub fn jump(&self, unix_ms: u64) -> Result<(), Error> {
        self.set_clock(&format!("{{\"unix_ms\":{unix_ms},\"jump\":true}}"))
    }

    fn set_clock(&self, body: &str) -> Result<(), Error> {
        let answer = http1::post(self.addr("admin")?, "/debug/clock", body.as_bytes())
            .map_err(|source| self.exchange(source))?;
        if answer.status == 200 {
            return Ok(());
        }
        Err(Error::Step {
            name: self.name.clone(),
            status: answer.status,
            text: answer.text(),
        })
    }

    /// Asks a published plain-HTTP address for a path.
    ///
    /// # Errors
    ///
    /// `Address` or `Exchange`; an answer of any status is no error.
    pub fn get(&self, addr: &str, path: &str) -> Result<http1::Answer, Error> {
        http1::get(self.addr(addr)?, path).map_err(|source| self.exchange(source))
    }

    /// Posts JSON to a published plain-HTTP address.
    ///
    /// # Errors
    ///
    /// `Address` or `Exchange`; an answer of any status is no error.
    pub fn post(&self, addr: &str, path: &str, json: &str) -> Result<http1::Answer, Error> {
        http1::post(self.addr(addr)?, path, json.as_bytes()).map_err(|source| self.exchange(source))
    }

    /// The most memory that it ever had, without files that it maps, bytes.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn peak_bytes(&self) -> anyhow::Result<u64> {
        Ok(used::Memory::of(self.id())?.peak)
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    ///
    /// `Process` when it has ended already.
    pub fn sigterm(&mut self) -> Result<(), Error> {
        self.signal(Signal::TERM, "send SIGTERM to")
    }

    /// Stops it where it is (SIGSTOP): its sockets stay open and nobody reads them.
    ///
    /// # Errors
    ///
    /// `Process` when it has ended already.
    pub fn freeze(&mut self) -> Result<(), Error> {
        self.signal(Signal::STOP, "send SIGSTOP to")
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// `Process` when it has ended already.
    pub fn thaw(&mut self) -> Result<(), Error> {
        self.signal(Signal::CONT, "send SIGCONT to")
    }

    /// Ends it at once (SIGKILL) and reaps it.
    ///
    /// # Errors
    ///
    /// `Process` when it cannot be signalled or reaped.
    pub fn kill9(&mut self) -> Result<ExitStatus, Error> {
        self.signal(Signal::KILL, "send SIGKILL to")?;
        self.child.wait().map_err(|source| Error::Process {
            name: self.name.clone(),
            step: "wait for",
            source,
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// `StillRunning` when it does not come in time; the process is left running.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus, Error> {
        let ended = Deadline::after(deadline).poll(|| self.child.try_wait().transpose());
        match ended {
            Some(Ok(status)) => {
                self.stderr.finish();
                Ok(status)
            }
            Some(Err(source)) => Err(Error::Process {
                name: self.name.clone(),
                step: "wait for",
                source,
            }),
            None => Err(Error::StillRunning {
                name: self.name.clone(),
                deadline,
                stderr: self.stderr(),
            }),
        }
    }

    /// Its last 2,000 lines of stderr; complete once [`Proc::wait`] has returned.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Signals the child only while it is unreaped, so that the id cannot be another process's.
    fn signal(&mut self, signal: Signal, step: &'static str) -> Result<(), Error> {
        let sent = match self.child.try_wait() {
            Ok(None) => {
                kill_process(Pid::from_child(&self.child), signal).map_err(std::io::Error::from)
            }
            Ok(Some(status)) => Err(std::io::Error::other(format!("it ended: {status}"))),
            Err(error) => Err(error),
        };
        sent.map_err(|source| Error::Process {
            name: self.name.clone(),
            step,
            source,
        })
    }

    fn exchange(&self, source: http1::Error) -> Error {
        Error::Exchange {
            name: self.name.clone(),
            source,
        }
    }
}

impl Drop for Proc {
    #[expect(clippy::print_stderr, reason = "the report of a failing test")]
    fn drop(&mut self) {
        // Both fail only when it has ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
        self.stderr.finish();
        if std::thread::panicking() {
            eprintln!("--- stderr of {} ---\n{}", self.name, self.stderr());
        }
    }
}

/// Finds a binary of the workspace: beside the running test's own, or in a directory above it.
///
/// # Errors
///
/// `NotBuilt` when there is none.
pub fn find(name: &str) -> Result<PathBuf, Error> {
    let near = std::env::current_exe().unwrap_or_default();
    near.ancestors()
        .skip(1)
        .take(3)
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Error::NotBuilt {
            name: name.to_owned(),
            near: near.clone(),
        })
}

/// Reads lines `name=addr`; others are ignored.
fn addresses(text: &str) -> BTreeMap<String, SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let (name, addr) = line.split_once('=')?;
            Some((name.to_owned(), addr.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Error, Proc, addresses, find};

    #[test]
    fn a_binary_that_is_not_built_says_what_to_do() {
        let error = Proc::start("cairn-no-such", &[], &[]).unwrap_err();
        assert!(matches!(error, Error::NotBuilt { .. }));
        let text = error.to_string();
        assert!(
            text.ends_with("build it first: cargo build --workspace --bins"),
            "{text}"
        );
        assert!(find("cairn-no-such").is_err());
    }

    #[test]
    fn addresses_are_read_by_name() {
        let read = addresses("admin=127.0.0.1:1\nhttp=[::1]:2\nnoise\n");
        assert_eq!(read.len(), 2);
        assert_eq!(read["http"], "[::1]:2".parse().unwrap());
    }
}
