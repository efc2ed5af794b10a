# SPDX-License-Identifier: Apache-2.0
"""A plugin in a process of its own: what its calls, its memory and its restart cost, beside the daemon's own process and Go's
plugins."""

import json
import os
import signal
import statistics
import subprocess
import time
from pathlib import Path

import figures
import rpc
import rpc_load
import rpc_memory
import rpc_peers
from daemon import BERTHCTL, environment
from memory import resident_kib

URI = "io.berth.bench.v1.load"
PATH = rpc_peers.LOAD + "Nothing"
ROUNDS, QUICK_ROUNDS = 7, 3
STARTS, QUICK_STARTS = 15, 3
# Name, method, connections, calls at a time on each, calls of a run.
UNARY = (
    ("nothing, -c 8 -m 32", "Nothing", 8, 32, 60000),
    ("nothing, -c 1 -m 1", "Nothing", 1, 1, 10000),
    ("4 KiB, -c 8 -m 32", "Page", 8, 32, 40000),
)
BUSY, ALONE, BUSY_PAGE = (row[0] for row in UNARY)
INSIDE, ISOLATED, GO_PLUGIN, GO_HOST = "in the daemon", "isolated", "Go's gRPC server", "go-plugin's host"

ROUND_TRIP_GOAL = 2.5
GO_GOAL = 3
STREAM_GOAL = 0.5
WORKER_MIB = 3.5
START_GOAL = 5
RESTART_MS = 50


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


class Family(rpc_peers.Server):
    """A server and the processes that it has started: a call costs what all of them take for it."""

    def cpu_seconds(self):
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in (self.process.pid, *children(self.process.pid)))


class Inside(rpc_peers.Berthd):
    name = INSIDE


class Isolated(Family, rpc_peers.Berthd):
    name = ISOLATED

    def __init__(self):
        super().__init__()
        config = json.loads(self.workshop.config.read_text(encoding="utf-8"))
        self.workshop.write_config(**{**config, "isolation": {URI: {}}})

    def worker(self):
        """Its process, once it runs the plugin."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if answers(self):
                return children(self.process.pid)[0]
            time.sleep(0.005)
        raise RuntimeError("the isolated plugin does not answer")


class GoPlugin(Family):
    """What go-plugin starts in a process of its own: a gRPC server on a unix socket."""

    name, role = GO_PLUGIN, "direct"

    def __init__(self):
        super().__init__()
        self.address = str(self.workshop.short / "go.sock")
        self.command = [rpc_peers.build_go_server("goplugin_server"), self.role, self.address]


class GoHost(GoPlugin):
    """A daemon in Go that hands calls on to a plugin of go-plugin, as berthd does to a worker."""

    name, role = GO_HOST, "host"

    def remove(self):
        """Killed, it would leave its plugin behind."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        super().remove()


