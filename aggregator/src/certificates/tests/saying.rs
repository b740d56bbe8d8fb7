//! What is said in the log, and how often.

use serde_json::json;

use super::super::make::DAY_S;
use super::bed::{API_SERVICE, Bed, CONFIG_MAP, LEASE, SECRET};

/// Scenario: a certificate is due, and the Secret cannot be written for an hour, of which each look finds that what is
/// served is well and that nothing can be made anew.
/// Guarantees: six lines in an hour and not 720, the trouble stands in `/readyz?verbose` all the time, and its end
/// is said once.
#[tokio::test]
async fn a_secret_that_cannot_be_written_is_told_six_times_an_hour() {
    let mut bed = Bed::new(1);
    bed.look(0).await;
    bed.pass(21 * DAY_S).await;
    bed.api.refuse(SECRET, 403);
    let before = bed.replicas[0].said();
    for _ in 0..360 {
        bed.look(0).await;
        let notes = bed.replicas[0].notes();
        assert!(notes.contains("certificate renewal: Secret"), "{notes}");
        bed.pass(10).await;
    }
    let said = bed.replicas[0].said() - before;
    assert_eq!(said, 6);
    bed.api.refuse(SECRET, 0);
    bed.look(0).await;
    assert_eq!(bed.replicas[0].notes(), "");
    assert_eq!(bed.replicas[0].said() - before, 7);
    assert_eq!(bed.api.written(SECRET), 2);
}

/// Texts with times in them are other texts at each look, and the same trouble.
#[tokio::test]
async fn a_leaf_that_has_ended_is_told_once_in_ten_minutes_whatever_the_time() {
    let mut bed = Bed::new(2);
    bed.look_all().await;
    // The one that writes cannot, until what both serve has ended.
    bed.api.refuse(SECRET, 500);
    bed.pass(31 * DAY_S).await;
    let before = bed.replicas[1].said();
    for _ in 0..120 {
        bed.look_all().await;
        bed.pass(10).await;
    }
    let notes = bed.replicas[1].notes();
    assert!(notes.contains("does not hold and is not served"), "{notes}");
    assert_eq!(bed.replicas[1].said() - before, 2);
}

/// Who writes is not known while the Lease cannot be read: that is no news of what was told before.
#[tokio::test]
async fn who_does_not_know_who_writes_forgets_nothing() {
    let mut bed = Bed::with_api_service(1, Some("v1beta1.metrics.k8s.io"));
    bed.api.change(API_SERVICE, |object| {
        object["spec"]["service"]["namespace"] = json!("kube-system");
    });
    bed.look(0).await;
    let notes = bed.replicas[0].notes();
    assert!(notes.contains("leads to kube-system/"), "{notes}");
    let before = bed.replicas[0].said();
    let lease = bed.api.object(LEASE);
    for _ in 0..5 {
        bed.api.remove(LEASE);
        bed.pass(10).await;
        bed.look(0).await;
        let notes = bed.replicas[0].notes();
        assert!(notes.contains("leads to kube-system/"), "{notes}");
        bed.api.set(LEASE, lease.clone());
        bed.pass(10).await;
        bed.look(0).await;
    }
    // That the Lease is away, and that it is there again.
    assert_eq!(bed.replicas[0].said() - before, 2);
}

/// Guarantees: what is written down beside the certificates being damaged, the old CA goes from the bundle once it has
/// ended.
#[tokio::test]
async fn an_old_ca_is_dropped_though_what_is_written_down_is_damaged() {
    let mut bed = Bed::new(1);
    bed.look(0).await;
    let first = bed.bundle();
    for _ in 0..260 {
        bed.pass(DAY_S).await;
        bed.look(0).await;
    }
    assert_eq!(bed.bundle().matches("BEGIN").count(), 2);
    assert!(bed.bundle().contains(first.trim()));
    for _ in 0..120 {
        bed.api.change(SECRET, |secret| {
            secret["data"]["cairn.json"] = json!("Z2FyYmFnZQ==");
        });
        bed.pass(DAY_S).await;
        bed.look(0).await;
        bed.look(0).await;
    }
    assert!(!bed.bundle().contains(first.trim()), "{}", bed.bundle());
    assert!(bed.api.written(CONFIG_MAP) >= 3);
}
