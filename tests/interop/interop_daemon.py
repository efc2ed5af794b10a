# SPDX-License-Identifier: Apache-2.0
"""A berthd with the interoperability module, that listens in every way; and the programs that call it."""

import json
import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

import grpc

import ask
import certificates
import workshop
from daemon import PATIENCE, Daemon, environment

HERE = Path(__file__).parent
MODULE = workshop.BUILD / "tests" / "interop" / "module" / "interop.so"
CLIENT = workshop.BUILD / "tests" / "interop" / "client" / "interop_client"
TTRPC_PEER = workshop.BUILD / "tests" / "interop" / "go" / "ttrpc_peer"
GRPC_GO = workshop.BUILD / "tests" / "interop" / "gogrpc" / "grpc_go"
GRPCXX = workshop.BUILD / "tests" / "interop" / "grpcxx" / "grpcxx"


class Target:
    """One way to reach a server: what grpc and what libberth-rpc call its address, and what TLS needs."""

    def __init__(self, grpc_address, own_address, certificates=None, *, mutual=False):
        self.grpc_address, self.own_address = grpc_address, own_address
        self.certificates, self.mutual = certificates, mutual

    def options(self):
        """As the drivers take them."""
        if self.certificates is None:
            return []
        own = ["--certificate", self.certificates / "client.pem", "--key", self.certificates / "client.key"]
        return ["--ca", self.certificates / "ca.pem"] + (own if self.mutual else [])

    def open_channel(self, *options):
        # Otherwise channels to one target share a connection.
        alone = [("grpc.use_local_subchannel_pool", 1), *options]
        if self.certificates is None:
            return grpc.insecure_channel(self.grpc_address, options=alone)
        files = [(self.certificates / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")]
        return grpc.secure_channel(self.grpc_address, grpc.ssl_channel_credentials(*files[:3 if self.mutual else 1]),
                                   options=alone)


SERVER_TCP = "io.containerd.server.v1.grpc-tcp"
# With BERTH_TEST_ISOLATED the services run in a process of their own, and clients must not notice.
ISOLATION = {"isolation": {"io.containerd.grpc.v1.interop": {}}} if os.environ.get("BERTH_TEST_ISOLATED") else {}


class Berthd:
    """Started with the configuration beside this file. `security` of its TCP: plain, tls, or mtls, where clients show
    certificates too; its port is any that is free, unless the configuration's own is wanted."""

    def __init__(self, security="plain", with_fixed_port=False, servers=None):
        """`servers`: settings of servers, by URI."""
        self.security, self.servers = security, servers or {}
        self.workshop = workshop.Workshop()
        self.workshop.add_default_modules()
        self.add_module(MODULE)
        certificates.make(self.workshop.top)
        self.write_config(with_fixed_port)
        self.ttrpc_address = self.workshop.state / "berth.sock.ttrpc"
        self.daemon = Daemon(self.workshop).wait_for()

    def add_module(self, path):
        shutil.copy(path, self.workshop.plugins)
        (self.workshop.plugins / path.name).chmod(0o755)

    def write_config(self, with_fixed_port):
        text = (HERE / "berthd.yaml").read_text(encoding="utf-8")
        text = text.replace("state: state", f"state: {self.workshop.state}")
        text = text.replace("state/", f"{self.workshop.state}/")
        if not with_fixed_port:
            text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:0", text)
        self.workshop.write_config(text)
        if self.security != "plain":
            files = {"tls_cert": "../server.pem", "tls_key": "../server.key"}
            if self.security == "mtls":
                files["tls_ca"] = "../ca.pem"
            self.servers = {**self.servers, SERVER_TCP: files}
        if self.servers or ISOLATION:
            more = self.workshop.top / "conf.d" / "servers.yaml"
            more.parent.mkdir(mode=0o755)
            more.write_text(json.dumps({"plugins": self.servers, **ISOLATION}), encoding="utf-8")

    def unix_target(self):
        path = self.workshop.state / "berth.sock"
        return Target(f"unix:{path}", path)

    def tcp_target(self):
        server = ask.plugins(self.daemon.address)[SERVER_TCP].message
        address = next(export.value for export in server.exports if export.key == "address")
        return Target(address, f"tcp:{address}", self.workshop.top if self.security != "plain" else None,
                      mutual=self.security == "mtls")

    def stop(self):
        try:
            code = self.daemon.stop()
            if code != 0:
                raise AssertionError(f"berthd ended with {code}:\n{self.daemon.log}")
        finally:
            self.workshop.remove()


class Interop:
    """Daemons for every target, each started when it is asked for first."""

    def __init__(self):
        self.daemons = {}

    def berthd(self, security="plain"):
        if security not in self.daemons:
            self.daemons[security] = Berthd(security)
        return self.daemons[security]

    def target(self, name):
        """unix; tcp in clear; tls and mtls."""
        if name == "unix":
            return self.berthd().unix_target()
        return self.berthd("plain" if name == "tcp" else name).tcp_target()

    @property
    def workshop(self):
        return self.berthd().workshop

    def stop(self):
        for berthd in self.daemons.values():
            berthd.stop()


TARGETS = ("unix", "tcp", "tls", "mtls")


class Program:
    """A driver that runs cases and prints "ok CASE" or "failed CASE: why"."""

    def __init__(self, *command):
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=2 * PATIENCE, check=False, env=environment())
        self.stderr = done.stderr
        self.results = {}
        for line in done.stdout.splitlines():
            words, _, why = line.partition(": ")
            verdict, case = words.split()
            self.results[case] = why if verdict == "failed" else None

    def check(self, case):
        if case not in self.results:
            raise AssertionError(f"it did not get so far:\n{self.stderr}")
        if self.results[case] is not None:
            raise AssertionError(self.results[case])
        for alarm in ("Sanitizer", "runtime error:", "left open"):
            if alarm in self.stderr:
                raise AssertionError(self.stderr)


def program_cases(program, services="grpc"):
    """The names of a driver's cases, for which it is asked."""
    return subprocess.run([str(program), "list", services], capture_output=True, text=True, check=True,
                          env=environment()).stdout.split()


def add_tests(module, name, cases, set_up, check, tear_down=None):
    """Adds to the globals of a module a TestCase `name` with a method for each case, named by it."""
    def make(case):
        return lambda self: check(self.shared, case)

    def set_up_class(cls):
        cls.shared = set_up()

    def tear_down_class(cls):
        if tear_down is not None:
            tear_down(cls.shared)

    members = {f"test_{case}": make(case) for case in cases}
    module[name] = type(name, (unittest.TestCase,), {
        **members, "__module__": module["__name__"], "setUpClass": classmethod(set_up_class),
        "tearDownClass": classmethod(tear_down_class)})
