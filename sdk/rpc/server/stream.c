/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on the server, whatever its protocol: passes its events to the router, and the router's replies to
 * the protocol's own part of the call, of which this is the first member.
 *
 * The protocol creates the call, and destroys it from the top level. The router's call ends first, in
 * server_stream_end; from then on no event is delivered. Operations of handlers and callbacks of nghttp2 only
 * record what happened and queue the call; the protocol processes the queue at the top level, where a call
 * may be freed.
 */
#include "server.h"

#include <inttypes.h>
#include <string.h>

#include <sdk/base/container_of.h>

/* The longest sentence that goes with a status: larger headers would cost the call its status. */
#define MESSAGE_MAX 4096

/* Names the limit that was reached, and its value. */
static void describe_refusal(char *text, size_t size, const struct server_connection *connection,
                             enum outflow_result why, size_t length, uint64_t most)
{
    const struct berth_rpc_server *server = connection->server;
    uint64_t queued = connection->base.queued.used;

    switch (why) {
    case OUTFLOW_SENT:
        break;
    case OUTFLOW_TOO_LARGE:
        if (most < server->limits.max_send_message_bytes)
            snprintf(text, size, "message of %zu bytes exceeds what ttrpc carries (%" PRIu64 ")", length,
                     most);
        else
            snprintf(text, size, "message of %zu bytes exceeds max_send_message_bytes (%" PRIu64 ")", length,
                     most);
        break;
    case OUTFLOW_QUEUE_FULL:
        snprintf(text, size,
                 "message of %zu bytes exceeds max_queued_bytes (%" PRIu64 "): %" PRIu64
                 " bytes are waiting for this client to read",
                 length, server->limits.max_queued_bytes, queued);
        break;
    case OUTFLOW_NO_BUDGET:
        snprintf(text, size,
                 "message of %zu bytes exceeds this connection's share of max_buffered_bytes (%" PRIu64
                 "): %" PRIu64 " bytes are buffered for %" PRIu32 " connections, %" PRIu64
                 " of them for this one",
                 length, server->buffered.limit, server->buffered.used, server->stats.connections, queued);
        break;
    case OUTFLOW_NO_MEMORY:
        snprintf(text, size, "out of memory for a message of %zu bytes", length);
        break;
    }
}

const char *server_describe_no_room(const struct server_connection *connection, char *text, size_t size)
{
    const struct budget *unfinished = &connection->unfinished;
    const struct budget *buffered = &connection->server->buffered;

    if (unfinished->is_parent_full)
        snprintf(text, size,
                 "this connection's share of max_buffered_bytes (%" PRIu64 ") is used up: %" PRIu64
                 " bytes are buffered for %" PRIu32 " connections",
                 buffered->limit, buffered->used, connection->server->stats.connections);
    else
        snprintf(text, size,
                 "max_unfinished_bytes (%" PRIu64 ") exceeded: this connection has sent %" PRIu64
                 " bytes of unfinished messages",
                 unfinished->limit, unfinished->used);
    return text;
}

static struct berth_rpc_server *server_of(const struct berth_stream *stream)
{
    return stream->connection->server;
}

void server_stream_ready(struct berth_stream *stream)
{
    struct server_connection *connection = stream->connection;

    if (stream->is_ready)
        return;
    stream->is_ready = true;
    TAILQ_INSERT_TAIL(&connection->ready, stream, ready);
    connection_touch(&connection->base);
}

struct berth_stream *server_stream_next(struct server_connection *connection)
{
    struct berth_stream *stream = TAILQ_FIRST(&connection->ready);

    if (stream == NULL)
        return NULL;
    TAILQ_REMOVE(&connection->ready, stream, ready);
    stream->is_ready = false;
    return stream;
}

static void on_room(struct outflow *outflow)
{
    struct berth_stream *stream = CONTAINER_OF(outflow, struct berth_stream, outflow);

    stream->is_writable_due = true;
    server_stream_ready(stream);
}

void server_stream_init(struct berth_stream *stream, struct server_connection *connection, void *first,
                        size_t size)
{
    stream->connection = connection;
    stream->inbox.framing.budget = &connection->unfinished;
    stream->inbox.framing.max_message_bytes = connection->server->limits.max_recv_message_bytes;
    stream->outflow.queued = &connection->base.queued;
    stream->outflow.on_room = on_room;
    stream->outflow.pool = &connection->server->engine.pool;
    berth_arena_init(&stream->arena, first, size);
    connection->calls++;
    connection->server->stats.calls++;
}

