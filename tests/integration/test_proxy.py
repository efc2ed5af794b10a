# SPDX-License-Identifier: Apache-2.0
"""Plugins behind sockets: servers of other languages and programs, declared by configuration alone."""

import concurrent.futures
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

import ask
import grpc
from daemon import BERTHCTL, Case, environment, run
from isolated import IS_SANITIZED
from workshop import SOURCE

NAME = "io.berth.proxy.v1.ships"
SERVICE = "test.Ships"


def same(data):
    return data


class Ships(grpc.GenericRpcHandler):
    """A server without generated code: what each method does with bytes."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.seen = []

    def service(self, details):
        methods = {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Sleep": grpc.unary_unary_rpc_method_handler(self.sleep),
            "Pour": grpc.unary_stream_rpc_method_handler(self.pour),
            "Count": grpc.stream_unary_rpc_method_handler(self.count),
            "Talk": grpc.stream_stream_rpc_method_handler(self.talk),
        }
        service, name = details.method.strip("/").split("/")
        return methods.get(name) if service == SERVICE else None

    def echo(self, request, context):
        self.seen.append(dict(context.invocation_metadata()))
        context.send_initial_metadata([("first", "1")])
        context.set_trailing_metadata([("last", "2"), ("raw-bin", b"\0\1")])
        return request

    def fail(self, request, context):
        context.set_trailing_metadata([("grpc-status-details-bin", b"\x08\x05\x12\x02no")])
        context.abort(grpc.StatusCode.NOT_FOUND, "no such ship")

    def sleep(self, request, context):
        context.add_callback(self.cancelled.set)
        time.sleep(float(request))
        return b""

    def pour(self, request, context):
        context.add_callback(self.cancelled.set)
        count, size = json.loads(request)
        for _ in range(count):
            yield b"x" * size

    def count(self, requests, context):
        return str(sum(len(each) for each in requests)).encode()

    def talk(self, requests, context):
        for each in requests:
            yield each


def serve(address, ships=None):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((ships or Ships(),))
    server.add_insecure_port(address)
    server.start()
    return server


class Proxied(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.socket = self.workshop.short / "ships.sock"

    def configure(self, **entry):
        self.workshop.write_config(
            proxy_plugins={"ships": {"services": [SERVICE], "check_interval": "200ms", **entry}})

    def channel(self):
        return grpc.insecure_channel(f"unix:{self.daemon.address}", options=[("grpc.max_receive_message_length", -1),
                                                                            ("grpc.max_send_message_length", -1)])

    def call(self, name, request=b"", timeout=30, channel=None, **more):
        with channel or self.channel() as own:
            return own.unary_unary(f"/{SERVICE}/{name}", request_serializer=same, response_deserializer=same)(
                request, timeout=timeout, **more)

    def inspect(self):
        done = run(BERTHCTL, "--address", self.daemon.address, "plugins", "inspect", "--json", NAME)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return json.loads(done.stdout)

    def exports(self):
        found = self.inspect()
        found = found[0] if isinstance(found, list) else found
        return found["exports"]

    def command(self, text=None):
        path = self.workshop.top / "program.py"
        path.write_text(text or PROGRAM.format(folder=str(SOURCE / "tests/integration")), encoding="utf-8")
        return [sys.executable, str(path)]

    def children(self):
        found = run("ps", "--ppid", str(self.daemon.pid), "-o", "pid=").stdout.split()
        return [int(each) for each in found]

    def wait_for(self, what, timeout=20):
        end = time.monotonic() + timeout
        while not what():
            self.assertLess(time.monotonic(), end, self.daemon.log)
            time.sleep(0.02)


class Beside(Proxied):
    """A server that runs before the daemon does, in this process."""

    def setUp(self):
        super().setUp()
        self.ships = Ships()
        self.server = serve(f"unix:{self.socket}", self.ships)
        self.addCleanup(lambda: self.server.stop(None))
        self.configure(address=str(self.socket))
        self.daemon = self.start()


class Calls(Beside):
    def test_bytes_headers_and_trailers_pass(self):
        with self.channel() as channel:
            reply, call = channel.unary_unary(f"/{SERVICE}/Echo").with_call(
                b"\0ship", timeout=30, metadata=[("containerd-namespace", "k8s.io"), ("some-bin", b"\0\xff")])
        self.assertEqual(b"\0ship", reply)
        self.assertIn(("first", "1"), list(call.initial_metadata()))
        self.assertIn(("last", "2"), list(call.trailing_metadata()))
        self.assertIn(("raw-bin", b"\0\1"), list(call.trailing_metadata()))
        self.assertEqual(("k8s.io", b"\0\xff"), (self.ships.seen[0]["containerd-namespace"], self.ships.seen[0]["some-bin"]))
        self.assertIn("traceparent", {**self.ships.seen[0], "traceparent": ""})

    def test_an_error_brings_its_message_and_details(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.call("Fail")
        error = raised.exception
        self.assertEqual((grpc.StatusCode.NOT_FOUND, "no such ship"), (error.code(), error.details()))
        self.assertIn(("grpc-status-details-bin", b"\x08\x05\x12\x02no"), list(error.trailing_metadata()))
        with self.assertRaises(grpc.RpcError) as raised:
            self.call("Nothing")
        self.assertEqual(grpc.StatusCode.UNIMPLEMENTED, raised.exception.code())

    def test_streams_of_every_kind_pass(self):
        with self.channel() as channel:
            poured = list(channel.unary_stream(f"/{SERVICE}/Pour")(b"[1000, 100]", timeout=30))
            counted = channel.stream_unary(f"/{SERVICE}/Count")(iter([b"abc"] * 1000), timeout=30)
            talked = list(channel.stream_stream(f"/{SERVICE}/Talk")(iter([b"a", b"", b"c"]), timeout=30))
        self.assertEqual((1000, {100}), (len(poured), {len(each) for each in poured}))
        self.assertEqual(b"3000", counted)
        self.assertEqual([b"a", b"", b"c"], talked)

    def test_ten_mebibytes_pass_both_ways(self):
        large = os.urandom(10 * 1024 * 1024)
        self.assertEqual(large, self.call("Echo", large, timeout=60))

    def test_a_deadline_and_a_caller_that_goes_reach_the_server(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.call("Sleep", b"3", timeout=0.3)
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, raised.exception.code())
        self.assertTrue(self.ships.cancelled.wait(10))
        self.ships.cancelled.clear()
        with self.channel() as channel:
            call = channel.unary_stream(f"/{SERVICE}/Pour")(b"[100000000, 10]", timeout=60)
            next(call)
            call.cancel()
        self.assertTrue(self.ships.cancelled.wait(10))

    def test_a_slow_reader_costs_the_daemon_no_memory(self):
        def resident():
            with open(f"/proc/{self.daemon.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        before = resident()
        with self.channel() as channel:
            call = channel.unary_stream(f"/{SERVICE}/Pour")(b"[3000, 100000]", timeout=60)
            next(call)
            time.sleep(1)
            self.assertLess(resident() - before, 64 * 1024 * 1024)
            self.assertEqual(2999, sum(1 for _ in call))

    def test_compressed_requests_and_replies_pass(self):
        text = b"ship " * 10000
        self.assertEqual(text, self.call("Echo", text, compression=grpc.Compression.Gzip))

    def test_listings_tell_of_the_server(self):
        exports = self.exports()
        self.assertEqual(("true", str(self.socket)), (exports["connected"], exports["address"]))
        self.assertRegex(exports["latency"], r"^\d+us$")
        done = run(BERTHCTL, "--address", self.daemon.address, "services")
        self.assertIn(SERVICE, done.stdout)

    def test_prometheus_is_told_of_the_server(self):
        self.assert_stops(self.daemon)
        config = json.loads(self.workshop.config.read_text(encoding="utf-8"))
        config["plugins"] = {"io.containerd.server.v1.metrics": {"address": "127.0.0.1:0"}}
        self.workshop.config.write_text(json.dumps(config), encoding="utf-8")
        self.daemon = self.start()
        address = ask.plugins(self.daemon.address)["io.containerd.server.v1.metrics"].message
        address = next(export.value for export in address.exports if export.key == "address")
        with urllib.request.urlopen(f"http://{address}/v1/metrics", timeout=30) as answer:
            text = answer.read().decode()
        self.assertIn(f'proxy_connected{{plugin="{NAME}"}} 1', text)
        self.assertRegex(text, rf'proxy_latency_seconds{{plugin="{NAME}"}} 0\.\d+')

    def test_a_server_that_goes_and_comes(self):
        self.server.stop(None).wait()
        self.wait_for(lambda: self.exports()["connected"] == "false")
        begun = time.monotonic()
        with self.assertRaises(grpc.RpcError) as raised:
            self.call("Echo", b"x")
        self.assertLess(time.monotonic() - begun, 2)
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, raised.exception.code())
        self.assertIn(NAME, raised.exception.details())
        self.assertIn(str(self.socket), raised.exception.details())
        done = run(BERTHCTL, "--address", self.daemon.address, "plugins", "ls", "--all")
        self.assert_line(done.stdout, "io.berth.proxy.v1", "degraded")
        self.server = serve(f"unix:{self.socket}", self.ships)
        self.wait_for(lambda: self.exports()["connected"] == "true")
        self.assertEqual(b"x", self.call("Echo", b"x"))

    def test_the_daemon_stops_during_calls(self):
        with self.channel() as channel:
            call = channel.unary_stream(f"/{SERVICE}/Pour")(b"[100000000, 10]", timeout=60)
            next(call)
            self.assert_stops(self.daemon)
            with self.assertRaises(grpc.RpcError):
                list(call)


class Reload(Beside):
    """Entries come, change and go while the daemon runs."""

    def reload(self, **entries):
        self.workshop.write_config(proxy_plugins=entries)
        done = run(BERTHCTL, "--address", self.daemon.address, "reload")
        self.assertEqual(0, done.returncode, done.stdout + done.stderr + self.daemon.log)
        return done.stdout

    def test_entries_come_change_and_go(self):
        first = {"address": str(self.socket), "services": [SERVICE], "check_interval": "200ms"}
        other = self.workshop.short / "other.sock"
        server = serve(f"unix:{other}")
        self.addCleanup(lambda: server.stop(None))
        self.assertIn("io.berth.proxy.v1.more", self.reload(ships=first, more={"address": str(other), "services": ["test.More"]}))
        with self.channel() as channel, self.assertRaises(grpc.RpcError) as raised:
            channel.unary_unary("/test.More/Nothing")(b"", timeout=20)
        self.assertEqual(grpc.StatusCode.UNIMPLEMENTED, raised.exception.code())
        self.assertIn("Method not found", raised.exception.details())
        self.reload(ships={**first, "address": str(other)})
        self.assertEqual(b"x", self.call("Echo", b"x"))
        self.assertEqual([], self.ships.seen)
        with self.channel() as channel, self.assertRaises(grpc.RpcError) as raised:
            channel.unary_unary("/test.More/Nothing")(b"", timeout=20)
        self.assertNotIn("Method not found", raised.exception.details())
        self.reload(ships={**first, "services": [SERVICE, "test.More"]})
        with self.channel() as channel, self.assertRaises(grpc.RpcError) as raised:
            channel.unary_unary("/test.More/Nothing")(b"", timeout=20)
        self.assertIn("Method not found", raised.exception.details())
        self.assertEqual(b"y", self.call("Echo", b"y"))
        self.assertEqual(1, len(self.ships.seen))
        self.assert_stops(self.daemon)


PROGRAM = """
import os, sys
sys.path.insert(0, {folder!r})
import test_proxy
print("begun", flush=True)
test_proxy.serve(os.environ["BERTH_PROXY_ADDRESS"]).wait_for_termination()
"""


class Programs(Proxied):
    """The daemon starts the server, and starts it again."""

    def begin(self, text=None, **more):
        kept = {name: os.environ[name] for name in ("BERTH_SOURCE", "BERTH_BUILD", "BERTH_SCRATCH") if name in os.environ}
        self.configure(command=self.command(text), environment=kept, restart_delay="10ms", start_limit=1000, **more)
        self.daemon = self.start()

    def test_a_program_serves_and_ends_with_the_daemon(self):
        self.begin()
        self.wait_for(lambda: self.exports()["connected"] == "true")
        self.assertEqual(b"x", self.call("Echo", b"x"))
        self.daemon.wait_for_log("program: begun")
        (child,) = self.children()
        self.assert_stops(self.daemon)
        self.assertFalse(os.path.exists(f"/proc/{child}"))

    def test_a_program_dies_with_a_daemon_that_is_killed(self):
        self.begin()
        self.wait_for(lambda: self.exports()["connected"] == "true")
        (child,) = self.children()
        self.daemon.process.kill()
        self.daemon.process.wait()
        end = time.monotonic() + 10
        while os.path.exists(f"/proc/{child}") and time.monotonic() < end:
            time.sleep(0.02)
        self.assertFalse(os.path.exists(f"/proc/{child}"))

    def test_a_program_killed_in_a_loop_costs_others_nothing(self):
        self.begin()
        failures, stop = [], threading.Event()

        def others():
            with ask.channel(self.daemon.address) as channel:
                version = channel.unary_unary("/containerd.services.version.v1.Version/Version")
                while not stop.is_set():
                    try:
                        version(b"", timeout=10)
                    except grpc.RpcError as error:
                        failures.append(error)

        thread = threading.Thread(target=others)
        thread.start()
        for _ in range(5):
            self.wait_for(lambda: self.exports()["connected"] == "true")
            self.assertEqual(b"x", self.call("Echo", b"x"))
            (child,) = self.children()
            os.kill(child, signal.SIGKILL)
            self.wait_for(lambda: self.children() not in ([], [child]))
        stop.set()
        thread.join()
        self.assertEqual([], failures)
        self.daemon.wait_for_log("killed by signal 9")

    def test_a_program_that_always_fails_is_given_up(self):
        self.configure(command=["/bin/sh", "-c", "echo no luck; exit 3"], restart_delay="1ms", start_limit=3)
        self.daemon = self.start()
        self.daemon.wait_for_log(f"start_limit is reached; run `berthctl plugins restart {NAME}`")
        self.assertIn("exited with code 3; last output: no luck", self.exports()["last_error"])
        with self.assertRaises(grpc.RpcError) as raised:
            self.call("Echo", b"x")
        self.assertIn("exited with code 3", raised.exception.details())

    def test_what_somebody_else_has_at_the_address_stays(self):
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(self.socket))
            other.listen()
            self.begin("raise SystemExit('no')", address=str(self.socket))
            self.daemon.wait_for_log("last output: no")
            self.assert_stops(self.daemon)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.socket))
        self.socket.unlink()
        self.socket.write_text("kept", encoding="utf-8")
        self.begin("raise SystemExit('no')", address=str(self.socket))
        self.daemon.wait_for_log("last output: no")
        self.assertEqual("kept", self.socket.read_text(encoding="utf-8"))

    def test_a_program_that_prints_without_end_floods_no_log(self):
        self.configure(command=["/bin/sh", "-c", "yes"])
        begun = time.monotonic()
        self.daemon = self.start()
        time.sleep(1.5)
        self.assertLess(self.daemon.log.count("program: y"), 50 * (time.monotonic() - begun + 2))
        self.assert_stops(self.daemon)


CONFINED = """
import concurrent.futures, ctypes, errno, os, signal, socket
import grpc

