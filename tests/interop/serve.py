#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Starts a berthd that any client of gRPC's or ttrpc's interoperability cases can be pointed at, until Ctrl-C:

    BERTH_BUILD=build PYTHONPATH=tests/integration tests/interop/serve.py
"""

import sys

from interop_daemon import TARGETS, Interop


def main():
    interop = Interop(with_fixed_ports=True)
    for name in TARGETS:
        print(f"{name:6} {interop.target(name).grpc_address}")
    print(f"ttrpc  {interop.ttrpc_address}")
    print(f"certificates are in {interop.workshop.top}, the log is {interop.daemon.log_path}; Ctrl-C stops it", flush=True)
    try:
        return interop.daemon.process.wait()
    except KeyboardInterrupt:
        # The terminal has told the daemon as well.
        return interop.daemon.wait()
    finally:
        interop.workshop.remove()


if __name__ == "__main__":
    sys.exit(main())
