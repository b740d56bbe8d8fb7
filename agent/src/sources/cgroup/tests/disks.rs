//! Block devices of cgroups, and what they are called.

use std::fs;

use cairn_proto::catalogue::table;

use super::Reader;
use super::fake::{Fake, UID, V1_CGROUPFS};

#[test]
fn on_v1_a_disk_with_bfq_does_not_hide_those_without() {
    let fake = Fake::new(V1_CGROUPFS);
    let pod = fake.pod("", UID);
    let directory = fake.root().join("blkio").join(&pod);
    for (file, text) in [
        (
            "blkio.bfq.io_service_bytes_recursive",
            "8:0 Read 100\n8:0 Write 101\nTotal 201\n",
        ),
        (
            "blkio.bfq.io_serviced_recursive",
            "8:0 Read 102\n8:0 Write 103\nTotal 205\n",
        ),
        // The throttle tells of both, and of BFQ's disk less.
        (
            "blkio.throttle.io_service_bytes_recursive",
            "8:0 Read 1\n254:0 Read 25\n254:0 Write 26\nTotal 52\n",
        ),
    ] {
        fs::write(directory.join(file), text).unwrap();
    }
    let mut reader = Reader::new(&fake);
    let devices = &reader.read().pods[0].own.devices;
    let told: Vec<_> = devices
        .iter()
        .map(|disk| {
            let of = |field| disk.figures.value(field);
            (&*disk.name, of(table::IO_READ_BYTES), of(table::IO_WRITES))
        })
        .collect();
    assert_eq!(
        told,
        [("8:0", Some(100), Some(103)), ("vda", Some(25), Some(28)),]
    );
}
