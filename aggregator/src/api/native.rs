//! What is served of Cairn's own and of the APIs that it took over: every route once, with what its answer is
//! about.
//!
//! The plain listener, its gate and the HTTPS listener all read a path here. A route that is added is in this
//! list, and so has a rule: there is no other way to be served.

use super::needs::{Asks, Needs};
use super::path::{self, Segments};
use super::range;
use super::route::{Route, Target};
use super::workloads;

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Native {
    /// `/healthz`.
    Health,
    /// `/api/cairn/v1/overview`.
    Overview,
    /// `/api/cairn/v1/stream`.
    Stream,
    /// `/api/cairn/v1/range`.
    Range,
    /// One whose answer is made as a whole, and may be of much of the window.
    Large(Large),
    /// Files of the page, and paths that are nothing.
    Page,
}

/// Routes whose answers are made as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Large {
    /// `/api/v1/metric-export`, and its schema.
    Export,
    /// Below `/api/v1/model`.
    Model,
    /// Below `/apis/metrics/v1alpha1` and `/apis/metrics.k8s.io/v1alpha1`.
    Resource,
    /// Below `/api/v1/dashboard`.
    Scraper,
    /// `/api/cairn/v1/explain`.
    Explain,
    /// `/api/cairn/v1/values`.
    Values,
    /// `/api/cairn/v1/workloads`.
    Workloads,
    /// `/api/cairn/v1/range` of workloads.
    WorkloadRange,
}

impl Native {
    /// Reads a path and what is asked of it.
    pub(super) fn of(segments: &Segments, query: Option<&str>) -> Self {
        let readings = segments.readings();
        let [_, meant] = &readings;
        if let ["healthz", ..] = meant.as_slice() {
            return Native::Health;
        }
        let found = readings.iter().find_map(|r| Self::of_reading(r));
        match found {
            Some(Native::Range) if workloads::is_range(query) => {
                Native::Large(Large::WorkloadRange)
            }
            found => found.unwrap_or(Native::Page),
        }
    }

    fn of_reading(reading: &[&str]) -> Option<Self> {
        Some(match reading {
            ["api", "cairn", "v1", "overview"] => Native::Overview,
            ["api", "cairn", "v1", "stream"] => Native::Stream,
            ["api", "cairn", "v1", "range"] => Native::Range,
            ["api", "cairn", "v1", "explain"] => Native::Large(Large::Explain),
            ["api", "cairn", "v1", "values"] => Native::Large(Large::Values),
            ["api", "cairn", "v1", "workloads"] => Native::Large(Large::Workloads),
            ["api", "v1", "metric-export" | "metric-export-schema", ..] => {
                Native::Large(Large::Export)
            }
            ["api", "v1", "model", ..] => Native::Large(Large::Model),
            ["api", "v1", "dashboard", ..] => Native::Large(Large::Scraper),
            ["apis", "metrics" | "metrics.k8s.io", "v1alpha1", ..] => {
                Native::Large(Large::Resource)
            }
            _ => return None,
        })
    }

    /// What an answer is about, for the HTTPS listener; `None` of what is not served there. What it has not
    /// found out from the path is more than is asked for, never less: the answer is made of what may be seen
    /// of it, and of nothing else.
    pub(super) fn needs(self, segments: &Segments, query: Option<&str>) -> Option<Needs> {
        let node = || path::parameter(query, "node").unwrap_or_default();
        Some(match self {
            // The probes of that listener have its place.
            Native::Health | Native::Large(Large::Resource) => return None,
            Native::Overview | Native::Stream | Native::Large(Large::Values) => Needs::all(&node()),
            Native::Large(Large::Explain) => of_explained(query),
            Native::Large(Large::Workloads | Large::WorkloadRange) => of_workloads(query),
            Native::Range => {
                range::choice(query).map_or_else(|_| Needs::all(""), |c| Needs::of(&c))
            }
            Native::Large(Large::Export) => match segments.as_strs().as_slice() {
                ["api", "v1", "metric-export-schema"] => Needs::default(),
                _ => Needs::all(""),
            },
            Native::Large(Large::Model) => model(segments),
            Native::Large(Large::Scraper) => scraper(segments),
            Native::Page => Needs::default(),
        })
    }
}

