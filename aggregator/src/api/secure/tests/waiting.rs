//! Who waits for whom, and until when.

use super::super::super::tests::ask_of;
use super::super::super::{MAX_READERS, TURNS};
use super::*;
use crate::api::Start;

#[tokio::test(start_paused = true)]
async fn heavy_questions_elsewhere_delay_nobody_here_and_the_other_way_round() {
    let listener = something();
    let (plain, own) = (&listener.plain, &listener.secure.metrics.api);
    // What others ask has taken every turn, every place and all the room that there is.
    let everything = |api: &Api| {
        let turns = u32::try_from(TURNS).unwrap();
        let turns = Arc::clone(&api.turns).try_acquire_many_owned(turns);
        let seats: Vec<_> = (0..MAX_READERS).map(|_| api.seat().unwrap()).collect();
        (
            turns.unwrap(),
            seats,
            api.room.share(api.room.all(), &None).unwrap(),
        )
    };
    let held = everything(plain);
    let protobuf = ("accept", "application/vnd.kubernetes.protobuf");
    for (path, headers) in [
        ("pods", &[][..]),
        ("namespaces/shop/pods", &[protobuf]),
        ("nodes/node1", &[]),
    ] {
        let told = listener.get(&format!("{ROOT}/{path}"), headers).await;
        assert_eq!(told.status, 200, "{path}");
    }
    let model = "/api/v1/model/nodes";
    let (status, _) = ask_of(plain.clone(), Method::GET, model, &[]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    drop(held);
    let held = everything(own);
    let (status, _) = ask_of(plain.clone(), Method::GET, model, &[]).await;
    assert_eq!(status, StatusCode::OK);
    let told = listener.get(&format!("{ROOT}/nodes/node1"), &[]).await;
    assert_eq!(told.status, 503);
    drop(held);
}

/// Scenario: what others read of long lists has all the room that there is.
/// Guarantees: a long list is put off; a short one, of which an autoscaler asks for many, is answered.
#[tokio::test(start_paused = true)]
async fn a_long_list_has_its_share_of_the_room_and_a_short_one_needs_none() {
    let mut things = vec![(def(1, EntityKind::Node, 0, "node1"), USUAL)];
    for n in 0..1_200 {
        things.push((pod(2 * n + 2, "shop", &format!("web{n}")), USUAL));
        things.push((
            def(2 * n + 3, EntityKind::Container, 2 * n + 2, "app"),
            USUAL,
        ));
    }
    let listener = Listener::of(window(&things));
    let room = &listener.secure.metrics.api.room;
    let long = format!("{ROOT}/pods");
    let response = listener.open(&long, &[]).await;
    assert_eq!(response.status(), 200);
    // Not read yet.
    assert_eq!(room.all() - room.left(), 1_200 * 128);
    response.into_body().collect().await.unwrap();
    assert_eq!(room.left(), room.all());
    let held = room.share(room.all(), &None).unwrap();
    let told = listener.get(&long, &[]).await;
    assert_eq!(told.status, 503, "{}", told.text());
    assert_eq!(told.headers["retry-after"], "1");
    let told = listener.get(&format!("{ROOT}/nodes"), &[]).await;
    assert_eq!(told.status, 200, "{}", told.text());
    drop(held);
    assert_eq!(listener.get(&long, &[]).await.status, 200);
}

#[tokio::test]
async fn until_most_nodes_were_measured_data_waits_and_discovery_does_not() {
    let mut listener = something();
    listener.secure.metrics.api.terms.start = Start::new(&listener.plain.clock, None);
    for path in ["nodes", "nodes/node1", "pods", "namespaces/shop/pods/web"] {
        let told = listener.get(&format!("{ROOT}/{path}"), &[]).await;
        assert_eq!(
            (told.status, told.json()["reason"].as_str()),
            (503, Some("ServiceUnavailable")),
            "{path}"
        );
        assert!(told.headers.contains_key("retry-after"), "{path}");
    }
    assert_eq!(listener.get(ROOT, &[]).await.status, 200);
    let later = listener.plain.clock.unix_ms() + 45_000;
    let deadline = std::time::Duration::from_secs(10);
    listener.plain.clock.step(later, deadline).await.unwrap();
    let told = listener.get(&format!("{ROOT}/nodes"), &[]).await;
    assert_eq!(told.status, 200);
}
