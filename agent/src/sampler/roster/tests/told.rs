//! Names that aggregators tell.

use cairn_proto::catalogue::{Source, table};
use cairn_proto::model::Stamp;
use cairn_proto::rate::{Observed, Point, Tracker};
use cairn_proto::v1::names;

use super::*;
use crate::names::{Question, Told};

/// An answer to a question for everybody who is named in it, and for others.
fn told(pods: &[(&str, &str)], containers: &[(&str, &str, &str)], others: &[&str]) -> Told {
    let ids = containers
        .iter()
        .map(|of| of.0)
        .chain(others.iter().copied());
    let pod = |(uid, name): &(&str, &str)| names::Pod {
        uid: (*uid).to_owned(),
        namespace: "shop".to_owned(),
        name: (*name).to_owned(),
    };
    let container = |(id, uid, name): &(&str, &str, &str)| names::Container {
        runtime_id: (*id).to_owned(),
        pod_uid: (*uid).to_owned(),
        container: (*name).to_owned(),
    };
    Told {
        question: Question {
            pods: pods.iter().map(|(uid, _)| (*uid).into()).collect(),
            containers: ids.map(Into::into).collect(),
        },
        pods: pods.iter().map(pod).collect(),
        containers: containers.iter().map(container).collect(),
        took: std::time::Duration::ZERO,
    }
}

fn pod_name(roster: &Roster) -> Option<&str> {
    roster.pod(UID).map(|pod| &*pod.name)
}

#[test]
fn who_has_no_name_is_asked_for_less_and_less_often() {
    let mut roster = Roster::default();
    let there = cgroups(&[("id1", 0)]);
    let mut asked = Vec::new();
    for second in 0..=3_600 {
        roster.see(second * 1_000, &there);
        if let Some(question) = roster.ask(second * 1_000) {
            assert_eq!((&*question.pods[0], &*question.containers[0]), (UID, "id1"));
            asked.push(second);
        }
        // Once a tick.
        assert_eq!(roster.ask(second * 1_000), None);
    }
    assert_eq!(asked[..6], [0, 1, 2, 3, 5, 8]);
    assert!((15..40).contains(&asked.len()), "{asked:?}");
    let last = asked[asked.len() - 1] - asked[asked.len() - 2];
    assert_eq!(last, 300);
    // A session that is new may know.
    roster.ask_anew();
    roster.see(3_602_000, &there);
    assert!(roster.ask(3_602_000).is_some());
}

#[test]
fn a_question_is_bounded_and_everybody_has_a_turn() {
    let mut roster = Roster::default();
    let ids: Vec<String> = (0..600).map(|n| format!("id{n}")).collect();
    let ids: Vec<(&str, u64)> = ids.iter().map(|id| (id.as_str(), 0)).collect();
    roster.see(1_000, &cgroups(&ids));
    let mut sizes = Vec::new();
    let mut all = HashSet::new();
    while let Some(question) = roster.ask(1_000) {
        sizes.push(question.containers.len());
        all.extend(question.containers);
    }
    assert_eq!((sizes, all.len()), (vec![256, 256, 88], 600));
}

#[test]
fn an_aggregator_names_who_is_there_and_nobody_whose_place_is_another() {
    let mut roster = Roster::default();
    roster.see(1_000, &cgroups(&[("id1", 0), ("id2", 0), ("pause", 0)]));
    let all = [
        ("id1", UID, "httpd"),
        ("id2", "another-uid", "side"),
        ("id3", UID, "gone"),
    ];
    let odd = roster.learn_told(&told(&[(UID, "web")], &all, &["pause"]));
    assert_eq!((odd.misplaced, odd.doubled), (1, 0));
    assert_eq!(pod_name(&roster), Some("web"));
    assert_eq!(roster.container(1_000, "id1"), Some("httpd"));
    assert!(roster.is_named("id1") && !roster.is_named("id2") && !roster.is_named("id3"));
    // Nobody asks for it any more, and the summary is still waited for.
    assert_eq!(roster.ask(1_000).unwrap().containers.len(), 2);
    assert!(roster.has_unnamed_pod());
    // The aggregator knows the pod and not this: it is no container.
    roster.see(100_000, &cgroups(&[("id1", 0), ("id2", 0), ("pause", 0)]));
    assert_eq!(roster.container(100_000, "pause"), None);
    assert!(!roster.has_unnamed_container(100_000));
}

