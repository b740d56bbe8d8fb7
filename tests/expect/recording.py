"""Reads a recorded kubelet trace: the files of a folder or tar archive, the summary, the CPU counters.

Whatever does not look as the expectations assume is an error (`TraceError`): a test must not pass
because its second opinion skipped what it did not understand.
"""

import json
import os
import pathlib
import re
import tarfile
from datetime import datetime, timezone
from decimal import ROUND_FLOOR, Context, Decimal, Inexact, InvalidOperation, localcontext

FILES = ("captured_at", "stats_summary", "metrics_resource")


class TraceError(Exception):
    """The recording is not what the expectations assume."""


def scaled(text, factor, exact):
    """A decimal text times `factor`, rounded down to an integer; with `exact`, a remainder is an error."""
    try:
        with localcontext(Context(prec=60, traps=[Inexact, InvalidOperation])):
            number = Decimal(text) * factor
            whole = int(number.to_integral_value(ROUND_FLOOR))
    except (ArithmeticError, ValueError) as error:
        raise TraceError(f"not a number that can be kept exactly: {text}") from error
    if exact and whole != number:
        raise TraceError(f"{text} times {factor} is not a whole number")
    return whole


def utc_ms(text):
    """Unix ms of an RFC 3339 UTC time with whole seconds."""
    parsed = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    return int(parsed.replace(tzinfo=timezone.utc).timestamp()) * 1000


LINE = re.compile(r"(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+(?P<ms>-?\d+))?\s*")
LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"(?:,\s*|$)')
ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


def labels_of(text):
    """The label set of one exposition line as a dict."""
    found, end = {}, 0
    while end < len(text):
        match = LABEL.match(text, end)
        if match is None:
            raise TraceError(f"labels not understood: {text}")
        found[match[1]] = re.sub(r'\\[n"\\]', lambda m: ESCAPES[m[0]], match[2])
        end = match.end()
    return found


def parse_resource(text):
    """CPU of /metrics/resource: {(): ..., (ns, pod): ..., (ns, pod, container): ...}, each
    (stamp ms, counter ns, life start ms or None)."""
    counters, starts = {}, {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None:
            raise TraceError(f"line not understood: {line}")
        kind, _, what = match["name"].partition("_")
        if what not in ("cpu_usage_seconds_total", "start_time_seconds"):
            continue
        if kind not in ("node", "pod", "container"):
            continue
        labels = labels_of(match["labels"] or "")
        key = tuple(labels[name] for name in ("namespace", "pod", "container") if name in labels)
        if len(key) != {"node": 0, "pod": 2, "container": 3}[kind]:
            raise TraceError(f"labels do not name a {kind}: {line}")
        if what == "start_time_seconds":
            if kind == "container":
                starts[key] = scaled(match["value"], 1000, exact=False)
            continue
        if match["ms"] is None:
            raise TraceError(f"a counter without its time: {line}")
        if key in counters:
            raise TraceError(f"counter given twice: {line}")
        counters[key] = (int(match["ms"]), scaled(match["value"], 10**9, exact=True))
    return {key: (*found, starts.get(key)) for key, found in counters.items()}


def read_files(path):
    """{(node folder, number): {file name: text}} of a folder or a tar archive."""
    captures = {}

    def keep(name, load):
        parts = name.replace(os.sep, "/").split("/")
        if len(parts) >= 3 and parts[-1] in FILES and re.fullmatch(r"\d+", parts[-2]):
            captures.setdefault((parts[-3], int(parts[-2])), {})[parts[-1]] = load().decode("utf-8")

    if os.path.isdir(path):
        for folder, _, names in os.walk(path):
            for name in names:
                full = os.path.join(folder, name)
                keep(full, lambda full=full: pathlib.Path(full).read_bytes())
    else:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                if member.isfile():
                    keep(member.name, lambda member=member: archive.extractfile(member).read())
    return captures


def load(path):
    """Per node, in order of its name, its captures in time order: (captured ms, summary, CPU)."""
    nodes = {}
    for (node, number), files in sorted(read_files(path).items()):
        missing = [name for name in FILES if name not in files]
        if missing:
            raise TraceError(f"{node}/{number:02}: no {', '.join(missing)}")
        captures = nodes.setdefault(node, [])
        if number != len(captures) + 1:
            raise TraceError(f"{node}: folder {len(captures) + 1:02} is missing")
        captured = scaled(files["captured_at"].strip(), 1000, exact=True)
        summary = json.loads(files["stats_summary"], parse_float=Decimal)
        if summary["node"]["nodeName"] != node:
            raise TraceError(f"{node}/{number:02} is of {summary['node']['nodeName']}")
        captures.append((captured, summary, parse_resource(files["metrics_resource"])))
    if not nodes:
        raise TraceError("no captures found: is this a folder or archive with NODE/01, NODE/02, ...?")
    return nodes
