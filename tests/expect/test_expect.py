#!/usr/bin/env python3
"""Unit tests of the expectations, on hand-made bodies. Run: python3 tests/expect/test_expect.py"""

import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest
from datetime import datetime, timezone

sys.dont_write_bytecode = True

import expect  # noqa: E402
import recording  # noqa: E402

START = 1_795_332_330_000  # a grid time; captures are made 3 s before theirs
POD = "/api/v1/model/namespaces/shop/pods/web"
BOX = POD + "/containers/httpd"
SCRIPT = pathlib.Path(expect.__file__)


def rfc(offset_ms):
    """The summary's stamp, whole seconds, of a time `offset_ms` after START."""
    seconds = (START + offset_ms) // 1000
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def memory(offset_ms, usage):
    """A memory group of the summary."""
    return {"time": rfc(offset_ms), "usageBytes": usage, "workingSetBytes": usage, "rssBytes": usage}


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


def points(answers, path, key="value"):
    """{seconds since START: value} of one series."""
    return {
        line["tick"] - START // 1000: line[key] for line in answers.lines if line.get("path") == path
    }


def cpu_of_pod(*readings):
    """One body per reading (offset ms, ns) of the pod `web`; None is a body without the counter."""
    return run(*[([pod()], {("shop", "web"): (*r, None)} if r else {}) for r in readings])


class Parsing(unittest.TestCase):
    def test_seconds_become_nanoseconds_exactly(self):
        for text, ns in (
            ("1.455120141", 1_455_120_141),
            ("0.09363764", 93_637_640),
            ("1.795332318129236e+09", 1_795_332_318_129_236_000),
            ("9007199.254740993", 9_007_199_254_740_993),
            ("3e-09", 3),
            ("0", 0),
        ):
            self.assertEqual(recording.scaled(text, 10**9, exact=True), ns)

    def test_what_cannot_be_kept_is_refused(self):
        for text in ("0.0000000001", "NaN", "+Inf", "1e999999999", "many"):
            with self.assertRaises(recording.TraceError):
                recording.scaled(text, 10**9, exact=True)

    def test_a_life_start_is_rounded_down_to_ms(self):
        self.assertEqual(recording.scaled("1.7953322207225926e+09", 1000, exact=False), 1_795_332_220_722)

    def test_the_resource_body_gives_counters_with_times_and_lives(self):
        found = recording.parse_resource(
            "# TYPE container_cpu_usage_seconds_total counter\n"
            'container_cpu_usage_seconds_total{container="a\\"b",namespace="n",pod="p"} 1.5 1000\n'
            'container_start_time_seconds{container="a\\"b",namespace="n",pod="p"} 1.7953322207225926e+09\n'
            'container_memory_working_set_bytes{container="x",namespace="n",pod="p"} 6.7108864e+07 1000\n'
            "node_cpu_usage_seconds_total 74.258655783 1795332317339\n"
            'pod_cpu_usage_seconds_total{namespace="n",pod="p"} 0.2 2000\n'
        )
        self.assertEqual(
            found,
            {
                ("n", "p", 'a"b'): (1000, 1_500_000_000, 1_795_332_220_722),
                (): (1_795_332_317_339, 74_258_655_783, None),
                ("n", "p"): (2000, 200_000_000, None),
            },
        )

    def test_a_counter_without_a_time_is_refused(self):
        with self.assertRaises(recording.TraceError):
            recording.parse_resource("node_cpu_usage_seconds_total 74.2\n")


class Grid(unittest.TestCase):
    def captures(self, *offsets):
        return [(START + offset, {}, {}) for offset in offsets]

    def test_starts_at_the_grid_time_not_before_the_first_capture(self):
        self.assertEqual(expect.grid({"n": self.captures(-3_672, 6_000)}), [START, START + 10_000])
        self.assertEqual(expect.grid({"n": self.captures(0)}), [START])

    def test_a_capture_seen_by_no_tick_or_by_two_is_refused(self):
        for second in (-1, 10_001):
            with self.assertRaises(recording.TraceError):
                expect.grid({"n": self.captures(-3_000, second)})

    def test_every_node_must_have_every_capture(self):
        with self.assertRaises(recording.TraceError):
            expect.grid({"a": self.captures(-3_000, 7_000), "b": self.captures(-3_000)})


