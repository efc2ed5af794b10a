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


def run_beside_grpcxx():
    path = interop.workshop.short / "grpcxx.sock"
    with subprocess.Popen([str(GRPCXX), "server", f"unix:{path}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env=environment()) as server:
        try:
            if not server.stdout.readline().startswith("listening"):
                raise AssertionError("the grpc++ server does not listen")
            return run("grpc", Target(f"unix:{path}", path))
        finally:
            server.stdin.close()
            server.wait(30)


for name in TARGETS:
    add_tests(globals(), f"Over_{name}", program_cases(CLIENT, "both"),
              lambda name=name: run("both", interop.target(name)), Program.check)
add_tests(globals(), "BesideGrpcio", [case for case in program_cases(CLIENT, "grpc") if case not in NOT_FOR_GRPCIO],
          run_beside_grpcio, Program.check)
if GRPCXX.exists():
    add_tests(globals(), "BesideGrpcxx", program_cases(CLIENT, "grpc"), run_beside_grpcxx, Program.check)

if __name__ == "__main__":
    unittest.main()