#[test]
fn what_the_node_says_stands_whatever_an_aggregator_says() {
    let mut roster = Roster::default();
    roster.see(1_000, &cgroups(&[("id1", 0), ("id2", 0)]));
    roster.learn_told(&told(&[(UID, "evil")], &[("id1", UID, "evil")], &[]));
    assert_eq!(
        (pod_name(&roster), roster.container(1_000, "id1")),
        (Some("evil"), Some("evil"))
    );
    let summary = summary(1_200, &[("httpd", 0)]);
    let there = cgroups(&[("id1", 0), ("id2", 0)]);
    roster.learn_pods(1_000, &summary.values);
    roster.recognise(1_000, &there, &summary);
    assert_eq!(pod_name(&roster), Some("web"));
    assert!(!roster.is_named("id1"), "no summary lists it");
    roster.learn_told(&told(&[(UID, "evil")], &[], &[]));
    assert_eq!(pod_name(&roster), Some("web"));
    // cAdvisor names by id, and its word stands too.
    roster.learn_identities(2_000, &identities(&[("id1", Some("httpd"))]));
    let again = told(&[], &[("id1", UID, "evil"), ("id2", UID, "httpd")], &[]);
    let odd = roster.learn_told(&again);
    assert_eq!(odd.misplaced, 1, "another one has that name");
    assert_eq!(roster.container(2_000, "id1"), Some("httpd"));
    assert!(!roster.is_named("id2"));
}

#[test]
fn a_name_that_was_told_goes_to_whose_counter_the_kubelet_measured() {
    let mut roster = Roster::default();
    let there = |second: u64| {
        let mut there = cgroups(&[("busy", 50_000), ("pause", 49_000)]);
        for (at, cpu) in [second * 100, 17].into_iter().enumerate() {
            let figures = &mut there.pods[0].containers[at].stat.figures;
            figures.measured(Group::Cpu, second * 1_000);
            figures.push(table::CPU, Some(cpu));
        }
        there
    };
    roster.see(100_000, &there(100));
    // The other way round.
    let swapped = told(&[(UID, "web")], &[("pause", UID, "app")], &["busy"]);
    roster.learn_told(&swapped);
    let mut listed = summary(130_000, &[("app", 50_000)]);
    let stats = &mut Arc::get_mut(&mut listed.values).unwrap().pods[0].containers[0];
    stats.figures.measured(Group::Cpu, 115_000);
    stats.figures.push(table::CPU, Some(11_550));
    for second in [110, 120, 130] {
        roster.see(second * 1_000, &there(second));
    }
    assert!(roster.is_named("pause"));
    roster.recognise(130_000, &there(130), &listed);
    assert_eq!(roster.container(130_000, "busy"), Some("app"));
    assert!(!roster.is_named("pause"));
    // Another aggregator may know it; the same word again is of no use.
    let question = roster.ask(130_000).unwrap();
    assert_eq!(question.containers.len(), 1);
    assert_eq!(&*question.containers[0], "pause");
    let odd = roster.learn_told(&swapped);
    assert_eq!((odd.misplaced, roster.is_named("pause")), (1, false));
}

#[test]
fn a_name_that_is_doubted_late_is_asked_for_at_once_and_again_a_second_later() {
    let mut roster = Roster::default();
    let there = cgroups(&[("id1", 0), ("pause", 0)]);
    roster.see(1_000, &there);
    let of_wrong = told(&[(UID, "web")], &[("pause", UID, "evil")], &["id1"]);
    roster.ask(1_000);
    roster.learn_told(&of_wrong);
    // The kubelet is back after twenty minutes.
    let listed = summary(1_200_200, &[("httpd", 0)]);
    roster.see(1_200_000, &there);
    roster.learn_pods(1_200_000, &listed.values);
    let pod = &listed.values.pods[0];
    roster.compare(1_200_000, "pause", pod, listed.taken_ms);
    let asked = |roster: &mut Roster, tick| {
        roster.see(tick, &there);
        let question = roster.ask(tick).unwrap_or_default();
        question.containers.contains(&"pause".into())
    };
    assert!(asked(&mut roster, 1_200_000));
    assert_eq!(roster.learn_told(&of_wrong).misplaced, 1);
    assert!(!roster.containers["pause"].is_passed_over, "it was named");
    assert!(asked(&mut roster, 1_201_000));
    // Who knows the others of the pod says nothing of it: it is the sandbox.
    roster.learn_told(&told(&[], &[("id1", UID, "httpd")], &["pause"]));
    assert!(roster.containers["pause"].is_passed_over);
}

