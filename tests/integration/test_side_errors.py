# SPDX-License-Identifier: Apache-2.0
"""Calls that ctr does not make, right ones and wrong ones: the same codes and sentences as containerd's."""

import unittest

from raw_calls import NAMESPACE, Raw
from side_by_side import SideBySide

BAD = "bad ns"
LONG = "n" * 77
BIG = {"io.example/key": "b" * 4096}
SPEC = {"type_url": "example/spec", "value": b"{}"}
RUNTIME = {"name": "io.containerd.runc.v2"}
GOOD = {"id": "c1", "runtime": RUNTIME, "spec": SPEC}
MAXIMUM = 16 * 1024 * 1024


def but(**changes):
    """GOOD with these members instead; None takes one away."""
    return {"container": {key: value for key, value in {**GOOD, **changes}.items() if value is not None}}


def update(*paths, **container):
    return {"container": container, **({"update_mask": {"paths": paths}} if paths else {})}


class Ours:
    """What berthd answers where that is not what containerd does, and why."""

    def __init__(self, why, answer):
        self.why, self.answer = why, answer


RULE = "a rule that a request breaks is its caller's mistake; containerd says UNKNOWN where it forgot to say so"
STORED = "the answer is the namespace as it is stored; containerd's is empty, or has labels that were not stored"
NAME = "an update must not make a namespace that no call can then use or remove"


def namespace(name, **labels):
    """A reply that holds it."""
    inside = "".join(f'  labels {{\n    key: "{key}"\n    value: "{value}"\n  }}\n' for key, value in labels.items())
    return f'namespace {{\n  name: "{name}"\n{inside}}}\n'


ANY = {"type_url": "containerd.events.NamespaceDelete", "value": b"\n\2n1"}
TIME = {"seconds": 1700000000, "nanos": 5}

# Calls that want a namespace, or do without one.
IN_A_NAMESPACE = (
    ("Containers/Get", {"id": "c1"}), ("Containers/List", {}), ("Containers/ListStream", {}), ("Containers/Create", but()),
    ("Containers/Update", update(id="c1")), ("Containers/Delete", {"id": "c1"}), ("Leases/Create", {"id": "l1"}),
    ("Leases/List", {}), ("Leases/Delete", {"id": "l1"}), ("Leases/AddResource", {"id": "l1", "resource": {"id": "x", "type": "content"}}),
    ("Leases/DeleteResource", {"id": "l1", "resource": {"id": "x", "type": "content"}}), ("Leases/ListResources", {"id": "l1"}),
    ("Events/Publish", {"topic": "/a", "event": ANY}), ("Events/Forward", {"envelope": {
        "timestamp": TIME, "namespace": "n1", "topic": "/a", "event": ANY}}),
    ("Namespaces/Get", {"name": "n1"}), ("Namespaces/List", {}), ("Namespaces/Delete", {"name": "n1"}), ("Introspection/Plugins", {"filters": ["id==version"]}),
)

