//! Questions about all namespaces, of readers who may see some of them.

use tokio::time::{Instant, sleep};

use super::*;

const MODEL: &str = "/api/v1/model/namespaces";

/// `a` and `b`, and so many more in which pods are.
pub(super) fn many(more: usize) -> Api {
    let api = cluster(true);
    let known = api.cluster.shared().unwrap();
    for n in 0..more {
        known.apply(Change::Pod(object(&format!("n{n}"), "p")));
    }
    api
}

fn is_pending(told: &Told) -> bool {
    let pending = told.headers.get("cairn-namespaces-pending");
    pending.is_some_and(|pending| pending == "true")
}

#[tokio::test(start_paused = true)]
async fn up_to_160_namespaces_are_asked_about_before_anything_is_answered() {
    let played = Played::with(&[("jane", "pods", "a"), ("admin", "*", "")]);
    let listener = played.listener(many(158));
    let before = played.questions();
    let began = Instant::now();
    let told = listener.tells("jane", MODEL).await;
    assert_eq!((told.status, told.text()), (200, "[\n  \"a\"\n ]"));
    assert!(!is_pending(&told));
    // One for all namespaces, and one each; and whether the pods themselves may be listed.
    assert_eq!(played.questions() - before, 162);
    // Twenty a second.
    assert!(began.elapsed() >= Duration::from_secs(8));
    assert_eq!(listener.tells("admin", MODEL).await.status, 200);
}

/// Scenario: a cluster of 400 namespaces, and readers of the first of them, of a late one, and of none.
/// Guarantees: who may see something that is settled is answered of it and told that some are not settled; who may not
/// yet, is told to ask again; once all were asked about, each is told of all that is theirs, at once, also when
/// rights have to be asked for again, and who may see nothing is refused.
#[tokio::test(start_paused = true)]
async fn of_400_namespaces_readers_are_told_what_is_settled() {
    let played = Played::with(&[
        ("jane", "pods", "a"),
        ("jane", "pods", "n5"),
        ("joe", "pods", "n5"),
    ]);
    let listener = played.listener(many(398));
    let told = listener.tells("jane", MODEL).await;
    assert_eq!((told.status, told.text()), (200, "[\n  \"a\"\n ]"));
    assert_eq!(told.headers["cairn-of"], "what you may see");
    assert!(is_pending(&told));
    for token in ["joe", "nobody"] {
        let told = listener.tells(token, MODEL).await;
        assert_eq!(told.status, 429, "{}", told.text());
        assert_eq!(told.headers["retry-after"], "5");
        assert!(told.text().contains("name one"), "{}", told.text());
    }
    sleep(Duration::from_secs(15)).await;
    for (token, status) in [("jane", 200), ("joe", 200), ("nobody", 403)] {
        let began = Instant::now();
        let told = listener.tells(token, MODEL).await;
        assert_eq!((told.status, is_pending(&told)), (status, false), "{token}");
        assert!(began.elapsed() < Duration::from_secs(1), "{token}");
    }
    // Half a minute later what was refused is asked for behind what is told.
    sleep(Duration::from_secs(30)).await;
    let began = Instant::now();
    let told = listener.tells("jane", MODEL).await;
    assert_eq!((told.status, is_pending(&told)), (200, false));
    assert!(began.elapsed() < Duration::from_secs(1));
    // A right that was taken away counts no longer than before.
    played.forbid(("jane", "pods", "a"));
    played.forbid(("jane", "pods", "n5"));
    sleep(Duration::from_secs(10)).await;
    let told = listener.tells("jane", MODEL).await;
    assert_eq!(told.status, 403, "{}", told.text());
}

/// Scenario: the last pod of namespace `a` has ended; its rows are in the window.
/// Guarantees: who may read `a` is told of them as before, whether they name `a` or not; who may not, is refused.
#[tokio::test(start_paused = true)]
async fn history_of_a_namespace_whose_last_pod_has_ended_is_told() {
    let played = Played::with(&[("jane", "pods", "a")]);
    let known = Known::default();
    known.set_synced();
    let api = Api {
        cluster: Cluster::watched(Arc::new(known)),
        ..cluster(false)
    };
    let listener = played.listener(api);
    let all = "/api/cairn/v1/range?metric=memory_working_set_bytes";
    for path in [all.to_owned(), format!("{all}&namespace=a")] {
        let told = listener.tells("jane", &path).await;
        assert_eq!(told.status, 200, "{path}: {}", told.text());
        assert_eq!(told.json()["series"][0]["pod"], "web", "{path}");
        assert_eq!(listener.tells("joe", &path).await.status, 403, "{path}");
    }
}
