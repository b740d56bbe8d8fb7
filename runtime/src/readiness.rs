//! Named blockers of readiness, and notes on what is degraded.
//!
//! A process is ready when nobody blocks it and it is not shutting down. Each blocker is held by the
//! part that is not there yet and released by dropping it. Notes never change readiness: they say in
//! `/readyz?verbose` what works less well, and why. Shared by clones; the lock is held briefly and
//! never across an await.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::logging;

/// The most notes kept: a few per source, session and listener. More would make the page unreadable;
/// those that do not fit are counted on the page.
const MAX_NOTES: usize = 64;

/// The longest reason or note shown, in characters.
const MAX_TEXT_CHARS: usize = 1024;

/// The readiness of one process. A clone is the same readiness.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    shutting_down: bool,
    next_id: u64,
    blockers: BTreeMap<u64, Held>,
    /// Every name that ever blocked, in order: a released one is shown as ok.
    known: Vec<&'static str>,
    notes: BTreeMap<String, Note>,
    notes_dropped: u64,
}

#[derive(Debug)]
struct Held {
    name: &'static str,
    reason: String,
}

/// How one part of the process is doing; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Works, with a remark.
    Good(String),
    /// Works less well than it should, and why.
    Degraded(String),
}

/// Holds the process back from being ready until it is dropped.
#[derive(Debug)]
pub struct Blocker {
    readiness: Readiness,
    id: u64,
}

impl Readiness {
    /// Makes the readiness of a process that nobody blocks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks readiness under a name until the returned guard is dropped. A name may block more than
    /// once at a time.
    #[must_use = "dropping the blocker releases it"]
    pub fn block(&self, name: &'static str, reason: impl Into<String>) -> Blocker {
        let reason = reason.into();
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.blockers.insert(id, Held { name, reason });
        if !state.known.contains(&name) {
            state.known.push(name);
        }
        drop(state);
        Blocker {
            readiness: self.clone(),
            id,
        }
    }

    /// Writes or replaces the note of a name. Beyond 64 names the note is dropped and counted.
    pub fn note(&self, name: impl Into<String>, note: Note) {
        let name = name.into();
        let mut state = self.lock();
        if state.notes.len() >= MAX_NOTES && !state.notes.contains_key(&name) {
            state.notes_dropped += 1;
        } else {
            state.notes.insert(name, note);
        }
    }

    /// Removes the note of a name, if there is one.
    pub fn clear(&self, name: &str) {
        self.lock().notes.remove(name);
    }

    /// Makes the process unready for good: the first step of every shutdown.
    pub fn shutting_down(&self) {
        self.lock().shutting_down = true;
    }

    /// Tells whether the process is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.lock();
        !state.shutting_down && state.blockers.is_empty()
    }

    /// What works less well than it should, by name, and why.
    #[must_use]
    pub fn degraded(&self) -> Vec<(String, String)> {
        let state = self.lock();
        let notes = state.notes.iter();
        let degraded = notes.filter_map(|(name, note)| match note {
            Note::Degraded(text) => Some((name.clone(), text.clone())),
            Note::Good(_) => None,
        });
        degraded.collect()
    }

    /// Renders the answer of `/readyz`: whether ready, and the text.
    ///
    /// Ready and not verbose is `ok`. Otherwise one line a check (`[+]name ok` or `[-]name reason`),
    /// in verbose form then the notes by name (`[!]name: reason` when degraded), and last
    /// `readyz check passed` or `readyz check failed`.
    #[must_use]
    pub fn render(&self, verbose: bool) -> (bool, String) {
        let state = self.lock();
        let ready = !state.shutting_down && state.blockers.is_empty();
        if ready && !verbose {
            return (true, "ok\n".to_owned());
        }
        let mut lines = Vec::new();
        if state.shutting_down {
            lines.push("[-]shutdown the process is shutting down".to_owned());
        }
        for name in &state.known {
            let mut held = state
                .blockers
                .values()
                .filter(|held| held.name == *name)
                .peekable();
            if held.peek().is_none() {
                lines.push(format!("[+]{name} ok"));
            }
            lines.extend(held.map(|held| format!("[-]{name} {}", line_of(&held.reason))));
        }
        if verbose {
            lines.extend(state.notes.iter().map(|(name, note)| match note {
                Note::Good(text) => format!("[+]{}: {}", line_of(name), line_of(text)),
                Note::Degraded(text) => format!("[!]{}: {}", line_of(name), line_of(text)),
            }));
            if state.notes_dropped > 0 {
                lines.push(format!("[!]notes: {} did not fit", state.notes_dropped));
            }
        }
        let mut text = String::new();
        for line in lines {
            writeln!(text, "{line}").expect("a String takes any text");
        }
        text.push_str(if ready {
            "readyz check passed\n"
        } else {
            "readyz check failed\n"
        });
        (ready, text)
    }
}

impl Blocker {
    /// Replaces the reason shown.
    pub fn set_reason(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if let Some(held) = self.readiness.lock().blockers.get_mut(&self.id) {
            held.reason = reason;
        }
    }
}

impl Drop for Blocker {
    fn drop(&mut self) {
        self.readiness.lock().blockers.remove(&self.id);
    }
}

/// Cuts and escapes a text for one line.
fn line_of(text: &str) -> String {
    let cut: String = text.chars().take(MAX_TEXT_CHARS).collect();
    logging::escape(&cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_the_last_blocker_is_dropped() {
        let readiness = Readiness::new();
        let tls = readiness.block("tls", "no certificate yet");
        let listener = readiness.block("listener", "not bound");
        tls.set_reason("waiting for the\nfile");
        let (ready, text) = readiness.render(false);
        assert!(!ready);
        let expected = "[-]tls waiting for the\\u{a}file\n[-]listener not bound\n\
                        readyz check failed\n";
        assert_eq!(text, expected);
        drop(tls);
        drop(listener);
        assert_eq!(readiness.render(false), (true, "ok\n".to_owned()));
        let expected = "[+]tls ok\n[+]listener ok\nreadyz check passed\n";
        assert_eq!(readiness.render(true), (true, expected.to_owned()));
    }

    #[test]
    fn degraded_notes_are_shown_and_never_unready() {
        let readiness = Readiness::new();
        readiness.note(
            "source summary",
            Note::Degraded("kubelet answered 403".to_owned()),
        );
        readiness.note("source procfs", Note::Good("fresh".to_owned()));
        let (ready, text) = readiness.render(true);
        assert!(ready);
        let expected = "[+]source procfs: fresh\n[!]source summary: kubelet answered 403\n\
                        readyz check passed\n";
        assert_eq!(text, expected);
        readiness.clear("source summary");
        assert!(!readiness.render(true).1.contains("403"));
    }

    #[test]
    fn notes_are_bounded_and_the_rest_is_counted() {
        let readiness = Readiness::new();
        for index in 0..70 {
            readiness.note(format!("note {index:02}"), Note::Good("x".repeat(5_000)));
        }
        let (_, text) = readiness.render(true);
        assert_eq!(text.matches("[+]").count(), 64);
        assert!(text.contains("[!]notes: 6 did not fit") && text.len() < 64 * 1_100);
    }

    #[test]
    fn shutdown_is_final() {
        let readiness = Readiness::new();
        readiness.shutting_down();
        assert!(!readiness.is_ready());
        assert!(readiness.render(false).1.starts_with("[-]shutdown"));
    }
}
