//! An API server that is away for ten minutes, as the aggregator's clock has it: what goes on, what is closed,
//! and that all is well again by itself.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use cairn_proto::v1;
use cairn_proto::v1::agent_frame::Kind;
use serde_json::{Value, json};
use testkit::apiserver::{ApiServer, Minted, Permit, Signer};
use testkit::deadline::Deadline;
use testkit::front_proxy::{Core, FrontProxy, Identity};
use testkit::http1::{Answer, Target};
use testkit::raw::RawAgent;
use testkit::system::{Options, SERVICE_HOST, System, at};
use tokio::runtime::Runtime;
use tonic::Code;

const SOON: Duration = Duration::from_secs(60);

const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
const DISCOVERY: [&str; 2] = ["/apis/metrics.k8s.io", "/apis/metrics.k8s.io/v1beta1"];

/// Ticks of ten minutes.
const AWAY_TICKS: u64 = 60;

/// Ticks with the API server there.
const BEFORE: u64 = 4;

struct Bed {
    system: System,
    server: ApiServer,
    signer: Signer,
    proxy: FrontProxy,
    identity: Identity,
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

fn agent_pod(node: &str) -> Value {
    let name = format!("agent-of-{node}");
    json!({
        "metadata": {"namespace": "cairn", "name": name, "uid": format!("uid-of-{name}"),
                     "creationTimestamp": "2026-11-22T07:27:16Z"},
        "spec": {"nodeName": node, "serviceAccountName": "cairn-agent",
                 "containers": [{"name": "agent", "resources": {}}]},
        "status": {"phase": "Running"},
    })
}

impl Bed {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::start(dir.path()).unwrap();
        let signer = Signer::new("key-1").unwrap();
        signer.publish(&server);
        let control = server.control();
        control.put("pods", agent_pod("node1"));
        for reader in ["jane", "late"] {
            control.permit(Permit {
                who: format!("system:serviceaccount:readers:{reader}"),
                verb: "*".to_owned(),
                group: "metrics.k8s.io".to_owned(),
                resource: "nodes".to_owned(),
                namespace: "*".to_owned(),
            });
        }
        let identity = Identity::new(dir.path()).unwrap();
        let mut args = server.flags();
        args.extend(identity.aggregator_args());
        // What no flag says is asked of the API server.
        let clients = identity.server_ca.cert_pem.display().to_string();
        for arg in [
            "--client-ca-file",
            &clients,
            "--ingest-auth",
            "token-review",
            "--agent-service-account",
            "cairn/cairn-agent",
            "--peer-service-account",
            "cairn/cairn-aggregator",
            "--metrics-api-window",
            "20s",
        ] {
            args.push(arg.to_owned());
        }
        let system = System::start(Options {
            extra_aggregator_args: args,
            ..Options::one_node()
        });
        let system = system.unwrap();
        let https = system.aggregator().unwrap().addr("https").unwrap();
        let ca = system.path("ingest-ca.pem");
        let core = Core::recorded().unwrap();
        let proxy = FrontProxy::start(&identity, https, (SERVICE_HOST, &*ca), core).unwrap();
        let bed = Self {
            system,
            server,
            signer,
            proxy,
            identity,
            runtime: Runtime::new().unwrap(),
            _dir: dir,
        };
        // The agent reads it when it comes back.
        let minted = Minted::of_pod(&agent_pod("node1"), "cairn-aggregator");
        let token = bed.signer.mint(bed.server.control(), minted).unwrap();
        std::fs::write(bed.system.path("node1.token"), token).unwrap();
        bed.system.step(at(0)).unwrap();
        bed.system.arrived(at(0), SOON).unwrap();
        (1..BEFORE).for_each(|k| bed.system.tick(at(k)).unwrap());
        bed.wait("metrics", || bed.as_admin(NODES).status == 200);
        // An agent whose node says nothing would have been waited for.
        let before = bed.objects();
        bed.server.control().put("pods", agent_pod("node2"));
        bed.wait("second pod", || bed.objects() == before + 1);
        bed
    }

    fn wait(&self, what: &str, mut is: impl FnMut() -> bool) {
        let came = Deadline::after(SOON).poll(|| is().then_some(()));
        assert!(came.is_some(), "no {what}: {}", self.system.stderr());
    }

    /// Through the front proxy, as a member of `system:masters` or as somebody else.
    fn through(&self, token: &str, path: &str) -> Answer {
        let ca = &self.identity.server_ca.cert_pem;
        let target = Target::tls(self.proxy.addr, "127.0.0.1", ca).unwrap();
        target.bearer(token).get(path).unwrap()
    }

    fn as_admin(&self, path: &str) -> Answer {
        self.through("token-of-admin", path)
    }

    fn token_of(&self, reader: &str) -> String {
        self.server.control().mint(Minted {
            account: ("readers".to_owned(), reader.to_owned()),
            audience: "cairn".to_owned(),
            pod: None,
            node: None,
            lifetime: Duration::from_secs(3_600),
        })
    }

    /// Past the front proxy, by a token; its status.
    fn by_token(&self, token: &str) -> u16 {
        let addr = self.system.aggregator().unwrap().addr("https").unwrap();
        let ca = self.system.path("ingest-ca.pem");
        let target = Target::tls(addr, "localhost", &ca).unwrap();
        target.bearer(token).get(NODES).unwrap().status
    }

