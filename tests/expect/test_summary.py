"""Unit tests of the entities and fields of a summary."""

import unittest
from decimal import Decimal

import recording
from bodies import START, box, disk, memory, native, pod, rfc, run, run_node


def psi(total, average=Decimal("0")):
    """Pressure of one section; `full` is one more than `some`."""
    averages = {"avg10": average, "avg60": average, "avg300": average}
    return {"psi": {"some": {"total": total, **averages}, "full": {"total": total + 1, **averages}}}


class MemoryGroup(unittest.TestCase):
    def test_its_sections_share_one_time(self):
        stats = {
            "cpu": {"time": rfc(-2_000), **psi(10)},
            "memory": memory(-2_000, 7) | psi(20),
            "io": {"time": rfc(-2_000), **psi(30)},
            "swap": {"time": rfc(-2_000), "swapUsageBytes": 3, "swapAvailableBytes": 4},
            "process_stats": {"process_count": 2},
        }
        answers = run(([pod(**stats)], {}))
        for metric, value in (
            ("cpu_pressure_some_micros", 10),
            ("cpu_pressure_full_micros", 11),
            ("memory_pressure_some_micros", 20),
            ("io_pressure_full_micros", 31),
            ("swap_usage_bytes", 3),
            ("swap_available_bytes", 4),
            ("process_count", 2),
        ):
            self.assertEqual(native(answers, "pod", metric), {0: value}, metric)

    def test_a_section_with_another_time_is_not_taken(self):
        swap = {"time": rfc(-3_000), "swapUsageBytes": 3}
        cpu = {"time": rfc(-1_000), **psi(10)}
        answers = run(([pod(memory=memory(-2_000, 7), swap=swap, cpu=cpu)], {}))
        self.assertEqual(native(answers, "pod", "swap_usage_bytes"), {})
        self.assertEqual(native(answers, "pod", "cpu_pressure_some_micros"), {})
        self.assertEqual(native(answers, "pod", "memory_usage_bytes"), {0: 7})

    def test_without_memory_the_time_is_of_swap_or_cpu_or_io(self):
        sections = {
            "swap": ({"swapUsageBytes": 1}, "swap_usage_bytes"),
            "cpu": (psi(1), "cpu_pressure_some_micros"),
            "io": (psi(1), "io_pressure_some_micros"),
        }
        names = list(sections)
        for place, first in enumerate(names):
            stats = {
                name: {"time": rfc(-9_000 + 1_000 * names.index(name)), **sections[name][0]} for name in names[place:]
            }
            answers = run(([pod(**stats)], {}))
            taken = [name for name in names if native(answers, "pod", sections[name][1])]
            self.assertEqual(taken, [first])

    def test_cpu_without_pressure_gives_no_time(self):
        cpu = {"time": rfc(-5_000), "usageCoreNanoSeconds": 1}
        answers = run(([pod(cpu=cpu, io={"time": rfc(-2_000), **psi(1)})], {}))
        self.assertEqual(native(answers, "pod", "io_pressure_some_micros"), {0: 1})

    def test_the_number_of_processes_is_the_newest_told_also_with_an_old_time_of_memory(self):
        def body(at, count):
            return [pod(memory=memory(at, 7), process_stats={"process_count": count})], {}

        answers = run(body(-2_000, 1), body(-2_000, 2), body(18_000, 3))
        self.assertEqual(native(answers, "pod", "process_count"), {0: 1, 10: 2, 20: 3})

    def test_averages_are_hundredths_and_of_nodes_alone(self):
        node = run_node({"memory": memory(-2_000, 7) | psi(5, Decimal("38.12"))})
        self.assertEqual(native(node, "node", "memory_pressure_some_avg60"), {0: 3_812})
        answers = run(([pod(memory=memory(-2_000, 7) | psi(5, Decimal("38.12")))], {}))
        self.assertEqual(native(answers, "pod", "memory_pressure_some_avg60"), {})
        for text, hundredths in (("0", 0), ("100", 10_000), ("0.004", 0), ("0.005", 1), ("0.29", 29)):
            node = run_node({"memory": memory(-2_000, 7) | psi(5, Decimal(text))})
            self.assertEqual(native(node, "node", "memory_pressure_full_avg300"), {0: hundredths})


