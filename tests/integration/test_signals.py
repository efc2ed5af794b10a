# SPDX-License-Identifier: Apache-2.0
"""How berthd ends, and what it tells the service manager on the way."""

import os
import resource
import signal
import subprocess
import sys
import time
import unittest

from daemon import Case, environment, run, BERTHD
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

    def test_signals_that_ask_for_nothing_are_logged_and_change_nothing(self):
        daemon = self.start()
        for name in ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR", "SIGSTKFLT"):
            with self.subTest(signal=name):
                daemon.send(getattr(signal, name))
                daemon.wait_for_log(f"received {name}, ignoring it")
        self.assertEqual(0, daemon.ctl("version").returncode)
        self.assert_stops(daemon)

    def test_sigquit_ends_it_well(self):
        daemon = self.start()
        self.assertEqual(0, daemon.stop(signal.SIGQUIT), daemon.log)
        self.assert_line(daemon.log, "received SIGQUIT, shutting down")

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

    def test_the_daemon_may_open_more_files_than_its_children(self):
        limits = self.workshop.top / "limits"
        self.workshop.add("forks", Plugin(TYPE, "forks", init=f"""
            pid_t pid = fork();
            if (pid == 0) execl("/bin/sh", "sh", "-c", "echo $(ulimit -Sn) $(ulimit -Hn) >{limits}", (char *)0);
            if (waitpid(pid, NULL, 0) != pid) return BERTH_INTERNAL;"""), code="#include <sys/wait.h>")
        daemon = self.launch(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 400))).wait_for()
        self.assertEqual((400, 400), resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE))
        self.assert_stops(daemon)
        self.assertEqual("200 400", limits.read_text().strip())

    def need_namespaces(self):
        if subprocess.run(["unshare", "--fork", "--pid", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
            self.skipTest("no namespace of processes can be had here")

    def test_plugins_can_wait_for_children_although_sigchld_was_ignored(self):
        self.workshop.add("forks", Plugin(TYPE, "forks", init="""
            int status;
            pid_t pid = fork();
            if (pid == 0) _exit(7);
            if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 7) return BERTH_INTERNAL;"""),
            code="#include <sys/wait.h>")
        self.workshop.write_config(required_plugins=[f"{TYPE}.forks"])
        daemon = self.launch(preexec=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)).wait_for()
        self.assert_stops(daemon)

    def test_process_1_ends_with_the_daemon_although_sigchld_was_ignored(self):
        self.need_namespaces()
        ignore = ("import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
                  "os.execv(sys.argv[1], sys.argv[1:])")
        done = subprocess.run(["unshare", "--fork", "--pid", "--kill-child", sys.executable, "-c", ignore, str(BERTHD), "run",
                               "--config", "/nonexistent/berthd.yaml"], env=environment(), stderr=subprocess.PIPE, timeout=60,
                              check=False)
        self.assertEqual(3, done.returncode, done.stderr)

    def test_as_process_1_it_reaps_orphans_and_no_child_of_a_plugin(self):
        self.need_namespaces()
        done = self.workshop.top / "done"
        self.workshop.add("parent", Plugin(TYPE, "parent", init=f"""
            static uv_process_t process;
            static char *words[] = {{"/bin/sh", "-c", "(sleep 0.3; echo >{done}) & exit 7", NULL}};
            uv_process_options_t options = {{.file = words[0], .args = words, .exit_cb = on_exit_of_child}};
            host_of_child = host;
            return uv_spawn(host->loop, &process, &options) == 0 ? BERTH_PENDING : BERTH_INTERNAL;"""), code="""
            static const struct berth_host *host_of_child;
            static void on_exit_of_child(uv_process_t *process, int64_t status, int number)
            {
                uv_close((uv_handle_t *)process, NULL);
                if (status == 7 && number == 0) berth_complete_init(host_of_child, process);
                else berth_fail_init(host_of_child, BERTH_INTERNAL, "its status was stolen");
            }""")
        self.workshop.write_config(required_plugins=[f"{TYPE}.parent"])
        log = self.workshop.top / "log"
        outer = subprocess.Popen(["unshare", "--fork", "--pid", "--kill-child", str(BERTHD), "run", "--config",
                                  str(self.workshop.config)], stdin=subprocess.DEVNULL, stderr=log.open("wb"),
                                 env=environment())
        self.addCleanup(outer.kill)

        def children(pid):
            return [int(child) for child in open(f"/proc/{pid}/task/{pid}/children").read().split()]

        def below(pid):
            """The states of all that came from it, "Z" for a zombie."""
            found = []
            for child in children(pid):
                try:
                    found += [open(f"/proc/{child}/stat").read().rsplit(")", 1)[1].split()[0], *below(child)]
                except OSError:
                    pass
            return found

        end = time.monotonic() + 60
        while (not done.exists() or "ready in" not in log.read_text()) and time.monotonic() < end and outer.poll() is None:
            time.sleep(0.02)
        self.assertTrue(done.exists(), log.read_text())
        (first,) = children(outer.pid)
        # The orphan has ended and is gone at once; the daemon stays.
        while "Z" in (states := below(first)) and time.monotonic() < end:
            time.sleep(0.02)
        self.assertNotIn("Z", states, log.read_text())
        os.kill(first, signal.SIGTERM)
        self.assertEqual(0, outer.wait(60), log.read_text())
        self.assert_line(log.read_text(), "received SIGTERM, shutting down")

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

    def test_a_log_in_json_is_json_with_its_data_as_fields(self):
        import json

        self.workshop.write_config(log={"format": "json", "level": "debug"})
        daemon = self.start()
        self.assert_stops(daemon)
        lines = [json.loads(line) for line in daemon.log.splitlines()]
        self.assertEqual("berthd starting", lines[0]["message"])
        self.assertEqual(str(self.workshop.config), lines[0]["fields"]["config"])
        self.assertEqual(str(self.workshop.plugins), lines[0]["fields"]["plugin_dirs"])
        self.assertEqual(("stopped", {"exit_code": 0}), (lines[-1]["message"], lines[-1]["fields"]))

    def test_a_log_in_json_has_priorities_where_the_journal_reads_it(self):
        self.workshop.write_config(log={"format": "json"})
        log = self.workshop.top / "journal"
        log.touch()
        found = log.stat()
        done = subprocess.run([str(BERTHD), "run", "--config", str(self.workshop.config), "--plugin-dir", "/nowhere"],
                              stdin=subprocess.DEVNULL, stderr=log.open("ab"), check=False, timeout=60,
                              env=environment(JOURNAL_STREAM=f"{found.st_dev}:{found.st_ino}"))
        self.assertEqual(3, done.returncode)
        lines = log.read_text().splitlines()
        self.assertRegex(lines[0], '^<6>{"time":')
        self.assertRegex(self.assert_line(log.read_text(), "/nowhere", "no such directory"), '^<3>{"time":')

    def test_the_log_begins_with_what_is_started_and_ends_with_stopped(self):
        more = self.workshop.top / "more, and more.yaml"
        more.write_text("{}\n")
        self.workshop.write_config(imports=["more*.yaml"])
        daemon = self.start()
        self.assert_stops(daemon)
        lines = daemon.log.splitlines()
        version = self.berthd("--version").stdout.split()[1]
        for text in ("berthd starting", f"version={version}", f'config="{self.workshop.config},{more}"',
                     f"plugin_dirs={self.workshop.plugins}"):
            self.assertIn(text, lines[0])
        self.assertTrue(lines[-1].endswith(" stopped exit_code=0"), daemon.log)

    def test_what_runs_code_of_a_plugin_is_logged_before_it_does(self):
        self.workshop.add("steps", Plugin(TYPE, "steps", members=".prepare = prepare, .close = end", code="""
            static enum berth_code prepare(const struct berth_prepare *p, void **ret, struct berth_error *e)
            { (void)p, (void)ret, (void)e; return BERTH_OK; }
            static enum berth_code end(const struct berth_host *h, void *instance, struct berth_error *e)
            { (void)h, (void)instance, (void)e; return BERTH_OK; }"""))
        self.workshop.write_config(log={"level": "debug"})
        daemon = self.start()
        self.assert_stops(daemon)
        at = 0
        for text in (f"loading module path={self.workshop.plugins}/steps.so", f"{TYPE}.steps: calling prepare",
                     f"{TYPE}.steps: calling init", f"{TYPE}.steps: calling close"):
            at = daemon.log.index(text, at)

    def test_one_root_cause_is_told_once(self):
        why = "the disk is made of cheese"
        self.workshop.add("root", Plugin(TYPE, "root", init=f'return berth_error_set(err, BERTH_DATA_LOSS, "{why}");'))
        for i in range(10):
            self.workshop.add(f"n{i}", Plugin(f"io.example.n{i}.v1", f"n{i}", requires=[f"io.example.n{i - 1}.v1" if i else TYPE]))
        self.workshop.add("lost", Plugin("io.example.lost.v1", "lost", requires=["io.example.nobody.v1"]))
        self.workshop.add("last", Plugin("io.example.last.v1", "last", requires=["io.example.lost.v1"]))
        daemon = self.start()
        self.assert_stops(daemon)
        self.assertEqual(1, daemon.log.count(why), daemon.log)
        self.assert_line(daemon.log, f"{TYPE}.root: 10 plugins blocked because of it: ", "io.example.n0.v1.n0", "and 2 more")
        self.assertEqual(1, daemon.log.count("no plugin provides it"), daemon.log)
        self.assert_line(daemon.log, "io.example.lost.v1.lost: 1 plugin blocked because of it: io.example.last.v1.last")


if __name__ == "__main__":
    unittest.main()
