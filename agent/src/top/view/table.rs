//! The table: which rows, in which order, and which columns have room.

use std::cmp::{Ordering, Reverse};

use super::{Line, Style, View};
use crate::args::Sort;
use crate::top::document::{Document, Entity};
use crate::top::units;

/// Between two columns.
const GAP: usize = 1;

/// A name that is cut is no shorter than a third of the screen, and than this.
const MIN_NAME: usize = 8;

/// No name needs more before the numbers begin.
const MAX_NAME: usize = 100;

/// A column of numbers.
struct Column {
    title: &'static str,
    width: usize,
    /// Those with the lowest are shown where there is no room for all.
    rank: u8,
    /// True of what was measured a while ago as a rule: it is drawn fainter.
    is_age: bool,
    cell: fn(&Entity) -> Option<String>,
}

const COLUMNS: [Column; 10] = [
    column("CPU", 7, 0, |one| one.cpu_nanocores.map(units::cores)),
    column("MEMORY", 7, 1, |one| {
        one.memory_working_set_bytes.map(units::bytes)
    }),
    column("USAGE", 7, 8, |one| {
        one.memory_usage_bytes.map(units::bytes)
    }),
    column("RX/s", 7, 3, |one| {
        one.network_rx_per_second.map(units::rate)
    }),
    column("TX/s", 7, 4, |one| {
        one.network_tx_per_second.map(units::rate)
    }),
    age("AGE", 5, 2, |one| {
        let ages = &one.age_ms;
        oldest([ages.cpu, ages.memory, ages.network])
    }),
    column("READ/s", 7, 5, |one| {
        one.disk_read_per_second.map(units::rate)
    }),
    column("WRITE/s", 7, 6, |one| {
        one.disk_write_per_second.map(units::rate)
    }),
    column("THR", 4, 7, |one| one.throttled_ratio.map(units::percent)),
    age("AGE", 5, 9, |one| {
        let ages = &one.age_ms;
        oldest([ages.disk, ages.throttled])
    }),
];

fn oldest<const N: usize>(ages_ms: [Option<u64>; N]) -> Option<String> {
    ages_ms.into_iter().flatten().max().map(units::age)
}

const fn column(
    title: &'static str,
    width: usize,
    rank: u8,
    cell: fn(&Entity) -> Option<String>,
) -> Column {
    Column {
        title,
        width,
        rank,
        is_age: false,
        cell,
    }
}

const fn age(
    title: &'static str,
    width: usize,
    rank: u8,
    cell: fn(&Entity) -> Option<String>,
) -> Column {
    Column {
        is_age: true,
        ..column(title, width, rank, cell)
    }
}

/// A row: what it is called, and of what.
pub(super) struct Row<'a> {
    name: String,
    entity: &'a Entity,
}

/// All rows, in their order.
pub(super) struct Table<'a> {
    pub(super) rows: Vec<Row<'a>>,
    /// How many of them are pods.
    pub(super) pods: usize,
}

/// The rows that a view shows: system containers, then pods, each with its containers where these are
/// wanted.
pub(super) fn of<'a>(document: &'a Document, view: &View) -> Table<'a> {
    let mut rows = Vec::new();
    let entities = &document.entities;
    let systems = entities.iter().filter(|one| one.kind == "system");
    for entity in systems.filter(|one| view.is_of_namespace(one)) {
        let name = format!("({})", units::safe(&entity.name));
        if name.contains(&view.filter) {
            rows.push(Row { name, entity });
        }
    }
    // A document has each pod right before its containers.
    let mut pods: Vec<(&Entity, &[Entity])> = Vec::new();
    for (at, entity) in entities
        .iter()
        .enumerate()
        .filter(|(_, one)| one.kind == "pod")
    {
        let rest = entities.get(at + 1..).unwrap_or_default();
        let own = rest
            .iter()
            .take_while(|one| one.kind == "container")
            .count();
        let containers = rest.get(..own).unwrap_or_default();
        let is_meant = |one: &Entity| units::safe(&one.name).contains(&view.filter);
        let matches = pod_name(entity).contains(&view.filter) || containers.iter().any(is_meant);
        if matches && view.is_of_namespace(entity) {
            pods.push((entity, containers));
        }
    }
    pods.sort_by(|one, other| order(view.sort, one.0, other.0));
    let count = pods.len();
    for (pod, containers) in pods {
        rows.push(Row {
            name: pod_name(pod),
            entity: pod,
        });
        if view.containers {
            let mut containers: Vec<&Entity> = containers.iter().collect();
            containers.sort_by(|one, other| order(view.sort, one, other));
            rows.extend(containers.into_iter().map(|entity| Row {
                name: format!("  {}", units::safe(&entity.name)),
                entity,
            }));
        }
    }
    Table { rows, pods: count }
}