def try_to(word):
    if word == "user":
        return str(os.getuid())
    if word == "write":
        path = os.path.dirname(os.environ["BERTH_PROXY_ADDRESS"].removeprefix("unix:")) + "/written"
        return str(open(path, "w").write("x"))
    if word == "shadow":
        return open("/etc/shadow").read(1)
    if word == "udp":
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if word == "fork":
        os.fork() or os._exit(0)
    if word == "linger" and os.fork() == 0:
        while True:
            signal.pause()
    if word == "exec":
        os.execv("/bin/true", ["true"])
    if word == "signal":
        os.kill(os.getppid(), 0)
    if word == "memory":
        bytearray(1 << 31)
    if word == "trace" and ctypes.CDLL(None, use_errno=True).ptrace(0, 0, None, None) != 0:
        return errno.errorcode[ctypes.get_errno()]
    return "done"

def answer(request, context):
    try:
        return try_to(request.decode()).encode()
    except OSError as error:
        return errno.errorcode[error.errno].encode()
    except MemoryError:
        return b"MemoryError"

server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Ships", {"Try": grpc.unary_unary_rpc_method_handler(answer)}),))
server.add_insecure_port(os.environ["BERTH_PROXY_ADDRESS"])
server.start()
server.wait_for_termination()
"""


class Confined(Proxied):
    """The program of `command` in the sandbox that `isolation` describes for its plugin."""

    def confine(self, text=CONFINED, command=None, **isolation):
        command = command or self.command(text)
        files = {"read": [sys.base_prefix + "/lib", *[word for word in command[1:] if word.startswith("/")]]}
        self.workshop.write_config(
            isolation={NAME: {"files": files, **isolation}},
            proxy_plugins={"ships": {"services": [SERVICE], "check_interval": "200ms", "command": command, "restart_delay": "10ms"}})

    def attempt(self, word):
        return self.call("Try", word.encode()).decode()

    def test_what_it_tries_is_refused_and_it_serves(self):
        # A sanitizer reserves more than any limit leaves it.
        limits = {} if IS_SANITIZED else {"memory": "1GiB"}
        self.confine(**limits)
        self.daemon = self.start()
        self.wait_for(lambda: self.exports()["connected"] == "true")
        self.assertRegex(self.daemon.ctl("plugins", "ls").stdout, r"ships .*ok +isolated *\n")
        self.assertEqual("1", self.attempt("write"))
        for word in ("shadow", "udp", "fork", "exec", "signal", "trace"):
            with self.subTest(word):
                self.assertIn(self.attempt(word), ("EPERM", "EACCES", "ENOENT", "EAFNOSUPPORT"))
        shown = self.daemon.ctl("plugins", "inspect", NAME).stdout
        self.assert_line(shown, "sockets: opens only Unix sockets")
        self.assert_line(shown, "execute", "runs its program, and any other that it can read")
        if limits:
            self.assertEqual("MemoryError", self.attempt("memory"))
            self.assert_line(shown, "memory", "at most 1024 MiB")
        planned = self.berthd("plan", "--config", self.workshop.config).stdout
        self.assert_line(planned, "+ sockets", "opens only Unix sockets")
        (child,) = self.children()
        self.assert_stops(self.daemon)
        self.assertFalse(os.path.exists(f"/proc/{child}"))

    def test_what_it_starts_ends_with_it(self):
        self.confine(processes=True)
        self.daemon = self.start()
        self.wait_for(lambda: self.exports()["connected"] == "true")
        self.assertEqual("done", self.attempt("linger"))
        program = str(self.workshop.top / "program.py")
        self.assertNotEqual("", run("pgrep", "-f", program).stdout)
        self.assert_stops(self.daemon)
        # Killed by then, if not yet gone.
        self.wait_for(lambda: run("pgrep", "-f", program).stdout == "")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_it_runs_as_another_user_which_has_its_folders(self):
        if not self.workshop.open_to_others():
            self.skipTest("the scratch folder is private")
        self.confine(user="nobody")
        self.daemon = self.start()
        self.wait_for(lambda: self.exports()["connected"] == "true")
        self.assertEqual("65534", self.attempt("user"))
        self.assert_stops(self.daemon)

    def test_a_file_that_it_lacks_and_a_program_that_cannot_run_are_told(self):
        self.confine(command=[sys.executable, "/nowhere/program.py"])
        self.daemon = self.start()
        self.wait_for(lambda: "cannot allow reading of /nowhere/program.py" in self.exports().get("last_error", ""))
        self.assert_stops(self.daemon)

    def test_a_sandbox_that_is_required_and_cannot_be_had_starts_nothing(self):
        self.confine(required=True, memory="1GiB", processes=True, system_calls=["memfd_create"], cpu_quota=1)
        self.daemon = self.start()
        explained = self.daemon.ctl("explain", NAME).stdout
        if "sandbox is required, but" not in explained:
            self.skipTest("this system enforces all of it")
        self.assertEqual([], self.children())
        self.assert_stops(self.daemon)

    def test_a_server_that_somebody_else_starts_is_not_confined_in_silence(self):
        self.workshop.write_config(isolation={NAME: {}}, proxy_plugins={"ships": {"services": [SERVICE], "address": str(self.socket)}})
        self.daemon = self.start()
        self.assertIn("isolation confines the program of command, which is not set", self.daemon.ctl("explain", NAME).stdout)
        self.assert_stops(self.daemon)


class Garbage(Proxied):
    """Servers that do not speak gRPC."""

    def answer(self, what):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.socket))
        listener.listen(16)
        self.addCleanup(listener.close)

        def work():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    try:
                        peer.recv(4096)
                        peer.sendall(what)
                        time.sleep(0.05)
                    except OSError:
                        pass

        threading.Thread(target=work, daemon=True).start()

    def test_garbage_is_an_error_of_the_call_and_of_nobody_else(self):
        for what in (b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\0\0\0\4\0\0\0\0\0" + os.urandom(2000), os.urandom(5000)):
            with self.subTest(what[:20]):
                self.socket.unlink(missing_ok=True)
                self.answer(what)
                self.configure(address=str(self.socket), check_timeout="1s")
                self.daemon = self.start()
                self.wait_for(lambda: "last_error" in self.exports())
                with self.assertRaises(grpc.RpcError) as raised:
                    self.call("Echo", b"x", timeout=10)
                self.assertEqual(grpc.StatusCode.UNAVAILABLE, raised.exception.code())
                self.assert_stops(self.daemon)
                del self.daemon


class Configuration(Proxied):
    def check(self, **proxies):
        self.workshop.write_config(proxy_plugins=proxies)
        return self.berthd("config", "check", "--config", str(self.workshop.config))

    def test_what_is_wrong_is_said_with_its_place(self):
        done = self.check(**{"a b": {"address": "/x"}, "c": {"address": "/x", "type": "nonsense"}, "d": {"adress": "/x"},
                             "e": {"address": "/x", "services": ["no service"]}})
        self.assertNotEqual(0, done.returncode)
        self.assert_line(done.stderr, "berthd.yaml:", '"a b" cannot be the id of a plugin')
        self.assert_line(done.stderr, "berthd.yaml:", 'proxy_plugins.c: type: "nonsense" is not a type')
        self.assert_line(done.stderr, "berthd.yaml:", "adress", "address")
        self.assert_line(done.stderr, "berthd.yaml:", '"no service" is not valid')

    def test_a_dump_loads_back_as_the_same(self):
        self.configure(address="/run/x.sock", exports={"root": "/x"})
        first = self.berthd("config", "dump", "--config", str(self.workshop.config))
        self.assertEqual(0, first.returncode, first.stderr)
        self.assertIn("proxy_plugins:\n  ships:\n", first.stdout)
        self.workshop.write_config(first.stdout)
        self.assertEqual(first.stdout, self.berthd("config", "dump", "--config", str(self.workshop.config)).stdout)

    def test_without_the_module_the_section_is_refused(self):
        (self.workshop.plugins / "proxy.so").unlink()
        done = self.check(ships={"address": "/x"})
        self.assertNotEqual(0, done.returncode)
        self.assert_line(done.stderr, "proxy_plugins: no module makes plugins of this section")

    def test_the_plan_has_them_with_what_they_require(self):
        self.workshop.write_config(proxy_plugins={
            "a": {"address": "/x", "services": ["a.A"], "requires": ["io.berth.proxy.v1.b"]},
            "b": {"address": "/y", "services": ["b.B"]},
            "overlay": {"type": "snapshot", "address": "/z"},
            "c": {"address": "/x", "services": ["c.C"], "requires": ["io.no.such.v1"]}})
        done = self.berthd("plan", "--config", str(self.workshop.config))
        self.assert_line(done.stdout, "2 ", "run", "io.berth.proxy.v1.a", "proxy 0.1.0")
        self.assert_line(done.stdout, "1 ", "run", "io.berth.proxy.v1.b")
        self.assert_line(done.stdout, "run", "io.containerd.snapshotter.v1.overlay")
        self.assert_line(done.stdout, "blocked", "io.berth.proxy.v1.c", "io.no.such.v1")


if __name__ == "__main__":
    unittest.main()
