//! `/healthz`: whether there is anything young to show.
//!
//! Open to whoever reaches the listener, so the root says only whether; the check itself, which is
//! one level below, says why.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::response::Response;
use cairn_proto::catalogue::{EntityKind, FIELDS, Field, Origin};
use http::{HeaderValue, Method, StatusCode, header};

use super::{Api, Cut, answer, path};
use crate::query::View;
use crate::store::Selector;

/// Age of the newest row at which the check fails, ms: three of the reference's own minutes.
const HEALTHY_MS: u64 = 180_000;

/// Nodes that are looked at in passing: the newest one nearly always has something.
const FEW: usize = 4;

/// Nodes that are looked at after those, which takes a turn of the large requests.
const MANY: usize = 256;

const NO_KUBELET: &str = "agents report, but no kubelet does: see the sources of the nodes on the \
                          page, or /readyz?verbose on the admin listener of an agent";

/// Answers the segments after `healthz`; `None` when there is no such check.
pub(super) async fn answer(
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
            check(api).await.is_ok(),
            path::parameter(query, "verbose").is_some(),
        )),
        (["healthz"], None) => Some(match check(api).await {
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

/// A node and the tick of its newest row.
type Newest = (Arc<str>, u64);

/// Why there is nothing young to show.
async fn check(api: &Api) -> Result<(), String> {
    let view = api.view();
    let mut young = young(&view, api.clock.unix_ms())?;
    let others = young.split_off(young.len().min(FEW));
    if has_anything(&view, &young) {
        return Ok(());
    }
    if others.is_empty() {
        return Err(NO_KUBELET.to_owned());
    }
    match api.in_turn(move || has_anything(&view, &others)).await {
        Ok(true) => Ok(()),
        Err(Cut::Busy | Cut::OfOne(_)) => Err(format!(
            "the {FEW} newest nodes have no value of a kubelet, and large requests keep the others \
             from being looked at: try again in a moment"
        )),
        _ => Err(NO_KUBELET.to_owned()),
    }
}

/// The nodes whose newest rows are young, the newest first; or why there is none.
fn young(view: &View, now_ms: u64) -> Result<Vec<Newest>, String> {
    let nodes = view.nodes().iter();
    let with_rows = nodes.filter_map(|node| Some((node, node.newest_tick_ms?)));
    let mut nodes: Vec<_> = with_rows.collect();
    nodes.sort_by_key(|(node, _)| Reverse(node.arrived_ms));
    let Some((newest, _)) = nodes.first() else {
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
    let is_young = |arrived_ms| now_ms.saturating_sub(arrived_ms) <= HEALTHY_MS;
    let young = nodes
        .into_iter()
        .take_while(|(node, _)| is_young(node.arrived_ms))
        .take(FEW + MANY);
    Ok(young
        .map(|(node, tick_ms)| (Arc::clone(&node.name), tick_ms))
        .collect())
}

/// True when one of the nodes has a value that an API of Heapster shows. An agent puts its node into
/// every row and reads `/proc` by itself, and the Kubernetes API knows it without any agent, so only what a
/// kubelet says counts.
fn has_anything(view: &View, nodes: &[Newest]) -> bool {
    let shown = |field: &&Field| {
        field.origin == Origin::Measured
            && field.heapster.is_some()
            && field.entities.contains(&EntityKind::Node)
    };
    nodes.iter().any(|(name, tick_ms)| {
        let found = view.entities(&Selector::Node(name));
        found.iter().any(|node| {
            let mut fields = FIELDS.iter().filter(shown);
            fields.any(|field| view.series(node, field, &[*tick_ms]) != [None])
        })
    })
}

#[cfg(test)]
mod tests {
    use cairn_proto::catalogue::table;
    use cairn_runtime::clock::Clock;
    use http_body_util::BodyExt as _;

    use super::super::tests::window::{Says, USUAL, def, report};
    use super::super::tests::{T0, api, with_store};
    use super::*;
    use crate::store::{Door, PackedStore};

    async fn ask(api: &Api, query: Option<&str>, rest: &[&str]) -> (u16, String) {
        let response = answer(api, &Method::GET, query, rest).await.unwrap();
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
        for (method, rest, status) in [
            (Method::HEAD, &[][..], Some(200)),
            (Method::HEAD, &["healthz"], Some(200)),
            (Method::POST, &[], Some(405)),
            (Method::GET, &["ping"], None),
            (Method::GET, &["healthz", "healthz"], None),
        ] {
            let found = answer(&api, &method, None, rest).await;
            let found = found.map(|response| response.status().as_u16());
            assert_eq!(found, status, "{method} {rest:?}");
        }
    }

    #[tokio::test]
    async fn each_failure_has_its_reason() {
        let mut api = api();
        api.clock = Clock::driven(T0 + 20_000 + HEALTHY_MS);
        assert_eq!(ask(&api, None, &[]).await.0, 200);
        api.clock = Clock::driven(T0 + 21_000 + HEALTHY_MS);
        fails_with(&api, "the newest row is 181 s old").await;
        let empty = with_store(store());
        fails_with(&empty, "no agent has delivered anything").await;
    }

    /// A node that says one thing in each of its rows.
    fn reports(store: &Arc<dyn Door>, name: &str, says: Says, rows: usize) {
        let things = [(def(1, EntityKind::Node, 0, name), says)];
        report(store, name, &vec![things.as_slice(); rows]);
    }

    fn store() -> Arc<dyn Door> {
        Arc::new(PackedStore::new(900_000, 0))
    }

    const NO_KUBELET_SAYS: Says = Says::of(table::HOST_LOAD1, 150);

    #[tokio::test]
    async fn rows_without_anything_of_a_kubelet_are_unhealthy() {
        let store = store();
        reports(&store, "node1", NO_KUBELET_SAYS, 3);
        report(&store, "node2", &[&[], &[], &[]]);
        fails_with(&with_store(store), "agents report, but no kubelet does").await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_kubelet_among_many_nodes_is_enough_and_is_looked_for_in_turn() {
        let store = store();
        reports(&store, "last", USUAL, 1);
        for n in 0..=FEW {
            reports(&store, &format!("newer{n}"), NO_KUBELET_SAYS, 2);
        }
        let api = with_store(store);
        assert_eq!(ask(&api, None, &[]).await, (200, "ok".to_owned()));
        let turns = u32::try_from(api.turns.available_permits()).unwrap();
        let _all = api.turns.acquire_many(turns).await.unwrap();
        fails_with(&api, "the 4 newest nodes have no value of a kubelet").await;
        assert_eq!(api.metrics.busy.get(), 3);
        // What is found at once needs no turn.
        reports(&api.store, "newest", USUAL, 3);
        assert_eq!(ask(&api, None, &[]).await, (200, "ok".to_owned()));
    }
}
