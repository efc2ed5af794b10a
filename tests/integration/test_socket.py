# SPDX-License-Identifier: Apache-2.0
"""What becomes of the socket: too long, in use, left over, its mode; and clients that do not behave."""

import os
import socket
import stat
import unittest

from daemon import Case

SERVER = "io.containerd.server.v1.grpc"


class Socket(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def configure(self, **section):
        self.workshop.write_config(plugins={SERVER: section}, required_plugins=[SERVER])

    def test_a_path_that_is_too_long_is_refused_with_the_limit(self):
        path = self.workshop.short / ("x" * 120)
        self.configure(address=str(path))
        self.assert_refuses(3, "x" * 120, "107")

    def test_a_socket_in_use_is_refused_with_the_pid_of_its_daemon(self):
        first = self.start()
        self.configure(address=first.address)
        second = self.launch()
        self.assertEqual(1, second.wait(), second.log)
        self.assert_line(second.log, first.address, str(first.pid))
        self.assertEqual(0, first.ctl("version").returncode)
        self.assert_stops(first)

    def test_a_stale_socket_is_replaced(self):
        self.workshop.state.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as left_over:
            left_over.bind(str(self.workshop.state / "berth.sock"))
        daemon = self.start()
        self.assertEqual(0, daemon.ctl("version").returncode)
        self.assert_stops(daemon)

    def test_a_daemon_that_was_killed_is_followed_by_the_next(self):
        first = self.start()
        first.process.kill()
        first.process.wait()
        daemon = self.start()
        self.assertEqual(0, daemon.ctl("version").returncode)
        self.assert_stops(daemon)

    def test_a_file_that_is_no_socket_is_left_alone(self):
        self.workshop.state.mkdir(parents=True)
        precious = self.workshop.state / "berth.sock"
        precious.write_text("precious")
        self.configure()
        self.assert_refuses(1, str(precious))
        self.assertEqual("precious", precious.read_text())

    def test_mode_and_owner_are_as_configured(self):
        self.configure(mode="0600")
        daemon = self.start()
        self.assertEqual(0o600, stat.S_IMODE(os.stat(daemon.address).st_mode))
        self.assert_stops(daemon)

    def test_a_mode_that_shuts_out_the_owner_is_refused(self):
        for mode in ("000", "0077"):
            self.configure(mode=mode)
            self.assert_refuses(3, "berthd.yaml:", "mode", mode)

    def test_strangers_to_the_protocol_harm_nobody(self):
        daemon = self.start()
        for garbage in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100_000, os.urandom(5000),
                        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(3000)):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(daemon.address)
                try:
                    client.sendall(garbage)
                except OSError:
                    pass
        self.assertEqual(0, daemon.ctl("version").returncode)
        self.assert_stops(daemon)

    def test_an_open_connection_does_not_keep_the_daemon(self):
        daemon = self.start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(daemon.address)
            self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
