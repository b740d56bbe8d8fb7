"""What one object says of another is there: names, labels, ports, keys, files, and the names in certificates."""

import pathlib
import re
import tomllib
import unittest

import flags
import rendered

# In every namespace of a cluster.
OF_CLUSTER = {("ConfigMap", "kube-root-ca.crt")}


def each():
    for name in rendered.names():
        yield name, rendered.render(name)


def existing(objects):
    """(kind, name) of what is in the namespace, or will be put there by cert-manager."""
    found = {(thing["kind"], thing["metadata"]["name"]) for thing in objects}
    found |= {("Secret", thing["spec"]["secretName"]) for thing in rendered.of_kind(objects, "Certificate")}
    return found | OF_CLUSTER


def references(pod):
    """(kind, name) of all that a pod's volumes, environment and account refer to."""
    yield "ServiceAccount", pod["serviceAccountName"]
    for volume in pod.get("volumes", []):
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            if "configMap" in source:
                yield "ConfigMap", source["configMap"]["name"]
            if "secret" in source:
                yield "Secret", source["secret"].get("secretName") or source["secret"]["name"]
    for container in pod["containers"]:
        for source in [*container.get("envFrom", []), *(v.get("valueFrom", {}) for v in container.get("env", []))]:
            for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
                for key in (f"{field}Ref", f"{field}KeyRef"):
                    if key in source:
                        yield kind, source[key]["name"]


def files(volume):
    """The files that a volume is known to have; None where that is not known."""
    if "projected" in volume:
        names = set()
        for source in volume["projected"]["sources"]:
            (what,) = source.values()
            names |= {what["path"]} if "path" in what else {item["path"] for item in what["items"]}
        return names
    for kind in ("configMap", "secret"):
        if kind in volume and "items" in volume[kind]:
            return {item["path"] for item in volume[kind]["items"]}
    return None


def matches(selector, labels):
    return bool(selector) and selector.items() <= labels.items()


def pods_of(objects, selector):
    """The templates whose labels a selector matches."""
    templates = [rendered.pod_template(workload) for workload in rendered.workloads(objects)]
    return [template for template in templates if matches(selector, template["metadata"]["labels"])]


def port_names(template):
    return {
        name for container in template["spec"]["containers"] for port in container.get("ports", [])
        for name in (port["name"], port["containerPort"])
    }


def service_names(objects):
    """host -> the Service's ports, for every name in .svc form."""
    return {
        f"{thing['metadata']['name']}.{thing['metadata']['namespace']}.svc": {p["port"] for p in thing["spec"]["ports"]}
        for thing in rendered.of_kind(objects, "Service")
    }


def dialled(objects):
    """The hosts that somebody verifies: agents by their flag, the API server by the APIService."""
    for workload in rendered.workloads(objects):
        for container in rendered.containers(workload):
            for argument in container["args"]:
                if found := re.fullmatch(r"--(?:aggregator|peer)=https://(.*):(\d+)", argument):
                    yield found[1], int(found[2])
    for thing in rendered.of_kind(objects, "APIService"):
        service = thing["spec"]["service"]
        yield f"{service['name']}.{service['namespace']}.svc", service["port"]


# What reads a ConfigMap of the API server has to be where that is.
ELSEWHERE = {"cairn-aggregator-front-proxy": "kube-system"}


