//! Cgroups that are known by what they used.

use super::*;

/// A container that began at a time, s, and one measurement of it: when, s, and its CPU time.
type Told<'a> = (&'a str, u64, u64, u64);

/// One pod's containers, with the times of their directories and their CPU time now, read at `now_s`.
fn there(now_s: u64, containers: &[(&str, u64, u64)]) -> Cgroups {
    let with_times: Vec<(&str, u64)> = containers.iter().map(|of| (of.0, of.1 * 1_000)).collect();
    let mut there = cgroups(&with_times);
    let pods = there.pods.iter_mut().flat_map(|pod| &mut pod.containers);
    for (container, (_, _, cpu)) in pods.zip(containers) {
        let figures = &mut container.stat.figures;
        figures.measured(Group::Cpu, now_s * 1_000);
        figures.push(table::CPU, Some(*cpu));
    }
    there
}

fn told(taken_s: u64, containers: &[Told<'_>]) -> Reading<Summary> {
    let starts: Vec<(&str, u64)> = containers.iter().map(|of| (of.0, of.1 * 1_000)).collect();
    let mut reading = summary(taken_s * 1_000, &starts);
    let values = Arc::get_mut(&mut reading.values).unwrap();
    for (stats, (_, _, time_s, cpu)) in values.pods[0].containers.iter_mut().zip(containers) {
        stats.figures.measured(Group::Cpu, time_s * 1_000);
        stats.figures.push(table::CPU, Some(*cpu));
    }
    reading
}

/// A tick: what is there, and what the last summary said.
fn tick(
    roster: &mut Roster,
    tick_s: u64,
    there: &Cgroups,
    summary: &Reading<Summary>,
) -> Option<HashSet<Box<str>>> {
    roster.see(tick_s * 1_000, there);
    roster.learn_pods(tick_s * 1_000, &summary.values);
    roster.recognise(tick_s * 1_000, there, summary)
}

fn name(roster: &Roster, id: &str) -> Option<String> {
    let named = roster.is_named(id).then(|| roster.container(0, id))?;
    named.map(str::to_owned)
}

#[test]
fn a_container_is_the_cgroup_that_used_what_the_kubelet_measured() {
    let mut roster = Roster::default();
    let first = told(100, &[("app", 50, 95, 4_000)]);
    let at = |second: u64| there(second, &[("busy", 50, second * 100), ("pause", 49, 17)]);
    // Measured before anything was read: nothing to compare it with.
    assert!(tick(&mut roster, 100, &at(100), &first).is_none());
    tick(&mut roster, 110, &at(110), &first);
    assert_eq!(name(&roster, "busy"), None);
    let second = told(130, &[("app", 50, 115, 11_550)]);
    for second in [120, 130] {
        tick(&mut roster, second, &at(second), &first);
    }
    let at_130 = at(130);
    assert!(roster.recognise(130_000, &at_130, &second).is_none());
    assert_eq!(name(&roster, "busy").as_deref(), Some("app"));
    assert_eq!(name(&roster, "pause"), None);
    // Nobody is asked for the other one, and it has no name, however long it waits.
    assert!(!roster.has_unnamed_container(200_000) && !roster.has_newcomer(130_000));
    assert_eq!(roster.container(200_000, "pause"), None);
    // The next summary that lists everybody but it settles what it is.
    assert!(tick(&mut roster, 150, &at(150), &second).is_none());
    let third = told(160, &[("app", 50, 150, 15_000)]);
    let sandboxes = tick(&mut roster, 160, &at(160), &third);
    assert_eq!(sandboxes, Some(HashSet::from(["pause".into()])));
    let joined = Joined {
        known: 1,
        waiting: 0,
    };
    assert_eq!(roster.joined(), joined);
}

#[test]
fn two_that_used_the_same_are_told_apart_when_they_part_and_a_wrong_start_changes_nothing() {
    let mut roster = Roster::default();
    let ids = [("one", 10, 0), ("pause", 10, 0), ("two", 10, 0)];
    let at = |second: u64, cpu: [u64; 3]| {
        let mut now = ids;
        now.iter_mut().zip(cpu).for_each(|(of, cpu)| of.2 = cpu);
        there(second, &now)
    };
    // The kubelet says that they began when the agent was not there.
    let same = told(30, &[("app", 1, 25, 500), ("side", 1, 25, 501)]);
    tick(&mut roster, 20, &at(20, [400, 17, 450]), &same);
    tick(&mut roster, 30, &at(30, [600, 17, 610]), &same);
    assert_eq!(name(&roster, "one").or(name(&roster, "two")), None);
    let apart = told(50, &[("app", 1, 45, 900), ("side", 1, 45, 700)]);
    tick(&mut roster, 40, &at(40, [680, 17, 800]), &same);
    tick(&mut roster, 50, &at(50, [710, 17, 1_000]), &apart);
    assert_eq!(name(&roster, "one").as_deref(), Some("side"));
    assert_eq!(name(&roster, "two").as_deref(), Some("app"));
}

#[test]
fn a_container_that_ended_does_not_lend_its_name_to_the_sandbox() {
    let mut roster = Roster::default();
    // The kubelet lists a container that was over before its cgroup was read.
    let init = |taken_s| told(taken_s, &[("init", 99, 99, 5)]);
    for second in (100..=140).step_by(10) {
        let now = there(second, &[("pause", 98, 17)]);
        assert!(tick(&mut roster, second, &now, &init(second)).is_none());
    }
    assert_eq!(name(&roster, "pause"), None);
    // Another life of a container is another cgroup: what the last one used says nothing of it.
    let old = told(140, &[("app", 90, 105, 17)]);
    let now = there(141, &[("new", 140, 17), ("pause", 98, 18)]);
    tick(&mut roster, 141, &now, &old);
    assert_eq!(name(&roster, "new"), None);
}

#[test]
fn what_came_after_the_others_or_beside_a_known_sandbox_is_none() {
    let left = |ids: &[(&str, Option<&str>)], late_made_s: u64| {
        let mut roster = Roster::default();
        let before = there(80, &[]);
        tick(&mut roster, 80, &before, &told(80, &[]));
        let now = |second| {
            there(
                second,
                &[("app1", 85, second * 10), ("late", late_made_s, 17)],
            )
        };
        tick(
            &mut roster,
            90,
            &now(90),
            &told(90, &[("app", 85, 87, 870)]),
        );
        roster.learn_identities(90_000, &identities(ids));
        let mut sandboxes = HashSet::new();
        for second in (100..=130).step_by(10) {
            let listed = told(second, &[("app", 85, second - 5, second * 10 - 50)]);
            sandboxes.extend(
                tick(&mut roster, second, &now(second), &listed)
                    .into_iter()
                    .flatten(),
            );
        }
        sandboxes.len()
    };
    assert_eq!(left(&[], 84), 1);
    assert_eq!(left(&[], 86), 0);
    let known = [("app1", Some("app")), ("pause", None)];
    assert_eq!(left(&known, 84), 0);
}

#[test]
fn a_newcomer_is_hurried_for_until_a_summary_lists_it() {
    let mut roster = Roster::default();
    let before = told(10, &[("app", 1, 5, 90)]);
    let old = there(10, &[("app1", 1, 100), ("pause", 1, 17)]);
    tick(&mut roster, 10, &old, &before);
    roster.learn_identities(
        10_000,
        &identities(&[("app1", Some("app")), ("pause", None)]),
    );
    // It ended, and a new life of it is there: the summary still tells of the one before.
    let new = there(20, &[("app2", 19, 3)]);
    tick(&mut roster, 20, &new, &before);
    assert!(roster.has_newcomer(20_000));
    let again = told(21, &[("app", 1, 15, 110)]);
    tick(&mut roster, 21, &new, &again);
    assert!(roster.has_newcomer(21_000));
    let now = told(22, &[("app", 18, 20, 4)]);
    tick(&mut roster, 22, &new, &now);
    assert!(!roster.has_newcomer(22_000));
}

#[test]
fn a_sandbox_alone_is_no_stranger_and_a_container_that_nobody_knows_is() {
    let waiting = |containers: &[(&str, u64, u64)], listed: &[Told<'_>]| {
        let mut roster = Roster::default();
        for second in [100, 130, 160, 180] {
            let now = there(second, containers);
            tick(&mut roster, second, &now, &told(second, listed));
        }
        roster.joined()
    };
    let joined = |known, waiting| Joined { known, waiting };
    // What is measured fits nobody, as it is where a kubelet tells no CPU time.
    let listed = [("app", 90, 99, 1)];
    assert_eq!(waiting(&[("pause", 98, 17)], &listed), joined(0, 0));
    let both = [("one", 90, 40), ("pause", 89, 17)];
    assert_eq!(waiting(&both, &listed), joined(0, 1));
    assert_eq!(waiting(&both, &[]), joined(0, 0));
}
