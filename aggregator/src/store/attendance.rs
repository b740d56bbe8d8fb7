//! Who reports a node, what its clock says, and how its sources are: what a node's window keeps
//! beside its rows, however it keeps those.

use std::sync::Arc;

use cairn_proto::codec::slim::{Counts, Slim};
use cairn_proto::model::{EarlierRun, Run};

use super::arriving::ROW_CELLS;
use super::earlier::Earlier;
use super::{Applied, Error, Known, Limited, NodeState, Opening, SourceState, WireRow};

/// Clock differences kept: enough to see past a few slow frames, few enough to follow a drift.
const OFFSETS: usize = 16;

/// Sources of one node that are remembered; agents have five.
const SOURCES: usize = 16;

#[derive(Debug, Default)]
/// What is kept of a node beside its rows.
pub struct Attendance {
    session: Option<Open>,
    since_ms: u64,
    arrived_ms: u64,
    interval_ms: u64,
    offsets: Vec<i64>,
    next_offset: usize,
    // Sorted by name; a list that is shared with those who look, and made anew when one changes.
    sources: Arc<[SourceState]>,
    gap_rows: u64,
    // What the agent said it dropped in a run, as of its last word on it.
    dropped: Option<(Run, u64)>,
    earlier: Earlier,
    limited: Limited,
    // Rows went early for the node's share since the last look, or until when one that did matters.
    shed: bool,
    shed_until_ms: u64,
    refused_entities: u64,
}

/// The living session.
#[derive(Debug)]
pub(super) struct Open {
    number: u64,
    /// The run that it reports.
    pub(super) run: Run,
    interval_ms: u64,
    /// The row that the next one refers to.
    pub(super) last: Option<Last>,
    // The seq of the row that came after that and was not read.
    passed_over: Option<u64>,
}

/// The row that a session sent last.
#[derive(Clone, Debug)]
pub(super) struct Last {
    /// Number in its run.
    pub(super) seq: u64,
    /// Grid time, Unix ms.
    pub(super) tick_ms: u64,
    /// Its values.
    pub(super) row: Arc<Slim>,
    // Bytes that it had decoded.
    decoded_bytes: u64,
}

/// What lies too far back to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// How long before the node's present.
    pub(super) window_ms: u64,
    /// Whatever is before this tick: it went.
    pub(super) before_ms: u64,
}

impl Past {
    /// True when a tick does, at this time of the node's own clock.
    pub(super) fn has(self, tick_ms: u64, own_now_ms: u64) -> bool {
        tick_ms < self.before_ms || tick_ms.saturating_add(self.window_ms) < own_now_ms
    }
}

/// A row that was read, and what it has.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) row: Slim,
    pub(super) counts: Counts,
}

impl Attendance {
    /// Begins a session. What is later than the tick that is given back was written by a clock that
    /// was ahead, and hides the present.
    pub(super) fn open(&mut self, number: u64, opening: Opening) -> u64 {
        if self.session.is_none() {
            self.since_ms = opening.now_ms;
        }
        let Opening {
            run, interval_ms, ..
        } = opening;
        self.session = Some(Open {
            number,
            run,
            interval_ms,
            last: None,
            passed_over: None,
        });
        self.interval_ms = interval_ms;
        self.offsets.clear();
        self.next_offset = 0;
        self.note_offset(opening.sent_ms, opening.now_ms);
        self.earlier.set_back(opening.sent_ms);
        opening.sent_ms.saturating_add(interval_ms)
    }

    pub(super) fn close(&mut self, now_ms: u64) {
        self.session = None;
        self.since_ms = now_ms;
    }

    /// The number of the living session.
    pub(super) fn session(&self) -> Option<u64> {
        self.session.as_ref().map(|open| open.number)
    }

    pub(super) fn living(&self) -> Option<&Open> {
        self.session.as_ref()
    }

    /// The run that is reported.
    pub(super) fn run(&self) -> Option<Run> {
        self.session.as_ref().map(|open| open.run)
    }

    /// Distance of the ticks, ms; never 0.
    pub(super) fn interval_ms(&self) -> u64 {
        self.interval_ms.max(1)
    }

