# SPDX-License-Identifier: Apache-2.0
"""berthctl calls methods of every kind, on berthd and on grpc++'s server, by what each says of itself."""

import json
import subprocess
import unittest

from daemon import BERTHCTL, PATIENCE, environment
from interop_daemon import GRPCXX, Interop

TEST = "grpc.testing.TestService"


def setUpModule():
    global interop
    interop = Interop()


def tearDownModule():
    interop.stop()


def call(address, *arguments, text=""):
    return subprocess.run([str(BERTHCTL), "--address", str(address), *arguments], input=text, capture_output=True,
                          text=True, timeout=PATIENCE, check=False, env=environment())


class Kinds:
    """What every server must do; `address` is where it listens."""

    def lines(self, method, *arguments, text=""):
        done = call(self.address, "call", f"TestService/{method}", *arguments, text=text)
        self.assertEqual((0, ""), (done.returncode, done.stderr), done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def sizes(self, lines):
        return [len(line["payload"].get("body", "")) * 3 // 4 for line in lines]

    def test_unary(self):
        self.assertEqual([30], self.sizes(self.lines("UnaryCall", '{"responseSize":30}')))
        done = call(self.address, "call", f"{TEST}/UnaryCall", '{"responseStatus":{"code":7,"message":"no way"}}')
        self.assertEqual((71, "PermissionDenied: no way\n"), (done.returncode, done.stderr))

    def test_server_stream(self):
        request = json.dumps({"responseParameters": [{"size": 3}, {"size": 6}]})
        self.assertEqual([3, 6], self.sizes(self.lines("StreamingOutputCall", request)))

    def test_client_stream_of_many_requests(self):
        text = '{"payload":{"body":"' + "A" * 400 + '"}}\n'
        self.assertEqual([{"aggregatedPayloadSize": 300 * 20000}], self.lines("StreamingInputCall", text=text * 20000))

    def test_bidi_stream(self):
        text = "".join(json.dumps({"responseParameters": [{"size": size}]}) + "\n" for size in (3, 9, 6))
        self.assertEqual([3, 9, 6], self.sizes(self.lines("FullDuplexCall", text=text)))
        self.assertEqual([], self.lines("FullDuplexCall"))

    def test_a_wrong_line_ends_the_call(self):
        done = call(self.address, "call", f"{TEST}/StreamingInputCall", text='{}\n{"payload":1}\n{}\n')
        self.assertEqual((2, ""), (done.returncode, done.stdout))
        self.assertIn("standard input: request 2: grpc.testing.StreamingInputCallRequest", done.stderr)

    def test_a_deadline(self):
        request = json.dumps({"responseParameters": [{"size": 3, "intervalUs": 20000000}]})
        done = call(self.address, "call", "--deadline", "200ms", f"{TEST}/StreamingOutputCall", request)
        self.assertEqual((68, ""), (done.returncode, done.stdout))
        self.assertIn("DeadlineExceeded: ", done.stderr)

    def test_metadata(self):
        done = call(self.address, "call", "-i", "-H", "x-grpc-test-echo-initial: a b", "-H", "x-grpc-test-echo-trailing-bin:AP8=",
                    f"{TEST}/UnaryCall")
        self.assertIn("< x-grpc-test-echo-initial: a b\n", done.stderr)
        self.assertIn("< x-grpc-test-echo-trailing-bin: AP8=\n", done.stderr)

    def test_services(self):
        self.assertIn(TEST, call(self.address, "services").stdout.splitlines())
        self.assertIn("rpc FullDuplexCall(stream .grpc.testing.StreamingOutputCallRequest)",
                      call(self.address, "describe", TEST).stdout)


class OnBerthd(Kinds, unittest.TestCase):
    @property
    def address(self):
        return interop.target("unix").own_address


if GRPCXX.exists():
    class OnGrpcxx(Kinds, unittest.TestCase):
        """Whose reflection is v1alpha only."""

        @classmethod
        def setUpClass(cls):
            cls.address = f"{interop.workshop.short}/grpcxx-call.sock"
            cls.server = subprocess.Popen([str(GRPCXX), "server", f"unix:{cls.address}"], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, text=True, env=environment())
            if not cls.server.stdout.readline().startswith("listening"):
                raise AssertionError("the grpc++ server does not listen")

        @classmethod
        def tearDownClass(cls):
            cls.server.communicate()

if __name__ == "__main__":
    unittest.main()
