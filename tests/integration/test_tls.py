# SPDX-License-Identifier: Apache-2.0
"""Google's gRPC client on berthd's TCP address: in clear, over TLS, and with a certificate of its own."""

import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

import grpc
import protos
from daemon import BERTHCTL, BUILD, Case, run

# AddressSanitizer calls dlopen in the library's place, so that libberth-rpc-tls is linked there.
IS_PRELOADED = "address" in os.environ.get("BERTH_TEST_SANITIZE", "")


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

    def serve(self, transports=None, **settings):
        settings = {"address": "127.0.0.1:0", **settings}
        self.workshop.write_config(plugins={"io.containerd.server.v1.grpc-tcp": settings}, transports=transports or {})
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

    def test_a_renewed_certificate_is_used_without_a_restart(self):
        """As tools renew it: beside the old pair, and a symlink to the directory of both is switched."""
        self.make_server()
        self.make_certificate("next", "other", "DNS:localhost")
        for name, of in (("old", "server"), ("new", "next")):
            (self.folder / name).mkdir()
            for ending in ("pem", "key"):
                shutil.copy(self.folder / f"{of}.{ending}", self.folder / name / f"tls.{ending}")
        (self.folder / "live").symlink_to("old")
        for ending in ("pem", "key"):
            (self.folder / f"tls.{ending}").symlink_to(f"live/tls.{ending}")
        self.serve(tls_cert=str(self.folder / "tls.pem"), tls_key=str(self.folder / "tls.key"))
        self.assertIn("world", self.hello(self.secure("ca")))
        (self.folder / "switch").symlink_to("new")
        (self.folder / "switch").rename(self.folder / "live")
        self.daemon.wait_for_log("using the changed TLS files")
        self.assertIn("world", self.hello(self.secure("other")))
        self.assert_unavailable(self.secure("ca"))
        (self.folder / "new" / "tls.pem").rename(self.folder / "new" / "gone.pem")
        (self.folder / "tls.key").unlink()
        self.daemon.wait_for_log("those in use stay")
        self.assertIn("world", self.hello(self.secure("other")))
        self.assert_stops(self.daemon)

    def test_a_directory_of_certificates_behind_a_link_may_be_switched(self):
        """A file may be reached through links to directories, and through links to files elsewhere."""
        self.make_server()
        self.make_certificate("next", "other", "DNS:localhost")
        for name, of in (("1", "server"), ("2", "next")):
            (self.folder / "releases" / name).mkdir(parents=True)
            for ending in ("pem", "key"):
                shutil.copy(self.folder / f"{of}.{ending}", self.folder / "releases" / name / f"tls.{ending}")
        (self.folder / "current").symlink_to("releases/1")
        (self.folder / "certificates").symlink_to(self.folder / "current")
        self.serve(tls_cert=str(self.folder / "certificates" / "tls.pem"), tls_key=str(self.folder / "certificates" / "tls.key"))
        self.assertIn("world", self.hello(self.secure("ca")))
        (self.folder / "switch").symlink_to("releases/2")
        (self.folder / "switch").rename(self.folder / "current")
        self.daemon.wait_for_log("using the changed TLS files")
        self.assertIn("world", self.hello(self.secure("other")))
        self.assert_stops(self.daemon)

    def test_a_reload_reads_certificates_again_and_refuses_those_that_do_not_fit(self):
        self.make_authority("ca")
        self.make_authority("other")
        self.make_certificate("server", "ca", "DNS:localhost")
        self.make_certificate("next", "other", "DNS:localhost")
        self.workshop.add_default_modules("introspection")
        self.serve(tls_cert=str(self.folder / "server.pem"), tls_key=str(self.folder / "server.key"))
        reload = (BERTHCTL, "--address", self.daemon.address, "reload")
        self.assertIn("0 of ", run(*reload).stdout)
        shutil.copy(self.folder / "next.pem", self.folder / "server.pem")
        done = run(*reload)
        self.assertEqual(4, done.returncode, done.stdout + done.stderr)
        self.assertIn("tls_cert: ", done.stdout)
        self.assertIn(f"{self.folder}/server.pem changed", done.stdout)
        self.assertIn("does not", done.stdout + done.stderr)
        self.assertIn("world", self.hello(self.secure("ca")))
        self.daemon.wait_for_log("those in use stay")
        shutil.copy(self.folder / "next.key", self.folder / "server.key")
        done = run(*reload)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertIn("world", self.hello(self.secure("other")))
        self.assertIn("0 of ", run(*reload).stdout)
        self.assertEqual(1, self.daemon.log.count("those in use stay"))
        self.assert_stops(self.daemon)

    def test_with_a_certificate_on_both_sides(self):
        self.serve(tls_ca=str(self.folder / "ca.pem"), **self.make_server())
        self.make_certificate("client", "ca", "URI:spiffe://tests/client")
        self.make_certificate("stranger", "other", "URI:spiffe://tests/stranger")
        self.assertIn("world", self.hello(self.secure("ca", "client")))
        self.assert_unavailable(self.secure("ca"))
        self.assert_unavailable(self.secure("ca", "stranger"))
        self.assert_stops(self.daemon)

    def ask_over_tls(self, *arguments, certificate="client"):
        own = [] if certificate is None else ["--tls-cert", self.folder / f"{certificate}.pem",
                                              "--tls-key", self.folder / f"{certificate}.key"]
        return run(BERTHCTL, "--address", f"tcp:127.0.0.1:{self.port}", "--tls-ca", self.folder / "ca.pem",
                   "--tls-server-name", "localhost", *own, *arguments)

    def test_berthctl_reaches_a_daemon_that_carries_introspection_over_mutual_tls(self):
        self.workshop.add_default_modules("introspection", "version")
        transports = {name: ["tcp"] for name in (
            "containerd.services.introspection.v1.Introspection", "containerd.services.version.v1.Version",
            "berth.inspect.v1.Inspect")}
        self.serve(transports, tls_ca=str(self.folder / "ca.pem"), **self.make_server())
        self.make_certificate("client", "ca", "URI:spiffe://tests/client")
        self.make_certificate("stranger", "other", "URI:spiffe://tests/stranger")
        listed = self.ask_over_tls("plugins", "ls")
        self.assertEqual(0, listed.returncode, listed.stderr)
        self.assertEqual(self.daemon.ctl("plugins", "ls").stdout, listed.stdout)
        self.assertIn("grpc-tcp", self.ask_over_tls("explain", "io.containerd.server.v1.grpc-tcp").stdout)
        self.assertIn("grpc, tcp", self.ask_over_tls("plugins", "inspect", "io.containerd.grpc.v1.introspection").stdout)
        self.assertEqual(0, self.ask_over_tls("version").returncode)
        for certificate in (None, "stranger"):
            self.assertEqual(3, self.ask_over_tls("plugins", "ls", certificate=certificate).returncode)
        self.assert_stops(self.daemon)

    def test_introspection_is_not_on_the_network_by_default(self):
        self.workshop.add_default_modules("introspection")
        self.serve(tls_ca=str(self.folder / "ca.pem"), **self.make_server())
        self.make_certificate("client", "ca", "URI:spiffe://tests/client")
        refused = self.ask_over_tls("plugins", "ls")
        self.assertNotEqual(0, refused.returncode, refused.stdout)
        self.assertIn("unknown service", refused.stderr)
        self.assert_stops(self.daemon)

    @unittest.skipIf(IS_PRELOADED, "the sanitizer has OpenSSL loaded beforehand")
    def test_openssl_is_loaded_by_whoever_uses_tls_and_by_nobody_else(self):
        def mapped():
            maps = Path(f"/proc/{self.daemon.pid}/maps").read_text()
            return set(re.findall(r"/(libberth-rpc-tls|libssl|libcrypto)\.so", maps))

        self.serve()
        self.assertIn("world", self.hello(grpc.insecure_channel(f"127.0.0.1:{self.port}")))
        self.assertEqual(set(), mapped())
        self.assert_stops(self.daemon)
        self.serve(**self.make_server())
        self.assertIn("world", self.hello(self.secure("ca")))
        self.assertEqual({"libberth-rpc-tls", "libssl", "libcrypto"}, mapped())
        self.assert_stops(self.daemon)

    @unittest.skipIf(IS_PRELOADED, "the sanitizer has OpenSSL loaded beforehand")
    def test_where_its_library_is_missing_tls_is_refused_and_clear_text_works(self):
        alone = self.workshop.top / "alone"
        alone.mkdir()
        shutil.copy(BUILD / "sdk" / "rpc" / "libberth-rpc.so.0", alone)
        self.make_authority("ca")
        done = run(BERTHCTL, "--address", "tcp:127.0.0.1:1", "--tls-ca", self.folder / "ca.pem", "plugins", "ls",
                   LD_LIBRARY_PATH=alone)
        self.assertEqual(3, done.returncode, done.stderr)
        self.assertIn("cannot reach the daemon at tcp:127.0.0.1:1: cannot use TLS: libberth-rpc-tls.so.0: ", done.stderr)
        self.assertIn("must be in the same directory as libberth-rpc.so.0", done.stderr)
        self.workshop.add_default_modules("introspection")
        self.serve()
        done = self.daemon.ctl("plugins", "ls", LD_LIBRARY_PATH=alone)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assert_stops(self.daemon)
