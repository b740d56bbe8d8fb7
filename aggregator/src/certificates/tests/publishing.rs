//! Where the CAs go, and who takes them away.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::told::About;
use super::bed::{API_SERVICE, Bed, CONFIG_MAP, LEASE};

const NAME: &str = "v1beta1.metrics.k8s.io";

#[tokio::test]
async fn the_api_service_is_given_the_cas_only_where_it_is_asked_for() {
    let mut bed = Bed::new(1);
    bed.look(0).await;
    assert_eq!(bed.api.written(API_SERVICE), 0);
    let mut bed = Bed::with_api_service(1, Some(NAME));
    bed.look(0).await;
    bed.look(0).await;
    assert_eq!(bed.api.written(API_SERVICE), 1);
    let written = bed.api.object(API_SERVICE)["spec"]["caBundle"].clone();
    assert_eq!(written, json!(STANDARD.encode(bed.bundle())));
}

/// Guarantees: whoever resets the caBundle every 10 s is answered once a minute, and named.
#[tokio::test]
async fn whoever_takes_the_cas_away_is_answered_once_a_minute_and_named() {
    let mut bed = Bed::with_api_service(2, Some(NAME));
    bed.look_all().await;
    for _ in 0..60 {
        bed.pass(10).await;
        bed.api.change(API_SERVICE, |object| {
            object["spec"].as_object_mut().unwrap().remove("caBundle");
            object["metadata"]["managedFields"] = json!([
                {"manager": "cairn-aggregator", "time": "2027-01-15T08:00:09Z",
                 "fieldsV1": {"f:spec": {"f:caBundle": {}}}},
                {"manager": "argocd-controller", "time": "2027-01-15T08:00:05Z",
                 "fieldsV1": {"f:spec": {"f:service": {}}}},
            ]);
        });
        bed.look_all().await;
    }
    let written = bed.api.written(API_SERVICE);
    assert!(
        (10..=11).contains(&written),
        "{written} writes in ten minutes"
    );
    let notes = bed.replicas[0].notes();
    assert!(notes.contains("argocd-controller takes away"), "{notes}");
    let resets = bed.replicas[0].metrics.resets(About::ApiService);
    assert!((10..=11).contains(&resets), "{resets}");
    assert!(bed.replicas[0].readiness.is_ready());
    // The ConfigMap is nobody's trouble.
    assert_eq!(bed.api.written(CONFIG_MAP), 1);
}

#[tokio::test]
async fn a_config_map_that_is_emptied_is_filled_again_and_the_emptier_named() {
    let mut bed = Bed::new(1);
    bed.look(0).await;
    let bundle = bed.bundle();
    bed.pass(3600).await;
    bed.api.change(CONFIG_MAP, |object| {
        object["data"] = json!({});
        object["metadata"]["managedFields"] =
            json!([{"manager": "flux", "time": "2027-01-15T08:00:05Z", "fieldsV1": {}}]);
    });
    bed.look(0).await;
    assert_eq!(bed.bundle(), bundle);
    assert!(bed.replicas[0].notes().contains("flux takes away"));
    bed.pass(10).await;
    bed.look(0).await;
    assert_eq!(bed.replicas[0].notes(), "");
}

#[tokio::test]
async fn an_api_service_of_somebody_else_is_untouched_and_told() {
    let mut bed = Bed::with_api_service(1, Some(NAME));
    let theirs: Value = serde_json::from_slice(include_bytes!(
        "../../../../tests/fixtures/apiserver-1.36/apiservice.json"
    ))
    .unwrap();
    bed.api.set(API_SERVICE, theirs);
    let before = bed.api.object(API_SERVICE);
    for _ in 0..20 {
        bed.look(0).await;
        bed.pass(10).await;
    }
    assert_eq!(bed.api.object(API_SERVICE), before);
    let notes = bed.replicas[0].notes();
    assert!(
        notes.contains("leads to kube-system/metrics-server"),
        "{notes}"
    );
    // It does not keep the CA from being renewed, and readiness from coming.
    assert!(bed.replicas[0].readiness.is_ready());
    assert_eq!(bed.api.written(CONFIG_MAP), 1);
}

#[tokio::test]
async fn who_writes_no_more_says_no_more_of_it() {
    let mut bed = Bed::with_api_service(2, Some(NAME));
    bed.api.change(API_SERVICE, |object| {
        object["spec"]["service"]["name"] = json!("other");
    });
    bed.look_all().await;
    assert!(bed.replicas[0].notes().contains("leads to cairn/other"));
    bed.api
        .change(LEASE, |lease| lease["spec"]["holderIdentity"] = json!(""));
    bed.look(1).await;
    bed.look(0).await;
    assert_eq!(bed.replicas[0].notes(), "");
    assert!(bed.replicas[1].notes().contains("leads to cairn/other"));
}
