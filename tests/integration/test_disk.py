# SPDX-License-Identifier: Apache-2.0
"""A root that is full, read-only or no folder at all."""

import os
import resource
import subprocess
import unittest

from daemon import Case

# It keeps the daemon's uuid at its root.
INTROSPECTION = "io.containerd.service.v1.introspection-service"


@unittest.skipIf(os.geteuid() != 0, "needs to mount a small file system")
class SmallDisk(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.root.mkdir()
        options = "size=64k,mode=0755"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "berth-test", str(self.workshop.root)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"cannot mount: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", str(self.workshop.root)], check=False)

    def assert_goes_on(self, reason):
        """The daemon runs, and a warning names the folder and the reason."""
        daemon = self.start()
        self.assertEqual(0, daemon.ctl("version").returncode)
        self.assertIn(self.plugins(daemon)["io.containerd.grpc.v1.greeter"].state, ("ready", "serving"))
        self.assert_stops(daemon)
        self.assert_line(daemon.log, " warn ", f"root: {self.workshop.root}: cannot write to it: {reason}", "; plugins that write there may fail")

    def test_a_full_root_is_said(self):
        with open(self.workshop.root / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass
        self.assert_goes_on("No space left")

    def test_a_read_only_root_is_said(self):
        subprocess.run(["mount", "-o", "remount,ro", str(self.workshop.root)], check=True)
        self.assert_goes_on("Read-only file system")


class FileSizeLimit(Case):
    def test_a_file_size_limit_is_not_taken_for_a_full_disk(self):
        self.workshop.add_default_modules("servers", "greeter")
        daemon = self.launch(preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))).wait_for()
        self.assert_line(daemon.log, " warn ", "root: ", "File too large; raise the daemon's file size limit")
        self.assert_stops(daemon)


class OddRoot(Case):
    def test_a_root_that_is_a_file_is_said(self):
        self.workshop.add_default_modules()
        self.workshop.root.write_text("no folder")
        daemon = self.launch()
        if daemon.notify.wait("READY=1", 30, daemon.is_alive):
            self.assert_stops(daemon)
        else:
            self.assertEqual(1, daemon.wait(), daemon.log)
        self.assert_line(daemon.log, str(self.workshop.root), "ot a directory")

    def test_the_uuid_survives_a_restart(self):
        self.workshop.add_default_modules()
        seen = []
        for _ in range(2):
            self.assert_stops(self.start())
            found = list(self.workshop.root.rglob("uuid"))
            self.assertEqual(1, len(found), found)
            seen.append(found[0].read_text())
        self.assertEqual(seen[0], seen[1])
        self.assertRegex(seen[0].strip(), "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


if __name__ == "__main__":
    unittest.main()
