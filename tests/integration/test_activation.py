# SPDX-License-Identifier: Apache-2.0
"""Plugins that start when they are called: who starts them, who waits, what fails, and how they become idle again."""

import concurrent.futures
import importlib
import json
import signal
import subprocess
import threading
import time
import unittest
from pathlib import Path

import grpc

import ask
import protos  # noqa: F401 (makes the modules below)
from daemon import PATIENCE, Case, run
from test_http import PAGE
from test_outgoing import FORWARD
from workshop import BUILD, Plugin

helloworld_pb2 = importlib.import_module("helloworld.helloworld_pb2")
health_pb2 = importlib.import_module("grpc.health.v1.health_pb2")

GREETER = "io.containerd.grpc.v1.greeter"
LAZY = "io.test.lazy.v1.lazy"
BELOW = "io.test.below.v1.below"
SERVICE = "services:\n  test.Lazy: {Do: unary, Watch: server_stream}\ntransports: {test.Lazy: [grpc, ttrpc, http]}"

# Its init says in a file that it was called, and does what another file says. Watch never ends by itself.
LAZY_CODE = """
static const struct berth_host *the_host;
static uv_timer_t timer;
static int result;

static void on_time(uv_timer_t *handle)
{
    berth_complete_init(the_host, &result);
    uv_close((uv_handle_t *)handle, NULL);
}

static enum berth_code start(const struct berth_host *host, struct berth_error *err)
{
    char mode[64] = "";
    FILE *file = fopen("%(top)s/starts", "a");

    fputs("x", file);
    fclose(file);
    the_host = host;
    file = fopen("%(top)s/mode", "r");
    if (file != NULL) {
        if (fgets(mode, sizeof(mode), file) == NULL)
            mode[0] = 0;
        fclose(file);
    }
    if (strcmp(mode, "fail") == 0)
        return berth_error_set(err, BERTH_NOT_FOUND, "no such disk: /dev/nowhere");
    if (strcmp(mode, "hang") == 0)
        return (enum berth_code)BERTH_PENDING;
    if (strncmp(mode, "slow ", 5) == 0) {
        uv_timer_init(host->loop, &timer);
        uv_timer_start(&timer, on_time, (uint64_t)atoi(mode + 5), 0);
        return (enum berth_code)BERTH_PENDING;
    }
    return BERTH_OK;
}

static void on_do(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static void on_watch(struct berth_call *call, const void *message, size_t length)
{
    berth_call_send(call, message, length);
}

static const struct berth_method methods[] = {
    {"Do", BERTH_METHOD_UNARY, NULL, on_do, NULL, NULL, NULL},
    {"Watch", BERTH_METHOD_SERVER_STREAM, NULL, on_watch, NULL, NULL, NULL}};
static const struct berth_service service = {sizeof(service), sizeof(methods[0]), "test.Lazy", methods, 2, NULL, 0, NULL};
static const struct berth_service *const services[] = {&service, NULL};
"""

# Inits that end once a file is there.
SLOW_CODE = """
static void on_look(uv_timer_t *timer)
{
    static int result;

    if (access("%(top)s/go", F_OK) != 0)
        return;
    berth_complete_init(timer->data, &result);
    uv_close((uv_handle_t *)timer, NULL);
}

static enum berth_code wait_for_file(const struct berth_host *host, uv_timer_t *timer)
{
    uv_timer_init(host->loop, timer);
    timer->data = (void *)host;
    uv_timer_start(timer, on_look, 10, 10);
    return (enum berth_code)BERTH_PENDING;
}

static uv_timer_t timers[2];

static void on_do(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static const struct berth_method methods[] = {{"Do", BERTH_METHOD_UNARY, NULL, on_do, NULL, NULL, NULL}};
static const struct berth_service first = {sizeof(first), sizeof(methods[0]), "test.First", methods, 1, NULL, 0, NULL};
static const struct berth_service second = {sizeof(second), sizeof(methods[0]), "test.Second", methods, 1, NULL, 0, NULL};
static const struct berth_service *const firsts[] = {&first, NULL};
static const struct berth_service *const seconds[] = {&second, NULL};
"""
FIRST, SECOND = "io.test.slow.v1.first", "io.test.slow.v1.second"


