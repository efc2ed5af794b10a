# SPDX-License-Identifier: Apache-2.0
"""A plugin that blocks the loop is named: while it does, and when it returns."""

import json
import os
import re
import shutil
import signal
import threading
import time
import unittest
from pathlib import Path

import grpc

from daemon import Case
from workshop import BUILD

URI = "io.berth.test.v1.bad"
DO = "/berth.test.Bad/Do"
IS_SANITIZED = os.environ.get("BERTH_TEST_SANITIZE", "none") != "none"
QUICK = {"warn_after": "200ms", "stall_after": "500ms"}
OFF = {"warn_after": "0s", "stall_after": "0s"}


class Bad(Case):
    """The module `bad` blocks for three seconds in a step of its choice."""

    def launch_bad(self, when, defect="block", loop=None, settings=None, **variables):
        shutil.copy(BUILD / "tests" / "fixtures" / "bad.so", self.workshop.plugins)
        (self.workshop.plugins / "bad.so").chmod(0o755)
        self.workshop.add_default_modules("servers", "introspection")
        self.workshop.write_config(plugins={URI: {"defect": defect, "when": when}}, loop=loop or QUICK,
                                   **(settings or {}))
        daemon = self.launch(**variables)
        if when == "handler":
            daemon.wait_for()
            self.call_in_background(daemon)
        elif when in ("drain", "close"):
            daemon.wait_for().send(signal.SIGTERM)
        return daemon

    def call_in_background(self, daemon):
        def call():
            with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
                try:
                    channel.unary_unary(DO)(b"x", timeout=30)
                except grpc.RpcError:
                    pass

        thread = threading.Thread(target=call)
        thread.start()
        self.addCleanup(thread.join)

    def end(self, daemon, when):
        if when not in ("drain", "close"):
            daemon.wait_for().send(signal.SIGTERM)
        self.assertEqual(0, daemon.wait(), daemon.log)


class Blocks(Bad):
    def assert_named(self, when, doing, **options):
        """In the log while the plugin still blocks, and once more when it returns."""
        daemon = self.launch_bad(when, **options)
        daemon.wait_for_log("the loop has been stuck for")
        log = daemon.log
        self.assertNotIn("the loop resumed", log)
        line = self.assert_line(log, " warn ", "the loop has been stuck for ", f" in {doing}")
        daemon.wait_for_log("the loop resumed after ")
        self.assertRegex(daemon.log, r"the loop resumed after [34]\.\d s\n")
        self.end(daemon, when)
        return daemon.log, line

    def test_each_step_that_blocks_is_named(self):
        for when in ("init", "serve", "drain", "close"):
            with self.subTest(when=when):
                log, line = self.assert_named(when, f"{when} of {URI}")
                self.assertRegex(log, rf"warn +{when} of {URI} blocked the loop for 3\.\d s\n")
                self.assertNotIn("timeouts", line)

    def test_a_module_that_blocks_while_it_is_loaded_is_named(self):
        log, _ = self.assert_named("none", f"loading of {URI}", BERTH_BAD_LOAD="block")
        self.assertRegex(log, rf"loading of {URI} blocked the loop for 3\.\d s\n")

    def test_a_handler_that_blocks_is_named_with_its_method(self):
        log, _ = self.assert_named("handler", f"handler {DO} of {URI}")
        self.assertRegex(log, rf"handler {DO} of {URI} blocked the loop for 3\.\d s\n")

    def test_a_handler_that_computes_is_named_with_its_function(self):
        _, line = self.assert_named("handler", f"handler {DO} of {URI} (bad.so+0x", defect="spin")
        if not IS_SANITIZED:
            self.assertRegex(line, r"\(bad\.so\+0x[0-9a-f]+, spin\)$")

    def test_a_timer_that_blocks_is_named_from_the_stack(self):
        log, line = self.assert_named("timer", f"a callback of {URI} (bad.so+0x")
        self.assertRegex(line, r"\(bad\.so\+0x[0-9a-f]+, block\)$")
        self.assertNotIn("blocked the loop", log)

    def test_a_callback_that_blocks_after_the_last_close_is_named(self):
        daemon = self.launch_bad("after_close").wait_for()
        daemon.send(signal.SIGTERM)
        self.assertEqual(0, daemon.wait(), daemon.log)
        self.assert_line(daemon.log, " warn ", "the loop has been stuck for ", f" in a callback of {URI} (bad.so+0x")

    @unittest.skipIf(IS_SANITIZED, "the sanitizer takes the fault")
    def test_a_stack_that_cannot_be_followed_costs_its_frames_alone(self):
        log, line = self.assert_named("timer", f"a callback of {URI} (bad.so+0x", defect="spin_on_nothing")
        self.assertRegex(line, r"\(bad\.so\+0x[0-9a-f]+, spin_(without_stack|on_nothing)\)$")
        self.assertNotIn("SIGSEGV", log)

    def test_a_step_past_its_deadline_is_told_while_it_blocks(self):
        for when in ("init", "serve", "drain", "close"):
            with self.subTest(when=when):
                daemon = self.launch_bad(when, loop=OFF, settings={"timeouts": {when: "1s"}})
                daemon.wait_for_log(f"{URI}: {when} has not returned within 1s (timeouts.{when})")
                self.assertTrue(daemon.is_alive())
                self.assertNotIn("stopped", daemon.log)
                self.end(daemon, when)
                self.assertEqual(1, daemon.log.count(f"(timeouts.{when})"), daemon.log)
                self.assertNotIn("stuck for", daemon.log)

    def test_the_timeout_of_a_single_plugin_counts(self):
        daemon = self.launch_bad("init", settings={"timeouts": {"plugins": {URI: {"init": "700ms"}}}})
        daemon.wait_for_log(f"{URI}: init has not returned within 700ms (timeouts.init)")
        self.end(daemon, "init")

    def test_a_prepare_that_hangs_is_told_by_the_loop_which_goes_on(self):
        daemon = self.launch_bad("prepare", settings={"timeouts": {"prepare": "1s"}}).wait_for()
        self.assert_line(daemon.log, f"{URI}: timed out: DEADLINE_EXCEEDED: prepare did not complete within 1s (timeouts.prepare)")
        self.assertNotIn("stuck", daemon.log)
        time.sleep(2.5)
        self.end(daemon, "prepare")

    def test_a_prepare_that_never_returns_is_left_behind_and_named(self):
        daemon = self.launch_bad("prepare", defect="hang", settings={"timeouts": {"prepare": "300ms"}}).wait_for()
        self.assert_line(daemon.log, f"{URI}: timed out: DEADLINE_EXCEEDED: prepare did not complete within 300ms (timeouts.prepare)")
        self.end(daemon, "prepare")
        self.assert_line(daemon.log, f"{URI}: still running; exiting without waiting for it")

    def test_a_close_that_never_returns_is_named_until_somebody_ends_it(self):
        daemon = self.launch_bad("close", defect="hang", settings={"timeouts": {"close": "300ms"}})
        daemon.wait_for_log(f"{URI}: close has not returned within 300ms (timeouts.close), and the loop is stuck until it does")
        daemon.wait_for_log(f" in close of {URI}")
        daemon.send(signal.SIGTERM)
        self.assertEqual(4, daemon.wait(10), daemon.log)

    def test_lines_of_json_have_the_same_text(self):
        daemon = self.launch_bad("timer", settings={"log": {"format": "json"}})
        daemon.wait_for_log("the loop resumed")
        texts = [json.loads(line)["message"] for line in daemon.log.splitlines()]
        self.assertTrue(any(re.search(rf"stuck for .* in a callback of {URI} \(bad\.so\+0x", text) for text in texts), texts)
        self.end(daemon, "timer")

    def test_nothing_is_said_where_it_is_off(self):
        daemon = self.launch_bad("timer", loop=OFF).wait_for()
        time.sleep(4)
        self.end(daemon, "timer")
        self.assertNotIn("the loop", daemon.log)

    def test_a_process_that_was_stopped_has_blocked_nothing(self):
        daemon = self.launch_bad("timer", defect="none", loop=QUICK).wait_for()
        time.sleep(0.5)
        for busy in (False, True):
            if busy:
                self.call_in_background(daemon)
            daemon.send(signal.SIGSTOP)
            time.sleep(2)
            daemon.send(signal.SIGCONT)
            time.sleep(1)
        self.assertNotIn("stuck", daemon.log)
        self.assert_stops(daemon)

    @unittest.skipIf(IS_SANITIZED, "the sanitizer takes the signal")
    def test_a_daemon_that_is_stuck_for_too_long_aborts(self):
        daemon = self.launch_bad("timer", loop={**QUICK, "abort_after": "1s"})
        self.assertEqual(-signal.SIGABRT, daemon.process.wait(30), daemon.log)
        self.assert_line(daemon.log, "error", "aborting after 1s (loop.abort_after)")
        self.assert_line(daemon.log, f"in a callback of {URI} (bad.so+0x")
        self.assert_line(daemon.log, f"{URI}: ", "SIGABRT", "callback")


