# SPDX-License-Identifier: Apache-2.0
"""What berthd.yaml says of the servers, seen from outside; and the mistakes that can be made there."""

import os
import socket
import struct
import time
import unittest
import zlib

import ask
import grpc
import protos
from daemon import Case
from test_ttrpc import Peer as TtrpcPeer, REQUEST, request
from workshop import Plugin

GRPC, TCP, TTRPC = (f"io.containerd.server.v1.{name}" for name in ("grpc", "grpc-tcp", "ttrpc"))
GREETER = "io.containerd.grpc.v1.greeter"
HELLO = "/helloworld.Greeter/SayHello"
# A service whose plugin names no transport.
SILENT = """
static void on_message(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static const struct berth_method methods[] = {{.name = "Do", .on_message = on_message}};
static const struct berth_service service = {.size = sizeof(service), .method_size = sizeof(methods[0]),
                                             .name = "a.Silent", .methods = methods, .method_count = 1};
static const struct berth_service *const silent_services[] = {&service, NULL};
"""
DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7
INVALID_ARGUMENT, RESOURCE_EXHAUSTED = 3, 8
ACK, END_STREAM, END_HEADERS = 1, 1, 4


class Peer:
    """A client of HTTP/2 that sends frames as they are and does nothing by itself."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(address)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send(SETTINGS)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, kind, flags=0, stream=0, payload=b""):
        self.socket.sendall(struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload)

    def begin(self, stream, **more):
        """Opens a call of the greeter. Header fields as RFC 7541 6.2.2 has them: literal, in no table."""
        fields = {":method": "POST", ":scheme": "http", ":authority": "test", ":path": HELLO, "te": "trailers",
                  "content-type": "application/grpc", **{name.replace("_", "-"): value for name, value in more.items()}}
        block = b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
                         for name, value in fields.items())
        self.send(HEADERS, END_HEADERS, stream, block)

    def read(self):
        """The next frame: kind, flags, stream, payload."""
        head = self.receive(9)
        return (*struct.unpack(">BBI", head[3:]), self.receive(int.from_bytes(head[:3], "big")))

    def receive(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def wait_for(self, wanted):
        while True:
            kind, flags, _, payload = self.read()
            if kind == SETTINGS and not flags & ACK:
                self.send(SETTINGS, ACK)
            if kind == wanted:
                return payload


def message(name, announced=None):
    """A HelloRequest with the prefix of gRPC."""
    data = protos.greeter.HelloRequest(name=name).SerializeToString()
    return struct.pack(">BI", 0, announced or len(data)) + data


class Servers(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def configure(self, greeter=None, **settings):
        """Sections by the last word of the server's URI."""
        sections = {f"io.containerd.server.v1.{name.replace('_', '-')}": section for name, section in settings.items()}
        self.workshop.write_config(plugins={GREETER: greeter or {}, **sections})

    def serve(self, **settings):
        self.configure(**settings)
        self.daemon = self.start()

    def hello(self, name="me", channel=None, **options):
        with channel or ask.channel(self.daemon.address) as channel:
            call = channel.unary_unary(HELLO, request_serializer=protos.greeter.HelloRequest.SerializeToString,
                                       response_deserializer=protos.greeter.HelloReply.FromString)
            return call(protos.greeter.HelloRequest(name=name), timeout=60, **options).message

    def assert_code(self, code, function, *arguments, **options):
        with self.assertRaises(grpc.RpcError) as raised:
            function(*arguments, **options)
        self.assertEqual(code, raised.exception.code(), raised.exception)
        return raised.exception.details()


