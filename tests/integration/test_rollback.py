# SPDX-License-Identifier: Apache-2.0
"""The way back from an upgrade: what ran before it runs again, and stays until another file is installed."""

import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import protos
from changing import Changing, Load
from daemon import BUILD, Case
from workshop import Plugin

CALLER = "io.example.caller.v1.caller"
STATEFUL = "io.example.stateful.v1.stateful"
GREETER = "io.containerd.grpc.v1.greeter"


def caller(**more):
    return Plugin("io.example.caller.v1", "caller", **{"yaml": "upgrade: beside", **more})


class Changed(Changing, Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection")
        self.workshop.add("caller", caller())

    def ctl(self, daemon, *words, code=0):
        done = subprocess.run([BUILD / "tools/berthctl/berthctl", "--address", daemon.address, *words], capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done


class Rollback(Changed):
    def listed(self, daemon, uri=CALLER):
        """Its newest generation: one that was replaced may take a moment to leave."""
        listed = json.loads(self.ctl(daemon, "plugins", "ls", "--json").stdout)
        return max((plugin for plugin in listed if plugin["uri"] == uri), key=lambda plugin: plugin["generation"])

    def assert_runs(self, daemon, version, held_back=None, uri=CALLER):
        plugin = self.listed(daemon, uri)
        self.assertEqual(("ready", version, held_back), (plugin["state"], plugin["version"], plugin["held_back"]))
        return plugin

    def upgraded(self, **more):
        """A daemon in which caller 1.1.0 has taken the place of 1.0.0."""
        daemon = self.start(**more)
        self.workshop.add("caller", caller(), version="1.1.0")
        self.ctl(daemon, "plugins", "upgrade", CALLER)
        return daemon

    def test_what_ran_before_runs_again_and_stays(self):
        daemon = self.upgraded()
        dry = self.ctl(daemon, "plugins", "rollback", "--dry-run", CALLER)
        self.assertIn(f"upgrade     {CALLER}: caller 1.0.0 replaces 1.1.0\n            beside: no call waits\n", dry.stdout)
        self.assert_runs(daemon, "1.1.0")
        told = json.loads(self.ctl(daemon, "plugins", "rollback", "--json", CALLER).stdout)
        step, = told["steps"]
        self.assertEqual(("upgrade", CALLER, "1.1.0", "1.0.0", 3),
                         tuple(step[key] for key in ("action", "uri", "from_version", "to_version", "generation")))
        self.assert_runs(daemon, "1.0.0", held_back="1.1.0")
        self.assertIn("running 1.0.0, held back from 1.1.0 on disk", self.ctl(daemon, "plugins", "ls").stdout)
        self.assertRegex(self.ctl(daemon, "plugins", "inspect", CALLER).stdout,
                         r"\nModule: +caller 1.0.0\nOn disk: +caller 1.1.0, held back since a rollback\n")
        # The same content is held back, however often it is installed.
        for _ in range(2):
            done = self.ctl(daemon, "reload")
            self.assertRegex(done.stdout, r"^0 of \d+ plugins changed\n$")
            self.assertIn("caller.so: caller 1.0.0 is used, held back from 1.1.0 on disk by a rollback", done.stderr)
            path = self.workshop.plugins / "caller.so"
            shutil.copy(path, self.workshop.top / "again.so")
            (self.workshop.top / "again.so").replace(path)
        self.ctl(daemon, "plugins", "restart", CALLER)
        self.assert_runs(daemon, "1.0.0", held_back="1.1.0")
        self.workshop.add("caller", caller(), version="1.2.0")
        self.assertIn("caller 1.2.0 replaces 1.0.0", self.ctl(daemon, "reload").stdout)
        self.assert_runs(daemon, "1.2.0")

    def test_whoever_asks_for_the_installed_file_gets_it(self):
        daemon = self.upgraded()
        self.ctl(daemon, "plugins", "rollback", CALLER)
        self.assertIn("caller 1.1.0 replaces 1.0.0", self.ctl(daemon, "plugins", "upgrade", CALLER).stdout)
        self.assert_runs(daemon, "1.1.0")
        self.assertRegex(self.ctl(daemon, "reload").stdout, r"^0 of \d+ plugins changed\n$")

    def test_a_rollback_can_be_rolled_back(self):
        daemon = self.upgraded()
        for version, held_back in (("1.0.0", "1.1.0"), ("1.1.0", None), ("1.0.0", "1.1.0")):
            self.ctl(daemon, "plugins", "rollback", CALLER)
            self.assert_runs(daemon, version, held_back)
            self.assertRegex(self.ctl(daemon, "reload").stdout, r"^0 of \d+ plugins changed\n$")

    def test_without_an_upgrade_there_is_no_way_back(self):
        daemon = self.start()
        self.assertIn("caller.so: its module has not been upgraded since berthd started, so there is no earlier version to go back "
                      "to; install the version you want", self.ctl(daemon, "plugins", "rollback", CALLER, code=1).stderr)
        self.assertIn('plugin "io.example.nobody" is not running',
                      self.ctl(daemon, "plugins", "rollback", "io.example.nobody", code=1).stderr)

    def test_an_upgrade_that_failed_is_no_earlier_version(self):
        daemon = self.upgraded()
        self.workshop.add("caller", caller(init='return berth_error_set(err, BERTH_INTERNAL, "no luck");'), version="1.2.0")
        self.ctl(daemon, "plugins", "upgrade", CALLER, code=4)
        self.ctl(daemon, "plugins", "rollback", CALLER)
        self.assert_runs(daemon, "1.0.0", held_back="1.2.0")

    def test_a_rollback_may_be_kept_by_later_starts(self):
        daemon = self.upgraded()
        dry = self.ctl(daemon, "plugins", "rollback", "--keep", "--dry-run", CALLER)
        self.assertIn("caller 1.0.0 replaces 1.1.0", dry.stdout)
        self.assertFalse((self.workshop.root / "rollbacks").exists())
        self.ctl(daemon, "plugins", "rollback", CALLER)
        kept = self.ctl(daemon, "plugins", "rollback", "--keep", CALLER).stdout
        self.assertRegex(kept, r"^apply       .*/caller\.so: later starts of berthd keep to caller 1\.0\.0, until another file is "
                               r"installed or `berthctl plugins upgrade` is run\n0 of \d+ plugins changed\n$")
        self.assert_stops(daemon)

        plan = self.berthd("plan", "--config", self.workshop.config)
        self.assertIn("caller.so: caller 1.0.0 is used, held back from 1.1.0 on disk by a rollback", plan.stderr)
        for _ in range(2):
            daemon = self.start()
            self.assert_runs(daemon, "1.0.0", held_back="1.1.0")
            self.assertIn("running 1.0.0, held back from 1.1.0 on disk", self.ctl(daemon, "plugins", "ls").stdout)
            self.assertRegex(self.ctl(daemon, "reload").stdout, r"^0 of \d+ plugins changed\n$")
            self.ctl(daemon, "plugins", "restart", CALLER)
            self.assert_runs(daemon, "1.0.0", held_back="1.1.0")
            self.assert_stops(daemon)

        # What was stored is what runs, or nothing of it does.
        content, = (path for path in (self.workshop.root / "rollbacks").iterdir() if path.name != "index")
        whole = content.read_bytes()
        content.write_bytes(whole[:-1] + b"!")
        daemon = self.start()
        self.assertIn(f"{content}: its content is not what was stored; installed files that a rollback held back", daemon.log)
        self.assert_runs(daemon, "1.1.0")
        self.assert_stops(daemon)

    def test_a_kept_rollback_ends_with_the_next_file(self):
        daemon = self.upgraded()
        self.ctl(daemon, "plugins", "rollback", "--keep", CALLER)
        self.assert_stops(daemon)
        daemon = self.start()
        self.ctl(daemon, "plugins", "upgrade", CALLER)
        self.assert_runs(daemon, "1.1.0")
        self.assertFalse((self.workshop.root / "rollbacks").exists())

        self.ctl(daemon, "plugins", "rollback", "--keep", CALLER)
        self.assert_stops(daemon)
        self.workshop.add("caller", caller(), version="1.2.0")
        daemon = self.start()
        self.assert_runs(daemon, "1.2.0")
        self.assertFalse((self.workshop.root / "rollbacks").exists())

    def test_a_module_may_have_come_under_another_name(self):
        daemon = self.start()
        old, new = self.workshop.plugins / "caller.so", self.workshop.plugins / "caller-1.1.so"
        old.rename(self.workshop.top / "old.so")
        self.workshop.add("caller", caller(), version="1.1.0").rename(new)
        self.ctl(daemon, "reload")
        self.assert_runs(daemon, "1.1.0")
        for _ in range(2):
            done = self.ctl(daemon, "plugins", "rollback", CALLER)
            self.assertIn("caller 1.0.0 replaces 1.1.0", done.stdout)
            self.assert_runs(daemon, "1.0.0", held_back="1.1.0")
            done = self.ctl(daemon, "reload")
            self.assertRegex(done.stdout, r"^0 of \d+ plugins changed\n$")
            self.assertIn(f"{new}: held back by a rollback to {old}, until another file is installed", done.stderr)
            self.ctl(daemon, "plugins", "rollback", CALLER)
            self.assert_runs(daemon, "1.1.0")
        for _ in range(2):
            self.ctl(daemon, "plugins", "rollback", "--keep", CALLER)
        self.assert_stops(daemon)
        daemon = self.start()
        self.assert_runs(daemon, "1.0.0", held_back="1.1.0")
        # What may not run any more is not held to, and what was held back for it comes.
        self.workshop.write_config(trust={"minimum": {"caller": "1.1.0"}})
        done = self.ctl(daemon, "reload")
        self.assertIn("using the installed file, which was held back by a rollback", done.stderr)
        self.assert_runs(daemon, "1.1.0")
        self.assert_stops(daemon)
        self.assert_runs(self.start(), "1.1.0")

    def test_the_installed_file_may_be_gone(self):
        daemon = self.upgraded()
        (self.workshop.plugins / "caller.so").unlink()
        self.ctl(daemon, "plugins", "rollback", CALLER)
        self.assert_runs(daemon, "1.0.0", held_back="unknown")
        self.assertRegex(self.ctl(daemon, "reload").stdout, r"^0 of \d+ plugins changed\n$")
        self.workshop.add("caller", caller(), version="1.2.0")
        self.ctl(daemon, "reload")
        self.assert_runs(daemon, "1.2.0")

    def test_a_version_that_fails_later_gives_way(self):
        daemon = self.start()
        failing = caller(init='berth_fail(host, BERTH_INTERNAL, "out of luck");')
        self.workshop.add("caller", failing, version="1.1.0")
        self.ctl(daemon, "plugins", "upgrade", CALLER)
        self.ctl(daemon, "plugins", "rollback", CALLER)
        self.assert_runs(daemon, "1.0.0", held_back="1.1.0")

    def test_trust_applies_to_what_ran_before(self):
        daemon = self.upgraded()
        self.workshop.write_config(trust={"minimum": {"caller": "1.1.0"}})
        self.ctl(daemon, "reload")
        done = self.ctl(daemon, "plugins", "rollback", CALLER, code=1)
        self.assertRegex(done.stderr, r"cannot roll back: .*caller.so: .*1\.0\.0.*berthd\.yaml:\d+:\d+")
        self.assert_runs(daemon, "1.1.0")
        # What is held back already comes, where what runs may not run any more.
        self.workshop.write_config()
        self.ctl(daemon, "plugins", "rollback", CALLER)
        self.workshop.write_config(trust={"minimum": {"caller": "1.1.0"}})
        done = self.ctl(daemon, "reload")
        self.assertIn("using the installed file, which was held back by a rollback", done.stderr)
        self.assert_runs(daemon, "1.1.0")

    def test_state_that_the_earlier_version_cannot_read_keeps_it_from_running(self):
        code = """
            static enum berth_code save(const struct berth_host *host, void *instance, const struct berth_state_writer *writer,
                                        struct berth_error *err)
            { (void)host, (void)instance, (void)writer, (void)err; return BERTH_OK; }
            static enum berth_code load(const struct berth_host *host, void *instance, uint32_t version, const void *bytes,
                                        size_t length, struct berth_error *err)
            { (void)host, (void)instance, (void)version, (void)bytes, (void)length, (void)err; return BERTH_OK; }"""

        def install(version, state):
            self.workshop.add("stateful", Plugin(
                "io.example.stateful.v1", "stateful", yaml=f"callbacks: [save_state, load_state]\nstate: {state}",
                members=".save_state = save, .load_state = load"), code=code, version=version)

        install("1.0.0", "{writes: 1, reads: [1]}")
        daemon = self.start()
        install("1.1.0", "{writes: 2, reads: [1, 2]}")
        self.ctl(daemon, "plugins", "upgrade", STATEFUL)
        for options in (["--dry-run"], []):
            done = self.ctl(daemon, "plugins", "rollback", *options, STATEFUL, code=0 if options else 1)
            self.assertIn("state", done.stdout)
            self.assertRegex(done.stdout, "(not possible|failed): ")
            self.assert_runs(daemon, "1.1.0", uri=STATEFUL)
        self.assertRegex(self.ctl(daemon, "reload").stdout, r"^0 of \d+ plugins changed\n$")
        self.ctl(daemon, "plugins", "rollback", "--force", STATEFUL)
        self.assert_runs(daemon, "1.0.0", held_back="1.1.0", uri=STATEFUL)

    def test_calls_go_on(self):
        self.workshop.add_default_modules("greeter")
        daemon = self.start()
        self.upgrade(daemon, "greeter", GREETER)
        before = self.listed(daemon, GREETER)["generation"]
        load = Load(daemon.address, "/helloworld.Greeter/SayHello", protos.greeter.HelloRequest(name="Ada").SerializeToString())
        self.addCleanup(load.kill)
        load.wait()
        for _ in range(20):
            report = self.change(daemon, "ROLLBACK", GREETER)
            self.assertEqual(0, report.code, report)
            self.assertEqual([0], [step.code for step in report.steps], report)
        self.assertGreater(load.stop().calls, 100)
        self.assertEqual(before + 20, self.listed(daemon, GREETER)["generation"])


    def test_an_isolated_plugin_goes_back_too(self):
        self.go_back_isolated({})

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_an_isolated_plugin_with_its_own_user_goes_back_too(self):
        if not self.workshop.open_to_others():
            self.skipTest("the scratch folder is private")
        self.go_back_isolated({"user": "nobody"})

    def go_back_isolated(self, isolation):
        self.workshop.write_config(isolation={CALLER: {"restart_delay": "5ms", **isolation}})
        daemon = self.upgraded()
        self.ctl(daemon, "plugins", "rollback", CALLER)
        plugin = self.assert_runs(daemon, "1.0.0", held_back="1.1.0")
        self.assertTrue(plugin["isolated"])
        # Its process is started again from the same copy.
        os.kill(plugin["process"], signal.SIGKILL)
        end = time.monotonic() + 30
        while self.listed(daemon)["process"] in (None, plugin["process"]):
            self.assertLess(time.monotonic(), end, daemon.log)
            time.sleep(0.05)
        self.assert_runs(daemon, "1.0.0", held_back="1.1.0")
        self.ctl(daemon, "plugins", "rollback", CALLER)
        self.assert_runs(daemon, "1.1.0")
        end = time.monotonic() + 30
        while "generation" in self.ctl(daemon, "plugins", "ls").stdout:
            self.assertLess(time.monotonic(), end, daemon.log)
            time.sleep(0.05)

    def test_a_version_that_does_not_start_again_leaves_nothing(self):
        """What has been rolled back fails the second time it starts: the newer version goes on, and is listed alone."""
        flag = self.workshop.top / "broken"
        self.workshop.add("caller", caller(init=f'if (access("{flag}", F_OK) == 0) '
                                                'return berth_error_set(err, BERTH_INTERNAL, "no luck");'))
        daemon = self.upgraded()
        flag.touch()
        self.assertIn("no luck", self.ctl(daemon, "plugins", "rollback", CALLER, code=4).stdout)
        self.assertIsNone(self.assert_runs(daemon, "1.1.0")["newest_version"])


class Atomic(Changed):
    """A reload with --atomic: all of it, or what ran before."""

    def set_up_world(self):
        self.workshop.add("early", Plugin("io.example.early.v1", "early"))
        self.workshop.add("set", Plugin("io.example.set.v1", "set", yaml="config:\n  burst: {type: int, default: 5}"))
        return self.start()

    def states(self, daemon):
        listed = json.loads(self.ctl(daemon, "plugins", "ls", "--json").stdout)
        return {plugin["uri"]: (plugin["state"], plugin["version"], plugin["newest_version"]) for plugin in listed}

    def test_what_was_done_is_undone_where_the_last_fails(self):
        daemon = self.set_up_world()
        before = self.states(daemon)
        self.workshop.add("caller", caller(), version="1.1.0")
        (self.workshop.plugins / "early.so").unlink()
        self.workshop.add("late", Plugin("io.example.late.v1", "late"))
        self.workshop.add("zz", Plugin("io.example.zz.v1", "zz", wants=["*"],
                                       init='return berth_error_set(err, BERTH_INTERNAL, "no luck");'))
        self.workshop.write_config(plugins={"io.example.set.v1.set": {"burst": 7}}, log={"level": "debug"})
        told = json.loads(self.ctl(daemon, "reload", "--atomic", "--json", code=4).stdout)
        self.assertIn("no luck", told["message"])
        self.assertEqual([], told["applied"])
        said = {step["uri"]: (step["code"], step["message"]) for step in told["steps"]}
        self.assertEqual("INTERNAL", said["io.example.zz.v1.zz"][0], told)
        for uri, (code, message) in said.items():
            if uri != "io.example.zz.v1.zz":
                self.assertRegex(message, "undone, because io.example.zz.v1.zz failed|not tried", told)
                self.assertNotEqual("OK", code)
        self.assertIn("undone", said[CALLER][1])
        self.assertEqual(before, {uri: state for uri, state in self.states(daemon).items() if uri in before})
        self.assertNotIn("io.example.late.v1.late", [uri for uri, state in self.states(daemon).items() if state[0] == "ready"])
        self.assertEqual("info\n", self.ctl(daemon, "log-level").stdout)
        # Without the one that fails all of it is done.
        (self.workshop.plugins / "zz.so").unlink()
        self.ctl(daemon, "reload", "--atomic")
        self.assertEqual(("ready", "1.1.0", None), self.states(daemon)[CALLER])
        self.assertEqual("debug\n", self.ctl(daemon, "log-level").stdout)

    def test_who_was_stopped_stays_so_after_an_undone_start(self):
        early, late = "io.example.early.v1.early", "io.example.zz.v1.zz"
        marker = self.workshop.top / "no-luck"
        self.workshop.add("zz", Plugin("io.example.zz.v1", "zz", wants=["*"],
                                       init=f'if (access("{marker}", F_OK) == 0) return berth_error_set(err, BERTH_INTERNAL, "no luck");'))
        daemon = self.set_up_world()
        self.ctl(daemon, "plugins", "stop", early, late)
        marker.touch()
        done = self.change(daemon, "START", early, late, atomic=True)
        self.assertIn("no luck", done.message)
        marker.unlink()
        self.workshop.write_config(log={"level": "debug"})
        self.ctl(daemon, "reload")
        daemon.wait_for_log("reload done change=3 plugins=0")
        self.assertNotIn("ready", [self.states(daemon).get(uri, ("",))[0] for uri in (early, late)])

    def test_a_stop_that_does_not_complete_is_told(self):
        self.workshop.add("slow", Plugin("io.example.slow.v1", "slow", members=".close = close_slow"), code=(
            "static enum berth_code close_slow(const struct berth_host *host, void *instance, struct berth_error *err)\n"
            "{ (void)host, (void)instance, (void)err; return BERTH_PENDING; }\n"))
        self.workshop.write_config(timeouts={"close": "100ms"})
        daemon = self.start()
        done = self.ctl(daemon, "plugins", "stop", "io.example.slow.v1.slow", code=4)
        self.assertIn("failed: stopped, but its close did not complete in time: its code may still be running", done.stdout)
