# SPDX-License-Identifier: Apache-2.0
"""grpc++ runs gRPC's interoperability cases against berthd, over every transport."""

import unittest

from interop_daemon import GRPCXX, TARGETS, Interop, Program, add_tests, program_cases


def setUpModule():
    global interop
    interop = Interop()


def tearDownModule():
    interop.stop()


def run(name):
    target = interop.target(name)
    return Program(GRPCXX, "client", target.grpc_address, *target.options())


for name in TARGETS:
    add_tests(globals(), f"Over_{name}", program_cases(GRPCXX), lambda name=name: run(name), Program.check)

if __name__ == "__main__":
    unittest.main()
