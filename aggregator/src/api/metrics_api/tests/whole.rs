//! A pod is whole or absent, by its own status.

use http::Method;

use super::*;
use crate::api::tests::ask_of;
use crate::cluster::{Container, ContainerState};

const RUNS: ContainerState = ContainerState::Running;
const WAITS: ContainerState = ContainerState::Waiting;
const ENDED: ContainerState = ContainerState::Terminated;
const UNKNOWN: ContainerState = ContainerState::Unknown;

/// The pod `web` with containers of these states by the Kubernetes API, of which the node tells these; a container
/// that is told without usage is there and not measured.
fn listener_of(states: &[(&str, ContainerState)], told: &[(&str, bool)]) -> Listener {
    let mut things = vec![
        (def(1, EntityKind::Node, 0, "node1"), USUAL),
        (pod(2, "shop", "web"), USUAL),
    ];
    for (id, (name, is_measured)) in (3..).zip(told) {
        let says = if *is_measured {
            USUAL
        } else {
            Says::of(table::MEMORY_USAGE, 1)
        };
        things.push((container(id, 2, name), says));
    }
    let mut api = window(&things);
    let known = Known::default();
    known.set_synced();
    let containers = states.iter().map(|(name, state)| Container {
        name: (*name).into(),
        state: *state,
        ..Container::default()
    });
    known.apply(Change::Pod(Pod {
        containers: containers.collect(),
        ..running("web", Labels::default())
    }));
    api.cluster = Cluster::watched(Arc::new(known));
    Listener::of(api)
}

/// The names of the containers of the pod; `None` when it is not there.
async fn shown(listener: &Listener) -> Option<Vec<String>> {
    let list = listener.get(&format!("{ROOT}/pods"), &[]).await.json();
    let one = listener
        .get(&format!("{ROOT}/namespaces/shop/pods/web"), &[])
        .await;
    let items = list["items"].as_array().unwrap();
    assert_eq!(one.status, if items.is_empty() { 404 } else { 200 });
    let path = "/api/cairn/v1/explain?namespace=shop&pod=web";
    let (_, told) = ask_of(listener.plain.clone(), Method::GET, path, &[]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["served"], !items.is_empty(), "{told}");
    let containers = items.first()?["containers"].as_array().unwrap();
    assert_eq!(one.json()["containers"].as_array(), Some(containers));
    let names = containers.iter().map(|one| one["name"].as_str().unwrap());
    Some(names.map(str::to_owned).collect())
}

#[tokio::test]
async fn a_pod_is_there_when_all_that_run_are_measured() {
    for (states, told, expected) in [
        (
            &[("app", RUNS)][..],
            &[("app", true)][..],
            Some(&["app"][..]),
        ),
        // One that runs and is not measured, or of which the node does not tell at all.
        (
            &[("app", RUNS), ("proxy", RUNS)],
            &[("app", true), ("proxy", false)],
            None,
        ),
        (&[("app", RUNS), ("proxy", RUNS)], &[("app", true)], None),
        // Those that wait or have ended use nothing, whether the node still tells of them or not.
        (
            &[("app", RUNS), ("init", ENDED), ("proxy", WAITS)],
            &[("app", true)],
            Some(&["app"]),
        ),
        (
            &[("app", RUNS), ("init", ENDED), ("proxy", WAITS)],
            &[("app", true), ("init", false), ("proxy", false)],
            Some(&["app"]),
        ),
        // The status is told later than the usage.
        (
            &[("app", RUNS), ("proxy", WAITS)],
            &[("app", true), ("proxy", true)],
            Some(&["app", "proxy"]),
        ),
        // Without a status what the node tells counts.
        (&[("app", UNKNOWN)], &[("app", true)], Some(&["app"])),
        (
            &[("app", UNKNOWN), ("proxy", UNKNOWN)],
            &[("app", true), ("proxy", false)],
            None,
        ),
        // A container that was put in to look at it is none of its status.
        (
            &[("app", RUNS)],
            &[("app", true), ("debugger", false)],
            None,
        ),
        // With none that runs there is nothing to show.
        (&[("app", WAITS)], &[], None),
    ] {
        let listener = listener_of(states, told);
        let shown = shown(&listener).await;
        let shown = shown.as_ref().map(|names| {
            let names = names.iter().map(String::as_str);
            names.collect::<Vec<_>>()
        });
        assert_eq!(shown.as_deref(), expected, "{states:?} {told:?}");
    }
}
