/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.testing.TestService, as gRPC's interop-test-descriptions.md has it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "interop.h"
#include "output.h"

static void empty_call(struct berth_call *call, const Grpc__Testing__Empty *request)
{
    const Grpc__Testing__Empty reply = GRPC__TESTING__EMPTY__INIT;

    grpc_testing_test_service_empty_call_reply(call, &reply);
}

/* Who called, where a certificate says so. */
static char *user_of(const struct berth_call *call)
{
    return call->peer != NULL && call->peer->tls_subject != NULL ? (char *)call->peer->tls_subject
                                                                 : (char *)"";
}

static void unary_call(struct berth_call *call, const Grpc__Testing__SimpleRequest *request)
{
    Grpc__Testing__SimpleResponse reply = GRPC__TESTING__SIMPLE_RESPONSE__INIT;
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;

    if (!interop_check_compressed(call, request->expect_compressed) ||
        !interop_check_status(call, request->response_status) ||
        !interop_fill_payload(call, request->response_type, request->response_size, &payload))
        return;
    reply.payload = &payload;
    if (request->fill_username)
        reply.username = user_of(call);
    if (request->response_compressed != NULL)
        berth_call_compress(call, request->response_compressed->value);
    grpc_testing_test_service_unary_call_reply(call, &reply);
}

static void cacheable_unary_call(struct berth_call *call, const Grpc__Testing__SimpleRequest *request)
{
    static const char cache_control[] = "max-age=60, public";
    Grpc__Testing__SimpleResponse reply = GRPC__TESTING__SIMPLE_RESPONSE__INIT;
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
    struct timespec now;
    char text[64];

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(text, sizeof(text), "%lld%09ld", (long long)now.tv_sec, now.tv_nsec);
    payload.body = (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
    reply.payload = &payload;
    berth_call_add_header(call, "cache-control", cache_control, strlen(cache_control));
    grpc_testing_test_service_cacheable_unary_call_reply(call, &reply);
}

static void streaming_output_call(struct berth_call *call,
                                  const Grpc__Testing__StreamingOutputCallRequest *request)
{
    if (output_add(call, request))
        output_end_of_requests(call);
}

static void full_duplex_call(struct berth_call *call,
                             const Grpc__Testing__StreamingOutputCallRequest *request)
{
    if (output_add(call, request))
        output_run(call);
}

/* Nothing is answered before the last request is there. */
static void half_duplex_call(struct berth_call *call,
                             const Grpc__Testing__StreamingOutputCallRequest *request)
{
    output_add(call, request);
}

static void start_input(struct berth_call *call)
{
    call->state = calloc(1, sizeof(uint64_t));
    if (call->state == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for a stream");
    else
        interop_echo_metadata(call);
}

static void streaming_input_call(struct berth_call *call,
                                 const Grpc__Testing__StreamingInputCallRequest *request)
{
    uint64_t *sum = call->state;

    if (interop_check_compressed(call, request->expect_compressed) && request->payload != NULL)
        *sum += request->payload->body.len;
}

static void answer_input(struct berth_call *call)
{
    const uint64_t *sum = call->state;
    Grpc__Testing__StreamingInputCallResponse reply = GRPC__TESTING__STREAMING_INPUT_CALL_RESPONSE__INIT;

    reply.aggregated_payload_size = *sum < INT32_MAX ? (int32_t)*sum : INT32_MAX;
    grpc_testing_test_service_streaming_input_call_reply(call, &reply);
}

static void finish_input(struct berth_call *call, enum berth_code code)
{
    free(call->state);
}

/* What is missing here, UnimplementedCall, must be. */
const struct grpc_testing_test_service_handlers interop_test_service_handlers = {
    .empty_call = {.on_message = empty_call},
    .unary_call = {.on_start = interop_echo_metadata, .on_message = unary_call},
    .cacheable_unary_call = {.on_message = cacheable_unary_call},
    .streaming_output_call =
        {
            .on_start = output_start,
            .on_message = streaming_output_call,
            .on_writable = output_run,
            .on_end = output_finish,
        },
    .streaming_input_call =
        {
            .on_start = start_input,
            .on_message = streaming_input_call,
            .on_half_close = answer_input,
            .on_end = finish_input,
        },
    .full_duplex_call =
        {
            .on_start = output_start,
            .on_message = full_duplex_call,
            .on_half_close = output_end_of_requests,
            .on_writable = output_run,
            .on_end = output_finish,
        },
    .half_duplex_call =
        {
            .on_start = output_start,
            .on_message = half_duplex_call,
            .on_half_close = output_end_of_requests,
            .on_writable = output_run,
            .on_end = output_finish,
        },
};
