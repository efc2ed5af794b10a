/* SPDX-License-Identifier: Apache-2.0 */
/* One call on the client as its caller holds it: started, fed, paused, given up. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

/* Longer than anybody waits; keeps sums of times within their type. */
#define TIMEOUT_MS_MAX (UINT64_C(100) * 365 * 24 * 3600 * 1000)

static void on_overdue(struct deadline *deadline)
{
    struct berth_rpc_call *call = CONTAINER_OF(deadline, struct berth_rpc_call, deadline);
    char message[512];
    char place[384];

    if (call->id == 0 && call->channel->failed_attempts > 0) {
        channel_describe_failure(call->channel, place, sizeof(place));
        snprintf(message, sizeof(message), "deadline exceeded while connecting to %s", place);
    } else if (call->id == 0)
        snprintf(message, sizeof(message), "deadline exceeded while connecting to %s", call->channel->path);
    else
        snprintf(message, sizeof(message), "deadline exceeded while waiting for %s", call->channel->path);
    client_call_end(call, BERTH_DEADLINE_EXCEEDED, message);
}

static void on_room(struct outflow *outflow)
{
    struct berth_rpc_call *call = CONTAINER_OF(outflow, struct berth_rpc_call, outflow);

    call->is_writable_due = true;
    client_call_ready(call);
}

static struct berth_rpc_call *create(struct berth_rpc_channel *channel,
                                     const struct berth_rpc_call_handlers *handlers, void *context)
{
    struct berth_rpc_call *call = malloc(sizeof(*call));

    if (call == NULL)
        return NULL;
    memset(call, 0, offsetof(struct berth_rpc_call, first));
    call->channel = channel;
    call->handlers = handlers;
    call->context = context;
    call->is_unknown = true;
    call->outflow.on_room = on_room;
    call->outflow.pool = &channel->engine.pool;
    call->replay.budget = &channel->kept;
    call->inbox.framing.budget = &channel->unfinished;
    call->inbox.framing.max_message_bytes = channel->limits.max_recv_message_bytes;
    berth_arena_init(&call->arena, call->first, sizeof(call->first));
    client_coding_init(call);
    client_call_join(call, &channel->waiting);
    return call;
}

static enum berth_code take_options(struct berth_rpc_call *call, const struct berth_rpc_call_options *options,
                                    struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    if (options->path == NULL || options->path[0] != '/' || strrchr(options->path, '/') == options->path)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "\"%s\" is no path of a method (try /package.Service/Method)",
                               options->path == NULL ? "" : options->path);
    call->path = berth_arena_copy(&call->arena, options->path, strlen(options->path));
    if (call->path == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: out of memory", options->path);
    for (size_t i = 0; i < options->metadata_count && code == BERTH_OK; i++) {
        const struct berth_metadata *item = &options->metadata[i];

        code = call->channel->protocol->add_metadata(call, item);
        if (code != BERTH_OK)
            berth_error_set(err, code, "%s: metadata \"%s\" cannot be sent", options->path, item->key);
    }
    return code;
}

static enum berth_code start_deadline(struct berth_rpc_call *call, uint64_t timeout_ms,
                                      struct berth_error *err)
{
    if (timeout_ms == 0)
        return BERTH_OK;
    if (timeout_ms > TIMEOUT_MS_MAX)
        timeout_ms = TIMEOUT_MS_MAX;
    call->deadline_ns = uv_hrtime() + timeout_ms * NANOSECONDS_PER_MILLISECOND;
    if (deadlines_start(&call->channel->engine.deadlines, &call->deadline, call->deadline_ns, on_overdue))
        return BERTH_OK;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: out of memory", call->path);
}

enum berth_code berth_rpc_call_start(struct berth_rpc_channel *channel,
                                     const struct berth_rpc_call_options *given,
                                     const struct berth_rpc_call_handlers *handlers, void *context,
                                     struct berth_rpc_call **ret_call, struct berth_error *err)
{
    struct berth_rpc_call_options options = {0};
    struct berth_rpc_call *call = create(channel, handlers, context);
    enum berth_code code;

    if (call == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot start a call: out of memory");
    memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    call->tag = options.tag;
    call->waits_for_ready = options.wait_for_ready;
    call->kind = options.kind;
    code = take_options(call, &options, err);
    if (code == BERTH_OK)
        code = start_deadline(call, options.timeout_ms, err);
    if (code != BERTH_OK) {
        client_call_destroy(call);
        return code;
    }
    turn_add(&channel->engine.turn, &channel->task);
    *ret_call = call;
    return BERTH_OK;
}

enum berth_code berth_rpc_call_send(struct berth_rpc_call *call, const void *message, size_t length)
{
    uint64_t most = call->channel->limits.max_send_message_bytes;
    enum berth_code code;

    if (call->is_over || call->outflow.is_ended)
        return BERTH_FAILED_PRECONDITION;
    code = call->channel->protocol->may_send(call, length);
    if (code != BERTH_OK)
        return code;
    if (call->connection == NULL && !replay_has_room(&call->replay, length))
        return BERTH_RESOURCE_EXHAUSTED;
    if (outflow_send(&call->outflow, message, length, most, call->channel->limits.max_queued_bytes) !=
        OUTFLOW_SENT)
        return BERTH_RESOURCE_EXHAUSTED;
    call->is_message_sent = true;
    replay_keep(&call->replay, call->outflow.outbox.last);
    if (call->connection != NULL)
        call->channel->protocol->wake(call);
    return BERTH_OK;
}

bool berth_rpc_call_can_send(struct berth_rpc_call *call)
{
    return !call->is_over && !call->outflow.is_ended &&
           outflow_can_send(&call->outflow, call->channel->limits.max_queued_bytes);
}

void berth_rpc_call_half_close(struct berth_rpc_call *call)
{
    if (call->is_over)
        return;
    call->outflow.is_ended = true;
    if (call->connection != NULL)
        call->channel->protocol->wake(call);
}

void berth_rpc_call_cancel(struct berth_rpc_call *call)
{
    client_call_end(call, BERTH_CANCELLED, "the caller gave the call up");
}

void berth_rpc_call_fail(struct berth_rpc_call *call, enum berth_code code, const char *message)
{
    client_call_end(call, code, message == NULL ? "" : message);
}

const void *berth_rpc_call_tag(const struct berth_rpc_call *call)
{
    return call->tag;
}

void berth_rpc_call_pause(struct berth_rpc_call *call)
{
    call->inbox.is_paused = true;
}

void berth_rpc_call_resume(struct berth_rpc_call *call)
{
    call->inbox.is_paused = false;
    client_call_ready(call);
}
