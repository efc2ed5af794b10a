/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin's life, and what a request may ask of any method of grpc.testing.TestService. */
#include "interop.h"

#include <stdlib.h>

static void interop_destroy(struct interop *interop)
{
    interop_config_finish(&interop->config);
    free(interop->zeros);
    free(interop);
}

static enum berth_code set_up(struct interop *interop, struct berth_error *err)
{
    enum berth_code code = interop_config_init(&interop->config, interop->host->settings, err);

    if (code != BERTH_OK)
        return code;
    interop->zeros = calloc(1, (size_t)interop->config.max_payload + 1);
    if (interop->zeros == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "no memory for a payload of max_payload=%lld bytes",
                               (long long)interop->config.max_payload);
    return BERTH_OK;
}

enum berth_code interop_init(const struct berth_host *host, void *prepared, void **ret_instance,
                             struct berth_error *err)
{
    struct interop *interop = calloc(1, sizeof(*interop));
    enum berth_code code;

    if (interop == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the instance");
    interop->host = host;
    code = set_up(interop, err);
    if (code == BERTH_OK)
        *ret_instance = interop;
    else
        interop_destroy(interop);
    return code;
}

void interop_timer_closed(struct interop *interop)
{
    const struct berth_host *host = interop->host;

    interop->timers--;
    if (!interop->is_closing || interop->timers > 0)
        return;
    interop_destroy(interop);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code interop_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct interop *interop = instance;

    interop->is_closing = true;
    if (interop->timers > 0)
        return BERTH_PENDING;
    interop_destroy(interop);
    return BERTH_OK;
}

void interop_echo_metadata(struct berth_call *call)
{
    const struct berth_metadata *initial = berth_call_metadata(call, "x-grpc-test-echo-initial");
    const struct berth_metadata *trailing = berth_call_metadata(call, "x-grpc-test-echo-trailing-bin");

    if (initial != NULL)
        berth_call_add_header(call, initial->key, initial->value, initial->value_length);
    if (trailing != NULL)
        berth_call_add_trailer(call, trailing->key, trailing->value, trailing->value_length);
}

bool interop_check_compressed(struct berth_call *call, const Grpc__Testing__BoolValue *expected)
{
    if (expected == NULL || (bool)expected->value == berth_call_came_compressed(call))
        return true;
    berth_call_finish(call, BERTH_INVALID_ARGUMENT,
                      expected->value ? "the message came as it is; expect_compressed is true"
                                      : "the message came compressed; expect_compressed is false");
    return false;
}

bool interop_check_status(struct berth_call *call, const Grpc__Testing__EchoStatus *status)
{
    if (status == NULL || status->code == 0)
        return true;
    if (status->code < 0 || status->code > (int32_t)BERTH_UNAUTHENTICATED)
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "response_status: there is no such code");
    else
        berth_call_finish(call, (enum berth_code)status->code, status->message);
    return false;
}

bool interop_fill_payload(struct berth_call *call, Grpc__Testing__PayloadType type, int32_t size,
                          Grpc__Testing__Payload *payload)
{
    const struct interop *interop = call->instance;

    if (type != GRPC__TESTING__PAYLOAD_TYPE__COMPRESSABLE) {
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "response_type: only COMPRESSABLE payloads are made");
        return false;
    }
    if (size < 0 || size > interop->config.max_payload) {
        char reason[128];

        snprintf(reason, sizeof(reason), "a payload of %d bytes is asked for; max_payload allows %lld", size,
                 (long long)interop->config.max_payload);
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, reason);
        return false;
    }
    payload->body = (ProtobufCBinaryData){.len = (size_t)size, .data = interop->zeros};
    return true;
}
