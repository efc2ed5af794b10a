/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of the Connect protocol, over the HTTP/1.1 server's requests and responses: created by a request
 * whose body is whole, and destroyed when its response is over.
 *
 * A unary response tells in its head how the call ended, so the reply is kept until then. A stream's messages
 * leave at once, each in an envelope, and its end is one more.
 */
#include "connect.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>
#include <sdk/rpc/connect/answer.h>

#include "cors.h"

/* Metadata of one response; the server's own bound on header fields leaves room for it and for the rest. */
#define METADATA_COUNT_MAX 64
#define METADATA_BYTES_MAX (32 * 1024)

#define TRAILER_PREFIX "trailer-"

/* Header fields of a response beside metadata: type, coding, Vary, and those of CORS. */
#define FIELDS_MAX (3 + CORS_FIELDS_MAX)

#define JSON_TYPE "application/json"

static struct server_connect_call *from_stream(struct berth_stream *stream)
{
    return CONTAINER_OF(stream, struct server_connect_call, base);
}

static struct berth_rpc_server *server_of(const struct server_connect_call *self)
{
    return self->base.connection->server;
}

static const struct connect_settings *settings_of(const struct server_connect_call *self)
{
    return server_of(self)->http.connect;
}

/* Where requests go. */

static bool find_method(const struct berth_rpc_server *server, const char *path,
                        struct berth_method_info *ret_method, struct berth_route_info *ret_route)
{
    const struct berth_router *router = server->router;

    return router->size > offsetof(struct berth_router, find) && router->find != NULL &&
           router->find(router, path, server->transport, ret_method, ret_route);
}

static bool may_be_got(const struct connect_settings *settings, const struct berth_method_info *method,
                       const struct berth_route_info *route)
{
    const struct berth_rpc_connect_json *json = settings->json;
    struct berth_error err;
    void *types;
    bool is_got;

    if (method->kind != BERTH_METHOD_UNARY || json == NULL ||
        json->find(json->context, method, route, &types, &err) != BERTH_OK)
        return false;
    is_got = json->has_no_side_effects(types);
    json->release(json->context, types);
    return is_got;
}

static void on_request(struct berth_http_request *request);
static void on_post_preflight(struct berth_http_request *request);
static void on_get_preflight(struct berth_http_request *request);
static void on_writable(struct berth_http_request *request);
static void on_end(struct berth_http_request *request);

#define HANDLER(taken)                                                                                       \
    {                                                                                                        \
        .size = sizeof(struct berth_http), .prefix = "/", .methods = (taken), .on_request = on_request,      \
        .on_writable = on_writable, .on_end = on_end                                                         \
    }
#define PREFLIGHT_HANDLER(taken, answer)                                                                     \
    {                                                                                                        \
        .size = sizeof(struct berth_http), .prefix = "/", .methods = (taken), .on_request = (answer)         \
    }

static const struct berth_http posts = HANDLER("POST");
static const struct berth_http posts_and_gets = HANDLER("GET POST");
static const struct berth_http post_questions = PREFLIGHT_HANDLER("POST OPTIONS", on_post_preflight);
static const struct berth_http get_questions = PREFLIGHT_HANDLER("GET POST OPTIONS", on_get_preflight);

const struct berth_http *connect_find(struct berth_rpc_server *server, const char *path, const char *method)
{
    const struct connect_settings *settings = server->http.connect;
    struct berth_method_info info;
    struct berth_route_info route;
    bool is_got;

    if (settings == NULL || !find_method(server, path, &info, &route))
        return NULL;
    /* Side effects are looked up only if they matter. */
    is_got = strcmp(method, "POST") != 0 && may_be_got(settings, &info, &route);
    if (settings->origin_count > 0 && strcmp(method, "OPTIONS") == 0)
        return is_got ? &get_questions : &post_questions;
    return is_got ? &posts_and_gets : &posts;
}

static void on_post_preflight(struct berth_http_request *request)
{
    const struct server_connection *connection = request->instance;

    cors_preflight(connection->server->http.connect, request, "POST");
}

