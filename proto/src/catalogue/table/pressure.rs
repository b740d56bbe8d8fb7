//! Pressure: time that work stood still for want of CPU, memory or disks.
//!
//! `some` is the time in which at least one task waited, `full` the time in which all of them did.
//! Totals are microseconds, as the kernel writes them. The kubelet's API calls its totals
//! nanoseconds, but hands the kernel's microseconds on (kubelet 1.36 with its own, cAdvisor's,
//! statistics).

use super::CGROUPS;
use super::row::{counter, gauge};
use crate::catalogue::{EntityKind, Field, FieldId, Group, Source, Unit};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PressureOf {
    /// A CPU.
    Cpu = 0,
    /// Memory.
    Memory = 1,
    /// A block device.
    Io = 2,
}

impl PressureOf {
    /// Everything that is waited for.
    pub const ALL: [PressureOf; 3] = [PressureOf::Cpu, PressureOf::Memory, PressureOf::Io];

    /// The word for it in names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PressureOf::Cpu => "cpu",
            PressureOf::Memory => "memory",
            PressureOf::Io => "io",
        }
    }
}

const FIRST_TOTAL: u16 = 88;
const FIRST_AVERAGE: u16 = 94;
const FIRST_HOST_TOTAL: u16 = 174;
const FIRST_HOST_AVERAGE: u16 = 180;

/// The total of a cgroup.
#[must_use]
pub const fn pressure_total(of: PressureOf, full: bool) -> FieldId {
    FieldId(FIRST_TOTAL + nth(of, full))
}

/// An average of the node's root cgroup; the `at`th of 10, 60 and 300 s.
#[must_use]
pub const fn pressure_average(of: PressureOf, full: bool, at: usize) -> FieldId {
    FieldId(FIRST_AVERAGE + nth(of, full) * 3 + average(at))
}

/// The host's own total.
#[must_use]
pub const fn host_pressure_total(of: PressureOf, full: bool) -> FieldId {
    FieldId(FIRST_HOST_TOTAL + nth(of, full))
}

/// The host's own average; the `at`th of 10, 60 and 300 s.
#[must_use]
pub const fn host_pressure_average(of: PressureOf, full: bool, at: usize) -> FieldId {
    FieldId(FIRST_HOST_AVERAGE + nth(of, full) * 3 + average(at))
}

const fn nth(of: PressureOf, full: bool) -> u16 {
    of as u16 * 2 + full as u16
}

const fn average(at: usize) -> u16 {
    match at {
        0 => 0,
        1 => 1,
        _ => 2,
    }
}

const NODE: &[EntityKind] = &[EntityKind::Node];

/// The rows of both kinds of pressure, `some` and `full`, of one resource.
macro_rules! totals {
    ($of:literal, $some:expr, $prefix:literal, $prometheus:literal) => {
        [
            counter(
                FieldId($some),
                concat!($prefix, $of, "_pressure_some_micros"),
                Unit::Micros,
                concat!($prometheus, "_pressure_", $of, "_waiting_seconds_total"),
                concat!("time in which a task waited for ", $of),
            ),
            counter(
                FieldId($some + 1),
                concat!($prefix, $of, "_pressure_full_micros"),
                Unit::Micros,
                concat!($prometheus, "_pressure_", $of, "_stalled_seconds_total"),
                concat!("time in which every task waited for ", $of),
            ),
        ]
    };
}

macro_rules! average_row {
    ($of:literal, $id:expr, $share:literal, $over:literal, $prefix:literal, $prometheus:literal) => {
        gauge(
            FieldId($id),
            concat!($prefix, $of, "_pressure_", $share, "_avg", $over),
            Unit::CentiPercent,
            concat!(
                $prometheus,
                "_pressure_",
                $of,
                "_",
                $share,
                "_avg",
                $over,
                "_ratio"
            ),
            concat!(
                "share of the last ",
                $over,
                " s in which tasks waited for ",
                $of
            ),
        )
    };
}

macro_rules! averages {
    ($of:literal, $first:expr, $prefix:literal, $prometheus:literal) => {
        [
            average_row!($of, $first, "some", "10", $prefix, $prometheus),
            average_row!($of, $first + 1, "some", "60", $prefix, $prometheus),
            average_row!($of, $first + 2, "some", "300", $prefix, $prometheus),
            average_row!($of, $first + 3, "full", "10", $prefix, $prometheus),
            average_row!($of, $first + 4, "full", "60", $prefix, $prometheus),
            average_row!($of, $first + 5, "full", "300", $prefix, $prometheus),
        ]
    };
}

const fn joined<const M: usize, const N: usize>(
    parts: [[Field; M]; 3],
    entities: &'static [EntityKind],
    group: Group,
    sources: &'static [Source],
) -> [Field; N] {
    let mut all = [parts[0][0]; N];
    let mut at = 0;
    while at < N {
        all[at] = parts[at / M][at % M].of(entities, group, sources);
        at += 1;
    }
    all
}

pub(super) const PRESSURE_TOTAL_ROWS: &[Field] = &joined::<2, 6>(
    [
        totals!("cpu", FIRST_TOTAL, "", "container"),
        totals!("memory", FIRST_TOTAL + 2, "", "container"),
        totals!("io", FIRST_TOTAL + 4, "", "container"),
    ],
    CGROUPS,
    Group::Memory,
    &[Source::Cgroup, Source::Summary, Source::Cadvisor],
);

pub(super) const PRESSURE_AVERAGE_ROWS: &[Field] = &joined::<6, 18>(
    [
        averages!("cpu", FIRST_AVERAGE, "", "cairn_node"),
        averages!("memory", FIRST_AVERAGE + 6, "", "cairn_node"),
        averages!("io", FIRST_AVERAGE + 12, "", "cairn_node"),
    ],
    NODE,
    Group::Memory,
    &[Source::Summary],
);

pub(super) const HOST_PRESSURE_TOTAL_ROWS: &[Field] = &joined::<2, 6>(
    [
        totals!("cpu", FIRST_HOST_TOTAL, "host_", "node"),
        totals!("memory", FIRST_HOST_TOTAL + 2, "host_", "node"),
        totals!("io", FIRST_HOST_TOTAL + 4, "host_", "node"),
    ],
    NODE,
    Group::Host,
    &[Source::Procfs],
);

pub(super) const HOST_PRESSURE_AVERAGE_ROWS: &[Field] = &joined::<6, 18>(
    [
        averages!("cpu", FIRST_HOST_AVERAGE, "host_", "cairn_host"),
        averages!("memory", FIRST_HOST_AVERAGE + 6, "host_", "cairn_host"),
        averages!("io", FIRST_HOST_AVERAGE + 12, "host_", "cairn_host"),
    ],
    NODE,
    Group::Host,
    &[Source::Procfs],
);
