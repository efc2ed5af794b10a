# SPDX-License-Identifier: Apache-2.0
"""berthd under test: started on a scratch folder, asked over its socket, stopped, and held to a clean end."""

import os
import re
import signal
import socket
import subprocess
import time
import unittest

from workshop import BUILD, Workshop

BERTHD = BUILD / "core" / "berthd"
BERTHCTL = BUILD / "tools" / "berthctl" / "berthctl"

# Under a sanitizer everything takes several times as long; this is for a machine that is busy besides.
PATIENCE = 60.0

# The leak check at exit may itself crash, seen once in some thousand stops: it then says so, and nothing of leaks.
LEAK_CHECK_CRASHED = re.compile(r"Tracer caught signal 11: .*\n==\d+==LeakSanitizer has encountered a fatal error\.\n"
                                r"(?:==\d+==HINT: .*\n)*")


def environment(**more):
    """No setting of whoever runs the tests may reach the programs."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("BERTH_", "XDG_", "NOTIFY_", "JOURNAL_", "OTEL_"))}
    kept["LD_LIBRARY_PATH"] = f"{BUILD}/sdk/rpc:{BUILD}/sdk/filter:{BUILD}/sdk/fetch:{BUILD}/sdk/json:{BUILD}/sdk/signature:" + kept.get("LD_LIBRARY_PATH", "")
    kept["LC_ALL"] = "C.UTF-8"
    return {**kept, **{name: str(value) for name, value in more.items()}}


class Notify:
    """The service manager's end of sd_notify."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.lines = []

    def wait(self, wanted, timeout, is_alive):
        """Waits for a line such as READY=1; False where the daemon ended before."""
        end = time.monotonic() + timeout
        self.socket.settimeout(0.1)
        while time.monotonic() < end:
            if wanted in self.lines:
                return True
            try:
                self.lines += self.socket.recv(4096).decode().splitlines()
            except TimeoutError:
                if not is_alive():
                    return wanted in self.lines
        return False

    def close(self):
        self.socket.close()
        self.path.unlink(missing_ok=True)


class Daemon:
    """One run of `berthd run`."""

    def __init__(self, workshop, *arguments, preexec=None, notify=None, prefix=(), pass_fds=(), **variables):
        self.workshop = workshop
        self.address = str(workshop.state / "berth.sock")
        self.notify = notify or Notify(workshop.short / f"notify-{time.monotonic_ns()}")
        self.log_path = workshop.top / f"log-{time.monotonic_ns()}"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [*prefix, str(BERTHD), "run", "--config", str(workshop.config), *arguments], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, preexec_fn=preexec, pass_fds=pass_fds,
                env=environment(NOTIFY_SOCKET=self.notify.path, **variables))

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def is_alive(self):
        return self.process.poll() is None

    def wait_for(self, wanted="READY=1", timeout=PATIENCE):
        if not self.notify.wait(wanted, timeout, self.is_alive):
            raise AssertionError(f"no {wanted} from berthd (exit code {self.process.poll()}):\n{self.log}")
        return self

    def wait_for_log(self, text, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while text not in self.log:
            if time.monotonic() > end:
                raise AssertionError(f"{text!r} is not in the log:\n{self.log}")
            time.sleep(0.02)

    def send(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=PATIENCE):
        """Waits for the end; the exit code. What a sanitizer has to say is a failure, whatever the code."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"berthd did not end within {timeout} s:\n{self.log}") from None
        finally:
            self.notify.close()
        said, crashes = LEAK_CHECK_CRASHED.subn("", self.log)
        for alarm in ("Sanitizer", "runtime error:", "Assertion", "assertion"):
            if alarm in said:
                raise AssertionError(self.log)
        stopped = re.search(r"stopped exit_code=(\d+)", said)
        return int(stopped[1]) if crashes == 1 and stopped else code

    def stop(self, number=signal.SIGTERM):
        self.send(number)
        return self.wait()

    def ctl(self, *arguments, **variables):
        return run(BERTHCTL, "--address", self.address, *arguments, **variables)


def run(program, *arguments, timeout=PATIENCE, cwd=None, **variables):
    """Runs a program to its end: exit code, stdout, stderr."""
    done = subprocess.run([str(program), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=timeout, check=False, cwd=cwd, env=environment(**variables))
    for alarm in ("Sanitizer", "runtime error:"):
        if alarm in done.stderr:
            raise AssertionError(done.stderr)
    return done


class Case(unittest.TestCase):
    """A test with a workshop of its own; every daemon that it starts must end well."""

    maxDiff = None

    def setUp(self):
        self.workshop = Workshop()
        self.daemons = []
        self.addCleanup(self.workshop.remove)
        self.addCleanup(self.kill_all)

    def kill_all(self):
        for daemon in self.daemons:
            if daemon.is_alive():
                daemon.process.kill()
                daemon.process.wait()
            daemon.notify.close()

    def launch(self, *arguments, **options):
        """Starts berthd and waits for nothing. The options are those of Daemon."""
        if self.workshop.config is None:
            self.workshop.write_config()
        daemon = Daemon(self.workshop, *arguments, **options)
        self.daemons.append(daemon)
        return daemon

    def start(self, *arguments, **options):
        return self.launch(*arguments, **options).wait_for()

    def assert_stops(self, daemon):
        self.assertEqual(0, daemon.stop(), daemon.log)

    def assert_refuses(self, expected_code, *texts):
        """berthd ends by itself with this code, and one line of its log has all of the texts."""
        daemon = self.launch()
        self.assertEqual(expected_code, daemon.wait(), daemon.log)
        self.assert_line(daemon.log, *texts)
        return daemon.log

    def assert_line(self, log, *texts):
        for line in log.splitlines():
            if all(text in line for text in texts):
                return line
        raise AssertionError(f"no line has all of {texts}:\n{log}")

    def berthd(self, *arguments, **variables):
        return run(BERTHD, *arguments, **variables)

    def plugins(self, daemon):
        """All that the daemon found: by URI, and by file name where a file has none."""
        import ask

        return ask.plugins(daemon.address)
