//! Over real TLS sockets: the simulator on a thread of its own, a blocking client in the test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use cairn_runtime::clock::Mode;
use cairn_runtime::shutdown::Token;

use super::{Config, Control, Endpoint, Fault, Order, Reach, bind};
use crate::deadline::Deadline;
use crate::http1::{self, Error, Target};
use crate::pki::{Pki, Validity};
use crate::trace::{Frame, Options, Replay, Trace};

const BASE_MS: u64 = 1_795_332_326_328;

struct Running {
    kubelet: SocketAddr,
    admin: SocketAddr,
    control: Control,
    ca: PathBuf,
    token: Token,
    thread: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Running {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let leaf = Pki::new(dir.path())
            .unwrap()
            .kubelet_default("node1", Validity::Current)
            .unwrap();
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let config = Config {
            listen: loopback,
            admin_listen: Some(loopback),
            read_only_listen: None,
            cadvisor_listen: None,
            cadvisor_tls: false,
            cert: leaf.cert_pem,
            key: leaf.key_pem,
            token: Some("s3cret".into()),
            clock: Mode::Driven {
                start_unix_ms: BASE_MS,
            },
            replay: replay(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let bound = runtime.block_on(bind(config)).unwrap();
        let token = Token::new();
        let (kubelet, admin) = (bound.kubelet_addr(), bound.admin_addr().unwrap());
        let control = bound.control();
        let stop = token.clone();
        let thread = std::thread::spawn(move || runtime.block_on(bound.run(stop)));
        Self {
            kubelet,
            admin,
            control,
            ca: dir.path().join("node1-kubelet-ca.pem"),
            token,
            thread: Some(thread),
            _dir: dir,
        }
    }

    fn anonymous(&self) -> Target {
        Target::tls(self.kubelet, "node1", &self.ca)
            .unwrap()
            .within(Duration::from_secs(10))
    }

    fn client(&self) -> Target {
        self.anonymous().bearer("s3cret")
    }

    fn break_summary(&self, fault: Fault) {
        self.control.fault(&Order {
            endpoint: Reach::Summary,
            fault,
            for_requests: Some(1),
        });
    }

    fn stop(&mut self) {
        self.token.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn replay() -> Replay {
    let trace = Trace::carried().unwrap();
    Replay::new(&trace, "node1", Options::starting(BASE_MS)).unwrap()
}

fn recorded() -> Frame {
    replay().at(BASE_MS)
}

#[test]
fn it_answers_as_the_recorded_kubelet_does() {
    let sim = Running::start();
    let summary = sim.client().get("/stats/summary").unwrap();
    assert_eq!(summary.status, 200);
    assert_eq!(summary.header("content-type"), Some("application/json"));
    assert!(summary.body == recorded().summary);
    let resource = sim.client().get("/metrics/resource").unwrap();
    assert_eq!(
        resource.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
    );
    assert!(resource.body == recorded().resource);
    assert_eq!(sim.client().get("/pods").unwrap().status, 403);
    assert_eq!(sim.client().get("/stats").unwrap().status, 404);
    assert_eq!(sim.anonymous().get("/healthz").unwrap().text(), "ok");
    assert_eq!(
        sim.client().post("/stats/summary", b"").unwrap().status,
        405
    );
}

#[test]
fn requests_are_counted_by_what_they_cost_a_kubelet() {
    let sim = Running::start();
    for path in [
        "/stats/summary",
        "/stats/summary?only_cpu_and_memory=false",
        "/stats/summary?only_cpu_and_memory=true",
        "/metrics/resource",
        "/metrics/cadvisor",
        "/pods",
        "/pods",
        "/pods",
        "/stats",
    ] {
        sim.client().get(path).unwrap();
    }
    let counts = Endpoint::ALL.map(|endpoint| sim.control.requests(endpoint));
    assert_eq!(counts, [2, 1, 1, 1, 3, 1]);
}

#[test]
fn it_refuses_a_wrong_name_and_a_wrong_token_and_counts_both_kinds() {
    let sim = Running::start();
    let other_name = Target::tls(sim.kubelet, "127.0.0.1", &sim.ca).unwrap();
    assert!(matches!(
        other_name.get("/healthz"),
        Err(Error::Exchange { .. })
    ));
    for client in [sim.anonymous(), sim.anonymous().bearer("guess")] {
        let refused = client.get("/stats/summary").unwrap();
        assert_eq!(
            (refused.status, refused.text().as_str()),
            (401, "Unauthorized")
        );
    }
    assert_eq!(sim.client().get("/stats/summary").unwrap().status, 200);
    assert_eq!(sim.control.requests(Endpoint::Summary), 3);
    assert_eq!(sim.control.authorized_requests(Endpoint::Summary), 2);
    assert_eq!(sim.control.requests(Endpoint::Resource), 0);
}

#[test]
fn statuses_come_with_the_kubelets_words() {
    let sim = Running::start();
    for (code, text) in [
        (401, "Unauthorized"),
        (
            403,
            "Forbidden (user=system:serviceaccount:cairn:cairn-agent, verb=get, \
             resource=nodes, subresource(s)=[stats])",
        ),
        (500, "Internal Server Error"),
    ] {
        sim.break_summary(Fault::Status { code });
        let answer = sim.client().get("/stats/summary").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (code, text));
    }
    assert_eq!(
        sim.client().get("/stats/summary").unwrap().status,
        200,
        "used up"
    );
}

#[test]
fn bodies_come_broken_as_ordered() {
    let sim = Running::start();
    let get = || sim.client().get("/stats/summary");
    sim.break_summary(Fault::Truncate { at: 1000 });
    assert!(matches!(get(), Err(Error::Truncated { read_bytes: 1000 })));
    sim.break_summary(Fault::Garbage);
    let garbage = get().unwrap();
    assert_eq!(garbage.header("content-type"), Some("application/json"));
    assert!(std::str::from_utf8(&garbage.body).is_err() && garbage.body.len() == 4096);
    sim.break_summary(Fault::ContentType);
    let html = get().unwrap();
    assert_eq!(
        html.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(html.body == recorded().summary);
    sim.break_summary(Fault::Redirect);
    let redirect = get().unwrap();
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (307, Some("/redirected"))
    );
    assert_eq!(sim.control.requests(Endpoint::Other), 0);
    sim.break_summary(Fault::Body {
        text: "{}".to_owned(),
    });
    assert_eq!(get().unwrap().text(), "{}");
    sim.break_summary(Fault::LongLine {
        text: "{}\n{".to_owned(),
        bytes: 3,
    });
    assert_eq!(get().unwrap().text(), "{}\n{xxx");
    sim.break_summary(Fault::Huge { bytes: 200_001 });
    let huge = get().unwrap().text();
    assert_eq!(huge.len(), 200_001);
    assert!(huge.starts_with(r#"{"node":{"nodeName":"node1"},"pods":[{"podRef""#));
    sim.break_summary(Fault::Endless);
    let endless = get().unwrap_err();
    assert!(matches!(endless, Error::Truncated { read_bytes } if read_bytes > 32 << 20));
}

#[test]
fn answers_come_late_slowly_or_never_as_ordered() {
    let mut sim = Running::start();
    let clock = Deadline::after(Duration::from_secs(60));
    let left = || clock.left().unwrap();
    let before = left();
    sim.break_summary(Fault::Slow { ms: 300 });
    assert_eq!(sim.client().get("/stats/summary").unwrap().status, 200);
    assert!(before - left() >= Duration::from_millis(300));

    let before = left();
    sim.break_summary(Fault::Drip {
        bytes_per_s: 40_000,
    });
    let dripped = sim.client().get("/stats/summary").unwrap();
    assert!(dripped.body == recorded().summary);
    assert!(
        before - left() >= Duration::from_millis(300),
        "16 KB at 40 KB/s"
    );

    sim.break_summary(Fault::Hang);
    let waiting = sim.client().within(Duration::from_millis(300));
    assert!(matches!(
        waiting.get("/stats/summary"),
        Err(Error::Exchange { .. })
    ));
    sim.break_summary(Fault::Hang);
    let hanging = sim.client();
    let hanging = std::thread::spawn(move || hanging.get("/stats/summary"));
    let asked = || (sim.control.requests(Endpoint::Summary) == 4).then_some(());
    Deadline::after(Duration::from_secs(5)).poll(asked).unwrap();
    let before = left();
    sim.stop();
    assert!(
        before - left() < Duration::from_secs(4),
        "a hanging answer holds up no stop"
    );
    assert!(hanging.join().unwrap().is_err());
}

#[test]
fn the_admin_port_steps_the_clock_breaks_and_counts() {
    let sim = Running::start();
    let step = |ms: u64| {
        let body = format!("{{\"unix_ms\":{ms}}}");
        http1::post(sim.admin, "/debug/clock", body.as_bytes()).unwrap()
    };
    let stepped = step(BASE_MS + 10_000);
    assert_eq!(
        (stepped.status, stepped.text()),
        (200, format!("{{\"unix_ms\":{}}}", BASE_MS + 10_000))
    );
    let body = sim.client().get("/stats/summary").unwrap().body;
    assert!(body == replay().at(BASE_MS + 10_000).summary && body != recorded().summary);
    let order = br#"{"endpoint":"all","fault":{"kind":"status","code":500},"for_requests":1}"#;
    assert_eq!(
        http1::post(sim.admin, "/debug/fault", order)
            .unwrap()
            .status,
        200
    );
    assert_eq!(sim.client().get("/stats/summary").unwrap().status, 500);
    assert_eq!(sim.client().get("/metrics/resource").unwrap().status, 500);
    assert_eq!(sim.client().get("/metrics/resource").unwrap().status, 200);
    let wrong = http1::post(sim.admin, "/debug/fault", b"{}").unwrap();
    assert_eq!(wrong.status, 400);
    assert_eq!(http1::get(sim.admin, "/livez").unwrap().text(), "ok\n");
    let metrics = http1::get(sim.admin, "/metrics").unwrap().text();
    assert!(
        metrics.contains("kubelet_sim_requests_total{endpoint=\"resource\"} 2\n"),
        "{metrics}"
    );
    assert!(metrics.contains("kubelet_sim_authorized_requests_total{endpoint=\"summary\"} 2\n"));
    assert_eq!(http1::get(sim.admin, "/nothing").unwrap().status, 404);
}

#[test]
fn a_marker_is_served_and_remembered() {
    let sim = Running::start();
    sim.control.set_marker(Some(4_096_000_001));
    let body = sim.client().get("/stats/summary").unwrap().text();
    assert!(body.contains("\"workingSetBytes\": 4096000001"));
    sim.control.set_marker(None);
    assert!(sim.client().get("/stats/summary").unwrap().body == recorded().summary);
    let served = sim.control.take_served();
    assert_eq!(served.len(), 1);
    assert_eq!(served[0].marker, 4_096_000_001);
    assert!(served[0].unix_us > 1_700_000_000_000_000, "{served:?}");
    assert_eq!(sim.control.take_served(), []);
}
