# SPDX-License-Identifier: Apache-2.0
"""Google's Python client runs gRPC's interoperability cases against berthd, over every transport."""

import unittest

import grpc

import grpcio_cases
from interop_daemon import TARGETS, Interop, add_tests
from interop_protos import empty, messages

CASES = {case.__name__: case for case in grpcio_cases.CASES}


def setUpModule():
    global interop
    interop = Interop()


def tearDownModule():
    interop.stop()


for name in TARGETS:
    add_tests(globals(), f"Over_{name}", CASES, lambda name=name: grpcio_cases.Peer(interop.target(name).open_channel),
              lambda peer, case: CASES[case](peer), lambda peer: peer.close())


class LargeReplies(unittest.TestCase):
    """Asked for at once on one connection: twice what max_queued_bytes has streams wait for."""
    COUNT, SIZE = 8, 8 * 1024 * 1024

    def check(self, name):
        target = interop.target(name)
        peer = grpcio_cases.Peer(lambda: target.open_channel(("grpc.max_receive_message_length", 2 * self.SIZE)))
        self.addCleanup(peer.close)
        request = messages.SimpleRequest(response_size=self.SIZE)
        calls = [peer.method("UnaryCall").future(request, timeout=60) for _ in range(self.COUNT)]
        self.assertEqual([self.SIZE] * self.COUNT, [len(call.result().payload.body) for call in calls])

    def test_all_arrive_over_unix(self):
        self.check("unix")

    def test_all_arrive_over_tcp(self):
        self.check("tcp")


class Certificates(unittest.TestCase):
    def user(self, name):
        peer = grpcio_cases.Peer(interop.target(name).open_channel)
        self.addCleanup(peer.close)
        return peer.method("UnaryCall")(messages.SimpleRequest(fill_username=True), timeout=30).username

    def test_a_handler_is_told_whose_certificate_it_was(self):
        self.assertEqual("O=berth interop,CN=client", self.user("mtls"))
        self.assertEqual("", self.user("tls"))

    def test_a_client_without_certificate_is_turned_away(self):
        target = interop.target("mtls")
        target.mutual = False
        peer = grpcio_cases.Peer(target.open_channel)
        self.addCleanup(peer.close)
        with self.assertRaises(grpc.RpcError) as raised:
            peer.method("EmptyCall")(empty.Empty(), timeout=30)
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, raised.exception.code())


if __name__ == "__main__":
    unittest.main()
