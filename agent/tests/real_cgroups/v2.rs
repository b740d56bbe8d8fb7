//! The one tree, as either driver names it.

use std::collections::HashSet;
use std::process::Command;

use cairn_agent::sources::cgroup::hierarchy::Version;
use cairn_agent::sources::cgroup::{Cgroups, Sandboxes};
use cairn_agent::sources::place::Driver;
use cairn_proto::catalogue::table::{self, PressureOf};

use crate::bed::{Bed, INTERVAL_MS, UID, read, read_half_a_minute};
use crate::claims::{self, assert_cpu, both};
use crate::worker::{Task, Worker};

const OTHER_UID: &str = "7d3f5bbb-8e0e-4a4b-b6dc-0f1f2f8a7d11";
const THIRD_UID: &str = "e14b6d7b-3ad6-4bd5-9f5e-5b7a6d0f6c55";
const OTHER_ID: &str = "7f0e3c1a5b9d8246e1c0a3f5b7d9e2468ace13579bdf02468ace13579bdf0246";

fn uids(cgroups: &Cgroups) -> Vec<&str> {
    cgroups.pods.iter().map(|pod| &*pod.uid).collect()
}

#[test]
fn cpu_memory_and_io_are_what_the_process_says_of_itself() {
    let Some((bed, container)) = Bed::with_controllers(Driver::Systemd) else {
        return;
    };
    claims::all_is_what_the_process_says(&bed, &container);
}

#[test]
fn the_cgroupfs_driver_s_tree_says_the_same() {
    let Some((bed, container)) = Bed::with_controllers(Driver::Cgroupfs) else {
        return;
    };
    claims::all_is_what_the_process_says(&bed, &container);
}

#[test]
fn cpu_is_told_without_any_controller() {
    let tree = Bed::with_container(Version::V2, Driver::Systemd);
    let Some((bed, container)) = tree else { return };
    let mut tree = bed.tree();
    read(&mut tree, 0);
    let mut worker = Worker::start(&container, &[Task::Burn(1_000)]);
    let told = worker.told().unwrap();
    let after = read(&mut tree, INTERVAL_MS);
    assert_cpu(&after, &told, &mut worker);
}

#[test]
fn throttling_and_pressure_are_what_the_process_waited() {
    let Some((bed, container)) = Bed::with_controllers(Driver::Systemd) else {
        return;
    };
    let (waited, read) = claims::throttling_is_what_the_process_waited(&bed, &container);
    for stat in both(&read) {
        let stalled = |full| {
            let field = table::pressure_total(PressureOf::Cpu, full);
            stat.figures.value(field).unwrap() * 1_000
        };
        let [some, full] = [false, true].map(stalled);
        println!("waited {waited:?} ns, pressure {some} ns, all at once {full} ns");
        assert!(waited.contains(&some), "{some} and {waited:?}");
        assert!(full > 0 && full <= some, "{full} of {some}");
    }
}

#[test]
fn a_kill_by_the_memory_limit_is_counted() {
    let Some((bed, container)) = Bed::with_controllers(Driver::Systemd) else {
        return;
    };
    let read = claims::a_kill_by_the_memory_limit_is_counted(&bed, &container);
    // It counts in all that are above, too.
    assert_eq!(both(&read)[0].figures.value(table::OOM_EVENTS), Some(1));
}

#[test]
fn ten_thousand_cgroups_below_a_container_cost_nothing() {
    let Some((bed, container)) = Bed::with_controllers(Driver::Systemd) else {
        return;
    };
    claims::ten_thousand_cgroups_below_cost_nothing(&bed, &container);
}

#[test]
fn what_comes_in_the_place_of_another_begins_anew() {
    let tree = Bed::with_container(Version::V2, Driver::Systemd);
    let Some((bed, container)) = tree else { return };
    claims::what_comes_in_the_place_of_another_begins_anew(&bed, &container);
}

#[test]
fn pods_are_there_from_the_tick_they_come_to_the_tick_they_go() {
    let tree = Bed::with_container(Version::V2, Driver::Systemd);
    let Some((mut bed, _container)) = tree else {
        return;
    };
    let mut tree = bed.tree();
    assert_eq!(uids(&read(&mut tree, 0)), [UID]);
    let other = bed.container("", OTHER_UID, OTHER_ID).unwrap();
    let third = bed.container("besteffort", THIRD_UID, OTHER_ID).unwrap();
    let three = read(&mut tree, INTERVAL_MS);
    assert_eq!(uids(&three), [UID, OTHER_UID, THIRD_UID]);
    assert!(three.pods.iter().all(|pod| pod.containers.len() == 1));
    bed.remove_pod(&other);
    assert_eq!(uids(&read(&mut tree, 2 * INTERVAL_MS)), [UID, THIRD_UID]);
    bed.remove_pod(&third);
    assert_eq!(uids(&read(&mut tree, 3 * INTERVAL_MS)), [UID]);
    bed.container("", OTHER_UID, OTHER_ID).unwrap();
    let back = read(&mut tree, 4 * INTERVAL_MS);
    assert_eq!(uids(&back), [UID, OTHER_UID]);
    let figures = &back.pod(OTHER_UID).unwrap().containers[0].stat.figures;
    assert_eq!(figures.value(table::CPU), Some(0));
}

