# SPDX-License-Identifier: Apache-2.0
"""A disk that is full: what was acknowledged stays, the rest is refused with a reason, and space brings it back."""

import os
import subprocess
import unittest

import grpc

import protos
from daemon import Case
from durability import DELETED, Connection, container

DISK = "6m"
BALLAST = 2 * 1024 * 1024


@unittest.skipIf(os.geteuid() != 0, "needs to mount a small file system")
class FullDisk(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.root.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "berth-test", str(self.workshop.root)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"cannot mount: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.workshop.root)], check=False)
        self.ballast = self.workshop.root / "ballast"
        self.ballast.write_bytes(bytes(BALLAST))
        self.there = {}

    def fill(self, connection, prefix):
        """Creates until the disk is full; the error with which it was said."""
        for number in range(10000):
            name = f"{prefix}{number}"
            try:
                connection.write(name, 1, DELETED)
            except grpc.RpcError as error:
                return error
            self.there[name] = 1
        raise AssertionError("the disk does not fill")

    def test_what_was_acknowledged_survives_and_space_brings_writing_back(self):
        daemon = self.start()
        with Connection(daemon.address, "full") as connection:
            error = self.fill(connection, "a")
            self.assertEqual(grpc.StatusCode.RESOURCE_EXHAUSTED, error.code(), error)
            self.assertRegex(error.details(), "(?i)space|full")
            self.assertGreater(len(self.there), 20)
            self.assertEqual(self.there, connection.list())
            self.assert_reads(connection, "a0")
            self.ballast.unlink()
            connection.write("b", 1, DELETED)
            connection.write("a0", 2, 1)
            connection.write("a1", DELETED, 1)
            self.there.update({"b": 1, "a0": 2})
            del self.there["a1"]
            self.assertEqual(self.there, connection.list())
        daemon.process.kill()
        daemon.process.wait()
        self.daemons.remove(daemon)
        daemon.notify.close()
        self.assert_all_there()

    def test_it_starts_on_a_full_disk_and_reads(self):
        daemon = self.start()
        with Connection(daemon.address, "full") as connection:
            self.fill(connection, "a")
        self.assert_stops(daemon)
        daemon = self.start()
        with Connection(daemon.address, "full") as connection:
            self.assertEqual(self.there, connection.list())
            with self.assertRaises(grpc.RpcError) as caught:
                for number in range(200):
                    connection.write(f"c{number}", 1, DELETED)
                    self.there[f"c{number}"] = 1
            self.assertEqual(grpc.StatusCode.RESOURCE_EXHAUSTED, caught.exception.code(), caught.exception)
            self.assertEqual(self.there, connection.list())
        self.assert_stops(daemon)

    def assert_reads(self, connection, name):
        types = protos.containers
        answer = connection.call("Get", types.GetContainerRequest(id=name), types.GetContainerResponse)
        self.assertEqual(container(name, 1).spec.value, answer.container.spec.value)

    def assert_all_there(self):
        daemon = self.start()
        with Connection(daemon.address, "full") as connection:
            self.assertEqual(self.there, connection.list())
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
