//! A rival as a process: started on the core of the system under test, with a directory of its own
//! on tmpfs, ended by its own id.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::rival::Rival;
use crate::deadline::Deadline;
use crate::http1::Session;
use crate::proc::cores;

/// Each of them is up within this time, also on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(30);

/// How a program is started.
#[derive(Debug)]
pub(super) struct Launch {
    /// What it is called here.
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) arguments: Vec<String>,
    /// Where it was told to listen.
    pub(super) addr: SocketAddr,
    /// The path that answers 2xx when it is up.
    pub(super) ready: &'static str,
}

/// A running rival. Dropping it kills it, and only it, and takes its data away.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    child: Child,
    dir: PathBuf,
    addr: SocketAddr,
}

impl Server {
    /// Starts it in a new directory below `shm` and waits until it is up.
    pub(super) fn start(rival: &Rival, shm: &Path) -> Result<Self> {
        let dir = shm.join(rival.name);
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let addr = free_addr()?;
        let server = Self::launch(
            &Launch {
                name: rival.name,
                program: rival.program,
                arguments: (rival.arguments)(&dir, addr)?,
                addr,
                ready: rival.ready,
            },
            dir,
        )?;
        if !rival.create.is_empty() {
            let answer = server.session().post(rival.create, &[], &[])?;
            ensure!(answer.status == 200, "{}: {}", rival.name, answer.text());
        }
        Ok(server)
    }

    /// Starts a program in a directory of its own and waits until it is up.
    pub(super) fn launch(launch: &Launch, dir: PathBuf) -> Result<Self> {
        let log = File::create(dir.join("log"))?;
        let child = cores::on_theirs(|| {
            // The kernel ends it with us, however we end.
            Command::new("setpriv")
                .args(["--pdeathsig", "KILL", launch.program])
                .args(&launch.arguments)
                .current_dir(&dir)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
                .with_context(|| format!("cannot start {}", launch.program))
        })?;
        let mut server = Self {
            name: launch.name,
            child,
            dir,
            addr: launch.addr,
        };
        server.wait(launch.ready)?;
        Ok(server)
    }

    fn wait(&mut self, ready: &str) -> Result<()> {
        let mut session = self.session();
        let up = Deadline::after(UP_WITHIN).poll(|| {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Some(false);
            }
            let answer = session.get(ready).ok()?;
            (200..300).contains(&answer.status).then_some(true)
        });
        if up != Some(true) {
            bail!("{} does not come up: {}", self.name, self.last_words());
        }
        Ok(())
    }

    /// A connection to it.
    pub(super) fn session(&self) -> Session {
        Session::new(self.addr)
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it keeps its data in.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Each fails only when it is done already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// An address on loopback that nobody listens on: rivals cannot tell which port they were given.
pub(super) fn free_addr() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
