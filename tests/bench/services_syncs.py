# SPDX-License-Identifier: Apache-2.0
"""How often a server has the disk write and waits for it, seen by strace, so that both are seen by the same eyes."""

import re
import time
from pathlib import Path

SYNCS = ("fdatasync", "fsync", "msync", "sync_file_range", "syncfs", "sync")
WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2")
CALL = re.compile(r"^\d+ +(\w+)\((\d*)(.*)")
OPENED = re.compile(r"O_D?SYNC.*= (\d+)$")


def trace(server, file):
    """Has the server run under strace, which keeps out of its way but for these calls (-D: as its grandchild)."""
    names = ",".join(("openat", *SYNCS, *WRITES))
    server.command = ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-s", "0", "-o", file, "-e", f"trace={names}", "-e", "signal=none",
                      *server.command]


def syncs(lines, opened):
    """`opened` holds the files whose every write is a sync, and is kept up to date."""
    count = 0
    for line in lines:
        call = CALL.match(line)
        if call is None:
            continue
        name, number, rest = call.groups()
        if name == "openat" and (found := OPENED.search(rest)):
            opened.add(found[1])
        count += name in SYNCS or (name in WRITES and number in opened)
    return count


def written(file):
    """All lines, what is on its way to the file included. A daemon with nothing to do adds some now and then."""
    time.sleep(1)
    return file.read_text(errors="replace").splitlines()


def count(server, load):
    """Syncs during `load`, without those of the server's start."""
    file = Path(server.workshop.top, "strace")
    trace(server, file)
    server.start()
    opened = set()
    before = written(file)
    syncs(before, opened)
    load()
    return syncs(written(file)[len(before):], opened)
