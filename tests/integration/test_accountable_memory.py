# SPDX-License-Identifier: Apache-2.0
"""The next start knows how the previous run died, and leaves out a plugin that killed it too often."""

import json
import os
import signal
import time
import unittest

from accountable import IS_SANITIZED, URI, Accountable
from workshop import Plugin

NONE = "while no plugin was being called"


class Memory(Accountable):
    def assert_next_start_says(self, first, *texts):
        self.set_up_bad()
        daemon = self.start()
        line = self.assert_line(daemon.log, " warn ", f"the previous run (pid {first.pid}) ", *texts)
        self.assertEqual(1, daemon.log.count("the previous run"))
        self.assert_stops(daemon)
        return line

    def test_a_run_that_ended_on_purpose_is_not_mentioned(self):
        self.set_up_bad()
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.start()
            self.assertEqual(0, daemon.stop(number), daemon.log)
            self.assertNotIn("the previous run", daemon.log)

    def test_an_unseen_end_names_who_ran(self):
        for defect, when in (("_exit", "init"), ("kill", "handler"), ("_exit", "serve"), ("_exit", "close"), ("_exit", "check"),
                             ("_exit", "prepare")):
            with self.subTest(defect=defect, when=when):
                daemon = self.run_bad(defect, when)
                self.assertIn(self.wait(daemon), (0, -signal.SIGKILL))
                self.assert_next_start_says(daemon, "ended without shutting down, in ", f"{when} of {URI} (bad.so)")

    def test_an_unseen_end_while_loading_names_the_module(self):
        daemon = self.run_bad("none", BERTH_BAD_LOAD="_exit")
        self.wait(daemon)
        self.assert_next_start_says(daemon, f"ended without shutting down, in loading of {URI} (bad.so)")

    @unittest.skipIf(IS_SANITIZED, "crashes are the sanitizer's to report")
    def test_a_crash_is_remembered_with_its_signal(self):
        for defect, when, text in (("crash", "init", f"crashed with SIGSEGV at 0x10, in init of {URI} (bad.so)"),
                                   ("crash", "timer", f"crashed with SIGSEGV at 0x10, in {URI} (bad.so)"),
                                   ("abort", "handler", f"crashed with SIGABRT, in handler of {URI} (bad.so)")):
            with self.subTest(defect=defect, when=when):
                daemon = self.run_bad(defect, when)
                self.wait(daemon)
                self.assert_next_start_says(daemon, text)

    def test_an_exit_is_remembered(self):
        daemon = self.run_bad("exit", "handler")
        self.wait(daemon)
        self.assert_next_start_says(daemon, f"was ended by exit() or pthread_exit(), in handler of {URI} (bad.so)")

    def test_where_no_plugin_ran_nobody_is_blamed(self):
        self.set_up_bad()
        daemon = self.start()
        daemon.send(signal.SIGKILL)
        self.wait(daemon)
        self.assert_next_start_says(daemon, f"ended without shutting down, {NONE}")
        self.assertEqual("[]\n", self.quarantine("ls", "--json").stdout)

    def test_a_second_signal_is_on_purpose(self):
        self.set_up_bad("hang", "close")
        daemon = self.start()
        daemon.send(signal.SIGTERM)
        daemon.wait_for_log("shutting down")
        time.sleep(0.3)
        daemon.send(signal.SIGTERM)
        self.assertEqual(4, daemon.wait(10), daemon.log)
        self.set_up_bad()
        daemon = self.start()
        self.assertNotIn("the previous run", daemon.log)
        self.assert_stops(daemon)

    def test_what_is_in_the_file_is_not_trusted(self):
        self.set_up_bad()
        self.assert_stops(self.start())
        box = self.workshop.state / "black-box"
        self.assertEqual(0o600, box.stat().st_mode & 0o7777)
        good = box.read_bytes()
        contents = [b"", b"x", b"\xff" * 4096, b"\xff" * 9000, good[:100], good[:4096], good[:8] + b"\xff" * (len(good) - 8),
                    good[:4096] + b"A" * 5000, good + b"\0" * (1 << 20)]
        contents += [good[:at] + b"\xff\xff\xff\xff" + good[at + 4:] for at in range(8, 400, 4)][::7]
        for i, content in enumerate(contents):
            with self.subTest(i=i):
                box.write_bytes(content)
                self.assert_stops(self.start())

    def test_a_strange_file_is_left_alone(self):
        self.set_up_bad()
        target = self.workshop.top / "target"
        target.write_text("precious")
        self.workshop.state.mkdir(mode=0o711)
        for make in (lambda path: path.symlink_to(target), lambda path: os.link(target, path), os.mkfifo, os.mkdir):
            box = self.workshop.state / "black-box"
            make(box)
            daemon = self.start()
            self.assert_line(daemon.log, " warn ", "a crash of this run will not be recorded: ", "black-box")
            self.assert_stops(daemon)
            self.assertEqual("precious", target.read_text())
            box.rmdir() if box.is_dir() and not box.is_symlink() else box.unlink()

    def test_a_second_daemon_on_the_same_folder_does_not_take_the_box(self):
        self.set_up_bad()
        first = self.start()
        second = self.launch()
        second.wait_for_log("another daemon uses it")
        self.assertNotIn("the previous run", second.log)
        second.process.kill()
        self.assert_stops(first)


