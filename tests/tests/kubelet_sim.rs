//! The binary `kubelet-sim`, and the test kit's way with processes, on it.

use std::time::Duration;

use testkit::http1::Target;
use testkit::proc::{Error, Proc};

const BASE_MS: u64 = 1_795_332_326_328;

const SOON: Duration = Duration::from_secs(5);

#[expect(
    clippy::unwrap_used,
    reason = "a test that cannot start its process has failed"
)]
fn start(dir: &std::path::Path, more: &[&str]) -> Proc {
    let dir = dir.to_str().unwrap();
    let mut args = vec!["--make-pki", dir, "--clock", "driven=1795332326328"];
    args.extend(more);
    Proc::start("kubelet-sim", &args, &[]).unwrap()
}

#[test]
fn it_serves_steps_and_ends_cleanly_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let mut sim = start(
        dir.path(),
        &["--node", "node2", "--token", "t", "--pods", "40"],
    );
    let ca = dir.path().join("node2-kubelet-ca.pem");
    let client = Target::tls(sim.addr("kubelet").unwrap(), "node2", &ca).unwrap();
    assert_eq!(client.get("/stats/summary").unwrap().status, 401);
    let client = client.bearer("t");
    let first = client.get("/stats/summary").unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(summary["node"]["nodeName"], "node2");
    assert_eq!(summary["pods"].as_array().unwrap().len(), 40);
    sim.step(BASE_MS + 300_000).unwrap();
    assert_ne!(client.get("/stats/summary").unwrap().body, first.body);
    assert_eq!(sim.get("admin", "/livez").unwrap().status, 200);
    let broken = r#"{"endpoint":"summary","fault":{"kind":"status","code":403}}"#;
    assert_eq!(
        sim.post("admin", "/debug/fault", broken).unwrap().status,
        200
    );
    assert_eq!(client.get("/stats/summary").unwrap().status, 403);
    assert!(matches!(sim.addr("grpc"), Err(Error::Address { .. })));
    sim.sigterm().unwrap();
    assert_eq!(sim.wait(SOON).unwrap().code(), Some(0));
    assert!(sim.sigterm().is_err(), "an ended process is not signalled");
}

#[test]
fn a_killed_process_is_reaped_and_a_dropped_one_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut sim = start(dir.path(), &[]);
    let still = sim.wait(Duration::from_millis(50)).unwrap_err();
    assert!(matches!(still, Error::StillRunning { .. }));
    assert_eq!(sim.kill9().unwrap().code(), None);
    let sim = start(dir.path(), &[]);
    let (admin, own) = (sim.addr("admin").unwrap(), sim.dir().to_path_buf());
    drop(sim);
    assert!(testkit::http1::get(admin, "/livez").is_err());
    assert!(!own.exists());
}

#[test]
fn wrong_arguments_are_one_line_and_64() {
    for (args, text) in [
        (
            vec![],
            "error: no certificate: give --cert and --key, or --make-pki DIR\n",
        ),
        (
            vec!["--make-pki", "/proc/x"],
            "error: cannot write /proc/x: is the directory writable?",
        ),
        (
            vec!["--make-pki", "/proc/x", "--node", "node7"],
            "error: the recording has no node \"node7\"",
        ),
        (
            vec!["--wrong"],
            "error: unexpected argument '--wrong' found\n",
        ),
        (
            vec!["--clock", "sundial"],
            "error: invalid value 'sundial' for '--clock <CLOCK>'",
        ),
    ] {
        let mut sim = Proc::launch("kubelet-sim", &args, &[]).unwrap();
        assert_eq!(sim.wait(SOON).unwrap().code(), Some(64), "{args:?}");
        let stderr = sim.stderr();
        assert!(stderr.starts_with(text), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let mut nothing = Proc::launch("make-pki", &[], &[]).unwrap();
    assert_eq!(nothing.wait(SOON).unwrap().code(), Some(64));
    let missing = "error: the following required arguments were not provided: --dir <DIR>\n";
    assert_eq!(nothing.stderr(), missing);
    let error = Proc::start("kubelet-sim", &[], &[]).unwrap_err();
    assert!(matches!(&error, Error::NotUp { .. }));
    assert!(error.to_string().contains("exit status: 64"), "{error}");
}

#[test]
fn make_pki_writes_what_a_server_needs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let args = [
        "--dir",
        path,
        "--dns",
        "localhost",
        "cairn",
        "--ip",
        "127.0.0.1",
    ];
    let mut made = Proc::launch("make-pki", &args, &[]).unwrap();
    assert_eq!(
        made.wait(SOON).unwrap().code(),
        Some(0),
        "{}",
        made.stderr()
    );
    let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|file| dir.path().join(file));
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let sim = Proc::start("kubelet-sim", &["--cert", cert, "--key", key], &[]).unwrap();
    for name in ["localhost", "cairn", "127.0.0.1"] {
        let client = Target::tls(sim.addr("kubelet").unwrap(), name, &ca).unwrap();
        assert_eq!(client.get("/healthz").unwrap().status, 200, "{name}");
    }
    let client = Target::tls(sim.addr("kubelet").unwrap(), "other", &ca).unwrap();
    assert!(client.get("/healthz").is_err());
}
