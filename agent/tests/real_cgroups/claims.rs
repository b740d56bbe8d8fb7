//! What holds of both versions.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::Duration;

use cairn_agent::sources::cgroup::{Cgroups, Stat, Tree};
use cairn_proto::catalogue::{Group, table};
use cairn_runtime::clock::Clock;
use rustix::fs::{major, minor};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::bed::{Bed, Container, INTERVAL_MS, UID, lacks, read, read_half_a_minute};
use crate::worker::{Task, Told, Worker};

const HELD_BYTES: u64 = 64 << 20;
const WRITTEN_BYTES: u64 = 8 << 20;
const SIGKILL: i32 = 9;

/// Cgroups that a container makes below its own.
const MADE_BELOW: usize = 10_000;

/// Ticks whose CPU time is measured together: in as many everything is read, and every directory listed,
/// that is read and listed seldom.
const COUNTED_TICKS: usize = 30;

/// How often that is done at least; the least counts, for others use the processor too, and its caches.
const ROUNDS: u64 = 7;

/// How often at most, while it is too much.
const MOST_ROUNDS: u64 = 60;

/// Distance of readings of what is read seldom.
const SLOW_EVERY_MS: u64 = 30_000;

/// What the cgroups below may cost at a tick.
const MORE_A_TICK: Duration = Duration::from_millis(1);

/// The pod's and its container's figures.
pub(crate) fn both(cgroups: &Cgroups) -> [&Stat; 2] {
    let pod = cgroups.pod(UID).unwrap();
    [&pod.own, &pod.containers[0].stat]
}

pub(crate) fn is_within(value: u64, of: u64, percent: u64) -> bool {
    value.abs_diff(of) * 100 <= of * percent
}

/// CPU time of all that was read, against what the process in it said before, and says now: saying it takes
/// time as well, on a slow machine a good deal.
pub(crate) fn assert_cpu(cgroups: &Cgroups, before: &Told, worker: &mut Worker) {
    let after = worker.told_again();
    let (least, most) = (before.used_nanos, after.used_nanos + after.entering_nanos);
    for stat in both(cgroups) {
        let cpu = stat.figures.value(table::CPU).unwrap();
        println!("CPU {cpu} ns, the process's own {least} ns, then {most} ns");
        assert!(cpu * 100 >= least * 97, "{cpu} and {least}");
        assert!(cpu * 100 <= most * 103, "{cpu} and {most}");
    }
}

/// CPU time, memory, threads and block I/O.
pub(crate) fn all_is_what_the_process_says(bed: &Bed, container: &Container) {
    let counts_io = has_io_counted(bed, container);
    let mut tree = bed.tree();
    let before = read(&mut tree, 0);
    assert_eq!(both(&before)[1].figures.value(table::CPU), Some(0));
    let file = bed.dir.path().join("written");
    let tasks = [
        Task::Hold(HELD_BYTES),
        Task::Write(WRITTEN_BYTES, &file),
        Task::Threads(3),
        Task::Burn(1_000),
    ];
    let mut worker = Worker::start(container, &tasks);
    let told = worker.told().unwrap();
    let after = read_half_a_minute(&mut tree, 0);
    assert_cpu(&after, &told, &mut worker);
    for stat in both(&after) {
        let rss = stat.figures.value(table::MEMORY_RSS).unwrap();
        let working_set = stat.figures.value(table::MEMORY_WORKING_SET).unwrap();
        println!("rss {rss}, working set {working_set}, held {HELD_BYTES}");
        let few = 16 << 20;
        assert!((HELD_BYTES..HELD_BYTES + few).contains(&rss), "{rss}");
        assert!(working_set >= rss);
        assert_eq!(stat.figures.value(table::THREADS), Some(told.thread_count));
        if !counts_io || told.written != WRITTEN_BYTES {
            lacks("no writing past the page cache that the kernel counts here");
            continue;
        }
        let of_devices = stat.devices.iter();
        let bytes = of_devices.filter_map(|part| part.figures.value(table::IO_WRITE_BYTES));
        let bytes: u64 = bytes.sum();
        println!("written {bytes} of {WRITTEN_BYTES}: {:?}", stat.devices);
        assert!(is_within(bytes, WRITTEN_BYTES, 3), "{bytes}");
    }
}

/// Whether the kernel counts what is read and written: of a file system on a disk of its own it does. That of
/// v1 does where a limit is set, here one that nobody comes near.
fn has_io_counted(bed: &Bed, container: &Container) -> bool {
    let disk = fs::metadata(bed.dir.path()).unwrap().dev();
    let limit = format!("{}:{} 1099511627776", major(disk), minor(disk));
    let mut directories = container.directories.iter();
    let is_v2 = directories.any(|at| at.join("io.stat").is_file());
    // Without a device: a file system in memory, or one over several disks.
    major(disk) != 0 && (is_v2 || container.set("blkio.throttle.write_bps_device", &limit))
}

