//! Hostile agents: each has a name and a token that the aggregator knows, does one bad thing as fast
//! as it is let, and comes back at once when it is ended.
//!
//! They run in a thread of their own, where it is asked for with the least priority: then it shows what they
//! do to the aggregator, and not that they take the processor from the honest agents of the same machine.

mod attack;
mod kind;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::Group;
use rustix::process::setpriority_process;
use tokio::runtime::Builder;
use tonic::Status;

pub use kind::{Due, Kind};

/// Different ends that are remembered of one agent.
const ENDS: usize = 32;

/// The least priority.
const NICE: i32 = 19;

/// One hostile agent.
#[derive(Clone, Debug)]
pub struct Member {
    /// What it does.
    pub kind: Kind,
    /// The node that it has a token for.
    pub node: String,
    /// The token.
    pub token: String,
}

impl Member {
    /// The `index`th of a crowd.
    #[must_use]
    pub fn new(kind: Kind, index: usize) -> Self {
        let node = format!("hostile{index}");
        let token = format!("token-of-{node}");
        Self { kind, node, token }
    }
}

/// What one of them has done so far, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Streams that were welcomed.
    pub welcomed: u64,
    /// Frames handed to the connection.
    pub frames: u64,
    /// Of these, definitions of a name that it had not used before.
    pub names: u64,
    /// How its streams ended, and how often: code and text, with `#` for numbers.
    pub ends: BTreeMap<String, u64>,
}

/// Where all of them go.
#[derive(Debug)]
struct Target {
    addr: SocketAddr,
    ca: PathBuf,
    victim: String,
    now_ms: AtomicU64,
}

impl Target {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }
}

/// What one of them notes.
#[derive(Debug, Default)]
struct Notes(Mutex<Told>);

impl Notes {
    fn with<T>(&self, work: impl FnOnce(&mut Told) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&self, status: &Status) {
        let text = format!("{:?}: {}", status.code(), without_numbers(status.message()));
        self.with(|told| {
            if told.ends.len() < ENDS || told.ends.contains_key(&text) {
                *told.ends.entry(text).or_default() += 1;
            }
        });
    }
}

/// Hostile agents at work; they end when this is dropped.
#[derive(Debug)]
pub struct Crowd {
    members: Vec<(Member, Arc<Notes>)>,
    target: Arc<Target>,
    stop: Token,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// Sends them to an aggregator, whose clock stands at `now_ms`. `victim` is a node that none of
    /// them has a token for. With `yields` they give way to whoever else wants the processor.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub fn start(
        members: Vec<Member>,
        (addr, ca): (SocketAddr, &Path),
        victim: &str,
        now_ms: u64,
        yields: bool,
    ) -> Result<Self> {
        let target = Arc::new(Target {
            addr,
            ca: ca.to_owned(),
            victim: victim.to_owned(),
            now_ms: AtomicU64::new(now_ms),
        });
        let noted = |member| (member, Arc::<Notes>::default());
        let members: Vec<_> = members.into_iter().map(noted).collect();
        let group = Group::new("hostile agents", members.len());
        let stop = Token::new();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let work: Vec<_> = members.clone();
        let (to, token) = (Arc::clone(&target), stop.clone());
        let serve = move || {
            if yields && let Err(error) = setpriority_process(None, NICE) {
                tracing::warn!(%error, "hostile agents take more from others than they should");
            }
            runtime.block_on(async {
                for (member, notes) in work {
                    let at_work = attack::run(member, notes, Arc::clone(&to), token.clone());
                    if let Err(full) = group.try_spawn(at_work) {
                        tracing::warn!(%full, "a hostile agent is missing");
                    }
                }
                token.cancelled().await;
            });
        };
        let thread = std::thread::Builder::new().name("hostile".to_owned());
        let thread = thread
            .spawn(serve)
            .context("no thread for hostile agents")?;
        Ok(Self {
            members,
            target,
            stop,
            thread: Some(thread),
        })
    }

    /// Sets the time that they go by.
    pub fn set_clock(&self, now_ms: u64) {
        self.target.now_ms.store(now_ms, Ordering::Relaxed);
    }

    /// What each of them has done so far.
    #[must_use]
    pub fn told(&self) -> Vec<(Kind, Told)> {
        let told = self.members.iter();
        told.map(|(member, notes)| (member.kind, notes.with(|told| told.clone())))
            .collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its thread.
            drop(thread.join());
        }
    }
}

/// The text with each number as one `#`, so that texts that differ in a number alone are one.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if !letter.is_ascii_digit() {
            out.push(letter);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::{ENDS, Notes, without_numbers};

    #[test]
    fn ends_that_differ_in_numbers_are_one_and_their_kinds_are_bounded() {
        assert_eq!(without_numbers("in 12 s, row 7"), "in # s, row #");
        let notes = Notes::default();
        for n in 0..100 {
            notes.end(&Status::aborted(format!("after {n}")));
            notes.end(&Status::aborted("x".repeat(n)));
        }
        let told = notes.with(|told| told.clone());
        assert_eq!(told.ends.len(), ENDS);
        assert_eq!(told.ends["Aborted: after #"], 100);
    }
}
