# SPDX-License-Identifier: Apache-2.0
"""What connections and calls leave in memory: idle connections held by a client of its own, and many calls."""

import resource
import socket

import rpc_load

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def call(path, stream):
    """One unary call of an empty message, its headers as plain literals (RFC 7541 6.2.2)."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost",
              "content-type": "application/grpc", "te": "trailers"}
    block = b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
                     for name, value in fields.items())
    return frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, rpc_load.framed(b""))


def one_call(path):
    """A connection's first bytes and a call."""
    return PREFACE + frame(SETTINGS, 0, 0) + call(path, 1)


def unread_calls(path, count):
    """A connection's first bytes and calls whose replies may not be sent: no window is granted."""
    no_window = INITIAL_WINDOW_SIZE.to_bytes(2, "big") + bytes(4)
    return PREFACE + frame(SETTINGS, 0, 0, no_window) + b"".join(call(path, 1 + 2 * i) for i in range(count))


def receive(connection, length):
    taken = b""
    while len(taken) < length:
        more = connection.recv(length - len(taken))
        if not more:
            raise RuntimeError("the server closed a connection that was to be held")
        taken += more
    return taken


def wait_for_answer(connection):
    while True:
        head = receive(connection, 9)
        receive(connection, int.from_bytes(head[:3], "big"))
        if head[3] == HEADERS and head[4] & END_STREAM:
            connection.sendall(frame(SETTINGS, ACK, 0))
            return


def open_connection(server, request):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(server.address)
    connection.sendall(request)
    return connection


def raise_descriptors(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


def hold(server, count):
    """So many connections, each of which has had one call."""
    held, request = [], one_call(server.path("Nothing"))
    raise_descriptors(count + 500)
    try:
        while len(held) < count:
            fresh = [open_connection(server, request) for _ in range(min(100, count - len(held)))]
            held += fresh
            for connection in fresh:
                wait_for_answer(connection)
    except BaseException:
        close(held)
        raise
    return held


def close(connections):
    for connection in connections:
        connection.close()


def idle_bytes(server, count):
    """Resident bytes for each of `count` idle connections; the first few pay what is paid once."""
    held = hold(server, 50)
    try:
        before = server.resident_bytes()
        held += hold(server, count)
        return (server.resident_bytes() - before) / count
    finally:
        close(held)


def growth_bytes(server, first, last):
    """How much more is resident after `last` calls than after `first`."""
    rpc_load.h2load(server, server.path("Nothing"), first, 8, 32)
    before = server.resident_bytes()
    rpc_load.h2load(server, server.path("Nothing"), last - first, 8, 32)
    return before, server.resident_bytes()
