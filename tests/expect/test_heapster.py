"""Unit tests of the lines of the Heapster model API."""

import unittest

from bodies import BOX, NODE, POD, START, box, disk, lists, memory, pod, points, rfc, run, run_node


class Sums(unittest.TestCase):
    def test_nanocores_are_added_before_they_become_millicores(self):
        def body(at, ns):
            pods = [pod("a", "u1"), pod("b", "u2"), pod("c", "u3", space="ops"), pod("d", "u4")]
            names = (("shop", "a"), ("shop", "b"), ("ops", "c"))
            return pods, {name: (at, ns, None) for name in names}

        answers = run(body(-2_000, 0), body(8_000, 6_000_000))  # 0.6 millicores each
        pods = ("/namespaces/shop/pods/a", "/namespaces/shop/pods/d")
        rates = {
            path: points(answers, f"/api/v1/model{path}/metrics/cpu/usage_rate").get(10)
            for path in (pods[0], "/namespaces/ops", "/namespaces/shop", "", pods[1])
        }
        self.assertEqual(list(rates.values()), [0, 0, 1, 1, None])

    def test_a_namespace_spans_nodes(self):
        other = {"node": {"nodeName": "node2"}, "pods": [pod("b", "u2", memory=memory(-1_000, 5))]}
        answers = run(([pod(memory=memory(-2_000, 7))], {}), more={"node2": [(START - 2_000, other, {})]})
        self.assertEqual(points(answers, "/api/v1/model/namespaces/shop/metrics/memory/usage"), {0: 12})

    def test_system_containers_belong_to_no_sum(self):
        stats = {"name": "pods", "memory": memory(-1_000, 5), "cpu": {"time": rfc(-1_000), "usageCoreNanoSeconds": 9}}
        summary = {"node": {"nodeName": "node2", "systemContainers": [stats]}, "pods": []}
        answers = run(([], {}), more={"node2": [(START - 2_000, summary, {})]})
        path = "/api/v1/model/nodes/node2/freecontainers/"
        self.assertEqual(points(answers, path + "pods/metrics/cpu/usage"), {0: 9})
        self.assertEqual(points(answers, path + "pods/metrics/memory/working_set"), {0: 5})
        self.assertEqual(points(answers, "/api/v1/model/metrics/memory/usage"), {})
        self.assertIn(["pods"], lists(answers, path).values())


class Labelled(unittest.TestCase):
    QUERY = "/metrics/filesystem/{}?labels=resource_id:{}"

    def test_a_container_has_its_root_and_its_logs(self):
        answers = run(([box(rootfs=disk(-2_000, 10), logs=disk(-5_000, 20))], {}))
        for name, value in (("usage", 10), ("limit", 11), ("available", 12), ("inodes", 13), ("inodes_free", 14)):
            self.assertEqual(points(answers, BOX + self.QUERY.format(name, "/")), {0: value})
            self.assertEqual(points(answers, BOX + self.QUERY.format(name, "logs")), {0: value + 10})
        self.assertEqual(points(answers, BOX + "/metrics/ephemeral_storage/usage"), {0: 30})

    def test_a_volume_is_under_its_pod_by_its_name_alone(self):
        claim = {"name": "claim", "namespace": "shop"}
        answers = run(([pod(volume=[{"name": "data", "pvcRef": claim, **disk(-2_000, 10)}])], {}))
        self.assertEqual(points(answers, POD + self.QUERY.format("usage", "Volume:data")), {0: 10})

    def test_a_node_has_its_root_only(self):
        runtime = {"imageFs": disk(-2_000, 20), "containerFs": disk(-2_000, 30)}
        answers = run_node({"fs": disk(-2_000, 10), "runtime": runtime})
        self.assertEqual(points(answers, NODE + self.QUERY.format("usage", "/")), {0: 10})
        self.assertEqual(points(answers, NODE + "/metrics/ephemeral_storage/usage"), {0: 10})
        labelled = [line["path"] for line in answers.lines if "?" in line.get("path", "")]
        self.assertEqual(len(labelled), 5)

    def test_an_accelerator_is_asked_for_by_all_its_labels(self):
        card = {"make": "n", "model": "a b", "id": "GPU-1", "memoryTotal": 3, "memoryUsed": 2, "dutyCycle": 1}
        answers = run(([box(memory=memory(-2_000, 7), accelerators=[card])], {}))
        path = BOX + "/metrics/accelerator/memory_used?labels=make:n,model:a%20b,accelerator_id:GPU-1"
        self.assertEqual(points(answers, path), {0: 2})

    def test_an_interface_is_not_in_the_model(self):
        network = {"time": rfc(-2_000), "rxBytes": 5, "interfaces": [{"name": "eth0", "rxBytes": 5}]}
        answers = run(([pod(network=network)], {}))
        self.assertEqual(points(answers, POD + "/metrics/network/rx"), {0: 5})
        self.assertEqual(len([line for line in answers.lines if "network/rx" in line.get("path", "")]), 1)


