"""What has metrics: a node, a system container, a pod, a container, and the parts of these."""

from typing import NamedTuple, Optional


class Entity(NamedTuple):
    """One entity as one body describes it.

    `measured` is {field: (stamp ms, value, life ms or None) or None}, with every field that such an entity
    can have. `start` is when it began, by the summary. `path` is where the Heapster model has its metrics,
    and `query` the label set to ask for there; `path` is None for what Heapster does not know.
    """

    node: str
    kind: str
    name: str
    measured: dict
    namespace: str = ""
    pod: str = ""
    pod_uid: str = ""
    container: str = ""
    labels: tuple = ()
    start: Optional[int] = None
    path: Optional[str] = None
    query: str = ""

    @property
    def identity(self):
        """What tells it from all others: a pod is its UID, all else is a name in its parent."""
        return (self.node, self.kind, self.pod_uid, self.container, self.name)
