//! A cAdvisor that is broken, slow, not there, or not to be trusted.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::proc::Proc;
use testkit::system::{Options, System};

use super::{
    alone, authorized, has, near, newest, readyz, says, start, text_at, until, until_shown, url,
};

/// A check ends within 30 s whatever happens; a busy machine gets some more.
const CHECKED_WITHIN: Duration = Duration::from_secs(60);

/// Scenario: cAdvisor breaks in one way after the other, well in between.
/// Guarantees: the host's figures are in every row; the failure is named to readers of the aggregator,
/// in `/readyz?verbose` and by its kind in the metrics; it is well again at the next answer.
#[test]
fn a_cadvisor_that_is_broken_leaves_the_host_and_says_why() {
    let system = alone();
    let mut k = 0;
    says(&system, &text_at(k));
    until_shown(&system, &mut k, "");
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
    for (fault, reason, kind) in faults {
        let (before, first) = (failed(kind), k);
        system.break_kubelet("cadvisor", fault).unwrap();
        until_shown(&system, &mut k, reason);
        let ready = readyz(&system);
        assert!(
            ready.contains("[!]source cadvisor: ") && ready.contains(reason),
            "{ready}"
        );
        // One a row at most.
        let more = failed(kind) - before;
        assert!(
            more >= 1.0 && more <= f64::from(k - first),
            "{kind}: {more}"
        );
        says(&system, &text_at(k));
        until_shown(&system, &mut k, "");
    }
}

/// Scenario: cAdvisor's text ends in a line of nine megabytes that has no end; then it is nothing but such a line.
/// Guarantees: what stands before it is taken and the line is counted; without anything it is told, the host goes
/// on, and the agent never holds more than a few times its length.
#[test]
fn a_line_of_nine_megabytes_costs_itself_alone() {
    let system = alone();
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let (before, mut k) = (agent.peak_bytes().unwrap(), 0);
    let says_long = |text: String| {
        let begun = "container_threads{id=\"";
        let fault = json!({"kind": "long_line", "text": text + begun, "bytes": 9 << 20});
        let order = fault.to_string();
        system.break_kubelet("cadvisor", &order).unwrap();
    };
    // Without the fixture's own broken line: the long one alone is odd.
    let text = text_at(k);
    let good = text
        .split_inclusive('\n')
        .filter(|line| line.starts_with("container_memory_rss{"));
    says_long(good.collect());
    until(&system, &mut k, || has(&system, "web"));
    assert_eq!(system.reason("cadvisor").unwrap(), "");
    let odd = "cairn_agent_scrape_odd_values_total";
    let counted = System::count(agent, odd, "source=\"cadvisor\"").unwrap();
    assert!(
        (1..=u64::from(k)).contains(&counted),
        "{counted} in {k} rows"
    );
    says_long(String::new());
    until_shown(&system, &mut k, "could not be understood");
    let grown = agent.peak_bytes().unwrap() - before;
    assert!(grown < 48 << 20, "{grown} bytes");
}

/// Scenario: cAdvisor takes longer than a row waits, and then never answers at all.
/// Guarantees: what is slow is waited for and no failure; what hangs is given up after its deadline, said so,
/// and no row is missing meanwhile.
#[test]
fn a_slow_cadvisor_is_waited_for_and_one_that_hangs_is_given_up() {
    let system = alone();
    let slow = r#"{"kind":"slow","ms":3000}"#;
    system.break_kubelet("cadvisor", slow).unwrap();
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let mut k = 0;
    let is_over = || {
        let name = "cairn_agent_scrape_duration_seconds_count";
        System::metric(agent, name, "cadvisor").unwrap() > 0.5
    };
    until(&system, &mut k, is_over);
    assert_eq!(system.reason("cadvisor").unwrap(), "");
    system
        .break_kubelet("cadvisor", r#"{"kind":"hang"}"#)
        .unwrap();
    let gave_up = || {
        let labels = "kind=\"timeout\"";
        System::metric(agent, "cairn_agent_scrape_failures_total", labels).unwrap() > 0.5
    };
    until(&system, &mut k, gave_up);
    until_shown(&system, &mut k, "cAdvisor did not answer within");
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
    let reason =
        "was not reached: cannot connect to 127.0.0.1:1: check that something listens there";
    let told = format!("cAdvisor {reason}");
    until_shown(&system, &mut 0, &told);
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
    until(&system, &mut 0, || has(&system, "web"));
    assert_eq!(system.reason("cadvisor").unwrap(), "");
    let of_web = [("name", "web"), ("pod", "")];
    near(
        "rss",
        newest(&system, "system", of_web, "memory_rss_bytes").0,
        31_457_280.0,
    );
    near("tokens", authorized(&system), 0.0);
    let system = with("ingest-ca.pem");
    let help = "set --cadvisor-ca to the file of the CA";
    until_shown(&system, &mut 0, help);
}
