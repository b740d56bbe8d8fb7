//! One look at all nodes for everybody who looks, and who may see the same.
//!
//! With thousands of nodes a look costs what a person does not see but a row does: it reads the window
//! of every pod. So one task looks, on a thread of its own, once for all who stood in line for the same
//! ticks when it began, and rests for as long as it took. A client waits for the task and is no part of
//! it: whoever hangs up neither ends a look nor starts another one beside it. Kept is what the last look
//! found, and written frames for a moment; a whole window only for as long as somebody is sending it.
//! Of readers who are known, each has a turn before any has another one, and a share of the line and of the room.
//!
//! The task ends when nobody waits and nothing is kept any more.

mod kept;
mod order;
mod refused;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cairn_runtime::tasks::{self, Group};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::super::room::{NoRoom, Room, Share};
use super::super::shares::{READERS, Reader};
use super::super::{Api, Cut, Most};
use super::frame::{Frame, Own, Scope};
use super::values::Values;
use kept::{Kept, Sight, Stamp, Text};
use order::Order;
use refused::Refused;

pub(super) use kept::NEW;

/// How long a look may be waited for, those of others before it included.
const WITHIN: Duration = Duration::from_secs(30);

/// Different frames that are waited for at once: as many as there are event streams.
const LINE: usize = super::super::MAX_STREAMS;

/// Of one reader.
const LINE_OF_ONE: usize = LINE / READERS;

/// Frames that are written for one reader at a turn: of the nodes that one page shows.
const FRAMES_OF_ONE: usize = 4;

/// One task that looks, and others that are about to end.
const TASKS: usize = 8;

/// Bytes of all frames that are kept or on their way to clients, each counted once however many are sent it:
/// a client that reads slowly keeps its own. With 5,000 nodes a window has half of it, a tick a hundredth.
const ROOM_BYTES: usize = 64 << 20;

/// Looks at all nodes. A clone shares them.
#[derive(Clone, Debug)]
pub struct Looks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    // Somebody has joined the line.
    joined: Notify,
    room: Room,
    tasks: Group,
}

#[derive(Debug, Default)]
struct Line {
    // In the order in which they came.
    waiting: Vec<Wish>,
    // A task is there that looks.
    is_served: bool,
    kept: Kept,
    refused: Refused,
    order: Order,
}

/// What comes of a wish.
type Answer = Result<Bytes, Cut>;

/// A frame that is waited for, by as many as want the same one.
#[derive(Debug)]
struct Wish {
    scope: Scope,
    range: RangeInclusive<u64>,
    // What the most exacting of them takes.
    age: Duration,
    // Who waits for it, where that is known; the first of them began to.
    readers: Vec<Arc<str>>,
    answer: watch::Sender<Option<Answer>>,
}

impl Default for Looks {
    fn default() -> Self {
        Self::with_room(ROOM_BYTES)
    }
}

