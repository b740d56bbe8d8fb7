"""What kustomize makes of deploy/, as a stock kubectl renders it."""

import functools
import pathlib
import os
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBECTL = ROOT / ".tools/bin/kubectl"

# Everything that can be installed as it is.
PLAIN = ("base", *sorted(f"overlays/{path.name}" for path in (DEPLOY / "overlays").iterdir()))

# What is put together by hand: base with these components, in this order.
MIXED = (
    ("tls-files",),
    ("metrics-api", "tls-files"),
    ("cert-manager",),
    ("metrics-api", "cert-manager"),
    ("restricted", "cert-manager"),
    ("metrics-api", "heapster", "openshift", "cert-manager"),
)


def names():
    """Every rendering that is tested: a path below deploy/, or components joined by a plus."""
    return [*PLAIN, *("+".join(mix) for mix in MIXED)]


@functools.cache
def render(name):
    """The objects of one of `names()`, in the order in which kubectl applies them."""
    if name in PLAIN:
        return kustomize(DEPLOY / name)
    components = [f"../deploy/components/{component}" for component in name.split("+")]
    return site({"resources": ["../deploy/base"], "components": components})


def site(kustomization):
    """The objects of a kustomization in a directory beside deploy/."""
    with tempfile.TemporaryDirectory() as directory:
        at = os.path.relpath(DEPLOY, os.path.realpath(directory))
        text = yaml.safe_dump(kustomization).replace("../deploy/", f"{at}/")
        pathlib.Path(directory, "kustomization.yaml").write_text(text)
        return kustomize(directory)


def kustomize(directory):
    run = subprocess.run(
        [KUBECTL, "kustomize", str(directory)], capture_output=True, text=True, check=False, timeout=120
    )
    if run.returncode != 0 or run.stderr:
        raise AssertionError(f"kubectl kustomize {directory}: {run.stderr}")
    return [found for found in yaml.safe_load_all(run.stdout) if found]


def is_self_managed(name):
    """True where the aggregator makes its certificate by itself."""
    return not {"tls-files", "cert-manager"} & set(name.split("+"))


def of_kind(objects, *kinds):
    return [found for found in objects if found["kind"] in kinds]


def named(objects, kind, name, namespace="cairn"):
    """The one object of this kind and name; a failure when there is none."""
    for found in of_kind(objects, kind):
        if found["metadata"]["name"] == name and found["metadata"].get("namespace") in (namespace, None):
            return found
    raise AssertionError(f"no {kind} {name}")


def title(found):
    return f"{found['kind']} {found['metadata']['name']}"


def workloads(objects):
    return of_kind(objects, "DaemonSet", "Deployment")


def pod_template(workload):
    return workload["spec"]["template"]


def containers(workload):
    spec = pod_template(workload)["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]
