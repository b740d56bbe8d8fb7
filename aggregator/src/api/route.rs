//! Paths of the model API.

use super::system_name;
use crate::store::Selector;

/// What is addressed below `/api/v1/model`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// Keys of everything that there is.
    AllKeys,
    /// Names of the nodes.
    Nodes,
    /// Names of the namespaces.
    Namespaces,
    /// Names of the pods of a namespace.
    Pods(&'a str),
    /// Names of the containers of a pod.
    Containers {
        /// Namespace of the pod.
        namespace: &'a str,
        /// Name of the pod.
        pod: &'a str,
    },
    /// Names of the system containers of a node.
    FreeContainers(&'a str),
    /// Names of the metrics that something has.
    MetricNames(Target<'a>),
    /// One metric of something.
    Metric(Target<'a>, String),
    /// One metric of several pods, in the order asked for.
    PodList {
        /// Their namespace.
        namespace: &'a str,
        /// Their names, separated by commas.
        pods: &'a str,
        /// The metric.
        metric: String,
    },
}

/// Something that has metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// The sum of the namespaces.
    Cluster,
    /// The sum of a namespace's pods.
    Namespace(&'a str),
    /// A node.
    Node(&'a str),
    /// A system container.
    FreeContainer(&'a str, &'a str),
    /// A pod.
    Pod(&'a str, &'a str),
    /// A container.
    Container(&'a str, &'a str, &'a str),
}

impl<'a> Target<'a> {
    /// Where to look for it; `None` for sums. The last name is left to the caller.
    pub(super) fn selector(self) -> Option<Selector<'a>> {
        match self {
            Target::Cluster | Target::Namespace(_) => None,
            Target::Node(node) => Some(Selector::Node(node)),
            Target::FreeContainer(node, _) => Some(Selector::Systems(node)),
            Target::Pod(namespace, name) => Some(Selector::Pod { namespace, name }),
            Target::Container(namespace, pod, _) => Some(Selector::Containers { namespace, pod }),
        }
    }
}

impl<'a> Route<'a> {
    /// Reads the segments after `model`; `None` when there is no such route.
    pub(super) fn parse(segments: &[&'a str]) -> Option<Self> {
        match *segments {
            ["debug", "allkeys"] => return Some(Route::AllKeys),
            ["nodes"] => return Some(Route::Nodes),
            ["namespaces"] => return Some(Route::Namespaces),
            ["namespaces", namespace, "pods"] => return Some(Route::Pods(namespace)),
            ["nodes", node, "freecontainers"] => return Some(Route::FreeContainers(node)),
            ["namespaces", namespace, "pods", pod, "containers"] => {
                return Some(Route::Containers { namespace, pod });
            }
            [
                "namespaces",
                namespace,
                "pod-list",
                pods,
                "metrics",
                ref metric @ ..,
            ] if !metric.is_empty() => {
                return Some(Route::PodList {
                    namespace,
                    pods,
                    metric: metric.join("/"),
                });
            }
            _ => {}
        }
        let (target, rest) = target(segments)?;
        match *rest {
            ["metrics"] => Some(Route::MetricNames(target)),
            ["metrics", ref metric @ ..] => Some(Route::Metric(target, metric.join("/"))),
            _ => None,
        }
    }
}

/// Splits what has metrics from what is asked of it.
fn target<'a, 'b>(segments: &'b [&'a str]) -> Option<(Target<'a>, &'b [&'a str])> {
    match segments {
        ["metrics", ..] => Some((Target::Cluster, segments)),
        ["nodes", node, "freecontainers", name, rest @ ..] => {
            Some((Target::FreeContainer(node, system_name::meant(name)), rest))
        }
        ["nodes", node, rest @ ..] => Some((Target::Node(node), rest)),
        ["namespaces", ns, "pods", pod, "containers", name, rest @ ..] => {
            Some((Target::Container(ns, pod, name), rest))
        }
        ["namespaces", ns, "pods", pod, rest @ ..] => Some((Target::Pod(ns, pod), rest)),
        ["namespaces", ns, rest @ ..] => Some((Target::Namespace(ns), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Option<Route<'_>> {
        Route::parse(&path.split('/').collect::<Vec<_>>())
    }

    #[test]
    fn every_route_is_told_apart() {
        assert_eq!(parse("debug/allkeys"), Some(Route::AllKeys));
        assert_eq!(parse("nodes"), Some(Route::Nodes));
        assert_eq!(parse("metrics"), Some(Route::MetricNames(Target::Cluster)));
        let rate = "cpu/usage_rate".to_owned();
        assert_eq!(
            parse("metrics/cpu/usage_rate"),
            Some(Route::Metric(Target::Cluster, rate.clone()))
        );
        assert_eq!(
            parse("nodes/n/metrics/cpu/usage_rate"),
            Some(Route::Metric(Target::Node("n"), rate.clone()))
        );
        assert_eq!(
            parse("namespaces/a/pods/p/containers/c/metrics/cpu/usage_rate"),
            Some(Route::Metric(
                Target::Container("a", "p", "c"),
                rate.clone()
            ))
        );
        assert_eq!(
            parse("nodes/n/freecontainers/pods/metrics"),
            Some(Route::MetricNames(Target::FreeContainer("n", "pods")))
        );
        assert_eq!(
            parse("namespaces/a/pod-list/x,y/metrics/cpu/usage_rate"),
            Some(Route::PodList {
                namespace: "a",
                pods: "x,y",
                metric: rate
            })
        );
    }

    #[test]
    fn what_is_no_route_is_none() {
        for path in [
            "",
            "node",
            "nodes/n",
            "nodes/n/x",
            "namespaces/a/pod-list/x/metrics",
            "x/y",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
