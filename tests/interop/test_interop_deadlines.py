# SPDX-License-Identifier: Apache-2.0
"""Google's Python client uploads while calls with short deadlines come and go on the same channel: C-core then sends
frames for calls whose headers never left, and no upload may pay for them."""

import contextlib
import threading
import time
import unittest
from concurrent import futures

import grpc

import grpcio_cases
import grpcio_server
from interop_daemon import SERVER_TCP, Berthd, Interop
from interop_protos import messages

UPLOADERS, PIECES, PIECE, PAUSE = 4, 20, 16 * 1024, 0.01
HURRIED, SECONDS = 6, 4


def setUpModule():
    global interop
    interop = Interop()


def tearDownModule():
    interop.stop()


class Load:
    """Uploads, and calls that end before or while they begin, on one channel."""

    def __init__(self, peer):
        self.upload = peer.method("StreamingInputCall")
        self.hurried = peer.method("UnaryCall")
        self.end = time.monotonic() + SECONDS
        self.uploaded, self.lost, self.overdue, self.cancelled = 0, [], 0, 0
        with futures.ThreadPoolExecutor(UPLOADERS + HURRIED) as threads:
            work = [threads.submit(self.upload_on) for _ in range(UPLOADERS)]
            work += [threads.submit(self.hurry_on, i) for i in range(HURRIED)]
            for each in work:
                each.result()

    def pieces(self):
        for _ in range(PIECES):
            time.sleep(PAUSE)
            yield messages.StreamingInputCallRequest(payload=messages.Payload(body=bytes(PIECE)))

    def upload_on(self):
        while time.monotonic() < self.end:
            try:
                got = self.upload(self.pieces(), timeout=30).aggregated_payload_size
                self.uploaded += got == PIECES * PIECE
            except grpc.RpcError as error:
                self.lost.append(f"{error.code()}: {error.details()}")

    def hurry_on(self, number):
        request = messages.SimpleRequest(response_size=10, payload=messages.Payload(body=bytes(40000)))
        timeout = 0.0005
        while time.monotonic() < self.end:
            time.sleep(0.005)
            call = self.hurried.future(request, timeout=timeout)
            if number % 3 == 2:
                call.cancel()
                self.cancelled += 1
            elif call.exception() is not None:
                self.overdue += call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            timeout = timeout * 1.3 if timeout < 0.01 else 0.0005


@contextlib.contextmanager
def peer_of(name):
    peer = grpcio_cases.Peer(interop.target(name).open_channel)
    try:
        yield peer
    finally:
        peer.close()


class OneChannel(unittest.TestCase):
    def check(self, peer):
        load = Load(peer)
        self.assertEqual([], load.lost)
        self.assertGreater(load.uploaded, 0)
        self.assertGreater(load.overdue, 0)
        self.assertGreater(load.cancelled, 0)

    def test_no_upload_is_lost_over_unix(self):
        with peer_of("unix") as peer:
            self.check(peer)

    def test_no_upload_is_lost_when_connections_grow_old(self):
        berthd = Berthd(servers={SERVER_TCP: {"max_age": "700ms", "max_age_grace": "30s"}})
        self.addCleanup(berthd.stop)
        peer = grpcio_cases.Peer(berthd.tcp_target().open_channel)
        self.addCleanup(peer.close)
        self.check(peer)

    def test_no_upload_is_lost_at_grpcs_own_server(self):
        server = grpcio_server.start()
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(lambda: server.stop(0).wait())
        peer = grpcio_cases.Peer(lambda: grpc.insecure_channel(f"127.0.0.1:{port}"))
        self.addCleanup(peer.close)
        self.check(peer)

    def test_no_upload_is_lost_over_tcp(self):
        with peer_of("tcp") as peer:
            self.check(peer)


if __name__ == "__main__":
    unittest.main()
