# SPDX-License-Identifier: Apache-2.0
"""A plugin in a process of its own: it answers as it would in the daemon, and what it does wrong stays with it."""

import concurrent.futures
import contextlib
import json
import os
import re
import signal
import threading
import time
import unittest
import urllib.request
from pathlib import Path

import grpc

import ask
from daemon import PATIENCE, run
from isolated import IS_SANITIZED, REPORTS, URI, Isolated, helloworld_pb2
from test_events import Listener
from workshop import BUILD

GREETER = "io.containerd.grpc.v1.greeter"
VERSION = "io.containerd.grpc.v1.version"
CONTROL_GROUPS = Path("/sys/fs/cgroup/memory")
LOAD_CLIENT = BUILD / "tests" / "bench" / "load" / "load_client"


class Listed(Isolated):
    """What listings remark of a process of its own."""

    def test_a_plugin_in_a_process_of_its_own_is_marked(self):
        daemon = self.begin()
        process, = self.workers(daemon)
        header, *rows = daemon.ctl("plugins", "ls").stdout.splitlines()
        self.assertEqual(["TYPE", "ID", "PLATFORMS", "STATUS", "NOTE"], header.split())
        self.assertEqual([["io.berth.test.v1", "hostile", "-", "ok", "isolated", "in", "process", str(process)]],
                         [row.split() for row in rows if len(row.split()) > 4])
        self.kill(daemon)
        self.wait_until_it_works(daemon)
        process, = self.workers(daemon)
        self.assertIn(f"isolated in process {process}, 1 restart\n", daemon.ctl("plugins", "ls").stdout)
        self.assertRegex(daemon.ctl("plugins", "inspect", URI).stdout, rf"\nProcess: +isolated in process {process}, 1 restart\n")
        told, = [plugin for plugin in json.loads(daemon.ctl("plugins", "ls", "--json").stdout) if plugin["isolated"]]
        self.assertEqual((URI, process, 1), (told["uri"], told["process"], told["restarts"]))


