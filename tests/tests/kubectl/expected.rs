//! What clients must show of what the kubelets said: objects, and the words of each line of a table.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::front_proxy::Core;
use testkit::usage::{self, PodUsage, Usage, Usages};

/// What is to be seen at one tick.
pub(super) struct Expected<'a> {
    pub(super) usages: Usages,
    pub(super) core: &'a Core,
}

/// One line.
pub(super) type Row = Vec<String>;

fn row(words: &[&str]) -> Row {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Expected<'_> {
    /// The `NodeMetricsList`, without times of creation.
    pub(super) fn node_list(&self) -> Value {
        let items = self.usages.nodes.iter();
        let items = items.map(|(name, usage)| self.node(name, usage));
        list("NodeMetricsList", &items.collect::<Vec<_>>())
    }

    /// One `NodeMetrics`, as an item of a list.
    pub(super) fn node(&self, name: &str, usage: &Usage) -> Value {
        json!({
            "metadata": {"name": name, "labels": object(&self.core.nodes, name)["metadata"]["labels"]},
            "timestamp": usage::second(usage.time_ms),
            "window": usage::window(usage.over_ms),
            "usage": quantities(usage),
        })
    }

    /// The `PodMetricsList` of those that are wanted by namespace and name, without times of creation.
    pub(super) fn pod_list(&self, is_wanted: impl Fn(&str, &str) -> bool) -> Value {
        let items = self.pods(is_wanted).map(|((namespace, name), pod)| {
            let mut containers = pod.containers.values();
            let first = containers.next().copied().unwrap();
            // The earliest, and of several that one the first by name.
            let named = containers.fold(first, |earliest, one| {
                if one.time_ms < earliest.time_ms {
                    *one
                } else {
                    earliest
                }
            });
            let containers = pod.containers.iter();
            let containers =
                containers.map(|(name, usage)| json!({"name": name, "usage": quantities(usage)}));
            json!({
                "metadata": {"name": name, "namespace": namespace,
                             "labels": {"app": usage::app(name)}},
                "timestamp": usage::second(named.time_ms),
                "window": usage::window(named.over_ms),
                "containers": containers.collect::<Vec<Value>>(),
            })
        });
        list("PodMetricsList", &items.collect::<Vec<_>>())
    }

    fn pods(
        &self,
        is_wanted: impl Fn(&str, &str) -> bool,
    ) -> impl Iterator<Item = (&(String, String), &PodUsage)> {
        let pods = self.usages.pods.iter();
        pods.filter(move |((namespace, name), _)| is_wanted(namespace, name))
    }

    /// `top nodes`, below its head.
    pub(super) fn top_nodes(&self) -> Vec<Row> {
        let rows = self.usages.nodes.iter().map(|(name, usage)| {
            let status = &object(&self.core.nodes, name)["status"]["allocatable"];
            let cores = status["cpu"].as_str().unwrap().parse::<u64>().unwrap();
            let memory = status["memory"].as_str().unwrap().trim_end_matches("Ki");
            let memory_bytes = memory.parse::<u64>().unwrap() << 10;
            // The part is of the millicores that are shown, which were rounded up.
            let millis = usage.cpu_nanocores.div_ceil(1_000_000);
            row(&[
                name,
                &usage::millicores(usage.cpu_nanocores),
                &usage::percent(millis, cores * 1_000),
                &usage::mebibytes(usage.memory_bytes),
                &usage::percent(usage.memory_bytes, memory_bytes),
            ])
        });
        rows.collect()
    }

    /// `top pods`, below its head, without the namespaces.
    pub(super) fn top_pods(&self, is_wanted: impl Fn(&str, &str) -> bool) -> Vec<Row> {
        let rows = self.pods(is_wanted).map(|((_, name), pod)| {
            let (cpu_nanocores, memory_bytes) = total(pod);
            row(&[
                name,
                &usage::millicores(cpu_nanocores),
                &usage::mebibytes(memory_bytes),
            ])
        });
        rows.collect()
    }

    /// `top pods --containers`, below its head, without the namespaces.
    pub(super) fn top_containers(&self, is_wanted: impl Fn(&str, &str) -> bool) -> Vec<Row> {
        let mut rows = Vec::new();
        for ((_, pod), usages) in self.pods(is_wanted) {
            for (name, usage) in &usages.containers {
                rows.push(row(&[
                    pod,
                    name,
                    &usage::millicores(usage.cpu_nanocores),
                    &usage::mebibytes(usage.memory_bytes),
                ]));
            }
        }
        rows
    }

    /// The namespaces of the pods, line by line, in front of these.
    pub(super) fn with_namespaces(&self, rows: Vec<Row>) -> Vec<Row> {
        let names = self.usages.pods.keys();
        let of_pod: BTreeMap<&str, &str> = names.map(|(space, name)| (&**name, &**space)).collect();
        let rows = rows.into_iter();
        rows.map(|words| {
            let namespace = of_pod[&*words[0]].to_owned();
            [vec![namespace], words].concat()
        })
        .collect()
    }

    /// `get nodes.metrics.k8s.io`, below its head.
    pub(super) fn node_table(&self) -> Vec<Row> {
        let rows = self.usages.nodes.iter().map(|(name, usage)| {
            row(&[
                name,
                &usage::nanocores(usage.cpu_nanocores),
                &usage::bytes(usage.memory_bytes),
                &usage::window(usage.over_ms),
            ])
        });
        rows.collect()
    }

    /// `get pods.metrics.k8s.io`, below its head, without the namespaces.
    pub(super) fn pod_table(&self) -> Vec<Row> {
        let list = self.pod_list(|_, _| true);
        let windows = list["items"].as_array().unwrap().iter();
        let rows = self.pods(|_, _| true).zip(windows);
        let rows = rows.map(|(((_, name), pod), item)| {
            let (cpu_nanocores, memory_bytes) = total(pod);
            row(&[
                name,
                &usage::nanocores(cpu_nanocores),
                &usage::bytes(memory_bytes),
                item["window"].as_str().unwrap(),
            ])
        });
        rows.collect()
    }

    /// `get nodes.metrics.k8s.io -o yaml`, without the times of creation.
    pub(super) fn node_yaml(&self) -> String {
        let mut text = "apiVersion: v1\nitems:\n".to_owned();
        for (name, usage) in &self.usages.nodes {
            text.push_str(
                "- apiVersion: metrics.k8s.io/v1beta1\n  kind: NodeMetrics\n  metadata:\n",
            );
            text.push_str("    labels:\n");
            let labels = &object(&self.core.nodes, name)["metadata"]["labels"];
            let labels = labels.as_object().unwrap().iter();
            let labels: BTreeMap<_, _> = labels.collect();
            for (key, value) in labels {
                text.push_str(&format!("      {key}: {}\n", value.as_str().unwrap()));
            }
            let (cpu, memory) = (
                usage::nanocores(usage.cpu_nanocores),
                usage::bytes(usage.memory_bytes),
            );
            let mut swap = usage::bytes(usage.swap_bytes.unwrap());
            // What looks like a number is quoted.
            if swap.bytes().all(|byte| byte.is_ascii_digit()) {
                swap = format!("\"{swap}\"");
            }
            text.push_str(&format!(
                "    name: {name}\n  timestamp: \"{}\"\n  usage:\n    cpu: {cpu}\n    memory: {memory}\n    \
                 swap: {swap}\n  window: {}\n",
                usage::second(usage.time_ms),
                usage::window(usage.over_ms),
            ));
        }
        text.push_str("kind: List\nmetadata:\n  resourceVersion: \"\"\n");
        text
    }
}

fn list(kind: &str, items: &[Value]) -> Value {
    json!({"kind": kind, "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items})
}

fn object<'a>(list: &'a Value, name: &str) -> &'a Value {
    let mut items = list["items"].as_array().unwrap().iter();
    items.find(|item| item["metadata"]["name"] == name).unwrap()
}

fn quantities(usage: &Usage) -> Value {
    let mut quantities = json!({
        "cpu": usage::nanocores(usage.cpu_nanocores),
        "memory": usage::bytes(usage.memory_bytes),
    });
    if let Some(swap_bytes) = usage.swap_bytes {
        quantities["swap"] = usage::bytes(swap_bytes).into();
    }
    quantities
}

/// CPU and memory of all containers.
fn total(pod: &PodUsage) -> (u64, u64) {
    let containers = pod.containers.values();
    containers.fold((0, 0), |(cpu, memory), one| {
        (cpu + one.cpu_nanocores, memory + one.memory_bytes)
    })
}

/// The list without what says when it was asked for.
pub(super) fn timeless(mut list: Value) -> Value {
    for item in list["items"].as_array_mut().unwrap() {
        let created = item["metadata"].as_object_mut().unwrap();
        assert!(created.remove("creationTimestamp").is_some(), "{item}");
    }
    list
}