class SignsOfLife(Bad):
    """WATCHDOG=1, as WatchdogSec= wants it."""

    def hear(self, daemon, seconds):
        """How many come from now on; those that wait are not counted."""
        daemon.notify.wait("never", 0.05, daemon.is_alive)
        daemon.notify.lines.clear()
        daemon.notify.wait("never", seconds, daemon.is_alive)
        return daemon.notify.lines.count("WATCHDOG=1")

    def test_they_come_from_a_loop_that_turns_and_not_from_one_that_a_handler_blocks(self):
        daemon = self.launch_bad("handler", WATCHDOG_USEC="400000")
        daemon.wait_for_log("stuck for")
        self.assertEqual(0, self.hear(daemon, 1.5), daemon.log)
        daemon.wait_for_log("the loop resumed")
        self.assertIn(self.hear(daemon, 2), range(5, 15))
        self.assert_stops(daemon)

    def test_they_come_while_a_step_blocks_within_its_deadline(self):
        daemon = self.launch_bad("close", settings={"timeouts": {"close": "2s"}}, WATCHDOG_USEC="400000")
        daemon.wait_for_log("stuck for")
        self.assertGreater(self.hear(daemon, 1), 4)
        daemon.wait_for_log("(timeouts.close)")
        self.assertEqual(0, self.hear(daemon, 0.5))
        self.end(daemon, "close")

    def test_none_come_unasked(self):
        daemon = self.launch_bad("never").wait_for()
        self.assertEqual(0, self.hear(daemon, 2))
        self.assert_stops(daemon)


class Idle(Case):
    def sleeps_of_watchdog(self, daemon):
        for task in Path(f"/proc/{daemon.pid}/task").iterdir():
            if (task / "comm").read_text() == "berth-watchdog\n":
                return int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text())[1])
        raise AssertionError("no watchdog")

    def test_the_watchdog_of_an_idle_daemon_wakes_once_a_limit(self):
        self.workshop.add_default_modules()
        daemon = self.start()
        time.sleep(6)
        before = self.sleeps_of_watchdog(daemon)
        time.sleep(6)
        self.assertIn(self.sleeps_of_watchdog(daemon) - before, range(1, 5))
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
