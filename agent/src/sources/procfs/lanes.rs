//! Threads that ask file systems, each one at a time.
//!
//! Nothing can be done about a question to a file system whose server is gone but to wait in a
//! thread. So the threads are few: who gets no answer keeps one for as long as it takes, what others
//! serve may hold no more than half of them, and whoever finds none is not asked.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use cairn_runtime::clock::Line;
use tokio::time::Instant;

use super::mounts::Mount;
use super::space::Space;

/// The most threads. A machine's own disks answer in microseconds, one after the other.
pub(super) const MAX_LANES: usize = 8;

/// The most of them for what others serve: local disks always find one.
pub(super) const MAX_REMOTE: usize = 4;

/// Enough for two system calls and what the system adds to them.
const STACK_BYTES: usize = 128 * 1024;

/// How a file system is asked.
pub(super) type Ask = Arc<dyn Fn(&Mount, &Path) -> io::Result<Option<Space>> + Send + Sync>;

/// A question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) mount: Arc<Mount>,
    /// Where it is for us.
    pub(super) path: PathBuf,
    /// What the answer is stamped on.
    pub(super) line: Line,
    /// In which round it is asked.
    pub(super) round: u64,
}

/// Its answer.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) question: Question,
    pub(super) result: io::Result<Option<Space>>,
    /// When it was there, Unix ms.
    pub(super) time_ms: u64,
    /// How long it took.
    pub(super) took: Duration,
}

/// One thread, as its owner sees it.
#[derive(Debug)]
struct Lane {
    questions: SyncSender<Question>,
    // What it was asked and has not answered, and when.
    at: Option<(Arc<Mount>, Instant)>,
}

/// The threads. They end when this is gone, those that wait when they are answered.
pub(super) struct Lanes {
    ask: Ask,
    lanes: Vec<Lane>,
    answers: Receiver<(usize, Told)>,
    answer: SyncSender<(usize, Told)>,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").field("lanes", &self.lanes).finish()
    }
}

impl Lanes {
    pub(super) fn new(ask: Ask) -> Self {
        // One answer of each: a lane is asked again when its answer was taken.
        let (answer, answers) = sync_channel(MAX_LANES);
        Self {
            ask,
            lanes: Vec::new(),
            answers,
            answer,
        }
    }

    /// Number of threads.
    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// What was asked and has not been answered, and for how long.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&Arc<Mount>, Duration)> {
        let at = self.lanes.iter().filter_map(|lane| lane.at.as_ref());
        at.map(|(mount, since)| (mount, since.elapsed()))
    }

    /// Asks; false when there is no thread for it. One more is started if it may be.
    pub(super) fn give(&mut self, question: &Question, may_open: bool) -> bool {
        let is_remote = |(mount, _): &(&Arc<Mount>, Duration)| mount.is_remote();
        let remote_count = self.waiting().filter(is_remote).count();
        if question.mount.is_remote() && remote_count >= MAX_REMOTE {
            return false;
        }
        let idle = self.lanes.iter().position(|lane| lane.at.is_none());
        let at = match idle {
            None if may_open => self.open(),
            idle => idle,
        };
        let Some(at) = at else {
            return false;
        };
        let Some(lane) = self.lanes.get_mut(at) else {
            return false;
        };
        if lane.questions.try_send(question.clone()).is_err() {
            return false;
        }
        lane.at = Some((Arc::clone(&question.mount), Instant::now()));
        true
    }

    /// Starts one more thread; `None` when there are enough, or the system has none.
    fn open(&mut self) -> Option<usize> {
        let at = self.lanes.len();
        if at >= MAX_LANES {
            return None;
        }
        let (questions, asked) = sync_channel::<Question>(1);
        let (ask, answer) = (Arc::clone(&self.ask), self.answer.clone());
        let answering = move || {
            while let Ok(question) = asked.recv() {
                let began = Instant::now();
                let result = ask(&question.mount, &question.path);
                let time_ms = question.line.unix_ms();
                let told = Told {
                    question,
                    result,
                    time_ms,
                    took: began.elapsed(),
                };
                if answer.send((at, told)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("statfs".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(answering)
            .map(drop)
            .ok()?;
        self.lanes.push(Lane {
            questions,
            at: None,
        });
        Some(at)
    }

    /// The next answer, waited for until `deadline`; `None` when none came.
    pub(super) fn next(&mut self, deadline: Instant) -> Option<Told> {
        let left = deadline.saturating_duration_since(Instant::now());
        // It cannot be disconnected: we hold a sender ourselves.
        let (at, told) = match self.answers.recv_timeout(left) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        };
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.at = None;
        }
        Some(told)
    }
}
