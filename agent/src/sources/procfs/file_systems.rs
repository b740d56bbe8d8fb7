//! The file systems of the machine below `--host-root`.
//!
//! All are asked at most every ten seconds, each in a thread of [`Lanes`], and waited for together for
//! a moment. One that has not answered by then is not asked again and not waited for until it does;
//! its last values stand under their old time until they mean nothing any more. It is told from the
//! next round on, so that a disk that is only slow makes no noise. One that answers too late is asked
//! and not waited for until it is fast again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cairn_proto::catalogue::Group;
use cairn_runtime::clock::Line;
use cairn_runtime::readiness::{Note, Readiness};
use cairn_runtime::{files, logging};
use tokio::time::Instant;

use super::lanes::{Ask, Lanes, Question, Told};
use super::mounts::{self, Device, Mount};
use super::space;
use super::troubles::Troubles;
use crate::metrics::{ByKind, FileSystems as Metrics};
use crate::sources::Part;

/// How often file systems are asked, ms. More often would keep network drives awake for figures that
/// move slowly.
const EVERY_MS: u64 = 10_000;

/// How long a round waits for answers: less than the shortest wait of a row, a quarter of a second.
const WAIT: Duration = Duration::from_millis(150);

/// How long the threads are waited for before one more is started.
const PATIENCE: Duration = Duration::from_millis(10);

/// Bytes of the list of mounts that are read: twenty thousand of them.
const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// Under this name `/readyz?verbose` says which file systems are not read, and why.
const NOTE: &str = "file systems";

/// The file systems of one machine.
#[derive(Debug)]
pub struct FileSystems {
    host_root: PathBuf,
    // What the first process has mounted.
    list: PathBuf,
    lanes: Lanes,
    wait: Duration,
    readiness: Readiness,
    metrics: Metrics,
    // In which round the newest questions were asked, and at which tick, Unix ms.
    round: u64,
    asked_tick: Option<u64>,
    // Answers to rounds before this one are of another run.
    first_round: u64,
    mounts: Vec<Arc<Mount>>,
    dropped_count: u64,
    // Those whose last answer took longer than a round waits: they are asked and not waited for.
    slow: BTreeSet<Device>,
    troubles: Troubles,
    // The last values of each, by path.
    known: BTreeMap<String, Part>,
    parts: Arc<[Part]>,
}

impl FileSystems {
    /// The file systems that `proc_root` lists, below `host_root`.
    #[must_use]
    pub fn new(
        host_root: PathBuf,
        proc_root: &Path,
        readiness: Readiness,
        metrics: Metrics,
    ) -> Self {
        Self::asked_by(
            Arc::new(space::ask),
            host_root,
            proc_root,
            (readiness, metrics),
        )
    }

    /// The same with another way of asking.
    pub(super) fn asked_by(
        ask: Ask,
        host_root: PathBuf,
        proc_root: &Path,
        (readiness, metrics): (Readiness, Metrics),
    ) -> Self {
        Self {
            host_root,
            list: proc_root.join("1/mountinfo"),
            lanes: Lanes::new(ask),
            wait: WAIT,
            readiness,
            metrics,
            round: 0,
            asked_tick: None,
            first_round: 0,
            mounts: Vec::new(),
            dropped_count: 0,
            slow: BTreeSet::new(),
            troubles: Troubles::default(),
            known: BTreeMap::new(),
            parts: Arc::default(),
        }
    }

    /// What is known of all at a tick (Unix ms), as parts of the node, and how many are left out.
    pub fn read(&mut self, tick: u64, line: &Line) -> (Arc<[Part]>, u64) {
        if self.asked_tick.is_some_and(|asked| tick < asked) {
            // The clock was set back: what was measured before would lie in the future.
            self.known.clear();
            self.first_round = self.round + 1;
            self.asked_tick = None;
        }
        let due = self.asked_tick.is_none_or(|asked| tick - asked >= EVERY_MS);
        let mut news = false;
        while let Some(told) = self.lanes.next(Instant::now()) {
            self.take(told);
            news = true;
        }
        if due {
            self.asked_tick = Some(tick);
            self.round += 1;
            self.ask(line);
            self.tell();
        }
        if due || news {
            let oldest_ms = tick.saturating_sub(Group::Filesystem.max_age_ms());
            self.known.retain(|_, part| {
                let time_ms = part.figures.time_ms(Group::Filesystem);
                time_ms.is_some_and(|time_ms| time_ms >= oldest_ms)
            });
            self.parts = self.known.values().cloned().collect();
        }
        (Arc::clone(&self.parts), self.dropped_count)
    }

