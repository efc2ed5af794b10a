# SPDX-License-Identifier: Apache-2.0
"""Hand-made HTTP/2, and what must hold while a daemon is attacked: others are served, memory and log stay bounded."""

import collections
import contextlib
import json
import re
import resource
import socket
import struct
import threading
import time

import grpc
import protos
from daemon import BUILD, Case

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
ACK, END_STREAM, END_HEADERS = 1, 1, 4
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])
SERVER = "io.containerd.server.v1.grpc"
SAY_HELLO = "/helloworld.Greeter/SayHello"
KIB, MIB = 1024, 1024 * 1024

# What a sanitizer keeps of freed memory.
_OPTIONS = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text())
IS_SANITIZED = any(option["name"] == "b_sanitize" and option["value"] not in ("none", []) for option in _OPTIONS)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value, first=b"\0"):
    """A header that HPACK leaves out of its table, unless `first` is 0x40."""
    size = bytes([len(value)]) if len(value) < 127 else b"\x7f" + varint(len(value) - 127)
    return first + bytes([len(name)]) + name.encode() + size + value


def varint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def request_headers(path=SAY_HELLO, **more):
    text = {":path": path, ":authority": "localhost", "content-type": "application/grpc", "te": "trailers",
            **{name.replace("_", "-"): value for name, value in more.items()}}
    return b"\x83\x86" + b"".join(literal(name, value.encode()) for name, value in text.items())


def open_call(stream, flags=END_HEADERS, **more):
    return frame(HEADERS, flags, stream, request_headers(**more))


class Peer:
    """A client that says what no honest one does."""

    def __init__(self, address, greets=True, source=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(30)
        if source is not None:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        self.rest = b""
        self.window = 65535
        if greets:
            self.send(GREETING)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, data):
        """@return whether the other side still takes it."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def read(self):
        """The next frame: kind, flags, stream, payload; None at the end of the connection."""
        while len(self.rest) < 9 or len(self.rest) < 9 + int.from_bytes(self.rest[:3], "big"):
            try:
                more = self.socket.recv(256 * KIB)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.rest += more
        length, (kind, flags, stream) = int.from_bytes(self.rest[:3], "big"), struct.unpack(">BBI", self.rest[3:9])
        payload, self.rest = self.rest[9:9 + length], self.rest[9 + length:]
        if kind == WINDOW_UPDATE and stream == 0:
            self.window += int.from_bytes(payload, "big")
        return kind, flags, stream, payload

    def settle(self):
        """Confirms the server's settings, which widens the windows of calls to come."""
        self.read_until(SETTINGS)
        self.send(frame(SETTINGS, ACK, 0))
        return self

    def read_until(self, kind, stream=0):
        """Fails where the connection ends before."""
        while True:
            got = self.read()
            if got is None:
                raise EOFError
            if got[0] == kind and got[2] == stream:
                return got

    def await_end(self):
        while self.read() is not None:
            pass

    def send_data(self, stream, data, ends):
        """As much as the connection's window takes at a time."""
        for at in range(0, len(data), 16 * KIB):
            piece = data[at:at + 16 * KIB]
            while self.window < len(piece):
                if self.read() is None:
                    raise EOFError
            self.window -= len(piece)
            self.send(frame(DATA, END_STREAM if ends and at + len(piece) == len(data) else 0, stream, piece))


class Bystander:
    """Somebody who wants nothing but to be served, all along, each time within ten seconds."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(f"unix:{address}", options=[("grpc.enable_retries", 0)])
        self.call = self.channel.unary_unary(SAY_HELLO, request_serializer=lambda message: message.SerializeToString(),
                                             response_deserializer=protos.greeter.HelloReply.FromString)
        self.served, self.failures, self.is_over = 0, [], threading.Event()
        self.ask()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def ask(self):
        self.call(protos.greeter.HelloRequest(name="bystander"), timeout=10)
        self.served += 1

    def run(self):
        while not self.is_over.wait(0.01):
            try:
                self.ask()
            except grpc.RpcError as error:
                self.failures.append(str(error))

    def stop(self):
        self.is_over.set()
        self.thread.join(60)
        self.channel.close()


class AttackCase(Case):
    def serve(self, preexec=None, plugins=None, **settings):
        self.workshop.add_default_modules()
        self.workshop.write_config(plugins={SERVER: settings, **(plugins or {})})
        # What meson sets fills memory that nobody would touch.
        self.daemon = self.launch(preexec=preexec, MALLOC_PERTURB_=0).wait_for()
        return self.daemon

    def memory(self, name):
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
            status = file.read()
        return int(re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)[1]) * KIB

    @contextlib.contextmanager
    def attack(self, may_take):
        """`may_take` is how many bytes more the daemon may have at its worst moment."""
        bystander = Bystander(self.daemon.address)
        with open(f"/proc/{self.daemon.pid}/clear_refs", "w", encoding="ascii") as clear:
            clear.write("5")
        before, began, served = self.memory("VmRSS"), time.monotonic(), bystander.served
        try:
            yield bystander
            bystander.ask()
        finally:
            bystander.stop()
        self.assertEqual([], bystander.failures)
        self.assertGreater(bystander.served, served)
        self.assertTrue(self.daemon.is_alive(), self.daemon.log)
        if not IS_SANITIZED:
            self.assertLess(self.memory("VmHWM") - before, may_take)
        self.assert_log_is_quiet(time.monotonic() - began)
        self.assert_stops(self.daemon)

    def assert_log_is_quiet(self, seconds):
        causes = collections.Counter(re.sub(r"\d+", "#", line) for line in self.daemon.log.splitlines())
        for line, count in causes.items():
            self.assertLessEqual(count, seconds + 2, line)


def allow_descriptors(count):
    """@return whether this process and those that it starts may have so many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return True
