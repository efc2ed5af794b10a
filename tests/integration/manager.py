# SPDX-License-Identifier: Apache-2.0
"""The service manager's side of sockets: passes them to a daemon when it starts, and keeps those that it is given."""

import socket
import sys
import threading

from daemon import Notify

# Becomes the daemon, with the descriptors from 3 on, and itself as the process that they are meant for.
PASS = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",")]
for i, fd in enumerate(fds):
    os.dup2(fd, 200 + i)
for i in range(len(fds)):
    os.dup2(200 + i, 3 + i)
os.closerange(3 + len(fds), 400)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def passing(sockets):
    """Options of Daemon with which it inherits these pairs of a name and a descriptor."""
    if not sockets:
        return {}
    fds = [fd for _, fd in sockets]
    return {"prefix": (sys.executable, "-c", PASS, ",".join(map(str, fds)), ":".join(name for name, _ in sockets)),
            "pass_fds": fds}


class Keeper(Notify):
    """Hears a daemon at any time. `kept` is the file descriptor store: sockets by their names."""

    def __init__(self, path, kept):
        super().__init__(path)
        self.kept = kept
        self.is_closed = False
        self.thread = threading.Thread(target=self.hear, daemon=True)
        self.thread.start()

    def hear(self):
        self.socket.settimeout(0.05)
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
            except TimeoutError:
                if self.is_closed:
                    return
                continue
            lines = data.decode().splitlines()
            name = next((line[7:] for line in lines if line.startswith("FDNAME=")), None)
            if "FDSTORE=1" in lines and fds:
                self.kept[name] = socket.socket(fileno=fds[0])
            elif "FDSTOREREMOVE=1" in lines and name in self.kept:
                self.kept.pop(name).close()
            self.lines += lines

    def wait(self, wanted, timeout, is_alive):
        done = threading.Event()
        for _ in range(int(timeout / 0.02)):
            if wanted in self.lines:
                return True
            if not is_alive():
                done.wait(0.2)
                return wanted in self.lines
            done.wait(0.02)
        return False

    def close(self):
        if self.is_closed:
            return
        self.is_closed = True
        self.thread.join()
        super().close()
