//! From the ring to a document: the rules of `proto::rate` show, whatever is sealed.

use std::sync::Arc;

use cairn_proto::catalogue::{EntityKind, Group, Source, table};
use cairn_proto::model::{Builder, EntityDef, EntityId, Run, Stamp};

use super::TICK;
use crate::ring::Ring;
use crate::sources::status::{State, Status};
use crate::sources::{Failure, FailureKind};
use crate::top::document::{Document, Entity, MAX_ENTITIES};
use crate::top::read::{Question, read};

const NODE: EntityId = EntityId(0);
const POD: EntityId = EntityId(1);
const CONTAINER: EntityId = EntityId(2);
const DISK: EntityId = EntityId(3);
const HOST_DISK: EntityId = EntityId(4);
const STACKED: EntityId = EntityId(5);

fn def(id: EntityId, kind: EntityKind, parent: Option<EntityId>, name: &str) -> Arc<EntityDef> {
    let namespace = if kind == EntityKind::Pod {
        "default"
    } else {
        ""
    };
    Arc::new(EntityDef {
        id,
        kind,
        parent,
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        uid: String::new(),
        runtime_id: String::new(),
        labels: Vec::new(),
    })
}

fn defs() -> Vec<Arc<EntityDef>> {
    vec![
        def(NODE, EntityKind::Node, None, "node1"),
        def(POD, EntityKind::Pod, Some(NODE), "web"),
        def(CONTAINER, EntityKind::Container, Some(POD), "app"),
        def(DISK, EntityKind::BlockDevice, Some(CONTAINER), "sda"),
        def(HOST_DISK, EntityKind::BlockDevice, Some(NODE), "sda"),
        def(STACKED, EntityKind::BlockDevice, Some(NODE), "dm-0"),
    ]
}

fn at(time_ms: u64, source: Source) -> Stamp {
    Stamp {
        time_ms,
        start_ms: None,
        source,
    }
}

fn ring() -> Ring {
    let run = Run {
        epoch_ms: 1,
        boot_id: [0; 16],
        clock_stepped: false,
    };
    Ring::new(run, 900_000, 1 << 24)
}

/// A row as a node has it at its n-th tick: everything grows by its own amount a second.
fn row(tick: u64, n: u64) -> Builder {
    let mut row = Builder::default();
    let seconds = n * 10;
    for (entity, milli) in [(NODE, 500), (POD, 250), (CONTAINER, 125)] {
        row.stamp(entity, Group::Cpu, at(tick - 700, Source::Cgroup));
        row.value(entity, table::CPU, seconds * milli * 1_000_000);
        // Memory is measured at every third tick and repeated in between.
        row.stamp(
            entity,
            Group::Memory,
            at(tick - 900 - n % 3 * 10_000, Source::Summary),
        );
        row.value(entity, table::MEMORY_WORKING_SET, milli << 20);
    }
    row.stamp(CONTAINER, Group::Detail, at(tick - 100, Source::Cgroup));
    row.value(CONTAINER, table::CFS_PERIODS, seconds * 10);
    row.value(CONTAINER, table::CFS_THROTTLED_PERIODS, seconds * 4);
    row.stamp(DISK, Group::Detail, at(tick - 100, Source::Cgroup));
    row.value(DISK, table::IO_READ_BYTES, seconds * 4_096);
    for disk in [HOST_DISK, STACKED] {
        row.stamp(disk, Group::Host, at(tick, Source::Procfs));
        row.value(disk, table::DISK_WRITE_BYTES, seconds * 1_000);
    }
    row.stamp(NODE, Group::Host, at(tick, Source::Procfs));
    row.value(NODE, table::HOST_CPU_BUSY, seconds * 1_500_000_000);
    row.value(NODE, table::HOST_CPU_MODES, seconds * 1_500_000_000);
    let idle = cairn_proto::catalogue::FieldId(table::HOST_CPU_MODES.0 + 3);
    row.value(NODE, idle, seconds * 2_500_000_000);
    row.value(NODE, table::HOST_MEMORY_TOTAL, 1_000);
    row.value(NODE, table::HOST_MEMORY_AVAILABLE, 400 - n);
    row.value(NODE, table::HOST_LOAD1, 1_250);
    row.value(NODE, table::HOST_NETWORK_RX, seconds * 77);
    row
}

/// A ring after so many ticks, the last of which is `TICK`.
fn filled(count: u64) -> Ring {
    let ring = ring();
    for n in 0..count {
        let tick = TICK - (count - 1 - n) * 10_000;
        ring.push(tick, row(tick, n).build(), defs());
        ring.seal();
    }
    ring
}

fn ask(ring: &Ring, statuses: &[Status]) -> Document {
    let question = Question {
        node: "node1",
        interval_ms: 10_000,
        unix_ms: TICK + 1_000,
        statuses,
    };
    read(ring, question)
}

fn of<'a>(document: &'a Document, kind: &str) -> &'a Entity {
    let mut all = document.entities.iter();
    all.find(|one| one.kind == kind).unwrap()
}

