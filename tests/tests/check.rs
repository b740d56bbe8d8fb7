//! `cairn-agent check`: what it reaches, what it says, and its exit codes.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use serde_json::Value;
use testkit::pki::{Pki, Validity};
use testkit::proc::{Finished, Proc};
use testkit::raw::RawAgent;
use testkit::system::{FIRST_TICK_MS, Options, System};

/// A check ends within 30 s whatever happens; a busy machine gets some more.
const WITHIN: Duration = Duration::from_secs(60);

/// A system whose node has no agent running.
fn system() -> System {
    let mut system = System::start(Options::one_node()).unwrap();
    system.nodes[0].agent = None;
    system
}

/// Runs a check with these flags of the agent.
fn check(args: &[String]) -> Finished {
    let mut all = vec!["check"];
    all.extend(args.iter().map(String::as_str));
    Proc::finish("cairn-agent", &all, &[], WITHIN).unwrap()
}

/// The same, for programs.
fn json(args: &[String]) -> (Finished, Value) {
    let mut args = args.to_vec();
    args.extend(["--output", "json"].map(str::to_owned));
    let finished = check(&args);
    let value = serde_json::from_str(&finished.stdout).unwrap();
    (finished, value)
}

/// What is said of one source.
fn of<'a>(value: &'a Value, source: &str) -> &'a Value {
    let checks = value["checks"].as_array().unwrap();
    checks.iter().find(|one| one["source"] == source).unwrap()
}

/// Replaces the value of a flag.
fn set(args: &mut [String], flag: &str, value: &str) {
    let at = args.iter().position(|a| a == flag).unwrap();
    value.clone_into(&mut args[at + 1]);
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// The words of the row of a source.
fn row<'a>(text: &'a str, source: &str) -> Vec<&'a str> {
    let row = text.lines().find(|line| line.starts_with(source));
    row.unwrap_or_default().split_whitespace().collect()
}

/// Scenario: everything is set up well, and an agent runs with the same flags.
/// Guarantees: the check says so of every source with address, identity, certificate and counts, on
/// standard output alone, and exits with 0; the running agent keeps its stream.
#[test]
fn all_is_well_and_the_running_agent_keeps_its_stream() {
    let system = System::start(Options::one_node()).unwrap();
    system.tick(FIRST_TICK_MS).unwrap();
    let args = system.agent_args(0).unwrap();
    let said = check(&args);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    let text = &said.stdout;
    let kubelet = system.nodes[0].kubelet.addr("kubelet").unwrap().to_string();
    for source in ["summary", "resource"] {
        let row = row(text, source);
        let expected = ["ok", &kubelet, "token", "CA,", "until", "2049-12-31"];
        assert_eq!(row[1..7], expected, "{text}");
        for count in &row[7..10] {
            assert!(count.parse::<u64>().unwrap() > 2, "{text}");
        }
    }
    assert_eq!(row(text, "procfs")[1..3], ["ok", "/proc"], "{text}");
    let grpc = system.aggregator().unwrap().addr("grpc").unwrap();
    let aggregator = row(text, "aggregator");
    assert_eq!(aggregator[1..3], ["ok", &grpc.to_string()], "{text}");
    holds(text, &["node node1\n", "\n4 of 4 ok, after "]);
    for file in ["kubelet.token", "node1-kubelet-ca.pem", "ingest-ca.pem"] {
        assert!(text.contains(file), "{file} is not in {text}");
    }

    let (said, value) = json(&args);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(
        (&value["ok"], &value["node"]),
        (&true.into(), &"node1".into())
    );
    let summary = of(&value, "summary");
    assert_eq!(summary["identity"], "token", "{value}");
    assert_eq!(summary["verified"]["by"], "ca", "{value}");
    assert!(of(&value, "aggregator")["pods"].is_null(), "{value}");

    system.tick(FIRST_TICK_MS + 10_000).unwrap();
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let ends = System::metric(agent, "cairn_agent_uplink_ends_total", "").unwrap();
    assert!(ends.abs() < 0.5, "the agent lost its stream {ends} times");
    let stderr = system.aggregator().unwrap().stderr();
    assert!(!stderr.contains("agent refused"), "{stderr}");
}

/// Scenario: the kubelet's certificate is signed by another CA than the one given.
/// Guarantees: exit code 2; one line for both endpoints names what the certificate is for, what was
/// expected, and the flag that helps; the host and the aggregator are checked all the same.
#[test]
fn another_ca_is_explained_with_names_and_flag() {
    let system = system();
    let pki = Pki::new(&system.path("other")).unwrap();
    let other = pki.ca("other").unwrap().cert_pem.display().to_string();
    let mut args = system.agent_args(0).unwrap();
    set(&mut args, "--kubelet-ca", &other);
    args.extend(["--kubelet-server-name", "node9"].map(str::to_owned));
    let said = check(&args);
    assert_eq!(said.code, Some(2), "{said:?}");
    let mut lines = said.stdout.lines();
    let line = lines
        .find(|line| line.starts_with("summary, resource failed: "))
        .unwrap_or_else(|| panic!("{}", said.stdout));
    holds(line, &["for node1", "expected node9", "--kubelet-ca"]);
    holds(&said.stdout, &["\n2 of 4 failed, after "]);
    for source in ["procfs", "aggregator"] {
        assert_eq!(row(&said.stdout, source)[1], "ok", "{}", said.stdout);
    }
    let authorized = "kubelet_sim_authorized_requests_total";
    let tokens = System::metric(&system.nodes[0].kubelet, authorized, "").unwrap();
    assert!(tokens.abs() < 0.5, "{tokens} requests carried the token");
}

