//! What the agents of a fleet have sampled, and what living ones hold of it.
//!
//! Made from the same seed as the fleet's own rows, and by nothing else of it: a row that the fleet
//! lost, doubled or sent under another name differs from what is said here.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Add, Range};

use cairn_proto::catalogue::{FIELDS, Field, Group};
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{ColumnId, EntityDef, EntityId, EntityKind, Snapshot};

use super::{Grid, Naming, Options};
use crate::exact::{Cell, Cells, Entity, key};
use crate::mix;

/// So many windows of rows are remembered: an aggregator holds more than one.
const WINDOWS: usize = 2;

/// Rows and samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows.
    pub rows: u64,
    /// Samples of them.
    pub samples: u64,
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            samples: self.samples + other.samples,
        }
    }
}

/// The rows of every agent.
#[derive(Debug)]
pub struct Truth {
    naming: Naming,
    grid: Grid,
    templates: Vec<Known>,
    // By agent: the first row of its life.
    first_rows: Vec<u64>,
    rows: u64,
}

/// The rows of a template, as far back as a window reaches.
#[derive(Debug)]
struct Known {
    node: mix::Node,
    rows: VecDeque<mix::Row>,
    defs: BTreeMap<EntityId, EntityDef>,
}

impl Truth {
    /// Nothing sampled yet, on this grid.
    ///
    /// # Errors
    ///
    /// When the recording is damaged; only of [`mix::Kind::K`].
    pub fn new(options: &Options, grid: Grid) -> Result<Self, mix::Error> {
        let known = |node| Known {
            node,
            rows: VecDeque::new(),
            defs: BTreeMap::new(),
        };
        Ok(Self {
            naming: options.naming(),
            templates: options.data(&grid)?.into_iter().map(known).collect(),
            first_rows: vec![0; options.mix.nodes],
            rows: 0,
            grid,
        })
    }

    /// How many rows each agent has sampled.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Lets the agents sample until they have so many rows.
    ///
    /// # Errors
    ///
    /// When the recording is damaged; only of [`mix::Kind::K`].
    pub fn grow(&mut self, rows: u64) -> Result<(), mix::Error> {
        let most = self.grid.most_rows() * WINDOWS;
        for known in &mut self.templates {
            for _ in self.rows..rows {
                let row = known.node.next_row()?;
                let defs = row.new_defs.iter().map(|def| (def.id, def.clone()));
                known.defs.extend(defs);
                known.rows.push_back(row);
                if known.rows.len() > most {
                    known.rows.pop_front();
                }
            }
        }
        self.rows = self.rows.max(rows);
        Ok(())
    }

    /// Ends the lives of so many agents, from the first on: what they have sampled until now is
    /// theirs no more.
    pub fn restart(&mut self, agents: usize) {
        for first in self.first_rows.iter_mut().take(agents) {
            *first = self.rows;
        }
    }

    /// The name of a node.
    #[must_use]
    pub fn name(&self, node: usize) -> String {
        self.naming.node(node)
    }

    /// The tick of a row, Unix ms.
    #[must_use]
    pub fn tick_ms(&self, row: u64) -> u64 {
        self.grid.tick_ms(row)
    }

    /// The values of a row, the same for all nodes of its template; `None` when it is out of every
    /// window, or not sampled yet.
    #[must_use]
    pub fn snapshot(&self, node: usize, row: u64) -> Option<&Snapshot> {
        Some(&self.template(node)?.row(row)?.snapshot)
    }

    /// The rows that the node's living agent holds: those of its life, without the blocks that lie
    /// before the window altogether.
    #[must_use]
    pub fn ring(&self, node: usize) -> Range<u64> {
        let first = self.first_rows.get(node).copied().unwrap_or(self.rows);
        let newest = self.rows.saturating_sub(1);
        let within = newest.saturating_sub(self.grid.window_ms / self.grid.interval_ms);
        let blocks = within.saturating_sub(first) / BLOCK_ROWS;
        first + blocks * BLOCK_ROWS..self.rows
    }

