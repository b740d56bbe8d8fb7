//! File systems, volumes and disks: whose they are, and how long they are there.

use cairn_proto::catalogue::table::Storage;

use super::*;
use crate::sources::Part;

fn part(kind: EntityKind, name: &str, group: Group, ago_ms: u64) -> Part {
    let field = match kind {
        EntityKind::Volume => table::volume(Storage::Usage),
        _ => table::filesystem(Storage::Usage),
    };
    let mut figures = Figures::default();
    figures.measured(group, TICK - ago_ms);
    figures.push(field, Some(9));
    Part {
        kind,
        name: name.to_owned(),
        labels: vec![("resource_id".to_owned(), name.to_owned())],
        figures,
    }
}

#[test]
fn parts_belong_to_what_has_them_and_are_there_once() {
    let mut web = pod("web", "u1", 400, vec![container("httpd", 0)]);
    web.stats.parts = vec![
        part(EntityKind::Volume, "data", Group::Volume, 0),
        part(EntityKind::Volume, "data", Group::Volume, 5),
    ];
    web.containers[0].parts = vec![part(EntityKind::Filesystem, "/", Group::Filesystem, 0)];
    let listed = summary(vec![web]);
    let merged = merge(&inputs(Some(&listed), None), &mut Registry::default());
    assert_eq!(
        names(&merged),
        ["node1", "pods", "web", "data", "httpd", "/"]
    );
    let (volume, filesystem) = (&merged.defs[3], &merged.defs[5]);
    assert_eq!(volume.parent, Some(merged.defs[2].id));
    assert_eq!(filesystem.parent, Some(merged.defs[4].id));
    assert_eq!(volume.labels[0].1, "data");
    let at = merged.snapshot.position(volume.id).unwrap();
    let stamp = merged.snapshot.stamp(at, Group::Volume).unwrap();
    assert_eq!(stamp.time_ms, TICK);
}

#[test]
fn a_young_volume_keeps_no_pod_alive() {
    let mut web = pod("web", "u1", 400, Vec::new());
    web.stats.parts = vec![part(EntityKind::Volume, "data", Group::Volume, 0)];
    let listed = summary(vec![web]);
    let at = |tick| {
        let inputs = Inputs {
            tick,
            made_ms: tick + 100,
            summary_is_fresh: false,
            ..inputs(Some(&listed), None)
        };
        merge(&inputs, &mut Registry::default())
    };
    let young = at(TICK + 89_000);
    assert!(names(&young).contains(&"data"));
    assert!(!names(&at(TICK + 89_001)).contains(&"web"));
}

#[test]
fn a_disk_is_there_as_long_as_proc_says_so_or_its_figures_mean_something() {
    let mut figures = Figures::default();
    figures.measured(Group::Host, TICK);
    figures.push(table::DISK_READS, Some(9));
    let disk = Part {
        kind: EntityKind::BlockDevice,
        name: "sda".to_owned(),
        labels: Vec::new(),
        figures,
    };
    let values = Host {
        parts: vec![disk],
        ..Host::default()
    };
    let host = Reading {
        values: Arc::new(values),
        taken_ms: TICK,
    };
    let listed = summary(Vec::new());
    let has_disk = |ago_ms, summary_is_fresh, host_is_fresh| {
        let inputs = Inputs {
            tick: TICK + ago_ms,
            made_ms: TICK + ago_ms + 100,
            summary_is_fresh,
            cadvisor: None,
            host: Some(&host),
            host_is_fresh,
            ..inputs(Some(&listed), None)
        };
        let merged = merge(&inputs, &mut Registry::default());
        names(&merged).contains(&"sda")
    };
    let max_age_ms = Group::Host.max_age_ms();
    assert!(has_disk(max_age_ms, true, false));
    // A summary of this tick knows nothing of disks.
    assert!(!has_disk(max_age_ms + 1, true, false));
    assert!(has_disk(max_age_ms + 1, false, true));
}

#[test]
fn of_many_parts_of_one_name_the_first_is_taken_as_of_few() {
    for count in [8, 600_u64] {
        let disk = |n: u64| {
            let mut figures = Figures::default();
            figures.measured(Group::Host, TICK);
            figures.push(table::DISK_READS, Some(n));
            Part {
                kind: EntityKind::BlockDevice,
                name: format!("d{}", n % (count / 2)),
                labels: Vec::new(),
                figures,
            }
        };
        let values = Host {
            parts: (0..count).map(disk).collect(),
            ..Host::default()
        };
        let host = Reading {
            values: Arc::new(values),
            taken_ms: TICK,
        };
        let inputs = Inputs {
            host: Some(&host),
            ..inputs(None, None)
        };
        let merged = merge(&inputs, &mut Registry::default());
        let mut reads: Vec<u64> = merged
            .defs
            .iter()
            .filter(|def| def.kind == EntityKind::BlockDevice)
            .filter_map(|def| {
                let at = merged.snapshot.position(def.id)?;
                let column = cairn_proto::model::ColumnId::field(table::DISK_READS);
                merged.snapshot.cell(at, column)
            })
            .collect();
        reads.sort_unstable();
        assert!(reads.into_iter().eq(0..count / 2), "{count}");
    }
}

/// A file system of the host, or of the kubelet, of this size.
fn sized(name: &str, capacity: u64) -> Part {
    let mut part = part(EntityKind::Filesystem, name, Group::Filesystem, 0);
    let field = table::filesystem(Storage::Capacity);
    part.figures.push(field, Some(capacity));
    part
}

#[test]
fn a_file_system_that_two_sources_tell_is_there_once_and_the_kubelets() {
    let values = Host {
        file_systems: vec![sized("/", 100), sized("/data", 900)].into(),
        ..Host::default()
    };
    let host = Reading {
        values: Arc::new(values),
        taken_ms: TICK,
    };
    let of_node = |listed: Option<&Reading<Summary>>, tick| {
        let inputs = Inputs {
            tick,
            made_ms: tick + 100,
            summary_is_fresh: tick == TICK,
            host: Some(&host),
            host_is_fresh: true,
            ..inputs(listed, None)
        };
        let merged = merge(&inputs, &mut Registry::default());
        let places = (0..).zip(&merged.defs);
        let own = places.filter(|(_, def)| def.kind == EntityKind::Filesystem);
        let told = own.map(|(at, def)| {
            let stamp = merged.snapshot.stamp(at, Group::Filesystem).unwrap();
            (def.name.clone(), stamp.source)
        });
        told.collect::<Vec<(String, Source)>>()
    };
    let mut listed = summary(Vec::new());
    let node = &mut Arc::get_mut(&mut listed.values).unwrap().node;
    node.parts = vec![sized("/", 100), sized("imagefs", 100)];
    let told = |name: &str, source| (name.to_owned(), source);
    assert_eq!(
        of_node(Some(&listed), TICK),
        [
            told("/data", Source::Procfs),
            told("/", Source::Summary),
            told("imagefs", Source::Summary)
        ]
    );
    // Without a kubelet, and when its figures mean nothing any more, the host's are all there is.
    let alone = [told("/", Source::Procfs), told("/data", Source::Procfs)];
    assert_eq!(of_node(None, TICK), alone);
    let late = TICK + Group::Filesystem.max_age_ms() + 1;
    assert_eq!(of_node(Some(&listed), late), alone);
}
