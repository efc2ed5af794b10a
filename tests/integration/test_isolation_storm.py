# SPDX-License-Identifier: Apache-2.0
"""A process that crashes again and again, under load: nobody else notices, its own calls get a reason, and nothing is leaked.

BERTH_TEST_CRASHES says how often; the figures are printed, for which unittest's option -b is to be left out.
"""

import contextlib
import os
import signal
import statistics
import threading
import time
import unittest
from pathlib import Path

import grpc

from daemon import PATIENCE
from isolated import IS_SANITIZED, REPORTS, URI, Isolated, helloworld_pb2

CRASHES = int(os.environ.get("BERTH_TEST_CRASHES", "20" if IS_SANITIZED else "300"))
GREETER = "io.containerd.grpc.v1.greeter"
MIB = 1024 * 1024


class Load:
    """Calls to another plugin, one after another, on a connection of its own, until it is stopped."""

    def __init__(self, address):
        self.address = address
        self.count = 0
        self.failures = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        request = helloworld_pb2.HelloRequest(name="you").SerializeToString()
        with grpc.insecure_channel(f"unix:{self.address}") as channel:
            greet = channel.unary_unary("/helloworld.Greeter/SayHello")
            while not self.is_over.is_set():
                try:
                    greet(request, timeout=PATIENCE)
                except grpc.RpcError as error:
                    self.failures.append(f"{error.code()}: {error.details()}")
                self.count += 1

    def stop(self):
        self.is_over.set()
        self.thread.join()


class Storm(Isolated):
    def memory_of(self, daemon):
        status = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def descriptors_of(self, daemon):
        return len(os.listdir(f"/proc/{daemon.pid}/fd"))

    @contextlib.contextmanager
    def method(self, daemon):
        with grpc.insecure_channel(f"unix:{daemon.address}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            yield channel.unary_unary("/berth.test.Hostile/Do")

    def assert_has_a_reason(self, call, *expected):
        with self.assertRaises(grpc.RpcError) as caught:
            call.result()
        error = caught.exception
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, error.code(), error.details())
        self.assertTrue(any(text in error.details() for text in expected), error.details())

    def crash(self, number, do, daemon):
        """One of three ways; another call is in flight, and both end with the reason."""
        word = ("crash", "exit", "kill -9")[number % 3 if not IS_SANITIZED else 2]
        waits = do.future(b"never", timeout=PATIENCE)
        if word == "kill -9":
            # It has been asked something before, so that the call in flight is already there.
            self.assertEqual(b"unknown", do(b"hello", timeout=PATIENCE))
            os.kill(self.workers(daemon)[0], signal.SIGKILL)
        else:
            self.assert_has_a_reason(do.future(word.encode(), timeout=PATIENCE), "was killed by SIGSEGV", "exited with code 3")
        self.assert_has_a_reason(waits, "was killed by SIGSEGV", "exited with code 3", "was killed by SIGKILL")

    def test_crashes_under_load_cost_nobody_else_a_call(self):
        daemon = self.begin({"start_limit": 0, "restart_delay": "0s"})
        took, loads = [], []
        with self.method(daemon) as do:
            loads = [Load(daemon.address), Load(daemon.address)]
            try:
                for number in range(CRASHES):
                    if number == CRASHES // 10:
                        before = self.memory_of(daemon), self.descriptors_of(daemon)
                    self.crash(number, do, daemon)
                    begun = time.monotonic()
                    self.assertEqual(b"unknown", do(b"hello", timeout=PATIENCE))
                    took.append(time.monotonic() - begun)
            finally:
                for load in loads:
                    load.stop()
            after = self.memory_of(daemon), self.descriptors_of(daemon)
        self.assertEqual([], [failure for load in loads for failure in load.failures])
        ordered = sorted(took)
        print(f"crashes={CRASHES} other_calls={sum(load.count for load in loads)} failed=0 "
              f"restart_ms: p50={statistics.median(took) * 1000:.1f} p99={ordered[len(ordered) * 99 // 100] * 1000:.1f} "
              f"max={ordered[-1] * 1000:.1f} "
              f"rss_mib: {before[0] / MIB:.1f} -> {after[0] / MIB:.1f} descriptors: {before[1]} -> {after[1]}")
        if not IS_SANITIZED:
            # The bound of 50 ms is for a machine with nothing else to do.
            self.assertLess(statistics.median(took), 0.25)
            self.assertLess(after[0] - before[0], 4 * MIB)
        self.assertLessEqual(after[1], before[1] + 2)
        self.assertEqual(1, len(self.workers(daemon)))
        self.assertGreater(sum(load.count for load in loads), CRASHES)
        self.assert_stops(daemon)

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_each_restart_in_a_row_waits_twice_as_long(self):
        daemon = self.begin({"start_limit": 0, "restart_delay": "100ms"})
        took = []
        with self.method(daemon) as do:
            for number in range(5):
                self.assert_has_a_reason(do.future(b"crash", timeout=PATIENCE), "was killed by SIGSEGV")
                begun = time.monotonic()
                self.assertEqual(b"unknown", do(b"hello", timeout=PATIENCE))
                took.append(time.monotonic() - begun)
                self.assertGreater(took[-1], 0.09 * 2 ** number, took)
        self.assertIn("restarting in 1600 ms", daemon.log)
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
