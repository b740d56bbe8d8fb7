//! Aggregators that do not begin with `Welcome`.

use super::*;

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
