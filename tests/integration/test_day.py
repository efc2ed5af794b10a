# SPDX-License-Identifier: Apache-2.0
"""A stranger's day: from `berth-sdk new` to a plugin that ctr lists and gRPC reaches, and what mistakes are told."""

import re
import shutil
import sys
import textwrap
import unittest

import grpc
from daemon import Case, run
from test_sdk import Sdk

URI = "io.containerd.grpc.v1.harbour"


class Day(Sdk, Case):
    def setUp(self):
        Sdk.setUp(self)
        Case.setUp(self)
        self.workshop.add_default_modules()
        self.harbour = self.folder / "harbour"
        self.must(self.sdk, "new", "harbour")
        sanitize = ["-Db_sanitize=address,undefined", "-Db_lundef=false"] if self.sanitized else []
        self.must("meson", "setup", "build", *sanitize, cwd=self.harbour)

    def drop_in(self):
        self.must("meson", "compile", "-C", "build", cwd=self.harbour)
        module = self.workshop.plugins / "harbour.so"
        shutil.copy(self.harbour / "build" / "harbour.so", module)
        module.chmod(0o755)

    def greet(self, daemon, name):
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            reply = channel.unary_unary("/harbour.Greeter/SayHello")(b"\x0a" + bytes([len(name)]) + name, timeout=20)
        return reply[2:]

    def make_it_fail(self):
        source = self.harbour / "harbour.c"
        text = source.read_text()
        made = "    state->host = host;\n"
        self.assertEqual(1, text.count(made))
        source.write_text(text.replace(made, """    harbour_config_finish(&state->config);
    free(state);
    return berth_error_set(err, BERTH_FAILED_PRECONDITION, "no ship is in");
""" + made))

    def test_a_new_plugin_is_listed_and_called(self):
        self.must("meson", "test", "-C", "build", cwd=self.harbour)
        self.drop_in()
        self.workshop.write_config(plugins={URI: {"greeting": "Moin"}})
        daemon = self.start()
        self.assertEqual(b"Moin, world", self.greet(daemon, b"world"))
        self.assertRegex(daemon.ctl("plugins", "ls").stdout, r"io\.containerd\.grpc\.v1 +harbour +- +ok")
        if shutil.which("ctr"):
            self.assertEqual(daemon.ctl("plugins", "ls").stdout,
                             run("ctr", "--address", daemon.address, "plugins", "ls").stdout)
        self.assert_stops(daemon)

    def test_its_streaming_service_is_called_from_c_and_from_python_as_its_readme_says(self):
        self.drop_in()
        self.workshop.write_config(plugins={"io.berth.server.v1.http": {"address": "127.0.0.1:0"}})
        daemon = self.start()
        said = self.must(self.harbour / "build" / "call_harbour", daemon.address, "Ann")
        self.assertEqual(["Hello, Ann", "1", "2", "3"], said.splitlines())
        # The same handlers over the other transports, and without a client.
        self.assertEqual(said, self.must(self.harbour / "build" / "call_harbour", "--ttrpc", f"{daemon.address}.ttrpc", "Ann"))
        self.assertEqual('{"message":"Hello, Ann"}\n', daemon.ctl("call", "harbour.Greeter/SayHello", '{"name":"Ann"}').stdout)
        self.assertEqual('{"number":1}\n{"number":2}\n', daemon.ctl("call", "harbour.Greeter/Count", '{"upTo":2}').stdout)
        readme = (self.harbour / "README.md").read_text()
        curl = re.search(r"^    (curl .*?)\n\n", readme, re.MULTILINE | re.DOTALL)[1]
        port = re.search(r"io\.berth\.server\.v1\.http.*listening address=127\.0\.0\.1:(\d+)", daemon.log)[1]
        self.assertEqual('{"message":"Hello, Ann"}', self.must("sh", "-c", curl.replace("8080", port)))
        script = textwrap.dedent(re.search(r"^    import grpc.*?(?=^##)", readme, re.MULTILINE | re.DOTALL)[0])
        self.must("protoc", "--python_out=.", "harbour.proto", cwd=self.harbour)
        (self.harbour / "call.py").write_text(script)
        self.assertEqual(said, self.must(sys.executable, "call.py", daemon.address, cwd=self.harbour))
        self.assert_stops(daemon)

    def test_a_typo_in_its_configuration_is_explained(self):
        self.drop_in()
        self.workshop.write_config(plugins={URI: {"greting": "Moin"}})
        self.assert_refuses(3, "berthd.yaml:", URI, '"greting"', 'did you mean "greeting"?')

    def test_a_failure_is_explained_to_the_operator_and_to_callers(self):
        self.make_it_fail()
        self.drop_in()
        daemon = self.start()
        told = daemon.ctl("explain", URI)
        self.assertEqual(1, told.returncode, told.stdout + told.stderr)
        self.assertIn("no ship is in", told.stdout)
        with self.assertRaises(grpc.RpcError) as raised:
            self.greet(daemon, b"world")
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, raised.exception.code())
        self.assertIn("no ship is in", raised.exception.details())
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
