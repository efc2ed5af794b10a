# SPDX-License-Identifier: Apache-2.0
"""Calls over gRPC and ttrpc on a unix socket: throughput, latency, streams, memory, and what one call costs."""

import contextlib
import statistics

import figures
import peers
import rpc_cost
import rpc_load
import rpc_memory
import rpc_peers

HEALTH = "/grpc.health.v1.Health/Check"
MIB = 1024 * 1024
# Name, method, connections, calls at a time on each, calls of a run.
UNARY = (
    ("nothing, -c 8 -m 32", "Nothing", 8, 32, 100000),
    ("nothing, -c 1 -m 1", "Nothing", 1, 1, 15000),
    ("4 KiB, -c 8 -m 32", "Page", 8, 32, 60000),
    ("4 KiB, -c 1 -m 1", "Page", 1, 1, 15000),
)
# A stream is over in a fraction of a second, so that there is time for more of them.
ROUNDS, STREAM_ROUNDS, QUICK_ROUNDS = 7, 15, 3
BUSY, ALONE, BUSY_PAGE, ALONE_PAGE = (row[0] for row in UNARY)


@contextlib.contextmanager
def running(*kinds):
    """Servers of these kinds, all at the same time: who is not asked sleeps."""
    servers = []
    try:
        for kind in kinds:
            servers.append(kind())
            servers[-1].start()
        yield {server.name: server for server in servers}
    finally:
        for server in servers:
            server.remove()


def measured(found):
    return lambda run: run.rate if found == "rate" else run.cpu_us if found == "cpu" else run.percentile(found)


def spread(runs, what, digits=1):
    return figures.spread([measured(what)(run) for run in runs], digits)


def share(runs, others, what="rate"):
    """By pairs of runs that came one soon after the other, so that a machine that slows down slows both."""
    value = measured(what)
    return statistics.median(value(run) / value(other) for run, other in zip(runs, others))


def unary_runs(servers, quick):
    """Every load on every server; containerd has its own health check, and berthd the same beside it."""
    runs = {}
    for name, method, connections, streams, calls in UNARY:
        calls //= 5 if quick else 1
        for server in servers.values():
            if server.name != "containerd":
                runs[name, server.name] = (server, server.path(method), calls, connections, streams)
        if method == "Nothing" and "containerd" in servers:
            for server in (servers["berthd"], servers["containerd"]):
                runs[name, server.name + " Check"] = (server, HEALTH, calls, connections, streams)
    return {key: lambda run=run: rpc_load.h2load(*run, log=True) for key, run in runs.items()}


def unary(quick, goals):
    kinds = [rpc_peers.Berthd, rpc_peers.GrpcServer, rpc_peers.Nghttpd]
    if rpc_peers.can_run_containerd():
        kinds.append(rpc_peers.Containerd)
    with running(*kinds) as servers:
        found = rpc_load.interleaved(QUICK_ROUNDS if quick else ROUNDS, unary_runs(servers, quick))
    lines = ["gRPC, unary, h2load; calls a second, the server's CPU time for one call, and from a request to the end of its "
             "answer. nghttpd answers with files as long as the replies. `Check` is grpc.health.v1.Health/Check with an "
             f"empty request, a reply of two bytes from both; {peers.versions()}", ""]
    lines += figures.table(("load", "server", "calls/s", "CPU µs", "p50 µs", "p99 µs"),
                           [(load, name, spread(runs, "rate", 0), spread(runs, "cpu"), spread(runs, 0.5, 0),
                             spread(runs, 0.99, 0)) for (load, name), runs in found.items()])
    for load, title in ((BUSY, "nothing"), (BUSY_PAGE, "4 KiB")):
        goals.add(f"calls/s by grpc++'s, {title}", share(found[load, "berthd"], found[load, "grpc++"]), 1.6)
        goals.add(f"calls/s by nghttpd's, {title}", share(found[load, "berthd"], found[load, "nghttpd"]), 0.85)
    if (BUSY, "containerd Check") in found:
        for load, title in ((BUSY, "-c 8 -m 32"), (ALONE, "-c 1 -m 1")):
            goals.add(f"calls/s by containerd's, Check, {title}",
                      share(found[load, "berthd Check"], found[load, "containerd Check"]), 2.2)
    for load, title in ((ALONE, "nothing"), (ALONE_PAGE, "4 KiB")):
        for part, percent in ((0.5, "p50"), (0.99, "p99")):
            goals.add(f"latency by grpc++'s, {title}, -c 1 -m 1, {percent}",
                      share(found[load, "berthd"], found[load, "grpc++"], part), 1, at_most=True)
    return lines


def varint(number):
    text = b""
    while number > 0x7F:
        text, number = text + bytes([number & 0x7F | 0x80]), number >> 7
    return text + bytes([number])


def read_request(messages, length):
    return b"\x08" + varint(messages) + b"\x10" + varint(length)


class Stream:
    """One transfer: its rows by client, each returning MiB a second."""

    def __init__(self, name, bytes_moved):
        self.name, self.mib = name, bytes_moved / MIB

    def rate(self, run):
        return self.mib / run.elapsed