class References(unittest.TestCase):
    def test_whatever_a_pod_refers_to_exists(self):
        for name, objects in each():
            for workload in rendered.workloads(objects):
                for reference in references(rendered.pod_template(workload)["spec"]):
                    with self.subTest(name, of=rendered.title(workload)):
                        self.assertIn(reference, existing(objects))

    def test_everything_but_the_namespace_is_in_it(self):
        cluster = {"Namespace", "ClusterRole", "ClusterRoleBinding", "APIService", "SecurityContextConstraints"}
        for name, objects in each():
            for thing in objects:
                with self.subTest(name, thing=rendered.title(thing)):
                    expected = None if thing["kind"] in cluster else "cairn"
                    if thing["metadata"]["name"] in ELSEWHERE:
                        expected = ELSEWHERE[thing["metadata"]["name"]]
                    self.assertEqual(thing["metadata"].get("namespace"), expected)

    def test_nothing_is_shipped_that_is_filled_at_run_time(self):
        for name, objects in each():
            for thing in rendered.of_kind(objects, "Secret", "ConfigMap"):
                with self.subTest(name, thing=rendered.title(thing)):
                    self.assertFalse({"data", "stringData", "binaryData"} & thing.keys())
            for thing in rendered.of_kind(objects, "Lease"):
                self.assertNotIn("spec", thing)
            for thing in rendered.of_kind(objects, "APIService"):
                self.assertNotIn("caBundle", thing["spec"])
                self.assertIs(thing["spec"]["insecureSkipTLSVerify"], False)

    def test_the_objects_of_the_aggregators_flags_are_shipped_and_its_own(self):
        known = flags.of("cairn-aggregator")
        for name, objects in each():
            (container,) = rendered.containers(rendered.named(objects, "Deployment", "cairn-aggregator"))
            given = dict(flags.given(container))
            with self.subTest(name):
                self.assertEqual("--tls-self-managed" in given, rendered.is_self_managed(name))
                self.assertEqual("--tls-cert" in given, not rendered.is_self_managed(name))
                services = {thing["metadata"]["name"] for thing in rendered.of_kind(objects, "APIService")}
                if rendered.is_self_managed(name):
                    for kind, flag in (("Secret", "--tls-secret"), ("Lease", "--tls-secret"), ("ConfigMap", "--tls-ca-config-map")):
                        rendered.named(objects, kind, given.get(flag, known[flag].default))
                    self.assertEqual({given.get("CAIRN_TLS_API_SERVICE")} - {None}, services)
                else:
                    self.assertNotIn("CAIRN_TLS_API_SERVICE", given)

    def test_volumes_and_mounts_are_the_same(self):
        for name, objects in each():
            for workload in rendered.workloads(objects):
                pod = rendered.pod_template(workload)["spec"]
                mounts = [mount for container in pod["containers"] for mount in container["volumeMounts"]]
                with self.subTest(name, of=rendered.title(workload)):
                    self.assertEqual({m["name"] for m in mounts}, {v["name"] for v in pod["volumes"]})

    def test_files_that_are_named_are_mounted(self):
        for name, objects in each():
            for workload in rendered.workloads(objects):
                pod = rendered.pod_template(workload)["spec"]
                volumes = {volume["name"]: volume for volume in pod["volumes"]}
                for container in pod["containers"]:
                    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
                    values = [argument.partition("=")[2] for argument in container["args"]]
                    values += [variable.get("value", "") for variable in container.get("env", [])]
                    for path in (value for value in values if value.startswith("/")):
                        with self.subTest(name, path=path):
                            self.assert_mounted(path, mounts)

    def assert_mounted(self, path, mounts):
        if path.startswith("/usr/share/cairn/"):
            dockerfile = (rendered.DEPLOY / "docker/agent.Dockerfile").read_text()
            self.assertIn(f"COPY --from=build /out/proc {path}\n", dockerfile)
            return
        if path in mounts:
            return
        directory, _, file = path.rpartition("/")
        self.assertIn(directory, mounts)
        known = files(mounts[directory])
        self.assertTrue(known is None or file in known, f"{path}: the volume has {known}")

    def test_selectors_match_the_labels_of_pods(self):
        for name, objects in each():
            for workload in rendered.workloads(objects):
                selector = workload["spec"]["selector"]["matchLabels"]
                with self.subTest(name, of=rendered.title(workload)):
                    self.assertEqual(pods_of(objects, selector), [rendered.pod_template(workload)])
                    for spread in rendered.pod_template(workload)["spec"].get("topologySpreadConstraints", []):
                        self.assertEqual(spread["labelSelector"]["matchLabels"], selector)
            for thing in rendered.of_kind(objects, "PodDisruptionBudget"):
                self.assertEqual(len(pods_of(objects, thing["spec"]["selector"]["matchLabels"])), 1, name)

    def test_services_lead_to_ports_that_their_pods_have(self):
        for name, objects in each():
            for service in rendered.of_kind(objects, "Service"):
                pods = pods_of(objects, service["spec"]["selector"])
                with self.subTest(name, service=rendered.title(service)):
                    self.assertEqual(len(pods), 1)
                    for port in service["spec"]["ports"]:
                        self.assertIn(port["targetPort"], port_names(pods[0]))

    def test_network_policies_name_ports_that_their_pods_have(self):
        for name, objects in each():
            for policy in rendered.of_kind(objects, "NetworkPolicy"):
                pods = pods_of(objects, policy["spec"]["podSelector"]["matchLabels"])
                with self.subTest(name, policy=rendered.title(policy)):
                    self.assertEqual(len(pods), 1)
                    for rule in policy["spec"].get("ingress", []):
                        for port in rule["ports"]:
                            self.assertIn(port["port"], port_names(pods[0]))

    def test_plain_http_is_open_to_named_namespaces_alone(self):
        for name, objects in each():
            for policy in rendered.of_kind(objects, "NetworkPolicy"):
                for rule in policy["spec"].get("ingress", []):
                    ports = {port["port"] for port in rule["ports"]}
                    with self.subTest(name, policy=rendered.title(policy), ports=ports):
                        self.assertLessEqual(ports, {"grpc", "https", "admin", "http"})
                        if ports - {"grpc", "https"}:
                            self.assertTrue(all("namespaceSelector" in peer for peer in rule["from"]))
                            self.assertTrue(all(peer["namespaceSelector"] for peer in rule["from"]))

    def test_probes_ask_where_the_pod_listens(self):
        for name, objects in each():
            for workload in rendered.workloads(objects):
                template = rendered.pod_template(workload)
                for container in template["spec"]["containers"]:
                    for probe in ("livenessProbe", "readinessProbe"):
                        get = container[probe]["httpGet"]
                        with self.subTest(name, of=rendered.title(workload), probe=probe):
                            self.assertEqual(get["path"], "/livez" if probe == "livenessProbe" else "/readyz")
                            if template["spec"].get("hostNetwork"):
                                # The default of --admin-listen, which test_flags.py holds to the source.
                                self.assertEqual((get["host"], get["port"]), ("127.0.0.1", 9101))
                            else:
                                self.assertNotIn("host", get)
                                self.assertEqual(get["port"], "admin")
                                self.assertIn("admin", port_names(template))

    def test_who_is_dialled_has_a_service_with_that_port_and_a_name_in_the_certificate(self):
        readme = (rendered.DEPLOY / "README.md").read_text()
        (recipe,) = [names for names in re.findall(r"subjectAltName=([^\\\s]*)", readme) if "cairn" in names]
        recipe = set(recipe.split(","))
        for name, objects in each():
            for host, port in dialled(objects):
                with self.subTest(name, host=host):
                    self.assertIn(port, service_names(objects)[host])
                    self.assertIn(f"DNS:{host}", recipe)
                    if rendered.is_self_managed(name):
                        # NAME.cairn.svc of each Service in the flag's default.
                        services = flags.of("cairn-aggregator")["--tls-service"].default.split(",")
                        self.assertIn(host, {f"{service}.cairn.svc" for service in services})
                    if "cert-manager" in name:
                        certificate = rendered.named(objects, "Certificate", "cairn-aggregator-tls")
                        self.assertIn(host, certificate["spec"]["dnsNames"])

    def test_names_that_heapsters_clients_send_are_served(self):
        objects = rendered.render("overlays/heapster")
        (container,) = rendered.containers(rendered.named(objects, "Deployment", "cairn-aggregator"))
        (hosts,) = [a.partition("=")[2] for a in container["args"] if a.startswith("--http-host=")]
        service = rendered.named(objects, "Service", "heapster")
        self.assertEqual([(p["port"], p["targetPort"]) for p in service["spec"]["ports"]], [(80, "http")])
        self.assertLessEqual({"heapster", "heapster.cairn", "heapster.cairn.svc"}, set(hosts.split(",")))

    def test_images_have_the_version_as_their_tag(self):
        cargo = tomllib.loads(pathlib.Path(rendered.ROOT, "Cargo.toml").read_text())
        version = cargo["workspace"]["package"]["version"]
        for name, objects in each():
            for workload in rendered.workloads(objects):
                for container in rendered.containers(workload):
                    with self.subTest(name, image=container["image"]):
                        self.assertRegex(container["image"], rf"^cairn-(agent|aggregator):{re.escape(version)}$")


    def test_openshift_admits_what_the_agent_asks_for(self):
        for name, objects in each():
            pod = rendered.pod_template(rendered.named(objects, "DaemonSet", "cairn-agent"))["spec"]
            for scc in rendered.of_kind(objects, "SecurityContextConstraints"):
                with self.subTest(name):
                    kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
                    self.assertLessEqual(kinds, set(scc["volumes"]))
                    self.assertEqual(scc["runAsUser"], {"type": "MustRunAs", "uid": pod["securityContext"]["runAsUser"]})
                    # MustRunAs wants a level, which OpenShift would take from the namespace and the pod lacks.
                    self.assertEqual(scc["seLinuxContext"], {"type": "RunAsAny"})
                    self.assertIs(scc["allowHostNetwork"], pod["hostNetwork"])
                    for container in pod["containers"]:
                        drops = container["securityContext"]["capabilities"]["drop"]
                        self.assertEqual(scc["requiredDropCapabilities"], drops)


