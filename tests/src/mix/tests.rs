//! What each kind promises.

use cairn_proto::catalogue::{FIELDS, Group, Kind as FieldKind, Origin, Source, table};
use cairn_proto::model::{ColumnId, EntityDef, EntityKind, Snapshot};

use super::{Kind, Mix, Node, Options, Row};
use crate::trace::{self, Replay, Trace};

fn rows(options: Options, index: usize, count: usize) -> (Node, Vec<Row>) {
    let mut node = Mix::new(options).unwrap().node(index).unwrap();
    let rows = (0..count).map(|_| node.next_row().unwrap()).collect();
    (node, rows)
}

fn cells(snapshot: &Snapshot, id: ColumnId) -> Vec<Option<u64>> {
    (0..snapshot.entities().len())
        .map(|at| snapshot.cell(at, id))
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_rows_and_another_one_others() {
    for kind in [Kind::K, Kind::C, Kind::B] {
        let options = Options {
            pods_per_node: Some(12),
            churn_per_minute: 0.5,
            ..Options::of(kind)
        };
        let (_, first) = rows(options.clone(), 0, 12);
        let (_, second) = rows(options.clone(), 0, 12);
        assert_eq!(first, second, "{kind:?}");
        let (_, other) = rows(
            Options {
                seed: 2,
                ..options.clone()
            },
            0,
            12,
        );
        assert_ne!(first, other, "{kind:?}");
        let (_, other) = rows(options, 2, 12);
        assert_ne!(first, other, "{kind:?}");
    }
}

#[test]
fn rows_stand_on_the_grid_and_define_what_they_use() {
    for kind in [Kind::K, Kind::C, Kind::B] {
        let options = Options {
            churn_per_minute: 1.0,
            ..Options::of(kind)
        };
        let (node, rows) = rows(options.clone(), 0, 30);
        let mut known = std::collections::BTreeSet::new();
        for (row, seq) in rows.iter().zip(0..) {
            assert_eq!(
                (row.seq, row.tick_ms),
                (seq, options.start_unix_ms + seq * 10_000)
            );
            for def in &row.new_defs {
                assert!(known.insert(def.id), "{kind:?}: {def:?} twice");
            }
            assert!(
                row.snapshot.entities().iter().all(|id| known.contains(id)),
                "{kind:?}"
            );
        }
        assert!(
            known.len() > rows[0].snapshot.entities().len(),
            "{kind:?}: no churn"
        );
        assert!(
            node.defs().len() == known.len(),
            "{kind:?}: forgot within the window"
        );
    }
}

#[test]
fn the_recorded_kind_says_what_the_trace_says() {
    let trace = Trace::carried().unwrap();
    let start = trace.base_ms();
    let replay = Replay::new(&trace, "node1", trace::Options::starting(start)).unwrap();
    let mut node = Node::of_replay("node1", replay, start, 10_000, 0);
    let row = node.next_row().unwrap();
    let id = row
        .new_defs
        .iter()
        .find(|def| def.kind == EntityKind::Node)
        .unwrap()
        .id;
    let at = row.snapshot.position(id).unwrap();
    let cell = |field| row.snapshot.cell(at, ColumnId::field(field));
    assert_eq!(cell(table::MEMORY_USAGE), Some(772_976_640));
    assert_eq!(cell(table::MEMORY_WORKING_SET), Some(690_171_904));
    // The resource endpoint is at least as new as the summary, and to the millisecond.
    assert!(cell(table::CPU) >= Some(74_258_655_783));
    let container = row.new_defs.iter().find(|def| def.name == "cpu").unwrap();
    let pod = row
        .new_defs
        .iter()
        .find(|def| Some(def.id) == container.parent)
        .unwrap();
    assert_eq!(
        (pod.kind, pod.namespace.as_str()),
        (EntityKind::Pod, "shop")
    );
    assert!(pod.name.starts_with("burner-"), "{pod:?}");
}

/// Kind, beginnings of the parent's and its own name, label, metric and value; read off the first
/// body of node1.
const RECORDED: &str = "
    node - node1 - rlimit_current_pids 269
    node - node1 - memory_major_page_faults 602
    node - node1 - cpu_pressure_full_avg300 0
    interface node1 l1 - network_tx_bytes 353822
    filesystem node1 / / filesystem_inodes_used 534874
    filesystem node1 imagefs - filesystem_usage_bytes 9703424
    filesystem disk logs logs filesystem_inodes 16777216
    pod node1 burner - process_count 4
    container burner disk - ephemeral_storage_usage_bytes 6598656
    container burner disk - swap_available_bytes 67108864
    volume burner kube Volume:kube-api-access-jbflm volume_usage_bytes 12288
";

fn find<'a>(defs: &'a [EntityDef], kind: &str, parent: &str, name: &str) -> &'a EntityDef {
    let parent = defs.iter().find(|def| def.name.starts_with(parent));
    let is_it = |def: &&EntityDef| {
        let within = def.parent.is_none() || def.parent == parent.map(|def| def.id);
        def.kind.as_str() == kind && within && def.name.starts_with(name)
    };
    defs.iter().find(is_it).unwrap()
}