CONTAINERS = (
    ("Containers/Create", {}),
    ("Containers/Create", {"container": {}}),
    ("Containers/Create", but(id=None)),
    ("Containers/Create", but(id="bad id")),
    ("Containers/Create", but(id=LONG)),
    ("Containers/Create", but(id="é")),
    ("Containers/Create", but(runtime=None)),
    ("Containers/Create", but(runtime={})),
    ("Containers/Create", but(spec=None)),
    ("Containers/Create", but(id="c0", spec={})),
    ("Containers/Create", but(snapshot_key="s1")),
    ("Containers/Create", but(labels=BIG)),
    ("Containers/Create", but(labels={"": "v"}),
     Ours(RULE, "INVALID_ARGUMENT: create container failed validation: containers.Labels: key required: invalid argument")),
    ("Containers/Create", but(id="c4", labels={"k": ""})),
    ("Containers/Create", but()),
    ("Containers/Create", but(id="c2", image="example/image", labels={"a": "1", "b": ""}, snapshotter="native", snapshot_key="s2",
                              created_at=TIME, updated_at=TIME)),
    ("Containers/Get", {}),
    ("Containers/Get", {"id": "c1"}),
    ("Containers/Get", {"id": "c2"}),
    ("Containers/Get", {"id": "c3"}),
    ("Containers/Get", {"id": LONG}),
    ("Containers/List", {}),
    ("Containers/List", {"filters": ["id==c1", "image~=example"]}),
    ("Containers/List", {"filters": ["id=="]}),
    ("Containers/List", {"filters": [""]}),
    ("Containers/ListStream", {"filters": ["id==c2"]}),
    ("Containers/ListStream", {"filters": ["id=="]}),
    ("Containers/Update", {}),
    ("Containers/Update", update(id="c3", runtime=RUNTIME, spec=SPEC)),
    ("Containers/Update", update("labels.a", id="c3")),
    ("Containers/Update", update("labels.a", labels={"a": "2"})),
    ("Containers/Update", update("nonsense", id="c1")),
    ("Containers/Update", update("runtime", id="c1", runtime={"name": "other"})),
    ("Containers/Update", update("runtime.name", id="c1", runtime={"name": "other"})),
    ("Containers/Update", update("snapshotter", id="c1", snapshotter="other")),
    ("Containers/Update", update("snapshot_key", id="c1", snapshot_key="other")),
    ("Containers/Update", update("created_at", id="c1", created_at=TIME)),
    ("Containers/Update", update("id", id="c1")),
    ("Containers/Update", update("", id="c1")),
    ("Containers/Update", update("labels.a", "nonsense", id="c1", labels={"a": "9"})),
    ("Containers/Get", {"id": "c1"}),
    ("Containers/Update", update("labels.a", id="c1", labels={"a": "2", "b": "3"})),
    ("Containers/Update", update("labels.b.c/d", id="c1", labels={"b.c/d": "4"})),
    ("Containers/Update", update("labels.a", id="c1", labels={"a": ""})),
    ("Containers/Update", update("labels.none", id="c1")),
    ("Containers/Update", update("labels", id="c1", labels={"x": "1", "y": ""})),
    ("Containers/Update", update("labels.x", id="c1", labels=BIG | {"x": "b" * 4096})),
    ("Containers/Update", update("image", id="c1", image="example/other")),
    ("Containers/Update", update("image", id="c1")),
    ("Containers/Update", update("snapshotkey", id="c1", snapshot_key="s1")),
    ("Containers/Update", update("spec", id="c1", spec={"type_url": "example/other", "value": b"[]"})),
    ("Containers/Update", update("spec", id="c1")),
    ("Containers/Update", update(id="c1")),
    ("Containers/Update", update(id="c1", runtime={"name": "other"}, spec=SPEC)),
    ("Containers/Update", update(id="c1", runtime=RUNTIME, spec=SPEC, snapshotter="other")),
    ("Containers/Update", update(id="c1", runtime=RUNTIME, labels={"z": "1"}, image="example/third")),
    ("Containers/Update", update(id="c1", runtime=RUNTIME, spec=SPEC, labels={"z": "1"}, image="example/third")),
    ("Containers/Update", update(id="c2", runtime=RUNTIME, spec=SPEC, snapshotter="native")),
    ("Containers/Update", update(id="c2", runtime=RUNTIME, spec=SPEC, snapshotter="native", labels=BIG)),
    ("Containers/List", {}),
    ("Containers/Delete", {}),
    ("Containers/Delete", {"id": "c3"}),
    ("Containers/Delete", {"id": "bad id"}),
    ("Containers/Delete", {"id": "c1"}),
    ("Containers/Delete", {"id": "c1"}),
    ("Containers/List", {}),
    ("Namespaces/Delete", {"name": "default"}),
    ("Containers/Delete", {"id": "c2"}),
    ("Containers/Delete", {"id": "c0"}),
    ("Containers/Delete", {"id": "c4"}),
    ("Namespaces/Delete", {"name": "default"}),
    ("Namespaces/List", {}),
)

