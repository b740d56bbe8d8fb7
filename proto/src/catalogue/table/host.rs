//! The host's own figures from /proc.
//!
//! Fields of their own: they count the whole machine and never continue a cgroup's series.

use super::row::{counter, gauge};
use crate::catalogue::{EntityKind, Field, FieldId, Group, Source, Unit};

/// Load average over one minute.
pub const HOST_LOAD1: FieldId = FieldId(72);
/// Load average over five minutes.
pub const HOST_LOAD5: FieldId = FieldId(73);
/// Load average over 15 minutes.
pub const HOST_LOAD15: FieldId = FieldId(74);
/// The machine's memory.
pub const HOST_MEMORY_TOTAL: FieldId = FieldId(75);
/// The machine's available memory.
pub const HOST_MEMORY_AVAILABLE: FieldId = FieldId(76);
/// The machine's busy CPU time.
pub const HOST_CPU_BUSY: FieldId = FieldId(77);
/// The machine's received bytes.
pub const HOST_NETWORK_RX: FieldId = FieldId(78);
/// The machine's sent bytes.
pub const HOST_NETWORK_TX: FieldId = FieldId(79);
/// The first of the ten CPU modes: user, nice, system, idle, iowait, irq, softirq, steal, guest,
/// guest nice.
pub const HOST_CPU_MODES: FieldId = FieldId(130);
/// Number of CPU modes.
pub const HOST_CPU_MODE_COUNT: usize = 10;
/// Memory that nobody uses.
pub const HOST_MEMORY_FREE: FieldId = FieldId(140);
/// Raw blocks of disks kept in memory.
pub const HOST_MEMORY_BUFFERS: FieldId = FieldId(141);
/// File pages kept in memory.
pub const HOST_MEMORY_CACHED: FieldId = FieldId(142);
/// Pages that are in swap and in memory.
pub const HOST_MEMORY_SWAP_CACHED: FieldId = FieldId(143);
/// Memory used of late.
pub const HOST_MEMORY_ACTIVE: FieldId = FieldId(144);
/// Memory not used of late.
pub const HOST_MEMORY_INACTIVE: FieldId = FieldId(145);
/// Memory that belongs to no file.
pub const HOST_MEMORY_ANON: FieldId = FieldId(146);
/// Files mapped into processes.
pub const HOST_MEMORY_MAPPED: FieldId = FieldId(147);
/// Shared memory and memory file systems.
pub const HOST_MEMORY_SHMEM: FieldId = FieldId(148);
/// Kernel objects that can be given back.
pub const HOST_MEMORY_SLAB_RECLAIMABLE: FieldId = FieldId(149);
/// Kernel objects that cannot be given back.
pub const HOST_MEMORY_SLAB_UNRECLAIMABLE: FieldId = FieldId(150);
/// Stacks of tasks in the kernel.
pub const HOST_MEMORY_KERNEL_STACK: FieldId = FieldId(151);
/// Page tables.
pub const HOST_MEMORY_PAGE_TABLES: FieldId = FieldId(152);
/// File pages that still have to be written.
pub const HOST_MEMORY_DIRTY: FieldId = FieldId(153);
/// File pages that are being written.
pub const HOST_MEMORY_WRITEBACK: FieldId = FieldId(154);
/// Memory that has been promised.
pub const HOST_MEMORY_COMMITTED: FieldId = FieldId(155);
/// Memory that can be promised.
pub const HOST_MEMORY_COMMIT_LIMIT: FieldId = FieldId(156);
/// Swap space.
pub const HOST_SWAP_TOTAL: FieldId = FieldId(159);
/// Swap space that nobody uses.
pub const HOST_SWAP_FREE: FieldId = FieldId(160);
/// Page faults.
pub const HOST_VM_PAGE_FAULTS: FieldId = FieldId(161);
/// Page faults that had to read from a disk.
pub const HOST_VM_MAJOR_PAGE_FAULTS: FieldId = FieldId(162);
/// KiB read from disks.
pub const HOST_VM_PAGES_IN: FieldId = FieldId(163);
/// KiB written to disks.
pub const HOST_VM_PAGES_OUT: FieldId = FieldId(164);
/// Pages read from swap.
pub const HOST_VM_SWAP_PAGES_IN: FieldId = FieldId(165);
/// Pages written to swap.
pub const HOST_VM_SWAP_PAGES_OUT: FieldId = FieldId(166);
/// Processes killed for want of memory.
pub const HOST_VM_OOM_KILLS: FieldId = FieldId(167);
/// Context switches.
pub const HOST_CONTEXT_SWITCHES: FieldId = FieldId(168);
/// Processes and threads ever begun.
pub const HOST_FORKS: FieldId = FieldId(169);
/// Tasks that run or could run.
pub const HOST_PROCESSES_RUNNING: FieldId = FieldId(170);
/// Tasks that wait for I/O.
pub const HOST_PROCESSES_BLOCKED: FieldId = FieldId(171);
/// Threads.
pub const HOST_THREADS: FieldId = FieldId(172);
/// Time since boot.
pub const HOST_UPTIME: FieldId = FieldId(173);

