//! A replica whose clock is far from that of the API server.

use serde_json::json;

use super::super::make::DAY_S;
use super::bed::{Bed, CONFIG_MAP, LEASE, SECRET};

const YEAR_S: i64 = 366 * 86_400;

/// Scenario: the clock of the one that holds the Lease is a year ahead for one look, in which by that clock the CA
/// and all that it has signed have ended.
/// Guarantees: nothing is written, what is served stays, both times and the remedy are told, and the next look
/// goes on as if nothing had been.
#[tokio::test]
async fn a_clock_that_is_a_year_ahead_for_one_look_makes_no_ca_and_drops_none() {
    let mut bed = Bed::new(2);
    bed.look_all().await;
    bed.pass(10).await;
    let (secret, bundle) = (bed.api.object(SECRET), bed.bundle());
    let served = bed.replicas[0].identity.served();
    // All clocks go on by a year, and the API server's is where it was.
    bed.pass(YEAR_S.unsigned_abs()).await;
    bed.api.set_ahead_s(-YEAR_S);
    bed.look_all().await;
    assert_eq!(bed.api.object(LEASE)["spec"]["holderIdentity"], "replica-0");
    assert_eq!(bed.api.object(SECRET), secret);
    assert_eq!(bed.bundle(), bundle);
    for replica in &bed.replicas {
        assert_eq!(replica.identity.served(), served);
        assert!(replica.readiness.is_ready());
        let notes = replica.notes();
        for part in [
            "this clock says 2028-01-16T08:00:10Z, that of the Kubernetes API 2027-01-15T08:00:10Z",
            "Set the clock of this node right",
        ] {
            assert!(notes.contains(part), "{part} is not in {notes}");
        }
        assert_eq!(replica.metrics.held_by_clock(), (YEAR_S, 1));
    }
    let back = (bed.now_s() - YEAR_S.unsigned_abs() + 10) * 1000;
    let deadline = std::time::Duration::from_secs(10);
    bed.clock.step(back, deadline).await.unwrap();
    bed.api.set_ahead_s(0);
    bed.look_all().await;
    assert_eq!(bed.api.object(SECRET), secret);
    assert_eq!(bed.replicas[0].notes(), "");
    assert_eq!(bed.replicas[0].metrics.held_by_clock(), (0, 0));
}

/// Guarantees: no step of the rotation is made by a clock that is more than an hour off, and each is made up for.
#[tokio::test]
async fn a_rotation_waits_for_a_clock_that_is_right() {
    let mut bed = Bed::new(1);
    bed.look(0).await;
    // The next CA, its day, its promotion, the end of the old one.
    for (days, cas) in [(244, 2), (2, 2), (35, 1)] {
        bed.pass(days * DAY_S).await;
        let before = bed.api.object(SECRET);
        for ahead_s in [3_700, -3_700] {
            bed.api.set_ahead_s(ahead_s);
            bed.look(0).await;
            assert_eq!(bed.api.object(SECRET), before, "{days} {ahead_s}");
        }
        // Less than an hour is no matter.
        bed.api.set_ahead_s(3_500);
        for _ in 0..4 {
            bed.look(0).await;
            bed.pass(10).await;
        }
        assert_ne!(bed.api.object(SECRET), before, "{days}");
        assert_eq!(bed.bundle().matches("BEGIN").count(), cas, "{days}");
    }
}

#[tokio::test]
async fn a_lost_secret_is_not_made_anew_by_a_clock_that_is_off() {
    let mut bed = Bed::new(1);
    bed.api.set_ahead_s(7_200);
    for _ in 0..3 {
        bed.look_without_bundle(0).await;
        bed.pass(10).await;
    }
    assert_eq!(
        (bed.api.written(SECRET), bed.api.written(CONFIG_MAP)),
        (0, 0)
    );
    let (ready, text) = bed.replicas[0].readiness.render(false);
    assert!(!ready && text.contains("more than an hour apart"), "{text}");
    bed.api.set_ahead_s(0);
    bed.look(0).await;
    assert!(bed.replicas[0].readiness.is_ready());
    // Emptied by somebody while the clock is off.
    let served = bed.replicas[0].identity.served();
    bed.api
        .change(SECRET, |secret| secret["data"] = json!(null));
    bed.api.set_ahead_s(-7_200);
    bed.pass(10).await;
    bed.look(0).await;
    assert_eq!(bed.api.written(SECRET), 1);
    assert_eq!(bed.replicas[0].identity.served(), served);
}

/// Without the header the Lease that was just written says it, and without either nothing is changed.
#[tokio::test]
async fn what_time_it_is_stands_in_the_lease_too() {
    let mut bed = Bed::new(1);
    bed.api.says_date(false);
    bed.api.set_ahead_s(-YEAR_S);
    bed.look_without_bundle(0).await;
    assert_eq!((bed.api.written(LEASE), bed.api.written(SECRET)), (1, 0));
    let (_, text) = bed.replicas[0].readiness.render(false);
    assert!(text.contains("more than an hour apart"), "{text}");
    bed.api.set_ahead_s(0);
    bed.pass(10).await;
    // The Lease is fresh and is not written.
    bed.look_without_bundle(0).await;
    assert_eq!((bed.api.written(LEASE), bed.api.written(SECRET)), (1, 0));
    let (_, text) = bed.replicas[0].readiness.render(false);
    assert!(text.contains("the header Date"), "{text}");
    bed.pass(20).await;
    bed.look(0).await;
    assert_eq!((bed.api.written(LEASE), bed.api.written(SECRET)), (2, 1));
    assert_eq!(bed.replicas[0].notes(), "");
}