impl Looks {
    /// With room for frames of so many bytes together, or one that has more.
    fn with_room(bytes: usize) -> Self {
        let shared = Shared {
            line: Mutex::default(),
            joined: Notify::new(),
            room: Room::of(bytes),
            tasks: Group::new("looks", TASKS),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The frame of these ticks, as JSON: one that was written for another client and is not as old as
    /// that, or of a look that begins after this call. Cancel safe: the look goes on for others.
    ///
    /// # Errors
    ///
    /// [`Cut::Busy`], [`Cut::OfOne`], [`Cut::Going`], [`Cut::Failed`].
    pub(super) async fn frame(
        &self,
        api: &Api,
        scope: &Scope,
        range: RangeInclusive<u64>,
        age: Duration,
    ) -> Answer {
        let (known, is_full) = {
            let mut line = self.shared.lock();
            let known = line.kept.frame(api, scope, (&range, age));
            let is_full = line
                .refused
                .is_full((scope, span_ms(&range)), self.shared.room.left());
            (known, is_full)
        };
        if let Some(frame) = known {
            return Ok(frame);
        }
        // Without a look, which would be in vain.
        if is_full {
            return Err(Cut::Busy);
        }
        let joined = self.join(api, scope, range, age);
        let waited = async {
            let mut answer = joined?;
            let found = answer.wait_for(Option::is_some).await;
            // Nobody looks any more when there is none.
            let is_going = api.token.is_cancelled();
            let gone = if is_going { Cut::Going } else { Cut::Failed };
            let found = found.ok().and_then(|found| found.clone());
            found.unwrap_or(Err(gone))
        };
        timeout(WITHIN, waited).await.unwrap_or(Err(Cut::Busy))
    }

    /// Joins the line, and sees to it that somebody serves it.
    fn join(
        &self,
        api: &Api,
        scope: &Scope,
        range: RangeInclusive<u64>,
        age: Duration,
    ) -> Result<watch::Receiver<Option<Answer>>, Cut> {
        let mut line = self.shared.lock();
        let answer = line.wish((scope, &api.reader), range, age);
        let answer = answer.map_err(|cut| match cut {
            Cut::OfOne(most) => api.over(most),
            cut => cut,
        })?;
        if line.is_served {
            self.shared.joined.notify_one();
            return Ok(answer);
        }
        line.is_served = true;
        drop(line);
        let server = Server {
            shared: Arc::clone(&self.shared),
            is_over: false,
        };
        // It serves others too, and each of them sees what they may see themselves.
        let api = api.clone().for_nobody();
        let started = self.shared.tasks.try_spawn(serve(api, server));
        started.map_err(|_| Cut::Busy).map(|()| answer)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        // What is changed under it is whole at every step.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The place of a wish, beside those who have the same one.
    fn wish(
        &mut self,
        (scope, reader): (&Scope, &Reader),
        range: RangeInclusive<u64>,
        age: Duration,
    ) -> Result<watch::Receiver<Option<Answer>>, Cut> {
        self.waiting.retain(Wish::is_waited_for);
        let mut waiting = self.waiting.iter_mut();
        if let Some(same) = waiting.find(|wish| wish.scope == *scope && wish.range == range) {
            same.age = same.age.min(age);
            same.join(reader);
            return Ok(same.answer.subscribe());
        }
        if self.waiting.len() == LINE {
            return Err(Cut::Busy);
        }
        let own = self.waiting.iter().filter(|wish| wish.is_of(reader));
        if reader.is_some() && own.count() >= LINE_OF_ONE {
            return Err(Cut::OfOne(Most::Looks));
        }
        let (answer, answered) = watch::channel(None);
        self.waiting.push(Wish {
            scope: scope.clone(),
            range,
            age,
            readers: reader.iter().cloned().collect(),
            answer,
        });
        Ok(answered)
    }

    /// What is to be done next.
    fn next(&mut self, api: &Api) -> Next {
        let kept = &self.kept;
        self.waiting.retain(|wish| {
            match kept.frame(api, &wish.scope, (&wish.range, wish.age)) {
                Some(frame) => wish.fulfil(Ok(frame)),
                None => return wish.is_waited_for(),
            }
            false
        });
        let mut next = self.batch(api);
        // Only now: what is too large to be kept was there for those who came meanwhile.
        self.kept.forget();
        if next.is_none() {
            next = self.kept.next_forget().map(Next::Wait);
        }
        next.unwrap_or(Next::End)
    }

    /// Those who can be answered now: at first those who were served longest ago, of them those who came first, and
    /// while the last look is rested from, those who want what it found.
    fn batch(&mut self, api: &Api) -> Option<Next> {
        let rested = self.kept.rest_until;
        let is_rested = rested.is_none_or(|until| until <= Instant::now());
        let values = |wish: &Wish| self.kept.values(api, &wish.sight());
        let last = |wish: &&Wish| self.order.last(&wish.readers);
        let (sight, known) = if is_rested {
            let first = self.waiting.iter().min_by_key(last)?;
            (first.sight(), values(first))
        } else {
            let known = self.waiting.iter().filter(|wish| values(wish).is_some());
            let first = known.min_by_key(last)?;
            (first.sight(), Some(values(first)?))
        };
        let wishes = self.taken(&sight);
        self.order
            .serve(wishes.iter().flat_map(|wish| &wish.readers));
        Some(Next::Batch {
            wishes,
            sight,
            known,
        })
    }
}

impl Line {
    /// Takes those who want this sight out of the line, of each reader a few.
    fn taken(&mut self, sight: &Sight) -> Vec<Wish> {
        let mut all: Vec<Wish> = std::mem::take(&mut self.waiting);
        // Whoever was served longest ago is served first in a turn too.
        all.sort_by_key(|wish| self.order.last(&wish.readers));
        let mut of_each: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        let (wishes, waiting) = all.into_iter().partition(|wish| {
            if wish.sight() != *sight {
                return false;
            }
            let Some(reader) = wish.readers.first() else {
                return true;
            };
            let taken = of_each.entry(Arc::clone(reader)).or_default();
            *taken += 1;
            *taken <= FRAMES_OF_ONE
        });
        self.waiting = waiting;
        wishes
    }
}

impl Wish {
    /// Somebody else waits for the same.
    fn join(&mut self, reader: &Reader) {
        let Some(reader) = reader else {
            return;
        };
        if self.readers.len() < LINE && !self.readers.contains(reader) {
            self.readers.push(Arc::clone(reader));
        }
    }

    /// True when this reader was the first who wanted it.
    fn is_of(&self, reader: &Reader) -> bool {
        self.readers.first() == reader.as_ref()
    }

    /// What has to be read for it: the same for all who may see the same.
    fn sight(&self) -> Sight {
        Sight {
            range: self.range.clone(),
            visible: self.scope.visible.clone(),
        }
    }

    /// Room for its frame. Who may see everything is sent what others are sent too, and has no share of their own. Of
    /// others who wait for it the first one whose share has room is charged: there is one frame, however many are sent
    /// it, and who does not read what they were sent before takes it from nobody else.
    fn share(&self, room: &Room, bytes: usize) -> Result<Share, NoRoom> {
        if self.scope.visible.has_all() || self.readers.is_empty() {
            return room.share(bytes, &None);
        }
        let mut shares = self.readers.iter().map(|reader| {
            let reader = Some(Arc::clone(reader));
            room.share(bytes, &reader)
        });
        let found = shares.find(|share| !matches!(share, Err(NoRoom::OfOne)));
        found.unwrap_or(Err(NoRoom::OfOne))
    }

    fn is_waited_for(&self) -> bool {
        self.answer.receiver_count() > 0
    }

    fn fulfil(&self, answer: Answer) {
        self.answer.send_replace(Some(answer));
    }
}

/// What is to be done next.
enum Next {
    /// To answer those who want the same ticks, which may be known.
    Batch {
        wishes: Vec<Wish>,
        sight: Sight,
        known: Option<(Stamp, Arc<Values>)>,
    },
    Wait(Instant),
    End,
}

/// Serves the line. However it ends, nobody waits for it afterwards, and another one can begin.
struct Server {
    shared: Arc<Shared>,
    is_over: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.is_over {
            let mut line = self.shared.lock();
            line.is_served = false;
            line.waiting.clear();
        }
    }
}

impl Server {
    fn next(&mut self, api: &Api) -> Next {
        let mut line = self.shared.lock();
        let next = line.next(api);
        if matches!(next, Next::End) {
            line.is_served = false;
            self.is_over = true;
        }
        next
    }
}

/// Answers those in line until nobody is there and nothing is kept.
async fn serve(api: Api, mut server: Server) {
    loop {
        match server.next(&api) {
            Next::End => return,
            Next::Wait(until) => tokio::select! {
                () = sleep_until(until) => {}
                () = server.shared.joined.notified() => {}
                () = api.token.cancelled() => return,
            },
            Next::Batch {
                wishes,
                sight,
                known,
            } => {
                let found = match known {
                    Some(known) => Ok(known),
                    None => look(&api, &server.shared, sight).await,
                };
                for wish in wishes.into_iter().filter(Wish::is_waited_for) {
                    let answer = match &found {
                        Ok(found) => write(&api, &server.shared, &wish, found).await,
                        Err(cut) => Err(*cut),
                    };
                    wish.fulfil(answer);
                }
            }
        }
    }
}

fn span_ms(range: &RangeInclusive<u64>) -> u64 {
    range.end().saturating_sub(*range.start())
}

/// Reads the values at these ticks.
async fn look(api: &Api, shared: &Shared, sight: Sight) -> Result<(Stamp, Arc<Values>), Cut> {
    let view = api.view_of(sight.visible.clone());
    let range = sight.range.clone();
    let of = Stamp {
        sight,
        version: *api.store.subscribe().borrow(),
    };
    let began = Instant::now();
    let values = tasks::blocking("look", move || Arc::new(Values::read(&view, range))).await;
    let values = values.map_err(|_| Cut::Failed)?;
    api.metrics.looks.inc();
    let mut line = shared.lock();
    line.kept.looked(of.clone(), &values, began.elapsed());
    Ok((of, values))
}

/// Writes the frame of these values.
async fn write(
    api: &Api,
    shared: &Shared,
    wish: &Wish,
    (of, values): &(Stamp, Arc<Values>),
) -> Answer {
    let scope = &wish.scope;
    let (own_api, own_scope, values) = (api.clone(), scope.clone(), Arc::clone(values));
    let write = move || {
        let view = own_api.view_of(own_scope.visible.clone());
        let own = Own::of(&view, &own_scope, &values);
        let frame = Frame::new(&own_api, &view, &own_scope, &values, &own);
        let mut text = serde_json::to_vec(&frame)?;
        text.shrink_to_fit();
        Ok::<_, serde_json::Error>(text)
    };
    let written = tasks::blocking("frame", write).await;
    let written = written.map_err(|_| Cut::Failed)?;
    let json = written.map_err(|_| Cut::Failed)?;
    let mut line = shared.lock();
    let share = match wish.share(&shared.room, json.len()) {
        Ok(share) => share,
        // Room that others have does not help this reader, and the other way round.
        Err(NoRoom::OfOne) => return Err(api.over(Most::Room)),
        Err(NoRoom::All | NoRoom::TooLarge) => {
            let bytes = json.len().min(shared.room.all());
            let span_ms = span_ms(&of.sight.range);
            line.refused.put((scope.clone(), span_ms), bytes);
            return Err(Cut::Busy);
        }
    };
    let text = Arc::new(Text {
        json,
        _share: share,
    });
    line.kept.written(scope.clone(), of.clone(), &text);
    Ok(kept::bytes(text))
}