class Activated(Case):
    """A greeter and a plugin under the test's control, both of which start when they are called."""

    yaml = ""

    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection", "greeter", "health")
        self.add_lazy()

    def add_lazy(self, version="1.0.0", yaml="", **options):
        self.workshop.add("lazy", Plugin("io.test.lazy.v1", "lazy", init="enum berth_code code = start(host, err); if (code != BERTH_OK) return code;",
                                         members=".services = services", yaml=f"{SERVICE}\nupgrade: beside{yaml}{self.yaml}", **options),
                          code=LAZY_CODE % {"top": self.workshop.top}, version=version)

    def begin(self, activation=None, **settings):
        self.configure(activation, **settings)
        return self.start()

    def configure(self, activation=None, **settings):
        self.workshop.write_config(activation={"plugins": {GREETER: "call", LAZY: "call"}, **(activation or {})}, **settings)

    def set_mode(self, mode):
        (self.workshop.top / "mode").write_text(mode, encoding="ascii")

    @property
    def starts(self):
        """How often its init was called."""
        path = self.workshop.top / "starts"
        return len(path.read_text(encoding="ascii")) if path.exists() else 0

    def is_mapped(self, daemon, stem):
        return f"/{stem}.so" in Path(f"/proc/{daemon.pid}/maps").read_text(encoding="utf-8")

    def greet(self, daemon, timeout=PATIENCE):
        reply = ask.unary(daemon.address, "/helloworld.Greeter/SayHello", helloworld_pb2.HelloRequest(name="me"),
                          helloworld_pb2.HelloReply, timeout)
        self.assertEqual("Hello me", reply.message)

    def do(self, daemon, word=b"word", timeout=PATIENCE):
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            self.assertEqual(word, channel.unary_unary("/test.Lazy/Do")(word, timeout=timeout))

    def error_of(self, daemon, timeout=PATIENCE):
        with self.assertRaises(grpc.RpcError) as raised:
            self.do(daemon, timeout=timeout)
        return raised.exception.code(), raised.exception.details()

    def state_of(self, daemon, uri):
        return self.plugins(daemon)[uri].state

    def wait_for_state(self, daemon, uri, state):
        end = time.monotonic() + PATIENCE
        while self.state_of(daemon, uri) != state:
            self.assertLess(time.monotonic(), end, f"{uri} is {self.state_of(daemon, uri)}, not {state}:\n{daemon.log}")
            time.sleep(0.02)