static void on_get_preflight(struct berth_http_request *request)
{
    const struct server_connection *connection = request->instance;

    cors_preflight(connection->server->http.connect, request, "GET, POST");
}

static bool is_get(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static bool is_type_taken(const struct http1_reader *reader, bool is_stream)
{
    bool is_json;

    if (!is_get(reader->method))
        return connect_type_parse(http1_field(reader, "content-type"), is_stream, &is_json);
    return reader->left == 0 && !reader->is_chunked && connect_query_codec(reader->query, &is_json);
}

bool connect_refuses(struct berth_rpc_server *server, const struct http1_reader *reader,
                     struct connect_refusal *ret_refusal)
{
    struct berth_method_info method;
    struct berth_route_info route;
    bool is_stream;

    if (strcmp(reader->method, "OPTIONS") == 0 || !find_method(server, reader->path, &method, &route))
        return false;
    *ret_refusal = (struct connect_refusal){.status = 505};
    if (method.kind == BERTH_METHOD_BIDI_STREAM) {
        ret_refusal->reason = "a bidirectional method needs HTTP/2, which this server does not speak; "
                              "call it over gRPC";
        return true;
    }
    is_stream = method.kind != BERTH_METHOD_UNARY;
    if (is_type_taken(reader, is_stream))
        return false;
    *ret_refusal = (struct connect_refusal){
        .status = 415,
        .reason = is_get(reader->method)
                      ? "a GET names its encoding, json or proto, in the query, and has no body"
                  : is_stream ? "a stream's content type is application/connect+json or "
                                "application/connect+proto"
                              : "the content type is application/json or application/proto",
        .field = {"Accept-Post", connect_types(is_stream)},
    };
    return true;
}

/* Responses. */

static void forget_kept(struct server_connect_call *self)
{
    free(self->kept);
    budget_give(&self->base.connection->base.queued, self->kept_charge);
    self->kept = NULL;
    self->kept_length = 0;
    self->kept_charge = 0;
}

/* Sends what is kept and ends the response, as soon as there is room. */
static void send_last(struct server_connect_call *self)
{
    uint64_t charge = self->kept_charge;

    self->is_ending = true;
    /* It is charged again while it is queued. */
    budget_give(&self->base.connection->base.queued, charge);
    self->kept_charge = 0;
    if (self->kept_length > 0 &&
        berth_http_write(self->http, self->kept, self->kept_length) == BERTH_RESOURCE_EXHAUSTED)
        return;
    forget_kept(self);
    berth_http_end(self->http);
}

/* The names of the metadata of a response, for the page that it goes to. */
static const char *list_names(struct server_connect_call *self, const struct berth_http_header *fields,
                              size_t count)
{
    size_t size = 1;
    char *text;
    size_t used = 0;

    for (size_t i = 0; i < count; i++)
        size += strlen(fields[i].name) + 2;
    text = berth_arena_take(&self->base.arena, size);
    if (text == NULL)
        return "";
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", fields[i].name);
    return text;
}

static size_t put_metadata(struct berth_http_header *fields, const struct metadata_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        fields[i] = (struct berth_http_header){list->items[i].key, list->items[i].value};
    return list->count;
}

/* Those of a unary response are among its headers, by other names. */
static size_t put_trailers(struct server_connect_call *self, struct berth_http_header *fields)
{
    size_t count = 0;

    for (size_t i = 0; !self->is_stream && i < self->trailers.count; i++) {
        const char *key = self->trailers.items[i].key;
        size_t length = strlen(TRAILER_PREFIX) + strlen(key);
        char *name = berth_arena_take(&self->base.arena, length + 1);

        if (name == NULL)
            continue;
        snprintf(name, length + 1, TRAILER_PREFIX "%s", key);
        fields[count++] = (struct berth_http_header){name, self->trailers.items[i].value};
    }
    return count;
}

static bool varies(const struct server_connect_call *self)
{
    return is_get(self->http->method) && server_of(self)->limits.compression != BERTH_RPC_COMPRESS_NEVER;
}

/* @param coding  NULL: nothing is compressed. @return false without memory, or if the client has gone. */
static bool begin(struct server_connect_call *self, unsigned status, const char *type, const char *coding,
                  int64_t length)
{
    const char *origin = cors_origin(settings_of(self), self->http);
    struct berth_http_header *fields = berth_arena_take(
        &self->base.arena, (FIELDS_MAX + self->headers.count + self->trailers.count) * sizeof(*fields));
    size_t own = 0, count;

    self->has_begun = true;
    if (fields == NULL)
        return false;
    fields[own++] = (struct berth_http_header){"Content-Type", type};
    if (coding != NULL)
        fields[own++] = (struct berth_http_header){
            self->is_stream ? "Connect-Content-Encoding" : "Content-Encoding", coding};
    if (varies(self))
        fields[own++] = (struct berth_http_header){"Vary", "Accept-Encoding"};
    count = own + put_metadata(fields + own, &self->headers);
    count += put_trailers(self, fields + count);
    if (origin != NULL)
        count += cors_put(origin, list_names(self, fields + own, count - own), fields + count);
    else if (settings_of(self)->origin_count > 0)
        fields[count++] = (struct berth_http_header){"Vary", "Origin"};
    return berth_http_begin(self->http, status, fields, count, length) == BERTH_OK;
}

static const char *accepted_coding(const struct server_connect_call *self)
{
    bool is_compressing = self->base.outflow.compresses && self->request.accepted != CODING_IDENTITY;

    return is_compressing ? coding_name(self->request.accepted) : NULL;
}

/* @return the compressed length; 0 if it must not be compressed, or would not be smaller. */
static size_t compress(struct server_connect_call *self, const void *bytes, size_t length, void *to)
{
    if (accepted_coding(self) == NULL || length <= CODEC_NEVER_SMALLER)
        return 0;
    return codec_compress(&server_of(self)->engine.codec, self->request.accepted, bytes, length, to,
                          length - 1);
}

/* @return an envelope, to be freed; NULL without memory. */
static unsigned char *make_envelope(struct server_connect_call *self, unsigned char flag, const void *bytes,
                                    size_t length, size_t *ret_length)
{
    unsigned char *envelope = malloc(FRAMING_PREFIX + length);
    size_t packed;

    if (envelope == NULL)
        return NULL;
    packed = compress(self, bytes, length, envelope + FRAMING_PREFIX);
    if (packed == 0)
        memcpy(envelope + FRAMING_PREFIX, bytes, length);
    *ret_length = packed > 0 ? packed : length;
    framing_write_prefix(envelope, packed > 0, (uint32_t)*ret_length);
    envelope[0] |= flag;
    *ret_length += FRAMING_PREFIX;
    return envelope;
}

static bool begin_stream(struct server_connect_call *self)
{
    self->tells_coding = accepted_coding(self) != NULL;
    return begin(self, 200, self->is_json ? "application/connect+json" : "application/connect+proto",
                 accepted_coding(self), -1);
}

/* Without memory the response ends here, and the client notices. */
static void end_stream(struct server_connect_call *self, const struct connect_end *end)
{
    struct berth_json_writer json = {0};

    connect_write_end(&json, end, &self->trailers, &self->base.arena);
    if ((self->has_begun || begin_stream(self)) && !json.failed) {
        forget_kept(self);
        self->kept = make_envelope(self, CONNECT_END_STREAM, json.bytes, json.length, &self->kept_length);
    }
    berth_json_finish(&json);
    if (self->kept == NULL)
        self->base.connection->base.doom = "out of memory for a response";
    send_last(self);
}

static void end_with_error(struct server_connect_call *self, const struct connect_end *end)
{
    struct berth_json_writer json = {0};

    forget_kept(self);
    connect_write_error(&json, NULL, end, &self->base.arena);
    if (!json.failed && begin(self, connect_http_status(end->code), JSON_TYPE, NULL, (int64_t)json.length)) {
        self->kept = (unsigned char *)json.bytes;
        self->kept_length = json.length;
    } else {
        berth_json_finish(&json);
    }
    send_last(self);
}

/* Replaces the kept message by its compressed form if that is smaller. @return the coding; NULL: none. */
static const char *compress_kept(struct server_connect_call *self)
{
    unsigned char *packed;
    size_t length;

    if (accepted_coding(self) == NULL || self->kept_length <= CODEC_NEVER_SMALLER)
        return NULL;
    packed = malloc(self->kept_length);
    length = packed == NULL ? 0 : compress(self, self->kept, self->kept_length, packed);
    if (length == 0) {
        free(packed);
        return NULL;
    }
    free(self->kept);
    self->kept = packed;
    self->kept_length = length;
    return accepted_coding(self);
}

static void end_with_reply(struct server_connect_call *self)
{
    const char *coding = compress_kept(self);

    if (!begin(self, 200, self->is_json ? JSON_TYPE : "application/proto", coding,
               (int64_t)self->kept_length))
        forget_kept(self);
    send_last(self);
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
    if (self->is_stream) {
        end_stream(self, &end);
    } else if (code != BERTH_OK) {
        end_with_error(self, &end);
    } else if (self->has_reply) {
        end_with_reply(self);
    } else {
        end = (struct connect_end){BERTH_INTERNAL, "the method ended without a reply", NULL, 0};
        end_with_error(self, &end);
    }
}

/* Queued data is part of a body that cannot be taken back: the error follows it. */
void connect_drop_output(struct berth_stream *stream)
{
}

static enum berth_code send_envelope(struct server_connect_call *self, const void *bytes, size_t length,
                                     uint64_t most)
{
    size_t size;
    unsigned char *envelope;
    enum berth_code code;

    if (!self->has_begun && !begin_stream(self))
        return BERTH_RESOURCE_EXHAUSTED;
    envelope = make_envelope(self, 0, bytes, length, &size);
    if (envelope == NULL) {
        server_stream_refuse(&self->base, OUTFLOW_NO_MEMORY, length, most);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    code = berth_http_write(self->http, envelope, size);
    free(envelope);
    if (code == BERTH_RESOURCE_EXHAUSTED)
        server_stream_refuse(&self->base,
                             berth_http_can_write(self->http) ? OUTFLOW_NO_BUDGET : OUTFLOW_QUEUE_FULL,
                             length, most);
    /* The end of the request reports that the client has gone. */
    return code == BERTH_RESOURCE_EXHAUSTED ? code : BERTH_OK;
}

/* @param owned  The bytes, to be freed; NULL: they are the caller's. */
static enum berth_code keep_reply(struct server_connect_call *self, const void *bytes, size_t length,
                                  void *owned, uint64_t most)
{
    if (!budget_take(&self->base.connection->base.queued, length)) {
        free(owned);
        server_stream_refuse(&self->base, OUTFLOW_NO_BUDGET, length, most);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    self->kept_charge = length;
    self->kept = owned != NULL ? owned : malloc(length + 1);
    if (self->kept == NULL) {
        forget_kept(self);
        server_stream_refuse(&self->base, OUTFLOW_NO_MEMORY, length, most);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (owned == NULL && length > 0)
        memcpy(self->kept, bytes, length);
    self->kept_length = length;
    self->has_reply = true;
    return BERTH_OK;
}

/* Finds out about the call's messages once. */
static enum berth_code find_types(struct server_connect_call *self, struct berth_error *err)
{
    const struct berth_rpc_connect_json *json = settings_of(self)->json;
    struct berth_method_info method;
    struct berth_route_info route;

    if (self->types != NULL)
        return BERTH_OK;
    if (!find_method(server_of(self), self->path, &method, &route))
        return berth_error_set(err, BERTH_UNAVAILABLE, "the method is gone");
    return json->find(json->context, &method, &route, &self->types, err);
}

/* @return BERTH_OK with `ret_text`, or the reason is the refusal of the message. */
static enum berth_code write_json(struct server_connect_call *self, const void *message, size_t length,
                                  uint64_t most, char **ret_text, size_t *ret_length)
{
    const struct berth_rpc_connect_json *json = settings_of(self)->json;
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
    uint64_t most = server_of(self)->limits.max_send_message_bytes;
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
        code = send_envelope(self, message, length, most);
        free(text);
    } else {
        code = keep_reply(self, message, length, text, most);
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
    return is_header && strncmp(TRAILER_PREFIX, key, strlen(TRAILER_PREFIX)) == 0;
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
        begin_stream(self);
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

const struct berth_stream_ops connect_ops = {
    .size = sizeof(connect_ops),
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

/* Requests. */

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
    const struct berth_rpc_connect_json *json = settings_of(self)->json;
    struct berth_error err = {0};
    enum berth_code code;
    void *message;
    bool goes_on;

    if (!self->is_json)
        return deliver_message(stream, bytes, length);
    code = find_types(self, &err);
    if (code == BERTH_OK)
        code = json->to_message(self->types, bytes, length, server_of(self)->limits.max_recv_message_bytes,
                                &message, &length, &err);
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

void connect_give_held(struct berth_stream *stream)
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
    struct codec *codec = &server_of(self)->engine.codec;
    enum framing_state state;
    const void *plain;
    size_t length;

    if (self->request.coding == CODING_IDENTITY || message.length == 0) {
        take_plain(self, message.bytes, message.length);
        return;
    }
    state = framing_state_of(codec_expand(codec, self->request.coding, message.bytes, message.length,
                                          server_of(self)->limits.max_recv_message_bytes, &plain, &length));
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
    take_bare(self, is_get(http->method) ? self->request.message : body);
    server_stream_half_close(&self->base);
}

static void take_codings(struct server_connect_call *self)
{
    struct berth_rpc_server *server = server_of(self);

    self->base.inbox.codec = &server->engine.codec;
    self->base.inbox.coding = self->request.coding;
    self->base.inbox.framing.takes_compressed = self->request.coding != CODING_IDENTITY;
    self->base.outflow.compresses = server->limits.compression == BERTH_RPC_COMPRESS_ALWAYS;
}

/* @return false if it cannot be what its content type says. */
static bool read_request(struct server_connect_call *self)
{
    const struct berth_http_request *http = self->http;
    bool gets = is_get(http->method);

    self->request.arena = &self->base.arena;
    if (gets)
        connect_query_codec(http->query, &self->is_json);
    else
        connect_type_parse(berth_http_header(http, "content-type"), self->is_stream, &self->is_json);
    connect_request_read(&self->request, http->headers, http->header_count, gets ? http->query : NULL,
                         self->is_stream, server_of(self)->limits.compression != BERTH_RPC_COMPRESS_NEVER);
    if (self->request.code == BERTH_OK && self->is_json && settings_of(self)->json == NULL) {
        self->request.code = BERTH_UNIMPLEMENTED;
        self->request.reason = "this server cannot read JSON; send proto";
    }
    return self->request.code == BERTH_OK;
}

static void on_request(struct berth_http_request *request)
{
    struct server_connection *connection = request->instance;
    struct berth_rpc_server *server = connection->server;
    struct berth_method_info method;
    struct berth_route_info route;
    struct server_connect_call *self = NULL;

    if (find_method(server, request->path, &method, &route))
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

static void on_writable(struct berth_http_request *request)
{
    struct server_connect_call *self = request->state;

    if (self == NULL)
        return;
    if (self->is_ending)
        send_last(self);
    else if (self->base.call != NULL)
        server_of(self)->router->writable(self->base.call);
}

void connect_end(struct berth_http_request *request, enum berth_code code, const char *reason)
{
    struct server_connect_call *self = request->state;

    if (self != NULL)
        server_stream_abort(&self->base, code, reason);
}

static void on_end(struct berth_http_request *request)
{
    struct server_connect_call *self = request->state;

    if (self == NULL)
        return;
    server_stream_abort(&self->base, BERTH_CANCELLED, NULL);
    request->state = NULL;
    if (self->types != NULL)
        settings_of(self)->json->release(settings_of(self)->json->context, self->types);
    forget_kept(self);
    server_stream_finish(&self->base);
    spares_give(&self->base.connection->server->connect_calls, self);
}
