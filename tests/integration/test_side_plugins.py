# SPDX-License-Identifier: Apache-2.0
"""`ctr plugins ls` and `ctr version`: of the plugins that both daemons have, ctr prints the same."""

import re
import unittest

from side_by_side import Differs, SideBySide

VERSION_DIFFERS = {"version": Differs("ctr is containerd's, and says that our version is another than its own",
                                      stderr="WARNING: version mismatch\nWARNING: revision mismatch\n")}
FILTERED = """
plugins ls id==absent
plugins ls -q id==absent
plugins ls -d id==absent
plugins ls id==
plugins ls -q id==
plugins ls -d id==
plugins ls id==/x
plugins ls -q id==version
plugins ls -q type==io.containerd.event.v1
plugins ls -q id==containers id==containers-service
plugins ls -q type==io.containerd.grpc.v1,id~=ers$
plugins ls id==leases id==leases-service
plugins ls id==opt
plugins ls id==exchange id==events
plugins ls type==io.containerd.service.v1,id!=diff-service,id~=^namespaces id==namespaces
"""
# What both have; a new one that both come to have belongs here.
COMMON = {
    ("io.containerd.event.v1", "exchange"), ("io.containerd.grpc.v1", "containers"), ("io.containerd.grpc.v1", "cri"),
    ("io.containerd.grpc.v1", "events"),
    ("io.containerd.grpc.v1", "introspection"), ("io.containerd.grpc.v1", "leases"), ("io.containerd.grpc.v1", "namespaces"),
    ("io.containerd.grpc.v1", "version"), ("io.containerd.internal.v1", "opt"),
    ("io.containerd.service.v1", "containers-service"), ("io.containerd.service.v1", "introspection-service"),
    ("io.containerd.service.v1", "leases-service"), ("io.containerd.service.v1", "namespaces-service"),
}
# A plugin's row, where it is not the same.
ROWS_DIFFER = {
    ("io.containerd.grpc.v1", "cri"): (["-", "ok"], "as in containerd 2, the platform is that of io.containerd.cri.v1.runtime"),
}
# A plugin's block in `plugins ls -d`, where it is not the same.
STORE = "what is kept is kept in a store of ours, not in containerd's metadata"
DETAILS_DIFFER = {
    ("io.containerd.grpc.v1", "cri"): (
        ["Requires:", "io.containerd.cri.v1", "io.containerd.event.v1", "io.berth.store.v1"],
        "as in containerd 2, it is three plugins"),
    ("io.containerd.service.v1", "containers-service"): (
        ["Requires:", "io.berth.store.v1", "io.containerd.event.v1", "io.containerd.service.v1"], STORE),
    ("io.containerd.service.v1", "leases-service"): (["Requires:", "io.berth.store.v1", "io.containerd.service.v1"], STORE),
    ("io.containerd.service.v1", "namespaces-service"): (["Requires:", "io.berth.store.v1", "io.containerd.event.v1"], STORE),
}


def rows(text):
    found = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        found[words[0], words[1]] = words[2:]
    return found


def blocks(text):
    """By type and id the block that follows; where an export lies is the daemon's own business."""
    found = {}
    for block in re.split(r"^(?=Type:)", text, flags=re.MULTILINE)[1:]:
        lines = [" ".join(line.split()) for line in block.splitlines() if line.strip()]
        lines = [re.sub(r"^(root|path) /.*", r"\1 PATH", line) for line in lines]
        found[lines[0].removeprefix("Type: "), lines[1].removeprefix("ID: ")] = lines[2:]
    return found


class Plugins(SideBySide):
    def table(self, line, parse):
        done = self.both(lambda daemon: self.ctr(daemon, line))
        self.assertEqual([(0, ""), (0, "")], [(each["code"], each["stderr"]) for each in done])
        return [parse(each["stdout"]) for each in done]

    def test_the_version(self):
        self.replay("version", VERSION_DIFFERS)

    def test_rows_that_filters_let_through(self):
        self.replay(FILTERED)

    def test_the_table(self):
        ours, theirs = self.table("plugins ls", rows)
        self.assertEqual(COMMON, set(ours) & set(theirs))
        for key in sorted(COMMON):
            with self.subTest(key):
                wanted, why = ROWS_DIFFER.get(key, (theirs[key], None))
                self.assertEqual(wanted, ours[key], why)
                if why is not None:
                    self.assertNotEqual(theirs[key], ours[key], f"this does not differ any more: {why}")

    def test_the_order_is_one_in_which_they_can_start(self):
        for found in self.table("plugins ls", lambda text: list(rows(text))):
            for name in ("containers", "leases", "namespaces", "introspection"):
                self.assertLess(found.index(("io.containerd.service.v1", f"{name}-service")),
                                found.index(("io.containerd.grpc.v1", name)))

    def test_the_details(self):
        ours, theirs = self.table("plugins ls -d", blocks)
        for key in sorted(COMMON):
            with self.subTest(key):
                wanted, why = DETAILS_DIFFER.get(key, (theirs[key], None))
                self.assertEqual(wanted, ours[key], why)
                if why is not None:
                    self.assertNotEqual(theirs[key], ours[key], f"this does not differ any more: {why}")


if __name__ == "__main__":
    unittest.main()
