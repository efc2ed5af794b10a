# SPDX-License-Identifier: Apache-2.0
"""Clients that come to an address where another protocol is spoken: both sides say so, each as far as it can."""

import http.client
import re
import socket
import unittest
from pathlib import Path

import ask
import grpc
import protos
from daemon import BERTHCTL, Case, run
from test_ttrpc import Peer as TtrpcPeer, REQUEST, request

HELLO = "/helloworld.Greeter/SayHello"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
UNIMPLEMENTED = 12


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class WrongProtocol(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "greeter", "introspection")
        self.tls = self.workshop.certify()

    def serve(self, **tcp):
        self.workshop.write_config(plugins={"io.containerd.server.v1.grpc-tcp": {"address": "127.0.0.1:0", **tcp}})
        self.daemon = self.start()
        self.ttrpc = self.daemon.address + ".ttrpc"
        self.port = int(re.search(r"listening address=127\.0\.0\.1:(\d+)", self.daemon.log)[1])

    def serve_tls(self):
        self.serve(**self.tls)

    def fail_to_say_hello(self, channel):
        with channel, self.assertRaises(grpc.RpcError) as raised:
            channel.unary_unary(HELLO)(b"", timeout=5)
        return raised.exception

    def assert_logged(self, client, address):
        self.daemon.wait_for_log(f"wrong protocol: client speaks {client}, but this address speaks {address} peer=")

    def test_grpc_on_the_ttrpc_socket(self):
        self.serve()
        error = self.fail_to_say_hello(ask.channel(self.ttrpc))
        self.assertEqual((grpc.StatusCode.UNIMPLEMENTED, "this address speaks ttrpc, not gRPC"),
                         (error.code(), error.details()))
        self.assert_logged("gRPC", "ttrpc")
        done = run(BERTHCTL, "--address", self.ttrpc, "plugins", "ls")
        self.assertIn("this address speaks ttrpc, not gRPC", done.stderr)
        self.assertNotEqual(0, done.returncode)
        self.assert_stops(self.daemon)

    def test_ttrpc_on_the_grpc_socket(self):
        self.serve()
        with TtrpcPeer(self.daemon.address) as peer:
            peer.send(1, REQUEST, 0, request("helloworld.Greeter", "SayHello"))
            self.assertEqual((UNIMPLEMENTED, "this address speaks gRPC, not ttrpc"), peer.status(1))
        self.assert_logged("ttrpc", "gRPC")
        self.assert_stops(self.daemon)

    def test_http1_on_sockets_of_grpc_and_ttrpc(self):
        self.serve()
        for path, spoken in ((self.daemon.address, "gRPC over HTTP/2"), (self.ttrpc, "ttrpc")):
            connection = UnixHttp(path)
            connection.request("POST", HELLO, body=b"x" * 1_000_000)
            answer = connection.getresponse()
            self.assertEqual(505, answer.status)
            self.assertIn(f"This address speaks {spoken}", answer.read().decode())
            connection.close()
        self.assert_logged("HTTP/1.1", "gRPC")
        self.assert_stops(self.daemon)

    def test_tls_on_an_address_in_clear(self):
        self.serve()
        credentials = grpc.ssl_channel_credentials(Path(self.tls["tls_cert"]).read_bytes())
        error = self.fail_to_say_hello(grpc.secure_channel(f"localhost:{self.port}", credentials))
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, error.code())
        self.assertIn("WRONG_VERSION_NUMBER", error.details().upper().replace(" ", "_"))
        self.assert_logged("TLS", "gRPC")
        done = run(BERTHCTL, "--address", f"tcp:localhost:{self.port}", "--tls-ca", self.tls["tls_cert"], "version")
        self.assertIn("the server does not speak TLS: connect without TLS", done.stderr)
        self.assert_stops(self.daemon)

    def test_clear_text_on_an_address_with_tls(self):
        self.serve_tls()
        error = self.fail_to_say_hello(grpc.insecure_channel(f"127.0.0.1:{self.port}"))
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, error.code())
        self.assert_logged("gRPC", "TLS")
        done = run(BERTHCTL, "--address", f"tcp:127.0.0.1:{self.port}", "version")
        self.assertIn("the server speaks TLS: connect with TLS", done.stderr)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/")
        answer = connection.getresponse()
        self.assertEqual(400, answer.status)
        self.assertIn("This address speaks gRPC over TLS", answer.read().decode())
        connection.close()
        self.assert_stops(self.daemon)


if __name__ == "__main__":
    unittest.main()
