#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Starts a berthd that any client of gRPC's or ttrpc's interoperability cases can be pointed at, until Ctrl-C:

    BERTH_BUILD=build PYTHONPATH=tests/integration tests/interop/serve.py [plain|tls|mtls]
"""

import sys

from interop_daemon import Berthd


def main():
    berthd = Berthd(*sys.argv[1:2], with_fixed_port=True)
    print(f"gRPC: {berthd.unix_target().grpc_address}\nTCP:  {berthd.tcp_target().grpc_address} ({berthd.security})\n"
          f"ttrpc: {berthd.ttrpc_address}\nlog: {berthd.daemon.log_path}\n"
          f"certificates: {berthd.workshop.top}/*.pem\nCtrl-C stops it.", flush=True)
    try:
        return berthd.daemon.process.wait()
    except KeyboardInterrupt:
        # The terminal has told the daemon as well.
        return berthd.daemon.wait()
    finally:
        berthd.workshop.remove()


if __name__ == "__main__":
    sys.exit(main())
