//! What is remembered of looks: what the last one found, and frames that were written.

use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::super::super::Api;
use super::super::super::room::Share;
use super::super::frame::Scope;
use super::super::values::Values;
use crate::query::Visible;

/// Ticks of a look that is kept when nobody uses it: a node that is late corrects a few. 5,000 nodes have
/// half a megabyte of values at each.
const KEPT_TICKS: usize = 4;

/// How long a frame that was written for one client of a stream is new enough for others: what it says of
/// the nodes' states is as old as that.
pub(in super::super) const NEW: Duration = Duration::from_secs(1);

/// How long the last look is kept when nobody asks for anything: the longest interval.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(60);

/// Frames that are remembered: of all nodes, and of those nodes that people look at.
const FRAMES: usize = 8;

/// A frame that is kept when nobody sends it, bytes: one tick of 5,000 nodes has half of it.
const KEPT_BYTES: usize = 4 << 20;

/// The longest rest between two looks.
const REST: Duration = Duration::from_secs(5);

/// What was found and written.
#[derive(Debug, Default)]
pub(super) struct Kept {
    looked: Option<Looked>,
    /// No look begins before it.
    pub(super) rest_until: Option<Instant>,
    // The newest last; at most one of the same ticks for the same scope.
    frames: Vec<Written>,
}

/// Which ticks of what may be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) range: RangeInclusive<u64>,
    pub(super) visible: Visible,
}

/// What was read, and when.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    pub(super) sight: Sight,
    /// Of the store, before it was read.
    pub(super) version: u64,
}

/// What a look found.
#[derive(Debug)]
struct Looked {
    of: Stamp,
    until: Instant,
    values: Weak<Values>,
    // Of a few ticks; of more only while the look is rested from.
    held: Option<Arc<Values>>,
}

/// A frame that was written.
#[derive(Debug)]
struct Written {
    scope: Scope,
    of: Stamp,
    at: Instant,
    text: Weak<Text>,
    // Of a small one; of a large one only until those who came meanwhile were answered.
    held: Option<Arc<Text>>,
}

/// A frame as JSON, with its share of the room for frames.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) json: Vec<u8>,
    pub(super) _share: Share,
}

/// One that several clients are being sent.
struct Sent(Arc<Text>);

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.0.json
    }
}

/// The bytes of a text that others have too.
pub(super) fn bytes(text: Arc<Text>) -> Bytes {
    Bytes::from_owner(Sent(text))
}

impl Kept {
    /// A frame that was written for somebody else, not as long ago as that, and is right.
    pub(super) fn frame(
        &self,
        api: &Api,
        scope: &Scope,
        (range, age): (&RangeInclusive<u64>, Duration),
    ) -> Option<Bytes> {
        let now = Instant::now();
        let is_it = |one: &&Written| {
            one.scope == *scope
                && now.saturating_duration_since(one.at) < age
                && one.of.sight.range == *range
                && one.of.is_right(api)
        };
        let mut those = self.frames.iter().filter(is_it);
        those.find_map(|one| one.text.upgrade()).map(bytes)
    }

    /// The values at these ticks as the last look found them, unless one of them changed since.
    pub(super) fn values(&self, api: &Api, sight: &Sight) -> Option<(Stamp, Arc<Values>)> {
        let looked = self.looked.as_ref()?;
        let is_it = looked.of.sight == *sight && looked.of.is_right(api);
        let values = is_it.then(|| looked.values.upgrade()).flatten()?;
        Some((looked.of.clone(), values))
    }

    /// Takes what a look found, and how long it took.
    pub(super) fn looked(&mut self, of: Stamp, values: &Arc<Values>, took: Duration) {
        let now = Instant::now();
        self.rest_until = Some(now + took.min(REST));
        self.looked = Some(Looked {
            of,
            until: now + KEPT_FOR,
            values: Arc::downgrade(values),
            held: Some(Arc::clone(values)),
        });
    }

    /// Takes a frame that was just written, in place of an older one.
    pub(super) fn written(&mut self, scope: Scope, of: Stamp, text: &Arc<Text>) {
        self.frames
            .retain(|one| one.scope != scope || one.of.sight.range != of.sight.range);
        if self.frames.len() == FRAMES {
            self.frames.remove(0);
        }
        self.frames.push(Written {
            scope,
            of,
            at: Instant::now(),
            text: Arc::downgrade(text),
            held: Some(Arc::clone(text)),
        });
    }

    /// Lets go what nobody may be given any more, and what is too large to be kept for those who may
    /// come.
    pub(super) fn forget(&mut self) {
        let now = Instant::now();
        self.frames.retain(|one| now < one.at + NEW);
        for one in &mut self.frames {
            one.held.take_if(|text| text.json.len() > KEPT_BYTES);
        }
        self.rest_until.take_if(|until| *until <= now);
        self.looked.take_if(|looked| looked.until <= now);
        if let Some(looked) = &mut self.looked
            && self.rest_until.is_none()
        {
            let held = &mut looked.held;
            held.take_if(|values| values.ticks.len() > KEPT_TICKS);
        }
    }

    /// When there is something to forget next; `None` when nothing is kept.
    pub(super) fn next_forget(&self) -> Option<Instant> {
        let frames = self.frames.iter().map(|one| one.at + NEW);
        let looked = self.looked.as_ref().map(|looked| looked.until);
        frames.chain(looked).chain(self.rest_until).min()
    }

    /// How many frames are kept, and whether a look is.
    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, bool) {
        (self.frames.len(), self.looked.is_some())
    }
}

impl Stamp {
    /// True when nothing has changed at its ticks since.
    fn is_right(&self, api: &Api) -> bool {
        let changed = api.store.changed_since(self.version);
        changed.is_some_and(|lowest| lowest.is_none_or(|lowest| lowest > *self.sight.range.end()))
    }
}
