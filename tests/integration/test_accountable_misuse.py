# SPDX-License-Identifier: Apache-2.0
"""What a plugin does against the contract is refused and named, and reaches nobody else."""

import json
import os
import re
import shutil
import signal
import unittest

import grpc

import ask
import protos
from daemon import Case
from workshop import BUILD

IS_SANITIZED = os.environ.get("BERTH_TEST_SANITIZE", "none") != "none"
URI = "io.berth.test.v1.bad"
PLACE = r"bad\.so\+0x[0-9a-f]+"


class Misuse(Case):
    def start_bad(self, defect, when="handler"):
        shutil.copy(BUILD / "tests" / "fixtures" / "bad.so", self.workshop.plugins)
        (self.workshop.plugins / "bad.so").chmod(0o755)
        self.workshop.add_default_modules("servers", "introspection", "health", "store-lmdb", "namespaces", "events")
        self.workshop.write_config(plugins={URI: {"defect": defect, "when": when}})
        daemon = self.launch()
        daemon.wait_for()
        return daemon

    def call(self, daemon, times=1):
        answers = []
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            method = channel.unary_unary("/berth.test.Bad/Do")
            for number in range(times):
                try:
                    answers.append(method(b"%d" % number, timeout=30))
                except grpc.RpcError as error:
                    answers.append(error.code())
        return answers

    def end(self, daemon):
        daemon.send(signal.SIGTERM)
        self.assertEqual(0, daemon.process.wait(20), daemon.log)
        daemon.notify.close()
        return daemon.log

    def assert_told_once(self, log, text):
        lines = [line for line in log.splitlines() if re.search(text, line)]
        self.assertEqual(1, len(lines), f"{text}\n{log}")
        self.assertIn(f" warn  {URI}: ", lines[0])

    def test_the_host_is_refused_on_another_thread(self):
        daemon = self.start_bad("wrong_thread", "init")
        self.assertEqual([b"0"], self.call(daemon))
        log = self.end(daemon)
        for function in ("berth_add_export", "berth_fail"):
            self.assert_told_once(log, rf"called {function} from a thread other than the loop's; ignored: use berth_post \({PLACE}\)$")

    def test_a_reply_on_another_thread_is_refused_and_the_call_goes_on(self):
        daemon = self.start_bad("wrong_thread")
        self.assertEqual([b"0", b"1", b"2"], self.call(daemon, 3))
        self.assert_told_once(self.end(daemon), rf"replied to a call from a thread other than the loop's; ignored "
                                                rf"\(/berth\.test\.Bad/Do; {PLACE}\)$")

    def test_a_reply_to_a_call_that_has_ended_reaches_no_other_caller(self):
        daemon = self.start_bad("stale_reply")
        self.assertEqual([b"%d" % number for number in range(200)], self.call(daemon, 200))
        self.assert_told_once(self.end(daemon), rf"replied to a call that has ended; ignored \(/berth\.test\.Bad/Do; {PLACE}\)$")

    def test_the_second_reply_is_refused(self):
        daemon = self.start_bad("double_reply")
        self.assertEqual([b"first", b"first"], self.call(daemon, 2))
        self.assert_told_once(self.end(daemon), r"replied to a call twice; ignored \(/berth\.test\.Bad/Do; ")

    def test_a_made_up_code_becomes_unknown(self):
        daemon = self.start_bad("made_up_code")
        self.assertEqual([grpc.StatusCode.UNKNOWN] * 2, self.call(daemon, 2))
        self.assert_told_once(self.end(daemon), r"finished a call with invalid code 99; sending UNKNOWN instead "
                                                r"\(/berth\.test\.Bad/Do; ")

    def test_a_leaked_handle_is_named(self):
        daemon = self.start_bad("leaked_handle", "init")
        self.assertIn(f"plugins leaked 1 handle: timer of {URI}", self.end(daemon))

    def test_a_snapshot_that_is_left_open_is_closed_and_harms_nobody(self):
        for when in ("init", "handler"):
            with self.subTest(when=when):
                daemon = self.start_bad("leaked_snapshot", when)
                self.assertEqual([b"0", b"1"], self.call(daemon, 2))
                for name in (f"{when}-one", f"{when}-two"):
                    ask.unary(daemon.address, "/containerd.services.namespaces.v1.Namespaces/Create",
                              protos.namespaces.CreateNamespaceRequest(namespace=protos.namespaces.Namespace(name=name)),
                              protos.namespaces.CreateNamespaceResponse)
                costs = json.loads(daemon.ctl("plugins", "inspect", "--json", URI).stdout)["costs"]
                self.assertEqual(1 if when == "init" else 2, costs["misuses"])
                self.assert_told_once(self.end(daemon), rf"left a snapshot of the store open; closed \({PLACE}\)$")

    def test_who_runs_the_loop_or_stops_it_is_named_and_nothing_stops(self):
        for function, result in (("uv_run", "returning after one turn"), ("uv_stop", "ignored")):
            for when in ("init", "handler"):
                with self.subTest(function=function, when=when):
                    daemon = self.start_bad(function, when)
                    self.assertEqual([b"0", b"1"], self.call(daemon, 2))
                    detail = r" \(/berth\.test\.Bad/Do\)" if when == "handler" else ""
                    self.assert_told_once(self.end(daemon), rf"called {function} on the daemon's loop in {when}; {result}{detail}$")

    def test_a_loop_that_a_plugin_closes_is_in_use_and_stays(self):
        for when in ("init", "handler", "close"):
            with self.subTest(when=when):
                daemon = self.start_bad("uv_loop_close", when)
                self.assertEqual([b"0", b"1"], self.call(daemon, 2))
                self.end(daemon)

    def test_a_thread_that_is_left_running_is_named_with_its_function(self):
        for when in ("init", "handler", "prepare", "close"):
            with self.subTest(when=when):
                daemon = self.start_bad("thread", when)
                self.assertEqual([b"0"], self.call(daemon))
                step = f" since {when}" if when in ("init", "close") else ""
                function = "" if IS_SANITIZED else r", bad\.so\+0x[0-9a-f]+ \(sleep_forever\)$"
                self.assert_told_once(self.end(daemon), rf"left a thread running{step}: berthd{function}")

    def test_threads_that_end_are_not_mentioned(self):
        self.assertNotIn("thread", self.end(self.start_bad("post", "serve")))

    def test_who_stops_the_loop_where_the_host_sees_nobody_is_nobody(self):
        daemon = self.start_bad("uv_stop", "timer")
        daemon.wait_for_log("uv_stop")
        self.assertEqual([b"0", b"1"], self.call(daemon, 2))
        log = self.end(daemon)
        self.assert_line(log, " warn ", "a plugin called uv_stop on the daemon's loop in a callback that libuv called; ignored")
        self.assertEqual(1, log.count("uv_stop"))

    def test_a_callback_that_a_plugin_announces_is_its_own(self):
        daemon = self.start_bad("work", "timer")
        daemon.wait_for_log(f" warn  callback work of {URI} blocked the loop for ")
        costs = json.loads(daemon.ctl("plugins", "inspect", "--json", URI).stdout)["costs"]
        self.assertGreater(costs["longest_ns"], 290e6)
        self.assertEqual(0, costs["misuses"])
        self.end(daemon)

    def test_an_announced_callback_has_its_end(self):
        for when in ("timer", "init", "handler"):
            with self.subTest(when=when):
                daemon = self.start_bad("forgotten_leave", when)
                self.assertEqual([b"0", b"1"], self.call(daemon, 2))
                daemon.wait_for_log("not berth_leave")
                self.assert_told_once(self.end(daemon), r'called berth_enter\("work"\), but not berth_leave before the callback returned$')
        for when in ("timer", "handler"):
            with self.subTest(when=when):
                daemon = self.start_bad("unentered_leave", when)
                self.assertEqual([b"0", b"1"], self.call(daemon, 2))
                daemon.wait_for_log("called berth_leave")
                self.assert_told_once(self.end(daemon), r"called berth_leave without berth_enter; ignored \(")

    def test_a_thread_posts_to_the_loop(self):
        daemon = self.start_bad("post")
        self.assertEqual([b"0"], self.call(daemon))
        log = self.end(daemon)
        self.assertIn(f"{URI}: posted: OK", log)
        self.assertIn(f"{URI}: a posted function ran", log)

    def test_a_post_is_refused_once_close_has_begun(self):
        log = self.end(self.start_bad("post", "close"))
        self.assertIn(f"{URI}: posted: UNAVAILABLE", log)
        self.assertNotIn("a posted function ran", log)


if __name__ == "__main__":
    unittest.main()
