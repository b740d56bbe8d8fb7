//! Who comes in the place of another between two ticks, so that there are as many as before.

use super::*;

/// A reader that has read a pod with its container, and their paths.
fn watched(fake: &Fake) -> (Reader, [String; 2]) {
    let pod = fake.pod("burstable", UID);
    let container = fake.container(&pod, "crio", ID);
    let mut reader = Reader::new(fake);
    assert_eq!(ids(reader.read()), [(UID, vec![ID])]);
    (reader, [pod, container])
}

#[test]
fn a_pod_in_the_place_of_another_is_read_at_the_first_tick() {
    for shape in [V2_SYSTEMD, V2_CGROUPFS] {
        let fake = Fake::new(shape);
        let (mut reader, [pod, _]) = watched(&fake);
        fake.remove(&pod);
        let pod = fake.pod("burstable", OTHER_UID);
        fake.container(&pod, "crio", OTHER_ID);
        let read = reader.read();
        assert_eq!(ids(read), [(OTHER_UID, vec![OTHER_ID])], "{shape:?}");
        assert_eq!((read.unlisted_count, read.shut_out_count), (0, 0));
        let stat = &read.pods[0].containers[0].stat;
        assert_eq!(value(stat, table::CPU), Some(7_000_000));
        assert_eq!(stat.figures.time_ms(Group::Cpu), Some(reader.tick));
    }
}

#[test]
fn a_container_in_the_place_of_another_is_read_at_the_first_tick_and_its_processes_count() {
    let fake = Fake::new(V2_SYSTEMD);
    let pod = fake.pod("burstable", UID);
    let sandbox = ID.replace('3', "4");
    fake.container(&pod, "crio", &sandbox);
    let first = fake.container(&pod, "crio", ID);
    let sandboxes = Sandboxes::default();
    sandboxes.set(HashSet::from([sandbox.into()]));
    let mut reader = Reader::with(&fake, sandboxes);
    let mut told = HashSet::new();
    let mut running = first;
    // One of three ticks is the pod's turn to count.
    for id in [ID, OTHER_ID].into_iter().cycle().skip(1).take(7) {
        reader.read();
        fake.remove(&running);
        running = fake.container(&pod, "crio", id);
        let read = reader.read();
        assert_eq!(ids(read), [(UID, vec![id])]);
        let stat = &read.pods[0].containers[0].stat;
        assert_eq!(stat.figures.time_ms(Group::Cpu), Some(reader.tick));
        told.extend(value(&reader.room.pods[0].own, table::PROCESS_COUNT));
    }
    assert_eq!(told, HashSet::from([3]));
}

#[test]
fn where_no_more_may_be_open_the_one_that_ended_leaves_its_room() {
    let fake = Fake::new(V2_SYSTEMD);
    let (mut reader, [pod, container]) = watched(&fake);
    reader.tree.limit_to(8);
    fake.remove(&container);
    fake.container(&pod, "crio", OTHER_ID);
    assert_eq!(ids(reader.read()), [(UID, vec![OTHER_ID])]);
    assert_eq!(reader.room.descriptor_count, 8);
    fake.remove(&pod);
    let pod = fake.pod("burstable", OTHER_UID);
    fake.container(&pod, "crio", ID);
    let read = reader.read();
    assert_eq!(ids(read), [(OTHER_UID, vec![ID])]);
    assert_eq!((read.descriptor_count, read.shut_out_count), (8, 0));
}

#[test]
fn one_that_can_never_be_read_is_looked_for_once_a_tick() {
    let fake = Fake::new(V2_SYSTEMD);
    let (mut reader, [pod, _]) = watched(&fake);
    let blank = fake.pod("burstable", OTHER_UID);
    fake.write(&blank, "cpu.stat", "");
    for _ in 0..3 {
        assert_eq!(ids(reader.read()), [(UID, vec![ID])]);
    }
    fake.remove(&pod);
    assert_eq!(ids(reader.read()), []);
    fake.write(&blank, "cpu.stat", "usage_usec 1\n");
    assert_eq!(ids(reader.read()), [(OTHER_UID, vec![])]);
}
