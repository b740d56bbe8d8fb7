//! The way of a figure from a node to its readers where there is only one of the two families of addresses.
//!
//! Each test runs its inner half again, as a process in a network of its own (a network namespace), which
//! only root can make; where nobody can, it says so and is left out.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::process::Command;

use cairn_proto::v1;
use testkit::http1::Target;
use testkit::machine;
use testkit::proc::Proc;
use testkit::raw::RawAgent;
use testkit::reader::Reader;
use testkit::system::{Options, System, at};
use tokio::runtime::Runtime;

/// Runs an inner half in a network of its own, in which `set_up` was done; says so where none can be made.
fn in_own_network(inner: &str, set_up: &str) {
    let can = Command::new("unshare").args(["--net", "true"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        let what = format!("{inner}: no network namespace can be made here, root is needed");
        return machine::lacks(&what);
    }
    let script = format!(
        "set -e; ip link set lo up; {set_up}; exec \"$0\" --exact {inner} --ignored --nocapture"
    );
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

/// An agent's rows are served over HTTP, HTTPS and gRPC.
fn whole_way(system: &System) {
    for k in 0..3 {
        system.tick(at(k)).unwrap();
    }
    let nodes = system.json("/api/v1/model/nodes/").unwrap();
    assert_eq!(nodes, serde_json::json!(["node1"]));
    let aggregator = system.aggregator().unwrap();
    let ca = system.path("ingest-ca.pem");
    let https = Target::tls(aggregator.addr("https").unwrap(), "localhost", &ca).unwrap();
    assert_eq!(https.get("/livez").unwrap().status, 200);
    Runtime::new().unwrap().block_on(async {
        let http = aggregator.addr("http").unwrap();
        let mut reader = Reader::plain(http).await.unwrap();
        let all = v1::ListEntitiesRequest::default();
        let found = reader.entities(all).await.unwrap();
        assert!(
            found.iter().any(|entity| entity.node == "node1"),
            "{found:?}"
        );
        let grpc = aggregator.addr("grpc").unwrap();
        let connected = RawAgent::connect(grpc, &ca, "agent-token-of-guest", at(3)).await;
        connected.unwrap().hello("guest", 1).await.unwrap();
    });
    let agent = system.nodes[0].agent.as_ref().unwrap();
    assert_eq!(agent.get("admin", "/readyz").unwrap().status, 200);
}

fn options() -> Options {
    Options {
        guests: vec!["guest".to_owned()],
        ..Options::one_node()
    }
}

/// Scenario: the machine has no address of IPv4, not even loopback.
#[test]
fn everything_works_on_ipv6_alone() {
    in_own_network(
        "on_ipv6_alone",
        "ip address flush dev lo scope host; ip address add ::1/128 dev lo",
    );
}

#[test]
#[ignore = "run by everything_works_on_ipv6_alone in a network of its own"]
fn on_ipv6_alone() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0");
    assert!(nobody.is_err(), "there is an IPv4 address here");
    let system = System::start(Options {
        loopback: IpAddr::V6(Ipv6Addr::LOCALHOST),
        ..options()
    });
    whole_way(&system.unwrap());
}

/// Scenario: the kernel has IPv6 turned off.
/// Guarantees: so it does with listeners on every address, which fall back and say so.
#[test]
fn everything_works_on_ipv4_alone() {
    let off = "for on in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $on; done";
    in_own_network("on_ipv4_alone", off);
}

#[test]
#[ignore = "run by everything_works_on_ipv4_alone in a network of its own"]
fn on_ipv4_alone() {
    let nobody = std::net::TcpListener::bind("[::1]:0");
    assert!(nobody.is_err(), "there is an IPv6 address here");
    let system = System::start(options()).unwrap();
    whole_way(&system);
    every_address(&system);
}

/// An aggregator and an agent that listen where they do by default, on free ports.
fn every_address(system: &System) {
    let mut args = system.aggregator_args();
    for flag in ["--grpc-listen", "--https-listen", "--admin-listen"] {
        let at = args.iter().position(|arg| arg == flag).unwrap();
        args[at + 1] = "[::]:0".to_owned();
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let aggregator = Proc::start("cairn-aggregator", &args, &[]).unwrap();
    let of = |name: &str| {
        let port = aggregator.addr(name).unwrap().port();
        SocketAddr::from(([127, 0, 0, 1], port))
    };
    let ca = system.path("ingest-ca.pem");
    let https = Target::tls(of("https"), "localhost", &ca).unwrap();
    assert_eq!(https.get("/livez").unwrap().status, 200);
    let admin = Target::plain(of("admin"));
    assert_eq!(admin.get("/livez").unwrap().status, 200);
    Runtime::new().unwrap().block_on(async {
        let token = "agent-token-of-guest";
        let connected = RawAgent::connect(of("grpc"), &ca, token, at(3)).await;
        connected.unwrap().hello("guest", 1).await.unwrap();
    });
}
