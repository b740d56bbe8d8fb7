//! A marker in a directory, and what the next process reads of it.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use cairn_proto::limits::MAX_EARLIER_RUNS;
use cairn_runtime::readiness::Readiness;
use prometheus_client::registry::Registry;

use super::*;
use crate::metrics::{ByKind, Metrics};

const START: u64 = 1_795_332_330_000;
const STEP: u64 = 10_000;
const WINDOW: u64 = 900_000;

/// One process after the other, in one directory.
struct Bench {
    dir: tempfile::TempDir,
    readiness: Readiness,
    metrics: crate::metrics::Marker,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            readiness: Readiness::new(),
            metrics: Metrics::new(&mut Registry::default()).marker,
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("runs")
    }

    fn keeper(&self) -> Keeper {
        let (readiness, metrics) = (self.readiness.clone(), self.metrics.clone());
        Keeper::new(self.dir.path(), "node1", readiness, metrics)
    }

    /// A process that begins now.
    fn begins(&self, own: Run, now_ms: u64) -> Marker {
        Marker::new(STEP, WINDOW).kept(self.keeper(), own, now_ms)
    }

    /// One that samples at these ticks and is killed.
    fn lives(&self, own: Run, ticks: std::ops::Range<u64>) -> Marker {
        let mut marker = self.begins(own, at(ticks.start));
        ticks.for_each(|k| marker.row(own, at(k)));
        marker
    }

    fn refused(&self, kind: &'static str) -> u64 {
        self.metrics.refused.get_or_create(&ByKind { kind }).get()
    }
}

fn at(k: u64) -> u64 {
    START + k * STEP
}

fn run(epoch_ms: u64) -> Run {
    Run {
        epoch_ms,
        boot_id: [0xa7; 16],
        clock_stepped: false,
    }
}

fn ended(epoch_ms: u64, first: u64, last: u64) -> EarlierRun {
    EarlierRun {
        run: run(epoch_ms),
        interval_ms: STEP,
        first_tick_ms: at(first),
        last_tick_ms: at(last),
    }
}

#[test]
fn each_process_knows_those_before_it_and_its_own_row_is_written_at_once() {
    let bench = Bench::new();
    let first = bench.lives(run(1), 0..6);
    assert_eq!(*first.past().runs(), []);
    let second = bench.lives(run(2), 8..9);
    let past = second.past();
    assert_eq!(*past.runs(), [ended(1, 0, 5)]);
    let third = bench.begins(run(3), at(9));
    assert_eq!(*third.past().runs(), [ended(1, 0, 5), ended(2, 8, 8)]);
    // One that never had a row leaves nothing behind.
    let fourth = bench.begins(run(4), at(9));
    assert_eq!(fourth.past().runs(), third.past().runs());
    let files = std::fs::read_dir(bench.dir.path()).unwrap().count();
    assert_eq!(files, 1);
    assert_eq!(bench.metrics.write_failures.get(), 0);
}

#[test]
fn a_run_is_forgotten_with_the_window_at_a_start_and_while_one_goes_on() {
    let bench = Bench::new();
    bench.lives(run(1), 0..6);
    let rows = WINDOW / STEP;
    let late = bench.begins(run(2), at(5 + rows));
    assert_eq!(*late.past().runs(), [ended(1, 0, 5)]);
    let later = bench.begins(run(2), at(5 + rows) + 1);
    assert_eq!(*later.past().runs(), []);
    let mut marker = bench.begins(run(2), at(6));
    let past = marker.past();
    marker.row(run(2), at(5 + rows));
    assert_eq!(*past.runs(), [ended(1, 0, 5)]);
    marker.row(run(2), at(6 + rows));
    assert_eq!(*past.runs(), []);
}

#[test]
fn a_loop_of_restarts_is_few_runs_that_stand_for_all() {
    let bench = Bench::new();
    for n in 0..40 {
        bench.lives(run(n + 1), 2 * n..2 * n + 1);
    }
    let runs = bench.begins(run(99), at(80)).past().runs();
    assert_eq!(runs.len(), MAX_EARLIER_RUNS);
    assert_eq!(runs[0], ended(33, 0, 64));
    assert_eq!(runs[1], ended(34, 66, 66));
    assert_eq!(runs[7], ended(40, 78, 78));
    let size = std::fs::metadata(bench.file()).unwrap().len();
    assert!(size < text::MAX_BYTES as u64 / 2, "{size}");
}

#[test]
fn runs_of_two_intervals_become_one_on_the_grid_of_the_later() {
    let bench = Bench::new();
    let mut marker = Marker::new(1_000, WINDOW).kept(bench.keeper(), run(1), START);
    (1..14).for_each(|second| marker.row(run(1), START + second * 1_000));
    for n in 1..9 {
        bench.lives(run(n + 1), 2 * n..2 * n + 1);
    }
    let runs = bench.begins(run(99), at(80)).past().runs();
    assert!(runs.iter().all(EarlierRun::is_possible), "{runs:?}");
    assert_eq!((runs.len(), runs[0]), (MAX_EARLIER_RUNS, ended(2, 1, 2)));
}