class Started(Activated):
    def test_what_is_idle_is_listed_and_not_loaded_until_it_is_called(self):
        daemon = self.begin()
        daemon.wait_for_log("2 idle until called")
        for uri in (GREETER, LAZY):
            listed = self.plugins(daemon)[uri]
            self.assertEqual(("idle", 0, ""), (listed.state, listed.code, listed.reason))
            self.assertTrue(listed.message.starts_on_call)
            self.assertRegex(listed.message.activation, r"^starts on its first call \(.*berthd\.yaml:\d+:\d+\)$")
        self.assertFalse(self.is_mapped(daemon, "greeter"))
        self.assertFalse(self.is_mapped(daemon, "lazy"))
        self.greet(daemon)
        self.assertEqual("ready", self.state_of(daemon, GREETER))
        self.assertEqual("idle", self.state_of(daemon, LAZY))
        self.assertTrue(self.is_mapped(daemon, "greeter"))
        self.assertFalse(self.is_mapped(daemon, "lazy"))
        self.do(daemon)
        self.assertEqual("ready", self.state_of(daemon, LAZY))
        self.assert_stops(daemon)

    def test_what_an_operator_sees(self):
        daemon = self.begin()
        self.assertRegex(daemon.ctl("plugins", "ls").stdout, r"greeter +- +ok +idle, starts on its first call \(")
        listed = {plugin["uri"]: plugin for plugin in json.loads(daemon.ctl("plugins", "ls", "--json").stdout)}
        self.assertEqual(("idle", True, "ok"), tuple(listed[GREETER][key] for key in ("state", "starts_on_call", "status")))
        self.assertIn("Activation:", daemon.ctl("plugins", "inspect", GREETER).stdout)
        told = daemon.ctl("explain", GREETER)
        self.assertEqual(0, told.returncode, told.stdout)
        self.assertIn(f"`berthctl plugins start {GREETER}` starts it now", told.stdout)
        self.assertIn(", 2 idle", daemon.ctl("status").stdout)
        self.assertEqual(0, daemon.ctl("status").returncode)
        plan = self.berthd("plan", "--config", self.workshop.config)
        self.assertEqual(0, plan.returncode, plan.stderr)
        self.assertRegex(plan.stdout, rf"on call +{GREETER} .*starts on its first call \(")
        self.assertIn(" to run (2 on first call)", plan.stdout)
        done = daemon.ctl("plugins", "start", GREETER)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual("ready", self.state_of(daemon, GREETER))
        self.assert_stops(daemon)

    def test_who_asks_the_daemon_never_waits_for_the_plugin_that_answers(self):
        daemon = self.begin({"default": "call"})
        self.assertTrue(self.is_mapped(daemon, "introspection"))
        listed = self.plugins(daemon)
        for uri in ("io.containerd.grpc.v1.introspection", "io.containerd.service.v1.introspection-service"):
            self.assertEqual("ready", listed[uri].state)
        # A default is what nobody has decided otherwise.
        self.configure({"default": "call", "plugins": {"io.containerd.grpc.v1.introspection": "call"}})
        plan = self.berthd("plan", "--config", self.workshop.config)
        self.assertRegex(plan.stdout, r"on call +io\.containerd\.grpc\.v1\.introspection ")

    def test_calls_that_wait_are_bounded_for_each_plugin(self):
        self.set_mode("slow 500")
        daemon = self.begin({"max_waiting": 4})
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(self.do, daemon, b"%d" % i) for i in range(8)]
        errors = [each.exception() for each in asked if each.exception() is not None]
        self.assertEqual(4, len(errors), errors)
        for error in errors:
            self.assertEqual(grpc.StatusCode.RESOURCE_EXHAUSTED, error.code())
            self.assertIn(f"plugin {LAZY} is starting and 4 calls are already waiting for it; retry later", error.details())

    def test_its_services_are_healthy(self):
        daemon = self.begin()
        request = health_pb2.HealthCheckRequest(service="test.Lazy")
        answer = ask.unary(daemon.address, "/grpc.health.v1.Health/Check", request, health_pb2.HealthCheckResponse)
        self.assertEqual(health_pb2.HealthCheckResponse.SERVING, answer.status)
        self.assertEqual("idle", self.state_of(daemon, LAZY))

    def test_many_first_calls_start_it_once(self):
        self.set_mode("slow 300")
        daemon = self.begin()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda i: self.do(daemon, b"%d" % i), range(64)))
        self.assertEqual(1, self.starts)
        self.assertEqual(1, self.plugins(daemon)[LAZY].message.generation)

    def test_a_stream_starts_it(self):
        daemon = self.begin()
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            call = channel.unary_stream("/test.Lazy/Watch")(b"first", timeout=PATIENCE)
            self.assertEqual(b"first", next(call))
            call.cancel()
        self.assertEqual("ready", self.state_of(daemon, LAZY))

    def test_ttrpc_starts_it(self):
        daemon = self.begin()
        load = run(BUILD / "tests" / "bench" / "load" / "load_client", "ttrpc", f"unix:{daemon.address}.ttrpc", "/test.Lazy/Do", "1", "1", "1",
                   b"word".hex(), "", "1", "1")
        self.assertEqual(0, load.returncode, load.stderr)
        self.assertEqual("ready", self.state_of(daemon, LAZY))

    def test_another_plugin_starts_it_by_a_call(self):
        self.workshop.add("errand", Plugin("io.test.grpc.v1", "errand", init="the_host = host;", members=".services = services",
                                           yaml="services:\n  test.Errand: {Do: bidi_stream}"), code=FORWARD)
        daemon = self.begin({"default": "call"})
        self.assertEqual("idle", self.state_of(daemon, "io.test.grpc.v1.errand"))
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            call = channel.stream_stream("/test.Errand/Do")(iter([b"word"]), timeout=PATIENCE, metadata=[("to", "/test.Lazy/Do")])
            self.assertEqual([b"word"], list(call))
        self.assertEqual("ready", self.state_of(daemon, LAZY))

    def test_all_that_it_needs_starts_with_it(self):
        self.workshop.add("below", Plugin("io.test.below.v1", "below"))
        self.add_lazy(requires=["io.test.below.v1"])
        daemon = self.begin({"default": "call"})
        self.assertEqual("idle", self.state_of(daemon, BELOW))
        self.do(daemon)
        self.assertEqual("ready", self.state_of(daemon, BELOW))
        self.assertEqual("idle", self.state_of(daemon, GREETER))

    def test_a_manifest_may_ask_for_it(self):
        self.add_lazy(yaml="\nactivate: call")
        self.workshop.write_config()
        daemon = self.start()
        self.assertEqual("idle", self.state_of(daemon, LAZY))
        self.do(daemon)

    def test_what_cannot_be_idle_says_so_where_it_was_asked_for(self):
        server = "io.containerd.server.v1.grpc"
        self.configure({"plugins": {server: "call", LAZY: "call"}})
        plan = self.berthd("plan", "--config", self.workshop.config)
        self.assertRegex(plan.stderr, rf"berthd\.yaml:\d+:\d+: activation\.plugins: {server} starts with the daemon, not when it is called: "
                         "it is a server")
        check = self.berthd("config", "check", "--config", self.workshop.config)
        self.assertEqual(0, check.returncode, check.stderr)
        self.configure({"plugins": {"io.test.nobody.v1.nobody": "call", LAZY: "sometimes"}})
        check = self.berthd("config", "check", "--config", self.workshop.config)
        self.assertIn("activation.plugins: ", check.stderr)
        self.assertIn("io.test.nobody.v1.nobody", check.stderr)
        self.assertIn("sometimes", check.stderr)


