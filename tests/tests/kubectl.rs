//! A stock kubectl reads metrics.k8s.io through the API server's front proxy, and sees what the kubelets
//! served. Who is not that front proxy sees nothing.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::front_proxy::{FrontProxy, Identity};
use testkit::http1::Target;
use testkit::system::{Options, SERVICE_HOST, System, at};

const ADMIN: &str = "token-of-admin";
const JANE: &str = "token-of-jane";
const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";

/// The least span of CPU, s.
const SPAN_S: f64 = 20.0;

/// A system whose aggregator believes a front proxy, and that.
struct Cluster {
    system: System,
    identity: Identity,
    served: Vec<Served>,
    _dir: tempfile::TempDir,
}

/// What a kubelet said of one container, or of its node when the pod is empty.
#[derive(Clone, Debug)]
struct Served {
    node: String,
    pod: String,
    container: String,
    time: String,
    used_nanos: u64,
    /// `None` of a start, at which a container has used nothing.
    memory: Option<u64>,
}

impl Cluster {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::new(dir.path()).unwrap();
        let mut args = identity.aggregator_args();
        args.extend(["--metrics-api-window", "20s"].map(str::to_owned));
        let system = System::start(Options {
            extra_aggregator_args: args,
            ..Options::default()
        })
        .unwrap();
        Self {
            system,
            identity,
            served: Vec::new(),
            _dir: dir,
        }
    }

    /// Takes the first ticks of the recording in, and what the kubelets served meanwhile.
    fn run(&mut self) {
        for k in 0..8 {
            self.system.tick(at(k)).unwrap();
            for node in &self.system.nodes {
                let name = &node.name;
                let ca = self
                    .system
                    .path(&format!("kubelet-{name}/{name}-kubelet-ca.pem"));
                let target = Target::tls(node.kubelet.addr("kubelet").unwrap(), name, &ca);
                let target = target.unwrap().bearer(&self.system.options.kubelet_token);
                let summary = target.get("/stats/summary").unwrap();
                let summary: Value = serde_json::from_slice(&summary.body).unwrap();
                self.served.extend(served(&summary));
            }
        }
    }

    fn aggregator(&self) -> std::net::SocketAddr {
        self.system
            .aggregator
            .as_ref()
            .unwrap()
            .addr("https")
            .unwrap()
    }

    fn proxy(&self) -> FrontProxy {
        let ca = self.system.path("ingest-ca.pem");
        FrontProxy::start(&self.identity, self.aggregator(), SERVICE_HOST, &ca).unwrap()
    }

    /// Asks the aggregator past the front proxy.
    fn direct(&self) -> Target {
        let ca = self.system.path("ingest-ca.pem");
        Target::tls(self.aggregator(), SERVICE_HOST, &ca).unwrap()
    }

    fn of<'a>(&'a self, pod: &'a str, container: &'a str) -> impl Iterator<Item = &'a Served> {
        let all = self.served.iter();
        all.filter(move |one| one.pod == pod && one.container == container)
    }

    /// True when this memory was served.
    fn has_memory(&self, pod: &str, container: &str, memory: u64) -> bool {
        self.of(pod, container)
            .any(|one| one.memory == Some(memory))
    }

    /// True when two measurements say this rate, in billionths of a core, by whole seconds.
    fn has_rate(&self, pod: &str, container: &str, nanocores: f64) -> bool {
        let all: Vec<&Served> = self.of(pod, container).collect();
        let pairs = all.iter().flat_map(|a| all.iter().map(move |b| (a, b)));
        let mut rates = pairs.filter_map(|(a, b)| {
            let over_s = seconds(&b.time) - seconds(&a.time);
            let used = b.used_nanos.checked_sub(a.used_nanos)?;
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let used = used as f64;
            (over_s >= a.least_s()).then(|| (used / (over_s + 1.0), used / (over_s - 1.0)))
        });
        // The summary tells whole seconds, and the aggregator may know milliseconds.
        rates.any(|(low, high)| (low - 1.0..=high + 1.0).contains(&nanocores))
    }
}

