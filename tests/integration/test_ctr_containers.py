# SPDX-License-Identifier: Apache-2.0
"""Debian's unmodified ctr with namespaces and containers in berthd."""

import json
import os
import shutil
import signal
import unittest

import grpc
import protos
from google.protobuf.any_pb2 import Any

from daemon import PATIENCE, Case, run

CONFIG = {"ociVersion": "1.0.2-dev", "process": {"user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/"},
          "root": {"path": "rootfs"}}
SERVICE = "/containerd.services.containers.v1.Containers/"


@unittest.skipIf(shutil.which("ctr") is None, "ctr is not installed (Debian's package containerd)")
class CtrContainers(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.daemon = self.start()
        self.config = self.workshop.top / "config.json"
        self.config.write_text(json.dumps(CONFIG), encoding="utf-8")

    def tearDown(self):
        self.assert_stops(self.daemon)

    def run_ctr(self, *arguments):
        return run("ctr", "--address", self.daemon.address, *arguments)

    def ctr(self, *arguments):
        done = self.run_ctr(*arguments)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr + self.daemon.log)
        return done.stdout

    def refused(self, *arguments):
        done = self.run_ctr(*arguments)
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        return done.stderr

    def rows(self, *arguments):
        return [line.split() for line in self.ctr(*arguments).splitlines()[1:]]

    def create(self, id, *flags, namespace="default"):
        self.ctr("-n", namespace, "containers", "create", *flags, "--config", self.config, id)

    def ids(self, *filters):
        return self.ctr("containers", "ls", "-q", *filters).split()

    def test_a_namespace_is_made_labelled_listed_and_removed(self):
        self.ctr("namespaces", "create", "moby", "colour=blue", "size=large")
        self.ctr("namespaces", "create", "alpha")
        self.assertEqual([["alpha"], ["moby", "colour=blue,size=large"]], self.rows("namespaces", "ls"))
        self.ctr("namespaces", "label", "moby", "colour=red", "size=", "io.x/y=a.b")
        self.assertEqual([["alpha"], ["moby", "colour=red,io.x/y=a.b"]], self.rows("namespaces", "ls"))
        self.assertIn('namespace "moby": already exists', self.refused("namespaces", "create", "moby"))
        self.assertIn('identifier "a..b" must match', self.refused("namespaces", "create", "a..b"))
        self.assertEqual("moby\n", self.ctr("namespaces", "rm", "moby"))
        self.assertEqual("alpha\n", self.ctr("namespaces", "ls", "-q"))

    def test_a_container_is_made_shown_labelled_and_removed(self):
        self.create("c1", "--label", "colour=blue")
        self.assertEqual([["c1", "-", "io.containerd.runc.v2"]], self.rows("containers", "ls"))
        shown = json.loads(self.ctr("containers", "info", "c1"))
        self.assertEqual(("c1", {"colour": "blue"}, "io.containerd.runc.v2", CONFIG["process"]["cwd"]),
                         (shown["ID"], shown["Labels"], shown["Runtime"]["Name"], shown["Spec"]["process"]["cwd"]))
        self.assertGreater(shown["CreatedAt"], "2020")
        self.assertIn("colour=red", self.ctr("containers", "label", "c1", "colour=red", "empty="))
        again = json.loads(self.ctr("containers", "info", "c1"))
        self.assertEqual({"colour": "red"}, again["Labels"])
        self.assertEqual(shown["CreatedAt"], again["CreatedAt"])
        self.assertLess(shown["UpdatedAt"], again["UpdatedAt"])
        self.ctr("containers", "rm", "c1")
        self.assertEqual([], self.ids())

    def test_a_container_of_a_folder_needs_no_image(self):
        rootfs = self.workshop.top / "rootfs"
        rootfs.mkdir()
        self.ctr("containers", "create", "--rootfs", rootfs, "c1", "/bin/true")
        self.assertEqual(["c1"], self.ids())

    def test_what_is_wrong_is_said_in_containerds_words(self):
        self.create("c1")
        create = ("containers", "create", "--config", self.config)
        self.assertIn('ctr: container "c1": already exists', self.refused(*create, "c1"))
        self.assertIn('create container failed validation: container.ID: identifier "bad id" must match',
                      self.refused(*create, "bad id"))
        self.assertIn("label key and value greater than maximum size (4096 bytes), key: big: invalid argument",
                      self.refused("containers", "label", "c1", "big=" + "b" * 4096))
        self.assertIn('container "c2" in namespace "default": not found', self.refused("containers", "info", "c2"))
        self.assertIn("namespace is required: failed precondition", self.refused("-n", "", "containers", "ls"))
        self.assertIn('namespace validation: identifier "bad ns" must match', self.refused("-n", "bad ns", "containers", "ls"))
        self.assertIn("filters: parse error: [id==]: expected value or quoted: invalid argument",
                      self.refused("containers", "ls", "id=="))

    def test_filters_choose(self):
        self.create("c1", "--label", "colour=blue")
        self.create("c2", "--label", "io.x/y=z", "--runtime", "io.containerd.kata.v2")
        self.create("d1")
        for filters, ids in ((["id==c1"], ["c1"]), (["id~=^c"], ["c1", "c2"]), (["labels.colour==blue"], ["c1"]),
                             (['labels."io.x/y"==z'], ["c2"]), (["runtime.name==io.containerd.kata.v2"], ["c2"]),
                             (["id==c1", "id==d1"], ["c1", "d1"]), (["id~=^c,labels.colour"], ["c1"]),
                             (["image==busybox"], []), ([], ["c1", "c2", "d1"])):
            with self.subTest(filters=filters):
                self.assertEqual(ids, self.ids(*filters))

    def test_a_namespace_goes_once_it_is_empty(self):
        self.create("c1", namespace="made")
        self.assertEqual("made\n", self.ctr("namespaces", "ls", "-q"))
        self.assertIn('namespace "made" must be empty, but it still has containers: failed precondition',
                      self.refused("namespaces", "rm", "made"))
        self.ctr("-n", "made", "containers", "rm", "c1")
        self.ctr("namespaces", "rm", "made")
        self.assertEqual("", self.ctr("namespaces", "ls", "-q"))

    def test_what_was_made_outlives_a_daemon_that_is_killed(self):
        self.create("c1", "--label", "colour=blue", namespace="moby")
        os.kill(self.daemon.pid, signal.SIGKILL)
        self.daemon.process.wait()
        self.daemon = self.start()
        self.assertEqual([["moby"]], self.rows("namespaces", "ls"))
        self.assertIn('"colour": "blue"', self.ctr("-n", "moby", "containers", "info", "c1"))


