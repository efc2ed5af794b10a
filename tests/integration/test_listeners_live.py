# SPDX-License-Identifier: Apache-2.0
"""Servers that change and are replaced while clients connect, call, and stay connected."""

import os
import socket
import stat
import unittest

import grpc
import protos
from daemon import Case
from test_listeners import GRPC, TCP, TTRPC, Knocker
from test_ttrpc import REQUEST, RESPONSE, Peer, field, fields, request


class Live(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.configure()
        self.daemon = self.start()
        self.channel = grpc.insecure_channel(f"unix:{self.daemon.address}")
        self.addCleanup(self.channel.close)
        self.assert_greeted(self.channel)

    def configure(self, **plugins):
        self.workshop.write_config(plugins=plugins, upgrade={"drain": "500ms"})

    def assert_greeted(self, channel):
        call = channel.unary_unary("/helloworld.Greeter/SayHello",
                                   request_serializer=protos.greeter.HelloRequest.SerializeToString,
                                   response_deserializer=protos.greeter.HelloReply.FromString)
        self.assertIn("world", call(protos.greeter.HelloRequest(name="world"), timeout=20).message)

    def greet_by_ttrpc(self, peer, stream):
        peer.send(stream, REQUEST, 0, request("helloworld.Greeter", "SayHello", field(1, b"Ada"),
                                              containerd_namespace_ttrpc="default"))
        found, kind, _, data = peer.read()
        self.assertEqual((stream, RESPONSE), (found, kind))
        self.assertEqual(field(1, b"Hello Ada"), fields(data)[2], data)

    def change(self, *arguments):
        done = self.daemon.ctl(*arguments)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr + self.daemon.log)
        return done.stdout

    def test_mode_and_limits_change_and_no_connection_is_closed(self):
        with Peer(self.daemon.address + ".ttrpc") as peer:
            self.greet_by_ttrpc(peer, 1)
            self.configure(**{GRPC: {"mode": "0600", "max_idle": "1h"}, TTRPC: {"mode": "0666"}})
            self.change("reload")
            self.assertEqual(0o600, stat.S_IMODE(os.stat(self.daemon.address).st_mode))
            self.assertEqual(0o666, stat.S_IMODE(os.stat(self.daemon.address + ".ttrpc").st_mode))
            self.assert_greeted(self.channel)
            self.greet_by_ttrpc(peer, 3)
        self.assert_stops(self.daemon)

    def test_an_address_is_opened_and_the_one_before_closed(self):
        path = self.workshop.short / "elsewhere.sock"
        with Peer(self.daemon.address + ".ttrpc") as peer:
            self.greet_by_ttrpc(peer, 1)
            self.configure(**{TTRPC: {"address": str(path)}, TCP: {"address": "127.0.0.1:0"}})
            self.change("reload")
            self.assertFalse(os.path.exists(self.daemon.address + ".ttrpc"))
            self.greet_by_ttrpc(peer, 3)
            with Peer(str(path)) as other:
                self.greet_by_ttrpc(other, 1)
        self.assertRegex(self.daemon.log, f"{TCP}: listening address=127.0.0.1:[1-9]")
        self.assert_stops(self.daemon)

    def test_an_address_that_cannot_be_had_leaves_the_server_as_it_is(self):
        self.configure(**{GRPC: {"address": str(self.workshop.short / "no" / "such.sock")}})
        done = self.daemon.ctl("reload")
        self.assertNotEqual(0, done.returncode, done.stdout)
        self.assertIn("no/such.sock", done.stdout + done.stderr)
        self.assert_greeted(self.channel)
        self.assertEqual(0, self.daemon.ctl("version").returncode)
        self.assert_stops(self.daemon)

    def test_servers_are_replaced_and_no_client_is_refused(self):
        knockers = [Knocker(socket.AF_UNIX, self.daemon.address), Knocker(socket.AF_UNIX, self.daemon.address + ".ttrpc")]
        inode = os.lstat(self.daemon.address).st_ino
        try:
            with Peer(self.daemon.address + ".ttrpc") as peer:
                self.greet_by_ttrpc(peer, 1)
                for i in range(5):
                    self.change("plugins", "restart", GRPC, TTRPC)
                    self.assert_greeted(self.channel)
                    self.greet_by_ttrpc(peer, 3 + 2 * i)
        finally:
            refusals = [knocker.end() for knocker in knockers]
        self.assertEqual([[], []], refusals)
        self.assertEqual(inode, os.lstat(self.daemon.address).st_ino)
        self.assert_stops(self.daemon)


if __name__ == "__main__":
    unittest.main()
