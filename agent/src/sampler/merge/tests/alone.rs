//! A host without a kubelet.

use super::grouped::stat;
use super::*;
use crate::sampler::roster::Roster;
use crate::sources::cadvisor::{self, Teller};
use crate::sources::cgroup::{self, Cgroups};

const UID: &str = "1df17ad5-f176-4aad-a700-aface64000ef";

fn line(family: &str, labels: &str, value: u64) -> String {
    format!("container_{family}{{{labels}}} {value} {}\n", TICK - 2_000)
}

fn cpu(labels: &str, seconds: u64) -> String {
    line(
        "cpu_usage_seconds_total",
        &format!("cpu=\"total\",{labels}"),
        seconds,
    )
}

/// A container of the pod `shop/web`.
fn in_pod(container: &str) -> String {
    let label = |key: &str, value: &str| format!("container_label_io_kubernetes_{key}=\"{value}\"");
    let names = [
        label("pod_namespace", "shop"),
        label("pod_name", "web"),
        label("container_name", container),
    ];
    format!(
        "id=\"/kubepods/pod{UID}/abcd\",name=\"abcd\",{}",
        names.join(",")
    )
}

fn reading(text: &str) -> Reading<Cadvisor> {
    let values = cadvisor::parse_of(text.as_bytes(), Teller::Alone, cadvisor::Ids::Wanted).unwrap();
    Reading {
        values: Arc::new(values),
        taken_ms: TICK - 1_000,
    }
}

fn host(alone: &Reading<Cadvisor>, is_fresh: bool) -> Inputs<'_> {
    Inputs {
        alone: Some(Alone {
            reading: alone,
            is_fresh,
        }),
        summary_is_fresh: false,
        chosen: Chosen::CADVISOR,
        ..inputs(None, None)
    }
}

/// Kinds and names, sorted.
fn kinds(merged: &Merged) -> Vec<(EntityKind, &str)> {
    let defs = merged.defs.iter();
    let mut names: Vec<_> = defs.map(|def| (def.kind, def.name.as_str())).collect();
    names.sort_unstable();
    names
}

fn by_cadvisor(seconds: u64) -> Option<(u64, Stamp)> {
    let stamp = stamp(TICK - 2_000, None, Source::Cadvisor);
    Some((seconds * 1_000_000_000, stamp))
}

#[test]
fn what_it_tells_of_is_what_is_there() {
    let text = [
        cpu("id=\"/\"", 100),
        cpu("id=\"/docker/abcd\",name=\"db\"", 7),
        line(
            "fs_reads_total",
            "id=\"/docker/abcd\",name=\"db\",device=\"/dev/vda\"",
            3,
        ),
        cpu(&format!("id=\"/kubepods/pod{UID}\""), 9),
        cpu(&in_pod("app"), 8),
    ];
    let alone = reading(&text.concat());
    let mut registry = Registry::default();
    let merged = merge(&host(&alone, true), &mut registry);
    let expected = [
        (EntityKind::Node, "node1"),
        (EntityKind::System, "db"),
        (EntityKind::Pod, "web"),
        (EntityKind::Container, "app"),
        (EntityKind::BlockDevice, "vda"),
    ];
    assert_eq!(kinds(&merged), expected);
    for (name, seconds) in [("node1", 100), ("db", 7), ("web", 9), ("app", 8)] {
        assert_eq!(cpu_of(&merged, name), by_cadvisor(seconds), "{name}");
    }
    let pod = merged
        .defs
        .iter()
        .find(|def| def.kind == EntityKind::Pod)
        .unwrap();
    assert_eq!((&*pod.namespace, &*pod.uid), ("shop", UID));
    let disk = merged.defs.iter().find(|def| def.name == "vda").unwrap();
    let db = merged.defs.iter().find(|def| def.name == "db").unwrap();
    assert_eq!(disk.parent, Some(db.id));
    assert_eq!((merged.refused_count, merged.dropped_count), (0, 0));
}

