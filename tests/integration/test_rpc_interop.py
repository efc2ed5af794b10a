# SPDX-License-Identifier: Apache-2.0
"""Calls the example server of libberth-rpc with grpcio: what another implementation sees of it."""
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

SERVER = sys.argv.pop(1)
SERVICE = "/example.Echo/"


def identity(data):
    return data


class Interop(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="rpc")
        path = os.path.join(self.folder.name, "echo.sock")
        self.server = subprocess.Popen([SERVER, path], stdout=subprocess.PIPE, text=True)
        self.assertIn("listening", self.server.stdout.readline())
        big = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel("unix:" + path, options=big)

    def tearDown(self):
        self.channel.close()
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(timeout=20), 0)
        self.server.stdout.close()
        self.folder.cleanup()

    def method(self, kind, name):
        return getattr(self.channel, kind)(SERVICE + name, identity, identity)

    def unary(self, name, *args, **named):
        return self.method("unary_unary", name).with_call(*args, timeout=named.pop("timeout", 20), **named)

    def assert_fails(self, code, action):
        with self.assertRaises(grpc.RpcError) as caught:
            action()
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception

    def test_a_unary_call_is_answered(self):
        for payload in (b"", b"x", b"hello" * 1000):
            self.assertEqual(self.unary("Echo", payload)[0], payload)

    def test_a_big_message_goes_both_ways(self):
        payload = os.urandom(15 * 1024 * 1024)
        self.assertEqual(self.unary("Echo", payload)[0], payload)

    def test_a_message_over_the_limit_is_resource_exhausted(self):
        error = self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED,
                                  lambda: self.unary("Echo", bytes(16 * 1024 * 1024 + 1)))
        self.assertEqual(error.details(), "grpc: received message larger than max (16777217 vs. 16777216)")

    def test_metadata_comes_back_as_headers_and_trailers(self):
        sent = [("x-text", "a, b"), ("x-raw-bin", bytes(range(256))), ("x-twice", "1"), ("x-twice", "2"), ("x-empty", "")]
        _, call = self.unary("Echo", b"", metadata=sent)
        headers = [(key, value) for key, value in call.initial_metadata() if key.startswith("x-")]
        trailers = [(key, value) for key, value in call.trailing_metadata() if key.startswith("trailer-x-")]
        self.assertEqual(headers, sent)
        self.assertEqual(trailers, [("trailer-" + key, value) for key, value in sent])

    def test_every_code_arrives_with_its_message_and_details(self):
        for code in grpc.StatusCode:
            if code is grpc.StatusCode.OK:
                continue
            error = self.assert_fails(code, lambda: self.unary("Echo", b"", metadata=[("x-fail", str(code.value[0]))]))
            self.assertEqual(error.details(), "as you wished: 100 % \u00fc\n")
            self.assertIn(("grpc-status-details-bin", b"\x08\x05"), list(error.trailing_metadata()))

    def test_an_unknown_method_and_an_unknown_service_are_unimplemented(self):
        error = self.assert_fails(grpc.StatusCode.UNIMPLEMENTED, lambda: self.unary("Nothing", b""))
        self.assertEqual(error.details(), "unknown method Nothing for service example.Echo")
        call = self.channel.unary_unary("/no.Such/Method", identity, identity)
        error = self.assert_fails(grpc.StatusCode.UNIMPLEMENTED, lambda: call(b"", timeout=20))
        self.assertEqual(error.details(), "unknown service no.Such")

    def test_compressed_messages_go_both_ways(self):
        noise = os.urandom(5000)
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            for payload in (b"", b"x", b"x" * 10000, noise, bytes(4 * 1024 * 1024)):
                self.assertEqual(self.unary("Echo", payload, compression=compression)[0], payload)
            answers = self.method("stream_stream", "Chat")(iter([b"x" * 1000, noise, b""]), timeout=20,
                                                           compression=compression)
            self.assertEqual(list(answers), [b"x" * 1000, noise, b""])

    def test_a_message_that_expands_over_the_limit_is_resource_exhausted(self):
        error = self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED,
                                  lambda: self.unary("Echo", bytes(64 * 1024 * 1024), compression=grpc.Compression.Gzip))
        self.assertIn("(at least 16777217 vs. 16777216)", error.details())

    def test_a_draining_server_finishes_what_runs_and_takes_no_more(self):
        messages = queue.Queue()
        answers = self.method("stream_stream", "Chat")(iter(messages.get, None), timeout=30)
        messages.put(b"before")
        self.assertEqual(next(answers), b"before")
        self.server.send_signal(signal.SIGTERM)
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.call_until_refused)
        messages.put(b"after")
        self.assertEqual(next(answers), b"after")
        messages.put(None)
        self.assertEqual(list(answers), [])
        self.assertEqual(self.server.wait(timeout=20), 0)

    def call_until_refused(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            self.unary("Echo", b"x")

    def test_a_deadline_ends_the_call(self):
        start = time.monotonic()
        self.assert_fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: self.unary("Never", b"", timeout=0.2))
        self.assertLess(time.monotonic() - start, 5)

    def test_a_cancelled_call_is_gone_and_others_go_on(self):
        future = self.method("unary_unary", "Never").future(b"", timeout=20)
        future.cancel()
        self.assertEqual(future.code(), grpc.StatusCode.CANCELLED)
        self.assertEqual(self.unary("Echo", b"still")[0], b"still")

    def test_a_server_stream_gives_all_its_messages(self):
        messages = list(self.method("unary_stream", "Blocks")(b"5000", timeout=60))
        self.assertEqual(len(messages), 5000)
        self.assertEqual({len(message) for message in messages}, {1024})

    def test_a_server_stream_without_messages_ends_well(self):
        self.assertEqual(list(self.method("unary_stream", "Blocks")(b"0", timeout=20)), [])

    def test_a_stream_that_is_given_up_does_not_harm_the_connection(self):
        for _ in range(20):
            stream = self.method("unary_stream", "Blocks")(b"1000000", timeout=60)
            next(stream)
            stream.cancel()
        self.assertEqual(self.unary("Echo", b"still")[0], b"still")

    def test_a_client_stream_is_summed_up(self):
        answer = self.method("stream_unary", "Sum")((b"abc" * n for n in range(1000)), timeout=60)
        self.assertEqual(answer, b"1000 %d" % (3 * 999 * 500))

    def test_a_conversation_goes_back_and_forth(self):
        turn = threading.Semaphore(1)

        def ask():
            for n in range(200):
                turn.acquire()
                yield b"%d" % n

        answers = []
        for answer in self.method("stream_stream", "Chat")(ask(), timeout=60):
            answers.append(answer)
            turn.release()
        self.assertEqual(answers, [b"%d" % n for n in range(200)])

    def test_a_caller_that_reads_late_gets_everything(self):
        answers = self.method("stream_stream", "Chat")((bytes(10000) for _ in range(2000)), timeout=120)
        time.sleep(0.5)
        self.assertEqual(sum(len(answer) for answer in answers), 2000 * 10000)

    def test_many_calls_at_once_are_all_answered(self):
        call = self.method("unary_unary", "Echo")
        futures = [call.future(b"%d" % n, timeout=60) for n in range(2000)]
        self.assertEqual([future.result() for future in futures], [b"%d" % n for n in range(2000)])

    def test_calls_that_run_when_the_server_is_told_to_stop_are_finished(self):
        stream = self.method("unary_stream", "Blocks")(b"20000", timeout=60)
        next(stream)
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(sum(1 for _ in stream), 19999)
        # A second SIGTERM, when it no longer handles the first, would end it.
        self.assertEqual(self.server.wait(timeout=20), 0)


if __name__ == "__main__":
    unittest.main()
