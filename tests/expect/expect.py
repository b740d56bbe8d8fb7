#!/usr/bin/env python3
"""Says what Cairn must answer at each tick while a recorded kubelet trace is replayed.

It is the second opinion of the end-to-end test: written against the contract, standard library only,
sharing no code with the product. It reads `NODE/01..NN/{captured_at,stats_summary,metrics_resource}`
(a folder or a tar archive) and prints JSON lines, sorted by tick and then by path:

    {"tick": SECONDS, "path": "/api/v1/model/.../metrics/cpu/usage_rate", "value": 14, "float": null}
    {"tick": SECONDS, "list": "/api/v1/model/namespaces/shop/pods/", "names": ["a", "b"]}

`tick` is in Unix seconds. A tick without a line for a path has no point there: the output is complete.
`value` is an integer (ns, bytes, millicores, whole bytes/s); `float` is null, except for network rates.

Ticks. The grid is Unix time in steps of 10 s. Tick 0 is the first grid time not before the first
capture of the first node; tick k must see capture k+1 of every node, which is checked.

Where values come from.
* CPU of nodes, pods and containers: the counters of /metrics/resource with their ms stamps. A container's
  life begins at the `container_start_time_seconds` of the same body; nodes and pods have no life there.
* Memory of everything, network of pods (and of a node that reports totals), CPU and memory of system
  containers: /stats/summary, whose stamps are whole seconds.
* Pods and containers of the two bodies are joined by namespace, pod name and container name. The
  summary decides what exists: an entity it does not list has no values and is in no list at that tick.

What a series (one field of one entity) answers.
* A pod is its UID, a container is its name in a pod UID. Both may vanish and come back and go on.
* A measurement counts when it is later than the last one that counted. An equal stamp changes nothing,
  an earlier one is late and is ignored.
* The rate is the change of the counter over the change of the stamp between the last two measurements
  that counted, and is repeated until the next one.
* A counter that fell, or a life that began more than 2 s off the one before, is a reset: no rate there,
  and what came before the reset is forgotten. No rate either when the measurements lie more than
  90 s apart.
* What a body leaves out of an entity it lists is held. A container's values are not held into another
  life of the container. Whatever is more than 90 s old at the tick is absent, never zero.

Sums. A namespace is the sum of its pods and the cluster the sum of its namespaces, of memory/usage and
of cpu/usage_rate; one pod with a value is enough. CPU rates are whole nanocores inside, so sums add
those; millicores are rounded down once, at the end.
"""

import argparse
import json
import sys
import tarfile

from recording import TraceError, load, utc_ms

INTERVAL_MS = 10_000
MAX_AGE_MS = 90_000
LIFE_TOLERANCE_MS = 2_000
MODEL = "/api/v1/model"
MEMORY = {
    "memory/usage": "usageBytes",
    "memory/working_set": "workingSetBytes",
    "memory/rss": "rssBytes",
}
NETWORK = {"network/rx": "rxBytes", "network/tx": "txBytes"}
COUNTERS = {"cpu/usage", *NETWORK}


