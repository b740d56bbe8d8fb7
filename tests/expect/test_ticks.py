"""Unit tests of ticks, and of the command line."""

import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

import expect
import recording
from bodies import NODE, START, memory, pod, points

SCRIPT = pathlib.Path(expect.__file__)


class Grid(unittest.TestCase):
    def captures(self, *offsets):
        return [(START + offset, {"at": offset}, {}) for offset in offsets]

    def ticks(self, **nodes):
        ticks = expect.grid({node: self.captures(*offsets) for node, offsets in nodes.items()})
        return [tick - START for tick in ticks]

    def test_starts_at_the_grid_time_not_before_the_first_capture(self):
        self.assertEqual(self.ticks(n=(-3_672, 6_000)), [0, 10_000])
        self.assertEqual(self.ticks(n=(0,)), [0])

    def test_ends_at_the_grid_time_that_sees_every_capture(self):
        self.assertEqual(self.ticks(a=(-3_000, 10_000), b=(-2_000, 10_001)), [0, 10_000, 20_000])

    def test_a_tick_sees_the_last_capture_at_or_before_it(self):
        captures = self.captures(-9_000, -1, 10_000, 10_001)
        seen = [expect.seen_at(captures, START + offset)[0]["at"] for offset in (0, 9_999, 10_000, 30_000)]
        self.assertEqual(seen, [-1, -1, 10_000, 10_001])

    def test_a_node_that_comes_after_the_first_tick_is_refused(self):
        with self.assertRaises(recording.TraceError):
            self.ticks(a=(-3_000, 7_000), b=(1,))

    def test_captures_must_be_in_order(self):
        with self.assertRaises(recording.TraceError):
            self.ticks(a=(-3_000, -4_000))

    def test_a_capture_that_two_ticks_see_is_offered_again(self):
        def capture(at, stamp, usage):
            return (START + at, {"node": {"nodeName": "node1", "memory": memory(stamp, usage)}}, {})

        answers = expect.expect({"node1": [capture(-1_000, -9_000, 7), capture(10_017, 10_000, 8)]})
        self.assertEqual(points(answers, NODE + "/metrics/memory/usage"), {0: 7, 10: 7, 20: 8})
        self.assertEqual({event["event"] for event in answers.events}, {"same_time"})


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
