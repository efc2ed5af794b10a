# SPDX-License-Identifier: Apache-2.0
"""Unary calls by the Connect protocol over HTTP/1.1, beside a server of connect-node."""

import json
import shutil
import subprocess

import figures
import rpc
import rpc_load
import rpc_peers
from workshop import SOURCE

HTTP = "io.berth.server.v1.http"
PATH = "/helloworld.Greeter/SayHello"
# Name, content type, request, connections, calls of a run.
LOADS = (
    ("JSON, -c 8", "application/json", json.dumps({"name": "Ann"}).encode(), 8, 40000),
    ("JSON, -c 1", "application/json", json.dumps({"name": "Ann"}).encode(), 1, 8000),
    ("protobuf, -c 8", "application/proto", b"\x0a\x03Ann", 8, 40000),
)
BUSY = LOADS[0][0]


class Berthd(rpc_peers.Berthd):
    """Its greeter, on the HTTP server's unix socket."""

    def __init__(self):
        super().__init__()
        self.address = str(self.workshop.short / "http.sock")
        self.workshop.write_config(plugins={HTTP: {"address": self.address}})


class ConnectNode(rpc_peers.Server):
    name = "connect-node"

    def __init__(self):
        super().__init__()
        self.address = str(self.workshop.short / "node.sock")
        folder = self.workshop.top
        packages = subprocess.run([str(SOURCE / "tools" / "npm-packages"), str(SOURCE / "tests" / "interop" / "connectjs")],
                                  capture_output=True, text=True, check=True).stdout.strip()
        (folder / "node_modules").symlink_to(f"{packages}/node_modules")
        shutil.copy(rpc_peers.SOURCES / "connect_server.mjs", folder)
        subprocess.run(["protoc", f"-I{SOURCE / 'sdk' / 'proto'}", "--include_imports", f"--descriptor_set_out={folder / 'descriptors'}",
                        "helloworld/helloworld.proto"], check=True)
        self.command = ["node", folder / "connect_server.mjs", folder / "descriptors", self.address]
        self.variables = {"NODE_ENV": "production"}


def measure(quick):
    goals = figures.Goals()
    with rpc.running(Berthd, ConnectNode) as servers:
        runs = {(load, server.name): (server, PATH, calls // (5 if quick else 1), connections, kind, request)
                for load, kind, request, connections, calls in LOADS for server in servers.values()}
        found = rpc_load.interleaved(rpc.QUICK_ROUNDS if quick else rpc.ROUNDS,
                                     {key: lambda run=run: rpc_load.http1(*run) for key, run in runs.items()})
    goals.add("calls/s by connect-node's, JSON", rpc.share(found[BUSY, "berthd"], found[BUSY, "connect-node"]), 3)
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    lines = [f"Connect, unary, helloworld.Greeter/SayHello over HTTP/1.1 on a unix socket, h2load; Node {version}", ""]
    lines += figures.table(("load", "server", "calls/s", "CPU µs", "p50 µs", "p99 µs"),
                           [(load, name, rpc.spread(each, "rate", 0), rpc.spread(each, "cpu"), rpc.spread(each, 0.5, 0),
                             rpc.spread(each, 0.99, 0)) for (load, name), each in found.items()])
    return [*goals.table(), "", *lines], goals.are_met()