NAMESPACES = (
    ("Namespaces/Get", {"name": "n1"}),
    ("Namespaces/Get", {}),
    ("Namespaces/Get", {"name": BAD}),
    ("Namespaces/Create", {}),
    ("Namespaces/Create", {"namespace": {"name": BAD}}),
    ("Namespaces/Create", {"namespace": {"name": LONG}}),
    ("Namespaces/Create", {"namespace": {"name": "n1", "labels": BIG}}),
    ("Namespaces/Create", {"namespace": {"name": "n1", "labels": {"": "v"}}},
     Ours(RULE, "INVALID_ARGUMENT: namespace.Labels: key required: invalid argument")),
    ("Namespaces/Create", {"namespace": {"name": "n1", "labels": {"a": "1", "b": ""}}}, Ours(STORED, namespace("n1", a=1))),
    ("Namespaces/Create", {"namespace": {"name": "n1"}}),
    ("Namespaces/Get", {"name": "n1"}),
    ("Namespaces/Update", {}, Ours(NAME, "INVALID_ARGUMENT: identifier must not be empty: invalid argument")),
    ("Namespaces/Update", {"namespace": {"name": BAD}}, Ours(
        NAME, f'INVALID_ARGUMENT: identifier "{BAD}" must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument')),
    ("Namespaces/Update", {"namespace": {"name": "n1", "labels": {"a": "2"}}, "update_mask": {"paths": ["labels.a"]}},
     Ours(STORED, namespace("n1", a=2))),
    ("Namespaces/Update", {"namespace": {"name": "n1", "labels": {"a": "3"}}, "update_mask": {"paths": ["labels"]}}),
    ("Namespaces/Update", {"namespace": {"name": "n1"}, "update_mask": {"paths": ["name"]}}),
    ("Namespaces/Update", {"namespace": {"name": "n1"}, "update_mask": {"paths": ["nonsense"]}}),
    ("Namespaces/Update", {"namespace": {"name": "n1", "labels": {"c": "4", "d": "5"}}}, Ours(STORED, namespace("n1", c=4, d=5))),
    ("Namespaces/Update", {"namespace": {"name": "n1", "labels": BIG}}, Ours(
        RULE, "INVALID_ARGUMENT: namespace.Labels: label key and value greater than maximum size (4096 bytes), key: io.example: "
        "invalid argument")),
    ("Namespaces/Update", {"namespace": {"name": "n2", "labels": {"e": "6"}}}, Ours(STORED, namespace("n2", e=6))),
    ("Namespaces/Update", {"namespace": {"name": "n1"}, "update_mask": {"paths": ["labels.c"]}}, Ours(STORED, namespace("n1", d=5))),
    ("Namespaces/List", {}),
    ("Namespaces/List", {"filter": "nonsense=="}),
    ("Namespaces/Delete", {}),
    ("Namespaces/Delete", {"name": "n3"}),
    ("Namespaces/Delete", {"name": "n1"}),
    ("Namespaces/Delete", {"name": "n1"}),
    ("Namespaces/List", {}),
)

LEASES = (
    ("Leases/Create", {"id": "l1", "labels": {"a": "1", "b": ""}}),
    ("Leases/Create", {"id": "l1"}),
    ("Leases/Create", {"id": "l2", "labels": {"": "v"}}),
    ("Leases/Create", {"id": "l3", "labels": BIG}),
    ("Leases/Delete", {"id": "l3"}),
    ("Leases/List", {}),
    ("Leases/List", {"filters": ["id=="]}),
    ("Leases/Delete", {}),
    ("Leases/Delete", {"id": "l2"}),
    ("Leases/AddResource", {}),
    ("Leases/AddResource", {"id": "l2", "resource": {"id": "x", "type": "content"}}),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "x", "type": "nonsense"}}),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "x", "type": "content/x"}}),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "x", "type": "snapshots"}}),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "x", "type": "snapshots/"}},
     Ours(RULE, "INVALID_ARGUMENT: invalid snapshot resource type snapshots/: invalid argument")),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "x", "type": ""}}),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "", "type": "content"}}),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "sha256:abc", "type": "content"}}),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "sha256:abc", "type": "content"}}),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "s2", "type": "snapshots/native"}}),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "s1", "type": "snapshots/overlayfs"}}),
    ("Leases/AddResource", {"id": "l1", "resource": {"id": "i1", "type": "ingests"}}),
    ("Leases/ListResources", {"id": "l1"}),
    ("Leases/ListResources", {"id": "l2"}),
    ("Leases/ListResources", {}),
    ("Leases/DeleteResource", {"id": "l2", "resource": {"id": "x", "type": "content"}}),
    ("Leases/DeleteResource", {"id": "l1", "resource": {"id": "x", "type": "nonsense"}}),
    ("Leases/DeleteResource", {"id": "l1", "resource": {"id": "absent", "type": "content"}}),
    ("Leases/DeleteResource", {"id": "l1", "resource": {"id": "s2", "type": "snapshots/native"}}),
    ("Leases/DeleteResource", {"id": "l1", "resource": {"id": "sha256:abc", "type": "content"}}),
    ("Leases/ListResources", {"id": "l1"}),
    ("Leases/Delete", {"id": "l1", "sync": True}),
    ("Leases/ListResources", {"id": "l1"}),
)

EVENTS = (
    ("Events/Publish", {"topic": "/a/b-c_d.e", "event": ANY}),
    *(("Events/Publish", {"topic": topic, "event": ANY}) for topic in ("", "a", "/", "//", "/a/", "/a//b", "/a b", "/" + LONG, "/é", "/-a")),
    *(("Events/Forward", {"envelope": {"timestamp": TIME, "namespace": "n1", "topic": topic, "event": ANY}})
      for topic in ("/a/b", "", "a", "/", "/a/")),
    *(("Events/Forward", {"envelope": {"timestamp": TIME, "namespace": name, "topic": "/a", "event": ANY}}) for name in ("", BAD, LONG)),
    *(("Events/Subscribe", {"filters": [text]}) for text in ("topic==", "topic==/a", "topic=x", "topic==\"/a")),
    ("Events/Subscribe", {"filters": ["topic", "namespace=="]}),
)

