# SPDX-License-Identifier: Apache-2.0
"""What each plugin costs, as an operator sees it: status, top, connections, log, log-level and the access log."""

import json
import os
import re
import select
import signal
import subprocess
import termios
import time
import unittest

import grpc

import ask
import protos
from accountable import IS_SANITIZED
from daemon import BERTHCTL, Case, environment, run
from workshop import Plugin

GREETER = "io.containerd.grpc.v1.greeter"
INTROSPECTION = "io.containerd.grpc.v1.introspection"

# Says that it is ill as soon as it runs.
ILL = Plugin("io.example.ill.v1", "ill", init='berth_report(host, BERTH_UNAVAILABLE, "no disk");')
FAILING = Plugin("io.example.failing.v1", "failing", init='return berth_error_set(err, BERTH_ABORTED, "no luck");')
SKIPPED = Plugin("io.example.skipped.v1", "skipped", init='return berth_error_set(err, BERTH_SKIP, "not here");')

# Logs at every level, ten times a second, each time as many lines as its module was built for.
TALKER_CODE = """
static const struct berth_host *talker_host;
static uv_timer_t talker_timer;
static void talk(uv_timer_t *timer)
{
    (void)timer;
    for (int i = 0; i < LINES; i++) {
        berth_log(talker_host, BERTH_LOG_WARN, "a warning number=%d", i);
        berth_log(talker_host, BERTH_LOG_DEBUG, "a detail number=%d", i);
    }
}
static void on_timer_closed(uv_handle_t *handle)
{
    (void)handle;
    berth_complete(talker_host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}
static enum berth_code close_talker(const struct berth_host *host, void *instance, struct berth_error *err)
{
    (void)host, (void)instance, (void)err;
    uv_close((uv_handle_t *)&talker_timer, on_timer_closed);
    return BERTH_PENDING;
}
"""
TALKER = "io.example.talker.v1.talker"


def talker_plugin(lines=1):
    """Logs a warning and a detail ten times a second, so many times each."""
    start = ("talker_host = host; uv_timer_init(host->loop, &talker_timer); uv_timer_start(&talker_timer, talk, 50, 100);"
             "uv_unref((uv_handle_t *)&talker_timer);")
    plugin = Plugin("io.example.talker.v1", "talker", init=start, members=".close = close_talker,")
    plugin.before_it = TALKER_CODE.replace("LINES", str(lines))
    return plugin


def greet(daemon, name="you"):
    request = protos.greeter.HelloRequest(name=name)
    return ask.unary(daemon.address, "/helloworld.Greeter/SayHello", request, protos.greeter.HelloReply)


