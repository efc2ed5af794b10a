# SPDX-License-Identifier: Apache-2.0
"""Debian's unmodified ctr against berthd."""

import re
import shutil
import unittest

from daemon import Case, run
from workshop import Plugin


@unittest.skipIf(shutil.which("ctr") is None, "ctr is not installed (Debian's package containerd)")
class Ctr(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.add("odd", Plugin("io.example.odd.v1", "fails", init='return berth_error_set(err, BERTH_ABORTED, "no luck");'),
                          Plugin("io.example.odd.v1", "skips", init='return berth_error_set(err, BERTH_SKIP, "not here");'),
                          Plugin("io.example.odd.v1", "shows", init="""
                              berth_add_platform(host, "linux", "amd64", NULL); berth_add_export(host, "colour", "blue");
                              berth_add_capability(host, "swim");"""))
        self.daemon = self.start()

    def tearDown(self):
        self.assert_stops(self.daemon)

    def ctr(self, *arguments, code=0):
        done = run("ctr", "--address", self.daemon.address, *arguments)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def rows(self, *arguments):
        header, *rows = self.ctr("plugins", "ls", *arguments).splitlines()
        self.assertEqual(["TYPE", "ID", "PLATFORMS", "STATUS"], header.split())
        return [row.split() for row in rows]

    def test_ls_prints_every_plugin_with_its_status(self):
        rows = self.rows()
        self.assertIn(["io.containerd.grpc.v1", "greeter", "-", "ok"], rows)
        self.assertIn(["io.containerd.server.v1", "grpc", "-", "ok"], rows)
        self.assertIn(["io.example.odd.v1", "fails", "-", "error"], rows)
        self.assertIn(["io.example.odd.v1", "skips", "-", "skip"], rows)
        self.assertIn(["io.example.odd.v1", "shows", "linux/amd64", "ok"], rows)

    def test_ls_is_in_the_order_of_the_plan(self):
        rows = [row[0] + "." + row[1] for row in self.rows()]
        self.assertLess(rows.index("io.containerd.service.v1.introspection-service"),
                        rows.index("io.containerd.grpc.v1.introspection"))

    def test_ls_d_prints_the_details(self):
        text = self.ctr("plugins", "ls", "-d")
        self.assertRegex(text, r"Exports: +\n +colour +blue")
        self.assertRegex(text, r"Capabilities: +swim")
        self.assertRegex(text, r"Code: +Aborted\n +Message: +.*no luck")
        self.assertRegex(text, r"Message: +.*not here.*skip plugin")

    def test_ls_q_prints_ids_only(self):
        self.assertIn("greeter", self.ctr("plugins", "ls", "-q").split())

    def test_the_first_regular_expression_loads_its_engine(self):
        has_engine = lambda: "libre2.so" in open(f"/proc/{self.daemon.pid}/maps", encoding="utf-8").read()
        self.rows("id==greeter")
        self.assertFalse(has_engine())
        self.rows("id~=greeter")
        self.assertTrue(has_engine())

    def test_filters_are_containerds(self):
        self.assertEqual([["io.containerd.grpc.v1", "greeter", "-", "ok"]], self.rows("id==greeter"))
        self.assertEqual({"io.example.odd.v1"}, {row[0] for row in self.rows("type~=odd")})
        self.assertEqual(1, len(self.rows("type~=odd,id==shows")))
        self.assertEqual(2, len(self.rows("id==shows", "id==greeter")))
        self.assertNotIn("greeter", {row[1] for row in self.rows("id!=greeter")})
        self.assertIn("parse error", run("ctr", "--address", self.daemon.address, "plugins", "ls", "id==").stderr)

    def test_version_prints_both_ends(self):
        text = self.ctr("version")
        self.assertIsNotNone(re.search(r"Server:\n  Version: +\S+\n  Revision: *.*\n  UUID: [0-9a-f-]{36}", text), text)

    def test_a_command_that_we_do_not_serve_says_so(self):
        done = run("ctr", "--address", self.daemon.address, "images", "ls")
        self.assertEqual(1, done.returncode)
        self.assertIn("unknown service containerd.services.images.v1.Images", done.stderr)


if __name__ == "__main__":
    unittest.main()
