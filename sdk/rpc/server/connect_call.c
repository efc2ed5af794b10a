/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of the Connect protocol, over the HTTP/1.1 server's requests and responses: created by a request
 * whose body is whole, and destroyed when its response is over.
 */
#include "connect_call.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>

#include "connect_response.h"

/* Metadata of one response; the server's own bound on header fields leaves room for it and for the rest. */
#define METADATA_COUNT_MAX 64
#define METADATA_BYTES_MAX (32 * 1024)

static struct server_connect_call *from_stream(struct berth_stream *stream)
{
    return CONTAINER_OF(stream, struct server_connect_call, base);
}

bool connect_call_find_method(const struct berth_rpc_server *server, const char *path,
                              struct berth_method_info *ret_method, struct berth_route_info *ret_route)
{
    const struct berth_router *router = server->router;

    return router->size > offsetof(struct berth_router, find) && router->find != NULL &&
           router->find(router, path, server->transport, ret_method, ret_route);
}

static void finish(struct berth_stream *stream, enum berth_code code, const char *message,
                   const void *details, size_t details_length)
{
    struct server_connect_call *self = from_stream(stream);
    struct connect_end end = {code, NULL, details, details_length};

    if (!server_stream_end(stream, code))
        return;
    if (message != NULL)
        end.message = berth_arena_copy(&stream->arena, message, server_message_length(message));
    connect_response_end(self, &end);
}

/* Queued data is part of a body that cannot be taken back: the error follows it. */
void connect_call_drop_output(struct berth_stream *stream)
{
}

/* Looks up the types of the call's messages, once. */
static enum berth_code find_types(struct server_connect_call *self, struct berth_error *err)
{
    const struct berth_rpc_connect_json *json = connect_call_settings(self)->json;
    struct berth_method_info method;
    struct berth_route_info route;

    if (self->types != NULL)
        return BERTH_OK;
    if (!connect_call_find_method(connect_call_server(self), self->path, &method, &route))
        return berth_error_set(err, BERTH_UNAVAILABLE, "the method no longer exists");
    return json->find(json->context, &method, &route, &self->types, err);
}

/* @return BERTH_OK with `ret_text`; otherwise the stream has the reason. */
static enum berth_code write_json(struct server_connect_call *self, const void *message, size_t length,
                                  uint64_t most, char **ret_text, size_t *ret_length)
{
    const struct berth_rpc_connect_json *json = connect_call_settings(self)->json;
    char text[SERVER_REFUSAL_MAX];
    struct berth_error err = {0};
    enum berth_code code = find_types(self, &err);

    if (code == BERTH_OK)
        code = json->from_message(self->types, message, length, most, ret_text, ret_length, &err);
    if (code == BERTH_OK)
        return code;
    snprintf(text, sizeof(text), "cannot write the reply as JSON: %.200s", err.message);
    server_stream_refuse_because(&self->base, text);
    return code == BERTH_RESOURCE_EXHAUSTED ? code : BERTH_INTERNAL;
}

static enum berth_code send_message(struct berth_stream *stream, const void *message, size_t length)
{
    struct server_connect_call *self = from_stream(stream);
    uint64_t most = connect_call_server(self)->limits.max_send_message_bytes;
    enum berth_code code;
    char *text = NULL;

    if (length > most) {
        server_stream_refuse(stream, OUTFLOW_TOO_LARGE, length, most);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (self->is_json) {
        code = write_json(self, message, length, most, &text, &length);
        if (code != BERTH_OK)
            return code;
        message = text;
    }
    if (self->is_stream) {
        code = connect_response_send(self, message, length, most);
        free(text);
    } else {
        code = connect_response_keep(self, message, length, text, most);
    }
    if (code == BERTH_OK)
        server_stream_sent(stream);
    return code;
}

static bool can_send(struct berth_stream *stream)
{
    return berth_http_can_write(from_stream(stream)->http);
}

/* Fields whose meaning is HTTP's or the protocol's. Others are kept from the headers of a unary response,
 * where trailers are, by their prefix. */
static bool is_reserved(const char *key, bool is_header)
{
    static const char *const names[] = {"content-encoding", "accept-encoding", "date", "trailer"};
    static const char *const prefixes[] = {"connect-", "access-control-"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], key) == 0)
            return true;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(prefixes[i], key, strlen(prefixes[i])) == 0)
            return true;
    return is_header && strncmp(CONNECT_TRAILER_PREFIX, key, strlen(CONNECT_TRAILER_PREFIX)) == 0;
}

static enum berth_code add_metadata(struct server_connect_call *self, struct metadata_list *list,
                                    const char *key, const void *value, size_t length)
{
    size_t bytes = 2 * strlen(key) + length;

    if (is_reserved(key, list == &self->headers) ||
        self->headers.count + self->trailers.count >= METADATA_COUNT_MAX ||
        bytes > METADATA_BYTES_MAX - self->metadata_bytes)
        return BERTH_INVALID_ARGUMENT;
    self->metadata_bytes += bytes;
    return metadata_prepare(list, &self->base.arena, key, value, length);
}