class Told(Isolated):
    """What becomes of a process, wherever one looks."""

    def metric(self, daemon, name, **labels):
        wanted = ",".join(f'{key}="{value}"' for key, value in labels.items())
        server = self.plugins(daemon)["io.containerd.server.v1.metrics"].message
        address = next(export.value for export in server.exports if export.key == "address")
        with urllib.request.urlopen(f"http://{address}/v1/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = re.search(rf"^{name}{{{re.escape(wanted)}}} (\S+)$", text, re.MULTILINE)
        self.assertIsNotNone(found, text)
        return float(found[1])

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_metrics_events_and_listings_count_ends_and_restarts(self):
        self.workshop.add_default_modules("metrics", "http", "events")
        self.workshop.write_config(isolation={URI: {"restart_delay": "5ms"}}, plugins={
            "io.containerd.server.v1.metrics": {"address": "127.0.0.1:0"}})
        daemon = self.start()
        self.assertEqual(0, self.metric(daemon, "berth_plugin_restarts_total", plugin=URI))
        self.assertEqual("EPERM", self.do(daemon, "ptrace"))
        self.assertEqual(1, self.metric(daemon, "berth_plugin_refused_calls_total", plugin=URI, call="ptrace"))
        with contextlib.closing(Listener(daemon.address, 'topic~="^/plugins/"')) as events:
            self.kill(daemon)
            self.wait_until_it_works(daemon)
            ended, started = events.next(), events.next()
        self.assertEqual(("berth", "/plugins/exited", "berth.events.v1.PluginExited"),
                         (ended.namespace, ended.topic, ended.event.type_url))
        self.assertIn(b"was killed by SIGKILL", ended.event.value)
        self.assertIn(URI.encode(), ended.event.value)
        self.assertEqual(("/plugins/restarted", "berth.events.v1.PluginRestarted"), (started.topic, started.event.type_url))
        self.error_of(daemon, "exit")
        self.wait_until_it_works(daemon)
        self.assertEqual(2, self.metric(daemon, "berth_plugin_restarts_total", plugin=URI))
        self.assertEqual([1, 1, 0, 0], [self.metric(daemon, "berth_plugin_process_ends_total", plugin=URI, reason=reason)
                                        for reason in ("exit", "signal", "oom", "killed")])
        told = self.inspect(daemon)
        self.assertEqual({"exit": 1, "signal": 1, "oom": 0, "killed": 0}, told["ends"])
        self.assertEqual("exit", told["last_end_kind"])
        self.assertIn("exited with code", told["last_end"])
        self.assertEqual(told["exposure"], self.metric(daemon, "berth_plugin_exposure", plugin=URI))
        self.assertEqual(told["exposure"], sum(each["weight"] for each in told["promises"] if each["verdict"] != "enforced"))
        text = daemon.ctl("plugins", "inspect", URI).stdout
        self.assertRegex(text, r"\nLast exit: +its process exited with code")
        self.assertRegex(text, rf"\nExposure: +{told['exposure']} of 100: {told['exposure_name']}\nRefused: +ptrace, 1 time\nSandbox: +user: ")
        self.assert_stops(daemon)

    @unittest.skipUnless(os.access(CONTROL_GROUPS, os.W_OK) and os.geteuid() == 0, "no control groups of memory that can be made")
    def test_a_process_that_the_kernel_killed_for_memory_says_so(self):
        daemon = self.begin()
        group = CONTROL_GROUPS / f"berth-test-{os.getpid()}"
        group.mkdir()
        try:
            process, = self.workers(daemon)
            (group / "memory.limit_in_bytes").write_text(str(64 << 20), encoding="ascii")
            (group / "cgroup.procs").write_text(str(process), encoding="ascii")
            error = self.error_of(daemon, "memory")
            self.assertIn("was killed by SIGKILL", error.details())
            self.assertIn("because memory ran out (OOM)", error.details())
            self.wait_until_it_works(daemon)
            self.assertEqual(("oom", 1), (self.inspect(daemon)["last_end_kind"], self.inspect(daemon)["ends"]["oom"]))
            self.assert_stops(daemon)
        finally:
            group.rmdir()

    def test_system_calls_are_allowed_by_name_and_by_sets_of_sets(self):
        sets = {"usual": ["@outer"], "outer": ["setpriority", "@ipc", "@usual"]}
        daemon = self.begin({"system_calls": ["@usual", "setpriority"]}, system_call_sets=sets)
        told = {each["name"]: each for each in self.inspect(daemon)["promises"]}["system-calls"]
        self.assertEqual("not requested", told["verdict"])
        self.assertRegex(told["text"], r"^allows \d+ additional system calls \(system_calls\): setpriority and others$")
        self.assert_stops(daemon)

    def test_a_system_call_that_does_not_exist_is_an_error_with_its_place_and_a_suggestion(self):
        self.workshop.write_config(isolation={URI: {"system_calls": ["getpriority", "set_priority"]}},
                                   system_call_sets={"mine": ["@prioritty", "ptrace"], "all": ["@min"]})
        checked = self.berthd("config", "check", "--config", self.workshop.config)
        self.assertEqual(3, checked.returncode)
        said = checked.stdout + checked.stderr
        unknown = 'is neither a system call of this architecture nor a set of them'
        self.assertRegex(said, rf':\d+:\d+: system_calls: "set_priority" {unknown} \(did you mean "setpriority"\?\)')
        self.assertRegex(said, rf':\d+:\d+: system_call_sets: "@prioritty" {unknown} \(did you mean "@priority"\?\)')
        self.assertRegex(said, rf':\d+:\d+: system_call_sets: "@min" {unknown} \(did you mean "@mine"\?\)')
        self.assertEqual(3, said.count(unknown), said)

    def test_the_plan_as_json_has_the_exposure_that_the_daemon_has(self):
        daemon = self.begin()
        planned = {plugin["uri"]: plugin["isolation"] for plugin in json.loads(self.berthd("plan", "--config", self.workshop.config, "--json").stdout)["plugins"]}
        told = self.inspect(daemon)
        self.assertIsNone(planned[GREETER], planned)
        self.assertEqual((told["exposure"], told["promises"]), (planned[URI]["exposure"], planned[URI]["promises"]))
        self.assert_stops(daemon)


class Alike(Isolated):
    """The same module, in the daemon and out of it."""

    def compare(self, ask_daemon):
        answers = []
        for isolated in (False, True):
            self.workshop.write_config(isolation={URI: {}, GREETER: {}, VERSION: {}} if isolated else {},
                                       plugins={URI: {}})
            daemon = self.start()
            self.assertEqual(3 if isolated else 0, len(self.workers(daemon)))
            answers.append(ask_daemon(daemon))
            self.assert_stops(daemon)
            for word in ("serving", "draining", "closing"):
                self.assert_line(daemon.log, URI, word)
        self.assertEqual(answers[0], answers[1])
        return answers[1]

    def test_unary_calls_metadata_errors_and_trailers(self):
        def ask_daemon(daemon):
            with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
                method = channel.unary_unary("/berth.test.Hostile/Do")
                answer, call = method.with_call(b"metadata", metadata=[("x-test", "seen")], timeout=20)
                headers = [pair for pair in call.initial_metadata() if pair[0].startswith("x-")]
                with self.assertRaises(grpc.RpcError) as caught:
                    method(b"fail", timeout=20)
                error = caught.exception
                trailers = [pair for pair in error.trailing_metadata() if pair[0] == "why"]
                return answer, headers, error.code(), error.details(), trailers

        answer, headers, code, details, trailers = self.compare(ask_daemon)
        self.assertEqual((b"seen grpc -", [("x-answer", "1")]), (answer, [tuple(pair) for pair in headers]))
        self.assertEqual((grpc.StatusCode.DATA_LOSS, "asked to"), (code, details))
        self.assertEqual([("why", "asked")], [tuple(pair) for pair in trailers])

    def test_streams_of_every_kind(self):
        def ask_daemon(daemon):
            with grpc.insecure_channel(f"unix:{daemon.address}", options=[("grpc.max_receive_message_length", -1)]) as channel:
                # Several windows' worth, so that both sides wait for each other.
                counted = sum(len(part) for part in channel.unary_stream("/berth.test.Hostile/Count")(b"2000", timeout=60))
                sent = [bytes([number % 256]) * 100000 for number in range(60)]
                echoed = list(channel.stream_stream("/berth.test.Hostile/Echo")(iter(sent), timeout=60))
                return counted, echoed == sent

        self.assertEqual((2000 * 4096, True), self.compare(ask_daemon))

    @unittest.skipUnless(LOAD_CLIENT.exists(), "the load client was not built")
    def test_a_stream_goes_on_with_nothing_else_to_wake_the_loop(self):
        # Credit that the daemon writes while it sends to the caller must not wait for a timer: there is none.
        daemon = self.begin({"stall_after": "0s"})
        done = run(LOAD_CLIENT, "grpc", f"unix:{daemon.address}", "/berth.test.Hostile/Count",
                   10, 1, 1, b"10000".hex())
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(f"bytes={10 * 10000 * 4096} ", done.stdout.replace("\n", " "))
        self.assert_stops(daemon)

    def test_the_projects_own_plugins(self):
        def ask_daemon(daemon):
            self.greet(daemon)
            request = helloworld_pb2.HelloRequest(name="abc")
            spelt = [each.message for each in ask.stream(daemon.address, "/helloworld.Greeter/SpellHello", request, helloworld_pb2.HelloReply)]
            version = re.sub(r"(Process|UUID): .*", "", daemon.ctl("version").stdout)
            described = daemon.ctl("describe", "helloworld.Greeter").stdout
            exports = [(each.key, each.value) for each in self.plugins(daemon)[URI].message.exports]
            return spelt, version, described, exports

        spelt, version, described, exports = self.compare(ask_daemon)
        self.assertEqual(["a", "b", "c"], spelt)
        self.assertIn("0.1.0", version)
        self.assertEqual([("hostile", "yes")], exports)

    def test_an_init_that_refuses_or_skips_says_so(self):
        for word, text in (("refuse", "asked to refuse"), ("skip", "asked to skip")):
            found = []
            for isolated in (False, True):
                self.workshop.write_config(isolation={URI: {}} if isolated else {}, plugins={URI: {"init": word}})
                daemon = self.start()
                found.append([line for line in self.state_of(daemon).splitlines() if "next" not in line])
                self.assert_stops(daemon)
            self.assertEqual(found[0], found[1])
            self.assertIn(text, "".join(found[1]))


class Contained(Isolated):
    """Each attempt is refused or ends the process that made it; all others go on."""

    def assert_refused(self, word, *expected, isolation=None):
        daemon = self.begin(isolation)
        before = self.workers(daemon)
        self.assertIn(self.do(daemon, word), expected)
        self.assertEqual(before, self.workers(daemon))
        self.greet(daemon)
        self.assert_stops(daemon)

    def assert_costs_its_calls(self, word, *reasons, isolation=None, code=grpc.StatusCode.UNAVAILABLE):
        daemon = self.begin(isolation)
        error = self.error_of(daemon, word)
        self.assertEqual(code, error.code(), error.details())
        for reason in reasons:
            self.assertIn(reason, error.details())
        self.greet(daemon)
        self.wait_until_it_works(daemon)
        daemon.wait_for_log("recovered after")
        self.assert_line(daemon.log, URI, "degraded", *reasons)
        self.assert_stops(daemon)

    def test_reading_etc_shadow(self):
        self.assert_refused("shadow", "ENOENT", "EACCES", "EPERM")

    def test_connecting_out(self):
        self.assert_refused("connect", "EPERM")

    def test_running_a_program(self):
        self.assert_refused("exec", "EPERM", "EACCES")

    def test_tracing_the_daemon(self):
        self.assert_refused("ptrace", "EPERM")

    def test_signalling_the_daemon(self):
        self.assert_refused("kill", "EPERM")

    def test_a_fork_bomb(self):
        self.assert_refused("fork", "EPERM")

    @unittest.skipIf(IS_SANITIZED, "a sanitizer reserves more than any limit")
    def test_ten_gibibytes(self):
        self.assert_refused("memory", "ENOMEM", isolation={"memory": "256MiB"})

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_a_crash_in_a_handler(self):
        self.assert_costs_its_calls("crash", "its process was killed by SIGSEGV", "last output: crashed with SIGSEGV at 0x0 in hostile.so+0x")

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_a_crash_in_a_timer(self):
        self.assert_costs_its_calls("timer", "its process was killed by SIGSEGV")

    def test_an_abort(self):
        reasons = [] if IS_SANITIZED else ["last output: crashed with SIGABRT in libc.so.6"]
        self.assert_costs_its_calls("abort", "its process was killed by SIGABRT", *reasons)

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_an_exit(self):
        self.assert_costs_its_calls("exit", "its process exited with code 3")

    def test_an_endless_loop(self):
        self.assert_costs_its_calls("loop", "its loop was stuck for 1s (stall_after)", isolation={"stall_after": "1s"})

    def test_an_endless_loop_costs_a_call_its_deadline_alone(self):
        daemon = self.begin()
        error = self.error_of(daemon, "loop", timeout=1)
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, error.code())
        self.greet(daemon)
        self.kill(daemon)
        self.wait_until_it_works(daemon)
        self.assert_stops(daemon)

    def test_garbage_on_the_connection(self):
        self.assert_costs_its_calls("garbage", "its process was killed: it sent bytes that are not a packet")

    def test_more_than_may_be_published(self):
        self.assert_costs_its_calls("publish", "its process was killed: it published a value that is too long")

    def test_more_trailers_than_a_call_may_have(self):
        daemon = self.begin()
        before = self.workers(daemon)
        error = self.error_of(daemon, "trailers")
        self.assertEqual(grpc.StatusCode.RESOURCE_EXHAUSTED, error.code())
        self.assertIn("more than 256 KiB of headers and trailers", error.details())
        self.wait_until_it_works(daemon)
        self.assertEqual(before, self.workers(daemon))
        self.assert_stops(daemon)

    def test_a_connection_that_is_closed(self):
        self.assert_costs_its_calls("close", "its process")

    def test_a_slow_answer_costs_the_call_and_never_the_plugin(self):
        daemon = self.begin()
        before = self.workers(daemon)
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, self.error_of(daemon, "never", timeout=0.5).code())
        self.wait_until_it_works(daemon)
        self.assertEqual(before, self.workers(daemon))
        self.assert_stops(daemon)

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_a_crash_in_init_is_a_failure_with_its_reason(self):
        for word, reason in (("crash", "was killed by SIGSEGV"), ("exit", "exited with code 3")):
            daemon = self.begin(plugins={"init": word})
            self.greet(daemon)
            self.assertIn("failed (UNAVAILABLE)", self.state_of(daemon))
            self.assertIn(reason, self.state_of(daemon))
            self.assert_stops(daemon)

    def test_an_init_that_never_ends_is_killed(self):
        daemon = self.begin(plugins={"init": "loop"}, timeouts={"plugins": {URI: {"init": "1s", "prepare": "1ms"}}})
        # By the worker's deadline, or on a busy machine by the daemon's own just after it.
        self.assertIn("init did not complete within", self.state_of(daemon))
        end = time.monotonic() + PATIENCE
        while self.workers(daemon):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        self.assert_stops(daemon)

    def test_secrets_of_the_environment_stay_in_the_daemon(self):
        self.workshop.write_config(isolation={URI: {}})
        daemon = self.start(HOSTILE_SECRET="x")
        self.assertEqual("hidden", self.do(daemon, "secret"))
        self.assert_stops(daemon)

    def test_a_path_in_its_settings_may_be_read(self):
        file = self.workshop.top / "allowed"
        file.write_text("x", encoding="utf-8")
        daemon = self.begin(plugins={"file": str(file)})
        self.assertEqual("ok", self.do(daemon, str(file)))
        self.assertIn(self.do(daemon, str(self.workshop.config)), ("ENOENT", "EACCES", "EPERM"))
        self.assert_stops(daemon)

    def test_a_path_that_is_allowed_but_missing_is_named(self):
        missing = self.workshop.top / "missing"
        daemon = self.begin({"files": {"read": [str(missing)]}})
        expected = f"isolation: files.read: {missing} does not exist; create it, or remove it from files.read"
        self.assertIn(expected, self.state_of(daemon))
        for command in (("plan",), ("config", "check"), ("config", "check", "--json")):
            told = self.berthd(*command, "--config", self.workshop.config)
            self.assertIn(expected, told.stdout + told.stderr)
        missing.write_text("x", encoding="utf-8")
        started = daemon.ctl("plugins", "start", URI)
        self.assertEqual(0, started.returncode, started.stdout + started.stderr)
        self.assertEqual("ok", self.do(daemon, str(missing)))
        self.assert_stops(daemon)

    def test_config_check_names_what_will_not_run_isolated(self):
        self.workshop.write_config(isolation={
            URI: {"required": True, "memory": "1GiB", "system_calls": ["memfd_create"]},
            "io.containerd.server.v1.grpc": {}, "io.containerd.grpc.v1.version": {"user": "no-such-user"}})
        told = self.berthd("config", "check", "--config", self.workshop.config).stderr
        self.assert_line(told, f"warning: {URI}: will not start: sandbox is required, but memory: ")
        self.assert_line(told, "warning: io.containerd.server.v1.grpc: cannot be isolated: it is a server")
        self.assert_line(told, "warning: io.containerd.grpc.v1.version: ", "user \"no-such-user\" does not exist")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_its_own_user_and_its_folders(self):
        if not self.workshop.open_to_others():
            self.skipTest("the scratch folder is private")
        daemon = self.begin({"user": "nobody"})
        self.assertEqual("somebody", self.do(daemon, "who"))
        folder = self.workshop.root / URI
        self.assertEqual(65534, folder.stat().st_uid)
        self.assert_stops(daemon)
        self.workshop.write_config()
        daemon = self.start()
        self.assertEqual(0, folder.stat().st_uid)
        self.assert_stops(daemon)

    def test_a_user_that_does_not_exist(self):
        daemon = self.begin({"user": "no-such-user"})
        self.assertIn("user \"no-such-user\" does not exist", self.state_of(daemon))
        self.assert_stops(daemon)


