//! What a person reads when something is set up wrong: one line, what and what to do, the code.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::net::TcpListener;
use std::time::Duration;

use testkit::proc::Proc;
use testkit::system::{Options, System};

const SOON: Duration = Duration::from_secs(10);

/// Runs a binary that must refuse; its exit code and its last line.
fn refusal(name: &str, args: &[&str]) -> (i32, String) {
    let mut process = Proc::launch(name, args, &[]).unwrap();
    let status = process.wait(SOON).unwrap();
    let stderr = process.stderr();
    let errors: Vec<&str> = stderr
        .lines()
        .filter(|l| l.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "exactly one line says why:\n{stderr}");
    (status.code().unwrap(), errors[0].to_owned())
}

fn holds(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
}

#[test]
fn a_wrong_flag_is_named_and_is_a_configuration_error() {
    for name in ["cairn-agent", "cairn-aggregator"] {
        let (code, line) = refusal(name, &["--intervall", "5s"]);
        assert_eq!(code, 64, "{line}");
        holds(&line, &["--intervall", "--help"]);
        let (code, line) = refusal(name, &["--interval", "soon"]);
        assert_eq!(code, 64, "{line}");
        holds(&line, &["--interval", "soon", "10s"]);
    }
}

#[test]
fn what_is_missing_is_named_at_once() {
    let (code, line) = refusal("cairn-aggregator", &[]);
    assert_eq!(code, 64);
    holds(&line, &["--ingest-auth", "--tls-cert"]);
    let (code, line) = refusal("cairn-agent", &["--interval", "3s"]);
    assert_eq!(code, 64);
    holds(&line, &["--node-name", "--interval"]);
}

#[test]
fn an_unreadable_file_is_named_with_the_reason() {
    let system = System::start(Options {
        nodes: Vec::new(),
        ..Options::default()
    })
    .unwrap();
    let args = system.aggregator_args();
    let broken = |file: &str| {
        let good = system.path(file).display().to_string();
        let bad = args.iter().map(|a| {
            if *a == good {
                "/nowhere/file"
            } else {
                a.as_str()
            }
        });
        refusal("cairn-aggregator", &bad.collect::<Vec<&str>>())
    };
    for file in ["server.pem", "server.key", "tokens"] {
        let (code, line) = broken(file);
        assert_eq!(code, 64, "{line}");
        holds(&line, &["/nowhere/file", "o such file"]);
    }
    std::fs::write(system.path("tokens"), "node1 nonsense\n").unwrap();
    let strs: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, line) = refusal("cairn-aggregator", &strs);
    assert_eq!(code, 64);
    holds(&line, &["line 1", "sha256"]);
}

#[test]
fn a_missing_ca_of_the_agent_is_named() {
    let system = System::start(Options::one_node()).unwrap();
    let args = system.agent_args(0).unwrap();
    for file in ["ingest-ca.pem", "kubelet-node1/node1-kubelet-ca.pem"] {
        let good = system.path(file).display().to_string();
        let bad = args.iter().map(|a| {
            if *a == good {
                "/nowhere/ca.pem"
            } else {
                a.as_str()
            }
        });
        let (code, line) = refusal("cairn-agent", &bad.collect::<Vec<&str>>());
        assert_eq!(code, 64, "{line}");
        holds(&line, &["/nowhere/ca.pem", "o such file"]);
    }
}

#[test]
fn a_taken_port_is_named_and_is_no_configuration_error() {
    let system = System::start(Options {
        nodes: Vec::new(),
        ..Options::default()
    })
    .unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for flag in [
        "--grpc-listen",
        "--http-listen",
        "--https-listen",
        "--admin-listen",
    ] {
        let mut args = system.aggregator_args();
        let at = args.iter().position(|a| a == flag).unwrap();
        args[at + 1].clone_from(&addr);
        if flag != "--grpc-listen" {
            let grpc = args.iter().position(|a| a == "--grpc-listen").unwrap();
            args[grpc + 1] = "127.0.0.1:0".to_owned();
        }
        let strs: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, line) = refusal("cairn-aggregator", &strs);
        assert_eq!(code, 1, "{line}");
        holds(&line, &[flag, &addr, "another process"]);
    }
}