static enum berth_code add_header(struct berth_stream *stream, const char *key, const void *value,
                                  size_t length)
{
    struct server_connect_call *self = from_stream(stream);

    return self->has_begun ? BERTH_FAILED_PRECONDITION
                           : add_metadata(self, &self->headers, key, value, length);
}

static enum berth_code add_trailer(struct berth_stream *stream, const char *key, const void *value,
                                   size_t length)
{
    struct server_connect_call *self = from_stream(stream);

    return add_metadata(self, &self->trailers, key, value, length);
}

/* Those of a unary response cannot leave before its status is known. */
static enum berth_code send_headers(struct berth_stream *stream)
{
    struct server_connect_call *self = from_stream(stream);

    if (self->has_begun)
        return BERTH_FAILED_PRECONDITION;
    if (self->is_stream)
        connect_response_begin_stream(self);
    return BERTH_OK;
}

/* A stream's coding is announced before its messages. */
static enum berth_code set_compression(struct berth_stream *stream, bool wanted)
{
    struct server_connect_call *self = from_stream(stream);

    if (wanted && self->has_begun && self->is_stream && !self->tells_coding &&
        self->request.accepted != CODING_IDENTITY)
        return BERTH_FAILED_PRECONDITION;
    stream->outflow.compresses = wanted;
    return BERTH_OK;
}

static bool came_compressed(struct berth_stream *stream)
{
    return from_stream(stream)->came_compressed || stream->inbox.framing.was_compressed;
}

const struct berth_stream_ops connect_call_ops = {
    .size = sizeof(connect_call_ops),
    .send = send_message,
    .can_send = can_send,
    .add_header = add_header,
    .add_trailer = add_trailer,
    .send_headers = send_headers,
    .finish = finish,
    .pause = server_stream_pause,
    .resume = server_stream_resume,
    .compress = set_compression,
    .came_compressed = came_compressed,
    .refusal = server_stream_refusal,
};

static bool deliver_message(struct berth_stream *stream, const void *message, size_t length)
{
    return stream->inbox.takes_one && stream->inbox.is_last
               ? server_stream_deliver_last(stream, message, length)
               : server_stream_deliver(stream, message, length);
}

/* An inbox_deliver. */
static bool deliver(void *context, const void *bytes, size_t length)
{
    struct berth_stream *stream = context;
    struct server_connect_call *self = from_stream(stream);
    const struct berth_rpc_connect_json *json = connect_call_settings(self)->json;
    struct berth_error err = {0};
    enum berth_code code;
    void *message;
    bool goes_on;

    if (!self->is_json)
        return deliver_message(stream, bytes, length);
    code = find_types(self, &err);
    if (code == BERTH_OK)
        code = json->to_message(self->types, bytes, length,
                                connect_call_server(self)->limits.max_recv_message_bytes, &message, &length,
                                &err);
    if (code != BERTH_OK) {
        server_stream_abort(stream, code, err.message);
        return false;
    }
    goes_on = deliver_message(stream, message, length);
    free(message);
    return goes_on;
}

static const struct server_framing_words framing_words = {
    .code = BERTH_INVALID_ARGUMENT,
    .prefix = "",
    .compressed = "an envelope is flagged as compressed, without connect-content-encoding",
    .bad_flag = "an envelope has flags other than 0 and 1 (compressed)",
};

static void complain(struct berth_stream *stream, enum framing_state state, const struct span *message)
{
    server_stream_complain(stream, state, message, &framing_words);
}

static void take_envelopes(struct server_connect_call *self, const void *bytes, size_t length)
{
    struct berth_stream *stream = &self->base;
    struct inbox *inbox = &stream->inbox;
    struct span bad = {0};
    size_t eaten;

    if (stream->call == NULL)
        return;
    inbox->is_ending = true;
    complain(stream, inbox_take(inbox, bytes, length, deliver, stream, &eaten, &bad), &bad);
    if (stream->call == NULL || inbox->is_paused || inbox_is_holding(inbox))
        return;
    if (framing_is_inside(&inbox->framing))
        server_stream_abort(stream, BERTH_INVALID_ARGUMENT, "the request ends inside an envelope");
    else
        server_stream_half_close(stream);
}

void connect_call_give_held(struct berth_stream *stream)
{
    take_envelopes(from_stream(stream), NULL, 0);
}

static void take_plain(struct server_connect_call *self, const void *bytes, size_t length)
{
    struct inbox *inbox = &self->base.inbox;
    char text[160];

    inbox->is_ending = true;
    inbox->is_last = true;
    if (!inbox->is_paused)
        deliver(&self->base, bytes, length);
    else if (!inbox_hold(inbox, bytes, length))
        server_stream_abort(&self->base, BERTH_RESOURCE_EXHAUSTED,
                            server_describe_no_room(self->base.connection, text, sizeof(text)));
}

