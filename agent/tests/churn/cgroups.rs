//! The cgroups of that node as files: containers that restart, debug containers that come and go, and the
//! sandboxes of their pods.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use cairn_agent::sources::Reading;
use cairn_agent::sources::cadvisor::{self, Cadvisor, Ids};
use cairn_agent::sources::cgroup::{Cgroups, Sandboxes, Tree};
use cairn_runtime::clock::Clock;

use crate::load::{INTERVAL_MS, Life, lives};

/// Places whose pods have cgroups; those of the others run in machines of their own. Each of these lives
/// for less than a window.
const PLACES: u64 = 3;

const PARENT: &str = "kubepods/burstable";

/// What a pause container used at its start, microseconds.
const SANDBOX_MICROS: u64 = 17_000;

const STEADY: [(&str, &str); 5] = [
    ("memory.current", "9000000\n"),
    (
        "memory.stat",
        "anon 5000000\nfile 3000000\ninactive_file 1000000\n",
    ),
    ("memory.max", "max\n"),
    ("pids.current", "2\n"),
    (
        "io.stat",
        "254:0 rbytes=25 wbytes=26 rios=27 wios=28 dbytes=0 dios=0\n",
    ),
];

/// Something below a pod.
struct Below {
    /// Empty of a sandbox.
    name: String,
    id: String,
    micros: u64,
}

/// The pods that have cgroups.
fn pods(n: u64) -> impl Iterator<Item = Life> {
    lives(n).filter(|life| life.place < PLACES)
}

/// What is below the cgroup of a pod.
fn below(life: &Life, n: u64) -> Vec<Below> {
    let of = |name: &str, which: u64, micros| Below {
        name: name.to_owned(),
        id: format!(
            "{:016x}{:016x}{:016x}{which:016x}",
            life.place + 1,
            life.number,
            life.restart()
        ),
        micros,
    };
    // No less than what the summary says of them, which was measured before.
    let used = n * 4_096 / 1_000 + 1;
    let sandbox = Below {
        id: format!("{:032x}{:032x}", life.place + 1, life.number),
        ..of("", 0, SANDBOX_MICROS)
    };
    let mut all = vec![sandbox, of("app", 1, used)];
    if let Some(name) = Life::debug(n) {
        all.push(of(&name, n / 4 + 2, used));
    }
    all
}

/// A tree of files, and who reads it.
pub(crate) struct Node {
    dir: tempfile::TempDir,
    tree: Tree,
    shown: BTreeMap<String, u64>,
    room: Arc<Cgroups>,
    sandboxes: Sandboxes,
}

impl Node {
    pub(crate) fn new() -> Self {
        let in_memory = tempfile::tempdir_in("/dev/shm");
        let dir = in_memory.or_else(|_| tempfile::tempdir()).unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        fs::write(dir.path().join("cpu.stat"), cpu_stat(0)).unwrap();
        for path in ["kubepods", PARENT] {
            make(&dir.path().join(path));
        }
        let sandboxes = Sandboxes::default();
        let nowhere = dir.path().join("no-proc");
        let tree = Tree::open(dir.path(), &nowhere, INTERVAL_MS, sandboxes.clone());
        Self {
            tree: tree.unwrap(),
            dir,
            shown: BTreeMap::new(),
            room: Arc::default(),
            sandboxes,
        }
    }

    /// Says which are sandboxes.
    pub(crate) fn tell(&self, sandboxes: HashSet<Box<str>>) {
        self.sandboxes.set(sandboxes);
    }

    /// Reads the cgroups of a tick.
    pub(crate) fn read(&mut self, n: u64, tick: u64) -> Reading<Cgroups> {
        self.show(n);
        // Whoever had the last reading has let it go.
        let room = Arc::get_mut(&mut self.room).unwrap();
        let line = Clock::driven(tick).line();
        self.tree.read(tick, &line, room).unwrap();
        assert_eq!((room.dropped_count, room.shut_out_count), (0, 0));
        // One that takes another's place at the same tick is seen at the next.
        assert!(room.pods.len() <= pods(n).count(), "tick {n}");
        Reading {
            values: Arc::clone(&self.room),
            taken_ms: tick,
        }
    }

    fn show(&mut self, n: u64) {
        let mut there = BTreeMap::new();
        for life in pods(n) {
            let pod = format!("{PARENT}/pod{}", life.uid());
            let mut sum = 0;
            for below in below(&life, n) {
                sum += below.micros;
                there.insert(format!("{pod}/{}", below.id), below.micros);
            }
            there.insert(pod, sum);
        }
        // Those below a pod before the pod itself.
        for path in self.shown.keys().rev() {
            if !there.contains_key(path) {
                let directory = self.dir.path().join(path);
                // A kernel's files give nothing when their cgroup is gone.
                fs::write(directory.join("cpu.stat"), "").unwrap();
                fs::remove_dir_all(directory).unwrap();
            }
        }
        for (path, micros) in &there {
            let before = self.shown.get(path);
            let directory = self.dir.path().join(path);
            if before.is_none() {
                make(&directory);
            }
            if before != Some(micros) {
                fs::write(directory.join("cpu.stat"), cpu_stat(*micros)).unwrap();
            }
        }
        self.shown = there;
    }
}

fn make(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    for (name, text) in STEADY {
        fs::write(directory.join(name), text).unwrap();
    }
    fs::write(directory.join("cpu.stat"), cpu_stat(0)).unwrap();
}

fn cpu_stat(micros: u64) -> String {
    format!("usage_usec {micros}\nnr_periods 15\nnr_throttled 16\nthrottled_usec 17\n")
}

/// What cAdvisor says of them.
pub(crate) fn cadvisor(n: u64, tick: u64) -> Cadvisor {
    let mut text = String::from("container_scrape_error 0\n");
    for life in pods(n) {
        let (namespace, pod) = (life.namespace(n), life.name());
        for Below { name, id, micros } in below(&life, n) {
            let path = format!("/{PARENT}/pod{}/{id}", life.uid());
            let labels = format!(
                "container=\"{name}\",id=\"{path}\",image=\"web:1\",name=\"{id}\",\
                 namespace=\"{namespace}\",pod=\"{pod}\""
            );
            text += &format!("container_threads{{{labels}}} 2 {tick}\n");
            text += &format!(
                "container_fs_reads_bytes_total{{device=\"/dev/vda\",{labels}}} {micros} {tick}\n"
            );
        }
    }
    cadvisor::parse(text.as_bytes(), Ids::Wanted).unwrap()
}
