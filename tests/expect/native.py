"""What the native API answers: every field of every life of every entity.

A line: {"tick": SECONDS, "node": ..., "kind": "container", "namespace": ..., "pod": ..., "pod_uid": ...,
"container": ..., "name": ..., "labels": {...}, "metric": "memory_usage_bytes", "value": N,
"rate": [DELTA, OVER_MS] or null}. The API prints a rate as DELTA * 1000 / OVER_MS. What does not apply is "":
a pod's own `pod`, the `name` of a node, the `container` of what is in no container.
"""


def line(tick, entity, metric, value, rate=None):
    """The line of one value."""
    return {
        "tick": tick // 1000,
        "node": entity.node,
        "kind": entity.kind,
        "namespace": entity.namespace,
        "pod": entity.pod,
        "pod_uid": entity.pod_uid,
        "container": entity.container,
        "name": entity.name,
        "labels": dict(entity.labels),
        "metric": metric,
        "value": value,
        "rate": None if rate is None else list(rate),
    }


def lines(tick, entity, fresh, uptime_ms=None):
    """The lines of one entity at one tick; `fresh` is {field: Series}."""
    found = [line(tick, entity, field, series.value, series.rate) for field, series in fresh.items()]
    if uptime_ms is not None:
        found.append(line(tick, entity, "uptime_ms", uptime_ms))
    return found


def order(found):
    """The sort key of a line: the tick, then what it is of."""
    keys = ("tick", "node", "kind", "namespace", "pod", "container", "name", "pod_uid", "metric")
    return tuple(found[key] for key in keys)
