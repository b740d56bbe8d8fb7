//! The rows at hand against the window.

use cairn_proto::catalogue::{EntityKind, Group, Source};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityDef, EntityId, Run, Stamp};

use super::*;
use crate::store::{Door, Opening, PackedStore, PlainStore, Session, WireRow};

const T0: u64 = 1_795_332_330_000;
const SPAN_MS: u64 = 30_000;

/// What a container says in a row: id, core-milliseconds used, working set, start of its life.
type Says = (u32, Option<u64>, Option<u64>, u64);

fn def(id: u32, kind: EntityKind, parent: u32, name: &str) -> EntityDef {
    let is_pod = kind == EntityKind::Pod;
    EntityDef {
        id: EntityId(id),
        kind,
        parent: (parent > 0).then_some(EntityId(parent)),
        name: name.into(),
        namespace: if is_pod { "shop".into() } else { String::new() },
        uid: if is_pod {
            format!("uid-{name}")
        } else {
            String::new()
        },
        // Two lives of a container differ by it.
        runtime_id: if kind == EntityKind::Container {
            format!("{id}")
        } else {
            String::new()
        },
        labels: Vec::new(),
    }
}

fn open(store: &dyn Door) -> Session {
    let opening = Opening {
        run: Run {
            epoch_ms: 1,
            boot_id: [0; 16],
            clock_stepped: false,
        },
        interval_ms: 10_000,
        sent_ms: T0,
        now_ms: T0,
    };
    let session = store.open("node1", opening);
    for def in [
        def(1, EntityKind::Node, 0, "node1"),
        def(2, EntityKind::Pod, 1, "web"),
        def(3, EntityKind::Container, 2, "app"),
        def(4, EntityKind::Container, 2, "proxy"),
        def(5, EntityKind::Container, 2, "app"),
    ] {
        store.define(&session, def).unwrap();
    }
    session
}

fn tell(store: &dyn Door, session: &Session, seq: u64, says: &[Says]) {
    let tick_ms = T0 + seq * 10_000;
    let mut builder = Builder::default();
    for (id, cpu_ms, memory, start_ms) in says {
        let id = EntityId(*id);
        builder.entity(EntityId(2));
        builder.entity(id);
        let stamp = Stamp {
            time_ms: tick_ms - 100,
            start_ms: Some(*start_ms),
            source: Source::Resource,
        };
        if let Some(cpu_ms) = cpu_ms {
            builder.value(id, table::CPU, cpu_ms * 1_000_000);
            builder.stamp(id, Group::Cpu, stamp);
        }
        if let Some(memory) = memory {
            builder.value(id, table::MEMORY_WORKING_SET, *memory);
            builder.stamp(id, Group::Memory, stamp);
        }
    }
    let payload = row::keyframe(DENSE, tick_ms, &builder.build());
    let row = WireRow {
        seq,
        base_seq: None,
        tick_ms,
        payload: &payload,
        sent_ms: tick_ms,
        now_ms: tick_ms,
    };
    store.append(session, row).unwrap();
}

fn view(store: &Arc<dyn Door>, after_ms: u64) -> View {
    View::new(store, 10_000, 900_000, T0 + after_ms)
}

