# SPDX-License-Identifier: Apache-2.0
"""What belongs to the whole process: a plugin that changes it is named, and what the daemon needs is restored."""

import os
import signal
import time
import unittest

from accountable import URI, Accountable


class Surroundings(Accountable):
    def assert_changed(self, daemon, what, when="init", is_restored=True):
        self.assert_line(daemon.log, " warn ", f"{URI}: changed {what} in {when}" + ("; restored" if is_restored else ""))

    def test_signals_are_restored_and_the_plugin_named(self):
        for when in ("check", "init", "serve"):
            with self.subTest(when=when):
                daemon = self.run_bad("signal", when).wait_for()
                self.assert_changed(daemon, "the handler of SIGTERM", when)
                self.assert_changed(daemon, "the handler of SIGPIPE", when)
                self.assertEqual(0, daemon.stop(signal.SIGTERM), daemon.log)
                self.assertEqual(2, daemon.log.count(": changed "), daemon.log)

    def test_what_is_changed_while_it_is_loaded_is_noticed_too(self):
        daemon = self.run_bad("none", BERTH_BAD_LOAD="signal").wait_for()
        self.assert_changed(daemon, "the handler of SIGTERM", "loading")
        self.assert_stops(daemon)

    def test_the_mask_is_restored(self):
        daemon = self.run_bad("mask").wait_for()
        self.assert_changed(daemon, "the signal mask")
        self.assert_stops(daemon)

    def test_the_working_directory_is_restored(self):
        daemon = self.run_bad("cwd").wait_for()
        self.assert_changed(daemon, "the working directory")
        self.assertEqual(os.getcwd(), os.readlink(f"/proc/{daemon.pid}/cwd"))
        self.assert_stops(daemon)

    def test_the_umask_is_restored(self):
        daemon = self.launch_with_umask()
        self.assert_changed(daemon, "the umask")
        with open(f"/proc/{daemon.pid}/status", encoding="utf-8") as status:
            self.assertIn("Umask:\t0027\n", status.read())
        self.assert_stops(daemon)

    def launch_with_umask(self):
        self.set_up_bad("umask")
        return self.launch(preexec=lambda: os.umask(0o027)).wait_for()

    def test_the_locale_is_restored(self):
        daemon = self.run_bad("locale").wait_for()
        self.assert_changed(daemon, "the locale")
        self.assert_stops(daemon)

    def test_the_environment_is_named_by_its_keys_alone(self):
        daemon = self.run_bad("environment").wait_for()
        self.assert_changed(daemon, "the environment variable BERTH_BAD_SECRET", is_restored=False)
        self.assert_changed(daemon, "the environment variable HOME", is_restored=False)
        self.assertNotIn("hunter2", daemon.log)
        self.assertEqual(2, daemon.log.count(": changed "), daemon.log)
        self.assert_stops(daemon)

    def test_a_change_between_steps_is_nobodys(self):
        daemon = self.run_bad("cwd", "timer").wait_for()
        daemon.wait_for_log("ready in")
        time.sleep(0.3)
        self.assert_stops(daemon)
        self.assert_line(daemon.log, "a plugin changed the working directory between two steps, before ", "; restored")
        self.assertNotIn(f"{URI}: changed", daemon.log)

    def test_plugins_that_change_nothing_are_not_mentioned(self):
        self.set_up_bad()
        self.workshop.add_default_modules()
        daemon = self.start()
        self.assert_stops(daemon)
        self.assertNotIn(" changed ", daemon.log)


if __name__ == "__main__":
    unittest.main()
