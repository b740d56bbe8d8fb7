//! Agents that are known by client certificates (`--ingest-auth mtls`), of a CA that signs for them alone.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_proto::v1::Gap;
use cairn_proto::v1::agent_frame::Kind;
use cairn_runtime::tls::ClientIdentity;
use serde_json::json;
use testkit::apiserver::ApiServer;
use testkit::deadline::Deadline;
use testkit::pki::{Ca, Leaf, Pki, Validity};
use testkit::proc::Proc;
use testkit::raw::RawAgent;
use testkit::system::{Options, System, TRACE_START_MS, at};
use tokio::runtime::Runtime;
use tonic::{Code, Status};

const SOON: Duration = Duration::from_secs(30);

/// Where the API server says by which CAs its clients are known.
const PUBLISHED: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

/// After the end of every good certificate of the kit: the year 2050.
const AFTER_ALL_MS: u64 = 2_524_700_000_000;

/// An aggregator that knows agents by certificates of one CA.
struct Bed {
    system: System,
    pki: Pki,
    agents: Ca,
    dir: tempfile::TempDir,
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A node's certificate, `NAME.pem` and `NAME.key`.
fn of_node(ca: &Ca, file: &str, node: &str) -> Leaf {
    ca.leaf(file).client().dns(&[node]).write().unwrap()
}

impl Bed {
    fn start(nodes: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(dir.path()).unwrap();
        let agents = pki.ca("agents-ca").unwrap();
        Self::of((dir, pki, agents), nodes, &[])
    }

    fn of(
        (dir, pki, agents): (tempfile::TempDir, Pki, Ca),
        nodes: &[&str],
        more: &[String],
    ) -> Self {
        let leaf = of_node(&agents, "agent", "node1");
        let mtls = ["--ingest-auth", "mtls", "--ingest-client-ca"].map(str::to_owned);
        let client = [
            "--aggregator-client-cert",
            &path(&leaf.cert_pem),
            "--aggregator-client-key",
            &path(&leaf.key_pem),
        ]
        .map(str::to_owned);
        let options = Options {
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            extra_aggregator_args: mtls
                .into_iter()
                .chain([path(&agents.cert_pem)])
                .chain(more.iter().cloned())
                .collect(),
            extra_agent_args: client.to_vec(),
            ..Options::default()
        };
        Self {
            system: System::start(options).unwrap(),
            pki,
            agents,
            dir,
        }
    }

    fn aggregator(&self) -> &Proc {
        self.system.aggregator().unwrap()
    }

    async fn connect(&self, leaf: &Leaf) -> anyhow::Result<RawAgent> {
        let addr = self.aggregator().addr("grpc").unwrap();
        let client: Arc<ClientIdentity> = ClientIdentity::load(&leaf.cert_pem, &leaf.key_pem)?;
        let ca = self.system.path("ingest-ca.pem");
        RawAgent::certified(addr, &ca, &client, TRACE_START_MS).await
    }

    /// Trusts another file of CAs for agents, and waits until it is in use.
    fn replace_ca(&self, file: &Path) {
        let changed = || {
            let said = self.aggregator().stderr();
            said.matches("certificate files changed").count()
        };
        let before = changed();
        std::fs::copy(file, self.dir.path().join("fresh")).unwrap();
        std::fs::rename(self.dir.path().join("fresh"), &self.agents.cert_pem).unwrap();
        let read = || (changed() > before).then_some(());
        let came = Deadline::after(SOON).poll(read);
        assert!(came.is_some(), "{}", self.system.stderr());
    }

