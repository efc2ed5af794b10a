# SPDX-License-Identifier: Apache-2.0
"""Our own client runs the cases of ttrpc's streaming tests against berthd, over ttrpc."""

import unittest

from interop_daemon import CLIENT, Berthd, Program, add_tests, program_cases


def setUpModule():
    global berthd
    berthd = Berthd()


def tearDownModule():
    berthd.stop()


add_tests(globals(), "Ttrpc", program_cases(CLIENT, "ttrpc"), lambda: Program(CLIENT, "ttrpc", berthd.ttrpc_address),
          Program.check)

if __name__ == "__main__":
    unittest.main()
