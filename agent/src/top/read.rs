//! From the ring to a document.

use std::sync::Arc;

use cairn_proto::catalogue::{EntityKind, FieldId, Group, Source, table};
use cairn_proto::model::{ColumnId, EntityDef, EntityId, Snapshot};

use super::document::{Document, MAX_ENTITIES, MAX_POINTS, SourceState, VERSION};
use super::entities;
use super::host::{self, Past};
use super::rows::Rows;
use super::series::Series;
use crate::ring::Ring;
use crate::sources::status::{State, Status};

/// The least distance of two points of the history: those of a shorter interval would reach back for a
/// minute only, and reading further costs more than it shows.
const MIN_STEP_MS: u64 = 5_000;

/// What is asked of the agent that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// The node's name.
    pub(super) node: &'a str,
    /// Distance of the ticks, ms.
    pub(super) interval_ms: u64,
    /// Now, Unix ms.
    pub(super) unix_ms: u64,
    /// How the sources are doing.
    pub(super) statuses: &'a [Status],
}

/// Reads the ring. The work is bounded by the rows of some minutes of the node.
pub(super) fn read(ring: &Ring, question: Question<'_>) -> Document {
    let interval_ms = question.interval_ms.max(1);
    let step_ms = interval_ms.max(MIN_STEP_MS.next_multiple_of(interval_ms));
    let wanted = entities::wanted();
    let reach_ms = reach_ms(&wanted);
    let past_ms = MAX_POINTS as u64 * step_ms + 2 * Group::Host.max_age_ms();
    let span_ms = past_ms.max(reach_ms);
    let mut document = Document {
        version: VERSION,
        node: question.node.to_owned(),
        interval_ms,
        unix_ms: question.unix_ms,
        ..Document::default()
    };
    let rows = Rows::of(ring, span_ms / interval_ms + 1);
    let row = rows.as_ref().map(|rows| &*rows.newest.snapshot);
    let sources = question.statuses.iter();
    document.sources = sources
        .map(|status| source(status, row, question.unix_ms))
        .collect();
    let Some(rows) = rows else {
        return document;
    };
    let tick_ms = rows.newest.tick;
    document.tick_ms = Some(tick_ms);
    let told = Told::of(&rows.newest.defs);
    document.left_out = told.left_out;
    let node = told.node();
    let followed = told.followed.iter().map(|def| (def.id, def.kind));
    let mut series = Series::new(&wanted, followed);
    let mut past = Past::new(tick_ms, step_ms);
    rows.each(|row_ms, snapshot| {
        // Nothing that is older says anything of the newest tick; the machine's past is drawn.
        let is_recent = row_ms.saturating_add(reach_ms) >= tick_ms;
        if let Some(node) = node {
            past.until(row_ms, &series, node);
        }
        series.take(snapshot, node.filter(|_| !is_recent));
    });
    if let Some(node) = node {
        past.until(tick_ms + 1, &series, node);
        document.host = host::host(&series, node, tick_ms);
    }
    document.history = past.history;
    let now = entities::Now {
        tick_ms,
        unix_ms: question.unix_ms,
        series: &series,
    };
    document.entities = entities::all(&told.followed, &now);
    document
}

/// How far back a row may be and still say something of these fields: its measurement is held that long,
/// and the rate may reach as far back again.
fn reach_ms(wanted: &[FieldId]) -> u64 {
    let fields = wanted.iter().filter_map(|field| table::field(*field));
    let ages = fields.map(|field| field.group.max_age_ms());
    2 * ages.max().unwrap_or_default()
}

/// What of the newest row is told.
struct Told {
    // Rising by id: those told, and the devices of these.
    followed: Vec<Arc<EntityDef>>,
    left_out: u64,
}

impl Told {
    fn of(defs: &[Arc<EntityDef>]) -> Self {
        let mut ids: Vec<EntityId> = Vec::new();
        let mut left_out = 0;
        // Pods go before containers: what is beyond is the containers of crowded pods.
        let orders: [&[EntityKind]; 3] = [
            &[EntityKind::Node, EntityKind::System],
            &[EntityKind::Pod],
            &[EntityKind::Container],
        ];
        for kinds in orders {
            for def in defs.iter().filter(|def| kinds.contains(&def.kind)) {
                if ids.len() < MAX_ENTITIES {
                    ids.push(def.id);
                } else {
                    left_out += 1;
                }
            }
        }
        ids.sort_unstable();
        let is_told = |id: &EntityId| ids.binary_search(id).is_ok();
        let followed = defs.iter().filter(|def| {
            let device = def.kind == EntityKind::BlockDevice;
            is_told(&def.id) || (device && def.parent.as_ref().is_some_and(is_told))
        });
        let mut followed: Vec<Arc<EntityDef>> = followed.cloned().collect();
        followed.sort_unstable_by_key(|def| def.id);
        Self { followed, left_out }
    }

    fn node(&self) -> Option<EntityId> {
        let node = self
            .followed
            .iter()
            .find(|def| def.kind == EntityKind::Node);
        node.map(|def| def.id)
    }
}

fn source(status: &Status, row: Option<&Snapshot>, unix_ms: u64) -> SourceState {
    let measured_ms = row.and_then(|row| newest_of(row, status.source));
    let (state, reason) = match &status.state {
        State::Waiting => ("waiting", None),
        State::Good => ("ok", None),
        State::Failing(failure) => ("failing", Some(failure.reason.clone())),
    };
    SourceState {
        source: status.source.as_str().to_owned(),
        state: state.to_owned(),
        last_success_ms: Some(status.last_success_ms).filter(|at| *at > 0),
        age_ms: measured_ms.map(|measured_ms| unix_ms.saturating_sub(measured_ms)),
        reason,
    }
}

/// When a source measured last of what is in a row, Unix ms.
fn newest_of(row: &Snapshot, source: Source) -> Option<u64> {
    let groups = Group::ALL.into_iter().filter_map(|group| {
        let (times, sources) = (
            row.column(ColumnId::time(group))?,
            row.column(ColumnId::source(group))?,
        );
        let own = sources.cells().filter(|(_, by)| *by == source as u64);
        own.filter_map(|(place, _)| times.get(place as usize)).max()
    });
    groups.max()
}
