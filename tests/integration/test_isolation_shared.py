# SPDX-License-Identifier: Apache-2.0
"""Isolated plugins that share a process: those of one module, and those that name one worker."""

import json
import os
import re
import shutil
import signal
import time
import unittest
from pathlib import Path

import grpc

from daemon import PATIENCE
from isolated import IS_SANITIZED, REPORTS, URI, Isolated
from workshop import BUILD

LEFT = "io.berth.pair.v1.left"
RIGHT = "io.berth.pair.v2.right"
GREETER = "io.containerd.grpc.v1.greeter"


class Shared(Isolated):
    def setUp(self):
        super().setUp()
        shutil.copy(BUILD / "tests" / "fixtures" / "pair.so", self.workshop.plugins)

    def begin_pair(self, left=None, right=None, plugins=None, others=None):
        self.workshop.write_config(isolation={LEFT: {**self.isolation, **(left or {})}, RIGHT: {**self.isolation, **(right or {})},
                                              **(others or {})}, plugins=plugins or {})
        return self.start()

    def ask(self, daemon, service, word=b"", timeout=PATIENCE):
        """The process that answers, and the calls that its module has had."""
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            answer = channel.unary_unary(f"/berth.test.{service}/Do")(word, timeout=timeout).decode()
        process, calls = answer.split()
        return int(process), int(calls)

    def listed(self, daemon):
        return {plugin["uri"]: plugin for plugin in json.loads(daemon.ctl("plugins", "ls", "--json").stdout)}

    def ctl(self, daemon, *command):
        done = daemon.ctl(*command)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr + daemon.log)
        return done.stdout

    def wait_until(self, what):
        end = time.monotonic() + PATIENCE
        while not what():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.005)


class Together(Shared):
    def test_plugins_of_one_module_share_its_process_and_its_variables(self):
        daemon = self.begin_pair()
        process, = self.workers(daemon)
        self.assertEqual([(process, 1), (process, 2), (process, 3)], [self.ask(daemon, service) for service in ("Left", "Right", "Left")])
        listed = self.listed(daemon)
        self.assertEqual([process, process], [listed[uri]["process"] for uri in (LEFT, RIGHT)])
        self.assertRegex(daemon.ctl("plugins", "inspect", LEFT).stdout, rf"\nProcess: +isolated in process {process}, shared with {re.escape(RIGHT)}\n")
        self.assertEqual(2, len(re.findall(rf"isolated in process {process}, shared\n", daemon.ctl("plugins", "ls").stdout)))
        self.assert_line(self.state_of(daemon, RIGHT), f"isolated in process {process}", LEFT)
        self.assert_stops(daemon)
        for uri in (LEFT, RIGHT):
            self.assert_line(daemon.log, uri, "closing")

    def test_modules_that_name_one_worker_share_it(self):
        daemon = self.begin_pair({"worker": "ours"}, others={URI: {**self.isolation, "worker": "ours"}, GREETER: {"restart_delay": "5ms", "worker": "theirs"}})
        listed = self.listed(daemon)
        self.assertEqual(3, len(self.workers(daemon)))
        self.assertEqual(listed[LEFT]["process"], listed[URI]["process"])
        self.assertEqual(3, len({listed[uri]["process"] for uri in (LEFT, RIGHT, GREETER)}))
        self.greet(daemon)
        self.wait_until_it_works(daemon)
        # A file that one of them may read, all of the process may.
        self.assertEqual(listed[URI]["process"], self.ask(daemon, "Left")[0])
        self.assert_stops(daemon)

    def test_lists_are_added_up(self):
        file = self.workshop.top / "allowed"
        file.write_text("x", encoding="utf-8")
        other = self.workshop.top / "other"
        other.write_text("x", encoding="utf-8")
        daemon = self.begin_pair({"worker": "ours", "files": {"read": [str(file)]}}, others={URI: {**self.isolation, "worker": "ours"}})
        self.assertEqual("ok", self.do(daemon, str(file)))
        self.assertIn(self.do(daemon, str(other)), ("ENOENT", "EACCES", "EPERM"))
        self.assert_stops(daemon)

    @unittest.skipIf(IS_SANITIZED, "sanitizers take more memory than plugins do")
    def test_two_plugins_in_one_process_take_less_memory_than_two_processes(self):
        def measure(**isolation):
            daemon = self.begin_pair(right=isolation)
            self.ask(daemon, "Left")
            self.ask(daemon, "Right")
            used = [int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii"), re.MULTILINE)[1])
                    for process in self.workers(daemon)]
            self.assert_stops(daemon)
            return used

        shared, apart = measure(), measure(worker="own")
        self.assertEqual((1, 2), (len(shared), len(apart)))
        self.assertLess(sum(shared), sum(apart) * 3 / 4, (shared, apart))


