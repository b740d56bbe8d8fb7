#!/usr/bin/env python3
"""Says what Cairn must answer at each tick while a recorded kubelet trace is replayed.

It is the second opinion of the end-to-end test: written against the contract, standard library only,
sharing no code with the product. It reads `NODE/01..NN/{captured_at,stats_summary,metrics_resource}`
(a folder or a tar archive) and prints JSON lines: first those of the Heapster model API by tick and path,

    {"tick": SECONDS, "path": "/api/v1/model/.../metrics/cpu/usage_rate", "value": 14, "float": null}
    {"tick": SECONDS, "path": ".../metrics/filesystem/usage?labels=resource_id:/", "value": 5, "float": null}
    {"tick": SECONDS, "list": "/api/v1/model/namespaces/shop/pods/", "names": ["a", "b"]}

then those of the native API by tick and entity, as native.py says. `tick` is in Unix seconds. A tick without a line
for a path or a metric has no point there: the output is complete, but for /proc (see expect_proc.py).
`value` is an integer (ns, bytes, millicores, whole bytes/s); `float` is null, except for rates other than CPU.

Ticks. The grid is Unix time in steps of 10 s. Tick 0 is the first grid time not before the first
capture of the first node, and the last tick the first one that sees every capture. A tick sees of each
node the last capture at or before it, also when the tick before saw it already.

The rules are written where they are applied: what exists and where values come from in summary.py, which
measurements count and what their rates are in series.py, sums and lists in heapster.py.

Uptime is the tick less the start of the entity, never below zero. It is there when the entity has a value
of memory, else of CPU, and the start is the one that came with the measurement that is held.
"""

import argparse
import json
import sys
import tarfile

import heapster
import native
import summary
from recording import TraceError, load
from series import Store

INTERVAL_MS = 10_000


def grid(nodes):
    """The ticks in ms; fails when the first one does not see every node."""
    first = -(-next(iter(nodes.values()))[0][0] // INTERVAL_MS) * INTERVAL_MS
    for node, captures in nodes.items():
        if captures[0][0] > first:
            raise TraceError(f"{node}: its first capture comes after the first tick, {first // 1000}")
        if sorted(captures, key=lambda capture: capture[0]) != captures:
            raise TraceError(f"{node}: the captures are not in order")
    last = max(captures[-1][0] for captures in nodes.values())
    return list(range(first, last + INTERVAL_MS, INTERVAL_MS))


def seen_at(captures, tick):
    """The last capture at or before a tick: (summary, CPU)."""
    return [found for captured, *found in captures if captured <= tick][-1]


def uptime_of(tick, entity, fresh):
    """Uptime in ms of a node, system container, pod or container; None when it has none."""
    if entity.kind not in ("node", "system", "pod", "container"):
        return None
    held = [series for field, series in fresh.items() if summary.GROUPS[field] == "memory"]
    held = held or [fresh[field] for field in ("cpu_usage_core_nanos",) if field in fresh]
    if not held:
        return None
    start = max(held, key=lambda series: series.stamp).start
    return None if start is None else max(0, tick - start)


class Answers:
    """The lines of all ticks."""

    def __init__(self):
        self.store = Store(summary.GROUPS, summary.COUNTERS)
        self.model, self.native = heapster.Model(), []

    @property
    def lines(self):
        """All lines in their order."""
        model = sorted(self.model.lines, key=lambda line: (line["tick"], line.get("path") or line["list"]))
        return model + sorted(self.native, key=native.order)

    @property
    def events(self):
        """What was out of the ordinary."""
        return self.store.events

    def see(self, tick, captures):
        """Everything at one tick; `captures` is {node: (summary, CPU)}."""
        seen = []
        for node, (body, cpu) in captures.items():
            for entity in summary.entities(node, body, cpu):
                fresh = self.store.see(tick, entity)
                uptime_ms = uptime_of(tick, entity, fresh)
                seen.append((entity, fresh))
                self.native += native.lines(tick, entity, fresh, uptime_ms)
                if heapster.is_shown(entity):
                    self.model.see(tick, entity, fresh, uptime_ms)
        heapster.tick_sums_and_lists(self.model, tick, captures, seen)


def expect(nodes):
    """The answers of a whole recording, as returned by `load`."""
    answers = Answers()
    for tick in grid(nodes):
        answers.see(tick, {node: seen_at(captures, tick) for node, captures in nodes.items()})
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
    except (TraceError, OSError, ValueError, KeyError, tarfile.TarError) as error:
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