class RawContainers(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.daemon = self.start()
        self.channel = grpc.insecure_channel(f"unix:{self.daemon.address}")

    def tearDown(self):
        self.channel.close()
        self.assert_stops(self.daemon)

    def create(self, id, size=0):
        container = protos.containers.Container(id=id, runtime={"name": "runc"}, spec=Any(value=b"x" * size))
        self.call(SERVICE + "Create", protos.containers.CreateContainerRequest(container=container))

    def call(self, path, message):
        send = message if isinstance(message, bytes) else message.SerializeToString()
        call = self.channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
        return call(send, timeout=PATIENCE, metadata=(("containerd-namespace", "default"),))

    def test_a_stream_of_many_large_containers_arrives_whole_and_in_order(self):
        for i in range(40):
            self.create(f"c{i:03}", 512 * 1024)
        call = self.channel.unary_stream(SERVICE + "ListStream", request_serializer=bytes,
                                         response_deserializer=protos.containers.ListContainerMessage.FromString)
        ids = [message.container.id for message in
               call(b"", timeout=PATIENCE, metadata=(("containerd-namespace", "default"),))]
        self.assertEqual([f"c{i:03}" for i in range(40)], ids)
        with self.assertRaises(grpc.RpcError) as caught:
            self.call(SERVICE + "List", b"")
        self.assertEqual(grpc.StatusCode.RESOURCE_EXHAUSTED, caught.exception.code())
        self.assertIn("ListStream", caught.exception.details())

    def test_strings_that_are_no_text_are_refused(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.call(SERVICE + "Get", b"\x0a\x01\xff")
        self.assertEqual(grpc.StatusCode.INVALID_ARGUMENT, caught.exception.code())
        self.assertEqual("field id of containerd.services.containers.v1.GetContainerRequest is not valid UTF-8",
                         caught.exception.details())


if __name__ == "__main__":
    unittest.main()
