//! What the two stores say, side by side.

use cairn_proto::catalogue::FieldId;

use super::*;

impl Both {
    /// What the two would hand over is the same.
    fn compare_copies(&self) {
        let held = self.plain.held_of(self.node);
        assert_eq!(held, self.packed.held_of(self.node));
        for held in held {
            for (block, _) in held.blocks {
                let plain = self.plain.chunk(self.node, held.run, block).unwrap();
                let packed = self.packed.chunk(self.node, held.run, block).unwrap();
                let (plain_rows, mut rows) = (
                    chunk::decode(&plain.payload).unwrap(),
                    chunk::decode(&packed.payload).unwrap(),
                );
                // A block is handed over with what has expired of it.
                rows.retain(|row| plain_rows.iter().any(|other| other.tick == row.tick));
                assert_eq!(plain_rows, rows, "{block}");
                let known: Vec<EntityId> = packed.names.iter().map(Named::id).collect();
                let missing = plain
                    .names
                    .iter()
                    .find(|named| !packed.names.contains(named));
                assert_eq!(missing, None, "{block}: {known:?}");
            }
        }
    }

    /// Asks for the same things again and again, series one by one, whatever came in between.
    pub(super) fn compare_again(&self) {
        for namespace in ["shop", "none"] {
            let selector = Selector::Namespace(namespace);
            let plain = self.plain.entities(&selector);
            assert_eq!(plain, self.packed.entities(&selector), "{namespace}");
        }
        for entity in self.plain.entities(&Selector::OfNode(self.node)) {
            for (field, back) in [
                (table::CPU, u64::MAX),
                (table::MEMORY_USAGE, self.window_ms / 2),
                (table::MEMORY_USAGE, self.window_ms / 4),
            ] {
                for last in [u64::MAX, self.tick_ms - 2 * STEP_MS] {
                    let range = (self.tick_ms.saturating_sub(back), last);
                    let plain = self.plain.read(&entity, field, range);
                    let packed = self.packed.read(&entity, field, range);
                    assert_eq!(plain, packed, "{field:?} of {:?} in {range:?}", entity.path);
                }
            }
        }
    }

    /// Reads a range, one that lies behind it with a hole between them, and both with the hole.
    pub(super) fn compare_apart(&self) {
        let back = |steps: u64| self.tick_ms.saturating_sub(steps * STEP_MS);
        for entity in self.plain.entities(&Selector::OfNode(self.node)) {
            for range in [
                (back(16), back(6)),
                (back(3), u64::MAX),
                (back(16), u64::MAX),
            ] {
                let plain = self.plain.read(&entity, table::NETWORK_RX, range);
                let packed = self.packed.read(&entity, table::NETWORK_RX, range);
                assert_eq!(plain, packed, "{:?} in {range:?}", entity.path);
            }
        }
    }

    pub(super) fn compare(&self) {
        self.compare_copies();
        assert_eq!(self.plain.nodes(), self.packed.nodes());
        let (plain, packed) = (self.plain.size(), self.packed.size());
        assert_eq!((plain.nodes, plain.rows), (packed.nodes, packed.rows));
        assert_eq!(plain.samples, packed.samples);
        let all = [
            Selector::Nodes,
            Selector::Pods,
            Selector::AllContainers,
            Selector::AllParts,
            Selector::Namespace("shop"),
            Selector::Pod {
                namespace: "shop",
                name: "pod-1",
            },
            Selector::ContainersOf("shop"),
            Selector::Containers {
                namespace: "shop",
                pod: "pod-1",
            },
            Selector::OfNode(self.node),
        ];
        for selector in all {
            let plain = self.plain.entities(&selector);
            assert_eq!(plain, self.packed.entities(&selector), "{selector:?}");
        }
        let entities = self.plain.entities(&Selector::OfNode(self.node));
        for entity in &entities {
            let pod = PodName {
                namespace: &entity.namespace,
                name: &entity.name,
                uid: &entity.pod_uid,
            };
            let is_pod = entity.kind == EntityKind::Pod;
            for store in [&*self.plain as &dyn Door, &*self.packed] {
                assert_eq!(store.has_pod(self.node, &pod), is_pod, "{entity:?}");
            }
        }
        let asked: Vec<&Entity> = entities.iter().collect();
        let ranges = [
            (0, u64::MAX),
            (
                self.tick_ms.saturating_sub(self.window_ms / 2),
                self.tick_ms - 3 * STEP_MS,
            ),
        ];
        for namespace in [None, Some("shop"), Some("none")] {
            self.compare_recent(namespace);
        }
        let fields = [
            (table::CPU, ranges[1]),
            (table::NETWORK_RX, ranges[0]),
            (table::MEMORY_USAGE, ranges[1]),
        ];
        for store in [&*self.plain as &dyn Door, &*self.packed] {
            store.visit_fields(&asked, &fields, &mut |at, nth, rows| {
                let (field, range) = fields[at];
                assert_eq!(rows, store.read(asked[nth], field, range), "{field:?}");
            });
        }
        for field in [
            table::CPU,
            table::MEMORY_USAGE,
            table::NETWORK_RX,
            FieldId(9_999),
        ] {
            for range in ranges {
                let plain = self.plain.read_all(&asked, field, range);
                let packed = self.packed.read_all(&asked, field, range);
                for ((entity, plain), packed) in entities.iter().zip(plain).zip(packed) {
                    assert_eq!(plain, packed, "{field:?} of {:?} in {range:?}", entity.path);
                    assert_eq!(packed, self.packed.read(entity, field, range));
                }
            }
        }
    }
}

/// What one container says: names, then CPU, memory and swap.
type Said = ([String; 4], Vec<RawRow>, [Option<Point>; 2]);

fn said(store: &dyn Door, node: &str, namespace: Option<&str>) -> Option<Vec<Said>> {
    let mut all: Vec<Said> = Vec::new();
    let is_at_hand = store.recent(node, namespace, &mut |one| {
        let names = [one.namespace, one.pod, one.pod_uid, one.name];
        let names = names.map(str::to_owned);
        all.push((names, one.cpu.to_vec(), [one.memory, one.swap]));
    });
    all.sort_by(|a, b| a.0.cmp(&b.0));
    is_at_hand.then_some(all)
}

impl Both {
    /// What is at hand is what the window says, of fewer rows at most.
    fn compare_recent(&self, namespace: Option<&str>) {
        let Some(packed) = said(&*self.packed, self.node, namespace) else {
            return;
        };
        let plain = said(&*self.plain, self.node, namespace).unwrap();
        assert_eq!(packed.len(), plain.len());
        for (packed, plain) in packed.iter().zip(&plain) {
            assert_eq!((&packed.0, packed.2), (&plain.0, plain.2));
            assert!(
                plain.1.ends_with(&packed.1) && !packed.1.is_empty(),
                "{packed:?} {plain:?}"
            );
        }
    }
}
