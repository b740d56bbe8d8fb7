//! What was recorded of one node at one time: its cgroups, its /proc, and its kubelet's answers.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cairn_agent::sources::cadvisor::{self, Cadvisor, Ids};
use cairn_agent::sources::cgroup::{Cgroups, Sandboxes, Tree};
use cairn_agent::sources::procfs::{self, Host, ProcRoot, Traffic};
use cairn_agent::sources::resource::{self, Resource};
use cairn_agent::sources::summary::{self, Summary};
use cairn_runtime::clock::Clock;

/// How many moments there are.
pub(crate) const MOMENTS: usize = 18;

/// One moment of the recording.
pub(crate) struct Moment {
    /// When reading cgroups and /proc began, and when the kubelet was asked after it had ended.
    pub(crate) began_ms: u64,
    pub(crate) ended_ms: u64,
    pub(crate) cgroups: Cgroups,
    pub(crate) host: Host,
    pub(crate) summary: Summary,
    pub(crate) resource: Resource,
    /// Recorded of one moment.
    pub(crate) cadvisor: Option<Cadvisor>,
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/kubelet-1.36");
    let file = fs::File::open(fixtures.join(name)).unwrap();
    let mut bytes = Vec::new();
    let mut plain = flate2::read::GzDecoder::new(file);
    plain.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The files of an archive by path.
pub(crate) fn files(name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let plain = fixture(name);
    let mut archive = tar::Archive::new(&plain[..]);
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut body = Vec::new();
        entry.read_to_end(&mut body).unwrap();
        files.insert(entry.path().unwrap().into_owned(), body);
    }
    files
}

fn millis(seconds: &[u8]) -> u64 {
    let digits: Vec<u8> = seconds.iter().copied().filter(u8::is_ascii_digit).collect();
    String::from_utf8(digits).unwrap().parse().unwrap()
}

/// Writes the files of such a text.
pub(crate) fn show(text: &str, dir: &Path) {
    for file in text.split("= ").filter(|file| !file.is_empty()) {
        let (path, body) = file.split_once('\n').unwrap();
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body).unwrap();
    }
}

pub(crate) fn memory_dir() -> tempfile::TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).unwrap()
}

/// What the agent reads of the cgroups in such a text, beside such a /proc.
fn read(text: &str, proc_root: &Path, began_ms: u64) -> Cgroups {
    let dir = memory_dir();
    show(text, dir.path());
    let sandboxes = Sandboxes::default();
    let mut tree = Tree::open(dir.path(), proc_root, 10_000, sandboxes).unwrap();
    let mut read = Cgroups::default();
    let clock = Clock::driven(began_ms);
    tree.read(began_ms, &clock.line(), &mut read).unwrap();
    read
}

/// Shows the files of a moment's /proc.
fn show_proc(files: &BTreeMap<PathBuf, Vec<u8>>, n: usize, dir: &Path) {
    let of = PathBuf::from(format!("proc/node3/{n:02}"));
    for (path, body) in files {
        let Ok(below) = path.strip_prefix(&of) else {
            continue;
        };
        if body.is_empty() {
            continue;
        }
        let path = dir.join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body).unwrap();
    }
}

pub(crate) fn moments() -> Vec<Moment> {
    let (cgroups, kubelet) = (files("cgroup-v2-files.tar.gz"), files("cgroup-v2.tar.gz"));
    let text = fixture("cadvisor/cgroup-v2.gz");
    let moment = |n: usize| {
        let cgroup = |name: &str| &cgroups[&PathBuf::from(format!("cgroup/node3/{n:02}/{name}"))];
        let kubelet_file =
            |name: &str| &kubelet[&PathBuf::from(format!("trace/node3/{n:02}/{name}"))];
        let began_ms = millis(cgroup("read_at"));
        let proc_dir = memory_dir();
        show_proc(&kubelet, n, proc_dir.path());
        let root = ProcRoot {
            path: proc_dir.path().to_owned(),
            per_cpu: false,
        };
        let of_cgroups = std::str::from_utf8(cgroup("cgroup.txt")).unwrap();
        Moment {
            began_ms,
            ended_ms: millis(kubelet_file("captured_at")),
            cgroups: read(of_cgroups, proc_dir.path(), began_ms),
            host: procfs::read(&root, began_ms, &mut Traffic::default()).unwrap(),
            summary: summary::parse(kubelet_file("stats_summary")).unwrap(),
            resource: resource::parse(kubelet_file("metrics_resource")).unwrap(),
            cadvisor: (n == 10).then(|| cadvisor::parse(&text, Ids::Wanted).unwrap()),
        }
    };
    (1..=MOMENTS).map(moment).collect()
}
