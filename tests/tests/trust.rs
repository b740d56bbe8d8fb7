//! Which kubelet an agent believes: the three kinds of certificate that one may have.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::net::IpAddr;

use testkit::pki::{Leaf, Pki, Validity};
use testkit::system::{FIRST_TICK_MS, Options, System, take_flag};

/// What an agent shows after one tick.
struct Seen {
    /// Whether the node's memory is known, which only the kubelet tells.
    known: bool,
    /// What the aggregator says of the sources.
    sources: String,
    /// How many requests with a token the kubelet had.
    tokens: f64,
    /// What the agent wrote.
    log: String,
}

/// Starts a kubelet with this certificate and an agent with these flags about it.
fn seen(leaf: &Leaf, flags: &[&str]) -> Seen {
    let mut system = System::start(Options::one_node()).unwrap();
    system.nodes[0].agent = None;
    system.replace_kubelet(0, leaf).unwrap();
    let but = |args: &mut Vec<String>| {
        take_flag(args, "--kubelet-ca");
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
    };
    system.start_agent_but(0, but).unwrap();
    system.tick(FIRST_TICK_MS).unwrap();
    let node = system.overview().unwrap()["nodes"][0].clone();
    let authorized = "kubelet_sim_authorized_requests_total";
    Seen {
        known: node["series"]["memory"][0].is_number(),
        sources: node["sources"].to_string(),
        tokens: System::metric(&system.nodes[0].kubelet, authorized, "").unwrap(),
        log: system.nodes[0].agent.as_ref().unwrap().stderr(),
    }
}

#[track_caller]
fn believed(leaf: &Leaf, flags: &[&str]) -> Seen {
    let seen = seen(leaf, flags);
    assert!(
        seen.known && seen.tokens >= 2.0,
        "{flags:?}: {}",
        seen.sources
    );
    seen
}

/// Not believed, with a reason that has all of these; and no token was sent.
#[track_caller]
fn refused(leaf: &Leaf, flags: &[&str], parts: &[&str]) {
    let seen = seen(leaf, flags);
    assert!(!seen.known, "{flags:?}: {}", seen.sources);
    for part in parts {
        assert!(
            seen.sources.contains(part),
            "{part:?} is not in {}",
            seen.sources
        );
    }
    assert!(
        seen.tokens.abs() < 0.5,
        "{} requests carried the token",
        seen.tokens
    );
}

fn pki() -> (tempfile::TempDir, Pki) {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(dir.path()).unwrap();
    (dir, pki)
}

/// Scenario: the certificate that a kubelet makes for itself: the node's name and no address, signed by a
/// CA that nobody knows, followed by it.
/// Guarantees: pinned it is believed, from a file among others that a pattern names; its CA, the second
/// block of the file, is enough; an agent that knows neither refuses it with the names and both flags.
#[test]
fn a_certificate_that_the_kubelet_made_is_believed_by_its_file() {
    let (dir, pki) = pki();
    let other = pki.ca("other").unwrap().cert_pem.display().to_string();
    pki.kubelet_default("node9", Validity::Current).unwrap();
    let leaf = pki.kubelet_default("node1", Validity::Current).unwrap();
    let pattern = dir.path().join("*-kubelet.pem").display().to_string();
    believed(&leaf, &["--kubelet-ca", &other, "--kubelet-cert", &pattern]);
    let ca = dir
        .path()
        .join("node1-kubelet-ca.pem")
        .display()
        .to_string();
    believed(&leaf, &["--kubelet-ca", &other, "--kubelet-ca", &ca]);
    let said = [
        "(for node1, expected node1)",
        "--kubelet-ca",
        "--kubelet-cert",
    ];
    refused(&leaf, &["--kubelet-ca", &other], &said);
}

/// Scenario: a certificate with an RSA key of 2,048 bits, as a kubelet makes it.
/// Guarantees: it is believed by its CA, and pinned.
#[test]
fn a_certificate_with_an_rsa_key_is_believed() {
    let (_dir, pki) = pki();
    let own = pki.ca("own").unwrap();
    let leaf = own.leaf("node1-kubelet").dns(&["node1"]).rsa();
    let leaf = leaf.write().unwrap();
    let key = std::fs::read_to_string(&leaf.key_pem).unwrap();
    // 2,048 bits and what belongs to them are some 1,700 characters, those of a curve 250.
    assert!(key.len() > 1_500, "{} characters", key.len());
    let ca = own.cert_pem.display().to_string();
    believed(&leaf, &["--kubelet-ca", &ca]);
    let cert = leaf.cert_pem.display().to_string();
    believed(&leaf, &["--kubelet-cert", &cert]);
}

