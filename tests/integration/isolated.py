# SPDX-License-Identifier: Apache-2.0
"""Daemons with the module of many attempts, tests/fixtures/hostile.c, in a process of its own."""

import importlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import grpc

import ask
from daemon import PATIENCE, Case
import protos  # noqa: F401 (makes the module below)
from workshop import BUILD

helloworld_pb2 = importlib.import_module("helloworld.helloworld_pb2")

URI = "io.berth.test.v1.hostile"
# The log then has what the sanitizer of the worker says, which elsewhere is a failure of the daemon.
REPORTS = "a sanitizer reports the crash, or what an exit leaks"
IS_SANITIZED = os.environ.get("BERTH_TEST_SANITIZE", "none") != "none"


class Isolated(Case):
    isolation = {"restart_delay": "5ms"}

    def setUp(self):
        super().setUp()
        shutil.copy(BUILD / "tests" / "fixtures" / "hostile.so", self.workshop.plugins)
        self.workshop.add_default_modules("servers", "greeter", "introspection", "version")

    def begin(self, isolation=None, plugins=None, others=None, **settings):
        chosen = {**self.isolation, **(isolation or {})}
        self.workshop.write_config(isolation={URI: chosen, **(others or {})}, plugins={URI: plugins or {}}, **settings)
        return self.start()

    def workers(self, daemon):
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text(encoding="ascii").split()
        return [int(child) for child in children if "berth-worker" in Path(f"/proc/{child}/comm").read_text(encoding="ascii")]

    def do(self, daemon, word, timeout=20, **options):
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            return channel.unary_unary("/berth.test.Hostile/Do")(word.encode(), timeout=timeout, **options).decode()

    def error_of(self, daemon, word, timeout=20):
        with self.assertRaises(grpc.RpcError) as caught:
            self.do(daemon, word, timeout)
        return caught.exception

    def greet(self, daemon):
        request = helloworld_pb2.HelloRequest(name="you")
        answer = ask.unary(daemon.address, "/helloworld.Greeter/SayHello", request, helloworld_pb2.HelloReply)
        self.assertEqual("Hello you", answer.message)

    def state_of(self, daemon, uri=URI):
        return daemon.ctl("explain", uri).stdout

    def inspect(self, daemon):
        told, = [plugin for plugin in json.loads(daemon.ctl("plugins", "ls", "--json").stdout) if plugin["uri"] == URI]
        return told["isolation"]

    def kill(self, daemon):
        """The one worker; returns once the daemon has noticed, as a call that is on its way until then is lost."""
        noticed = daemon.log.count("degraded")
        os.kill(self.workers(daemon)[0], signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while daemon.log.count("degraded") == noticed:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.001)

    def wait_until_it_works(self, daemon):
        """Calls wait while the process restarts; this one is answered by the next."""
        self.assertEqual("unknown", self.do(daemon, "hello"))
