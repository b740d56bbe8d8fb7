//! The window as seen at one moment: the grid, its newest ticks, series by name.

mod nodes;

use std::sync::{Arc, OnceLock};

use cairn_proto::catalogue::{Field, Kind, table};

use super::series::Told;
use super::watermark::{NODE_MAX_AGE_MS, is_off, published_tick, published_tick_by};
use super::{Sample, Sum, Visible, pieces};
use crate::cluster::Cluster;
use crate::store::{
    Door, Entity, NodeState, RawRow, SeeRecent, Selector, Ticks, VisitFields, Wanted,
};

/// How far before its first tick a series is read at most, ms: a held value may be a max-age old, and
/// a held rate's two measurements each of them.
const LOOK_BACK_MS: u64 = 300_000;

/// How much longer than the window the store keeps rows, ms. Each row repeats what its sources said
/// last, so a value is in the row of its tick, however old; what came before matters for a rate, whose
/// earlier measurement may be a max-age of CPU back, and where rows are missing.
pub const KEPT_LONGER_MS: u64 = 100_000;

/// Times of a request, Unix ms, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Nothing before.
    pub start_ms: u64,
    /// Nothing after.
    pub end_ms: u64,
}

impl Bounds {
    /// The whole window.
    pub const ALL: Bounds = Bounds {
        start_ms: 0,
        end_ms: u64::MAX,
    };
}

/// The window at one moment. Holds no lock; what it reads may grow meanwhile. Who reports is looked at
/// when somebody first asks for it, and of a question about one node only as far as that needs: with
/// thousands of nodes the states of all cost more than the answer.
#[derive(Clone, Debug)]
pub struct View {
    store: Arc<dyn Door>,
    now_ms: u64,
    interval_ms: u64,
    window_ms: u64,
    pub(super) visible: Visible,
    nodes: OnceLock<Vec<NodeState>>,
    // Of those the visible ones, where that is not all.
    shown: OnceLock<Vec<NodeState>>,
    published_ms: OnceLock<u64>,
    cluster: Cluster,
    // What those are told of it who may not see it.
    nothing: Cluster,
}

impl View {
    /// Looks at the store now.
    #[must_use]
    pub fn new(store: &Arc<dyn Door>, interval_ms: u64, window_ms: u64, now_ms: u64) -> Self {
        Self {
            store: Arc::clone(store),
            now_ms,
            interval_ms,
            window_ms,
            visible: Visible::ALL,
            nodes: OnceLock::new(),
            shown: OnceLock::new(),
            published_ms: OnceLock::new(),
            cluster: Cluster::off(),
            nothing: Cluster::off(),
        }
    }

