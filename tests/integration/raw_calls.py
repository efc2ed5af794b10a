# SPDX-License-Identifier: Apache-2.0
"""Calls whose requests are written as they stand: by the names of services in the protos, or bytes by a path."""

import importlib
import re

import grpc
from google.protobuf import symbol_database

import protos  # noqa: F401 - makes the modules below

_SERVICES = {
    "Containers": "containerd.services.containers.v1.containers_pb2",
    "Events": "containerd.services.events.v1.events_pb2",
    "ImageService": "runtime.v1.api_pb2",
    "Introspection": "containerd.services.introspection.v1.introspection_pb2",
    "Leases": "containerd.services.leases.v1.leases_pb2",
    "Namespaces": "containerd.services.namespaces.v1.namespace_pb2",
    "RuntimeService": "runtime.v1.api_pb2",
    "Version": "containerd.services.version.v1.version_pb2",
}
# Where this protobuf does not say so.
_STREAMS = re.compile("ListStream|Subscribe|Stream[A-Z].*|GetContainerEvents")
NAMESPACE = "containerd-namespace"
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def method(name):
    """Of "Containers/Get": the path, the classes of its messages, and whether answers come as a stream."""
    service, _, call = name.partition("/")
    descriptor = importlib.import_module(_SERVICES[service]).DESCRIPTOR.services_by_name[service]
    found = descriptor.methods_by_name[call]
    classes = [symbol_database.Default().GetPrototype(each) for each in (found.input_type, found.output_type)]
    return f"/{descriptor.full_name}/{call}", *classes, getattr(found, "server_streaming", bool(_STREAMS.fullmatch(call)))


class Raw:
    """One channel to a daemon."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(f"unix:{address}", options=OPTIONS)

    def close(self):
        self.channel.close()

    def bytes(self, path, request, headers=(), streamed=False, timeout=30):
        """The answer's messages, or its code and text."""
        call = (self.channel.unary_stream if streamed else self.channel.unary_unary)(path)
        try:
            answer = call(request, metadata=list(headers), timeout=timeout)
            return list(answer) if streamed else [answer]
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"

    def call(self, name, request, namespace="default"):
        """As text, times left out."""
        path, request_type, answer_type, streamed = method(name)
        headers = [] if namespace is None else [(NAMESPACE, namespace)]
        answer = self.bytes(path, request_type(**request).SerializeToString(), headers, streamed)
        if isinstance(answer, str):
            return answer
        text = "\n".join(str(answer_type.FromString(each)) for each in answer)
        return re.sub(r"(seconds|nanos): \d+", r"\1: N", text)