/// Scenario: more than one pin, and CAs that a pattern names.
/// Guarantees: whichever of them it is, it is believed: the second pin after one of another kubelet, and the
/// CA among others in a directory; where none of them is, it is refused.
#[test]
fn pins_and_cas_are_tried_in_order() {
    let (dir, pki) = pki();
    let other = pki.kubelet_default("node9", Validity::Current).unwrap();
    let leaf = pki.kubelet_default("node1", Validity::Current).unwrap();
    let [other, own] = [&other, &leaf].map(|of| of.cert_pem.display().to_string());
    let pin = "--kubelet-cert";
    believed(&leaf, &[pin, &other, pin, &own]);
    refused(&leaf, &[pin, &other], &["certificate"]);
    let cas = |pattern: &str| dir.path().join(pattern).display().to_string();
    believed(&leaf, &["--kubelet-ca", &cas("*-kubelet-ca.pem")]);
    let said = ["certificate"];
    refused(&leaf, &["--kubelet-ca", &cas("node9*-ca.pem")], &said);
}

/// Scenario: such a kubelet whose node is called by an address, so that its certificate has that.
/// Guarantees: it is verified by the address as a name, though another one is dialled.
#[test]
fn a_node_that_is_called_by_an_address_is_verified_by_it() {
    let (dir, pki) = pki();
    let leaf = pki.kubelet_default("192.0.2.7", Validity::Current).unwrap();
    let ca = dir
        .path()
        .join("192.0.2.7-kubelet-ca.pem")
        .display()
        .to_string();
    let name = "--kubelet-server-name";
    believed(&leaf, &["--kubelet-ca", &ca, name, "192.0.2.7"]);
    let said = ["is for 192.0.2.7, not for 192.0.2.8", name];
    refused(&leaf, &["--kubelet-ca", &ca, name, "192.0.2.8"], &said);
}

/// Scenario: that certificate has expired, for a kubelet never renews it.
/// Guarantees: pinned it is believed all the same, and the agent says since when it has; by its CA alone it is
/// refused.
#[test]
fn an_expired_certificate_that_is_pinned_is_believed_with_a_warning() {
    let (dir, pki) = pki();
    let leaf = pki.kubelet_default("node1", Validity::Expired).unwrap();
    let cert = leaf.cert_pem.display().to_string();
    let seen = believed(&leaf, &["--kubelet-cert", &cert]);
    let warned: Vec<&str> = seen
        .log
        .lines()
        .filter(|line| line.contains("has expired"))
        .collect();
    assert_eq!(warned.len(), 1, "{}", seen.log);
    assert!(warned[0].contains("since=\"2022-01-01\""), "{}", warned[0]);
    let ca = dir
        .path()
        .join("node1-kubelet-ca.pem")
        .display()
        .to_string();
    refused(
        &leaf,
        &["--kubelet-ca", &ca],
        &["has expired", "--kubelet-cert"],
    );
}

/// Scenario: the certificate that a cluster signs for a kubelet (`serverTLSBootstrap`): the node's name and
/// its address, but not the one that is dialled.
/// Guarantees: the cluster's CA and the node's name are enough; for a node of another name it is refused
/// with the names that it has and the flag.
#[test]
fn a_certificate_that_the_cluster_signed_is_believed_by_the_nodes_name() {
    let (_dir, pki) = pki();
    let cluster = pki.ca("cluster").unwrap();
    let address: IpAddr = "192.168.77.11".parse().unwrap();
    let ca = cluster.cert_pem.display().to_string();
    let leaf = cluster.kubelet_bootstrap("node1", address).unwrap();
    believed(&leaf, &["--kubelet-ca", &ca]);
    let leaf = cluster.kubelet_bootstrap("node2", address).unwrap();
    let said = [
        "is for node2, 192.168.77.11, not for node1",
        "--kubelet-server-name",
    ];
    refused(&leaf, &["--kubelet-ca", &ca], &said);
}

/// Scenario: a certificate that an administrator gave the kubelet (`tlsCertFile`), with names of the
/// administrator's.
/// Guarantees: the CA alone is not enough, and the refusal tells the name and the flag that takes it; with
/// the flag it is believed, and pinned without it.
#[test]
fn a_certificate_that_an_administrator_gave_is_believed_under_its_own_name() {
    let (_dir, pki) = pki();
    let own = pki.ca("company").unwrap();
    let ca = own.cert_pem.display().to_string();
    let leaf = own
        .kubelet_given("node1", &["kubelet.node1.example"])
        .unwrap();
    let said = [
        "is for kubelet.node1.example, not for node1",
        "--kubelet-server-name",
    ];
    refused(&leaf, &["--kubelet-ca", &ca], &said);
    let name = ["--kubelet-server-name", "kubelet.node1.example"];
    believed(&leaf, &["--kubelet-ca", &ca, name[0], name[1]]);
    let cert = leaf.cert_pem.display().to_string();
    believed(&leaf, &["--kubelet-cert", &cert]);
}
