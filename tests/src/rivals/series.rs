//! What a series is called outside of Cairn: its entity by names, and its metric.

use std::collections::HashMap;

use cairn_proto::catalogue::{FIRST_FIELD, Field, FieldId, table};
use cairn_proto::model::{EntityDef, EntityId, EntityKind, Snapshot};

/// Who is in the comparison: whoever has one of the twenty fields.
const KINDS: [EntityKind; 4] = [
    EntityKind::Node,
    EntityKind::System,
    EntityKind::Pod,
    EntityKind::Container,
];

/// An entity by its names; those that it does not have are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whose {
    /// The node.
    pub(super) node: String,
    /// The namespace of the pod.
    pub(super) namespace: String,
    /// The pod.
    pub(super) pod: String,
    /// The container.
    pub(super) container: String,
}

impl Whose {
    /// What it is, in one word.
    #[must_use]
    pub(super) fn kind(&self) -> &'static str {
        match (self.pod.is_empty(), self.container.is_empty()) {
            (true, true) => "node",
            (true, false) => "system",
            (false, true) => "pod",
            (false, false) => "container",
        }
    }

    /// Its names with their labels, in the order of the labels; without the empty ones.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("container", self.container.as_str()),
            ("namespace", self.namespace.as_str()),
            ("node", self.node.as_str()),
            ("pod", self.pod.as_str()),
        ];
        all.into_iter().filter(|(_, name)| !name.is_empty())
    }
}

/// The values of one entity at one tick.
#[derive(Clone, Debug)]
pub(super) struct Reading<'a> {
    /// Of what.
    pub(super) whose: &'a Whose,
    /// What was read, in the order of the catalogue.
    pub(super) values: Vec<(&'static Field, u64)>,
}

/// The entities of one node that are in the comparison.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(HashMap<EntityId, Whose>);

impl Names {
    /// Takes definitions, parents before their children as rows bring them. Those that are not in
    /// the comparison are passed over.
    pub(super) fn add(&mut self, node: &str, defs: &[EntityDef]) {
        for def in defs.iter().filter(|def| KINDS.contains(&def.kind)) {
            let parent = def.parent.and_then(|id| self.0.get(&id)).cloned();
            let mut whose = parent.unwrap_or_default();
            node.clone_into(&mut whose.node);
            match def.kind {
                EntityKind::Pod => {
                    def.name.clone_into(&mut whose.pod);
                    def.namespace.clone_into(&mut whose.namespace);
                }
                EntityKind::System | EntityKind::Container => {
                    def.name.clone_into(&mut whose.container);
                }
                _ => {}
            }
            self.0.insert(def.id, whose);
        }
    }

    /// Who an entity is; `None` for one that is not in the comparison.
    #[must_use]
    pub(super) fn get(&self, id: EntityId) -> Option<&Whose> {
        self.0.get(&id)
    }

    /// The values of a row, entity after entity.
    #[must_use]
    pub(super) fn readings(&self, row: &Snapshot) -> Vec<Reading<'_>> {
        let mut readings: Vec<Option<Reading<'_>>> = row
            .entities()
            .iter()
            .map(|id| {
                let whose = self.get(*id)?;
                let values = Vec::new();
                Some(Reading { whose, values })
            })
            .collect();
        let fields = row.columns().iter().filter(|one| one.id().0 >= FIRST_FIELD);
        for column in fields {
            let Some(field) = table::field(FieldId(column.id().0)) else {
                continue;
            };
            for (place, value) in column.cells() {
                let reading = usize::try_from(place)
                    .ok()
                    .and_then(|at| readings.get_mut(at));
                if let Some(Some(reading)) = reading {
                    reading.values.push((field, value));
                }
            }
        }
        readings.into_iter().flatten().collect()
    }

    /// The series that had a value in the row before and have none in this one.
    #[must_use]
    pub(super) fn ended(&self, before: &Snapshot, row: &Snapshot) -> Vec<(&Whose, &'static Field)> {
        let mut ended = Vec::new();
        for column in before.columns() {
            let Some(field) = table::field(FieldId(column.id().0)) else {
                continue;
            };
            let now = row.column(column.id());
            for place in column.places() {
                let id = usize::try_from(*place)
                    .ok()
                    .and_then(|at| before.entities().get(at));
                let Some(id) = id else { continue };
                let place = row.position(*id);
                let is_there = now
                    .zip(place)
                    .is_some_and(|(now, place)| now.get(place).is_some());
                if let (false, Some(whose)) = (is_there, self.get(*id)) {
                    ended.push((whose, field));
                }
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use cairn_proto::catalogue::table;
    use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind};

    use super::Names;

    fn def(id: u32, kind: EntityKind, parent: Option<u32>, name: &str) -> EntityDef {
        EntityDef {
            id: EntityId(id),
            kind,
            parent: parent.map(EntityId),
            name: name.to_owned(),
            namespace: "ns".to_owned(),
            uid: String::new(),
            runtime_id: String::new(),
            labels: Vec::new(),
        }
    }

    #[test]
    fn entities_have_the_names_of_what_they_belong_to() {
        let mut names = Names::default();
        let defs = [
            def(1, EntityKind::Node, None, "n"),
            def(2, EntityKind::Pod, Some(1), "p"),
            def(3, EntityKind::Container, Some(2), "c"),
            def(4, EntityKind::Volume, Some(2), "v"),
        ];
        names.add("n", &defs);
        let labels: Vec<(&str, &str)> = names.get(EntityId(3)).unwrap().labels().collect();
        let expected = [
            ("container", "c"),
            ("namespace", "ns"),
            ("node", "n"),
            ("pod", "p"),
        ];
        assert_eq!(labels, expected);
        assert_eq!(names.get(EntityId(1)).unwrap().kind(), "node");
        assert_eq!(names.get(EntityId(4)), None);
    }

    #[test]
    fn a_series_ends_with_its_value_or_its_entity() {
        let mut names = Names::default();
        names.add("n", &[def(1, EntityKind::Node, None, "n")]);
        names.add("n", &[def(2, EntityKind::Pod, Some(1), "p")]);
        let row = |cells: &[(u32, u64)]| {
            let mut builder = Builder::default();
            builder.value(EntityId(1), table::MEMORY_USAGE, 1);
            for (id, value) in cells {
                builder.value(EntityId(*id), table::CPU, *value);
            }
            builder.build()
        };
        let before = row(&[(1, 5), (2, 6)]);
        assert!(names.ended(&before, &before).is_empty());
        let ended = names.ended(&before, &row(&[(1, 7)]));
        let [(whose, field)] = ended[..] else {
            panic!("one: {ended:?}")
        };
        assert_eq!((whose.pod.as_str(), field.id), ("p", table::CPU));
        assert_eq!(names.ended(&before, &row(&[])).len(), 2);
    }
}