/// What a question about what is missing is about: a pod's answer says of its node what may be seen of that.
fn of_explained(query: Option<&str>) -> Needs {
    let word = |name| path::parameter(query, name).unwrap_or_default();
    match (&*word("namespace"), &*word("node")) {
        ("", "") => Needs::default(),
        ("", node) => Needs::nodes(Asks::of(node)),
        (namespace, _) => Needs {
            nodes: Asks::All,
            namespaces: Asks::of(namespace),
        },
    }
}

/// What a question about workloads is about: the pods that they are sums of.
fn of_workloads(query: Option<&str>) -> Needs {
    let namespace = path::parameter(query, "namespace").unwrap_or_default();
    Needs::pods(Asks::of(&namespace))
}

/// What a route of the model is about.
fn model(segments: &Segments) -> Needs {
    let readings = segments.readings();
    let route = readings.iter().find_map(|r| match r.as_slice() {
        ["api", "v1", "model", rest @ ..] => Route::parse(rest),
        _ => None,
    });
    match route {
        // No route, and no data.
        None => Needs::default(),
        Some(Route::AllKeys) => Needs::all(""),
        Some(Route::Nodes) => Needs::nodes(Asks::All),
        Some(Route::FreeContainers(node)) => Needs::nodes(Asks::of(node)),
        Some(Route::Namespaces) => Needs::pods(Asks::All),
        Some(
            Route::Pods(namespace)
            | Route::Containers { namespace, .. }
            | Route::PodList { namespace, .. },
        ) => Needs::pods(Asks::of(namespace)),
        Some(Route::MetricNames(target) | Route::Metric(target, _)) => match target {
            Target::Cluster => Needs::pods(Asks::All),
            Target::Namespace(namespace)
            | Target::Pod(namespace, _)
            | Target::Container(namespace, ..) => Needs::pods(Asks::of(namespace)),
            Target::Node(node) | Target::FreeContainer(node, _) => Needs::nodes(Asks::of(node)),
        },
    }
}

