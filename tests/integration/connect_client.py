# SPDX-License-Identifier: Apache-2.0
"""A bare client of the Connect protocol: what it sends is what the test says, byte by byte."""

import base64
import http.client
import json
import socket
import struct

from daemon import PATIENCE

JSON, PROTO = "application/json", "application/proto"
STREAM_JSON, STREAM_PROTO = "application/connect+json", "application/connect+proto"


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.fields = [(name.lower(), value) for name, value in response.getheaders()]

    def field(self, name):
        values = [value for key, value in self.fields if key == name]
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def error(self):
        """Code and message of a unary error."""
        value = self.json()
        return value["code"], value.get("message", "")

    def envelopes(self):
        """(flags, bytes) of each."""
        return split(self.body)

    def end(self):
        """What the last envelope says; there is exactly one such."""
        *rest, (flags, text) = self.envelopes()
        assert flags == 2 and all(flag & 2 == 0 for flag, _ in rest), self.body
        return json.loads(text)

    def messages(self):
        return [json.loads(text) for _, text in self.envelopes()[:-1]]


def split(data):
    found = []
    while data:
        flags, length = struct.unpack(">BI", data[:5])
        assert len(data) >= 5 + length, data
        found.append((flags, data[5:5 + length]))
        data = data[5 + length:]
    return found


def envelope(message, flags=0):
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return struct.pack(">BI", flags, len(data)) + data


def unpadded(data):
    return base64.b64encode(data).decode().rstrip("=")


class Client:
    """One request a connection."""

    def __init__(self, port):
        self.port = port

    def request(self, verb, target, fields=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(verb, target, body=body, headers=fields or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def post(self, path, message, kind=JSON, **fields):
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        return self.request("POST", path, {"content-type": kind, **named}, body)

    def stream(self, path, *messages, kind=STREAM_JSON, **fields):
        body = b"".join(message if isinstance(message, bytes) else envelope(message) for message in messages)
        return self.post(path, body, kind, **fields)

    def raw(self, *pieces):
        """Everything that comes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port)) as peer:
            peer.settimeout(PATIENCE)
            for piece in pieces:
                peer.sendall(piece)
            data = b""
            while more := peer.recv(65536):
                data += more
            return data
