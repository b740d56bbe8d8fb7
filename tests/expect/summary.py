"""The entities and fields of one /stats/summary, joined with the CPU counters of /metrics/resource.

Where values come from.
* CPU of nodes, pods and containers: the counters of /metrics/resource with their ms stamps. A container's
  counter begins at the `container_start_time_seconds` of the same body; those of nodes and pods do not say.
* Everything else: /stats/summary, whose stamps are whole seconds and which says when an entity began.
* Pods and containers of the two bodies are joined by namespace, pod name and container name. The
  summary decides what exists: an entity that it does not list has no values at that tick. That goes for
  filesystems, volumes and interfaces too.

Groups. The fields of a group share one stamp per entity. Memory, swap, pressure and the number of
processes are one group, at the time of the memory section or, without one, of the first of swap, CPU (when
it has pressure) and I/O; a section with another time is not taken. Pressure totals are microseconds.
"""

from decimal import ROUND_HALF_UP, Decimal
from urllib.parse import quote

from entity import Entity
from recording import TraceError, utc_ms

MEMORY = {
    "memory_usage_bytes": ("memory", "usageBytes"),
    "memory_working_set_bytes": ("memory", "workingSetBytes"),
    "memory_rss_bytes": ("memory", "rssBytes"),
    "memory_available_bytes": ("memory", "availableBytes"),
    "memory_page_faults": ("memory", "pageFaults"),
    "memory_major_page_faults": ("memory", "majorPageFaults"),
    "swap_usage_bytes": ("swap", "swapUsageBytes"),
    "swap_available_bytes": ("swap", "swapAvailableBytes"),
}
PRESSURE = {
    f"{section}_pressure_{share}_micros": (section, share)
    for section in ("cpu", "memory", "io")
    for share in ("some", "full")
}
PRESSURE_AVERAGES = {
    f"{section}_pressure_{share}_avg{span}": (section, share, f"avg{span}")
    for section in ("cpu", "memory", "io")
    for share in ("some", "full")
    for span in (10, 60, 300)
}
RLIMIT = {"rlimit_max_pids": "maxpid", "rlimit_current_pids": "curproc"}
NETWORK = {
    "network_rx_bytes": "rxBytes",
    "network_tx_bytes": "txBytes",
    "network_rx_errors": "rxErrors",
    "network_tx_errors": "txErrors",
}
SPACE = {
    "usage_bytes": "usedBytes",
    "capacity_bytes": "capacityBytes",
    "available_bytes": "availableBytes",
    "inodes": "inodes",
    "inodes_free": "inodesFree",
    "inodes_used": "inodesUsed",
}
FILESYSTEM = {f"filesystem_{field}": key for field, key in SPACE.items()}
VOLUME = {f"volume_{field}": key for field, key in SPACE.items()}
EPHEMERAL = {"ephemeral_storage_usage_bytes": "usedBytes", "ephemeral_storage_inodes_used": "inodesUsed"}
ACCELERATOR = {
    "accelerator_memory_total_bytes": "memoryTotal",
    "accelerator_memory_used_bytes": "memoryUsed",
    "accelerator_duty_cycle_percent": "dutyCycle",
}

GROUPS = {"cpu_usage_core_nanos": "cpu", "process_count": "memory"}
GROUPS |= dict.fromkeys([*MEMORY, *PRESSURE, *PRESSURE_AVERAGES, *ACCELERATOR], "memory")
GROUPS |= dict.fromkeys(RLIMIT, "process") | dict.fromkeys(NETWORK, "network")
GROUPS |= dict.fromkeys([*FILESYSTEM, *EPHEMERAL], "filesystem") | dict.fromkeys(VOLUME, "volume")
COUNTERS = {"cpu_usage_core_nanos", "memory_page_faults", "memory_major_page_faults", *PRESSURE, *NETWORK}


def section_of(stats, name):
    """A section of an entry; empty when it is left out or null."""
    return stats.get(name) or {}


def measured_at(stamp, values, life=None):
    """{field: (stamp, value, life) or None} of {field: value or None}."""
    return {
        field: (stamp, value, life) if None not in (stamp, value) else None for field, value in values.items()
    }


def picked(section, fields):
    """{field: value or None} of a section."""
    return {field: section.get(key) for field, key in fields.items()}


def taken(section, fields, life=None):
    """{field: (stamp, value, life) or None} of a section at its own time."""
    return measured_at(utc_ms(section["time"]) if section else None, picked(section, fields), life)


def memory_time(stats):
    """The stamp of the memory group of an entry, or None."""
    for name in ("memory", "swap", "cpu", "io"):
        section = section_of(stats, name)
        if section and (name != "cpu" or section.get("psi")):
            return utc_ms(section["time"])
    return None


def memory_group(stats, start, averages=False, processes=False):
    """The memory group of an entry."""
    stamp = memory_time(stats)

    def section(name):
        found = section_of(stats, name)
        return found if found and utc_ms(found["time"]) == stamp else {}

    def pressure(name, share, key):
        return ((section(name).get("psi") or {}).get(share) or {}).get(key)

    values = {field: section(name).get(key) for field, (name, key) in MEMORY.items()}
    values |= {field: pressure(name, share, "total") for field, (name, share) in PRESSURE.items()}
    if averages:
        values |= {field: hundredths(pressure(*where)) for field, where in PRESSURE_AVERAGES.items()}
    if processes:
        values["process_count"] = section_of(stats, "process_stats").get("process_count")
    return measured_at(stamp, values, start)


def hundredths(percent):
    """A percentage in 1/100 of a percent, rounded to the nearest; None stays None."""
    if percent is None:
        return None
    return int((Decimal(percent) * 100).quantize(Decimal(1), ROUND_HALF_UP))