impl Served {
    /// How far away the later of two measurements must be at least, s: that of a start less, as the
    /// container may be young. A second may be rounded away.
    fn least_s(&self) -> f64 {
        self.memory.map_or(9.0, |_| SPAN_S - 1.0)
    }

    /// Its memory as `kubectl top` prints it.
    fn mebibytes(&self) -> String {
        self.memory
            .map_or_else(String::new, |memory| format!("{}Mi", memory / (1 << 20)))
    }
}

/// What one summary says.
fn served(summary: &Value) -> Vec<Served> {
    let node = summary["node"]["nodeName"].as_str().unwrap();
    let one = |pod: &str, name: &str, stats: &Value| {
        Some(Served {
            node: node.to_owned(),
            pod: pod.to_owned(),
            container: name.to_owned(),
            time: stats["cpu"]["time"].as_str()?.to_owned(),
            used_nanos: stats["cpu"]["usageCoreNanoSeconds"].as_u64()?,
            memory: Some(stats["memory"]["workingSetBytes"].as_u64()?),
        })
    };
    let mut all: Vec<Served> = one("", node, &summary["node"]).into_iter().collect();
    for pod in summary["pods"].as_array().unwrap() {
        let name = pod["podRef"]["name"].as_str().unwrap();
        for container in pod["containers"].as_array().into_iter().flatten() {
            let said = one(name, container["name"].as_str().unwrap(), container);
            let start = said.clone().zip(container["startTime"].as_str());
            all.extend(start.map(|(said, time)| Served {
                time: time.to_owned(),
                used_nanos: 0,
                memory: None,
                ..said
            }));
            all.extend(said);
        }
    }
    all
}

