//! Trees of files in the shapes that kubelets and runtimes make.

mod disks;
mod fake;
mod held;
mod place;
mod replaced;
mod unlisted;

use std::collections::HashSet;

use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FieldId, Group};
use cairn_runtime::clock::Clock;

use self::fake::{Fake, ID, OTHER_ID, OTHER_UID, RUNTIMES, UID, V1_CGROUPFS, V1_SYSTEMD};
use self::fake::{V2_CGROUPFS, V2_SYSTEMD};
use super::*;
use crate::sources::FailureKind;

const START_MS: u64 = 1_795_336_000_000;
const INTERVAL_MS: u64 = 10_000;

/// Reads a tree tick by tick.
struct Reader {
    clock: Clock,
    tree: Tree,
    tick: u64,
    room: Cgroups,
}

impl Reader {
    fn new(fake: &Fake) -> Self {
        Self::with(fake, Sandboxes::default())
    }

    fn with(fake: &Fake, sandboxes: Sandboxes) -> Self {
        let (root, proc_root) = (fake.root(), fake.proc_root());
        Self {
            clock: Clock::driven(START_MS),
            tree: Tree::open(root, &proc_root, INTERVAL_MS, sandboxes).unwrap(),
            tick: START_MS - INTERVAL_MS,
            room: Cgroups::default(),
        }
    }

    fn read(&mut self) -> &Cgroups {
        self.tick += INTERVAL_MS;
        self.clock = Clock::driven(self.tick);
        let line = self.clock.line();
        self.tree.read(self.tick, &line, &mut self.room).unwrap();
        &self.room
    }

    /// Reads at each tick of half a minute, so that the slow values were read too.
    fn read_slow(&mut self) -> &Cgroups {
        for _ in 0..3 {
            self.read();
        }
        &self.room
    }
}

/// Every shape with every runtime.
fn shapes(shapes: [fake::Shape; 2]) -> impl Iterator<Item = (fake::Shape, &'static str)> {
    let with_each = |shape| RUNTIMES.map(|runtime| (shape, runtime));
    shapes.into_iter().flat_map(with_each)
}

fn value(stat: &Stat, field: FieldId) -> Option<u64> {
    stat.figures.value(field)
}

fn ids(cgroups: &Cgroups) -> Vec<(&str, Vec<&str>)> {
    let mut all = Vec::new();
    for pod in &cgroups.pods {
        let containers = pod.containers.iter().map(|container| &*container.id);
        all.push((&*pod.uid, containers.collect()));
    }
    all
}

#[test]
fn v2_tells_cpu_memory_and_details_of_pods_and_containers() {
    for (shape, runtime) in shapes([V2_SYSTEMD, V2_CGROUPFS]) {
        let fake = Fake::new(shape);
        let pod = fake.pod("burstable", UID);
        fake.container(&pod, runtime, ID);
        let mut reader = Reader::new(&fake);
        let read = reader.read();
        assert_eq!(ids(read), [(UID, vec![ID])], "{shape:?}");
        assert_eq!(read.driver, Some(shape.driver));
        let stat = &read.pods[0].containers[0].stat;
        for (field, expected) in [
            (table::CPU, Some(7_000_000)),
            (table::MEMORY_USAGE, Some(9_000_000)),
            (table::MEMORY_WORKING_SET, Some(8_000_000)),
            (table::MEMORY_RSS, Some(5_000_000)),
            (table::MEMORY_AVAILABLE, Some(2_000_000)),
            (table::MEMORY_PAGE_FAULTS, Some(11)),
            (table::MEMORY_MAJOR_PAGE_FAULTS, Some(12)),
            (table::SWAP_USAGE, Some(13)),
            (table::SWAP_AVAILABLE, Some(7)),
            (table::MEMORY_CACHE, Some(3_000_000)),
            (table::MEMORY_MAPPED_FILE, Some(14)),
            (table::CFS_PERIODS, Some(15)),
            (table::CFS_THROTTLED_PERIODS, Some(16)),
            (table::CFS_THROTTLED_TIME, Some(17_000)),
            (table::OOM_EVENTS, Some(18)),
            (table::THREADS, Some(19)),
            (table::pressure_total(PressureOf::Cpu, false), Some(20)),
            (table::pressure_total(PressureOf::Cpu, true), Some(21)),
            (table::pressure_total(PressureOf::Io, false), Some(24)),
        ] {
            assert_eq!(value(stat, field), expected, "{field:?}");
        }
        for group in [Group::Cpu, Group::Memory, Group::Detail] {
            assert_eq!(stat.figures.time_ms(group), Some(START_MS), "{group:?}");
        }
        let [disk, other] = &stat.devices[..] else {
            panic!("{:?}", stat.devices);
        };
        assert_eq!((&*disk.name, &*other.name), ("vda", "8:16"));
        assert_eq!(disk.figures.value(table::IO_WRITE_BYTES), Some(26));
        assert_eq!(disk.figures.value(table::IO_READS), Some(27));
    }
}

