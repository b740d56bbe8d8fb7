"""The host's fields out of the files of /proc: pure, from texts to values.

Units: a tick of the processor's clock is 1/100 s, a sector is 512 bytes, a "kB" of meminfo is 1,024 bytes.
"""

import re

from recording import TraceError, scaled

TICK_NANOS = 10**7
SECTOR_BYTES = 512

CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
# The time of guests is in user and nice already.
BUSY_MODES = ("user", "nice", "system", "irq", "softirq", "steal")
MEMORY = {
    "host_memory_total_bytes": "MemTotal",
    "host_memory_available_bytes": "MemAvailable",
    "host_memory_free_bytes": "MemFree",
    "host_memory_buffers_bytes": "Buffers",
    "host_memory_cached_bytes": "Cached",
    "host_memory_swap_cached_bytes": "SwapCached",
    "host_memory_active_bytes": "Active",
    "host_memory_inactive_bytes": "Inactive",
    "host_memory_anon_bytes": "AnonPages",
    "host_memory_mapped_bytes": "Mapped",
    "host_memory_shmem_bytes": "Shmem",
    "host_memory_slab_reclaimable_bytes": "SReclaimable",
    "host_memory_slab_unreclaimable_bytes": "SUnreclaim",
    "host_memory_kernel_stack_bytes": "KernelStack",
    "host_memory_page_tables_bytes": "PageTables",
    "host_memory_dirty_bytes": "Dirty",
    "host_memory_writeback_bytes": "Writeback",
    "host_memory_committed_bytes": "Committed_AS",
    "host_memory_commit_limit_bytes": "CommitLimit",
    "host_swap_total_bytes": "SwapTotal",
    "host_swap_free_bytes": "SwapFree",
}
VM = {
    "host_vm_page_faults": "pgfault",
    "host_vm_major_page_faults": "pgmajfault",
    "host_vm_pages_in": "pgpgin",
    "host_vm_pages_out": "pgpgout",
    "host_vm_swap_pages_in": "pswpin",
    "host_vm_swap_pages_out": "pswpout",
    "host_vm_oom_kills": "oom_kill",
}
# Place in a line of diskstats after the name, and a factor.
DISK = {
    "disk_reads": (0, 1),
    "disk_read_bytes": (2, SECTOR_BYTES),
    "disk_read_millis": (3, 1),
    "disk_writes": (4, 1),
    "disk_write_bytes": (6, SECTOR_BYTES),
    "disk_write_millis": (7, 1),
    "disk_io_in_progress": (8, 1),
    "disk_io_millis": (9, 1),
    "disk_weighted_io_millis": (10, 1),
}
# Place in a line of net/dev after the name.
INTERFACE = {
    "interface_rx_bytes": 0,
    "interface_rx_packets": 1,
    "interface_rx_errors": 2,
    "interface_rx_dropped": 3,
    "interface_tx_bytes": 8,
    "interface_tx_packets": 9,
    "interface_tx_errors": 10,
    "interface_tx_dropped": 11,
}
PSEUDO_DISK = re.compile(r"(loop|ram|zram|fd|sr)\d+")
PARTITION = re.compile(r"(?:sd|hd|vd|xvd|dasd)[a-z]+\d+|(?:nvme|mmcblk|nbd|md|loop)\S*\dp\d+")
# The host's ends of the interfaces of pods, by the names that network plugins give them.
POD_INTERFACE = re.compile(r"(veth|cali|lxc|eni|azv|gke)")

PRESSURE = [(part, share) for part in ("cpu", "memory", "io") for share in ("some", "full")]
COUNTERS = {f"host_cpu_{mode}_nanos" for mode in (*CPU_MODES, "busy")}
COUNTERS |= {*VM, "host_context_switches", "host_forks", "host_network_rx_bytes", "host_network_tx_bytes"}
COUNTERS |= {f"host_{part}_pressure_{share}_micros" for part, share in PRESSURE}
COUNTERS |= {*DISK, *INTERFACE} - {"disk_io_in_progress"}


