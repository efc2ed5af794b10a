# SPDX-License-Identifier: Apache-2.0
"""Go's gRPC calls berthd over the unix socket by a dialer of its own, as kubelet, crictl and CSI tools do."""

import unittest

from interop_daemon import GRPC_GO, Berthd, Program, add_tests, program_cases


def setUpModule():
    global berthd
    berthd = Berthd()


def tearDownModule():
    berthd.stop()


add_tests(globals(), "Calls", program_cases(GRPC_GO, "cases"),
          lambda: Program(GRPC_GO, "client", berthd.unix_target().own_address), Program.check)

if __name__ == "__main__":
    unittest.main()
