# SPDX-License-Identifier: Apache-2.0
"""`ctr events` in the background while things happen: the same topics, namespaces and bodies from both daemons."""

import re
import subprocess
import threading
import time
import unittest

from daemon import PATIENCE, environment
from raw_calls import Raw
from side_by_side import SideBySide

# What makes sure that ctr listens, and marks the end: an event that no command causes.
PROBE = "/probe"
BODY = {"type_url": "containerd.events.NamespaceDelete", "value": b"\n\5probe"}

HAPPENS = """
namespaces create n1 colour=blue
namespaces label n1 size=large
namespaces label n1 size=
namespaces label fresh a=b
namespaces rm fresh absent
containers create --config $CONFIG --label colour=blue c1
-n n1 containers create --config $CONFIG c1
-n n1 containers create --config $CONFIG c1
-n n1 containers label c1 size=large shape=round
-n n1 containers label c1 size=
-n n1 containers label absent size=large
-n n1 containers rm c1 absent
-n n1 leases create --id l1
-n n1 leases rm l1
namespaces rm n1
-n other namespaces create n2
containers rm c1
"""


IN_THE_MAKERS = re.compile(r"(?<=^TIME )\S+( /namespaces/(create|update) {\"name\":\"([^\"]+))")


class Listener:
    """`ctr events` on one daemon."""

    def __init__(self, daemon, filters):
        probes = [f'topic=="{PROBE}"'] if filters else []
        self.process = subprocess.Popen(["ctr", "--address", daemon.address, "events", *filters, *probes], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.lines = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        self.raw = Raw(daemon.address)

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def probe(self, name):
        return self.raw.call("Events/Publish", {"topic": PROBE, "event": BODY}, name)

    def wait_until_seen(self, name):
        """Publishes until one is heard."""
        end = time.monotonic() + PATIENCE
        while not any(f" {name} {PROBE} " in line for line in self.lines):
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"ctr events hears nothing: {self.lines}")
            self.probe(name)
            time.sleep(0.05)

    def close(self):
        self.raw.close()
        self.process.kill()
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()
        self.process.stderr.close()


class Events(SideBySide):
    def listen(self, filters):
        """What each hears while HAPPENS does."""
        listeners = [Listener(daemon, filters) for daemon in self.daemons]
        try:
            for listener in listeners:
                listener.wait_until_seen("begins")
            for line in HAPPENS.strip().splitlines():
                self.both(lambda daemon, line=line: self.ctr(daemon, line))
            for listener in listeners:
                listener.wait_until_seen("ends")
        finally:
            for listener in listeners:
                listener.close()
        return [[self.plain(daemon, line) for line in listener.lines if f" {PROBE} " not in line]
                for daemon, listener in zip(self.daemons, listeners)]

    def assert_same(self, least, *filters):
        ours, theirs = self.listen(filters)
        self.assertGreaterEqual(len(theirs), least)
        self.assertEqual(theirs, ours)

    def test_everything_that_happens(self):
        """But for one thing: a namespace's own events are told in it, as containerd does since 1.7, not in its maker's."""
        ours, theirs = self.listen(())
        self.assertGreaterEqual(len(theirs), 13)
        self.assertEqual([IN_THE_MAKERS.sub(r"\3\1", line) for line in theirs], ours)
        self.assertNotEqual(theirs, ours, "this does not differ any more")

    def test_of_one_namespace(self):
        self.assert_same(4, "namespace==n1,topic~=^/containers/")

    def test_of_some_topics(self):
        self.assert_same(6, "topic~=^/containers/", 'topic=="/namespaces/delete"')

    def test_by_what_is_in_an_event(self):
        self.assert_same(2, "event.id==c1,namespace==default")

    def test_filters_that_are_none(self):
        self.replay("""
events topic==
events topic==/x
events topic=x
events 'topic=="x'
events namespace== topic
events ,
""")


if __name__ == "__main__":
    unittest.main()
