"""Prints what the Kubernetes client of Python reads of metrics.k8s.io, with the configuration of $KUBECONFIG."""

import json
import os
import sys

# Where a proxy is set the client goes through it, to this machine's own address too.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

from kubernetes import client, config  # noqa: E402

GROUP, VERSION = "metrics.k8s.io", "v1beta1"

config.load_kube_config(os.environ["KUBECONFIG"])
objects = client.CustomObjectsApi()
read = {
    "resources": [resource.name for resource in objects.get_api_resources(GROUP, VERSION).resources],
    "nodes": objects.list_cluster_custom_object(GROUP, VERSION, "nodes"),
    "node": objects.get_cluster_custom_object(GROUP, VERSION, "nodes", "node1"),
    "pods": objects.list_cluster_custom_object(GROUP, VERSION, "pods"),
    "webs": objects.list_namespaced_custom_object(GROUP, VERSION, "shop", "pods", label_selector="app=web"),
}
try:
    objects.get_cluster_custom_object(GROUP, VERSION, "nodes", "none")
except client.ApiException as refused:
    read["none"] = {"status": refused.status, "message": json.loads(refused.body)["message"]}
json.dump(read, sys.stdout)