class Failing(Activated):
    def test_a_failed_start_is_told_and_tried_again_with_back_off(self):
        self.set_mode("fail")
        daemon = self.begin()
        code, details = self.error_of(daemon)
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, code)
        self.assertIn("no such disk: /dev/nowhere", details)
        self.assertEqual("failed", self.state_of(daemon, LAZY))
        begin, told = time.monotonic(), []
        for _ in range(20):
            code, details = self.error_of(daemon)
            self.assertEqual(grpc.StatusCode.UNAVAILABLE, code)
            told.append(details)
        self.assertIn("no such disk: /dev/nowhere; calls try to start it again after 1s", told[0])
        # After a second, and then after two, four and so on.
        self.assertLess(self.starts, 3 + (time.monotonic() - begin) / 2)
        before = self.starts
        self.greet(daemon)
        self.set_mode("")
        end = time.monotonic() + PATIENCE
        while self.state_of(daemon, LAZY) != "ready":
            self.assertLess(time.monotonic(), end, daemon.log)
            try:
                self.do(daemon)
            except grpc.RpcError:
                time.sleep(0.1)
        self.assertGreater(self.starts, before)
        self.assert_stops(daemon)

    def do_once_it_may(self, daemon):
        """Calls until it is not refused any more for an earlier failure."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.do(daemon)
                return
            except grpc.RpcError as error:
                self.assertLess(time.monotonic(), end, f"{error}\n{daemon.log}")
                time.sleep(0.1)

    def test_one_that_fails_beside_another_that_is_still_starting(self):
        self.workshop.add("slow", Plugin("io.test.slow.v1", "first", init="return wait_for_file(host, &timers[0]);", members=".services = firsts",
                                         yaml="services:\n  test.First: {Do: unary}\nupgrade: beside"),
                          Plugin("io.test.slow.v1", "second", init="return wait_for_file(host, &timers[1]);", members=".services = seconds",
                                 yaml="services:\n  test.Second: {Do: unary}\nupgrade: beside"),
                          code=SLOW_CODE % {"top": self.workshop.top})
        self.set_mode("fail")
        daemon = self.begin({"plugins": {LAZY: "call", FIRST: "call", SECOND: "call"}})
        go = self.workshop.top / "go"
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            first = channel.unary_unary("/test.First/Do").future(b"first", timeout=PATIENCE)
            self.wait_for_state(daemon, FIRST, "starting")
            # Both wait for the next change, which then starts both.
            failing = channel.unary_unary("/test.Lazy/Do").future(b"word", timeout=PATIENCE)
            second = channel.unary_unary("/test.Second/Do").future(b"second", timeout=PATIENCE)
            time.sleep(0.5)
            go.touch()
            self.assertEqual(b"first", first.result())
            go.unlink()
            self.assertIn("no such disk", failing.exception().details())
            self.wait_for_state(daemon, SECOND, "starting")
            self.set_mode("")
            # Its back-off passes while the change is still under way, whose end refuses the calls of what has failed in it.
            time.sleep(1.5)
            self.assertIn("no such disk", self.error_of(daemon)[1])
            go.touch()
            self.assertEqual(b"second", second.result())
        self.do_once_it_may(daemon)
        self.assert_stops(daemon)

    def test_one_that_an_operator_starts_in_vain_is_tried_again_by_calls(self):
        self.set_mode("fail")
        daemon = self.begin()
        self.error_of(daemon)
        # From here on calls may try it, and none does.
        time.sleep(1.5)
        self.assertNotEqual(0, daemon.ctl("plugins", "start", LAZY).returncode)
        self.assertEqual(2, self.starts)
        self.set_mode("")
        self.do_once_it_may(daemon)
        self.assert_stops(daemon)

    def test_it_fails_with_what_it_requires(self):
        self.workshop.add("below", Plugin("io.test.below.v1", "below", init='return berth_error_set(err, BERTH_NOT_FOUND, "no such disk");'))
        self.add_lazy(requires=["io.test.below.v1"])
        daemon = self.begin({"default": "call"})
        code, details = self.error_of(daemon)
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, code)
        self.assertIn(f"requires io.test.below.v1, but {BELOW} has failed: no such disk", details)
        self.assertEqual("blocked", self.state_of(daemon, LAZY))
        self.assertEqual(0, self.starts)

    def test_a_caller_waits_no_longer_than_its_deadline(self):
        self.set_mode("hang")
        daemon = self.begin(timeouts={"plugins": {LAZY: {"init": "3s"}}})
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, self.error_of(daemon, timeout=0.3)[0])
        self.assertEqual("starting", self.state_of(daemon, LAZY))
        code, details = self.error_of(daemon)
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, code)
        self.assertIn("init did not complete within 3s (timeouts.init)", details)
        self.assertEqual("timed out", self.state_of(daemon, LAZY))
        self.greet(daemon)
        self.assertEqual(1, self.starts)

    def test_a_module_that_cannot_be_loaded(self):
        daemon = self.begin()
        path = self.workshop.plugins / "lazy.so"
        path.write_bytes(path.read_bytes() + b"changed")
        code, details = self.error_of(daemon)
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, code)
        self.assertRegex(details, r"was changed since it was checked .*; run `berthctl reload`")
        self.assertEqual(0, daemon.ctl("reload").returncode)
        self.do(daemon)

    def test_a_module_that_is_mended_by_another_version(self):
        daemon = self.begin()
        path = self.workshop.plugins / "lazy.so"
        path.write_bytes(path.read_bytes() + b"changed")
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, self.error_of(daemon)[0])
        self.add_lazy(version="1.1.0")
        done = daemon.ctl("reload")
        self.assertEqual(0, done.returncode, done.stderr)
        self.do(daemon)
        self.assertEqual("1.1.0", self.plugins(daemon)[LAZY].message.version)


class Changed(Activated):
    def test_a_reload_leaves_what_is_idle(self):
        daemon = self.begin()
        self.configure(log={"level": "debug"})
        done = daemon.ctl("reload")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual("idle", self.state_of(daemon, LAZY))
        self.add_lazy(version="1.1.0")
        done = daemon.ctl("reload")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual("idle", self.state_of(daemon, LAZY))
        self.do(daemon)
        self.assertEqual("1.1.0", self.plugins(daemon)[LAZY].message.version)

    def test_a_reload_may_make_it_start_and_another_may_add_one(self):
        (self.workshop.plugins / "greeter.so").rename(self.workshop.top / "greeter.so")
        self.workshop.write_config(activation={"plugins": {LAZY: "call"}})
        daemon = self.start()
        (self.workshop.top / "greeter.so").rename(self.workshop.plugins / "greeter.so")
        self.workshop.write_config(activation={"plugins": {GREETER: "call"}})
        done = daemon.ctl("reload", "--dry-run")
        self.assertRegex(done.stdout, rf"apply +{GREETER} starts on its first call \(.*berthd.yaml:")
        self.assertRegex(done.stdout, rf"start +{LAZY}: lazy 1.0.0")
        done = daemon.ctl("reload")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(("ready", "idle"), (self.state_of(daemon, LAZY), self.state_of(daemon, GREETER)))
        self.greet(daemon)

    def test_a_reload_waits_for_an_activation_and_keeps_its_callers(self):
        self.set_mode("slow 500")
        daemon = self.begin()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            waiting = pool.submit(self.do, daemon)
            self.wait_for_state(daemon, LAZY, "starting")
            self.add_lazy(version="1.1.0")
            done = daemon.ctl("reload")
            self.assertEqual(0, done.returncode, done.stderr)
            waiting.result()
        self.assertEqual("1.1.0", self.plugins(daemon)[LAZY].message.version)
        self.do(daemon)

    def test_what_an_operator_stops_is_not_started_by_calls(self):
        daemon = self.begin()
        said = f"apply       {LAZY} was idle; its calls are refused until `berthctl plugins start {LAZY}`\n"
        self.assertIn(said, daemon.ctl("plugins", "stop", "--dry-run", LAZY).stdout)
        done = daemon.ctl("plugins", "stop", LAZY)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(said, done.stdout)
        again = daemon.ctl("plugins", "stop", LAZY)
        self.assertRegex(again.stdout, r"^0 of \d+ plugins changed\n$")
        self.assertIn(f"warning: {LAZY}: it is not running\n", again.stderr)
        code, details = self.error_of(daemon)
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, code)
        self.assertIn("stopped on request", details)
        done = daemon.ctl("plugins", "start", LAZY)
        self.assertEqual(0, done.returncode, done.stderr)
        self.do(daemon)

    def test_a_module_that_is_gone_refuses_the_calls(self):
        daemon = self.begin()
        (self.workshop.plugins / "lazy.so").unlink()
        self.configure({"plugins": {GREETER: "call"}})
        self.assertEqual(0, daemon.ctl("reload").returncode)
        self.assertEqual(grpc.StatusCode.UNIMPLEMENTED, self.error_of(daemon)[0])

    def test_the_daemon_stops_while_it_starts_a_plugin(self):
        self.set_mode("hang")
        daemon = self.begin(timeouts={"close": "500ms"})
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.error_of, daemon)
            self.wait_for_state(daemon, LAZY, "starting")
            daemon.send(signal.SIGTERM)
            code, details = waiting.result()
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, code)
        self.assertEqual("the daemon is shutting down", details)
        daemon.wait()

    def test_the_daemon_stops_with_idle_plugins(self):
        daemon = self.begin({"default": "call"})
        self.assert_stops(daemon)


class Idle(Activated):
    def test_it_becomes_idle_again_and_starts_again(self):
        daemon = self.begin({"idle_after": "300ms"})
        for generation in (1, 2, 3):
            self.do(daemon)
            self.assertEqual(generation, self.plugins(daemon)[LAZY].message.generation)
            self.wait_for_state(daemon, LAZY, "idle")
        self.assertEqual(3, self.starts)
        self.assert_stops(daemon)

    def test_no_call_fails_although_it_becomes_idle_again_and_again(self):
        daemon = self.begin({"plugins": {LAZY: {"activate": "call", "idle_after": "40ms"}}})
        end, failures = time.monotonic() + 5, []

        def work(pause):
            while time.monotonic() < end:
                try:
                    self.do(daemon)
                except grpc.RpcError as error:
                    failures.append(f"{error.code()}: {error.details()}")
                    return
                time.sleep(pause)

        threads = [threading.Thread(target=work, args=(pause,)) for pause in (0.06, 0.11, 0.17)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures)
        self.assertGreater(self.starts, 2, daemon.log)

    def test_it_does_not_while_a_stream_is_open_or_it_is_called(self):
        daemon = self.begin({"idle_after": "200ms"})
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            call = channel.unary_stream("/test.Lazy/Watch")(b"first", timeout=PATIENCE)
            next(call)
            time.sleep(1)
            self.assertEqual("ready", self.state_of(daemon, LAZY))
            call.cancel()
        self.wait_for_state(daemon, LAZY, "idle")
        self.assertEqual(1, self.starts)

    def test_what_it_needs_becomes_idle_with_it_and_not_before(self):
        self.workshop.add("below", Plugin("io.test.below.v1", "below"))
        self.add_lazy(requires=["io.test.below.v1"])
        daemon = self.begin({"default": "call", "plugins": {BELOW: {"idle_after": "100ms"}, LAZY: {"idle_after": "2s"}}})
        self.do(daemon)
        time.sleep(1)
        self.assertEqual("ready", self.state_of(daemon, BELOW))
        self.wait_for_state(daemon, LAZY, "idle")
        self.wait_for_state(daemon, BELOW, "idle")


class Asked(Activated):
    """Whoever asks for a plugin in another way than by a call of its services over a socket of its own."""

    HTTP = "io.berth.server.v1.http"
    PAGE = "io.berth.http.v1.hi"

    def add_page(self, init=""):
        self.workshop.add("hi", Plugin("io.berth.http.v1", "hi", init=init, members=".interface = &page,", code=PAGE,
                                       yaml="interface: berth_http\nhttp_prefix: /page\nupgrade: beside"))

    def serve(self, init=""):
        self.workshop.add_default_modules("http", "reflection")
        self.add_page(init)
        self.socket_path = self.workshop.short / "http.sock"
        return self.begin({"plugins": {self.PAGE: "call", LAZY: "call", GREETER: "call"}},
                          plugins={self.HTTP: {"address": str(self.socket_path)}})

    def curl(self, path, *words):
        done = subprocess.run(["curl", "-s", "-w", "\n%{http_code}", "--max-time", "30", "--unix-socket", str(self.socket_path),
                               *words, f"http://localhost{path}"], capture_output=True, text=True, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def test_a_request_starts_the_handler_below_its_prefix(self):
        daemon = self.serve()
        self.assertEqual("idle", self.state_of(daemon, self.PAGE))
        server = self.plugins(daemon)[self.HTTP].message.generation
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda i: self.curl(f"/page/{i}", "-d", "word"), range(16)))
        self.assertEqual([(200, f"POST /page/{i}  4 word\n") for i in range(16)], answers)
        self.assertEqual(("ready", 1), (self.state_of(daemon, self.PAGE), self.plugins(daemon)[self.PAGE].message.generation))
        self.assertEqual(server, self.plugins(daemon)[self.HTTP].message.generation)
        status, body = self.curl("/page/large")
        self.assertEqual((200, 1 << 20), (status, len(body)))
        self.assertEqual(405, self.curl("/page", "-X", "DELETE")[0])
        self.assertEqual(404, self.curl("/other")[0])
        self.assert_stops(daemon)

    def test_a_handler_that_fails_to_start_answers_503_with_the_reason(self):
        daemon = self.serve('return berth_error_set(err, BERTH_NOT_FOUND, "no such page");')
        self.assertEqual((503, f"{self.PAGE} is failed: no such page\n"), self.curl("/page"))
        self.assertEqual("failed", self.state_of(daemon, self.PAGE))
        self.assert_stops(daemon)

    def test_a_handler_that_comes_with_a_reload(self):
        daemon = self.serve()
        (self.workshop.plugins / "hi.so").rename(self.workshop.top / "hi.so")
        self.configure({"plugins": {}}, plugins={self.HTTP: {"address": str(self.socket_path)}})
        self.assertEqual(0, daemon.ctl("reload").returncode)
        (self.workshop.top / "hi.so").rename(self.workshop.plugins / "hi.so")
        self.configure({"plugins": {self.PAGE: "call"}}, plugins={self.HTTP: {"address": str(self.socket_path)}})
        self.assertEqual(0, daemon.ctl("reload").returncode)
        self.assertEqual("idle", self.state_of(daemon, self.PAGE))
        self.assertEqual((200, "GET /page  0 \n"), self.curl("/page"))

    def test_the_daemon_stops_while_a_request_waits(self):
        daemon = self.serve("return (enum berth_code)BERTH_PENDING;")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.curl, "/page")
            self.wait_for_state(daemon, self.PAGE, "starting")
            daemon.send(signal.SIGTERM)
            self.assertIn(waiting.result()[0], (0, 503))
        daemon.wait()

    def test_a_binary_call_over_http_waits_and_one_of_json_may_be_told_to_come_again(self):
        daemon = self.serve()
        self.assertEqual((200, "word"), self.curl("/test.Lazy/Do", "-H", "Content-Type: application/proto", "-d", "word"))
        words = ("/helloworld.Greeter/SayHello", "-H", "Content-Type: application/json", "-d", '{"name": "me"}')
        status, body = self.curl(*words)
        self.assertIn((status, "is starting" in body), ((503, True), (200, False)), body)
        self.wait_for_state(daemon, GREETER, "ready")
        self.assertEqual((200, '{"message":"Hello me"}'), self.curl(*words))

    def test_reflection_starts_the_plugin_whose_service_is_asked_about(self):
        daemon = self.serve()
        called = daemon.ctl("call", "helloworld.Greeter/SayHello", '{"name": "me"}')
        self.assertEqual(0, called.returncode, called.stderr)
        self.assertIn("Hello me", called.stdout)
        self.assertEqual("ready", self.state_of(daemon, GREETER))
        self.assertIn("test.Lazy", daemon.ctl("services").stdout)
        self.assertEqual("idle", self.state_of(daemon, LAZY))


class Isolated(Activated):
    def test_a_worker_is_started_by_a_call_and_ends_when_nobody_calls(self):
        daemon = self.begin({"idle_after": "500ms"}, isolation={LAZY: {"files": {"write": [str(self.workshop.top)]}}})

        def workers():
            children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text(encoding="ascii").split()
            return [child for child in children if "berth-worker" in Path(f"/proc/{child}/comm").read_text(encoding="ascii")]

        self.assertEqual([], workers())
        self.do(daemon)
        self.assertEqual(1, len(workers()))
        self.wait_for_state(daemon, LAZY, "idle")
        end = time.monotonic() + PATIENCE
        while workers():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        self.do(daemon)
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
