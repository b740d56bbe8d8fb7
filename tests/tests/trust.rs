//! Which kubelet an agent believes, and that its token goes nowhere else.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use testkit::pki::{Pki, Validity};
use testkit::proc::Proc;
use testkit::system::{FIRST_TICK_MS, Options, System, TRACE_START_MS};

/// A kubelet with its own certificate, and what an agent that reads it shows after one tick:
/// memory of the node, or why there is none.
fn seen(pki: &Pki, validity: Validity, trust: &dyn Fn(&str) -> Vec<String>) -> (bool, String, f64) {
    let mut system = System::start(Options::one_node()).unwrap();
    let leaf = pki.kubelet_default("node1", validity).unwrap();
    system.replace_kubelet(0, &leaf).unwrap();
    let cert = leaf.cert_pem.display().to_string();
    let clock = format!("driven={TRACE_START_MS}");
    let mut args = system.agent_args(0).unwrap();
    let ca = args.iter().position(|a| a == "--kubelet-ca").unwrap();
    args.drain(ca..ca + 2);
    args.extend(trust(&cert));
    args.extend(["--clock".to_owned(), clock.clone()]);
    let strs: Vec<&str> = args.iter().map(String::as_str).collect();
    system.nodes[0].agent = Some(Proc::start("cairn-agent", &strs, &[]).unwrap());
    system.tick(FIRST_TICK_MS).unwrap();
    let node = system.overview().unwrap()["nodes"][0].clone();
    let authorized = "kubelet_sim_authorized_requests_total";
    let tokens = System::metric(&system.nodes[0].kubelet, authorized, "").unwrap();
    let known = node["series"]["memory"][0].is_number();
    (known, node["sources"].to_string(), tokens)
}

fn flag(name: &str, value: &str) -> Vec<String> {
    vec![name.to_owned(), value.to_owned()]
}

#[test]
fn a_pinned_certificate_is_believed_even_when_it_has_expired() {
    for validity in [Validity::Current, Validity::Expired] {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(dir.path()).unwrap();
        let (known, sources, tokens) = seen(&pki, validity, &|cert| flag("--kubelet-cert", cert));
        assert!(known && tokens >= 2.0, "{sources}");
    }
}

#[test]
fn a_certificate_of_nobody_known_is_refused_and_gets_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(dir.path()).unwrap();
    let other = pki.ca("other").unwrap().cert_pem.display().to_string();
    let (known, sources, tokens) = seen(&pki, Validity::Current, &|_| flag("--kubelet-ca", &other));
    assert!(!known, "{sources}");
    assert!(sources.contains("--kubelet-ca"), "{sources}");
    assert!(tokens.abs() < 0.5, "{tokens} requests carried the token");
}

#[test]
fn without_verification_no_token_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(dir.path()).unwrap();
    let skip = |_: &str| vec!["--kubelet-insecure-skip-tls-verify".to_owned()];
    let (_, sources, tokens) = seen(&pki, Validity::Current, &skip);
    assert!(
        tokens.abs() < 0.5,
        "{tokens} requests carried the token: {sources}"
    );
}