/// A field of the node, by /proc.
const fn host(field: Field) -> Field {
    field.of(&[EntityKind::Node], Group::Host, &[Source::Procfs])
}

const fn memory(
    id: FieldId,
    name: &'static str,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    host(gauge(id, name, Unit::Bytes, prometheus, help))
}

const fn events(
    id: FieldId,
    name: &'static str,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    host(counter(id, name, Unit::Count, prometheus, help))
}

const fn tasks(
    id: FieldId,
    name: &'static str,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    host(gauge(id, name, Unit::Count, prometheus, help))
}

const fn load(
    id: FieldId,
    name: &'static str,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    host(gauge(id, name, Unit::MilliLoad, prometheus, help))
}

const fn bytes(
    id: FieldId,
    name: &'static str,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    host(counter(id, name, Unit::Bytes, prometheus, help))
}

const fn mode(at: u16, name: &'static str, prometheus: &'static str, help: &'static str) -> Field {
    let id = FieldId(HOST_CPU_MODES.0 + at);
    host(counter(id, name, Unit::CpuNanos, prometheus, help))
}

pub(super) const FIRST_HOST_ROWS: &[Field] = &[
    load(
        HOST_LOAD1,
        "host_load1",
        "node_load1",
        "load average over one minute",
    ),
    load(
        HOST_LOAD5,
        "host_load5",
        "node_load5",
        "load average over five minutes",
    ),
    load(
        HOST_LOAD15,
        "host_load15",
        "node_load15",
        "load average over 15 minutes",
    ),
    memory(
        HOST_MEMORY_TOTAL,
        "host_memory_total_bytes",
        "node_memory_MemTotal_bytes",
        "memory that the kernel manages",
    ),
    memory(
        HOST_MEMORY_AVAILABLE,
        "host_memory_available_bytes",
        "node_memory_MemAvailable_bytes",
        "memory that new work could get without swapping, as the kernel estimates it",
    ),
    host(counter(
        HOST_CPU_BUSY,
        "host_cpu_busy_nanos",
        Unit::CpuNanos,
        "cairn_host_cpu_busy_seconds_total",
        "time that the machine's CPUs were not idle and not waiting for I/O",
    )),
    bytes(
        HOST_NETWORK_RX,
        "host_network_rx_bytes",
        "cairn_host_network_receive_bytes_total",
        "received on the interfaces of the default routes (without one, all but lo); one that joins counts from then on",
    ),
    bytes(
        HOST_NETWORK_TX,
        "host_network_tx_bytes",
        "cairn_host_network_transmit_bytes_total",
        "sent on the interfaces of the default routes (without one, all but lo); one that joins counts from then on",
    ),
];

