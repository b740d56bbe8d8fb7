//! `/healthz`: whether there is anything young to show.
//!
//! Open to whoever reaches the listener, so the root says only whether; the check itself, which is
//! one level below, says why.

use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};

use super::{Api, answer, path};
use crate::store::Selector;

/// Age of the newest row at which the check fails, ms: three of the reference's own minutes.
const HEALTHY_MS: u64 = 180_000;

/// Answers the segments after `healthz`; `None` when there is no such check.
pub(super) fn answer(
    api: &Api,
    method: &Method,
    query: Option<&str>,
    rest: &[&str],
) -> Option<Response> {
    // A monitor's HEAD is answered like GET; the server leaves the body out.
    let refusal = answer::not_get(method).filter(|_| method != Method::HEAD);
    match (rest, refusal) {
        ([] | ["healthz"], Some(refusal)) => Some(refusal),
        ([], None) => Some(all(
            check(api).is_ok(),
            path::parameter(query, "verbose").is_some(),
        )),
        (["healthz"], None) => Some(match check(api) {
            Ok(()) => answer::text(StatusCode::OK, "ok"),
            Err(reason) => failed(format!("internal server error: {reason}\n")),
        }),
        _ => None,
    }
}

/// The answer over all checks, of which there is one.
fn all(passed: bool, verbose: bool) -> Response {
    match passed {
        false => failed("[-]healthz failed: reason withheld\nhealthz check failed\n".to_owned()),
        true if verbose => answer::text(StatusCode::OK, "[+]healthz ok\nhealthz check passed\n"),
        true => answer::text(StatusCode::OK, "ok"),
    }
}

fn failed(body: String) -> Response {
    let mut response = answer::text(StatusCode::INTERNAL_SERVER_ERROR, body);
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Why there is nothing young to show.
fn check(api: &Api) -> Result<(), String> {
    let now_ms = api.clock.unix_ms();
    let mut nodes = api.store.nodes();
    nodes.retain(|node| node.newest_tick_ms.is_some());
    nodes.sort_by_key(|node| std::cmp::Reverse(node.arrived_ms));
    let Some(newest) = nodes.first() else {
        let reason = "no agent has delivered anything yet: are agents running, and is this their \
                      aggregator?";
        return Err(reason.to_owned());
    };
    let age_ms = now_ms.saturating_sub(newest.arrived_ms);
    if age_ms > HEALTHY_MS {
        return Err(format!(
            "the newest row is {} s old: see /readyz?verbose on the admin listener",
            age_ms / 1000
        ));
    }
    // In order of their age, so that the first one nearly always has something.
    let mut young = nodes
        .iter()
        .filter(|node| now_ms.saturating_sub(node.arrived_ms) <= HEALTHY_MS);
    let has_anything = young.any(|node| {
        let found = api.store.entities(&Selector::Node(&node.name));
        found.iter().any(|entity| entity.alive)
    });
    if has_anything {
        return Ok(());
    }
    Err("the newest rows hold nothing: see the sources of the nodes on the page".to_owned())
}

#[cfg(test)]
mod tests {
    use cairn_proto::catalogue::EntityKind;
    use cairn_proto::codec::row;
    use cairn_proto::model::{Builder, EntityDef, EntityId, Run};
    use cairn_runtime::clock::Clock;
    use http_body_util::BodyExt as _;

    use super::super::tests::{T0, api, with_store};
    use super::*;
    use crate::store::{Door, Opening, PlainStore, WireRow};

    async fn ask(api: &Api, query: Option<&str>, rest: &[&str]) -> (u16, String) {
        let response = answer(api, &Method::GET, query, rest).unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn fails_with(api: &Api, reason: &str) {
        let withheld = "[-]healthz failed: reason withheld\nhealthz check failed\n";
        for query in [None, Some("verbose")] {
            assert_eq!(ask(api, query, &[]).await, (500, withheld.to_owned()));
        }
        let (status, body) = ask(api, None, &["healthz"]).await;
        assert_eq!(status, 500);
        let begins = format!("internal server error: {reason}");
        assert!(body.starts_with(&begins) && body.ends_with('\n'), "{body}");
    }

    #[tokio::test]
    async fn what_is_young_is_healthy() {
        let api = api();
        assert_eq!(ask(&api, None, &[]).await, (200, "ok".to_owned()));
        let verbose = "[+]healthz ok\nhealthz check passed\n".to_owned();
        assert_eq!(
            ask(&api, Some("verbose"), &[]).await,
            (200, verbose.clone())
        );
        assert_eq!(ask(&api, Some("verbose=1"), &[]).await, (200, verbose));
        assert_eq!(ask(&api, None, &["healthz"]).await, (200, "ok".to_owned()));
    }

    #[tokio::test]
    async fn heads_are_answered_and_other_checks_and_verbs_are_not() {
        let api = api();
        let status = |method, rest: &[&str]| {
            answer(&api, &method, None, rest).map(|response| response.status().as_u16())
        };
        assert_eq!(status(Method::HEAD, &[]), Some(200));
        assert_eq!(status(Method::HEAD, &["healthz"]), Some(200));
        assert_eq!(status(Method::POST, &[]), Some(405));
        assert_eq!(status(Method::GET, &["ping"]), None);
        assert_eq!(status(Method::GET, &["healthz", "healthz"]), None);
    }

    #[tokio::test]
    async fn each_failure_has_its_reason() {
        let mut api = api();
        api.clock = Clock::driven(T0 + 20_000 + HEALTHY_MS);
        assert_eq!(ask(&api, None, &[]).await.0, 200);
        api.clock = Clock::driven(T0 + 21_000 + HEALTHY_MS);
        fails_with(&api, "the newest row is 181 s old").await;
        let empty = with_store(std::sync::Arc::new(PlainStore::new(900_000, 0)));
        fails_with(&empty, "no agent has delivered anything").await;
    }

    #[tokio::test]
    async fn rows_that_hold_nothing_are_unhealthy() {
        let store = PlainStore::new(900_000, 0);
        let run = Run {
            epoch_ms: 1,
            boot_id: [0; 16],
            clock_stepped: false,
        };
        let (interval_ms, sent_ms, now_ms) = (10_000, T0, T0);
        let opening = Opening {
            run,
            interval_ms,
            sent_ms,
            now_ms,
        };
        let session = store.open("node1", opening);
        let node = EntityDef {
            id: EntityId(1),
            kind: EntityKind::Node,
            parent: None,
            name: "node1".into(),
            namespace: String::new(),
            uid: String::new(),
            runtime_id: String::new(),
            labels: Vec::new(),
        };
        store.define(&session, node).unwrap();
        let payload = row::encode(None, &Builder::default().build());
        let row = WireRow {
            seq: 0,
            base_seq: None,
            tick_ms: T0,
            payload: &payload,
            sent_ms,
            now_ms,
        };
        store.append(&session, row).unwrap();
        let api = with_store(std::sync::Arc::new(store));
        fails_with(&api, "the newest rows hold nothing").await;
    }
}
