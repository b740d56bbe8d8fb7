//! Who is known after what changed.

use super::*;

fn pod(namespace: &str, name: &str, uid: &str) -> Change {
    Change::Pod(Pod {
        namespace: namespace.into(),
        name: name.into(),
        uid: uid.into(),
        phase: Phase::Running,
        ..Pod::default()
    })
}

fn names(known: &Known, namespace: &str) -> Vec<String> {
    let pods = known.pods(namespace);
    pods.iter().map(|pod| pod.name.to_string()).collect()
}

#[test]
fn pods_are_found_by_namespace_and_name_and_listed_by_name() {
    let known = Known::default();
    for (namespace, name) in [("shop", "web-1"), ("shop", "web-0"), ("base", "dns")] {
        known.apply(pod(namespace, name, name));
    }
    assert_eq!(names(&known, "shop"), ["web-0", "web-1"]);
    assert_eq!(names(&known, "none"), [""; 0]);
    let namespaces: Vec<String> = known.namespaces().iter().map(ToString::to_string).collect();
    assert_eq!(namespaces, ["base", "shop"]);
    assert!(known.pod("base", "dns").is_some() && known.pod("base", "web-0").is_none());
}

#[test]
fn who_went_is_gone_and_who_came_under_its_name_stays() {
    let known = Known::default();
    known.apply(pod("shop", "web-0", "old"));
    known.apply(pod("shop", "web-0", "new"));
    known.apply(Change::PodGone("shop".into(), "web-0".into(), "old".into()));
    assert_eq!(names(&known, "shop"), ["web-0"]);
    known.apply(Change::PodGone("shop".into(), "web-0".into(), "new".into()));
    assert!(known.namespaces().is_empty());
}

fn on(node: &str, name: &str, uid: &str) -> Change {
    let Change::Pod(mut pod) = pod("shop", name, uid) else {
        panic!("no pod")
    };
    pod.node = node.into();
    Change::Pod(pod)
}

fn names_on(known: &Known, node: &str) -> Vec<String> {
    let pods = known.pods_on(node);
    let mut names: Vec<String> = pods.iter().map(|pod| pod.name.to_string()).collect();
    names.sort();
    names
}

#[test]
fn the_pods_of_a_node_follow_what_changes() {
    let known = Known::default();
    known.apply(on("", "web-0", "a"));
    assert_eq!(names_on(&known, ""), [""; 0]);
    known.apply(on("node1", "web-0", "a"));
    known.apply(on("node1", "web-1", "b"));
    known.apply(on("node1", "web-0", "a"));
    assert_eq!(names_on(&known, "node1"), ["web-0", "web-1"]);
    known.apply(on("node2", "web-0", "c"));
    assert_eq!(
        (names_on(&known, "node1"), names_on(&known, "node2")),
        (vec!["web-1".to_owned()], vec!["web-0".to_owned()])
    );
    known.apply(Change::PodGone("shop".into(), "web-1".into(), "b".into()));
    assert_eq!(names_on(&known, "node1"), [""; 0]);
    assert_eq!(known.count(Resource::Pods), 1);
}

#[test]
fn a_pod_counts_for_its_workload_also_when_it_is_gone() {
    let known = Known::default();
    let owned = |uid: &str, kind: &str| {
        let Change::Pod(mut pod) = pod("shop", "web-0", uid) else {
            panic!("no pod")
        };
        pod.owner = Some(Arc::new(Owner {
            kind: kind.into(),
            name: "web".into(),
        }));
        Change::Pod(pod)
    };
    let kind = |uid: &str| {
        let workload = known.workload("shop", "web-0", uid)?;
        Some(workload.kind.as_str())
    };
    known.apply(owned("old", "DaemonSet"));
    known.apply(owned("old", "StatefulSet"));
    assert_eq!(kind("old"), Some("StatefulSet"));
    known.apply(owned("new", "DaemonSet"));
    assert_eq!(
        (kind("old"), kind("new")),
        (Some("StatefulSet"), Some("DaemonSet"))
    );
    known.apply(Change::PodGone("shop".into(), "web-0".into(), "new".into()));
    assert_eq!((kind("new"), kind("other")), (Some("DaemonSet"), None));
}