#[test]
fn while_it_is_silent_each_stays_until_its_figures_are_too_old() {
    let text = [
        cpu("id=\"/docker/abcd\",name=\"db\"", 7),
        cpu(&in_pod("app"), 8),
        // Without a time it is of when it was read.
        "container_memory_rss{id=\"/timeless\"} 5\n".to_owned(),
    ];
    let alone = reading(&text.concat());
    let count = |tick: u64, is_fresh| {
        let inputs = Inputs {
            tick,
            made_ms: tick,
            ..host(&alone, is_fresh)
        };
        merge(&inputs, &mut Registry::default()).defs.len()
    };
    let last = TICK - 2_000 + Group::Cpu.max_age_ms();
    assert_eq!([count(last, false), count(last + 1, false)], [5, 2]);
    assert_eq!(count(last + 1_001, false), 1);
    assert_eq!(count(last + 60_000, true), 5);
}

#[test]
fn cgroups_that_are_read_tell_better_and_nothing_is_there_twice() {
    let text = [
        cpu(&format!("id=\"/kubepods/pod{UID}\""), 9),
        cpu(&in_pod("app"), 8),
        line("threads", &in_pod("app"), 4),
        cpu("id=\"/docker/abcd\",name=\"db\"", 7),
    ];
    let alone = reading(&text.concat());
    let pod = cgroup::Pod {
        uid: UID.into(),
        own: stat(91),
        containers: vec![cgroup::Container {
            id: "abcd".into(),
            stat: stat(81),
        }],
    };
    let seen = Reading {
        values: Arc::new(Cgroups {
            pods: vec![pod],
            ..Cgroups::default()
        }),
        taken_ms: TICK,
    };
    let mut roster = Roster::default();
    roster.see(TICK, &seen.values);
    roster.learn_identities(TICK, &alone.values);
    let inputs = Inputs {
        cgroups: Some(Grouped {
            reading: &seen,
            roster: &roster,
        }),
        ..host(&alone, true)
    };
    let merged = merge(&inputs, &mut Registry::default());
    let expected = [
        (EntityKind::Node, "node1"),
        (EntityKind::System, "db"),
        (EntityKind::Pod, "web"),
        (EntityKind::Container, "app"),
    ];
    assert_eq!(kinds(&merged), expected);
    let told = |name: &str| cpu_of(&merged, name).map(|(nanos, stamp)| (nanos, stamp.source));
    assert_eq!(told("web"), Some((91, Source::Cgroup)));
    assert_eq!(told("app"), Some((81, Source::Cgroup)));
    assert_eq!(told("db"), Some((7_000_000_000, Source::Cadvisor)));
    // What cgroups do not tell is taken from it.
    let app = merged.defs.iter().find(|def| def.name == "app").unwrap();
    let at = merged.snapshot.position(app.id).unwrap();
    let threads = merged
        .snapshot
        .cell(at, cairn_proto::model::ColumnId::field(table::THREADS));
    assert_eq!(threads, Some(4));
}

#[test]
fn of_too_many_outside_of_pods_the_newcomers_are_left_out_and_a_pod_without_uid_is_refused() {
    let mut text = String::new();
    for n in 0..1_030_u64 {
        let labels = format!("id=\"/docker/{n:04x}\",name=\"c{n:04}\"");
        text += &cpu(&labels, 1);
        text += &format!("container_start_time_seconds{{{labels}}} {}\n", 5_000 - n);
    }
    let nobodys = in_pod("app").replace(&format!("/kubepods/pod{UID}/abcd"), "/odd/place");
    text += &cpu(&nobodys, 8);
    let alone = reading(&text);
    let merged = merge(&host(&alone, true), &mut Registry::default());
    assert_eq!((merged.dropped_count, merged.refused_count), (6, 2));
    assert_eq!(merged.defs.len(), 1 + 1_024);
    let has = |name: &str| merged.defs.iter().any(|def| def.name == name);
    assert!(has("c1029") && has("c0006") && !has("c0005"));
}