/// What a route of the Dashboard's scraper is about.
fn scraper(segments: &Segments) -> Needs {
    let [_, meant] = segments.readings();
    match meant.get(3..).unwrap_or_default() {
        ["nodes", node, ..] => Needs::nodes(Asks::of(node)),
        ["namespaces", namespace, ..] => Needs::pods(Asks::of(namespace)),
        // It answers the path, and no data.
        _ => Needs::default(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A path of every route; a new one does not compile without.
    pub(in super::super) fn example(native: Native) -> &'static str {
        match native {
            Native::Health => "/healthz",
            Native::Overview => "/api/cairn/v1/overview",
            Native::Stream => "/api/cairn/v1/stream",
            Native::Range => "/api/cairn/v1/range?metric=memory_usage_bytes",
            Native::Large(Large::Export) => "/api/v1/metric-export",
            Native::Large(Large::Model) => "/api/v1/model/metrics",
            Native::Large(Large::Resource) => "/apis/metrics/v1alpha1/nodes",
            Native::Large(Large::Scraper) => "/api/v1/dashboard/nodes/node1/metrics/cpu/x",
            Native::Large(Large::Values) => "/api/cairn/v1/values?node=node1",
            Native::Large(Large::Explain) => "/api/cairn/v1/explain?namespace=shop&pod=web",
            Native::Large(Large::Workloads) => "/api/cairn/v1/workloads",
            Native::Large(Large::WorkloadRange) => {
                "/api/cairn/v1/range?kind=workload&metric=memory_usage_bytes"
            }
            Native::Page => "/",
        }
    }

    /// Every route.
    pub(in super::super) const ALL: [Native; 13] = [
        Native::Health,
        Native::Overview,
        Native::Stream,
        Native::Range,
        Native::Large(Large::Export),
        Native::Large(Large::Model),
        Native::Large(Large::Resource),
        Native::Large(Large::Scraper),
        Native::Large(Large::Values),
        Native::Large(Large::Explain),
        Native::Large(Large::Workloads),
        Native::Large(Large::WorkloadRange),
        Native::Page,
    ];

    fn needs(path: &str) -> Option<Needs> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let segments = Segments::parse(path).unwrap();
        Native::of(&segments, Some(query)).needs(&segments, Some(query))
    }

    #[test]
    fn every_route_is_found_by_its_path() {
        for native in ALL {
            let (path, query) = example(native).split_once('?').unzip();
            let path = path.unwrap_or(example(native));
            let segments = Segments::parse(path).unwrap();
            assert_eq!(Native::of(&segments, query), native, "{path}");
        }
    }

    #[test]
    fn every_route_says_what_it_is_about() {
        let one = |name: &str| Asks::One(name.to_owned());
        let (nodes, pods) = (Needs::nodes, Needs::pods);
        let model = |rest: &str| needs(&format!("/api/v1/model/{rest}")).unwrap();
        for (rest, expected) in [
            ("debug/allkeys", Needs::all("")),
            ("nodes/", nodes(Asks::All)),
            ("nodes/n/freecontainers", nodes(one("n"))),
            ("nodes/n/metrics/cpu/usage_rate", nodes(one("n"))),
            ("nodes/n/freecontainers/a/metrics/x", nodes(one("n"))),
            ("namespaces", pods(Asks::All)),
            ("metrics/cpu/usage_rate", pods(Asks::All)),
            ("namespaces/a/metrics", pods(one("a"))),
            ("namespaces/a/pods", pods(one("a"))),
            ("namespaces%2Fa/pods/p/metrics/x", pods(one("a"))),
            ("namespaces/a/pods/p/containers", pods(one("a"))),
            ("namespaces/a/pods/p/containers/c/metrics", pods(one("a"))),
            ("namespaces/a/pod-list/p,q/metrics/x", pods(one("a"))),
            ("nothing", Needs::default()),
        ] {
            assert_eq!(model(rest), expected, "{rest}");
        }
        for (path, expected) in [
            ("/", Needs::default()),
            ("/api/v1/metric-export", Needs::all("")),
            ("/api/v1/metric-export-schema", Needs::default()),
            ("/api/cairn/v1/overview", Needs::all("")),
            ("/api/cairn/v1/stream?node=n", Needs::all("n")),
            ("/api/cairn/v1/values?node=n", Needs::all("n")),
            ("/api/cairn/v1/explain", Needs::default()),
            ("/api/cairn/v1/explain?node=n", nodes(one("n"))),
            (
                "/api/cairn/v1/explain?namespace=a&pod=p",
                Needs {
                    nodes: Asks::All,
                    namespaces: one("a"),
                },
            ),
            ("/api/cairn/v1/range?metric=x", pods(Asks::All)),
            ("/api/cairn/v1/range?namespace=a", pods(one("a"))),
            ("/api/cairn/v1/range?kind=container", pods(Asks::All)),
            ("/api/cairn/v1/range?kind=node&node=n", nodes(one("n"))),
            ("/api/cairn/v1/range?kind=system", nodes(Asks::All)),
            ("/api/cairn/v1/range?kind=odd", Needs::all("")),
            ("/api/cairn/v1/range?kind=workload", pods(Asks::All)),
            (
                "/api/cairn/v1/range?kind=workload&namespace=a",
                pods(one("a")),
            ),
            ("/api/cairn/v1/workloads", pods(Asks::All)),
            ("/api/cairn/v1/workloads?namespace=a", pods(one("a"))),
            ("/api/v1/dashboard/nodes/n/metrics/cpu/x", nodes(one("n"))),
            (
                "/api/v1/dashboard/namespaces/a/pod-list/p/metrics/cpu/x",
                pods(one("a")),
            ),
            ("/api/v1/dashboard/other", Needs::default()),
        ] {
            assert_eq!(needs(path), Some(expected), "{path}");
        }
        assert_eq!(needs("/healthz"), None);
        assert_eq!(needs("/apis/metrics/v1alpha1/pods"), None);
    }
}
