# SPDX-License-Identifier: Apache-2.0
"""Events through berthd: published and forwarded over both transports, heard by Debian's ctr and by many others."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
import unittest

import grpc
import protos
from daemon import BUILD, PATIENCE, Case, environment, run
from google.protobuf.any_pb2 import Any
from google.protobuf.timestamp_pb2 import Timestamp
from test_ttrpc import REQUEST, Peer, request
from workshop import SOURCE

SERVICE = "/containerd.services.events.v1.Events/"
STORM = BUILD / "tests" / "integration" / "event_storm"
IS_SANITIZED = os.environ["BERTH_TEST_SANITIZE"] != "none"


def exit_of(container, prefix=""):
    """The event that tells of a container's end."""
    message = protos.tasks.TaskExit(container_id=container, pid=4)
    return Any(type_url=f"{prefix}containerd.events.TaskExit", value=message.SerializeToString())


def envelope(**fields):
    """An envelope that is good but for `fields`; None: without the field."""
    whole = {"timestamp": Timestamp(seconds=1, nanos=5), "namespace": "moby", "topic": "/tasks/exit", "event": exit_of("c1"),
             **fields}
    return protos.envelope.Envelope(**{name: value for name, value in whole.items() if value is not None})


class Listener:
    """A caller of Subscribe that is known to be subscribed."""

    def __init__(self, address, *filters):
        self.channel = grpc.insecure_channel(f"unix:{address}")
        subscribe = self.channel.unary_stream(SERVICE + "Subscribe",
                                              request_serializer=lambda message: message.SerializeToString(),
                                              response_deserializer=protos.envelope.Envelope.FromString)
        self.call = subscribe(protos.events.SubscribeRequest(filters=filters), timeout=PATIENCE)
        self.call.initial_metadata()

    def next(self):
        return next(self.call)

    def close(self):
        self.channel.close()


class EventsCase(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def unary(self, method, message, namespace="default"):
        with grpc.insecure_channel(f"unix:{self.daemon.address}") as channel:
            call = channel.unary_unary(SERVICE + method, request_serializer=lambda each: each.SerializeToString(),
                                       response_deserializer=bytes)
            return call(message, timeout=PATIENCE,
                        metadata=() if namespace is None else (("containerd-namespace", namespace),))

    def publish(self, topic, event, namespace="default"):
        return self.unary("Publish", protos.events.PublishRequest(topic=topic, event=event), namespace)

    def forward(self, **fields):
        return self.unary("Forward", protos.events.ForwardRequest(envelope=envelope(**fields)), None)

    def listen(self, *filters):
        listener = Listener(self.daemon.address, *filters)
        self.addCleanup(listener.close)
        return listener

    def assert_refused(self, code, message, call, *arguments, **fields):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, **fields)
        self.assertEqual((code, message), (caught.exception.code(), caught.exception.details()))


