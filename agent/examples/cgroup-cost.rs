//! What reading real cgroups costs: `cgroup-cost VERSION PODS TICKS` makes that many pods of one
//! container each below this machine's cgroups, lets something run in all of them between two ticks,
//! and prints one JSON object of CPU times. Needs the right to make cgroups; ends with 2 where it may not.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use cairn_agent::sources::cgroup::{Cgroups, Sandboxes, Tree};
use cairn_runtime::clock::Clock;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

const MOUNT: &str = "/sys/fs/cgroup";
const V1_CONTROLLERS: [&str; 5] = ["cpuacct", "cpu", "memory", "pids", "blkio"];

/// Apart enough that every cgroup's slow reading is due, ms; and so near that none is.
const ALL_SLOW_MS: u64 = 60_000;
const ALL_FAST_MS: u64 = 1;

/// A tree of its own. What was made is removed at the end.
struct Bed {
    root: PathBuf,
    made: Vec<PathBuf>,
    containers: Vec<PathBuf>,
    tree_count: usize,
    guest: Child,
    dir: PathBuf,
}

impl Bed {
    fn new(version: &str, pods: usize) -> io::Result<Self> {
        let name = format!("cairn-cost-{}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir_all(&dir)?;
        let guest = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut bed = Self {
            root: dir.clone(),
            made: Vec::new(),
            containers: Vec::new(),
            tree_count: 0,
            guest,
            dir,
        };
        let tops: Vec<PathBuf> = if version == "v1" {
            V1_CONTROLLERS
                .map(|of| Path::new(MOUNT).join(of).join(&name))
                .into()
        } else {
            let mounts = ["", "unified"].map(|of| Path::new(MOUNT).join(of));
            let is_v2 = |mount: &PathBuf| mount.join("cgroup.controllers").is_file();
            let mount = mounts.into_iter().find(is_v2);
            mount.map(|mount| mount.join(&name)).into_iter().collect()
        };
        for (top, of) in tops.into_iter().zip(V1_CONTROLLERS) {
            bed.make(&top, pods)?;
            bed.tree_count += 1;
            if version == "v1" {
                symlink(&top, bed.root.join(of))?;
            } else {
                bed.root = top;
            }
        }
        Ok(bed)
    }

    fn make(&mut self, top: &Path, pods: usize) -> io::Result<()> {
        let parent = top.join("kubepods/burstable");
        for directory in [top, &top.join("kubepods"), &parent] {
            fs::create_dir(directory)?;
            self.made.push(directory.to_owned());
        }
        for n in 0..pods {
            let pod = parent.join(format!("pod{n:032x}"));
            let container = pod.join(format!("{n:064x}"));
            for directory in [pod, container.clone()] {
                fs::create_dir(&directory)?;
                self.made.push(directory);
            }
            self.containers.push(container);
        }
        Ok(())
    }

    /// Lets something run in each cgroup for a moment: its CPU time moves.
    fn stir(&mut self) -> io::Result<()> {
        let id = self.guest.id().to_string();
        let feed = self.guest.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        for container in &self.containers {
            fs::write(container.join("cgroup.procs"), &id)?;
            io::Write::write_all(feed, b"x")?;
            std::thread::yield_now();
        }
        Ok(())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        drop(self.guest.stdin.take());
        // It ends with its input.
        self.guest.wait().ok();
        for directory in self.made.iter().rev() {
            let began = Instant::now();
            while fs::remove_dir(directory).is_err() && began.elapsed().as_secs() < 2 {
                std::thread::yield_now();
            }
        }
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// CPU time of this process, microseconds: others may use the machine meanwhile.
fn cpu_micros() -> u64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(spent.tv_sec).unwrap_or_default();
    seconds * 1_000_000 + u64::try_from(spent.tv_nsec / 1_000).unwrap_or_default()
}

/// Microseconds of each of some ticks, in order of size.
fn measure(bed: &mut Bed, tree: &mut Tree, step_ms: u64, ticks: usize) -> io::Result<Vec<u64>> {
    let line = Clock::system().line();
    let mut room = Cgroups::default();
    let mut spent = Vec::new();
    let mut tick = line.unix_ms();
    let pods = bed.containers.len() / bed.tree_count;
    // The first finds what is there.
    for n in 0..=ticks {
        bed.stir()?;
        tick += step_ms;
        let began = cpu_micros();
        let read = tree.read(tick, &line, &mut room);
        let took = cpu_micros() - began;
        read.map_err(|failure| io::Error::other(failure.reason))?;
        if room.pods.len() != pods {
            return Err(io::Error::other("not all pods were found"));
        }
        if n > 0 {
            spent.push(took);
        }
    }
    spent.sort_unstable();
    Ok(spent)
}

fn run(version: &str, pods: usize, ticks: usize) -> io::Result<String> {
    let mut bed = Bed::new(version, pods)?;
    // An interval of a millisecond: a slow reading is due at one of thirty thousand ticks.
    let tree = Tree::open(&bed.root, Path::new("/proc"), 1, Sandboxes::default());
    let mut tree = tree.map_err(io::Error::other)?;
    let fast = measure(&mut bed, &mut tree, ALL_FAST_MS, ticks)?;
    let slow = measure(&mut bed, &mut tree, ALL_SLOW_MS, ticks)?;
    let median = |spent: &[u64]| spent.get(spent.len() / 2).copied().unwrap_or(0);
    let cgroups = (2 * pods as u64).max(1);
    let (fast, slow) = (median(&fast), median(&slow));
    let has_memory = ["memory.current", "memory.usage_in_bytes"]
        .iter()
        .any(|file| bed.containers.iter().any(|path| path.join(file).is_file()));
    // Of every three ticks of 10 s one is slow.
    let tick = fast + slow.saturating_sub(fast) / 3;
    let (fast, slow) = (fast / cgroups, slow.saturating_sub(fast) / cgroups);
    Ok(format!(
        "{{\"cgroups\":{cgroups},\"has_memory\":{has_memory},\"fast_us\":{fast},\"slow_us\":{slow},\
         \"tick_us\":{tick}}}\n"
    ))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let number = |at: usize| args.get(at).and_then(|arg| arg.parse().ok());
    let (Some(version), Some(pods), Some(ticks)) = (args.get(1), number(2), number(3)) else {
        return ExitCode::from(64);
    };
    let (code, text) = match run(version, pods, ticks) {
        Ok(text) => (0, text),
        Err(error) => (2, format!("no cgroups can be made here: {error}\n")),
    };
    // Nobody reads it: nothing to do about that.
    io::Write::write_all(&mut io::stdout(), text.as_bytes()).ok();
    ExitCode::from(code)
}
