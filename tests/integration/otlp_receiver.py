# SPDX-License-Identifier: Apache-2.0
"""A collector of traces in another implementation: grpcio and http.server, and OTLP's messages decoded by hand."""

import concurrent.futures
import gzip
import http.server
import struct
import threading
import time

import grpc


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Every field of a message: number, wire type, value (bytes or number)."""
    at, found = 0, []
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = data[at:at + 8], at + 8
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
            assert len(value) == length, "a field is cut"
        elif kind == 5:
            value, at = data[at:at + 4], at + 4
        else:
            raise AssertionError(f"wire type {kind}")
        found.append((tag >> 3, kind, value))
    return found


def only(data, number, default=b""):
    values = [value for found, _, value in fields(data) if found == number]
    assert len(values) <= 1, f"field {number} comes {len(values)} times"
    return values[0] if values else default


def attribute(data):
    value = fields(only(data, 2))[0]
    number, kind, raw = value
    if number == 1:
        read = raw.decode()
    elif number == 2:
        read = bool(raw)
    elif number == 3:
        read = raw - (1 << 64) if raw >> 63 else raw
    elif number == 4 and kind == 1:
        read = struct.unpack("<d", raw)[0]
    else:
        raise AssertionError(f"AnyValue {number} of kind {kind}")
    return only(data, 1).decode(), read


def attributes(data, number):
    return dict(attribute(value) for found, _, value in fields(data) if found == number)


def span_of(data, scope, resource):
    flags = only(data, 16, b"\0\0\0\0")
    status = only(data, 15, None)
    return {
        "trace_id": only(data, 1).hex(), "span_id": only(data, 2).hex(), "state": only(data, 3).decode(),
        "parent": only(data, 4).hex(), "name": only(data, 5).decode(), "kind": only(data, 6, 0),
        "start": struct.unpack("<Q", only(data, 7))[0], "end": struct.unpack("<Q", only(data, 8))[0],
        "attributes": attributes(data, 9),
        "events": [(only(event, 2).decode(), struct.unpack("<Q", only(event, 1))[0])
                   for number, _, event in fields(data) if number == 11],
        "status": (only(status, 3, 0), only(status, 2).decode()) if status is not None else (0, ""),
        "flags": struct.unpack("<I", flags)[0], "scope": scope, "resource": resource}


def spans_of(request):
    """The spans of an ExportTraceServiceRequest."""
    found = []
    for number, kind, resource_spans in fields(request):
        assert (number, kind) == (1, 2)
        resource = attributes(only(resource_spans, 1), 1)
        for number_of, _, scope_spans in fields(resource_spans):
            if number_of != 2:
                continue
            scope = only(only(scope_spans, 1), 1).decode()
            found += [span_of(span, scope, resource) for inner, _, span in fields(scope_spans) if inner == 2]
    return found


class Receiver:
    """Keeps what arrives. `answers` says how each request is answered, the last of them for all further ones."""

    def __init__(self):
        self.lock = threading.Lock()
        self.spans, self.requests, self.times, self.answers = [], [], [], []

    def take(self, request, headers):
        """Decodes, and returns how to answer: None is yes."""
        decoded = spans_of(request)
        with self.lock:
            self.times.append(time.monotonic())
            self.requests.append((len(decoded), headers))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0] if self.answers else None
            if answer is None or isinstance(answer, bytes):
                self.spans += decoded
            return answer

    def find(self, **wanted):
        with self.lock:
            return [span for span in self.spans if all(span[key] == value for key, value in wanted.items())]

    def wait(self, count=1, timeout=30, **wanted):
        end = time.monotonic() + timeout
        while len(self.find(**wanted)) < count:
            assert time.monotonic() < end, f"{wanted} not among {[span['name'] for span in self.spans]}"
            time.sleep(0.02)
        return self.find(**wanted)

    def wait_for_requests(self, count, timeout=30):
        end = time.monotonic() + timeout
        while len(self.requests) < count:
            assert time.monotonic() < end, f"{len(self.requests)} requests"
            time.sleep(0.02)


class GrpcReceiver(Receiver):
    """An answer is bytes (a response), or (status, details)."""

    def __init__(self, address, credentials=None):
        super().__init__()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(self.answer)
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
            "opentelemetry.proto.collector.trace.v1.TraceService", {"Export": handler})])
        if credentials is None:
            self.port = self.server.add_insecure_port(address)
        else:
            self.port = self.server.add_secure_port(address, credentials)
        self.server.start()

    def answer(self, request, context):
        answer = self.take(request, dict(context.invocation_metadata()))
        if isinstance(answer, tuple):
            code, details = answer
            if details:
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            context.abort(code, "as the test wants")
        return answer or b""

    def close(self):
        self.server.stop(0).wait()


class HttpReceiver(Receiver):
    """An answer is bytes (a response), or (status, headers)."""

    def __init__(self, context=None):
        super().__init__()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                headers = {key.lower(): value for key, value in self.headers.items()}
                answer = receiver.take(body, {**headers, ":path": self.path})
                status, more = answer if isinstance(answer, tuple) else (200, {})
                self.send_response(status)
                response = answer if isinstance(answer, bytes) else b""
                for key, value in more.items():
                    self.send_header(key, value)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(response)))
                self.end_headers()
                self.wfile.write(response)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
