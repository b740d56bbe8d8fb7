//! A kubelet as a whole: slow, gone, stuck, started anew with another certificate or another token.
//! Meanwhile every row has the host's figures of its own tick.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use testkit::deadline::Deadline;
use testkit::pki::{Pki, Validity};
use testkit::system::{MovingHost, System, at, take_flag};

const SOON: Duration = Duration::from_secs(10);

fn one_node() -> MovingHost {
    let system = MovingHost::start().unwrap();
    for k in 0..2 {
        tick(&system, k);
    }
    system
}

/// Makes a tick, whose row has the host's figures of that tick whatever the kubelet does.
#[track_caller]
fn tick(system: &MovingHost, k: u64) {
    system.tick(at(k)).unwrap();
    system.has_host(at(k)).unwrap();
}

/// The same while the kubelet's clock cannot be stepped.
#[track_caller]
fn tick_without_kubelet(system: &MovingHost, k: u64) {
    system.show(at(k)).unwrap();
    let now_ms = at(k) + 500;
    system.aggregator().unwrap().step(now_ms).unwrap();
    system.nodes[0]
        .agent
        .as_ref()
        .unwrap()
        .step(now_ms)
        .unwrap();
    system.arrived(at(k), SOON).unwrap();
    system.has_host(at(k)).unwrap();
}

#[track_caller]
fn shows(system: &System, source: &str, part: &str) {
    system.shows(source, part).unwrap();
}

/// How many requests with the right or a wrong token the kubelet has had.
fn tokens(system: &System) -> f64 {
    let name = "kubelet_sim_authorized_requests_total";
    System::metric(&system.nodes[0].kubelet, name, "").unwrap()
}

/// Whichever kubelet is started from now on takes the place of the one that runs.
fn in_its_place(system: &mut System) {
    let address = system.nodes[0].kubelet.addr("kubelet").unwrap().to_string();
    system.options.sim_args = vec!["--listen".to_owned(), address];
}