size_t server_stream_finish(struct berth_stream *stream)
{
    struct server_connection *connection = stream->connection;

    if (stream->is_ready)
        TAILQ_REMOVE(&connection->ready, stream, ready);
    deadlines_stop(&connection->server->engine.deadlines, &stream->deadline);
    outflow_clear(&stream->outflow);
    berth_arena_finish(&stream->arena);
    connection->server->stats.calls--;
    if (--connection->calls == 0 && connection->server->limits.max_idle_ms > 0)
        connection->idle_since_ns = uv_hrtime();
    return inbox_finish(&stream->inbox);
}

bool server_stream_end(struct berth_stream *stream, enum berth_code code)
{
    struct berth_rpc_server *server = server_of(stream);

    if (stream->is_ended)
        return false;
    stream->is_ended = true;
    stream->call = NULL;
    deadlines_stop(&server->engine.deadlines, &stream->deadline);
    server->stats.calls_ended[(unsigned)code <= BERTH_UNAUTHENTICATED ? (unsigned)code : BERTH_UNKNOWN]++;
    return true;
}

static void finish(struct berth_stream *stream, enum berth_code code, const char *message)
{
    stream->connection->protocol->stream_ops->finish(stream, code, message, NULL, 0);
}

void server_stream_abort(struct berth_stream *stream, enum berth_code code, const char *message)
{
    struct berth_call *call = stream->call;

    if (stream->is_ended)
        return;
    if (code == BERTH_DEADLINE_EXCEEDED)
        stream->connection->protocol->drop_output(stream);
    finish(stream, code, message);
    if (call != NULL)
        server_of(stream)->router->cancel(call, code == BERTH_DEADLINE_EXCEEDED ? code : BERTH_CANCELLED);
}

void server_stream_complain(struct berth_stream *stream, enum framing_state state, const struct span *message,
                            const struct server_framing_words *words)
{
    uint64_t limit = server_of(stream)->limits.max_recv_message_bytes;
    char text[160];

    switch (state) {
    case FRAMING_MORE:
    case FRAMING_MESSAGE:
        break;
    case FRAMING_COMPRESSED:
        server_stream_abort(stream, words->code, words->compressed);
        break;
    case FRAMING_BAD_FLAG:
        server_stream_abort(stream, words->code, words->bad_flag);
        break;
    case FRAMING_TOO_LARGE:
        snprintf(text, sizeof(text), "%sreceived message larger than max (%zu vs. %" PRIu64 ")",
                 words->prefix, message->length, limit);
        server_stream_abort(stream, BERTH_RESOURCE_EXHAUSTED, text);
        break;
    case FRAMING_BROKEN:
        snprintf(text, sizeof(text), "%sfailed to decompress the received message", words->prefix);
        server_stream_abort(stream, words->code, text);
        break;
    case FRAMING_TOO_LARGE_EXPANDED:
        snprintf(text, sizeof(text),
                 "%sreceived message of %zu bytes is larger than max when decompressed (at least %" PRIu64
                 " vs. %" PRIu64 ")",
                 words->prefix, message->length, limit + 1, limit);
        server_stream_abort(stream, BERTH_RESOURCE_EXHAUSTED, text);
        break;
    case FRAMING_NO_ROOM:
        server_stream_abort(stream, BERTH_RESOURCE_EXHAUSTED,
                            server_describe_no_room(stream->connection, text, sizeof(text)));
        break;
    }
}

static void on_overdue(struct deadline *deadline)
{
    server_stream_abort(CONTAINER_OF(deadline, struct berth_stream, deadline), BERTH_DEADLINE_EXCEEDED,
                        "deadline exceeded");
}

/* @return false if no time is left. */
static bool start_deadline(struct berth_stream *stream, uint64_t timeout_ns, uint64_t *ret_deadline_ns)
{
    *ret_deadline_ns = 0;
    if (timeout_ns == UINT64_MAX)
        return true;
    if (timeout_ns == 0) {
        finish(stream, BERTH_DEADLINE_EXCEEDED, "deadline exceeded before the call arrived");
        return false;
    }
    *ret_deadline_ns = uv_hrtime() + timeout_ns;
    if (deadlines_start(&server_of(stream)->engine.deadlines, &stream->deadline, *ret_deadline_ns,
                        on_overdue))
        return true;
    finish(stream, BERTH_RESOURCE_EXHAUSTED, "out of memory");
    return false;
}

bool server_stream_open(struct berth_stream *stream, const char *path, const char *transport,
                        const struct metadata_list *metadata, uint64_t timeout_ns)
{
    const struct berth_router *router = server_of(stream)->router;
    struct berth_call_request opening = {
        .size = sizeof(opening),
        .path = path,
        .transport = transport,
        .peer = &stream->connection->peer.who,
        .metadata = metadata->items,
        .metadata_count = metadata->count,
        .stream = stream,
        .stream_ops = stream->connection->protocol->stream_ops,
    };
    struct berth_call *call;

    if (!start_deadline(stream, timeout_ns, &opening.deadline_ns))
        return false;
    call = router->open(router, &opening);
    if (!stream->is_ended)
        stream->call = call;
    return stream->call != NULL;
}