class Rates(unittest.TestCase):
    def test_rate_is_counter_over_measurement_time_not_over_ticks(self):
        answers = cpu_of_pod((-2_000, 10**9), (5_000, 10**9 + 99_999_999))
        # 99,999,999 ns in 7 s = 14,285,714.1 ns/s
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage"), {0: 10**9, 10: 1_099_999_999})
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage_rate"), {10: 14})

    def test_an_equal_stamp_repeats_the_rate(self):
        answers = cpu_of_pod((-2_000, 0), (8_000, 10**9), (8_000, 10**9), (28_000, 2 * 10**9))
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage_rate"), {10: 100, 20: 100, 30: 50})

    def test_a_late_measurement_is_ignored(self):
        answers = cpu_of_pod((-2_000, 0), (8_000, 10**9), (3_000, 5 * 10**8), (28_000, 2 * 10**9))
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage_rate"), {10: 100, 20: 100, 30: 50})
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage")[20], 10**9)
        self.assertEqual([e["event"] for e in answers.events], ["late"])

    def test_a_counter_that_falls_starts_anew(self):
        answers = cpu_of_pod((-2_000, 10**10), (8_000, 1), (18_000, 1 + 10**8))
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage"), {0: 10**10, 10: 1, 20: 1 + 10**8})
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage_rate"), {20: 10})

    def test_a_repeated_reset_point_still_has_no_rate(self):
        answers = cpu_of_pod((-12_000, 0), (-2_000, 10**9), (8_000, 1), (8_000, 1))
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage_rate"), {10: 100})

    def test_a_new_life_starts_anew_even_when_the_counter_grew(self):
        def body(at, ns, life):
            return [box()], {("shop", "web", "httpd"): (at, ns, life)}

        answers = run(body(-2_000, 10**6, 0), body(8_000, 10**9, 2_001), body(18_000, 2 * 10**9, 4_001))
        self.assertEqual(points(answers, BOX + "/metrics/cpu/usage_rate"), {20: 100})
        self.assertEqual([e["event"] for e in answers.events], ["reset_life"])

    def test_measurements_more_than_max_age_apart_give_no_rate(self):
        for gap, rates in ((90_000, {90: 100}), (90_001, {})):
            bodies = [([pod()], {("shop", "web"): (-2_000, 0, None)})] + [([], {})] * 8
            bodies.append(([pod()], {("shop", "web"): (gap - 2_000, gap * 10**5, None)}))
            self.assertEqual(points(run(*bodies), POD + "/metrics/cpu/usage_rate"), rates)

    def test_an_entity_that_comes_back_goes_on_where_it_was(self):
        def there(at, ns, uid="u1"):
            return [pod(uid=uid)], {("shop", "web"): (at, ns, None)}

        same = run(there(-2_000, 0), ([], {}), there(18_000, 10**9))
        self.assertEqual(points(same, POD + "/metrics/cpu/usage"), {0: 0, 20: 10**9})
        self.assertEqual(points(same, POD + "/metrics/cpu/usage_rate"), {20: 50})
        other = run(there(-2_000, 0), ([], {}), there(18_000, 10**9, "u2"))
        self.assertEqual(points(other, POD + "/metrics/cpu/usage_rate"), {})

    def test_network_rates_keep_their_fraction(self):
        def there(at, rx, tx):
            return [pod(network={"time": rfc(at), "rxBytes": rx, "txBytes": tx})], {}

        answers = run(there(-9_000, 100, 0), there(10_000, 170, 0))
        self.assertEqual(points(answers, POD + "/metrics/network/rx_rate"), {10: 3})
        self.assertEqual(points(answers, POD + "/metrics/network/rx_rate", "float"), {10: 70_000 / 19_000})
        self.assertEqual(points(answers, POD + "/metrics/network/tx_rate", "float"), {10: 0.0})
        self.assertEqual(points(answers, POD + "/metrics/network/rx", "float"), {0: None, 10: None})


