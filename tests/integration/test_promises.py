# SPDX-License-Identifier: Apache-2.0
"""What our own plugins promise when they are upgraded under load: no call fails, no counter goes back, nothing piles up.

BERTH_UPGRADES=200 is the long run; three of each kind are the usual one."""

import json
import os
import re
import socket
import subprocess
import threading
import time
import unittest
import urllib.request

import grpc
import protos
from changing import Browser, Caller, Changing, Load, Stream
from daemon import BERTHCTL, PATIENCE, Case, environment
from etcd import Etcd
from google.protobuf.any_pb2 import Any
from otlp_receiver import HttpReceiver
from test_http import PAGE
from test_image_verifier import ASK, VERIFIER
from workshop import Plugin

UPGRADES = int(os.environ.get("BERTH_UPGRADES", "3"))
IS_LONG = UPGRADES > 20
# Pages that one resident module has written to.
RESIDENT_BYTES = 32 * 1024
# Containers where their number does not grow.
KEPT = 100
IS_SANITIZED = os.environ.get("BERTH_TEST_SANITIZE", "none") != "none"

GREETER = "io.containerd.grpc.v1.greeter"
HELLO = "/helloworld.Greeter/SayHello"
ADA = protos.greeter.HelloRequest(name="Ada").SerializeToString()
OPT = "io.containerd.internal.v1.opt"
ETCD = "io.berth.store.v1.etcd"
CONTAINERS = "/containerd.services.containers.v1.Containers/"
EVENTS = "/containerd.services.events.v1.Events/"
INTROSPECTION = "/containerd.services.introspection.v1.Introspection/"
LEASES = "/containerd.services.leases.v1.Leases/"
NAMESPACES = "/containerd.services.namespaces.v1.Namespaces/"
HEALTH = "/grpc.health.v1.Health/"


def container():
    """A container whose number load_client writes."""
    message = protos.containers.CreateContainerRequest()
    message.container.id = "c########"
    message.container.image = "docker.io/library/debian:bookworm"
    message.container.runtime.name = "io.containerd.runc.v2"
    message.container.spec.type_url, message.container.spec.value = "types.containerd.io/x", b"{}"
    return message.SerializeToString()