#[test]
fn what_pods_have_in_common_is_kept_once() {
    let known = Known::default();
    let labelled = |name: &str| {
        let Change::Pod(mut pod) = pod("shop", name, name) else {
            panic!("no pod")
        };
        pod.labels = Arc::new([("app".into(), "web".into())]);
        Change::Pod(pod)
    };
    known.apply(labelled("web-0"));
    known.apply(labelled("web-1"));
    let pods = known.pods("shop");
    assert!(Arc::ptr_eq(&pods[0].labels, &pods[1].labels));
}

#[test]
fn what_a_whole_list_does_not_name_goes_and_what_came_meanwhile_stays() {
    let known = Known::default();
    known.apply(on("node1", "old", "a"));
    known.apply(on("node1", "kept", "b"));
    known.apply(Change::Node(Node {
        name: "node1".into(),
        ..Node::default()
    }));
    known.begin_list(Resource::Pods);
    known.apply(on("node1", "kept", "b"));
    assert_eq!(names(&known, "shop"), ["kept", "old"]);
    assert_eq!(known.end_list(Resource::Pods), 1);
    assert_eq!(
        (names(&known, "shop"), names_on(&known, "node1")),
        (vec!["kept".to_owned()], vec!["kept".to_owned()])
    );
    assert_eq!(known.count(Resource::Nodes), 1);
    assert!(!known.is_synced());
    known.begin_list(Resource::Nodes);
    assert_eq!(known.end_list(Resource::Nodes), 1);
    assert!(known.node("node1").is_none() && known.is_synced());
}

#[test]
fn the_list_of_a_namespace_is_kept_until_one_of_its_pods_changes() {
    let known = Known::default();
    let listed = |namespace: Option<&str>| -> Vec<Vec<String>> {
        let parts = known.listed(namespace);
        let uids = |part: &Arc<[Arc<Pod>]>| part.iter().map(|pod| pod.uid.to_string()).collect();
        parts.iter().map(uids).collect()
    };
    let empty: Vec<Vec<String>> = Vec::new();
    assert_eq!(
        (listed(None), listed(Some("shop"))),
        (empty.clone(), empty.clone())
    );
    known.apply(pod("shop", "web-1", "b"));
    known.apply(pod("shop", "web-0", "a"));
    known.apply(pod("base", "dns", "c"));
    // Another phase is no pod of a list.
    known.apply(Change::Pod(Pod {
        namespace: "base".into(),
        name: "job".into(),
        uid: "d".into(),
        phase: Phase::Succeeded,
        ..Pod::default()
    }));
    assert_eq!(listed(None), [vec!["c"], vec!["a", "b"]]);
    known.apply(Change::PodGone("base".into(), "job".into(), "d".into()));
    assert_eq!(
        (listed(Some("base")), listed(Some("none"))),
        (vec![vec!["c".to_owned()]], empty)
    );
    let before = known.listed(None);
    assert!(Arc::ptr_eq(&before[1], &known.listed(Some("shop"))[0]));
    known.apply(pod("shop", "web-0", "new"));
    assert_eq!(listed(None), [vec!["c"], vec!["new", "b"]]);
    // Who has a list has it as it was, and what did not change is the same.
    assert_eq!(
        (
            &*before[1][0].uid,
            Arc::ptr_eq(&before[0], &known.listed(None)[0])
        ),
        ("a", true)
    );
    known.apply(Change::PodGone("shop".into(), "web-1".into(), "b".into()));
    assert_eq!(listed(Some("shop")), [vec!["new"]]);
    known.apply(Change::PodGone("base".into(), "dns".into(), "c".into()));
    assert_eq!(listed(None), [vec!["new"]]);
}