    fn refused(&self, reason: &str) -> u64 {
        let labels = format!("reason=\"{reason}\"");
        System::of_aggregator(self.aggregator(), "ingest_refused_streams_total", &labels).unwrap()
    }
}

/// Scenario: the files of an agent's certificate are replaced under its open stream; later the CA is
/// replaced by another one, which signed what the agent has then.
/// Guarantees: the first costs nothing, not even the stream; the second ends the stream with a reason, the
/// agent comes back by itself with what it has then, and every row of every tick is there.
#[test]
fn a_renewed_certificate_costs_nothing_and_another_ca_no_row() {
    let bed = Bed::start(&["node1"]);
    bed.system.tick(at(0)).unwrap();
    bed.system.tick(at(1)).unwrap();
    of_node(&bed.agents, "agent", "node1");
    bed.system.tick(at(2)).unwrap();
    assert_eq!(bed.system.of_agent("uplink_ends_total").unwrap(), 0);

    // One after the other, as somebody does it who rotates: the agent has its certificate of the new CA
    // when the old one goes.
    let next = bed.pki.ca("next-ca").unwrap();
    of_node(&next, "agent", "node1");
    bed.replace_ca(&next.cert_pem);
    bed.system.step(at(3)).unwrap();
    bed.system.arrived(at(3), SOON).unwrap();
    bed.system.tick(at(4)).unwrap();
    assert_eq!(bed.system.of_agent("uplink_ends_total").unwrap(), 1);
    let agent = bed.system.nodes[0].agent.as_ref().unwrap();
    let why = "not in --ingest-client-ca any more";
    assert!(agent.stderr().contains(why), "{}", agent.stderr());
    bed.system.holds(bed.aggregator(), 5, SOON).unwrap();
}

async fn status(tried: anyhow::Result<RawAgent>) -> Status {
    match tried {
        Ok(agent) => agent.end().await.unwrap(),
        Err(error) => error.downcast::<Status>().unwrap(),
    }
}

/// Guarantees: whoever shows no certificate, one of another CA, an old one, one for servers, or one that
/// does not name exactly one node, is refused with that reason and counted; a certificate of one node
/// reports no other, and no token opens anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_other_certificate_reports_a_node() {
    let bed = Bed::start(&[]);
    let other = bed.pki.ca("other-ca").unwrap();
    let agents = &bed.agents;
    let old = agents.leaf("old").client().dns(&["node1"]);
    let cases = [
        (
            of_node(&other, "foreign", "node1"),
            "UnknownIssuer",
            "certificate",
        ),
        (
            old.validity(Validity::Expired).write().unwrap(),
            "Expired",
            "certificate",
        ),
        (
            agents.leaf("for-servers").dns(&["node1"]).write().unwrap(),
            "RequiredEku",
            "certificate",
        ),
        (
            agents.leaf("node1").client().write().unwrap(),
            "one DNS name",
            "no_node_name",
        ),
        (
            agents
                .leaf("two")
                .client()
                .dns(&["node1", "node2"])
                .write()
                .unwrap(),
            "one DNS name",
            "no_node_name",
        ),
        (
            of_node(agents, "wild", "*.example.com"),
            "one DNS name",
            "no_node_name",
        ),
    ];
    for (leaf, part, reason) in cases {
        let before = bed.refused(reason);
        let status = status(bed.connect(&leaf).await).await;
        assert_eq!(status.code(), Code::Unauthenticated, "{leaf:?}: {status:?}");
        assert!(status.message().contains(part), "{leaf:?}: {status:?}");
        assert_eq!(bed.refused(reason), before + 1, "{leaf:?}");
    }
    let addr = bed.aggregator().addr("grpc").unwrap();
    let ca = bed.system.path("ingest-ca.pem");
    let by_token = RawAgent::connect(addr, &ca, "agent-token-of-node1", TRACE_START_MS).await;
    let refused = status(by_token).await;
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(
        refused.message().contains("no client certificate"),
        "{refused:?}"
    );

    let node1 = of_node(agents, "right", "node1");
    let mut agent = bed.connect(&node1).await.unwrap();
    let refused = agent.hello("node2", 1).await.unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("PermissionDenied") && refused.contains("node2"),
        "{refused}"
    );
    let mut agent = bed.connect(&node1).await.unwrap();
    agent.hello("node1", 1).await.unwrap();
}

