# SPDX-License-Identifier: Apache-2.0
"""gRPC's interoperability cases (interop-test-descriptions.md), each a function, driven by Google's Python client."""

import queue
import time

import grpc

from interop_protos import empty, messages

TEST = "grpc.testing.TestService"
METHODS = {
    "EmptyCall": ("unary_unary", empty.Empty),
    "UnaryCall": ("unary_unary", messages.SimpleResponse),
    "CacheableUnaryCall": ("unary_unary", messages.SimpleResponse),
    "StreamingOutputCall": ("unary_stream", messages.StreamingOutputCallResponse),
    "StreamingInputCall": ("stream_unary", messages.StreamingInputCallResponse),
    "FullDuplexCall": ("stream_stream", messages.StreamingOutputCallResponse),
    "HalfDuplexCall": ("stream_stream", messages.StreamingOutputCallResponse),
    "UnimplementedCall": ("unary_unary", empty.Empty),
}
LARGE_REQUEST, LARGE_RESPONSE = 271828, 314159
ECHO_METADATA = (("x-grpc-test-echo-initial", "test_initial_metadata_value"),
                 ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"))
SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
PATIENCE = 30


class Peer:
    """A server under test: `open_channel` makes a channel to it, of which one is kept for all cases."""

    def __init__(self, open_channel):
        self.open_channel = open_channel
        self.channel = open_channel()

    def close(self):
        self.channel.close()

    def method(self, name, service=TEST, channel=None):
        kind, answer = METHODS[name]
        return getattr(channel or self.channel, kind)(
            f"/{service}/{name}", request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString)


class Dialogue:
    """What a client sends on a stream, one message at a time; ends with half_close."""

    def __init__(self):
        self._queue = queue.Queue()

    def send(self, message):
        self._queue.put(message)

    def half_close(self):
        self._queue.put(None)

    def __iter__(self):
        return self

    def __next__(self):
        message = self._queue.get()
        if message is None:
            raise StopIteration
        return message


def zeros(size):
    return messages.Payload(body=bytes(size))


def large_request(**more):
    return messages.SimpleRequest(response_size=LARGE_RESPONSE, payload=zeros(LARGE_REQUEST), **more)


def output_request(*sizes, payload=None, **more):
    return messages.StreamingOutputCallRequest(
        response_parameters=[messages.ResponseParameters(size=size) for size in sizes],
        payload=zeros(payload) if payload is not None else None, **more)


def truth(value):
    return messages.BoolValue(value=value)


def check(condition, why):
    if not condition:
        raise AssertionError(why)


def check_equal(expected, found, what):
    check(expected == found, f"{what}: {found!r} instead of {expected!r}")


def check_large(reply):
    check(reply.payload.body == bytes(LARGE_RESPONSE), f"a body of {len(reply.payload.body)} bytes")


def check_fails(code, action):
    try:
        action()
    except grpc.RpcError as error:
        check_equal(code, error.code(), f"the code ({error.details()!r})")
        return error.details()
    raise AssertionError(f"the call succeeded; {code} was expected")


def sizes(replies):
    return [len(reply.payload.body) for reply in replies]


def empty_unary(peer):
    check_equal(empty.Empty(), peer.method("EmptyCall")(empty.Empty(), timeout=PATIENCE), "the answer")


def cacheable_unary(peer):
    request = messages.SimpleRequest(payload=messages.Payload(body=str(time.time_ns()).encode()))
    for _ in range(2):
        reply, call = peer.method("CacheableUnaryCall").with_call(request, timeout=PATIENCE,
                                                                  metadata=[("x-user-ip", "1.2.3.4")])
        check(reply.payload.body.isdigit(), f"{reply.payload.body!r} is no time")
        check_equal("max-age=60, public", dict(call.initial_metadata()).get("cache-control"), "cache-control")


def large_unary(peer):
    check_large(peer.method("UnaryCall")(large_request(), timeout=PATIENCE))


def client_compressed_unary(peer):
    call = peer.method("UnaryCall")
    check_fails(grpc.StatusCode.INVALID_ARGUMENT,
                lambda: call(large_request(expect_compressed=truth(True)), timeout=PATIENCE))
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        check_large(call(large_request(expect_compressed=truth(True)), timeout=PATIENCE, compression=compression))
    check_large(call(large_request(expect_compressed=truth(False)), timeout=PATIENCE))


def server_compressed_unary(peer):
    for wanted in (True, False):
        check_large(peer.method("UnaryCall")(large_request(response_compressed=truth(wanted)), timeout=PATIENCE))


def client_streaming(peer):
    requests = [messages.StreamingInputCallRequest(payload=zeros(size)) for size in (27182, 8, 1828, 45904)]
    reply = peer.method("StreamingInputCall")(iter(requests), timeout=PATIENCE)
    check_equal(74922, reply.aggregated_payload_size, "the sum")


def client_compressed_streaming(peer):
    """grpcio compresses all messages of a call or none, so the second half is a call of its own."""
    call = peer.method("StreamingInputCall")

    def request(size, compressed):
        return iter([messages.StreamingInputCallRequest(payload=zeros(size), expect_compressed=truth(compressed))])

    check_fails(grpc.StatusCode.INVALID_ARGUMENT, lambda: call(request(27182, True), timeout=PATIENCE))
    for size, compressed in ((27182, True), (45904, False)):
        reply = call(request(size, compressed), timeout=PATIENCE,
                     compression=grpc.Compression.Gzip if compressed else None)
        check_equal(size, reply.aggregated_payload_size, "the sum")


def server_streaming(peer):
    replies = peer.method("StreamingOutputCall")(output_request(31415, 9, 2653, 58979), timeout=PATIENCE)
    check_equal([31415, 9, 2653, 58979], sizes(replies), "the sizes")


def server_compressed_streaming(peer):
    request = messages.StreamingOutputCallRequest(response_parameters=[
        messages.ResponseParameters(size=31415, compressed=truth(True)),
        messages.ResponseParameters(size=92653, compressed=truth(False))])
    check_equal([31415, 92653], sizes(peer.method("StreamingOutputCall")(request, timeout=PATIENCE)), "the sizes")


def server_streaming_at_intervals(peer):
    request = messages.StreamingOutputCallRequest(response_parameters=[
        messages.ResponseParameters(size=9, interval_us=20000) for _ in range(5)])
    start = time.monotonic()
    check_equal([9] * 5, sizes(peer.method("StreamingOutputCall")(request, timeout=PATIENCE)), "the sizes")
    check(time.monotonic() - start >= 0.1, "five answers 20 ms apart came too early")


def ping_pong(peer):
    dialogue = Dialogue()
    replies = peer.method("FullDuplexCall")(dialogue, timeout=PATIENCE)
    for request, response in ((27182, 31415), (8, 9), (1828, 2653), (45904, 58979)):
        dialogue.send(output_request(response, payload=request))
        check_equal(response, len(next(replies).payload.body), "the size")
    dialogue.half_close()
    check_equal([], sizes(replies), "further answers")


def empty_stream(peer):
    check_equal([], sizes(peer.method("FullDuplexCall")(iter([]), timeout=PATIENCE)), "the answers")


def half_duplex(peer):
    requests = [output_request(31415, 9, payload=8), output_request(2653, payload=27182)]
    replies = peer.method("HalfDuplexCall")(iter(requests), timeout=PATIENCE)
    check_equal([31415, 9, 2653], sizes(replies), "the sizes")


def check_echoed(call):
    initial, trailing = (dict(metadata) for metadata in (call.initial_metadata(), call.trailing_metadata()))
    for (key, value), metadata in zip(ECHO_METADATA, (initial, trailing)):
        check_equal(value, metadata.get(key), key)


def custom_metadata(peer):
    reply, call = peer.method("UnaryCall").with_call(large_request(), timeout=PATIENCE, metadata=ECHO_METADATA)
    check_large(reply)
    check_echoed(call)
    stream = peer.method("FullDuplexCall")(iter([output_request(LARGE_RESPONSE, payload=LARGE_REQUEST)]),
                                           timeout=PATIENCE, metadata=ECHO_METADATA)
    check_equal([LARGE_RESPONSE], sizes(stream), "the sizes")
    check_echoed(stream)


def check_status(peer, message):
    status = messages.EchoStatus(code=2, message=message)
    unary = peer.method("UnaryCall")
    duplex = peer.method("FullDuplexCall")
    for action in (lambda: unary(messages.SimpleRequest(response_status=status), timeout=PATIENCE),
                   lambda: list(duplex(iter([output_request(response_status=status)]), timeout=PATIENCE))):
        check_equal(message, check_fails(grpc.StatusCode.UNKNOWN, action), "the message")


def status_code_and_message(peer):
    check_status(peer, "test status message")


def special_status_message(peer):
    check_status(peer, SPECIAL_MESSAGE)


def unimplemented_method(peer):
    check_fails(grpc.StatusCode.UNIMPLEMENTED,
                lambda: peer.method("UnimplementedCall")(empty.Empty(), timeout=PATIENCE))


def unimplemented_service(peer):
    call = peer.method("UnimplementedCall", service="grpc.testing.UnimplementedService")
    check_fails(grpc.StatusCode.UNIMPLEMENTED, lambda: call(empty.Empty(), timeout=PATIENCE))


def cancel_after_begin(peer):
    dialogue = Dialogue()
    future = peer.method("StreamingInputCall").future(dialogue, timeout=PATIENCE)
    future.cancel()
    dialogue.half_close()
    check_equal(grpc.StatusCode.CANCELLED, future.code(), "the code")


def cancel_after_first_response(peer):
    dialogue = Dialogue()
    replies = peer.method("FullDuplexCall")(dialogue, timeout=PATIENCE)
    dialogue.send(output_request(31415, payload=27182))
    check_equal(31415, len(next(replies).payload.body), "the size")
    replies.cancel()
    dialogue.half_close()
    check_fails(grpc.StatusCode.CANCELLED, lambda: next(replies))


def timeout_on_sleeping_server(peer):
    dialogue = Dialogue()
    replies = peer.method("FullDuplexCall")(dialogue, timeout=0.001)
    dialogue.send(output_request(payload=27182))
    check_fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: next(replies))
    dialogue.half_close()


def concurrent_large_unary(peer):
    call = peer.method("UnaryCall")
    for future in [call.future(large_request(), timeout=PATIENCE) for _ in range(100)]:
        check_large(future.result())


def rpc_soak(peer):
    for _ in range(20):
        large_unary(peer)


def channel_soak(peer):
    for _ in range(10):
        with peer.open_channel() as channel:
            check_large(peer.method("UnaryCall", channel=channel)(large_request(), timeout=PATIENCE))


CASES = [
    empty_unary, cacheable_unary, large_unary, client_compressed_unary, server_compressed_unary, client_streaming,
    client_compressed_streaming, server_streaming, server_compressed_streaming, server_streaming_at_intervals, ping_pong,
    empty_stream, half_duplex, custom_metadata, status_code_and_message, special_status_message, unimplemented_method,
    unimplemented_service, cancel_after_begin, cancel_after_first_response, timeout_on_sleeping_server,
    concurrent_large_unary, rpc_soak, channel_soak,
]
