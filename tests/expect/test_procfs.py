"""Unit tests of the expectations about /proc, on hand-made files."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import expect_proc  # noqa: E402
import procfs  # noqa: E402

START = 1_795_332_330_000
NET = "Inter-|   Receive\n face |bytes\n"


def device(name, first):
    """A line of net/dev whose figures count up from `first`."""
    return f"{name:>6}:{' '.join(str(first + place) for place in range(16))}\n"


def frame(**more):
    """One folder's files; keyword `net_dev` is net/dev, and so on."""
    files = {
        "stat": "cpu  5 0 7 20 3 0 1 0 0 0\nctxt 9\nprocesses 8\nprocs_running 2\nprocs_blocked 1\n",
        "meminfo": "MemTotal:  10 kB\nSwapFree: 0 kB\nHugePages_Total:  3\n",
        "vmstat": "pgfault 5\noom_kill 0\nnr_free_pages 7\n",
        "loadavg": "9.01 7.10 3.15 1/272 3102\n",
        "uptime": "373.33 177.01\n",
        "diskstats": "",
        "net/dev": NET,
        "sys/kernel/random/boot_id": "a\n",
    }
    for part in ("cpu", "memory", "io"):
        lines = (f"{share} avg10=1.05 avg60=0.00 avg300=100.00 total=7\n" for share in ("some", "full"))
        files[f"pressure/{part}"] = "".join(lines)
    paths = {"net_dev": "net/dev", "boot_id": expect_proc.BOOT_ID}
    return files | {paths.get(name, name): text for name, text in more.items()}


def values(*frames, key="value", **where):
    """{seconds since START: value} of the lines that match."""
    lines = expect_proc.expect(START, {"node1": list(frames)})
    found = [line for line in lines if all(line[name] == value for name, value in where.items())]
    return {line["tick"] - START // 1000: line[key] for line in found}


class Host(unittest.TestCase):
    def test_times_of_the_processors_are_nanoseconds(self):
        found = procfs.cpu_and_processes(
            "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\nctxt 11\nbtime 1\n"
            "processes 12\nprocs_running 13\nprocs_blocked 14\nsoftirq 1 2\n"
        )
        for place, mode in enumerate(procfs.CPU_MODES, 1):
            self.assertEqual(found[f"host_cpu_{mode}_nanos"], place * 10**7)
        self.assertEqual(found["host_cpu_busy_nanos"], (1 + 2 + 3 + 6 + 7 + 8) * 10**7)
        names = ("context_switches", "forks", "processes_running", "processes_blocked")
        self.assertEqual([found[f"host_{name}"] for name in names], [11, 12, 13, 14])

    def test_memory_is_in_bytes_and_absent_stays_absent(self):
        found = procfs.memory("MemTotal:  10 kB\nSwapFree: 0 kB\nActive(anon): 3 kB\nActive: 4 kB\n")
        expected = {"host_memory_total_bytes": 10_240, "host_swap_free_bytes": 0, "host_memory_active_bytes": 4_096}
        self.assertEqual(found, expected)

    def test_load_uptime_threads_and_faults(self):
        host = procfs.host(frame())
        expected = {
            "host_load1": 9_010,
            "host_load5": 7_100,
            "host_load15": 3_150,
            "host_threads": 272,
            "host_uptime_ms": 373_330,
            "host_vm_page_faults": 5,
            "host_vm_oom_kills": 0,
        }
        self.assertEqual({field: host[field] for field in expected}, expected)
        self.assertNotIn("host_vm_pages_in", host)

    def test_pressure_is_in_microseconds_and_hundredths(self):
        host = procfs.host(frame())
        for part, share in procfs.PRESSURE:
            name = f"host_{part}_pressure_{share}_"
            found = [host[name + end] for end in ("micros", "avg10", "avg60", "avg300")]
            self.assertEqual(found, [7, 105, 0, 10_000])

    def test_traffic_is_of_all_interfaces_but_lo(self):
        text = NET + device("lo", 1_000) + device("eth0", 10) + device("veth1", 100)
        host = procfs.host(frame(net_dev=text))
        self.assertEqual((host["host_network_rx_bytes"], host["host_network_tx_bytes"]), (110, 126))

    def test_traffic_grows_by_what_interfaces_carry_while_they_are_there(self):
        texts = (
            NET + device("lo", 1) + device("eth0", 10) + device("veth1", 500),
            NET + device("lo", 900) + device("eth0", 12),
            NET + device("eth0", 13) + device("veth2", 700),
            NET + device("eth0", 3) + device("veth2", 705),
        )
        frames = [frame(net_dev=text) for text in texts]
        found = values(*frames, frame(net_dev=texts[0], boot_id="b"), metric="host_network_rx_bytes")
        self.assertEqual(found, {0: 510, 10: 512, 20: 513, 30: 521, 40: 510})


class Devices(unittest.TestCase):
    def test_disks_are_whole_and_real(self):
        names = ["sda", "vda", "nvme0n1", "mmcblk0", "dm-0", "md0", "md_d0", "nbd0", "dasda"]
        others = ["sda1", "vda12", "nvme0n1p1", "mmcblk0p2", "loop0", "ram1", "zram0", "fd0", "sr0"]
        others += ["nbd0p1", "md127p1", "loop0p1", "dasda1"]
        text = "".join(f" 8 0 {name} 1 2 3 4 5 6 7 8 9 10 11 0 0\n" for name in names + others)
        found = procfs.disks(text)
        self.assertEqual(sorted(found), sorted(names))
        expected = {
            "disk_reads": 1,
            "disk_read_bytes": 3 * 512,
            "disk_read_millis": 4,
            "disk_writes": 5,
            "disk_write_bytes": 7 * 512,
            "disk_write_millis": 8,
            "disk_io_in_progress": 9,
            "disk_io_millis": 10,
            "disk_weighted_io_millis": 11,
        }
        self.assertEqual(found["sda"], expected)

    def test_interfaces_are_the_hosts_own(self):
        text = NET + "".join(device(name, 1) for name in ("lo", "eth0", "cni0", "veth12", "cali1", "lxc1"))
        found = {name for name in procfs.interfaces(text) if procfs.is_of_host(name)}
        self.assertEqual(found, {"eth0", "cni0"})
        expected = [1, 2, 3, 4, 9, 10, 11, 12]
        ways = [f"interface_{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errors", "dropped")]
        self.assertEqual([procfs.interfaces(text)["eth0"][field] for field in ways], expected)


