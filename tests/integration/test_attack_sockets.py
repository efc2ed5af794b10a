# SPDX-License-Identifier: Apache-2.0
"""Connections that are slow, silent, too many or no HTTP/2 at all: they go, and there is room for others."""

import os
import re
import resource
import time
import unittest

from attack import END_HEADERS, END_STREAM, GREETING, HEADERS, KIB, MIB, AttackCase, Peer, allow_descriptors, open_call

TCP = "io.containerd.server.v1.grpc-tcp"
MANY = 10_000


class Sockets(AttackCase):
    def test_prefaces_that_come_byte_by_byte(self):
        self.serve(handshake_timeout="1s")
        with self.attack(8 * MIB):
            peers = [Peer(self.daemon.address, greets=False) for _ in range(100)]
            for at in range(len(GREETING) - 1):
                if not all([peer.send(GREETING[at:at + 1]) for peer in peers]):
                    break
                time.sleep(0.1)
            for peer in peers:
                peer.await_end()
                peer.socket.close()

    def test_half_open_connections(self):
        self.serve(keepalive_time="1s", keepalive_timeout="1s")
        with self.attack(8 * MIB):
            peers = [Peer(self.daemon.address) for _ in range(100)]
            for peer in peers:
                peer.send(open_call(1))
            for peer in peers:
                peer.await_end()
                peer.socket.close()

    def test_no_descriptor_left(self):
        allow_descriptors(1024)
        self.serve(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512)), max_connections=100_000)
        with self.attack(512 * 16 * KIB):
            peers = [Peer(self.daemon.address) for _ in range(600)]
            self.assertIsNone(peers[-1].read())
            self.daemon.wait_for_log("RLIMIT_NOFILE")
            for peer in peers:
                peer.socket.close()
            self.await_room()

    def await_room(self):
        end = time.monotonic() + 20
        while True:
            with Peer(self.daemon.address) as peer:
                if peer.read() is not None:
                    return
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)

    def test_ten_thousand_connections(self):
        if not allow_descriptors(MANY + 500):
            self.skipTest("this user may not have as many descriptors (ulimit -Hn)")
        self.serve(max_connections=MANY + 100)
        with self.attack(MANY * 16 * KIB):
            peers = []
            for _ in range(MANY):
                peers.append(Peer(self.daemon.address))
                peers[-1].read()
            for peer in peers:
                peer.socket.close()

    def assert_garbage_is_survived(self, *addresses):
        with self.attack(16 * MIB):
            for address in addresses:
                for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 300_000, b"\xff" * 300_000,
                                os.urandom(100_000), b"\x16\x03\x01" + os.urandom(3000), GREETING + os.urandom(50_000)):
                    for _ in range(10):
                        with Peer(address, greets=False) as peer:
                            peer.send(garbage)

    def test_garbage_on_unix_sockets_of_grpc_and_ttrpc(self):
        self.serve()
        self.assert_garbage_is_survived(self.daemon.address, self.daemon.address + ".ttrpc")

    def tcp_address(self):
        return "127.0.0.1", int(re.search(r"listening address=127\.0\.0\.1:(\d+)", self.daemon.log)[1])

    def test_one_tcp_peer_with_more_connections_than_there_are(self):
        if not allow_descriptors(5000):
            self.skipTest("this user may not have as many descriptors (ulimit -Hn)")
        self.serve(plugins={TCP: {"address": "127.0.0.1:0"}})
        with self.attack(16 * MIB):
            peers = []
            for _ in range(4096):
                peers.append(Peer(self.tcp_address()))
            # Each has been told the settings, or is closed.
            held = sum(peer.read() is not None for peer in peers)
            self.assertEqual(512, held)
            with Peer(self.tcp_address(), source="127.0.0.2") as other:
                other.send(open_call(1, END_HEADERS | END_STREAM))
                self.assertIsNotNone(other.read_until(HEADERS, 1))
            self.daemon.wait_for_log("max_connections_per_peer reached")
            for peer in peers:
                peer.socket.close()
            # What is closed is not counted.
            end = time.monotonic() + 20
            while True:
                with Peer(self.tcp_address()) as peer:
                    if peer.read() is not None:
                        break
                self.assertLess(time.monotonic(), end)

    def test_garbage_on_tcp(self):
        self.serve(plugins={TCP: {"address": "127.0.0.1:0"}})
        self.assert_garbage_is_survived(self.tcp_address())

    def test_garbage_on_tls(self):
        self.serve(plugins={TCP: {"address": "127.0.0.1:0", **self.workshop.certify()}})
        self.assert_garbage_is_survived(self.tcp_address())


if __name__ == "__main__":
    unittest.main()
