//! Cgroups of the kernel of this machine, with processes in them that do what is known.
//!
//! Needs the right to make cgroups; without it each test says so and is over.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests: what cannot go on has failed, or says what it lacks"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cairn_agent::sources::cgroup::{Cgroups, Sandboxes, Stat, Tree};
use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_runtime::clock::Clock;
use rustix::fs::{major, minor};
use tokio::time::Instant;

const MOUNT: &str = "/sys/fs/cgroup";
const V1_CONTROLLERS: [&str; 5] = ["cpuacct", "cpu", "memory", "pids", "blkio"];
const UID: &str = "03a70c4b-ca1d-4b94-9704-26a125eae027";
const ID: &str = "305f1c79670865583009fa5bbf7a2949978da6f8fe86c0ee96139cba69f3d6cd";
const INTERVAL_MS: u64 = 10_000;

/// What the worker holds and writes.
const HELD_BYTES: u64 = 64 << 20;
const WRITTEN_BYTES: u64 = 8 << 20;

/// Uses a second of CPU time, holds memory, writes past the page cache, tells what the kernel says of
/// it, and waits until it is let go.
const WORKER: &str = r#"
import mmap, os, resource, sys
held = bytearray(64 << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
written = 0
try:
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
    page = mmap.mmap(-1, 1 << 20)
    for _ in range(8):
        written += os.write(file, page)
except OSError:
    pass
def used():
    # What calls itself python3 may have started others on its way.
    of = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, of))
while used() < 1.0:
    sum(range(20000))
print(f"{used():.6f} {written}", flush=True)
sys.stdin.read()
"#;

/// A tree of cgroups of its own, as a node has it.
struct Bed {
    root: PathBuf,
    // The directories to remove, children before parents.
    made: Vec<PathBuf>,
    // The directories of the container, in which processes are put.
    container: Vec<PathBuf>,
    dir: tempfile::TempDir,
}

impl Bed {
    /// Makes the tree of a pod with one container; says why not when it may not.
    fn new(version: u8) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cairn-test-{}-{count}", std::process::id());
        let tops: Vec<(&str, PathBuf)> = match version {
            1 => V1_CONTROLLERS
                .map(|of| (of, Path::new(MOUNT).join(of).join(&name)))
                .into(),
            _ => ["", "unified"]
                .map(|of| Path::new(MOUNT).join(of))
                .into_iter()
                .find(|mount| mount.join("cgroup.controllers").is_file())
                .map(|mount| ("", mount.join(&name)))
                .into_iter()
                .collect(),
        };
        let dir = tempfile::tempdir().unwrap();
        let mut bed = Self {
            root: dir.path().to_owned(),
            made: Vec::new(),
            container: Vec::new(),
            dir,
        };
        for (controller, top) in tops {
            let steps = ["", "kubepods", "burstable", &format!("pod{UID}"), ID];
            let mut path = top.clone();
            for step in steps {
                if !step.is_empty() {
                    path.push(step);
                }
                if let Err(error) = fs::create_dir(&path) {
                    eprintln!("SKIPPED: {}: {error}: run as root", path.display());
                    return None;
                }
                bed.made.insert(0, path.clone());
            }
            bed.container.push(path);
            if controller.is_empty() {
                bed.root = top;
            } else {
                symlink(top, bed.root.join(controller)).unwrap();
            }
        }
        if bed.container.is_empty() {
            eprintln!("SKIPPED: {MOUNT} has no cgroups of version {version}");
            return None;
        }
        Some(bed)
    }

    /// Starts the worker in the container; gives it with its CPU time in ns and the bytes it wrote.
    fn work(&self) -> (Worker, u64, u64) {
        let enter = "for d in $CGROUPS; do echo $$ > $d/cgroup.procs || exit 9; done; exec python3 -c \
                     \"$WORKER\" \"$FILE\"";
        let cgroups: Vec<String> = self
            .container
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        let mut worker = Command::new("sh")
            .args(["-c", enter])
            .env("CGROUPS", cgroups.join(" "))
            .env("WORKER", WORKER)
            .env("FILE", self.dir.path().join("written"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        let mut lines = BufReader::new(worker.stdout.as_mut().unwrap());
        lines.read_line(&mut told).unwrap();
        let (used, written) = told.trim().split_once(' ').unwrap();
        let micros: String = used.chars().filter(|c| *c != '.').collect();
        let nanos = micros.parse::<u64>().unwrap() * 1_000;
        (Worker(worker), nanos, written.parse().unwrap())
    }

    /// Has v1 count what is read and written: the kernel does where a limit is set, here one that nobody
    /// comes near. False when it does not.
    fn count_io(&self) -> bool {
        let disk = fs::metadata(self.dir.path()).unwrap().dev();
        let limit = format!("{}:{} 1099511627776", major(disk), minor(disk));
        let mut container = self.container.iter();
        container
            .any(|path| fs::write(path.join("blkio.throttle.write_bps_device"), &limit).is_ok())
    }

    fn tree(&self) -> Tree {
        let sandboxes = Sandboxes::default();
        Tree::open(&self.root, Path::new("/proc"), INTERVAL_MS, sandboxes).unwrap()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for directory in &self.made {
            remove(directory);
        }
    }
}

/// Removes a cgroup, which is busy for as long as its last process takes to be gone.
fn remove(directory: &Path) {
    let began = Instant::now();
    while fs::remove_dir(directory).is_err_and(|error| error.kind() == ErrorKind::ResourceBusy) {
        if began.elapsed() > Duration::from_secs(5) {
            eprintln!("{} is left behind", directory.display());
            return;
        }
        std::thread::yield_now();
    }
}

/// A process that ends with this.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Some(mut out) = self.0.stdout.take() {
            out.read_to_end(&mut Vec::new()).unwrap();
        }
        self.0.wait().unwrap();
    }
}