/// Scenario: the agent expects another name than the kubelet's certificate has.
/// Guarantees: it says which names the certificate has, which one it expected and which flag
/// helps, in its log and in `/readyz?verbose`; and goes on sampling the host.
#[test]
fn a_certificate_of_another_name_is_explained() {
    let mut system = System::start(Options::one_node()).unwrap();
    let mut args = system.agent_args(0).unwrap();
    args.extend(["--kubelet-server-name", "node9"].map(str::to_owned));
    args.extend(["--clock".to_owned(), "driven=1795332326328".to_owned()]);
    let strs: Vec<&str> = args.iter().map(String::as_str).collect();
    system.nodes[0].agent = Some(Proc::start("cairn-agent", &strs, &[]).unwrap());
    system.tick(testkit::system::FIRST_TICK_MS).unwrap();
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let ready = agent.get("admin", "/readyz?verbose").unwrap().text();
    let line = ready
        .lines()
        .find(|l| l.contains("summary"))
        .unwrap_or_default();
    holds(line, &["node9", "node1", "--kubelet-server-name"]);
    let stderr = agent.stderr();
    let log = stderr
        .lines()
        .find(|l| l.contains("WARN") && l.contains("node9"))
        .unwrap_or_default();
    holds(log, &["node1", "--kubelet-server-name"]);
    let overview = system.overview().unwrap();
    let node = &overview["nodes"][0];
    assert!(
        node["series"]["load1"][0].is_number(),
        "the host goes on: {node}"
    );
    assert!(node["series"]["memory"][0].is_null(), "{node}");
    holds(&node["sources"].to_string(), &["node9", "node1"]);
}

/// Scenario: the agent expects another name than the aggregator's certificate has.
/// Guarantees: log and `/readyz?verbose` say which names it has, which one was expected and which
/// flag helps; nothing is sent.
#[test]
fn an_aggregators_certificate_of_another_name_is_explained() {
    let mut system = System::start(Options::one_node()).unwrap();
    let mut args = system.agent_args(0).unwrap();
    args.extend(["--aggregator-server-name", "elsewhere.example"].map(str::to_owned));
    args.extend(["--clock", "driven=1795332326328"].map(str::to_owned));
    let strs: Vec<&str> = args.iter().map(String::as_str).collect();
    system.nodes[0].agent = Some(Proc::start("cairn-agent", &strs, &[]).unwrap());
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let told = testkit::deadline::Deadline::after(SOON).poll(|| {
        let ready = agent.get("admin", "/readyz?verbose").ok()?.text();
        let mut lines = ready.lines();
        lines
            .find(|l| l.contains("elsewhere.example"))
            .map(str::to_owned)
    });
    let parts = ["elsewhere.example", "localhost", "--aggregator-server-name"];
    holds(&told.expect("/readyz?verbose says why"), &parts);
    let stderr = agent.stderr();
    let log = stderr
        .lines()
        .find(|l| l.contains("WARN") && l.contains("elsewhere"));
    holds(log.unwrap_or_default(), &parts);
}

/// Scenario: the aggregator's file of tokens does not have the agent's.
/// Guarantees: both sides say so in one line with what to do; the agent keeps sampling.
#[test]
fn a_refused_token_is_explained_on_both_sides() {
    let mut system = System::start(Options::one_node()).unwrap();
    std::fs::write(system.path("node1.token"), "another").unwrap();
    system.nodes[0].agent = None;
    system.start_agent(0).unwrap();
    system.step(testkit::system::FIRST_TICK_MS).unwrap();
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let told = testkit::deadline::Deadline::after(SOON).poll(|| {
        let ready = agent.get("admin", "/readyz?verbose").ok()?.text();
        ready
            .lines()
            .find(|l| l.contains("token file"))
            .map(str::to_owned)
    });
    holds(
        &told.expect("/readyz?verbose says why"),
        &["token", "sha256"],
    );
    // What was written reaches the test a moment later.
    let logged = |process: &Proc, text: &str| {
        let logged = || process.stderr().contains(text).then_some(());
        testkit::deadline::Deadline::after(SOON).poll(logged)
    };
    assert!(logged(agent, "token file").is_some(), "{}", agent.stderr());
    let aggregator = system.aggregator().unwrap();
    assert!(
        logged(aggregator, "agent refused").is_some(),
        "{}",
        aggregator.stderr()
    );
    let refused = System::metric(
        aggregator,
        "cairn_aggregator_ingest_refused_streams_total",
        "unknown_token",
    );
    assert!(refused.unwrap() >= 1.0);
}
