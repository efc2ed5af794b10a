# SPDX-License-Identifier: Apache-2.0
"""containerd's own services beside containerd: durable creates, reads, and ten thousand containers stored."""

import statistics
import time

import figures
import peers
import rpc_load
import rpc_peers
import services_data
import services_syncs
from rpc import MIB, running, share

# Name, connections, calls at a time on each.
CREATES = (("1 at a time", 1, 1), ("32 at a time", 8, 4))
STORED = 10000
ROUNDS, QUICK_ROUNDS = 7, 3
# A disk stalls now and then, which must not decide by whose turn it was: many runs, and short ones.
CREATE_ROUNDS, QUICK_CREATE_ROUNDS, CREATE_CALLS = 21, 7, 300
NAMESPACE = "containerd-namespace: "


class Numbers:
    """No two calls create the same container."""

    def __init__(self):
        self.next = 1

    def take(self, count):
        first, self.next = self.next, self.next + count
        return first


def create(server, numbers, calls, connections, streams, namespace, spec):
    return rpc_load.own(server, "grpc", services_data.CONTAINERS + "Create", calls, connections, streams,
                        services_data.create(spec), namespace, numbers.take(calls))


def kinds():
    return [rpc_peers.Stored, rpc_peers.Containerd]


def by_load(found):
    return [(load, name, figures.spread([run.rate for run in runs], 0), figures.spread([run.p50_us / 1e3 for run in runs], 2),
             figures.spread([run.p99_us / 1e3 for run in runs], 2), figures.spread([run.cpu_us for run in runs], 0))
            for (load, name), runs in found.items()]


def creates(quick, goals):
    spec = services_data.usual_spec()
    with running(*kinds()) as servers:
        numbers = {name: Numbers() for name in servers}
        runs = {(load, name): lambda server=server, rest=rest: create(server, numbers[server.name], CREATE_CALLS, *rest, "created", spec)
                for load, *rest in CREATES for name, server in servers.items()}
        found = rpc_load.interleaved(QUICK_CREATE_ROUNDS if quick else CREATE_ROUNDS, runs)
    for load, *_ in CREATES:
        goals.add(f"Create by containerd's, {load}", share(found[load, "berthd"], found[load, "containerd"]), 1)
    lines = [f"Containers/Create, each of another container with a spec of {len(spec):,} bytes, libberth-rpc's client; answered "
             f"when it is on disk. {peers.versions()}", ""]
    lines += figures.table(("load", "daemon", "creates/s", "p50 ms", "p99 ms", "CPU µs"), by_load(found))
    return lines + syncs(quick, spec)


def syncs(quick, spec):
    """How often the disk was made to write for that, counted in runs of their own, for counting slows down."""
    calls = 100 if quick else 400
    rows = []
    for kind in kinds():
        for load, *rest in CREATES:
            server = kind()
            try:
                counted = services_syncs.count(server, lambda: create(server, Numbers(), calls, *rest, "created", spec))
            finally:
                server.remove()
            rows.append((load, server.name, f"{counted / calls:.2f}"))
    return ["", "How often a create waits for the disk (fdatasync, fsync, msync, or a write to a file opened with O_DSYNC), by strace. "
            "A commit does so twice on both sides, for the pages and then for the page that makes them count", "",
            *figures.table(("load", "daemon", "syncs a create"), sorted(rows))]


def fill(server, quick):
    """As many small and usual containers as are wanted, in namespaces of their own."""
    count = STORED // 10 if quick else STORED
    for namespace, spec in (("small", services_data.small_spec()), ("usual", services_data.usual_spec())):
        create(server, Numbers(), count, 8, 8, namespace, spec)
    return count