/// Seconds of a day's time.
fn seconds(time: &str) -> f64 {
    let of_day = time.split('T').nth(1).unwrap().trim_end_matches('Z');
    of_day
        .split(':')
        .fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

/// A kubectl with somebody's token.
struct Kubectl {
    binary: PathBuf,
    config: PathBuf,
    home: tempfile::TempDir,
}

impl Kubectl {
    fn of(proxy: &FrontProxy, token: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let binary = root.join(".tools/bin/kubectl");
        assert!(
            binary.exists(),
            "there is no {}: run scripts/deps.sh test",
            binary.display()
        );
        Self {
            binary,
            config: proxy.kubeconfig(token).unwrap(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// What it prints, and whether it is content.
    fn says(&self, args: &[&str]) -> (bool, String, String) {
        let output = Command::new(&self.binary)
            .args(args)
            .arg("--request-timeout=60s")
            .env_clear()
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.config)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    fn run(&self, args: &[&str]) -> String {
        let (ok, out, err) = self.says(args);
        assert!(ok, "kubectl {}: {out}{err}", args.join(" "));
        out
    }

    /// The words of each line below the head, which must be this one.
    fn table(&self, args: &[&str], head: &[&str]) -> Vec<Vec<String>> {
        let out = self.run(args);
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let mut lines = out.lines().map(words);
        assert_eq!(lines.next().unwrap(), head, "{out}");
        lines.collect()
    }
}

/// A quantity in its unit: bytes, or billionths of a core.
fn quantity(text: &str, is_cpu: bool) -> f64 {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(at);
    let number: f64 = number.parse().unwrap();
    number
        * match (suffix, is_cpu) {
            ("n", true) | ("", false) => 1.0,
            ("u", true) => 1e3,
            ("m", true) => 1e6,
            ("", true) => 1e9,
            ("Ki", false) => 1024.0,
            ("Mi", false) => 1024.0 * 1024.0,
            ("Gi", false) => 1024.0 * 1024.0 * 1024.0,
            other => panic!("{other:?} in {text}"),
        }
}

/// Holds a usage against what was served.
fn holds(cluster: &Cluster, pod: &str, container: &str, usage: &Value) {
    let memory = quantity(usage["memory"].as_str().unwrap(), false);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of bytes"
    )]
    let memory = memory as u64;
    let told: Vec<&Served> = cluster.of(pod, container).collect();
    assert!(
        cluster.has_memory(pod, container, memory),
        "{pod} {container} {usage}: {told:?}"
    );
    let cpu = quantity(usage["cpu"].as_str().unwrap(), true);
    assert!(
        cluster.has_rate(pod, container, cpu),
        "{pod} {container} {usage}: {told:?}"
    );
}

#[test]
fn kubectl_shows_what_the_kubelets_served() {
    let mut cluster = Cluster::start();
    let proxy = cluster.proxy();
    let kubectl = Kubectl::of(&proxy, ADMIN);
    // Discovery needs no data.
    let resources = kubectl.run(&["api-resources", "--api-group=metrics.k8s.io"]);
    for kind in ["NodeMetrics", "PodMetrics"] {
        assert!(resources.contains(kind), "{resources}");
    }
    // Nor does what objects look like.
    let version = "--api-version=metrics.k8s.io/v1beta1";
    for (what, parts) in [
        (
            "nodes",
            &["KIND:       NodeMetrics", "usage", "window", "-required-"][..],
        ),
        (
            "pods.containers",
            &["The name of the container in its pod.", "usage"],
        ),
    ] {
        let explained = kubectl.run(&["explain", what, version]);
        let missing = parts.iter().find(|part| !explained.contains(**part));
        assert_eq!(missing, None, "{explained}");
    }
    cluster.run();
    objects(&cluster, &kubectl);
    tables(&cluster, &kubectl);
    // Who may not is told so, and not by kubectl alone.
    let jane = Kubectl::of(&proxy, JANE);
    let (ok, _, err) = jane.says(&["top", "pods", "-n", "shop"]);
    let why = "User \"jane\" cannot list resource \"pods\" in API group \"metrics.k8s.io\" in the \
               namespace \"shop\"";
    assert!(!ok && err.contains(why), "{err}");
    assert!(jane.run(&["get", "--raw", ROOT]).contains("\"PodMetrics\""));
}

/// Every object of both lists.
fn objects(cluster: &Cluster, kubectl: &Kubectl) {
    let nodes: Value =
        serde_json::from_str(&kubectl.run(&["get", "--raw", &format!("{ROOT}/nodes")])).unwrap();
    let names: Vec<&str> = nodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let name = node["metadata"]["name"].as_str().unwrap();
            holds(cluster, "", name, &node["usage"]);
            name
        })
        .collect();
    assert_eq!(names, ["node1", "node2"]);
    let raw = kubectl.run(&["get", "--raw", &format!("{ROOT}/namespaces/shop/pods")]);
    let pods: Value = serde_json::from_str(&raw).unwrap();
    let mut count = 0;
    for pod in pods["items"].as_array().unwrap() {
        let name = pod["metadata"]["name"].as_str().unwrap();
        for container in pod["containers"].as_array().unwrap() {
            holds(
                cluster,
                name,
                container["name"].as_str().unwrap(),
                &container["usage"],
            );
            count += 1;
        }
    }
    assert!(count >= 4, "{raw}");
    let yaml = kubectl.run(&["get", "nodes.metrics.k8s.io", "node1", "-o", "yaml"]);
    let memory = nodes["items"][0]["usage"]["memory"].as_str().unwrap();
    for part in [
        "apiVersion: metrics.k8s.io/v1beta1",
        "kind: NodeMetrics",
        "name: node1",
        memory,
    ] {
        assert!(yaml.contains(part), "{part} is not in:\n{yaml}");
    }
    let (ok, _, err) = kubectl.says(&["get", "nodes.metrics.k8s.io", "none"]);
    assert!(!ok && err.contains("node \"none\" not found"), "{err}");
}

