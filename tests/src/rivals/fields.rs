//! Which entities and fields the comparison is about: what a dashboard of pods lives on.
//!
//! Nodes, pods and containers with twenty fields; of these an entity has those that apply to it. The
//! one place to change when another set is to be compared.

use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FIRST_FIELD, FieldId, Group};
use cairn_proto::model::{Column, EntityId, EntityKind, Snapshot};

/// Who is in the comparison.
pub(super) const KINDS: [EntityKind; 3] =
    [EntityKind::Node, EntityKind::Pod, EntityKind::Container];

/// What is in it.
const FIELDS: [FieldId; 20] = [
    table::CPU,
    table::MEMORY_USAGE,
    table::MEMORY_WORKING_SET,
    table::MEMORY_RSS,
    table::MEMORY_AVAILABLE,
    table::MEMORY_PAGE_FAULTS,
    table::MEMORY_MAJOR_PAGE_FAULTS,
    table::SWAP_USAGE,
    table::SWAP_AVAILABLE,
    table::PROCESS_COUNT,
    table::pressure_total(PressureOf::Cpu, false),
    table::pressure_total(PressureOf::Cpu, true),
    table::pressure_total(PressureOf::Memory, false),
    table::pressure_total(PressureOf::Memory, true),
    table::pressure_total(PressureOf::Io, false),
    table::pressure_total(PressureOf::Io, true),
    table::NETWORK_RX,
    table::NETWORK_TX,
    table::EPHEMERAL_STORAGE_USAGE,
    table::EPHEMERAL_STORAGE_INODES_USED,
];

/// The part of a row that is about these entities and fields, with the stamps of their groups.
/// `None` only of a row that is no row.
pub(super) fn part_of(row: &Snapshot, is_in: impl Fn(EntityId) -> bool) -> Option<Snapshot> {
    let mut places = Vec::with_capacity(row.entities().len());
    let mut entities = Vec::new();
    for id in row.entities() {
        let place = is_in(*id).then(|| u32::try_from(entities.len()).ok());
        places.push(place.flatten());
        if is_in(*id) {
            entities.push(*id);
        }
    }
    let mut columns = Vec::new();
    for column in row.columns().iter().filter(|one| is_wanted(one.id().0)) {
        let cells = column.cells().filter_map(|(place, value)| {
            let place = places.get(usize::try_from(place).ok()?).copied()??;
            Some((place, value))
        });
        let (places, values): (Vec<u32>, Vec<u64>) = cells.unzip();
        if !places.is_empty() {
            columns.push(Column::from_parts(column.id(), places, values)?);
        }
    }
    Snapshot::from_parts(entities, columns)
}

/// Whether a column is one of the fields, or a stamp of their groups.
fn is_wanted(column: u16) -> bool {
    if column >= FIRST_FIELD {
        return FIELDS.contains(&FieldId(column));
    }
    let group = |field: &FieldId| table::field(*field).map(|row| row.group);
    let groups: Vec<Group> = FIELDS.iter().filter_map(group).collect();
    groups.iter().any(|group| column / 4 == *group as u16)
}

#[cfg(test)]
mod tests {
    use cairn_proto::catalogue::{FIRST_FIELD, Group};
    use cairn_proto::model::ColumnId;

    use super::{FIELDS, KINDS, part_of};
    use crate::mix::{Kind, Mix, Options};

    #[test]
    fn a_part_keeps_the_values_and_times_of_what_it_is_about() {
        let mut node = Mix::new(Options::of(Kind::C)).unwrap().node(0).unwrap();
        let row = node.next_row().unwrap();
        let defs = row.new_defs;
        let kind = |id| defs.iter().find(|def| def.id == id).unwrap().kind;
        let part = part_of(&row.snapshot, |id| KINDS.contains(&kind(id))).unwrap();
        assert_eq!(part.entities().len(), 1 + 30 + 60);
        let fields = part.columns().iter().map(|column| column.id().0);
        let fields = fields.filter(|id| *id >= FIRST_FIELD).count();
        assert_eq!(fields, FIELDS.len(), "mix C has all of them");
        for (place, id) in part.entities().iter().enumerate() {
            let before = row.snapshot.position(*id).unwrap();
            for column in part.columns() {
                assert_eq!(
                    column.get(place),
                    row.snapshot.cell(before, column.id()),
                    "{id:?}"
                );
            }
            assert!(part.stamp(place, Group::Memory).is_some());
        }
        assert!(part.column(ColumnId::time(Group::Host)).is_none());
    }
}
