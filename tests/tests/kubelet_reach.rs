//! Where an agent looks for its kubelet, and that its token goes nowhere else.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::net::SocketAddr;

use testkit::deadline::Deadline;
use testkit::proc::Proc;
use testkit::system::{FIRST_TICK_MS, Options, System, TRACE_START_MS, at, take_flag};

const SOON: std::time::Duration = std::time::Duration::from_secs(10);

/// A system whose agent does not run yet.
fn system() -> System {
    let mut system = System::start(Options::one_node()).unwrap();
    system.nodes[0].agent = None;
    system
}

/// A kubelet of somebody else's on a port of 127.0.0.1, with a certificate for the node's name that is of
/// its own making.
fn foreign() -> Proc {
    let clock = format!("driven={TRACE_START_MS}");
    let args = [
        "--make-pki",
        "pki",
        "--token",
        "kubelet-token",
        "--clock",
        &clock,
    ];
    Proc::start_foreign("kubelet-sim", &args).unwrap()
}

fn metric(kubelet: &Proc, what: &str) -> f64 {
    System::metric(kubelet, &format!("kubelet_sim_{what}_total"), "").unwrap()
}

/// Lets an agent look for its kubelet by itself, with this port and these flags.
fn start_auto(system: &mut System, port: u16, flags: &[&str]) {
    let but = |args: &mut Vec<String>| {
        take_flag(args, "--kubelet");
        args.extend(["--kubelet-port".to_owned(), port.to_string()]);
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
    };
    system.start_agent_but(0, but).unwrap();
}

/// What the aggregator says of the sources, and whether it knows what only the kubelet tells.
fn sources(system: &System) -> (String, bool) {
    let node = system.overview().unwrap()["nodes"][0].clone();
    let known = node["series"]["memory"][0].is_number();
    (node["sources"].to_string(), known)
}

/// Puts the node's kubelet on this address.
fn move_kubelet(system: &mut System, address: SocketAddr, more: &[&str]) {
    let listen = ["--listen", &address.to_string()].map(str::to_owned);
    let more = more.iter().map(|arg| (*arg).to_owned());
    system.options.sim_args = listen.into_iter().chain(more).collect();
    system.restart_kubelet(0).unwrap();
}

/// Scenario: somebody else's process has the kubelet's port on 127.0.0.1, with a certificate for the right
/// name; the kubelet has it on the node's address.
/// Guarantees: the agent finds the kubelet; the other one gets connections and not one request, so no token.
#[test]
fn auto_goes_past_a_foreign_process_and_shows_it_no_token() {
    let mut system = system();
    let foreign = foreign();
    let port = foreign.addr("kubelet").unwrap().port();
    move_kubelet(&mut system, SocketAddr::from(([127, 0, 0, 2], port)), &[]);
    start_auto(&mut system, port, &["--host-ip", "127.0.0.2"]);
    for k in 0..3 {
        system.tick(at(k)).unwrap();
    }
    let (sources, known) = sources(&system);
    assert!(known, "{sources}");
    assert!(metric(&system.nodes[0].kubelet, "authorized_requests") >= 6.0);
    assert!(metric(&foreign, "requests").abs() < 0.5);
}

/// Scenario: the kubelet is nowhere, and somebody else's process has its port.
/// Guarantees: it is refused with its names, and gets no request.
#[test]
fn a_foreign_process_alone_is_refused() {
    let mut system = system();
    let foreign = foreign();
    start_auto(&mut system, foreign.addr("kubelet").unwrap().port(), &[]);
    system.tick(FIRST_TICK_MS).unwrap();
    let (sources, known) = sources(&system);
    assert!(!known, "{sources}");
    assert!(sources.contains("signed by no trusted CA"), "{sources}");
    assert!(metric(&foreign, "requests").abs() < 0.5);
}

/// Scenario: verification is switched off, and a process that is not root's has the kubelet's port.
/// Guarantees: it is asked, for that was asked for, but no request carries a token, and what it answers to
/// that says why none did.
#[test]
fn without_verification_a_foreign_process_gets_no_token() {
    let mut system = system();
    let foreign = foreign();
    skip_verification(&mut system, foreign.addr("kubelet").unwrap());
    for k in 0..3 {
        system.tick(at(k)).unwrap();
    }
    assert!(metric(&foreign, "requests") >= 6.0);
    assert!(metric(&foreign, "authorized_requests").abs() < 0.5);
    let (sources, known) = sources(&system);
    assert!(
        !known && sources.contains("to a process of uid 0"),
        "{sources}"
    );
}

/// Scenario: the same with a process of the user that the tests run as.
/// Guarantees: the token is sent when that is root, and only then; the agent warns.
#[test]
fn without_verification_the_token_goes_to_root_alone() {
    let mut system = system();
    let kubelet = system.nodes[0].kubelet.addr("kubelet").unwrap();
    skip_verification(&mut system, kubelet);
    system.tick(FIRST_TICK_MS).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let (sources, known) = sources(&system);
    let tokens = metric(&system.nodes[0].kubelet, "authorized_requests");
    assert_eq!((known, tokens > 0.5), (is_root, is_root), "{sources}");
    let log = system.nodes[0].agent.as_ref().unwrap().stderr();
    assert!(log.contains("WARN") && log.contains("is believed"), "{log}");
}

