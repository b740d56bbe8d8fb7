//! File systems of a node and its containers, and volumes of a pod.

use cairn_proto::catalogue::FieldId;
use cairn_proto::catalogue::table::Storage;

use super::load::{PAGE_BYTES, Step};
use super::rng::Rng;

/// What a file system or volume has in use, and in all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Space {
    pub(super) used_bytes: u64,
    pub(super) inodes_used: u64,
    capacity_bytes: u64,
    available_bytes: u64,
    inodes: u64,
    inodes_free: u64,
}

impl Space {
    pub(super) const fn new(capacity_bytes: u64, used_bytes: u64, inodes_used: u64) -> Self {
        let inodes = capacity_bytes / 16_384;
        Self {
            used_bytes,
            inodes_used,
            capacity_bytes,
            available_bytes: capacity_bytes - used_bytes,
            inodes,
            inodes_free: inodes - inodes_used,
        }
    }

    /// Something that lies on this file system: it uses a part, and has the same in all.
    pub(super) fn part(self, used_bytes: u64, inodes_used: u64) -> Self {
        Self {
            used_bytes,
            inodes_used,
            ..self
        }
    }

    /// Lets so many pages be written or given back.
    pub(super) fn walk(&mut self, pages: u64, rng: &mut Rng) {
        let bytes = rng.below(pages) * PAGE_BYTES;
        let (used_bytes, inodes_used) = if rng.one_in(2) && bytes < self.available_bytes {
            (self.used_bytes + bytes, self.inodes_used + rng.below(2))
        } else {
            let fewer = self.inodes_used.saturating_sub(rng.below(2));
            (self.used_bytes.saturating_sub(bytes), fewer)
        };
        *self = Self::new(self.capacity_bytes, used_bytes, inodes_used);
    }

    /// The values of the fields that `field` names.
    pub(super) fn values(self, field: fn(Storage) -> FieldId) -> [(FieldId, u64); 6] {
        [
            (field(Storage::Usage), self.used_bytes),
            (field(Storage::Capacity), self.capacity_bytes),
            (field(Storage::Available), self.available_bytes),
            (field(Storage::Inodes), self.inodes),
            (field(Storage::InodesFree), self.inodes_free),
            (field(Storage::InodesUsed), self.inodes_used),
        ]
    }
}

/// What one container has written: used bytes and inodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) rootfs: (u64, u64),
    pub(super) logs: (u64, u64),
}

impl Written {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            rootfs: ((10 + rng.below(2048)) * PAGE_BYTES, 13 + rng.below(40)),
            logs: (rng.below(256) * PAGE_BYTES, 1),
        }
    }

    /// What a busy container writes until the next look: logs always, files sometimes.
    pub(super) fn step(&mut self, rng: &mut Rng) {
        self.logs.0 += rng.below(16) * PAGE_BYTES;
        if rng.one_in(8) {
            self.rootfs.0 += rng.below(64) * PAGE_BYTES;
            self.rootfs.1 += rng.below(2);
        }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.rootfs.0 + self.logs.0
    }
}

/// One volume, which the kubelet looks at every one to two minutes.
#[derive(Clone, Debug)]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) space: Space,
    pub(super) time_ms: u64,
    moves: bool,
}

impl Volume {
    /// The token that every pod has mounted.
    pub(super) fn token(now_ms: u64, rng: &mut Rng) -> Self {
        let name = format!("kube-api-access-{:05x}", rng.below(1 << 20));
        Self {
            labels: vec![("resource_id".to_owned(), format!("Volume:{name}"))],
            name,
            space: Space::new(128 << 20, 12_288, 11),
            time_ms: now_ms.saturating_sub(rng.below(60_000)) / 1000 * 1000,
            moves: false,
        }
    }

    /// A claimed one that is written to.
    pub(super) fn claimed(pod: &str, namespace: &str, now_ms: u64, rng: &mut Rng) -> Self {
        let used_bytes = rng.below(1 << 20) * PAGE_BYTES;
        let labels = [
            ("pvc_name", format!("data-{pod}")),
            ("pvc_namespace", namespace.to_owned()),
            ("resource_id", "Volume:data".to_owned()),
        ];
        Self {
            name: "data".to_owned(),
            labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
            space: Space::new(8 << 30, used_bytes, 1000),
            moves: true,
            ..Self::token(now_ms, rng)
        }
    }

    /// Looks again when it is time.
    pub(super) fn step(&mut self, step: Step, now_ms: u64, rng: &mut Rng) {
        let due_ms = self.time_ms + 60_000 + rng.below(60_000);
        if step.reads_all() || now_ms > due_ms {
            self.time_ms = now_ms / 1000 * 1000;
            if self.moves {
                self.space.walk(256, rng);
            }
        }
    }
}