    /// When the node's figures were measured, as they are served.
    fn measured(&self) -> String {
        let answer = self.as_admin(NODES);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let list: Value = serde_json::from_slice(&answer.body).unwrap();
        let items = list["items"].as_array().unwrap();
        let node1 = items
            .iter()
            .find(|item| item["metadata"]["name"] == "node1");
        node1.unwrap()["timestamp"].as_str().unwrap().to_owned()
    }

    fn objects(&self) -> u64 {
        let aggregator = self.system.aggregator().unwrap();
        System::of_aggregator(aggregator, "cluster_objects", "\"pods\"").unwrap()
    }

    fn readyz(&self) -> (u16, String) {
        let aggregator = self.system.aggregator().unwrap();
        let answer = aggregator.get("admin", "/readyz?verbose").unwrap();
        (answer.status, answer.text())
    }

    /// A stream of node2 whose token says of itself that it ends after five minutes.
    async fn short_lived(&self) -> RawAgent {
        let minted = Minted::of_pod(&agent_pod("node2"), "cairn-aggregator");
        let ends_s = at(BEFORE) / 1_000 + 300;
        let token = self.signer.sign_until(&minted, ends_s).unwrap();
        self.server.control().know(&token, minted);
        let addr = self.system.aggregator().unwrap().addr("grpc").unwrap();
        let ca = self.system.path("ingest-ca.pem");
        let connected = RawAgent::connect(addr, &ca, &token, at(BEFORE)).await;
        let mut agent = connected.unwrap();
        agent.hello("node2", 1).await.unwrap();
        agent
    }
}

/// Scenario: the API server goes away for ten minutes of the aggregator's clock, with an agent streaming, a
/// stream whose token ends after five, an administrator behind the front proxy, a reader whose token was
/// just reviewed and one whose was not.
/// Guarantees: what is kept of a review is served for as long as it is kept, and then refused; whom nothing is
/// kept of is refused at once; who needs no review is served newer figures at every minute, and discovery
/// answers; the agent's stream goes on with a row at every tick, and the other one ends with its token; the
/// aggregator stays ready. When the API server is back the reader is served and the watch goes on, without
/// anybody's help.
#[test]
fn ten_minutes_without_the_api_server_close_what_is_new_and_nothing_else() {
    let bed = Bed::start();
    let short_lived = bed.runtime.block_on(bed.short_lived());
    let (jane, late) = (bed.token_of("jane"), bed.token_of("late"));
    let (objects, ends) = (
        bed.objects(),
        bed.system.of_agent("uplink_ends_total").unwrap(),
    );
    assert_eq!(bed.by_token(&jane), 200);
    bed.server.go_away();
    assert_eq!(bed.by_token(&jane), 200, "what is kept goes on");
    let is_closed = |status: u16| matches!(status, 401 | 503);
    assert!(is_closed(bed.by_token(&late)));
    bed.wait("end of what is kept", || is_closed(bed.by_token(&jane)));

    let mut measured = bed.measured();
    for k in BEFORE..BEFORE + AWAY_TICKS {
        bed.system.tick(at(k)).unwrap();
        if k % 6 != 0 {
            continue;
        }
        let now = bed.measured();
        assert!(now > measured, "{now} after {measured}");
        measured = now;
        for path in DISCOVERY {
            assert_eq!(bed.as_admin(path).status, 200, "{path}");
            assert_eq!(bed.through("token-of-jane", path).status, 200, "{path}");
        }
        assert!(is_closed(bed.by_token(&jane)) && is_closed(bed.by_token(&late)));
    }
    assert_eq!(bed.readyz().0, 200);
    assert!(bed.readyz().1.contains("[!]cluster pods: "));
    assert_eq!(bed.system.of_agent("uplink_ends_total").unwrap(), ends);
    let rows = bed.system.of_agent("ring_dropped_rows_total").unwrap();
    assert_eq!(rows, 0);
    let ended = bed.runtime.block_on(async {
        let harmless = v1::SourceStatus::default();
        short_lived.send(Kind::SourceStatus(harmless)).await;
        short_lived.end().await.unwrap()
    });
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    assert!(ended.message().contains("expired"), "{ended}");

    bed.server.control().put(
        "pods",
        json!({
            "metadata": {"namespace": "shop", "name": "meanwhile", "uid": "uid-meanwhile",
                         "creationTimestamp": "2026-11-22T07:27:16Z"},
            "spec": {"nodeName": "node1", "containers": [{"name": "app", "resources": {}}]},
            "status": {"phase": "Running"},
        }),
    );
    bed.server.come_back();
    bed.wait("answer to jane", || bed.by_token(&jane) == 200);
    bed.wait("answer to the other", || bed.by_token(&late) == 200);
    bed.wait("pod of meanwhile", || bed.objects() == objects + 1);
    bed.wait("end of the note", || !bed.readyz().1.contains("[!]cluster"));
    bed.system.tick(at(BEFORE + AWAY_TICKS)).unwrap();
    assert_eq!(bed.system.of_agent("uplink_ends_total").unwrap(), ends);
}
