# SPDX-License-Identifier: Apache-2.0
"""Google's Python client runs gRPC's interoperability cases against berthd, over every transport."""

import unittest

import grpcio_cases
from interop_daemon import TARGETS, Interop, add_tests

CASES = {case.__name__: case for case in grpcio_cases.CASES}


def setUpModule():
    global interop
    interop = Interop()


def tearDownModule():
    interop.stop()


for name in TARGETS:
    add_tests(globals(), f"Over_{name}", CASES, lambda name=name: grpcio_cases.Peer(interop.target(name).open_channel),
              lambda peer, case: CASES[case](peer), lambda peer: peer.close())

if __name__ == "__main__":
    unittest.main()
