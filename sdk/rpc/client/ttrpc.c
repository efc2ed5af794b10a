/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel's calls over ttrpc: the Request that begins each, and the frames of the response. The protocol
 * has no cancellation: a cancelled call is forgotten, and later frames for it are ignored.
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#include <berth/utf8.h>

#include <sdk/base/container_of.h>
#include <sdk/rpc/ttrpc/message.h>

/* The parts of a Request besides its payload must fit into a batch in one piece. */
#define HEAD_MAX (16 * 1024)

/* A new connection is made before the ids are used up. */
#define ID_LAST INT32_MAX

struct client_ttrpc {
    struct ttrpc_session session;
    uint32_t next_id;
};

static struct berth_rpc_call *from_stream(struct ttrpc_stream *stream)
{
    return CONTAINER_OF(stream, struct berth_rpc_call, stream);
}

static bool asks_once(const struct berth_rpc_call *call)
{
    return call->kind == BERTH_METHOD_UNARY || call->kind == BERTH_METHOD_SERVER_STREAM;
}

static bool is_answered_once(const struct berth_rpc_call *call)
{
    return call->kind == BERTH_METHOD_UNARY || call->kind == BERTH_METHOD_CLIENT_STREAM;
}

/* Nothing more will come for it, or nothing that matters. */
static void forget(struct berth_rpc_call *call)
{
    ttrpc_stream_leave(&call->stream);
    client_call_forget(call);
}

static void take(struct berth_rpc_call *call, struct span message)
{
    uint64_t most = call->channel->limits.max_recv_message_bytes;
    char text[128];

    if (message.length > most) {
        snprintf(text, sizeof(text), "the server sent a message of %zu bytes, but this client accepts %llu",
                 message.length, (unsigned long long)most);
        client_call_end(call, BERTH_RESOURCE_EXHAUSTED, text);
    } else if (ttrpc_stream_give(&call->stream, message, client_call_deliver, call) == FRAMING_NO_ROOM) {
        client_call_end(call, BERTH_RESOURCE_EXHAUSTED, "out of memory");
    }
}

static void take_details(struct berth_rpc_call *call, struct span details)
{
    const char *copy = berth_arena_copy(&call->arena, details.bytes, details.length);

    if (copy != NULL)
        metadata_add(&call->response.trailers, &call->arena,
                     (struct berth_metadata){"grpc-status-details-bin", copy, details.length});
}

static void take_status(struct berth_rpc_call *call, const struct ttrpc_response *response)
{
    bool is_known = response->code >= 0 && response->code <= BERTH_UNAUTHENTICATED;

    call->response.has_status = true;
    call->response.code = is_known ? (enum berth_code)response->code : BERTH_UNKNOWN;
    call->response.message =
        berth_arena_copy(&call->arena, response->message.bytes, response->message.length);
    if (response->details.length > 0)
        take_details(call, response->details);
}

static void receive_response(struct berth_rpc_call *call, const struct ttrpc_frame *frame)
{
    struct ttrpc_response response;
    const char *wrong = ttrpc_response_parse((struct span){frame->data, frame->length}, &response);
    char text[128];

    if (wrong != NULL) {
        snprintf(text, sizeof(text), "the server sent an invalid Response: %s", wrong);
        client_call_end(call, BERTH_INTERNAL, text);
        return;
    }
    take_status(call, &response);
    if (call->response.code == BERTH_OK && (is_answered_once(call) || response.has_payload))
        take(call, response.payload);
    if (call->is_over)
        return;
    call->is_remote_ended = true;
    forget(call);
}

static void receive_data(struct berth_rpc_call *call, const struct ttrpc_frame *frame)
{
    if (is_answered_once(call)) {
        client_call_end(call, BERTH_INTERNAL, "the server sent stream data to a call with a single response");
        return;
    }
    if ((frame->flags & TTRPC_NO_DATA) == 0)
        take(call, (struct span){frame->data, frame->length});
    if (call->is_over || (frame->flags & TTRPC_REMOTE_CLOSED) == 0)
        return;
    call->response.has_status = true;
    call->response.code = BERTH_OK;
    call->is_remote_ended = true;
    forget(call);
}

