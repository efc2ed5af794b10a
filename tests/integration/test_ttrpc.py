# SPDX-License-Identifier: Apache-2.0
"""berthd over ttrpc: calls of its services, and frames that no client sends."""

import os
import socket
import struct
import unittest

from daemon import Case

SERVER = "io.containerd.server.v1.ttrpc"
REQUEST, RESPONSE, DATA = 1, 2, 3


def field(number, data):
    """A field of bytes in Protocol Buffers' wire format."""
    assert number < 16
    length, size = len(data), b""
    while length > 0x7F:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    """The fields of a message of varints and bytes, by number."""
    found, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        found[tag >> 3] = value
    return found


def request(service, method, payload=b"", **metadata):
    pairs = b"".join(field(5, field(1, key.replace("_", "-").encode()) + field(2, value.encode()))
                     for key, value in metadata.items())
    return field(1, service.encode()) + field(2, method.encode()) + field(3, payload) + pairs


class Peer:
    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(address)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, stream, kind, flags, data=b""):
        self.socket.sendall(struct.pack(">IIBB", len(data), stream, kind, flags) + data)

    def receive(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def read(self):
        length, stream, kind, flags = struct.unpack(">IIBB", self.receive(10))
        return stream, kind, flags, self.receive(length)

    def status(self, stream):
        """Code and message of the Response that must come."""
        found, kind, _, data = self.read()
        assert (found, kind) == (stream, RESPONSE), (found, kind, data)
        status = fields(fields(data).get(1, b""))
        return status.get(1, 0), status.get(2, b"").decode()


class Ttrpc(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.daemon = self.start()
        self.address = str(self.workshop.state / "berth.sock.ttrpc")

    def greet(self, peer, stream, name="Ada"):
        peer.send(stream, REQUEST, 0, request("helloworld.Greeter", "SayHello", field(1, name.encode()),
                                              containerd_namespace_ttrpc="default"))
        found, kind, _, data = peer.read()
        self.assertEqual((stream, RESPONSE), (found, kind))
        self.assertEqual(field(1, b"Hello " + name.encode()), fields(data)[2], data)

    def test_a_service_is_called(self):
        with Peer(self.address) as peer:
            self.greet(peer, 1)
            self.greet(peer, 3, "x" * 4000)
        self.assert_stops(self.daemon)

    def test_a_server_stream_is_data_and_an_end(self):
        with Peer(self.address) as peer:
            peer.send(1, REQUEST, 1, request("helloworld.Greeter", "SpellHello", field(1, b"Al")))
            frames = []
            while not frames or frames[-1][2] == 0:
                frames.append(peer.read())
            self.assertEqual({DATA}, {frame[1] for frame in frames})
            self.assertEqual(5, frames[-1][2])
            self.assertGreater(len(frames), 1)
        self.assert_stops(self.daemon)

    def test_what_does_not_name_ttrpc_is_not_carried(self):
        with Peer(self.address) as peer:
            service = "containerd.services.introspection.v1.Introspection"
            peer.send(1, REQUEST, 0, request(service, "Server"))
            self.assertEqual((12, f"service {service}"), peer.status(1))
            peer.send(3, REQUEST, 0, request("helloworld.Greeter", "Nope"))
            self.assertEqual((12, "method Nope"), peer.status(3))
        self.assert_stops(self.daemon)

    def test_odd_frames_are_answered_and_harm_nobody(self):
        with Peer(self.address) as peer:
            peer.send(2, REQUEST, 0, request("helloworld.Greeter", "SayHello"))
            self.assertEqual((3, "StreamID must be odd for client initiated streams"), peer.status(2))
            peer.send(1, DATA, 0, b"lost")
            self.assertEqual((3, "StreamID is no longer active"), peer.status(1))
            peer.send(3, REQUEST, 0, b"\xff\xff")
            self.assertEqual(3, peer.status(3)[0])
            peer.send(3, REQUEST, 0, request("helloworld.Greeter", "SayHello"))
            self.assertEqual((3, "StreamID cannot be re-used and must increment"), peer.status(3))
            peer.send(5, REQUEST, 0, bytes(4194425))
            self.assertEqual((8, "message length 4194425 exceed maximum message size of 4194304"),
                             peer.status(5))
            peer.send(7, REQUEST, 0, request("helloworld.Greeter", "SayHello", b"\x0a\xff"))
            self.assertEqual(13, peer.status(7)[0])
            self.greet(peer, 9)
        self.assert_stops(self.daemon)

    def test_garbage_costs_only_its_connection(self):
        with Peer(self.address) as witness:
            for garbage in (b"", b"\xff" * 100_000, b"\0" * 100_000, os.urandom(50_000),
                            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
                with Peer(self.address) as peer:
                    try:
                        peer.socket.sendall(garbage)
                        peer.socket.shutdown(socket.SHUT_WR)
                        while peer.socket.recv(65536):
                            pass
                    except OSError:
                        pass
            self.greet(witness, 1)
        self.assertLess(self.daemon.log.count("ttrpc"), 60, self.daemon.log)
        self.assert_stops(self.daemon)

    def test_a_call_that_runs_ends_when_the_daemon_stops(self):
        with Peer(self.address) as peer:
            self.greet(peer, 1)
            self.assert_stops(self.daemon)
            self.assertRaises((EOFError, OSError), peer.read)


if __name__ == "__main__":
    unittest.main()