class Ended(Shared):
    def test_the_end_of_the_process_is_that_of_both_and_both_come_back(self):
        daemon = self.begin_pair()
        before, = self.workers(daemon)
        os.kill(before, signal.SIGKILL)
        self.wait_until(lambda: daemon.log.count("restarting in") >= 2)
        self.assertNotEqual(before, self.ask(daemon, "Right")[0])
        process, = self.workers(daemon)
        self.assertEqual([process, process], [self.ask(daemon, service)[0] for service in ("Left", "Right")])
        for uri in (LEFT, RIGHT):
            self.assert_line(daemon.log, uri, "its process was killed by SIGKILL")
            daemon.wait_for_log("recovered after")
            self.assertEqual((process, 1, 1), (self.listed(daemon)[uri]["process"], self.listed(daemon)[uri]["restarts"],
                                               self.listed(daemon)[uri]["isolation"]["ends"]["signal"]))
        # In the order of the plan: what the other requires is there before it.
        again = [line for line in daemon.log.splitlines() if f"init in {process}" in line or "serving" in line][-4:]
        self.assertEqual([LEFT, LEFT, RIGHT, RIGHT], [next(uri for uri in (LEFT, RIGHT) if uri in line) for line in again])
        self.assert_stops(daemon)

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_a_crash_of_one_costs_the_calls_of_both_and_has_a_limit(self):
        daemon = self.begin_pair({"start_limit": 1}, {"start_limit": 1})
        for _ in range(2):
            with self.assertRaises(grpc.RpcError) as caught:
                self.ask(daemon, "Left", b"crash")
            self.assertIn("its process was killed by SIGABRT", caught.exception.details())
        daemon.wait_for_log("not restarted again after 1 restart")
        for uri, service in ((LEFT, "Left"), (RIGHT, "Right")):
            self.wait_until(lambda uri=uri: "start_limit" in self.state_of(daemon, uri))
            with self.assertRaises(grpc.RpcError) as caught:
                self.ask(daemon, service)
            self.assertEqual(grpc.StatusCode.UNAVAILABLE, caught.exception.code())
        # Who is started again by hand gets a process, and the other one joins it.
        self.ctl(daemon, "plugins", "restart", LEFT)
        self.ctl(daemon, "plugins", "restart", RIGHT)
        process, = self.workers(daemon)
        self.assertEqual([process, process], [self.ask(daemon, service)[0] for service in ("Left", "Right")])
        self.assert_stops(daemon)

    def test_one_that_refuses_to_start_leaves_the_other_alone(self):
        daemon = self.begin_pair({"worker": "ours"}, {"worker": "ours"}, plugins={URI: {"init": "refuse"}}, others={URI: {**self.isolation, "worker": "ours"}})
        self.assertIn("asked to refuse", self.state_of(daemon))
        process, = self.workers(daemon)
        self.assertEqual((process, 1), self.ask(daemon, "Right"))
        self.assert_stops(daemon)

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_one_that_crashes_at_its_start_fails_and_the_other_comes_back(self):
        daemon = self.begin_pair(plugins={RIGHT: {"init": "crash"}})
        self.assertIn("failed", self.state_of(daemon, RIGHT))
        self.assertIn("its process was killed by SIGABRT", self.state_of(daemon, RIGHT))
        self.assertEqual(1, self.ask(daemon, "Left")[1])
        self.assert_stops(daemon)


