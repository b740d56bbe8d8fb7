//! Questions, whose turn it is, and what gets through.

use super::*;

fn question(pods: &[&str], containers: &[&str]) -> Question {
    let all = |ids: &[&str]| ids.iter().map(|id| (*id).into()).collect();
    Question {
        pods: all(pods),
        containers: all(containers),
    }
}

fn pod(uid: &str, name: &str) -> names::Pod {
    names::Pod {
        uid: uid.to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

fn container(id: &str, name: &str) -> names::Container {
    names::Container {
        runtime_id: id.to_owned(),
        pod_uid: "uid1".to_owned(),
        container: name.to_owned(),
    }
}

fn told(names: &Names, kind: &'static str) -> u64 {
    let metrics = &names.inner.metrics;
    metrics.told.get_or_create(&ByKind { kind }).get()
}

#[test]
fn only_what_was_asked_for_gets_through() {
    let names = Names::new(Metrics::default());
    assert!(!names.ask(question(&["uid1"], &[])) && names.newest_session().is_none());
    let mut seat = names.enrol();
    assert!(!seat.answer(v1::Names::default()));
    assert!(names.ask(question(&["uid1", "uid2"], &["id1", "id2"])));
    let resolve = seat.question().unwrap();
    assert_eq!(
        (resolve.pod_uids, resolve.runtime_ids),
        (
            vec!["uid1".into(), "uid2".into()],
            vec!["id1".into(), "id2".into()]
        )
    );
    assert_eq!(seat.question(), None);
    assert!(seat.answer(v1::Names {
        pods: vec![
            pod("uid3", "other"),
            pod("uid1", "web"),
            pod("uid1", "again"),
            pod("uid2", "NOT A NAME"),
        ],
        containers: vec![container("id3", "other"), container("id2", "httpd")],
    }));
    let came = names.take().unwrap();
    assert_eq!(came.pods, [pod("uid1", "web")]);
    assert_eq!(came.containers, [container("id2", "httpd")]);
    assert_eq!(came.question, question(&["uid1", "uid2"], &["id1", "id2"]));
    let counts = ["taken", "not_asked", "malformed"].map(|kind| told(&names, kind));
    assert_eq!((counts, names.inner.metrics.asked.get()), ([2, 3, 1], 4));
    // It was answered once.
    assert!(!seat.answer(v1::Names::default()) && names.take().is_none());
}

#[test]
fn a_flood_of_names_is_looked_at_as_far_as_was_asked() {
    let names = Names::new(Metrics::default());
    let mut seat = names.enrol();
    assert!(names.ask(question(&["uid1"], &[])));
    seat.question().unwrap();
    let mut pods = vec![pod("x", "x"); MAX_RESOLVE_IDS];
    pods.push(pod("uid1", "web"));
    assert!(seat.answer(v1::Names {
        pods,
        ..v1::Names::default()
    }));
    assert!(names.take().unwrap().pods.is_empty());
    assert_eq!(told(&names, "not_asked"), MAX_RESOLVE_IDS as u64 + 1);
}

#[test]
fn who_does_not_know_gives_the_turn_to_the_next() {
    let names = Names::new(Metrics::default());
    let mut seats = [names.enrol(), names.enrol()];
    let mut asked = Vec::new();
    for _ in 0..4 {
        assert!(names.ask(question(&["uid1"], &[])));
        // There is one question at a time.
        assert!(!names.ask(question(&["uid2"], &[])));
        let at = seats.iter_mut().position(|seat| seat.question().is_some());
        let at = at.unwrap();
        asked.push(at);
        let known = (at == 1).then(|| pod("uid1", "web"));
        assert!(seats[at].answer(v1::Names {
            pods: known.into_iter().collect(),
            ..v1::Names::default()
        }));
        assert!(names.newest_session().is_none(), "not taken yet");
        assert!(names.take().is_some());
    }
    assert_eq!(asked, [0, 1, 1, 1]);
}

#[test]
fn who_leaves_takes_the_question_along() {
    let names = Names::new(Metrics::default());
    let (first, mut second) = (names.enrol(), names.enrol());
    assert!(names.ask(question(&["uid1"], &[])));
    assert!(second.question().is_none() && names.newest_session().is_none());
    drop(first);
    assert_eq!(names.newest_session(), Some(2));
    assert!(names.ask(question(&["uid1"], &[])));
    assert!(second.question().is_some());
    drop(second);
    assert!(names.newest_session().is_none() && !names.ask(question(&["uid1"], &[])));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_not_asked_again_until_it_has() {
    let names = Names::new(Metrics::default());
    let (mut silent, mut other) = (names.enrol(), names.enrol());
    let asked = async |names: &Names| {
        assert!(names.ask(question(&["uid1"], &[])));
        let until = Instant::now() + Duration::from_millis(250);
        names.answered(until).await
    };
    assert!(!asked(&names).await);
    tokio::time::timeout(Duration::from_secs(1), silent.asked())
        .await
        .unwrap();
    assert!(silent.question().is_some() && names.newest_session().is_none());
    tokio::time::advance(ANSWER_DEADLINE).await;
    assert_eq!(names.newest_session(), Some(2));
    assert!(!asked(&names).await);
    assert!(silent.question().is_none() && other.question().is_some());
    // Its answer comes too late, and tells nothing of the question that is under way.
    assert!(silent.answer(v1::Names {
        pods: vec![pod("uid1", "late")],
        ..v1::Names::default()
    }));
    assert!(names.take().is_none());
    assert!(other.answer(v1::Names {
        pods: vec![pod("uid1", "web")],
        ..v1::Names::default()
    }));
    assert!(names.answered(Instant::now()).await);
    assert_eq!(names.take().unwrap().pods, [pod("uid1", "web")]);
    assert_eq!(told(&names, "late"), 1);
}
