# SPDX-License-Identifier: Apache-2.0
"""Go's ttrpc, containerd's own, calls berthd and is called by our client."""

import subprocess
import unittest

from daemon import environment
from interop_daemon import CLIENT, TTRPC_PEER, Berthd, Program, add_tests, program_cases

# A handler of berthd has no hand on its connection.
NOT_FOR_BERTHD = {"server_closes_mid_call"}


def setUpModule():
    global berthd
    berthd = Berthd()


def tearDownModule():
    berthd.stop()


def run_beside_go():
    path = berthd.workshop.short / "go.sock"
    with subprocess.Popen([str(TTRPC_PEER), "server", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env=environment()) as server:
        try:
            if server.stdout.readline() != "listening\n":
                raise AssertionError("Go's server does not listen")
            return Program(CLIENT, "peer", path)
        finally:
            server.stdin.close()
            server.wait(30)


add_tests(globals(), "GoCalls", program_cases(TTRPC_PEER, "cases"),
          lambda: Program(TTRPC_PEER, "client", berthd.ttrpc_address), Program.check)
add_tests(globals(), "GoIsCalled", program_cases(CLIENT, "peer"), run_beside_go, Program.check)
add_tests(globals(), "BerthdIsCalled", [case for case in program_cases(CLIENT, "peer") if case not in NOT_FOR_BERTHD],
          lambda: Program(CLIENT, "peer", berthd.ttrpc_address), Program.check)

if __name__ == "__main__":
    unittest.main()
