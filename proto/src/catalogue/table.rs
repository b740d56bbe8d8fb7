//! The rows, by what they are about.
//!
//! Each file below holds the rows of one area and the numbers by which sources and APIs name them.
//! Numbers are never used again.

mod cgroup;
mod cluster;
mod detail;
mod device;
mod host;
mod network;
mod pressure;
mod processor;
mod row;
mod storage;

pub use cgroup::*;
pub use cluster::*;
pub use detail::*;
pub use device::*;
pub use host::*;
pub use network::*;
pub use pressure::*;
pub use processor::*;
pub use storage::*;

use super::{Field, FieldId};

/// The rows of each area with what they are about, in order of their numbers.
pub(super) const AREAS: [(&str, &[Field]); 15] = [
    (CGROUPS_TITLE, FIRST_CGROUP_ROWS),
    ("Network", NETWORK_ROWS),
    (HOST_TITLE, FIRST_HOST_ROWS),
    (CGROUPS_TITLE, CGROUP_ROWS),
    (PRESSURE_TITLE, PRESSURE_TOTAL_ROWS),
    (PRESSURE_TITLE, PRESSURE_AVERAGE_ROWS),
    ("File systems and volumes", STORAGE_ROWS),
    ("Accelerators", ACCELERATOR_ROWS),
    (HOST_TITLE, HOST_ROWS),
    (HOST_TITLE, HOST_PRESSURE_TOTAL_ROWS),
    (HOST_TITLE, HOST_PRESSURE_AVERAGE_ROWS),
    ("Disks and interfaces of the host", DEVICE_ROWS),
    (
        "Throttling, block I/O and other details of cgroups",
        DETAIL_ROWS,
    ),
    ("Processors of the host", PROCESSOR_ROWS),
    ("What the Kubernetes API says", CLUSTER_ROWS),
];

const CGROUPS_TITLE: &str = "CPU, memory and processes";
const PRESSURE_TITLE: &str = "Pressure";
const HOST_TITLE: &str = "The host as a whole";

const COUNT: usize = {
    let (mut count, mut area) = (0, 0);
    while area < AREAS.len() {
        count += AREAS[area].1.len();
        area += 1;
    }
    count
};

static ALL: [Field; COUNT] = {
    let mut all = [CPU_ROW; COUNT];
    let (mut next, mut area) = (0, 0);
    while area < AREAS.len() {
        let mut row = 0;
        while row < AREAS[area].1.len() {
            all[next] = AREAS[area].1[row];
            next += 1;
            row += 1;
        }
        area += 1;
    }
    all
};

/// Every metric, sorted by number.
pub static FIELDS: &[Field] = &ALL;

/// The row with this number; `None` for one that this version does not know.
#[must_use]
pub fn field(id: FieldId) -> Option<&'static Field> {
    FIELDS
        .binary_search_by_key(&id, |f| f.id)
        .ok()
        .and_then(|i| FIELDS.get(i))
}

/// The row with this name in Cairn's own APIs.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{EntityKind, FIRST_FIELD, Group, HeapsterMetric, Origin};

    #[test]
    fn numbers_are_sorted_unique_and_above_the_stamps() {
        assert!(FIELDS.is_sorted_by(|a, b| a.id < b.id));
        assert!(FIELDS.iter().all(|f| f.id.0 >= FIRST_FIELD));
        assert!(Group::ALL.len() * 4 <= usize::from(FIRST_FIELD));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<(bool, &str)> = FIELDS
            .iter()
            .flat_map(|f| {
                let plain = [f.heapster, f.heapster_rate.map(|r| r.0)];
                let plain = plain.into_iter().flatten().filter(|_| !f.is_labeled());
                plain.chain([f.name]).map(|name| (false, name))
            })
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_labeled_name_means_one_field_of_a_kind() {
        for kind in EntityKind::ALL.into_iter().filter(|k| k.is_labeled()) {
            let mut names: Vec<&str> = FIELDS
                .iter()
                .filter(|f| f.entities.contains(&kind))
                .filter_map(|f| f.heapster)
                .collect();
            names.sort_unstable();
            assert!(!names.is_empty() && names.is_sorted_by(|a, b| a < b));
        }
        for kind in [EntityKind::Filesystem, EntityKind::Volume] {
            assert!(HeapsterMetric::find_labeled("filesystem/usage", kind).is_some());
        }
        assert!(HeapsterMetric::find("filesystem/usage").is_none());
    }

    #[test]
    fn names_of_the_oldest_clients_are_understood() {
        for (old, new) in [
            ("cpu-usage", CPU),
            ("cpu-limit", CPU_LIMIT),
            ("memory-limit", MEMORY_LIMIT),
            ("memory-usage", MEMORY_USAGE),
            ("memory-working", MEMORY_WORKING_SET),
        ] {
            let found = HeapsterMetric::find(old).and_then(|m| m.field());
            assert_eq!(found.map(|field| field.id), Some(new));
        }
        assert!(HeapsterMetric::find("no/such").is_none());
    }

    #[test]
    fn what_has_a_source_is_measured_and_nothing_else() {
        for field in FIELDS {
            let is_measured = field.origin == Origin::Measured;
            assert_eq!(is_measured, !field.sources.is_empty(), "{}", field.name);
        }
        let utilization = field(CPU_UTILIZATION).unwrap();
        assert_eq!(utilization.read_as().id, CPU);
        let request = field(CPU_REQUEST).unwrap();
        assert_eq!(request.read_as().id, CPU_REQUEST);
    }

    #[test]
    fn families_are_numbered_as_they_are_found() {
        use PressureOf::{Cpu, Io, Memory};
        for of in [Cpu, Memory, Io] {
            for (full, word) in [(false, "some"), (true, "full")] {
                let name = |id| field(id).map(|field| field.name);
                let of_name = of.as_str();
                assert_eq!(
                    name(pressure_total(of, full)),
                    Some(&*format!("{of_name}_pressure_{word}_micros"))
                );
                assert_eq!(
                    name(host_pressure_total(of, full)),
                    Some(&*format!("host_{of_name}_pressure_{word}_micros"))
                );
                for (nth, over) in [10, 60, 300].into_iter().enumerate() {
                    assert_eq!(
                        name(pressure_average(of, full, nth)),
                        Some(&*format!("{of_name}_pressure_{word}_avg{over}"))
                    );
                    assert_eq!(
                        name(host_pressure_average(of, full, nth)),
                        Some(&*format!("host_{of_name}_pressure_{word}_avg{over}"))
                    );
                }
            }
        }
    }
}
