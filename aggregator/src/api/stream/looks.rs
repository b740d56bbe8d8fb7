//! One look at all nodes for everybody who looks.
//!
//! With thousands of nodes a look costs what a person does not see but a row does: it reads the window
//! of every pod. So it is made on a thread of its own, one at a time, once for all clients that want the
//! same ticks, and it rests for as long as it took before the next one. Kept is what the last look
//! found, and written frames for a moment; a whole window only for as long as somebody is sending it.

use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use cairn_runtime::tasks;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::super::{Api, Cut};
use super::frame::{Frame, Own, Scope};
use super::values::Values;

/// Ticks of a look that is kept when nobody uses it: a node that is late corrects a few. 5,000 nodes have
/// half a megabyte of values at each.
const KEPT_TICKS: usize = 4;

/// How long a frame that was written for one client of a stream is new enough for others: what it says of
/// the nodes' states is as old as that.
pub(super) const NEW: Duration = Duration::from_secs(1);

/// Frames that are remembered: of all nodes, and of those nodes that people look at.
const FRAMES: usize = 8;

/// A frame that is kept when nobody sends it, bytes: one tick of 5,000 nodes has half of it.
const KEPT_BYTES: usize = 4 << 20;

/// How long a look may be waited for, those of others before it included.
const WITHIN: Duration = Duration::from_secs(30);

/// The longest rest between two looks.
const REST: Duration = Duration::from_secs(5);

/// Looks at all nodes. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    looked: Option<Looked>,
    rest_until: Option<Instant>,
    // The newest last.
    frames: Vec<Written>,
}

/// What was read of which ticks, and when.
#[derive(Clone, Debug)]
struct Stamp {
    range: RangeInclusive<u64>,
    // Of the store, before it was read.
    version: u64,
}

/// What a look found.
#[derive(Debug)]
struct Looked {
    of: Stamp,
    values: Weak<Values>,
    // Of a few ticks.
    _held: Option<Arc<Values>>,
}

/// A frame that was written.
#[derive(Debug)]
struct Written {
    scope: Scope,
    of: Stamp,
    at: Instant,
    bytes: Weak<[u8]>,
    // Of a small one.
    _held: Option<Arc<[u8]>>,
}

impl Looks {
    /// The frame of these ticks, as JSON: a client's own, or one that was written for another client and
    /// is not as old as that. Cancel safe: a look that nobody waits for any more is made again.
    ///
    /// # Errors
    ///
    /// [`Cut::Busy`], [`Cut::Failed`].
    pub(super) async fn frame(
        &self,
        api: &Api,
        scope: &Scope,
        range: RangeInclusive<u64>,
        age: Duration,
    ) -> Result<Bytes, Cut> {
        let made = async {
            let mut kept = self.kept.lock().await;
            if let Some(bytes) = kept.known(api, scope, (&range, age)) {
                return Ok(bytes);
            }
            let (of, values) = kept.values(api, range).await?;
            kept.write(api, scope, (of, values)).await
        };
        match timeout(WITHIN, made).await {
            Ok(made) => made.map(Bytes::from_owner),
            Err(_) => {
                api.metrics.busy.inc();
                Err(Cut::Busy)
            }
        }
    }
}

impl Kept {
    /// A frame that was written for somebody else.
    fn known(
        &mut self,
        api: &Api,
        scope: &Scope,
        (range, age): (&RangeInclusive<u64>, Duration),
    ) -> Option<Arc<[u8]>> {
        let now = Instant::now();
        let is_new = |one: &Written, age| now.saturating_duration_since(one.at) < age;
        self.frames.retain(|one| is_new(one, NEW));
        let is_it = |one: &&Written| {
            one.scope == *scope
                && is_new(one, age)
                && one.of.range == *range
                && one.of.is_right(api)
        };
        self.frames.iter().find(is_it)?.bytes.upgrade()
    }

    /// The values at these ticks: those that the last look found, unless one of them changed since.
    async fn values(
        &mut self,
        api: &Api,
        range: RangeInclusive<u64>,
    ) -> Result<(Stamp, Arc<Values>), Cut> {
        let known = self.looked.as_ref();
        let known = known.filter(|looked| looked.of.range == range && looked.of.is_right(api));
        if let Some(looked) = known
            && let Some(values) = looked.values.upgrade()
        {
            return Ok((looked.of.clone(), values));
        }
        if let Some(rested) = self.rest_until {
            sleep_until(rested).await;
        }
        let of = Stamp {
            range: range.clone(),
            version: *api.store.subscribe().borrow(),
        };
        let view = api.view();
        let began = Instant::now();
        let values = tasks::blocking("look", move || Arc::new(Values::read(&view, range))).await;
        let values = values.map_err(|_| Cut::Failed)?;
        api.metrics.looks.inc();
        self.rest_until = Some(Instant::now() + began.elapsed().min(REST));
        let is_short = values.ticks.len() <= KEPT_TICKS;
        self.looked = Some(Looked {
            of: of.clone(),
            values: Arc::downgrade(&values),
            _held: is_short.then(|| Arc::clone(&values)),
        });
        Ok((of, values))
    }

    /// Writes the frame of these values.
    async fn write(
        &mut self,
        api: &Api,
        scope: &Scope,
        (of, values): (Stamp, Arc<Values>),
    ) -> Result<Arc<[u8]>, Cut> {
        let at = Instant::now();
        let (own_api, own_scope) = (api.clone(), scope.clone());
        let write = move || {
            let view = own_api.view();
            let own = Own::of(&view, &own_scope, &values);
            let frame = Frame::new(&own_api, &view, &own_scope, &values, &own);
            serde_json::to_vec(&frame).map(Arc::<[u8]>::from)
        };
        let written = tasks::blocking("frame", write).await;
        let written = written.map_err(|_| Cut::Failed)?;
        let bytes = written.map_err(|_| Cut::Failed)?;
        if self.frames.len() == FRAMES {
            self.frames.remove(0);
        }
        self.frames.push(Written {
            scope: scope.clone(),
            of,
            at,
            bytes: Arc::downgrade(&bytes),
            _held: (bytes.len() <= KEPT_BYTES).then(|| Arc::clone(&bytes)),
        });
        Ok(bytes)
    }
}

impl Stamp {
    /// True when nothing has changed at its ticks since.
    fn is_right(&self, api: &Api) -> bool {
        let changed = api.store.changed_since(self.version);
        changed.is_some_and(|lowest| lowest.is_none_or(|lowest| lowest > *self.range.end()))
    }
}
