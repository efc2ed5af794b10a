# SPDX-License-Identifier: Apache-2.0
"""Resident memory of idle daemons with their default plugins."""

import re
import statistics
import time
from pathlib import Path

import figures
import peers

IDLE_MIB = 5.5
SHARE_OF_CONTAINERD = 0.17


def resident_kib(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {key: int(re.search(rf"^{key}:\s*(\d+)", text, re.MULTILINE)[1]) for key in ("Rss", "Pss")}


def largest(pid, count=12):
    """What most of it is, for whoever has to find out why it has grown."""
    mapped, sizes = "", {}
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            mapped = line.split(maxsplit=5)[5] if len(line.split()) > 5 else "anonymous"
        elif line.startswith("Rss:"):
            sizes[mapped] = sizes.get(mapped, 0) + int(line.split()[1])
    found = sorted(sizes.items(), key=lambda item: -item[1])[:count]
    return ", ".join(f"{Path(name).name} {kib} KiB" for name, kib in found)


def idle_kib(daemon):
    """Of a fresh daemon, once it has answered `ctr version` and rested for two seconds."""
    daemon.start()
    daemon.wait_for_socket()
    daemon.ask()
    time.sleep(2)
    return resident_kib(daemon.process.pid)


def measure(quick):
    found = {}
    for _ in range(2 if quick else 5):
        for daemon in peers.daemons():
            try:
                for key, value in idle_kib(daemon).items():
                    found.setdefault(daemon.name, {}).setdefault(key, []).append(value / 1024)
                daemon.stop()
            finally:
                daemon.remove()
    lines = [f"Each idle for two seconds after one `ctr version`, MiB; {peers.versions()}", ""]
    lines += figures.table(("daemon", "RSS", "PSS"),
                           [(name, figures.spread(kib["Rss"]), figures.spread(kib["Pss"])) for name, kib in found.items()])
    goals = figures.Goals()
    goals.add("berthd's RSS", statistics.median(found["berthd"]["Rss"]), IDLE_MIB, at_most=True, unit=" MiB")
    if "containerd" in found:
        goals.add("berthd's RSS by containerd's", figures.ratio(found["berthd"]["Rss"], found["containerd"]["Rss"]),
                  SHARE_OF_CONTAINERD, at_most=True)
    else:
        lines += ["", "containerd was not measured: it is not installed, or we are not root."]
    return [*lines, "", *goals.table()], goals.are_met()
