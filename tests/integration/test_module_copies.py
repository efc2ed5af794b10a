# SPDX-License-Identifier: Apache-2.0
"""The folder that copies of modules are loaded from: what a crash left in it, and where no code may be loaded."""

import json
import shutil
import subprocess
import time
import unittest
from pathlib import Path

from daemon import BERTHD, PATIENCE, Case, environment
from workshop import BUILD


class ModuleCopies(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.write_config()

    def below_noexec(self, command):
        """berthd COMMAND with a `root` on a file system of its own that is mounted noexec."""
        mount = "mount -t tmpfs -o noexec,mode=0700 none \"$0\""
        arguments = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
        root = self.workshop.root
        root.mkdir(exist_ok=True)
        if subprocess.run([*arguments, mount, str(root)], capture_output=True, check=False).returncode != 0:
            self.skipTest("no mount namespace here")
        return subprocess.run([*arguments, f"{mount} && exec \"$@\"", str(root), str(BERTHD), command, "--config",
                               str(self.workshop.config)], capture_output=True, text=True, timeout=PATIENCE, check=False,
                              env=environment())

    def test_a_root_that_is_mounted_noexec_is_an_error_of_the_configuration(self):
        done = self.below_noexec("run")
        self.assertEqual(3, done.returncode, done.stderr)
        self.assert_line(done.stderr, f"root: {self.workshop.root}: mounted noexec", "set `root` to a folder")
        done = self.below_noexec("plan")
        self.assertEqual(1, done.returncode, done.stderr)
        self.assert_line(done.stderr, f"root: {self.workshop.root}: mounted noexec")

    def test_the_plan_says_what_will_stay_in_memory_after_an_upgrade(self):
        for name in ("cxx_unique", "leaves_a_thread"):
            shutil.copy(BUILD / "tests/fixtures" / f"{name}.so", self.workshop.plugins)
        text = self.berthd("plan", "--config", self.workshop.config).stdout
        self.assert_line(text, "cxx_unique 1.0.0 will stay resident after an upgrade (", "unique symbols", "-fno-gnu-unique")
        self.assertNotIn("may stay", text)
        plan = json.loads(self.berthd("plan", "--json", "--config", self.workshop.config).stdout)
        found = {entry["module"]: entry["residence"] for entry in plan["plugins"]}
        self.assertEqual((["unique symbols"], []), (found["cxx_unique"]["will_stay"], found["cxx_unique"]["may_stay"]))
        self.assertEqual(([], ["threads"]), (found["leaves_a_thread"]["will_stay"], found["leaves_a_thread"]["may_stay"]))
        self.assertGreater(found["cxx_unique"]["mapped_bytes"], 4096)

    def mapped_copies(self, daemon, name):
        """The files under which a module is in memory."""
        maps = Path(f"/proc/{daemon.pid}/maps").read_text(encoding="utf-8")
        return {line.split()[-1] for line in maps.splitlines() if line.endswith(f"/{name}")}

    def test_modules_that_are_replaced_often_leave_nothing_in_memory(self):
        names = ("greeter.so", "events.so", "store-lmdb.so", "servers.so")
        daemon = self.start()
        for _ in range(12):
            for name in names:
                new = self.workshop.plugins / f"{name}.new"
                shutil.copy(self.workshop.plugins / name, new)
                new.rename(self.workshop.plugins / name)
            done = daemon.ctl("reload")
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            # As systemd does, or the socket would be full.
            daemon.notify.wait("NEVER=1", 0.01, daemon.is_alive)
        end = time.monotonic() + PATIENCE
        while any(len(self.mapped_copies(daemon, name)) != 1 for name in names) and time.monotonic() < end:
            time.sleep(0.05)
        for name in names:
            self.assertEqual(1, len(self.mapped_copies(daemon, name)), name)
            self.assertIn("/modules/", next(iter(self.mapped_copies(daemon, name))))
        self.assertEqual([], json.loads(daemon.ctl("status", "--json").stdout)["residents"])
        self.assertEqual(len(names), len(list((self.workshop.root / "modules").iterdir())))
        self.assert_stops(daemon)

    def test_copies_that_a_crash_left_are_gone_after_the_next_start(self):
        copies = self.workshop.root / "modules"
        left = [copies / f"{'0123456789abcdef' * 4}-12", copies / "unfinished-3"]
        for folder in [*left, copies / "of-somebody-else"]:
            folder.mkdir(parents=True)
            (folder / "greeter.so").write_bytes(b"")
        self.workshop.root.chmod(0o700)
        copies.chmod(0o700)
        daemon = self.start()
        self.assertEqual(["of-somebody-else"], [path.name for path in copies.iterdir()])
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