fn pod_name(pod: &Entity) -> String {
    let namespace = pod.namespace.as_deref().unwrap_or(units::NOTHING);
    units::safe(&format!("{namespace}/{}", pod.name))
}

/// The most first, what has none last, equals by name.
fn order(sort: Sort, one: &Entity, other: &Entity) -> Ordering {
    let by = |amount: fn(&Entity) -> Option<u64>| Reverse(amount(one)).cmp(&Reverse(amount(other)));
    let sum = |a: fn(&Entity) -> Option<f64>, b: fn(&Entity) -> Option<f64>| {
        let of = |entity| a(entity).unwrap_or(-1.0) + b(entity).unwrap_or(-1.0);
        of(other).total_cmp(&of(one))
    };
    let most = match sort {
        Sort::Cpu => by(|entity| entity.cpu_nanocores),
        Sort::Memory => by(|entity| entity.memory_working_set_bytes),
        Sort::Network => sum(|e| e.network_rx_per_second, |e| e.network_tx_per_second),
        Sort::Disk => sum(|e| e.disk_read_per_second, |e| e.disk_write_per_second),
        Sort::Name => Ordering::Equal,
    };
    most.then_with(|| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)))
}

/// Which columns there are, and how wide the names.
pub(super) struct Layout {
    name: usize,
    columns: Vec<&'static Column>,
}

impl Table<'_> {
    /// The columns that have room in so many characters; all of them where nothing limits that.
    pub(super) fn layout(&self, columns: Option<usize>) -> Layout {
        let longest = self.rows.iter().map(|row| row.name.chars().count()).max();
        let longest = longest.unwrap_or(0).clamp(MIN_NAME, MAX_NAME);
        let Some(columns) = columns else {
            return Layout {
                name: longest,
                columns: COLUMNS.iter().collect(),
            };
        };
        let least = longest.min((columns / 3).max(MIN_NAME));
        let mut room = columns.saturating_sub(least);
        let mut ranked: Vec<&'static Column> = COLUMNS.iter().collect();
        ranked.sort_by_key(|column| column.rank);
        let fits = |column: &&&Column| {
            let left = room.checked_sub(column.width + GAP);
            room = left.unwrap_or(room);
            left.is_some()
        };
        // The first that has no room ends it: a column must not come and go with the width of another.
        let most = ranked.iter().take_while(fits).count();
        let shown = COLUMNS
            .iter()
            .filter(|column| usize::from(column.rank) < most);
        Layout {
            name: longest.min(least + room),
            columns: shown.collect(),
        }
    }
}

impl Layout {
    pub(super) fn titles(&self) -> Line {
        let mut text = format!("{:<width$}", "NAME", width = self.name);
        for column in &self.columns {
            text.push_str(&format!(
                "{:>width$}",
                column.title,
                width = column.width + GAP
            ));
        }
        Line::of(text, Style::Head)
    }

    pub(super) fn line(&self, row: &Row<'_>) -> Line {
        let name = shortened(&row.name, self.name);
        let style = match row.entity.kind.as_str() {
            "pod" => Style::Bold,
            _ => Style::Plain,
        };
        let mut line = Line::of(format!("{name:<width$}", width = self.name), style);
        for column in &self.columns {
            let cell = (column.cell)(row.entity).unwrap_or_else(|| units::NOTHING.to_owned());
            let style = if column.is_age {
                Style::Dim
            } else {
                Style::Plain
            };
            line.push(format!("{cell:>width$}", width = column.width + GAP), style);
        }
        line
    }
}

/// A name in so many places: its end tells pods of one owner apart, so the middle goes.
fn shortened(name: &str, width: usize) -> String {
    let count = name.chars().count();
    if count <= width {
        return name.to_owned();
    }
    let end = width.saturating_sub(1) / 2;
    let begin = width.saturating_sub(1) - end;
    let (first, last) = (name.chars().take(begin), name.chars().skip(count - end));
    first.chain(['~']).chain(last).collect()
}