class Options(Servers):
    def reply(self, **headers):
        with Peer(self.daemon.address) as peer:
            peer.begin(1, **headers)
            peer.send(DATA, END_STREAM, 1, message("x" * 1000))
            return peer.wait_for(DATA)

    def test_compression_always_compresses_for_clients_that_take_it(self):
        self.serve(grpc={"compression": "always"})
        reply = self.reply(grpc_accept_encoding="identity,gzip")
        self.assertEqual(1, reply[0])
        self.assertIn(b"x" * 1000, zlib.decompress(reply[5:], wbits=31))
        self.assertEqual(0, self.reply()[0])
        self.assertIn("me", self.hello(compression=grpc.Compression.Gzip))
        self.assert_stops(self.daemon)

    def test_compression_never_takes_nothing_compressed(self):
        self.serve(grpc={"compression": "never"})
        self.assertEqual(0, self.reply(grpc_accept_encoding="identity,gzip")[0])
        self.assert_code(grpc.StatusCode.UNIMPLEMENTED, self.hello, "x" * 1000, compression=grpc.Compression.Gzip)
        self.assert_stops(self.daemon)

    def test_a_connection_is_sent_away_for_its_age_and_callers_see_nothing_of_it(self):
        self.serve(grpc={"max_age": "200ms", "max_age_grace": "10s"})
        with ask.channel(self.daemon.address) as channel, Peer(self.daemon.address) as peer:
            call = channel.unary_unary(HELLO, request_serializer=protos.greeter.HelloRequest.SerializeToString)
            peer.wait_for(GOAWAY)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                call(protos.greeter.HelloRequest(name="me"), timeout=60)
        self.assert_stops(self.daemon)

    def test_an_idle_connection_is_sent_away(self):
        self.serve(grpc={"max_idle": "100ms"}, ttrpc={"max_idle": "100ms"})
        with Peer(self.daemon.address) as peer, TtrpcPeer(self.daemon.address + ".ttrpc") as other:
            peer.wait_for(GOAWAY)
            self.assertRaises(EOFError, other.read)
        self.assert_stops(self.daemon)

    def test_a_silent_client_is_pinged_and_then_lost(self):
        self.serve(grpc={"keepalive_time": "100ms", "keepalive_timeout": "100ms"})
        with Peer(self.daemon.address) as peer:
            peer.wait_for(PING)
            self.assertRaises(EOFError, peer.wait_for, GOAWAY)
        self.assert_stops(self.daemon)

    def test_a_frame_that_is_never_completed_ends_the_connection(self):
        self.serve(grpc={"frame_timeout": "100ms"})
        with Peer(self.daemon.address) as peer:
            peer.wait_for(SETTINGS)
            peer.begin(1)
            peer.socket.sendall(b"\0\0\5\0")
            self.assertRaises(EOFError, peer.wait_for, GOAWAY)
        self.assert_line(self.daemon.log, "frame_timeout")
        self.assert_stops(self.daemon)

    def test_who_never_shakes_hands_is_lost(self):
        self.serve(grpc={"handshake_timeout": "100ms"})
        with socket.socket(socket.AF_UNIX) as mute:
            mute.settimeout(60)
            mute.connect(self.daemon.address)
            while mute.recv(1000):
                pass
        self.assert_stops(self.daemon)

    def test_headers_beyond_the_bound_are_refused(self):
        self.serve(grpc={"max_header_list_bytes": "2KiB"}, ttrpc={"max_header_list_bytes": "2KiB"})
        self.assertIn("me", self.hello())
        self.assert_code(grpc.StatusCode.RESOURCE_EXHAUSTED, self.hello, metadata=[("key", "x" * 3000)])
        with TtrpcPeer(self.daemon.address + ".ttrpc") as peer:
            peer.send(1, REQUEST, 0, request("helloworld.Greeter", "SayHello", key="x" * 3000))
            self.assertEqual(RESOURCE_EXHAUSTED, peer.status(1)[0])
        self.assert_stops(self.daemon)

    def assert_is_taken(self, length):
        """The greeter gets the name, for which only it is too long."""
        self.assertIn("max_name", self.assert_code(grpc.StatusCode.INVALID_ARGUMENT, self.hello, "x" * length))

    def test_max_buffered_bytes_are_of_all_clients_together(self):
        # 1 KiB becomes the least that there may be: twice the largest message.
        self.serve(grpc={"max_recv_message_bytes": "32KiB", "max_buffered_bytes": "1KiB"})
        self.assert_is_taken(30_000)
        with Peer(self.daemon.address) as peer:
            peer.begin(1)
            unfinished = message("x" * 30_000, announced=32_000)
            for at in range(0, len(unfinished), 16_000):
                peer.send(DATA, 0, 1, unfinished[at:at + 16_000])
            peer.send(PING, 0, 0, bytes(8))
            peer.wait_for(PING)
            self.assert_code(grpc.StatusCode.RESOURCE_EXHAUSTED, self.hello, "x" * 30_000)
            self.assertIn("me", self.hello())
        self.assert_is_taken(30_000)
        self.assert_stops(self.daemon)

    def test_the_same_over_ttrpc(self):
        self.serve(ttrpc={"max_recv_message_bytes": "1MiB", "max_buffered_bytes": "2MiB"})
        large = request("helloworld.Greeter", "SayHello", protos.greeter.HelloRequest(name="x" * 1_000_000).SerializeToString())
        begun = struct.pack(">IIBB", len(large), 1, REQUEST, 0) + large
        with TtrpcPeer(self.daemon.address + ".ttrpc") as peer, TtrpcPeer(self.daemon.address + ".ttrpc") as other:
            other.send(1, REQUEST, 0, large)
            self.assertEqual(INVALID_ARGUMENT, other.status(1)[0])
            peer.socket.sendall(begun[:-1])
            other.send(3, REQUEST, 0, request("helloworld.Greeter", "SayHello"))
            self.assertEqual(0, other.status(3)[0])
            self.assertEqual(RESOURCE_EXHAUSTED, self.ask_until_refused(other, large))
            peer.socket.sendall(begun[-1:])
            self.assertEqual(INVALID_ARGUMENT, peer.status(1)[0])
            other.send(1001, REQUEST, 0, large)
            self.assertEqual(INVALID_ARGUMENT, other.status(1001)[0])
        self.assert_stops(self.daemon)

    def ask_until_refused(self, peer, data):
        """Nothing says when the daemon has read what another one has begun."""
        for stream in range(5, 1001, 2):
            peer.send(stream, REQUEST, 0, data)
            code = peer.status(stream)[0]
            if code != INVALID_ARGUMENT:
                return code
        return code


