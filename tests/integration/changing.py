# SPDX-License-Identifier: Apache-2.0
"""A daemon that changes while clients call it: new versions of its modules, and clients that want every call to end well."""

import http.client
import importlib
import re
import shutil
import signal
import subprocess
import threading
import time

import grpc

import protos
from daemon import BUILD, PATIENCE, environment

LOAD_CLIENT = BUILD / "tests" / "bench" / "load" / "load_client"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


class Load:
    """Unary calls without a pause, by libberth-rpc's client; it gives up at the first that does not end well."""

    def __init__(self, address, path, request=b"", *, protocol="grpc", connections=2, at_a_time=4, namespace="", numbers=100000):
        self.path = path
        self.process = subprocess.Popen(
            [str(LOAD_CLIENT), protocol, address if address.startswith("tcp:") else f"unix:{address}", path, "20000000", str(connections), str(at_a_time), request.hex(),
             namespace, "1", str(numbers)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())

    def wait(self):
        """Until it takes SIGTERM for the end and has waited for some answers, so that what comes next is under its load."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
                status = dict(re.findall(r"^(\w+):\s+(\S+)$", file.read(), re.M))
            if int(status["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1 and int(status["voluntary_ctxt_switches"]) > 20:
                return
            time.sleep(0.01)

    def stop(self):
        """What it has found: calls, and the longest in seconds."""
        self.process.terminate()
        out, err = self.process.communicate(timeout=PATIENCE)
        if self.process.returncode != 0:
            raise AssertionError(f"{self.path}: {err}")
        found = {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", out)}
        self.calls, self.longest = int(found["calls"]), found["longest_us"] / 1e6
        if self.calls == 0:
            raise AssertionError(f"{self.path}: no call was made")
        return self

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class Caller(threading.Thread):
    """Unary calls of grpcio, one after the other."""

    def __init__(self, address, path, request):
        super().__init__(daemon=True)
        self.channel = grpc.insecure_channel(f"unix:{address}")
        self.method = self.channel.unary_unary(path)
        self.request, self.calls, self.failure, self.is_over = request, 0, None, False
        self.start()

    def run(self):
        while not self.is_over and self.failure is None:
            try:
                self.method(self.request, timeout=PATIENCE)
                self.calls += 1
            except grpc.RpcError as error:
                self.failure = f"{error.code()}: {error.details()}"

    def stop(self):
        self.is_over = True
        self.join(PATIENCE)
        self.channel.close()
        if self.failure is not None:
            raise AssertionError(self.failure)
        return self


class Stream(threading.Thread):
    """A call of grpcio that never ends by itself. Where the service is replaced it calls again, as the status tells it to. One
    that goes both ways asks once and leaves its half open."""

    def __init__(self, address, path, request, answer_type, both_ways=False):
        super().__init__(daemon=True)
        self.channel = grpc.insecure_channel(f"unix:{address}")
        kind = self.channel.stream_stream if both_ways else self.channel.unary_stream
        self.method = kind(path, request_serializer=lambda message: message.SerializeToString(),
                           response_deserializer=answer_type.FromString)
        self.request, self.both_ways = request, both_ways
        self.messages, self.starts, self.restarts, self.failure, self.is_over = [], 0, 0, None, False
        self.is_open = threading.Event()
        self.start()
        assert self.is_open.wait(PATIENCE), self.failure

    def requests(self, end):
        yield self.request
        end.wait()

    def run(self):
        while not self.is_over:
            end = threading.Event()
            self.call = self.method(self.requests(end) if self.both_ways else self.request, wait_for_ready=True)
            self.call.add_callback(end.set)
            try:
                self.call.initial_metadata()
                self.starts += 1
                self.is_open.set()
                for message in self.call:
                    self.messages.append(message)
                self.failure = "the stream ended with OK"
                return
            except grpc.RpcError as error:
                if self.is_over:
                    return
                details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
                if error.code() != grpc.StatusCode.UNAVAILABLE or RETRY_INFO.encode() not in details:
                    self.failure = f"{error.code()}: {error.details()}"
                    self.is_open.set()
                    return
                self.restarts += 1

    def wait(self, restarts):
        """Until it has called again so often."""
        end = time.monotonic() + PATIENCE
        while self.starts <= restarts and self.failure is None:
            assert time.monotonic() < end, f"{self.restarts} restarts"
            time.sleep(0.01)

    def stop(self):
        self.is_over = True
        self.call.cancel()
        self.join(PATIENCE)
        self.channel.close()
        if self.failure is not None:
            raise AssertionError(self.failure)
        return self


class Browser(threading.Thread):
    """GET without a pause, over a connection that stays or a new one each time. A connection that is closed before an answer
    begins may be an idle one that its server has just closed: there, and only once, a request may be sent again (RFC 9110 9.2.2)."""

    def __init__(self, port, path, keeps):
        super().__init__(daemon=True)
        self.port, self.path, self.keeps = port, path, keeps
        self.calls, self.again, self.failure, self.is_over = 0, 0, None, False
        self.start()

    def get(self, connection):
        connection.request("GET", self.path, headers={} if self.keeps else {"Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, f"{answer.status} {answer.reason}"

    def run(self):
        connection = None
        while not self.is_over and self.failure is None:
            is_new = connection is None
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            try:
                self.get(connection)
                self.calls += 1
                if self.keeps and connection.sock is not None:
                    continue
            except (http.client.HTTPException, OSError, AssertionError) as error:
                self.again += 1
                if is_new or not isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)):
                    self.failure = repr(error)
            connection.close()
            connection = None

    def stop(self):
        self.is_over = True
        self.join(PATIENCE)
        if self.failure is not None or self.calls == 0:
            raise AssertionError(f"{self.path}: {self.failure} after {self.calls} requests")
        return self


class Changing:
    """For a Case: asks its daemon for changes."""

    def new_version(self, stem):
        """Other bytes of the same module, in place by one rename."""
        self.versions = getattr(self, "versions", 0) + 1
        temporary = self.workshop.top / f"{stem}.so.new"
        shutil.copy(next(BUILD.glob(f"plugins/*/{stem}.so")), temporary)
        with temporary.open("ab") as file:
            file.write(self.versions.to_bytes(8, "little"))
        temporary.chmod(0o755)
        temporary.rename(self.workshop.plugins / f"{stem}.so")

    def asking(self, daemon):
        """One channel for all changes."""
        if getattr(self, "channel", None) is None:
            self.channel = grpc.insecure_channel(f"unix:{daemon.address}")
            self.addCleanup(self.channel.close)
        return self.channel

    def change(self, daemon, kind, *subjects, timeout=PATIENCE, **options):
        """Asks for a change and waits for its report, as berthctl does."""
        change = importlib.import_module("berth.change.v1.change_pb2")
        request = change.ChangeRequest(kind=change.Kind.Value(f"KIND_{kind}"), subjects=subjects, **options)
        number, end = 0, time.monotonic() + timeout
        while time.monotonic() < end:
            path, message = ("Request", request) if number == 0 else ("Follow", change.FollowRequest(number=number))
            call = self.asking(daemon).unary_stream(f"/berth.change.v1.Changes/{path}",
                                                    request_serializer=lambda each: each.SerializeToString(),
                                                    response_deserializer=change.ChangeAnswer.FromString)
            try:
                for answer in call(message, timeout=timeout):
                    number = answer.number
                    if answer.HasField("report"):
                        return answer.report
            except grpc.RpcError as error:
                if number == 0 or error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
            time.sleep(0.02)
        raise AssertionError(f"the change did not end:\n{daemon.log}")

    def upgrade(self, daemon, stem, *subjects):
        """Upgrades a module to a new version; its steps by URI. All of them must be done."""
        self.new_version(stem)
        report = self.change(daemon, "UPGRADE", *subjects)
        self.assertEqual(0, report.code, f"{report}\n{daemon.log[-4000:]}")
        for step in report.steps:
            self.assertEqual(0, step.code, f"{report}\n{daemon.log[-4000:]}")
        return {step.uri: step for step in report.steps}