def read_runs(servers, count, quick):
    path, calls = services_data.CONTAINERS, 5000 if quick else 20000
    runs = {}
    for name, server in servers.items():
        one = services_data.get(f"{count // 2:08}")
        for load, share_of, connections, streams in (("-c 8 -m 32", 1, 8, 32), ("-c 1 -m 1", 4, 1, 1)):
            runs[f"Get, one container, h2load {load}", name] = (
                rpc_load.h2load, server, path + "Get", calls // share_of, connections, streams, one, True, [NAMESPACE + "usual"])
        runs["Get, each another container, 32 at a time", name] = (
            rpc_load.own, server, "grpc", path + "Get", calls, 8, 4, services_data.get(), "usual", 1, count)
        runs[f"List of {count:,} small ones", name] = (rpc_load.own, server, "grpc", path + "List", 3, 1, 1, b"", "small")
        for namespace in ("small", "usual"):
            runs[f"ListStream of {count:,} {namespace} ones", name] = (
                rpc_load.own, server, "grpc", path + "ListStream", 1, 1, 1, b"", namespace)
    return {key: lambda run=run: run[0](*run[1:]) for key, run in runs.items()}


def stored(quick, goals):
    with running(*kinds()) as servers:
        for server in servers.values():
            count = fill(server, quick)
        found = rpc_load.interleaved(QUICK_ROUNDS if quick else ROUNDS, read_runs(servers, count, quick))
        again = restarts(servers, quick)
    for load in dict.fromkeys(load for load, _ in found):
        ours, theirs = found[load, "berthd"], found[load, "containerd"]
        goals.add(f"{load}: calls/s by containerd's", share(ours, theirs), 1 if "Stream" in load else 3)
        if "Stream" in load:
            goals.add(f"{load}: time to the first message by containerd's",
                      statistics.median(a.first / b.first for a, b in zip(ours, theirs)), 1, at_most=True)
    for what, values in again.items():
        goals.add(f"{what} with {2 * count:,} containers stored, by containerd's",
                  figures.ratio(values["berthd"], values["containerd"]), 1, at_most=True)
    return [*reads_table(found, count), *restarts_table(again, count)]


def reads_table(found, count):
    rows = [(load, name, figures.spread([run.rate for run in runs]), figures.spread([run.cpu_us for run in runs], 0),
             figures.spread([run.bytes / run.calls / MIB for run in runs]) if hasattr(runs[0], "bytes") else "",
             figures.spread([run.first * 1e3 for run in runs], 2) if "Stream" in load else "")
            for (load, name), runs in found.items()]
    return ["", f"Reads, {count:,} containers with small specs ({len(services_data.small_spec()):,} bytes) and as many with usual ones "
            f"({len(services_data.usual_spec()):,} bytes) stored. The first message's time is from before the client connects", "",
            *figures.table(("call", "daemon", "calls/s", "CPU µs", "MiB a reply", "first message ms"), rows)]


def restarts(servers, quick):
    """From exec until a container is got, and what is resident then, on the root that has been filled."""
    found = {"time to ready": {}, "RSS after the start": {}, "RSS after listing all": {}}
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        for name, server in servers.items():
            server.stop()
            begin = time.perf_counter()
            server.start()
            rpc_load.own(server, "grpc", services_data.CONTAINERS + "Get", 1, 1, 1, services_data.get("00000001"), "usual")
            values = [(time.perf_counter() - begin) * 1e3, server.resident_bytes() / MIB]
            for namespace in ("small", "usual"):
                rpc_load.own(server, "grpc", services_data.CONTAINERS + "ListStream", 1, 1, 1, b"", namespace)
            values.append(server.resident_bytes() / MIB)
            for row, value in zip(found.values(), values):
                row.setdefault(name, []).append(value)
    return found


def restarts_table(found, count):
    rows = [(name, *(figures.spread(values[name]) for values in found.values())) for name in next(iter(found.values()))]
    return ["", f"Started again on {2 * count:,} containers: ms from exec until a Containers/Get is answered, MiB resident then, and "
            "after one ListStream of each namespace", "", *figures.table(("daemon", "ms", "RSS", "RSS after ListStream"), rows)]


def measure(quick):
    if not rpc_peers.can_run_containerd():
        return ["Not measured: containerd is not installed, or we are not root."], True
    goals, lines = figures.Goals(), []
    for part in (creates, stored):
        lines += part(quick, goals)
    return [*goals.table(), "", *lines], goals.are_met()
