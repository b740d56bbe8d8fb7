//! File systems of the host (`--host-root`) through the real binaries, and all else that /proc has.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cairn_proto::catalogue::{FIELDS, Source};
use rustix::fs::{major, minor, stat, statvfs};
use serde_json::Value;
use testkit::system::{HostFiles, Options, Recording, System};

/// What the kubelet calls file systems of a node.
const OF_KUBELET: [&str; 3] = ["/", "imagefs", "containerfs"];

/// A directory that stands for /proc: the host's recorded figures, and this list of mounts.
fn show_proc(dir: &Path, mountinfo: &str) {
    let files = HostFiles::recorded().unwrap();
    files.show(0, dir).unwrap();
    fs::create_dir(dir.join("1")).unwrap();
    fs::write(dir.join("1/mountinfo"), mountinfo).unwrap();
}

fn start(proc_root: &Path, host_root: &Path) -> System {
    // Beside the kubelet of the same recording, whose disk has a size that no other has.
    let mut options = Options::replaying(Recording::named("cgroup-v2").unwrap());
    let text = |path: &Path| path.display().to_string();
    options.extra_agent_args = vec![
        "--proc-root".to_owned(),
        text(proc_root),
        "--host-root".to_owned(),
        text(host_root),
        "--per-cpu".to_owned(),
    ];
    System::start(options).unwrap()
}

/// The newest values of the node's own file systems, by name and metric.
fn file_systems(system: &System) -> BTreeMap<String, BTreeMap<String, u64>> {
    let answer = system.json("/api/cairn/v1/values?node=node3").unwrap();
    let entities = answer["entities"].as_array().unwrap().iter();
    let own = entities.filter(|entity| {
        entity["kind"] == "filesystem" && entity["pod"] == "" && entity["container"] == ""
    });
    own.map(|entity| {
        let metrics = entity["metrics"].as_object().unwrap().iter();
        let newest = |row: &Value| row["values"].as_array().unwrap().last()?.as_u64();
        let values = metrics.filter_map(|(name, row)| Some((name.clone(), newest(row)?)));
        (
            entity["name"].as_str().unwrap().to_owned(),
            values.collect(),
        )
    })
    .collect()
}

/// Ticks until the node has a file system of this name: its thread may be slow to get its turn.
fn until_there(system: &System, name: &str) -> BTreeMap<String, BTreeMap<String, u64>> {
    for tick in system.options.recording.ticks() {
        system.tick(tick).unwrap();
        let found = file_systems(system);
        if found.contains_key(name) {
            return found;
        }
    }
    panic!(
        "{name} never came: {:?}\n{}",
        file_systems(system),
        system.stderr()
    );
}

/// What moves, moves in between; what a file system has in all does not.
fn is_of(values: &BTreeMap<String, u64>, path: &Path) {
    let said = statvfs(path).unwrap();
    let capacity = said.f_blocks * said.f_frsize;
    assert_eq!(values["filesystem_capacity_bytes"], capacity);
    let (used, available) = (
        values["filesystem_usage_bytes"],
        values["filesystem_available_bytes"],
    );
    assert!(
        used + available <= capacity,
        "{used} {available} {capacity}"
    );
    let inodes = (said.f_files > 0).then_some(said.f_files);
    assert_eq!(values.get("filesystem_inodes").copied(), inodes);
    if inodes.is_some() {
        let sum = values["filesystem_inodes_used"] + values["filesystem_inodes_free"];
        assert_eq!(Some(sum), inodes);
    }
}

