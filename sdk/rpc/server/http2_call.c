/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on the server over HTTP/2 (gRPC over HTTP/2, Responses): created by its HEADERS, in a callback of
 * nghttp2, and destroyed after HTTP/2 has closed the stream, or with its connection. It is destroyed only
 * from the top level, because nghttp2 refers to its outflow until then.
 */
#include "http2_call.h"

#include <string.h>

#include <sdk/base/base64.h>
#include <sdk/base/container_of.h>
#include <sdk/rpc/message/metadata.h>

/* Literals and strings in the call's arena: both outlive the frame. */
#define NO_COPY (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

static void put_head(struct http2_fields *fields, const struct server_http2_call *self)
{
    const struct request *request = &self->request;

    http2_put(fields, ":status", request->http_status);
    http2_put(fields, "content-type",
              request->content_type != NULL ? request->content_type : "application/grpc");
    if (request->speaks_of_coding)
        http2_put(fields, "grpc-accept-encoding",
                  self->base.connection->server->limits.compression == BERTH_RPC_COMPRESS_NEVER
                      ? "identity"
                      : CODING_ACCEPTED);
    http2_put_list(fields, &self->headers);
}

/* How messages are compressed from here on, if ever: that is said once, ahead of them. */
static void put_coding(struct http2_fields *fields, struct server_http2_call *self)
{
    if (!self->base.outflow.compresses)
        self->base.outflow.coding = CODING_IDENTITY;
    if (self->base.outflow.coding != CODING_IDENTITY)
        http2_put(fields, "grpc-encoding", coding_name(self->base.outflow.coding));
}

/* If even that fails, the peer learns of it when the connection ends. */
static void reset(struct server_http2_call *self, uint32_t error)
{
    if (nghttp2_submit_rst_stream(self->base.connection->http2.session, NGHTTP2_FLAG_NONE, self->id, error) !=
        0)
        self->base.connection->base.doom = "out of memory";
    connection_touch(&self->base.connection->base);
}

/* Sends the headers, for what follows on them. @return false without memory; the stream is reset. */
static bool begin_response(struct server_http2_call *self)
{
    struct http2_fields fields = {
        .items = berth_arena_take(&self->base.arena, (4 + self->headers.count) * sizeof(nghttp2_nv)),
        .flags = NO_COPY,
    };
    nghttp2_data_provider provider = http2_provider(&self->base.outflow);

    self->is_submitted = true;
    if (fields.items == NULL) {
        reset(self, NGHTTP2_INTERNAL_ERROR);
        return false;
    }
    put_head(&fields, self);
    put_coding(&fields, self);
    if (nghttp2_submit_response(self->base.connection->http2.session, self->id, fields.items, fields.count,
                                &provider) != 0) {
        reset(self, NGHTTP2_INTERNAL_ERROR);
        return false;
    }
    connection_touch(&self->base.connection->base);
    return true;
}

static bool add_message(struct server_http2_call *self, const char *message, size_t length)
{
    char *text = berth_arena_take(&self->base.arena, PERCENT_ENCODED_MAX(length));

    return text != NULL &&
           metadata_add(&self->trailers, &self->base.arena,
                        (struct berth_metadata){"grpc-message", text,
                                                percent_encode(message, length, text)}) == BERTH_OK;
}

static bool add_details(struct server_http2_call *self, const void *details, size_t length)
{
    char *text = berth_arena_take(&self->base.arena, BASE64_ENCODED_LENGTH(length));

    if (text == NULL)
        return false;
    base64_encode(details, length, text);
    return metadata_add(&self->trailers, &self->base.arena,
                        (struct berth_metadata){"grpc-status-details-bin", text,
                                                BASE64_ENCODED_LENGTH(length)}) == BERTH_OK;
}

/* @return false without memory. */
static bool add_status(struct server_http2_call *self, enum berth_code code, const char *message,
                       const void *details, size_t details_length)
{
    static const char *const numbers[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                          "9", "10", "11", "12", "13", "14", "15", "16"};
    const char *number = numbers[(unsigned)code <= BERTH_UNAUTHENTICATED ? (unsigned)code : BERTH_UNKNOWN];

    if (metadata_add(&self->trailers, &self->base.arena,
                     (struct berth_metadata){"grpc-status", number, strlen(number)}) != BERTH_OK)
        return false;
    if (message != NULL && message[0] != '\0' && !add_message(self, message, server_message_length(message)))
        return false;
    return details_length == 0 || add_details(self, details, details_length);
}