#[test]
fn a_pod_has_the_processes_of_its_containers_once_its_sandbox_is_known() {
    let Some((mut bed, container)) = Bed::with_controllers(Driver::Systemd) else {
        return;
    };
    bed.container("burstable", UID, OTHER_ID).unwrap();
    let sandboxes = Sandboxes::default();
    let mut tree = bed.tree_with(sandboxes.clone());
    let mut workers = [(); 2].map(|()| Worker::start(&container, &[]));
    for worker in &mut workers {
        worker.told().unwrap();
    }
    let unknown = read_half_a_minute(&mut tree, 0);
    let pod = unknown.pod(UID).unwrap();
    assert_eq!(pod.containers.len(), 2);
    assert_eq!(pod.own.figures.value(table::PROCESS_COUNT), None);
    sandboxes.set(HashSet::from([OTHER_ID.into()]));
    // The pod's memory and its containers' processes meet at the pod's own tick.
    let told = (1..=3).find_map(|n| {
        let read = read(&mut tree, 30_000 + n * INTERVAL_MS);
        let pod = read.pod(UID).unwrap();
        assert_eq!(pod.containers.len(), 1);
        pod.own.figures.value(table::PROCESS_COUNT)
    });
    assert_eq!(told, Some(2));
}

#[test]
fn pressure_is_told_beside_memory() {
    let tree = Bed::with_container(Version::V2, Driver::Systemd);
    let Some((bed, container)) = tree else { return };
    if !container.directories[0].join("cpu.pressure").is_file() {
        crate::bed::lacks("this kernel tells no pressure");
        return;
    }
    let mut tree = bed.tree();
    let read = read(&mut tree, 0);
    let system = read.system.as_ref().unwrap();
    // Without the memory controller there is no memory beside which it could stand.
    let has_memory = container.directories[0].join("memory.current").is_file();
    for of in [PressureOf::Cpu, PressureOf::Memory, PressureOf::Io] {
        let pressure = table::pressure_total(of, false);
        let told = both(&read)[1].figures.value(pressure);
        assert_eq!(told.is_some(), has_memory);
        assert_eq!(system.figures.value(pressure).is_some(), has_memory);
    }
}

#[test]
fn the_check_finds_the_pods_and_containers() {
    for (driver, note) in [
        (Driver::Systemd, "cgroups v2, systemd driver;"),
        (Driver::Cgroupfs, "cgroups v2, cgroupfs driver;"),
    ] {
        let tree = Bed::with_container(Version::V2, driver);
        let Some((mut bed, _container)) = tree else {
            return;
        };
        bed.container("burstable", UID, OTHER_ID).unwrap();
        bed.container("", OTHER_UID, OTHER_ID).unwrap();
        bed.container("besteffort", THIRD_UID, OTHER_ID).unwrap();
        let agent = std::env::var_os("CAIRN_TEST_AGENT");
        let agent = agent.unwrap_or_else(|| env!("CARGO_BIN_EXE_cairn-agent").into());
        let output = Command::new(agent)
            .args(["check", "--node-name", "node1", "--kubelet", "off"])
            .args(["--output", "json", "--cgroup-root"])
            .arg(&bed.root)
            .output()
            .unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let checks = told["checks"].as_array().unwrap();
        let mut cgroup = checks.iter().filter(|check| check["source"] == "cgroup");
        let (cgroup, others) = (cgroup.next().unwrap(), cgroup.count());
        assert_eq!(others, 0);
        assert_eq!(cgroup["ok"], true, "{cgroup}");
        assert_eq!(cgroup["reached"], true, "{cgroup}");
        assert_eq!(
            (&cgroup["pods"], &cgroup["containers"]),
            (&3.into(), &4.into())
        );
        let values = cgroup["values"].as_u64().unwrap();
        // CPU time alone of 3 pods, 4 containers, all pods and the node.
        assert!(values >= 9, "{cgroup}");
        let told = cgroup["notes"][0].as_str().unwrap();
        assert!(told.starts_with(note), "{cgroup}");
    }
}
