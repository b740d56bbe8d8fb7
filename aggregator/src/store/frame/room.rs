//! What is held, and what goes when it is too much: rows outside of the window, then the oldest of
//! nodes over their share, then, when the process is short of memory, the oldest of every node.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::share::{Shares, full_bytes};
use super::super::{Error, Evicted, Session};
use super::{Store, Window, lock};

/// When all windows are shortened, those that are at least this part of the longest one lose a block
/// in the same round: eighths.
const LONG_EIGHTHS: u64 = 7;

/// What all nodes hold, and what they may.
#[derive(Debug)]
pub(super) struct Held {
    limit: u64,
    pub(super) shares: Shares,
    // What everything is counted as, brought up to date with each write.
    bytes: AtomicU64,
    // What went and was not told yet.
    share_rows: AtomicU64,
    limit_rows: AtomicU64,
    clock_rows: AtomicU64,
    refused_entities: AtomicU64,
}

impl Held {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit: if limit == 0 { u64::MAX } else { limit },
            shares: Shares::new(limit),
            bytes: AtomicU64::new(0),
            share_rows: AtomicU64::new(0),
            limit_rows: AtomicU64::new(0),
            clock_rows: AtomicU64::new(0),
            refused_entities: AtomicU64::new(0),
        }
    }

    pub(super) fn with_node_budget(self, bytes: u64) -> Self {
        Self {
            shares: self.shares.with_least(bytes),
            ..self
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn refused_entity(&self) {
        self.refused_entities.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn clock_set_back(&self, rows: u64) {
        self.clock_rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Runs `work` on a node and keeps the sum of all bytes right.
    pub(super) fn counted<N: Window, T>(&self, node: &mut N, work: impl FnOnce(&mut N) -> T) -> T {
        let before = node.size().bytes;
        let result = work(node);
        let after = node.size().bytes;
        self.bytes
            .fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        result
    }

    /// Shortens a node's window until it is within its share and the whole within the limit, or only
    /// the newest row is left.
    fn fit<N: Window>(&self, node: &mut N) {
        let mut is_forgotten = false;
        loop {
            let is_over_share = node.size().bytes > self.shares.bytes();
            if !is_over_share && self.bytes() <= self.limit {
                break;
            }
            // Readers shall cost no rows.
            if !std::mem::replace(&mut is_forgotten, true) {
                self.counted(node, N::forget_read);
                continue;
            }
            let rows = self.counted(node, N::make_room);
            if rows == 0 {
                break;
            }
            if is_over_share {
                node.attendance_mut().shed();
                self.share_rows.fetch_add(rows, Ordering::Relaxed);
            } else {
                self.limit_rows.fetch_add(rows, Ordering::Relaxed);
            }
        }
        let is_full = node.size().bytes > self.shares.bytes();
        node.attendance_mut().set_full(is_full);
    }

    /// Tells what went since the last time.
    fn told(&self) -> Evicted {
        Evicted {
            share_rows: self.share_rows.swap(0, Ordering::Relaxed),
            limit_rows: self.limit_rows.swap(0, Ordering::Relaxed),
            clock_rows: self.clock_rows.swap(0, Ordering::Relaxed),
            refused_entities: self.refused_entities.swap(0, Ordering::Relaxed),
            ..Evicted::default()
        }
    }
}

/// A node with its name.
pub(super) type Named<N> = (Arc<str>, Arc<Mutex<N>>);

impl<N: Window> Store<N> {
    /// Runs `work` on the session's node, unless a newer session has taken it. A node that grows beyond
    /// its share shortens its own window and nobody else's; so does, between two looks at the memory,
    /// the write that finds the whole over the limit.
    pub(super) fn write<T>(
        &self,
        session: &Session,
        work: impl FnOnce(&mut N) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let node = self.node(&session.node).ok_or(Error::Fenced)?;
        let mut node = lock(&node);
        if node.attendance().session() != Some(session.number) {
            return Err(Error::Fenced);
        }
        self.bounded(&mut node, work)
    }

    /// Runs `work` on a node, and makes room for what it added.
    pub(in crate::store) fn bounded<T>(
        &self,
        node: &mut N,
        work: impl FnOnce(&mut N) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let before = node.size().bytes;
        let result = self.held.counted(node, work);
        if node.size().bytes > before {
            self.held.fit(node);
        }
        result
    }

    /// See [`Door::evict`](crate::store::Door::evict).
    pub(super) fn drop_old(&self, now_ms: u64) -> Evicted {
        let all = self.selected(None);
        let mut expired_rows = 0;
        let mut full: Vec<u64> = Vec::with_capacity(all.len());
        for (_, node) in &all {
            let mut node = lock(node);
            let oldest = node.attendance().own(now_ms).saturating_sub(self.window_ms);
            expired_rows += self.held.counted(&mut *node, |node| node.expire(oldest));
            let rows = self.window_ms / node.attendance().interval_ms();
            full.extend(full_bytes(node.size(), rows));
        }
        self.held.shares.settle(&mut full);
        for (name, node) in &all {
            let mut node = lock(node);
            let window_ms = self.window_ms;
            self.held.counted(&mut *node, |node| node.tidy(window_ms));
            self.unlist(name, &mut node);
            self.held.fit(&mut *node);
            node.attendance_mut().look_at_share(now_ms, window_ms);
        }
        // What is held here would not be forgotten.
        drop(all);
        Evicted {
            expired_rows,
            nodes: self.drop_empty(),
            ..self.held.told()
        }
    }

    /// Lets no namespace that is gone from a node lead to it any more.
    fn unlist(&self, name: &str, node: &mut N) {
        let gone = std::mem::take(node.gone_mut());
        self.index.keep(name, &gone, || node.namespaces());
    }

    /// The same between two evictions, once so many are gone that they are not remembered: otherwise
    /// an agent that gives its pods other namespaces again and again would fill the index meanwhile. Called
    /// after what adds to the index.
    pub(in crate::store) fn unlist_many(&self, name: &str, node: &mut N) {
        if node.gone_mut().is_many() {
            self.unlist(name, node);
        }
    }

    /// Forgets nodes that have neither rows nor a session. Returns how many. Whoever holds a node may
    /// be long at work on it, or about to open a session: it is not waited for, with all others behind
    /// the map's lock, but looked at again the next time.
    fn drop_empty(&self) -> u64 {
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        let before = nodes.len();
        nodes.retain(|name, node| {
            let Some(node) = Arc::get_mut(node) else {
                return true;
            };
            let node = node.get_mut().unwrap_or_else(PoisonError::into_inner);
            let is_there = node.attendance().session().is_some() || node.newest_tick().is_some();
            if !is_there {
                self.uncount(node);
                self.index.forget(name);
            }
            is_there
        });
        (before - nodes.len()) as u64
    }

    /// Takes what a node holds off the sum of all: it goes.
    pub(in crate::store) fn uncount(&self, node: &N) {
        let bytes = node.size().bytes;
        self.held.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// See [`Door::shorten`](crate::store::Door::shorten). In each round the longest windows lose their
    /// oldest blocks, so that no window ends up shorter than another for having been read first, and
    /// a node that has just come loses nothing before the others are down to its length.
    pub(super) fn shorten_all(&self, to_bytes: u64) -> u64 {
        let all = self.selected(None);
        let mut gone = 0;
        if self.held.bytes() > to_bytes {
            for (_, node) in &all {
                self.held.counted(&mut *lock(node), N::forget_read);
            }
        }
        while self.held.bytes() > to_bytes {
            let longest = all.iter().map(span_ms).max().unwrap_or(0);
            let long = longest / 8 * LONG_EIGHTHS;
            let before = gone;
            for one in all.iter().filter(|one| span_ms(one) >= long) {
                // Who was passed over is among the longest the next time.
                if self.held.bytes() <= to_bytes {
                    break;
                }
                gone += self.held.counted(&mut *lock(&one.1), N::make_room);
            }
            if gone == before {
                break;
            }
        }
        gone
    }
}

/// How long a node's window is.
fn span_ms<N: Window>((_, node): &Named<N>) -> u64 {
    let node = lock(node);
    let span = node.newest_tick().zip(node.oldest_tick());
    span.map_or(0, |(newest, oldest)| newest.saturating_sub(oldest))
}
