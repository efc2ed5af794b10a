# SPDX-License-Identifier: Apache-2.0
"""When the daemon dies, its log names the plugin, the module and what it was doing."""

import datetime
import json
import os
import re
import signal
import unittest

from accountable import IS_SANITIZED, URI, Accountable

EXIT_PLUGIN = 5


@unittest.skipIf(IS_SANITIZED, "crashes are the sanitizer's to report")
class Crashes(Accountable):
    def test_a_crash_is_reported_with_plugin_module_and_step(self):
        expected = {"check": "check", "prepare": "prepare", "init": "init", "serve": "serve", "drain": "drain",
                    "close": "close", "handler": "handler /berth.test.Bad/Do", "timer": "a callback of the loop"}
        for when, doing in expected.items():
            with self.subTest(when=when):
                daemon = self.run_bad("crash", when)
                self.assertEqual(-signal.SIGSEGV, self.wait(daemon), daemon.log)
                self.assert_line(daemon.log, " error ", f"{URI}: crashed with SIGSEGV (address not mapped) at 0x10 in {doing} ",
                                 " signal=SIGSEGV module=bad version=1.2.3 file=bad.so",
                                 "thread=prepare" if when == "prepare" else "thread=loop")
                self.assertRegex(daemon.log, r"\n    #0 bad\.so\+0x[0-9a-f]+ \(crash\)\n")
                self.assertRegex(daemon.log, r"\n    #\d+ berthd\+0x[0-9a-f]+ \([a-z]")

    def test_a_crash_while_it_is_loaded_names_the_module(self):
        daemon = self.run_bad("none", BERTH_BAD_LOAD="crash")
        self.assertEqual(-signal.SIGSEGV, self.wait(daemon), daemon.log)
        self.assert_line(daemon.log, f"{URI}: crashed with SIGSEGV (address not mapped) at 0x10 in loading ", "file=bad.so")

    def test_each_kind_of_crash_is_told_apart(self):
        kinds = {"call_null": (signal.SIGSEGV, "crashed with SIGSEGV (address not mapped) at 0x0 in init"),
                 "divide": (signal.SIGFPE, "crashed with SIGFPE (integer division by zero) at 0x"),
                 "trap": (signal.SIGILL, "crashed with SIGILL (illegal instruction) at 0x"),
                 "abort": (signal.SIGABRT, "crashed with SIGABRT in init"),
                 "assert_uv": (signal.SIGABRT, "crashed with SIGABRT in init"),
                 "overflow": (signal.SIGSEGV, "crashed with SIGSEGV (stack overflow) at 0x")}
        for defect, (number, text) in kinds.items():
            with self.subTest(defect=defect):
                daemon = self.run_bad(defect)
                self.assertEqual(-number, self.wait(daemon), daemon.log)
                self.assert_line(daemon.log, f"{URI}: {text}", "file=bad.so")
                self.assertRegex(daemon.log, r"\n    #\d+ bad\.so\+0x[0-9a-f]+ \(")

    def test_a_stack_overflow_on_a_thread_of_prepare_is_caught(self):
        daemon = self.run_bad("overflow", "prepare")
        self.assertEqual(-signal.SIGSEGV, self.wait(daemon), daemon.log)
        self.assert_line(daemon.log, f"{URI}: crashed with SIGSEGV (stack overflow) at 0x", " in prepare ")

    def test_a_destructor_of_thread_specific_data_is_named_when_its_thread_ends(self):
        daemon = self.run_bad("thread_destructor", "prepare").wait_for()
        daemon.send(signal.SIGTERM)
        self.assertEqual(-signal.SIGSEGV, self.wait(daemon), daemon.log)
        self.assert_line(daemon.log, f"{URI}: crashed with SIGSEGV (address not mapped) at 0x10 on a thread of its own or libuv's ",
                         "module=bad version=1.2.3 file=bad.so")
        self.assertRegex(daemon.log, r"\n    #0 bad\.so\+0x[0-9a-f]+ \(crash\)\n")
        self.set_up_bad()
        daemon = self.start()
        self.assert_line(daemon.log, " warn ", "the previous run", f"crashed with SIGSEGV at 0x10, in {URI} (bad.so)")
        self.assert_stops(daemon)

    def test_an_uncaught_exception_is_an_abort_of_its_module(self):
        self.set_up_bad()
        self.add_fixture("bad_cxx")
        daemon = self.launch()
        self.assertEqual(-signal.SIGABRT, self.wait(daemon), daemon.log)
        self.assert_line(daemon.log, "io.berth.test.v1.bad-cxx: crashed with SIGABRT in init", "file=bad_cxx.so")

    def test_the_json_format_has_one_object_on_one_line(self):
        for defect, when in (("crash", "handler"), ("overflow", "init"), ("exit", "init")):
            with self.subTest(defect=defect):
                daemon = self.run_bad(defect, when, settings={"log": {"format": "json"}})
                self.wait(daemon)
                report = json.loads(daemon.log.splitlines()[-1])
                self.assertEqual(("error", URI), (report["level"], report["plugin"]))
                fields = report["fields"]
                self.assertEqual(("loop", daemon.pid, "bad", "1.2.3", "bad.so"),
                                 (fields["thread"], fields["tid"], fields["module"], fields["version"], fields["file"]))
                self.assertTrue(any("bad.so+0x" in frame for frame in fields["backtrace"]))
                if defect == "crash":
                    self.assertEqual(("handler", "/berth.test.Bad/Do", "SIGSEGV", "address not mapped", "0x10"),
                                     tuple(fields[key] for key in ("step", "method", "signal", "code", "address")))
                at = datetime.datetime.strptime(report["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
                now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
                self.assertLess(abs((now - at).total_seconds()), 120)

    def test_what_is_sent_from_outside_is_told_and_nobody_is_blamed(self):
        self.set_up_bad()
        daemon = self.start()
        daemon.send(signal.SIGSEGV)
        self.assertEqual(-signal.SIGSEGV, self.wait(daemon), daemon.log)
        self.assert_line(daemon.log, f"error killed by SIGSEGV from process {os.getpid()} in berthd itself")

    def test_a_journal_gets_its_priority_on_every_line(self):
        self.set_up_bad("crash", log={"format": "text"})
        path = self.workshop.top / "journal"
        with open(path, "wb") as journal:
            status = os.fstat(journal.fileno())
            daemon = self.launch(preexec=lambda: os.dup2(journal.fileno(), 2),
                                 JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
            self.wait(daemon)
        report = path.read_text().split("crashed with")[1].splitlines()[1:]
        self.assertGreater(len(report), 3)
        self.assertTrue(all(line.startswith("<3>    #") for line in report), report)

    def test_a_crash_of_a_forked_child_is_not_the_daemons(self):
        daemon = self.run_bad("fork_crash").wait_for()
        self.assertNotIn("crashed", daemon.log)
        self.assert_stops(daemon)


class Exits(Accountable):
    def test_an_exit_of_a_plugin_is_reported_and_has_its_own_code(self):
        for when, doing in {"prepare": "prepare", "init": "init", "handler": "handler /berth.test.Bad/Do",
                            "timer": "a callback of the loop", "close": "close"}.items():
            with self.subTest(when=when):
                daemon = self.run_bad("exit", when)
                self.assertEqual(EXIT_PLUGIN, self.wait(daemon), daemon.log)
                self.assert_line(daemon.log, f"{URI}: called exit() in {doing}; exiting with code 5", "file=bad.so")
                self.assertRegex(daemon.log, r"\n    #\d+ bad\.so\+0x[0-9a-f]+ \(call_exit\)\n")
                self.assertEqual(1, daemon.log.count("called exit()"))
                self.assertRegex(daemon.log, r"\n    #0 lib(c|asan)\.so")

    def test_an_exit_while_it_is_loaded_is_reported(self):
        daemon = self.run_bad("none", BERTH_BAD_LOAD="exit")
        self.assertEqual(EXIT_PLUGIN, self.wait(daemon), daemon.log)
        self.assert_line(daemon.log, f"{URI}: called exit() in loading; exiting with code 5")

    def test_the_end_of_the_main_thread_is_reported(self):
        for when in ("init", "handler"):
            with self.subTest(when=when):
                daemon = self.run_bad("pthread_exit", when)
                self.assertEqual(EXIT_PLUGIN, self.wait(daemon), daemon.log)
                self.assert_line(daemon.log, f"{URI}: ended berthd's main thread with pthread_exit() in {when}")

    def test_a_prepare_that_ends_its_thread_fails_alone(self):
        self.workshop.add_default_modules("introspection")
        daemon = self.run_bad("pthread_exit", "prepare").wait_for()
        listed = self.plugins(daemon)[URI]
        self.assertEqual(("failed", "prepare ended its thread with pthread_exit()"), (listed.state, listed.reason))
        self.assert_stops(daemon)

    def test_a_child_that_returns_into_the_daemon_is_ended_and_its_parent_lives(self):
        for when, place in {"init": "init", "handler": "handler /berth.test.Bad/Do", "timer": "a callback of the loop"}.items():
            with self.subTest(when=when):
                daemon = self.run_bad("fork", when)
                daemon.wait_for()
                daemon.wait_for_log("the child returned into berthd")
                daemon.wait_for_log("ready in")
                self.assert_line(daemon.log, f"{URI}: forked in {place}, and the child returned into berthd; ended the child")
                self.assertEqual(1, daemon.log.count("returned into berthd"))
                self.assertEqual(1, daemon.log.count("ready in"))
                self.assert_stops(daemon)

    def test_a_forked_child_that_exits_is_not_reported(self):
        daemon = self.run_bad("fork_exit").wait_for()
        self.assert_stops(daemon)
        self.assertNotIn("called exit()", daemon.log)
        self.assertIsNone(re.search(r"forked", daemon.log))


if __name__ == "__main__":
    unittest.main()