def stream_runs(servers, quick):
    small = 16 * 1024 if quick else 32 * 1024
    streams = (Stream("1 KiB messages, server to client", small * 1024), Stream("64 MiB, server to client", 64 * MIB),
               Stream("64 MiB, client to server", 64 * MIB))
    requests = (read_request(small, 1024), read_request(64, MIB))
    runs = {}
    for server in servers.values():
        path = server.path("Read")
        for stream, request in zip(streams, requests):
            runs[stream, "h2load", server.name] = (rpc_load.h2load, server, path, 1, 1, 1, request)
            runs[stream, "libberth-rpc", server.name] = (rpc_load.own, server, "grpc", path, 1, 1, 1, request)
        runs[streams[2], "libberth-rpc", server.name] = (rpc_load.own_write, server, server.path("Write"), 64, MIB)
    return {key: lambda run=run: run[0](*run[1:]) for key, run in runs.items()}


def streams(quick, goals):
    with running(rpc_peers.Berthd, rpc_peers.GrpcServer) as servers:
        found = rpc_load.interleaved(QUICK_ROUNDS if quick else STREAM_ROUNDS, stream_runs(servers, quick))
    lines = ["", "gRPC, one call on one connection; MiB of payload a second. 64 MiB are 64 messages of 1 MiB", ""]
    lines += figures.table(("transfer", "client", "server", "MiB/s"),
                           [(stream.name, client, server, figures.spread([stream.rate(run) for run in runs], 0))
                            for (stream, client, server), runs in found.items()])
    for (stream, client, server), runs in found.items():
        if server == "berthd":
            goals.add(f"{stream.name}, {client}, by grpc++'s", share(runs, found[stream, client, "grpc++"]), 1)
    return lines


def ttrpc(quick, goals):
    """libberth-rpc's client on both, for there is no load generator of other people's."""
    calls = 20000 if quick else 100000
    with running(rpc_peers.TtrpcBerthd, rpc_peers.TtrpcServer) as servers:
        runs = {(load, server.name): (server, "ttrpc", server.path("Nothing"), calls // share, connections, streams)
                for load, share, connections, streams in ((BUSY, 1, 8, 32), (ALONE, 5, 1, 1))
                for server in servers.values()}
        found = rpc_load.interleaved(QUICK_ROUNDS if quick else ROUNDS,
                                     {key: lambda run=run: rpc_load.own(*run) for key, run in runs.items()})
    lines = ["", "ttrpc, unary, libberth-rpc's client; calls a second, and the server's CPU time for one call", ""]
    lines += figures.table(("load", "server", "calls/s", "CPU µs"),
                           [(load, name, spread(runs, "rate", 0), spread(runs, "cpu")) for (load, name), runs in found.items()])
    for load, title in ((BUSY, "-c 8 -m 32"), (ALONE, "-c 1 -m 1")):
        goals.add(f"ttrpc calls/s by Go's, {title}", share(found[load, "berthd"], found[load, "Go's ttrpc"]), 2.5)
    return lines


def memory(quick, goals):
    count, last = (2000, 100000) if quick else (10000, 1000000)
    with running(rpc_peers.Berthd) as servers:
        idle = rpc_memory.idle_bytes(servers["berthd"], count)
    with running(rpc_peers.Berthd) as servers:
        before, after = rpc_memory.growth_bytes(servers["berthd"], 10000, last)
    goals.add(f"KiB for each of {count:,} idle connections", idle / 1024, 16, at_most=True, unit=" KiB")
    goals.add(f"RSS after {last:,} calls by that after 10,000", after / before, 1.01, at_most=True)
    return ["", f"berthd's memory: each of {count:,} idle connections that have had a call holds {idle / 1024:.1f} KiB of "
            f"RSS; {before / MIB:.2f} MiB are resident after 10,000 calls, {after / MIB:.2f} MiB after {last:,}"]


# Why each of rpc_cost.COUNTS is what it is.
REASONS = {
    "allocations": "none is left: streams, calls, HTTP/2's pieces and messages of up to 4 KiB are kept for the next call, and the "
                   "plugin packs such a message on the stack; only where more than 768 KiB of them wait at a time some are allocated",
    "frees": "one for each allocation",
    "reads": "one takes what has come on a connection, all 32 calls of it",
    "writes": "one sendmsg a turn of the loop and connection, the answers to all 32 calls in it",
    "waits": "one epoll_wait a turn, for all connections that have something",
}


def cost(quick, goals):
    calls = 10000 if quick else 50000
    with rpc_cost.Counted() as counted:
        runs = [counted.per_call(calls // share, connections, streams, method)
                for method in ("Nothing", "Page") for share, connections, streams in ((1, 8, 32), (10, 1, 1))]
    lines = ["", "What one unary call of berthd's asks of malloc and of the kernel in its steady state:", ""]
    lines += figures.table(("", *(row[0] for row in UNARY), "why"),
                           [(name, *(f"{abs(run[name]):.3f}" for run in runs), REASONS[name]) for name in rpc_cost.COUNTS])
    return lines


def measure(quick):
    _, lines, whole = figures.measure_parts(quick, (unary, streams, ttrpc, memory, cost))
    return lines, whole