/// A process that may use 5 ms of every 500 ms waits for the rest: its own clocks say how long. Gives the
/// least and the most that it waited until the tree was read, ns, and what was read.
pub(crate) fn throttling_is_what_the_process_waited(
    bed: &Bed,
    container: &Container,
) -> (Range<u64>, Cgroups) {
    let is_limited = container.set("cpu.max", "5000 500000")
        || container.set("cpu.cfs_period_us", "500000")
            && container.set("cpu.cfs_quota_us", "5000");
    assert!(is_limited, "no limit of CPU can be set");
    let mut tree = bed.tree();
    let mut worker = Worker::start(container, &[Task::Burn(25)]);
    let before = worker.told().unwrap();
    let read = read(&mut tree, INTERVAL_MS);
    // It waits while it says so, too.
    let after = worker.told_again();
    let [least, most] = [&before, &after].map(|told| told.passed_nanos - told.used_nanos);
    let figures = &both(&read)[1].figures;
    let value = |field| figures.value(field).unwrap();
    let [periods, throttled, nanos] = [
        table::CFS_PERIODS,
        table::CFS_THROTTLED_PERIODS,
        table::CFS_THROTTLED_TIME,
    ]
    .map(value);
    println!("{before:?}, {after:?}: {throttled} of {periods} periods, {nanos} ns");
    // What waits may also wait for others, and every processor that it was on counts for itself.
    let processors = std::thread::available_parallelism().unwrap().get() as u64;
    let range = least / 2..most * 11 / 10;
    assert!(
        (range.start..range.end * processors).contains(&nanos),
        "{nanos} and {range:?}"
    );
    // The first and the last period are not whole.
    let most = after.passed_nanos / 500_000_000 + 2;
    assert!((2..=most).contains(&periods), "{periods} and {most}");
    assert!(
        (2..=periods).contains(&throttled),
        "{throttled} of {periods}"
    );
    (range, read)
}

/// A process that takes more memory than its container may have is killed by the kernel, and counted.
pub(crate) fn a_kill_by_the_memory_limit_is_counted(bed: &Bed, container: &Container) -> Cgroups {
    let limit = (HELD_BYTES / 2).to_string();
    let is_limited =
        container.set("memory.max", &limit) || container.set("memory.limit_in_bytes", &limit);
    assert!(is_limited, "no limit of memory can be set");
    // Where there is swap, what is too much would go there; where there is none, so is the file.
    container.set("memory.swap.max", "0");
    container.set("memory.swappiness", "0");
    let mut tree = bed.tree();
    let before = read(&mut tree, 0);
    assert_eq!(both(&before)[1].figures.value(table::OOM_EVENTS), Some(0));
    let mut worker = Worker::start(container, &[Task::Hold(HELD_BYTES)]);
    assert!(worker.told().is_none(), "it was not killed");
    assert_eq!(worker.end().signal(), Some(SIGKILL));
    let after = read_half_a_minute(&mut tree, 0);
    assert_eq!(both(&after)[1].figures.value(table::OOM_EVENTS), Some(1));
    after
}

/// The same name in the same place is another cgroup: what was open gives nothing any more, and the other one is read at
/// the same row.
pub(crate) fn what_comes_in_the_place_of_another_begins_anew(bed: &Bed, container: &Container) {
    let mut tree = bed.tree();
    let mut worker = Worker::start(container, &[Task::Burn(200)]);
    let told = worker.told().unwrap();
    let cpu = |cgroups: &Cgroups| both(cgroups)[1].figures.value(table::CPU).unwrap();
    assert!(cpu(&read(&mut tree, 0)) >= told.used_nanos / 2);
    drop(worker);
    container.replace();
    assert_eq!(cpu(&read(&mut tree, INTERVAL_MS)), 0);
}

/// Cgroups below a container's, for as long as the test needs them.
struct Below {
    directories: Vec<PathBuf>,
}

impl Below {
    fn make(container: &Container) -> Self {
        let mut directories = Vec::new();
        for parent in &container.directories {
            // Two controllers of v1 may be in one tree.
            let names = (0..MADE_BELOW).map(|n| format!("{n:064x}"));
            let made = names.map(|name| parent.join(name)).filter(|path| {
                let is_new = !path.is_dir();
                if is_new {
                    fs::create_dir(path).unwrap();
                }
                is_new
            });
            directories.extend(made);
        }
        Self { directories }
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        for directory in &self.directories {
            // What is left is said by the bed, whose own directory then stays.
            drop(fs::remove_dir(directory));
        }
    }
}

fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// CPU time of the ticks of a round, of each the least of all rounds.
struct Ticks([Duration; COUNTED_TICKS]);

impl Ticks {
    /// Goes through as many rounds as are needed for `is_enough`.
    fn of(tree: &mut Tree, tick: &mut u64, is_enough: impl Fn(&Self) -> bool) -> Self {
        let mut least = Self([Duration::MAX; COUNTED_TICKS]);
        for round in 1..=MOST_ROUNDS {
            least.round(tree, tick);
            if round >= ROUNDS && is_enough(&least) {
                break;
            }
        }
        least
    }

    fn round(&mut self, tree: &mut Tree, tick: &mut u64) {
        for least in &mut self.0 {
            *tick += INTERVAL_MS;
            let began = thread_cpu();
            let read = read(tree, *tick);
            *least = (*least).min(thread_cpu() - began);
            assert_eq!(read.pod(UID).unwrap().containers.len(), 1);
        }
    }

    fn sum(&self) -> Duration {
        self.0.iter().sum()
    }

    fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap()
    }
}

/// Ten thousand cgroups below a container, in which something runs and writes, are no others and cost no more than
/// a millisecond at any tick: v1's kernel walks them for the block I/O of the container and of its pod, which are read
/// once in half a minute each, and not both at one tick.
pub(crate) fn ten_thousand_cgroups_below_cost_nothing(bed: &Bed, container: &Container) {
    has_io_counted(bed, container);
    let file = bed.dir.path().join("written");
    let tasks = [Task::Write(WRITTEN_BYTES, &file), Task::Burn(20)];
    let mut worker = Worker::start(container, &tasks);
    worker.told().unwrap();
    let mut tree = bed.tree();
    let mut tick = 0;
    let without = Ticks::of(&mut tree, &mut tick, |_| true);
    let below = Below::make(container);
    let most = without.sum() + MORE_A_TICK / 2 * u32::try_from(COUNTED_TICKS).unwrap();
    let longest = without.longest() + MORE_A_TICK;
    let is_enough = |with: &Ticks| with.sum() <= most && with.longest() <= longest;
    let with = Ticks::of(&mut tree, &mut tick, is_enough);
    let told = |of: &Ticks| (of.sum(), of.longest());
    println!(
        "{COUNTED_TICKS} ticks and the longest of them take {:?} of CPU time, with {} cgroups below a container {:?}",
        told(&without),
        below.directories.len(),
        told(&with)
    );
    assert!(is_enough(&with), "{most:?} and {longest:?} at most");
}

/// Where the kernel walks ten thousand cgroups for the block I/O of a container, and again for that of its pod, no
/// tick has both, though both are due at each; and each is read at every other one.
pub(crate) fn of_two_that_are_walked_one_is_read_at_a_tick(bed: &Bed, container: &Container) {
    if !has_io_counted(bed, container) {
        return lacks("no disk whose block I/O the kernel counts here");
    }
    let file = bed.dir.path().join("written");
    let mut worker = Worker::start(container, &[Task::Write(WRITTEN_BYTES, &file)]);
    worker.told().unwrap();
    // At this interval every tick is everybody's own.
    let mut tree = bed.tree_at(SLOW_EVERY_MS);
    read(&mut tree, 0);
    let _below = Below::make(container);
    let time_ms = |stat: &Stat| stat.devices[0].figures.time_ms(Group::Detail).unwrap();
    let mut last_ms = None;
    let mut count = [0; 2];
    for n in 1..=20 {
        let read = read(&mut tree, n * SLOW_EVERY_MS);
        let now_ms = both(&read).map(time_ms);
        let moved = |at: usize| last_ms.is_some_and(|last: [u64; 2]| last[at] != now_ms[at]);
        let moved = [0, 1].map(moved);
        assert_ne!(moved, [true; 2], "at tick {n}");
        count = [0, 1].map(|at| count[at] + usize::from(moved[at]));
        last_ms = Some(now_ms);
        // So that another reading has another time.
        clock_past(now_ms[0].max(now_ms[1]));
    }
    assert!(count.iter().all(|count| *count >= 9), "{count:?}");
}

/// Waits for the next millisecond.
fn clock_past(unix_ms: u64) {
    let clock = Clock::system();
    let began = Instant::now();
    while clock.unix_ms() <= unix_ms {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
}
