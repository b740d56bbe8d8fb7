//! Cgroups beside a summary, and without one.

use super::*;
use crate::sampler::roster::Roster;
use crate::sources::cadvisor::{Cadvisor, Identity};
use crate::sources::cgroup::{self, Cgroups, Stat};

pub(super) fn stat(nanos: u64) -> Stat {
    let mut figures = Figures::default();
    figures.measured(Group::Cpu, TICK);
    figures.push(table::CPU, Some(nanos));
    Stat {
        figures,
        devices: Vec::new(),
        start_ms: 600,
    }
}

/// One pod with its containers, by runtime id.
fn reading(uid: &str, ids: &[&str]) -> Reading<Cgroups> {
    let container = |id: &&str| cgroup::Container {
        id: (*id).into(),
        stat: stat(8),
    };
    let pod = cgroup::Pod {
        uid: uid.into(),
        own: stat(9),
        containers: ids.iter().map(container).collect(),
    };
    let values = Cgroups {
        node: Some(stat(100)),
        system: Some(stat(90)),
        pods: vec![pod],
        ..Cgroups::default()
    };
    Reading {
        values: Arc::new(values),
        taken_ms: TICK,
    }
}

/// Says that an id is the pod's container `httpd`.
fn names_of(id: &str) -> Cadvisor {
    let identity = Identity {
        uid: "u1".into(),
        namespace: "shop".into(),
        pod: "web".into(),
        container: Some("httpd".into()),
    };
    Cadvisor {
        identities: [(id.into(), identity)].into(),
        ..Cadvisor::default()
    }
}

/// Knows the pod `u1`, and that `id1` is its container.
fn roster(listed: &Reading<Summary>, seen: &Reading<Cgroups>) -> Roster {
    let mut roster = Roster::default();
    roster.see(TICK, &seen.values);
    roster.learn_pods(TICK, &listed.values);
    roster.learn_identities(TICK, &names_of("id1"));
    roster.settle(&seen.values, Some(listed));
    roster
}

fn listed() -> Reading<Summary> {
    summary(vec![pod("web", "u1", 400, vec![container("httpd", 1_000)])])
}

fn by_cgroup(nanos: u64, start_ms: Option<u64>) -> Option<(u64, Stamp)> {
    Some((nanos, stamp(TICK, start_ms, Source::Cgroup)))
}

#[test]
fn what_has_a_cgroup_is_told_by_it_and_the_rest_by_the_summary() {
    let (listed, seen) = (listed(), reading("u1", &["id1"]));
    let roster = roster(&listed, &seen);
    let inputs = Inputs {
        cgroups: Some(Grouped {
            reading: &seen,
            roster: &roster,
        }),
        ..inputs(Some(&listed), None)
    };
    let merged = merge(&inputs, &mut Registry::default());
    assert_eq!(names(&merged), ["node1", "pods", "web", "httpd"]);
    assert_eq!(cpu_of(&merged, "node1"), by_cgroup(100, None));
    assert_eq!(cpu_of(&merged, "pods"), by_cgroup(90, Some(500)));
    assert_eq!(cpu_of(&merged, "web"), by_cgroup(9, Some(400)));
    assert_eq!(cpu_of(&merged, "httpd"), by_cgroup(8, Some(500)));
    // These cgroups tell no memory.
    let at = merged.snapshot.position(merged.defs[3].id).unwrap();
    let memory = merged.snapshot.stamp(at, Group::Memory);
    assert_eq!(memory.map(|stamp| stamp.source), Some(Source::Summary));
}

#[test]
fn pods_go_on_without_a_summary_and_end_with_their_cgroup() {
    let (listed, seen) = (listed(), reading("u1", &["id1"]));
    let mut roster = roster(&listed, &seen);
    let mut registry = Registry::default();
    let later = TICK + 600_000;
    let old = Inputs {
        tick: later,
        made_ms: later + 100,
        summary_is_fresh: false,
        ..inputs(Some(&listed), None)
    };
    for summary in [Some(&listed), None] {
        let cgroups = Some(Grouped {
            reading: &seen,
            roster: &roster,
        });
        let inputs = Inputs {
            summary,
            cgroups,
            ..old
        };
        let merged = merge(&inputs, &mut registry);
        assert!(names(&merged).ends_with(&["web", "httpd"]), "{summary:?}");
        assert!(cpu_of(&merged, "httpd").is_some());
    }
    let empty = Reading {
        values: Arc::new(Cgroups::default()),
        taken_ms: later,
    };
    roster.see(later, &empty.values);
    // Though a summary of the last tick lists it.
    let inputs = Inputs {
        cgroups: Some(Grouped {
            reading: &empty,
            roster: &roster,
        }),
        ..inputs(Some(&listed), None)
    };
    assert_eq!(names(&merge(&inputs, &mut registry)), ["node1", "pods"]);
}

/// Scenario: a pod whose image cannot be pulled: its sandbox runs, and the kubelet lists no container.
/// Guarantees: the sandbox is none either, however long that goes on.
#[test]
fn a_sandbox_is_no_container_while_the_kubelet_lists_none() {
    let listed = summary(vec![pod("web", "u1", 400, Vec::new())]);
    let seen = reading("u1", &["id2"]);
    let mut roster = roster(&listed, &seen);
    let later = TICK + 80_000;
    roster.see(later, &seen.values);
    let inputs = Inputs {
        tick: later,
        made_ms: later + 100,
        cgroups: Some(Grouped {
            reading: &seen,
            roster: &roster,
        }),
        ..inputs(Some(&listed), None)
    };
    let merged = merge(&inputs, &mut Registry::default());
    assert_eq!(names(&merged), ["node1", "pods", "web"]);
}

#[test]
fn an_id_that_nobody_names_is_a_name_only_where_the_kubelet_is_silent() {
    let (listed, seen) = (listed(), reading("u1", &["id2"]));
    let mut wiser = roster(&listed, &seen);
    let mut roster = roster(&listed, &seen);
    let later = TICK + 60_000;
    roster.see(later, &seen.values);
    let cgroups = Some(Grouped {
        reading: &seen,
        roster: &roster,
    });
    let live = Inputs {
        tick: later,
        made_ms: later + 100,
        cgroups,
        ..inputs(Some(&listed), None)
    };
    let merged = merge(&live, &mut Registry::default());
    assert_eq!(names(&merged), ["node1", "pods", "web", "httpd"]);
    let silent = Inputs {
        tick: later + 60_000,
        made_ms: later + 60_100,
        summary_is_fresh: false,
        ..live
    };
    let mut registry = Registry::default();
    let merged = merge(&silent, &mut registry);
    assert_eq!(names(&merged), ["node1", "pods", "web", "id2"]);
    let id = merged.defs[3].id;
    // When it gets one it is the same entity.
    wiser.learn_identities(later, &names_of("id2"));
    let named = Inputs {
        cgroups: Some(Grouped {
            reading: &seen,
            roster: &wiser,
        }),
        ..silent
    };
    let merged = merge(&named, &mut registry);
    assert_eq!(names(&merged), ["node1", "pods", "web", "httpd"]);
    assert_eq!(merged.defs[3].id, id);
}
