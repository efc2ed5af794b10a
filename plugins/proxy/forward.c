/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on its way to the server: bytes in both directions, whatever they mean. Each side is paused while
 * the other has no room, and each end is passed on: a caller that has gone cancels the call behind, and the
 * server's code, message, details and trailers reach the caller.
 *
 * A forward lives until both calls have ended. That behind ends last, because the one in front cancels it.
 */
#include <stdlib.h>
#include <string.h>

#include <berth/trace.h>

#include "proxy.h"

#define METADATA_MAX 256
#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

static const char details_key[] = "grpc-status-details-bin";

struct forward {
    struct proxy *proxy;
    /** The caller's; NULL once it has ended. */
    struct berth_call *call;
    struct berth_rpc_call *behind;
};

/* What the channel sends itself, and what goes along with `parent`. */
static bool is_own(const char *key)
{
    static const char *const keys[] = {"user-agent",
                                       "content-type",
                                       BERTH_TRACE_PARENT,
                                       BERTH_TRACE_STATE,
                                       BERTH_TRACE_BAGGAGE,
                                       "accept-encoding",
                                       "content-encoding",
                                       "te",
                                       "host"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return strncmp(key, "grpc-", 5) == 0;
}

static void on_headers(void *context, struct berth_rpc_call *behind, const struct berth_metadata *metadata,
                       size_t count)
{
    const struct forward *forward = context;

    if (forward->call == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        if (!is_own(metadata[i].key))
            berth_call_add_header(forward->call, metadata[i].key, metadata[i].value,
                                  metadata[i].value_length);
    /* Whether a message is compressed is its sender's choice, but that any may be stands in the headers. */
    berth_call_compress(forward->call, true);
    berth_call_send_headers(forward->call);
}

static void on_reply(void *context, struct berth_rpc_call *behind, const void *message, size_t length)
{
    struct forward *forward = context;
    const struct berth_host *host = forward->proxy->host;
    enum berth_code code;

    if (forward->call == NULL)
        return;
    berth_enter(host, "a reply from behind the socket");
    berth_call_compress(forward->call, berth_rpc_call_came_compressed(behind));
    code = berth_call_send(forward->call, message, length);
    if (code != BERTH_OK && forward->call != NULL)
        berth_call_finish_sent(forward->call, code);
    else if (forward->call != NULL && !berth_call_can_send(forward->call))
        berth_rpc_call_pause(behind);
    berth_leave(host);
}

static void on_room_behind(void *context, struct berth_rpc_call *behind)
{
    const struct forward *forward = context;

    if (forward->call != NULL)
        berth_call_resume(forward->call);
}

static void on_over(void *context, struct berth_rpc_call *behind, enum berth_code code, const char *message,
                    const struct berth_metadata *trailers, size_t count)
{
    struct forward *forward = context;
    const struct berth_metadata *details = NULL;
    struct berth_call *call = forward->call;
    const struct berth_host *host = forward->proxy->host;

    berth_enter(host, "the end of a call behind the socket");
    if (code == BERTH_UNAVAILABLE)
        health_hurry(forward->proxy);
    for (size_t i = 0; call != NULL && i < count; i++) {
        if (strcmp(trailers[i].key, details_key) == 0)
            details = &trailers[i];
        else if (!is_own(trailers[i].key))
            berth_call_add_trailer(call, trailers[i].key, trailers[i].value, trailers[i].value_length);
    }
    if (call != NULL) {
        call->state = NULL;
        berth_call_finish_with_details(call, code, message, details != NULL ? details->value : NULL,
                                       details != NULL ? details->value_length : 0);
    }
    free(forward);
    berth_leave(host);
}

static const struct berth_rpc_call_handlers behind_handlers = {
    .size = sizeof(behind_handlers),
    .on_headers = on_headers,
    .on_message = on_reply,
    .on_writable = on_room_behind,
    .on_end = on_over,
};

/* @return milliseconds until the caller's deadline, at least 1; 0: there is none. */
static uint64_t time_left(const struct berth_call *call)
{
    uint64_t now = uv_hrtime();

    if (call->deadline_ns == 0)
        return 0;
    return call->deadline_ns <= now ? 1 : (call->deadline_ns - now) / NANOSECONDS_PER_MILLISECOND + 1;
}

static enum berth_code begin(struct forward *forward, struct berth_error *err)
{
    struct berth_call *call = forward->call;
    struct berth_metadata metadata[METADATA_MAX];
    struct berth_rpc_call_options options = {
        .size = sizeof(options),
        .path = call->path,
        .timeout_ms = time_left(call),
        .metadata = metadata,
        .kind = call->kind,
        .parent = call,
    };

    for (size_t i = 0; i < call->metadata_count; i++) {
        if (is_own(call->metadata[i].key))
            continue;
        if (options.metadata_count == METADATA_MAX)
            return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "more than %d headers", METADATA_MAX);
        metadata[options.metadata_count++] = call->metadata[i];
    }
    return berth_rpc_call_start(forward->proxy->channel, &options, &behind_handlers, forward,
                                &forward->behind, err);
}

static void start(struct berth_call *call)
{
    struct proxy *proxy = call->instance;
    struct forward *forward;
    struct berth_error err;
    enum berth_code code;

    if (!proxy->is_connected) {
        health_hurry(proxy);
        berth_error_set(&err, BERTH_UNAVAILABLE, "%s: %s", proxy->host->uri,
                        proxy->reason[0] != '\0' ? proxy->reason : "not connected yet");
        berth_call_finish(call, BERTH_UNAVAILABLE, err.message);
        return;
    }
    forward = calloc(1, sizeof(*forward));
    if (forward == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the call");
        return;
    }
    *forward = (struct forward){.proxy = proxy, .call = call};
    code = begin(forward, &err);
    if (code == BERTH_OK) {
        call->state = forward;
        return;
    }
    free(forward);
    berth_call_finish(call, code, err.message);
}

static void pass(struct berth_call *call, const void *message, size_t length)
{
    struct forward *forward = call->state;
    enum berth_code code;

    if (forward == NULL)
        return;
    /* Refused where the first message was not compressed: not every server can take what follows. */
    if (!forward->proxy->config.compress)
        berth_rpc_call_compress(forward->behind, berth_call_came_compressed(call));
    code = berth_rpc_call_send(forward->behind, message, length);
    if (code == BERTH_RESOURCE_EXHAUSTED) {
        berth_call_finish(call, code, "the message exceeds max_message of this proxy, or too much is queued");
        return;
    }
    if (!berth_rpc_call_can_send(forward->behind))
        berth_call_pause(call);
    /* These kinds hand over their one request only when the caller has half-closed. */
    if (call->kind == BERTH_METHOD_UNARY || call->kind == BERTH_METHOD_SERVER_STREAM)
        berth_rpc_call_half_close(forward->behind);
}

static void pass_half_close(struct berth_call *call)
{
    const struct forward *forward = call->state;

    if (forward != NULL)
        berth_rpc_call_half_close(forward->behind);
}

static void pass_room(struct berth_call *call)
{
    const struct forward *forward = call->state;

    if (forward != NULL)
        berth_rpc_call_resume(forward->behind);
}

static void end(struct berth_call *call, enum berth_code code)
{
    struct forward *forward = call->state;

    if (forward == NULL)
        return;
    forward->call = NULL;
    berth_rpc_call_cancel(forward->behind);
}

static const struct berth_method methods[] = {{
    .name = "*",
    .kind = BERTH_METHOD_BIDI_STREAM,
    .on_start = start,
    .on_message = pass,
    .on_half_close = pass_half_close,
    .on_writable = pass_room,
    .on_end = end,
}};

const struct berth_service forward_service = {
    .size = sizeof(forward_service),
    .method_size = sizeof(methods[0]),
    .name = "*",
    .methods = methods,
    .method_count = 1,
};
