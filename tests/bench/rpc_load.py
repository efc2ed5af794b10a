# SPDX-License-Identifier: Apache-2.0
"""The clients: h2load, which is the same stranger to every server, and libberth-rpc's own."""

import re
import subprocess
import tempfile
from pathlib import Path

from daemon import environment
from rpc_peers import BUILT

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def framed(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


def seconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * UNITS[unit]


class Run:
    """What one run of a client found: calls a second, the server's time for each, and latencies."""

    def __init__(self, server, calls, elapsed, cpu, latencies=()):
        self.server, self.calls, self.elapsed = server, calls, elapsed
        self.rate = calls / elapsed
        self.cpu_us = cpu / calls * 1e6
        self.latencies = sorted(latencies)

    def percentile(self, share):
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


def h2load(server, path, calls, connections, streams, request=b"", log=False, headers=()):
    """So many unary calls of gRPC; every one must be answered with status 200."""
    words = ["-p", "h2c", "-m", streams, "-H", "content-type: application/grpc", "-H", "te: trailers",
             *(word for header in headers for word in ("-H", header))]
    return post(server, path, calls, connections, framed(request), words, log)


def http1(server, path, calls, connections, kind, request):
    """The same over HTTP/1.1, one request at a time on each connection."""
    return post(server, path, calls, connections, request, ["--h1", "-H", f"content-type: {kind}"], True)


def post(server, path, calls, connections, body, words, log):
    with tempfile.TemporaryDirectory(prefix="load") as folder:
        data, lines = Path(folder, "request"), Path(folder, "lines")
        data.write_bytes(body)
        command = ["h2load", "-B", f"unix:{server.address}", "-n", calls, "-c", connections, "-d", data, *words,
                   *(["--log-file", lines] if log else []), f"http://localhost{path}"]
        before = server.cpu_seconds()
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True, timeout=600)
        cpu = server.cpu_seconds() - before
        if f"status codes: {calls} 2xx" not in done.stdout:
            raise RuntimeError(f"{server.name} did not answer every call:\n{done.stdout}{done.stderr}")
        elapsed = seconds(re.search(r"finished in ([\d.]+\w+)", done.stdout)[1])
        latencies = [int(line.split("\t")[2]) for line in lines.read_text().splitlines()] if log else ()
    return Run(server, calls, elapsed, cpu, latencies)


def own(server, protocol, path, calls, connections, streams, request=b"", namespace="", first=1, numbers=None):
    """The same with libberth-rpc's client, which wants each call to end well; its number takes the place of ########."""
    with tempfile.NamedTemporaryFile(prefix="load") as file:
        Path(file.name).write_bytes(request)
        return client(server, protocol, f"unix:{server.address}", path, calls, connections, streams, f"@{file.name}",
                      namespace, first, numbers or calls)


def own_write(server, path, messages, length):
    return client(server, "write", f"unix:{server.address}", path, messages, length)


def client(server, *words):
    before = server.cpu_seconds()
    done = subprocess.run([str(BUILT / "load_client"), *map(str, words)], capture_output=True, text=True, check=False,
                          timeout=600, env=environment())
    if done.returncode != 0:
        raise RuntimeError(f"{server.name}: {done.stderr}")
    found = {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", done.stdout)}
    run = Run(server, int(found["calls"]), found["seconds"], server.cpu_seconds() - before)
    run.bytes, run.first, run.p50_us, run.p99_us = (found[key] for key in ("bytes", "first", "p50_us", "p99_us"))
    return run


def interleaved(rounds, runs):
    """Each of `runs` once a round, so that what else the machine does falls on all alike; the results by key."""
    found = {key: [] for key in runs}
    for number in range(rounds):
        for key, run in (list(runs.items())[::-1] if number % 2 else runs.items()):
            found[key].append(run())
    return found