class Mistakes(Servers):
    """Each is told with what to do about it: what the configuration alone shows before anything is loaded."""

    def setUp(self):
        super().setUp()
        for name in ("server", "other"):
            self.workshop.certify(name)

    def path(self, name):
        return str(self.workshop.top / name)

    def assert_told(self, text, seen_by_check=True, **settings):
        """The plugin itself has to look: only its own start fails, and `config check --load` says it before."""
        self.configure(grpc_tcp=settings)
        self.assertEqual(0, self.berthd("config", "check", "--config", self.workshop.config).returncode)
        done = self.berthd("config", "check", "--load", "--config", self.workshop.config)
        self.assertEqual(3 if seen_by_check else 0, done.returncode, done.stderr)
        if seen_by_check:
            self.assert_line(done.stderr, "berthd.yaml:", TCP, text)
            self.assertIn("1 plugin could not be loaded with this configuration", done.stderr)
        daemon = self.start()
        self.assert_line(daemon.log, TCP, text)
        self.assertEqual("failed", self.plugins(daemon)[TCP].state)
        self.assert_stops(daemon)

    def assert_refused(self, text, **settings):
        """By run, plan and config check alike."""
        self.configure(grpc_tcp=settings)
        self.assertIn("berthd.yaml:", self.assert_refuses(3, TCP, text))
        for command in (("plan",), ("config", "check")):
            done = self.berthd(*command, "--config", self.workshop.config)
            self.assertEqual(3, done.returncode, done.stderr)
            self.assert_line(done.stderr, TCP, text)

    def test_addresses(self):
        for address, problem in (("127.0.0.1", "has no port"), ("127.0.0.1:", '"" is not a port number'),
                                 ("127.0.0.1:99999", "port 99999 is out of range (0 to 65535)"),
                                 (":50051", "has no host before the port"),
                                 ("::1:50051", "an IPv6 address is written in brackets (try [::1]:50051)")):
            with self.subTest(address=address):
                self.assert_refused(problem, address=address)
        self.assert_refused("is not an IP address and port (try 127.0.0.1:50051, [::1]:50051, or 0.0.0.0:50051)",
                            address="example.com:50051")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.assert_told("another process is already listening there; stop it or choose another port",
                             seen_by_check=False, address=address)
        for address in ("0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0", "[::ffff:192.0.2.1]:0", "192.0.2.1:0"):
            with self.subTest(address=address):
                self.assert_told("set tls_cert and tls_key, or insecure: true", address=address)

    def test_loopback_is_loopback_however_it_is_written(self):
        for address in ("127.0.0.1:0", "127.1.2.3:0", "[127.0.0.1]:0", "[::ffff:127.0.0.1]:0", "[::1]:0",
                        "[0:0:0:0:0:0:0:1]:0", "[::1%lo]:0", "localhost:0", "tcp:localhost:0"):
            with self.subTest(address=address):
                self.configure(grpc_tcp={"address": address})
                daemon = self.start()
                self.assertIn(f"listening address={address.removeprefix('tcp:')[:-1]}", daemon.log)
                self.assert_stops(daemon)

    def test_certificates_and_keys(self):
        own = {"address": "127.0.0.1:0", "tls_cert": self.path("server.pem"), "tls_key": self.path("server.key")}
        for text, change in (("set tls_key too", {"tls_key": None}), ("set tls_cert too", {"tls_cert": None}),
                             ("does not belong to the certificate", {"tls_key": self.path("other.key")}),
                             ("it contains no PEM block", {"tls_cert": self.path("server.key")})):
            with self.subTest(text=text):
                self.assert_told(text, **{key: value for key, value in {**own, **change}.items() if value is not None})
        for text, change in (("No such file", {"tls_key": self.path("none.key")}),
                             ("is not a regular file", {"tls_ca": self.path(".")})):
            with self.subTest(text=text):
                self.assert_refused(text, **{**own, **change})

    @unittest.skipIf(os.geteuid() == 0, "root may read all")
    def test_a_key_that_may_not_be_read(self):
        os.chmod(self.path("server.key"), 0)
        self.assert_refused("Permission denied", address="127.0.0.1:0",
                         tls_cert=self.path("server.pem"), tls_key=self.path("server.key"))