#[test]
fn a_step_of_the_clock_ends_a_run_and_what_lies_ahead_of_it_never_was() {
    let bench = Bench::new();
    let mut marker = bench.lives(run(1), 0..6);
    let past = marker.past();
    marker.step(at(3) + 700);
    assert_eq!(*past.runs(), [ended(1, 0, 3)]);
    let stepped = Run {
        clock_stepped: true,
        ..run(2)
    };
    marker.row(stepped, at(4));
    marker.step(START - 1);
    assert_eq!(*past.runs(), []);
    // Forward, over more than the window, nothing is left either.
    marker.row(stepped, at(0));
    marker.step(at(100));
    assert_eq!(*past.runs(), []);
}

/// Each byte of the file by itself, and each end of it.
#[test]
fn a_broken_file_says_nothing_and_is_written_anew() {
    let bench = Bench::new();
    bench.lives(run(1), 0..6);
    let good = std::fs::read(bench.file()).unwrap();
    let mut broken: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
    for nth in 0..good.len() {
        let mut other = good.clone();
        other[nth] ^= 1;
        broken.push(other);
    }
    broken.push([&*good, b"\n"].concat());
    broken.push([&*good, &*good].concat());
    broken.push(vec![b'x'; text::MAX_BYTES + 1]);
    for bytes in &broken {
        std::fs::write(bench.file(), bytes).unwrap();
        let runs = bench.begins(run(2), at(6)).past().runs();
        assert_eq!(*runs, [], "{}", String::from_utf8_lossy(bytes));
    }
    let all = bench.refused("broken") + bench.refused("version");
    assert_eq!(all, broken.len() as u64);
    let mut marker = bench.begins(run(2), at(6));
    marker.row(run(2), at(6));
    assert_eq!(*bench.begins(run(3), at(7)).past().runs(), [ended(2, 6, 6)]);
}

#[test]
fn what_another_version_node_or_user_wrote_says_nothing() {
    let bench = Bench::new();
    let written = |node: &str| {
        let mut text = String::new();
        text::write(&mut text, node, [ended(1, 0, 5)].iter());
        text
    };
    let known = || bench.begins(run(2), at(6)).past().runs().len();
    std::fs::write(bench.file(), written("node1")).unwrap();
    assert_eq!(known(), 1);
    let other_user = bench.keeper().of_user(u32::MAX - 1);
    let marker = Marker::new(STEP, WINDOW).kept(other_user, run(2), at(6));
    assert_eq!((marker.past().runs().len(), bench.refused("owner")), (0, 1));
    std::fs::write(bench.file(), written("node2")).unwrap();
    assert_eq!((known(), bench.refused("node")), (0, 1));
    let next = written("node1").replace("runs 1", "runs 2");
    std::fs::write(bench.file(), next).unwrap();
    assert_eq!((known(), bench.refused("version")), (0, 1));
    std::fs::write(bench.file(), written("node1")).unwrap();
    let early = bench.begins(run(2), at(5) - 1);
    assert_eq!((early.past().runs().len(), bench.refused("future")), (0, 1));
    // Its own run is none before it.
    assert_eq!(*bench.begins(run(1), at(6)).past().runs(), []);
}

#[test]
fn what_is_no_plain_file_is_neither_followed_nor_waited_for() {
    let bench = Bench::new();
    bench.lives(run(1), 0..6);
    let elsewhere = bench.dir.path().join("elsewhere");
    std::fs::rename(bench.file(), &elsewhere).unwrap();
    symlink(&elsewhere, bench.file()).unwrap();
    let before = std::fs::read(&elsewhere).unwrap();
    // Nor is one in the place of the next file written through.
    symlink(&elsewhere, bench.dir.path().join("runs.next")).unwrap();
    let mut marker = bench.begins(run(2), at(6));
    assert_eq!(*marker.past().runs(), []);
    marker.row(run(2), at(6));
    assert_eq!(std::fs::read(&elsewhere).unwrap(), before);
    assert_eq!(*bench.begins(run(3), at(7)).past().runs(), [ended(2, 6, 6)]);
    std::fs::remove_file(bench.file()).unwrap();
    std::fs::create_dir(bench.file()).unwrap();
    assert_eq!(*bench.begins(run(3), at(7)).past().runs(), []);
    assert_eq!(bench.refused("unreadable"), 2);
}

#[test]
fn a_directory_that_cannot_be_written_is_told_until_it_can_be() {
    let bench = Bench::new();
    let dir = bench.dir.path().join("later");
    let (readiness, metrics) = (bench.readiness.clone(), bench.metrics.clone());
    let keeper = Keeper::new(&dir, "node1", readiness, metrics);
    let mut marker = Marker::new(STEP, WINDOW).kept(keeper, run(1), at(0));
    marker.row(run(1), at(0));
    marker.row(run(1), at(1));
    let degraded = bench.readiness.degraded();
    let [(name, reason)] = &*degraded else {
        panic!("{degraded:?}")
    };
    assert_eq!(name, "state");
    let path = dir.join("runs").display().to_string();
    assert!(
        reason.contains("--state-dir") && reason.contains(&path),
        "{reason}"
    );
    assert_eq!(bench.metrics.write_failures.get(), 2);
    assert!(bench.readiness.is_ready());
    std::fs::create_dir(&dir).unwrap();
    marker.row(run(1), at(2));
    assert_eq!(bench.readiness.degraded(), []);
    assert_eq!(bench.metrics.write_failures.get(), 2);
    let text = std::fs::read(dir.join("runs")).unwrap();
    assert_eq!(text::read(&text).unwrap().runs, [ended(1, 0, 2)]);
}
