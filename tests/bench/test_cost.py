# SPDX-License-Identifier: Apache-2.0
"""What a call and a connection may cost, counted rather than timed, so that a busy machine changes nothing."""

import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

import memory  # noqa: E402
import rpc_memory  # noqa: E402
from daemon import BERTHD  # noqa: E402
from rpc_cost import Counted  # noqa: E402
from rpc_peers import Berthd, Stored  # noqa: E402

KIB = 1024
MIB = 1024 * KIB


def is_sanitized():
    return b"__asan_" in subprocess.run(["nm", "-D", str(BERTHD)], capture_output=True, check=True).stdout


def wait_until(condition, timeout=60):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it has not come so far in time")
        time.sleep(0.05)


@unittest.skipIf(is_sanitized(), "a sanitizer has memory and calls of its own")
class Cost(unittest.TestCase):
    def test_calls_in_flight_share_their_system_calls_and_allocate_nothing(self):
        with Counted() as counted:
            call = counted.per_call(10000, 8, 32)
        self.assertLess(call["allocations"], 0.1, call)
        self.assertLess(call["reads"] + call["writes"] + call["waits"], 0.5, call)

    def test_a_reply_of_4_kib_allocates_nothing(self):
        with Counted() as counted:
            call = counted.per_call(10000, 8, 16, "Page")
        self.assertLess(call["allocations"], 0.1, call)

    def test_a_lone_call_costs_one_system_call_to_wait_one_to_read_and_one_to_write(self):
        with Counted() as counted:
            call = counted.per_call(2000, 1, 1)
        self.assertLess(call["allocations"], 0.1, call)
        for kind in ("reads", "writes", "waits"):
            self.assertLess(call[kind], 1.1, call)

    def test_fifty_thousand_calls_leave_nothing_behind(self):
        server = Berthd()
        self.addCleanup(server.remove)
        server.start()
        before, after = rpc_memory.growth_bytes(server, 5000, 55000)
        self.assertLess(after - before, 512 * KIB)

    def test_an_idle_connection_holds_no_more_than_16_kib(self):
        server = Berthd()
        self.addCleanup(server.remove)
        server.start()
        self.assertLess(rpc_memory.idle_bytes(server, 1000), 16 * KIB)

    def test_a_daemon_with_its_default_plugins_idles_within_5_5_mib(self):
        found = []
        # How much of a library the kernel maps around a page in use differs from start to start.
        for _ in range(3):
            server = Stored()
            self.addCleanup(server.remove)
            found.append((memory.idle_kib(server)["Rss"] / 1024, memory.largest(server.process.pid)))
            if found[-1][0] <= memory.IDLE_MIB:
                break
        mib, largest = min(found)
        self.assertLessEqual(mib, memory.IDLE_MIB, largest)
        mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
        for library in ("libcrypto", "libssl", "libsodium", "libsystemd", "libgcrypt", "libstdc++", "libgcc_s", "libyaml", "libz."):
            self.assertNotIn(library, mapped)

    def test_memory_that_unread_replies_took_is_given_back_when_their_callers_are_gone(self):
        server = Berthd()
        self.addCleanup(server.remove)
        server.start()
        before = server.resident_bytes()
        callers = [rpc_memory.open_connection(server, rpc_memory.unread_calls(server.path("Page"), 100)) for _ in range(100)]
        try:
            wait_until(lambda: server.resident_bytes() > before + 40 * MIB)
        finally:
            rpc_memory.close(callers)
        wait_until(lambda: server.resident_bytes() < before + 3 * MIB)


if __name__ == "__main__":
    unittest.main()