/// Scenario: an agent with a made-up list of mounts over a directory of this machine: one file system
/// in two places, layers of a container, memory, a volume of a pod, and one that is not there.
/// Guarantees: the file system is there once, in both APIs, with what the system says of it, beside
/// the kubelet's own; of the others none is; what is not there is counted and `/readyz?verbose` says
/// what to do.
#[test]
fn file_systems_below_the_host_root_are_parts_of_the_node() {
    let (proc_root, host_root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [
        "data/again",
        "merged",
        "run",
        "pods/kubernetes.io~nfs/v",
        "other",
    ] {
        fs::create_dir_all(host_root.path().join(dir)).unwrap();
    }
    let number = stat(host_root.path()).unwrap().st_dev;
    let (major, minor) = (major(number), minor(number));
    let mountinfo = format!(
        "21 1 0:5 / /run rw - tmpfs tmpfs rw\n\
         22 1 {major}:{minor} /sub /data/again rw - ext4 /dev/disk rw\n\
         23 1 {major}:{minor} / /data rw - ext4 /dev/disk rw\n\
         24 1 0:6 / /merged rw - overlay overlay rw\n\
         25 1 0:7 / /pods/kubernetes.io~nfs/v rw - nfs4 files:/v rw\n\
         26 1 {major}:{} / /other rw - ext4 /dev/other rw\n",
        minor + 1
    );
    show_proc(proc_root.path(), &mountinfo);
    let system = start(proc_root.path(), host_root.path());
    let found = until_there(&system, "/data");
    is_of(&found["/data"], host_root.path());
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert!(names.contains(&"/"), "{names:?}");
    let more = names.iter().filter(|name| !OF_KUBELET.contains(name));
    assert!(more.eq(&["/data"]), "{names:?}");

    let path = "/api/v1/model/nodes/node3/metrics/filesystem/limit?labels=resource_id:/data";
    let heapster = system.json(path).unwrap();
    let newest = heapster["metrics"].as_array().unwrap().last().unwrap();
    let capacity = found["/data"]["filesystem_capacity_bytes"];
    assert_eq!(newest["value"].as_u64(), Some(capacity), "{heapster}");

    let agent = system.nodes[0].agent.as_ref().unwrap();
    let passed_over = "cairn_agent_file_systems_passed_over_total";
    let failed = System::metric(agent, passed_over, "kind=\"failed\"").unwrap();
    assert!(failed >= 1.0, "{failed}");
    let ready = agent.get("admin", "/readyz?verbose").unwrap().text();
    let other = host_root.path().join("other").display().to_string();
    for part in ["file systems: ", &other, "HostToContainer"] {
        assert!(ready.contains(part), "{part} is not in: {ready}");
    }
}

/// Scenario: an agent at this machine's own mounts and root directory, beside a kubelet whose `/` is
/// another disk.
/// Guarantees: each file system has what the system says of it at that path; the machine's root is
/// there as `rootfs`, and the kubelet's `/` is the kubelet's.
#[test]
fn the_machines_own_file_systems_are_read() {
    let proc_root = tempfile::tempdir().unwrap();
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
    show_proc(proc_root.path(), &mountinfo);
    let system = start(proc_root.path(), Path::new("/"));
    let found = until_there(&system, "rootfs");
    let own = found
        .iter()
        .filter(|(name, _)| !OF_KUBELET.contains(&name.as_str()));
    for (name, values) in own {
        let path = if name == "rootfs" { "/" } else { name };
        is_of(values, Path::new(path));
    }
    let root = statvfs("/").unwrap();
    let kubelets = found["/"]["filesystem_capacity_bytes"];
    assert_ne!(kubelets, root.f_blocks * root.f_frsize);
}

/// Scenario: an agent at the recorded /proc of a node, with a root directory, that is to tell each
/// processor.
/// Guarantees: of every field that the catalogue says is measured from /proc there is a value; the
/// processors are those of the recording, and their idle time together is the host's.
#[test]
fn every_field_that_is_measured_from_proc_has_a_value() {
    let (proc_root, host_root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let number = stat(host_root.path()).unwrap().st_dev;
    let (major, minor) = (major(number), minor(number));
    fs::create_dir(host_root.path().join("data")).unwrap();
    let mountinfo = format!("23 1 {major}:{minor} / /data rw - ext4 /dev/disk rw\n");
    show_proc(proc_root.path(), &mountinfo);
    let system = start(proc_root.path(), host_root.path());
    until_there(&system, "/data");
    let answer = system.json("/api/cairn/v1/values?node=node3").unwrap();
    let entities = answer["entities"].as_array().unwrap().iter();
    let idle = |kind: &str, metric: &str| -> Vec<u64> {
        let of_kind = entities.clone().filter(|entity| entity["kind"] == kind);
        let newest = |entity: &Value| {
            entity["metrics"][metric]["values"]
                .as_array()?
                .last()?
                .as_u64()
        };
        of_kind.filter_map(newest).collect()
    };
    // The kernel adds up its processors.
    let processors = idle("processor", "processor_idle_nanos");
    let stat = fs::read_to_string(proc_root.path().join("stat")).unwrap();
    let is_one = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
    assert_eq!(processors.len(), stat.lines().filter(is_one).count());
    assert!(!processors.is_empty());
    assert_eq!(
        idle("node", "host_cpu_idle_nanos"),
        [processors.iter().sum::<u64>()]
    );
    let there: BTreeSet<String> = entities
        .flat_map(|entity| entity["metrics"].as_object().unwrap().keys().cloned())
        .collect();
    let by_proc = FIELDS
        .iter()
        .filter(|field| field.sources.contains(&Source::Procfs));
    let missing: Vec<&str> = by_proc
        .map(|field| field.name)
        .filter(|name| !there.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
