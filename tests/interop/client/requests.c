/* SPDX-License-Identifier: Apache-2.0 */
/* What several cases ask for. */
#include <string.h>

#include "cases.h"

const Grpc__Testing__BoolValue be_true = {
    .base = PROTOBUF_C_MESSAGE_INIT(&grpc__testing__bool_value__descriptor), .value = 1};
const Grpc__Testing__BoolValue be_false = {
    .base = PROTOBUF_C_MESSAGE_INIT(&grpc__testing__bool_value__descriptor), .value = 0};

/* The largest payload that is sent or expected. */
static const uint8_t zeros[LARGE_RESPONSE];

static ProtobufCBinaryData body(size_t size)
{
    return (ProtobufCBinaryData){.len = size, .data = (uint8_t *)zeros};
}

struct exchange *large_start(struct peer *peer, const struct large_call *large)
{
    Grpc__Testing__SimpleRequest request = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
    struct exchange *exchange =
        exchange_start(peer, &(struct exchange_options){
                                 .path = TEST_SERVICE "UnaryCall",
                                 .reply_type = &grpc__testing__simple_response__descriptor,
                                 .wants_echo = large->wants_echo,
                                 .channel = large->channel,
                             });

    payload.body = body(LARGE_REQUEST);
    request.payload = &payload;
    request.response_size = LARGE_RESPONSE;
    request.expect_compressed = (Grpc__Testing__BoolValue *)large->expect_compressed;
    request.response_compressed = (Grpc__Testing__BoolValue *)large->response_compressed;
    if (large->is_compressed && !exchange_compress(exchange, true))
        return NULL;
    return exchange_send(exchange, &request.base) && exchange_half_close(exchange) ? exchange : NULL;
}

static bool check_zeros(struct peer *peer, const Grpc__Testing__Payload *payload, size_t size)
{
    return check(peer, payload != NULL, "a reply without payload") &&
           check(peer, payload->body.len == size, "a payload of %zu bytes instead of %zu", payload->body.len,
                 size) &&
           check(peer, size == 0 || memcmp(payload->body.data, zeros, size) == 0,
                 "the payload is not made of zeros");
}

bool large_await(struct exchange *exchange)
{
    return exchange_await_end(exchange, BERTH_OK, 1) &&
           check_zeros(exchange->peer,
                       ((const Grpc__Testing__SimpleResponse *)exchange->replies[0].message)->payload,
                       LARGE_RESPONSE);
}

struct exchange *output_start(struct peer *peer, const char *path, enum berth_method_kind kind,
                              bool wants_echo, uint64_t timeout_ms)
{
    return exchange_start(peer, &(struct exchange_options){
                                    .path = path,
                                    .kind = kind,
                                    .reply_type = &grpc__testing__streaming_output_call_response__descriptor,
                                    .wants_echo = wants_echo,
                                    .timeout_ms = timeout_ms,
                                });
}

bool output_send(struct exchange *exchange, const struct wanted *wanted, size_t count, size_t payload,
                 const Grpc__Testing__EchoStatus *status)
{
    Grpc__Testing__StreamingOutputCallRequest request = GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    Grpc__Testing__Payload with = GRPC__TESTING__PAYLOAD__INIT;
    Grpc__Testing__ResponseParameters parameters[8];
    Grpc__Testing__ResponseParameters *pointers[8];

    for (size_t i = 0; i < count; i++) {
        pointers[i] = &parameters[i];
        grpc__testing__response_parameters__init(pointers[i]);
        parameters[i].size = wanted[i].size;
        parameters[i].interval_us = wanted[i].interval_us;
        parameters[i].compressed = (Grpc__Testing__BoolValue *)wanted[i].compressed;
    }
    with.body = body(payload);
    request.payload = &with;
    request.response_parameters = pointers;
    request.n_response_parameters = count;
    request.response_status = (Grpc__Testing__EchoStatus *)status;
    return exchange_send(exchange, &request.base);
}

bool output_check(struct exchange *exchange, size_t index, int32_t size)
{
    const ProtobufCMessage *reply = exchange->replies[index].message;

    return check_zeros(exchange->peer, ((const Grpc__Testing__StreamingOutputCallResponse *)reply)->payload,
                       (size_t)size);
}

bool echo_check(struct exchange *exchange)
{
    return check(exchange->peer, strcmp(exchange->initial, ECHO_INITIAL) == 0,
                 "initial metadata came back as \"%s\"", exchange->initial) &&
           check(exchange->peer, strcmp(exchange->trailing, ECHO_TRAILING) == 0,
                 "trailing metadata came back as \"%s\"", exchange->trailing);
}