#[test]
fn rates_ages_and_sums_are_those_of_the_rows() {
    // With one row there is no rate; then there are some, in open blocks and in sealed ones.
    let document = ask(&filled(1), &[]);
    let pod = of(&document, "pod");
    assert_eq!((pod.cpu_nanocores, pod.age_ms.cpu), (None, None));
    assert_eq!(pod.memory_working_set_bytes, Some(250 << 20));
    for count in [2, 16, 17, 33, 90] {
        let document = ask(&filled(count), &[]);
        assert_eq!((document.tick_ms, document.left_out), (Some(TICK), 0));
        let kinds: Vec<&str> = document
            .entities
            .iter()
            .map(|one| one.kind.as_str())
            .collect();
        assert_eq!(kinds, ["node", "pod", "container"]);
        let (node, container) = (of(&document, "node"), of(&document, "container"));
        assert_eq!(node.cpu_nanocores, Some(500_000_000), "{count} rows");
        assert_eq!(node.network_rx_per_second, Some(77.0));
        // What goes through the device on top goes through the disk.
        assert_eq!(node.disk_write_per_second, Some(1_000.0));
        assert_eq!(node.disk_read_per_second, None);
        assert_eq!(container.cpu_nanocores, Some(125_000_000));
        assert_eq!(container.throttled_ratio, Some(0.4));
        assert_eq!(container.disk_read_per_second, Some(4_096.0));
        assert_eq!(container.disk_write_per_second, None);
        let owner = (container.namespace.as_deref(), container.pod.as_deref());
        assert_eq!(owner, (Some("default"), Some("web")));
        let ages = &container.age_ms;
        assert_eq!(
            (ages.cpu, ages.disk, ages.network),
            (Some(1_700), Some(1_100), None)
        );
        assert_eq!(ages.memory, Some(1_900 + (count - 1) % 3 * 10_000));
        let host = &document.host;
        assert_eq!(
            (host.cpu_nanocores, host.cores),
            (Some(1_500_000_000), Some(4))
        );
        assert_eq!(host.memory_used_bytes, Some(600 + count - 1));
        assert_eq!(host.load, [Some(1.25), None, None]);
    }
}

#[test]
fn the_past_has_a_point_a_tick_and_no_more_than_sixty() {
    for (count, points) in [(1, 1), (5, 5), (90, 60)] {
        let history = ask(&filled(count), &[]).history;
        assert_eq!(history.tick_ms.len(), points);
        assert_eq!(history.tick_ms.last(), Some(&TICK));
        assert!(
            history
                .tick_ms
                .windows(2)
                .all(|two| two[1] - two[0] == 10_000)
        );
        assert_eq!(history.cpu_nanocores.len(), points);
        let first_rate = usize::from(count < 60);
        let later = history.cpu_nanocores.iter().skip(first_rate);
        assert!(later.into_iter().all(|cpu| *cpu == Some(1_500_000_000)));
        let newest = history.memory_used_bytes.last().copied().flatten();
        assert_eq!(newest, Some(600 + count - 1));
    }
}

#[test]
fn of_two_pods_of_one_name_each_is_followed_by_its_own_containers() {
    // The later life has the lower number, and the names of the containers are in no order of lives.
    let (later, earlier) = (EntityId(1), EntityId(2));
    let pod = |id, uid: &str| {
        let named = def(id, EntityKind::Pod, Some(NODE), "web");
        let uid = uid.to_owned();
        Arc::new(EntityDef {
            uid,
            ..(*named).clone()
        })
    };
    let container = |id, of, name| def(EntityId(id), EntityKind::Container, Some(of), name);
    let all = vec![
        def(NODE, EntityKind::Node, None, "node1"),
        pod(later, "later"),
        pod(earlier, "earlier"),
        container(3, earlier, "app"),
        container(4, later, "app"),
        container(5, earlier, "sidecar"),
        container(6, later, "proxy"),
    ];
    let mut row = Builder::default();
    for def in &all {
        row.entity(def.id);
    }
    let ring = ring();
    ring.push(TICK, row.build(), all);
    let document = ask(&ring, &[]);
    let told: Vec<(&str, Option<&str>)> = document
        .entities
        .iter()
        .map(|one| (one.name.as_str(), one.uid.as_deref()))
        .collect();
    let expected = [
        ("node1", None),
        ("web", Some("later")),
        ("app", Some("later")),
        ("proxy", Some("later")),
        ("web", Some("earlier")),
        ("app", Some("earlier")),
        ("sidecar", Some("earlier")),
    ];
    assert_eq!(told, expected);
}

/// A ring whose rows are made by `change` from the usual ones.
fn changed(count: u64, change: impl Fn(u64, &mut Builder) -> Vec<Arc<EntityDef>>) -> Ring {
    let ring = ring();
    for n in 0..count {
        let tick = TICK - (count - 1 - n) * 10_000;
        let mut own = Builder::default();
        let defs = change(n, &mut own);
        ring.push(tick, own.build(), defs);
        ring.seal();
    }
    ring
}

