//! Aggregators that do not begin with `Welcome`.

use cairn_proto::model::EarlierRun;

use super::*;
use crate::marker::Marker;

#[tokio::test]
async fn a_drain_in_place_of_welcome_is_a_wish_and_no_fault() {
    let end = session(&setup(), async |mut fake| {
        assert!(matches!(fake.next().await, Kind::Hello(_)));
        let drain = v1::Drain {
            reconnect_after_ms: 12_000,
            reason: "short of memory".to_owned(),
        };
        fake.answer(Some(Answer::Drain(drain))).await;
        fake.refuse(Status::resource_exhausted("short of memory"))
            .await;
    })
    .await;
    assert_eq!(end.kind, EndKind::Drained);
    assert_eq!(end.retry_after, Some(Duration::from_secs(12)));
}

#[tokio::test]
async fn hello_tells_of_the_runs_that_ended_until_then() {
    let mut marker = Marker::new(10_000, 900_000);
    let setup = Setup {
        past: marker.past(),
        ..setup()
    };
    let told = async |setup: &Setup| {
        let mut told = Vec::new();
        session(setup, async |mut fake| {
            told = fake.welcome().await.earlier_runs;
            fake.refuse(Status::unavailable("going")).await;
        })
        .await;
        told
    };
    marker.row(RUN, 20_000);
    marker.row(RUN, 30_000);
    assert_eq!(told(&setup).await, []);
    marker.step(60_000);
    let ended = EarlierRun {
        run: RUN,
        interval_ms: 10_000,
        first_tick_ms: 20_000,
        last_tick_ms: 30_000,
    };
    assert_eq!(told(&setup).await, [(&ended).into()]);
}
