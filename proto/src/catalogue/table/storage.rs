//! File systems, volumes and ephemeral storage.
//!
//! Volumes have fields of their own because they are recomputed less often than file systems, and
//! so live longer.

use super::row::gauge;
use crate::catalogue::{EntityKind, Field, FieldId, Group, Source, Unit};

/// What is known of a file system or volume, in order of the fields' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Bytes in use.
    Usage = 0,
    /// Bytes in all.
    Capacity = 1,
    /// Bytes that can still be written.
    Available = 2,
    /// Inodes in all.
    Inodes = 3,
    /// Inodes that are free.
    InodesFree = 4,
    /// Inodes in use.
    InodesUsed = 5,
}

/// A field of a file system.
#[must_use]
pub const fn filesystem(what: Storage) -> FieldId {
    FieldId(FIRST_FILESYSTEM + what as u16)
}

/// A field of a volume.
#[must_use]
pub const fn volume(what: Storage) -> FieldId {
    FieldId(FIRST_VOLUME + what as u16)
}

/// Bytes of file systems that go with a pod.
pub const EPHEMERAL_STORAGE_USAGE: FieldId = FieldId(124);
/// Inodes of file systems that go with a pod.
pub const EPHEMERAL_STORAGE_INODES_USED: FieldId = FieldId(125);

const FIRST_FILESYSTEM: u16 = 112;
const FIRST_VOLUME: u16 = 118;
const SUMMARY: &[Source] = &[Source::Summary];
/// Of a file system that both tell the summary's word counts (`agent/src/sampler/merge/twice.rs`).
const SUMMARY_THEN_PROCFS: &[Source] = &[Source::Summary, Source::Procfs];

/// The six rows of a kind of storage, from their names here and in the exposition.
const fn six(
    first: u16,
    kind: &'static [EntityKind],
    group: Group,
    sources: &'static [Source],
    names: [(&'static str, &'static str); 6],
) -> [Field; 6] {
    let says: [(Unit, &str, Option<&str>); 6] = [
        (Unit::Bytes, "bytes in use", Some("filesystem/usage")),
        (Unit::Bytes, "bytes in all", Some("filesystem/limit")),
        (
            Unit::Bytes,
            "bytes that can still be written",
            Some("filesystem/available"),
        ),
        (Unit::Count, "inodes in all", Some("filesystem/inodes")),
        (
            Unit::Count,
            "inodes that are free",
            Some("filesystem/inodes_free"),
        ),
        (Unit::Count, "inodes in use", None),
    ];
    let none = gauge(FieldId(first), "", Unit::Count, "", "");
    let mut rows = [none; 6];
    let (mut at, mut id) = (0, first);
    while at < rows.len() {
        let ((name, prometheus), (unit, help, heapster)) = (names[at], says[at]);
        rows[at] = Field {
            heapster,
            ..gauge(FieldId(id), name, unit, prometheus, help).of(kind, group, sources)
        };
        at += 1;
        id += 1;
    }
    rows
}

const FILESYSTEMS: [Field; 6] = six(
    FIRST_FILESYSTEM,
    &[EntityKind::Filesystem],
    Group::Filesystem,
    SUMMARY_THEN_PROCFS,
    [
        ("filesystem_usage_bytes", "container_fs_usage_bytes"),
        ("filesystem_capacity_bytes", "container_fs_limit_bytes"),
        ("filesystem_available_bytes", "container_fs_available_bytes"),
        ("filesystem_inodes", "container_fs_inodes_total"),
        ("filesystem_inodes_free", "container_fs_inodes_free"),
        ("filesystem_inodes_used", "container_fs_inodes_used"),
    ],
);

const VOLUMES: [Field; 6] = six(
    FIRST_VOLUME,
    &[EntityKind::Volume],
    Group::Volume,
    SUMMARY,
    [
        ("volume_usage_bytes", "kubelet_volume_stats_used_bytes"),
        (
            "volume_capacity_bytes",
            "kubelet_volume_stats_capacity_bytes",
        ),
        (
            "volume_available_bytes",
            "kubelet_volume_stats_available_bytes",
        ),
        ("volume_inodes", "kubelet_volume_stats_inodes"),
        ("volume_inodes_free", "kubelet_volume_stats_inodes_free"),
        ("volume_inodes_used", "kubelet_volume_stats_inodes_used"),
    ],
);

const EPHEMERAL: [Field; 2] = [
    gauge(
        EPHEMERAL_STORAGE_USAGE,
        "ephemeral_storage_usage_bytes",
        Unit::Bytes,
        "container_ephemeral_storage_usage_bytes",
        "bytes on file systems that go with the pod; of a node, bytes of its root file system",
    )
    .of(
        &[EntityKind::Node, EntityKind::Pod, EntityKind::Container],
        Group::Filesystem,
        SUMMARY,
    )
    .heapster("ephemeral_storage/usage"),
    gauge(
        EPHEMERAL_STORAGE_INODES_USED,
        "ephemeral_storage_inodes_used",
        Unit::Count,
        "container_ephemeral_storage_inodes_used",
        "inodes on file systems that go with the pod",
    )
    .of(&[EntityKind::Pod], Group::Filesystem, SUMMARY),
];

pub(super) const STORAGE_ROWS: &[Field] = &{
    let mut rows = [EPHEMERAL[0]; 14];
    let mut at = 0;
    while at < 6 {
        rows[at] = FILESYSTEMS[at];
        rows[at + 6] = VOLUMES[at];
        at += 1;
    }
    rows[13] = EPHEMERAL[1];
    rows
};
