//! Which fields of a row there are: all of the catalogue, or the twenty of an entity that the goals
//! for large fleets are worded with.

use std::collections::HashMap;

use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FIRST_FIELD, FieldId, Group};
use cairn_proto::model::{Column, ColumnId, EntityId, EntityKind, Snapshot};

/// What any cgroup is asked for first: CPU, memory, swap in use and the totals of its pressure.
const CGROUP: [FieldId; 14] = [
    table::CPU,
    table::MEMORY_USAGE,
    table::MEMORY_WORKING_SET,
    table::MEMORY_RSS,
    table::MEMORY_AVAILABLE,
    table::MEMORY_PAGE_FAULTS,
    table::MEMORY_MAJOR_PAGE_FAULTS,
    table::SWAP_USAGE,
    table::pressure_total(PressureOf::Cpu, false),
    table::pressure_total(PressureOf::Cpu, true),
    table::pressure_total(PressureOf::Memory, false),
    table::pressure_total(PressureOf::Memory, true),
    table::pressure_total(PressureOf::Io, false),
    table::pressure_total(PressureOf::Io, true),
];

/// Twenty with those of [`CGROUP`].
const NODE: [FieldId; 6] = [
    table::NETWORK_RX,
    table::NETWORK_TX,
    table::EPHEMERAL_STORAGE_USAGE,
    table::HOST_LOAD1,
    table::HOST_CPU_BUSY,
    table::HOST_MEMORY_AVAILABLE,
];

/// Twenty with those of [`CGROUP`].
const POD: [FieldId; 6] = [
    table::PROCESS_COUNT,
    table::NETWORK_RX,
    table::NETWORK_TX,
    table::NETWORK_RX_ERRORS,
    table::NETWORK_TX_ERRORS,
    table::EPHEMERAL_STORAGE_USAGE,
];

/// A container has neither network nor processes of its own, so it stays below twenty.
const CONTAINER: [FieldId; 2] = [table::SWAP_AVAILABLE, table::EPHEMERAL_STORAGE_USAGE];

/// Which fields the rows of a fleet have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fields {
    /// Everything that the agents sample.
    #[default]
    All,
    /// At most twenty an entity, and no entities but nodes, system containers, pods and containers:
    /// what goal W10 counts. Of every cgroup CPU time, memory (usage, working set, rss, available,
    /// page faults, major page faults), swap in use, and the six totals of pressure; of the node also
    /// received and sent bytes, used storage, load, busy CPU time and available memory of the host;
    /// of a pod also its processes, received and sent bytes and errors, and used storage; of a
    /// container also swap that is left and used storage. What an entity does not have it lacks here
    /// too, so that a row holds fewer samples than twenty times its entities.
    Twenty,
}

impl Fields {
    /// The word for it on a command line and beside results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Fields::All => "all",
            Fields::Twenty => "twenty",
        }
    }

    /// Whether entities of this kind stay.
    #[must_use]
    pub fn keep(self, kind: EntityKind) -> bool {
        self == Fields::All || further(kind).is_some()
    }

    /// A row without what does not stay: entities, fields, and the stamps of groups that have no
    /// field left. An entity of an unknown kind goes.
    #[must_use]
    pub fn of(self, snapshot: Snapshot, kind: impl Fn(EntityId) -> Option<EntityKind>) -> Snapshot {
        if self == Fields::All {
            return snapshot;
        }
        let kinds = snapshot.entities().iter().map(|id| kind(*id));
        let further: Vec<Option<&[FieldId]>> = kinds.map(|kind| further(kind?)).collect();
        let mut entities = Vec::new();
        let mut moved = HashMap::new();
        for ((id, place), _) in snapshot
            .entities()
            .iter()
            .zip(0u32..)
            .zip(&further)
            .filter(|(_, further)| further.is_some())
        {
            moved.insert(place, u32::try_from(entities.len()).unwrap_or(u32::MAX));
            entities.push(*id);
        }
        let stays = |place: u32, field: FieldId| {
            let further = usize::try_from(place).ok().and_then(|at| further.get(at));
            further
                .copied()
                .flatten()
                .is_some_and(|further| CGROUP.contains(&field) || further.contains(&field))
        };
        // By place, the groups that have a field left, a bit each.
        let mut groups: HashMap<u32, u32> = HashMap::new();
        let (stamps, fields): (Vec<&Column>, Vec<&Column>) = snapshot
            .columns()
            .iter()
            .partition(|column| column.id().0 < FIRST_FIELD);
        let mut left = Vec::new();
        for column in fields {
            let field = FieldId(column.id().0);
            let Some(known) = table::field(field) else {
                continue;
            };
            let cells = column.cells().filter(|(place, _)| stays(*place, field));
            let cells: Vec<(u32, u64)> = cells.collect();
            for (place, _) in &cells {
                *groups.entry(*place).or_default() |= bit(known.group);
            }
            left.extend(narrowed(column.id(), &cells, &moved));
        }
        let mut columns = Vec::new();
        for column in stamps {
            let of = Group::ALL.into_iter().find(|g| is_stamp(column.id(), *g));
            let Some(bit) = of.map(bit) else { continue };
            let told = |place: &u32| groups.get(place).is_some_and(|has| has & bit != 0);
            let cells = column.cells().filter(|(place, _)| told(place));
            let cells: Vec<(u32, u64)> = cells.collect();
            columns.extend(narrowed(column.id(), &cells, &moved));
        }
        columns.append(&mut left);
        // Both lists rise as those that they were taken from.
        Snapshot::from_parts(entities, columns).unwrap_or_default()
    }
}

