/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on the server over HTTP/2: passes its events to the router, and the router's replies to HTTP/2
 * (gRPC over HTTP/2, Responses).
 *
 * A stream is created by its HEADERS, in a callback of nghttp2, and destroyed after HTTP/2 has closed it, or
 * with its connection. It is destroyed only from the top level, because nghttp2 refers to its outflow until
 * then. The router's call ends first, in end(); from then on no event is delivered. Callbacks of nghttp2 and
 * of handlers only record what happened and queue the stream for server_stream_process.
 */
#include "http2.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>
#include <sdk/rpc/message/metadata.h>

/* Literals and strings in the call's arena: both outlive the frame. */
#define NO_COPY (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

static void put_head(struct http2_fields *fields, const struct berth_stream *stream)
{
    const struct request *request = &stream->request;

    http2_put(fields, ":status", request->http_status);
    http2_put(fields, "content-type",
              request->content_type != NULL ? request->content_type : "application/grpc");
    if (request->speaks_of_coding)
        http2_put(fields, "grpc-accept-encoding",
                  stream->connection->server->limits.compression == BERTH_RPC_COMPRESS_NEVER
                      ? "identity"
                      : CODING_ACCEPTED);
    http2_put_list(fields, &stream->headers);
}

/* How messages are compressed from here on, if ever: that is said once, ahead of them. */
static void put_coding(struct http2_fields *fields, struct berth_stream *stream)
{
    if (!stream->outflow.compresses)
        stream->outflow.coding = CODING_IDENTITY;
    if (stream->outflow.coding != CODING_IDENTITY)
        http2_put(fields, "grpc-encoding", coding_name(stream->outflow.coding));
}

/* Where not even that can be had, the peer learns of it by the end of the connection. */
static void reset(struct berth_stream *stream, uint32_t error)
{
    if (nghttp2_submit_rst_stream(stream->connection->http2.session, NGHTTP2_FLAG_NONE, stream->id, error) !=
        0)
        stream->connection->base.doom = "out of memory";
    connection_touch(&stream->connection->base);
}

/* Sends the headers, for what follows on them. @return false without memory; the stream is reset. */
static bool begin_response(struct berth_stream *stream)
{
    struct http2_fields fields = {
        .items = berth_arena_take(&stream->arena, (4 + stream->headers.count) * sizeof(nghttp2_nv)),
        .flags = NO_COPY,
    };
    nghttp2_data_provider provider = http2_provider(&stream->outflow);

    stream->is_submitted = true;
    if (fields.items == NULL) {
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return false;
    }
    put_head(&fields, stream);
    put_coding(&fields, stream);
    if (nghttp2_submit_response(stream->connection->http2.session, stream->id, fields.items, fields.count,
                                &provider) != 0) {
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return false;
    }
    connection_touch(&stream->connection->base);
    return true;
}

static bool add_message(struct berth_stream *stream, const char *message, size_t length)
{
    char *text = berth_arena_take(&stream->arena, PERCENT_ENCODED_MAX(length));

    return text != NULL &&
           metadata_add(&stream->trailers, &stream->arena,
                        (struct berth_metadata){"grpc-message", text,
                                                percent_encode(message, length, text)}) == BERTH_OK;
}

static bool add_details(struct berth_stream *stream, const void *details, size_t length)
{
    char *text = berth_arena_take(&stream->arena, BASE64_ENCODED_LENGTH(length));

    if (text == NULL)
        return false;
    base64_encode(details, length, text);
    return metadata_add(&stream->trailers, &stream->arena,
                        (struct berth_metadata){"grpc-status-details-bin", text,
                                                BASE64_ENCODED_LENGTH(length)}) == BERTH_OK;
}