class Holding(unittest.TestCase):
    def test_a_missing_field_is_held_to_max_age_and_not_beyond(self):
        answers = cpu_of_pod((-10_000, 0), (0, 10**9), *[None] * 9)
        self.assertEqual(list(points(answers, POD + "/metrics/cpu/usage")), list(range(0, 100, 10)))
        rates = points(answers, POD + "/metrics/cpu/usage_rate")
        self.assertEqual(rates, {tick: 100 for tick in range(10, 100, 10)})

    def test_a_missing_gauge_is_held_and_returns(self):
        bodies = [([pod(memory=memory(-2_000, 7))], {}), ([pod()], {}), ([pod(memory=memory(9_000, 5))], {})]
        self.assertEqual(points(run(*bodies), POD + "/metrics/memory/rss"), {0: 7, 10: 7, 20: 5})

    def test_an_old_stamp_repeated_by_the_source_expires_too(self):
        answers = run(*[([pod(memory=memory(-2_000, 7))], {})] * 10)
        self.assertEqual(list(points(answers, POD + "/metrics/memory/usage")), list(range(0, 90, 10)))

    def test_nothing_is_held_for_an_entity_that_is_not_listed(self):
        answers = run(([pod(memory=memory(-2_000, 7))], {}), ([], {}))
        self.assertEqual(points(answers, POD + "/metrics/memory/usage"), {0: 7})
        self.assertEqual(points(answers, "/api/v1/model/metrics/memory/usage"), {0: 7})
        lists = {(line["tick"] - START // 1000, line["list"]): line["names"] for line in answers.lines if "list" in line}
        self.assertEqual(lists[0, "/api/v1/model/namespaces/"], ["shop"])
        self.assertEqual(lists[10, "/api/v1/model/namespaces/"], [])
        self.assertNotIn((10, "/api/v1/model/namespaces/shop/pods/"), lists)

    def test_nothing_is_held_into_another_life_of_a_container(self):
        answers = run(([box(memory=memory(-2_000, 7))], {}), ([box(start_ms=5_000)], {}))
        self.assertEqual(points(answers, BOX + "/metrics/memory/usage"), {0: 7})


class Sums(unittest.TestCase):
    def test_nanocores_are_added_before_they_become_millicores(self):
        def body(at, ns):
            pods = [pod("a", "u1"), pod("b", "u2"), pod("c", "u3", space="ops"), pod("d", "u4")]
            names = (("shop", "a"), ("shop", "b"), ("ops", "c"))
            return pods, {name: (at, ns, None) for name in names}

        answers = run(body(-2_000, 0), body(8_000, 6_000_000))  # 0.6 millicores each
        rates = {
            path: points(answers, f"/api/v1/model{path}/metrics/cpu/usage_rate").get(10)
            for path in ("/namespaces/shop/pods/a", "/namespaces/ops", "/namespaces/shop", "", "/namespaces/shop/pods/d")
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
        self.assertIn(["pods"], [line["names"] for line in answers.lines if line.get("list") == path])


class CommandLine(unittest.TestCase):
    def test_a_folder_and_an_archive_of_it_give_the_same_lines(self):
        summary = {"node": {"nodeName": "node1"}, "pods": [pod(memory=memory(-4_000, 7))]}
        files = {
            "captured_at": "1795332326.328\n",
            "stats_summary": json.dumps(summary),
            "metrics_resource": "node_cpu_usage_seconds_total 74.258655783 1795332317339\n",
        }
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch)
            folder = root / "trace" / "node1" / "01"
            folder.mkdir(parents=True)
            for name, text in files.items():
                (folder / name).write_text(text, encoding="utf-8")
            with tarfile.open(root / "trace.tar.gz", "w:gz") as archive:
                archive.add(root / "trace", "trace")
            outputs = [self.lines_of(root / "trace"), self.lines_of(root / "trace.tar.gz")]
            (folder / "captured_at").unlink()
            failed = subprocess.run([sys.executable, SCRIPT, root / "trace"], capture_output=True, text=True)
        self.assertEqual(outputs[0], outputs[1])
        node_cpu = {"path": "/api/v1/model/nodes/node1/metrics/cpu/usage", "value": 74_258_655_783, "float": None}
        self.assertIn({"tick": 1_795_332_330, **node_cpu}, outputs[0])
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))
        self.assertIn("node1/01: no captured_at", failed.stderr)

    def lines_of(self, trace):
        """Runs the script."""
        done = subprocess.run([sys.executable, SCRIPT, trace], capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    unittest.main()