    /// The oldest row whose tick is not before this time.
    #[must_use]
    pub fn row_at(&self, time_ms: u64) -> u64 {
        let since_ms = time_ms.saturating_sub(self.grid.first_tick_ms);
        since_ms.div_ceil(self.grid.interval_ms)
    }

    /// The sum of these rows of every node.
    #[must_use]
    pub fn sum(&self, of: impl Fn(usize) -> Range<u64>) -> Totals {
        // By template, the samples of all rows before each of those that are known.
        let before = self.templates.iter().map(|known| {
            let mut sum = 0;
            let counts = known.rows.iter().map(|row| {
                sum += row.snapshot.sample_count() as u64;
                sum
            });
            std::iter::once(0).chain(counts).collect()
        });
        let before: Vec<Vec<u64>> = before.collect();
        let mut totals = Totals::default();
        for node in 0..self.first_rows.len() {
            let (rows, template) = (of(node), self.naming.template(node));
            let first = self.templates.get(template).map_or(0, Known::first);
            let until = |row: u64| {
                let at = usize::try_from(row.saturating_sub(first)).ok();
                at.and_then(|at| before.get(template)?.get(at)).copied()
            };
            totals.rows += rows.end.saturating_sub(rows.start);
            let (start, end) = (until(rows.start), until(rows.end));
            totals.samples += end.unwrap_or(0).saturating_sub(start.unwrap_or(0));
        }
        totals
    }

    /// What an aggregator says of a node at the tick of a row that it holds: by entity in words and
    /// metric, without rates. A value that is older than its max-age is absent.
    #[must_use]
    pub fn cells(&self, node: usize, row: u64) -> Cells {
        let mut cells = Cells::new();
        let Some(known) = self.template(node) else {
            return cells;
        };
        let Some(row) = known.row(row) else {
            return cells;
        };
        for (place, id) in row.snapshot.entities().iter().enumerate() {
            let Some(def) = known.defs.get(id) else {
                continue;
            };
            let entity = key(&self.entity(node, known, def));
            let fresh = Group::ALL.map(|group| is_fresh(row, place, group));
            let carried = |field: &&Field| field.entities.contains(&def.kind);
            for field in FIELDS.iter().filter(carried) {
                let value = row.snapshot.cell(place, ColumnId::field(field.id));
                let fresh = Group::ALL.iter().zip(fresh);
                let mut fresh = fresh.filter(|(group, _)| **group == field.group);
                if let Some(value) = value.filter(|_| fresh.any(|(_, fresh)| fresh)) {
                    let cell = Cell { value, rate: None };
                    cells.insert(format!("{entity} {}", field.name), cell);
                }
            }
        }
        cells
    }

    /// What an aggregator says of a field of the node itself at the tick of a row that it holds; `None`
    /// where the row has no value that is young enough.
    #[must_use]
    pub fn own(&self, node: usize, row: u64, field: &Field) -> Option<u64> {
        let known = self.template(node)?;
        let row = known.row(row)?;
        let mut defs = known.defs.values();
        let itself = defs.find(|def| def.kind == EntityKind::Node)?;
        let place = row.snapshot.position(itself.id)?;
        let value = row.snapshot.cell(place, ColumnId::field(field.id));
        value.filter(|_| is_fresh(row, place, field.group))
    }

    fn template(&self, node: usize) -> Option<&Known> {
        self.templates.get(self.naming.template(node))
    }

