# SPDX-License-Identifier: Apache-2.0
"""The same ctr commands to Debian's containerd and to berthd: the same exit code and the same words."""

import random
import unittest

import grpc

import peers
import protos
from daemon import run

# Each is answered by both with a table or with an error; which plugins are in the table is another matter.
FILTERS = [
    "id==version", "id!=version", "id~=ver", "id~=/ver/", "id~=|ver|", "id~=^version$", "id~=(?i)VERSION", "id~=\\d",
    'id=="version"', '"id"==version', 'id=="\\x41"', 'id=="\\u00e9"', "id==é", "id", "labels.a", 'labels."a.b"==c', "a.b.c",
    "id==version,type==io.containerd.grpc.v1", "id,type", "1==1", "id~=(a+)+$", "id~=a|b", "id==version ",
    "id==", "id", "id==/x", 'id=="a', "id==version,", "id=version", "==x", ",", "id ==version", "id==ver sion", ".id", "id.",
    "id==\\x", 'id=="\\400"', "é==x", "id!=", "!=", "id~=", "id~==", "id===x", "id==a|b", "id|x", "id/x", "id=='x'",
    "id==`x`", "id~=`v`", 'id==x"y"', "labels.", "labels..a", "id,,type", "id==a,b==", "id==\x01", "id\n==x", "   ", " id==version",
]


# Requests of several filters, and of characters that are seldom met.
REQUESTS = [
    [], [b""], [b"", b"id==version"], [b"id==none", b"id==version"], [b"id==version", b"id=="], [b"id==", b"type="],
    [b"id==\xef\xbf\xbd"], [b"id\xc2\xa0==\xe2\x80\xa8version"], [b"id==\xc2\x85"],
    [b'id=="\\uD800"'], [b'id=="\\U00110000"'], [b'id=="a\\"b"'], [b"id~=/a\\/b/"], [b"id~=|a\\|b|"], [b'id=="\\101"'], [b'"id".type'],
    [b"id==" + b"x" * 3000], [b"x" * 300 + b"="],
]

# What a filter may be made of.
PIECES = [
    b"id", b"type", b"labels", b"==", b"!=", b"~=", b"=", b"!", b"~", b",", b".", b'"', b"/", b"|", b"\\", b"\\x41", b"\\u00e9", b"\\n",
    b"\\0", b"\\101", b"-", b" ", b"\t", b"\n", b"a", b"_", b"1", b"\xc3\xa9", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"(", b")",
    b"*", b"[", b"^", b"$", b"io.containerd", b'"a b"', b"/ver/", b"|v|", b"'", b"`", b"\x01", b"\x7f", b"\xc2\xa0", b'\\"', b"\\/", b"\\400",
]


def made_up(count):
    """Always the same filters, most of them none."""
    chance = random.Random(4)
    for _ in range(count):
        start = chance.choice([b"", b"id", b"type", b'"id"', b'labels."a b"']) + chance.choice([b"==", b"!=", b"~=", b""])
        yield [start + b"".join(chance.choices(PIECES, k=chance.randint(1, 5)))]


def pack(filters):
    """A PluginsRequest; by hand, as its strings may be no text."""
    length = lambda number: bytes([number]) if number < 128 else bytes([number & 127 | 128]) + length(number >> 7)
    return b"".join(b"\x0a" + length(len(text)) + text for text in filters)


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

    def test_the_wire_has_the_same_code_text_and_plugins(self):
        calls = []
        for daemon in self.daemons:
            channel = grpc.insecure_channel(f"unix:{daemon.address}")
            self.addCleanup(channel.close)
            calls.append(channel.unary_unary("/containerd.services.introspection.v1.Introspection/Plugins",
                                             request_serializer=lambda request: request,
                                             response_deserializer=protos.introspection.PluginsResponse.FromString))

        def answer(call, filters):
            try:
                return "OK", "", {(plugin.type, plugin.id) for plugin in call(pack(filters), timeout=60).plugins}
            except grpc.RpcError as error:
                return error.code().name, error.details(), set()

        both_have = answer(calls[0], [])[2] & answer(calls[1], [])[2]
        self.assertIn(("io.containerd.grpc.v1", "version"), both_have)
        for filters in REQUESTS + [[text.encode()] for text in FILTERS] + list(made_up(400)):
            with self.subTest(filters=filters):
                ours, theirs = (answer(call, filters) for call in calls)
                if "]: regular expression: " in ours[1]:
                    # containerd lets nothing through, unless it refuses the filter for what comes behind.
                    self.assertEqual("INVALID_ARGUMENT", ours[0])
                    self.assertIn(theirs[0], ("OK", "INVALID_ARGUMENT"))
                    self.assertEqual(set(), theirs[2])
                    continue
                self.assertEqual(theirs[:2], ours[:2])
                self.assertEqual(theirs[2] & both_have, ours[2] & both_have)

    def test_what_is_no_text_is_no_request(self):
        """containerd 1.6 looks at it as a filter; a Go server of today refuses it, as INTERNAL."""
        with grpc.insecure_channel(f"unix:{self.daemons[0].address}") as channel:
            call = channel.unary_unary("/containerd.services.introspection.v1.Introspection/Plugins")
            for text in (b"id==\xff", b"\xc3", b"id==\xed\xa0\x80", b"id==\0"):
                with self.assertRaises(grpc.RpcError) as caught:
                    call(pack([text]), timeout=60)
                self.assertEqual(grpc.StatusCode.INVALID_ARGUMENT, caught.exception.code())
                self.assertIn("field filters[0] of ", caught.exception.details())

    def test_the_version_has_the_same_lines(self):
        ours, theirs = ([line.split(":")[0] for line in done.stdout.splitlines()] for done in self.ask("version"))
        self.assertEqual(theirs, ours)


if __name__ == "__main__":
    unittest.main()