static void send_trailers_only(struct server_http2_call *self)
{
    struct http2_fields fields = {
        .items = berth_arena_take(&self->base.arena,
                                  (3 + self->headers.count + self->trailers.count) * sizeof(nghttp2_nv)),
        .flags = NO_COPY,
    };

    self->is_submitted = true;
    if (fields.items == NULL) {
        reset(self, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    put_head(&fields, self);
    http2_put_list(&fields, &self->trailers);
    if (nghttp2_submit_response(self->base.connection->http2.session, self->id, fields.items, fields.count,
                                NULL) != 0)
        reset(self, NGHTTP2_INTERNAL_ERROR);
    connection_touch(&self->base.connection->base);
}

static void send_trailers(struct outflow *outflow)
{
    struct server_http2_call *self = CONTAINER_OF(outflow, struct server_http2_call, base.outflow);
    struct http2_fields fields = {
        .items = berth_arena_take(&self->base.arena, self->trailers.count * sizeof(nghttp2_nv)),
        .flags = NO_COPY,
    };

    if (fields.items == NULL) {
        reset(self, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    http2_put_list(&fields, &self->trailers);
    if (nghttp2_submit_trailer(self->base.connection->http2.session, self->id, fields.items, fields.count) !=
        0)
        reset(self, NGHTTP2_INTERNAL_ERROR);
}

/* Sends the status, and the headers where they have not left. */
static void end_response(struct server_http2_call *self, enum berth_code code, const char *message,
                         const void *details, size_t details_length)
{
    if (self->is_closed)
        return;
    if (!add_status(self, code, message, details, details_length)) {
        reset(self, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    if (!self->is_submitted) {
        send_trailers_only(self);
        return;
    }
    self->base.outflow.on_last = send_trailers;
    self->base.outflow.is_ended = true;
    http2_wake(&self->base.connection->http2, &self->base.outflow, self->id);
}

struct server_http2_call *http2_call_create(struct server_connection *connection, int32_t id)
{
    struct server_http2_call *self = spares_take(&connection->server->http2_calls);

    if (self == NULL)
        return NULL;
    memset(self, 0, offsetof(struct server_http2_call, first));
    self->id = id;
    server_stream_init(&self->base, connection, self->first, sizeof(self->first));
    request_init(&self->request, &self->base.arena);
    LIST_INSERT_HEAD(&connection->http2_calls, self, link);
    return self;
}

void http2_call_destroy(struct server_http2_call *self)
{
    struct server_connection *connection = self->base.connection;

    LIST_REMOVE(self, link);
    http2_consume(&connection->http2, self->id, server_stream_finish(&self->base));
    spares_give(&connection->server->http2_calls, self);
}

static struct server_http2_call *from_stream(struct berth_stream *stream)
{
    return CONTAINER_OF(stream, struct server_http2_call, base);
}

static void finish(struct berth_stream *stream, enum berth_code code, const char *message,
                   const void *details, size_t details_length)
{
    if (!server_stream_end(stream, code))
        return;
    if (stream->inbox.framing.partial.bytes != NULL)
        server_stream_ready(stream);
    end_response(from_stream(stream), code, message, details, details_length);
}

/* Queued messages may wait for the peer forever, and the status behind them; so they are dropped. */
void http2_call_drop_output(struct berth_stream *stream)
{
    struct server_http2_call *self = from_stream(stream);
    bool is_clean = stream->outflow.outbox.length == 0;

    outflow_clear(&stream->outflow);
    if (!is_clean && !self->is_closed)
        nghttp2_submit_rst_stream(stream->connection->http2.session, NGHTTP2_FLAG_NONE, self->id,
                                  NGHTTP2_CANCEL);
}

static void take_codings(struct server_http2_call *self)
{
    struct berth_rpc_server *server = self->base.connection->server;

    self->base.inbox.codec = &server->engine.codec;
    self->base.inbox.coding = self->request.coding;
    self->base.inbox.framing.takes_compressed = self->request.coding != CODING_IDENTITY;
    self->base.outflow.codec = &server->engine.codec;
    self->base.outflow.coding = self->request.accepted;
    self->base.outflow.compresses = server->limits.compression == BERTH_RPC_COMPRESS_ALWAYS;
}

static void open_call(struct server_http2_call *self)
{
    struct berth_rpc_server *server = self->base.connection->server;
    struct request *request = &self->request;

    self->is_opened = true;
    server->stats.calls_opened++;
    request_complete(request, server->limits.compression != BERTH_RPC_COMPRESS_NEVER);
    if (request->code != BERTH_OK) {
        finish(&self->base, request->code, request->message, NULL, 0);
        return;
    }
    if (self->base.connection->refusal != NULL) {
        finish(&self->base, BERTH_UNIMPLEMENTED, self->base.connection->refusal, NULL, 0);
        return;
    }
    take_codings(self);
    if (server_stream_open(&self->base, request->path, server->transport, &request->metadata,
                           request->timeout_ns))
        self->base.inbox.takes_one = server_stream_takes_one(&self->base);
}

static bool deliver(void *context, const void *message, size_t length)
{
    struct berth_stream *stream = context;

    return stream->inbox.takes_one && stream->inbox.is_last
               ? server_stream_deliver_last(stream, message, length)
               : server_stream_deliver(stream, message, length);
}

static const struct server_framing_words framing_words = {
    .code = BERTH_INTERNAL,
    .prefix = "grpc: ",
    .compressed = "grpc: compressed flag set with identity or empty encoding",
    .bad_flag = "grpc: received a message with an unknown flag",
};

void http2_call_take(struct server_http2_call *self, const uint8_t *bytes, size_t length, bool is_last)
{
    struct inbox *inbox = &self->base.inbox;
    struct span bad = {0};
    size_t eaten = length;

    if (self->base.call != NULL) {
        inbox->is_ending = is_last;
        server_stream_complain(&self->base,
                               inbox_take(inbox, bytes, length, deliver, &self->base, &eaten, &bad), &bad,
                               &framing_words);
    }
    http2_consume(&self->base.connection->http2, self->id, eaten);
}

void http2_call_give_held(struct berth_stream *stream)
{
    http2_call_take(from_stream(stream), NULL, 0, stream->is_remote_ended);
}

/* The answer may wait for its peer for long, and the request need not wait with it. */
static void drop_input(struct server_http2_call *self)
{
    http2_consume(&self->base.connection->http2, self->id, inbox_finish(&self->base.inbox));
}

void http2_call_process(struct server_http2_call *self)
{
    if (self->base.is_ended)
        drop_input(self);
    if (self->has_headers && !self->is_opened)
        open_call(self);
    server_stream_process(&self->base);
    if (!self->is_closed)
        return;
    if (self->is_opened)
        server_stream_abort(&self->base, BERTH_CANCELLED, NULL);
    http2_call_destroy(self);
}

static enum berth_code send_message(struct berth_stream *stream, const void *message, size_t length)
{
    struct server_http2_call *self = from_stream(stream);
    enum berth_code code = server_stream_send(stream, message, length,
                                              stream->connection->server->limits.max_send_message_bytes);

    if (code != BERTH_OK)
        return code;
    if (!self->is_submitted && !begin_response(self))
        return BERTH_RESOURCE_EXHAUSTED;
    http2_wake(&stream->connection->http2, &stream->outflow, self->id);
    return BERTH_OK;
}

static enum berth_code add_header(struct berth_stream *stream, const char *key, const void *value,
                                  size_t length)
{
    struct server_http2_call *self = from_stream(stream);

    if (self->is_submitted)
        return BERTH_FAILED_PRECONDITION;
    return metadata_prepare(&self->headers, &stream->arena, key, value, length);
}

static enum berth_code add_trailer(struct berth_stream *stream, const char *key, const void *value,
                                   size_t length)
{
    return metadata_prepare(&from_stream(stream)->trailers, &stream->arena, key, value, length);
}

static enum berth_code send_headers(struct berth_stream *stream)
{
    struct server_http2_call *self = from_stream(stream);

    if (self->is_submitted)
        return BERTH_FAILED_PRECONDITION;
    return begin_response(self) ? BERTH_OK : BERTH_RESOURCE_EXHAUSTED;
}

/* The compression is announced before the messages, so it can only be chosen before them. */
static enum berth_code compress(struct berth_stream *stream, bool wanted)
{
    const struct server_http2_call *self = from_stream(stream);

    if (wanted && self->is_submitted && stream->outflow.coding != self->request.accepted)
        return BERTH_FAILED_PRECONDITION;
    stream->outflow.compresses = wanted;
    return BERTH_OK;
}

static bool came_compressed(struct berth_stream *stream)
{
    return stream->inbox.framing.was_compressed;
}

const struct berth_stream_ops http2_call_ops = {
    .size = sizeof(http2_call_ops),
    .send = send_message,
    .can_send = server_stream_can_send,
    .add_header = add_header,
    .add_trailer = add_trailer,
    .send_headers = send_headers,
    .finish = finish,
    .pause = server_stream_pause,
    .resume = server_stream_resume,
    .compress = compress,
    .came_compressed = came_compressed,
    .refusal = server_stream_refusal,
};
