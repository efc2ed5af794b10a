# SPDX-License-Identifier: Apache-2.0
"""What a call costs once everything is warm: allocations and system calls, counted from inside berthd."""

import mmap
import struct
from pathlib import Path

import rpc_load
from rpc_peers import BUILT, Berthd

COUNTS = ("allocations", "frees", "reads", "writes", "waits")


class Counted:
    """A berthd whose allocations and system calls are counted."""

    def __init__(self):
        self.server = Berthd()
        self.file = Path(self.server.workshop.top, "counts")
        self.file.write_bytes(bytes(8 * len(COUNTS)))
        self.server.variables = {"LD_PRELOAD": BUILT / "counts.so", "BENCH_COUNTS": self.file}
        with open(self.file, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8 * len(COUNTS))

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.remove()

    def counts(self):
        return struct.unpack(f"{len(COUNTS)}Q", self.map[:])

    def per_call(self, calls, connections, streams, method="Nothing"):
        """The difference between two runs, so that connecting and what is paid once cancel out."""
        found = []
        for share in (1, 1, 2):
            before = self.counts()
            rpc_load.h2load(self.server, self.server.path(method), calls * share, connections, streams)
            found.append([after - old for after, old in zip(self.counts(), before)])
        return dict(zip(COUNTS, ((more - less) / calls for less, more in zip(found[1], found[2]))))