/// Scenario: the kubelet answers one endpoint with 403.
/// Guarantees: the missing right is named, to people and to programs; the other endpoint is well.
#[test]
fn a_missing_right_is_named() {
    let system = system();
    let order = r#"{"endpoint":"resource","fault":{"kind":"status","code":403}}"#;
    let kubelet = &system.nodes[0].kubelet;
    assert_eq!(
        kubelet.post("admin", "/debug/fault", order).unwrap().status,
        200
    );
    let args = system.agent_args(0).unwrap();
    let said = check(&args);
    assert_eq!(said.code, Some(2), "{said:?}");
    let parts = [
        "resource failed: ",
        "403",
        "ClusterRole",
        "get nodes/metrics",
    ];
    holds(&said.stdout, &parts);
    assert_eq!(row(&said.stdout, "summary")[1], "ok", "{}", said.stdout);
    let (_, value) = json(&args);
    let resource = of(&value, "resource");
    let failure = &resource["failure"];
    assert_eq!(failure["kind"], "auth", "{value}");
    assert_eq!(failure["missing_right"], "get nodes/metrics", "{value}");
    assert_eq!(
        (&resource["reached"], &resource["ok"]),
        (&true.into(), &false.into())
    );
}

/// Scenario: nothing listens at the kubelet's address, nor at the aggregator's.
/// Guarantees: both are told with their addresses and what to check; exit code 2.
#[test]
fn what_does_not_listen_is_named() {
    let system = system();
    let mut args = system.agent_args(0).unwrap();
    // Ports of services that nobody runs any more, and that only root may take.
    let closed = ["127.0.0.1:1", "127.0.0.1:2"];
    set(&mut args, "--kubelet", &format!("https://{}", closed[0]));
    set(&mut args, "--aggregator", &format!("https://{}", closed[1]));
    let said = check(&args);
    assert_eq!(said.code, Some(2), "{said:?}");
    for address in closed {
        let told = format!("cannot connect to {address}: check that something listens there");
        assert!(said.stdout.contains(&told), "{}", said.stdout);
    }
    holds(
        &said.stdout,
        &["summary, resource failed: ", "\n3 of 4 failed"],
    );
}

/// Scenario: the kubelet's own certificate is pinned and its dates are over.
/// Guarantees: it is believed, and the check says that it is a pin, from which file, and since when it
/// has expired.
#[test]
fn an_expired_pin_is_believed_and_told() {
    let mut system = system();
    let pki = Pki::new(&system.path("pinned")).unwrap();
    let leaf = pki.kubelet_default("node1", Validity::Expired).unwrap();
    system.replace_kubelet(0, &leaf).unwrap();
    let cert = leaf.cert_pem.display().to_string();
    let mut args = system.agent_args(0).unwrap();
    let at = args.iter().position(|a| a == "--kubelet-ca").unwrap();
    "--kubelet-cert".clone_into(&mut args[at]);
    cert.clone_into(&mut args[at + 1]);
    let (said, value) = json(&args);
    assert_eq!(said.code, Some(0), "{said:?}");
    let verified = &of(&value, "summary")["verified"];
    assert_eq!(
        (&verified["by"], &verified["expired"]),
        (&"pin".into(), &true.into())
    );
    assert_eq!(verified["file"], Value::from(cert.as_str()), "{value}");
    let said = check(&args);
    let row = row(&said.stdout, "resource").join(" ");
    holds(&row, &["pin, expired 2022-01-01"]);
}

/// Scenario: the aggregator knows the token, but as that of another node; then it does not know it.
/// Guarantees: each is told apart with what to check, without a stream having been opened.
#[test]
fn a_token_that_the_aggregator_refuses_is_told() {
    let system = system();
    let mut args = system.agent_args(0).unwrap();
    args.extend(["--kubelet-server-name", "node1"].map(str::to_owned));
    set(&mut args, "--node-name", "node2");
    let said = check(&args);
    assert_eq!(said.code, Some(2), "{said:?}");
    let parts = ["aggregator failed: ", "belong to node node2", "--node-name"];
    holds(&said.stdout, &parts);
    holds(
        &said.stdout,
        &["the kubelet calls this node node1, the agent node2"],
    );

    set(&mut args, "--node-name", "node1");
    std::fs::write(system.path("node1.token"), "another").unwrap();
    let said = check(&args);
    assert_eq!(said.code, Some(2), "{said:?}");
    holds(
        &said.stdout,
        &["aggregator failed: ", "Unauthenticated", "--token-file"],
    );
}

