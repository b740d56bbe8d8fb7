//! Command lines and what becomes of them.

use std::net::SocketAddr;

use clap::Parser as _;

use super::*;

fn config(line: &[&str]) -> Result<Config, Error> {
    let program = std::iter::once("cairn-agent");
    Config::try_from(Args::try_parse_from(program.chain(line.iter().copied())).unwrap())
}

fn problems(line: &[&str]) -> String {
    config(line).unwrap_err().to_string()
}

#[test]
fn a_node_name_is_enough_without_a_kubelet() {
    let config = config(&["--node-name", "node1", "--kubelet", "off"]).unwrap();
    assert_eq!((config.interval_ms, config.window_ms), (10_000, 900_000));
    assert!(config.kubelet.is_none() && config.aggregators.is_empty());
}

#[test]
fn all_problems_are_told_at_once() {
    let text = problems(&[
        "--node-name=Node_1",
        "--kubelet=off",
        "--interval=3s",
        "--window=5s",
        "--aggregator=http://x:1",
        "--token-file=/nonexistent/token",
        "--host-root=/nonexistent/host",
        "--admin-listen=0.0.0.0:0",
        "--clock=driven",
    ]);
    for part in [
        "--node-name \"Node_1\"",
        "--interval 3s",
        "--window 5s",
        "--aggregator \"http://x:1\"",
        "--aggregator-ca",
        "--token-file /nonexistent/token: cannot open",
        "--host-root /nonexistent/host is no directory",
        "--clock driven=0 needs",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_missing_ca_file_is_named_with_its_flag() {
    let line = ["--node-name=n", "--kubelet-ca=/nonexistent/ca.crt"];
    assert!(problems(&line).contains("--kubelet-ca /nonexistent/ca.crt: cannot open"));
    let line = [
        "--node-name=n",
        "--kubelet=off",
        "--aggregator=https://a:1",
        "--aggregator-ca=/proc/self/root/etc/hostname/ca.crt",
    ];
    assert!(
        problems(&line)
            .contains("--aggregator-ca /proc/self/root/etc/hostname/ca.crt: cannot open")
    );
}

#[test]
fn the_ca_of_an_aggregator_may_come_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.crt");
    let flag = format!("--aggregator-ca={}", path.display());
    let line = [
        "--node-name=n",
        "--kubelet=off",
        "--aggregator=https://a:1",
        &flag,
    ];
    let config = config(&line).unwrap();
    assert!(config.aggregators[0].trust.is_empty());
    // With another one there, each has to be.
    let other = dir.path().join("other.crt");
    std::fs::write(&other, "").unwrap();
    let with_other = format!("{flag},{}", other.display());
    let line = [
        "--node-name=n",
        "--kubelet=off",
        "--aggregator=https://a:1",
        &with_other,
    ];
    assert!(problems(&line).contains("ca.crt: cannot open"));
}

#[test]
fn a_ca_file_without_a_certificate_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.crt");
    std::fs::write(&path, "nothing").unwrap();
    let flag = format!("--kubelet-ca={}", path.display());
    assert!(problems(&["--node-name=n", &flag]).contains("no certificate"));
}

#[test]
fn skipping_verification_is_for_loopback_only() {
    let skip = "--kubelet-insecure-skip-tls-verify";
    let on = |url: &str| {
        let flag = format!("--kubelet=https://{url}:10250");
        config(&["--node-name=n", skip, &flag])
    };
    let kubelet = on("127.0.0.1").unwrap().kubelet.unwrap();
    assert!(matches!(kubelet.trust, TargetTrust::Insecure(_)));
    assert!(on("[::1]").is_ok());
    assert!(
        on("192.0.2.1")
            .unwrap_err()
            .to_string()
            .contains("loopback only")
    );
    let auto = config(&["--node-name=n", skip, "--host-ip=192.0.2.1"]);
    assert!(auto.unwrap_err().to_string().contains("loopback only"));
}

#[test]
fn auto_tries_loopback_the_hosts_address_and_only_where_allowed_the_port_without_tls() {
    let auto = |more: &[&str]| {
        let line = ["--node-name=n", "--host-ip=192.0.2.1"];
        let kubelet = config(&[&line, more].concat()).unwrap().kubelet.unwrap();
        let text = |all: Vec<SocketAddr>| all.iter().map(ToString::to_string).collect();
        let texts: [Vec<String>; 2] = [text(kubelet.addresses), text(kubelet.plain)];
        texts
    };
    let [tls, plain] = auto(&[]);
    assert_eq!(tls, ["127.0.0.1:10250", "192.0.2.1:10250"]);
    assert_eq!(plain, [""; 0]);
    let [tls, plain] = auto(&["--kubelet-port=7", "--kubelet-read-only-port=10255"]);
    assert_eq!(tls, ["127.0.0.1:7", "192.0.2.1:7"]);
    assert_eq!(plain, ["127.0.0.1:10255", "192.0.2.1:10255"]);
    let given = ["--node-name=n", "--kubelet=https://127.0.0.1:10250"];
    let text = problems(&[given[0], given[1], "--kubelet-read-only-port=10255"]);
    assert!(
        text.contains("--kubelet-read-only-port is for --kubelet auto"),
        "{text}"
    );
}