def start_of(stats):
    """When an entry began, Unix ms, or None."""
    return utc_ms(stats["startTime"]) if stats.get("startTime") else None


def label_query(labels):
    """A label set as the Heapster API asks for it; `/` and `:` are plain in a query."""
    return ",".join(f"{quote(key, safe='')}:{quote(value, safe='/:')}" for key, value in labels)


def filesystem(stats, name, where, path, labelled=True):
    """A filesystem of a node or container; nothing when it is not listed."""
    if not stats:
        return []
    labels = (("resource_id", name),) if labelled else ()
    return [
        Entity(
            kind="filesystem",
            name=name,
            measured=taken(stats, FILESYSTEM),
            labels=labels,
            path=path if labelled else None,
            query=label_query(labels),
            **where,
        )
    ]


def interfaces(stats, where):
    """The network interfaces of a node or pod."""
    network = section_of(stats, "network")
    return [
        Entity(
            kind="interface",
            name=entry["name"],
            measured=measured_at(utc_ms(network["time"]), picked(entry, NETWORK)),
            **where,
        )
        for entry in network.get("interfaces") or []
    ]


def of_node(node, stats, cpu):
    """A node, its filesystems and interfaces, and its system containers."""
    where, path, start = {"node": node}, f"/nodes/{node}", start_of(stats)
    disk, runtime = section_of(stats, "fs"), section_of(stats, "runtime")
    measured = {"cpu_usage_core_nanos": cpu.get(())} | memory_group(stats, start, averages=True)
    measured |= taken(section_of(stats, "rlimit"), RLIMIT) | taken(section_of(stats, "network"), NETWORK)
    measured |= taken(disk, {"ephemeral_storage_usage_bytes": "usedBytes"})
    found = [Entity(kind="node", name="", measured=measured, start=start, path=path, **where)]
    found += filesystem(disk, "/", where, path)
    found += filesystem(runtime.get("imageFs"), "imagefs", where, path, labelled=False)
    found += filesystem(runtime.get("containerFs"), "containerfs", where, path, labelled=False)
    found += interfaces(stats, where)
    for entry in stats.get("systemContainers") or []:
        start, name = start_of(entry), entry["name"]
        measured = memory_group(entry, start)
        measured |= taken(section_of(entry, "cpu"), {"cpu_usage_core_nanos": "usageCoreNanoSeconds"}, life=start)
        path = f"/nodes/{node}/freecontainers/{name}"
        found.append(Entity(kind="system", name=name, measured=measured, start=start, path=path, **where))
    return found


def of_pod(node, stats, cpu):
    """A pod, its volumes, interfaces and containers."""
    space, name, uid = (stats["podRef"][key] for key in ("namespace", "name", "uid"))
    path, start = f"/namespaces/{space}/pods/{name}", start_of(stats)
    where = {"node": node, "namespace": space, "pod_uid": uid}
    measured = {"cpu_usage_core_nanos": cpu.get((space, name))}
    measured |= memory_group(stats, start, processes=True)
    measured |= taken(section_of(stats, "network"), NETWORK)
    measured |= taken(section_of(stats, "ephemeral-storage"), EPHEMERAL)
    found = [Entity(kind="pod", name=name, measured=measured, start=start, path=path, **where)]
    where["pod"] = name
    for entry in stats.get("volume") or []:
        asked = (("resource_id", f"Volume:{entry['name']}"),)
        claim = entry.get("pvcRef")
        labels = asked + ((("pvc_name", claim["name"]), ("pvc_namespace", claim["namespace"])) if claim else ())
        found.append(
            Entity(
                kind="volume",
                name=entry["name"],
                measured=taken(entry, VOLUME),
                labels=labels,
                path=path,
                query=label_query(asked),
                **where,
            )
        )
    found += interfaces(stats, where)
    for entry in stats.get("containers") or []:
        counter = cpu.get((space, name, entry["name"]))
        found += of_container(entry, counter, where, f"{path}/containers/{entry['name']}")
    return found


def of_container(stats, counter, where, path):
    """A container, its filesystems and accelerators."""
    start, name = start_of(stats), stats["name"]
    inside = {**where, "container": name}
    rootfs, logs = section_of(stats, "rootfs"), section_of(stats, "logs")
    measured = {"cpu_usage_core_nanos": counter} | memory_group(stats, start)
    measured["ephemeral_storage_usage_bytes"] = None
    if None not in (rootfs.get("usedBytes"), logs.get("usedBytes")):
        stamp = min(utc_ms(rootfs["time"]), utc_ms(logs["time"]))
        measured["ephemeral_storage_usage_bytes"] = (stamp, rootfs["usedBytes"] + logs["usedBytes"], None)
    found = [Entity(kind="container", name=name, measured=measured, start=start, path=path, **where)]
    found += filesystem(rootfs, "/", inside, path) + filesystem(logs, "logs", inside, path)
    for entry in stats.get("accelerators") or []:
        labels = (("make", entry["make"]), ("model", entry["model"]), ("accelerator_id", entry["id"]))
        found.append(
            Entity(
                kind="accelerator",
                name=entry["id"],
                measured=measured_at(memory_time(stats), picked(entry, ACCELERATOR)),
                labels=labels,
                path=path,
                query=label_query(labels),
                **inside,
            )
        )
    return found


def entities(node, summary, cpu):
    """Everything that one summary lists; fails when it lists something twice."""
    found = of_node(node, summary["node"], cpu)
    for pod in summary.get("pods") or []:
        found += of_pod(node, pod, cpu)
    seen = set()
    for entity in found:
        if entity.identity in seen:
            raise TraceError(f"listed twice: {' '.join(entity.identity)}")
        seen.add(entity.identity)
    return found
