# SPDX-License-Identifier: Apache-2.0
"""Our own client runs the interoperability cases against berthd, and against servers of Google's."""

import subprocess
import unittest

import grpcio_server
from daemon import environment
from interop_daemon import CLIENT, GRPCXX, TARGETS, Interop, Program, Target, add_tests, program_cases

# grpcio does not tell its server whether a message came compressed.
NOT_FOR_GRPCIO = {"probe_compressed_unary", "probe_compressed_streaming"}


def setUpModule():
    global interop
    interop = Interop()


def tearDownModule():
    interop.stop()


def run(services, target):
    return Program(CLIENT, services, target.own_address, *target.options())


def run_beside_grpcio():
    """The cases against grpcio's server, which lives as long as they run."""
    server = grpcio_server.start()
    path = interop.workshop.short / "grpcio.sock"
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        return run("grpc", Target(f"unix:{path}", path))
    finally:
        server.stop(0).wait()


def run_beside_grpcxx(security):
    """The same against grpc++'s: on a unix socket, or on TCP with certificates on both sides."""
    folder = interop.workshop.top
    address = f"unix:{interop.workshop.short}/grpcxx.sock" if security is None else "127.0.0.1:0"
    options = [] if security is None else ["--certificate", folder / "server.pem", "--key", folder / "server.key",
                                           "--ca", folder / "ca.pem"]
    with subprocess.Popen([str(word) for word in (GRPCXX, "server", address, *options)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, env=environment()) as server:
        try:
            words = server.stdout.readline().split()
            if words[:1] != ["listening"]:
                raise AssertionError("the grpc++ server does not listen")
            if security is None:
                return run("grpc", Target(address, address))
            return run("grpc", Target(address, f"tcp:127.0.0.1:{words[1]}", folder, mutual=True))
        finally:
            server.stdin.close()
            server.wait(30)


for name in TARGETS:
    add_tests(globals(), f"Over_{name}", program_cases(CLIENT, "both"),
              lambda name=name: run("both", interop.target(name)), Program.check)
add_tests(globals(), "BesideGrpcio", [case for case in program_cases(CLIENT, "grpc") if case not in NOT_FOR_GRPCIO],
          run_beside_grpcio, Program.check)
if GRPCXX.exists():
    for name, security in (("BesideGrpcxx", None), ("BesideGrpcxxOverMtls", "mtls")):
        add_tests(globals(), name, program_cases(CLIENT, "grpc"),
                  lambda security=security: run_beside_grpcxx(security), Program.check)

if __name__ == "__main__":
    unittest.main()
