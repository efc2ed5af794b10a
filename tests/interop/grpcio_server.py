# SPDX-License-Identifier: Apache-2.0
"""grpc.testing.TestService by Google's Python server: the outside server that our client is proven against."""

import time
from concurrent import futures

import grpc

from interop_protos import empty, messages

TEST = "grpc.testing.TestService"


def echo_metadata(context):
    for key, value in context.invocation_metadata():
        if key == "x-grpc-test-echo-initial":
            context.send_initial_metadata([(key, value)])
        elif key == "x-grpc-test-echo-trailing-bin":
            context.set_trailing_metadata([(key, value)])


def obey_status(request, context):
    if request.HasField("response_status") and request.response_status.code != 0:
        code = next(each for each in grpc.StatusCode if each.value[0] == request.response_status.code)
        context.abort(code, request.response_status.message)


def compress(context, parameters, field):
    if parameters.HasField(field) and not getattr(parameters, field).value:
        context.disable_next_message_compression()


def empty_call(request, context):
    return empty.Empty()


def unary_call(request, context):
    echo_metadata(context)
    obey_status(request, context)
    if request.HasField("response_compressed"):
        context.set_compression(grpc.Compression.Gzip)
        compress(context, request, "response_compressed")
    return messages.SimpleResponse(payload=messages.Payload(body=bytes(request.response_size)))


def cacheable_unary_call(request, context):
    context.send_initial_metadata([("cache-control", "max-age=60, public")])
    return messages.SimpleResponse(payload=messages.Payload(body=str(time.time_ns()).encode()))


def outputs(request, context):
    obey_status(request, context)
    for parameters in request.response_parameters:
        time.sleep(parameters.interval_us / 1e6)
        compress(context, parameters, "compressed")
        yield messages.StreamingOutputCallResponse(payload=messages.Payload(body=bytes(parameters.size)))


def streaming_output_call(request, context):
    if any(parameters.HasField("compressed") for parameters in request.response_parameters):
        context.set_compression(grpc.Compression.Gzip)
    yield from outputs(request, context)


def streaming_input_call(requests, context):
    total = sum(len(request.payload.body) for request in requests)
    return messages.StreamingInputCallResponse(aggregated_payload_size=total)


def full_duplex_call(requests, context):
    echo_metadata(context)
    for request in requests:
        yield from outputs(request, context)


def half_duplex_call(requests, context):
    for request in list(requests):
        yield from outputs(request, context)


METHODS = {
    "EmptyCall": (grpc.unary_unary_rpc_method_handler, empty_call, empty.Empty),
    "UnaryCall": (grpc.unary_unary_rpc_method_handler, unary_call, messages.SimpleRequest),
    "CacheableUnaryCall": (grpc.unary_unary_rpc_method_handler, cacheable_unary_call, messages.SimpleRequest),
    "StreamingOutputCall": (grpc.unary_stream_rpc_method_handler, streaming_output_call,
                            messages.StreamingOutputCallRequest),
    "StreamingInputCall": (grpc.stream_unary_rpc_method_handler, streaming_input_call,
                           messages.StreamingInputCallRequest),
    "FullDuplexCall": (grpc.stream_stream_rpc_method_handler, full_duplex_call, messages.StreamingOutputCallRequest),
    "HalfDuplexCall": (grpc.stream_stream_rpc_method_handler, half_duplex_call, messages.StreamingOutputCallRequest),
}


def start():
    """A server that listens nowhere yet."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    handlers = {name: make(function, request_deserializer=request.FromString,
                           response_serializer=lambda message: message.SerializeToString())
                for name, (make, function, request) in METHODS.items()}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(TEST, handlers)])
    return server
