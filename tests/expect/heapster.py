"""What the Heapster model API answers: values, rates, sums, and lists of names.

Sums. A namespace is the sum of its pods and the cluster the sum of its namespaces, of memory/usage and
of cpu/usage_rate; one pod with a value is enough. CPU rates are whole nanocores inside, so sums add
those; millicores are rounded down once, at the end.

Lists of entities name what the newest bodies list. Lists of metrics name what has had a value at any
tick so far, which is the window of a recording that is shorter than the window; metrics with labels are
in no list.
"""

from recording import TraceError

MODEL = "/api/v1/model"
PLAIN = {
    "cpu_usage_core_nanos": "cpu/usage",
    "memory_usage_bytes": "memory/usage",
    "memory_working_set_bytes": "memory/working_set",
    "memory_rss_bytes": "memory/rss",
    "memory_page_faults": "memory/page_faults",
    "memory_major_page_faults": "memory/major_page_faults",
    "network_rx_bytes": "network/rx",
    "network_tx_bytes": "network/tx",
    "network_rx_errors": "network/rx_errors",
    "network_tx_errors": "network/tx_errors",
    "ephemeral_storage_usage_bytes": "ephemeral_storage/usage",
    "uptime_ms": "uptime",
}
LABELLED = {
    "filesystem_usage_bytes": "filesystem/usage",
    "filesystem_capacity_bytes": "filesystem/limit",
    "filesystem_available_bytes": "filesystem/available",
    "filesystem_inodes": "filesystem/inodes",
    "filesystem_inodes_free": "filesystem/inodes_free",
    "volume_usage_bytes": "filesystem/usage",
    "volume_capacity_bytes": "filesystem/limit",
    "volume_available_bytes": "filesystem/available",
    "volume_inodes": "filesystem/inodes",
    "volume_inodes_free": "filesystem/inodes_free",
    "accelerator_memory_total_bytes": "accelerator/memory_total",
    "accelerator_memory_used_bytes": "accelerator/memory_used",
    "accelerator_duty_cycle_percent": "accelerator/duty_cycle",
}


def nanocores(rate):
    """Whole ns of CPU per second, rounded down, of (delta ns, elapsed ms)."""
    return rate[0] * 1000 // rate[1]


def millicores(nanos):
    """Whole millicores, rounded down."""
    return nanos // 10**6


def is_shown(entity):
    """Whether the model has this entity, or its parent under whose path its metrics are."""
    return entity.path is not None


class Model:
    """The lines of the model API."""

    def __init__(self):
        self.lines, self.metric_names = [], {}

    def emit(self, tick, path, field, value, exact=None):
        """Adds a line for one sample of a metric without labels."""
        name = f"{MODEL}{path}/metrics/{field}"
        self.lines.append({"tick": tick // 1000, "path": name, "value": value, "float": exact})
        self.metric_names.setdefault(path, set()).add(field)

    def names(self, tick, path, names):
        """Adds a line for one list."""
        self.lines.append({"tick": tick // 1000, "list": MODEL + path, "names": sorted(names)})

    def see(self, tick, entity, fresh, uptime_ms):
        """Adds the lines of one entity at one tick; `fresh` is {field: Series}."""
        for field, series in fresh.items():
            if field in LABELLED:
                path = f"{MODEL}{entity.path}/metrics/{LABELLED[field]}?labels={entity.query}"
                self.lines.append({"tick": tick // 1000, "path": path, "value": series.value, "float": None})
            if field not in PLAIN:
                continue
            self.emit(tick, entity.path, PLAIN[field], series.value)
            if series.rate is None:
                continue
            if field == "cpu_usage_core_nanos":
                self.emit(tick, entity.path, "cpu/usage_rate", millicores(nanocores(series.rate)))
            else:
                delta, elapsed = series.rate
                exact = delta * 1000 / elapsed
                self.emit(tick, entity.path, PLAIN[field] + "_rate", delta * 1000 // elapsed, exact)
        if uptime_ms is not None:
            self.emit(tick, entity.path, PLAIN["uptime_ms"], uptime_ms)

    def metric_lists(self, tick):
        """Adds the lists of metric names, after everything else of the tick."""
        for path, names in self.metric_names.items():
            self.names(tick, f"{path}/metrics/", names)


class Totals:
    """Sums of one namespace or of the cluster at one tick; None until one part has the value."""

    def __init__(self):
        self.sums = {"memory/usage": None, "cpu/usage_rate": None}

    def add(self, field, value):
        """Adds one part; None adds nothing."""
        if value is not None:
            self.sums[field] = (self.sums[field] or 0) + value

    def add_pod(self, fresh):
        """Adds a pod."""
        if "memory_usage_bytes" in fresh:
            self.add("memory/usage", fresh["memory_usage_bytes"].value)
        cpu = fresh.get("cpu_usage_core_nanos")
        if cpu is not None and cpu.rate is not None:
            self.add("cpu/usage_rate", nanocores(cpu.rate))

    def emit(self, model, tick, path):
        """Adds the lines of the sums that exist."""
        for field, value in self.sums.items():
            if value is not None:
                model.emit(tick, path, field, millicores(value) if field == "cpu/usage_rate" else value)


def tick_sums_and_lists(model, tick, nodes, seen):
    """Adds the sums and the lists of one tick; `seen` is what is there as (entity, fresh)."""
    spaces, pods, cluster = {}, {}, Totals()
    system = {node: set() for node in nodes}
    containers = {}
    for entity, fresh in seen:
        if entity.kind == "system":
            system[entity.node].add(entity.name)
        elif entity.kind == "pod":
            spaces.setdefault(entity.namespace, Totals()).add_pod(fresh)
            names = pods.setdefault(entity.namespace, set())
            if entity.name in names:
                raise TraceError(f"pod {entity.name} is listed twice at {tick // 1000}")
            names.add(entity.name)
            containers.setdefault(entity.path, set())
        elif entity.kind == "container":
            containers.setdefault(entity.path.rpartition("/containers/")[0], set()).add(entity.name)
    for space, totals in spaces.items():
        totals.emit(model, tick, f"/namespaces/{space}")
        model.names(tick, f"/namespaces/{space}/pods/", pods[space])
        for field, value in totals.sums.items():
            cluster.add(field, value)
    cluster.emit(model, tick, "")
    model.names(tick, "/nodes/", nodes)
    model.names(tick, "/namespaces/", spaces)
    for node, names in system.items():
        model.names(tick, f"/nodes/{node}/freecontainers/", names)
    for path, names in containers.items():
        model.names(tick, f"{path}/containers/", names)
    model.metric_lists(tick)
