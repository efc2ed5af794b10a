# SPDX-License-Identifier: Apache-2.0
"""A real etcd for tests, a way between it and its client that loses things, and a store in a process of its own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import workshop

sys.path.append(str(workshop.SOURCE / "tests" / "interop"))
import certificates

PATIENCE = 60.0
DRIVER = workshop.BUILD / "tests" / "integration" / "store_etcd" / "store_etcd_driver"


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_until(is_so, what, timeout=PATIENCE):
    end = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)


class Etcd:
    """One member alone, its data in memory where there is such a place."""

    scheme = "http"
    login = ()
    more_urls = ""

    def __init__(self, *options):
        self.folder = Path(tempfile.mkdtemp(prefix="berth-etcd-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        self.port, self.peer_port = free_ports(2)
        self.options = options
        self.process = None

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        client, peer = f"{self.scheme}://{self.endpoint}", f"http://127.0.0.1:{self.peer_port}"
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["etcd", "--data-dir", str(self.folder / "data"), "--log-level", "error", "--listen-client-urls", client + self.more_urls,
                 "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", f"default={peer}", *self.options], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder)
        wait_until(lambda: self.ctl("endpoint", "health", check=False).returncode == 0, "a healthy etcd")
        return self

    def ctl(self, *arguments, check=True, user=None):
        environment = {"PATH": os.environ["PATH"], "ETCDCTL_API": "3"}
        more = [f"--user={user}"] if user else []
        return subprocess.run(["etcdctl", "--endpoints", self.endpoint, "--command-timeout=5s", *self.login, *more, *arguments],
                              env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=check,
                              timeout=PATIENCE)

    def get(self, key):
        return self.ctl("get", "--print-value-only", key).stdout.rstrip("\n")

    def revision(self):
        out = self.ctl("endpoint", "status", "-w", "json").stdout
        return int(re.search(r'"revision":(\d+)', out).group(1))

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        wait_until(lambda: all((task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T" for task in tasks.iterdir()),
                   "every thread to stop")

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def wipe(self):
        self.kill()
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def demand_certificates(self):
        """Over TLS only, and with a client's certificate; they lie in its folder. Before the start."""
        certificates.make(self.folder)
        self.scheme = "https"
        self.options += ("--cert-file", str(self.folder / "server.pem"), "--key-file", str(self.folder / "server.key"),
                         "--trusted-ca-file", str(self.folder / "ca.pem"), "--client-cert-auth")
        self.login = ("--cacert", str(self.folder / "ca.pem"), "--cert", str(self.folder / "client.pem"),
                      "--key", str(self.folder / "client.key"))

    def listen_on_a_socket(self):
        """On a unix socket too, whose path this is. Before the start. etcd wants it to look like host and port."""
        self.more_urls = ",unix://socket:1"
        return self.folder / "socket:1"

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Proxy:
    """Between a client and etcd. It can lose what etcd answers, lose what is asked, cut, and refuse."""

    def __init__(self, port):
        self.target = port
        self.loses_answers = self.loses_requests = self.refuses = False
        self.pairs = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self):
        return f"tcp:127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.pairs.append((client, server))
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client, server):
        answers = threading.Thread(target=self._carry, args=(server, client, "loses_answers"), daemon=True)
        answers.start()
        self._carry(client, server, "loses_requests")
        answers.join()
        client.close()
        server.close()

    def _carry(self, source, sink, name):
        try:
            while data := source.recv(65536):
                if not getattr(self, name):
                    sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


class Driver:
    """A process with one store. What it says is kept line by line."""

    def __init__(self, endpoints, prefix="/berth", **options):
        self.lines = []
        environment = {**os.environ, "LD_LIBRARY_PATH": f"{workshop.BUILD}/sdk/rpc"}
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(DRIVER), endpoints, prefix, *[f"{name}={value}" for name, value in options.items()]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=environment, text=True, errors="replace")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.count = 0

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def find(self, pattern, start=0):
        return [line for line in self.lines[start:] if re.search(pattern, line)]

    def wait_for(self, pattern, start=0, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while not self.find(pattern, start):
            if time.monotonic() > end or (not self.reader.is_alive() and not self.find(pattern, start)):
                raise AssertionError(f"no {pattern!r} in {self.lines[-40:]}\n{self.log()}")
            time.sleep(0.01)
        return self.find(pattern, start)[0]

    def log(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def started(self):
        self.wait_for("^started OK")
        return self

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def update(self, verb, rest):
        """Asks for a change; what to wait for."""
        self.count += 1
        self.tell(f"{verb} {self.count} {rest}")
        return f"^done {self.count} "

    def change(self, verb, rest):
        """Asks for a change and waits: its code and sentence."""
        return self.wait_for(self.update(verb, rest)).split(" ", 2)[2]

    def ask(self, line):
        start = len(self.lines)
        self.tell(line)
        return self.wait_for("^got ", start)[4:]

    def listing(self, line):
        start = len(self.lines)
        self.tell(line)
        self.wait_for("^listed", start)
        return [each.split(" ", 1)[1] for each in self.find("^(entry|bucket) ", start)]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()

    def quit(self):
        """Ends it: its exit code; what a sanitizer has to say is a failure."""
        self.tell("quit")
        code = self.process.wait(PATIENCE)
        log = self.log()
        if "Sanitizer" in log or "runtime error" in log:
            raise AssertionError(log)
        return code