#[test]
fn urls_are_host_and_port_and_nothing_more() {
    for (text, expected) in [
        ("https://a.b:9443", Some(("a.b", 9443))),
        ("https://a.b:9443/", Some(("a.b", 9443))),
        ("https://[::1]:9443", Some(("::1", 9443))),
        ("https://a.b", None),
        ("https://a.b:0", None),
        ("http://a.b:9443", None),
        ("https://a.b:9443/x", None),
        ("https://u@a.b:9443", None),
        ("a.b:9443", None),
        ("", None),
    ] {
        let expected = expected.map(|(host, port): (&str, u16)| (host.to_owned(), port));
        assert_eq!(https_host(text), expected, "{text}");
    }
}

#[test]
fn the_summary_may_be_asked_for_once_a_minute_and_not_less() {
    let line = ["--node-name=n", "--kubelet=off"];
    let every = |every: &str| {
        let flag = format!("--summary-interval={every}");
        config(&[&line[..], &[&flag]].concat()).map(|config| config.summary_every_ms)
    };
    assert_eq!(every("60s").unwrap(), Some(60_000));
    assert_eq!(every("0s").unwrap(), Some(0));
    let problem = every("61s").unwrap_err().to_string();
    assert!(problem.contains("--summary-interval"), "{problem}");
    // A directory that is not there yet is no mistake: the agent says so and goes on.
    let with_cgroups = [&line[..], &["--cgroup-root=/nonexistent"]].concat();
    let config = config(&with_cgroups).unwrap();
    assert_eq!(
        (config.cgroup_root.is_some(), config.summary_every_ms),
        (true, None)
    );
}

#[test]
fn a_cadvisor_of_its_own_is_read_without_tls_on_loopback_alone() {
    let read = |url: &str| {
        let flag = format!("--cadvisor={url}");
        config(&["--node-name=n", "--kubelet=off", &flag]).map(|config| config.cadvisor)
    };
    for (url, address) in [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://127.0.0.1:8080/metrics", "127.0.0.1:8080"),
        ("http://localhost:8080/", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
    ] {
        let Ok(Cadvisor::Standalone(target)) = read(url) else {
            panic!("{url}");
        };
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!((target.addresses.len(), target.plain), (0, vec![address]));
        assert!(target.token_file.is_none());
    }
    assert!(matches!(read("auto"), Ok(Cadvisor::Kubelet)));
    assert!(matches!(read("off"), Ok(Cadvisor::Off)));
    for (url, why) in [
        ("http://10.0.0.7:8080", "is not on loopback"),
        (
            "http://cadvisor:8080",
            "is not auto, off, http://ADDRESS:PORT",
        ),
        ("http://127.0.0.1", "is not auto, off, http://ADDRESS:PORT"),
        (
            "http://127.0.0.1:8080/else",
            "is not auto, off, http://ADDRESS:PORT",
        ),
        (
            "ftp://127.0.0.1:8080",
            "is not auto, off, http://ADDRESS:PORT",
        ),
        ("on", "is not auto, off, http://ADDRESS:PORT"),
        ("https://127.0.0.1:8080", "needs --cadvisor-ca"),
    ] {
        let text = read(url).unwrap_err().to_string();
        assert!(text.contains("--cadvisor") && text.contains(why), "{text}");
    }
    let useless = ["--node-name=n", "--kubelet=off", "--cadvisor-server-name=x"];
    assert!(problems(&useless).contains("--cadvisor-server-name is for --cadvisor https://"));
    let missing = [
        "--node-name=n",
        "--kubelet=off",
        "--cadvisor=https://10.0.0.7:8443",
        "--cadvisor-ca=/nonexistent/ca.crt",
    ];
    assert!(problems(&missing).contains("--cadvisor-ca /nonexistent/ca.crt: cannot open"));
}

#[test]
fn whoever_can_read_a_kubelets_key_in_a_cluster_is_refused_whether_or_not_the_kubelet_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.crt");
    let key = dir.path().join("kubelet.key");
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----").unwrap();
    let ca = format!("--kubelet-ca={}", ca.display());
    for flags in [
        ["--kubelet=off", "--cadvisor=http://127.0.0.1:8080"],
        ["--kubelet=off", "--cadvisor=off"],
    ] {
        let outside: Vec<&str> = ["--node-name=n", &ca].into_iter().chain(flags).collect();
        config(&outside).unwrap();
        let mut inside = outside.clone();
        inside.push("--kubernetes-service-host=10.96.0.1");
        let text = problems(&inside);
        assert!(text.contains("can read this private key"), "{text}");
    }
}
