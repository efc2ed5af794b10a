# SPDX-License-Identifier: Apache-2.0
"""The daemons that are measured, each on scratch folders and a socket of its own."""

import os
import shutil
import socket
import subprocess
import time

from daemon import BERTHD, environment
from workshop import Workshop

CONTAINERD = """version = 2
root = "{top}/containerd"
state = "{short}/containerd"
[grpc]
  address = "{short}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{top}/opt"
"""


class Peer:
    """One daemon: start, wait until it takes connections, stop."""

    def __init__(self):
        self.workshop = Workshop()
        self.process = None

    def start(self):
        with open(self.workshop.top / "log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment())

    def wait_for_socket(self):
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(self.address)
                    return
                except OSError:
                    time.sleep(0.0002)
        raise RuntimeError(f"{self.name} does not listen:\n{(self.workshop.top / 'log').read_text()[-2000:]}")

    def ask(self):
        subprocess.run(["ctr", "--address", self.address, "version"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def remove(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.workshop.remove()


class Berthd(Peer):
    name = "berthd"

    def __init__(self):
        super().__init__()
        self.workshop.add_default_modules()
        self.address = str(self.workshop.state / "berth.sock")
        # As an operator writes it.
        config = self.workshop.write_config(f"version: 1\n\nroot: {self.workshop.root}\nstate: {self.workshop.state}\n"
                                            f"plugin_dirs: [{self.workshop.plugins}]\n")
        self.command = [str(BERTHD), "run", "--config", str(config)]


class Containerd(Peer):
    name = "containerd"

    def __init__(self):
        super().__init__()
        config = self.workshop.top / "config.toml"
        config.write_text(CONTAINERD.format(top=self.workshop.top, short=self.workshop.short))
        self.address = str(self.workshop.short / "containerd.sock")
        self.command = ["containerd", "--config", str(config)]


def kinds():
    """berthd, and containerd where it is installed and we are root, without whom it does not start."""
    if shutil.which("containerd") and os.geteuid() == 0:
        return [Berthd, Containerd]
    return [Berthd]


def daemons():
    return [kind() for kind in kinds()]


def versions():
    lines = [subprocess.run([str(BERTHD), "--version"], capture_output=True, text=True, check=True,
                            env=environment()).stdout.strip()]
    if shutil.which("containerd"):
        words = subprocess.run(["containerd", "--version"], capture_output=True, text=True, check=True).stdout.split()
        lines.append(f"containerd {words[-1]}")
    return ", ".join(lines)
