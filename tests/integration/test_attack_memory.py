# SPDX-License-Identifier: Apache-2.0
"""Peers that would have the daemon keep much for them: it keeps what its configuration says, and no more."""

import struct
import unittest
import zlib

import protos
from attack import DATA, END_STREAM, HEADERS, KIB, MIB, AttackCase, Peer, frame, open_call

GREETER = "io.containerd.grpc.v1.greeter"


def message(data, is_compressed=0):
    return struct.pack(">BI", is_compressed, len(data)) + data


def bomb(wbits):
    """64 MiB of nothing, in 64 KiB."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join(squeeze.compress(bytes(MIB)) for _ in range(64)) + squeeze.flush()


class Memory(AttackCase):
    def test_a_peer_with_answers_that_it_does_not_take(self):
        request = message(protos.greeter.HelloRequest(name="n" * 900_000).SerializeToString())
        self.serve(max_buffered_bytes="64MiB", plugins={GREETER: {"max_name": "1MiB"}})
        # Half of max_buffered_bytes, and half as much again and more that malloc has between them.
        with self.attack(32 * MIB + 48 * MIB), Peer(self.daemon.address) as peer:
            peer.settle()
            for i in range(1, 121, 2):
                peer.send(open_call(i))
                peer.send_data(i, request, ends=True)
            # Sixty answers of 900 KB: those behind the bound end with RESOURCE_EXHAUSTED, which needs no window.
            self.assertTrue(peer.read_until(HEADERS, 119)[1] & END_STREAM)
        self.assertIn("max_buffered_bytes reached", self.daemon.log)

    def test_messages_that_say_they_have_4_gib(self):
        self.serve()
        with self.attack(8 * MIB):
            for _ in range(10):
                with Peer(self.daemon.address) as peer:
                    for i in range(1, 101, 2):
                        peer.send(open_call(i) + frame(DATA, 0, i, b"\0\xff\xff\xff\xff"))
                        self.assertTrue(peer.read_until(HEADERS, i)[1] & END_STREAM)

    def assert_bombs_are_refused(self, encoding, wbits):
        bytes_of_bomb = message(bomb(wbits), is_compressed=1)
        self.serve()
        # One message of max_recv_message_bytes and what zlib needs beside it.
        with self.attack(16 * MIB + 16 * MIB), Peer(self.daemon.address) as peer:
            peer.settle()
            for i in range(1, 41, 2):
                peer.send(open_call(i, grpc_encoding=encoding))
                peer.send_data(i, bytes_of_bomb, ends=True)
                self.assertTrue(peer.read_until(HEADERS, i)[1] & END_STREAM)

    def test_bombs_of_gzip(self):
        self.assert_bombs_are_refused("gzip", 31)

    def test_bombs_of_deflate(self):
        self.assert_bombs_are_refused("deflate", 15)

    def test_messages_that_are_never_finished(self):
        self.serve(max_buffered_bytes="32MiB")
        with self.attack(32 * MIB + 16 * MIB):
            peers = [Peer(self.daemon.address).settle() for _ in range(8)]
            for peer in peers:
                for i in range(1, 19, 2):
                    peer.send(open_call(i))
                    peer.send_data(i, b"\0" + struct.pack(">I", 15 * MIB) + bytes(900 * KIB), ends=False)
            for peer in peers:
                peer.socket.close()


if __name__ == "__main__":
    unittest.main()
