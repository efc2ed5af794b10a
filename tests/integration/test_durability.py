# SPDX-License-Identifier: Apache-2.0
"""Every acknowledged write is there after SIGKILL, whenever it comes, and no half one."""

import os
import random
import signal
import threading
import time
import unittest

import grpc

from daemon import Case
from durability import Writer

# At random moments: while it starts, while it writes, while it ends.
KILLS = 105
WRITERS = 4
SEED = os.environ.get("TEST_SEED") or str(random.randrange(1 << 32))


class Kills(Case):
    def setUp(self):
        super().setUp()
        print(f"TEST_SEED={SEED}")
        self.random = random.Random(SEED)
        self.workshop.add_default_modules()
        # It is the test that kills the daemon, also while the store starts.
        self.workshop.write_config(on_crash={"quarantine_after": 0})
        self.writers = [Writer(f"writer{number}", self.workshop.top, SEED) for number in range(WRITERS)]
        for writer in self.writers:
            self.addCleanup(writer.record.close)

    def end(self, daemon):
        daemon.process.kill()
        daemon.process.wait()
        daemon.notify.close()
        self.daemons.remove(daemon)

    def killed_while_it_starts(self):
        daemon = self.launch()
        time.sleep(self.random.uniform(0, 0.06))
        self.end(daemon)

    def killed_while_it_writes(self, daemon):
        time.sleep(self.random.uniform(0, 0.15))
        self.end(daemon)

    def killed_while_it_ends(self, daemon):
        time.sleep(self.random.uniform(0, 0.05))
        daemon.send(signal.SIGTERM)
        time.sleep(self.random.uniform(0, 0.02))
        self.end(daemon)

    def round(self, kill):
        daemon = self.start()
        for writer in self.writers:
            writer.settle(writer.compare(daemon.address))
        stop = threading.Event()
        threads = [writer.start(daemon.address, stop) for writer in self.writers]
        kill(daemon)
        stop.set()
        for thread in threads:
            thread.join()
        for writer in self.writers:
            if writer.error is not None and writer.error.code() != grpc.StatusCode.UNAVAILABLE:
                raise AssertionError(f"{writer.namespace}: {writer.error}\n{daemon.log}")

    def test_acknowledged_writes_survive_a_hundred_kills(self):
        for number in range(KILLS):
            if number % 5 == 4:
                self.killed_while_it_starts()
            else:
                self.round(self.killed_while_it_ends if number % 5 == 2 else self.killed_while_it_writes)
        daemon = self.start()
        for writer in self.writers:
            writer.compare(daemon.address)
        acknowledged = sum(writer.record.acknowledged() for writer in self.writers)
        print(f"{KILLS} kills, {acknowledged} acknowledged writes")
        self.assertGreater(acknowledged, KILLS * 5)
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
