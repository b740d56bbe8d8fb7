#!/usr/bin/env python3
"""Says what Cairn must answer about the host while recorded files of /proc are shown to its agent.

The second opinion about /proc, as expect.py is about the kubelet. It reads `proc/NODE/01..NN/...` of a
folder or tar archive, whose `trace/` gives the first tick, and prints native lines (see native.py).

Frame k's files are what the agent reads at tick k, one frame a tick and in order, whatever the times are at
which they were recorded. The readings are exactly 10 s apart, so a rate is the change over 10,000 ms. A
counter that fell, or another boot id, has no rate there. A device that is not in a frame is gone. The
host's traffic is the first frame's, and from there what the interfaces carried from frame to frame.
"""

import argparse
import os
import pathlib
import re
import sys
import tarfile

import native
import procfs
from entity import Entity
from expect import INTERVAL_MS, grid, write_lines
from recording import TraceError, load
from series import MAX_AGE_MS, Series

BOOT_ID = "sys/kernel/random/boot_id"


def read_frames(path):
    """{node: [{file name below NN: text}, ...]} in the order of the folders."""
    frames = {}

    def keep(name, read):
        match = re.search(r"(?:^|/)proc/([^/]+)/(\d+)/(.+)$", name.replace(os.sep, "/"))
        if match is not None:
            frames.setdefault(match[1], {}).setdefault(int(match[2]), {})[match[3]] = read().decode("utf-8")

    if os.path.isdir(path):
        for file in sorted(pathlib.Path(path).rglob("*")):
            if file.is_file():
                keep(str(file), file.read_bytes)
    else:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                if member.isfile():
                    keep(member.name, lambda member=member: archive.extractfile(member).read())
    for node, numbered in frames.items():
        if sorted(numbered) != list(range(1, len(numbered) + 1)):
            raise TraceError(f"proc/{node}: the folders are {sorted(numbered)}, not 1, 2, ...")
    return {node: [numbered[number] for number in sorted(numbered)] for node, numbered in frames.items()}


def with_traffic(host, before, files):
    """The fields `host` of the frame `files`, with the traffic since the frame before: its host and files."""
    if before is None:
        return host
    then, now = (procfs.interfaces(frame["net/dev"]) for frame in (before[1], files))
    sums = {way: before[0][f"host_network_{way}_bytes"] + procfs.carried(then, now, way) for way in ("rx", "tx")}
    return host | {f"host_network_{way}_bytes": total for way, total in sums.items()}


def entities(node, tick, files, host):
    """The node, its disks and its interfaces in one frame, measured at `tick`."""

    def measured(fields):
        return {field: (tick, value, None) for field, value in fields.items()}

    found = [Entity(node=node, kind="node", name="", measured=measured(host))]
    for name, fields in procfs.disks(files["diskstats"]).items():
        found.append(Entity(node=node, kind="blockdevice", name=name, measured=measured(fields)))
    for name, fields in procfs.interfaces(files["net/dev"]).items():
        if procfs.is_of_host(name):
            found.append(Entity(node=node, kind="interface", name=name, measured=measured(fields)))
    return found


def expect(first_tick, nodes):
    """The lines of all frames; `nodes` is as returned by `read_frames`, `first_tick` in ms."""
    lines = []
    for node, frames in nodes.items():
        series, boot, before = {}, None, None
        for k, files in enumerate(frames):
            if boot is not None and files[BOOT_ID] != boot:
                series, before = {}, None
            boot, tick = files[BOOT_ID], first_tick + k * INTERVAL_MS
            host = with_traffic(procfs.host(files), before, files)
            before = host, files
            for entity in entities(node, tick, files, host):
                fresh = {}
                for field, found in entity.measured.items():
                    kept = series.setdefault(
                        (entity.identity, field),
                        Series(field, [], field in procfs.COUNTERS, MAX_AGE_MS["host"]),
                    )
                    kept.see(tick, found)
                    fresh[field] = kept
                lines += native.lines(tick, entity, fresh)
    return sorted(lines, key=native.order)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace", help="folder or tar archive with trace/NODE/01, ... and proc/NODE/01, ...")
    args = parser.parse_args()
    try:
        frames = read_frames(args.trace)
        if not frames:
            raise TraceError("no proc/NODE/01, ... in it")
        lines = expect(grid(load(args.trace))[0], frames)
    except (TraceError, OSError, ValueError, KeyError, tarfile.TarError) as error:
        sys.exit(f"expect_proc.py: {args.trace}: {error}")
    write_lines(sys.stdout, lines)


if __name__ == "__main__":
    main()
