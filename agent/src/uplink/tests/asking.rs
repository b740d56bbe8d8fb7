//! Names that are asked for over a session.

use super::fake::welcome;
use super::*;

fn question() -> Question {
    Question {
        pods: vec!["uid1".into()],
        containers: vec!["id1".into()],
    }
}

fn pod(uid: &str) -> v1::names::Pod {
    v1::names::Pod {
        uid: uid.to_owned(),
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
    }
}

/// Waits until somebody can be asked.
async fn free(names: &Names) {
    let waiting = async {
        while names.newest_session().is_none() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.expect("a session that can be asked");
}

#[tokio::test]
async fn an_aggregator_is_asked_for_names_and_tells_no_others() {
    let setup = setup();
    let names = setup.names.clone();
    session(&setup, async |mut fake| {
        fake.welcome().await;
        free(&names).await;
        assert!(names.ask(question()));
        let asked = fake.next_but_defines().await;
        let Kind::Resolve(asked) = asked else {
            panic!("expected a question, got {asked:?}")
        };
        assert_eq!(
            (asked.pod_uids, asked.runtime_ids),
            (vec!["uid1".into()], vec!["id1".into()])
        );
        let pods = vec![pod("uid2"), pod("uid1")];
        let told = v1::Names {
            pods,
            ..v1::Names::default()
        };
        fake.answer(Some(Answer::Names(told.clone()))).await;
        assert!(
            names
                .answered(Instant::now() + Duration::from_secs(60))
                .await
        );
        assert_eq!(names.take().unwrap().pods, [pod("uid1")]);
        // Nobody asked for these.
        fake.answer(Some(Answer::Names(told))).await;
        fake.refuse(Status::invalid_argument("enough")).await;
    })
    .await;
    assert!(setup.names.take().is_none() && setup.names.newest_session().is_none());
    let ignored = &setup.metrics.frames_ignored;
    let ignored = ignored.get_or_create(&ByKind { kind: "names" });
    assert_eq!(ignored.get(), 1);
}

#[tokio::test]
async fn an_aggregator_that_watches_no_pods_is_not_asked() {
    let (setup, def) = (setup(), def());
    sample(&setup.ring, 1, &def);
    let names = setup.names.clone();
    session(&setup, async |mut fake| {
        let words = v1::Welcome {
            resolves: false,
            ..welcome(1)
        };
        fake.welcome_of(words).await;
        next_row(&mut fake).await;
        assert!(names.newest_session().is_none() && !names.ask(question()));
        fake.refuse(Status::invalid_argument("enough")).await;
    })
    .await;
}