static void on_frame(struct ttrpc_session *session, const struct ttrpc_frame *frame)
{
    struct ttrpc_stream *stream = ttrpc_session_find(session, frame->id);
    struct berth_rpc_call *call;

    /* A late answer, or a type of a later version. */
    if (stream == NULL || (frame->type != TTRPC_RESPONSE && frame->type != TTRPC_DATA))
        return;
    call = from_stream(stream);
    replay_finish(&call->replay);
    if (frame->type == TTRPC_RESPONSE)
        receive_response(call, frame);
    else
        receive_data(call, frame);
}

static void on_skipped(struct ttrpc_session *session, const struct ttrpc_frame *frame, enum ttrpc_read why)
{
    struct ttrpc_stream *stream = ttrpc_session_find(session, frame->id);

    if (stream != NULL)
        client_call_end(from_stream(stream), BERTH_RESOURCE_EXHAUSTED,
                        why == TTRPC_READ_OVERSIZE ? "the server sent a message above the 4 MiB of ttrpc"
                                                   : "out of memory");
}

static void on_stalled(struct ttrpc_stream *stream)
{
    client_call_end(from_stream(stream), BERTH_RESOURCE_EXHAUSTED,
                    "stream buffer full: the caller is not reading its messages");
}

static int64_t time_left(const struct berth_rpc_call *call)
{
    uint64_t now;

    if (call->deadline_ns == 0)
        return 0;
    now = uv_hrtime();
    return call->deadline_ns > now ? (int64_t)(call->deadline_ns - now) : 1;
}

