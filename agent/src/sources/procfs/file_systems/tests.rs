//! File systems that answer, hang, fail, come and go; how they are asked is made up.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use cairn_proto::catalogue::{Source, table};
use cairn_runtime::clock::Clock;

use super::super::lanes::{MAX_LANES, MAX_REMOTE};
use super::space::Space;
use super::*;
use crate::sources::{Feed, Outcome, Trigger};

const START: u64 = 1_795_332_330_000;

/// Far longer than anything here takes, and the end of whatever would never end.
const PATIENT: Duration = Duration::from_secs(30);

const SPACE: Space = Space {
    capacity: 1_000,
    free: 300,
    available: 250,
    inodes: 50,
    inodes_free: 20,
};

/// What the dead wait for.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    // Questions that came to it.
    asked: AtomicUsize,
}

impl Gate {
    fn wait(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let shut = self.open.lock().unwrap();
        drop(
            self.opened
                .wait_timeout_while(shut, PATIENT, |open| !*open)
                .unwrap(),
        );
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

struct Bench {
    proc_root: tempfile::TempDir,
    readiness: Readiness,
    metrics: Metrics,
    gate: Arc<Gate>,
    tick: u64,
}

/// A clock that stands at a tick.
fn line(tick: u64) -> Line {
    Clock::driven(tick).line()
}

impl Bench {
    fn new(mounts: &[&str]) -> Self {
        let bench = Self {
            proc_root: tempfile::tempdir().unwrap(),
            readiness: Readiness::new(),
            metrics: Metrics::default(),
            gate: Arc::default(),
            tick: START,
        };
        fs::create_dir(bench.proc_root.path().join("1")).unwrap();
        bench.mount(mounts);
        bench
    }

    /// Replaces the list, each as number, path, type and source.
    fn mount(&self, mounts: &[&str]) {
        let line = |mount: &&str| {
            let mut parts = mount.split(' ');
            let (number, point) = (parts.next().unwrap(), parts.next().unwrap());
            let (fs_type, source) = (parts.next().unwrap(), parts.next().unwrap());
            format!("1 1 {number} / {point} rw - {fs_type} {source} rw\n")
        };
        let text: String = mounts.iter().map(line).collect();
        fs::write(self.proc_root.path().join("1/mountinfo"), text).unwrap();
    }

    /// Those whose path has `dead` in it wait at the gate, those with `odd` fail.
    fn file_systems(&self) -> FileSystems {
        let gate = Arc::clone(&self.gate);
        let ask: Ask = Arc::new(move |mount: &Mount, path: &Path| {
            assert!(path.starts_with("/host"));
            if mount.point.contains("dead") {
                gate.wait();
            }
            if mount.point.contains("odd") {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            Ok(Some(SPACE))
        });
        let told = (self.readiness.clone(), self.metrics.clone());
        FileSystems::asked_by(ask, PathBuf::from("/host"), self.proc_root.path(), told)
    }

    /// The names of what is known at this tick.
    fn names(&self, file_systems: &mut FileSystems) -> Vec<String> {
        let (parts, _) = file_systems.read(self.tick, &line(self.tick));
        parts.iter().map(|part| part.name.clone()).collect()
    }

    /// One round; the names of what is known after it.
    fn round(&mut self, file_systems: &mut FileSystems) -> Vec<String> {
        self.tick += EVERY_MS;
        self.names(file_systems)
    }

    /// Rounds until these are known, however slowly the threads get their turn.
    fn until(&mut self, file_systems: &mut FileSystems, expected: &[&str]) {
        let began = Instant::now();
        let mut names = self.round(file_systems);
        while names != expected {
            assert!(began.elapsed() < PATIENT, "{names:?}");
            let mut waiting = file_systems.lanes.waiting();
            let slow = waiting.any(|(mount, _)| !mount.point.contains("dead"));
            drop(waiting);
            std::thread::yield_now();
            names = if slow {
                self.names(file_systems)
            } else {
                self.round(file_systems)
            };
        }
    }

    fn note(&self) -> String {
        self.readiness.render(true).1
    }

    fn passed_over(&self, kind: &'static str) -> u64 {
        let family = &self.metrics.passed_over;
        family.get_or_create(&ByKind { kind }).get()
    }
}

#[test]
fn one_that_hangs_is_passed_over_and_told_until_it_comes_back() {
    let mut bench = Bench::new(&[
        "8:1 / ext4 /dev/sda1",
        "8:17 /data xfs /dev/sdb1",
        "0:40 /dead nfs4 files:/export",
    ]);
    let mut file_systems = bench.file_systems();
    bench.until(&mut file_systems, &["/", "/data"]);
    // A round that waited for it would now take until the gate lets it go, and know it then.
    file_systems.wait = PATIENT * 2;
    for _ in 0..100 {
        assert_eq!(bench.round(&mut file_systems), ["/", "/data"]);
    }
    assert_eq!(file_systems.lanes.waiting().count(), 1);
    assert_eq!(bench.gate.asked.load(Ordering::SeqCst), 1);
    assert_eq!(bench.metrics.hanging.get(), 1);
    assert!(bench.passed_over("hanging") >= 100);
    let note = bench.note();
    for part in [
        "file systems: /dead (nfs4 of files:/export) has not answered for",
        "check its server or disk",
    ] {
        assert!(note.contains(part), "{part} is not in: {note}");
    }
    // Between two rounds nobody is asked, and what comes is taken.
    bench.gate.open();
    let began = Instant::now();
    while file_systems.lanes.waiting().count() > 0 {
        bench.names(&mut file_systems);
        assert!(began.elapsed() < PATIENT);
        std::thread::yield_now();
    }
    bench.until(&mut file_systems, &["/", "/data", "/dead"]);
    assert_eq!(bench.metrics.hanging.get(), 0);
    assert!(!bench.note().contains("file systems"), "{}", bench.note());
}

#[test]
fn dead_servers_hold_no_more_than_half_of_the_threads() {
    let dead: Vec<String> = (0..20)
        .map(|n| format!("0:{n} /dead{n:02} nfs4 files:/{n}"))
        .collect();
    let mut mounts: Vec<&str> = dead.iter().map(String::as_str).collect();
    mounts.push("8:1 /zuse ext4 /dev/sda1");
    let mut bench = Bench::new(&mounts);
    let mut file_systems = bench.file_systems();
    bench.until(&mut file_systems, &["/zuse"]);
    for _ in 0..50 {
        bench.round(&mut file_systems);
    }
    assert_eq!(file_systems.lanes.waiting().count(), MAX_REMOTE);
    assert!(file_systems.lanes.len() <= MAX_LANES);
    assert_eq!(bench.gate.asked.load(Ordering::SeqCst), MAX_REMOTE);
    assert!(bench.passed_over("no_thread") >= 50 * 16);
    let note = bench.note();
    assert!(
        note.contains("(and 3 more)") && note.contains("(and 15 more)"),
        "{note}"
    );
    // Of the machine's own disks each may hold one, up to the last.
    let dead: Vec<String> = (0..20)
        .map(|n| format!("8:{n} /dead{n:02} ext4 /dev/sd{n}"))
        .collect();
    bench.mount(&dead.iter().map(String::as_str).collect::<Vec<&str>>());
    for _ in 0..50 {
        bench.round(&mut file_systems);
    }
    assert_eq!(file_systems.lanes.len(), MAX_LANES);
    bench.gate.open();
}

#[test]
fn one_that_was_slow_is_asked_and_not_waited_for_until_it_is_fast() {
    let mut bench = Bench::new(&["0:40 /dead nfs4 files:/export"]);
    let mut file_systems = bench.file_systems();
    bench.gate.open();
    // Any time at all is too long now.
    file_systems.wait = Duration::ZERO;
    bench.until(&mut file_systems, &["/dead"]);
    // The round in which it was known asked again: that answer too came too late.
    let began = Instant::now();
    while file_systems.lanes.waiting().count() > 0 {
        bench.names(&mut file_systems);
        assert!(began.elapsed() < PATIENT);
    }
    assert_eq!(file_systems.slow.len(), 1);
    *bench.gate.open.lock().unwrap() = false;
    file_systems.wait = PATIENT * 2;
    bench.round(&mut file_systems);
    assert_eq!(file_systems.lanes.waiting().count(), 1);
    bench.gate.open();
    let began = Instant::now();
    while !file_systems.slow.is_empty() {
        bench.names(&mut file_systems);
        assert!(began.elapsed() < PATIENT);
    }
    assert_eq!(bench.round(&mut file_systems), ["/dead"]);
    assert_eq!(file_systems.lanes.waiting().count(), 0);
}

#[test]
fn what_hangs_has_its_last_values_until_they_are_too_old() {
    let mut bench = Bench::new(&["0:40 /dead nfs4 files:/export"]);
    let mut file_systems = bench.file_systems();
    bench.gate.open();
    file_systems.wait = PATIENT;
    assert_eq!(bench.round(&mut file_systems), ["/dead"]);
    let measured = bench.tick;
    *bench.gate.open.lock().unwrap() = false;
    file_systems.wait = WAIT;
    while !bench.round(&mut file_systems).is_empty() {
        assert!(bench.tick - measured <= Group::Filesystem.max_age_ms());
    }
    assert!(bench.tick - measured > Group::Filesystem.max_age_ms());
    assert!(bench.gate.asked.load(Ordering::SeqCst) <= 2);
    bench.gate.open();
}

#[test]
fn failures_are_counted_and_say_what_to_do() {
    let mut bench = Bench::new(&["8:1 / ext4 /dev/sda1", "8:2 /odd ext4 /dev/sda2"]);
    let mut file_systems = bench.file_systems();
    file_systems.wait = PATIENT;
    assert_eq!(bench.round(&mut file_systems), ["/"]);
    let note = bench.note();
    assert!(
        note.contains("/host/odd: permission denied: check that"),
        "{note}"
    );
    assert_eq!(bench.passed_over("failed"), 1);
    // Without the list, what was mounted before goes on.
    fs::remove_file(bench.proc_root.path().join("1/mountinfo")).unwrap();
    bench.mount(&["8:1 / ext4 /dev/sda1"]);
    assert_eq!(bench.round(&mut file_systems), ["/"]);
    assert!(!bench.note().contains("file systems"), "{}", bench.note());
    fs::remove_file(bench.proc_root.path().join("1/mountinfo")).unwrap();
    assert_eq!(bench.round(&mut file_systems), ["/"]);
    let note = bench.note();
    assert!(
        note.contains("1/mountinfo") && note.contains("--host-root needs"),
        "{note}"
    );
    assert_eq!(bench.passed_over("failed"), 2);
}

#[test]
fn a_failure_between_two_rounds_is_told_at_the_next() {
    let mut bench = Bench::new(&["8:1 / ext4 /dev/sda1", "8:2 /dead/odd ext4 /dev/sda2"]);
    let mut file_systems = bench.file_systems();
    bench.until(&mut file_systems, &["/"]);
    bench.gate.open();
    let began = Instant::now();
    while file_systems.lanes.waiting().count() > 0 {
        // No round is due.
        assert_eq!(bench.names(&mut file_systems), ["/"]);
        assert!(began.elapsed() < PATIENT);
        std::thread::yield_now();
    }
    assert_eq!(bench.passed_over("failed"), 1);
    // It hangs again, so that this round has nothing to tell but what came before it.
    *bench.gate.open.lock().unwrap() = false;
    assert_eq!(bench.round(&mut file_systems), ["/"]);
    let note = bench.note();
    assert!(note.contains("/host/dead/odd: permission denied"), "{note}");
    bench.gate.open();
}

#[test]
fn what_answers_before_it_is_told_is_no_trouble() {
    let (path, other) = (Path::new("/host/data"), Path::new("/host/srv"));
    let error = io::Error::from(io::ErrorKind::NotFound);
    let mut troubles = Troubles::default();
    for failing in [path, other, path] {
        troubles.fails(failing, &error);
    }
    troubles.answers(other);
    let told = troubles.tell().unwrap();
    assert!(
        told.starts_with("/host/data: ") && !told.contains("more"),
        "{told}"
    );
    assert_eq!(troubles.tell(), None);
}

#[test]
fn what_is_unmounted_is_gone_and_nothing_is_kept_of_it() {
    let mut bench = Bench::new(&[]);
    let mut file_systems = bench.file_systems();
    file_systems.wait = PATIENT;
    for n in 0..1_000 {
        let (first, second) = (
            format!("8:1 /m{n} ext4 /dev/sda"),
            "8:2 /stays ext4 /dev/sdb",
        );
        bench.mount(&[&first, second]);
        assert_eq!(
            bench.round(&mut file_systems),
            [format!("/m{n}"), "/stays".to_owned()]
        );
        assert_eq!(
            (file_systems.known.len(), file_systems.mounts.len()),
            (2, 2)
        );
    }
    assert!(file_systems.lanes.len() <= MAX_LANES);
}

#[test]
fn all_are_asked_every_ten_seconds_and_at_once_when_the_clock_is_set_back() {
    let bench = Bench::new(&["8:1 / ext4 /dev/sda1"]);
    let mut file_systems = bench.file_systems();
    file_systems.wait = PATIENT;
    let mut rounds = |tick| {
        let (parts, _) = file_systems.read(tick, &line(tick));
        assert_eq!(parts.len(), 1);
        file_systems.round
    };
    assert_eq!(rounds(START), 1);
    assert_eq!(rounds(START + 9_000), 1);
    assert_eq!(rounds(START + 10_000), 2);
    assert_eq!(rounds(START - 50_000), 3);
}

#[tokio::test]
async fn a_dead_mount_holds_up_neither_the_host_nor_the_other_mounts() {
    let bench = Bench::new(&["8:1 / ext4 /dev/sda1", "0:40 /dead nfs4 files:/export"]);
    fs::write(
        bench.proc_root.path().join("loadavg"),
        "0.57 12.30 1999.99 3/571 4242\n",
    )
    .unwrap();
    let (mut feed, worker) = Feed::new(Source::Procfs);
    let root = super::super::ProcRoot {
        path: bench.proc_root.path().to_owned(),
        per_cpu: false,
    };
    super::super::start(root, Some(bench.file_systems()), worker).unwrap();
    let mut names = Vec::new();
    for tick in (1..=500).map(|n| START + n * EVERY_MS) {
        let trigger = Trigger {
            tick,
            line: line(tick),
        };
        // The dead one is not let go before this is over.
        let outcome = feed.scrape(trigger, PATIENT / 2).await;
        assert!(matches!(outcome, Outcome::Answered(Ok(_))), "{outcome:?}");
        let host = &feed.last().unwrap().values;
        assert_eq!(host.figures.value(table::HOST_LOAD1), Some(570));
        names = host.file_systems.iter().map(|p| p.name.clone()).collect();
        if names == ["/"] && bench.metrics.hanging.get() == 1 {
            break;
        }
    }
    assert_eq!(names, ["/"]);
    assert_eq!(bench.metrics.hanging.get(), 1);
    bench.gate.open();
}
