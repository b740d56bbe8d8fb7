//! A Secret that is lost, broken or another's, and an API server that is away.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_runtime::tls::Chain;
use serde_json::json;

use super::super::make::DAY_S;
use super::bed::{Bed, CONFIG_MAP, SECRET};

#[tokio::test]
async fn a_lost_secret_makes_a_new_ca_that_reaches_everybody() {
    for broken in [None, Some("garbage")] {
        let mut bed = Bed::new(2);
        bed.look_all().await;
        let before = bed.bundle();
        bed.api.change(SECRET, |secret| match broken {
            None => secret["data"] = json!(null),
            Some(text) => secret["data"]["ca.key"] = json!(STANDARD.encode(text)),
        });
        bed.pass(10).await;
        bed.look_all().await;
        assert_ne!(bed.bundle(), before, "{broken:?}");
        let trusted = Chain::parse("bundle", bed.bundle().as_bytes()).unwrap();
        assert_eq!(trusted.count(), 1);
        for replica in 0..2 {
            bed.judge(replica, &trusted).unwrap();
            assert_eq!(bed.replicas[replica].notes(), "");
        }
    }
}

#[tokio::test]
async fn a_key_of_another_pair_is_not_served_and_the_leaf_is_made_anew() {
    let mut bed = Bed::new(2);
    bed.look_all().await;
    let (served, bundle) = (bed.replicas[1].identity.served(), bed.bundle());
    bed.api.change(SECRET, |secret| {
        secret["data"]["tls.key"] = secret["data"]["ca.key"].clone();
    });
    bed.pass(10).await;
    // The one that does not write goes on with what it has.
    bed.look(1).await;
    assert_eq!(bed.replicas[1].identity.served(), served);
    let notes = bed.replicas[1].notes();
    assert!(
        notes.contains("is not the key of the certificate"),
        "{notes}"
    );
    bed.look_all().await;
    assert_eq!(bed.bundle(), bundle);
    let trusted = Chain::parse("bundle", bundle.as_bytes()).unwrap();
    for replica in 0..2 {
        assert_ne!(bed.replicas[replica].identity.served(), served);
        bed.judge(replica, &trusted).unwrap();
    }
    assert_eq!(bed.replicas[1].notes(), "");
}

#[tokio::test]
async fn what_somebody_else_has_put_there_is_left_alone_and_told() {
    let mut bed = Bed::new(1);
    let theirs = json!({"tls.crt": "YQ==", "tls.key": "Yg=="});
    bed.api
        .change(SECRET, |secret| secret["data"] = theirs.clone());
    for _ in 0..3 {
        bed.look(0).await;
        bed.pass(10).await;
    }
    assert_eq!(bed.api.object(SECRET)["data"], theirs);
    assert_eq!(
        (bed.api.written(SECRET), bed.api.written(CONFIG_MAP)),
        (0, 0)
    );
    let (ready, text) = bed.replicas[0].readiness.render(false);
    assert!(!ready);
    for part in [
        "cairn/cairn-aggregator-tls",
        "tls.crt, tls.key",
        "--tls-cert",
        "\"op\":\"remove\"",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    // Emptied, as the message says.
    bed.api.change(SECRET, |secret| {
        drop(secret.as_object_mut().unwrap().remove("data"));
    });
    bed.look(0).await;
    assert!(bed.replicas[0].readiness.is_ready());
}

#[tokio::test]
async fn without_the_api_server_what_is_there_is_served_on() {
    let mut bed = Bed::new(1);
    bed.api.go_away(true);
    bed.look(0).await;
    let (ready, text) = bed.replicas[0].readiness.render(false);
    assert!(
        !ready && text.contains("Secret cairn/cairn-aggregator-tls was not read"),
        "{text}"
    );
    bed.api.go_away(false);
    bed.look(0).await;
    let served = bed.replicas[0].identity.served();
    bed.api.go_away(true);
    bed.pass(19 * DAY_S).await;
    bed.look(0).await;
    assert!(bed.replicas[0].readiness.is_ready());
    assert_eq!(bed.replicas[0].identity.served(), served);
    assert!(bed.replicas[0].notes().contains("connection refused"));
    bed.pass(2 * DAY_S).await;
    bed.api.go_away(false);
    bed.look(0).await;
    assert_ne!(bed.replicas[0].identity.served(), served);
    assert_eq!(bed.replicas[0].notes(), "");
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_named_with_what_to_do() {
    let mut bed = Bed::new(1);
    bed.api.remove(SECRET);
    bed.look(0).await;
    let (_, text) = bed.replicas[0].readiness.render(false);
    assert!(
        text.contains("404") && text.contains("apply them again"),
        "{text}"
    );
}

/// A clock that was set back to before the CA's first day makes nothing new, and none of it is lost.
#[tokio::test]
async fn a_clock_that_was_set_back_destroys_nothing() {
    let mut bed = Bed::new(1);
    bed.look(0).await;
    let bundle = bed.bundle();
    bed.set_clocks(-400 * 86_400).await;
    for _ in 0..5 {
        bed.look_without_bundle(0).await;
    }
    assert_eq!(bed.api.written(SECRET), 1);
    assert_eq!(bed.bundle(), bundle);
    assert!(bed.replicas[0].readiness.is_ready());
    let notes = bed.replicas[0].notes();
    assert!(
        notes.contains("its CA begins at 2027-01-15T06:00:00Z"),
        "{notes}"
    );
}