/* @return false without memory; the call has ended then. */
static bool put_request(struct berth_rpc_call *call, struct batch *batch)
{
    static const unsigned flags[] = {
        [BERTH_METHOD_UNARY] = 0,
        [BERTH_METHOD_SERVER_STREAM] = TTRPC_REMOTE_CLOSED,
        [BERTH_METHOD_CLIENT_STREAM] = TTRPC_REMOTE_OPEN,
        [BERTH_METHOD_BIDI_STREAM] = TTRPC_REMOTE_OPEN,
    };
    bool has_payload = asks_once(call) && call->outflow.outbox.first != NULL;
    uint32_t length = has_payload ? ttrpc_message_length(&call->outflow) : 0;
    unsigned char prefix[TTRPC_PAYLOAD_PREFIX_MAX];
    size_t prefix_length = has_payload ? ttrpc_request_payload_prefix(prefix, length) : 0;
    const struct metadata_list *metadata = &call->metadata;
    int64_t timeout = time_left(call);
    size_t head = ttrpc_request_size(call->path, timeout, metadata->items, metadata->count);
    unsigned char *bytes = berth_arena_take(&call->arena, head);

    if (bytes == NULL) {
        client_call_end(call, BERTH_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    ttrpc_request_write(bytes, call->path, timeout, metadata->items, metadata->count);
    ttrpc_put_header(batch, (uint32_t)(head + prefix_length) + length, &call->stream, TTRPC_REQUEST,
                     flags[call->kind]);
    batch_add_bytes(batch, bytes, head);
    batch_add_bytes(batch, prefix, prefix_length);
    if (has_payload)
        ttrpc_put_message(batch, &call->outflow);
    call->is_request_sent = true;
    call->batch_number = call->connection->base.batch_number;
    return true;
}

static bool has_more(const struct berth_rpc_call *call)
{
    return !asks_once(call) && (call->outflow.outbox.first != NULL || call->outflow.is_ended);
}

static bool put(struct ttrpc_stream *stream, struct batch *batch)
{
    struct berth_rpc_call *call = from_stream(stream);

    if (!call->is_request_sent)
        return put_request(call, batch) && has_more(call);
    if (call->outflow.outbox.first != NULL) {
        ttrpc_put_data(batch, stream, &call->outflow);
        return has_more(call);
    }
    if (has_more(call))
        ttrpc_put_header(batch, 0, stream, TTRPC_DATA, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    return false;
}

static void destroy(struct ttrpc_session *session)
{
    free(CONTAINER_OF(session, struct client_ttrpc, session));
}

static const struct ttrpc_side side = {
    .on_frame = on_frame,
    .on_skipped = on_skipped,
    .put = put,
    .on_stalled = on_stalled,
    .destroy = destroy,
};

/* There is nothing to wait for: the first frame is a Request. */
static int start(struct client_connection *connection)
{
    struct berth_rpc_channel *channel = connection->channel;
    struct client_ttrpc *ttrpc = calloc(1, sizeof(*ttrpc));

    if (ttrpc == NULL)
        return UV_ENOMEM;
    ttrpc->next_id = 1;
    ttrpc_session_init(&ttrpc->session, &connection->base, &side, &channel->unfinished, 0);
    connection->ttrpc = ttrpc;
    client_connection_ready(connection);
    return connection_start(&connection->base, &ttrpc_protocol, &ttrpc->session);
}

static void lose(struct client_connection *connection)
{
    if (connection->ttrpc == NULL)
        return;
    ttrpc_session_lose(&connection->ttrpc->session);
    ttrpc_session_each(&connection->ttrpc->session, ttrpc_stream_leave);
}

static bool has_room(const struct client_connection *connection)
{
    return true;
}

/* A call that has one request begins with it. */
static bool is_sendable(const struct berth_rpc_call *call)
{
    return !asks_once(call) || (call->outflow.is_ended && !call->is_request_sent);
}

static void wake(struct berth_rpc_call *call)
{
    if (call->stream.session != NULL && is_sendable(call))
        ttrpc_stream_due(&call->stream);
}

static size_t head_size(const struct berth_rpc_call *call)
{
    return ttrpc_request_size(call->path, INT64_MAX, call->metadata.items, call->metadata.count);
}

static void submit(struct berth_rpc_call *call, struct client_connection *connection)
{
    struct client_ttrpc *ttrpc = connection->ttrpc;

    if (head_size(call) > HEAD_MAX) {
        client_call_end(call, BERTH_RESOURCE_EXHAUSTED, "the call's metadata is too large to send");
        return;
    }
    if (ttrpc->next_id >= ID_LAST) {
        ttrpc->session.is_leaving = true;
        client_connection_leave(connection, "all stream IDs of the connection are used");
        return;
    }
    client_call_enter(call, connection, (int32_t)ttrpc->next_id, UINT64_MAX);
    call->stream.inbox = &call->inbox;
    ttrpc_stream_join(&call->stream, &ttrpc->session, ttrpc->next_id);
    ttrpc->next_id += 2;
    wake(call);
}

static void give_held(struct berth_rpc_call *call)
{
    ttrpc_stream_give_held(&call->stream, client_call_deliver, call);
}

/* Values are strings of Protocol Buffers, those of "-bin" keys too. */
static enum berth_code add_metadata(struct berth_rpc_call *call, const struct berth_metadata *given)
{
    struct berth_metadata item = {.value_length = given->value_length};

    if (!metadata_key_is_sendable(given->key) || !berth_utf8_is_valid(given->value, given->value_length))
        return BERTH_INVALID_ARGUMENT;
    item.key = berth_arena_copy(&call->arena, given->key, strlen(given->key));
    item.value = berth_arena_copy(&call->arena, given->value, given->value_length);
    if (item.key == NULL || item.value == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    return metadata_add(&call->metadata, &call->arena, item);
}

static enum berth_code may_send(const struct berth_rpc_call *call, size_t length)
{
    size_t head = asks_once(call) ? head_size(call) + TTRPC_PAYLOAD_PREFIX_MAX : 0;

    if (asks_once(call) && call->is_message_sent)
        return BERTH_FAILED_PRECONDITION;
    return head + length <= TTRPC_DATA_MAX ? BERTH_OK : BERTH_RESOURCE_EXHAUSTED;
}

const struct client_protocol client_ttrpc = {
    .kind = GREETING_TTRPC,
    .start = start,
    .lose = lose,
    .has_room = has_room,
    .submit = submit,
    .wake = wake,
    .reset = forget,
    .give_held = give_held,
    .add_metadata = add_metadata,
    .may_send = may_send,
};
