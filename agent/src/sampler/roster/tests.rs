//! Names that come, stay and go.

mod recognised;
mod told;

use std::sync::Arc;

use super::*;
use crate::sources::Reading;
use crate::sources::cgroup::{Container, Pod, Stat};
use crate::sources::summary::{self, Stats};

const UID: &str = "03a70c4b-ca1d-4b94-9704-26a125eae027";

fn stat(start_ms: u64) -> Stat {
    Stat {
        start_ms,
        ..Stat::default()
    }
}

/// A node with one pod, whose containers are given with the times of their directories.
fn cgroups(containers: &[(&str, u64)]) -> Cgroups {
    let container = |(id, made_ms): &(&str, u64)| Container {
        id: (*id).into(),
        stat: stat(*made_ms),
    };
    let pod = Pod {
        uid: UID.into(),
        own: stat(1),
        containers: containers.iter().map(container).collect(),
    };
    Cgroups {
        pods: vec![pod],
        ..Cgroups::default()
    }
}

/// Says that these ids are these containers, or the sandbox.
fn identities(ids: &[(&str, Option<&str>)]) -> Cadvisor {
    let identity = |container: &Option<&str>| Identity {
        uid: UID.into(),
        namespace: "shop".into(),
        pod: "web".into(),
        container: container.map(Into::into),
    };
    let identities = ids.iter().map(|(id, of)| ((*id).into(), identity(of)));
    Cadvisor {
        identities: identities.collect(),
        ..Cadvisor::default()
    }
}

fn summary(taken_ms: u64, containers: &[(&str, u64)]) -> Reading<Summary> {
    let container = |(name, start_ms): &(&str, u64)| Stats {
        name: (*name).to_owned(),
        start_ms: Some(*start_ms),
        ..Stats::default()
    };
    let pod = summary::Pod {
        name: "web".to_owned(),
        namespace: "shop".to_owned(),
        uid: UID.to_owned(),
        stats: Stats {
            start_ms: Some(500),
            ..Stats::default()
        },
        containers: containers.iter().map(container).collect(),
    };
    let values = Summary {
        pods: vec![pod],
        ..Summary::default()
    };
    Reading {
        values: Arc::new(values),
        taken_ms,
    }
}

#[test]
fn a_container_has_no_name_then_its_id_and_then_its_own() {
    let mut roster = Roster::default();
    let there = cgroups(&[("id1", 100_000)]);
    roster.see(100_000, &there);
    assert_eq!(roster.container(100_000, "id1"), None);
    // The summaries have their chance before anybody else is asked.
    assert!(!roster.has_unnamed_container(174_000));
    assert!(roster.has_unnamed_container(175_000));
    roster.see(159_000, &there);
    assert_eq!(roster.container(159_000, "id1"), None);
    roster.see(160_000, &there);
    assert_eq!(roster.container(160_000, "id1"), Some("id1"));
    assert!(!roster.is_named("id1"));
    let sandboxes = roster.learn_identities(161_000, &identities(&[("id1", Some("httpd"))]));
    assert!(sandboxes.is_empty());
    assert_eq!(roster.container(161_000, "id1"), Some("httpd"));
    assert!(!roster.has_unnamed_container(200_000));
    assert_eq!(roster.pod(UID).map(|pod| &*pod.name), Some("web"));
}

#[test]
fn a_sandbox_has_no_name_and_is_told() {
    let mut roster = Roster::default();
    roster.see(1_000, &cgroups(&[("id1", 0), ("pause", 0)]));
    let names = identities(&[("id1", Some("httpd")), ("pause", None)]);
    let sandboxes = roster.learn_identities(1_000, &names);
    assert_eq!(sandboxes, HashSet::from(["pause".into()]));
    assert_eq!(roster.container(100_000, "pause"), None);
    // It is not read any more and stays known as long as its pod is there.
    for tick in (10_000..2_000_000).step_by(10_000) {
        roster.see(tick, &cgroups(&[("id1", 0)]));
        roster.forget_before(tick.saturating_sub(60_000));
    }
    assert_eq!(roster.sandboxes().len(), 1);
    roster.see(2_000_000, &Cgroups::default());
    roster.forget_before(2_000_000);
    assert!(roster.sandboxes().is_empty() && roster.pods.is_empty());
    assert!(roster.containers.is_empty());
}

