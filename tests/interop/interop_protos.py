# SPDX-License-Identifier: Apache-2.0
"""The messages of the interoperability tests as Python modules: gRPC's from Debian's grpc-proto, ttrpc's from beside this file."""

import importlib
from pathlib import Path

import protos

GRPC = Path("/usr/share/grpc-proto")

protos.add(GRPC, "grpc/testing/empty.proto", "grpc/testing/messages.proto")
protos.add(Path(__file__).parent / "proto", "streaming.proto")
empty = importlib.import_module("grpc.testing.empty_pb2")
messages = importlib.import_module("grpc.testing.messages_pb2")
streaming = importlib.import_module("streaming_pb2")
