/* SPDX-License-Identifier: Apache-2.0 */
/* What the router asks of a call over ttrpc. */
#include "ttrpc.h"

/* Replies up to this length wait in the call's own memory. */
#define REPLY_IN_ARENA_MAX 512

static void found(struct berth_stream *stream, enum berth_method_kind kind)
{
    struct server_ttrpc_call *self = server_ttrpc_call_from_router(stream);

    self->is_found = true;
    self->is_streaming = kind == BERTH_METHOD_SERVER_STREAM || kind == BERTH_METHOD_BIDI_STREAM;
}

static enum berth_code keep_reply(struct server_ttrpc_call *self, const void *message, size_t length)
{
    const char *copy = berth_arena_copy(&self->arena, message, length);

    if (copy == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    self->reply = (struct span){(const unsigned char *)copy, length};
    return BERTH_OK;
}

static enum berth_code send_message(struct berth_stream *stream, const void *message, size_t length)
{
    struct server_ttrpc_call *self = server_ttrpc_call_from_router(stream);
    const struct berth_rpc_server_options *limits = &server_ttrpc_call_server(self)->limits;
    uint64_t carried = TTRPC_DATA_MAX - (self->is_streaming ? 0 : TTRPC_PAYLOAD_PREFIX_MAX);
    uint64_t most = carried < limits->max_send_message_bytes ? carried : limits->max_send_message_bytes;
    enum outflow_result result;

    if (self->refusal != NULL)
        self->refusal[0] = '\0';
    if (!self->is_streaming && length <= REPLY_IN_ARENA_MAX && length <= most)
        return keep_reply(self, message, length);
    result = outflow_send(&self->outflow, message, length, most, limits->max_queued_bytes);
    if (result != OUTFLOW_SENT) {
        self->refusal =
            server_refuse_message(self->peer->connection, &self->arena, self->refusal, result, length, most);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (self->is_streaming)
        ttrpc_stream_due(&self->stream);
    return BERTH_OK;
}

static const char *refusal_of(struct berth_stream *stream)
{
    const char *refusal = server_ttrpc_call_from_router(stream)->refusal;

    return refusal == NULL || *refusal == '\0' ? NULL : refusal;
}

static bool can_send(struct berth_stream *stream)
{
    struct server_ttrpc_call *self = server_ttrpc_call_from_router(stream);

    return outflow_can_send(&self->outflow, server_ttrpc_call_server(self)->limits.max_queued_bytes);
}

/* ttrpc has neither headers nor trailers: what a handler adds for other transports is dropped. */
static enum berth_code drop_metadata(struct berth_stream *stream, const char *key, const void *value,
                                     size_t length)
{
    return BERTH_OK;
}

static enum berth_code send_headers(struct berth_stream *stream)
{
    return BERTH_OK;
}

static void finish(struct berth_stream *stream, enum berth_code code, const char *message,
                   const void *details, size_t details_length)
{
    server_ttrpc_call_end(server_ttrpc_call_from_router(stream), code, message, details, details_length);
}

static void pause_call(struct berth_stream *stream)
{
    server_ttrpc_call_from_router(stream)->inbox.is_paused = true;
}

static void resume_call(struct berth_stream *stream)
{
    struct server_ttrpc_call *self = server_ttrpc_call_from_router(stream);

    self->inbox.is_paused = false;
    server_ttrpc_call_ready(self);
}

const struct berth_stream_ops server_ttrpc_call_ops = {
    .size = sizeof(server_ttrpc_call_ops),
    .send = send_message,
    .can_send = can_send,
    .add_header = drop_metadata,
    .add_trailer = drop_metadata,
    .send_headers = send_headers,
    .finish = finish,
    .pause = pause_call,
    .resume = resume_call,
    .found = found,
    .refusal = refusal_of,
};
