# SPDX-License-Identifier: Apache-2.0
"""Resident memory of idle daemons with their default plugins."""

import re
import time
from pathlib import Path

import figures
import peers


def resident_kib(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {key: int(re.search(rf"^{key}:\s*(\d+)", text, re.MULTILINE)[1]) for key in ("Rss", "Pss")}


def measure(quick):
    found = {}
    for _ in range(2 if quick else 5):
        daemons = peers.daemons()
        try:
            for daemon in daemons:
                daemon.start()
                daemon.wait_for_socket()
                daemon.ask()
            time.sleep(2)
            for daemon in daemons:
                kib = resident_kib(daemon.process.pid)
                for key, value in kib.items():
                    found.setdefault(daemon.name, {}).setdefault(key, []).append(value / 1024)
                daemon.stop()
        finally:
            for daemon in daemons:
                daemon.remove()
    lines = [f"Both idle for two seconds after one `ctr version`, MiB; {peers.versions()}", ""]
    lines += figures.table(("daemon", "RSS", "PSS"),
                           [(name, figures.spread(kib["Rss"]), figures.spread(kib["Pss"])) for name, kib in found.items()])
    if "containerd" not in found:
        return lines + ["", "containerd was not measured: it is not installed, or we are not root."], True
    share = figures.ratio(found["berthd"]["Rss"], found["containerd"]["Rss"])
    return lines + ["", f"berthd's RSS by containerd's: {figures.verdict(share, 1 / 6)}"], share <= 1 / 6