static void take_bare(struct server_connect_call *self, struct span message)
{
    struct codec *codec = &connect_call_server(self)->engine.codec;
    enum framing_state state;
    const void *plain;
    size_t length;

    if (self->request.coding == CODING_IDENTITY || message.length == 0) {
        take_plain(self, message.bytes, message.length);
        return;
    }
    state = framing_state_of(codec_expand(codec, self->request.coding, message.bytes, message.length,
                                          connect_call_server(self)->limits.max_recv_message_bytes, &plain,
                                          &length));
    complain(&self->base, state, &message);
    if (state != FRAMING_MESSAGE)
        return;
    self->came_compressed = true;
    take_plain(self, plain, length);
    codec_release_plain(codec);
}

static void take_request(struct server_connect_call *self)
{
    struct berth_http_request *http = self->http;
    struct span body = {http->body, http->body_length};

    self->base.inbox.takes_one = server_stream_takes_one(&self->base);
    self->base.is_remote_ended = true;
    if (self->is_stream) {
        take_envelopes(self, body.bytes, body.length);
        return;
    }
    take_bare(self, connect_is_get(http->method) ? self->request.message : body);
    server_stream_half_close(&self->base);
}

static void take_codings(struct server_connect_call *self)
{
    struct berth_rpc_server *server = connect_call_server(self);

    self->base.inbox.codec = &server->engine.codec;
    self->base.inbox.coding = self->request.coding;
    self->base.inbox.framing.takes_compressed = self->request.coding != CODING_IDENTITY;
    self->base.outflow.compresses = server->limits.compression == BERTH_RPC_COMPRESS_ALWAYS;
}

/* @return false if it cannot be what its content type says. */
static bool read_request(struct server_connect_call *self)
{
    const struct berth_http_request *http = self->http;
    bool gets = connect_is_get(http->method);

    self->request.arena = &self->base.arena;
    if (gets)
        connect_query_codec(http->query, &self->is_json);
    else
        connect_type_parse(berth_http_header(http, "content-type"), self->is_stream, &self->is_json);
    connect_request_read(&self->request, http->headers, http->header_count, gets ? http->query : NULL,
                         self->is_stream,
                         connect_call_server(self)->limits.compression != BERTH_RPC_COMPRESS_NEVER);
    if (self->request.code == BERTH_OK && self->is_json && connect_call_settings(self)->json == NULL) {
        self->request.code = BERTH_UNIMPLEMENTED;
        self->request.reason = "this server cannot read JSON; send protobuf";
    }
    return self->request.code == BERTH_OK;
}

void connect_call_on_request(struct berth_http_request *request)
{
    struct server_connection *connection = request->instance;
    struct berth_rpc_server *server = connection->server;
    struct berth_method_info method;
    struct berth_route_info route;
    struct server_connect_call *self = NULL;

    if (connect_call_find_method(server, request->path, &method, &route))
        self = spares_take(&server->connect_calls);
    if (self == NULL) {
        static const char failed[] = "out of memory for a call\n";

        berth_http_respond(request, 503, "text/plain; charset=utf-8", failed, sizeof(failed) - 1);
        return;
    }
    memset(self, 0, offsetof(struct server_connect_call, first));
    request->state = self;
    self->http = request;
    self->path = method.path;
    self->is_stream = method.kind != BERTH_METHOD_UNARY;
    server_stream_init(&self->base, connection, self->first, sizeof(self->first));
    server->stats.calls_opened++;
    if (!read_request(self)) {
        finish(&self->base, self->request.code, self->request.reason, NULL, 0);
        return;
    }
    take_codings(self);
    if (server_stream_open(&self->base, self->path, server->transport, &self->request.metadata,
                           self->request.timeout_ns))
        take_request(self);
}

void connect_call_on_writable(struct berth_http_request *request)
{
    struct server_connect_call *self = request->state;

    if (self == NULL)
        return;
    if (self->is_ending)
        connect_response_send_last(self);
    else if (self->base.call != NULL)
        connect_call_server(self)->router->writable(self->base.call);
}

void connect_call_end(struct berth_http_request *request, enum berth_code code, const char *reason)
{
    struct server_connect_call *self = request->state;

    if (self != NULL)
        server_stream_abort(&self->base, code, reason);
}

void connect_call_on_end(struct berth_http_request *request)
{
    struct server_connect_call *self = request->state;

    if (self == NULL)
        return;
    server_stream_abort(&self->base, BERTH_CANCELLED, NULL);
    request->state = NULL;
    if (self->types != NULL)
        connect_call_settings(self)->json->release(connect_call_settings(self)->json->context, self->types);
    connect_response_forget(self);
    server_stream_finish(&self->base);
    spares_give(&self->base.connection->server->connect_calls, self);
}