class Shape(unittest.TestCase):
    """What each overlay is for."""

    def test_base_takes_nothing_over(self):
        for name, objects in each():
            with self.subTest(name):
                self.assertEqual(bool(rendered.of_kind(objects, "APIService")), "metrics-api" in name)

    def test_ingest_publishes_replicas_that_are_not_ready(self):
        service = rendered.named(rendered.render("base"), "Service", "cairn-ingest")
        self.assertEqual(service["spec"]["clusterIP"], "None")
        self.assertIs(service["spec"]["publishNotReadyAddresses"], True)

    def test_replicas(self):
        for name, objects in each():
            count = rendered.named(objects, "Deployment", "cairn-aggregator")["spec"]["replicas"]
            self.assertEqual(count, 1 if name == "overlays/single-replica" else 2, name)

    def test_tokens_are_projected_and_short(self):
        for name, objects in each():
            for workload in rendered.workloads(objects):
                pod = rendered.pod_template(workload)["spec"]
                with self.subTest(name, of=rendered.title(workload)):
                    self.assertIs(pod["automountServiceAccountToken"], False)
                    tokens = [
                        source["serviceAccountToken"] for volume in pod["volumes"]
                        for source in volume.get("projected", {}).get("sources", [])
                        if "serviceAccountToken" in source
                    ]
                    self.assertTrue(all(token["expirationSeconds"] == 3600 for token in tokens))
                    # One for the cluster (of agents: for the kubelet), and one for aggregators alone.
                    self.assertEqual([token.get("audience") for token in tokens], [None, "cairn-aggregator"])
            for account in rendered.of_kind(objects, "ServiceAccount"):
                self.assertIs(account["automountServiceAccountToken"], False)

    def test_the_agent_mounts_two_directories_read_only(self):
        for name, objects in each():
            pod = rendered.pod_template(rendered.named(objects, "DaemonSet", "cairn-agent"))["spec"]
            paths = {v["name"]: v["hostPath"] for v in pod["volumes"] if "hostPath" in v}
            with self.subTest(name):
                expected = set() if "restricted" in name else {"/sys/fs/cgroup", "/var/lib/kubelet/pki"}
                self.assertEqual({path["path"] for path in paths.values()}, expected)
                for mount in (m for c in pod["containers"] for m in c["volumeMounts"] if m["name"] in paths):
                    self.assertEqual((mount["readOnly"], mount["recursiveReadOnly"]), (True, "IfPossible"))
                for field in ("hostPID", "hostIPC"):
                    self.assertNotIn(field, pod)


if __name__ == "__main__":
    unittest.main()
