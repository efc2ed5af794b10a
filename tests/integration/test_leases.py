# SPDX-License-Identifier: Apache-2.0
"""Leases over the default store: containerd's clients, the end of a lease's time, and a daemon that is killed."""

import shutil
import signal
import time
import unittest

import ask
import grpc
import protos
from daemon import PATIENCE, Case, run

METHODS = "/containerd.services.leases.v1.Leases/"
DIGEST = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class Leases(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.daemon = self.start()

    def tearDown(self):
        if self.daemon.is_alive():
            self.assert_stops(self.daemon)

    def call(self, method, request, answer_type, namespace="default"):
        metadata = [("containerd-namespace", namespace)] if namespace is not None else []
        return ask.unary(self.daemon.address, METHODS + method, request, answer_type, metadata=metadata)

    def refusal(self, method, request, answer_type, namespace="default"):
        with self.assertRaises(grpc.RpcError) as raised:
            self.call(method, request, answer_type, namespace)
        return raised.exception.code().name, raised.exception.details()

    def create(self, id, expires_in=None, **labels):
        if expires_in is not None:
            end = time.gmtime(time.time() + expires_in)
            labels["containerd.io/gc.expire"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", end)
        request = protos.leases.CreateRequest(id=id, labels=labels)
        return self.call("Create", request, protos.leases.CreateResponse).lease

    def ids(self, *filters):
        found = self.call("List", protos.leases.ListRequest(filters=filters), protos.leases.ListResponse)
        return [lease.id for lease in found.leases]

    def wait_for_ids(self, *wanted):
        end = time.monotonic() + PATIENCE
        while self.ids() != list(wanted) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(list(wanted), self.ids())

    def kill_and_start(self):
        self.daemon.send(signal.SIGKILL)
        self.daemon.wait()
        self.daemon = self.start()

    def test_what_was_made_is_told_as_it_is(self):
        before = time.time()
        lease = self.create("l1", a="1", b="")
        self.assertEqual({"a": "1"}, dict(lease.labels))
        self.assertLess(abs(lease.created_at.seconds + lease.created_at.nanos / 1e9 - before), PATIENCE)
        listed = self.call("List", protos.leases.ListRequest(), protos.leases.ListResponse).leases
        self.assertEqual([lease], list(listed))
        self.assertRegex(self.create("").id, r"^\d+-[A-Za-z0-9_-]{4}$")

    def test_resources_are_kept_and_given_back(self):
        self.create("l1")
        for type, id in (("snapshots/native", "s"), ("content", DIGEST), ("ingests", "i"), ("images", "m")):
            request = protos.leases.AddResourceRequest(id="l1", resource={"id": id, "type": type})
            self.call("AddResource", request, protos.empty.Empty)
        request = protos.leases.DeleteResourceRequest(id="l1", resource={"id": "i", "type": "ingests"})
        self.call("DeleteResource", request, protos.empty.Empty)
        self.kill_and_start()
        kept = self.call("ListResources", protos.leases.ListResourcesRequest(id="l1"),
                         protos.leases.ListResourcesResponse).resources
        self.assertEqual([("content", DIGEST), ("images", "m"), ("snapshots/native", "s")],
                         [(each.type, each.id) for each in kept])

    def test_what_is_wrong_is_said_in_containerds_words(self):
        self.create("l1")
        new, answer = protos.leases.CreateRequest, protos.leases.CreateResponse
        add, empty = protos.leases.AddResourceRequest, protos.empty.Empty
        required = ("FAILED_PRECONDITION", "namespace is required: failed precondition")
        self.assertEqual(("ALREADY_EXISTS", 'lease "l1": already exists'), self.refusal("Create", new(id="l1"), answer))
        self.assertEqual(required, self.refusal("Create", new(), answer, None))
        self.assertEqual(required, self.refusal("List", protos.leases.ListRequest(), protos.leases.ListResponse, ""))
        self.assertEqual(("NOT_FOUND", 'lease "l2": not found'),
                         self.refusal("Delete", protos.leases.DeleteRequest(id="l2", sync=True), empty))
        self.assertEqual(("NOT_FOUND", 'lease "": not found'), self.refusal("AddResource", add(), empty))
        self.assertEqual(("INVALID_ARGUMENT", "a resource is required: invalid argument"),
                         self.refusal("AddResource", add(id="l1"), empty))
        self.assertEqual(("UNIMPLEMENTED", "resource type x not supported yet: not implemented"),
                         self.refusal("AddResource", add(id="l1", resource={"type": "x"}), empty))
        self.assertEqual("INVALID_ARGUMENT", self.refusal("Create", new(id="x" * 257), answer)[0])
        self.assertEqual(("INVALID_ARGUMENT", "filters: parse error: [id==]: expected value or quoted: invalid argument"
                                              ": invalid argument"),
                         self.refusal("List", protos.leases.ListRequest(filters=["id=="]), protos.leases.ListResponse))

    def test_a_lease_ends_in_a_running_daemon(self):
        self.create("stays")
        self.create("later", 3600)
        self.create("soon", 2)
        self.assertEqual(["later", "soon", "stays"], self.ids())
        self.wait_for_ids("later", "stays")

    def test_a_lease_that_ended_meanwhile_is_gone_after_a_start(self):
        self.create("later", 3600)
        self.create("soon", 1)
        self.daemon.send(signal.SIGKILL)
        self.daemon.wait()
        time.sleep(1.2)
        self.daemon = self.start()
        self.wait_for_ids("later")

    def test_a_daemon_that_is_told_not_to_removes_nothing(self):
        self.create("soon", 1)
        self.assert_stops(self.daemon)
        self.workshop.write_config(plugins={"io.containerd.service.v1.leases-service": {"sweep": False}})
        time.sleep(1.2)
        self.daemon = self.start()
        self.assertEqual(["soon"], self.ids())

    def test_without_a_store_leases_are_blocked_and_the_rest_runs(self):
        self.assert_stops(self.daemon)
        self.workshop.write_config(disabled_plugins=["io.berth.store.v1.lmdb", "io.berth.store.v1.etcd"])
        self.daemon = self.start()
        found = self.plugins(self.daemon)
        self.assertEqual("blocked", found["io.containerd.grpc.v1.leases"].state)
        self.assertIn("store", found["io.containerd.service.v1.leases-service"].reason)
        self.assertEqual("ready", found["io.containerd.internal.v1.opt"].state)


@unittest.skipIf(shutil.which("ctr") is None, "ctr is not installed (Debian's package containerd)")
class Ctr(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.daemon = self.start()

    def tearDown(self):
        self.assert_stops(self.daemon)

    def ctr(self, *arguments, code=0):
        done = run("ctr", "--address", self.daemon.address, *arguments)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_leases_are_made_listed_and_removed(self):
        self.assertEqual("l1\n", self.ctr("leases", "create", "--id", "l1", "colour=blue", "gone="))
        self.assertEqual("bad id\n", self.ctr("leases", "create", "--id", "bad id", "--expires", "0s"))
        made = self.ctr("leases", "create", "--expires", "1h").strip()
        self.assertRegex(made, r"^\d+-[A-Za-z0-9_-]{4}$")
        self.assertEqual(sorted(["l1", "bad id", made]), self.ctr("leases", "ls", "-q").splitlines())
        rows = self.ctr("leases", "ls", "id==l1").splitlines()
        self.assertEqual("ID CREATED AT           LABELS", rows[0].rstrip()[:30].rstrip())
        self.assertRegex(rows[1], r"^l1 \S+Z colour=blue,containerd.io/gc.expire=\S+Z *$")
        self.assertRegex(self.ctr("leases", "ls", 'id=="bad id"').splitlines()[1], r"^bad id \S+Z - *$")
        self.assertEqual("l1\n", self.ctr("leases", "ls", "-q", "labels.colour==blue"))
        self.assertIn('lease "l1": already exists', self.ctr("leases", "create", "--id", "l1", code=1))
        self.assertEqual("l1\n", self.ctr("leases", "rm", "--sync", "l1"))
        self.assertIn('lease "l1": not found', self.ctr("leases", "rm", "l1", code=1))
        self.assertEqual("bad id\n", self.ctr("leases", "rm", "bad id"))
        self.assertEqual("", self.ctr("-n", "other", "leases", "ls", "-q"))

    def test_a_lease_ends(self):
        self.ctr("leases", "create", "--id", "soon", "--expires", "2s")
        end = time.monotonic() + PATIENCE
        while "soon" in self.ctr("leases", "ls", "-q") and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual("", self.ctr("leases", "ls", "-q"))

    def test_leases_make_their_namespace_and_go_with_it(self):
        self.ctr("-n", "made", "leases", "create", "--id", "l1")
        self.assertEqual("made\n", self.ctr("namespaces", "ls", "-q"))
        self.assertEqual("made\n", self.ctr("namespaces", "rm", "made"))
        self.assertEqual("", self.ctr("-n", "made", "leases", "ls", "-q"))


if __name__ == "__main__":
    unittest.main()
