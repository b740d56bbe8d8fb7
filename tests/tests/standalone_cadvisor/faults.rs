//! A cAdvisor that is broken, slow, not there, or not to be trusted.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::deadline::Deadline;
use testkit::proc::Proc;
use testkit::system::{Options, System};

use super::{alone, authorized, near, newest, readyz, says, start, text_at, tick, url};

/// A check ends within 30 s whatever happens; a busy machine gets some more.
const CHECKED_WITHIN: Duration = Duration::from_secs(60);

/// Longer than a scrape may take of one that is asked every 10 s, and a good deal more.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(60);

/// Scenario: cAdvisor breaks in one way after the other, well in between.
/// Guarantees: the host's figures are in every row; the failure is named to readers of the aggregator,
/// in `/readyz?verbose` and by its kind in the metrics; it is well again at the next answer.
#[test]
fn a_cadvisor_that_is_broken_leaves_the_host_and_says_why() {
    let system = alone();
    says(&system, &text_at(0));
    tick(&system, 0);
    let faults = [
        (
            r#"{"kind":"status","code":500}"#,
            "cAdvisor answered 500",
            "status",
        ),
        (
            r#"{"kind":"status","code":401}"#,
            "it wants a password",
            "auth",
        ),
        (
            r#"{"kind":"redirect"}"#,
            "a redirect, for /metrics: check --cadvisor",
            "status",
        ),
        (
            r#"{"kind":"content_type"}"#,
            "content type \"text/html",
            "status",
        ),
        (
            r#"{"kind":"truncate","at":100}"#,
            "could not be read",
            "connect",
        ),
        (r#"{"kind":"endless"}"#, "larger than", "too_large"),
        (r#"{"kind":"garbage"}"#, "could not be understood", "parse"),
    ];
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let failed = |kind: &str| {
        let labels = format!("kind=\"{kind}\",source=\"cadvisor\"");
        let other = format!("source=\"cadvisor\",kind=\"{kind}\"");
        let count =
            |labels: &str| System::metric(agent, "cairn_agent_scrape_failures_total", labels);
        count(&labels).unwrap() + count(&other).unwrap()
    };
    for (k, (fault, reason, kind)) in (1..).step_by(2).zip(faults) {
        let before = failed(kind);
        system.break_kubelet("cadvisor", fault).unwrap();
        tick(&system, k);
        system.shows("cadvisor", reason).unwrap();
        let ready = readyz(&system);
        assert!(
            ready.contains("[!]source cadvisor: ") && ready.contains(reason),
            "{ready}"
        );
        near(kind, failed(kind), before + 1.0);
        says(&system, &text_at(k + 1));
        tick(&system, k + 1);
        system.shows("cadvisor", "").unwrap();
    }
}

/// Scenario: cAdvisor takes longer than a row waits, and then never answers at all.
/// Guarantees: what is slow is taken when it comes; what hangs is given up after its deadline, said so,
/// and no row is missing meanwhile.
#[test]
fn a_slow_cadvisor_is_waited_for_and_one_that_hangs_is_given_up() {
    let system = alone();
    let slow = r#"{"kind":"slow","ms":3000}"#;
    system.break_kubelet("cadvisor", slow).unwrap();
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let count = |name: &str| System::metric(agent, name, "cadvisor").unwrap();
    let mut k = 0;
    let mut until = |is_so: &dyn Fn() -> bool| {
        let came = Deadline::after(GIVEN_UP_WITHIN).poll(|| {
            tick(&system, k);
            k += 1;
            is_so().then_some(())
        });
        assert!(came.is_some(), "{}", system.stderr());
    };
    until(&|| count("cairn_agent_scrape_duration_seconds_count") > 0.5);
    system
        .break_kubelet("cadvisor", r#"{"kind":"hang"}"#)
        .unwrap();
    let gave_up = || {
        let labels = "kind=\"timeout\"";
        System::metric(agent, "cairn_agent_scrape_failures_total", labels).unwrap() > 0.5
    };
    until(&gave_up);
    system
        .shows("cadvisor", "cAdvisor did not answer within")
        .unwrap();
}

/// Scenario: nobody listens where cAdvisor should be; then it is there.
/// Guarantees: agent and check name the address and what to do, and the host is there; the check of a
/// host whose cAdvisor answers tells how many containers it has.
#[test]
fn a_cadvisor_that_is_not_there_is_named_by_the_agent_and_by_the_check() {
    let system = start(Options::one_node(), &[], |_, args| {
        let own = ["--kubelet", "off", "--cadvisor", "http://127.0.0.1:1"];
        args.extend(own.map(str::to_owned));
    });
    tick(&system, 0);
    let reason =
        "was not reached: cannot connect to 127.0.0.1:1: check that something listens there";
    let told = format!("cAdvisor {reason}");
    system.shows("cadvisor", &told).unwrap();
    assert!(readyz(&system).contains(&told));
    let check = |cadvisor: &str| {
        let args = [
            "check",
            "--output=json",
            "--node-name=node1",
            "--kubelet=off",
            cadvisor,
        ];
        let said = Proc::finish("cairn-agent", &args, &[], CHECKED_WITHIN).unwrap();
        let said: Value = serde_json::from_str(&said.stdout).unwrap();
        let checks = said["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|one| one["source"] == "cadvisor")
            .unwrap()
            .clone()
    };
    let failed = check("--cadvisor=http://127.0.0.1:1");
    assert_eq!(
        (&failed["ok"], &failed["reached"]),
        (&json!(false), &json!(false))
    );
    assert!(
        failed["failure"]["reason"]
            .as_str()
            .unwrap()
            .contains(reason),
        "{failed}"
    );
    says(&system, &text_at(0));
    let found = check(&format!("--cadvisor={}", url(&system, "http")));
    assert_eq!(found["ok"], true, "{found}");
    assert_eq!(
        (&found["pods"], &found["containers"]),
        (&json!(1), &json!(7)),
        "{found}"
    );
    assert_eq!(found["identity"], "anonymous");
}

/// Scenario: a proxy serves cAdvisor over TLS; the agent has its CA, and then another.
/// Guarantees: it is read over verified TLS and no token is sent; with another CA it is not, and the
/// flag that helps is named.
#[test]
fn over_tls_it_is_verified_and_gets_no_token() {
    let with = |ca: &'static str| {
        start(
            Options::one_node(),
            &["--cadvisor-tls"],
            move |system, args| {
                let ca = system.path(ca).display().to_string();
                let own = ["--kubelet", "off", "--cadvisor", &url(system, "https")];
                args.extend(own.map(str::to_owned));
                let own = ["--cadvisor-ca", &ca, "--cadvisor-server-name", "node1"];
                args.extend(own.map(str::to_owned));
            },
        )
    };
    let system = with("kubelet-node1/node1-kubelet-ca.pem");
    says(&system, &text_at(0));
    tick(&system, 0);
    system.shows("cadvisor", "").unwrap();
    let of_web = [("name", "web"), ("pod", "")];
    near(
        "rss",
        newest(&system, "system", of_web, "memory_rss_bytes").0,
        31_457_280.0,
    );
    near("tokens", authorized(&system), 0.0);
    let system = with("ingest-ca.pem");
    tick(&system, 0);
    system
        .shows("cadvisor", "set --cadvisor-ca to the file of the CA")
        .unwrap();
}