    /// An entity in an aggregator's words: with the pod and the container that it is in.
    fn entity(&self, node: usize, known: &Known, def: &EntityDef) -> Entity {
        let own = self.naming.define(node, def);
        let mut entity = Entity {
            kind: own.kind.as_str().to_owned(),
            name: own.name,
            labels: own.labels.into_iter().collect(),
            ..Entity::default()
        };
        let mut at = Some(def);
        while let Some(around) = at {
            let own = self.naming.define(node, around);
            // What a pod or container is itself stands in its name.
            let is_itself = around.id == def.id;
            match own.kind {
                EntityKind::Container if !is_itself => entity.container = own.name,
                EntityKind::Pod => {
                    (entity.namespace, entity.pod_uid) = (own.namespace, own.uid);
                    if !is_itself {
                        entity.pod = own.name;
                    }
                }
                _ => {}
            }
            at = around.parent.and_then(|parent| known.defs.get(&parent));
        }
        entity
    }
}

impl Known {
    /// Number of the oldest row that is known.
    fn first(&self) -> u64 {
        self.rows.front().map_or(0, |row| row.seq)
    }

    fn row(&self, index: u64) -> Option<&mix::Row> {
        let at = usize::try_from(index.checked_sub(self.first())?).ok()?;
        self.rows.get(at)
    }
}

fn is_fresh(row: &mix::Row, place: usize, group: Group) -> bool {
    let stamp = row.snapshot.stamp(place, group);
    stamp.is_some_and(|stamp| row.tick_ms.saturating_sub(stamp.time_ms) <= group.max_age_ms())
}

#[cfg(test)]
mod tests {
    use cairn_proto::catalogue::table;

    use super::*;
    use crate::mix::Kind;

    const START_MS: u64 = 1_795_332_335_000;

    fn truth(history: u64) -> Truth {
        let mut options = Options::of(Kind::C, 5);
        options.mix.pods_per_node = Some(2);
        options.templates = 2;
        options.history = history;
        let mut truth = Truth::new(&options, options.grid(START_MS)).unwrap();
        truth.grow(history).unwrap();
        truth
    }

    #[test]
    fn a_ring_holds_a_window_by_whole_blocks_and_a_new_life_begins_with_none() {
        let mut truth = truth(110);
        assert_eq!(truth.ring(4), 16..110);
        let all = truth.sum(|node| truth.ring(node));
        assert_eq!(all.rows, 5 * 94);
        let of_row = |node, row| truth.snapshot(node, row).unwrap().sample_count() as u64;
        let samples = (0..5).flat_map(|node| (16..110).map(move |row| (node, row)));
        assert_eq!(all.samples, samples.map(|(n, r)| of_row(n, r)).sum::<u64>());
        truth.restart(2);
        assert_eq!((truth.ring(1), truth.ring(2)), (110..110, 16..110));
        assert_eq!(truth.sum(|node| truth.ring(node)).rows, 3 * 94);
        assert_eq!(truth.row_at(truth.tick_ms(7)), 7);
        assert_eq!(truth.row_at(truth.tick_ms(7) + 1), 8);
    }

    #[test]
    fn what_a_node_says_of_itself_is_among_its_values() {
        let truth = truth(3);
        let cpu = table::field(table::CPU).unwrap();
        let own = truth.own(2, 2, cpu).unwrap();
        let cells = truth.cells(2, 2);
        let of_node =
            |key: &&String| key.starts_with("node ") && key.ends_with(&format!(" {}", cpu.name));
        let keys: Vec<&String> = cells.keys().filter(of_node).collect();
        assert_eq!(keys.len(), 1, "{keys:?}");
        assert_eq!(cells[keys[0]].value, own);
        assert_eq!(truth.own(2, 3, cpu), None);
    }

    #[test]
    fn nodes_of_a_template_have_the_same_values_under_names_of_their_own() {
        let truth = truth(3);
        let values = |node| {
            let cells = truth.cells(node, 2);
            let values = cells.values().map(|cell| cell.value);
            (cells.len(), values.map(u128::from).sum::<u128>())
        };
        assert_eq!(values(0), values(2));
        assert_ne!(values(0), values(1));
        assert!(values(0).0 > 300);
        let names = |node| truth.cells(node, 2).into_keys().find(|k| k.contains("n2 "));
        assert!(names(2).is_some() && names(0).is_none());
    }
}
