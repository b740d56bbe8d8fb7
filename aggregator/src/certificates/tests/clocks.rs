//! A replica whose clock is far from that of the API server.

use serde_json::json;

use super::super::make::DAY_S;
use super::bed::{Bed, CONFIG_MAP, LEASE, SECRET};

const YEAR_S: i64 = 366 * 86_400;

/// Scenario: the clocks of all are a year ahead of the API server's for one look, in which by them the CA and all that
/// it has signed have ended.
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
    // No replica's clock is the API server's: none writes.
    assert_eq!(bed.holder(), "");
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
    bed.set_clocks(10 - YEAR_S).await;
    bed.api.set_ahead_s(0);
    bed.look_all().await;
    assert_eq!(bed.holder(), "replica-0");
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
    let writes = |bed: &Bed| (bed.api.written(LEASE), bed.api.written(SECRET));
    bed.api.says_date(false);
    bed.api.set_ahead_s(-YEAR_S);
    bed.look_without_bundle(0).await;
    // Taken, which tells the time, and given back.
    assert_eq!((writes(&bed), bed.holder().as_str()), ((2, 0), ""));
    let (_, text) = bed.replicas[0].readiness.render(false);
    assert!(text.contains("more than an hour apart"), "{text}");
    bed.api.set_ahead_s(0);
    bed.pass(10).await;
    // Nothing was heard of the time since.
    bed.look_without_bundle(0).await;
    assert_eq!((writes(&bed), bed.holder().as_str()), ((2, 0), ""));
    let (_, text) = bed.replicas[0].readiness.render(false);
    assert!(text.contains("more than an hour apart"), "{text}");
    bed.pass(50).await;
    bed.look(0).await;
    assert_eq!(writes(&bed), (3, 1));
    assert_eq!(
        (bed.holder().as_str(), bed.replicas[0].notes()),
        ("replica-0", String::new())
    );
    // The Lease is fresh and is not written.
    bed.pass(10).await;
    bed.look(0).await;
    assert_eq!(writes(&bed), (3, 1));
    let notes = bed.replicas[0].notes();
    assert!(notes.contains("the header Date"), "{notes}");
    bed.pass(10).await;
    bed.look(0).await;
    assert_eq!(writes(&bed), (4, 1));
    assert_eq!(bed.replicas[0].notes(), "");
}

/// Scenario: of two replicas the clock of the one that holds the Lease is set a year ahead, or three hours back, and
/// stays so until the certificate is due; then it is set right, and the other replica goes.
/// Guarantees: the next look gives the Lease back, which is told; the other one takes it, and renews in time; what it
/// has made is served by both; and the one whose clock is right again takes its turn.
#[tokio::test]
async fn a_replica_whose_clock_is_off_leaves_the_lease_to_one_whose_clock_is_right() {
    for by_s in [YEAR_S, -10_800] {
        let mut bed = Bed::new(2);
        bed.look_all().await;
        let first = bed.replicas[1].identity.served();
        assert_eq!(
            (bed.holder().as_str(), bed.replicas[0].metrics.holds()),
            ("replica-0", (1, 0))
        );
        bed.set_clock(0, by_s).await;
        bed.pass(10).await;
        bed.look(0).await;
        assert_eq!(
            (bed.holder().as_str(), bed.replicas[0].metrics.holds()),
            ("", (0, 1))
        );
        let notes = bed.replicas[0].notes();
        assert!(
            notes.contains("certificate clock: ") && notes.contains("gives the Lease back"),
            "{notes}"
        );
        assert_eq!(bed.replicas[0].identity.served(), first);
        bed.look(1).await;
        assert_eq!(
            (bed.holder().as_str(), bed.replicas[1].metrics.holds()),
            ("replica-1", (1, 0))
        );

        bed.pass(21 * DAY_S).await;
        for _ in 0..3 {
            bed.look_all().await;
            bed.pass(10).await;
        }
        assert_eq!(
            (bed.holder().as_str(), bed.replicas[1].notes()),
            ("replica-1", String::new())
        );
        assert_eq!(
            (bed.api.written(SECRET), bed.api.written(CONFIG_MAP)),
            (2, 1)
        );
        let renewed = bed.replicas[1].identity.served();
        assert_ne!(renewed, first);
        assert_eq!(bed.replicas[0].identity.served(), renewed, "{by_s}");
        assert_eq!(bed.replicas[0].metrics.holds(), (0, 1));

        bed.set_clock(0, -by_s).await;
        bed.look(0).await;
        assert_eq!(
            (bed.holder().as_str(), bed.replicas[0].notes()),
            ("replica-1", String::new())
        );
        for _ in 0..7 {
            bed.pass(10).await;
            bed.look(0).await;
        }
        assert_eq!(
            (bed.holder().as_str(), bed.replicas[0].metrics.holds()),
            ("replica-0", (1, 1))
        );
    }
}

/// Scenario: the replica whose clock is off finds the Lease written by nobody else and its own write refused.
/// Guarantees: it does not renew the Lease, tries to give it back at each look, and says once why it cannot.
#[tokio::test]
async fn a_lease_that_cannot_be_given_back_is_not_renewed() {
    let mut bed = Bed::new(2);
    bed.look_all().await;
    bed.set_clock(0, YEAR_S).await;
    bed.api.refuse(LEASE, 500);
    for _ in 0..3 {
        bed.pass(10).await;
        bed.look_all().await;
        let notes = bed.replicas[0].notes();
        assert!(
            notes.contains("certificate lease: Lease cairn/cairn-aggregator-tls was not written"),
            "{notes}"
        );
    }
    assert_eq!(
        (bed.holder().as_str(), bed.api.written(LEASE)),
        ("replica-0", 1)
    );
    // Of the clock, and of the Lease.
    assert_eq!(bed.replicas[0].said(), 2);
    bed.api.refuse(LEASE, 0);
    bed.look(0).await;
    assert_eq!((bed.holder().as_str(), bed.api.written(LEASE)), ("", 2));
    assert!(!bed.replicas[0].notes().contains("certificate lease"));
}

/// A clock that is set by less than what the guard allows makes nobody's Lease older.
#[tokio::test]
async fn a_fresh_lease_is_not_taken_by_a_replica_whose_clock_was_set() {
    let mut bed = Bed::new(2);
    bed.look_all().await;
    for _ in 0..5 {
        bed.set_clock(1, 600).await;
        bed.look(1).await;
        assert_eq!(bed.holder(), "replica-0");
        bed.pass(10).await;
        bed.look_all().await;
    }
    assert_eq!(bed.replicas[1].notes(), "");
}
