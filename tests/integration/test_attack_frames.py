# SPDX-License-Identifier: Apache-2.0
"""Floods of frames: the connection that sends them is closed, and nobody else hears of it."""

import struct
import unittest

from attack import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, KIB, MIB, PING, PRIORITY, RST_STREAM,
                    SETTINGS, WINDOW_UPDATE, AttackCase, Peer, frame, literal, open_call, request_headers)


class Frames(AttackCase):
    def flood(self, pieces, may_take=8 * MIB, reads=True):
        """Sends until the server hangs up, which it must."""
        self.serve()
        with self.attack(may_take):
            for _ in range(3):
                with Peer(self.daemon.address) as peer:
                    taken = all(peer.send(piece) for piece in pieces)
                    if taken and reads:
                        peer.await_end()
                    elif taken:
                        self.fail("the server takes all of it")

    def test_rapid_resets(self):
        cancel = struct.pack(">I", 8)
        self.flood([open_call(i, END_HEADERS | END_STREAM) + frame(RST_STREAM, 0, i, cancel)
                    for i in range(1, 6001, 2)])

    def test_resets_that_the_server_is_made_to_send(self):
        self.flood([open_call(i) + frame(WINDOW_UPDATE, 0, i, bytes(4)) for i in range(1, 6001, 2)])

    def test_endless_continuations(self):
        piece = literal("x", b"y" * 100) * 150
        self.flood([frame(HEADERS, END_STREAM, 1, request_headers())] + [frame(CONTINUATION, 0, 1, piece)] * 500)

    def test_settings_that_nobody_hears_confirmed(self):
        self.flood([frame(SETTINGS, 0, 0) * 1000] * 2000, reads=False)

    def test_pings_that_nobody_hears_answered(self):
        self.flood([frame(PING, 0, 0, b"12345678") * 1000] * 2000, reads=False)

    def test_priorities(self):
        piece = b"".join(frame(PRIORITY, 0, i, struct.pack(">IB", i % 97 + 1, 16)) for i in range(1, 1001, 2))
        self.flood([open_call(1)] + [piece] * 1000)

    def test_frames_for_calls_that_never_began(self):
        cancel = struct.pack(">I", 8)
        self.flood([open_call(1)] + [frame(RST_STREAM, 0, i, cancel) for i in range(3, 6001, 2)])

    def test_frames_without_data(self):
        self.flood([open_call(1)] + [frame(DATA, 0, 1) * 100] * 100)

    def test_one_large_header_named_again_and_again(self):
        first = request_headers() + literal("x", b"y" * 4000, first=b"\x40")
        again = frame(CONTINUATION, 0, 3, b"\xbe" * 16 * KIB)
        self.flood([frame(HEADERS, END_HEADERS | END_STREAM, 1, first), frame(HEADERS, END_STREAM, 3, request_headers())]
                   + [again] * 5 + [frame(CONTINUATION, END_HEADERS, 3)])

    def test_one_large_trailer_named_again_and_again(self):
        first = request_headers() + literal("x", b"y" * 4000, first=b"\x40")
        self.flood([frame(HEADERS, END_HEADERS, 1, first), frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\xbe" * 16 * KIB)])

    def test_headers_that_are_too_large(self):
        self.serve()
        with self.attack(8 * MIB), Peer(self.daemon.address) as peer:
            for i in range(1, 101, 2):
                peer.send(frame(HEADERS, END_STREAM, i, request_headers()))
                for more in range(7):
                    peer.send(frame(CONTINUATION, END_HEADERS if more == 6 else 0, i, literal("x", b"y" * 16000)))
                self.assertTrue(peer.read_until(HEADERS, i)[1] & END_STREAM)


if __name__ == "__main__":
    unittest.main()