/// The fields of a kind beside [`CGROUP`]; `None` of a kind that goes.
fn further(kind: EntityKind) -> Option<&'static [FieldId]> {
    match kind {
        EntityKind::Node => Some(&NODE),
        EntityKind::System => Some(&[]),
        EntityKind::Pod => Some(&POD),
        EntityKind::Container => Some(&CONTAINER),
        _ => None,
    }
}

fn bit(group: Group) -> u32 {
    1 << (group as u16)
}

fn is_stamp(id: ColumnId, group: Group) -> bool {
    [
        ColumnId::time(group),
        ColumnId::start(group),
        ColumnId::source(group),
    ]
    .contains(&id)
}

/// A column of these cells, at the places of the entities that stay; `None` when none is left.
fn narrowed(id: ColumnId, cells: &[(u32, u64)], moved: &HashMap<u32, u32>) -> Option<Column> {
    let there = cells
        .iter()
        .filter_map(|(place, value)| Some((*moved.get(place)?, *value)));
    let (places, values): (Vec<u32>, Vec<u64>) = there.unzip();
    let column = Column::from_parts(id, places, values)?;
    (!column.is_empty()).then_some(column)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Mix, Options};
    use super::*;

    /// The rows of a node with all fields and with twenty, and what each entity is.
    fn rows(kind: Kind) -> (Snapshot, Snapshot, HashMap<EntityId, EntityKind>) {
        let row = |fields| {
            let options = Options {
                fields,
                ..Options::of(kind)
            };
            let mut node = Mix::new(options).unwrap().node(0).unwrap();
            node.next_row().unwrap();
            (node.next_row().unwrap().snapshot, node.defs())
        };
        let ((all, defs), (some, kept)) = (row(Fields::All), row(Fields::Twenty));
        assert!(kept.len() < defs.len());
        assert!(kept.iter().all(|def| Fields::Twenty.keep(def.kind)));
        let kinds = defs.iter().map(|def| (def.id, def.kind)).collect();
        (all, some, kinds)
    }

    #[test]
    fn every_cell_that_stays_is_as_it_was_and_no_entity_has_more_than_twenty() {
        for kind in [Kind::K, Kind::C, Kind::B] {
            let (all, some, kinds) = rows(kind);
            let mut most = HashMap::new();
            for (place, id) in some.entities().iter().enumerate() {
                let before = all.position(*id).unwrap();
                let fields = some.columns().iter().filter(|c| c.id().0 >= FIRST_FIELD);
                let there = fields.filter(|c| c.get(place).is_some()).count();
                let of = kinds[id].as_str();
                let count: &mut usize = most.entry(of).or_default();
                *count = there.max(*count);
                for column in some.columns() {
                    let now = column.get(place);
                    assert!(now.is_none() || now == all.cell(before, column.id()));
                }
                for group in Group::ALL {
                    let mut fields = some.columns().iter().filter(|column| {
                        table::field(FieldId(column.id().0)).is_some_and(|f| f.group == group)
                    });
                    let has = fields.any(|column| column.get(place).is_some());
                    assert_eq!(some.stamp(place, group).is_some(), has, "{of} {group:?}");
                }
            }
            assert!(most.values().all(|most| *most <= 20), "{kind:?}: {most:?}");
            if kind != Kind::K {
                assert_eq!((most["node"], most["pod"], most["container"]), (20, 20, 16));
            }
        }
    }

    #[test]
    fn w10_has_so_many_samples_a_row() {
        let (_, some, _) = rows(Kind::C);
        let counts = (some.entities().len(), some.sample_count());
        assert_eq!(counts.0, 95);
        assert!((1_550..=1_700).contains(&counts.1), "{counts:?}");
    }
}
