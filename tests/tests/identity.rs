//! Agents that are known by the tokens of their pods, against a simulated API server: who is taken, for which
//! node, and which pods it may report.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::PathBuf;
use std::time::Duration;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityId, Stamp};
use cairn_proto::v1;
use cairn_proto::v1::agent_frame::Kind;
use serde_json::{Value, json};
use testkit::apiserver::{ApiServer, Minted, Signer};
use testkit::deadline::Deadline;
use testkit::raw::RawAgent;
use testkit::system::{Options, System, TRACE_START_MS};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tonic::Code;

const SOON: Duration = Duration::from_secs(30);

const AUDIENCE: &str = "cairn-aggregator";

struct Bed {
    server: ApiServer,
    system: System,
    signer: Signer,
    _dir: tempfile::TempDir,
}

/// A pod of the `cairn` namespace that runs as this account.
fn agent_pod(name: &str, account: &str, node: &str) -> Value {
    json!({
        "metadata": {"namespace": "cairn", "name": name, "uid": format!("uid-of-{name}"),
                     "creationTimestamp": "2026-11-22T07:27:16Z"},
        "spec": {"nodeName": node, "serviceAccountName": account,
                 "containers": [{"name": "agent", "resources": {}}]},
        "status": {"phase": "Running"},
    })
}

fn shop_pod(name: &str, uid: &str, node: &str) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "uid": uid,
                     "creationTimestamp": "2026-11-22T07:27:16Z"},
        "spec": {"nodeName": node, "containers": [{"name": "app", "resources": {}}]},
        "status": {"phase": "Running"},
    })
}

impl Bed {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::empty(dir.path()).unwrap();
        let signer = Signer::new("key-1").unwrap();
        signer.publish(&server);
        for node in ["node1", "node2"] {
            let pod = agent_pod(&format!("agent-of-{node}"), "cairn-agent", node);
            server.control().put("pods", pod);
        }
        let mut args = server.flags();
        for arg in [
            "--ingest-auth",
            "token-review",
            "--agent-service-account",
            "cairn/cairn-agent",
            "--peer-service-account",
            "cairn/cairn-aggregator",
        ] {
            args.push(arg.to_owned());
        }
        let options = Options {
            nodes: Vec::new(),
            extra_aggregator_args: args,
            ..Options::default()
        };
        let bed = Self {
            system: System::start(options).unwrap(),
            server,
            signer,
            _dir: dir,
        };
        bed.wait_until_known(2.0);
        bed
    }

    /// Waits until the watch has so many pods.
    fn wait_until_known(&self, pods: f64) {
        let name = "cairn_aggregator_cluster_objects";
        let known = Deadline::after(SOON).poll(|| {
            let known = System::metric(self.system.aggregator().unwrap(), name, "\"pods\"");
            (known.ok()? >= pods).then_some(())
        });
        assert!(known.is_some(), "{}", self.system.stderr());
    }

    fn token_of(&self, pod: &str) -> Minted {
        let pod = self.server.control().get("pods", "cairn", pod).unwrap();
        Minted::of_pod(&pod, AUDIENCE)
    }

    fn mint(&self, minted: Minted) -> String {
        self.signer.mint(self.server.control(), minted).unwrap()
    }

    async fn connect(&self, token: &str) -> anyhow::Result<RawAgent> {
        let addr = self.system.aggregator().unwrap().addr("grpc").unwrap();
        let ca: PathBuf = self.system.path("ingest-ca.pem");
        RawAgent::connect(addr, &ca, token, TRACE_START_MS).await
    }

    /// The agent of node1, with its stream open.
    async fn agent(&self) -> RawAgent {
        let token = self.mint(self.token_of("agent-of-node1"));
        let mut agent = self.connect(&token).await.unwrap();
        agent.hello("node1", 1).await.unwrap();
        let node = define(1, v1::EntityKind::Node, ("", "node1", ""));
        agent.send(node).await;
        agent
    }

    /// Names of the pods that are shown.
    fn pods(&self) -> Vec<String> {
        let path = "/api/cairn/v1/range?metric=memory_usage_bytes&kind=pod";
        let answer = self.system.json(path).unwrap();
        let series = answer["series"].as_array().unwrap().iter();
        let mut names: Vec<String> = series
            .map(|one| one["pod"].as_str().unwrap_or_default().to_owned())
            .collect();
        names.sort_unstable();
        names
    }

    fn wait_for_pods(&self, expected: &[&str]) {
        let came = Deadline::after(SOON).poll(|| (self.pods() == expected).then_some(()));
        assert!(came.is_some(), "{:?} {}", self.pods(), self.system.stderr());
    }

    fn misplaced(&self, reason: &str) -> u64 {
        let name = "cairn_aggregator_ingest_misplaced_entities_total";
        let labels = format!("\"{reason}\"");
        System::count(self.system.aggregator().unwrap(), name, &labels).unwrap()
    }
}

fn define(id: u32, kind: v1::EntityKind, (namespace, name, uid): (&str, &str, &str)) -> Kind {
    Kind::Define(v1::Define {
        id,
        kind: kind.into(),
        parent: u32::from(id > 1),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        uid: uid.to_owned(),
        ..v1::Define::default()
    })
}

/// A row in which each of these uses some memory.
fn memory_row(seq: u64, ids: &[u32]) -> Kind {
    let tick_ms = TRACE_START_MS / 10_000 * 10_000 + seq * 10_000;
    let mut builder = Builder::default();
    let stamp = Stamp {
        time_ms: tick_ms,
        start_ms: None,
        source: Source::Summary,
    };
    for id in ids {
        builder.value(EntityId(*id), table::MEMORY_USAGE, u64::from(*id) << 20);
        builder.stamp(EntityId(*id), Group::Memory, stamp);
    }
    Kind::Row(v1::Row {
        seq,
        base_seq: None,
        tick: tick_ms,
        payload: row::keyframe(DENSE, tick_ms, &builder.build()),
    })
}