class Restarted(Isolated):
    def test_a_first_restart_takes_little_time(self):
        daemon = self.begin()
        took = []
        for _ in range(3):
            self.wait_until_it_works(daemon)
            begun = time.monotonic()
            self.kill(daemon)
            self.wait_until_it_works(daemon)
            took.append(time.monotonic() - begun)
        # The bound leaves room for a busy machine; restarts in a row wait longer each.
        self.assertLess(min(took), 5 if IS_SANITIZED else 0.5, took)
        self.assert_stops(daemon)

    def test_a_start_limit_ends_it_and_the_reason_is_told(self):
        daemon = self.begin({"start_limit": 2})
        for _ in range(3):
            end = time.monotonic() + PATIENCE
            while not self.workers(daemon):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            os.kill(self.workers(daemon)[0], signal.SIGKILL)
            time.sleep(0.3 if not IS_SANITIZED else 2)
        daemon.wait_for_log("failed: UNAVAILABLE")
        state = self.state_of(daemon)
        self.assertIn("not restarted again after 2 restarts within 10s (start_limit)", state)
        self.assertIn("was killed by SIGKILL", state)
        error = self.error_of(daemon, "hello")
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, error.code())
        self.greet(daemon)
        self.assert_stops(daemon)

    def test_listings_show_its_process_and_its_restarts(self):
        daemon = self.begin()
        for restarts in range(2):
            self.wait_until_it_works(daemon)
            shown, = [plugin for plugin in json.loads(daemon.ctl("plugins", "ls", "--json").stdout) if plugin["uri"] == URI]
            self.assertEqual(([shown["process"]], shown["restarts"]), (self.workers(daemon), restarts))
            self.kill(daemon)
        self.wait_until_it_works(daemon)
        self.assert_stops(daemon)

    def test_without_restarts_one_is_enough(self):
        daemon = self.begin({"restart": "no"})
        os.kill(self.workers(daemon)[0], signal.SIGKILL)
        daemon.wait_for_log("not restarted, as set under restart")
        self.assert_stops(daemon)

    @unittest.skipIf(IS_SANITIZED, REPORTS)
    def test_an_exit_with_code_0_is_no_failure_unless_always(self):
        daemon = self.begin({"restart": "always"})
        self.error_of(daemon, "exit0")
        self.wait_until_it_works(daemon)
        self.assert_stops(daemon)

    def test_no_worker_outlives_the_daemon(self):
        daemon = self.begin()
        workers = self.workers(daemon)
        daemon.process.kill()
        daemon.process.wait()
        end = time.monotonic() + PATIENCE
        while any(Path(f"/proc/{worker}/comm").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text(encoding="ascii").split()[2]
                  for worker in workers):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)


