//! The files of a node's cgroups, in the shape of v2 with the systemd driver.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Pod;
use super::cgroup::Cgroup;

/// The kubelet's parent of all of these pods, and the parents above.
const PARENTS: [&str; 2] = ["kubepods.slice", "kubepods.slice/kubepods-burstable.slice"];

const PRESSURE: &str = "some avg10=0.00 avg60=0.18 avg300=0.70 total=3837666\n\
                        full avg10=0.00 avg60=0.14 avg300=0.55 total=2997797\n";

/// What does not change while a cgroup is there.
const STEADY: [(&str, &str); 11] = [
    (
        "memory.stat",
        "anon 114688\nfile 6598656\nkernel 442368\nfile_mapped 4096\ninactive_file 598656\nactive_file 0\npgfault 5164\npgmajfault 3\n",
    ),
    ("memory.max", "67108864\n"),
    ("memory.swap.current", "0\n"),
    ("memory.swap.max", "0\n"),
    (
        "memory.events",
        "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\nsock_throttled 0\n",
    ),
    (
        "io.stat",
        "254:0 rbytes=4096 wbytes=314572800 rios=1 wios=98 dbytes=0 dios=0\n",
    ),
    ("pids.current", "2\n"),
    ("cgroup.procs", "1772\n3865\n"),
    ("cpu.pressure", PRESSURE),
    ("memory.pressure", PRESSURE),
    ("io.pressure", PRESSURE),
];

fn of_pod(uid: &str) -> PathBuf {
    let [_, parent] = PARENTS;
    let uid = uid.replace('-', "_");
    Path::new(parent).join(format!("kubepods-burstable-pod{uid}.slice"))
}

/// The path of a pod's cgroup, or of one of those below it.
pub(super) fn path(pod: &Pod, below: Option<&Cgroup>) -> PathBuf {
    let mut path = of_pod(&pod.uid);
    if let Some(below) = below {
        path.push(format!("cri-containerd-{}.scope", below.id));
    }
    path
}

/// Shows those pods that are there, and takes away those that were shown and are gone: their CPU files
/// give nothing then to whoever has them open.
pub(super) fn show(
    root: &Path,
    pods: &[&Pod],
    shown: &mut BTreeSet<String>,
    unix_ms: u64,
) -> Result<()> {
    let there: BTreeSet<String> = pods.iter().map(|pod| pod.uid.clone()).collect();
    let gone: Vec<String> = shown.difference(&there).cloned().collect();
    for uid in gone {
        take_away(&root.join(of_pod(&uid)))?;
    }
    let mut all = [0, 0];
    for pod in pods {
        let mut of_pod = [0, 0];
        // The containers come after their pod, also in the tree.
        fs::create_dir_all(root.join(path(pod, None)))?;
        for cgroup in pod.cgroups(unix_ms) {
            let used = [cgroup.cpu_micros(unix_ms), cgroup.memory_bytes(unix_ms)];
            of_pod = [of_pod[0] + used[0], of_pod[1] + used[1]];
            write(&root.join(path(pod, Some(cgroup))), used)?;
        }
        write(&root.join(path(pod, None)), of_pod)?;
        all = [all[0] + of_pod[0], all[1] + of_pod[1]];
    }
    for parent in PARENTS {
        write(&root.join(parent), all)?;
    }
    fs::write(root.join("cpu.stat"), cpu_stat(all[0]))?;
    fs::write(
        root.join("cgroup.controllers"),
        "cpuset cpu io memory pids\n",
    )?;
    *shown = there;
    Ok(())
}

fn write(directory: &Path, [cpu_micros, memory_bytes]: [u64; 2]) -> Result<()> {
    if !directory.join("memory.stat").exists() {
        fs::create_dir_all(directory)?;
        for (name, text) in STEADY {
            fs::write(directory.join(name), text)?;
        }
    }
    fs::write(directory.join("cpu.stat"), cpu_stat(cpu_micros))?;
    fs::write(
        directory.join("memory.current"),
        format!("{memory_bytes}\n"),
    )?;
    Ok(())
}

fn cpu_stat(micros: u64) -> String {
    format!(
        "usage_usec {micros}\nuser_usec {micros}\nsystem_usec 0\nnice_usec 0\nnr_periods 1208\n\
         nr_throttled 779\nthrottled_usec 36588702\nnr_bursts 0\nburst_usec 0\n"
    )
}

fn take_away(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            fs::write(path.join("cpu.stat"), "")?;
        }
    }
    fs::write(directory.join("cpu.stat"), "")?;
    fs::remove_dir_all(directory)?;
    Ok(())
}