/// What people read.
fn tables(cluster: &Cluster, kubectl: &Kubectl) {
    let head = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
    let nodes = kubectl.table(&["top", "nodes"], &head);
    assert_eq!((nodes.len(), nodes[0].len()), (2, head.len()), "{nodes:?}");
    for node in &nodes {
        let is_served = cluster
            .of("", &node[0])
            .any(|one| one.node == node[0] && node[3] == one.mebibytes());
        assert!(is_served, "{node:?}");
    }
    let head = ["NAMESPACE", "POD", "NAME", "CPU(cores)", "MEMORY(bytes)"];
    let containers = kubectl.table(&["top", "pods", "-A", "--containers"], &head);
    assert!(containers.len() >= 4, "{containers:?}");
    for row in &containers {
        let mut served = cluster.of(&row[1], &row[2]);
        let is_served = served.any(|one| row[4] == one.mebibytes());
        assert!(is_served, "{row:?}");
    }
    // Labels come with the watched cluster; without one nothing has any.
    let (_, out, err) = kubectl.says(&["top", "pod", "-n", "shop", "-l", "app=web"]);
    assert!(out.is_empty() && !err.is_empty(), "{out}{err}");
    let head = ["NAME", "CPU(cores)", "MEMORY(bytes)"];
    let unlabeled = kubectl.table(&["top", "pod", "-n", "shop", "-l", "app!=web"], &head);
    let pods = kubectl.table(&["top", "pod", "-n", "shop"], &head);
    assert_eq!(unlabeled, pods);
    let head = ["NAMESPACE", "NAME", "CPU", "MEMORY", "WINDOW"];
    let table = kubectl.table(&["get", "pods.metrics.k8s.io", "-A"], &head);
    assert!(
        table.len() >= pods.len() && table.iter().all(|row| row.len() == head.len()),
        "{table:?}"
    );
    let one = format!("--field-selector=metadata.name={}", pods[0][0]);
    let selected = kubectl.table(&["get", "pods.metrics.k8s.io", "-A", &one], &head);
    assert_eq!((selected.len(), &selected[0][1]), (1, &pods[0][0]));
}

#[test]
fn who_is_not_the_front_proxy_sees_nothing() {
    let mut cluster = Cluster::start();
    let path = format!("{ROOT}/nodes");
    let forbidden = "nodes.metrics.k8s.io is forbidden: User \\\"system:anonymous\\\" cannot list \
                     resource \\\"nodes\\\" in API group \\\"metrics.k8s.io\\\" at the cluster scope";
    let spoofed = cluster
        .direct()
        .header("X-Remote-User", "kubernetes-admin")
        .header("X-Remote-Group", "system:masters");
    for target in [cluster.direct(), spoofed] {
        let answer = target.get(&path).unwrap();
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains(forbidden), "{}", answer.text());
    }
    let token = cluster.direct().bearer("abc").get(&path).unwrap();
    assert_eq!(
        (token.status, token.text().contains("\"Unauthorized\"")),
        (401, true)
    );
    // Probes are for everybody.
    assert_eq!(cluster.direct().get("/livez").unwrap().text(), "ok");
    // More than a listener takes of headers ends that request alone.
    let long = "x".repeat(8 * 1024);
    let mut bomb = cluster.direct();
    for _ in 0..8 {
        bomb = bomb.header("X-Remote-Group", &long);
    }
    if let Ok(answer) = bomb.get("/livez") {
        assert_eq!(answer.status, 431, "{}", answer.text());
    }
    let mut bomb = cluster.direct();
    for n in 0..500 {
        bomb = bomb.header(&format!("X-Remote-Extra-{n}"), "x");
    }
    if let Ok(answer) = bomb.get(&path) {
        assert!([403, 431].contains(&answer.status), "{}", answer.text());
    }
    assert_eq!(cluster.direct().get("/livez").unwrap().text(), "ok");
    // A certificate of another CA, and one of the right CA under another name.
    let pki = testkit::pki::Pki::new(cluster.identity.client.cert_pem.parent().unwrap()).unwrap();
    let other = pki.ca("other-ca").unwrap();
    let leaf = other
        .leaf("other")
        .common_name("front-proxy-client")
        .client();
    let named = cluster
        .identity
        .proxies
        .leaf("named")
        .common_name("somebody")
        .client();
    for client in [leaf.write().unwrap(), named.write().unwrap()] {
        cluster.identity.client = client;
        let proxy = cluster.proxy();
        let (ok, _, err) = Kubectl::of(&proxy, ADMIN).says(&["get", "--raw", &path]);
        assert!(!ok && err.contains("Unauthorized"), "{err}");
    }
}