/// The containers of the pod, in a window of each kind: the plain one has all rows at hand.
fn told(rows: &[&[Says]], after_ms: u64) -> Vec<(String, Option<Usage>)> {
    let stores: [Arc<dyn Door>; 2] = [
        Arc::new(PackedStore::new(900_000, 0)),
        Arc::new(PlainStore::new(900_000, 0)),
    ];
    let both = stores.map(|store| {
        let session = open(&*store);
        for (seq, says) in (0..).zip(rows) {
            tell(&*store, &session, seq, says);
        }
        let (view, names) = (view(&store, after_ms), ContainerNames::default());
        let of_node = view.of_node("node1", (None, SPAN_MS), &names);
        let shop = view.of_node("node1", (Some("shop"), SPAN_MS), &names);
        let other = view.of_node("node1", (Some("bank"), SPAN_MS), &names);
        let of = |of: &OfNode| -> Vec<Measured<'_>> {
            let places = of.places(names.key("uid-web", "web"));
            let pod = places.map(|places| of.at(places, &names));
            pod.into_iter().flatten().collect()
        };
        assert_eq!((of(&of_node), of(&other)), (of(&shop), Vec::new()));
        assert!(of_node.places(names.key("uid-web", "other")).is_none());
        let all = of(&of_node).into_iter();
        all.map(|(name, usage)| (name.to_string(), usage))
            .collect::<Vec<_>>()
    });
    let [packed, plain] = both;
    assert_eq!(packed, plain);
    packed
}

fn usage(cpu_nanocores: u64, over_ms: u64, at_ms: u64, memory_bytes: u64) -> Option<Usage> {
    Some(Usage {
        cpu_nanocores,
        over_ms,
        time_ms: T0 + at_ms,
        memory_bytes,
        swap_bytes: None,
    })
}

#[test]
fn what_is_at_hand_is_what_the_window_says() {
    let row = |n: u64| {
        [
            (3, Some(n * 1_000), Some(50 + n), 1),
            (4, Some(0), Some(7), 1),
        ]
    };
    let rows: Vec<[Says; 2]> = (0..9).map(row).collect();
    let rows: Vec<&[Says]> = rows.iter().map(|row| &row[..]).collect();
    // Half of a second in five, and nothing.
    let expected = [
        ("app".to_owned(), usage(100_000_000, 30_000, 79_900, 58)),
        ("proxy".to_owned(), usage(0, 30_000, 79_900, 7)),
    ];
    assert_eq!(told(&rows, 80_100), expected);
    // Held, and then withdrawn.
    assert_eq!(told(&rows, 169_000), expected);
    assert_eq!(told(&rows, 185_000), []);
}

#[test]
fn what_is_not_at_hand_is_read() {
    // A container that is younger than the span, and one whose memory is missing for a row.
    let start_ms = T0 + 15_000;
    let young = |n: u64| (3, Some(n * 500), Some(9), start_ms);
    let rows: [&[Says]; 5] = [
        &[(4, Some(0), Some(7), 1)],
        &[(4, Some(0), Some(7), 1)],
        &[(4, Some(0), Some(7), 1), young(1)],
        &[(4, Some(0), Some(7), 1), young(2)],
        &[(4, Some(3_000), None, 1), young(3)],
    ];
    let expected = [
        ("app".to_owned(), usage(60_240_963, 24_900, 39_900, 9)),
        ("proxy".to_owned(), usage(100_000_000, 30_000, 39_900, 7)),
    ];
    assert_eq!(told(&rows, 40_100), expected);
    // Too young to be measured at all.
    let expected = [("app".to_owned(), None), ("proxy".to_owned(), None)];
    assert_eq!(told(&rows[..3], 20_100), expected);
}

#[test]
fn of_two_lives_of_a_container_the_later_counts() {
    let old = |n: u64| (3, Some(n * 1_000), Some(5), 1);
    let new = |n: u64| (5, Some(n * 100), Some(6), T0 + 5_000);
    let rows: Vec<[Says; 2]> = (1..7).map(|n| [old(n), new(n)]).collect();
    let rows: Vec<&[Says]> = rows.iter().map(|row| &row[..]).collect();
    let expected = [("app".to_owned(), usage(10_000_000, 30_000, 49_900, 6))];
    assert_eq!(told(&rows, 50_100), expected);
}

#[test]
fn a_list_of_everything_keeps_little() {
    // 150,000 pods of two containers.
    let bytes = 150_000 * (size_of::<PodAt>() + 2 * size_of::<ContainerAt>());
    assert!(bytes <= 13 << 20, "{bytes}");
}
