//! Readers at the HTTPS listener of a real aggregator, known by what a simulated API server says of their
//! tokens: what each sees over HTTP and gRPC, and until when.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityId, Stamp};
use cairn_proto::v1;
use cairn_proto::v1::agent_frame::Kind;
use serde_json::{Value, json};
use testkit::apiserver::{ApiServer, Minted, Permit};
use testkit::deadline::Deadline;
use testkit::http1::{Answer, Target};
use testkit::raw::RawAgent;
use testkit::reader::Reader;
use testkit::system::{Options, System, TRACE_START_MS};
use tokio::runtime::Runtime;
use tonic::{Code, Status};

const SOON: Duration = Duration::from_secs(60);

/// The service account of each reader is their own.
const JANE: &str = "system:serviceaccount:readers:jane";
const OPS: &str = "system:serviceaccount:readers:ops";

const FIELD: &str = "memory_usage_bytes";

/// One node with a pod of namespace `a`, and perhaps one of `b`.
struct Bed {
    server: ApiServer,
    system: System,
    runtime: Runtime,
    _agent: RawAgent,
    _dir: tempfile::TempDir,
}

fn pod(namespace: &str, name: &str) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": name, "uid": format!("uid-of-{name}"),
                     "creationTimestamp": "2026-11-22T07:27:16Z"},
        "spec": {"nodeName": "node1", "containers": [{"name": "app", "resources": {}}]},
        "status": {"phase": "Running"},
    })
}

fn define(id: u32, parent: u32, kind: v1::EntityKind, (namespace, name): (&str, &str)) -> Kind {
    let is_pod = kind == v1::EntityKind::Pod;
    Kind::Define(v1::Define {
        id,
        kind: kind.into(),
        parent,
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        uid: if is_pod {
            format!("uid-of-{name}")
        } else {
            String::new()
        },
        ..v1::Define::default()
    })
}

/// A row in which each of these uses some memory.
fn memory_row(seq: u64, ids: &[u32]) -> Kind {
    let tick_ms = first_tick_ms() + seq * 10_000;
    let mut builder = Builder::default();
    let stamp = Stamp {
        time_ms: tick_ms,
        start_ms: None,
        source: Source::Summary,
    };
    for id in ids {
        builder.value(EntityId(*id), table::MEMORY_USAGE, u64::from(*id) << 20);
        builder.value(EntityId(*id), table::MEMORY_WORKING_SET, 1 << 20);
        builder.stamp(EntityId(*id), Group::Memory, stamp);
    }
    Kind::Row(v1::Row {
        seq,
        base_seq: None,
        tick: tick_ms,
        payload: row::keyframe(DENSE, tick_ms, &builder.build()),
    })
}

fn first_tick_ms() -> u64 {
    TRACE_START_MS / 10_000 * 10_000
}

impl Bed {
    fn start(has_b: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::empty(dir.path()).unwrap();
        let control = server.control();
        control.put("pods", pod("a", "web"));
        if has_b {
            control.put("pods", pod("b", "bank"));
        }
        control.permit(permit(JANE, "pods", "a"));
        control.permit(permit(OPS, "pods", "*"));
        control.permit(permit(OPS, "nodes", "*"));
        let options = Options {
            nodes: Vec::new(),
            guests: vec!["node1".to_owned()],
            extra_aggregator_args: server.flags(),
            ..Options::default()
        };
        let system = System::start(options).unwrap();
        let known = if has_b { 2.0 } else { 1.0 };
        wait(&system, "pods of the watch", || {
            let name = "cairn_aggregator_cluster_objects";
            let found = System::metric(system.aggregator().unwrap(), name, "\"pods\"");
            found.is_ok_and(|found| found >= known)
        });
        let runtime = Runtime::new().unwrap();
        let agent = runtime.block_on(report(&system, has_b));
        let bed = Self {
            server,
            system,
            runtime,
            _agent: agent,
            _dir: dir,
        };
        wait(&bed.system, "the last tick", || {
            let overview = bed.system.overview().unwrap();
            let newest = &overview["nodes"][0]["newest_tick_ms"];
            *newest == first_tick_ms() + 20_000
        });
        bed
    }

    fn addr(&self) -> SocketAddr {
        self.system.aggregator().unwrap().addr("https").unwrap()
    }

    fn ca(&self) -> PathBuf {
        self.system.path("ingest-ca.pem")
    }

