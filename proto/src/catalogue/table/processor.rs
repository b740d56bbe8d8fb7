//! The processors of the host, each by itself.
//!
//! Fields of their own: the host's own sums of the same modes are there too, and who adds up one name
//! must not add both.

use super::HOST_CPU_MODE_COUNT;
use super::row::counter;
use crate::catalogue::{EntityKind, Field, FieldId, Group, Source, Unit};

/// The first of the ten modes of a processor, in the order of the host's.
pub const PROCESSOR_MODES: FieldId = FieldId(300);

const fn mode(at: u16, name: &'static str, prometheus: &'static str, help: &'static str) -> Field {
    let id = FieldId(PROCESSOR_MODES.0 + at);
    let entities = &[EntityKind::Processor];
    counter(id, name, Unit::CpuNanos, prometheus, help).of(entities, Group::Host, &[Source::Procfs])
}

pub(super) const PROCESSOR_ROWS: &[Field; HOST_CPU_MODE_COUNT] = &[
    mode(
        0,
        "processor_user_nanos",
        "cairn_processor_seconds_total{mode=\"user\"}",
        "time in user mode, guests included",
    ),
    mode(
        1,
        "processor_nice_nanos",
        "cairn_processor_seconds_total{mode=\"nice\"}",
        "time in user mode at low priority, guests included",
    ),
    mode(
        2,
        "processor_system_nanos",
        "cairn_processor_seconds_total{mode=\"system\"}",
        "time in the kernel",
    ),
    mode(
        3,
        "processor_idle_nanos",
        "cairn_processor_seconds_total{mode=\"idle\"}",
        "time without work",
    ),
    mode(
        4,
        "processor_iowait_nanos",
        "cairn_processor_seconds_total{mode=\"iowait\"}",
        "time without work, while a task waited for I/O",
    ),
    mode(
        5,
        "processor_irq_nanos",
        "cairn_processor_seconds_total{mode=\"irq\"}",
        "time in interrupts",
    ),
    mode(
        6,
        "processor_softirq_nanos",
        "cairn_processor_seconds_total{mode=\"softirq\"}",
        "time in soft interrupts",
    ),
    mode(
        7,
        "processor_steal_nanos",
        "cairn_processor_seconds_total{mode=\"steal\"}",
        "time taken by the hypervisor",
    ),
    mode(
        8,
        "processor_guest_nanos",
        "cairn_processor_seconds_total{mode=\"guest\"}",
        "time in guests",
    ),
    mode(
        9,
        "processor_guest_nice_nanos",
        "cairn_processor_seconds_total{mode=\"guest_nice\"}",
        "time in guests at low priority",
    ),
];