/// Guarantees: a stream ends with its certificate, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_certificate_that_expires_ends_its_stream() {
    let bed = Bed::start(&[]);
    let leaf = of_node(&bed.agents, "right", "node1");
    let mut agent = bed.connect(&leaf).await.unwrap();
    agent.hello("node1", 1).await.unwrap();
    bed.aggregator().jump(AFTER_ALL_MS).unwrap();
    agent.send(Kind::Gap(Gap::default())).await;
    let status = agent.end().await.unwrap();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert!(
        status.message().contains("client certificate has expired"),
        "{status:?}"
    );
}

/// Guarantees: a CA that signs for readers too is refused at the start, and the message says why.
#[test]
fn a_ca_that_signs_for_others_is_not_taken_for_agents() {
    let bed = Bed::start(&[]);
    let mut args = bed.system.aggregator_args();
    args.extend(["--client-ca-file".to_owned(), path(&bed.agents.cert_pem)]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let said = Proc::finish("cairn-aggregator", &args, &[], SOON).unwrap();
    assert_eq!(said.code, Some(64), "{}", said.stderr);
    assert!(
        said.stderr.contains("make a CA for the agents alone"),
        "{}",
        said.stderr
    );
}

/// Scenario: the API server publishes a CA of clients that has the key of the agents' CA, in another certificate; then
/// the agents get a CA of their own, and later somebody puts the shared one back.
/// Guarantees: nobody is known by a certificate of a CA that is the cluster's too, the refusal, the log and `/readyz`
/// name both places and what to do, whoever has a CA of their own is taken without a restart, and an open stream
/// ends when the CA is shared again.
#[test]
fn a_ca_that_the_api_server_publishes_is_not_taken_for_agents() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(dir.path()).unwrap();
    let agents = pki.ca("agents-ca").unwrap();
    let clients = agents.again("clients-ca", "agents-ca").unwrap();
    let pem = std::fs::read_to_string(&clients).unwrap();
    assert_ne!(pem, std::fs::read_to_string(&agents.cert_pem).unwrap());
    let server = ApiServer::empty(dir.path()).unwrap();
    let document = json!({"data": {"client-ca-file": pem}});
    server.control().put_document(PUBLISHED, document);
    let bed = Bed::of((dir, pki, agents), &[], &server.flags());
    // The server has a runtime of its own, which must neither begin nor end within another one.
    Runtime::new().unwrap().block_on(is_told(bed));
}

async fn is_told(bed: Bed) {
    let readyz = || {
        let answer = bed.aggregator().get("admin", "/readyz?verbose").unwrap();
        answer.text()
    };
    let parts = [
        "--ingest-client-ca has a CA that is not for agents alone",
        "agents-ca is in client-ca-file of ConfigMap kube-system/extension-apiserver-authentication too",
        "make a CA for the agents alone",
    ];
    let told = |text: &str| parts.iter().all(|part| text.contains(part));
    let noted = Deadline::after(SOON).poll(|| told(&readyz()).then_some(()));
    assert!(noted.is_some(), "{}\n{}", readyz(), bed.system.stderr());
    assert!(told(&bed.aggregator().stderr()));

    let shared = of_node(&bed.agents, "shared", "node1");
    let refused = status(bed.connect(&shared).await).await;
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
    assert!(told(refused.message()), "{refused:?}");
    assert_eq!(bed.refused("shared_ca"), 1);

    let own = bed.pki.ca("own-ca").unwrap();
    let both = [&bed.agents.cert_pem, &own.cert_pem].map(|file| std::fs::read(file).unwrap());
    bed.replace_ca(&own.cert_pem);
    let leaf = of_node(&own, "own", "node1");
    let mut agent = bed.connect(&leaf).await.unwrap();
    agent.hello("node1", 1).await.unwrap();
    let cleared = Deadline::after(SOON).poll(|| (!told(&readyz())).then_some(()));
    assert!(cleared.is_some(), "{}", readyz());

    std::fs::write(bed.dir.path().join("both.pem"), both.concat()).unwrap();
    bed.replace_ca(&bed.dir.path().join("both.pem"));
    agent.send(Kind::Gap(Gap::default())).await;
    let ended = agent.end().await.unwrap();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended:?}");
    assert!(
        ended.message().contains("signs for others than agents too"),
        "{ended:?}"
    );
}
