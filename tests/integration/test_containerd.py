# SPDX-License-Identifier: Apache-2.0
"""The same ctr commands to Debian's containerd and to berthd: the same exit code and the same words."""

import unittest

import peers
from daemon import run

# Each is answered by both with a table or with an error; which plugins are in the table is another matter.
FILTERS = [
    "id==version", "id!=version", "id~=ver", "id~=/ver/", "id~=|ver|", "id~=^version$", "id~=(?i)VERSION", "id~=\\d",
    'id=="version"', '"id"==version', 'id=="\\x41"', 'id=="\\u00e9"', "id==é", "id", "labels.a", 'labels."a.b"==c', "a.b.c",
    "id==version,type==io.containerd.grpc.v1", "id,type", "1==1", "id~=[", "id~=(a+)+$", "id~=a|b", "id==version ",
    "id==", "id", "id==/x", 'id=="a', "id==version,", "id=version", "==x", ",", "id ==version", "id==ver sion", ".id", "id.",
    "id==\\x", 'id=="\\400"', "é==x", "id!=", "!=", "id~=", "id~==", "id===x", "id==a|b", "id|x", "id/x", "id=='x'",
    "id==`x`", "id~=`v`", 'id==x"y"', "labels.", "labels..a", "id,,type", "id==a,b==", "id==\x01", "id\n==x", "   ", " id==version",
]


@unittest.skipIf(len(peers.kinds()) < 2, "containerd is not installed, or we are not root")
class Containerd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemons = peers.daemons()
        for daemon in cls.daemons:
            cls.addClassCleanup(daemon.remove)
            daemon.start()
            daemon.wait_for_socket()

    def ask(self, *arguments):
        return [run("ctr", "--address", daemon.address, *arguments) for daemon in self.daemons]

    def test_filters_mean_the_same_and_fail_with_the_same_words(self):
        for text in FILTERS:
            with self.subTest(filter=text):
                ours, theirs = self.ask("plugins", "ls", text)
                self.assertEqual((theirs.returncode, theirs.stderr), (ours.returncode, ours.stderr))
                self.assertEqual(" version " in theirs.stdout, " version " in ours.stdout)
                self.assertEqual(theirs.stdout.count("\n") > 1, ours.stdout.count("\n") > 1)

    def test_the_version_has_the_same_lines(self):
        ours, theirs = ([line.split(":")[0] for line in done.stdout.splitlines()] for done in self.ask("version"))
        self.assertEqual(theirs, ours)


if __name__ == "__main__":
    unittest.main()