def cpu_and_processes(text):
    """The fields out of stat."""
    words = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.split()}
    modes = dict(zip(CPU_MODES, (int(word) * TICK_NANOS for word in words["cpu"])))
    found = {f"host_cpu_{mode}_nanos": nanos for mode, nanos in modes.items()}
    found["host_cpu_busy_nanos"] = sum(modes[mode] for mode in BUSY_MODES)
    names = {
        "host_context_switches": "ctxt",
        "host_forks": "processes",
        "host_processes_running": "procs_running",
        "host_processes_blocked": "procs_blocked",
    }
    return found | {field: int(words[name][0]) for field, name in names.items()}


def memory(text):
    """The fields out of meminfo."""
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(\S+):\s+(\d+)( kB)?", line.rstrip())
        if match is None:
            raise TraceError(f"meminfo: line not understood: {line}")
        found[match[1]] = int(match[2]) * (1024 if match[3] else 1)
    return {field: found[name] for field, name in MEMORY.items() if name in found}


def virtual_memory(text):
    """The fields out of vmstat."""
    found = dict(line.split() for line in text.splitlines())
    return {field: int(found[name]) for field, name in VM.items() if name in found}


def load(text):
    """The fields out of loadavg."""
    one, five, fifteen, running, _ = text.split()
    found = {"host_load1": one, "host_load5": five, "host_load15": fifteen}
    found = {field: scaled(figure, 1000, exact=True) for field, figure in found.items()}
    return found | {"host_threads": int(running.split("/")[1])}


def pressure(part, text):
    """The fields out of one file of pressure/."""
    found = {}
    for line in text.splitlines():
        share, *figures = line.split()
        if (part, share) not in PRESSURE:
            continue
        figures = dict(figure.split("=") for figure in figures)
        found[f"host_{part}_pressure_{share}_micros"] = int(figures.pop("total"))
        for span, percent in figures.items():
            found[f"host_{part}_pressure_{share}_{span}"] = scaled(percent, 100, exact=True)
    return found


def disks(text):
    """{name: fields} out of diskstats, of whole disks."""
    found = {}
    for line in text.splitlines():
        _, _, name, *figures = line.split()
        if not PSEUDO_DISK.fullmatch(name) and not PARTITION.fullmatch(name):
            found[name] = {field: int(figures[at]) * factor for field, (at, factor) in DISK.items()}
    return found


def interfaces(text):
    """{name: fields} out of net/dev, of every interface."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, figures = line.partition(":")
        figures = figures.split()
        found[name.strip()] = {field: int(figures[at]) for field, at in INTERFACE.items()}
    return found


def carried(before, devices, way):
    """Bytes that all interfaces but lo carried from one frame's devices to the next's.

    One that comes or goes carried none. One whose counter fell began anew.
    """
    key = f"interface_{way}_bytes"
    pairs = [(before[name][key], devices[name][key]) for name in before.keys() & devices.keys() - {"lo"}]
    return sum(now if now < then else now - then for then, now in pairs)


def is_of_host(name):
    """Whether an interface is the host's own: not lo, and not an end of a pod's."""
    return name != "lo" and not POD_INTERFACE.match(name)


def host(files):
    """All fields of the node out of {file name: text}.

    The host's traffic is that of the default routes' interfaces; the recordings have no routes, and then
    it is that of all interfaces but lo. This is what it is in a first frame.
    """
    found = cpu_and_processes(files["stat"]) | memory(files["meminfo"]) | virtual_memory(files["vmstat"])
    found |= load(files["loadavg"])
    found["host_uptime_ms"] = scaled(files["uptime"].split()[0], 1000, exact=True)
    for part in ("cpu", "memory", "io"):
        found |= pressure(part, files[f"pressure/{part}"])
    devices = interfaces(files["net/dev"])
    for way in ("rx", "tx"):
        bytes_of = (fields[f"interface_{way}_bytes"] for name, fields in devices.items() if name != "lo")
        found[f"host_network_{way}_bytes"] = sum(bytes_of)
    return found
