//! Whose containers an agent sees: by their runtime ids, of its own node's pods alone.

use std::collections::BTreeMap;

use cairn_proto::v1;
use cairn_proto::v1::names::Container;

use crate::cluster::{Cluster, Pod};

/// What is known of these runtime ids on a node, in the order asked for; ids that no pod of the node has are
/// left out. Nothing is known without a Kubernetes API.
pub(super) fn names(cluster: &Cluster, node: &str, runtime_ids: &[String]) -> v1::Names {
    let pods = cluster.known().map(|known| known.pods_on(node));
    let pods = pods.unwrap_or_default();
    let containers = pods.iter().flat_map(|pod| {
        let containers = pod.containers.iter();
        containers.map(move |container| (&*container.runtime_id, (&**pod, &*container.name)))
    });
    let containers: BTreeMap<&str, (&Pod, &str)> = containers.collect();
    let found = runtime_ids.iter().filter_map(|id| {
        let (pod, container) = containers.get(id.as_str()).filter(|_| !id.is_empty())?;
        Some(Container {
            runtime_id: id.clone(),
            pod_uid: pod.uid_on_node().to_owned(),
            container: (*container).to_owned(),
        })
    });
    v1::Names {
        containers: found.collect(),
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

    fn asked(cluster: &Cluster, ids: &[&str]) -> Vec<(String, String)> {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let found = names(cluster, "node1", &ids).containers.into_iter();
        found.map(|c| (c.pod_uid, c.container)).collect()
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
        assert_eq!(asked(&Cluster::off(), &["id-of-web-main"]), []);
    }
}
