//! A pseudo-terminal: a program on one side, a test that looks and presses keys on the other.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::deadline::Deadline;

/// What is drawn at most while a test looks: beyond that the oldest goes.
const KEPT_BYTES: usize = 4 << 20;

/// A program on a terminal of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keys: File,
    program: File,
    drawn: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a program on a terminal of this size, with nothing in its environment.
    ///
    /// # Errors
    ///
    /// When there is no terminal to be had, or the program does not start.
    pub fn start(program: &Path, args: &[&str], columns: u16, rows: u16) -> Result<Self> {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&keys)?;
        unlockpt(&keys)?;
        let name = ptsname(&keys, Vec::new())?.into_string()?;
        let open = || File::options().read(true).write(true).open(&name);
        let side = open()?;
        resize(&side, columns, rows)?;
        let child = Command::new(program)
            .args(args)
            .env_clear()
            .stdin(open()?)
            .stdout(open()?)
            .stderr(open()?)
            .spawn()
            .with_context(|| program.display().to_string())?;
        let keys = File::from(keys);
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let (mut output, kept) = (keys.try_clone()?, Arc::clone(&drawn));
        // It ends with the terminal.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(bytes.iter().take(count));
                let beyond = kept.len().saturating_sub(KEPT_BYTES);
                kept.drain(..beyond);
            }
        });
        Ok(Self {
            child,
            keys,
            program: side,
            drawn,
        })
    }

    /// How the terminal is set.
    ///
    /// # Errors
    ///
    /// When it is none any more.
    pub fn settings(&self) -> Result<Termios> {
        Ok(tcgetattr(&self.program)?)
    }

    /// Presses keys.
    ///
    /// # Errors
    ///
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &[u8]) -> Result<()> {
        Ok(self.keys.write_all(keys)?)
    }

    /// Makes it another size and says so to the program.
    ///
    /// # Errors
    ///
    /// When the terminal or the program is gone.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        resize(&self.program, columns, rows)?;
        self.signal(Signal::WINCH)
    }

    /// Sends the program a signal.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("no process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Everything that was drawn since it was last forgotten.
    #[must_use]
    pub fn drawn(&self) -> String {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&drawn).into_owned()
    }

    /// Forgets what was drawn.
    pub fn forget(&self) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        drawn.clear();
    }

    /// Waits until all of these parts were drawn since it was last forgotten.
    ///
    /// # Errors
    ///
    /// When they were not in time, with what was.
    pub fn shows(&self, parts: &[&str], within: Duration) -> Result<()> {
        let all = || {
            let drawn = self.drawn();
            parts.iter().all(|part| drawn.contains(part)).then_some(())
        };
        Deadline::after(within)
            .poll(all)
            .with_context(|| format!("{parts:?} is not in {:?}", self.drawn()))
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    ///
    /// When it has not ended in time, with what was drawn.
    pub fn ends(&mut self, within: Duration) -> Result<ExitStatus> {
        let ended = Deadline::after(within).poll(|| self.child.try_wait().ok().flatten());
        ended.with_context(|| format!("it goes on: {:?}", self.drawn()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn resize(terminal: &File, columns: u16, rows: u16) -> Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}
