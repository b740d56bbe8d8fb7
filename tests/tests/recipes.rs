//! The recipes of `deploy/README.md`, carried out: every command is taken from the document and run by a shell with
//! a stock kubectl, against an API server that stores what is applied, holds everybody to the roles that are
//! applied, and hands metrics.k8s.io on to whom its `APIService` names. Aggregators and agent are processes.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

#[path = "recipes/asking.rs"]
mod asking;
#[path = "recipes/cluster.rs"]
mod cluster;
#[path = "recipes/controllers.rs"]
mod controllers;
#[path = "recipes/document.rs"]
mod document;

use std::time::Duration;

use asking::Asking;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster::{Bed, of_metrics_server};
use document::{Document, apart};
use serde_json::Value;

/// How long anything may take to come about.
const SOON: Duration = Duration::from_secs(60);

const METRICS_SERVER: &str = "kube-system/metrics-server";
const CAIRN: &str = "cairn/cairn-aggregator";

/// The object without what is only true of the moment, as the recipe saves it.
const SHOW: &str = "kubectl get apiservice v1beta1.metrics.k8s.io -o yaml | \
                    sed '/^  resourceVersion:/d; /^  uid:/d; /^status:/,$d'";

/// Installs base as the document says, beside whoever serves metrics.k8s.io.
fn install(bed: &Bed, document: &Document) {
    let [build, look] = document.blocks("Install");
    // Names of registries have no capitals.
    bed.run(&build.replace("REGISTRY", "registry.example"));
    // Of the page a person looks at, who has a browser.
    let (page, rollout) = apart(&look, " port-forward ");
    assert_eq!(page.lines().count(), 1, "{look}");
    bed.run(&rollout);
}

/// What is asked for after one step of a recipe, and who answered it.
#[track_caller]
fn answered_only_by_metrics_server(asking: &Asking, step: &str) {
    let seen = asking.more();
    assert!(
        seen.cairn == 0 && seen.failures.is_empty() && seen.before > 0,
        "{step}: {seen:?}"
    );
}

/// Scenario: a cluster with metrics-server. Cairn is installed beside it, takes metrics.k8s.io over, gives it back,
/// and is removed, by the commands of the document alone; somebody asks for metrics.k8s.io all the while.
/// Guarantees: until the `APIService` is applied nobody notices anything; when the step that takes over is done all
/// answers are Cairn's; going back has no moment without an answer and restores the object byte for byte, but for
/// kubectl's own note; removing leaves what is another's, and nothing of Cairn's.
#[test]
fn cairn_takes_metrics_over_gives_it_back_and_goes() {
    let document = Document::read();
    let bed = Bed::start(true);
    bed.available();
    let asking = Asking::start(bed.target(), of_metrics_server());
    let before = bed.run(SHOW);
    assert!(before.contains("metrics-server"), "{before}");

    install(&bed, &document);
    assert_eq!(bed.owner().as_deref(), Some(METRICS_SERVER));
    answered_only_by_metrics_server(&asking, "install");

    let [ready, save, prepare, take, by_hand] = document.blocks("Take over");
    let told = bed.run(&ready);
    assert_eq!(told, "1 1\n1\n", "{}", bed.controllers.said());
    bed.run(&save);
    assert_eq!(bed.file("metrics-apiservice.yaml"), before);
    // Whose it is not writes nothing.
    let refused = bed.fails(&by_hand);
    assert!(
        refused.contains("the server rejected our request"),
        "{refused}"
    );
    bed.run(&prepare);
    assert_eq!(bed.run(SHOW), before);
    answered_only_by_metrics_server(&asking, "everything but the APIService");

    let top = bed.run(&take);
    assert!(top.lines().any(|line| line.starts_with("node1 ")), "{top}");
    drop(asking.take());
    let seen = asking.more();
    assert!(seen.before == 0 && seen.failures.is_empty(), "{seen:?}");
    assert_eq!(bed.owner().as_deref(), Some(CAIRN));
    let bundle = bed.api_service().unwrap()["spec"]["caBundle"].clone();
    let control = bed.server().control();
    let published = control.get("configmaps", "cairn", "cairn-ca").unwrap();
    let published = STANDARD.encode(published["data"]["ca.crt"].as_str().unwrap());
    assert_eq!(bundle, published);
    // Of the roles that were applied everybody had enough so far.
    assert_eq!(control.refused_acts(), Vec::<String>::new());
    bed.run(&by_hand);
    assert_eq!(bed.api_service().unwrap()["spec"]["caBundle"], bundle);

    // As the document says of the way that looks shorter.
    let refused = bed.fails("kubectl apply -f metrics-apiservice.yaml");
    assert!(
        refused.contains("may not be true if caBundle is present"),
        "{refused}"
    );
    assert_eq!(bed.owner().as_deref(), Some(CAIRN));
    drop(asking.take());
    let [back] = document.blocks("Go back");
    bed.run(&back);
    let restored = bed.run(SHOW);
    let (is, note) = without_note(&restored);
    assert_eq!(is, without_note(&before).0);
    // What the next `kubectl apply` of metrics-server's manifest compares with.
    assert_eq!(note, Some(bed.api_service().unwrap()["spec"].clone()));
    let during = asking.take();
    assert!(
        during.failures.is_empty() && during.before > 0,
        "{during:?}"
    );
    answered_only_by_metrics_server(&asking, "back");
    assert_eq!(
        of_cairn(&bed, "clusterroles"),
        ["cairn-agent", "cairn-aggregator"]
    );

    remove(&bed, &document);
    assert_eq!(bed.run(SHOW), restored);
    answered_only_by_metrics_server(&asking, "removed");
    assert_eq!(bed.controllers.faults_at_the_end(), "");
    let [] = document.blocks("Managed clusters");
}

