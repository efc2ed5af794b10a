# SPDX-License-Identifier: Apache-2.0
"""What a plugin behind a socket adds to a unary call: berthd's greeter, asked directly and through another berthd.

    BERTH_BUILD=build PYTHONPATH=tests/integration python3 tests/bench/proxy.py
"""

import re
import statistics
import subprocess

from daemon import Daemon, environment
from workshop import BUILD, Workshop

CLIENT = BUILD / "tests/bench/load/load_client"
HELLO = "/helloworld.Greeter/SayHello"
REQUEST = "0a026d65"
ROUNDS, CALLS = 7, 10000


def start(*modules, **settings):
    workshop = Workshop()
    workshop.add_default_modules(*modules)
    workshop.write_config(**settings)
    return workshop, Daemon(workshop).wait_for()


def median_us(address, at_a_time):
    text = subprocess.run([str(CLIENT), "grpc", address, HELLO, str(CALLS), "1", str(at_a_time), REQUEST], check=True,
                          capture_output=True, text=True, env=environment()).stdout
    return float(re.search(r"p50_us=([0-9.]+)", text)[1])


def main():
    behind, server = start("servers", "greeter", "health")
    front, proxy = start("servers", "proxy", "health", proxy_plugins={
        "behind": {"address": server.address, "services": ["helloworld.Greeter"]}})
    try:
        for at_a_time in (1, 16):
            rounds = [(median_us(server.address, at_a_time), median_us(proxy.address, at_a_time)) for _ in range(ROUNDS)]
            direct, through = (statistics.median(column) for column in zip(*rounds))
            print(f"{at_a_time} at a time: direct {direct:.1f} us, through {through:.1f} us, added {through - direct:.1f} us")
    finally:
        for daemon, workshop in ((proxy, front), (server, behind)):
            daemon.stop()
            workshop.remove()


if __name__ == "__main__":
    main()
