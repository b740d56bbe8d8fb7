//! What the aggregator's plain listener serves: everything on loopback, and off it only what old
//! clients need, to those who ask for a name that is allowed.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use cairn_proto::v1;
use testkit::http1::{self, Answer};
use testkit::proc::Proc;
use testkit::reader::Reader;
use testkit::system::{Options, System};
use tonic::{Code, Status};

/// Every address of the machine, so none that is on loopback alone.
const EVERYWHERE: &str = "0.0.0.0:0";

const DUMPS: [&str; 3] = [
    "/api/v1/metric-export",
    "/api/v1/metric-export-schema",
    "/api/v1/model/debug/allkeys",
];

/// An aggregator without agents, and the files that it was started with.
struct Running {
    process: Proc,
    _files: System,
}

impl Running {
    fn start(listen: &str, flags: &[&str]) -> Self {
        let mut files = System::start(Options {
            nodes: Vec::new(),
            ..Options::default()
        })
        .unwrap();
        files.aggregator = None;
        let mut args = files.aggregator_args();
        for (flag, addr) in [("--grpc-listen", "127.0.0.1:0"), ("--http-listen", listen)] {
            let at = args.iter().position(|arg| arg == flag).unwrap();
            args[at + 1] = addr.to_owned();
        }
        let args = args.iter().map(String::as_str).chain(flags.iter().copied());
        let args: Vec<&str> = args.collect();
        Self {
            process: Proc::start("cairn-aggregator", &args, &[]).unwrap(),
            _files: files,
        }
    }

    /// Where it is reached: always over loopback.
    fn addr(&self) -> SocketAddr {
        let port = self.process.addr("http").unwrap().port();
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn get(&self, path: &str) -> Answer {
        http1::get(self.addr(), path).unwrap()
    }

    /// The answer to who asks for this host, as it travels.
    fn of_host(&self, host: &str) -> String {
        self.of_target("/api/v1/model/nodes/", &[host])
    }

    /// The answer to a request line and its hosts, as it travels.
    fn of_target(&self, target: &str, hosts: &[&str]) -> String {
        let mut stream = TcpStream::connect(self.addr()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut head = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n");
        for host in hosts {
            head.push_str(&format!("Host: {host}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

fn is_refused(running: &Running, path: &str, way: &str) {
    let answer = running.get(path);
    let text = answer.text();
    assert_eq!(answer.status, 403, "{path}: {text}");
    assert!(text.contains(way), "{path}: {text}");
}

#[test]
fn off_loopback_only_health_model_and_scraper_are_served() {
    let running = Running::start(EVERYWHERE, &[]);
    assert_eq!(running.get("/api/v1/model/nodes/").text(), "[]");
    let scraper = running.get("/api/v1/dashboard/nodes/none/metrics/cpu/x");
    assert_eq!(scraper.text(), "{\"items\":[]}\n");
    // Served, and without an agent nothing is well.
    let health = running.get("/healthz");
    assert_eq!(health.status, 500);
    assert!(
        health.text().contains("reason withheld"),
        "{}",
        health.text()
    );
    for path in [
        "/",
        "/apis/metrics/v1alpha1/nodes",
        "/apis/metrics.k8s.io/v1alpha1/pods",
        "/api/cairn/v1/overview",
        "/api/cairn/v1/stream",
        "/api/cairn/v1/values?node=none",
        "/api/cairn%2Fv1/values?node=none",
    ] {
        is_refused(
            &running,
            path,
            "on a loopback listener (kubectl port-forward)",
        );
    }
    for path in DUMPS {
        is_refused(&running, path, "--http-serve-dumps");
    }
}

#[test]
fn dumps_are_opened_by_their_flag_and_nothing_else_is() {
    let running = Running::start(EVERYWHERE, &["--http-serve-dumps"]);
    for path in DUMPS {
        assert_eq!(running.get(path).status, 200, "{path}");
    }
    for path in [
        "/",
        "/apis/metrics/v1alpha1/nodes",
        "/api/cairn/v1/overview",
    ] {
        is_refused(&running, path, "loopback");
    }
}

#[test]
fn on_loopback_everything_is_served() {
    let running = Running::start("127.0.0.1:0", &[]);
    let others = [
        "/apis/metrics/v1alpha1/nodes",
        "/api/cairn/v1/overview",
        "/api/v1/model/nodes/",
    ];
    for path in others.into_iter().chain(DUMPS) {
        assert_eq!(running.get(path).status, 200, "{path}");
    }
}

#[test]
fn a_name_is_admitted_by_its_flag_and_others_are_misdirected() {
    let running = Running::start(EVERYWHERE, &["--http-host", "heapster"]);
    for host in [
        "heapster",
        "heapster:80",
        "127.0.0.1:1",
        "[::1]:1",
        "localhost",
    ] {
        let answer = running.of_host(host);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    for host in [
        "evil.example",
        "heapster.evil.example",
        "[127.0.0.1].evil.example",
        "http://heapster",
    ] {
        let answer = running.of_host(host);
        let is_refused = answer.starts_with("HTTP/1.1 421 ") && answer.contains("--http-host");
        assert!(is_refused, "{host}: {answer}");
    }
    let unnamed = Running::start("127.0.0.1:0", &[]);
    let answer = unnamed.of_host("heapster");
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
}

#[test]
fn none_or_two_hosts_are_refused_and_one_within_the_target_counts() {
    let running = Running::start("127.0.0.1:0", &[]);
    let nodes = "/api/v1/model/nodes/";
    let elsewhere = "http://evil.example/api/v1/model/nodes/";
    for (target, hosts, status) in [
        (nodes, &["localhost"][..], "200"),
        (nodes, &[], "400"),
        (nodes, &["localhost", "evil.example"], "400"),
        (elsewhere, &["localhost"], "421"),
    ] {
        let answer = running.of_target(target, hosts);
        let is_expected = answer.starts_with(&format!("HTTP/1.1 {status} "));
        assert!(is_expected, "{target} {hosts:?}: {answer}");
    }
}

#[test]
fn a_target_of_64_kib_is_read_and_a_longer_one_is_told_what_to_do() {
    let running = Running::start("127.0.0.1:0", &[]);
    let list = |bytes: usize| {
        let (head, tail) = (
            "/api/v1/model/namespaces/a/pod-list/",
            "/metrics/cpu/usage_rate",
        );
        format!(
            "{head}{}{tail}",
            "p".repeat(bytes - head.len() - tail.len())
        )
    };
    let longest = 65_534;
    assert_eq!(running.get(&list(longest)).status, 200);
    let answer = running.get(&list(longest + 1));
    assert_eq!(answer.status, 414);
    let text = answer.text();
    assert!(text.contains("ask for less"), "{text}");
}

/// Scenario: a program calls the gRPC service on a listener that everybody reaches.
/// Guarantees: it is told that it may not, and where it may.
#[tokio::test(flavor = "multi_thread")]
async fn programs_are_served_on_loopback_alone() {
    let running = Running::start(EVERYWHERE, &[]);
    let mut reader = Reader::plain(running.addr()).await.unwrap();
    let refused = reader.top(v1::TopRequest::default()).await.unwrap_err();
    let status = refused.downcast_ref::<Status>().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("port-forward"), "{status}");
    is_refused(&running, "/api/cairn/v1/range?metric=x", "port-forward");
}