class Transports(Servers):
    """Nothing is on TCP or on ttrpc unless its plugin says so."""

    def setUp(self):
        super().setUp()
        self.workshop.add("silent", Plugin("io.containerd.grpc.v1", "silent", yaml="services: {a.Silent: {Do: unary}}",
                                           code=SILENT, members=".services = silent_services"))
        self.serve(grpc_tcp={"address": "127.0.0.1:0"})
        self.plugins = ask.plugins(self.daemon.address)
        self.services = {service for plugin in self.plugins.values() for service in plugin.message.services}
        self.assertLess({"a.Silent", "berth.inspect.v1.Inspect", "helloworld.Greeter"}, self.services)

    def over_grpc(self, channel):
        """The services of which the server has heard, by asking each for a method that none has."""
        with channel:
            answers = {service: self.assert_code(grpc.StatusCode.UNIMPLEMENTED, channel.unary_unary(f"/{service}/Nope"),
                                                 b"", timeout=60) for service in self.services}
        for service, text in answers.items():
            self.assertIn(text, (f"unknown service {service}", f"unknown method Nope for service {service}"))
        return {service for service, text in answers.items() if text.startswith("unknown method")}

    def over_ttrpc(self):
        known = set()
        with TtrpcPeer(self.daemon.address + ".ttrpc") as peer:
            for i, service in enumerate(sorted(self.services)):
                peer.send(2 * i + 1, REQUEST, 0, request(service, "Nope"))
                code, text = peer.status(2 * i + 1)
                self.assertIn((code, text), ((12, f"service {service}"), (12, "method Nope")))
                known |= {service} if text == "method Nope" else set()
        return known

    def test_each_carries_what_plugins_let_it(self):
        address = next(export.value for export in self.plugins[TCP].message.exports if export.key == "address")
        everywhere = {"helloworld.Greeter", "grpc.health.v1.Health"}
        reflection = {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
        self.assertEqual(everywhere | reflection, self.over_grpc(grpc.insecure_channel(address)))
        events = {"containerd.services.events.ttrpc.v1.Events"}
        self.assertEqual(everywhere | events, self.over_ttrpc())
        self.assertEqual(self.services - events, self.over_grpc(ask.channel(self.daemon.address)))
        self.assert_stops(self.daemon)


if __name__ == "__main__":
    unittest.main()