class Changed(Shared):
    def test_a_stop_of_one_leaves_the_other_serving_and_a_start_brings_it_back(self):
        daemon = self.begin_pair()
        process, = self.workers(daemon)
        self.ctl(daemon, "plugins", "stop", RIGHT)
        self.assertEqual((process, 1), self.ask(daemon, "Left"))
        self.assertNotIn(f"process {process}, shared", self.ctl(daemon, "plugins", "inspect", LEFT))
        with self.assertRaises(grpc.RpcError):
            self.ask(daemon, "Right")
        self.ctl(daemon, "plugins", "start", RIGHT)
        self.assertEqual((process, 2), self.ask(daemon, "Right"))
        for count in range(3, 6):
            self.ctl(daemon, "plugins", "restart", RIGHT)
            self.assertEqual((process, count), self.ask(daemon, "Right"))
        self.ctl(daemon, "plugins", "stop", RIGHT)
        self.ctl(daemon, "plugins", "stop", LEFT)
        self.wait_until(lambda: not self.workers(daemon))
        self.assert_stops(daemon)

    def test_another_confinement_of_one_restarts_both(self):
        daemon = self.begin_pair({"worker": "ours"}, others={URI: {**self.isolation, "worker": "ours"}})
        before = self.listed(daemon)[URI]["process"]
        self.workshop.write_config(isolation={uri: {**self.isolation, **more} for uri, more in (
            (LEFT, {"worker": "ours", "files": {"read": [str(self.workshop.top)]}}), (RIGHT, {}), (URI, {"worker": "ours"}))})
        self.assert_line(self.ctl(daemon, "reload"), URI, f"shares a process with {LEFT}, which is isolated in another way")
        listed = self.listed(daemon)
        self.assertNotEqual(before, listed[URI]["process"])
        self.assertEqual(listed[LEFT]["process"], listed[URI]["process"])
        self.assertEqual(listed[LEFT]["process"], self.ask(daemon, "Left")[0])
        self.assertEqual("ok", self.do(daemon, str(self.workshop.config)))
        self.assertEqual(2, len(self.workers(daemon)))
        self.assert_stops(daemon)

    def test_an_upgrade_of_one_moves_all_of_the_process(self):
        daemon = self.begin_pair({"worker": "ours"}, {"worker": "ours"}, others={URI: {**self.isolation, "worker": "ours"}})
        before, = self.workers(daemon)
        other = self.workshop.top / "hostile.so"
        other.write_bytes((self.workshop.plugins / "hostile.so").read_bytes() + b"\0")
        other.replace(self.workshop.plugins / "hostile.so")
        self.assert_line(self.ctl(daemon, "reload"), LEFT, f"shares a process with {URI}, which is upgraded")
        self.wait_until(lambda: len(self.workers(daemon)) == 1)
        process, = self.workers(daemon)
        self.assertNotEqual(before, process)
        self.assertEqual([process, process], [self.ask(daemon, service)[0] for service in ("Left", "Right")])
        self.wait_until_it_works(daemon)
        self.assert_stops(daemon)


class Refused(Shared):
    def test_a_disagreement_is_refused_with_both_places(self):
        self.workshop.write_config(isolation={LEFT: {"memory": "64MiB"}, RIGHT: {"memory": "128MiB"}, URI: {}, GREETER: {}})
        printed = " ".join(self.berthd("plan", "--config", self.workshop.config).stdout.split())
        lines = self.workshop.config.read_text(encoding="utf-8").splitlines()
        left, right = ([number for number, line in enumerate(lines, 1) if uri in line][0] for uri in (LEFT, RIGHT))
        self.assertRegex(printed, rf"cannot be isolated: it would share the process of {re.escape(LEFT)} \(\S+:{left}:\d+\), and memory differs: "
                                  rf"128 ?MiB here, 64 ?MiB there; set both alike, name another worker for it, or remove it from isolation \(\S+:{right}:\d+\)")
        self.workshop.write_config(isolation={LEFT: {"memory": "64MiB"}, RIGHT: {"memory": "128MiB", "worker": "own"}})
        self.assertEqual(0, self.berthd("plan", "--config", self.workshop.config).returncode)

    def test_the_plan_says_who_shares_a_process(self):
        self.workshop.write_config(isolation={LEFT: {}, RIGHT: {}, GREETER: {}})
        printed = self.berthd("plan", "--config", self.workshop.config).stdout
        self.assertEqual([f"  shares its process with {RIGHT}", f"  shares its process with {LEFT}"], re.findall("^  shares .*$", printed, re.MULTILINE))
        told = {plugin["uri"]: plugin["isolation"] for plugin in json.loads(self.berthd("plan", "--config", self.workshop.config, "--json").stdout)["plugins"]}
        self.assertEqual([[RIGHT], [LEFT], []], [told[uri]["shares_with"] for uri in (LEFT, RIGHT, GREETER)])

    def test_packets_in_the_name_of_a_plugin_that_has_left_are_ignored(self):
        daemon = self.begin_pair({"worker": "ours"}, {"worker": "ours"}, others={URI: {**self.isolation, "worker": "ours"}})
        process = self.listed(daemon)[URI]["process"]
        self.ctl(daemon, "plugins", "stop", RIGHT)
        # An export, a hold, an end of a step and what else there is. They were started in the order of the plan.
        number = 1 + [uri for uri in self.listed(daemon) if uri in (LEFT, RIGHT, URI)].index(RIGHT)
        for kind in range(1, 35):
            self.assertEqual("sent", self.do(daemon, f"frame {kind} {number} 0 20 {kind}"))
        self.assertEqual(process, self.listed(daemon)[URI]["process"])
        with self.assertRaises(grpc.RpcError) as caught:
            self.do(daemon, "frame 2 4 0 20 1")
        self.assertIn("it sent a packet of a plugin that does not run in it", caught.exception.details())
        self.greet(daemon)
        self.assertEqual(1, self.ask(daemon, "Left")[1])
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