#[test]
fn what_is_not_measured_again_is_held_with_its_age_and_then_absent() {
    // CPU was measured at the first two ticks; the pod stays.
    let held = |count: u64| {
        let ring = changed(count, |n, row| {
            let tick = TICK - (count - 1 - n) * 10_000;
            let measured = tick - n.saturating_sub(1) * 10_000;
            row.entity(NODE);
            row.stamp(POD, Group::Cpu, at(measured, Source::Summary));
            row.value(POD, table::CPU, n.min(1) * 5_000_000_000);
            defs()[..2].to_vec()
        });
        let document = ask(&ring, &[]);
        let pod = of(&document, "pod");
        (pod.cpu_nanocores, pod.age_ms.cpu)
    };
    assert_eq!(held(2), (Some(500_000_000), Some(1_000)));
    assert_eq!(held(10), (Some(500_000_000), Some(81_000)));
    assert_eq!(held(11), (Some(500_000_000), Some(91_000)));
    assert_eq!(held(12), (None, None));
}

#[test]
fn a_restart_has_no_rate_and_who_is_gone_is_not_told() {
    let ring = changed(4, |n, row| {
        let tick = TICK - (3 - n) * 10_000;
        let started = if n < 3 { 1_000_000 } else { tick - 5_000 };
        row.entity(NODE);
        let stamp = Stamp {
            start_ms: Some(started),
            ..at(tick - 1_000, Source::Summary)
        };
        row.stamp(POD, Group::Cpu, stamp);
        row.value(POD, table::CPU, (n + 1) * 1_000_000_000);
        if n < 3 {
            row.stamp(CONTAINER, Group::Cpu, at(tick, Source::Summary));
            row.value(CONTAINER, table::CPU, n);
        }
        defs()[..if n < 3 { 3 } else { 2 }].to_vec()
    });
    let document = ask(&ring, &[]);
    assert_eq!(document.entities.len(), 2);
    let pod = of(&document, "pod");
    assert_eq!((pod.cpu_nanocores, pod.age_ms.cpu), (None, None));
}

#[test]
fn a_crowded_node_is_told_up_to_the_bound_pods_first() {
    let count = u32::try_from(MAX_ENTITIES).unwrap() + 10;
    let mut crowd = vec![def(NODE, EntityKind::Node, None, "node1")];
    let mut row = Builder::default();
    row.entity(NODE);
    for id in 1..count {
        // Every other one is a container of the pod before it.
        let id = EntityId(id);
        let (kind, parent) = match id.0 % 2 {
            0 => (EntityKind::Container, EntityId(id.0 - 1)),
            _ => (EntityKind::Pod, NODE),
        };
        crowd.push(def(id, kind, Some(parent), &format!("name{}", id.0)));
        row.entity(id);
    }
    let ring = ring();
    ring.push(TICK, row.build(), crowd);
    let document = ask(&ring, &[]);
    assert_eq!(
        (document.entities.len(), document.left_out),
        (MAX_ENTITIES, 10)
    );
    let pods = document.entities.iter().filter(|one| one.kind == "pod");
    assert_eq!(pods.count(), count as usize / 2);
}

#[test]
fn sources_are_told_with_the_age_of_what_is_theirs() {
    let status = |source, state| Status {
        source,
        state,
        since_ms: 1,
        last_success_ms: TICK,
    };
    let failure = Failure::new(FailureKind::Timeout, "no answer");
    let statuses = [
        status(Source::Summary, State::Failing(failure)),
        status(Source::Cadvisor, State::Waiting),
        status(Source::Procfs, State::Good),
    ];
    let sources = ask(&filled(3), &statuses).sources;
    let told: Vec<(&str, Option<u64>, Option<&str>)> = sources
        .iter()
        .map(|one| (one.state.as_str(), one.age_ms, one.reason.as_deref()))
        .collect();
    let expected = [
        ("failing", Some(21_900), Some("no answer")),
        ("waiting", None, None),
        ("ok", Some(1_000), None),
    ];
    assert_eq!(told, expected);
    let nothing = ask(&ring(), &statuses);
    assert_eq!((nothing.tick_ms, nothing.entities.len()), (None, 0));
}

#[test]
fn a_ring_without_memory_tells_its_newest_row() {
    let run = Run {
        epoch_ms: 1,
        boot_id: [0; 16],
        clock_stepped: false,
    };
    let ring = Ring::new(run, 900_000, 0);
    for n in 0..20 {
        let tick = TICK - (19 - n) * 10_000;
        ring.push(tick, row(tick, n).build(), defs());
        ring.seal();
    }
    let document = ask(&ring, &[]);
    assert_eq!(document.tick_ms, Some(TICK));
    assert_eq!(
        of(&document, "pod").memory_working_set_bytes,
        Some(250 << 20)
    );
}