#[test]
fn who_has_a_name_that_is_not_listed_is_asked_for_again_and_another_aggregator_may_name_it() {
    let mut roster = Roster::default();
    let there = cgroups(&[("id1", 0), ("pause", 0)]);
    roster.see(1_000, &there);
    let of_wrong = told(&[(UID, "web")], &[("id1", UID, "evil")], &["pause"]);
    roster.ask(1_000);
    roster.learn_told(&of_wrong);
    // Nothing speaks against it yet.
    roster.see(11_000, &there);
    let asked = |question: Option<Question>| question.unwrap_or_default().containers;
    assert!(!asked(roster.ask(11_000)).contains(&"id1".into()));
    let listed = summary(20_200, &[("httpd", 0)]);
    roster.see(20_000, &there);
    roster.learn_pods(20_000, &listed.values);
    roster.compare(20_000, "id1", &listed.values.pods[0], listed.taken_ms);
    assert!(!roster.is_named("id1"));
    assert!(asked(roster.ask(20_000)).contains(&"id1".into()));
    // The same again is of no use.
    let odd = roster.learn_told(&of_wrong);
    assert_eq!((odd.misplaced, roster.is_named("id1")), (1, false));
    let odd = roster.learn_told(&told(&[], &[("id1", UID, "httpd")], &["pause"]));
    assert_eq!(odd, Odd::default());
    assert_eq!(roster.container(20_000, "id1"), Some("httpd"));
    // Nobody asks for it any more, and what is told of it unasked changes nothing.
    roster.see(400_000, &there);
    assert!(!asked(roster.ask(400_000)).contains(&"id1".into()));
    roster.learn_told(&of_wrong);
    assert_eq!(roster.container(400_000, "id1"), Some("httpd"));
}

#[test]
fn a_name_that_another_one_there_has_too_is_counted() {
    let mut roster = Roster::default();
    roster.see(1_000, &cgroups(&[("id1", 0), ("id2", 500), ("id3", 0)]));
    let both = [("id1", UID, "httpd"), ("id2", UID, "httpd")];
    let odd = roster.learn_told(&told(&[(UID, "web")], &both, &[]));
    assert_eq!((odd.misplaced, odd.doubled), (0, 1));
    // A restart: the one before is gone.
    roster.see(11_000, &cgroups(&[("id3", 0)]));
    let odd = roster.learn_told(&told(&[], &[("id3", UID, "httpd")], &[]));
    assert_eq!(odd, Odd::default());
}

#[test]
fn a_name_that_nothing_speaks_against_becomes_the_nodes_own() {
    let mut roster = Roster::default();
    let there = cgroups(&[("id1", 0), ("pause", 0)]);
    let mut believed = None;
    for second in (0..300).step_by(10) {
        let tick = second * 1_000;
        roster.see(tick, &there);
        if second == 0 {
            roster.learn_told(&told(&[(UID, "web")], &[("id1", UID, "httpd")], &["pause"]));
        }
        let listed = summary(tick, &[("httpd", 0)]);
        roster.learn_pods(tick, &listed.values);
        roster.recognise(tick, &there, &listed);
        assert_eq!(roster.container(tick, "id1"), Some("httpd"));
        assert!(!roster.has_unnamed_container(tick), "nobody else is asked");
        assert_eq!(roster.joined().waiting, 0, "{second}");
        if roster.containers["id1"].called != Called::Told("httpd".into()) {
            believed = believed.or(Some(second));
        }
    }
    assert_eq!(believed, Some(150));
}

#[test]
fn a_life_began_when_the_kubelet_says_once_it_does() {
    let mut roster = Roster::default();
    roster.see(100_000, &Cgroups::default());
    let there = cgroups(&[("id1", 105_000)]);
    roster.see(110_000, &there);
    roster.learn_told(&told(&[(UID, "web")], &[("id1", UID, "httpd")], &[]));
    roster.settle(&there, None);
    assert_eq!(roster.start_ms("id1"), Some(105_000));
    roster.settle(&there, Some(&summary(110_200, &[("httpd", 104_000)])));
    assert_eq!(roster.start_ms("id1"), Some(104_000));
}

#[test]
fn a_container_that_the_kubelet_lists_and_no_aggregator_knows_is_asked_for_elsewhere() {
    let mut roster = Roster::default();
    let there = cgroups(&[("id1", 0), ("debug", 0), ("pause", 0)]);
    roster.see(1_000, &there);
    let known = told(&[], &[("id1", UID, "httpd")], &["debug", "pause"]);
    roster.learn_told(&known);
    roster.see(100_000, &there);
    assert!(!roster.has_unnamed_container(100_000));
    let listed = summary(100_000, &[("httpd", 0), ("debugger", 0)]);
    roster.recognise(100_000, &there, &listed);
    assert!(roster.has_unnamed_container(100_000));
}

