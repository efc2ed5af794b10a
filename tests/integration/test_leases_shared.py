# SPDX-License-Identifier: Apache-2.0
"""Two daemons over one etcd: the leases of either end once, and nobody minds that both look."""

import time
import unittest

import ask
import protos
from daemon import Case
from etcd import Etcd, wait_until
from workshop import Workshop

METHODS = "/containerd.services.leases.v1.Leases/"
COUNT = 24


class SharedLeases(Case):
    def setUp(self):
        super().setUp()
        etcd = Etcd()
        self.addCleanup(etcd.remove)
        etcd.start()
        self.others = Workshop()
        self.addCleanup(self.others.remove)
        self.both = [self.begin(workshop, etcd) for workshop in (self.workshop, self.others)]

    def begin(self, workshop, etcd):
        workshop.add_default_modules()
        workshop.write_config(disabled_plugins=["io.berth.store.v1.lmdb"], plugins={
            "io.berth.store.v1.etcd": {"endpoints": [f"tcp:{etcd.endpoint}"]},
            "io.containerd.service.v1.leases-service": {"sweep_batch": 5}})
        own, self.workshop = self.workshop, workshop
        daemon = self.start()
        self.workshop = own
        return daemon

    def create(self, daemon, id, end):
        labels = {"containerd.io/gc.expire": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))}
        ask.unary(daemon.address, METHODS + "Create", protos.leases.CreateRequest(id=id, labels=labels),
                  protos.leases.CreateResponse, metadata=[("containerd-namespace", "default")])

    def ids(self, daemon):
        found = ask.unary(daemon.address, METHODS + "List", protos.leases.ListRequest(), protos.leases.ListResponse,
                          metadata=[("containerd-namespace", "default")])
        return [lease.id for lease in found.leases]

    def test_what_ends_is_removed_once_and_what_does_not_stays(self):
        end = time.time() + 4
        for i in range(COUNT):
            self.create(self.both[i % 2], f"l{i:02}", end)
        self.create(self.both[0], "stays", end + 3600)
        for daemon in self.both:
            wait_until(lambda: "stays" in self.ids(daemon), "each other's leases to be seen")
        for daemon in self.both:
            wait_until(lambda: self.ids(daemon) == ["stays"], "all but one to end")
        for daemon in self.both:
            self.assertNotIn("cannot be removed", daemon.log)
            self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
