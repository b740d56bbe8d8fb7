//! A process that does what it is told in cgroups, and says what it used.
//!
//! It is this very program, started with one test: so it needs nothing that is not there already, also in
//! a virtual machine that has nothing else.

use std::fs;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::bed::Container;

const THIS: &str = "worker::a_worker_says_what_it_used_and_ends_when_it_is_let_go";
const TASKS: &str = "CAIRN_TEST_WORK";
const BLOCK_BYTES: usize = 1 << 20;
// What a disk wants of the place of what is written past the page cache.
const ALIGN_BYTES: usize = 4_096;

/// Something to do.
pub(crate) enum Task<'a> {
    /// Hold so much memory.
    Hold(u64),
    /// Write so much into this file, past the page cache.
    Write(u64, &'a Path),
    /// Have so many threads more.
    Threads(u64),
    /// Use so much CPU time, ms, from the beginning.
    Burn(u64),
}

/// What a worker says of itself since it entered its cgroups.
#[derive(Debug)]
pub(crate) struct Told {
    /// CPU time of all its threads as the kernel tells it to the process, ns: the sum of getrusage.
    pub(crate) used_nanos: u64,
    /// CPU time that entering took, ns: some of it was used there already.
    pub(crate) entering_nanos: u64,
    /// The time that passed, entering included, ns.
    pub(crate) passed_nanos: u64,
    /// Its threads, those of the harness among them.
    pub(crate) thread_count: u64,
    /// What it wrote past the page cache; less where the file system knows no such thing.
    pub(crate) written: u64,
}

/// A process in a container that ends with this.
pub(crate) struct Worker {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts one.
    pub(crate) fn start(container: &Container, tasks: &[Task<'_>]) -> Self {
        let enter = container.directories.iter();
        let enter = enter.map(|directory| format!("enter {}", directory.display()));
        let tasks = tasks.iter().map(|task| match task {
            Task::Hold(bytes) => format!("hold {bytes}"),
            Task::Write(bytes, path) => format!("write {bytes} {}", path.display()),
            Task::Threads(count) => format!("threads {count}"),
            Task::Burn(ms) => format!("burn {ms}"),
        });
        let tasks: Vec<String> = enter.chain(tasks).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", THIS, "--nocapture", "--quiet"])
            .env(TASKS, tasks.join("\n"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Waits until it has done everything; `None` when it was ended before.
    pub(crate) fn told(&mut self) -> Option<Told> {
        for line in self.out.by_ref().lines() {
            let line = line.unwrap();
            let Some(told) = line.strip_prefix("worked ") else {
                continue;
            };
            let mut numbers = told.split(' ').map(|number| number.parse().unwrap());
            return Some(Told {
                used_nanos: numbers.next().unwrap(),
                entering_nanos: numbers.next().unwrap(),
                passed_nanos: numbers.next().unwrap(),
                thread_count: numbers.next().unwrap(),
                written: numbers.next().unwrap(),
            });
        }
        None
    }

    /// Asks again, for how it is now.
    pub(crate) fn told_again(&mut self) -> Told {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.told().unwrap()
    }

    /// Has it end, and waits for that.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.wait()
    }

    fn wait(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.out.read_to_end(&mut Vec::new()).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.wait();
    }
}

fn used() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

#[test]
fn a_worker_says_what_it_used_and_ends_when_it_is_let_go() {
    if let Some(tasks) = std::env::var_os(TASKS) {
        // This process is a worker.
        return work(&tasks.into_string().unwrap());
    }
    let nowhere = Container {
        directories: Vec::new(),
    };
    let mut worker = Worker::start(&nowhere, &[Task::Threads(2), Task::Burn(50)]);
    let told = worker.told().unwrap();
    assert!(told.used_nanos >= 50_000_000, "{told:?}");
    assert!(told.thread_count >= 3, "{told:?}");
    assert_eq!(told.written, 0);
    assert!(worker.end().success());
}

fn work(tasks: &str) {
    let (began, started) = (Instant::now(), used());
    let mut entered = started;
    let mut held = Vec::new();
    let mut written = 0;
    for task in tasks.lines() {
        let (verb, of) = task.split_once(' ').unwrap();
        match verb {
            "enter" => {
                let id = std::process::id().to_string();
                fs::write(Path::new(of).join("cgroup.procs"), id).unwrap();
                entered = used();
            }
            "hold" => held.push(black_box(vec![1_u8; of.parse().unwrap()])),
            "write" => {
                let (bytes, path) = of.split_once(' ').unwrap();
                written = write_past_the_cache(bytes.parse().unwrap(), Path::new(path));
            }
            "threads" => {
                for _ in 0..of.parse::<u64>().unwrap() {
                    drop(std::thread::spawn(|| {
                        loop {
                            std::thread::park();
                        }
                    }));
                }
            }
            "burn" => {
                let wanted = Duration::from_millis(of.parse().unwrap());
                while used() - entered < wanted {
                    black_box((0..20_000_u64).fold(0, |sum, n| sum ^ black_box(n)));
                }
            }
            _ => panic!("{task}"),
        }
    }
    let mut asked = String::new();
    loop {
        let (passed, used) = (began.elapsed().as_nanos(), (used() - entered).as_nanos());
        let entering = (entered - started).as_nanos();
        let thread_count = fs::read_dir("/proc/self/task").unwrap().count();
        // The harness has begun a line of its own.
        let mut out = std::io::stdout();
        writeln!(
            out,
            "\nworked {used} {entering} {passed} {thread_count} {written}"
        )
        .unwrap();
        if std::io::stdin().read_line(&mut asked).unwrap() == 0 {
            return;
        }
    }
}

fn write_past_the_cache(bytes: u64, path: &Path) -> u64 {
    let direct = OFlags::DIRECT.bits().try_into().unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(direct)
        .open(path);
    let Ok(mut file) = file else { return 0 };
    let room = vec![7_u8; BLOCK_BYTES + ALIGN_BYTES];
    let at = room.as_ptr().align_offset(ALIGN_BYTES);
    let block = &room[at..at + BLOCK_BYTES];
    let mut written = 0;
    while written < bytes && file.write_all(block).is_ok() {
        written += block.len() as u64;
    }
    written
}