#[test]
fn v1_tells_the_same_from_its_own_files() {
    for (shape, runtime) in shapes([V1_CGROUPFS, V1_SYSTEMD]) {
        let fake = Fake::new(shape);
        let pod = fake.pod("", UID);
        fake.container(&pod, runtime, ID);
        let mut reader = Reader::new(&fake);
        let read = reader.read();
        assert_eq!(ids(read), [(UID, vec![ID])]);
        assert!(read.pods[0].own.figures.has(Group::Cpu));
        let stat = &read.pods[0].containers[0].stat;
        for (field, expected) in [
            (table::CPU, Some(7_654_321)),
            (table::MEMORY_USAGE, Some(9_000_000)),
            (table::MEMORY_WORKING_SET, Some(8_000_000)),
            (table::MEMORY_RSS, Some(5_000_000)),
            // Its limit is as large as can be: there is none.
            (table::MEMORY_AVAILABLE, None),
            (table::MEMORY_PAGE_FAULTS, Some(11)),
            (table::MEMORY_MAJOR_PAGE_FAULTS, Some(12)),
            (table::SWAP_USAGE, Some(13)),
            (table::MEMORY_CACHE, Some(3_000_000)),
            (table::MEMORY_MAPPED_FILE, Some(14)),
            (table::CFS_PERIODS, Some(15)),
            (table::CFS_THROTTLED_TIME, Some(17_000)),
            (table::OOM_EVENTS, Some(18)),
            (table::THREADS, Some(19)),
            (table::pressure_total(PressureOf::Cpu, false), None),
        ] {
            assert_eq!(value(stat, field), expected, "{field:?}");
        }
        let disk = &stat.devices[0];
        assert_eq!(disk.name, "vda");
        assert_eq!(disk.figures.value(table::IO_READ_BYTES), Some(25));
        assert_eq!(disk.figures.value(table::IO_WRITES), Some(28));
    }
}

#[test]
fn the_machine_has_cpu_time_and_all_pods_together_have_memory_too() {
    let fake = Fake::new(V2_SYSTEMD);
    let mut reader = Reader::new(&fake);
    let read = reader.read();
    let (node, system) = (read.node.as_ref().unwrap(), read.system.as_ref().unwrap());
    assert_eq!(node.figures.values(), [(table::CPU, 7_000_000)]);
    assert_eq!(value(system, table::MEMORY_WORKING_SET), Some(8_000_000));
    assert!(!system.figures.has(Group::Detail) && system.devices.is_empty());
}

#[test]
fn a_working_set_is_never_below_nothing() {
    let fake = Fake::new(V2_SYSTEMD);
    let pod = fake.pod("burstable", UID);
    fake.write(&pod, "memory.current", "1000\n");
    let mut reader = Reader::new(&fake);
    let stat = &reader.read().pods[0].own;
    assert_eq!(value(stat, table::MEMORY_WORKING_SET), Some(0));
}