class Reloaded(Isolated):
    """One line more, a reload, and the plugin runs isolated; one line less, and it is back."""

    def reload(self, daemon, isolation):
        self.workshop.write_config(isolation=isolation, plugins={URI: {}})
        done = daemon.ctl("reload")
        self.assertEqual(0, done.returncode, done.stdout + done.stderr + daemon.log)
        # What it tells the service manager is read, as a service manager does.
        daemon.notify.wait("none of them", 0.05, lambda: True)

    def test_a_plugin_moves_out_and_back_while_calls_go_on(self):
        self.workshop.write_config(plugins={URI: {}})
        daemon = self.start()
        is_over = threading.Event()

        def call_all_the_time():
            count = 0
            while not is_over.is_set():
                self.wait_until_it_works(daemon)
                self.greet(daemon)
                count += 1
            return count

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            calls = pool.submit(call_all_the_time)
            try:
                for _ in range(3):
                    self.reload(daemon, {URI: {}})
                    self.assertEqual(1, len(self.workers(daemon)))
                    self.reload(daemon, {URI: {"memory": "0"}, GREETER: {}})
                    self.assertEqual(2, len(self.workers(daemon)))
                    self.reload(daemon, {})
                    self.assertEqual([], self.workers(daemon))
            finally:
                is_over.set()
            self.assertGreater(calls.result(), 0)
        self.assert_stops(daemon)

    def test_a_change_of_its_confinement_restarts_it(self):
        daemon = self.begin()
        before = self.workers(daemon)
        self.assertIn(self.do(daemon, str(self.workshop.config)), ("ENOENT", "EACCES", "EPERM"))
        self.reload(daemon, {URI: {"files": {"read": [str(self.workshop.top)]}}})
        self.assertEqual("ok", self.do(daemon, str(self.workshop.config)))
        self.assertNotEqual(before, self.workers(daemon))
        self.assert_stops(daemon)


