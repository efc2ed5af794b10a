# SPDX-License-Identifier: Apache-2.0
"""The project's protos as Python modules, compiled by protoc when a test asks for them first."""

import atexit
import importlib
import shutil
import subprocess
import sys
import tempfile

import workshop

_PROTOS = workshop.SOURCE / "sdk" / "proto"
_GRPC_PROTOS = "/usr/share/grpc-proto"


def add(place, *files):
    """Compiles files below `place`; their modules can be imported then."""
    folder = tempfile.mkdtemp(prefix="berth-protos-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(["protoc", f"--proto_path={place}", f"--python_out={folder}", *files], check=True)
    sys.path.insert(0, folder)
    # These packages share their first name with installed ones.
    for shared in ("google", "grpc"):
        package = importlib.import_module(shared)
        package.__path__.append(f"{folder}/{shared}")


add(_PROTOS, *[str(path.relative_to(_PROTOS)) for path in sorted(_PROTOS.rglob("*.proto"))])
add(_GRPC_PROTOS, "grpc/reflection/v1/reflection.proto", "grpc/reflection/v1alpha/reflection.proto")
health = importlib.import_module("grpc.health.v1.health_pb2")
reflection = importlib.import_module("grpc.reflection.v1.reflection_pb2")
reflection_v1alpha = importlib.import_module("grpc.reflection.v1alpha.reflection_pb2")
inspect = importlib.import_module("berth.inspect.v1.inspect_pb2")
leases = importlib.import_module("containerd.services.leases.v1.leases_pb2")
empty = importlib.import_module("google.protobuf.empty_pb2")
introspection = importlib.import_module("containerd.services.introspection.v1.introspection_pb2")
version = importlib.import_module("containerd.services.version.v1.version_pb2")
envelope = importlib.import_module("containerd.types.event_pb2")
containers = importlib.import_module("containerd.services.containers.v1.containers_pb2")
events = importlib.import_module("containerd.services.events.v1.events_pb2")
forwarding = importlib.import_module("containerd.services.ttrpc.events.v1.events_pb2")
namespaces = importlib.import_module("containerd.services.namespaces.v1.namespace_pb2")
tasks = importlib.import_module("containerd.events.task_pb2")
empty = importlib.import_module("google.protobuf.empty_pb2")
containers = importlib.import_module("containerd.services.containers.v1.containers_pb2")
cri = importlib.import_module("runtime.v1.api_pb2")
greeter = importlib.import_module("helloworld.helloworld_pb2")
