//! How a report reads, and judgements that no cluster of the end-to-end tests comes to.

use std::time::Duration;

use serde_json::{Value, json};

use super::api_service::Owner;
use super::finding::{Finding, Report, State};
use super::fleet;

fn report(findings: Vec<Finding>, covers_all: Option<bool>) -> Report {
    Report {
        server: "10.96.0.1:443".to_owned(),
        user: String::new(),
        namespace: "cairn".to_owned(),
        took: Duration::from_micros(41_260),
        covers_all,
        findings,
    }
}

#[test]
fn a_table_has_a_row_each_and_below_what_is_to_be_done() {
    let findings = vec![
        Finding::ok(("rights", "all"), "has all"),
        Finding::fail(
            ("agents", "node a\u{1b}[2J"),
            "gone\nFAKED ok",
            "look\u{202e} there",
        ),
        Finding::unasked(("window", "b"), "not asked", ""),
    ];
    let expected = "namespace cairn at 10.96.0.1:443\n\
                    \n\
                    CHECK   STATE   WHAT             FOUND\n\
                    rights  ok      all              has all\n\
                    agents  FAILED  node a\\u{1b}[2J  gone\\u{a}FAKED ok\n\
                    window  -       b                not asked\n\
                    \n\
                    agents node a\\u{1b}[2J: look\\u{202e} there\n\
                    \n\
                    1 of 3 failed, 1 of 3 not asked, after 41 ms\n";
    assert_eq!(report(findings, None).text(), expected);
    let well = report(vec![Finding::ok(("rights", "all"), "has all")], Some(true));
    assert!(
        well.text().ends_with("\n1 of 1 ok, after 41 ms\n"),
        "{}",
        well.text()
    );
}

#[test]
fn a_document_says_the_same_for_programs() {
    let findings = vec![
        Finding::warn(("versions", "images"), "two", "wait"),
        Finding::ok(("rights", "all"), "has all"),
    ];
    let read = |report: &Report| -> Value { serde_json::from_str(&report.json()).unwrap() };
    let value = read(&report(findings, Some(true)));
    let expected = json!({
        "version": 1, "server": "10.96.0.1:443", "user": null, "namespace": "cairn", "ok": true,
        "ready_to_take_over": true, "took_ms": 41.3,
        "checks": [
            {"check": "versions", "about": "images", "state": "warn", "found": "two", "todo": "wait"},
            {"check": "rights", "about": "all", "state": "ok", "found": "has all", "todo": null},
        ],
    });
    assert_eq!(value, expected);
    // What is not known, or fails, is not ready.
    for (findings, covers_all) in [
        (Vec::new(), None),
        (Vec::new(), Some(false)),
        (vec![Finding::fail(("rights", "all"), "", "")], Some(true)),
    ] {
        assert_eq!(
            read(&report(findings, covers_all))["ready_to_take_over"],
            false
        );
    }
}

#[test]
fn nobody_takes_over_while_pods_run_where_no_agent_is() {
    let names: Vec<String> = (0..12).map(|n| format!("fargate-{n:02}")).collect();
    let judged = |owner: &Owner, uncovered: Option<&[String]>| {
        let finding = fleet::take_over(owner, uncovered, 0);
        (finding.state, finding.found)
    };
    let (state, found) = judged(&Owner::Theirs, Some(&names));
    assert_eq!(state, State::Warn);
    assert!(
        found.starts_with("not ready: ") && found.ends_with("fargate-09, 2 more"),
        "{found}"
    );
    let (state, found) = judged(&Owner::Ours, names.get(..1));
    assert_eq!(state, State::Fail);
    assert!(found.ends_with("without an agent: fargate-00"), "{found}");
    assert_eq!(judged(&Owner::Nobody, Some(&[])).0, State::Ok);
    let (state, found) = judged(&Owner::Theirs, None);
    assert_eq!(state, State::Warn);
    assert!(found.starts_with("not known"), "{found}");
}