/// Scenario: a cluster in which nobody served metrics.k8s.io; the overlay is applied as a whole, then Cairn is removed.
/// Guarantees: the `APIService` goes with it.
#[test]
fn what_is_removed_takes_its_api_service_along() {
    let document = Document::read();
    let bed = Bed::start(false);
    let [_, _, _, take, _] = document.blocks("Take over");
    bed.run(&take);
    assert_eq!(bed.owner().as_deref(), Some(CAIRN));
    remove(&bed, &document);
    assert_eq!(bed.api_service(), None);
    let told = bed.fails("kubectl top nodes");
    assert_eq!(told.trim(), "error: Metrics API not available");
    assert_eq!(bed.controllers.faults_at_the_end(), "");
}

/// Removes Cairn as the document says; nothing of it is left.
#[track_caller]
fn remove(bed: &Bed, document: &Document) {
    let [remove] = document.blocks("Remove");
    let (openshift, all) = apart(&remove, "# on OpenShift only");
    bed.run(&all);
    let none = bed.fails(&openshift);
    assert!(
        none.contains("the server doesn't have a resource type \"securitycontextconstraints\""),
        "{none}"
    );
    let kinds = [
        "namespaces",
        "secrets",
        "configmaps",
        "services",
        "serviceaccounts",
        "resourcequotas",
        "deployments",
        "daemonsets",
        "leases",
        "networkpolicies",
        "poddisruptionbudgets",
        "clusterroles",
        "clusterrolebindings",
        "roles",
        "rolebindings",
    ];
    for kind in kinds {
        assert_eq!(of_cairn(bed, kind), Vec::<String>::new(), "{kind}");
    }
}

/// The object as it is shown, without kubectl's note of what was applied, which `kubectl replace` writes anew; and
/// the spec of that note.
fn without_note(shown: &str) -> (String, Option<Value>) {
    const NOTE: &str = "kubectl.kubernetes.io/last-applied-configuration: |";
    let mut spec = None;
    let mut kept = String::new();
    let mut lines = shown.lines();
    while let Some(line) = lines.next() {
        if line.trim() == NOTE {
            let note: Value = serde_json::from_str(lines.next().unwrap().trim()).unwrap();
            spec = Some(note["spec"].clone());
        } else {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    (kept, spec)
}

/// Names of the objects of Cairn's manifests.
fn of_cairn(bed: &Bed, resource: &str) -> Vec<String> {
    let objects = bed.server().control().list(resource);
    let is_cairns = |object: &&Value| {
        let meta = &object["metadata"];
        meta["labels"]["app.kubernetes.io/part-of"] == "cairn" || meta["namespace"] == "cairn"
    };
    let found = objects.iter().filter(is_cairns);
    found
        .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}
