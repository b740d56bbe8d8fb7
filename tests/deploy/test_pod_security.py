"""Which Pod Security Standard each rendered pod meets, and what exactly the agent of base asks beyond it."""

import unittest

import pod_security
import rendered

# The node's network and the probes on its loopback; its cgroups and the kubelet's certificate.
BEYOND = {"hostNamespaces", "hostProbesAndHostLifecycle", "hostPathVolumes", "restrictedVolumes"}


def broken(objects, kind, name, level="restricted"):
    pod = rendered.pod_template(rendered.named(objects, kind, name))["spec"]
    return pod_security.violations(pod, level)


class PodSecurity(unittest.TestCase):
    def test_the_aggregator_meets_restricted_everywhere(self):
        for name in rendered.names():
            with self.subTest(name):
                self.assertEqual(broken(rendered.render(name), "Deployment", "cairn-aggregator"), set())

    def test_the_agent_fails_restricted_for_the_nodes_network_and_directories_alone(self):
        for name in rendered.names():
            with self.subTest(name):
                expected = set() if "restricted" in name else set(BEYOND)
                if "selinux" in name or "openshift" in name:
                    expected.add("seLinuxOptions")
                self.assertEqual(broken(rendered.render(name), "DaemonSet", "cairn-agent"), expected)

    def test_the_namespace_admits_its_pods_and_no_more_than_they_need(self):
        for name in rendered.names():
            with self.subTest(name):
                objects = rendered.render(name)
                namespace = rendered.named(objects, "Namespace", "cairn", None)
                level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
                self.assertEqual(level, "restricted" if "restricted" in name else "privileged")
                for workload in rendered.workloads(objects):
                    pod = rendered.pod_template(workload)["spec"]
                    self.assertEqual(pod_security.violations(pod, level), set(), rendered.title(workload))

    def test_no_container_can_write_its_root_or_run_as_root(self):
        for name in rendered.names():
            for workload in rendered.workloads(rendered.render(name)):
                for container in rendered.containers(workload):
                    with self.subTest(name, container=container["name"]):
                        self.assertIs(container["securityContext"]["readOnlyRootFilesystem"], True)
                        self.assertIs(container["securityContext"]["allowPrivilegeEscalation"], False)


class Evaluator(unittest.TestCase):
    """Each control is broken by something, so that none of the above passes for want of an eye."""

    GOOD = {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {"name": "a", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
        ],
    }

    BAD = {
        "hostNamespaces": {"hostPID": True},
        "windowsHostProcess": {"securityContext": {"windowsOptions": {"hostProcess": True}}},
        "hostPathVolumes": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
        "restrictedVolumes": {"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]},
        "appArmorProfile": {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
        "seLinuxOptions": {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}},
        "seccompProfile_baseline": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
        "sysctls": {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
        "runAsUser": {"securityContext": {"runAsUser": 0}},
        "runAsNonRoot": {"securityContext": {}},
        "seccompProfile_restricted": {"securityContext": {}},
    }

    BAD_CONTAINERS = {
        "privileged": {"securityContext": {"privileged": True}},
        "capabilities_baseline": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
        "hostPorts": {"ports": [{"containerPort": 1, "hostPort": 1}]},
        "hostProbesAndHostLifecycle": {"livenessProbe": {"httpGet": {"host": "127.0.0.1", "port": 1}}},
        "procMount": {"securityContext": {"procMount": "Unmasked"}},
        "allowPrivilegeEscalation": {"securityContext": {}},
        "capabilities_restricted": {"securityContext": {"capabilities": {"add": ["CHOWN"], "drop": ["ALL"]}}},
    }

    def test_a_pod_that_asks_for_nothing_is_restricted(self):
        self.assertEqual(pod_security.violations(self.GOOD, "restricted"), set())

    def test_each_control_can_be_broken(self):
        pods = {control: {**self.GOOD, **change} for control, change in self.BAD.items()}
        for control, change in self.BAD_CONTAINERS.items():
            pods[control] = {**self.GOOD, "containers": [{**self.GOOD["containers"][0], **change}]}
        self.assertEqual(pods.keys(), pod_security.BASELINE.keys() | pod_security.RESTRICTED.keys())
        for control, pod in pods.items():
            with self.subTest(control):
                self.assertIn(control, pod_security.violations(pod, "restricted"))


if __name__ == "__main__":
    unittest.main()
