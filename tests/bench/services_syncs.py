# SPDX-License-Identifier: Apache-2.0
"""How often a server has the disk write and waits for it, seen by strace, so that both are seen by the same eyes."""

import os
import re
import time
from pathlib import Path

SYNCS = ("fdatasync", "fsync", "msync", "sync_file_range", "syncfs", "sync")
WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2")
CALL = re.compile(r"^\d+ +(\w+)\((\d*)")
FLAGS = re.compile(r"^flags:\s*(\d+)", re.MULTILINE)


def trace(server, file):
    """Has the server run under strace, which keeps out of its way but for these calls (-D: as its grandchild)."""
    names = ",".join((*SYNCS, *WRITES))
    server.command = ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-s", "0", "-o", file, "-e", f"trace={names}", "-e", "signal=none",
                      *server.command]


def opened(server):
    """The files whose every write is a sync, by the numbers that they have now: numbers are given out again."""
    folder = Path(f"/proc/{server.process.pid}/fdinfo")
    return {file.name for file in folder.iterdir() if int(FLAGS.search(file.read_text())[1], 8) & os.O_DSYNC}


def syncs(lines, files):
    calls = filter(None, map(CALL.match, lines))
    return sum(call[1] in SYNCS or (call[1] in WRITES and call[2] in files) for call in calls)


def written(file):
    """All lines, what is on its way to the file included. A daemon with nothing to do adds some now and then."""
    time.sleep(1)
    return file.read_text(errors="replace").splitlines()


def count(server, load):
    """Syncs during `load`, without those of the server's start."""
    file = Path(server.workshop.top, "strace")
    trace(server, file)
    server.start()
    before = len(written(file))
    load()
    return syncs(written(file)[before:], opened(server))