/// Guarantees: a token is taken that the cluster signed for an agent's pod, for the node of that pod alone;
/// every other is refused, with what to look at.
#[test]
fn whoever_is_not_the_agent_of_a_node_is_refused() {
    // The API server ends outside of a runtime.
    let bed = Bed::start();
    Runtime::new().unwrap().block_on(refuses(&bed));
}

async fn refuses(bed: &Bed) {
    let control = bed.server.control();
    control.put("pods", agent_pod("impostor", "other", "node1"));
    let good = bed.token_of("agent-of-node1");
    let elsewhere = Signer::new("key-1").unwrap();
    let unknown = Signer::new("key-9").unwrap();
    let in_shop = ("shop".to_owned(), "cairn-agent".to_owned());
    let cases = [
        (
            "audience",
            bed.mint(Minted {
                audience: "vault".to_owned(),
                ..good.clone()
            }),
        ),
        ("service account", bed.mint(bed.token_of("impostor"))),
        (
            "service account",
            bed.mint(Minted {
                account: in_shop,
                ..good.clone()
            }),
        ),
        (
            "not bound to a pod",
            bed.mint(Minted {
                pod: None,
                ..good.clone()
            }),
        ),
        ("not signed by this cluster", elsewhere.sign(&good).unwrap()),
        ("does not know the token", unknown.sign(&good).unwrap()),
        ("no service account", "opaque".to_owned()),
    ];
    for (why, token) in cases {
        let refused = bed.connect(&token).await.map(drop).unwrap_err();
        let status = refused.downcast_ref::<tonic::Status>().unwrap();
        assert_eq!(status.code(), Code::Unauthenticated, "{why}: {status}");
        let told = status.message();
        let found = why.split(' ').all(|word| told.contains(word));
        assert!(found, "{why}: {told}");
    }
    let token = bed.mint(good);
    let mut agent = bed.connect(&token).await.unwrap();
    let refused = agent.hello("node2", 1).await.unwrap_err().to_string();
    assert!(refused.contains("node2"), "{refused}");
    bed.agent().await;
}

/// Guarantees: of what an agent names, pods are shown that the cluster places on its node, and no other, at
/// any tick; one that the watch hears of later is shown then.
#[test]
fn an_agent_reports_the_pods_of_its_own_node_alone() {
    // The API server ends outside of a runtime.
    let bed = Bed::start();
    Runtime::new().unwrap().block_on(places(&bed));
}

async fn places(bed: &Bed) {
    let control = bed.server.control();
    for (name, uid, node) in [
        ("web", "uid-web", "node1"),
        ("db", "uid-db", "node2"),
        ("taken", "uid-taken", "node2"),
    ] {
        control.put("pods", shop_pod(name, uid, node));
    }
    let pods = [
        ("web", "uid-web"),
        ("db", "uid-db"),
        ("taken", "uid-forged"),
        ("late", "uid-late"),
    ];
    let agent = bed.agent().await;
    // The watch has them before they are named.
    bed.wait_until_known(5.0);
    for (id, (name, uid)) in (2..).zip(pods) {
        agent
            .send(define(id, v1::EntityKind::Pod, ("shop", name, uid)))
            .await;
    }
    let at = TRACE_START_MS / 10_000 * 10_000;
    for seq in 0..3 {
        bed.system
            .aggregator()
            .unwrap()
            .step(at + seq * 10_000 + 100)
            .unwrap();
        agent.send(memory_row(seq, &[1, 2, 3, 4, 5])).await;
        bed.wait_for_pods(&["web"]);
    }
    assert_eq!(bed.misplaced("elsewhere"), 1);
    control.put("pods", shop_pod("late", "uid-late", "node1"));
    bed.wait_until_known(6.0);
    bed.system.aggregator().unwrap().step(at + 30_100).unwrap();
    agent.send(memory_row(3, &[1, 2, 3, 4, 5])).await;
    bed.wait_for_pods(&["late", "web"]);
}

/// Guarantees: with the API server away an agent is taken whose token the cluster's keys know; once it is
/// back, a token that was taken and is not known there ends, and so does one whose pod is gone.
#[test]
fn agents_come_back_without_the_api_server_and_end_with_their_pods() {
    // The API server ends outside of a runtime.
    let bed = Bed::start();
    Runtime::new().unwrap().block_on(goes_on(&bed));
}

async fn goes_on(bed: &Bed) {
    drop(bed.agent().await);
    bed.server.go_away();
    let mut agent = bed.agent().await;
    let forged = bed.signer.sign(&bed.token_of("agent-of-node2")).unwrap();
    let mut unconfirmed = bed.connect(&forged).await.unwrap();
    unconfirmed.hello("node2", 1).await.unwrap();
    bed.server.come_back();
    assert!(
        bed.server
            .control()
            .delete("pods", "cairn", "agent-of-node1")
    );
    for stream in [&mut agent, &mut unconfirmed] {
        let deadline = Deadline::after(2 * SOON);
        let status = loop {
            let harmless = v1::SourceStatus::default();
            stream.send(Kind::SourceStatus(harmless)).await;
            match timeout(Duration::from_millis(200), stream.receive()).await {
                Ok(Err(status)) => break status,
                _ => assert!(deadline.left().is_some(), "{}", bed.system.stderr()),
            }
        };
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        let told = status.message();
        // Whether the watch or the review was first.
        assert!(
            told.contains("pod is gone") || told.contains("does not know"),
            "{told}"
        );
    }
}
