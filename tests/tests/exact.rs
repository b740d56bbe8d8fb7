//! Whole recordings through the real binaries, compared with an independent computation.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::Path;

use testkit::exact::{Asker, Expected, Found, Points, Script, is_of_host, is_of_kubelet};
use testkit::system::{HostFiles, Options, Recording, System};

/// As many as the build machines have cores.
const CONNECTIONS: usize = 2;

fn archive(recording: &Recording) -> &Path {
    recording.archive.as_deref().unwrap()
}

fn asker(system: &System) -> Asker {
    let http = system.aggregator().unwrap().addr("http").unwrap();
    Asker::new(http, CONNECTIONS)
}

/// Compares the series of the model API: within one tick, or all ticks of the window.
fn compare_series(found: &mut Found, asker: &mut Asker, expected: &Expected, ticks: &[u64]) {
    let paths: Vec<&String> = expected.paths.keys().collect();
    let one = match ticks {
        [tick] => Some(*tick),
        _ => None,
    };
    match asker.points(&paths, one) {
        Ok(answers) => {
            for ((path, expected), answered) in expected.paths.iter().zip(&answers) {
                found.points(path, ticks, expected, answered);
            }
        }
        Err(error) => found.broken("series", &format!("{error:#}")),
    }
}

/// Compares the lists of the model API as they are now; a list that the script does not speak of
/// at this tick is empty.
fn compare_lists(found: &mut Found, asker: &mut Asker, expected: &Expected, tick: u64) {
    let paths: Vec<&String> = expected.lists.keys().collect();
    match asker.lists(&paths) {
        Ok(answers) => {
            for ((path, expected), answered) in expected.lists.iter().zip(&answers) {
                let names = expected.get(&tick).map(Vec::as_slice).unwrap_or_default();
                found.list(tick, path, names, answered);
            }
        }
        Err(error) => found.broken("lists", &format!("{error:#}")),
    }
}

#[expect(clippy::print_stderr, reason = "how much the test has looked at")]
fn assert_right(name: &str, found: &Found, at_least: u64) {
    assert!(found.is_right(), "{name}: {found}");
    let compared = found.compared();
    assert!(compared >= at_least, "{name}: only {compared} comparisons");
    eprintln!("{name}: {compared} comparisons");
}

/// Replays a recording and compares at every tick, and the window at the end.
fn replay(name: &str, at_least: u64) {
    let recording = Recording::named(name).unwrap();
    let expected = Expected::of(Script::Kubelet, archive(&recording)).unwrap();
    let system = System::start(Options::replaying(recording.clone())).unwrap();
    let (mut asker, mut found) = (asker(&system), Found::default());
    for tick in recording.ticks() {
        system.tick(tick).unwrap();
        compare_series(&mut found, &mut asker, &expected, &[tick]);
        compare_lists(&mut found, &mut asker, &expected, tick);
        expected.compare_nodes(&mut found, &mut asker, &[tick], is_of_kubelet);
    }
    let all: Vec<u64> = recording.ticks().collect();
    compare_series(&mut found, &mut asker, &expected, &all);
    expected.compare_nodes(&mut found, &mut asker, &all, is_of_kubelet);
    assert_right(name, &found, at_least);
}

/// Scenario: two nodes, captured every ten seconds for five minutes: pods appear, vanish, restart
/// and come back.
/// Guarantees: at every tick each metric of every entity, each sum and each list is what the
/// script computes and is absent where it says so, in both APIs; and the window, read as a whole
/// at the end, says the same again.
#[test]
fn every_value_of_two_nodes_is_the_independently_computed_one() {
    replay("trace", 80_000);
}

/// Scenario: one node with 51 pods, six captures ten seconds apart.
/// Guarantees: as above.
#[test]
fn every_value_of_a_full_node_is_the_independently_computed_one() {
    replay("pods-51", 65_000);
}

/// Scenario: one node with pressure figures and swap, captured every 12 to 48 seconds: most ticks
/// see what the tick before saw.
/// Guarantees: as above.
#[test]
fn every_value_of_a_slow_node_is_the_independently_computed_one() {
    replay("cgroup-v2", 100_000);
}

/// Scenario: the agent's /proc is a directory that holds the next recorded frame at every tick.
/// Guarantees: at every tick each of the host's figures, of each disk and each interface is what
/// the script computes, and nothing else is there; and so in the window at the end.
#[test]
fn every_figure_of_the_host_is_the_independently_computed_one() {
    let recording = Recording::named("cgroup-v2").unwrap();
    let expected = Expected::of(Script::Proc, archive(&recording)).unwrap();
    let files = HostFiles::load(archive(&recording), "node3").unwrap();
    let proc_root = tempfile::tempdir().unwrap();
    files.show(0, proc_root.path()).unwrap();
    let mut options = Options::replaying(recording.clone());
    let root = proc_root.path().display().to_string();
    options.extra_agent_args = vec!["--proc-root".to_owned(), root];
    let system = System::start(options).unwrap();
    let (mut asker, mut found) = (asker(&system), Found::default());
    let ticks: Vec<u64> = recording.ticks().take(files.frame_count()).collect();
    for (frame, &tick) in ticks.iter().enumerate() {
        files.show(frame, proc_root.path()).unwrap();
        system.tick(tick).unwrap();
        expected.compare_nodes(&mut found, &mut asker, &[tick], is_of_host);
    }
    expected.compare_nodes(&mut found, &mut asker, &ticks, is_of_host);
    assert_right("proc", &found, 3_500);
}

/// The comparison sees what is missing, what is more and what is another value.
#[test]
fn a_series_that_nobody_sampled_would_be_noticed() {
    let recording = Recording::named("pods-51").unwrap();
    let system = System::start(Options::replaying(recording.clone())).unwrap();
    let (mut asker, mut found) = (asker(&system), Found::default());
    system.tick(recording.first_tick_ms).unwrap();
    let mut expected = Expected::of(Script::Kubelet, archive(&recording)).unwrap();
    let path = "/api/v1/model/nodes/node1/metrics/memory/usage";
    let points = std::mem::take(expected.paths.get_mut(path).unwrap());
    expected.paths = [(path.to_owned(), points)].into();
    compare_series(
        &mut found,
        &mut asker,
        &expected,
        &[recording.first_tick_ms],
    );
    assert!(found.is_right(), "{found}");
    *expected.paths.get_mut(path).unwrap() = Points::new();
    compare_series(
        &mut found,
        &mut asker,
        &expected,
        &[recording.first_tick_ms],
    );
    assert_eq!(found.to_string().lines().next(), Some("1 of 2 differ"));
}
