//! Directories that cannot be listed for a while.

use super::super::*;
use super::fake::{Fake, ID, OTHER_ID, OTHER_UID, UID, V2_SYSTEMD};
use super::{Reader, ids};

/// Puts a file in a directory's place, which cannot be listed; what is held open stays.
fn hide(fake: &Fake, path: &str) {
    let at = fake.root().join(path);
    std::fs::rename(&at, at.with_extension("hidden")).unwrap();
    std::fs::write(&at, "").unwrap();
}

fn show(fake: &Fake, path: &str) {
    let at = fake.root().join(path);
    std::fs::remove_file(&at).unwrap();
    std::fs::rename(at.with_extension("hidden"), &at).unwrap();
}

#[test]
fn a_class_that_cannot_be_listed_keeps_its_pods_and_is_listed_at_the_next_tick() {
    let fake = Fake::new(V2_SYSTEMD);
    let pod = fake.pod("burstable", UID);
    fake.container(&pod, "crio", ID);
    let class = "kubepods.slice/kubepods-burstable.slice";
    let mut reader = Reader::new(&fake);
    assert_eq!(ids(reader.read()), [(UID, vec![ID])]);
    // Another one has come, so that it is listed.
    fake.pod("burstable", OTHER_UID);
    hide(&fake, class);
    for _ in 0..2 {
        let read = reader.read();
        assert_eq!(ids(read), [(UID, vec![ID])]);
        assert_eq!(read.unlisted_count, 1);
    }
    show(&fake, class);
    let read: &Cgroups = reader.read();
    assert_eq!((read.pods.len(), read.unlisted_count), (2, 0));
}

#[test]
fn a_pod_that_cannot_be_listed_keeps_its_containers_and_is_listed_at_the_next_tick() {
    let fake = Fake::new(V2_SYSTEMD);
    let pod = fake.pod("burstable", UID);
    fake.container(&pod, "crio", ID);
    let mut reader = Reader::new(&fake);
    assert_eq!(ids(reader.read()), [(UID, vec![ID])]);
    fake.container(&pod, "crio", OTHER_ID);
    hide(&fake, &pod);
    for _ in 0..2 {
        let read = reader.read();
        assert_eq!(ids(read), [(UID, vec![ID])]);
        assert_eq!(read.unlisted_count, 1);
    }
    show(&fake, &pod);
    let read = reader.read();
    assert_eq!(read.pods[0].containers.len(), 2);
    assert_eq!(read.unlisted_count, 0);
}
