//! Certificates that aggregators make by themselves, over the built binaries and a simulated API server.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_runtime::clock::Clock;
use serde_json::{Value, json};
use testkit::apiserver::ApiServer;
use testkit::deadline::Deadline;
use testkit::lone_agent;
use testkit::proc::Proc;
use testkit::system::{System, sha256_hex};

/// An agent looks for its CA every 10 s, an aggregator at the Secret as often.
const SOON: Duration = Duration::from_secs(60);

const TLS: &str = "cairn-aggregator-tls";

const API_SERVICE: &str = "v1beta1.metrics.k8s.io";

struct Bed {
    server: ApiServer,
    dir: tempfile::TempDir,
}

impl Bed {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::empty(dir.path()).unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("namespace", "cairn\n");
        write("agent.token", "agent-token");
        write("peer.token", "peer-token");
        let (agent, peer) = (sha256_hex(b"agent-token"), sha256_hex(b"peer-token"));
        write("tokens", &format!("node1 {agent}\n@peer {peer}\n"));
        Self { server, dir }
    }

    /// Puts the objects of the manifests there, as they are shipped.
    fn apply(&self) {
        let control = self.server.control();
        let named = |name: &str| json!({"namespace": "cairn", "name": name});
        control.put(
            "secrets",
            json!({"kind": "Secret", "metadata": named(TLS), "type": "Opaque"}),
        );
        control.put("leases", json!({"kind": "Lease", "metadata": named(TLS)}));
        control.put(
            "configmaps",
            json!({"kind": "ConfigMap", "metadata": named("cairn-ca")}),
        );
        let service = json!({"namespace": "cairn", "name": "cairn-aggregator", "port": 443});
        control.put(
            "apiservices",
            json!({"kind": "APIService", "metadata": {"name": API_SERVICE},
                   "spec": {"service": service, "insecureSkipTLSVerify": false}}),
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn aggregator(&self, more: &[&str]) -> Proc {
        let mut args = self.server.flags();
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        for (flag, value) in [
            ("--grpc-listen", "127.0.0.1:0"),
            ("--http-listen", "127.0.0.1:0"),
            ("--https-listen", "127.0.0.1:0"),
            ("--admin-listen", "127.0.0.1:0"),
            ("--interval", "1s"),
            ("--ingest-auth", "token-file"),
            ("--ingest-token-file", &self.text("tokens")),
            ("--namespace-file", &self.text("namespace")),
            ("--tls-api-service", API_SERVICE),
            ("--tls-service", "cairn-aggregator,cairn-ingest,localhost"),
        ] {
            args.extend([flag.to_owned(), value.to_owned()]);
        }
        args.push("--tls-self-managed".to_owned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Proc::start("cairn-aggregator", &args, &[]).unwrap()
    }

    fn agent(&self, aggregators: &[&Proc]) -> Proc {
        lone_agent::start(self.dir.path(), aggregators).unwrap()
    }

    fn object(&self, resource: &'static str, name: &str) -> Value {
        let namespace = if resource == "apiservices" {
            ""
        } else {
            "cairn"
        };
        self.server
            .control()
            .get(resource, namespace, name)
            .unwrap()
    }

    /// What the `ConfigMap` has for the agents.
    fn bundle(&self) -> String {
        let object = self.object("configmaps", "cairn-ca");
        object["data"]["ca.crt"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Does what the kubelet does: brings the `ConfigMap` into the pod.
    fn mount(&self) {
        let fresh = self.path("ca.new");
        std::fs::write(&fresh, self.bundle()).unwrap();
        std::fs::rename(fresh, self.path("ca.crt")).unwrap();
    }
}

fn readyz(process: &Proc) -> (u16, String) {
    let answer = process.get("admin", "/readyz?verbose").unwrap();
    (answer.status, answer.text())
}

#[track_caller]
fn until(what: &str, of: &[&Proc], is_so: impl Fn() -> bool) {
    let came = Deadline::after(SOON).poll(|| is_so().then_some(()));
    let said: String = of.iter().map(|process| process.stderr()).collect();
    assert!(came.is_some(), "{what}:\n{said}");
}

/// The newest tick that an aggregator has of the node, ms.
fn newest(aggregator: &Proc) -> u64 {
    let overview = aggregator.get("http", "/api/cairn/v1/overview").unwrap();
    let overview: Value = serde_json::from_slice(&overview.body).unwrap();
    let nodes = overview["nodes"].as_array().cloned().unwrap_or_default();
    let ticks = nodes
        .iter()
        .filter_map(|node| node["newest_tick_ms"].as_u64());
    ticks.max().unwrap_or(0)
}

fn ends(agent: &Proc) -> u64 {
    System::count(agent, "cairn_agent_uplink_ends_total", "").unwrap()
}

/// Scenario: aggregators start before the manifests are there; then both agree on one CA, an agent waits for it,
/// connects verified to both, and goes on when the Secret is lost and everything is made anew.
/// Guarantees: one CA comes out, by which aggregators know each other without a file of it; a certificate is replaced without any stream's end; the agent that starts
/// after that connects by the new CA.
#[test]
fn two_aggregators_share_a_ca_that_an_agent_verifies() {
    let bed = Bed::start();
    let first = bed.aggregator(&[]);
    assert_eq!(first.get("admin", "/livez").unwrap().status, 200);
    until("what is missing is named", &[&first], || {
        let (status, text) = readyz(&first);
        status == 503
            && text.contains("[-]certificate Secret cairn/cairn-aggregator-tls was not read")
    });
    let port = first.addr("grpc").unwrap().port();
    let (peer, token) = (format!("https://localhost:{port}"), bed.text("peer.token"));
    let second = bed.aggregator(&["--peer", &peer, "--peer-token-file", &token]);
    bed.apply();
    let both = [&first, &second];
    until("both are ready", &both, || {
        both.iter().all(|one| readyz(one).0 == 200)
    });
    until("agents are told", &both, || {
        bed.bundle().matches("BEGIN").count() == 1
    });
    let asked = format!("[+]peer localhost (127.0.0.1:{port}): asked");
    until("they trust each other", &both, || {
        readyz(&second).1.contains(&asked)
    });
    let bundle = bed.bundle();
    let filled =
        || bed.object("apiservices", API_SERVICE)["spec"]["caBundle"] == STANDARD.encode(&bundle);
    until("the API server is told", &both, filled);

    let agent = bed.agent(&both);
    until("the agent waits", &[&agent], || {
        readyz(&agent).1.contains("--aggregator-ca")
    });
    assert_eq!((newest(&first), newest(&second)), (0, 0));
    bed.mount();
    until("rows arrive at both", &[&agent, &first, &second], || {
        both.iter().all(|one| newest(one) > 0)
    });

    let before = ends(&agent);
    assert!(
        bed.server
            .control()
            .change("secrets", ("cairn", TLS), |secret| {
                drop(secret.as_object_mut().unwrap().remove("data"));
            })
    );
    until("a new CA is made", &both, || {
        bed.bundle() != bundle && !bed.bundle().is_empty()
    });
    let is_new = |one: &&Proc| {
        one.stderr()
            .matches("another serving certificate is in use")
            .count()
            > 1
    };
    until("both serve it", &both, || both.iter().all(is_new));
    let at = newest(&first).max(newest(&second));
    until("rows go on", &[&agent, &first, &second], || {
        both.iter().all(|one| newest(one) > at)
    });
    assert_eq!(ends(&agent), before, "{}", agent.stderr());
    drop(agent);
    bed.mount();
    let at = newest(&first).max(newest(&second));
    let agent = bed.agent(&both);
    until(
        "another agent takes the new CA",
        &[&agent, &first, &second],
        || both.iter().all(|one| newest(one) > at + 1_000),
    );
}

/// Scenario: the clock of the API server is a year behind, as that of an aggregator's node a year ahead is to it, and
/// somebody empties the Secret meanwhile.
/// Guarantees: no CA is made by that clock, both times are told, and it is made once the clocks agree.
#[test]
fn no_ca_is_made_by_a_clock_that_is_a_year_ahead() {
    let bed = Bed::start();
    bed.apply();
    let control = bed.server.control();
    control.set_clock_ahead_ms(-365 * 86_400_000);
    let aggregator = bed.aggregator(&[]);
    until("it is told", &[&aggregator], || {
        let (status, text) = readyz(&aggregator);
        status == 503 && text.contains("more than an hour apart")
    });
    let looks = control.requests("get", "secrets");
    until("it looks again", &[&aggregator], || {
        control.requests("get", "secrets") > looks + 2
    });
    assert_eq!(control.requests("update", "secrets"), 0);
    let told = aggregator
        .stderr()
        .matches("more than an hour apart")
        .count();
    assert_eq!(told, 1, "{}", aggregator.stderr());
    let held = "cairn_aggregator_certificates_clock_held";
    assert_eq!(System::count(&aggregator, held, "").unwrap(), 1);
    control.set_clock_ahead_ms(0);
    until("a CA is made", &[&aggregator], || {
        readyz(&aggregator).0 == 200 && bed.bundle().matches("BEGIN").count() == 1
    });
    assert_eq!(System::count(&aggregator, held, "").unwrap(), 0);
}

/// Scenario: of two aggregators the one that holds the Lease has its clock set two hours ahead; later that is set right,
/// and the other one goes.
/// Guarantees: the one gives the Lease back and says so, the other one takes it; once its clock is right the first is
/// in order again, and takes the Lease when the other one goes.
#[test]
fn an_aggregator_whose_clock_is_off_leaves_writing_to_the_other() {
    let bed = Bed::start();
    bed.apply();
    let now_ms = Clock::system().unix_ms();
    let first = bed.aggregator(&["--clock", &format!("driven={now_ms}")]);
    let of = |one: &Proc, figure: &str| {
        let name = format!("cairn_aggregator_certificates_{figure}");
        System::count(one, &name, "").unwrap()
    };
    until("the first one writes", &[&first], || {
        of(&first, "leads") == 1 && readyz(&first).0 == 200
    });
    let mut second = bed.aggregator(&[]);
    until("the second one serves", &[&first, &second], || {
        readyz(&second).0 == 200
    });
    assert_eq!(of(&second, "leads"), 0);

    first.jump(now_ms + 7_200_000).unwrap();
    until("the other one writes", &[&first, &second], || {
        of(&second, "leads") == 1
    });
    let figures = ["leads", "clock_held", "lease_given_back_total"];
    until("the first one gave it back", &[&first, &second], || {
        figures.map(|figure| of(&first, figure)) == [0, 1, 1]
    });
    let (status, text) = readyz(&first);
    assert!(
        status == 200 && text.contains("gives the Lease back"),
        "{text}"
    );
    assert_eq!(bed.bundle().matches("BEGIN").count(), 1);

    first.jump(now_ms).unwrap();
    until("its clock is believed again", &[&first, &second], || {
        of(&first, "clock_held") == 0
    });
    assert_eq!((of(&first, "leads"), of(&second, "leads")), (0, 1));
    second.sigterm().unwrap();
    second.wait(SOON).unwrap();
    // Should the other one have had no time to give it back, a Lease that nobody renews is over after this.
    first.jump(now_ms + 61_000).unwrap();
    until("it takes its turn", &[&first], || of(&first, "leads") == 1);
}

/// Guarantees: what a Secret of somebody else's has is left alone, and the log says what to do.
#[test]
fn a_secret_that_somebody_else_has_filled_is_left_alone() {
    let bed = Bed::start();
    bed.apply();
    let data = json!({"tls.crt": "YQ==", "tls.key": "Yg=="});
    let of = ("cairn", TLS);
    assert!(
        bed.server
            .control()
            .change("secrets", of, |secret| secret["data"] = data.clone())
    );
    let aggregator = bed.aggregator(&[]);
    until("it is told", &[&aggregator], || {
        let (status, text) = readyz(&aggregator);
        status == 503 && text.contains("what Cairn did not make (tls.crt, tls.key)")
    });
    assert_eq!(bed.object("secrets", TLS)["data"], data);
    assert_eq!(bed.server.control().requests("update", "secrets"), 0);
    assert_eq!(bed.bundle(), "");
}

#[test]
fn without_a_kubernetes_api_it_does_not_start() {
    let args = [
        "--tls-self-managed",
        "--kubernetes",
        "off",
        "--ingest-auth",
        "token-file",
    ];
    let file = Path::new("/nowhere/tokens").display().to_string();
    let args: Vec<&str> = args
        .iter()
        .copied()
        .chain(["--ingest-token-file", &file])
        .collect();
    let mut process = Proc::launch("cairn-aggregator", &args, &[]).unwrap();
    assert_eq!(process.wait(SOON).unwrap().code(), Some(64));
    let said = process.stderr();
    assert!(
        said.contains("needs the Kubernetes API: give --kubernetes-api"),
        "{said}"
    );
}