pub(super) const HOST_ROWS: &[Field] = &[
    mode(
        0,
        "host_cpu_user_nanos",
        "node_cpu_seconds_total{mode=\"user\"}",
        "CPU time in user mode, guests included",
    ),
    mode(
        1,
        "host_cpu_nice_nanos",
        "node_cpu_seconds_total{mode=\"nice\"}",
        "CPU time in user mode at low priority, guests included",
    ),
    mode(
        2,
        "host_cpu_system_nanos",
        "node_cpu_seconds_total{mode=\"system\"}",
        "CPU time in the kernel",
    ),
    mode(
        3,
        "host_cpu_idle_nanos",
        "node_cpu_seconds_total{mode=\"idle\"}",
        "CPU time without work",
    ),
    mode(
        4,
        "host_cpu_iowait_nanos",
        "node_cpu_seconds_total{mode=\"iowait\"}",
        "CPU time without work, while a task waited for I/O",
    ),
    mode(
        5,
        "host_cpu_irq_nanos",
        "node_cpu_seconds_total{mode=\"irq\"}",
        "CPU time in interrupts",
    ),
    mode(
        6,
        "host_cpu_softirq_nanos",
        "node_cpu_seconds_total{mode=\"softirq\"}",
        "CPU time in soft interrupts",
    ),
    mode(
        7,
        "host_cpu_steal_nanos",
        "node_cpu_seconds_total{mode=\"steal\"}",
        "CPU time taken by the hypervisor",
    ),
    mode(
        8,
        "host_cpu_guest_nanos",
        "node_cpu_seconds_total{mode=\"guest\"}",
        "CPU time in guests",
    ),
    mode(
        9,
        "host_cpu_guest_nice_nanos",
        "node_cpu_seconds_total{mode=\"guest_nice\"}",
        "CPU time in guests at low priority",
    ),
    memory(
        HOST_MEMORY_FREE,
        "host_memory_free_bytes",
        "node_memory_MemFree_bytes",
        "memory that nobody uses",
    ),
    memory(
        HOST_MEMORY_BUFFERS,
        "host_memory_buffers_bytes",
        "node_memory_Buffers_bytes",
        "raw blocks of disks kept in memory",
    ),
    memory(
        HOST_MEMORY_CACHED,
        "host_memory_cached_bytes",
        "node_memory_Cached_bytes",
        "file pages kept in memory",
    ),
    memory(
        HOST_MEMORY_SWAP_CACHED,
        "host_memory_swap_cached_bytes",
        "node_memory_SwapCached_bytes",
        "pages that are in swap and in memory",
    ),
    memory(
        HOST_MEMORY_ACTIVE,
        "host_memory_active_bytes",
        "node_memory_Active_bytes",
        "memory used of late",
    ),
    memory(
        HOST_MEMORY_INACTIVE,
        "host_memory_inactive_bytes",
        "node_memory_Inactive_bytes",
        "memory not used of late",
    ),
    memory(
        HOST_MEMORY_ANON,
        "host_memory_anon_bytes",
        "node_memory_AnonPages_bytes",
        "memory that belongs to no file",
    ),
    memory(
        HOST_MEMORY_MAPPED,
        "host_memory_mapped_bytes",
        "node_memory_Mapped_bytes",
        "files mapped into processes",
    ),
    memory(
        HOST_MEMORY_SHMEM,
        "host_memory_shmem_bytes",
        "node_memory_Shmem_bytes",
        "shared memory and memory file systems",
    ),
    memory(
        HOST_MEMORY_SLAB_RECLAIMABLE,
        "host_memory_slab_reclaimable_bytes",
        "node_memory_SReclaimable_bytes",
        "kernel objects that can be given back",
    ),
    memory(
        HOST_MEMORY_SLAB_UNRECLAIMABLE,
        "host_memory_slab_unreclaimable_bytes",
        "node_memory_SUnreclaim_bytes",
        "kernel objects that cannot be given back",
    ),
    memory(
        HOST_MEMORY_KERNEL_STACK,
        "host_memory_kernel_stack_bytes",
        "node_memory_KernelStack_bytes",
        "stacks of tasks in the kernel",
    ),
    memory(
        HOST_MEMORY_PAGE_TABLES,
        "host_memory_page_tables_bytes",
        "node_memory_PageTables_bytes",
        "page tables",
    ),
    memory(
        HOST_MEMORY_DIRTY,
        "host_memory_dirty_bytes",
        "node_memory_Dirty_bytes",
        "file pages that still have to be written",
    ),
    memory(
        HOST_MEMORY_WRITEBACK,
        "host_memory_writeback_bytes",
        "node_memory_Writeback_bytes",
        "file pages that are being written",
    ),
    memory(
        HOST_MEMORY_COMMITTED,
        "host_memory_committed_bytes",
        "node_memory_Committed_AS_bytes",
        "memory that has been promised",
    ),
    memory(
        HOST_MEMORY_COMMIT_LIMIT,
        "host_memory_commit_limit_bytes",
        "node_memory_CommitLimit_bytes",
        "memory that can be promised",
    ),
    memory(
        HOST_SWAP_TOTAL,
        "host_swap_total_bytes",
        "node_memory_SwapTotal_bytes",
        "swap space",
    ),
    memory(
        HOST_SWAP_FREE,
        "host_swap_free_bytes",
        "node_memory_SwapFree_bytes",
        "swap space that nobody uses",
    ),
    events(
        HOST_VM_PAGE_FAULTS,
        "host_vm_page_faults",
        "node_vmstat_pgfault",
        "page faults",
    ),
    events(
        HOST_VM_MAJOR_PAGE_FAULTS,
        "host_vm_major_page_faults",
        "node_vmstat_pgmajfault",
        "page faults that had to read from a disk",
    ),
    events(
        HOST_VM_PAGES_IN,
        "host_vm_pages_in",
        "node_vmstat_pgpgin",
        "KiB read from disks",
    ),
    events(
        HOST_VM_PAGES_OUT,
        "host_vm_pages_out",
        "node_vmstat_pgpgout",
        "KiB written to disks",
    ),
    events(
        HOST_VM_SWAP_PAGES_IN,
        "host_vm_swap_pages_in",
        "node_vmstat_pswpin",
        "pages read from swap",
    ),
    events(
        HOST_VM_SWAP_PAGES_OUT,
        "host_vm_swap_pages_out",
        "node_vmstat_pswpout",
        "pages written to swap",
    ),
    events(
        HOST_VM_OOM_KILLS,
        "host_vm_oom_kills",
        "node_vmstat_oom_kill",
        "processes killed for want of memory",
    ),
    events(
        HOST_CONTEXT_SWITCHES,
        "host_context_switches",
        "node_context_switches_total",
        "context switches",
    ),
    events(
        HOST_FORKS,
        "host_forks",
        "node_forks_total",
        "processes and threads ever begun",
    ),
    tasks(
        HOST_PROCESSES_RUNNING,
        "host_processes_running",
        "node_procs_running",
        "tasks that run or could run",
    ),
    tasks(
        HOST_PROCESSES_BLOCKED,
        "host_processes_blocked",
        "node_procs_blocked",
        "tasks that wait for I/O",
    ),
    tasks(
        HOST_THREADS,
        "host_threads",
        "node_processes_threads",
        "threads of the machine",
    ),
    host(gauge(
        HOST_UPTIME,
        "host_uptime_ms",
        Unit::Millis,
        "node_uptime_seconds",
        "time since boot",
    )),
];