def find_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Promises(Changing, Case):
    def setUp(self):
        super().setUp()
        self.loads, self.streams = [], []
        self.addCleanup(lambda: [load.kill() for load in self.loads])

    def begin(self, *modules, **settings):
        self.workshop.add_default_modules(*modules)
        self.workshop.write_config(**settings)
        self.daemon = self.start()
        return self.daemon

    def load(self, path, request=b"", **options):
        address = self.daemon.address + (".ttrpc" if options.get("protocol") == "ttrpc" else "")
        self.loads.append(Load(options.pop("address", address), path, request, **options))
        return self.loads[-1]

    def stream(self, path, request, answer_type, **options):
        self.streams.append(Stream(self.daemon.address, path, request, answer_type, **options))
        return self.streams[-1]

    def settle(self):
        """Ends the clients. The time between the first call and the last was the time of the upgrades."""
        for stream in self.streams:
            stream.stop()
        for load in self.loads:
            load.stop()
        return self.loads

    def memory(self):
        """Resident bytes that are the daemon's own."""
        status = open(f"/proc/{self.daemon.pid}/status", encoding="ascii").read()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024

    def upgrade_often(self, stem, *subjects, mode, settle=0.05, between=None, stream=None):
        """The steps of all upgrades of the first subject, each of which ends the stream. After the tenth memory is flat."""
        steps, before = [], None
        for load in self.loads:
            load.wait()
        for number in range(UPGRADES):
            done = self.upgrade(self.daemon, stem, *subjects)
            self.assertEqual("upgrade", done[subjects[0]].action)
            self.assertEqual(mode, done[subjects[0]].mode)
            steps.append(done[subjects[0]])
            if between is not None:
                between()
            if stream is not None:
                stream.wait(number + 1)
            time.sleep(settle)
            if number == 9:
                before = self.memory()
        generations = [step.generation for step in steps]
        self.assertEqual(sorted(set(generations)), generations)
        if IS_LONG and not IS_SANITIZED:
            # A replaced module that is still resident keeps its variables and tables.
            residents = len(json.loads(self.daemon.ctl("status", "--json").stdout)["residents"])
            self.assertLess(self.memory() - before, (4 << 20) + residents * RESIDENT_BYTES,
                            f"{before} {self.memory()} residents={residents}")
        return steps

    def assert_waits(self, steps, at_most):
        """How long calls waited, in seconds."""
        pauses = sorted(step.pause_ns / 1e9 for step in steps)
        self.assertLess(pauses[len(pauses) // 2], at_most * (4 if IS_SANITIZED else 1), pauses)


class Beside(Promises):
    def test_greeter(self):
        self.begin("servers", "introspection", "greeter")
        self.load(HELLO, ADA)
        self.load(HELLO, ADA, protocol="ttrpc")
        steps = self.upgrade_often("greeter", GREETER, mode="beside")
        self.assertEqual({0}, {step.pause_ns for step in steps})
        self.settle()
        self.assert_stops(self.daemon)

    def test_a_stream_ends_on_the_generation_that_it_began_on(self):
        self.begin("servers", "introspection", "greeter", plugins={GREETER: {"max_name": "1MiB"}})
        with grpc.insecure_channel(f"unix:{self.daemon.address}") as channel:
            spell = channel.unary_stream("/helloworld.Greeter/SpellHello",
                                         request_serializer=lambda message: message.SerializeToString(),
                                         response_deserializer=protos.greeter.HelloReply.FromString)
            call = spell(protos.greeter.HelloRequest(name="x" * 20000), timeout=PATIENCE)
            self.assertEqual("x", next(call).message)
            self.assertEqual("beside", self.upgrade(self.daemon, "greeter", GREETER)[GREETER].mode)
            self.assertEqual(19999, len(list(call)))
        self.assert_stops(self.daemon)

    def test_who_follows_the_log_hears_the_next_generation(self):
        self.begin("servers", "introspection", "greeter")
        follower = subprocess.Popen([str(BERTHCTL), "--address", self.daemon.address, "log"], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, env=environment())
        try:
            time.sleep(0.5)
            self.upgrade(self.daemon, "introspection", "io.containerd.grpc.v1.introspection")
            time.sleep(0.5)
            self.upgrade(self.daemon, "greeter", GREETER)
            time.sleep(0.5)
        finally:
            follower.terminate()
            out, err = follower.communicate(timeout=PATIENCE)
        self.assertEqual(0, follower.returncode, err)
        self.assertIn("introspection was replaced; lines may be missing here", err)
        self.assertIn(GREETER, out)
        self.assert_stops(self.daemon)

    def test_version_and_introspection(self):
        self.begin("servers", "introspection", "version")
        self.load("/containerd.services.version.v1.Version/Version")
        self.load(INTROSPECTION + "Server", at_a_time=1)
        for stem in ("version", "introspection"):
            steps = self.upgrade_often(stem, f"io.containerd.grpc.v1.{stem}", mode="beside")
            self.assertEqual({0}, {step.pause_ns for step in steps})
        self.settle()
        self.assert_stops(self.daemon)

    def test_health(self):
        """A stream ends with each generation, and its status says when to call again."""
        self.begin("servers", "introspection", "health")
        self.load(HEALTH + "Check")
        watch = self.stream(HEALTH + "Watch", protos.health.HealthCheckRequest(), protos.health.HealthCheckResponse)
        steps = self.upgrade_often("health", "io.containerd.grpc.v1.health", mode="beside", stream=watch)
        self.assertEqual({0}, {step.pause_ns for step in steps})
        self.settle()
        self.assertEqual(UPGRADES, watch.restarts)
        self.assert_stops(self.daemon)

    def test_reflection(self):
        """It has no unary calls of its own; those of others go on."""
        self.begin("servers", "introspection", "greeter", "reflection")
        self.load(HELLO, ADA)
        asking = self.stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                             protos.reflection.ServerReflectionRequest(list_services=""),
                             protos.reflection.ServerReflectionResponse, both_ways=True)
        steps = self.upgrade_often("reflection", "io.containerd.grpc.v1.reflection", mode="beside", stream=asking)
        self.assertEqual({0}, {step.pause_ns for step in steps})
        self.settle()
        self.assertEqual(UPGRADES, asking.restarts)
        for message in asking.messages:
            self.assertIn("helloworld.Greeter", [each.name for each in message.list_services_response.service])
        self.assert_stops(self.daemon)

    def test_image_verifier(self):
        """With whoever uses its interface: here a plugin that asks it about each image."""
        verifiers = self.workshop.top / "verifiers"
        verifiers.mkdir(mode=0o755)
        (verifiers / "a").write_text("#!/bin/sh\necho fine\n", encoding="utf-8")
        (verifiers / "a").chmod(0o755)
        self.workshop.add("pulls", Plugin(
            "io.containerd.grpc.v1", "pulls", requires=["io.containerd.image-verifier.v1"],
            yaml="upgrade: beside\nservices: {test.Images: {Verify: unary}}", members=".services = services",
            init=f'return berth_get(host, "{VERIFIER}", &verifier, err);'), code=ASK)
        self.begin("servers", "introspection", "image-verifier", plugins={VERIFIER: {"bin_dir": str(verifiers)}})
        self.load("/test.Images/Verify", b"docker.io/library/debian", connections=1)
        steps = self.upgrade_often("image-verifier", VERIFIER, mode="beside")
        self.assertEqual({0}, {step.pause_ns for step in steps})
        self.settle()
        self.assert_stops(self.daemon)

    def test_opt(self):
        """Whoever lists plugins sees its directory all the time, and so do programs that are started with its environment."""
        self.begin("servers", "introspection", "opt", "greeter")
        request = protos.introspection.PluginsRequest(filters=["id==opt"]).SerializeToString()
        self.load(INTROSPECTION + "Plugins", request, connections=1)
        self.load(HELLO, ADA)

        def find():
            self.assert_line(self.daemon.ctl("plugins", "inspect", OPT).stdout, "path", str(self.workshop.root), "opt")
        steps = self.upgrade_often("opt", OPT, mode="beside", between=find)
        self.assertEqual({0}, {step.pause_ns for step in steps})
        self.settle()
        self.assert_stops(self.daemon)

    def test_cri(self):
        self.begin()
        for name in ("Version", "Status", "ListContainers", "ListPodSandbox"):
            self.load("/runtime.v1.RuntimeService/" + name, connections=1, at_a_time=2)
        self.load("/runtime.v1.ImageService/ListImages", connections=1, at_a_time=2)
        watch = self.stream("/runtime.v1.RuntimeService/GetContainerEvents", protos.cri.GetEventsRequest(),
                            protos.cri.ContainerEventResponse)
        steps = self.upgrade_often("cri", "io.containerd.grpc.v1.cri", mode="beside", stream=watch)
        self.assertEqual({0}, {step.pause_ns for step in steps})
        self.settle()
        self.assertEqual(UPGRADES, watch.restarts)
        self.assert_stops(self.daemon)

    def interceptor(self, stem):
        """Without the namespace's interceptor a call of containers is refused. The generation that was replaced stays for as
        long as the stream that passes it; the report need not wait for that."""
        self.begin(plugins={"io.berth.interceptor.v1.access-log": {"enabled": True, "sample": 0}}, upgrade={"drain": "200ms"})
        self.load(CONTAINERS + "List", namespace="default")
        watch = self.stream(HEALTH + "Watch", protos.health.HealthCheckRequest(), protos.health.HealthCheckResponse)
        steps = self.upgrade_often(stem, f"io.berth.interceptor.v1.{stem}", mode="beside", settle=0.2)
        self.assertEqual({0}, {step.pause_ns for step in steps})
        self.settle()
        self.assertEqual(0, watch.restarts)
        self.assert_stops(self.daemon)

    def test_namespace(self):
        self.interceptor("namespace")

    def test_access_log(self):
        self.interceptor("access-log")


class State(Promises):
    def scrape(self):
        """Counters and counts of histograms, by row. Where nobody serves the text, what was there stays."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=PATIENCE).read().decode()
        kinds = dict(re.findall(r"# TYPE (\S+) (\S+)", text))
        rows = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {row: float(value) for row, value in rows.items()
                if kinds.get(row.split("{")[0]) == "counter" or re.match(r"\w+_(count|bucket)\{", row)}

    def assert_counts_on(self):
        """No counter goes back. Rows of the process and of the loop belong to no plugin."""
        now = self.scrape()
        for row, value in self.counted.items():
            if row in now:
                self.assertGreaterEqual(now[row], value, row)
        missing = [row for row in self.counted if row not in now and "plugin=" in row]
        self.counted = {**self.counted, **now}
        return missing

    def begin_counting(self, **settings):
        self.port = find_port()
        self.begin(plugins={"io.containerd.server.v1.metrics": {"address": f"127.0.0.1:{self.port}"},
                            "io.containerd.metrics.v1.grpc-prometheus": {"grpc_histogram": True}, **settings})
        self.counted = self.scrape()

    def test_deprecations_with_introspection(self):
        self.begin()
        self.load(INTROSPECTION + "Server", at_a_time=1)
        steps = self.upgrade_often("deprecations", "io.containerd.warning.v1.deprecations", mode="handover")
        self.assert_waits(steps, 1.0)
        self.settle()
        self.assert_stops(self.daemon)

    def test_metrics(self):
        self.begin_counting()
        self.load(HELLO, ADA)
        publish = protos.events.PublishRequest(topic="/a", event=Any(type_url="x.Y")).SerializeToString()
        self.load(EVENTS + "Publish", publish, namespace="default")
        steps = self.upgrade_often("metrics", "io.berth.metrics.v1.registry", mode="exclusive", settle=1.1,
                                   between=self.assert_counts_on)
        self.assert_waits(steps, 2.0)
        time.sleep(1.1)
        self.assert_counts_on()
        loads = self.settle()
        time.sleep(1.1)
        published = [value for row, value in self.scrape().items() if row.startswith("berth_events_published_total")]
        self.assertEqual([loads[1].calls], published)
        self.assert_stops(self.daemon)

    def test_tracing(self):
        """Each call has its span at the collector. One that is on its way longer than the drain waits may come twice."""
        receiver = HttpReceiver()
        self.addCleanup(receiver.close)
        self.workshop.add_default_modules("servers", "introspection", "greeter", "tracing")
        self.daemon = self.start(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.port}",
                                 OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_BSP_SCHEDULE_DELAY="20",
                                 OTEL_TRACES_SAMPLER="parentbased_always_on")
        caller = Caller(self.daemon.address, HELLO, ADA)
        steps = self.upgrade_often("tracing", "io.containerd.internal.v1.tracing", mode="exclusive", settle=0.2)
        self.assert_waits(steps, 1.0)
        calls = caller.stop().calls
        receiver.wait(calls, name=HELLO[1:])
        self.assert_stops(self.daemon)
        found = [span["span_id"] for span in receiver.find(name=HELLO[1:])]
        self.assertEqual(calls, len(set(found)))
        self.assertLess(len(found), calls * 1.2)


class Exclusive(Promises):
    def change_containers(self):
        """The same ones over and over: what is kept, and how long a list of it is, must not grow with the time."""
        with grpc.insecure_channel(f"unix:{self.daemon.address}") as channel:
            create = channel.unary_unary(CONTAINERS + "Create")
            for number in range(KEPT + 1):
                create(container().replace(b"c########", f"c{number:08}".encode()), timeout=PATIENCE,
                       metadata=(("containerd-namespace", "default"),))
        self.load(CONTAINERS + "Update", container(), namespace="default", connections=1, numbers=KEPT)

    def count_containers(self):
        with grpc.insecure_channel(f"unix:{self.daemon.address}") as channel:
            listing = channel.unary_stream(CONTAINERS + "ListStream")
            return len(list(listing(b"", timeout=PATIENCE, metadata=(("containerd-namespace", "default"),))))

    def objects(self, stem, service):
        """Of all services of metadata no call fails when one of them is replaced with whoever uses it."""
        self.begin()
        for path in (CONTAINERS, LEASES, NAMESPACES):
            self.load(path + "List", namespace="default", connections=1)
        self.change_containers()
        steps = self.upgrade_often(stem, f"io.containerd.service.v1.{service}", mode="exclusive")
        self.assert_waits(steps, 1.0)
        self.settle()
        self.assert_stops(self.daemon)

    def test_containers(self):
        self.objects("containers", "containers-service")

    def test_leases(self):
        self.objects("leases", "leases-service")

    def test_namespaces_with_both(self):
        self.objects("namespaces", "namespaces-service")

    def test_events_with_their_users(self):
        self.begin()
        publish = protos.events.PublishRequest(topic="/a", event=Any(type_url="x.Y")).SerializeToString()
        self.load(EVENTS + "Publish", publish, namespace="default", connections=1, at_a_time=1)
        subscriber = self.stream(EVENTS + "Subscribe", protos.events.SubscribeRequest(), protos.envelope.Envelope)
        steps = self.upgrade_often("events", "io.containerd.event.v1.exchange", mode="exclusive", stream=subscriber)
        self.assert_waits(steps, 1.0)
        heard, end = len(subscriber.messages), time.monotonic() + PATIENCE
        while len(subscriber.messages) == heard and time.monotonic() < end:
            time.sleep(0.02)
        self.assertGreater(len(subscriber.messages), heard)
        self.settle()
        self.assertEqual(UPGRADES, subscriber.restarts)
        self.assert_stops(self.daemon)

    def test_the_store_with_its_users(self):
        self.begin()
        self.load(CONTAINERS + "Create", container(), namespace="default", connections=1, at_a_time=4, numbers=20000000)
        steps = self.upgrade_often("store-lmdb", "io.berth.store.v1.lmdb", mode="exclusive")
        self.assert_waits(steps, 3.0)
        loads = self.settle()
        self.assertEqual(loads[0].calls, self.count_containers())
        self.assert_stops(self.daemon)

    def test_the_store_in_etcd_with_its_users(self):
        """The dry run tells how long calls would wait, because everything has to be read again."""
        etcd = Etcd()
        self.addCleanup(etcd.remove)
        etcd.start()
        self.workshop.add_default_modules()
        (self.workshop.plugins / "store-lmdb.so").unlink()
        self.workshop.write_config(plugins={ETCD: {"endpoints": [f"tcp:{etcd.endpoint}"], "prefix": "/promises"}})
        self.daemon = self.start()
        if IS_LONG:
            self.change_containers()
        else:
            self.load(CONTAINERS + "Create", container(), namespace="default", connections=1, numbers=20000000)
        self.new_version("store-etcd")
        report = self.change(self.daemon, "UPGRADE", ETCD, dry_run=True)
        step = next(step for step in report.steps if step.uri == ETCD)
        self.assertGreater(step.expected_pause_ns, 0, report)
        self.assertLess(step.expected_pause_ns, 10e9, report)
        steps = self.upgrade_often("store-etcd", ETCD, mode="exclusive")
        self.assert_waits(steps, 3.0)
        loads = self.settle()
        self.assertEqual(KEPT + 1 if IS_LONG else loads[0].calls, self.count_containers())
        self.assert_stops(self.daemon)


class Servers(Promises):
    def test_grpc_over_tcp(self):
        port = find_port()
        self.begin("servers", "introspection", "greeter", transports={"helloworld.Greeter": ["tcp"]},
                   plugins={"io.containerd.server.v1.grpc-tcp": {"address": f"127.0.0.1:{port}"}})
        self.load(HELLO, ADA, address=f"tcp:127.0.0.1:{port}")
        self.load(HELLO, ADA)
        self.upgrade_often("servers", "io.containerd.server.v1.grpc-tcp", mode="beside", settle=0.1)
        self.settle()
        self.assert_stops(self.daemon)

    def test_http_answers_whoever_had_just_connected(self):
        port = find_port()
        self.workshop.add("answers", Plugin("io.berth.http.v1", "answers", members=".interface = &page"), code=PAGE)
        self.begin("servers", "introspection", "http", plugins={"io.berth.server.v1.http": {"address": f"127.0.0.1:{port}"}},
                   upgrade={"drain": "50ms"})
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as early:
            time.sleep(0.2)
            self.upgrade(self.daemon, "http", "io.berth.server.v1.http")
            early.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = early.makefile("rb").read().decode()
        self.assertTrue(answer.startswith("HTTP/1.1 200 OK\r\n"), answer)
        self.assertIn("Connection: close\r\n", answer)
        self.assert_stops(self.daemon)

    def test_http(self):
        """Handlers of other plugins over connections that stay, and over one for each request."""
        ports = [find_port(), find_port()]
        self.workshop.add("answers", Plugin("io.berth.http.v1", "answers", members=".interface = &page"), code=PAGE)
        self.begin(plugins={"io.berth.server.v1.http": {"address": f"127.0.0.1:{ports[0]}"},
                            "io.containerd.server.v1.metrics": {"address": f"127.0.0.1:{ports[1]}"}})
        browsers = [Browser(port, path, keeps) for port, path in zip(ports, ("/page", "/metrics")) for keeps in (True, False)]
        self.load(HELLO, ADA, connections=1)
        self.upgrade_often("http", "io.berth.server.v1.http", mode="beside", settle=0.2)
        self.settle()
        for browser in browsers:
            browser.stop()
            self.assertLessEqual(browser.again, UPGRADES)
        self.assert_stops(self.daemon)

    def test_grpc(self):
        self.begin("servers", "introspection", "greeter")
        self.load(HELLO, ADA)
        self.upgrade_often("servers", "io.containerd.server.v1.grpc", mode="beside", settle=0.1)
        self.settle()
        self.assert_stops(self.daemon)

    def test_ttrpc(self):
        """A connection stays on the generation that took it."""
        self.begin("servers", "introspection", "greeter", upgrade={"drain": "200ms"})
        self.load(HELLO, ADA, protocol="ttrpc")
        self.upgrade_often("servers", "io.containerd.server.v1.ttrpc", mode="beside", settle=0.1)
        self.settle()
        self.assert_stops(self.daemon)


if __name__ == "__main__":
    unittest.main()
