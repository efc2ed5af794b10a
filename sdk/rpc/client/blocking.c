/* SPDX-License-Identifier: Apache-2.0 */
/* A unary call for a program without a loop. */
#include "client.h"

#include <stdlib.h>
#include <string.h>

struct waiter {
    struct berth_rpc_channel *channel;
    struct berth_error *err;
    void *response;
    size_t length;
    size_t messages;
    enum berth_code code;
};

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    struct waiter *waiter = context;

    if (waiter->messages++ > 0) {
        berth_rpc_call_fail(call, BERTH_INTERNAL, "the server sent more than one response to a unary call");
        return;
    }
    waiter->response = malloc(length + 1);
    if (waiter->response == NULL)
        return;
    if (length > 0)
        memcpy(waiter->response, message, length);
    ((char *)waiter->response)[length] = '\0';
    waiter->length = length;
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct waiter *waiter = context;

    waiter->code = code;
    if (code != BERTH_OK)
        berth_error_set(waiter->err, code, "%s", message);
    else if (waiter->messages != 1)
        waiter->code =
            berth_error_set(waiter->err, BERTH_INTERNAL, "the server sent no response to a unary call");
    else if (waiter->response == NULL)
        waiter->code = berth_error_set(waiter->err, BERTH_RESOURCE_EXHAUSTED, "out of memory");
    berth_rpc_channel_close(waiter->channel, NULL, NULL);
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers),
    .on_message = on_message,
    .on_end = on_end,
};

static enum berth_code start(struct waiter *waiter, uv_loop_t *loop,
                             const struct berth_rpc_unary_options *options)
{
    const struct berth_rpc_channel_options channel = {
        .size = sizeof(channel),
        .address = options->address,
        .protocol = options->protocol,
        .tls = options->tls,
    };
    const struct berth_rpc_call_options opening = {
        .size = sizeof(opening),
        .path = options->path,
        .timeout_ms = options->timeout_ms,
        .metadata = options->metadata,
        .metadata_count = options->metadata_count,
        .wait_for_ready = options->wait_for_ready,
    };
    struct berth_rpc_call *call;
    enum berth_code code = berth_rpc_channel_create(loop, &channel, &waiter->channel, waiter->err);

    if (code != BERTH_OK)
        return code;
    code = berth_rpc_call_start(waiter->channel, &opening, &handlers, waiter, &call, waiter->err);
    if (code != BERTH_OK) {
        berth_rpc_channel_close(waiter->channel, NULL, NULL);
        return code;
    }
    code = berth_rpc_call_send(call, options->request, options->request_length);
    if (code != BERTH_OK)
        berth_rpc_call_fail(call, code, "the request is too large to send");
    berth_rpc_call_half_close(call);
    return BERTH_OK;
}

enum berth_code berth_rpc_unary_blocking(const struct berth_rpc_unary_options *given, void **ret_response,
                                         size_t *ret_length, struct berth_error *err)
{
    struct berth_rpc_unary_options options = {0};
    struct waiter waiter = {.err = err};
    enum berth_code code;
    uv_loop_t loop;
    int result = uv_loop_init(&loop);

    if (result < 0)
        return berth_error_set(err, BERTH_UNAVAILABLE, "cannot create a loop: %s", uv_strerror(result));
    memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    code = start(&waiter, &loop, &options);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    if (code == BERTH_OK)
        code = waiter.code;
    if (code != BERTH_OK) {
        free(waiter.response);
        return code;
    }
    *ret_response = waiter.response;
    *ret_length = waiter.length;
    return BERTH_OK;
}