/// Scenario: agents with the node's name replace each other, so that the next stream would be refused.
/// Guarantees: the check fails with the words that an agent would be told, though token and node are good.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn that_the_agent_would_be_sent_away_is_told() {
    let system = system();
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let token = "agent-token-of-node1";
    let mut agents = Vec::new();
    for run in 1..=4 {
        let mut agent = RawAgent::connect(addr, &ca, token, FIRST_TICK_MS)
            .await
            .unwrap();
        agent.hello("node1", run).await.unwrap();
        agents.push(agent);
    }
    let said = check(&system.agent_args(0).unwrap());
    assert_eq!(said.code, Some(2), "{said:?}");
    let parts = [
        "aggregator failed: ",
        "replaced 3 times",
        "do two agents run",
    ];
    holds(&said.stdout, &parts);
}

/// Scenario: verification is switched off; then the kubelet is read on its port without TLS.
/// Guarantees: the check says that nothing is verified, and as whom the kubelet was asked.
#[test]
fn what_is_not_verified_is_said() {
    let mut system = system();
    let mut args = system.agent_args(0).unwrap();
    let ca = args.iter().position(|arg| arg == "--kubelet-ca").unwrap();
    args.drain(ca..ca + 2);
    args.push("--kubelet-insecure-skip-tls-verify".to_owned());
    let (_, value) = json(&args);
    let summary = of(&value, "summary");
    let is_root = rustix::process::geteuid().is_root();
    let identity = if is_root { "token" } else { "anonymous" };
    assert_eq!(summary["identity"], identity, "{value}");
    assert_eq!(summary["verified"]["by"], "nothing", "{value}");

    system.options.sim_args = ["--read-only-listen", "127.0.0.1:0"]
        .map(str::to_owned)
        .into();
    system.restart_kubelet(0).unwrap();
    let port = system.nodes[0].kubelet.addr("read-only").unwrap().port();
    let mut args = system.agent_args(0).unwrap();
    set(&mut args, "--kubelet", "auto");
    // Nobody has the lowest port.
    args.extend(["--kubelet-port", "1", "--kubelet-read-only-port"].map(str::to_owned));
    args.push(port.to_string());
    let (said, value) = json(&args);
    assert_eq!(said.code, Some(0), "{said:?}");
    let summary = of(&value, "summary");
    assert_eq!(summary["address"], format!("127.0.0.1:{port}"), "{value}");
    assert_eq!(summary["identity"], "anonymous", "{value}");
    assert!(summary["verified"].is_null(), "{value}");
    holds(&summary["notes"].to_string(), &["read without TLS"]);
}

/// Scenario: the kubelet never answers one endpoint.
/// Guarantees: the check ends with the deadline of a scrape, and the others are told.
#[test]
fn a_kubelet_that_hangs_ends_the_check_in_time() {
    let system = system();
    system
        .break_kubelet("summary", r#"{"kind":"hang"}"#)
        .unwrap();
    let mut args = system.agent_args(0).unwrap();
    set(&mut args, "--interval", "5s");
    let (said, value) = json(&args);
    assert_eq!(said.code, Some(2), "{said:?}");
    let summary = of(&value, "summary");
    assert_eq!(summary["failure"]["kind"], "timeout", "{value}");
    assert_eq!(summary["reached"], true, "{value}");
    assert!(value["took_ms"].as_f64().unwrap() < 30_000.0, "{value}");
    assert_eq!(of(&value, "resource")["ok"], true, "{value}");
}

/// Scenario: flags come from the environment; a flag is wrong, or stands before the command.
/// Guarantees: the environment counts; each mistake is one line on standard error and exit code 64.
#[test]
fn flags_are_the_agents_from_the_environment_too() {
    let envs = [("NODE_NAME", "node1"), ("CAIRN_KUBELET", "off")];
    let run = |args: &[&str], envs: &[(&str, &str)]| {
        Proc::finish("cairn-agent", args, envs, WITHIN).unwrap()
    };
    let said = run(&["check"], &envs);
    assert_eq!(said.code, Some(0), "{said:?}");
    holds(
        &said.stdout,
        &[
            "node node1\n",
            "\n1 of 1 ok",
            "--kubelet off",
            "no --aggregator",
        ],
    );
    for (args, named) in [
        (&["check"][..], "--node-name is missing"),
        (&["check", "--outputt", "json"], "--outputt"),
        (&["check", "--output", "xml"], "xml"),
        (&["--node-name", "node1", "check"], "check"),
    ] {
        let said = run(args, &[]);
        assert_eq!(said.code, Some(64), "{args:?}: {said:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
        holds(&said.stderr, &["error: ", named]);
        assert_eq!(said.stdout, "");
    }
}
