//! What is held from reading to reading.

use std::fs;
use std::path::Path;

use super::*;

/// Descriptors of this process that are open on something below a directory.
fn open_below(root: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let target = entry.and_then(|entry| fs::read_link(entry.path()));
        count += usize::from(target.is_ok_and(|target| target.starts_with(root)));
    }
    count
}

#[test]
fn a_reading_is_made_in_the_room_of_the_one_before() {
    let fake = Fake::new(V2_SYSTEMD);
    for uid in [UID, OTHER_UID] {
        let pod = fake.pod("burstable", uid);
        fake.container(&pod, "cri-containerd", ID);
    }
    let mut reader = Reader::new(&fake);
    // Every place where values are, and where names of devices are.
    let rooms = |read: &Cgroups| {
        let mut rooms = Vec::new();
        for pod in &read.pods {
            let containers = pod.containers.iter().map(|container| &container.stat);
            for stat in containers.chain([&pod.own]) {
                rooms.push(stat.figures.values().as_ptr() as usize);
                rooms.push(stat.devices.as_ptr() as usize);
                let parts = stat.devices.iter();
                rooms.extend(parts.flat_map(|part| {
                    let values = part.figures.values().as_ptr() as usize;
                    [part.name.as_ptr() as usize, values]
                }));
            }
        }
        rooms
    };
    // The fullest reading, that of a slow tick, is among the first three.
    let first = rooms(reader.read_slow());
    assert!(first.len() > 20);
    for tick in 0..30 {
        assert_eq!(rooms(reader.read()), first, "{tick}");
    }
}

#[test]
fn pods_that_come_and_go_leave_no_descriptor() {
    let fake = Fake::new(V2_SYSTEMD);
    let root = fake.root().canonicalize().unwrap();
    fake.directory("kubepods.slice/kubepods-burstable.slice");
    let mut reader = Reader::new(&fake);
    reader.read();
    let before = open_below(&root);
    for n in 0..200 {
        let uid = format!("{n:032x}");
        let pod = fake.pod("burstable", &uid);
        let container = fake.container(&pod, "cri-containerd", ID);
        assert_eq!(ids(reader.read()), [(&*uid, vec![ID])]);
        assert_eq!(reader.room.descriptor_count, 8);
        // The parent of pods is held while it has any.
        assert_eq!(open_below(&root), before + 8 + 1, "{n}");
        if n % 2 == 0 {
            fake.remove(&container);
            assert_eq!(ids(reader.read()), [(&*uid, vec![])]);
        }
        fake.remove(&pod);
        assert_eq!(ids(reader.read()), []);
    }
    reader.read();
    assert_eq!(
        (reader.room.descriptor_count, open_below(&root)),
        (0, before)
    );
}
