# SPDX-License-Identifier: Apache-2.0
"""What a plugin prints is a line of its own in the log, and the plugin is named with the step that printed."""

import json
import re
import signal
import unittest

from accountable import IS_SANITIZED, URI, Accountable

PLACE = r"bad\.so\+0x[0-9a-f]+"


class Prints(Accountable):
    def end(self, daemon):
        if daemon.is_alive():
            daemon.send(signal.SIGTERM)
        self.assertEqual(0, self.wait(daemon), daemon.log)
        return daemon.log

    def lines_of(self, log, level):
        """What the plugin has logged at a level, without the time."""
        pattern = re.compile(rf"^\S+ {level} +{re.escape(URI)}: (.*)$", re.MULTILINE)
        return pattern.findall(log)

    def assert_warned_once(self, log, text):
        lines = [line for line in self.lines_of(log, "warn") if "printed to" in line]
        self.assertEqual(1, len(lines), log)
        self.assertRegex(lines[0], f"^{text}$")

    def test_each_step_that_prints_is_named(self):
        places = {"check": "check", "prepare": "prepare", "init": "init", "serve": "serve", "drain": "drain", "close": "close"}
        for when, place in places.items():
            with self.subTest(when=when):
                log = self.end(self.run_bad("print", when).wait_for())
                self.assert_warned_once(log, rf"printed to standard output in {place}; use berth_log \({PLACE}\)")
                self.assertIn("stdout: bad was here", self.lines_of(log, "info"))
                self.assertEqual(1, log.count("bad was here"))

    def test_a_handler_is_named_with_its_method_and_once(self):
        daemon = self.run_bad("print", "handler")
        self.call(daemon)
        log = self.end(daemon)
        self.assert_warned_once(log, rf"printed to standard output in handler; use berth_log \(/berth\.test\.Bad/Do; {PLACE}\)")
        self.assertEqual(["stdout: bad was here"] * 2, [line for line in self.lines_of(log, "info") if "bad was" in line])

    def test_what_libuv_called_and_threads_are_known_by_their_frames(self):
        for defect, when, place in (("print", "timer", "in a callback of the loop"),
                                    ("print_on_thread", "init", "on a thread of its own"),
                                    ("print_on_thread", "timer", "on a thread of its own")):
            with self.subTest(defect=defect, when=when):
                daemon = self.run_bad(defect, when).wait_for()
                daemon.wait_for_log("stdout: bad was here")
                self.assert_warned_once(self.end(daemon), rf"printed to standard output {place}; use berth_log \({PLACE}\)")

    def test_where_no_frame_is_left_and_no_step_runs_nobody_is_blamed(self):
        daemon = self.run_bad("print_last", "timer").wait_for()
        daemon.wait_for_log(" info  stdout: bad was here\n")
        log = self.end(daemon)
        self.assert_line(log, " warn  unidentified code printed to standard output in a callback of the loop")
        self.assertNotIn(URI, log)

    def test_what_is_printed_while_it_is_loaded_is_seen(self):
        log = self.end(self.run_bad("none", BERTH_BAD_LOAD="print").wait_for())
        self.assert_warned_once(log, rf"printed to standard output in loading; use berth_log \({PLACE}\)")
        self.assertIn("stdout: bad was here", self.lines_of(log, "info"))

    def test_errors_are_warnings_line_by_line(self):
        log = self.end(self.run_bad("print_error").wait_for())
        self.assert_warned_once(log, rf"printed to standard error in init; use berth_log \({PLACE}\)")
        self.assertEqual(["stderr: bad's file: No such file or directory", "stderr: one", "stderr: two", r"stderr: \x01three"],
                         [line for line in self.lines_of(log, "warn") if line.startswith("stderr")])

    def test_a_line_without_an_end_is_logged_when_the_turn_ends(self):
        for when in ("init", "handler", "close"):
            with self.subTest(when=when):
                daemon = self.run_bad("print_start", when)
                if when != "close":
                    daemon.wait_for_log("stdout: half a line\n")
                self.assertEqual(1, self.end(daemon).count("stdout: half a line\n"))

    def test_a_long_line_comes_in_parts(self):
        log = self.end(self.run_bad("print_long").wait_for())
        parts = [line.removeprefix("stdout: ") for line in self.lines_of(log, "info") if line.startswith("stdout")]
        self.assertEqual("x" * 2500, "".join(parts))
        self.assertEqual(3, len(parts))

    def test_a_flood_is_cut_and_counted(self):
        daemon = self.run_bad("print_much").wait_for()
        log = self.end(daemon)
        lines = [line for line in self.lines_of(log, "info") if line.startswith("stdout")]
        self.assertLess(len(lines), 400)
        self.assertGreaterEqual(len(lines), 100)
        left_out = sum(int(number) for number in re.findall(r"dropped (\d+) printed lines: more than 100 a second", log))
        self.assertEqual(1000, len(lines) + left_out)

    def test_json_stays_json(self):
        for defect in ("print", "print_error"):
            with self.subTest(defect=defect):
                log = self.end(self.run_bad(defect, settings={"log": {"format": "json"}}).wait_for())
                lines = [json.loads(line) for line in log.splitlines()]
                self.assertTrue(any(line.get("plugin") == URI and re.match("std(out|err): ", line["message"]) for line in lines))

    def test_it_counts_as_a_misuse(self):
        self.workshop.add_default_modules("introspection")
        daemon = self.run_bad("print_error").wait_for()
        costs = json.loads(daemon.ctl("plugins", "inspect", "--json", URI).stdout)["costs"]
        self.assertEqual(5, costs["misuses"])
        self.end(daemon)

    def test_a_child_writes_to_the_descriptor_and_blames_nobody(self):
        for when in ("init", "handler"):
            with self.subTest(when=when):
                log = self.end(self.run_bad("fork_and_print", when).wait_for())
                self.assertIn("half a line of a child", log.splitlines())
                self.assertNotIn("printed to", log)

    def test_a_closed_stream_takes_nothing_away(self):
        for when in ("init", "timer", "handler", "close"):
            with self.subTest(when=when):
                daemon = self.run_bad("close_streams", when)
                if when in ("init", "timer"):
                    daemon.wait_for()
                    daemon.wait_for_log("bad was here")
                log = self.end(daemon)
                self.assertIn("stdout: half a line", self.lines_of(log, "info"))
                self.assertIn("stdout: bad was here", self.lines_of(log, "info"))

    def test_what_is_written_to_the_descriptor_passes_and_blames_nobody(self):
        for when in ("init", "handler"):
            with self.subTest(when=when):
                log = self.end(self.run_bad("write_out", when).wait_for())
                self.assertEqual(1, log.splitlines().count("raw"))
                self.assertNotIn("printed to", log)

    @unittest.skipIf(IS_SANITIZED, "crashes are the sanitizer's to report")
    def test_a_crash_loses_nothing_that_was_printed(self):
        daemon = self.run_bad("print_start_and_crash", "handler")
        self.assertEqual(-signal.SIGSEGV, self.wait(daemon), daemon.log)
        self.assert_line(daemon.log, f"{URI}: crashed with SIGSEGV", ' stdout="half a line"')
        daemon = self.run_bad("print_start_and_crash", settings={"log": {"format": "json"}})
        self.wait(daemon)
        self.assertEqual("half a line", json.loads(daemon.log.splitlines()[-1])["fields"]["stdout"])

    @unittest.skipIf(IS_SANITIZED, "crashes are the sanitizer's to report")
    def test_what_libraries_say_before_they_abort_is_its_plugins(self):
        log = self.abort_log("assert_uv")
        self.assertTrue(any(re.match(r"stderr: .*Assertion `.*' failed", line) for line in self.lines_of(log, "warn")), log)
        self.set_up_bad()
        self.add_fixture("bad_cxx")
        daemon = self.launch()
        self.wait(daemon)
        self.assert_line(daemon.log, " warn  io.berth.test.v1.bad-cxx: stderr: ", "terminate called after throwing")

    def abort_log(self, defect):
        daemon = self.run_bad(defect)
        self.assertEqual(-signal.SIGABRT, self.wait(daemon), daemon.log)
        return daemon.log


if __name__ == "__main__":
    unittest.main()