fn value(snapshot: &Snapshot, def: &EntityDef, metric: &str) -> Option<u64> {
    let field = table::by_name(metric).unwrap();
    snapshot.cell(
        snapshot.position(def.id).unwrap(),
        ColumnId::field(field.id),
    )
}

#[test]
fn the_recorded_kind_has_every_part_with_its_labels_and_stamps() {
    let (node, rows) = rows(Options::of(Kind::K), 0, 1);
    let (defs, snapshot) = (node.defs(), &rows[0].snapshot);
    for line in RECORDED.trim().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, parent, name, label, metric, number] = words[..] else {
            panic!("{line}");
        };
        let def = find(&defs, kind, parent, name);
        assert_eq!(value(snapshot, def, metric), number.parse().ok(), "{line}");
        let labels = def.labels.first().map_or("-", |(_, value)| value);
        assert_eq!(labels, label, "{def:?}");
    }
    // The kubelet names no default interface on this node.
    let own = find(&defs, "node", "-", "node1");
    assert_eq!(value(snapshot, own, "network_rx_bytes"), None);
    let rootfs = find(&defs, "filesystem", "disk", "/");
    let at = snapshot.position(rootfs.id).unwrap();
    let stamp = snapshot.stamp(at, Group::Filesystem).unwrap();
    // The mix begins three seconds after the recording did.
    let time = |text| crate::rfc3339::parse(text);
    assert_eq!(
        stamp.start_ms,
        time("2026-11-22T07:23:43Z"),
        "its container's"
    );
    assert_eq!(Some(stamp.time_ms), time("2026-11-22T07:25:25Z"));
}

#[test]
fn in_the_default_mode_half_of_the_containers_use_cpu_in_whole_microseconds() {
    let (_, rows) = rows(
        Options {
            pods_per_node: Some(60),
            ..Options::of(Kind::C)
        },
        0,
        2,
    );
    let containers: Vec<_> = rows[0]
        .new_defs
        .iter()
        .filter(|def| def.kind == EntityKind::Container)
        .collect();
    assert_eq!(containers.len(), 120);
    let cpu = |row: &Row, id| {
        let at = row.snapshot.position(id).unwrap();
        row.snapshot.cell(at, ColumnId::field(table::CPU)).unwrap()
    };
    let busy = containers
        .iter()
        .filter(|def| cpu(&rows[1], def.id) > cpu(&rows[0], def.id));
    assert_eq!(busy.count(), 60);
    for row in &rows {
        let nanos = cells(&row.snapshot, ColumnId::field(table::CPU));
        assert!(nanos.iter().flatten().all(|value| value % 1000 == 0));
        let bytes = cells(&row.snapshot, ColumnId::field(table::MEMORY_WORKING_SET));
        assert!(bytes.iter().flatten().all(|value| value % 4096 == 0));
    }
}

