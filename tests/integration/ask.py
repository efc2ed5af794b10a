# SPDX-License-Identifier: Apache-2.0
"""Asks a daemon over gRPC with Google's own client, so that both ends are not ours."""

import os

import grpc

import protos

STATES = {value: name.removeprefix("STATE_").lower().replace("_", " ")
          for name, value in protos.inspect.State.items()}


def channel(address):
    return grpc.insecure_channel(f"unix:{address}")


def unary(address, method, request, answer_type, timeout=30, **options):
    with channel(address) as open_channel:
        call = open_channel.unary_unary(method, request_serializer=lambda message: message.SerializeToString(),
                                        response_deserializer=answer_type.FromString)
        return call(request, timeout=timeout, **options)


def stream(address, method, request, answer_type, timeout=30):
    with channel(address) as open_channel:
        call = open_channel.unary_stream(method, request_serializer=lambda message: message.SerializeToString(),
                                         response_deserializer=answer_type.FromString)
        return list(call(request, timeout=timeout))


class Listed:
    """One plugin as the daemon tells of it."""

    def __init__(self, message):
        self.message = message
        self.state = STATES[message.state]
        self.reason = message.reason
        self.code = message.code
        self.cause = message.cause

    def __repr__(self):
        return f"{self.message.uri or self.message.path}: {self.state}: {self.reason}"


def plugins(address):
    request = protos.inspect.PluginsRequest(all=True)
    found = stream(address, "/berth.inspect.v1.Inspect/Plugins", request, protos.inspect.Plugin)
    return {message.uri or os.path.basename(message.path): Listed(message) for message in found}