class Follower:
    """berthctl log, or another command that goes on until it is told to stop."""

    def __init__(self, daemon, *arguments):
        self.process = subprocess.Popen([str(BERTHCTL), "--address", daemon.address, *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.text = ""

    def wait_for(self, pattern, timeout=30):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.text):
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no {pattern!r} (exit code {self.process.poll()}): {self.text[-2000:]}")
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                self.text += os.read(self.process.stdout.fileno(), 65536).decode()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        more, errors = self.process.communicate(timeout=30)
        self.text += more.decode()
        return self.process.returncode, errors.decode()

    def kill(self):
        self.process.kill()
        self.process.communicate()


class Costs(Case):
    def follow(self, daemon, *arguments):
        follower = Follower(daemon, *arguments)
        self.addCleanup(follower.kill)
        return follower

    def ctl(self, daemon, *arguments, code=0):
        done = daemon.ctl(*arguments)
        self.assertEqual(code, done.returncode, f"{arguments}: {done.stdout}{done.stderr}\n{daemon.log}")
        return done.stdout

    def run_with(self, *plugins, **settings):
        self.workshop.add_default_modules()
        for plugin in plugins:
            self.workshop.add(plugin.id, plugin, code=getattr(plugin, "before_it", ""))
        self.workshop.write_config(**settings)
        return self.start()

    def costs(self, daemon, uri):
        answer = json.loads(self.ctl(daemon, "top", "--once", "--json"))
        return next(plugin for plugin in answer["plugins"] if plugin["uri"] == uri)


class Status(Costs):
    def test_a_daemon_without_problems_is_ready(self):
        daemon = self.run_with(SKIPPED)
        self.assertRegex(self.ctl(daemon, "status"), r"^ready: \d+ of \d+ plugins are ready, \d+ skipped or disabled; berthd ")
        answer = json.loads(self.ctl(daemon, "status", "--json"))
        self.assertEqual(("ready", []), (answer["verdict"], answer["problems"]))
        self.assertEqual(daemon.pid, answer["pid"])
        self.assert_stops(daemon)

    def test_a_failed_and_a_blocked_plugin_are_named_and_the_exit_code_says_so(self):
        waiting = Plugin("io.example.waiting.v1", "waiting", requires=["io.example.failing.v1"])
        daemon = self.run_with(FAILING, waiting)
        text = self.ctl(daemon, "status", code=1)
        self.assertIn("degraded: ", text)
        self.assertRegex(text, r"  io\.example\.failing\.v1\.failing: failed: .*no luck\n")
        self.assertRegex(text, r"  io\.example\.waiting\.v1\.waiting: blocked: .*because of io\.example\.failing\.v1\.failing")
        problems = json.loads(self.ctl(daemon, "status", "--json", code=1))["problems"]
        self.assertEqual(["failed", "blocked"], [problem["state"] for problem in problems])
        self.assert_stops(daemon)

    def test_a_degraded_plugin_is_named_and_counted(self):
        daemon = self.run_with(ILL)
        self.assertRegex(self.ctl(daemon, "status", code=1), r"  io\.example\.ill\.v1\.ill: degraded: no disk\n")
        self.assertEqual(1, self.costs(daemon, "io.example.ill.v1.ill")["degradations"])
        self.assert_stops(daemon)

    def test_the_last_death_is_told(self):
        crash = Plugin("io.example.crash.v1", "crash", init='if (access(CRASH, F_OK) == 0) abort();')
        crash.before_it = f'#include <unistd.h>\n#include <stdlib.h>\n#define CRASH "{self.workshop.top}/crash"\n'
        (self.workshop.top / "crash").touch()
        self.workshop.add_default_modules()
        self.workshop.add("crash", crash, code=crash.before_it)
        self.workshop.write_config()
        self.assertEqual(-signal.SIGABRT, self.launch().process.wait(60))
        (self.workshop.top / "crash").unlink()
        daemon = self.start()
        self.assertRegex(self.ctl(daemon, "status"), r"last death: .*io\.example\.crash\.v1\.crash")
        # Where the sanitizer reports the crash, all that ran are suspects: a prepare may be among them.
        if not IS_SANITIZED:
            self.assertEqual("io.example.crash.v1.crash", json.loads(self.ctl(daemon, "status", "--json"))["last_death_plugin"])
        self.assert_stops(daemon)

    def test_every_command_says_where_it_found_no_daemon(self):
        for words in (["status"], ["top"], ["top", "--once", "--json"], ["connections"], ["connections", "--close", "grpc/1"],
                      ["log"], ["log-level"], ["log-level", "debug"]):
            done = run(BERTHCTL, "--address", "/nonexistent/berth.sock", *words)
            self.assertEqual((3, ""), (done.returncode, done.stdout), words)
            self.assertIn("/nonexistent/berth.sock", done.stderr)


class Top(Costs):
    def test_calls_and_bytes_are_charged_to_their_plugin_by_method_and_code(self):
        daemon = self.run_with()
        for _ in range(5):
            greet(daemon, "x" * 1000)
        with self.assertRaises(grpc.RpcError), ask.channel(daemon.address) as channel:
            channel.unary_unary("/helloworld.Greeter/SayHello")(b"\xff", timeout=30)
        costs = self.costs(daemon, GREETER)
        method = costs["methods"][0]
        self.assertEqual("/helloworld.Greeter/SayHello", method["method"])
        self.assertEqual(5, method["ended"].pop("OK"))
        self.assertEqual([1], list(method["ended"].values()))
        self.assertEqual(6, method["calls"])
        self.assertEqual(0, method["in_flight"])
        self.assertGreater(method["bytes_received"], 5000)
        self.assertGreater(method["bytes_sent"], 5000)
        self.assertGreater(costs["loop_ns"], 0)
        self.assertGreater(costs["entries"], 5)
        self.assertGreater(costs["steps"]["load_ns"], 0)
        self.assertEqual("greeter", costs["module"])
        self.assert_stops(daemon)

    def test_inspect_has_the_costs_of_its_plugin(self):
        daemon = self.run_with(Plugin("io.example.needy.v1", "needy", requires=["io.example.nobody.v1"]))
        for _ in range(3):
            greet(daemon)
        text = self.ctl(daemon, "plugins", "inspect", GREETER)
        self.assertRegex(text, r"(?m)^Loop time: +\S+ in \d+ entries, longest ")
        self.assertRegex(text, r"(?m)^Calls: +/helloworld\.Greeter/SayHello: 3 \(0 in flight, 0 failed\), ")
        costs = json.loads(self.ctl(daemon, "plugins", "inspect", "--json", GREETER))["costs"]
        self.assertEqual({"OK": 3}, costs["methods"][0]["ended"])
        needy = json.loads(self.ctl(daemon, "plugins", "inspect", "--json", "io.example.needy.v1.needy", code=1))
        self.assertNotIn("costs", needy)
        self.assert_stops(daemon)

    def resident(self, daemon, module):
        """What the kernel says of a module's file; its variables without a file come on top."""
        total, counts = 0, False
        with open(f"/proc/{daemon.pid}/smaps", encoding="utf-8") as lines:
            for line in lines:
                if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                    counts = line.rstrip().endswith(f"/{module}.so")
                elif counts and line.startswith("Rss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def test_memory_and_handles_are_what_the_kernel_and_the_loop_have(self):
        daemon = self.run_with(talker_plugin())
        costs = self.costs(daemon, GREETER)
        of_kernel = self.resident(daemon, "greeter")
        self.assertGreater(of_kernel, 0)
        self.assertLessEqual(abs(costs["module_memory_bytes"] - of_kernel), 64 * 1024)
        self.assertEqual(1, self.costs(daemon, TALKER)["module_handles"])
        self.assertEqual(0, costs["module_handles"])
        self.assert_stops(daemon)

    def test_the_list_is_sorted_by_the_key(self):
        daemon = self.run_with()
        for _ in range(50):
            greet(daemon)
        lines = self.ctl(daemon, "top", "--once", "--sort", "calls").splitlines()
        head = next(i for i, line in enumerate(lines) if line.startswith("PLUGIN"))
        self.assertTrue(lines[head + 1].startswith(GREETER), lines)
        answer = json.loads(self.ctl(daemon, "top", "--once", "--json", "--sort", "memory"))
        sizes = [plugin["module_memory_bytes"] for plugin in answer["plugins"]]
        self.assertEqual(sorted(sizes, reverse=True), sizes)
        self.assertNotIn("\033", "\n".join(lines))
        self.assert_stops(daemon)

    def test_without_a_terminal_lists_follow_each_other_until_interrupted(self):
        daemon = self.run_with()
        top = self.follow(daemon, "top", "--interval", "100ms")
        top.wait_for(r"(?s)PLUGIN .*\n\n.*PLUGIN .*\n\n")
        self.assertEqual((0, ""), top.interrupt())
        self.assertNotIn("\033", top.text)
        self.assert_stops(daemon)

    def test_a_daemon_that_goes_ends_the_lists(self):
        daemon = self.run_with()
        top = self.follow(daemon, "top", "--interval", "100ms")
        top.wait_for("PLUGIN")
        self.assert_stops(daemon)
        self.assertEqual(3, top.process.wait(30))

    def test_mistakes_are_one_line(self):
        for words, text in ((["top", "--sort", "name"], "not one of time, calls, bytes, memory"),
                            (["top", "--interval", "3"], "--interval"), (["top", "--interval", "1ms"], "too short"),
                            (["log", "--level", "verbose"], "not one of error, warn, info, debug"),
                            (["log-level", "loud"], "not one of error, warn, info, debug, default"),
                            (["log-level", "default"], "name a plugin"), (["log-level", "debug", "greeter"], "URI"),
                            (["connections", "--close"], "needs a value")):
            done = run(BERTHCTL, *words)
            self.assertEqual((2, ""), (done.returncode, done.stdout), words)
            self.assertIn(text, done.stderr)
            self.assertEqual(1, done.stderr.count("\n"))


class Screen(Costs):
    """top where both ends are a terminal."""

    def open(self, daemon):
        self.terminal, inner = os.openpty()
        self.before = termios.tcgetattr(inner)
        self.inner = inner
        self.addCleanup(os.close, self.terminal)
        self.addCleanup(os.close, inner)
        termios.tcsetwinsize(inner, (24, 100))
        self.seen = ""
        self.process = subprocess.Popen([str(BERTHCTL), "--address", daemon.address, "top", "--interval", "200ms"],
                                        stdin=inner, stdout=inner, stderr=inner, env=environment(TERM="xterm"))
        self.addCleanup(self.process.kill)

    def wait_for(self, text):
        end = time.monotonic() + 30
        while text not in self.seen:
            self.assertLess(time.monotonic(), end, f"{text!r} is not on the screen: {self.seen!r}")
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.seen += os.read(self.terminal, 65536).decode()

    def assert_restored(self):
        self.wait_for("\033[?25h\033[?1049l")
        self.assertEqual(self.before, termios.tcgetattr(self.inner))

    def test_keys_sort_and_quit_and_the_terminal_is_as_before(self):
        daemon = self.run_with()
        for _ in range(20):
            greet(daemon)
        self.open(daemon)
        self.wait_for("\033[?1049h")
        self.wait_for("q quit")
        screen = self.seen.split("\033[H")[1]
        self.assertLessEqual(max(len(line) for line in re.sub(r"\033\[[0-9?]*[A-Za-z]", "", screen).splitlines()), 100)
        self.assertLessEqual(screen.count("\n"), 24)
        os.write(self.terminal, b"mz?q")
        self.assertEqual(0, self.process.wait(30))
        self.assert_restored()
        self.assert_stops(daemon)

    def test_control_c_ends_it_well(self):
        daemon = self.run_with()
        self.open(daemon)
        self.wait_for("q quit")
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(0, self.process.wait(30))
        self.assert_restored()
        self.assert_stops(daemon)

    def test_a_daemon_that_goes_leaves_the_terminal_as_before(self):
        daemon = self.run_with()
        self.open(daemon)
        self.wait_for("q quit")
        self.assert_stops(daemon)
        self.assertEqual(3, self.process.wait(30))
        self.assert_restored()
        self.wait_for("cannot reach the daemon")


class Connections(Costs):
    def test_who_is_connected_and_closing_it(self):
        daemon = self.run_with()
        with ask.channel(daemon.address) as channel:
            call = channel.unary_stream("/grpc.health.v1.Health/Watch", request_serializer=bytes, response_deserializer=bytes)
            watch = call(b"")
            next(watch)
            found = [entry for entry in json.loads(self.ctl(daemon, "connections", "--json")) if entry["pid"] == os.getpid()]
            self.assertEqual(1, len(found))
            self.assertEqual(("grpc", os.getuid(), os.getgid(), 1, "io.containerd.server.v1.grpc"),
                             (found[0]["transport"], found[0]["uid"], found[0]["gid"], found[0]["calls_in_flight"], found[0]["server"]))
            self.assertGreater(found[0]["age_ns"], 0)
            name = found[0]["id"]
            header, *rows = self.ctl(daemon, "connections").splitlines()
            self.assertEqual(["ID", "PEER", "AGE", "CALLS", "CREDENTIALS"], header.split())
            self.assertIn(name, [row.split()[0] for row in rows])
            self.assertEqual(f"closed {name}\n", self.ctl(daemon, "connections", "--close", name))
            with self.assertRaises(grpc.RpcError) as raised:
                next(watch)
            self.assertEqual(grpc.StatusCode.UNAVAILABLE, raised.exception.code())
        self.ctl(daemon, "connections", "--close", name, code=1)
        self.assert_line(daemon.log, "closing connection", name)
        self.assert_stops(daemon)

    def test_an_unknown_id_is_bad_news(self):
        daemon = self.run_with()
        for name in ("grpc/999", "ttrpc/1", "nonsense", ""):
            done = daemon.ctl("connections", "--close", name)
            self.assertEqual(1, done.returncode, done.stderr)
            self.assertIn("not found; it may have closed", done.stderr)
        self.assert_stops(daemon)

    def test_nobody_changes_the_daemon_over_tcp(self):
        daemon = self.run_with(plugins={"io.containerd.server.v1.grpc-tcp": {"address": "127.0.0.1:0"}},
                               transports={"berth.inspect.v1.Inspect": ["tcp"]})
        port = re.search(r"listening address=127\.0\.0\.1:(\d+)", daemon.log).group(1)
        address = ("--address", f"127.0.0.1:{port}")
        self.assertEqual(0, run(BERTHCTL, *address, "status").returncode)
        self.assertIn("127.0.0.1:", run(BERTHCTL, *address, "connections").stdout)
        for words in (["connections", "--close", "grpc-tcp/1"], ["log-level", "debug"]):
            done = run(BERTHCTL, *address, *words)
            self.assertEqual(1, done.returncode, done.stderr)
            self.assertIn("unix sockets only", done.stderr)
        self.assertEqual("info\n", self.ctl(daemon, "log-level"))
        self.assert_stops(daemon)


class Log(Costs):
    def test_lines_are_followed_as_the_log_has_them(self):
        daemon = self.run_with(talker_plugin())
        log = self.follow(daemon, "log")
        log.wait_for(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warn  io\.example\.talker\.v1\.talker: a warning number=0\n")
        self.assertEqual((0, ""), log.interrupt())
        self.assertNotIn("a detail", log.text)
        self.assert_stops(daemon)

    def test_a_follower_may_want_more_than_the_log_has_and_of_one_plugin(self):
        daemon = self.run_with(talker_plugin())
        log = self.follow(daemon, "log", "--level", "debug", TALKER)
        log.wait_for("debug io.example.talker.v1.talker: a detail")
        self.ctl(daemon, "log-level", "warn")
        errors = self.follow(daemon, "log", "-l", "error")
        log.wait_for("(?s)a detail.*a detail.*a detail")
        self.assertEqual((0, ""), log.interrupt())
        self.assertEqual((0, ""), errors.interrupt())
        self.assertEqual("", errors.text)
        self.assertEqual({TALKER}, set(re.findall(r"Z \w+ +(\S+): ", log.text)))
        self.assertNotIn("a detail", daemon.log)
        self.assert_stops(daemon)

    def test_lines_are_objects_for_a_script(self):
        daemon = self.run_with(talker_plugin())
        log = self.follow(daemon, "log", "--json", TALKER)
        log.wait_for("a warning")
        self.assertEqual((0, ""), log.interrupt())
        lines = [json.loads(line) for line in log.text.splitlines()]
        self.assertEqual({("warn", TALKER, "a warning number=0")}, {(line["level"], line["plugin"], line["message"]) for line in lines[:1]})
        self.assertRegex(lines[0]["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertNotIn("lost", lines[0])
        self.assert_stops(daemon)

    def test_a_plugin_that_is_not_there_is_bad_news(self):
        daemon = self.run_with()
        for words in (["log", "io.example.talker.v1.tolker"], ["log-level", "debug", "io.example.talker.v1.tolker"],
                      ["log-level", "io.example.talker.v1.tolker"]):
            done = daemon.ctl(*words)
            self.assertEqual((1, ""), (done.returncode, done.stdout))
            self.assertIn('plugin "io.example.talker.v1.tolker" not found', done.stderr)
        self.assert_stops(daemon)

    def test_a_slow_reader_loses_the_oldest_lines_and_is_told_how_many(self):
        daemon = self.run_with(talker_plugin(lines=20000))
        self.ctl(daemon, "log-level", "error", TALKER)
        log = self.follow(daemon, "log", "--level", "debug", TALKER)
        log.wait_for("a detail")
        time.sleep(1.5)
        log.wait_for("a detail")
        code, errors = log.interrupt()
        self.assertEqual(0, code)
        self.assertRegex(errors, r"berthctl: \d+ lines? missed here")
        self.assertEqual(0, daemon.ctl("status").returncode)
        self.assert_stops(daemon)

    def test_a_follower_does_not_hold_the_daemon_back(self):
        daemon = self.run_with(talker_plugin())
        log = self.follow(daemon, "log")
        log.wait_for("a warning")
        began = time.monotonic()
        self.assert_stops(daemon)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(3, log.process.wait(30))


class LogLevel(Costs):
    def count(self, daemon, text):
        return daemon.log.count(text)

    def test_the_level_changes_at_run_time_for_all(self):
        daemon = self.run_with(talker_plugin())
        daemon.wait_for_log("a warning")
        self.assertEqual(0, self.count(daemon, "a detail"))
        self.assertEqual("debug\n", self.ctl(daemon, "log-level", "debug"))
        daemon.wait_for_log("a detail")
        self.assertEqual("error\n", self.ctl(daemon, "log-level", "error"))
        before = self.count(daemon, "a warning")
        time.sleep(0.5)
        self.assertEqual(before, self.count(daemon, "a warning"))
        self.assert_stops(daemon)

    def test_one_plugin_has_a_level_of_its_own_until_it_is_taken_back(self):
        daemon = self.run_with(talker_plugin())
        self.assertEqual("debug\n", self.ctl(daemon, "log-level", "debug", TALKER))
        daemon.wait_for_log("a detail")
        self.assertEqual(f"info\ndebug {TALKER}\n", self.ctl(daemon, "log-level"))
        self.assertEqual({"level": "info", "plugins": {TALKER: "debug"}}, json.loads(self.ctl(daemon, "log-level", "--json")))
        self.assertEqual("info\n", self.ctl(daemon, "log-level", GREETER))
        self.assertEqual("info\n", self.ctl(daemon, "log-level", "default", TALKER))
        before = self.count(daemon, "a detail")
        time.sleep(0.5)
        self.assertEqual(before, self.count(daemon, "a detail"))
        self.assertEqual("error\n", self.ctl(daemon, "log-level", "error", TALKER))
        before = self.count(daemon, "a warning")
        time.sleep(0.5)
        self.assertEqual(before, self.count(daemon, "a warning"))
        self.assert_stops(daemon)

    def test_the_command_line_comes_before_the_configuration(self):
        self.workshop.add_default_modules()
        plugin = talker_plugin()
        self.workshop.add("talker", plugin, code=plugin.before_it)
        self.workshop.write_config(log={"level": "error"})
        daemon = self.start("--log-level", "debug")
        daemon.wait_for_log("a detail")
        self.assertEqual("debug\n", self.ctl(daemon, "log-level"))
        self.assert_stops(daemon)
        self.workshop.write_config()
        daemon = self.launch("--log-level", "loud")
        self.assertEqual(2, daemon.wait())
        self.assertIn('--log-level: "loud" is not one of error, warn, info, debug', daemon.log)


class AccessLog(Costs):
    def test_it_is_off_unless_the_operator_wants_it(self):
        daemon = self.run_with()
        greet(daemon)
        self.assertNotIn("method=/helloworld", daemon.log)
        self.assert_stops(daemon)

    def test_a_call_has_one_line_with_all_that_is_known(self):
        daemon = self.run_with(plugins={"io.berth.interceptor.v1.access-log": {"enabled": True}}, log={"format": "json"})
        ask.unary(daemon.address, "/helloworld.Greeter/SayHello", protos.greeter.HelloRequest(name="you"),
                  protos.greeter.HelloReply,
                  metadata=[("containerd-namespace", "harbour"), ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")])
        daemon.wait_for_log("SayHello")
        fields = json.loads(self.assert_line(daemon.log, "SayHello"))["fields"]
        self.assertEqual(("/helloworld.Greeter/SayHello", "OK", "grpc", "harbour", "0af7651916cd43dd8448eb211c80319c"),
                         tuple(fields[key] for key in ("method", "code", "transport", "namespace", "trace_id")))
        self.assertEqual(f"unix:pid={os.getpid()},uid={os.getuid()}", fields["peer"])
        self.assertLess(fields["duration_ms"], 10000)
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