/// A pod with one container that an aggregator named; the time of its directory, and what the kubelet says of
/// its start.
fn started(
    roster: &mut Roster,
    tick: u64,
    made_ms: u64,
    start_ms: Option<u64>,
) -> [Option<u64>; 2] {
    let there = cgroups(&[("id1", made_ms)]);
    roster.see(tick, &there);
    roster.learn_told(&told(&[(UID, "web")], &[("id1", UID, "httpd")], &[]));
    let listed = start_ms.map(|start_ms| summary(tick + 200, &[("httpd", start_ms)]));
    if let Some(listed) = &listed {
        roster.learn_pods(tick, &listed.values);
    }
    roster.settle(&there, listed.as_ref());
    assert!(roster.is_named("id1"));
    [
        roster.start_ms("id1"),
        roster.pod_start_ms(UID, there.pods[0].own.start_ms),
    ]
}

/// What a container's cgroup says at a tick, of which it used as much as that.
fn by_cgroup(tick: u64, start_ms: Option<u64>) -> Point {
    Point {
        value: tick,
        stamp: Stamp {
            time_ms: tick,
            start_ms,
            source: Source::Cgroup,
        },
    }
}

/// Scenario: the kubelet says when a container began; the agent starts anew while the kubelet is down, and an
/// aggregator names it; the kernel has forgotten its directory and looks it up now. Then the kubelet is back,
/// and says a start that its rounding moved by a second.
/// Guarantees: no start is told that is another one, so its counters go on. A container that comes in its
/// place is another life, although it used more.
#[test]
fn a_life_goes_on_when_the_agent_starts_anew_while_the_kubelet_is_down() {
    let mut tracker = Tracker::new(table::field(table::CPU).unwrap());
    let mut observe = |tick, start_ms| tracker.observe(by_cgroup(tick, start_ms));
    let mut roster = Roster::default();
    let [container, pod] = started(&mut roster, 200_000, 50_020, Some(50_000));
    assert_eq!((container, pod), (Some(50_000), Some(500)));
    observe(200_000, container);

    let mut roster = Roster::default();
    let begun = started(&mut roster, 210_000, 209_900, None);
    assert_eq!(begun, [None, None]);
    assert_eq!(observe(210_000, begun[0]), Observed::Advanced);

    let [container, pod] = started(&mut roster, 220_000, 209_900, Some(51_000));
    assert_eq!((container, pod), (Some(51_000), Some(500)));
    assert_eq!(observe(220_000, container), Observed::Advanced);

    let there = cgroups(&[("id2", 225_000)]);
    roster.see(230_000, &there);
    roster.learn_told(&told(&[], &[("id2", UID, "httpd")], &[]));
    roster.settle(&there, None);
    assert_eq!(roster.start_ms("id2"), Some(225_000));
    assert_eq!(observe(230_000, roster.start_ms("id2")), Observed::Reset);

    // Nor does it take a life before that told its start.
    let mut fresh = Tracker::new(table::field(table::CPU).unwrap());
    let mut observe = |tick, start_ms| fresh.observe(by_cgroup(tick, start_ms));
    assert_eq!(observe(210_000, None), Observed::First);
    assert_eq!(observe(230_000, Some(225_000)), Observed::Reset);
}

#[test]
fn a_pod_that_has_just_come_is_a_stranger_until_it_and_its_containers_are_known() {
    let before = |roster: &mut Roster| {
        roster.see(1_000, &Cgroups::default());
        roster.see(11_000, &cgroups(&[("id1", 10_500), ("pause", 10_400)]));
    };
    let mut roster = Roster::default();
    before(&mut roster);
    assert!(roster.has_stranger(11_000));
    // The next row is not held up for it.
    assert!(!roster.has_stranger(21_000));
    roster.learn_pods(11_000, &summary(12_500, &[("httpd", 10_500)]).values);
    assert!(!roster.has_stranger(11_000));
    // An API server knows the pod before it knows the container's id.
    let mut roster = Roster::default();
    before(&mut roster);
    roster.learn_told(&told(&[(UID, "web")], &[], &["id1", "pause"]));
    assert!(roster.pod(UID).is_some() && roster.has_stranger(11_000));
    roster.learn_told(&told(&[], &[("id1", UID, "httpd")], &["pause"]));
    assert!(!roster.has_stranger(11_000));
    // Who was there when the agent first looked is no newcomer.
    let mut roster = Roster::default();
    roster.see(11_000, &cgroups(&[("id1", 10_500)]));
    assert!(!roster.has_stranger(11_000));
}