#[test]
fn memory_of_what_stands_still_is_read_at_every_third_tick_and_keeps_its_time() {
    let fake = Fake::new(V2_SYSTEMD);
    let pod = fake.pod("burstable", UID);
    let mut reader = Reader::new(&fake);
    reader.read_slow();
    let mut read_at = HashSet::new();
    for n in 0..9 {
        fake.write(&pod, "memory.current", &format!("{}\n", 20_000_000 + n));
        reader.read();
        let stat = &reader.room.pods[0].own;
        assert_eq!(stat.figures.time_ms(Group::Cpu), Some(reader.tick));
        read_at.insert(stat.figures.time_ms(Group::Memory));
    }
    assert!(read_at.len() <= 4, "{read_at:?}");
    // As soon as it works it is read at every tick.
    for n in 0..3_u64 {
        let cpu = format!("usage_usec {}\n", 8_000 + n);
        fake.write(&pod, "cpu.stat", &cpu);
        reader.read();
        let stat = &reader.room.pods[0].own;
        assert_eq!(stat.figures.time_ms(Group::Memory), Some(reader.tick));
    }
}

#[test]
fn slow_values_are_read_every_half_minute_and_keep_their_time() {
    let fake = Fake::new(V2_SYSTEMD);
    let pod = fake.pod("burstable", UID);
    let mut reader = Reader::new(&fake);
    reader.read_slow();
    let pressure = table::pressure_total(PressureOf::Cpu, false);
    let (mut times, mut pressures) = (Vec::new(), 0);
    for n in 0..6_u64 {
        fake.write(&pod, "cpu.stat", &format!("usage_usec {}\n", 8_000 + n));
        let stat = &reader.read().pods[0].own;
        times.push(stat.figures.time_ms(Group::Detail).unwrap());
        // It stands under the time of the memory that was read with it, or not at all.
        pressures += usize::from(value(stat, pressure).is_some());
    }
    times.dedup();
    assert!(matches!(times.len(), 2 | 3), "{times:?}");
    assert_eq!(pressures, 2);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 30_000));
}

#[test]
fn a_cgroup_that_is_made_anew_is_another_one() {
    let fake = Fake::new(V2_SYSTEMD);
    let pod = fake.pod("burstable", UID);
    let first = fake.container(&pod, "crio", ID);
    let mut reader = Reader::new(&fake);
    assert_eq!(ids(reader.read()), [(UID, vec![ID])]);
    fake.remove(&first);
    fake.container(&pod, "crio", OTHER_ID);
    assert_eq!(ids(reader.read()), [(UID, vec![OTHER_ID])]);
    fake.container(&pod, "crio-conmon", &ID.replace('3', "4"));
    assert_eq!(ids(reader.read()), [(UID, vec![OTHER_ID])]);
    fake.remove(&pod);
    assert_eq!(ids(reader.read()), []);
    let descriptors = (reader.room.descriptor_count, reader.room.shut_out_count);
    assert_eq!(descriptors, (0, 0));
}