/* @return false without memory. */
static bool add_status(struct berth_stream *stream, enum berth_code code, const char *message,
                       const void *details, size_t details_length)
{
    static const char *const numbers[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                          "9", "10", "11", "12", "13", "14", "15", "16"};
    const char *number = numbers[(unsigned)code <= BERTH_UNAUTHENTICATED ? (unsigned)code : BERTH_UNKNOWN];

    if (metadata_add(&stream->trailers, &stream->arena,
                     (struct berth_metadata){"grpc-status", number, strlen(number)}) != BERTH_OK)
        return false;
    if (message != NULL && message[0] != '\0' &&
        !add_message(stream, message, server_message_length(message)))
        return false;
    return details_length == 0 || add_details(stream, details, details_length);
}

static void send_trailers_only(struct berth_stream *stream)
{
    struct http2_fields fields = {
        .items = berth_arena_take(&stream->arena,
                                  (3 + stream->headers.count + stream->trailers.count) * sizeof(nghttp2_nv)),
        .flags = NO_COPY,
    };

    stream->is_submitted = true;
    if (fields.items == NULL) {
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    put_head(&fields, stream);
    http2_put_list(&fields, &stream->trailers);
    if (nghttp2_submit_response(stream->connection->http2.session, stream->id, fields.items, fields.count,
                                NULL) != 0)
        reset(stream, NGHTTP2_INTERNAL_ERROR);
    connection_touch(&stream->connection->base);
}

static void send_trailers(struct outflow *outflow)
{
    struct berth_stream *stream = CONTAINER_OF(outflow, struct berth_stream, outflow);
    struct http2_fields fields = {
        .items = berth_arena_take(&stream->arena, stream->trailers.count * sizeof(nghttp2_nv)),
        .flags = NO_COPY,
    };

    if (fields.items == NULL) {
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    http2_put_list(&fields, &stream->trailers);
    if (nghttp2_submit_trailer(stream->connection->http2.session, stream->id, fields.items, fields.count) !=
        0)
        reset(stream, NGHTTP2_INTERNAL_ERROR);
}

/* Sends the status, and the headers where they have not left. */
static void end_response(struct berth_stream *stream, enum berth_code code, const char *message,
                         const void *details, size_t details_length)
{
    if (stream->is_closed)
        return;
    if (!add_status(stream, code, message, details, details_length)) {
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    if (!stream->is_submitted) {
        send_trailers_only(stream);
        return;
    }
    stream->outflow.on_last = send_trailers;
    stream->outflow.is_ended = true;
    http2_wake(&stream->connection->http2, &stream->outflow, stream->id);
}

static const struct berth_stream_ops stream_ops;

static struct berth_rpc_server *server_of(const struct berth_stream *stream)
{
    return stream->connection->server;
}

static void on_room(struct outflow *outflow)
{
    struct berth_stream *stream = CONTAINER_OF(outflow, struct berth_stream, outflow);

    stream->is_writable_due = true;
    server_stream_ready(stream);
}

struct berth_stream *server_stream_create(struct server_connection *connection, int32_t id)
{
    struct berth_stream *stream = spares_take(&connection->server->streams);

    if (stream == NULL)
        return NULL;
    memset(stream, 0, offsetof(struct berth_stream, first));
    stream->connection = connection;
    stream->id = id;
    stream->inbox.framing.budget = &connection->unfinished;
    stream->inbox.framing.max_message_bytes = connection->server->limits.max_recv_message_bytes;
    stream->outflow.queued = &connection->base.queued;
    stream->outflow.on_room = on_room;
    stream->outflow.pool = &connection->server->engine.pool;
    berth_arena_init(&stream->arena, stream->first, sizeof(stream->first));
    request_init(&stream->request, &stream->arena);
    LIST_INSERT_HEAD(&connection->streams, stream, link);
    server_call_began(connection);
    return stream;
}

void server_stream_destroy(struct berth_stream *stream)
{
    struct berth_rpc_server *server = server_of(stream);

    if (stream->is_ready)
        TAILQ_REMOVE(&stream->connection->ready, stream, ready);
    deadlines_stop(&server->engine.deadlines, &stream->deadline);
    outflow_clear(&stream->outflow);
    http2_consume(&stream->connection->http2, stream->id, inbox_finish(&stream->inbox));
    berth_arena_finish(&stream->arena);
    LIST_REMOVE(stream, link);
    server_call_ended(stream->connection);
    spares_give(&server->streams, stream);
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

static void end(struct berth_stream *stream, enum berth_code code, const char *message, const void *details,
                size_t details_length)
{
    struct berth_rpc_server *server = server_of(stream);

    if (stream->is_ended)
        return;
    stream->is_ended = true;
    stream->call = NULL;
    if (stream->inbox.framing.partial.bytes != NULL)
        server_stream_ready(stream);
    deadlines_stop(&server->engine.deadlines, &stream->deadline);
    server_count_end(server, code);
    end_response(stream, code, message, details, details_length);
}

/* Queued messages may wait for the peer forever, and the status behind them; so they are dropped. */
static void drop_output(struct berth_stream *stream)
{
    bool is_clean = stream->outflow.outbox.length == 0;

    outflow_clear(&stream->outflow);
    if (!is_clean && !stream->is_closed)
        nghttp2_submit_rst_stream(stream->connection->http2.session, NGHTTP2_FLAG_NONE, stream->id,
                                  NGHTTP2_CANCEL);
}

void server_stream_abort(struct berth_stream *stream, enum berth_code code, const char *message)
{
    struct berth_call *call = stream->call;

    if (stream->is_ended)
        return;
    if (code == BERTH_DEADLINE_EXCEEDED)
        drop_output(stream);
    end(stream, code, message, NULL, 0);
    if (call != NULL)
        server_of(stream)->router->cancel(call, code == BERTH_DEADLINE_EXCEEDED ? code : BERTH_CANCELLED);
}

static void on_overdue(struct deadline *deadline)
{
    struct berth_stream *stream = CONTAINER_OF(deadline, struct berth_stream, deadline);

    server_stream_abort(stream, BERTH_DEADLINE_EXCEEDED, "deadline exceeded");
}

/* @return false where there is no time left. */
static bool start_deadline(struct berth_stream *stream, uint64_t *ret_deadline_ns)
{
    uint64_t timeout = stream->request.timeout_ns;

    *ret_deadline_ns = 0;
    if (timeout == UINT64_MAX)
        return true;
    if (timeout == 0) {
        end(stream, BERTH_DEADLINE_EXCEEDED, "deadline exceeded before the call arrived", NULL, 0);
        return false;
    }
    *ret_deadline_ns = uv_hrtime() + timeout;
    if (deadlines_start(&server_of(stream)->engine.deadlines, &stream->deadline, *ret_deadline_ns,
                        on_overdue))
        return true;
    end(stream, BERTH_RESOURCE_EXHAUSTED, "out of memory", NULL, 0);
    return false;
}

static void take_codings(struct berth_stream *stream)
{
    struct berth_rpc_server *server = server_of(stream);

    stream->inbox.codec = &server->engine.codec;
    stream->inbox.coding = stream->request.coding;
    stream->inbox.framing.takes_compressed = stream->request.coding != CODING_IDENTITY;
    stream->outflow.codec = &server->engine.codec;
    stream->outflow.coding = stream->request.accepted;
    stream->outflow.compresses = server->limits.compression == BERTH_RPC_COMPRESS_ALWAYS;
}

static void open_call(struct berth_stream *stream)
{
    struct request *request = &stream->request;
    struct berth_call_request opening = {
        .size = sizeof(opening),
        .path = request->path,
        .transport = server_of(stream)->transport,
        .peer = &stream->connection->peer.who,
        .metadata = request->metadata.items,
        .metadata_count = request->metadata.count,
        .stream = stream,
        .stream_ops = &stream_ops,
    };
    const struct berth_router *router = server_of(stream)->router;
    struct berth_call *call;

    stream->is_opened = true;
    server_of(stream)->stats.calls_opened++;
    request_complete(request, server_of(stream)->limits.compression != BERTH_RPC_COMPRESS_NEVER);
    if (request->code != BERTH_OK) {
        end(stream, request->code, request->message, NULL, 0);
        return;
    }
    if (stream->connection->refusal != NULL) {
        end(stream, BERTH_UNIMPLEMENTED, stream->connection->refusal, NULL, 0);
        return;
    }
    take_codings(stream);
    if (!start_deadline(stream, &opening.deadline_ns))
        return;
    call = router->open(router, &opening);
    if (stream->is_ended || call == NULL)
        return;
    stream->call = call;
    stream->inbox.takes_one = call->kind == BERTH_METHOD_UNARY || call->kind == BERTH_METHOD_SERVER_STREAM;
}

static bool has_deliver_last(const struct berth_router *router)
{
    return router->size > offsetof(struct berth_router, deliver_last) && router->deliver_last != NULL;
}

static bool deliver(void *context, const void *message, size_t length)
{
    struct berth_stream *stream = context;
    const struct berth_router *router = server_of(stream)->router;

    if (!stream->inbox.takes_one || !stream->inbox.is_last || !has_deliver_last(router)) {
        router->deliver(stream->call, message, length);
    } else {
        stream->is_half_close_told = true;
        router->deliver_last(stream->call, message, length);
    }
    return stream->call != NULL;
}

static void complain(struct berth_stream *stream, enum framing_state state, const struct span *message)
{
    uint64_t limit = server_of(stream)->limits.max_recv_message_bytes;
    char text[160];

    switch (state) {
    case FRAMING_MORE:
    case FRAMING_MESSAGE:
        break;
    case FRAMING_COMPRESSED:
        server_stream_abort(stream, BERTH_INTERNAL,
                            "grpc: compressed flag set with identity or empty encoding");
        break;
    case FRAMING_BAD_FLAG:
        server_stream_abort(stream, BERTH_INTERNAL, "grpc: received a message with an unknown flag");
        break;
    case FRAMING_TOO_LARGE:
        snprintf(text, sizeof(text), "grpc: received message larger than max (%zu vs. %" PRIu64 ")",
                 message->length, limit);
        server_stream_abort(stream, BERTH_RESOURCE_EXHAUSTED, text);
        break;
    case FRAMING_BROKEN:
        server_stream_abort(stream, BERTH_INTERNAL, "grpc: failed to decompress the received message");
        break;
    case FRAMING_TOO_LARGE_EXPANDED:
        snprintf(text, sizeof(text),
                 "grpc: received message of %zu bytes is larger than max when decompressed (at least %" PRIu64
                 " vs. %" PRIu64 ")",
                 message->length, limit + 1, limit);
        server_stream_abort(stream, BERTH_RESOURCE_EXHAUSTED, text);
        break;
    case FRAMING_NO_ROOM:
        server_stream_abort(stream, BERTH_RESOURCE_EXHAUSTED,
                            server_describe_no_room(stream->connection, text, sizeof(text)));
        break;
    }
}

void server_stream_take(struct berth_stream *stream, const uint8_t *bytes, size_t length, bool is_last)
{
    struct span bad = {0};
    enum framing_state state;
    size_t eaten = length;

    if (stream->call != NULL) {
        stream->inbox.is_ending = is_last;
        state = inbox_take(&stream->inbox, bytes, length, deliver, stream, &eaten, &bad);
        complain(stream, state, &bad);
    }
    http2_consume(&stream->connection->http2, stream->id, eaten);
}

static void tell_half_close(struct berth_stream *stream)
{
    if (stream->inbox.is_paused || inbox_is_holding(&stream->inbox))
        return;
    stream->is_half_close_told = true;
    if (framing_is_inside(&stream->inbox.framing))
        server_stream_abort(stream, BERTH_INTERNAL, "grpc: the request ends inside a message");
    else
        server_of(stream)->router->half_close(stream->call);
}

/* The answer may wait for its peer for long, and the request need not wait with it. */
static void drop_input(struct berth_stream *stream)
{
    http2_consume(&stream->connection->http2, stream->id, inbox_finish(&stream->inbox));
}

void server_stream_process(struct berth_stream *stream)
{
    stream->is_ready = false;
    if (stream->is_ended)
        drop_input(stream);
    if (stream->has_headers && !stream->is_opened)
        open_call(stream);
    if (stream->call != NULL && !stream->inbox.is_paused && inbox_is_holding(&stream->inbox))
        server_stream_take(stream, NULL, 0, stream->is_remote_ended);
    if (stream->call != NULL && stream->is_writable_due) {
        stream->is_writable_due = false;
        server_of(stream)->router->writable(stream->call);
    }
    if (stream->call != NULL && stream->is_remote_ended && !stream->is_half_close_told)
        tell_half_close(stream);
    if (!stream->is_closed)
        return;
    if (stream->is_opened)
        server_stream_abort(stream, BERTH_CANCELLED, NULL);
    server_stream_destroy(stream);
}

static enum berth_code send_message(struct berth_stream *stream, const void *message, size_t length)
{
    const struct berth_rpc_server_options *limits = &server_of(stream)->limits;
    uint64_t most = limits->max_send_message_bytes;
    enum outflow_result result =
        outflow_send(&stream->outflow, message, length, most, limits->max_queued_bytes);

    if (stream->refusal != NULL)
        stream->refusal[0] = '\0';
    if (result != OUTFLOW_SENT) {
        stream->refusal =
            server_refuse_message(stream->connection, &stream->arena, stream->refusal, result, length, most);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (!stream->is_submitted && !begin_response(stream))
        return BERTH_RESOURCE_EXHAUSTED;
    http2_wake(&stream->connection->http2, &stream->outflow, stream->id);
    return BERTH_OK;
}

static bool can_send(struct berth_stream *stream)
{
    return outflow_can_send(&stream->outflow, server_of(stream)->limits.max_queued_bytes);
}

static enum berth_code add_header(struct berth_stream *stream, const char *key, const void *value,
                                  size_t length)
{
    if (stream->is_submitted)
        return BERTH_FAILED_PRECONDITION;
    return metadata_prepare(&stream->headers, &stream->arena, key, value, length);
}

static enum berth_code add_trailer(struct berth_stream *stream, const char *key, const void *value,
                                   size_t length)
{
    return metadata_prepare(&stream->trailers, &stream->arena, key, value, length);
}

static enum berth_code send_headers(struct berth_stream *stream)
{
    if (stream->is_submitted)
        return BERTH_FAILED_PRECONDITION;
    return begin_response(stream) ? BERTH_OK : BERTH_RESOURCE_EXHAUSTED;
}

static void pause_stream(struct berth_stream *stream)
{
    stream->inbox.is_paused = true;
}

static void resume_stream(struct berth_stream *stream)
{
    stream->inbox.is_paused = false;
    server_stream_ready(stream);
}

/* The peer was told the compression ahead of the messages, so it can only be chosen before that. */
static enum berth_code compress(struct berth_stream *stream, bool wanted)
{
    if (wanted && stream->is_submitted && stream->outflow.coding != stream->request.accepted)
        return BERTH_FAILED_PRECONDITION;
    stream->outflow.compresses = wanted;
    return BERTH_OK;
}

static bool came_compressed(struct berth_stream *stream)
{
    return stream->inbox.framing.was_compressed;
}

static const char *refusal_of(struct berth_stream *stream)
{
    return stream->refusal == NULL || *stream->refusal == '\0' ? NULL : stream->refusal;
}

static const struct berth_stream_ops stream_ops = {
    .size = sizeof(stream_ops),
    .send = send_message,
    .can_send = can_send,
    .add_header = add_header,
    .add_trailer = add_trailer,
    .send_headers = send_headers,
    .finish = end,
    .pause = pause_stream,
    .resume = resume_stream,
    .compress = compress,
    .came_compressed = came_compressed,
    .refusal = refusal_of,
};
