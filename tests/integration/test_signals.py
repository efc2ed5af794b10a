# SPDX-License-Identifier: Apache-2.0
"""How berthd ends, and what it tells the service manager on the way."""

import os
import signal
import time
import unittest

from daemon import Case, run, BERTHD
from workshop import Plugin

TYPE = "io.example.fixture.v1"


class Signals(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def test_sigterm_ends_it_well_and_takes_the_socket_along(self):
        daemon = self.start()
        socket = self.workshop.state / "berth.sock"
        self.assertTrue(socket.is_socket())
        self.assert_stops(daemon)
        self.assertFalse(socket.exists())

    def test_sigint_ends_it_well(self):
        daemon = self.start()
        self.assertEqual(0, daemon.stop(signal.SIGINT), daemon.log)

    def test_sighup_is_logged_and_changes_nothing(self):
        daemon = self.start()
        daemon.send(signal.SIGHUP)
        daemon.wait_for_log("SIGHUP")
        self.assertEqual(0, daemon.ctl("version").returncode)
        self.assert_stops(daemon)

    def test_sigterm_during_start_up_ends_it_well(self):
        self.workshop.add("slow", Plugin(TYPE, "slow", init="return BERTH_PENDING;"))
        daemon = self.launch()
        time.sleep(0.3)
        begin = time.monotonic()
        self.assertEqual(0, daemon.stop(), daemon.log)
        self.assertLess(time.monotonic() - begin, 9, "it does not wait for the deadline of init")
        self.assertNotIn("READY=1", daemon.notify.lines)

    def test_sigterm_at_any_moment_of_start_up_is_no_crash(self):
        for i in range(12):
            with self.subTest(ms=i * 4):
                daemon = self.launch()
                time.sleep(i * 0.004)
                # Before berthd has its handlers the kernel ends it.
                self.assertIn(daemon.stop(), (0, -signal.SIGTERM), daemon.log)

    def test_sigterm_while_prepare_blocks_ends_it(self):
        self.workshop.add("blocks", Plugin(TYPE, "blocks", members=".prepare = prepare"), code="""
            static enum berth_code prepare(const struct berth_prepare *p, void **ret, struct berth_error *e)
            { (void)ret, (void)e; while (!p->is_cancelled(p)) usleep(1000); return BERTH_CANCELLED; }""")
        daemon = self.launch()
        time.sleep(0.3)
        self.assertEqual(0, daemon.stop(), daemon.log)

    def test_a_second_signal_ends_it_at_once(self):
        self.workshop.add("clings", Plugin(TYPE, "clings", members=".close = cling"), code="""
            static enum berth_code cling(const struct berth_host *h, void *instance, struct berth_error *e)
            { (void)h, (void)instance, (void)e; return BERTH_PENDING; }""")
        self.workshop.write_config(timeouts={"close": "60s"})
        daemon = self.start()
        daemon.send(signal.SIGTERM)
        time.sleep(0.5)
        self.assertTrue(daemon.is_alive(), daemon.log)
        daemon.send(signal.SIGTERM)
        self.assertEqual(4, daemon.wait(10), daemon.log)

    def test_a_signal_that_comes_twice_at_once_is_one(self):
        daemon = self.start()
        daemon.send(signal.SIGTERM)
        daemon.send(signal.SIGINT)
        self.assertEqual(0, daemon.wait(), daemon.log)

    def test_closed_standard_streams_are_not_taken_by_others(self):
        daemon = self.launch(preexec=lambda: os.closerange(0, 3)).wait_for()
        self.assertEqual({"/dev/null"}, {os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in range(3)})
        self.assert_stops(daemon)

    def test_the_service_manager_hears_ready_and_stopping(self):
        daemon = self.start()
        daemon.send(signal.SIGTERM)
        self.assertTrue(daemon.notify.wait("STOPPING=1", 30, daemon.is_alive))
        self.assertEqual(0, daemon.wait())
        self.assert_line(daemon.log, "ready", "ms")

    def test_wrong_usage_is_2_and_help_and_version_are_0(self):
        for arguments, code in ((["--help"], 0), (["--version"], 0), (["fly"], 2), (["run", "--no-such-option"], 2),
                                (["config"], 2), (["config", "eat"], 2), (["run", "superfluous"], 2), ([], 2)):
            with self.subTest(arguments=arguments):
                done = run(BERTHD, *arguments)
                self.assertEqual(code, done.returncode, done.stdout + done.stderr)
                self.assertNotEqual("", done.stderr if code else done.stdout)

    def test_a_log_in_json_is_json(self):
        import json

        self.workshop.write_config(log={"format": "json", "level": "debug"})
        daemon = self.start()
        self.assert_stops(daemon)
        lines = daemon.log.splitlines()
        self.assertGreater(len(lines), 1)
        for line in lines:
            json.loads(line)


if __name__ == "__main__":
    unittest.main()
