# SPDX-License-Identifier: Apache-2.0
"""What an isolated plugin tries against the daemon, the system and its own connection is refused, or ends its process alone."""

import os
import re
import shutil
import time
import unittest
from pathlib import Path

import grpc

from daemon import PATIENCE
from isolated import IS_SANITIZED, REPORTS, URI, Isolated
from workshop import BUILD

MIB = 1024 * 1024
CONSTRUCTOR = "io.berth.fixture.v1.constructor_"


class Attack(Isolated):
    # Packets by hand end a process as often as there are packets.
    isolation = {"restart_delay": "0s", "start_limit": 0}

    def memory_of(self, daemon):
        status = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def descriptors_of(self, daemon):
        return len(os.listdir(f"/proc/{daemon.pid}/fd"))

    def assert_descriptors_return_to(self, daemon, before):
        """Connections of clients that have gone are closed a little later."""
        end = time.monotonic() + PATIENCE
        while self.descriptors_of(daemon) > before:
            self.assertLess(time.monotonic(), end, sorted(os.listdir(f"/proc/{daemon.pid}/fd")))
            time.sleep(0.02)

    def assert_others_are_served(self, daemon):
        self.assertTrue(daemon.is_alive(), daemon.log)
        self.greet(daemon)


class Refused(Attack):
    """What the sandbox refuses costs nobody anything: the process that tried it goes on, too."""

    ON_THE_DAEMON = ["ptrace", "attach", "write-memory", "read-memory", "open-memory", "environment", "oom", "kill", "stop", "kill-all",
                     "kill-group", "kill-thread", "kill-any-thread", "kill-queued", "kill-by-descriptor", "kill-by-owner",
                     "steal-descriptor", "limit", "slow", "outlive"]
    ON_THE_SYSTEM = ["session", "mount", "chroot", "become-root", "kernel-module", "perf", "bpf", "netlink", "udp", "packet-socket",
                     "unix-socket"]

    def assert_refused(self, words, *expected, isolation=None):
        daemon = self.begin(isolation)
        before = self.workers(daemon)
        for word in words:
            with self.subTest(word):
                self.assertIn(self.do(daemon, word), expected)
                self.assert_others_are_served(daemon)
        self.assertEqual(before, self.workers(daemon))
        self.assert_stops(daemon)

    # ENOENT: a process whose file system has only listed paths has no /proc.
    def test_a_refused_system_call_is_named_once_and_counted(self):
        daemon = self.begin()
        for _ in range(3):
            self.assertEqual("EPERM", self.do(daemon, "ptrace"))
        self.assertEqual("EPERM", self.do(daemon, "unix-socket"))
        self.assertIn(self.do(daemon, "exec"), ("EPERM", "EACCES"))
        daemon.wait_for_log("called ptrace, which its sandbox refuses; allow it with system_calls: [ptrace]")
        self.assert_line(daemon.log, URI, "called socket, which its sandbox refuses; set network")
        self.assert_line(daemon.log, URI, "called execve, which its sandbox refuses; an isolated plugin runs no other program")
        self.assertEqual(1, daemon.log.count("called ptrace"))
        self.assert_line(self.state_of(daemon), "its sandbox refused ptrace, 3 times")
        # Of all its processes.
        self.kill(daemon)
        self.wait_until_it_works(daemon)
        self.assertEqual("EPERM", self.do(daemon, "ptrace"))
        self.assertEqual(1, daemon.log.count("called ptrace"))
        self.assertEqual({"ptrace": 4, "socket": 1, "execve": 1}, self.inspect(daemon)["refused_calls"])
        self.assert_stops(daemon)

    def test_a_flood_of_refused_system_calls_ends(self):
        daemon = self.begin()
        self.assertEqual("ENOSYS", self.do(daemon, "refused 12000", timeout=PATIENCE))
        self.assert_others_are_served(daemon)
        self.assertEqual({"ptrace": 10000}, self.inspect(daemon)["refused_calls"])
        self.assert_stops(daemon)

    def test_attempts_on_the_daemon(self):
        self.assert_refused(self.ON_THE_DAEMON, "EPERM", "EACCES", "ENOENT")

    def test_attempts_on_the_system(self):
        self.assert_refused(self.ON_THE_SYSTEM, "EPERM")

    def test_children_of_the_daemon_are_not_its_own(self):
        self.assert_refused(["wait"], "ECHILD")

    def test_with_processes_and_sockets_of_its_own_the_daemon_is_still_out_of_reach(self):
        self.assert_refused(self.ON_THE_DAEMON, "EPERM", "EACCES", "ENOENT", isolation={"processes": True, "network": "all"})


