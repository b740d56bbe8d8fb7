//! Who an agent sees: containers by their runtime ids and pods by their UIDs, of its own node alone.

use std::collections::BTreeMap;

use cairn_proto::v1;
use cairn_proto::v1::names::{Container, Pod as Named};

use crate::cluster::{Cluster, Pod};

/// What is known of those who are asked for on a node, in the order asked for; what no pod of the node has
/// is left out. Nothing is known without a Kubernetes API.
pub(super) fn names(cluster: &Cluster, node: &str, asked: &v1::Resolve) -> v1::Names {
    let pods = cluster.known().map(|known| known.pods_on(node));
    let pods = pods.unwrap_or_default();
    let containers = pods.iter().flat_map(|pod| {
        let containers = pod.containers.iter();
        containers.map(move |container| (&*container.runtime_id, (&**pod, &*container.name)))
    });
    let containers: BTreeMap<&str, (&Pod, &str)> = containers.collect();
    let containers = asked.runtime_ids.iter().filter_map(|id| {
        let (pod, container) = containers.get(id.as_str()).filter(|_| !id.is_empty())?;
        Some(Container {
            runtime_id: id.clone(),
            pod_uid: pod.uid_on_node().to_owned(),
            container: (*container).to_owned(),
        })
    });
    // Anybody who may make a pod can write into it that it mirrors another one: what has the UID itself goes before.
    let (mirrors, own): (Vec<&Pod>, Vec<&Pod>) = pods
        .iter()
        .map(|pod| &**pod)
        .partition(|pod| pod.uid_on_node() != &*pod.uid);
    let by_uid = mirrors.into_iter().chain(own);
    let by_uid: BTreeMap<&str, &Pod> = by_uid.map(|pod| (pod.uid_on_node(), pod)).collect();
    let named = asked.pod_uids.iter().filter_map(|uid| {
        let pod = by_uid.get(uid.as_str()).filter(|_| !uid.is_empty())?;
        Some(Named {
            uid: uid.clone(),
            namespace: (*pod.namespace).to_owned(),
            name: (*pod.name).to_owned(),
        })
    });
    v1::Names {
        containers: containers.collect(),
        pods: named.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cluster::{Change, Container as Known, Known as All};

    fn pod(name: &str, node: &str, mirror_of: &str) -> Change {
        let container = |of: &str| Known {
            name: of.into(),
            runtime_id: format!("id-of-{name}-{of}").into(),
            ..Known::default()
        };
        Change::Pod(Pod {
            namespace: "shop".into(),
            name: name.into(),
            uid: format!("uid-of-{name}").into(),
            node: node.into(),
            mirror_of: mirror_of.into(),
            containers: Box::new([container("main"), container("side"), Known::default()]),
            ..Pod::default()
        })
    }

    fn owned(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn asked(cluster: &Cluster, ids: &[&str]) -> Vec<(String, String)> {
        let resolve = v1::Resolve {
            runtime_ids: owned(ids),
            ..v1::Resolve::default()
        };
        let found = names(cluster, "node1", &resolve).containers.into_iter();
        found.map(|c| (c.pod_uid, c.container)).collect()
    }

    fn pods(cluster: &Cluster, uids: &[&str]) -> Vec<[String; 3]> {
        let resolve = v1::Resolve {
            pod_uids: owned(uids),
            ..v1::Resolve::default()
        };
        let found = names(cluster, "node1", &resolve).pods.into_iter();
        found.map(|of| [of.uid, of.namespace, of.name]).collect()
    }

    #[test]
    fn an_agent_learns_of_its_own_node_alone() {
        let all = All::default();
        all.apply(pod("web", "node1", ""));
        all.apply(pod("static", "node1", "f00"));
        all.apply(pod("elsewhere", "node2", ""));
        let cluster = Cluster::watched(Arc::new(all));
        let found = asked(
            &cluster,
            &[
                "id-of-static-main",
                "id-of-elsewhere-main",
                "nonsense",
                "",
                "id-of-web-side",
            ],
        );
        let expected = [("f00", "main"), ("uid-of-web", "side")];
        assert_eq!(
            found,
            expected.map(|(uid, of)| (uid.to_owned(), of.to_owned()))
        );
        let found = pods(
            &cluster,
            &["uid-of-elsewhere", "f00", "", "uid-of-web", "uid-of-static"],
        );
        let expected = [["f00", "shop", "static"], ["uid-of-web", "shop", "web"]];
        assert_eq!(found, expected.map(|of| of.map(str::to_owned)));
        assert_eq!(asked(&Cluster::off(), &["id-of-web-main"]), []);
        assert!(pods(&Cluster::off(), &["uid-of-web"]).is_empty());
    }
}