class Events(EventsCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.start()

    def test_what_is_published_is_heard_with_time_and_namespace(self):
        listener = self.listen()
        before = time.time()
        self.publish("/tasks/exit", exit_of("c1"), "moby")
        heard = listener.next()
        self.assertEqual(("moby", "/tasks/exit", exit_of("c1")), (heard.namespace, heard.topic, heard.event))
        self.assertLessEqual(before - 1, heard.timestamp.ToNanoseconds() / 1e9)
        self.assert_stops(self.daemon)

    def test_what_is_forwarded_is_heard_as_it_is(self):
        listener = self.listen()
        self.forward()
        self.assertEqual(envelope(), listener.next())
        self.assert_stops(self.daemon)

    def test_filters_choose_among_all_namespaces(self):
        listener = self.listen("namespace==b", 'topic~="^/images/"', "event.container_id==c2")
        for namespace, topic, event in (("a", "/tasks/exit", exit_of("c1")), ("b", "/tasks/exit", exit_of("c1")),
                                        ("a", "/images/create", Any(type_url="x.Unknown")),
                                        ("a", "/tasks/exit", exit_of("c2")),
                                        ("a", "/tasks/exit", exit_of("c2", "type.googleapis.com/")),
                                        ("a", "/tasks/exit", exit_of("c3")), ("b", "/the/end", exit_of("c3"))):
            self.publish(topic, event, namespace)
        heard = [listener.next() for _ in range(5)]
        self.assertEqual([("b", "/tasks/exit"), ("a", "/images/create"), ("a", "/tasks/exit"), ("a", "/tasks/exit"),
                          ("b", "/the/end")], [(each.namespace, each.topic) for each in heard])
        self.assert_stops(self.daemon)

    def test_what_containerd_refuses_is_refused_in_its_words(self):
        no_identifier = "must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument"
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        event = exit_of("c1")
        self.assert_refused(grpc.StatusCode.FAILED_PRECONDITION,
                            "failed publishing event: namespace is required: failed precondition",
                            self.publish, "no topic", event, None)
        self.assert_refused(invalid, f'failed publishing event: namespace validation: identifier "a b" {no_identifier}',
                            self.publish, "/a", event, "a b")
        self.assert_refused(invalid, 'envelope topic "": must not be empty: invalid argument', self.publish, "", event)
        self.assert_refused(invalid, "envelope topic \"x\": must start with '/': invalid argument",
                            self.publish, "x", event)
        self.assert_refused(invalid, "event envelope has invalid namespace: identifier must not be empty: invalid argument",
                            self.forward, namespace=None, topic=None, timestamp=None)
        self.assert_refused(invalid, f'event envelope has invalid namespace: identifier "a b" {no_identifier}',
                            self.forward, namespace="a b")
        self.assert_refused(invalid, "timestamp must be set on forwarded event: invalid argument",
                            self.forward, timestamp=None)
        self.assert_refused(grpc.StatusCode.UNKNOWN, "subscription error: failed parsing subscription filters: filters: "
                            "parse error: [id==]: expected value or quoted: invalid argument",
                            self.listen("id==").next)
        self.assert_stops(self.daemon)

    def test_what_ends_containerd_is_refused(self):
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        self.assert_refused(invalid, "envelope event: must be set: invalid argument", self.publish, "/a", None)
        self.assert_refused(invalid, "envelope event: must be set: invalid argument", self.forward, event=None)
        self.assert_refused(invalid, "envelope must be set: invalid argument",
                            self.unary, "Forward", protos.events.ForwardRequest())
        with Peer(self.daemon.address + ".ttrpc") as peer:
            peer.send(1, REQUEST, 0, request("containerd.services.events.ttrpc.v1.Events", "Forward"))
            self.assertEqual((3, "envelope must be set: invalid argument"), peer.status(1))
        self.assert_stops(self.daemon)

    def test_ttrpc_forwards_as_a_shim_does(self):
        listener = self.listen()
        with Peer(self.daemon.address + ".ttrpc") as peer:
            for stream, payload in ((1, envelope()), (3, envelope(topic="bad"))):
                message = protos.forwarding.ForwardRequest(envelope=payload).SerializeToString()
                peer.send(stream, REQUEST, 0, request("containerd.services.events.ttrpc.v1.Events", "Forward", message))
            self.assertEqual((0, ""), peer.status(1))
            self.assertEqual((3, "envelope topic \"bad\": must start with '/': invalid argument"), peer.status(3))
        self.assertEqual(envelope(), listener.next())
        self.assert_stops(self.daemon)

    def test_subscribers_neither_keep_a_daemon_from_stopping_nor_wait_for_it(self):
        listener = self.listen()
        self.daemon.send(signal.SIGTERM)
        self.assert_refused(grpc.StatusCode.UNAVAILABLE, "the daemon is stopping", listener.next)
        listener.close()
        self.assertEqual(0, self.daemon.wait(), self.daemon.log)

    def test_subscribers_come_and_go_while_events_flow(self):
        stop = threading.Event()

        def come_and_go():
            while not stop.is_set():
                listener = Listener(self.daemon.address, "event.container_id")
                listener.next()
                listener.close()

        threads = [threading.Thread(target=come_and_go) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            self.publish("/tasks/exit", exit_of("c1"))
        stop.set()
        while any(thread.is_alive() for thread in threads):
            self.publish("/tasks/exit", exit_of("c1"))
        self.assert_stops(self.daemon)


class Crowded(EventsCase):
    """A server that can hold a few of the events at a time, and more subscribers."""

    def publish_when_there_is_room(self, topic, event):
        """As a client must that meets a full server: a publisher is refused at once, only subscribers wait."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.publish(topic, event)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED or time.monotonic() > end:
                    raise
            time.sleep(0.02)

    def test_a_server_without_room_for_all_serves_them_one_after_the_other(self):
        limits = {"max_recv_message_bytes": "1MiB", "max_buffered_bytes": "2MiB"}
        self.workshop.write_config(plugins={"io.containerd.server.v1.grpc": limits})
        self.daemon = self.start()
        listeners = [self.listen() for _ in range(12)]
        large = [Any(type_url="x.Large", value=bytes([i]) * 700000) for i in range(3)]
        for event in large:
            self.publish_when_there_is_room("/large", event)
        for listener in listeners:
            self.assertEqual(large, [listener.next().event for _ in large])
        self.assert_stops(self.daemon)


class Example(EventsCase):
    def build(self):
        """As the README has it: its YAML, its C, and what berth-sdk makes of the first."""
        text = (SOURCE / "sdk/README.md").read_text(encoding="utf-8")
        section = text[text.index("## Events"):text.index("## Interceptors")]
        yaml = re.search(r"^(    module: diary\n.*?)^$", section, re.DOTALL | re.MULTILINE)[1]
        folder = self.workshop.top / "author"
        folder.mkdir()
        (folder / "plugin.yaml").write_text(yaml.replace("\n    ", "\n").lstrip(), encoding="utf-8")
        subprocess.run([BUILD / "tools/berth-sdk/berth-sdk", "generate", "plugin.yaml"], cwd=folder, check=True)
        source = re.search(r"```c\n(.*?)```", section, re.DOTALL)[1]
        self.workshop.compile("diary", source, "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                              "-Wno-missing-field-initializers", f"-I{folder}", str(folder / "diary-plugin.c"))

    def test_the_example_of_the_readme_logs_what_its_filter_lets_through(self):
        self.build()
        self.daemon = self.start()
        self.publish("/tasks/start", exit_of("c1"))
        self.publish("/tasks/exit", exit_of("c1"), "moby")
        self.daemon.wait_for_log("diary: namespace=moby topic=/tasks/exit type=containerd.events.TaskExit")
        self.assertNotIn("/start", self.daemon.log)
        self.assert_stops(self.daemon)


@unittest.skipIf(shutil.which("ctr") is None, "ctr is not installed (Debian's package containerd)")
class Ctr(EventsCase):
    def test_ctr_prints_events_that_pass_its_filter(self):
        self.daemon = self.start()
        ctr = subprocess.Popen(["ctr", "--address", self.daemon.address, "events", "event.container_id==c1"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
        self.addCleanup(ctr.wait)
        self.addCleanup(ctr.kill)
        self.addCleanup(ctr.stdout.close)
        line = self.publish_until_printed(ctr)
        self.assertRegex(line, r'^20\d\d-.* \+0000 UTC moby /tasks/exit \{"container_id":"c1","pid":4,.*\}$')
        self.daemon.send(signal.SIGTERM)
        printed = [line, *ctr.stdout.read().splitlines()]
        self.assertEqual([], [each for each in printed[:-1] if "/tasks/exit" not in each])
        self.assertIn("code = Unavailable desc = the daemon is stopping", printed[-1])
        self.assertEqual(1, ctr.wait(PATIENCE))
        self.assertEqual(0, self.daemon.wait(), self.daemon.log)

    def test_what_ctr_does_is_told(self):
        self.daemon = self.start()
        listener = self.listen('topic~="^/namespaces/"', "event.id==c1")
        for arguments in (["namespaces", "create", "n1", "colour=red"], ["namespaces", "label", "n1", "colour=blue"],
                          ["-n", "n1", "containers", "create", "--rootfs", "/", "c1", "true"],
                          ["-n", "n1", "containers", "rm", "c1"], ["namespaces", "rm", "n1"]):
            done = run("ctr", "--address", self.daemon.address, *arguments)
            self.assertEqual(0, done.returncode, done.stderr)
        heard = [listener.next() for _ in range(5)]
        self.assertEqual(["/namespaces/create", "/namespaces/update", "/containers/create", "/containers/delete",
                          "/namespaces/delete"], [each.topic for each in heard])
        self.assertEqual(["containerd.events." + name for name in (
            "NamespaceCreate", "NamespaceUpdate", "ContainerCreate", "ContainerDelete", "NamespaceDelete")],
                         [each.event.type_url for each in heard])
        self.assert_stops(self.daemon)

    def publish_until_printed(self, ctr):
        """ctr does not say when it has subscribed."""
        printed = []
        reader = threading.Thread(target=lambda: printed.append(ctr.stdout.readline().rstrip()))
        reader.start()
        while reader.is_alive():
            self.publish("/tasks/exit", exit_of("c1"), "moby")
            self.publish("/tasks/other", exit_of("c2"), "moby")
            reader.join(0.05)
        return printed[0]


class Storm(EventsCase):
    """Many subscribers, one of them stopped, and more events than it may be behind."""

    SUBSCRIBERS, PUBLISHERS, EVENTS, BEHIND = (10, 4, 5000, 8000) if IS_SANITIZED else (100, 4, 25000, 65536)
    # What the daemon takes besides, and the stopped one's events, each with what it costs to keep it.
    MAX_RESIDENT_KIB = 64 * 1024

    def run_storm(self, *arguments):
        process = subprocess.Popen([str(STORM), *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def subscribe(self, count):
        process = self.run_storm("subscribe", self.daemon.address, count, self.PUBLISHERS, self.EVENTS)
        self.assertEqual("ready\n", process.stdout.readline())
        return process

    def most_resident_kib(self):
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

    def test_who_reads_gets_everything_in_order_and_who_does_not_is_told(self):
        self.workshop.write_config(plugins={"io.containerd.grpc.v1.events": {"max_queued_events": self.BEHIND}})
        self.daemon = self.start()
        stopped, readers = self.subscribe(1), self.subscribe(self.SUBSCRIBERS - 1)
        stopped.send_signal(signal.SIGSTOP)
        publishers = [self.run_storm("publish", self.daemon.address, i, self.EVENTS) for i in range(self.PUBLISHERS)]
        for publisher in publishers:
            self.assertEqual(("", 0), (publisher.stdout.read(), publisher.wait(PATIENCE)))
        self.assertEqual("all\n", readers.stdout.read(), self.daemon.log)
        resident = self.most_resident_kib()
        stopped.send_signal(signal.SIGCONT)
        self.assertIn(f"RESOURCE_EXHAUSTED: the subscriber is too slow: it is {self.BEHIND} events (",
                      stopped.stdout.read())
        if not IS_SANITIZED:
            self.assertLess(resident, self.MAX_RESIDENT_KIB)
        self.assert_stops(self.daemon)
