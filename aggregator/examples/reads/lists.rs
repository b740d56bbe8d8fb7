//! What lists of metrics.k8s.io cost, in process: no connection, no TLS. What is told of each answer besides
//! depends on its bytes alone, and the clock stands still: two builds that print the same sum answer the same.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use cairn_aggregator::access::{Authenticators, FrontProxy, ProxyHeaders, Rights};
use cairn_aggregator::api::{Api, MetricsApi, Secure, Start, Terms, Wellness, secure_router};
use cairn_aggregator::cluster::{
    Change, Cluster, Container, ContainerState, Known, Node, Phase, Pod,
};
use cairn_aggregator::store::{Door, PackedStore, WireRow};
use cairn_proto::model::{EntityDef, EntityKind};
use cairn_runtime::clock::Clock;
use cairn_runtime::listen::Peer;
use cairn_runtime::readiness::Readiness;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::Supervisor;
use cairn_runtime::tls::{CertificateDer, PeerCertificates, Trust, TrustFiles};
use http_body_util::BodyExt as _;
use rustls_pki_types::pem::PemObject as _;
use testkit::pki::Pki;
use tower_service::Service as _;

use super::fleet::{self, INTERVAL_MS, KEPT_MS, PODS, WINDOW_MS};
use super::say;

/// Enough rows for CPU over the least span, and some more.
const ROWS: usize = 8;

/// Least span of CPU, ms.
const SPAN_MS: u64 = 30_000;

/// Pods of a namespace.
const TOGETHER: usize = 1_000;

/// How long until everything is measured.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A node, which is there once everything has been measured.
const NODE: &str = "/apis/metrics.k8s.io/v1beta1/nodes/node-00000";

/// The lists.
const ALL: &str = "/apis/metrics.k8s.io/v1beta1/pods";
const NAMESPACE: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/ns-0/pods";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Asks so often for each of them, or for one alone, at a cluster of so many nodes.
#[expect(
    clippy::unwrap_used,
    reason = "an answer to a question that has one, or nothing is measured"
)]
pub(crate) fn run(rounds: usize, nodes: usize, alone: Option<&str>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let asker = Asker::of(cluster(nodes), dir.path());
        asker.wait().await;
        for (name, path, accept) in [
            ("json", ALL, "*/*"),
            ("protobuf", ALL, PROTOBUF),
            ("table", ALL, TABLE),
            ("namespace", NAMESPACE, "*/*"),
        ] {
            if alone.is_some_and(|alone| alone != name) {
                continue;
            }
            let mut took = Vec::with_capacity(rounds);
            for _ in 0..rounds.max(1) {
                took.push(asker.ask(path, accept).await);
            }
            let median = |of: fn(&Took) -> Duration| {
                let mut all: Vec<Duration> = took.iter().map(of).collect();
                all.sort_unstable();
                all.get(all.len() / 2).copied().unwrap_or_default()
            };
            let (first, last) = (median(|took| took.first), median(|took| took.last));
            let took = took.pop().unwrap();
            assert_eq!(took.status, 200, "{path}");
            say(&format!(
                "{name:<10} first {first:>10.3?} last {last:>10.3?}, {} bytes, sum {:016x}",
                took.bytes(),
                took.sum()
            ));
        }
    });
}

/// Nodes of the list whose instructions are counted.
const COUNTED_NODES: usize = 20;

/// Asks once for all pods in a form, and says how many they are. What is to be counted happens where the pieces of the
/// list are made.
#[expect(
    clippy::unwrap_used,
    reason = "an answer to a question that has one, or nothing is counted"
)]
pub(crate) fn once(form: &str) {
    let accept = if form == "protobuf" { PROTOBUF } else { "*/*" };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let asker = Asker::of(cluster(COUNTED_NODES), dir.path());
        asker.wait().await;
        let took = asker.ask(ALL, accept).await;
        assert_eq!(took.status, 200, "{form}");
    });
    say(&(COUNTED_NODES * PODS).to_string());
}

/// What one answer took.
struct Took {
    status: u16,
    first: Duration,
    last: Duration,
    parts: Vec<Bytes>,
}

/// Who may see everything, through the front proxy.
struct Asker {
    secure: Secure,
    shown: Arc<PeerCertificates>,
}