def unary(quick, goals):
    with rpc.running(Inside, Isolated, GoPlugin, GoHost) as servers:
        servers[ISOLATED].worker()
        runs = {(load, server.name): (server, server.path(method), calls // (5 if quick else 1), connections, streams)
                for load, method, connections, streams, calls in UNARY for server in servers.values()}
        found = rpc_load.interleaved(QUICK_ROUNDS if quick else ROUNDS,
                                     {key: lambda run=run: rpc_load.h2load(*run, log=True) for key, run in runs.items()})
    goals.add("round trip by that in the daemon, -c 1 -m 1, p50", rpc.share(found[ALONE, ISOLATED], found[ALONE, INSIDE], 0.5),
              ROUND_TRIP_GOAL, at_most=True)
    goals.add("calls/s by those of Go's gRPC server, nothing", rpc.share(found[BUSY, ISOLATED], found[BUSY, GO_PLUGIN]), GO_GOAL)
    for load, title in ((BUSY, "nothing"), (BUSY_PAGE, "4 KiB")):
        goals.add(f"calls/s by those of go-plugin's host, {title}", rpc.share(found[load, ISOLATED], found[load, GO_HOST]), GO_GOAL)
    lines = ["gRPC, unary, h2load on a unix socket; calls a second, the CPU time of all processes of the server for one call, and "
             "from a request to the end of its answer. A call of the isolated plugin passes the daemon and the worker. Go's gRPC "
             "server is what a plugin of go-plugin is, called without a daemon in between; go-plugin's host is a daemon in Go that "
             "hands each call on to such a plugin.", ""]
    return lines + figures.table(("load", "server", "calls/s", "CPU µs", "p50 µs", "p99 µs"),
                                 [(load, name, rpc.spread(each, "rate", 0), rpc.spread(each, "cpu"), rpc.spread(each, 0.5, 0),
                                   rpc.spread(each, 0.99, 0)) for (load, name), each in found.items()])


def streams(quick, goals):
    small = 16 * 1024 if quick else 64 * 1024
    transfers = (rpc.Stream("1 KiB messages", small * 1024), rpc.Stream("64 MiB in messages of 1 MiB", 64 * rpc.MIB))
    requests = (rpc.read_request(small, 1024), rpc.read_request(64, rpc.MIB))
    with rpc.running(Inside, Isolated, GoPlugin) as servers:
        servers[ISOLATED].worker()
        runs = {(transfer, server.name): (server, "grpc", server.path("Read"), 1, 1, 1, request)
                for transfer, request in zip(transfers, requests) for server in servers.values()}
        found = rpc_load.interleaved(QUICK_ROUNDS if quick else ROUNDS,
                                     {key: lambda run=run: rpc_load.own(*run) for key, run in runs.items()})
    goals.add("1 KiB messages by those in the daemon", rpc.share(found[transfers[0], ISOLATED], found[transfers[0], INSIDE]), STREAM_GOAL)
    lines = ["", "gRPC, one stream from server to client, libberth-rpc's client; MiB of payload a second", ""]
    return lines + figures.table(("transfer", "server", "MiB/s"),
                                 [(transfer.name, name, figures.spread([transfer.rate(run) for run in each], 0))
                                  for (transfer, name), each in found.items()])


def answers(server):
    """Does a call of the plugin end with a message? Where its process is gone it ends with a status alone."""
    connection = rpc_memory.open_connection(server, rpc_memory.one_call(PATH))
    has_message = False
    try:
        while True:
            head = rpc_memory.receive(connection, 9)
            rpc_memory.receive(connection, int.from_bytes(head[:3], "big"))
            has_message = has_message or head[3] == rpc_memory.DATA
            if head[3] == rpc_memory.HEADERS and head[4] & rpc_memory.END_STREAM:
                return has_message
    finally:
        connection.close()


def restart_ms(server):
    """From the death of the worker to the first answer of the next."""
    worker = server.worker()
    begin = time.perf_counter()
    os.kill(worker, signal.SIGKILL)
    while not answers(server):
        pass
    return (time.perf_counter() - begin) * 1e3


def start_ms(server):
    """From fork to the end of init, as the daemon has measured it."""
    done = subprocess.run([str(BERTHCTL), "--address", server.address, "plugins", "blame", "--json"], capture_output=True, text=True,
                          check=True, env=environment())
    told, = [plugin for plugin in json.loads(done.stdout)["plugins"] if plugin["uri"] == URI]
    return told["init_ns"] / 1e6


def exec_ms():
    begin = time.perf_counter()
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    return (time.perf_counter() - begin) * 1e3


def processes(quick, goals):
    """Each time on a fresh daemon: restarts in a row wait longer each."""
    starts, restarts, bare, kib = [], [], [], {"Rss": [], "Pss": []}
    for _ in range(QUICK_STARTS if quick else STARTS):
        with rpc.running(Isolated) as servers:
            server = servers[ISOLATED]
            worker = server.worker()
            for key, value in resident_kib(worker).items():
                kib[key].append(value / 1024)
            starts.append(start_ms(server))
            bare += [exec_ms() for _ in range(10)]
            restarts.append(restart_ms(server))
    goals.add("a worker's RSS", statistics.median(kib["Rss"]), WORKER_MIB, at_most=True, unit=" MiB")
    goals.add("start to ready by a bare fork and exec", figures.ratio(starts, bare), START_GOAL, at_most=True)
    goals.add("from a crash to the next answer", statistics.median(restarts), RESTART_MS, at_most=True, unit=" ms")
    lines = ["", "A worker's process, after one call: memory in MiB, and ms. A bare fork and exec is posix_spawn(3) of /bin/true and "
             "the wait for its end; the restart includes the configured delay of 10 ms.", ""]
    return lines + figures.table(("", ""), [("RSS", figures.spread(kib["Rss"], 2)), ("PSS", figures.spread(kib["Pss"], 2)),
                                            ("fork to the end of init", figures.spread(starts, 2)),
                                            ("a bare fork and exec", figures.spread(bare, 2)),
                                            ("from SIGKILL to the next answer", figures.spread(restarts, 1))])


def measure(quick):
    goals, lines, whole = figures.measure_parts(quick, (unary, streams, processes))
    return lines, whole and goals.are_met()