bool server_stream_takes_one(const struct berth_stream *stream)
{
    return stream->call->kind == BERTH_METHOD_UNARY || stream->call->kind == BERTH_METHOD_SERVER_STREAM;
}

bool server_stream_deliver(void *context, const void *message, size_t length)
{
    struct berth_stream *stream = context;

    server_of(stream)->router->deliver(stream->call, message, length);
    return stream->call != NULL;
}

bool server_stream_deliver_last(struct berth_stream *stream, const void *message, size_t length)
{
    const struct berth_router *router = server_of(stream)->router;

    if (router->size <= offsetof(struct berth_router, deliver_last) || router->deliver_last == NULL)
        return server_stream_deliver(stream, message, length);
    stream->is_half_close_told = true;
    router->deliver_last(stream->call, message, length);
    return stream->call != NULL;
}

void server_stream_half_close(struct berth_stream *stream)
{
    if (stream->call == NULL || stream->is_half_close_told || stream->inbox.is_paused ||
        inbox_is_holding(&stream->inbox))
        return;
    stream->is_half_close_told = true;
    if (framing_is_inside(&stream->inbox.framing))
        server_stream_abort(stream, BERTH_INTERNAL, "grpc: the request ends inside a message");
    else
        server_of(stream)->router->half_close(stream->call);
}

void server_stream_process(struct berth_stream *stream)
{
    if (stream->call != NULL && !stream->inbox.is_paused && inbox_is_holding(&stream->inbox))
        stream->connection->protocol->give_held(stream);
    if (stream->call != NULL && stream->is_writable_due) {
        stream->is_writable_due = false;
        server_of(stream)->router->writable(stream->call);
    }
    if (stream->is_remote_ended)
        server_stream_half_close(stream);
}

size_t server_message_length(const char *message)
{
    size_t length = strnlen(message, MESSAGE_MAX + 1);

    if (length <= MESSAGE_MAX)
        return length;
    length = MESSAGE_MAX;
    while (length > 0 && ((unsigned char)message[length] & 0xc0) == 0x80)
        length--;
    return length;
}

/* The sentence takes the place of the one before: a handler may retry without end. */
void server_stream_refuse_because(struct berth_stream *stream, const char *reason)
{
    if (stream->refusal == NULL)
        stream->refusal = berth_arena_take(&stream->arena, SERVER_REFUSAL_MAX);
    if (stream->refusal != NULL)
        snprintf(stream->refusal, SERVER_REFUSAL_MAX, "%s", reason);
}

void server_stream_refuse(struct berth_stream *stream, enum outflow_result why, size_t length, uint64_t most)
{
    char text[SERVER_REFUSAL_MAX] = "";

    describe_refusal(text, sizeof(text), stream->connection, why, length, most);
    /* Exceeding the shared budget is logged at the end of the turn, once for all calls. */
    if (why != OUTFLOW_NO_BUDGET)
        server_log(server_of(stream), SERVER_CAUSE_UNSENT, BERTH_RPC_LOG_WARN, "reply refused: %s peer=%s",
                   text, stream->connection->peer.address);
    server_stream_refuse_because(stream, text);
}

void server_stream_sent(struct berth_stream *stream)
{
    if (stream->refusal != NULL)
        stream->refusal[0] = '\0';
}

enum berth_code server_stream_send(struct berth_stream *stream, const void *message, size_t length,
                                   uint64_t most)
{
    enum outflow_result result =
        outflow_send(&stream->outflow, message, length, most, server_of(stream)->limits.max_queued_bytes);

    if (result == OUTFLOW_SENT) {
        server_stream_sent(stream);
        return BERTH_OK;
    }
    server_stream_refuse(stream, result, length, most);
    return BERTH_RESOURCE_EXHAUSTED;
}

const char *server_stream_refusal(struct berth_stream *stream)
{
    return stream->refusal == NULL || *stream->refusal == '\0' ? NULL : stream->refusal;
}

bool server_stream_can_send(struct berth_stream *stream)
{
    return outflow_can_send(&stream->outflow, server_of(stream)->limits.max_queued_bytes);
}

void server_stream_pause(struct berth_stream *stream)
{
    stream->inbox.is_paused = true;
}

void server_stream_resume(struct berth_stream *stream)
{
    stream->inbox.is_paused = false;
    server_stream_ready(stream);
}
