# SPDX-License-Identifier: Apache-2.0
"""The servers whose calls are measured: berthd, and what is built or configured to answer alike."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import peers
from daemon import environment
from workshop import BUILD

SOURCES = Path(__file__).resolve().parent / "load"
BUILT = BUILD / "tests" / "bench" / "load"
LOAD = "/berth.bench.v1.Load/"
# Replies as they travel: gRPC's prefix, and the message.
REPLIES = {"Nothing": 5, "Page": 5 + 4096}


def newer(target, *sources):
    return not target.exists() or any(source.stat().st_mtime > target.stat().st_mtime for source in sources)


def run(*command, **variables):
    subprocess.run([str(word) for word in command], check=True, env=environment(**variables))


def flags(*packages):
    return subprocess.run(["pkg-config", "--cflags", "--libs", *packages], check=True, capture_output=True,
                          text=True).stdout.split()


def build_grpc_server():
    target, generated = BUILT / "grpc_server", BUILT / "cxx"
    if newer(target, SOURCES / "grpc_server.cc", SOURCES / "load.proto"):
        generated.mkdir(exist_ok=True)
        run("protoc", "-I", SOURCES, "--cpp_out", generated, "--grpc_out", generated,
            f"--plugin=protoc-gen-grpc={shutil.which('grpc_cpp_plugin')}", SOURCES / "load.proto")
        run("c++", "-std=c++17", "-O2", f"-I{generated}", "-o", target, SOURCES / "grpc_server.cc",
            *sorted(generated.glob("*.cc")), *flags("grpc++", "protobuf"))
    return target


def build_go_server(name):
    """From Debian's sources alone, so that no proxy and no module cache is asked."""
    target, source = BUILT / name, SOURCES / f"{name}.go"
    if newer(target, source):
        run("go", "build", "-o", target, source, GO111MODULE="off", GOPATH="/usr/share/gocode", GOCACHE=BUILT / "go-cache", GOFLAGS="")
    return target


class Server(peers.Peer):
    """A server of its own program; knows its process' time."""

    # A test runner has malloc fill what it gives out, and what is filled is resident.
    calm = {"MALLOC_PERTURB_": "0"}
    variables = {}

    def start(self):
        with open(self.workshop.top / "log", "ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.command], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment(**self.calm, **self.variables))
        self.wait_for_socket()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def path(self, method):
        return LOAD + method

    def cpu_seconds(self):
        """All its threads', to the nanosecond: clock_getcpuclockid(3), which Python does not have."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def resident_bytes(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


class Berthd(Server):
    name = "berthd"

    def __init__(self, preload=None, **variables):
        super().__init__()
        self.workshop.add_default_modules()
        shutil.copy(BUILT / "load.so", self.workshop.plugins)
        (self.workshop.plugins / "load.so").chmod(0o755)
        limits = {"max_connections": 20000, "max_recv_message_bytes": "64MiB", "max_send_message_bytes": "64MiB"}
        config = self.workshop.write_config(plugins={"io.containerd.server.v1.grpc": limits})
        self.address = str(self.workshop.state / "berth.sock")
        self.command = [peers.BERTHD, "run", "--config", config]
        self.variables = {**variables, **({"LD_PRELOAD": preload} if preload else {})}


class Stored(Server):
    """berthd with the plugins it comes with and nothing set, its store among them."""

    name = "berthd"

    def __init__(self):
        super().__init__()
        other = peers.Berthd()
        self.workshop.remove()
        self.workshop, self.address, self.command = other.workshop, other.address, other.command


class TtrpcBerthd(Berthd):
    """The same daemon on its ttrpc socket."""

    def __init__(self):
        super().__init__()
        self.address += ".ttrpc"


class Containerd(Server):
    name = "containerd"

    def __init__(self):
        super().__init__()
        other = peers.Containerd()
        self.workshop.remove()
        self.workshop, self.address, self.command = other.workshop, other.address, other.command


class GrpcServer(Server):
    name = "grpc++"

    def __init__(self):
        super().__init__()
        self.address = str(self.workshop.short / "grpc.sock")
        self.command = [build_grpc_server(), f"unix:{self.address}"]


class Nghttpd(Server):
    """Serves files as long as the replies, over the same kind of socket."""

    name = "nghttpd"

    def __init__(self):
        super().__init__()
        files = self.workshop.top / "files"
        files.mkdir()
        for method, length in REPLIES.items():
            (files / method).write_bytes(bytes(length))
        self.address = str(self.workshop.short / "nghttpd.sock")
        self.command = ["nghttpd", "--no-tls", "-a", "127.0.0.1", "-n", "1", "-m", "256", "-d", files, "1"]
        self.variables = {"LD_PRELOAD": BUILT / "unix_bind.so", "BENCH_SOCKET": self.address}

    def path(self, method):
        return "/" + method


class TtrpcServer(Server):
    name = "Go's ttrpc"

    def __init__(self):
        super().__init__()
        self.address = str(self.workshop.short / "ttrpc.sock")
        self.command = [build_go_server("ttrpc_server"), self.address]


def can_run_containerd():
    return peers.Containerd in peers.kinds()