def grid(nodes):
    """The ticks in ms; fails unless tick k sees exactly capture k+1 of every node."""
    first = next(iter(nodes.values()))
    start = -(-first[0][0] // INTERVAL_MS) * INTERVAL_MS
    ticks = [start + INTERVAL_MS * k for k in range(len(first))]
    for node, captures in nodes.items():
        seen = [sum(captured <= tick for captured, _, _ in captures) for tick in ticks]
        if seen != list(range(1, len(captures) + 1)):
            raise TraceError(f"{node}: the ticks see the captures {seen}, not each one once")
    return ticks


class Series:
    """One field of one entity: the last measurement that counted, and the rate that came with it."""

    def __init__(self, label, events, counts):
        self.label, self.events, self.counts = label, events, counts
        self.stamp = self.value = self.life = self.rate = self.held_life = None

    def offer(self, tick, stamp, value, life=None):
        """Takes in what a body says at `tick` (ms); says whether it counted."""
        if self.stamp is not None and stamp <= self.stamp:
            if stamp < self.stamp:
                self.note(tick, "late", by_ms=self.stamp - stamp)
            else:
                self.note(tick, "same_time", same_value=value == self.value)
            return False
        self.rate = None
        if self.stamp is None or not self.counts:
            pass
        elif life is not None and self.life is not None and abs(life - self.life) > LIFE_TOLERANCE_MS:
            self.note(tick, "reset_life", fell=value < self.value, moved_ms=life - self.life)
        elif value < self.value:
            self.note(tick, "fell", from_value=self.value, to_value=value)
        elif stamp - self.stamp > MAX_AGE_MS:
            self.note(tick, "too_far_apart", gap_ms=stamp - self.stamp)
        else:
            self.rate = (value - self.value, stamp - self.stamp)
        self.stamp, self.value = stamp, value
        self.life = self.life if life is None else life
        return True

    def is_fresh(self, tick):
        """Whether the series has a value at `tick` (ms)."""
        return self.stamp is not None and tick - self.stamp <= MAX_AGE_MS

    def note(self, tick, event, **more):
        """Remembers something out of the ordinary, for the reader of --events."""
        self.events.append({"tick": tick // 1000, "series": self.label, "event": event, **more})


class Answers:
    """Collects the lines of all ticks, and the series behind them."""

    def __init__(self):
        self.series, self.lines, self.events = {}, [], []

    def see(self, tick, entity, path, measured, life=None):
        """Feeds one entity at one tick and emits its lines.

        `measured` is {field: (stamp, value, life) or None}; `life` is what the summary says of the
        start of the entity. Returns {field: Series} of the fields that have a value.
        """
        fresh = {}
        for field, found in measured.items():
            series = self.series.get((entity, field))
            if series is None:
                series = self.series[entity, field] = Series(
                    f"{path}/metrics/{field}", self.events, field in COUNTERS
                )
            if found is not None:
                if series.offer(tick, *found):
                    series.held_life = life
            elif None not in (life, series.held_life) and abs(life - series.held_life) > LIFE_TOLERANCE_MS:
                series.stamp = series.value = series.life = series.rate = None
            elif series.stamp is not None:
                series.note(tick, "held")
            if series.is_fresh(tick):
                fresh[field] = series
            elif series.stamp is not None:
                series.note(tick, "too_old", age_ms=tick - series.stamp)
        for field, series in fresh.items():
            self.emit(tick, path, field, series.value)
            if series.rate is None:
                continue
            if field == "cpu/usage":
                self.emit(tick, path, "cpu/usage_rate", nanocores(series.rate) // 10**6)
            elif field in NETWORK:
                delta, elapsed = series.rate
                rate = delta * 1000 / elapsed
                self.emit(tick, path, field + "_rate", delta * 1000 // elapsed, rate)
        return fresh

    def emit(self, tick, path, field, value, exact=None):
        """Adds a line for one sample."""
        name = f"{MODEL}{path}/metrics/{field}"
        self.lines.append({"tick": tick // 1000, "path": name, "value": value, "float": exact})

    def names(self, tick, path, names):
        """Adds a line for one list."""
        self.lines.append({"tick": tick // 1000, "list": MODEL + path, "names": sorted(names)})


def nanocores(rate):
    """Whole ns of CPU per second, rounded down, of (delta ns, elapsed ms)."""
    return rate[0] * 1000 // rate[1]


def from_summary(stats, group, fields):
    """{field: (stamp, value, None) or None} of one group of a summary entry."""
    found = stats.get(group) or {}
    return {
        field: (utc_ms(found["time"]), found[key], None) if found.get(key) is not None else None
        for field, key in fields.items()
    }


class Totals:
    """Sums of one namespace or of the cluster at one tick; None until one part has the value."""

    def __init__(self):
        self.sums = {"memory/usage": None, "cpu/usage_rate": None}

    def add(self, field, value):
        """Adds one part; None adds nothing."""
        if value is not None:
            self.sums[field] = (self.sums[field] or 0) + value

    def emit(self, answers, tick, path):
        """Adds the lines of the sums that exist."""
        for field, value in self.sums.items():
            if value is not None:
                answers.emit(tick, path, field, value // 10**6 if field == "cpu/usage_rate" else value)


def see_node(answers, tick, node, summary, cpu):
    """One node and its system containers."""
    stats = summary["node"]
    measured = from_summary(stats, "memory", MEMORY) | from_summary(stats, "network", NETWORK)
    answers.see(tick, ("node", node), f"/nodes/{node}", measured | {"cpu/usage": cpu.get(())})
    system = stats.get("systemContainers") or []
    for entry in system:
        measured = from_summary(entry, "memory", MEMORY)
        measured |= from_summary(entry, "cpu", {"cpu/usage": "usageCoreNanoSeconds"})
        path = f"/nodes/{node}/freecontainers/{entry['name']}"
        answers.see(tick, ("sys", node, entry["name"]), path, measured)
    answers.names(tick, f"/nodes/{node}/freecontainers/", {entry["name"] for entry in system})


def see_pod(answers, tick, pod, cpu):
    """One pod and its containers; returns the pod's fresh series."""
    space, name, uid = (pod["podRef"][key] for key in ("namespace", "name", "uid"))
    path = f"/namespaces/{space}/pods/{name}"
    measured = from_summary(pod, "memory", MEMORY) | from_summary(pod, "network", NETWORK)
    measured |= {"cpu/usage": cpu.get((space, name))}
    fresh = answers.see(tick, ("pod", uid), path, measured)
    containers = {}
    for entry in pod.get("containers") or []:
        if entry["name"] in containers:
            raise TraceError(f"{path} lists the container {entry['name']} twice")
        containers[entry["name"]] = entry
        measured = from_summary(entry, "memory", MEMORY)
        measured |= {"cpu/usage": cpu.get((space, name, entry["name"]))}
        life = utc_ms(entry["startTime"]) if entry.get("startTime") else None
        key = ("container", uid, entry["name"])
        answers.see(tick, key, f"{path}/containers/{entry['name']}", measured, life)
    answers.names(tick, f"{path}/containers/", containers)
    return fresh


def see_tick(answers, tick, captures):
    """Everything at one tick; `captures` is {node: (summary, CPU)}."""
    spaces, cluster = {}, Totals()
    for node, (summary, cpu) in captures.items():
        see_node(answers, tick, node, summary, cpu)
        for pod in summary.get("pods") or []:
            totals, pods = spaces.setdefault(pod["podRef"]["namespace"], (Totals(), set()))
            if pod["podRef"]["name"] in pods:
                raise TraceError(f"pod {pod['podRef']['name']} is listed twice at {tick // 1000}")
            pods.add(pod["podRef"]["name"])
            fresh = see_pod(answers, tick, pod, cpu)
            if "memory/usage" in fresh:
                totals.add("memory/usage", fresh["memory/usage"].value)
            if "cpu/usage" in fresh and fresh["cpu/usage"].rate is not None:
                totals.add("cpu/usage_rate", nanocores(fresh["cpu/usage"].rate))
    for space, (totals, pods) in spaces.items():
        totals.emit(answers, tick, f"/namespaces/{space}")
        answers.names(tick, f"/namespaces/{space}/pods/", pods)
        for field, value in totals.sums.items():
            cluster.add(field, value)
    cluster.emit(answers, tick, "")
    answers.names(tick, "/nodes/", captures)
    answers.names(tick, "/namespaces/", spaces)


def expect(nodes):
    """The answers of a whole recording, as returned by `load`."""
    answers = Answers()
    for k, tick in enumerate(grid(nodes)):
        see_tick(answers, tick, {node: captures[k][1:] for node, captures in nodes.items()})
    answers.lines.sort(key=lambda line: (line["tick"], line.get("path") or line["list"]))
    return answers


def write_lines(out, lines):
    """One compact JSON object a line."""
    for line in lines:
        out.write(json.dumps(line, separators=(",", ":")) + "\n")


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace", help="folder or tar archive with NODE/01, NODE/02, ...")
    parser.add_argument("--out", help="write there instead of to standard output")
    parser.add_argument("--events", help="also write what was out of the ordinary (resets, holds, ...) there")
    args = parser.parse_args()
    try:
        answers = expect(load(args.trace))
    except (TraceError, OSError, ValueError, tarfile.TarError) as error:
        sys.exit(f"expect.py: {args.trace}: {error}")
    if args.out:
        with open(args.out, "w", encoding="utf-8") as out:
            write_lines(out, answers.lines)
    else:
        write_lines(sys.stdout, answers.lines)
    if args.events:
        with open(args.events, "w", encoding="utf-8") as out:
            write_lines(out, answers.events)


if __name__ == "__main__":
    main()