class Constructors(Attack):
    """Code that runs as soon as a module is loaded runs in the sandbox, and what it does is the end of its process alone."""

    def explain(self, name, **settings):
        uri = CONSTRUCTOR + name
        shutil.copy(BUILD / "tests" / "fixtures" / f"constructor_{name}.so", self.workshop.plugins)
        self.workshop.write_config(isolation={uri: {}, URI: {}}, plugins={URI: {}}, **settings)
        daemon = self.start()
        self.assert_others_are_served(daemon)
        self.wait_until_it_works(daemon)
        state = self.state_of(daemon, uri)
        self.assert_stops(daemon)
        return state

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_a_crash(self):
        self.assertIn("its process was killed by SIGSEGV", self.explain("crashes"))

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_an_exit(self):
        self.assertIn("its process exited with code 4", self.explain("exits"))

    def test_an_endless_loop(self):
        timeouts = {"plugins": {CONSTRUCTOR + "never_ends": {"init": "1s", "prepare": "1ms"}}}
        # By the worker's deadline, or on a busy machine by the daemon's own just after it.
        self.assertIn("init did not complete within", self.explain("never_ends", timeouts=timeouts))

    def test_attempts_are_refused_before_any_code_runs(self):
        self.assertIn("ready", self.explain("spies"))


class Connection(Attack):
    """What a process writes to its connection by hand."""

    # One past the last that there is, and the largest.
    TYPES = [*range(40), 255]

    def send(self, daemon, word):
        """Its answer, or the reason for which there is none."""
        try:
            return self.do(daemon, word, timeout=PATIENCE)
        except grpc.RpcError as error:
            # An answer that was made up by hand is an answer, too: any status may come of it.
            return f"{error.code().name}: {error.details()}"

    def test_packets_of_every_type(self):
        daemon = self.begin()
        for kind in self.TYPES:
            for length in (0, 4, 100):
                self.send(daemon, f"frame {kind} 1 0 {length} {kind * 1000 + length}")
            self.assert_others_are_served(daemon)
        self.wait_until_it_works(daemon)
        self.assert_line(daemon.log, URI, "its process was killed: it sent a packet of a kind that only the daemon sends")
        self.assert_line(daemon.log, URI, "its process was killed: it sent bytes that are not a packet")
        self.assert_stops(daemon)

    def test_packets_that_are_not_of_its_plugin(self):
        daemon = self.begin()
        for plugin, reason in ((0, "it sent a packet of a kind that belongs to a plugin"), (2, "it sent a packet of a plugin that does not run in it"),
                               (256, "it sent a packet of a plugin that does not run in it"), (257, "it sent bytes that are not a packet")):
            # Of whatever type: whose it is, is looked at first.
            self.assertIn(f"its process was killed: {reason}", self.send(daemon, f"frame 2 {plugin} 0 8 1"))
            self.assert_others_are_served(daemon)
        self.wait_until_it_works(daemon)
        self.assert_stops(daemon)

    def test_random_packets_about_itself_and_about_calls(self):
        daemon = self.begin()
        before = self.memory_of(daemon), self.descriptors_of(daemon)
        for seed in range(5 if IS_SANITIZED else 40):
            self.send(daemon, f"frames {seed}")
            self.assert_others_are_served(daemon)
        self.wait_until_it_works(daemon)
        if not IS_SANITIZED:
            self.assertLess(self.memory_of(daemon) - before[0], 24 * MIB)
        self.assert_descriptors_return_to(daemon, before[1])
        self.assert_stops(daemon)

    def test_a_packet_that_never_comes(self):
        daemon = self.begin({"stall_after": "0s"})
        before = self.memory_of(daemon)
        with self.assertRaises(grpc.RpcError) as caught:
            self.do(daemon, "promise", timeout=2)
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, caught.exception.code())
        self.assert_others_are_served(daemon)
        if not IS_SANITIZED:
            self.assertLess(self.memory_of(daemon) - before, 24 * MIB)
        # Its process is waiting for calls, and no answer of it gets through: that is a stall.
        self.kill(daemon)
        self.wait_until_it_works(daemon)
        self.assert_stops(daemon)

    def assert_floods(self, word, text):
        daemon = self.begin()
        self.assertEqual("ok", self.do(daemon, f"{word} 20000", timeout=PATIENCE))
        daemon.wait_for_log("left out")
        self.wait_until_it_works(daemon)
        self.assert_stops(daemon)
        logged = daemon.log.count(text)
        said = [int(number) for number in re.findall(r"left out (\d+) lines that its process logged: more than 1000 lines or 256 KiB", daemon.log)]
        # On a busy machine it takes more than a second, and may even be several episodes.
        self.assertEqual(20000, logged + sum(said), said)
        self.assertLess(logged, 15000)
        self.assertLess(len(said), 5, said)

    def test_a_flood_of_lines_of_its_log(self):
        self.assert_floods("log", "one of many lines")

    def test_a_flood_of_printed_lines(self):
        self.assert_floods("print", "one of many printed lines")

    def test_descriptors_are_not_taken(self):
        daemon = self.begin()
        before = self.descriptors_of(daemon)
        self.send(daemon, "descriptors")
        self.wait_until_it_works(daemon)
        self.assert_descriptors_return_to(daemon, before)
        self.assert_others_are_served(daemon)
        self.assert_stops(daemon)

    def test_a_process_that_suspends_itself(self):
        daemon = self.begin({"stall_after": "1s"})
        self.assertIn("its loop was stuck for 1s (stall_after)", self.send(daemon, "suspend"))
        self.assert_others_are_served(daemon)
        self.wait_until_it_works(daemon)
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