class MetricNames(unittest.TestCase):
    def test_names_are_of_all_ticks_so_far_and_without_labels(self):
        first = box(memory=memory(-2_000, 7), rootfs=disk(-2_000, 1), logs=disk(-2_000, 1))
        answers = run(([first], {}), ([], {}), ([box(memory={"time": rfc(18_000), "pageFaults": 1})], {}))
        names = ["ephemeral_storage/usage", "memory/rss", "memory/usage", "memory/working_set", "uptime"]
        more = sorted([*names, "memory/page_faults"])
        self.assertEqual(lists(answers, BOX + "/metrics/"), {0: names, 10: names, 20: more})

    def test_rates_are_named_once_there_is_one(self):
        def body(at, ns):
            return [pod(memory=memory(-1_000, 5))], {("shop", "web"): (at, ns, None)}

        answers = run(body(-2_000, 0), body(8_000, 1))
        for path in ("/api/v1/model/metrics/", "/api/v1/model/namespaces/shop/metrics/"):
            self.assertEqual(lists(answers, path), {0: ["memory/usage"], 10: ["cpu/usage_rate", "memory/usage"]})
        self.assertIn("cpu/usage_rate", lists(answers, POD + "/metrics/")[10])
        self.assertNotIn("cpu/usage_rate", lists(answers, POD + "/metrics/")[0])


class Uptime(unittest.TestCase):
    PATH = BOX + "/metrics/uptime"

    def test_is_the_tick_less_the_start(self):
        answers = run(([box(memory=memory(-2_000, 7))], {}), ([box(memory=memory(8_000, 7))], {}))
        self.assertEqual(points(answers, self.PATH), {0: 60_000, 10: 70_000})

    def test_the_start_is_that_of_the_measurement_that_is_held(self):
        # The second body repeats the measurement of the life before, the third has one of the new life.
        answers = run(
            ([box(memory=memory(-2_000, 7))], {}),
            ([box(5_000, memory=memory(-2_000, 7))], {}),
            ([box(5_000, memory=memory(18_000, 7))], {}),
        )
        self.assertEqual(points(answers, self.PATH), {0: 60_000, 10: 70_000, 20: 15_000})

    def test_is_never_negative(self):
        answers = run(([box(5_000, memory=memory(-2_000, 7))], {}))
        self.assertEqual(points(answers, self.PATH), {0: 0})

    def test_needs_a_value_of_memory_or_of_cpu(self):
        cpu = {("shop", "web", "httpd"): (-2_000, 1, None)}
        self.assertEqual(points(run(([box()], cpu)), self.PATH), {0: 60_000})
        self.assertEqual(points(run(([box(rootfs=disk(-2_000, 1))], {})), self.PATH), {})
        self.assertEqual(list(points(run(*[([box()], cpu)] * 11), self.PATH)), list(range(0, 90, 10)))

    def test_nodes_pods_and_system_containers_have_it(self):
        stats = {"startTime": rfc(-1_000), "memory": memory(-1_000, 5)}
        answers = run_node({**stats, "systemContainers": [{"name": "misc", **stats}]})
        self.assertEqual(points(answers, NODE + "/metrics/uptime"), {0: 1_000})
        self.assertEqual(points(answers, NODE + "/freecontainers/misc/metrics/uptime"), {0: 1_000})
        answers = run(([pod(**stats)], {}))
        self.assertEqual(points(answers, POD + "/metrics/uptime"), {0: 1_000})
        answers = run(([pod(memory=memory(-1_000, 5))], {}))
        self.assertEqual(points(answers, POD + "/metrics/uptime"), {})


if __name__ == "__main__":
    unittest.main()
