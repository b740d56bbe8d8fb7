//! Whatever containers make below their own cgroups.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::sources::place::Driver;

/// Makes below a container what would be another pod's container, were it elsewhere.
fn masquerade(fake: &Fake, container: &str, shape: fake::Shape) {
    let escaped = OTHER_UID.replace('-', "_");
    let names = match shape.driver {
        Driver::Systemd => [
            format!("kubepods-burstable-pod{escaped}.slice/cri-containerd-{OTHER_ID}.scope"),
            format!("cri-containerd-{OTHER_ID}.scope"),
        ],
        Driver::Cgroupfs => [format!("pod{OTHER_UID}/{OTHER_ID}"), OTHER_ID.to_owned()],
    };
    for name in names {
        let path = format!("{container}/{name}");
        fake.directory(&path);
        fake.write(&path, "cpu.stat", "usage_usec 999999999\n");
    }
}

/// Calls with which this thread has read from files, by the kernel's count.
fn read_calls() -> u64 {
    // One call each time, however long the answer.
    let mut text = [0; 512];
    let mut file = fs::File::open("/proc/thread-self/io").unwrap();
    let length = file.read(&mut text).unwrap();
    let text = std::str::from_utf8(&text[..length]).unwrap();
    let mut lines = text.lines();
    let calls = lines.find_map(|line| line.strip_prefix("syscr: "));
    calls.unwrap().parse().unwrap()
}

/// How many such calls a minute of ticks takes.
fn calls_of_a_minute(reader: &mut Reader) -> u64 {
    let before = read_calls();
    reader.read_slow();
    reader.read_slow();
    read_calls() - before
}

#[test]
fn ten_thousand_cgroups_in_a_container_change_nothing_and_are_not_walked() {
    for shape in [V2_SYSTEMD, V2_CGROUPFS] {
        let fake = Fake::new(shape);
        let victim = fake.pod("burstable", OTHER_UID);
        fake.container(&victim, "cri-containerd", OTHER_ID);
        let pod = fake.pod("burstable", UID);
        let container = fake.container(&pod, "cri-containerd", ID);
        let mut reader = Reader::new(&fake);
        reader.read_slow();
        let before = format!("{:?}", reader.room);
        let calls = calls_of_a_minute(&mut reader);
        // Of six cgroups CPU, and of five memory and more.
        assert!(calls > 6 * 6, "{calls}");
        masquerade(&fake, &container, shape);
        for n in 0..10_000 {
            fake.directory(&format!("{container}/{n}"));
        }
        let walked_at = |path: &str| {
            let directory = fs::metadata(fake.root().join(path)).unwrap();
            (directory.atime(), directory.atime_nsec())
        };
        let unwalked = walked_at(&container);
        assert_eq!(calls_of_a_minute(&mut reader), calls);
        for reader in [&mut reader, &mut Reader::new(&fake)] {
            for _ in 0..7 {
                let read = reader.read();
                assert_eq!(ids(read), [(UID, vec![ID]), (OTHER_UID, vec![OTHER_ID])]);
                for pod in &read.pods {
                    let cpu = value(&pod.containers[0].stat, table::CPU);
                    assert_eq!(cpu, Some(7_000_000));
                }
                assert_eq!((read.dropped_count, read.shut_out_count), (0, 0));
            }
        }
        assert_eq!(walked_at(&container), unwalked);
        // Had it been walked, its time would tell.
        let names = fs::read_dir(fake.root().join(&container)).unwrap();
        assert!(names.count() > 10_000 && walked_at(&container) != unwalked);
        let without_start = |text: &str| text.replace(char::is_numeric, "");
        assert_eq!(
            without_start(&before),
            without_start(&format!("{:?}", reader.room))
        );
    }
}

#[test]
fn what_is_in_another_place_is_no_pod_and_no_container() {
    let fake = Fake::new(V2_CGROUPFS);
    let pod = fake.pod("burstable", UID);
    for path in [
        format!("system.slice/pod{OTHER_UID}"),
        format!("kubepods/guaranteed/pod{OTHER_UID}"),
        format!("kubepods/{OTHER_ID}"),
        format!("kubepods/burstable/{OTHER_ID}"),
        format!("{pod}/pod{OTHER_UID}/{OTHER_ID}"),
        format!("{pod}/crio-conmon-{OTHER_ID}"),
        format!("{pod}/init.scope"),
    ] {
        fake.directory(&path);
        fake.write(&path, "cpu.stat", "usage_usec 1\n");
    }
    let mut reader = Reader::new(&fake);
    assert_eq!(ids(reader.read()), [(UID, vec![])]);
}