class Planned(Isolated):
    def assert_plan_refuses(self, uri, *texts):
        self.workshop.add_default_modules()
        self.workshop.write_config(isolation={uri: {}})
        printed = self.berthd("plan", "--config", self.workshop.config)
        self.assert_line(printed.stdout + printed.stderr, uri, "cannot be isolated")
        for text in texts:
            self.assertIn(text, " ".join((printed.stdout + printed.stderr).split()))

    def test_a_server_is_refused(self):
        self.assert_plan_refuses("io.containerd.server.v1.grpc", "is a server")

    def test_an_interceptor_is_refused(self):
        self.assert_plan_refuses("io.berth.interceptor.v1.namespace", "intercepts calls")

    def test_a_user_of_an_interface_is_refused_with_the_edge(self):
        self.assert_plan_refuses("io.containerd.grpc.v1.leases", "io.containerd.service.v1.leases-service", "which runs in the daemon")

    def test_a_provider_is_refused_with_its_user(self):
        self.assert_plan_refuses("io.berth.store.v1.lmdb", "has an interface that")

    def test_the_exposure_is_shown(self):
        self.workshop.write_config(isolation={GREETER: {"memory": "256MiB", "network": "all"}})
        printed = self.berthd("plan", "--config", self.workshop.config)
        self.assertEqual(0, printed.returncode, printed.stderr)
        self.assert_line(printed.stdout, "exposure", "of 100")
        self.assert_line(printed.stdout, "+ memory", "at most 256 MiB")
        self.assert_line(printed.stdout, "- sockets", "every kind")

    @unittest.skipUnless(os.geteuid() == 0, "the kernel counts no threads of root")
    def test_what_cannot_be_enforced_is_said_and_refused_where_it_is_required(self):
        daemon = self.begin({"tasks": 5})
        self.assert_line(daemon.log, URI, "isolation: tasks: cannot limit the threads")
        self.assert_stops(daemon)
        daemon = self.begin({"tasks": 5, "required": True})
        self.assertIn("sandbox is required, but tasks", self.state_of(daemon))
        self.assert_stops(daemon)

    def test_an_unknown_plugin_is_an_error_with_its_place(self):
        self.workshop.write_config(isolation={"io.nobody.v1.here": {}})
        checked = self.berthd("config", "check", "--config", self.workshop.config)
        self.assertEqual(3, checked.returncode)
        self.assert_line(checked.stderr + checked.stdout, "berthd.yaml:", "isolation", "io.nobody.v1.here")


if __name__ == "__main__":
    unittest.main()