    /// Judges a row of the living session by what its frame says, before anything of it is decoded:
    /// `Some` when its tick is not kept. Such a row is not read at all; one that refers to it cannot be
    /// either.
    pub(super) fn judge_row(
        &mut self,
        row: &WireRow<'_>,
        past: Past,
    ) -> Result<Option<Applied>, Error> {
        let seq = row.seq;
        let open = self.session.as_ref().ok_or(Error::Fenced)?;
        let last_read = open.last.as_ref().map(|last| last.seq);
        let last = open.passed_over.or(last_read);
        match row.base_seq {
            Some(base) if Some(base) != last => return Err(Error::Base { seq, base, last }),
            Some(base) if open.passed_over.is_some() => {
                return Err(Error::PassedOver { seq, base });
            }
            _ => {}
        }
        let off_grid = !row.tick_ms.is_multiple_of(open.interval_ms.max(1));
        if off_grid || last.is_some_and(|last| seq <= last) {
            return Err(Error::Tick { seq });
        }
        self.note_offset(row.sent_ms, row.now_ms);
        let refused = self.judge(row.tick_ms, row.now_ms, past);
        if let Some(open) = self.session.as_mut().filter(|_| refused.is_some()) {
            open.passed_over = Some(seq);
        }
        Ok(refused)
    }

    /// Decodes a row that was judged and refers to the last one of the session or to none. More than
    /// `most_bytes` of it are not taken, nor more cells than fit into a block sixteen times.
    pub(super) fn decode(&self, row: &WireRow<'_>, most_bytes: u64) -> Result<Decoded, Error> {
        let seq = row.seq;
        let last = self.session.as_ref().and_then(|open| open.last.as_ref());
        let base = row.base_seq.and(last);
        let base = base.map(|last| (last.tick_ms, &*last.row));
        let decoded = Slim::decode(base, row.tick_ms, row.payload);
        let decoded = decoded.map_err(|source| Error::Decode { seq, source })?;
        let counts = decoded.counts();
        let (bytes, cells) = (counts.bytes as u64, counts.cells as u64);
        if bytes > most_bytes {
            let share = most_bytes;
            return Err(Error::TooLarge { seq, bytes, share });
        }
        if cells > ROW_CELLS {
            return Err(Error::TooManyCells { seq, cells });
        }
        Ok(Decoded {
            row: decoded,
            counts,
        })
    }

    /// The last row of the living session.
    pub(super) fn last_row(&self) -> Option<&Arc<Slim>> {
        let last = self.session.as_ref()?.last.as_ref();
        last.map(|last| &last.row)
    }

    /// Bytes of the last row of the living session, decoded.
    pub(super) fn row_bytes(&self) -> u64 {
        let last = self.session.as_ref().and_then(|open| open.last.as_ref());
        last.map_or(0, |last| last.decoded_bytes)
    }

    /// Takes note that a row of the living session was read.
    pub(super) fn heard(&mut self, row: &WireRow<'_>, read: Arc<Slim>, decoded_bytes: usize) {
        if let Some(open) = self.session.as_mut() {
            open.passed_over = None;
            open.last = Some(Last {
                seq: row.seq,
                tick_ms: row.tick_ms,
                row: read,
                decoded_bytes: decoded_bytes as u64,
            });
        }
        self.arrived_ms = row.now_ms;
    }

    /// Why a tick is not kept, judged by the node's own clock as measured; `None` when it is.
    pub(super) fn judge(&self, tick_ms: u64, now_ms: u64, past: Past) -> Option<Applied> {
        let own_now = self.own(now_ms);
        if tick_ms > own_now.saturating_add(self.interval_ms) {
            Some(Applied::TooNew)
        } else if past.has(tick_ms, own_now) {
            Some(Applied::TooOld)
        } else {
            None
        }
    }

