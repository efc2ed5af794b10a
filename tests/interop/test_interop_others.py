# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 clients that know nothing of gRPC (curl, h2load, nghttp) make calls that are odd and legal."""

import struct
import subprocess
import unittest

from daemon import PATIENCE, environment
from interop_daemon import Interop
from interop_protos import messages

EMPTY = "/grpc.testing.TestService/EmptyCall"
UNARY = "/grpc.testing.TestService/UnaryCall"


def setUpModule():
    global interop, body
    interop = Interop()
    body = interop.workshop.top / "body"


def tearDownModule():
    interop.stop()


def framed(message=b""):
    return struct.pack(">BI", 0, len(message)) + message


def run(*command):
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=PATIENCE, check=False, env=environment())


class Curl(unittest.TestCase):
    def call(self, path, data, *options):
        """What curl got: status and trailers as text, and the body."""
        body.write_bytes(data)
        answer = interop.workshop.top / "answer"
        done = run("curl", "--silent", "--show-error", "--http2-prior-knowledge", "--unix-socket",
                   interop.target("unix").own_address, "--data-binary", f"@{body}", "--output", answer,
                   "--dump-header", "-", *options, f"http://localhost{path}")
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout.decode(), answer.read_bytes() if answer.exists() else b""

    def grpc(self, path, data, *options):
        return self.call(path, data, "--header", "content-type: application/grpc", *options)

    def test_a_call_is_answered(self):
        head, answer = self.grpc(EMPTY, framed())
        self.assertIn("HTTP/2 200", head)
        self.assertIn("grpc-status: 0", head)
        self.assertEqual(framed(), answer)

    def test_te_is_not_demanded_and_a_subtype_is_taken(self):
        head, answer = self.call(EMPTY, framed(), "--header", "content-type: application/grpc+proto;x=y")
        self.assertIn("grpc-status: 0", head)
        self.assertEqual(framed(), answer)

    def test_headers_that_nobody_knows_are_passed_over(self):
        more = [word for n in range(50) for word in ("--header", f"x-odd-{n}: {'v' * n}")]
        self.assertIn("grpc-status: 0", self.grpc(EMPTY, framed(), *more)[0])

    def test_a_body_of_unknown_length_is_taken(self):
        request = messages.SimpleRequest(response_size=7, payload=messages.Payload(body=bytes(200_000)))
        body.write_bytes(framed(request.SerializeToString()))
        done = subprocess.run(
            ["curl", "--silent", "--http2-prior-knowledge", "--unix-socket", str(interop.target("unix").own_address),
             "--request", "POST", "--header", "content-type: application/grpc", "--upload-file", "-",
             f"http://localhost{UNARY}"], input=body.read_bytes(), capture_output=True, timeout=PATIENCE, check=True)
        self.assertEqual(7, len(messages.SimpleResponse.FromString(done.stdout[5:]).payload.body))

    def test_a_get_is_not_allowed(self):
        head, _ = self.call(EMPTY, b"", "--get", "--header", "content-type: application/grpc")
        self.assertIn("HTTP/2 405", head)

    def test_what_is_no_grpc_is_an_unsupported_media_type(self):
        for kind in ("application/json", "application/grpc-web", "text/plain"):
            # With a body this curl fails before it has read the answer, which ends the stream (RFC 9113 8.1).
            self.assertIn("HTTP/2 415", self.call(EMPTY, b"", "--header", f"content-type: {kind}")[0])


class H2load(unittest.TestCase):
    def test_every_one_of_many_calls_is_answered(self):
        body.write_bytes(framed())
        done = run("h2load", "-n", 2000, "-c", 8, "-m", 32, "--data", body, "--header",
                   "content-type: application/grpc", "--header", "te: trailers", "--base-uri",
                   f"unix:{interop.target('unix').own_address}", f"http://localhost{EMPTY}")
        self.assertRegex(done.stdout.decode(), r"2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed")


class Nghttp(unittest.TestCase):
    def call(self, path, data, *options):
        """All that nghttp saw, and its exit code is 0."""
        body.write_bytes(data)
        done = run("nghttp", "--verbose", "--no-push", "--data", body, "--header", "content-type: application/grpc",
                   "--header", "te: trailers", *options, f"http://{interop.target('tcp').grpc_address}{path}")
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout.decode(errors="replace")

    def assert_answered(self, seen, times=1):
        self.assertEqual(times, seen.count("grpc-status: 0"), seen[-3000:])

    def test_frames_may_be_padded(self):
        self.assert_answered(self.call(EMPTY, framed(), "--padding", 200))

    def test_headers_that_are_continued_beyond_the_limit_are_refused_for_that(self):
        seen = self.call(EMPTY, framed(), "--continuation")
        self.assertIn("grpc-status: 8", seen)
        self.assertIn("exceed the limit", seen)

    def test_trailers_of_a_client_are_passed_over(self):
        self.assert_answered(self.call(EMPTY, framed(), "--trailer", "x-late: yes"))

    def test_a_client_may_keep_no_header_table_and_small_windows(self):
        request = messages.SimpleRequest(response_size=200_000, payload=messages.Payload(body=bytes(200_000)))
        for options in (["--header-table-size", 0, "--encoder-header-table-size", 0],
                        ["--window-bits", 8, "--connection-window-bits", 16]):
            self.assert_answered(self.call(UNARY, framed(request.SerializeToString()), *options))

    def test_many_streams_go_over_one_connection(self):
        self.assert_answered(self.call(EMPTY, framed(), "--multiply", 50), 50)

    def test_priorities_of_the_old_kind_and_expectations_do_no_harm(self):
        self.assert_answered(self.call(EMPTY, framed(), "--weight", 7))
        self.assert_answered(self.call(EMPTY, framed(), "--expect-continue", "--timeout", 5))


if __name__ == "__main__":
    unittest.main()
