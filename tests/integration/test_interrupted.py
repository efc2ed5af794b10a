# SPDX-License-Identifier: Apache-2.0
"""
SIGKILL and SIGTERM at any moment of a stream of reloads, upgrades and restarts, while clients write and servers are
replaced: the next start is ready and serves, with nothing of the run before but what was acknowledged.
"""

import importlib
import os
import random
import signal
import socket
import stat
import threading
import time
import unittest
from pathlib import Path

import grpc

import protos
from changing import Changing
from daemon import PATIENCE, Case
from durability import Writer
from test_listeners import GRPC, TTRPC

KILLS = int(os.environ.get("BERTH_KILLS", "30"))
STOPS = int(os.environ.get("BERTH_STOPS", "10"))
SEED = os.environ.get("TEST_SEED") or str(random.randrange(1 << 32))
SANITIZED = os.environ.get("BERTH_TEST_SANITIZE", "none") != "none"
GREETER = "io.containerd.grpc.v1.greeter"
# What is upgraded, by the mode in which its module is.
BESIDE, HANDOVER, EXCLUSIVE = ("greeter", "version"), ("metrics",), ("events", "store-lmdb", "leases")


class Changer(threading.Thread):
    """Asks for one change after the other until the daemon is gone."""

    def __init__(self, test, address, source):
        super().__init__(daemon=True)
        self.test, self.address, self.random = test, address, source
        self.done, self.failure, self.is_over = 0, None, False

    def ask(self, channel, kind, *subjects):
        change = importlib.import_module("berth.change.v1.change_pb2")
        call = channel.unary_stream("/berth.change.v1.Changes/Request",
                                    request_serializer=change.ChangeRequest.SerializeToString,
                                    response_deserializer=change.ChangeAnswer.FromString)
        request = change.ChangeRequest(kind=change.Kind.Value(f"KIND_{kind}"), subjects=subjects)
        for answer in call(request, timeout=PATIENCE):
            if answer.HasField("report"):
                self.done += 1

    def change(self, channel):
        what = self.random.randrange(6)
        if what == 0:
            self.test.configure(self.random)
            self.ask(channel, "RELOAD")
        elif what == 1:
            self.ask(channel, "RESTART", self.random.choice((GRPC, TTRPC)))
        else:
            stem = self.random.choice((BESIDE, HANDOVER, EXCLUSIVE)[what % 3])
            self.test.new_version(stem)
            # A file stands for all of its plugins. Others may have changed in an upgrade that nobody answered.
            self.ask(channel, "RELOAD" if what == 5 else "UPGRADE",
                     *([] if what == 5 else [str(self.test.workshop.plugins / f"{stem}.so")]))

    def run(self):
        while not self.is_over and self.failure is None:
            with grpc.insecure_channel(f"unix:{self.address}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                try:
                    while not self.is_over:
                        self.change(channel)
                except grpc.RpcError as error:
                    # A call ends where its server is replaced, and where the daemon stops.
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                        self.failure = error

    def end(self):
        self.is_over = True
        self.join(PATIENCE)
        if self.failure is not None:
            raise AssertionError(f"{self.failure}")
        return self.done


class Interrupted(Changing, Case):
    def setUp(self):
        super().setUp()
        print(f"TEST_SEED={SEED}")
        self.random = random.Random(SEED)
        self.workshop.add_default_modules()
        self.configure(self.random)
        self.writer = Writer("writer", self.workshop.top, SEED)
        self.addCleanup(self.writer.record.close)
        self.changes = 0

    def configure(self, source):
        # It is the test that kills the daemon.
        self.workshop.write_config(on_crash={"quarantine_after": 0}, upgrade={"drain": "300ms"},
                                   plugins={GRPC: {"mode": source.choice(("0600", "0660"))},
                                            TTRPC: {"max_idle": source.choice(("1h", "2h"))}})

    def assert_greeted(self, address):
        with grpc.insecure_channel(f"unix:{address}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary("/helloworld.Greeter/SayHello",
                                       request_serializer=protos.greeter.HelloRequest.SerializeToString,
                                       response_deserializer=protos.greeter.HelloReply.FromString)
            self.assertIn("Ada", call(protos.greeter.HelloRequest(name="Ada"), timeout=PATIENCE).message)

    def assert_clean(self, daemon):
        """What a start has made of what the run before left."""
        self.assert_greeted(daemon.address)
        self.writer.settle(self.writer.compare(daemon.address))
        sockets = [path for path in self.workshop.state.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]
        self.assertIn(daemon.address, map(str, sockets))
        for path in sockets:
            with socket.socket(socket.AF_UNIX) as client:
                # Refused, if nobody listens on it any more.
                client.connect(str(path))
        copies = self.workshop.root / "modules"
        maps = Path(f"/proc/{daemon.pid}/maps").read_text(encoding="utf-8")
        for folder in copies.iterdir() if copies.exists() else []:
            self.assertIn(f"{folder}/", maps, f"{folder} is left, and nothing of it is in memory")

    def run_and_interrupt(self, number, limit):
        """One run, ended by a signal at a random moment of its changes. @return the daemon, with all threads at their end"""
        daemon = self.start()
        self.assert_clean(daemon)
        changer, stop = Changer(self, daemon.address, random.Random(self.random.random())), threading.Event()
        writer = self.writer.start(daemon.address, stop)
        changer.start()
        time.sleep(self.random.uniform(0, limit))
        daemon.send(number)
        code = daemon.wait() if number == signal.SIGTERM else daemon.process.wait(PATIENCE)
        daemon.notify.close()
        stop.set()
        self.changes += changer.end()
        writer.join(PATIENCE)
        if self.writer.error is not None and self.writer.error.code() not in (
                grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            raise AssertionError(f"{self.writer.error}\n{daemon.log}")
        self.daemons.remove(daemon)
        return daemon, code

    def test_the_start_after_a_kill_at_any_moment_is_clean(self):
        for _ in range(KILLS):
            daemon, code = self.run_and_interrupt(signal.SIGKILL, 2 if SANITIZED else 0.6)
            self.assertEqual(-signal.SIGKILL, code, daemon.log)
        daemon = self.start()
        self.assert_clean(daemon)
        print(f"{KILLS} kills, {self.changes} changes, {self.writer.record.acknowledged()} acknowledged writes")
        self.assertGreater(self.changes, KILLS // 10)
        self.assert_stops(daemon)

    def test_a_stop_at_any_moment_of_a_change_is_an_orderly_one(self):
        for _ in range(STOPS):
            daemon, code = self.run_and_interrupt(signal.SIGTERM, 2 if SANITIZED else 0.6)
            self.assertEqual(0, code, daemon.log)
            self.assertIn("stopped exit_code=0", daemon.log)
            self.assertEqual([], [path for path in self.workshop.state.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)])
        print(f"{STOPS} stops, {self.changes} changes")
        self.assertGreater(self.changes, STOPS // 10)


if __name__ == "__main__":
    unittest.main()