    /// Our time as the node's clock tells it.
    pub(super) fn own(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.offset_ms())
    }

    /// Takes note that rows went early for the node's share.
    pub(super) fn shed(&mut self) {
        self.shed = true;
        if self.limited == Limited::No {
            self.limited = Limited::Shortened;
        }
    }

    /// Says whether the node is over its share with nothing left but its newest row.
    pub(super) fn set_full(&mut self, is_full: bool) {
        match (is_full, self.limited) {
            (true, _) => self.limited = Limited::Full,
            (false, Limited::Full) => self.limited = Limited::Shortened,
            (false, _) => {}
        }
    }

    /// Forgets that rows went early once a whole window has come since.
    pub(super) fn look_at_share(&mut self, now_ms: u64, window_ms: u64) {
        if std::mem::take(&mut self.shed) || self.limited == Limited::Full {
            self.shed_until_ms = now_ms.saturating_add(window_ms);
        } else if now_ms >= self.shed_until_ms {
            self.limited = Limited::No;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.limited == Limited::Full
    }

    pub(super) fn refused_entity(&mut self) {
        self.refused_entities += 1;
    }

    /// The same, with an offset that somebody else measured where none was measured here.
    pub(super) fn own_or(&self, now_ms: u64, offset_ms: i64) -> u64 {
        if self.offsets.is_empty() {
            now_ms.saturating_add_signed(offset_ms)
        } else {
            self.own(now_ms)
        }
    }

    /// Takes over what another aggregator knows of the node, where no agent has reported it.
    pub(super) fn learn(&mut self, known: Known, interval_ms: u64) {
        if self.offsets.is_empty() {
            self.offsets.push(known.offset_ms);
            self.interval_ms = interval_ms;
            self.since_ms = known.arrived_ms;
        }
        if self.session.is_none() {
            self.arrived_ms = self.arrived_ms.max(known.arrived_ms);
        }
    }

    pub(super) fn gap(&mut self, rows: u64) {
        self.gap_rows = self.gap_rows.saturating_add(rows);
    }

    /// Takes note of how many rows the session's run has dropped so far; returns how many are news.
    pub(super) fn dropped(&mut self, rows: u64) -> u64 {
        let Some(run) = self.run() else { return 0 };
        let told = self.dropped.replace((run, rows));
        let before = told.filter(|(of, _)| *of == run).map_or(0, |told| told.1);
        let news = rows.saturating_sub(before);
        self.gap(news);
        news
    }

    /// Takes what the session's agent says of runs before its own; returns how many are not believed.
    pub(super) fn hear_earlier(&mut self, told: &[EarlierRun], now_ms: u64, window_ms: u64) -> u64 {
        let Some(own) = self.run() else { return 0 };
        let present_ms = self.own(now_ms);
        let ticks_ms = (present_ms.saturating_sub(window_ms), present_ms);
        self.earlier.hear(told, own, ticks_ms)
    }

    /// Runs that ended before the one that is reported.
    pub(super) fn earlier(&self) -> &Earlier {
        &self.earlier
    }

    /// Rows before this tick went for want of room.
    pub(super) fn let_go(&mut self, before_ms: u64) {
        self.earlier.let_go(before_ms);
    }

    /// A run begins that nothing was known of. Of one whose clock was set back before what went nothing has gone: the
    /// ticks that went are those of another time.
    pub(super) fn begins(&mut self, run: Run) {
        if run.clock_stepped && run.epoch_ms < self.let_go_ms() {
            self.earlier.forget_let_go();
        }
    }

    /// Rows before this tick went for want of room; 0 while none did.
    pub(super) fn let_go_ms(&self) -> u64 {
        self.earlier.let_go_ms()
    }

    pub(super) fn source(&mut self, state: SourceState) {
        let mut sources = self.sources.to_vec();
        match sources.binary_search_by(|known| known.name.cmp(&state.name)) {
            Ok(at) => {
                if let Some(known) = sources.get_mut(at) {
                    *known = state;
                }
            }
            Err(at) if sources.len() < SOURCES => sources.insert(at, state),
            Err(_) => return,
        }
        self.sources = sources.into();
    }

    pub(super) fn state(&self, name: Arc<str>, newest_tick_ms: Option<u64>) -> NodeState {
        NodeState {
            name,
            live: self.session.is_some(),
            since_ms: self.since_ms,
            newest_tick_ms,
            arrived_ms: self.arrived_ms,
            interval_ms: self.interval_ms,
            offset_ms: self.offset_ms(),
            sources: Arc::clone(&self.sources),
            gap_rows: self.gap_rows,
            // Who knows the rows fills it in.
            gap_ticks: 0,
            limited: self.limited,
            refused_entities: self.refused_entities,
        }
    }

    fn note_offset(&mut self, sent_ms: u64, now_ms: u64) {
        let offset = difference(sent_ms, now_ms);
        match self.offsets.get_mut(self.next_offset) {
            Some(slot) => *slot = offset,
            None => self.offsets.push(offset),
        }
        self.next_offset = (self.next_offset + 1) % OFFSETS;
    }

    /// The node's clock minus ours. A delay makes a difference smaller, never larger.
    pub(super) fn offset_ms(&self) -> i64 {
        self.offsets.iter().max().copied().unwrap_or(0)
    }
}

/// Saturates: a clock that is off by more than can be said is off, not right.
fn difference(a_ms: u64, b_ms: u64) -> i64 {
    let apart_ms = i64::try_from(a_ms.abs_diff(b_ms)).unwrap_or(i64::MAX);
    if a_ms < b_ms { -apart_ms } else { apart_ms }
}
