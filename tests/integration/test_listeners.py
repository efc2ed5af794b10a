# SPDX-License-Identifier: Apache-2.0
"""Sockets that outlive what listens on them: opened by the service manager, or kept by it between two runs."""

import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
import unittest

from daemon import BERTHCTL, Case, environment
from manager import Keeper, passing
from workshop import SOURCE

GRPC = "io.containerd.server.v1.grpc"
TCP = "io.containerd.server.v1.grpc-tcp"
TTRPC = "io.containerd.server.v1.ttrpc"


class Knocker:
    """A client that connects all the time, and counts what it is told."""

    def __init__(self, family, address):
        self.family, self.address = family, address
        self.connects, self.refusals = 0, []
        self.is_over = False
        self.thread = threading.Thread(target=self.knock)
        self.thread.start()

    def knock(self):
        while not self.is_over:
            with socket.socket(self.family) as client:
                client.settimeout(20)
                try:
                    client.connect(self.address)
                    self.connects += 1
                except OSError as error:
                    self.refusals.append(error)
            time.sleep(0.002)

    def end(self):
        self.is_over = True
        self.thread.join()
        return self.refusals


class Listeners(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.kept = {}
        self.addCleanup(lambda: [kept.close() for kept in self.kept.values()])

    def listen(self, path):
        opened = socket.socket(socket.AF_UNIX)
        self.addCleanup(opened.close)
        opened.bind(str(path))
        opened.listen(64)
        return opened

    def keeper(self):
        return Keeper(self.workshop.short / f"notify-{time.monotonic_ns()}", self.kept)

    def launch_kept(self):
        """A run whose service manager keeps sockets: those of the run before are passed to it."""
        sockets = [(name, kept.fileno()) for name, kept in self.kept.items()]
        return self.launch(notify=self.keeper(), FDSTORE=8, **passing(sockets))

    def call_in_background(self, address):
        return subprocess.Popen([str(BERTHCTL), "--address", address, "--timeout", "30s", "version"], env=environment(),
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_a_socket_of_the_service_manager_serves_who_came_before_the_daemon(self):
        self.workshop.state.mkdir(parents=True)
        path = self.workshop.state / "berth.sock"
        opened = self.listen(path)
        early = self.call_in_background(str(path))
        daemon = self.launch(**passing([("berthd.socket", opened.fileno())])).wait_for()
        output, _ = early.communicate(timeout=60)
        self.assertEqual(0, early.returncode, output)
        self.assert_line(daemon.log, GRPC, "using the socket from the service manager")
        self.assert_stops(daemon)
        self.assertTrue(stat.S_ISSOCK(os.lstat(path).st_mode), "it is the service manager's")

    def test_the_uri_of_a_server_names_its_socket(self):
        path = self.workshop.short / "elsewhere.sock"
        opened = self.listen(path)
        daemon = self.launch(**passing([(GRPC, opened.fileno())])).wait_for()
        self.assertEqual(0, self.run_ctl(str(path)).returncode)
        self.assert_stops(daemon)

    def run_ctl(self, address):
        from daemon import run
        return run(BERTHCTL, "--address", address, "version")

    def test_sockets_that_nobody_listens_on_are_named_and_closed(self):
        opened = self.listen(self.workshop.short / "other.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
            daemon = self.launch(**passing([("other", opened.fileno()), ("log", datagrams.fileno())])).wait_for()
        self.assert_line(daemon.log, "other.sock", "no plugin listens there")
        self.assert_line(daemon.log, "(log)", "not a stream socket")
        inherited = [os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in (3, 4)
                     if os.path.islink(f"/proc/{daemon.pid}/fd/{fd}")]
        self.assertNotIn(os.readlink(f"/proc/self/fd/{opened.fileno()}"), inherited)
        self.assertEqual(0, daemon.ctl("version").returncode)
        self.assert_stops(daemon)

    def test_the_units_open_what_a_daemon_without_settings_listens_on(self):
        unit = (SOURCE / "config" / "berthd.socket").read_text()
        paths = re.findall("^ListenStream=/run/berth/(.+)$", unit, re.MULTILINE)
        self.workshop.state.mkdir(parents=True)
        opened = [self.listen(self.workshop.state / path) for path in paths]
        daemon = self.launch(**passing([("berthd.socket", socket.fileno()) for socket in opened])).wait_for()
        self.assertEqual(2, daemon.log.count("using the socket from the service manager"), daemon.log)
        self.assertNotIn("no plugin listens there", daemon.log)
        self.assert_stops(daemon)

    def test_two_plugins_do_not_share_an_address(self):
        address = str(self.workshop.short / "shared.sock")
        self.workshop.write_config(plugins={GRPC: {"address": address}, TTRPC: {"address": address}})
        daemon = self.start()
        self.assert_line(daemon.log, "cannot listen on", address, "already listens there")
        self.assert_stops(daemon)

    def restart(self, end):
        """Two runs, with clients that connect all the time, over the end of the first."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.workshop.write_config(plugins={TCP: {"address": f"127.0.0.1:{port}"}})
        first = self.launch_kept().wait_for()
        inode = os.lstat(first.address).st_ino
        self.assertEqual(3, len(self.kept), self.kept)
        knockers = [Knocker(socket.AF_UNIX, first.address), Knocker(socket.AF_INET, ("127.0.0.1", port)),
                    Knocker(socket.AF_UNIX, first.address + ".ttrpc")]
        try:
            time.sleep(0.2)
            end(first)
            waiting = self.call_in_background(first.address)
            time.sleep(0.2)
            second = self.launch_kept().wait_for()
            output, _ = waiting.communicate(timeout=60)
            time.sleep(0.2)
        finally:
            refusals = [knocker.end() for knocker in knockers]
        self.assertEqual([[], [], []], refusals)
        self.assertTrue(all(knocker.connects > 100 for knocker in knockers), [k.connects for k in knockers])
        self.assertEqual(0, waiting.returncode, output)
        self.assertEqual(inode, os.lstat(second.address).st_ino)
        self.assert_line(second.log, GRPC, "using the socket from the previous run")
        self.assert_stops(second)

    def test_a_restart_refuses_no_connection(self):
        self.restart(self.assert_stops)

    def test_a_crash_refuses_no_connection(self):
        def crash(daemon):
            daemon.send(signal.SIGKILL)
            daemon.process.wait()
        self.restart(crash)

    def test_a_socket_that_the_next_configuration_does_not_have_goes(self):
        first = self.launch_kept().wait_for()
        self.assert_stops(first)
        self.assertTrue(os.path.exists(first.address + ".ttrpc"))
        self.workshop.write_config(disabled_plugins=[TTRPC])
        second = self.launch_kept().wait_for()
        self.assertFalse(os.path.exists(first.address + ".ttrpc"))
        self.assertEqual(0, second.ctl("version").returncode)
        self.assert_stops(second)
        self.assertEqual(1, len(self.kept))

    def test_without_a_store_the_path_is_gone_when_the_daemon_is(self):
        daemon = self.start()
        self.assert_stops(daemon)
        self.assertFalse(os.path.exists(daemon.address))


if __name__ == "__main__":
    unittest.main()
