/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of streams, either way and both. */
#include "cases.h"

static const struct wanted four[] = {{.size = 31415}, {.size = 9}, {.size = 2653}, {.size = 58979}};
static const size_t four_payloads[] = {27182, 8, 1828, 45904};

static struct exchange *input_start(struct peer *peer)
{
    return exchange_start(peer, &(struct exchange_options){
                                    .path = TEST_SERVICE "StreamingInputCall",
                                    .kind = BERTH_METHOD_CLIENT_STREAM,
                                    .reply_type = &grpc__testing__streaming_input_call_response__descriptor,
                                });
}

static bool input_send(struct exchange *exchange, size_t size, const Grpc__Testing__BoolValue *compressed)
{
    static const uint8_t zeros[65536];
    Grpc__Testing__StreamingInputCallRequest request = GRPC__TESTING__STREAMING_INPUT_CALL_REQUEST__INIT;
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;

    payload.body = (ProtobufCBinaryData){.len = size, .data = (uint8_t *)zeros};
    request.payload = &payload;
    request.expect_compressed = (Grpc__Testing__BoolValue *)compressed;
    return exchange_send(exchange, &request.base);
}

static bool input_await(struct exchange *exchange, int32_t sum)
{
    const Grpc__Testing__StreamingInputCallResponse *reply;

    if (!exchange_half_close(exchange) || !exchange_await_end(exchange, BERTH_OK, 1))
        return false;
    reply = (const Grpc__Testing__StreamingInputCallResponse *)exchange->replies[0].message;
    return check(exchange->peer, reply->aggregated_payload_size == sum, "a sum of %d instead of %d",
                 reply->aggregated_payload_size, sum);
}

static bool client_streaming(struct peer *peer)
{
    struct exchange *exchange = input_start(peer);

    for (size_t i = 0; i < 4; i++) {
        if (!input_send(exchange, four_payloads[i], NULL))
            return false;
    }
    return input_await(exchange, 74922);
}

static bool probe_compressed_streaming(struct peer *peer)
{
    struct exchange *exchange = input_start(peer);

    return input_send(exchange, 27182, &be_true) && exchange_half_close(exchange) &&
           exchange_await_end(exchange, BERTH_INVALID_ARGUMENT, 0);
}

static bool client_compressed_streaming(struct peer *peer)
{
    struct exchange *exchange = input_start(peer);

    return exchange_compress(exchange, true) && input_send(exchange, 27182, &be_true) &&
           exchange_compress(exchange, false) && input_send(exchange, 45904, &be_false) &&
           input_await(exchange, 73086);
}

static bool server_streaming(struct peer *peer)
{
    struct exchange *exchange =
        output_start(peer, TEST_SERVICE "StreamingOutputCall", BERTH_METHOD_SERVER_STREAM, false, 0);
    bool ok = output_send(exchange, four, 4, 0, NULL) && exchange_half_close(exchange) &&
              exchange_await_end(exchange, BERTH_OK, 4);

    for (size_t i = 0; i < 4 && ok; i++)
        ok = output_check(exchange, i, four[i].size);
    return ok;
}

static bool server_compressed_streaming(struct peer *peer)
{
    const struct wanted wanted[] = {{.size = 31415, .compressed = &be_true},
                                    {.size = 92653, .compressed = &be_false}};
    struct exchange *exchange =
        output_start(peer, TEST_SERVICE "StreamingOutputCall", BERTH_METHOD_SERVER_STREAM, false, 0);

    return output_send(exchange, wanted, 2, 0, NULL) && exchange_half_close(exchange) &&
           exchange_await_end(exchange, BERTH_OK, 2) && output_check(exchange, 0, 31415) &&
           output_check(exchange, 1, 92653) &&
           check(peer, exchange->replies[0].came_compressed, "the first reply came as it is") &&
           check(peer, !exchange->replies[1].came_compressed, "the second reply came compressed");
}

static bool server_streaming_at_intervals(struct peer *peer)
{
    const struct wanted wanted[5] = {
        {9, 20000, NULL}, {9, 20000, NULL}, {9, 20000, NULL}, {9, 20000, NULL}, {9, 20000, NULL}};
    uint64_t start = uv_hrtime();
    struct exchange *exchange =
        output_start(peer, TEST_SERVICE "StreamingOutputCall", BERTH_METHOD_SERVER_STREAM, false, 0);

    return output_send(exchange, wanted, 5, 0, NULL) && exchange_half_close(exchange) &&
           exchange_await_end(exchange, BERTH_OK, 5) &&
           check(peer, uv_hrtime() - start >= 100000000, "five replies 20 ms apart came too early");
}

static bool ping_pong(struct peer *peer)
{
    struct exchange *exchange =
        output_start(peer, TEST_SERVICE "FullDuplexCall", BERTH_METHOD_BIDI_STREAM, false, 0);

    for (size_t i = 0; i < 4; i++) {
        if (!output_send(exchange, &four[i], 1, four_payloads[i], NULL) ||
            !exchange_await_replies(exchange, i + 1) || !output_check(exchange, i, four[i].size))
            return false;
    }
    return exchange_half_close(exchange) && exchange_await_end(exchange, BERTH_OK, 4);
}

static bool empty_stream(struct peer *peer)
{
    struct exchange *exchange =
        output_start(peer, TEST_SERVICE "FullDuplexCall", BERTH_METHOD_BIDI_STREAM, false, 0);

    return exchange_half_close(exchange) && exchange_await_end(exchange, BERTH_OK, 0);
}

static bool half_duplex(struct peer *peer)
{
    struct exchange *exchange =
        output_start(peer, TEST_SERVICE "HalfDuplexCall", BERTH_METHOD_BIDI_STREAM, false, 0);

    return output_send(exchange, four, 3, 8, NULL) && output_send(exchange, four + 3, 1, 27182, NULL) &&
           exchange_half_close(exchange) && exchange_await_end(exchange, BERTH_OK, 4) &&
           output_check(exchange, 0, 31415) && output_check(exchange, 3, 58979);
}

static bool custom_metadata(struct peer *peer)
{
    const struct wanted wanted = {.size = LARGE_RESPONSE};
    struct exchange *unary = large_start(peer, &(struct large_call){.wants_echo = true});
    struct exchange *duplex =
        output_start(peer, TEST_SERVICE "FullDuplexCall", BERTH_METHOD_BIDI_STREAM, true, 0);

    return large_await(unary) && echo_check(unary) && output_send(duplex, &wanted, 1, LARGE_REQUEST, NULL) &&
           exchange_half_close(duplex) && exchange_await_end(duplex, BERTH_OK, 1) &&
           output_check(duplex, 0, LARGE_RESPONSE) && echo_check(duplex);
}

const struct interop_case cases_streams[] = {
    {"client_streaming", client_streaming},
    {"probe_compressed_streaming", probe_compressed_streaming},
    {"client_compressed_streaming", client_compressed_streaming},
    {"server_streaming", server_streaming},
    {"server_compressed_streaming", server_compressed_streaming},
    {"server_streaming_at_intervals", server_streaming_at_intervals},
    {"ping_pong", ping_pong},
    {"empty_stream", empty_stream},
    {"half_duplex", half_duplex},
    {"custom_metadata", custom_metadata},
    {NULL, NULL},
};
