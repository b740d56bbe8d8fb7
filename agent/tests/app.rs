//! The production wiring in this process: every task, a driven clock, no kubelet and no aggregator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cairn_agent::app;
use cairn_agent::config::{Admin, Cadvisor, Config};
use cairn_runtime::clock::Mode;
use cairn_runtime::exit::Failure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const START: u64 = 1_795_332_330_000;

fn config(listen: &str) -> Config {
    Config {
        node: "node1".to_owned(),
        aggregators: Vec::new(),
        token_file: None,
        interval_ms: 10_000,
        window_ms: 900_000,
        ring_bytes: 1 << 24,
        kubelet: None,
        cadvisor: Cadvisor::Off,
        source_cpu_millis: 0,
        per_cpu: false,
        cgroup_root: None,
        summary_every_ms: None,
        proc_root: PathBuf::from("/proc"),
        host_root: None,
        socket: None,
        state_dir: None,
        admin: Admin {
            listen: listen.parse().expect("an address"),
            clock: Mode::Driven {
                start_unix_ms: START - 1,
            },
            bound_file: None,
        },
    }
}

/// Sends one request and returns the whole answer.
async fn request(to: SocketAddr, line: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(to).await.expect("the admin listener");
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let text = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    stream
        .write_all(text.as_bytes())
        .await
        .expect("a written request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn a_stepped_agent_samples_shows_it_and_stops_in_time() {
    let bound = app::start(config("127.0.0.1:0")).await.unwrap();
    let admin = bound.admin_addr().unwrap();
    let scenario = async {
        let before = request(admin, "GET /readyz", "").await;
        assert!(
            before.contains(" 503 ") && before.contains("[-]first-row"),
            "{before}"
        );
        let body = format!("{{\"unix_ms\":{}}}", START + 30_250);
        let stepped = request(admin, "POST /debug/clock", &body).await;
        assert!(stepped.contains(" 200 "), "{stepped}");
        let after = request(admin, "GET /readyz?verbose", "").await;
        assert!(
            after.contains(" 200 ") && after.contains("[+]source procfs"),
            "{after}"
        );
        let metrics = request(admin, "GET /metrics", "").await;
        assert!(
            metrics.contains("cairn_agent_sampler_rows_total 4\n"),
            "{metrics}"
        );
        assert!(metrics.contains("cairn_agent_ring_rows 4\n"), "{metrics}");
        assert!(
            metrics.contains("cairn_agent_process_resident_memory_bytes "),
            "{metrics}"
        );
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), bound.run(scenario)).await;
    assert_eq!(ended.unwrap(), Ok(()));
    assert!(
        TcpStream::connect(admin).await.is_err(),
        "the admin listener stops too"
    );
}

#[tokio::test]
async fn a_taken_admin_port_disables_the_listener_unless_a_test_needs_it() {
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let refused = app::start(config(&taken)).await.unwrap_err();
    let Failure::Other(text) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        text.contains("--admin-listen") && text.contains(&taken),
        "{text}"
    );
    let mut on_system = config(&taken);
    on_system.admin.clock = Mode::System;
    let bound = app::start(on_system).await.unwrap();
    assert_eq!(bound.admin_addr(), None);
    assert_eq!(bound.run(async {}).await, Ok(()));
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_is_told_and_costs_no_row() {
    let mut config = config("127.0.0.1:0");
    config.state_dir = Some(PathBuf::from("/nonexistent/state"));
    let bound = app::start(config).await.unwrap();
    let admin = bound.admin_addr().unwrap();
    let scenario = async {
        let body = format!("{{\"unix_ms\":{}}}", START + 10_250);
        request(admin, "POST /debug/clock", &body).await;
        let ready = request(admin, "GET /readyz?verbose", "").await;
        let is_told = ready.contains(" 200 ") && ready.contains("/nonexistent/state/runs");
        assert!(is_told, "{ready}");
        let metrics = request(admin, "GET /metrics", "").await;
        for line in [
            "cairn_agent_sampler_rows_total 2\n",
            "cairn_agent_state_write_failures_total 2\n",
        ] {
            assert!(metrics.contains(line), "{metrics}");
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), bound.run(scenario)).await;
    assert_eq!(ended.unwrap(), Ok(()));
}