fn read(tree: &mut Tree, tick: u64) -> Cgroups {
    let mut read = Cgroups::default();
    tree.read(tick, &Clock::system().line(), &mut read).unwrap();
    read
}

fn is_within(value: u64, of: u64, percent: u64) -> bool {
    value.abs_diff(of) * 100 <= of * percent
}

/// The pod's and its container's figures.
fn both(cgroups: &Cgroups) -> [&Stat; 2] {
    let pod = cgroups.pod(UID).unwrap();
    [&pod.own, &pod.containers[0].stat]
}

#[test]
fn cpu_memory_and_io_are_what_the_processes_say_of_themselves() {
    let Some(bed) = Bed::new(1) else { return };
    let counts_io = bed.count_io();
    let mut tree = bed.tree();
    let before = read(&mut tree, 0);
    assert_eq!(both(&before)[1].figures.value(table::CPU), Some(0));
    let (worker, used_nanos, written) = bed.work();
    let mut after = Cgroups::default();
    // All the ticks of half a minute: one of them is the container's own for slow readings.
    for n in 1..=3 {
        after = read(&mut tree, n * INTERVAL_MS);
    }
    for stat in both(&after) {
        let cpu = stat.figures.value(table::CPU).unwrap();
        println!("CPU {cpu} ns, getrusage {used_nanos} ns");
        assert!(is_within(cpu, used_nanos, 3), "{cpu} and {used_nanos}");
        let rss = stat.figures.value(table::MEMORY_RSS).unwrap();
        let working_set = stat.figures.value(table::MEMORY_WORKING_SET).unwrap();
        println!("rss {rss}, working set {working_set}, held {HELD_BYTES}");
        assert!(
            (HELD_BYTES..HELD_BYTES + (16 << 20)).contains(&rss),
            "{rss}"
        );
        assert!(working_set >= rss);
        assert_eq!(stat.figures.value(table::THREADS), Some(1));
        if counts_io && written == WRITTEN_BYTES {
            let of_devices = stat.devices.iter();
            let bytes = of_devices.filter_map(|part| part.figures.value(table::IO_WRITE_BYTES));
            let bytes: u64 = bytes.sum();
            println!("written {bytes} of {written}: {:?}", stat.devices);
            assert!(is_within(bytes, written, 3), "{bytes} and {written}");
        } else {
            eprintln!("SKIPPED: no writing that the kernel counts here");
        }
    }
    drop(worker);
}

#[test]
fn cpu_of_the_one_tree_is_what_the_processes_say_of_themselves() {
    let Some(bed) = Bed::new(2) else { return };
    let mut tree = bed.tree();
    read(&mut tree, 0);
    let (worker, used_nanos, _) = bed.work();
    let after = read(&mut tree, INTERVAL_MS);
    for stat in both(&after) {
        let cpu = stat.figures.value(table::CPU).unwrap();
        println!("CPU {cpu} ns, getrusage {used_nanos} ns");
        assert!(is_within(cpu, used_nanos, 3), "{cpu} and {used_nanos}");
    }
    drop(worker);
}

#[test]
fn a_cgroup_that_ends_is_gone_and_what_comes_in_its_place_begins_anew() {
    for version in [1, 2] {
        let Some(bed) = Bed::new(version) else {
            continue;
        };
        let mut tree = bed.tree();
        let (worker, used_nanos, _) = bed.work();
        let cpu = |cgroups: &Cgroups| both(cgroups)[1].figures.value(table::CPU).unwrap();
        assert!(cpu(&read(&mut tree, 0)) >= used_nanos / 2);
        drop(worker);
        for directory in &bed.container {
            remove(directory);
            fs::create_dir(directory).unwrap();
        }
        // The same name in the same place: what was open gives nothing any more.
        let gone = read(&mut tree, INTERVAL_MS);
        assert!(gone.pod(UID).unwrap().containers.is_empty());
        assert_eq!(cpu(&read(&mut tree, 2 * INTERVAL_MS)), 0);
    }
}

#[test]
fn pressure_is_told_where_the_kernel_tells_it() {
    let Some(bed) = Bed::new(2) else { return };
    if !bed.container[0].join("cpu.pressure").is_file() {
        eprintln!("SKIPPED: this kernel tells no pressure");
        return;
    }
    let mut tree = bed.tree();
    let read = read(&mut tree, 0);
    let pressure = table::pressure_total(PressureOf::Cpu, false);
    let system = read.system.as_ref().unwrap();
    // Without the memory controller there is no memory beside which it could stand.
    let has_memory = bed.container[0].join("memory.current").is_file();
    let told = both(&read)[1].figures.value(pressure);
    assert_eq!(told.is_some(), has_memory);
    assert_eq!(system.figures.value(pressure).is_some(), has_memory);
}