    fn token(&self, account: &str) -> String {
        self.minted(account, "cairn", Duration::from_secs(3_600))
    }

    fn minted(&self, account: &str, audience: &str, lifetime: Duration) -> String {
        self.server.control().mint(Minted {
            account: ("readers".to_owned(), account.to_owned()),
            audience: audience.to_owned(),
            pod: None,
            node: None,
            lifetime,
        })
    }

    fn target(&self) -> Target {
        Target::tls(self.addr(), "localhost", &self.ca()).unwrap()
    }

    fn get(&self, token: &str, path: &str) -> Answer {
        self.target().bearer(token).get(path).unwrap()
    }

    fn reader(&self, token: &str) -> Reader {
        let ca = self.ca();
        let known = Reader::known(self.addr(), &ca, token);
        self.runtime.block_on(known).unwrap()
    }
}

fn permit(who: &str, resource: &str, namespace: &str) -> Permit {
    Permit {
        who: who.to_owned(),
        verb: "*".to_owned(),
        group: "metrics.k8s.io".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
    }
}

fn wait(system: &System, what: &str, mut is: impl FnMut() -> bool) {
    let came = Deadline::after(SOON).poll(|| is().then_some(()));
    assert!(came.is_some(), "{what} did not come: {}", system.stderr());
}

/// Three rows of the node.
async fn report(system: &System, has_b: bool) -> RawAgent {
    let aggregator = system.aggregator().unwrap();
    let addr = aggregator.addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let connected = RawAgent::connect(addr, &ca, "agent-token-of-node1", first_tick_ms());
    let mut agent = connected.await.unwrap();
    agent.hello("node1", 1).await.unwrap();
    let mut things = vec![
        define(1, 0, v1::EntityKind::Node, ("", "node1")),
        define(2, 1, v1::EntityKind::System, ("", "kubelet")),
        define(3, 1, v1::EntityKind::Pod, ("a", "web")),
        define(4, 3, v1::EntityKind::Container, ("", "app")),
    ];
    let mut ids = vec![1, 2, 3, 4];
    if has_b {
        things.push(define(5, 1, v1::EntityKind::Pod, ("b", "bank")));
        things.push(define(6, 5, v1::EntityKind::Container, ("", "app")));
        ids.extend([5, 6]);
    }
    agent.send_all(things).await;
    for seq in 0..3 {
        let now_ms = first_tick_ms() + seq * 10_000 + 100;
        aggregator.step(now_ms).unwrap();
        agent.set_clock(now_ms);
        agent.send(memory_row(seq, &ids)).await;
        let name = "cairn_aggregator_store_rows";
        #[expect(clippy::cast_precision_loss, reason = "three")]
        let rows = (seq + 1) as f64;
        wait(system, "a row", || {
            System::metric(aggregator, name, "").is_ok_and(|found| found >= rows)
        });
    }
    agent
}

/// Every kind of question over HTTP whose answer ends.
const QUESTIONS: [&str; 27] = [
    "/",
    "/api/v1/model/debug/allkeys",
    "/api/v1/model/nodes/",
    "/api/v1/model/namespaces/",
    "/api/v1/model/metrics",
    "/api/v1/model/metrics/memory/usage",
    "/api/v1/model/namespaces/a/pods/web/metrics/memory/usage",
    "/api/v1/model/namespaces/a/pod-list/web,bank/metrics/memory/usage",
    "/api/v1/model/namespaces/b/pods",
    "/api/v1/model/namespaces/b/pods/bank/metrics/memory/usage",
    "/api/v1/metric-export",
    "/api/v1/dashboard/namespaces/b/pod-list/bank/metrics/memory/usage",
    "/api/v1/dashboard/nodes/node1/metrics/memory/usage",
    "/api/cairn/v1/overview",
    "/api/cairn/v1/overview?node=node1",
    "/api/cairn/v1/values?node=node1",
    "/api/cairn/v1/range?metric=memory_usage_bytes",
    "/api/cairn/v1/range?metric=memory_usage_bytes&kind=container",
    "/api/cairn/v1/range?metric=memory_usage_bytes&kind=node",
    "/api/cairn/v1/range?metric=memory_usage_bytes&namespace=b",
    "/apis/metrics.k8s.io/v1beta1/nodes",
    "/apis/metrics.k8s.io/v1beta1/pods",
    "/apis/metrics.k8s.io/v1beta1/namespaces/a/pods",
    "/apis/metrics.k8s.io/v1beta1/namespaces/b/pods",
    "/apis/metrics.k8s.io/v1beta1/namespaces/b/pods/bank",
    "/apis",
    "/livez",
];

