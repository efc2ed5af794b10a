# SPDX-License-Identifier: Apache-2.0
"""Google's gRPC client on berthd's TCP address: in clear, over TLS, and with a certificate of its own."""

import re
import subprocess

import grpc
import protos
from daemon import Case


class Tls(Case):
    def setUp(self):
        super().setUp()
        self.folder = self.workshop.top / "tls"
        self.folder.mkdir()
        self.workshop.add_default_modules("servers", "greeter")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.folder)

    def make_authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                     "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def make_certificate(self, name, authority, names):
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                     "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.folder / "names").write_text(f"subjectAltName={names}\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
                     "-CAcreateserial", "-days", "30", "-extfile", "names", "-out", f"{name}.pem")

    def serve(self, **settings):
        settings = {"address": "127.0.0.1:0", **settings}
        self.workshop.write_config(plugins={"io.containerd.server.v1.grpc-tcp": settings})
        self.daemon = self.start()
        self.port = int(re.search(r"listening address=127\.0\.0\.1:(\d+)", self.daemon.log)[1])

    def hello(self, channel):
        with channel:
            call = channel.unary_unary("/helloworld.Greeter/SayHello",
                                       request_serializer=protos.greeter.HelloRequest.SerializeToString,
                                       response_deserializer=protos.greeter.HelloReply.FromString)
            return call(protos.greeter.HelloRequest(name="world"), timeout=20).message

    def read(self, file):
        return (self.folder / file).read_bytes()

    def secure(self, authority, certificate=None):
        own = (None, None) if certificate is None else (self.read(f"{certificate}.key"), self.read(f"{certificate}.pem"))
        credentials = grpc.ssl_channel_credentials(self.read(f"{authority}.pem"), *own)
        return grpc.secure_channel(f"localhost:{self.port}", credentials)

    def assert_unavailable(self, channel):
        with self.assertRaises(grpc.RpcError) as raised:
            self.hello(channel)
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, raised.exception.code(), raised.exception)

    def make_server(self):
        self.make_authority("ca")
        self.make_authority("other")
        self.make_certificate("server", "ca", "DNS:localhost")
        return {"tls_cert": str(self.folder / "server.pem"), "tls_key": str(self.folder / "server.key")}

    def test_in_clear_on_loopback(self):
        self.serve()
        self.assertIn("world", self.hello(grpc.insecure_channel(f"127.0.0.1:{self.port}")))
        self.assert_stops(self.daemon)

    def test_over_tls(self):
        self.serve(**self.make_server())
        self.assertIn("world", self.hello(self.secure("ca")))
        self.assert_unavailable(self.secure("other"))
        self.assert_unavailable(grpc.insecure_channel(f"127.0.0.1:{self.port}"))
        self.assert_stops(self.daemon)

    def test_with_a_certificate_on_both_sides(self):
        self.serve(tls_ca=str(self.folder / "ca.pem"), **self.make_server())
        self.make_certificate("client", "ca", "URI:spiffe://tests/client")
        self.make_certificate("stranger", "other", "URI:spiffe://tests/stranger")
        self.assertIn("world", self.hello(self.secure("ca", "client")))
        self.assert_unavailable(self.secure("ca"))
        self.assert_unavailable(self.secure("ca", "stranger"))
        self.assert_stops(self.daemon)
