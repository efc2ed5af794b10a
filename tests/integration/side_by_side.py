# SPDX-License-Identifier: Apache-2.0
"""Debian's containerd and berthd side by side: what ctr is told by the one, it is told by the other."""

import concurrent.futures
import re
import shlex
import string
import subprocess
import tempfile
import unittest
from pathlib import Path

import peers
from daemon import run

# What two daemons cannot have in common; its width moves the columns behind it.
VOLATILE = tuple((re.compile(pattern, re.MULTILINE), name) for pattern, name in (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000 UTC|[+-]\d\d:\d\d)", "TIME"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b", "UUID"),
    (r"\b\d{1,9}-[A-Za-z0-9_-]{4}(?=\s|\")", "LEASE"),
    (r"(?<=  Version:  ).*|(?<=  Revision: ).*", "VERSION"),
    (r"  +", "  "),
))
# `containers label` prints them in the order of a Go map.
LABELS = re.compile(r"[^ ,]+=[^,]*(,[^ ,]+=[^,]*)+")
# Longer than an identifier may be; as long as one may be; and too much for a label.
WORDS = {"LONG": "n" * 77, "LONGEST": "n" * 76, "BIG": "b" * 4096}


class Differs:
    """A difference on purpose: what berthd does where containerd does something else, and why."""

    def __init__(self, why, *, code=None, stdout=None, stderr=None):
        self.why = why
        self.ours = {"code": code, "stdout": stdout, "stderr": stderr}


@unittest.skipIf(len(peers.kinds()) < 2, "containerd is not installed, or we are not root")
class SideBySide(unittest.TestCase):
    """Both daemons on roots of their own, with nothing in them, for each test."""

    maxDiff = None

    def setUp(self):
        self.daemons = peers.daemons()
        for daemon in self.daemons:
            self.addCleanup(daemon.remove)
            daemon.start()
        for daemon in self.daemons:
            daemon.wait_for_socket()
        self.ours, self.theirs = self.daemons
        folder = tempfile.TemporaryDirectory(prefix="berth-side-")
        self.addCleanup(folder.cleanup)
        self.words = {**WORDS, **self.files(Path(folder.name))}
        pool = concurrent.futures.ThreadPoolExecutor(2)
        self.addCleanup(pool.shutdown)
        self.both = lambda function: tuple(pool.map(function, self.daemons))

    @staticmethod
    def files(folder):
        (folder / "rootfs").mkdir()
        config = subprocess.run(["ctr", "oci", "spec"], capture_output=True, check=True).stdout
        (folder / "config.json").write_bytes(config)
        (folder / "broken.json").write_bytes(config[:-10])
        (folder / "empty.json").write_text("{}")
        return {"CONFIG": folder / "config.json", "BROKEN": folder / "broken.json", "EMPTY": folder / "empty.json",
                "ABSENT": folder / "absent.json", "ROOTFS": folder / "rootfs"}

    def ctr(self, daemon, line):
        arguments = [string.Template(word).safe_substitute(self.words) for word in shlex.split(line)]
        done = run("ctr", "--address", daemon.address, *arguments)
        return {"code": done.returncode, "stdout": self.plain(daemon, done.stdout), "stderr": self.plain(daemon, done.stderr)}

    @staticmethod
    def plain(daemon, text):
        text = text.replace(daemon.address, "SOCKET")
        for pattern, name in VOLATILE:
            text = pattern.sub(name, text)
        return "\n".join(",".join(sorted(line.split(","))) if LABELS.fullmatch(line) else line for line in text.split("\n"))

    def replay(self, script, differs=None):
        """Each line to both, in order: the same exit code and words, but for the lines that `differs` names."""
        lines = [line for line in script.strip().splitlines() if line]
        left = dict(differs or {})
        for line in lines:
            ours, theirs = self.both(lambda daemon, line=line: self.ctr(daemon, line))
            with self.subTest(ctr=line):
                self.compare(ours, theirs, left.pop(line, None))
        self.assertEqual({}, left, "differences of commands that were not given")

    def compare(self, ours, theirs, differs):
        if differs is None:
            self.assertEqual(theirs, ours)
            return
        wanted = {part: theirs[part] if text is None else text for part, text in differs.ours.items()}
        self.assertEqual(wanted, ours, differs.why)
        self.assertNotEqual(theirs, ours, f"this does not differ any more: {differs.why}")