class Parts(unittest.TestCase):
    def test_a_node_has_limits_filesystems_and_interfaces(self):
        answers = run_node(
            {
                "rlimit": {"time": rfc(-1_000), "maxpid": 9, "curproc": 4},
                "fs": disk(-2_000, 10),
                "runtime": {"imageFs": disk(-2_000, 20), "containerFs": disk(-2_000, 30)},
                "network": {
                    "time": rfc(-2_000),
                    "rxBytes": 1,
                    "interfaces": [{"name": "eth0", "rxBytes": 1}, {"name": "cni0", "rxBytes": 2, "txErrors": 3}],
                },
            }
        )
        self.assertEqual(native(answers, "node", "rlimit_max_pids"), {0: 9})
        self.assertEqual(native(answers, "node", "rlimit_current_pids"), {0: 4})
        self.assertEqual(native(answers, "node", "ephemeral_storage_usage_bytes"), {0: 10})
        for name, value in (("/", 10), ("imagefs", 20), ("containerfs", 30)):
            self.assertEqual(native(answers, "filesystem", "filesystem_usage_bytes", name=name), {0: value})
            self.assertEqual(native(answers, "filesystem", "filesystem_inodes_used", name=name), {0: value + 5})
        labels = native(answers, "filesystem", "filesystem_usage_bytes", "labels", name="imagefs")
        self.assertEqual(labels, {0: {}})
        self.assertEqual(native(answers, "interface", "network_rx_bytes", name="cni0"), {0: 2})
        self.assertEqual(native(answers, "interface", "network_tx_errors", name="cni0"), {0: 3})
        self.assertEqual(native(answers, "interface", "network_tx_errors", name="eth0"), {})
        self.assertEqual(native(answers, "node", "network_rx_bytes"), {0: 1})

    def test_a_part_that_is_not_listed_ends_and_a_field_left_out_is_held(self):
        def body(at, *names):
            network = {"time": rfc(at), "interfaces": [{"name": name, "rxBytes": at + 9_000} for name in names]}
            return [pod(network=network | ({"rxBytes": 5} if "a" in names else {}))], {}

        answers = run(body(-2_000, "a", "b"), body(8_000, "b"), body(18_000, "a", "b"))
        self.assertEqual(native(answers, "interface", "network_rx_bytes", name="a"), {0: 7_000, 20: 27_000})
        rates = native(answers, "interface", "network_rx_bytes", "rate", name="a")
        self.assertEqual(rates, {0: None, 20: [20_000, 20_000]})
        self.assertEqual(native(answers, "pod", "network_rx_bytes"), {0: 5, 10: 5, 20: 5})

    def test_a_filesystem_that_is_not_listed_ends_and_the_sum_is_held(self):
        both = box(rootfs=disk(-2_000, 10), logs=disk(-5_000, 20))
        answers = run(([both], {}), ([box(rootfs=disk(8_000, 11))], {}))
        self.assertEqual(native(answers, "filesystem", "filesystem_usage_bytes", name="/"), {0: 10, 10: 11})
        self.assertEqual(native(answers, "filesystem", "filesystem_usage_bytes", name="logs"), {0: 20})
        self.assertEqual(native(answers, "container", "ephemeral_storage_usage_bytes"), {0: 30, 10: 30})

    def test_the_sum_of_a_container_is_as_old_as_its_older_part(self):
        # The root is measured anew, the logs are not: the sum's time stands still.
        answers = run(
            ([box(rootfs=disk(-2_000, 10), logs=disk(-5_000, 20))], {}),
            ([box(rootfs=disk(8_000, 11), logs=disk(-5_000, 20))], {}),
            ([box(rootfs=disk(8_000, 11), logs=disk(9_000, 21))], {}),
        )
        sums = native(answers, "container", "ephemeral_storage_usage_bytes")
        self.assertEqual(sums, {0: 30, 10: 31, 20: 32})

    def test_names_and_labels_of_what_is_in_a_pod(self):
        claim = {"name": "claim", "namespace": "shop"}
        both = box(rootfs=disk(-2_000, 10), memory=memory(-2_000, 7))
        both["volume"] = [{"name": "data", "pvcRef": claim, **disk(-2_000, 10)}, {"name": "tmp", **disk(-2_000, 1)}]
        both["ephemeral-storage"] = disk(-2_000, 40)
        lines = run(([both], {})).native

        def one(metric, name):
            (found,) = [line for line in lines if (line["metric"], line["name"]) == (metric, name)]
            self.assertEqual((found["tick"], found["node"], found["rate"]), (START // 1000, "node1", None))
            return [found[key] for key in ("kind", "namespace", "pod", "pod_uid", "container", "labels", "value")]

        self.assertEqual(
            one("filesystem_usage_bytes", "/"),
            ["filesystem", "shop", "web", "u1", "httpd", {"resource_id": "/"}, 10],
        )
        self.assertEqual(one("memory_rss_bytes", "httpd"), ["container", "shop", "web", "u1", "", {}, 7])
        self.assertEqual(one("ephemeral_storage_inodes_used", "web"), ["pod", "shop", "", "u1", "", {}, 45])
        labels = {"resource_id": "Volume:data", "pvc_name": "claim", "pvc_namespace": "shop"}
        self.assertEqual(one("volume_capacity_bytes", "data"), ["volume", "shop", "web", "u1", "", labels, 11])
        self.assertEqual(one("volume_capacity_bytes", "tmp")[5], {"resource_id": "Volume:tmp"})

    def test_an_accelerator_is_measured_with_memory(self):
        card = {"make": "n", "model": "a", "id": "GPU-1", "memoryTotal": 3, "memoryUsed": 2, "dutyCycle": 1}
        answers = run(*[([box(memory=memory(-2_000, 7), accelerators=[card])], {})] * 10)
        used = native(answers, "accelerator", "accelerator_memory_used_bytes", container="httpd", name="GPU-1")
        self.assertEqual(list(used), list(range(0, 90, 10)))
        unmeasured = run(([box(accelerators=[card])], {}))
        self.assertEqual(native(unmeasured, "accelerator", "accelerator_memory_used_bytes"), {})

    def test_what_is_listed_twice_is_refused(self):
        twice = [{"name": "v", **disk(-2_000, 1)}] * 2
        for pods in ([pod(), pod()], [pod(), pod(uid="u2")], [pod(volume=twice)]):
            with self.assertRaises(recording.TraceError):
                run((pods, {}))


if __name__ == "__main__":
    unittest.main()