/// All that an answer says but the time at which it was sent.
fn told(answer: &Answer) -> String {
    let headers = answer.headers.iter().filter(|(name, _)| name != "date");
    let headers: Vec<_> = headers.collect();
    format!("{} {headers:?} {}", answer.status, answer.text())
}

fn selector(kind: v1::EntityKind, namespace: &str) -> Option<v1::Selector> {
    Some(v1::Selector {
        kind: kind.into(),
        namespace: namespace.to_owned(),
        ..v1::Selector::default()
    })
}

/// Every call of the gRPC service, of each kind and namespace, as text: what came or why not.
async fn calls(reader: &mut Reader) -> Vec<String> {
    let mut all = Vec::new();
    let kinds = [
        v1::EntityKind::Pod,
        v1::EntityKind::Container,
        v1::EntityKind::Node,
        v1::EntityKind::System,
    ];
    for (kind, namespace) in kinds
        .into_iter()
        .flat_map(|kind| ["", "a", "b"].map(|namespace| (kind, namespace)))
    {
        let selector = selector(kind, namespace);
        let entities = reader.entities(v1::ListEntitiesRequest {
            selector: selector.clone(),
            all: true,
        });
        all.push(format!("{:?}", entities.await.map_err(|error| why(&error))));
        let latest = reader.latest(v1::LatestRequest {
            selector: selector.clone(),
            fields: vec![FIELD.to_owned()],
        });
        all.push(format!("{:?}", latest.await.map_err(|error| why(&error))));
        let range = reader.range(v1::RangeRequest {
            selector: selector.clone(),
            field: FIELD.to_owned(),
            ..v1::RangeRequest::default()
        });
        all.push(format!("{:?}", range.await.map_err(|error| why(&error))));
        let top = reader.top(v1::TopRequest {
            selector: selector.clone(),
            field: FIELD.to_owned(),
            limit: 0,
        });
        all.push(format!("{:?}", top.await.map_err(|error| why(&error))));
        let watch = reader.watch(v1::WatchRequest {
            selector,
            fields: vec![FIELD.to_owned()],
        });
        let first = match watch.await {
            Ok(mut stream) => stream.message().await.map_err(|status| status.to_string()),
            Err(error) => Err(why(&error)),
        };
        all.push(format!("{first:?}"));
    }
    all
}

fn why(error: &anyhow::Error) -> String {
    error.downcast_ref::<Status>().map_or_else(
        || format!("{error:#}"),
        |status| format!("{:?}: {}", status.code(), status.message()),
    )
}

/// Scenario: the same questions of a reader of namespace `a`, over HTTP and gRPC, to two aggregators, one of
/// which has pods of namespace `b` too.
/// Guarantees: not a byte of any answer differs; what is their own is there.
#[test]
fn a_reader_of_one_namespace_finds_no_byte_that_depends_on_another() {
    let (with, without) = (Bed::start(true), Bed::start(false));
    let (jane, ops) = ("jane", "ops");
    let tokens = [&with, &without].map(|bed| [jane, ops].map(|name| bed.token(name)));
    let mut differing = 0;
    for path in QUESTIONS {
        let one = told(&with.get(&tokens[0][0], path));
        assert_eq!(one, told(&without.get(&tokens[1][0], path)), "{path}");
        assert!(path.contains("bank") || !one.contains("bank"), "{one}");
        let all = told(&with.get(&tokens[0][1], path));
        differing += usize::from(all != told(&without.get(&tokens[1][1], path)));
    }
    assert!(differing >= 10, "{differing}");
    let web = with.get(&tokens[0][0], "/api/v1/model/namespaces/a/pods");
    assert_eq!(web.text(), "[\n  \"web\"\n ]");
    let ask = |bed: &Bed, token: &str| {
        let mut reader = bed.reader(token);
        bed.runtime.block_on(calls(&mut reader))
    };
    let mine = ask(&with, &tokens[0][0]);
    assert_eq!(mine, ask(&without, &tokens[1][0]));
    assert!(mine.iter().any(|answer| answer.contains("web")), "{mine:?}");
    assert!(
        !mine.iter().any(|answer| answer.contains("bank")),
        "{mine:?}"
    );
    let refused = mine
        .iter()
        .filter(|answer| answer.contains("PermissionDenied"));
    assert!(refused.count() >= 15, "{mine:?}");
    let all = ask(&with, &tokens[0][1]);
    assert_ne!(all, ask(&without, &tokens[1][1]));
    assert!(all.iter().any(|answer| answer.contains("bank")), "{all:?}");
}