fn skip_verification(system: &mut System, kubelet: SocketAddr) {
    let but = |args: &mut Vec<String>| {
        take_flag(args, "--kubelet-ca");
        take_flag(args, "--kubelet");
        args.extend(["--kubelet".to_owned(), format!("https://{kubelet}")]);
        args.push("--kubelet-insecure-skip-tls-verify".to_owned());
    };
    system.start_agent_but(0, but).unwrap();
}

/// Scenario: the port with TLS answers nobody, and the one without TLS is there; then the other comes.
/// Guarantees: the port without TLS is left alone unless a flag allows it; then it is read without a token,
/// with a warning; and the kubelet's own port as soon as it is there.
#[test]
fn the_port_without_tls_is_read_only_where_it_is_allowed() {
    let mut system = system();
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    // The kubelet is on another address than the one that is tried, but for its port without TLS.
    let elsewhere = SocketAddr::from(([127, 0, 0, 3], nobody.port()));
    let read_only = ["--read-only-listen", "127.0.0.1:0"];
    move_kubelet(&mut system, elsewhere, &read_only);
    start_auto(&mut system, nobody.port(), &[]);
    system.tick(at(0)).unwrap();
    let (text, known) = sources(&system);
    assert!(!known && text.contains(&nobody.to_string()), "{text}");
    assert!(metric(&system.nodes[0].kubelet, "requests").abs() < 0.5);

    let port = system.nodes[0]
        .kubelet
        .addr("read-only")
        .unwrap()
        .port()
        .to_string();
    start_auto(
        &mut system,
        nobody.port(),
        &["--kubelet-read-only-port", &port],
    );
    system.tick(at(1)).unwrap();
    assert!(sources(&system).1, "{:?}", sources(&system));
    assert!(metric(&system.nodes[0].kubelet, "requests") >= 2.0);
    assert!(metric(&system.nodes[0].kubelet, "authorized_requests").abs() < 0.5);
    let log = system.nodes[0].agent.as_ref().unwrap().stderr();
    assert!(log.contains("kubelet is read without TLS"), "{log}");

    move_kubelet(
        &mut system,
        nobody,
        &["--read-only-listen", &format!("127.0.0.1:{port}")],
    );
    system.tick(at(2)).unwrap();
    let verified = || metric(&system.nodes[0].kubelet, "authorized_requests") >= 2.0;
    let verified = Deadline::after(SOON).poll(|| verified().then_some(()));
    assert!(verified.is_some(), "{:?}", sources(&system));
}

/// Scenario: somebody else's process has the kubelet's port, and the port without TLS is allowed and served.
/// Guarantees: the refusal is told, and nothing is asked without TLS.
#[test]
fn a_certificate_that_is_refused_is_no_reason_to_read_without_tls() {
    let mut system = system();
    let foreign = foreign();
    let port = foreign.addr("kubelet").unwrap().port();
    let elsewhere = SocketAddr::from(([127, 0, 0, 3], port));
    let served = ["--read-only-listen", "127.0.0.1:0"];
    move_kubelet(&mut system, elsewhere, &served);
    let kubelet = &system.nodes[0].kubelet;
    let read_only = kubelet.addr("read-only").unwrap().port().to_string();
    let flags = ["--kubelet-read-only-port", read_only.as_str()];
    start_auto(&mut system, port, &flags);
    system.tick(at(0)).unwrap();
    let (text, known) = sources(&system);
    assert!(!known && text.contains("signed by no trusted CA"), "{text}");
    assert!(metric(&system.nodes[0].kubelet, "requests").abs() < 0.5);
}

/// A port that nobody had a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Scenario: an agent in a cluster can read a private key beside the kubelet's certificate.
/// Guarantees: it ends with 64 and the remedy; outside of a cluster it runs.
#[test]
fn who_can_read_the_kubelets_key_in_a_cluster_does_not_start() {
    let system = system();
    let dir = system.path("kubelet-node1");
    let pin = dir.join("node1-kubelet.pem").display().to_string();
    let key = dir.join("node1-kubelet.key").display().to_string();
    let mut args = system.agent_args(0).unwrap();
    args.extend(["--kubelet-cert".to_owned(), pin]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let in_cluster = [("KUBERNETES_SERVICE_HOST", "10.96.0.1")];
    let mut agent = Proc::launch("cairn-agent", &args, &in_cluster).unwrap();
    let code = agent.wait(SOON).unwrap().code();
    let said = agent.stderr();
    assert_eq!(code, Some(64), "{said}");
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{said}");
    for part in [key.as_str(), "runAsUser: 65532", "0600"] {
        assert!(errors[0].contains(part), "{part:?} is not in {said}");
    }
    drop(Proc::start("cairn-agent", &args, &[]).unwrap());
}