class Frames(unittest.TestCase):
    def test_rates_are_over_ten_seconds_and_of_counters_alone(self):
        frames = [frame(), frame(vmstat="pgfault 12\n", loadavg="1.00 7.10 3.15 1/272 3102\n")]
        metric = {"metric": "host_vm_page_faults"}
        self.assertEqual(values(*frames, **metric), {0: 5, 10: 12})
        self.assertEqual(values(*frames, key="rate", **metric), {0: None, 10: [7, 10_000]})
        self.assertEqual(values(*frames, metric="host_load1"), {0: 9_010, 10: 1_000})
        self.assertEqual(values(*frames, key="rate", metric="host_load1"), {0: None, 10: None})

    def test_a_counter_that_falls_or_another_boot_has_no_rate(self):
        more = {"vmstat": "pgfault 7\n"}
        fell = [frame(), frame(vmstat="pgfault 1\n"), frame(**more)]
        rates = values(*fell, key="rate", metric="host_vm_page_faults")
        self.assertEqual(rates, {0: None, 10: None, 20: [6, 10_000]})
        boot = [frame(), frame(boot_id="b\n", **more)]
        self.assertEqual(values(*boot, key="rate", metric="host_vm_page_faults"), {0: None, 10: None})

    def test_a_device_that_is_gone_has_no_values(self):
        frames = [frame(net_dev=NET + device("eth1", 1)), frame(), frame(net_dev=NET + device("eth1", 3))]
        where = {"kind": "interface", "name": "eth1", "metric": "interface_rx_bytes"}
        self.assertEqual(values(*frames, **where), {0: 1, 20: 3})

    def test_folders_are_read_in_order_and_without_holes(self):
        with tempfile.TemporaryDirectory() as scratch:
            for number, text in (("02", "two"), ("01", "one")):
                folder = pathlib.Path(scratch) / "proc" / "node1" / number / "net"
                folder.mkdir(parents=True)
                (folder / "dev").write_text(text, encoding="utf-8")
            frames = expect_proc.read_frames(scratch)
            self.assertEqual(frames, {"node1": [{"net/dev": "one"}, {"net/dev": "two"}]})
            (pathlib.Path(scratch) / "proc" / "node1" / "02").rename(pathlib.Path(scratch) / "proc" / "node1" / "03")
            with self.assertRaises(expect_proc.TraceError):
                expect_proc.read_frames(scratch)


if __name__ == "__main__":
    unittest.main()