#[test]
fn who_comes_while_the_agent_looks_is_a_newcomer() {
    let mut roster = Roster::default();
    roster.see(10_000, &cgroups(&[("id1", 0)]));
    assert!(!roster.has_newcomer(10_000));
    let both = cgroups(&[("id1", 0), ("id2", 19_000)]);
    for (tick, is_new) in [(20_000, true), (25_000, true), (26_000, false)] {
        roster.see(tick, &both);
        assert_eq!(roster.has_newcomer(tick), is_new, "{tick}");
    }
}

#[test]
fn a_hundred_thousand_ticks_of_churn_leave_nothing_behind() {
    let mut roster = Roster::default();
    for n in 0..100_000_u64 {
        let tick = n * 10_000;
        let (container, pause) = (format!("c{}", n / 3), format!("p{}", n / 3));
        let mut there = cgroups(&[(container.as_str(), tick)]);
        there.pods[0].uid = format!("u{}", n / 3).into();
        roster.see(tick, &there);
        if n % 3 == 1 {
            let mut names = identities(&[(&container, Some("httpd")), (&pause, None)]);
            for identity in names.identities.values_mut() {
                identity.uid = format!("u{}", n / 3).into();
            }
            roster.learn_identities(tick, &names);
        }
        roster.settle(&there, None);
        roster.forget_before(tick.saturating_sub(900_000));
        assert!(roster.pods.len() <= 32 && roster.containers.len() <= 64);
    }
}

#[test]
fn nobody_is_asked_for_ever_for_what_has_no_name() {
    let mut roster = Roster::default();
    let mut asked = [0, 0];
    for tick in (10_000..1_000_000).step_by(10_000) {
        roster.see(tick, &cgroups(&[("id1", 0)]));
        if roster.has_unnamed_pod() {
            asked[0] += 1;
            roster.learn_pods(tick, &Summary::default());
        }
        if roster.has_unnamed_container(tick) {
            asked[1] += 1;
            roster.learn_identities(tick, &Cadvisor::default());
        }
    }
    assert_eq!(asked, [10, 3]);
}

#[test]
fn a_life_began_when_the_kubelet_says_if_it_speaks_of_that_life() {
    let start = |was_there: bool, made_ms: u64, told: &Reading<Summary>| {
        let mut roster = Roster::default();
        roster.see(100_000, &Cgroups::default());
        let there = cgroups(&[("id1", made_ms)]);
        if was_there {
            roster = Roster::default();
        }
        roster.see(110_000, &there);
        roster.learn_identities(110_000, &identities(&[("id1", Some("httpd"))]));
        roster.settle(&there, Some(told));
        // What is settled stays.
        roster.settle(&there, Some(&summary(200_000, &[("httpd", 1)])));
        roster.start_ms("id1")
    };
    let near = summary(110_200, &[("httpd", 104_000)]);
    assert_eq!(start(false, 105_000, &near), Some(104_000));
    // The life before.
    let before = summary(110_200, &[("httpd", 50_000)]);
    assert_eq!(start(false, 105_000, &before), Some(105_000));
    // It was there before the agent was, whenever its directory was looked up.
    assert_eq!(start(true, 105_000, &before), Some(50_000));
    // A summary of before does not speak of it; the first later one does, whatever it says.
    assert_eq!(
        start(true, 105_000, &summary(90_000, &[("httpd", 50_000)])),
        Some(1)
    );
}

#[test]
fn what_is_gone_is_gone_until_a_later_summary_lists_it() {
    let mut roster = Roster::default();
    roster.see(10_000, &cgroups(&[("id1", 0)]));
    roster.learn_identities(10_000, &identities(&[("id1", Some("httpd"))]));
    assert!(!roster.container_is_gone(UID, "httpd", 10_200));
    roster.see(20_000, &cgroups(&[]));
    assert!(roster.container_is_gone(UID, "httpd", 10_200));
    assert!(!roster.container_is_gone(UID, "other", 10_200));
    assert!(!roster.container_is_gone(UID, "httpd", 20_200));
    assert!(!roster.pod_is_gone(UID, 10_200));
    roster.see(30_000, &Cgroups::default());
    assert!(roster.pod_is_gone(UID, 10_200) && roster.pod_is_gone(UID, 20_200));
    assert!(!roster.pod_is_gone(UID, 30_200));
    // A new life of the same container.
    roster.see(40_000, &cgroups(&[("id2", 0)]));
    roster.learn_identities(40_000, &identities(&[("id2", Some("httpd"))]));
    assert!(!roster.container_is_gone(UID, "httpd", 10_200));
}
