# SPDX-License-Identifier: Apache-2.0
"""An author's own interface, declared by a .proto, between plugins of which any may run in a process of its own."""

import os
import re
import shutil
import signal
import time
import unittest

import ask
import grpc
from daemon import PATIENCE
from isolated import Isolated
from workshop import BUILD, Plugin

LOUD, TALKS = "io.berth.words.v1.loud", "io.berth.test.v1.talks"
MODES = {"one process": (), "isolated provider": (LOUD,), "isolated user": (TALKS,), "both isolated": (LOUD, TALKS)}


class Words(Isolated):
    def setUp(self):
        super().setUp()
        for name in ("words", "words-user"):
            shutil.copy(BUILD / "tests" / "fixtures" / "words" / f"{name}.so", self.workshop.plugins)

    def begin_words(self, *isolated, **isolation):
        chosen = {"restart_delay": "0s", "start_limit": 0, **isolation}
        self.workshop.write_config(isolation={uri: chosen for uri in isolated})
        daemon = self.start()
        self.assertEqual(len(isolated), len(self.workers(daemon)), daemon.log)
        return daemon

    def talk(self, daemon, word):
        """What came of it: the reply, or the code and the message."""
        with ask.channel(daemon.address) as channel:
            try:
                return channel.unary_unary("/berth.test.Talk/Say")(word.encode(), timeout=PATIENCE).decode()
            except grpc.RpcError as error:
                return error.code().name, error.details()

    def kill_and_notice(self, daemon, worker):
        noticed = daemon.log.count("degraded")
        os.kill(worker, signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while daemon.log.count("degraded") == noticed:
            self.assertLess(time.monotonic(), end, daemon.log)
            time.sleep(0.005)

    def test_it_works_alike_in_every_mode(self):
        for mode, isolated in MODES.items():
            with self.subTest(mode=mode):
                daemon = self.begin_words(*isolated)
                self.assertEqual("HELLO 0", self.talk(daemon, "hello"))
                self.assertEqual("BIG 1000000", self.talk(daemon, "big 1000000"))
                self.assertEqual(("NOT_FOUND", "no such word"), self.talk(daemon, "fail"))
                self.assertEqual(("INVALID_ARGUMENT", "a word has letters"), self.talk(daemon, " "))
                self.assertEqual(("CANCELLED", "cancelled, says the provider"), self.talk(daemon, "cancel never"))
                self.assertEqual("UNIMPLEMENTED", self.talk(daemon, "count letters")[0])
                with ask.channel(daemon.address) as channel:
                    do = channel.unary_unary("/berth.test.Talk/Say")
                    calls = [do.future(f"w{number}".encode(), timeout=PATIENCE) for number in range(500)]
                    self.assertEqual([f"W{number} 0".encode() for number in range(500)], [call.result() for call in calls])
                # What is too large does not cross, and costs the call alone.
                large = self.talk(daemon, "large 1100000")
                if isolated:
                    self.assertEqual(("RESOURCE_EXHAUSTED", "the reply exceeds 1 MiB"), large)
                else:
                    self.assertEqual("LARGE 1100000", large)
                self.assertEqual("STILL 0", self.talk(daemon, "still"))
                self.assert_stops(daemon)

    def wait_for_word(self, daemon, word, expected):
        end = time.monotonic() + PATIENCE
        while self.talk(daemon, word) != expected:
            self.assertLess(time.monotonic(), end, daemon.log)
            time.sleep(0.01)

    def test_more_calls_at_once_than_allowed_are_refused(self):
        for isolated in ((LOUD,), (TALKS,), (LOUD, TALKS)):
            with self.subTest(isolated=isolated):
                daemon = self.begin_words(*isolated)
                self.assertEqual("1024 RESOURCE_EXHAUSTED", self.talk(daemon, "many 1100"))
                self.assertEqual("RESOURCE_EXHAUSTED", self.talk(daemon, "more")[0])
                self.assertEqual("0", self.talk(daemon, "stop"))
                self.wait_for_word(daemon, "stopped", "1024")
                self.assertEqual("MORE 0", self.talk(daemon, "more"))
                self.assert_stops(daemon)

    def worker_of(self, daemon, uri):
        return int(re.search(r"isolated in process (\d+)", daemon.ctl("plugins", "inspect", uri).stdout).group(1))

    def test_the_death_of_the_provider_ends_its_calls_with_the_reason(self):
        for isolated in ((LOUD,), (LOUD, TALKS)):
            with self.subTest(isolated=isolated):
                daemon = self.begin_words(*isolated)
                user = self.worker_of(daemon, TALKS) if TALKS in isolated else None
                code, message = self.talk(daemon, "die")
                self.assertEqual("UNAVAILABLE", code)
                self.assertIn(f"{LOUD}: its process exited with code 3", message)
                self.wait_for_word(daemon, "again", "AGAIN 0")
                if user is not None:
                    self.assertEqual(user, self.worker_of(daemon, TALKS), "its user was restarted")
                self.assert_stops(daemon)

    def test_while_it_is_down_a_call_is_refused_at_once(self):
        daemon = self.begin_words(LOUD, restart_delay="30s")
        with ask.channel(daemon.address) as channel:
            waiting = channel.unary_unary("/berth.test.Talk/Say").future(b"never", timeout=PATIENCE)
            self.assertEqual("HELLO 0", self.talk(daemon, "hello"))
            self.kill_and_notice(daemon, self.worker_of(daemon, LOUD))
            self.assertEqual(grpc.StatusCode.UNAVAILABLE, waiting.code())
        code, message = self.talk(daemon, "hello")
        self.assertEqual("UNAVAILABLE", code)
        self.assertIn("SIGKILL", message)
        self.greet(daemon)
        self.assert_stops(daemon)

    def test_a_user_that_closes_ends_its_calls(self):
        daemon = self.begin_words(LOUD)
        with ask.channel(daemon.address) as channel:
            waiting = channel.unary_unary("/berth.test.Talk/Say").future(b"never", timeout=PATIENCE)
            self.assertEqual("HELLO 0", self.talk(daemon, "hello"))
            daemon.ctl("plugins", "stop", TALKS)
            self.assertIn(waiting.code(), (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE))
        self.assert_stops(daemon)

    def test_the_plan_names_who_cannot_use_it_across_processes(self):
        self.workshop.add("stranger", Plugin("io.berth.stranger.v1", "here", requires=["io.berth.words.v1"]))
        for isolated, told in ((LOUD, "has an interface that io.berth.stranger.v1.here uses, whose manifest does not list "
                                      "berth_test_words_interface under remote"),
                               ("io.berth.stranger.v1.here", f"requires io.berth.words.v1, and uses the interface of {LOUD}")):
            self.workshop.write_config(isolation={isolated: {}})
            printed = self.berthd("plan", "--config", self.workshop.config)
            self.assert_line(printed.stdout + printed.stderr, isolated, "cannot be isolated", told)


if __name__ == "__main__":
    unittest.main()