class Quarantine(Accountable):
    quarantine_after = 3

    def die(self, times, **settings):
        for _ in range(times):
            daemon = self.run_bad("_exit", "init", settings=settings)
            self.wait(daemon)
            self.assertNotIn("quarantined", daemon.log)

    def test_a_plugin_that_killed_the_daemon_three_times_is_not_loaded_until_that_is_lifted(self):
        self.workshop.add("leans", Plugin("io.example.fixture.v1", "leans", requires=[URI]))
        self.die(3)
        self.workshop.add_default_modules("introspection")
        daemon = self.start()
        reason = (f"killed the daemon 3 times within 10m, last: ended in init; run `berthd quarantine clear {URI}`, "
                  "then `berthctl reload`")
        self.assert_line(daemon.log, " warn ", f"{URI}: quarantined: {reason}")
        listed = self.plugins(daemon)
        self.assertEqual(("quarantined", reason), (listed[URI].state, listed[URI].reason))
        leans = listed["io.example.fixture.v1.leans"]
        self.assertEqual(("blocked", URI), (leans.state, leans.cause))
        ls = daemon.ctl("plugins", "ls", "--all").stdout
        self.assertRegex(ls, r"io\.berth\.test\.v1 +bad +.*quarantined")
        explained = daemon.ctl("plugins", "explain", "io.example.fixture.v1.leans").stdout
        self.assertIn(f"berthd quarantine clear {URI}", explained)
        plan = self.berthd("plan", "--config", self.workshop.config)
        self.assertEqual(1, plan.returncode)
        self.assertRegex(plan.stdout, rf"quarantined +{URI} ")
        self.assertEqual(URI + "\n", self.quarantine("ls", "-q").stdout)
        self.assertIn("quarantined  " + URI, self.quarantine("ls").stdout)
        items = json.loads(self.quarantine("ls", "--json").stdout)
        self.assertEqual([False, False, False, True], [item["quarantined"] for item in items])
        self.assertEqual({URI}, {item["uri"] for item in items})
        self.assertEqual(1, self.quarantine("clear", "io.example.v1.unknown").returncode)
        lifted = self.quarantine("clear", URI)
        self.assertEqual((0, "1 quarantine lifted; run `berthctl reload` or start berthd to load what was quarantined\n"),
                         (lifted.returncode, lifted.stderr))
        # Only that: what runs must not be overwritten in place.
        self.workshop.write_config(plugins={URI: {"defect": "none"}}, on_crash={"quarantine_after": 3})
        reloaded = daemon.ctl("reload")
        self.assertEqual(0, reloaded.returncode, reloaded.stdout + reloaded.stderr)
        self.assertIn(f"start       {URI}: ", reloaded.stdout)
        self.assert_stops(daemon)
        daemon = self.start()
        self.assertEqual("serving", self.plugins(daemon)[URI].state)
        self.assert_stops(daemon)
        self.assertEqual("[]\n", self.quarantine("ls", "--json").stdout)

    def test_a_kill_from_outside_does_not_count(self):
        for when in ("prepare", "handler", "serve"):
            daemon = self.run_bad("kill", when)
            self.wait(daemon)
        self.set_up_bad()
        daemon = self.start()
        self.assert_line(daemon.log, " warn ", "the previous run ", URI)
        self.assertEqual("[]\n", self.quarantine("ls", "--json").stdout)
        self.assert_stops(daemon)

    @unittest.skipIf(IS_SANITIZED, "crashes are the sanitizer's to report")
    def test_a_signal_from_outside_does_not_count(self):
        for _ in range(3):
            self.set_up_bad("hang", "close")
            daemon = self.start()
            daemon.send(signal.SIGTERM)
            daemon.wait_for_log("shutting down")
            time.sleep(0.3)
            daemon.send(signal.SIGABRT)
            self.assertEqual(-signal.SIGABRT, self.wait(daemon))
            self.assertIn(URI, daemon.log)
        self.assertEqual("[]\n", self.quarantine("ls", "--json").stdout)

    def test_two_deaths_are_not_enough_unless_the_configuration_says_so(self):
        self.die(2)
        self.set_up_bad()
        self.assert_stops(self.start())
        self.assertEqual(2, len(json.loads(self.quarantine("ls", "--json").stdout)))
        self.run_bad("_exit", "init", settings={"on_crash": {"quarantine_after": 1}}).process.wait(20)
        self.workshop.add_default_modules("introspection")
        daemon = self.start()
        self.assertIn(f"{URI}: quarantined", daemon.log)
        self.assert_stops(daemon)
        self.set_up_bad(on_crash={"quarantine_after": 0})
        daemon = self.start()
        self.assertEqual("serving", self.plugins(daemon)[URI].state)
        self.assert_stops(daemon)

    def test_deaths_long_ago_do_not_count(self):
        self.die(2)
        self.set_up_bad()
        self.assert_stops(self.start())
        deaths = self.workshop.state / "deaths"
        self.assertEqual(0o600, deaths.stat().st_mode & 0o7777)
        deaths.write_text("".join(f"{int(line.split()[0]) - 601} {line.split(' ', 1)[1]}" for line in open(deaths)))
        self.die(1)
        self.set_up_bad()
        daemon = self.start()
        self.assertNotIn("quarantined", daemon.log)
        self.assert_stops(daemon)

    def test_a_required_plugin_is_loaded_nevertheless_unless_asked(self):
        self.die(3, required_plugins=[URI])
        self.set_up_bad(required_plugins=[URI])
        self.workshop.add_default_modules("introspection")
        daemon = self.start()
        self.assertEqual("serving", self.plugins(daemon)[URI].state)
        self.assert_stops(daemon)
        self.set_up_bad(required_plugins=[URI], on_crash={"required": True, "quarantine_after": 3})
        self.assert_refuses(1, URI, "quarantined")

    def test_a_broken_list_is_ignored_and_an_unsafe_one_stays(self):
        self.set_up_bad()
        self.workshop.state.mkdir(mode=0o711)
        deaths = self.workshop.state / "deaths"
        for content in (b"\xff" * 5000, b"1 quarantine\n", b"1 other io.x.v1.y what\n" * 3, b"99999999999999999999999 death a b\n"):
            deaths.write_bytes(content)
            deaths.chmod(0o600)
            daemon = self.start()
            self.assertNotIn("quarantined", daemon.log)
            self.assert_stops(daemon)
        deaths.chmod(0o666)
        self.die(1)
        self.set_up_bad()
        daemon = self.start()
        self.assert_line(daemon.log, " warn ", "not counting this towards a quarantine: ", str(deaths))
        self.assert_stops(daemon)
        self.assertEqual(content, deaths.read_bytes())
        deaths.chmod(0o600)
        self.die(1)
        self.set_up_bad()
        self.assert_stops(self.start())
        self.assertEqual(1, self.quarantine("ls", "--json").stdout.count(URI))


if __name__ == "__main__":
    unittest.main()