impl Asker {
    #[expect(
        clippy::unwrap_used,
        reason = "certificates are good, or nothing is measured"
    )]
    fn of(api: Api, dir: &Path) -> Self {
        let proxies = Pki::new(dir).unwrap().ca("proxies").unwrap();
        let leaf = proxies.leaf("front-proxy-client").client();
        let leaf = leaf.write().unwrap();
        let chain = CertificateDer::pem_file_iter(&leaf.cert_pem).unwrap();
        let shown = Arc::new(PeerCertificates {
            chain: chain.collect::<Result<_, _>>().unwrap(),
        });
        let trust = Trust::load(TrustFiles {
            ca: vec![proxies.cert_pem.clone()],
            ..TrustFiles::default()
        });
        let authenticators = Authenticators {
            front_proxy: Some(FrontProxy {
                trust: trust.unwrap(),
                names: vec!["front-proxy-client".to_owned()],
                headers: vec![ProxyHeaders::default()],
            }),
            ..Authenticators::default()
        };
        let metrics = MetricsApi { api: api.apart() };
        let secure = Secure {
            api,
            metrics,
            authenticators,
            rights: Rights::default(),
            wellness: Wellness {
                readiness: Readiness::new(),
                health: Supervisor::new(Token::new()).health(),
            },
        };
        Self { secure, shown }
    }

    /// Waits until everything has been measured.
    #[expect(
        clippy::disallowed_methods,
        clippy::unwrap_used,
        reason = "a task of its own, in a program that measures"
    )]
    async fn wait(&self) {
        let api = self.secure.metrics.api.clone();
        let (token, readiness) = (Token::new(), Readiness::new());
        let looking = api.terms.start.clone();
        let looking = tokio::spawn(looking.run(api, readiness, token.clone()));
        let answered = async {
            // No list, since what lists cost is what is measured.
            while self.ask(NODE, "*/*").await.status != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let answered = tokio::time::timeout(READY_WITHIN, answered).await;
        answered.unwrap();
        token.cancel();
        looking.await.unwrap().unwrap();
    }

    #[expect(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a benchmark measures real time, of an answer that is read to its end"
    )]
    async fn ask(&self, path: &str, accept: &str) -> Took {
        let address = "192.0.2.1:1".parse().unwrap();
        let request = http::Request::builder()
            .uri(path)
            .header("x-remote-user", "admin")
            .header("x-remote-group", "system:masters")
            .header("accept", accept)
            .extension(Peer {
                addr: address,
                local: address,
                tls: Some(Arc::clone(&self.shown)),
            });
        let request = request.body(Body::empty()).unwrap();
        let mut router = secure_router(self.secure.clone());
        let begun = std::time::Instant::now();
        let response = router.call(request).await.unwrap();
        let status = response.status().as_u16();
        let (mut first, mut parts) = (None, Vec::new());
        let mut body = response.into_body();
        let mut last = begun.elapsed();
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap_or_default();
            last = begun.elapsed();
            first.get_or_insert(last);
            parts.push(data);
        }
        Took {
            status,
            first: first.unwrap_or_default(),
            last,
            parts,
        }
    }
}

impl Took {
    fn bytes(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Of all bytes, wherever they were cut.
    fn sum(&self) -> u64 {
        let bytes = self.parts.iter().flatten();
        bytes.fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// A cluster of so many nodes with 30 pods of 2 containers, mix C, of which each has been measured eight times. A
/// node has pods of thirty namespaces.
#[expect(
    clippy::unwrap_used,
    reason = "generated rows are good, or nothing is measured"
)]
fn cluster(nodes: usize) -> Api {
    let store = PackedStore::new(KEPT_MS, 0);
    let known = Known::default();
    known.set_synced();
    let templates = fleet::templates(nodes.min(fleet::DIFFERENT), ROWS);
    let namespaces = (nodes * PODS).div_ceil(TOGETHER).max(1);
    let mut now_ms = 0;
    for node in 0..nodes {
        let name = node_name(node);
        known.apply(Change::Node(Node {
            name: name.as_str().into(),
            ..Node::default()
        }));
        let ticks = templates.get(node % templates.len()).unwrap();
        let session = store.open(&name, fleet::opening(ticks.first().unwrap().tick_ms));
        for (seq, tick) in (0..).zip(ticks) {
            let defs = own(&tick.defs, node, namespaces);
            for def in &defs {
                store.define(&session, def.clone()).unwrap();
            }
            for pod in defs.iter().filter(|def| def.kind == EntityKind::Pod) {
                known.apply(Change::Pod(object(pod, &defs, &name)));
            }
            now_ms = tick.tick_ms + 100;
            let wire = WireRow {
                seq,
                base_seq: seq.checked_sub(1),
                tick_ms: tick.tick_ms,
                payload: &tick.payload,
                sent_ms: now_ms,
                now_ms,
            };
            store.append(&session, wire).unwrap();
        }
    }
    api(Arc::new(store), Cluster::watched(Arc::new(known)), now_ms)
}

fn node_name(node: usize) -> String {
    format!("node-{node:05}")
}

/// What a node calls its things: no two pods of the cluster have a name or a UID in common.
fn own(defs: &[EntityDef], node: usize, namespaces: usize) -> Vec<EntityDef> {
    let mut pods = 0;
    let own = defs.iter().cloned().map(|mut def| {
        if def.kind == EntityKind::Node {
            def.name = node_name(node);
        } else if def.kind == EntityKind::Pod {
            let rest = def.uid.get(8..).unwrap_or_default();
            def.uid = format!("{node:08x}{rest}");
            def.name = format!("{}-{node:05}", def.name);
            def.namespace = format!("ns-{}", (node * PODS + pods) % namespaces);
            pods += 1;
        }
        def
    });
    own.collect()
}

/// A pod as the Kubernetes API has it.
fn object(pod: &EntityDef, defs: &[EntityDef], node: &str) -> Pod {
    let inner = defs.iter().filter(|def| def.parent == Some(pod.id));
    let inner = inner.filter(|def| def.kind == EntityKind::Container);
    let labels = [
        ("app.kubernetes.io/component", "backend"),
        ("app.kubernetes.io/name", "shop"),
        ("pod-template-hash", "6cb655c9bf"),
        ("tier", "web"),
    ];
    Pod {
        namespace: pod.namespace.as_str().into(),
        name: pod.name.as_str().into(),
        uid: pod.uid.as_str().into(),
        node: node.into(),
        labels: labels
            .map(|(key, value)| (key.into(), value.into()))
            .into_iter()
            .collect(),
        phase: Phase::Running,
        containers: inner
            .map(|def| Container {
                name: def.name.as_str().into(),
                state: ContainerState::Running,
                ..Container::default()
            })
            .collect(),
        ..Pod::default()
    }
}

fn api(store: Arc<dyn Door>, cluster: Cluster, now_ms: u64) -> Api {
    let clock = Clock::driven(now_ms);
    let terms = Terms {
        span_ms: SPAN_MS,
        start: Start::new(&clock, None),
    };
    Api {
        cluster,
        ..Api::alone(store, clock, terms, (INTERVAL_MS, WINDOW_MS))
    }
}
