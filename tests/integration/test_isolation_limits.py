# SPDX-License-Identifier: Apache-2.0
"""Isolated plugins in control groups of their own, below one that is delegated to the daemon, as with systemd's Delegate=."""

import os
import signal
import time
import unittest
from pathlib import Path

from daemon import PATIENCE
from isolated import URI, Isolated


def find_hierarchy():
    """Where cgroup v2 is mounted and may be written; None where it is not."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="ascii").splitlines():
        if " - cgroup2 " in line and os.geteuid() == 0 and os.access(line.split()[4], os.W_OK):
            return Path(line.split()[4])
    return None


class Grouped(Isolated):
    def setUp(self):
        super().setUp()
        hierarchy = find_hierarchy()
        if hierarchy is None:
            self.skipTest("needs root and cgroup v2")
        self.group = hierarchy / f"berth-test-{os.getpid()}"
        try:
            self.group.mkdir()
        except OSError as error:
            self.skipTest(f"{hierarchy}: {error}")
        self.addCleanup(self.remove_group)
        os.setxattr(self.group, "user.delegate", b"1")
        self.can = set((self.group / "cgroup.controllers").read_text(encoding="ascii").split())

    def remove_group(self):
        (self.group / "cgroup.kill").write_text("1", encoding="ascii")
        end = time.monotonic() + PATIENCE
        while "populated 1" in (self.group / "cgroup.events").read_text(encoding="ascii"):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        for below in self.group.iterdir():
            if below.is_dir():
                below.rmdir()
        self.group.rmdir()

    def enter(self):
        (self.group / "cgroup.procs").write_text("0", encoding="ascii")

    def start_grouped(self, **isolation):
        self.workshop.write_config(isolation={URI: {**self.isolation, **isolation}})
        return self.start(preexec=self.enter)

    def workers_groups(self):
        return sorted(self.group.glob("berth-worker-*"))

    def processes_of(self, group):
        return [int(process) for process in (group / "cgroup.procs").read_text(encoding="ascii").split()]

    def test_a_worker_has_a_group_which_goes_with_it(self):
        daemon = self.start_grouped()
        [group] = self.workers_groups()
        self.assertEqual(self.workers(daemon), self.processes_of(group))
        self.assertEqual([daemon.pid], self.processes_of(self.group / "berth-daemon"))
        self.kill(daemon)
        self.wait_until_it_works(daemon)
        [after] = self.workers_groups()
        self.assertNotEqual(group, after)
        self.assertEqual(self.workers(daemon), self.processes_of(after))
        self.assert_stops(daemon)
        self.assertEqual([], self.workers_groups())

    def test_groups_of_a_killed_daemon_are_tidied_by_the_next(self):
        daemon = self.start_grouped()
        [left] = self.workers_groups()
        daemon.send(signal.SIGKILL)
        daemon.process.wait()
        self.assertEqual([left], self.workers_groups())
        # The next is started in the group that the first left for it, as a service manager would not.
        self.group /= "berth-daemon"
        daemon = self.start_grouped()
        self.group = self.group.parent
        [group] = self.workers_groups()
        self.assertNotEqual(left, group)
        self.assertEqual(self.workers(daemon), self.processes_of(group))
        self.assert_stops(daemon)

    def test_what_is_enforced_and_what_is_not_is_said(self):
        daemon = self.start_grouped(tasks=30, cpu_quota=50, memory="512MiB")
        shown = daemon.ctl("plugins", "inspect", URI).stdout
        for controller, name, kept in (("pids", "tasks", "at most 30 threads and processes"), ("cpu", "cpu", "at most 50 % of one CPU"),
                                       ("memory", "memory", "at most 512 MiB of memory, shared memory and files in memory included")):
            with self.subTest(name):
                if controller in self.can:
                    self.assert_line(shown, name, kept)
                elif name != "memory":
                    self.assertNotIn(kept, shown)
                    self.assert_line(shown, name, "delegate")
        self.assert_stops(daemon)
        daemon = self.start_grouped(cpu_quota=50, required=True)
        if "cpu" in self.can:
            self.wait_until_it_works(daemon)
        else:
            self.assertIn("sandbox is required, but cpu", self.state_of(daemon))
        self.assert_stops(daemon)

    def test_a_kill_for_memory_is_told_exactly(self):
        if "memory" not in self.can:
            self.skipTest("needs the controller memory of cgroup v2")
        daemon = self.start_grouped(memory="64MiB", processes=True)
        [group] = self.workers_groups()
        self.assertEqual(str(64 << 20), (group / "memory.max").read_text(encoding="ascii").strip())
        # Its own limit of private memory is met by an error of malloc: this is met by what it has.
        (group / "memory.max").write_text("65536", encoding="ascii")
        daemon.wait_for_log("by the kernel because it ran out of memory")
        self.assertIn("ran out of memory (OOM", self.state_of(daemon))
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