    /// One round: everything that is mounted and does not hang.
    fn ask(&mut self, line: &Line) {
        self.list();
        let waiting: Vec<(Arc<Mount>, Duration)> = self
            .lanes
            .waiting()
            .map(|(mount, since)| (Arc::clone(mount), since))
            .collect();
        let mut queue = VecDeque::new();
        for mount in &self.mounts {
            // By its number: it is the file system that hangs, not the path.
            let hung = waiting.iter().find(|(hung, _)| hung.device == mount.device);
            if let Some((_, since)) = hung {
                self.pass_over("hanging");
                self.troubles.hangs(mount, *since);
                continue;
            }
            let path = self.host_root.join(mount.point.trim_start_matches('/'));
            queue.push_back(Question {
                mount: Arc::clone(mount),
                path,
                line: line.clone(),
                round: self.round,
            });
        }
        self.metrics
            .hanging
            .set(i64::try_from(waiting.len()).unwrap_or(i64::MAX));
        self.wait_for(queue);
    }

    /// Asks all of the queue for which there are threads, and waits for the answers.
    fn wait_for(&mut self, mut queue: VecDeque<Question>) {
        let deadline = Instant::now() + self.wait;
        let mut out = 0_usize;
        // One thread more at a time, and only when those that there are have been silent: on a sound
        // machine one does it all.
        let mut may_open = true;
        loop {
            queue.retain(|question| {
                let threads = self.lanes.len();
                let given = self.lanes.give(question, may_open);
                may_open &= self.lanes.len() == threads;
                let awaited = given && !self.slow.contains(&question.mount.device);
                out += usize::from(awaited);
                !given
            });
            if out == 0 {
                break;
            }
            let soon = Instant::now() + PATIENCE;
            let until = if queue.is_empty() {
                deadline
            } else {
                deadline.min(soon)
            };
            match self.lanes.next(until) {
                Some(told) => {
                    let of_round = told.question.round == self.round;
                    let awaited = of_round && !self.slow.contains(&told.question.mount.device);
                    out = out.saturating_sub(usize::from(awaited));
                    may_open = false;
                    self.take(told);
                }
                None if Instant::now() >= deadline => break,
                None => may_open = true,
            }
        }
        for question in queue {
            self.pass_over("no_thread");
            self.troubles.finds_no_thread(&question.mount);
        }
    }

    /// Reads what is mounted; when it cannot, what was mounted before goes on.
    fn list(&mut self) {
        let text = match files::read_small(&self.list, MAX_LIST_BYTES) {
            Ok(text) => text,
            Err(error) => {
                self.pass_over("failed");
                self.troubles.has_no_list(&logging::chain(&error));
                return;
            }
        };
        let listed = mounts::list(&text);
        self.dropped_count = listed.dropped_count;
        let same = self.mounts.iter().map(AsRef::as_ref).eq(&listed.mounts);
        if !same {
            self.mounts = listed.mounts.into_iter().map(Arc::new).collect();
            let mounts = &self.mounts;
            self.known
                .retain(|point, _| mounts.iter().any(|mount| mount.point == *point));
            self.slow
                .retain(|device| mounts.iter().any(|mount| mount.device == *device));
        }
    }

    fn take(&mut self, told: Told) {
        let mount = &told.question.mount;
        // It may have been unmounted meanwhile.
        if told.question.round < self.first_round || !self.mounts.contains(mount) {
            return;
        }
        if told.took > self.wait {
            self.slow.insert(mount.device);
        } else {
            self.slow.remove(&mount.device);
        }
        if told.result.is_ok() {
            self.troubles.answers(&told.question.path);
        }
        match told.result {
            Ok(Some(space)) => {
                let part = space::part(mount, space, told.time_ms);
                self.known.insert(mount.point.clone(), part);
            }
            Ok(None) => {
                self.known.remove(&mount.point);
            }
            // Its values stand until they are too old, like those of one that hangs.
            Err(error) => self.fail(&told.question.path, &error),
        }
    }

    fn fail(&mut self, path: &Path, error: &io::Error) {
        self.pass_over("failed");
        self.troubles.fails(path, error);
    }

    fn pass_over(&self, kind: &'static str) {
        self.metrics
            .passed_over
            .get_or_create(&ByKind { kind })
            .inc();
    }

    fn tell(&mut self) {
        match self.troubles.tell() {
            Some(reason) => self.readiness.note(NOTE, Note::Degraded(reason)),
            None => self.readiness.clear(NOTE),
        }
    }
}

#[cfg(test)]
mod tests;