    /// The same beside what the Kubernetes API says.
    #[must_use]
    pub fn beside(self, cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
            ..self
        }
    }

    /// What the Kubernetes API says of who is what.
    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What it says of what things ask for, may have and can give, as far as it may be seen.
    pub(super) fn specs(&self) -> &Cluster {
        if self.visible.specs {
            &self.cluster
        } else {
            &self.nothing
        }
    }

    /// True when no node has a row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states()
            .iter()
            .all(|node| node.newest_tick_ms.is_none())
    }

    /// Newest tick of values over several nodes, Unix ms.
    #[must_use]
    pub fn published_ms(&self) -> u64 {
        *self.published_ms.get_or_init(|| {
            let (interval_ms, now_ms) = (self.interval_ms, self.now_ms);
            let published = match self.nodes.get() {
                Some(all) => published_tick(all, interval_ms, now_ms),
                // Mostly the first few nodes tell: it is decided by one that lacks the tick.
                None => published_tick_by(interval_ms, now_ms, |lacks| self.store.any_node(lacks)),
            };
            published.unwrap_or(0)
        })
    }

    /// Newest tick of a node's own values: what it has delivered, or the published one, by the
    /// node's own clock if that is off.
    #[must_use]
    pub fn newest_of_node(&self, node: &str) -> u64 {
        let (_, newest) = self.newest_by_clock(node);
        newest
    }

    /// Of each of several nodes, sorted by name, whether its clock is right and the newest tick of its own
    /// values, as seen at one moment. The largest of them is the newest tick of all: of those whose clocks
    /// are right, so that one that is off moves no other node's ticks; with none of them right, of all.
    pub(super) fn newest_of_each(&self, nodes: &[&str]) -> Vec<(bool, u64)> {
        if self.nodes.get().is_some() {
            return nodes
                .iter()
                .map(|name| self.newest_by_clock(name))
                .collect();
        }
        let states = self.store.states_of(nodes).into_iter();
        let newest = states.map(|state| self.newest_by_state(state.as_ref()));
        newest.collect()
    }

    /// True when a node's clock is right, and the newest tick of its own values.
    fn newest_by_clock(&self, node: &str) -> (bool, u64) {
        self.newest_by_state(self.state(node).as_deref())
    }

    fn newest_by_state(&self, state: Option<&NodeState>) -> (bool, u64) {
        let published = || Some(self.published_ms());
        let newest = state.map(|state| self.newest_by_ticks(state.ticks(), published));
        newest
            .flatten()
            .unwrap_or_else(|| (true, self.published_ms()))
    }

    /// The same tick by the ticks of a node and the published one alone: no other node is looked at. `None` if it
    /// depends on the published one, and that is not given.
    pub(super) fn newest_at_once(&self, ticks: Ticks, published_ms: Option<u64>) -> Option<u64> {
        let newest = self.newest_by_ticks(ticks, || published_ms);
        newest.map(|(_, newest_ms)| newest_ms)
    }

    /// What [`Self::published_ms`] gives, if that was found out before.
    pub(super) fn known_published_ms(&self) -> Option<u64> {
        self.published_ms.get().copied()
    }

    fn newest_by_ticks(
        &self,
        ticks: Ticks,
        published: impl FnOnce() -> Option<u64>,
    ) -> Option<(bool, u64)> {
        if let Some(newest) = ticks.newest_tick_ms.filter(|_| !is_off(ticks))
            && self.is_new(newest)
        {
            // Later than what can be published, which need not be known then.
            return Some((true, newest / self.interval_ms * self.interval_ms));
        }
        let mut published = published()?;
        if is_off(ticks) {
            published = published.saturating_add_signed(ticks.offset_ms);
        }
        let newest = ticks.newest_tick_ms.unwrap_or(0).max(published);
        // A clock that was ahead leaves rows behind that no right one could have written.
        let is_right = !is_off(ticks) && newest - published <= NODE_MAX_AGE_MS;
        Some((is_right, newest / self.interval_ms * self.interval_ms))
    }

    /// True of a tick that is not before the one that is published, whichever that is, and not so far
    /// ahead of it that no right clock could have told it.
    fn is_new(&self, tick_ms: u64) -> bool {
        let newest = self.now_ms / self.interval_ms * self.interval_ms;
        let ahead_ms = tick_ms.saturating_sub(newest.saturating_sub(self.interval_ms));
        tick_ms >= newest && ahead_ms <= NODE_MAX_AGE_MS
    }

    /// Newest tick of the values of one name: that of the life that speaks for it now, which is the
    /// last one that is there, or the last one that was.
    #[must_use]
    pub fn newest_of(&self, lives: &[Entity]) -> u64 {
        let current = lives.iter().rfind(|life| self.is_current(life));
        let speaks = current.or(lives.last());
        speaks.map_or(0, |life| self.newest_of_node(&life.node))
    }

    /// Grid times of the window up to `newest_ms` that lie within the bounds.
    #[must_use]
    pub fn ticks(&self, newest_ms: u64, bounds: Bounds) -> Vec<u64> {
        let oldest = newest_ms
            .saturating_sub(self.window_ms)
            .max(bounds.start_ms);
        let first = oldest.div_ceil(self.interval_ms);
        let last = newest_ms.min(bounds.end_ms) / self.interval_ms;
        (first..=last)
            .map(|n| n.saturating_mul(self.interval_ms))
            .collect()
    }

    /// What the selector finds of what may be seen, alive or not. All that is shown of anything is found
    /// here first.
    #[must_use]
    pub fn entities(&self, selector: &Selector<'_>) -> Vec<Entity> {
        if self.visible.rules_out(selector) {
            return Vec::new();
        }
        let mut found = self.store.entities(selector);
        if self.is_narrowed() {
            found.retain(|entity| self.visible.has(entity));
        }
        found
    }

    /// True when the last row of the entity's node at or before the tick knows it, and that row is
    /// young enough at the tick, whatever newer rows say. The tick is by the node's own clock.
    #[must_use]
    pub fn present_at(&self, entity: &Entity, tick_ms: u64) -> bool {
        let oldest = tick_ms.saturating_sub(NODE_MAX_AGE_MS);
        if entity.first_tick_ms > tick_ms || entity.last_tick_ms < oldest {
            return false;
        }
        // Nearly always, and nothing needs to be read for it.
        if entity.last_tick_ms == tick_ms {
            return true;
        }
        // Whether it is there is the same for every field.
        let rows = self.store.read(entity, table::CPU, (oldest, tick_ms));
        rows.last().is_some_and(|row| row.present)
    }

    /// One entity's series.
    #[must_use]
    pub fn series(&self, entity: &Entity, field: &Field, ticks_ms: &[u64]) -> Vec<Option<Sample>> {
        let told = self.told(entity, field, ticks_ms);
        told.into_iter().map(|told| told.sample).collect()
    }

    /// See [`Door::recent`].
    pub(super) fn recent(
        &self,
        node: &str,
        namespace: Option<&str>,
        see: &mut SeeRecent<'_>,
    ) -> bool {
        self.store.recent(node, namespace, see)
    }

    /// The rows themselves of entities of one node, as the store shows them.
    pub(super) fn visit_rows(
        &self,
        entities: &[&Entity],
        wanted: &[Wanted],
        visit: &mut VisitFields<'_>,
    ) {
        self.store.visit_fields(entities, wanted, visit);
    }

    /// The series of several entities, in their order. Costs less than one after the other: what they
    /// share on a node is read once.
    #[must_use]
    pub fn all_series(
        &self,
        entities: &[&Entity],
        field: &Field,
        ticks_ms: &[u64],
    ) -> Vec<Vec<Option<Sample>>> {
        let mut all = vec![Vec::new(); entities.len()];
        self.each_series(entities, field, ticks_ms, |nth, samples| {
            if let Some(slot) = all.get_mut(nth) {
                *slot = samples.to_vec();
            }
        });
        all
    }

    /// Shows the series of several entities one after the other, each by the entity's place; node by
    /// node. Nothing of them is kept, and of a node only so many are read at once: as many as one likes
    /// take no more memory than those (`AT_ONCE` in `pieces.rs`).
    pub fn each_series(
        &self,
        entities: &[&Entity],
        field: &Field,
        ticks_ms: &[u64],
        mut see: impl FnMut(usize, &[Option<Sample>]),
    ) {
        let Some(range) = range(field, ticks_ms) else {
            (0..entities.len()).for_each(|nth| see(nth, &[]));
            return;
        };
        let mut samples = Vec::with_capacity(ticks_ms.len());
        let store = &self.store;
        let read = field.read_as().id;
        for places in self.pieces(entities, &[(read, range)]) {
            let asked = pieces::at(&places, entities);
            store.visit(&asked, read, range, &mut |nth, rows| {
                samples.clear();
                if let Some(entity) = asked.get(nth) {
                    let meaning = self.meaning(field, entity);
                    meaning.walk(field, rows, ticks_ms, |told| samples.push(told.sample));
                }
                if let Some(at) = places.get(nth) {
                    see(*at, &samples);
                }
            });
        }
    }

    /// The same of several fields: what they share in the rows is read once. Shows the place of the field,
    /// then that of the entity. Of those that are read at once all come in one field, then in the next.
    pub fn each_of_fields(
        &self,
        entities: &[&Entity],
        fields: &[&Field],
        ticks_ms: &[u64],
        mut see: impl FnMut(usize, usize, &[Option<Sample>]),
    ) {
        let mut samples = Vec::with_capacity(ticks_ms.len());
        let wanted = wanted(fields, ticks_ms);
        for places in self.pieces(entities, &wanted) {
            let asked = pieces::at(&places, entities);
            let store = &self.store;
            store.visit_fields(&asked, &wanted, &mut |at, nth, rows| {
                samples.clear();
                if let (Some(field), Some(entity)) = (fields.get(at), asked.get(nth)) {
                    let meaning = self.meaning(field, entity);
                    meaning.walk(field, rows, ticks_ms, |told| samples.push(told.sample));
                }
                if let Some(nth) = places.get(nth) {
                    see(at, *nth, &samples);
                }
            });
        }
    }

    /// The same, saying also where the entity is there without a value.
    pub(super) fn told(&self, entity: &Entity, field: &Field, ticks_ms: &[u64]) -> Vec<Told> {
        let (rows, mut told) = (self.rows(entity, field, ticks_ms), Vec::new());
        self.meaning(field, entity)
            .walk(field, &rows, ticks_ms, |one| told.push(one));
        told
    }

    /// The rows of a series that can matter at these ticks.
    pub(super) fn rows(&self, entity: &Entity, field: &Field, ticks_ms: &[u64]) -> Vec<RawRow> {
        let (read, range) = (field.read_as().id, range(field, ticks_ms));
        range.map_or_else(Vec::new, |range| self.store.read(entity, read, range))
    }

    /// Sums a field over pods: gauges as they are, CPU as billionths of a core, so that the
    /// thousandths of an API are rounded after they are added.
    #[must_use]
    pub fn sum_over_pods(
        &self,
        pods: &[Entity],
        field: &Field,
        ticks_ms: &[u64],
    ) -> Vec<Option<u64>> {
        let mut sums = [Sum::new(ticks_ms.len())];
        self.add_pods(pods, &[field], ticks_ms, &mut sums);
        let [sum] = sums;
        sum.totals()
    }

    /// Adds the same to sums of several fields, one each. Pods that lie on one node are read together, as
    /// many as [`View::each_of_fields`] reads at once, and nothing of them is kept.
    pub fn add_pods(&self, pods: &[Entity], fields: &[&Field], ticks_ms: &[u64], sums: &mut [Sum]) {
        let pods: Vec<&Entity> = pods.iter().collect();
        self.each_of_fields(&pods, fields, ticks_ms, |at, _, samples| {
            if let (Some(field), Some(sum)) = (fields.get(at), sums.get_mut(at)) {
                let amounts = samples.iter();
                sum.add(amounts.map(|sample| sample.and_then(|s| amount(field, s))));
            }
        });
    }
}

/// What is to be read of each field; nothing without a tick.
pub(super) fn wanted(fields: &[&Field], ticks_ms: &[u64]) -> Vec<Wanted> {
    let wanted = fields
        .iter()
        .map(|field| Some((field.read_as().id, range(field, ticks_ms)?)));
    wanted.collect::<Option<_>>().unwrap_or_default()
}

/// The ticks of the rows that can matter at these.
fn range(field: &Field, ticks_ms: &[u64]) -> Option<(u64, u64)> {
    let (first, last) = (ticks_ms.first()?, ticks_ms.last()?);
    let field = field.read_as();
    let measurements = match field.kind {
        Kind::Gauge => 1,
        Kind::Counter => 2,
    };
    let before = (field.group.max_age_ms() * measurements).min(LOOK_BACK_MS);
    Some((first.saturating_sub(before), *last))
}

/// What a sample adds to a sum.
pub(super) fn amount(field: &Field, sample: Sample) -> Option<u64> {
    match field.kind {
        Kind::Gauge => Some(sample.value),
        Kind::Counter => sample.rate.map(|r| r.nanocores()),
    }
}