GET = "/containerd.services.containers.v1.Containers/Get"
UNDECODABLE = "a parser has words of its own for what it cannot read"
NO_REQUEST = "INTERNAL: grpc: error unmarshalling request: {}not a valid containerd.services.containers.v1.GetContainerRequest"
# Of a length of its own, in a field that is not known.
TOO_LONG = b"\x1a\xd4\xff\xff\x07" + bytes(MAXIMUM - 44)
# Bytes that are no call: title, path, request, headers.
NONE = (
    ("unknown method", GET + "ter", b"", ()),
    ("unknown service", "/no.such.Service/Get", b"", ()),
    ("path of one part", "/bad", b"", (),
     Ours("as gRPC wants it, and newer containerds do", 'UNIMPLEMENTED: malformed method name: "/bad"')),
    ("truncated request", GET, b"\n\7c1", (), Ours(UNDECODABLE, NO_REQUEST.format(""))),
    ("no protobuf", GET, b"\xff\xff\xff", (), Ours(UNDECODABLE, NO_REQUEST.format(""))),
    ("a group", GET, b"\x0b", (), Ours(UNDECODABLE, NO_REQUEST.format(""))),
    ("no UTF-8", GET, b"\n\2\xff\xfe", (), Ours(
        "protobuf's strings are UTF-8; we name the field",
        "INVALID_ARGUMENT: field id of containerd.services.containers.v1.GetContainerRequest is not valid UTF-8")),
    ("a NUL", GET, b"\n\3a\0b", (), Ours(
        "no identifier has one; we name the field",
        "INVALID_ARGUMENT: field id of containerd.services.containers.v1.GetContainerRequest contains a NUL byte")),
    ("an unknown field", GET, b"\n\2c1\xf8\x07\1", ()),
    ("over 16 MiB", GET, TOO_LONG, ()),
    ("an encoding that containerd lacks", GET, b"", (("grpc-encoding", "gzip"),),
     Ours("we have gzip", 'NOT_FOUND: container "" in namespace "default": not found')),
    ("an encoding that both lack", GET, b"", (("grpc-encoding", "x-none"),)),
)

# Single messages that end containerd 1.6.
FATAL = (
    ("Events/Publish", {"topic": "/a"}),
    ("Events/Forward", {}),
    ("Events/Forward", {"envelope": {"timestamp": TIME, "namespace": "n1", "topic": "/a"}}),
)


class Errors(SideBySide):
    def setUp(self):
        super().setUp()
        self.channels = {}
        for daemon in self.daemons:
            self.channels[daemon] = Raw(daemon.address)
            self.addCleanup(self.channels[daemon].close)

    def assert_same(self, title, function, differs=None, call=()):
        ours, theirs = self.both(lambda daemon: function(self.channels[daemon], *call))
        with self.subTest(title):
            if differs is None:
                self.assertEqual(theirs, ours)
                return
            self.assertEqual(differs.answer, ours, differs.why)
            self.assertNotEqual(theirs, ours, f"this does not differ any more: {differs.why}")

    def replay_calls(self, calls):
        for name, request, *differs in calls:
            self.assert_same(f"{name} {request}", Raw.call, *differs, call=(name, request))

    def test_containers(self):
        self.replay_calls(CONTAINERS)

    def test_namespaces(self):
        self.replay_calls(NAMESPACES)

    def test_leases(self):
        self.replay_calls(LEASES)

    def test_events(self):
        self.replay_calls(EVENTS)

    def test_who_needs_a_namespace_and_which_are_none(self):
        for name, request in IN_A_NAMESPACE:
            for namespace in (None, "", BAD, LONG, "a..b"):
                self.assert_same(f"{name} in {namespace!r}", Raw.call, call=(name, request, namespace))

    def test_calls_that_are_none(self):
        for title, path, request, headers, *differs in NONE:
            headers = [(NAMESPACE, "default"), *headers]
            self.assert_same(title, Raw.bytes, *differs, call=(path, request, headers))

    def test_a_list_over_16_mib_is_refused_and_its_stream_is_not(self):
        large = {"type_url": "example/large", "value": b"x" * 1024 * 1024}
        for number in range(17):
            request = but(id=f"c{number}", spec=large)
            self.assert_same(f"c{number}", Raw.call, call=("Containers/Create", request))
        self.assert_same("list", lambda raw: raw.call("Containers/List", {})[:20])
        self.assert_same("stream", lambda raw: len(raw.call("Containers/ListStream", {})))

    def test_what_ends_containerd_is_answered(self):
        raw = self.channels[self.ours]
        for name, request in FATAL:
            with self.subTest(name):
                self.assertRegex(raw.call(name, request), "^INVALID_ARGUMENT: ")
        self.assertIsNone(self.ours.process.poll())


if __name__ == "__main__":
    unittest.main()