/// Scenario: all that the kubelet answers is broken, in one way after the other, and well in between.
/// Guarantees: the host goes on; both endpoints tell why, a token that is not taken otherwise than a right
/// that is lacking, each with the right that it needs; after each fault both are well.
#[test]
fn a_kubelet_that_is_broken_altogether_leaves_the_host() {
    let system = one_node();
    let faults = [
        (
            r#"{"kind":"status","code":401}"#,
            "the right it then needs is get nodes/stats",
            "the right it then needs is get nodes/metrics",
        ),
        (
            r#"{"kind":"status","code":403}"#,
            "does the agent's ClusterRole allow get nodes/stats",
            "does the agent's ClusterRole allow get nodes/metrics",
        ),
        (r#"{"kind":"status","code":500}"#, "500", "500"),
        (r#"{"kind":"redirect"}"#, "redirect", "redirect"),
        (r#"{"kind":"content_type"}"#, "text/html", "text/html"),
        (
            r#"{"kind":"truncate","at":100}"#,
            "could not be read",
            "could not be read",
        ),
        (r#"{"kind":"endless"}"#, "larger than", "larger than"),
        (
            r#"{"kind":"garbage"}"#,
            "could not be understood",
            "could not be understood",
        ),
    ];
    for (k, (fault, summary, resource)) in (2..).step_by(2).zip(faults) {
        system.break_kubelet("all", fault).unwrap();
        tick(&system, k);
        shows(&system, "summary", summary);
        shows(&system, "resource", resource);
        system.break_kubelet("all", r#"{"kind":"none"}"#).unwrap();
        tick(&system, k + 1);
        shows(&system, "summary", "");
        shows(&system, "resource", "");
    }
}

/// Scenario: each answer takes a moment, but less than a row waits for.
/// Guarantees: nothing is missing, and nothing is counted as a failure.
#[test]
fn a_kubelet_that_is_slow_is_waited_for() {
    let system = one_node();
    system
        .break_kubelet("all", r#"{"kind":"slow","ms":100}"#)
        .unwrap();
    for k in 2..5 {
        tick(&system, k);
    }
    shows(&system, "summary", "");
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let failures = System::metric(agent, "cairn_agent_scrape_failures_total", "").unwrap();
    assert!(failures.abs() < 0.5, "{failures}");
}

/// What the agent counts of a source.
fn counted(system: &System, name: &str, labels: &str) -> f64 {
    let agent = system.nodes[0].agent.as_ref().unwrap();
    System::metric(agent, &format!("cairn_agent_scrape_{name}"), labels).unwrap()
}

/// Scenario: each answer takes three seconds, half as long again as a row waits.
/// Guarantees: the host goes on in each row; each answer is taken by a later row, none is given up; the rows in
/// between are counted; when the kubelet is quick again, nothing is left of it.
#[test]
fn a_kubelet_that_is_slower_than_a_row_waits_is_told_by_a_later_row() {
    let system = one_node();
    let sources = ["source=\"summary\"", "source=\"resource\""];
    let answers = || sources.map(|of| counted(&system, "duration_seconds_count", of));
    let before = answers();
    system
        .break_kubelet("all", r#"{"kind":"slow","ms":3000}"#)
        .unwrap();
    let mut k = 2;
    // Two answers of each: rows do not wait for whoever is busy, so there are many in between.
    let answered = Deadline::after(SOON * 6).poll(|| {
        tick(&system, k);
        k += 1;
        let mut all = answers().into_iter().zip(before);
        all.all(|(now, before)| now >= before + 2.0).then_some(())
    });
    assert!(answered.is_some(), "{:?} after {before:?}", answers());
    for of in sources {
        let (busy, failures) = (
            counted(&system, "busy_total", of),
            counted(&system, "failures_total", of),
        );
        assert!(busy >= 1.0, "{of}: {busy}");
        assert!((busy - failures).abs() < 0.5, "{of}: {busy} of {failures}");
    }
    system.break_kubelet("all", r#"{"kind":"none"}"#).unwrap();
    let well = Deadline::after(SOON * 2).poll(|| {
        tick(&system, k);
        k += 1;
        let reasons = ["summary", "resource"].map(|source| system.reason(source).unwrap());
        reasons.iter().all(String::is_empty).then_some(())
    });
    assert!(well.is_some(), "{}", system.stderr());
}

/// Scenario: the kubelet stands still: connections to it are made and nothing comes of them; then it goes on.
/// Guarantees: the host goes on meanwhile, and the kubelet's figures after it.
#[test]
fn a_kubelet_that_is_stuck_is_read_again_when_it_goes_on() {
    let mut system = one_node();
    system.nodes[0].kubelet.freeze().unwrap();
    for k in 2..4 {
        tick_without_kubelet(&system, k);
    }
    system.nodes[0].kubelet.thaw().unwrap();
    let before = tokens(&system);
    for k in 4..8 {
        tick(&system, k);
    }
    shows(&system, "summary", "");
    assert!(tokens(&system) > before);
}

/// Scenario: the kubelet is gone for two ticks, and comes back with a certificate that it made anew; the file
/// that pins it has the new one.
/// Guarantees: the refusal is told while it is gone; the first scrape after it is believed, without a
/// restart of the agent and without waiting for the files to be read again.
#[test]
fn a_kubelet_with_a_new_certificate_is_believed_at_once() {
    let mut system = MovingHost::start().unwrap();
    let dir = system.path("pki");
    let pki = Pki::new(&dir).unwrap();
    let old = pki.kubelet_default("node1", Validity::Current).unwrap();
    system.nodes[0].agent = None;
    system.replace_kubelet(0, &old).unwrap();
    let pins = dir.join("*-kubelet.pem").display().to_string();
    let pinned = |args: &mut Vec<String>| {
        take_flag(args, "--kubelet-ca");
        args.extend(["--kubelet-cert".to_owned(), pins]);
    };
    system.start_agent_but(0, pinned).unwrap();
    tick(&system, 0);
    assert!(tokens(&system) >= 2.0);

    in_its_place(&mut system);
    system.nodes[0].kubelet.kill9().unwrap();
    for k in 1..3 {
        tick_without_kubelet(&system, k);
    }
    shows(&system, "summary", "cannot connect");

    let new = pki.kubelet_default("node1", Validity::Current).unwrap();
    system.replace_kubelet(0, &new).unwrap();
    tick(&system, 3);
    shows(&system, "summary", "");
    assert!(tokens(&system) >= 2.0, "{}", system.stderr());
}

/// Scenario: the kubelet no longer takes the token, since it has expired; then its file has a new one.
/// Guarantees: 401 is told; the scrape after the new token uses it.
#[test]
fn a_token_that_is_replaced_is_used_at_the_next_scrape() {
    let mut system = one_node();
    in_its_place(&mut system);
    "newer".clone_into(&mut system.options.kubelet_token);
    system.restart_kubelet(0).unwrap();
    tick(&system, 2);
    shows(&system, "summary", "401");
    shows(
        &system,
        "summary",
        "is --kubelet-token-file a token of this cluster",
    );
    std::fs::write(system.path("kubelet.token"), "newer").unwrap();
    tick(&system, 3);
    shows(&system, "summary", "");
    shows(&system, "resource", "");
}

/// Scenario: the same of a kubelet that goes on, with the connection that the agent has open.
/// Guarantees: 401 is told; the scrape after the new token uses it.
#[test]
fn a_token_that_a_living_kubelet_replaces_is_used_at_the_next_scrape() {
    let system = one_node();
    system.order_kubelet(r#"{"token":"newer"}"#).unwrap();
    tick(&system, 2);
    for source in ["summary", "resource"] {
        shows(&system, source, "kubelet answered 401");
    }
    std::fs::write(system.path("kubelet.token"), "newer").unwrap();
    tick(&system, 3);
    for source in ["summary", "resource"] {
        shows(&system, source, "");
    }
}

/// Scenario: a kubelet that goes on serves another certificate from now on, while the agent's connections to it
/// are open; then they are cut, before the file that pins it has the new one and after.
/// Guarantees: what is open goes on; a new connection is refused, and no token is sent, until the pin is the new
/// one, and believed at the next scrape after that.
#[test]
fn a_certificate_that_a_living_kubelet_replaces_is_asked_for_at_the_next_connection() {
    let mut system = MovingHost::start().unwrap();
    let dir = system.path("pki");
    let pki = Pki::new(&dir).unwrap();
    let leaf = pki.kubelet_default("node1", Validity::Current).unwrap();
    let pin = system.path("pin.pem");
    std::fs::copy(&leaf.cert_pem, &pin).unwrap();
    system.nodes[0].agent = None;
    system.replace_kubelet(0, &leaf).unwrap();
    let pinned = |args: &mut Vec<String>| {
        take_flag(args, "--kubelet-ca");
        args.extend(["--kubelet-cert".to_owned(), pin.display().to_string()]);
    };
    system.start_agent_but(0, pinned).unwrap();
    tick(&system, 0);
    shows(&system, "summary", "");

    // Into the same files.
    pki.kubelet_default("node1", Validity::Current).unwrap();
    system
        .order_kubelet(r#"{"reload_certificate":true}"#)
        .unwrap();
    let before = tokens(&system);
    tick(&system, 1);
    shows(&system, "summary", "");
    assert!(tokens(&system) >= before + 2.0, "nothing was asked");

    let cut = r#"{"kind":"truncate","at":100}"#;
    system.break_kubelet("all", cut).unwrap();
    tick(&system, 2);
    shows(&system, "summary", "could not be read");
    system.break_kubelet("all", r#"{"kind":"none"}"#).unwrap();
    let before = tokens(&system);
    tick(&system, 3);
    for source in ["summary", "resource"] {
        shows(&system, source, "certificate");
    }
    assert!((tokens(&system) - before).abs() < 0.5, "a token was sent");

    std::fs::copy(&leaf.cert_pem, &pin).unwrap();
    tick(&system, 4);
    for source in ["summary", "resource"] {
        shows(&system, source, "");
    }
}

/// Scenario: the kubelet's clock jumps back by an hour, and forward again.
/// Guarantees: the host goes on; that the kubelet is of another time is told, and no longer when it is right.
#[test]
fn a_kubelet_whose_clock_jumps_back_leaves_the_host() {
    let mut system = one_node();
    in_its_place(&mut system);
    // Then all times that it tells lie there too, and not its clock alone.
    let set_clock = |system: &mut MovingHost, ahead_ms| {
        system.options.kubelet_ahead_ms = ahead_ms;
        system.restart_kubelet(0).unwrap();
        system.nodes[0].ahead_ms = ahead_ms;
    };
    set_clock(&mut system, -3_600_000);
    for k in 2..5 {
        tick(&system, k);
    }
    shows(&system, "summary", "behind this node's clock");
    set_clock(&mut system, 0);
    for k in 5..7 {
        tick(&system, k);
    }
    shows(&system, "summary", "");
}