/// Guarantees: who shows nothing, or what does not hold, is told what to show; who has no right, what to ask
/// for; and whoever says in headers that they are somebody is nobody.
#[test]
fn who_is_not_known_or_has_no_right_sees_nothing() {
    let bed = Bed::start(true);
    let path = "/api/cairn/v1/overview";
    let nobody = bed.target().get(path).unwrap();
    assert_eq!(nobody.status, 401);
    assert!(
        nobody.text().contains("docs/access.md"),
        "{}",
        nobody.text()
    );
    let spoofed = bed
        .target()
        .header("X-Remote-User", "admin")
        .header("X-Remote-Group", "system:masters");
    assert_eq!(told(&spoofed.get(path).unwrap()), told(&nobody));
    let expired = bed.minted("jane", "cairn", Duration::ZERO);
    let elsewhere = bed.minted("jane", "vault", Duration::from_secs(3_600));
    for token in [&*expired, &elsewhere, "made-up"] {
        assert_eq!(bed.get(token, path).status, 401, "{token}");
    }
    let stranger = bed.token("stranger");
    for path in QUESTIONS {
        let answer = bed.get(&stranger, path);
        let is_open = ["/", "/apis", "/livez"].contains(&path);
        assert_eq!(answer.status, if is_open { 200 } else { 403 }, "{path}");
        let is_told = path != "/" && answer.text().contains("web");
        assert!(!is_told, "{path}: {}", answer.text());
    }
    let refused = bed.get(&stranger, path).text();
    assert!(refused.contains("pods"), "{refused}");
    assert!(refused.contains("ask for a role"), "{refused}");
    for (token, code) in [
        (&stranger, Code::PermissionDenied),
        (&expired, Code::Unauthenticated),
    ] {
        let mut reader = bed.reader(token);
        let top = reader.top(v1::TopRequest {
            field: FIELD.to_owned(),
            ..v1::TopRequest::default()
        });
        let refused = bed.runtime.block_on(top).unwrap_err();
        let status = refused.downcast_ref::<Status>().unwrap();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains("docs/access.md"), "{status}");
    }
    // The agents' listener says where readers are served.
    let grpc = bed.system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = bed.ca();
    let known = Reader::known(grpc, &ca, &stranger);
    let mut reader = bed.runtime.block_on(known).unwrap();
    let top = bed.runtime.block_on(reader.top(v1::TopRequest::default()));
    let refused = why(&top.unwrap_err());
    assert!(refused.contains("--https-listen"), "{refused}");
}

/// Scenario: a reader's right is taken away while a page and a watch are open.
/// Guarantees: both are told why, and that is the last they are told; that it takes 70 seconds at most is
/// shown on a clock of its own, beside the code.
#[test]
fn a_revoked_readers_streams_end() {
    let bed = Bed::start(true);
    let token = bed.token("jane");
    let target = bed.target().bearer(&token).within(Duration::from_secs(180));
    let page = thread::spawn(move || target.get("/api/cairn/v1/stream"));
    let mut reader = bed.reader(&token);
    let watch = reader.watch(v1::WatchRequest {
        selector: selector(v1::EntityKind::Pod, ""),
        fields: vec![FIELD.to_owned()],
    });
    let mut watch = bed.runtime.block_on(watch).unwrap();
    let first = bed.runtime.block_on(watch.message()).unwrap();
    assert!(first.is_some());
    wait(&bed.system, "both streams", || {
        let aggregator = bed.system.aggregator().unwrap();
        System::metric(aggregator, "cairn_aggregator_api_streams", "").is_ok_and(|n| n >= 2.0)
    });
    bed.server.control().forbid(&permit(JANE, "pods", "a"));
    let ended = async {
        loop {
            match watch.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a reason"),
                Err(status) => return status,
            }
        }
    };
    let ended = async { tokio::time::timeout(Duration::from_secs(180), ended).await };
    let status = bed.runtime.block_on(ended).expect("the watch goes on");
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    let answer = page.join().unwrap().unwrap();
    let text = answer.text();
    let last = text.rsplit("event: ").next().unwrap();
    assert!(
        last.starts_with("end\n") && last.contains("may not read"),
        "{last}"
    );
}
