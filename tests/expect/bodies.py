"""Hand-made bodies for the unit tests, and the answers to them."""

import sys
from datetime import datetime, timezone

sys.dont_write_bytecode = True

import expect  # noqa: E402

START = 1_795_332_330_000  # a grid time; captures are made 3 s before theirs
NODE = "/api/v1/model/nodes/node1"
POD = "/api/v1/model/namespaces/shop/pods/web"
BOX = POD + "/containers/httpd"


def rfc(offset_ms):
    """The summary's stamp, whole seconds, of a time `offset_ms` after START."""
    seconds = (START + offset_ms) // 1000
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def memory(offset_ms, usage):
    """A memory group of the summary."""
    return {"time": rfc(offset_ms), "usageBytes": usage, "workingSetBytes": usage, "rssBytes": usage}


def disk(offset_ms, used):
    """A filesystem or the figures of a volume."""
    keys = ("usedBytes", "capacityBytes", "availableBytes", "inodes", "inodesFree", "inodesUsed")
    return {"time": rfc(offset_ms)} | {key: used + place for place, key in enumerate(keys)}


def pod(name="web", uid="u1", space="shop", **groups):
    """A pod of the summary without containers."""
    return {"podRef": {"name": name, "namespace": space, "uid": uid}, **groups}


def box(start_ms=-60_000, **groups):
    """A pod of one container."""
    return pod(containers=[{"name": "httpd", "startTime": rfc(start_ms), **groups}])


def run(*bodies, node="node1", more=None):
    """The answers to one body per tick: (pods, CPU), CPU stamps and lives as offsets from START."""
    nodes = {node: [], **(more or {})}
    for k, (pods, cpu) in enumerate(bodies):
        summary = {"node": {"nodeName": node}, "pods": pods}
        moved = {key: (START + at, ns, life) for key, (at, ns, life) in cpu.items()}
        nodes[node].append((START - 3_000 + 10_000 * k, summary, moved))
    return expect.expect(nodes)


def run_node(*stats):
    """The answers to one body per tick, each the node's own stats."""
    captures = [
        (START - 3_000 + 10_000 * k, {"node": {"nodeName": "node1", **each}}, {}) for k, each in enumerate(stats)
    ]
    return expect.expect({"node1": captures})


def points(answers, path, key="value"):
    """{seconds since START: value} of one series of the model."""
    return {line["tick"] - START // 1000: line[key] for line in answers.lines if line.get("path") == path}


def native(answers, kind, metric, key="value", **where):
    """{seconds since START: value} of one metric of the only such entity in the native lines."""
    wanted = {"kind": kind, "metric": metric, **where}
    found = [line for line in answers.lines if all(line.get(name) == value for name, value in wanted.items())]
    assert len({line["tick"] for line in found}) == len(found), f"more than one entity: {found}"
    return {line["tick"] - START // 1000: line[key] for line in found}


def lists(answers, path):
    """{seconds since START: names} of one list."""
    return {line["tick"] - START // 1000: line["names"] for line in answers.lines if line.get("list") == path}


def cpu_of_pod(*readings):
    """One body per reading (offset ms, ns) of the pod `web`; None is a body without the counter."""
    return run(*[([pod()], {("shop", "web"): (*r, None)} if r else {}) for r in readings])