#[test]
fn sandboxes_are_not_read_once_they_are_known_and_processes_are_counted_then() {
    let fake = Fake::new(V2_SYSTEMD);
    let pod = fake.pod("burstable", UID);
    let container = fake.container(&pod, "cri-containerd", ID);
    fake.container(&pod, "cri-containerd", OTHER_ID);
    let sandboxes = Sandboxes::default();
    let mut reader = Reader::with(&fake, sandboxes.clone());
    let read = reader.read_slow();
    assert_eq!(read.pods[0].containers.len(), 2);
    assert_eq!(value(&read.pods[0].own, table::PROCESS_COUNT), None);
    let held = read.descriptor_count;
    sandboxes.set(HashSet::from([OTHER_ID.into()]));
    let mut told = Vec::new();
    for _ in 0..3 {
        let read = reader.read();
        assert_eq!(ids(read), [(UID, vec![ID])]);
        assert!(read.descriptor_count < held);
        told.extend(value(&read.pods[0].own, table::PROCESS_COUNT));
    }
    // Three processes are in the container's list.
    assert!(told.contains(&3), "{told:?}");
    // What is told was counted when the memory beside it was measured.
    let mut counts = std::collections::BTreeMap::new();
    told.clear();
    for count in 1..=9 {
        fake.write(&container, "cgroup.procs", &"7\n".repeat(count));
        let own = &reader.read().pods[0].own;
        counts.insert(own.figures.time_ms(Group::Cpu), count as u64);
        let Some(value) = value(own, table::PROCESS_COUNT) else {
            continue;
        };
        let measured = own.figures.time_ms(Group::Memory);
        assert!(measured.is_some());
        // Until it was read again it is the one from before.
        assert!(counts.get(&measured).is_none_or(|count| *count == value));
        told.push(value);
    }
    told.dedup();
    assert!(told.len() >= 3, "{told:?}");
    // Whoever took it for one was wrong.
    sandboxes.set(HashSet::new());
    reader.read();
    assert_eq!(reader.read().pods[0].containers.len(), 2);
}

#[test]
fn what_is_beyond_the_limits_is_left_out_and_counted() {
    let fake = Fake::new(V2_CGROUPFS);
    let pod = fake.pod("burstable", UID);
    let id = |n: usize| format!("{n:064x}");
    for n in 0..70 {
        fake.directory(&format!("{pod}/{}", id(n)));
    }
    for n in 0..1_030 {
        fake.directory(&format!("kubepods/besteffort/pod{n:032x}"));
        fake.write(
            &format!("kubepods/besteffort/pod{n:032x}"),
            "cpu.stat",
            "usage_usec 1\n",
        );
    }
    let mut reader = Reader::new(&fake);
    reader.tree.limit_to(1 << 20);
    let read = reader.read();
    assert_eq!(read.pods.len(), 1_024);
    assert_eq!(read.dropped_count, 70 - 65 + 1_031 - 1_024);
    // The same ones stay.
    let kept = ids(reader.read()).len();
    assert_eq!((kept, reader.room.dropped_count), (1_024, 12));
}

#[test]
fn for_want_of_descriptors_some_are_left_out_and_counted() {
    let fake = Fake::new(V2_SYSTEMD);
    for uid in [UID, OTHER_UID] {
        let pod = fake.pod("burstable", uid);
        fake.container(&pod, "cri-containerd", ID);
    }
    let mut reader = Reader::new(&fake);
    reader.tree.limit_to(12);
    let read = reader.read();
    assert_eq!((read.shut_out_count, read.descriptor_count), (1, 12));
    reader.tree.limit_to(1_000);
    reader.read();
    let read = reader.read();
    assert_eq!((read.shut_out_count, read.descriptor_count), (0, 16));
    assert!(read.pods.iter().all(|pod| pod.containers.len() == 1));
}

#[test]
fn without_a_tree_or_without_pods_it_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let error = look(empty.path()).unwrap_err().to_string();
    assert!(error.contains("mount the node's /sys/fs/cgroup"), "{error}");
    let fake = Fake::new(V2_SYSTEMD);
    fake.remove("kubepods.slice");
    let mut reader = Reader::new(&fake);
    let line = reader.clock.line();
    let failed = reader.tree.read(START_MS, &line, &mut reader.room);
    let failure = failed.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Read);
    assert!(
        failure.reason.contains("check that the kubelet"),
        "{failure:?}"
    );
    // The kubelet starts.
    fake.pods_again();
    fake.pod("burstable", UID);
    assert_eq!(ids(reader.read()), [(UID, vec![])]);
    // And all of it goes again: nobody says that there are no pods.
    fake.remove("kubepods.slice");
    let failed = reader.tree.read(START_MS, &line, &mut reader.room);
    assert_eq!(failed.unwrap_err().kind, FailureKind::Read);
    assert_eq!(ids(&reader.room), [(UID, vec![])]);
}