/// Every field that the catalogue has for somebody: all but what nobody measures, those of accelerators, those of single
/// processors, which are told only where asked for, and those that cAdvisor alone tells, which is not
/// read beside cgroups, in both modes.
#[test]
fn the_generated_kinds_have_every_field_and_source_of_the_default_mode() {
    for kind in [Kind::C, Kind::B] {
        let (_, rows) = rows(Options::of(kind), 0, 2);
        let snapshot = &rows[1].snapshot;
        for field in FIELDS
            .iter()
            .filter(|field| field.origin == Origin::Measured)
            .filter(|field| !field.name.starts_with("accelerator"))
            .filter(|field| field.entities != [EntityKind::Processor])
            .filter(|field| field.group != Group::Detail)
        {
            assert!(
                snapshot.column(ColumnId::field(field.id)).is_some(),
                "{kind:?} {field:?}"
            );
        }
        for (group, source) in [
            (Group::Cpu, Source::Cgroup),
            (Group::Memory, Source::Cgroup),
            (Group::Network, Source::Summary),
            (Group::Filesystem, Source::Summary),
            (Group::Volume, Source::Summary),
            (Group::Host, Source::Procfs),
            (Group::Process, Source::Summary),
        ] {
            let sources = cells(snapshot, ColumnId::source(group));
            assert!(
                sources.iter().flatten().all(|one| *one == source as u64),
                "{group:?}"
            );
        }
    }
}

#[test]
fn in_the_default_mode_the_summary_is_read_every_30_s_and_the_rest_at_every_tick() {
    let (_, rows) = rows(Options::of(Kind::C), 0, 13);
    let changes = |id: ColumnId| {
        let pairs = rows.windows(2);
        let differ = |pair: &&[Row]| cells(&pair[0].snapshot, id) != cells(&pair[1].snapshot, id);
        pairs.filter(differ).count()
    };
    for group in [Group::Filesystem, Group::Process] {
        assert_eq!(changes(ColumnId::time(group)), 4, "{group:?}");
    }
    for name in [
        "cpu_pressure_some_micros",
        "memory_page_faults",
        "host_context_switches",
    ] {
        assert_eq!(
            changes(ColumnId::field(table::by_name(name).unwrap().id)),
            12,
            "{name}"
        );
    }
    for name in [
        "process_count",
        "filesystem_available_bytes",
        "volume_usage_bytes",
    ] {
        let count = changes(ColumnId::field(table::by_name(name).unwrap().id));
        assert!((1..=4).contains(&count), "{name}: {count}");
    }
}

#[test]
fn all_busy_means_that_no_counter_stands_still() {
    let (_, rows) = rows(Options::of(Kind::B), 0, 5);
    for pair in rows.windows(2) {
        for field in FIELDS
            .iter()
            .filter(|field| field.kind == FieldKind::Counter)
        {
            let id = ColumnId::field(field.id);
            let (old, new) = (cells(&pair[0].snapshot, id), cells(&pair[1].snapshot, id));
            assert!(
                old.iter()
                    .zip(&new)
                    .all(|(old, new)| old.is_none() || old < new),
                "{field:?}"
            );
        }
    }
}

#[test]
fn nothing_grows_with_the_number_of_pods_ever_seen() {
    let options = Options {
        pods_per_node: Some(10),
        interval_ms: 60_000,
        churn_per_minute: 1.0,
        ..Options::of(Kind::C)
    };
    let (node, _) = rows(options, 0, 200);
    // Each pod is less than ten entities on the average, and lives on in the window of 15 minutes after its end.
    assert!(
        node.defs().len() < 17 * 10 * 10 + 20,
        "{}",
        node.defs().len()
    );
}
