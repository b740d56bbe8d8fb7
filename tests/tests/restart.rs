//! An aggregator that is killed under 500 agents and started empty has everything again that a
//! living process holds: soon, and each row once.

use testkit::fleet::cluster::Cluster;
use testkit::fleet::restart::{self, Options, Report, TICKS_AT_KILL, agents};
use testkit::fleet::{self, Totals};
use testkit::mix::{Fields, Kind};
use testkit::system::{Recording, TRACE_START_MS};

/// Agents of small nodes: what is looked at here is how many they are.
const AGENTS: usize = 500;

/// More rows behind and before than a window has, so that its borders are looked at too.
const HISTORY: u64 = 70;
const LIVE_TICKS: u64 = 40;

fn options() -> Options {
    let mut fleet = fleet::Options::of(Kind::C, AGENTS);
    fleet.mix.pods_per_node = Some(3);
    fleet.mix.containers_per_pod = 2;
    fleet.templates = 8;
    fleet.history = HISTORY;
    Options {
        fleet,
        start_unix_ms: TRACE_START_MS,
        live_ticks: LIVE_TICKS,
        restarted: 0,
        ticks_after: 3,
        compared_nodes: 20,
        aggregator_args: vec!["--memory-limit".to_owned(), "0".to_owned()],
        cluster: None,
        built: None,
    }
}

/// Rows that an aggregator keeps: its window and a little more for the rates at its border.
const KEPT_ROWS: u64 = 100;

/// All is there, and the kill came while rows were on their way.
fn check(report: &Report) {
    assert!(report.is_good(), "{report}");
    assert!(report.sent_before_kill < report.rows_at_kill, "{report}");
}

/// Scenario: beside the fleet two agents are the built binary, whose kubelets replay five minutes in which pods come,
/// go and begin anew.
/// Guarantees: what all of them hold is there again, each row once; of the two each value at each tick is the one
/// that a script computes of the recording.
#[test]
fn everything_that_the_agents_hold_is_there_again_and_once() {
    let recording = Recording::named("trace").unwrap();
    let mut options = options();
    // It has thirty ticks: the fleet's windows are full before.
    (options.live_ticks, options.fleet.history) = (20, HISTORY + 20);
    let ticks = options.live_ticks + TICKS_AT_KILL + options.ticks_after;
    assert!(ticks < recording.tick_count && recording.nodes.len() == 2);
    options.built = Some(recording);
    let report = restart::run(&options).unwrap();
    println!("{report}");
    check(&report);
    assert!(report.found_of_built.compared() > 15_000, "{report}");
    assert_eq!(report.gone, Totals::default());
    // The rings reach back further, to a block's border.
    assert_eq!(report.expected.rows, AGENTS as u64 * KEPT_ROWS + 2 * ticks);
}

/// Scenario: the aggregators know the agents by tokens that an API server signed and reviews, and list its pods
/// while rows and history come in.
/// Guarantees: what an agent names before its pod is listed is there too, from the first row that is held, and
/// in the time that is promised.
#[test]
fn a_cluster_that_is_not_listed_yet_costs_no_value() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options();
    options.fleet.mix.fields = Fields::Twenty;
    let cluster = Cluster::start(&options.fleet, dir.path()).unwrap();
    options.cluster = Some(cluster.access());
    let report = restart::run(&options).unwrap();
    println!("{report}");
    check(&report);
    assert_eq!(report.gone, Totals::default());
    assert_eq!(report.expected.rows, AGENTS as u64 * KEPT_ROWS);
}

#[test]
fn what_agents_took_with_them_is_missing_and_nothing_else() {
    let restarted = 50;
    let mut options = Options {
        restarted,
        ticks_after: 5,
        compared_nodes: 24,
        ..options()
    };
    // Half of the memory: both tests run at once.
    options.fleet.mix.fields = Fields::Twenty;
    let report = restart::run(&options).unwrap();
    println!("{report}");
    check(&report);
    // What came after the kill is of their new lives.
    assert_eq!(report.gone.rows, restarted as u64 * (114 - 16));
    let others = (AGENTS - restarted) as u64 * KEPT_ROWS;
    assert_eq!(report.expected.rows, others + restarted as u64 * 6);
}

/// Scenario: a third of 60 agents is killed once what it sampled is acknowledged, and another one of its
/// node begins with an empty ring; the aggregator lives on.
/// Guarantees: every row of the former lives is there beside those of the new ones, each once, and every
/// value of every node at every tick is what was sampled.
#[test]
fn what_was_acknowledged_outlives_its_agent() {
    let mut options = Options {
        restarted: 20,
        ticks_after: 4,
        ..options()
    };
    options.fleet.mix.nodes = 60;
    let report = agents::run(&options).unwrap();
    println!("{report}");
    assert!(report.is_good(), "{report}");
    assert_eq!(report.expected.rows, 60 * KEPT_ROWS);
}

#[test]
fn pods_that_came_and_went_are_there_again_under_their_names() {
    let mut options = options();
    // Every second pod goes within a minute, so a window has many times the pods of a moment.
    options.fleet.mix.churn_per_minute = 0.5;
    options.fleet.mix.nodes = 40;
    let report = restart::run(&options).unwrap();
    println!("{report}");
    assert!(report.is_good(), "{report}");
}

#[test]
fn rows_of_all_kinds_of_data_are_there_again() {
    for kind in [Kind::K, Kind::B] {
        let mut options = Options {
            live_ticks: 20,
            ..options()
        };
        options.fleet = fleet::Options::of(kind, 12);
        options.fleet.templates = 5;
        options.fleet.history = 5;
        let report = restart::run(&options).unwrap();
        println!("{kind:?}: {report}");
        assert!(report.is_good(), "{report}");
        assert_eq!(report.expected.rows, 12 * 32);
    }
}
