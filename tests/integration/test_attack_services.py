# SPDX-License-Identifier: Apache-2.0
"""containerd's services under requests that are small and ask for much, and a stop with everything under way."""

import contextlib
import struct
import threading
import time

import ask
import grpc
import protos
from attack import DATA, END_HEADERS, END_STREAM, HEADERS, IS_SANITIZED, MIB, Peer, frame, open_call
from daemon import PATIENCE, Case

CONTAINERS = "/containerd.services.containers.v1.Containers/"
EVENTS = "/containerd.services.events.v1.Events/"
LEASES = "/containerd.services.leases.v1.Leases/"
NAMESPACES = "/containerd.services.namespaces.v1.Namespaces/"
METADATA = [("containerd-namespace", "default")]


class Services(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def call(self, path, request, answer_type):
        return ask.unary(self.daemon.address, path, request, answer_type, timeout=PATIENCE, metadata=METADATA)

    def create(self, id, **fields):
        container = protos.containers.Container(id=id, runtime={"name": "runc"}, spec={"type_url": "t"}, **fields)
        self.call(CONTAINERS + "Create", protos.containers.CreateContainerRequest(container=container),
                  protos.containers.CreateContainerResponse)
        return container

    def most_memory(self):
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

    def test_a_mask_that_says_the_same_again_costs_nothing(self):
        self.daemon = self.start()
        self.create("c")
        many = [f"k{i}" for i in range(2000)]
        asked = self.create("d", labels={key: "v" for key in many})
        asked.id = "c"
        for key in many:
            asked.extensions[key].type_url = "t"
        request = protos.containers.UpdateContainerRequest(container=asked)
        request.update_mask.paths.extend(["extensions", "labels", "labels.k1"] * 2000)
        before = self.most_memory()
        container = self.call(CONTAINERS + "Update", request, protos.containers.UpdateContainerResponse).container
        self.assertEqual((2000, 2000), (len(container.extensions), len(container.labels)))
        if not IS_SANITIZED:
            self.assertLess(self.most_memory() - before, 64 * MIB)
        self.assert_stops(self.daemon)

    def test_many_selectors_over_many_labels_cost_no_more_than_their_sum(self):
        self.daemon = self.start()
        for i in range(20 if IS_SANITIZED else 100):
            self.create(f"c{i}", labels={f"k{i}": "v" for i in range(2000)})
        request = protos.containers.ListContainersRequest(filters=[",".join(["labels.k1999==v"] * 1023 + ["id==c7"])])
        found = self.call(CONTAINERS + "List", request, protos.containers.ListContainersResponse)
        self.assertEqual(["c7"], [container.id for container in found.containers])
        self.assert_stops(self.daemon)

    def test_a_list_is_given_up_once_it_is_too_large(self):
        settings = {"max_list_bytes": "1KiB"}
        self.workshop.write_config(plugins={"io.containerd.grpc.v1.namespaces": settings,
                                            "io.containerd.grpc.v1.leases": settings})
        self.daemon = self.start()
        labels = {"k": "v" * 900}
        lists = [lambda: self.call(NAMESPACES + "List", protos.namespaces.ListNamespacesRequest(),
                                   protos.namespaces.ListNamespacesResponse).namespaces,
                 lambda: self.call(LEASES + "List", protos.leases.ListRequest(), protos.leases.ListResponse).leases]
        for number in (1, 2):
            self.call(NAMESPACES + "Create",
                      protos.namespaces.CreateNamespaceRequest(namespace={"name": f"n{number}", "labels": labels}),
                      protos.namespaces.CreateNamespaceResponse)
            if number == 1:
                self.assertEqual(["n1"], [namespace.name for namespace in lists[0]()])
        for number in (1, 2):
            self.call(LEASES + "Create", protos.leases.CreateRequest(id=f"l{number}", labels=labels),
                      protos.leases.CreateResponse)
            if number == 1:
                self.assertEqual(["l1"], [lease.id for lease in lists[1]()])
        for list_all in lists:
            with self.assertRaises(grpc.RpcError) as raised:
                list_all()
            self.assertEqual("RESOURCE_EXHAUSTED", raised.exception.code().name)
            self.assertIn("exceeds max_list_bytes (1024)", raised.exception.details())
        self.assert_stops(self.daemon)

    def test_many_costly_calls_at_once_let_others_in_between(self):
        """200 connections with 250 listings each, none of which is read: 50,000 calls that come at the same time."""
        self.daemon = self.start()
        request = protos.inspect.PluginsRequest(all=True).SerializeToString()
        body = struct.pack(">BI", 0, len(request)) + request
        calls = b"".join(open_call(stream, path="/berth.inspect.v1.Inspect/Plugins") +
                         frame(DATA, END_STREAM, stream, body) for stream in range(1, 501, 2))
        slowest, stream = 0, -1
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(Peer(self.daemon.address).settle()) for _ in range(200)]
            other = stack.enter_context(Peer(self.daemon.address).settle())
            for peer in peers:
                peer.socket.setblocking(False)
                peer.socket.send(calls)
            end = time.monotonic() + 5
            while time.monotonic() < end:
                stream += 2
                began = time.monotonic()
                other.send(open_call(stream, END_HEADERS | END_STREAM))
                other.read_until(HEADERS, stream)
                slowest = max(slowest, time.monotonic() - began)
        self.assertLess(slowest, 8 if IS_SANITIZED else 0.8)
        self.assert_stops(self.daemon)

    def test_it_stops_with_everything_under_way(self):
        self.daemon = self.start()
        for i in range(50):
            self.create(f"c{i}", image="i" * 100_000)
        stop = threading.Event()
        with ask.channel(self.daemon.address) as channel:
            listed = protos.containers.ListContainersRequest().SerializeToString()
            silent = [channel.unary_stream(CONTAINERS + "ListStream")(listed, metadata=METADATA) for _ in range(20)]
            silent += [channel.unary_stream(EVENTS + "Subscribe")(b"", metadata=METADATA) for _ in range(20)]
            update = channel.unary_unary(CONTAINERS + "Update")
            make = channel.unary_unary(LEASES + "Create")
            under_way = []

            def storm(number):
                asked = protos.containers.UpdateContainerRequest(container={"id": f"c{number}", "labels": {"a": "b"}})
                asked.update_mask.paths.append("labels.a")
                lease = protos.leases.CreateRequest(labels={"containerd.io/gc.expire": "2020-01-01T00:00:00Z"})
                while not stop.is_set():
                    calls = [update.future(asked.SerializeToString(), metadata=METADATA, timeout=PATIENCE),
                             make.future(lease.SerializeToString(), metadata=METADATA, timeout=PATIENCE)]
                    under_way.append(calls[0].code())
                    calls[1].cancel()

            storms = [threading.Thread(target=storm, args=(number,)) for number in range(8)]
            for thread in storms:
                thread.start()
            while len(under_way) < 100:
                stop.wait(0.01)
            try:
                self.assert_stops(self.daemon)
            finally:
                stop.set()
                for thread in storms:
                    thread.join()
            self.assertIn(grpc.StatusCode.OK, under_way)
            self.assertEqual(40, len(silent))
