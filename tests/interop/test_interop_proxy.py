# SPDX-License-Identifier: Apache-2.0
"""Clients of three makes run gRPC's interoperability cases through a berthd that only passes them on to another."""

import unittest

import grpcio_cases
import workshop
from daemon import Daemon
from interop_daemon import CLIENT, GRPC_GO, Berthd, Program, Target, add_tests, program_cases

# A call whose first message is not compressed goes on without compression: not every server knows gzip.
CASES = {case.__name__: case for case in grpcio_cases.CASES if case.__name__ != "client_compressed_streaming"}
SERVICES = ["grpc.testing.TestService"]


class Front:
    """Has no service of the tests itself."""

    def __init__(self, behind):
        self.workshop = workshop.Workshop()
        self.workshop.add_default_modules()
        self.workshop.write_config(proxy_plugins={"behind": {"address": behind, "services": SERVICES}})
        self.daemon = Daemon(self.workshop).wait_for()
        self.target = Target(f"unix:{self.daemon.address}", self.daemon.address)

    def stop(self):
        try:
            code = self.daemon.stop()
            if code != 0:
                raise AssertionError(f"berthd ended with {code}:\n{self.daemon.log}")
        finally:
            self.workshop.remove()


def setUpModule():
    global behind, front
    behind = Berthd()
    front = Front(str(behind.unix_target().own_address))


def tearDownModule():
    front.stop()
    behind.stop()


add_tests(globals(), "Grpcio", CASES, lambda: grpcio_cases.Peer(front.target.open_channel),
          lambda peer, case: CASES[case](peer), lambda peer: peer.close())
add_tests(globals(), "Own", program_cases(CLIENT), lambda: Program(CLIENT, "grpc", front.target.own_address), Program.check)
if GRPC_GO.exists():
    add_tests(globals(), "Go", program_cases(GRPC_GO, "cases"),
              lambda: Program(GRPC_GO, "client", front.target.own_address), Program.check)

if __name__ == "__main__":
    unittest.main()
