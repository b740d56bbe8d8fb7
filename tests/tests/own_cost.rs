//! What a source costs the agent, and what follows from it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use serde_json::{Value, json};
use testkit::proc::Proc;
use testkit::system::{FIRST_TICK_MS, Options, System};

/// More ticks than it takes to double a distance of a second twice, and to come back.
const TICKS: u64 = 60;

fn order(system: &System, fault: &Value) {
    let order = json!({"endpoint": "summary", "fault": fault}).to_string();
    let kubelet = &system.nodes[0].kubelet;
    let answer = kubelet.post("admin", "/debug/fault", &order).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A figure of a source in the agent's metrics.
fn figure(agent: &Proc, name: &str, source: &str) -> f64 {
    System::metric(agent, name, &format!("source=\"{source}\"")).unwrap()
}

/// The distance of a source's scrapes, s.
fn cadence(agent: &Proc, source: &str) -> f64 {
    figure(agent, "cairn_agent_scrape_cadence_seconds", source)
}

/// Whether the agent says that it asks for the summary less often.
fn told(agent: &Proc) -> bool {
    let text = agent.get("admin", "/readyz?verbose").unwrap().text();
    let note = text.lines().find(|line| line.contains("cadence summary"));
    assert!(
        note.is_none_or(|note| note.starts_with("[!]") && note.contains("--source-cpu-millis (5)")),
        "{text}"
    );
    note.is_some()
}

/// Scenario: rows are a second apart, and a source may use five thousandths of a core. The summary
/// becomes so large that reading it alone takes more, and then is as it was.
/// Guarantees: what each source costs is measured. The dear one is scraped less often, yet at least once
/// a minute, and the agent says so; the others are scraped as before, and rows go on. When it costs
/// less, it is scraped at each row again, and nothing is said any more.
#[test]
fn a_source_that_costs_too_much_is_scraped_less_often_until_it_costs_less() {
    let mut options = Options::one_node();
    options.interval = "1s".to_owned();
    options.extra_agent_args = ["--source-cpu-millis", "5"].map(str::to_owned).to_vec();
    let system = System::start(options).unwrap();
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let mut tick_ms = FIRST_TICK_MS;
    let mut until = |reached: &dyn Fn() -> bool| {
        (0..TICKS).any(|_| {
            system.tick(tick_ms).unwrap();
            tick_ms += 1_000;
            reached()
        })
    };
    let cost = |source| figure(agent, "cairn_agent_scrape_cpu_seconds_total", source);
    let measured = || {
        ["summary", "resource", "procfs"]
            .map(cost)
            .iter()
            .all(|cpu| *cpu > 0.0)
    };
    assert!(until(&measured));
    for count in ["row_samples", "scrape_lag_seconds_count"] {
        let name = format!("cairn_agent_{count}");
        assert!(figure(agent, &name, "summary") > 0.0, "{count}");
    }
    assert!(!told(agent));

    order(&system, &json!({"kind": "huge", "bytes": 12_000_000}));
    let is_longer = || cadence(agent, "summary") >= 4.0;
    assert!(until(&is_longer), "{}", system.stderr());
    assert!(told(agent));
    let others = ["resource", "procfs"].map(|source| cadence(agent, source));
    assert!(others.iter().all(|every| *every < 1.5), "{others:?}");

    order(&system, &json!({"kind": "none"}));
    let is_back = || cadence(agent, "summary") < 1.5;
    assert!(until(&is_back), "{}", system.stderr());
    assert!(!told(agent));
    let rows = figure(agent, "cairn_agent_row_samples", "summary");
    assert!(rows > 0.0, "nothing of the summary is in the row");
}
