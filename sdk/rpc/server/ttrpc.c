/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of ttrpc: assigns frames to calls, runs each call from its Request to the last byte of
 * its reply, and answers frames that belong to no call. An invalid frame costs the call that it names, and
 * nothing else.
 *
 * A call is created by its Request and destroyed after its reply has been put into a batch, or with its
 * connection.
 */
#include "server.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <berth/utf8.h>

#include <sdk/base/container_of.h>
#include <sdk/rpc/ttrpc/message.h>
#include <sdk/rpc/ttrpc/session.h>

/** A peer of the server that speaks ttrpc. */
struct server_ttrpc {
    struct ttrpc_session session;
    struct server_connection *connection;
    /** Of the call that came last. */
    uint32_t last_id;
};

/** One call, from its Request to the last byte of its answer. */
struct server_ttrpc_call {
    struct berth_stream base;
    struct ttrpc_stream stream;
    /** NULL until it is known to be one. */
    const char *path;

    /** The router knows the method. */
    bool is_found;
    /** It answers with Data; otherwise with one Response. */
    bool is_streaming;

    /** The only message, if it is small; otherwise the outflow has it. */
    struct span reply;
    /** A Response that reports a failure; empty if there was none. */
    struct span failure;
    /** It contains only the code if there was no memory. */
    unsigned char bare_failure[8];

    struct metadata_list metadata;
    _Alignas(max_align_t) unsigned char first[1024];
};

static struct server_ttrpc_call *from_stream(struct ttrpc_stream *stream)
{
    return CONTAINER_OF(stream, struct server_ttrpc_call, stream);
}

static struct server_ttrpc_call *from_router(struct berth_stream *stream)
{
    return CONTAINER_OF(stream, struct server_ttrpc_call, base);
}

static struct berth_rpc_server *server_of(const struct server_ttrpc_call *self)
{
    return self->base.connection->server;
}

/* A sentence longer than this as text is cut, and longer details are left out. */
#define TEXT_MAX 4096
#define DETAILS_MAX 8192

static_assert(TTRPC_HEADER + TEXT_MAX + DETAILS_MAX + 64 <= BATCH_FRAME_MAX,
              "a batch that has room has room for any failure");

static const char replacement[] = "\xef\xbf\xbd";

/* A Status is UTF-8: U+FFFD replaces each invalid byte. Text beyond the room is cut. */
static size_t copy_text(unsigned char *place, size_t room, const char *text, size_t length)
{
    size_t copied = 0;
    size_t at = 0;

    while (at < length) {
        size_t step = berth_utf8_character(text + at, length - at);
        const char *source = step > 0 ? text + at : replacement;
        size_t size = step > 0 ? step : sizeof(replacement) - 1;

        if (size > room - copied)
            break;
        memcpy(place + copied, source, size);
        copied += size;
        at += step > 0 ? step : 1;
    }
    return copied;
}

static struct span make_text(struct berth_arena *arena, const char *message)
{
    size_t length = message == NULL ? 0 : server_message_length(message);
    size_t room = 3 * length < TEXT_MAX ? 3 * length : TEXT_MAX;
    unsigned char *text = length == 0 ? NULL : berth_arena_take(arena, room);

    if (text == NULL)
        return (struct span){NULL, 0};
    return (struct span){text, copy_text(text, room, message, length)};
}

/* Prepares the answer: a Response of `code` and what goes with it. */
static void prepare_answer(struct server_ttrpc_call *self, enum berth_code code, const char *message,
                           const void *details, size_t details_length)
{
    const struct span none = {NULL, 0};
    struct span status = {details, details_length <= DETAILS_MAX ? details_length : 0};
    struct span text;
    unsigned char *bytes;
    size_t size;

    if (code == BERTH_OK)
        return;
    text = make_text(&self->base.arena, message);
    size = ttrpc_status_size(code, text, status);
    bytes = berth_arena_take(&self->base.arena, size);
    if (bytes == NULL) {
        bytes = self->bare_failure;
        size = ttrpc_status_size(code, none, none);
        text = status = none;
    }
    ttrpc_status_write(bytes, code, text, status);
    self->failure = (struct span){bytes, size};
}

/*
 * Translates the router's refusals to ttrpc's wording. @return `message` or its translation, in the call's
 * arena.
 */
static const char *refusal_for(struct server_ttrpc_call *self, enum berth_code code, const char *message)
{
    static const char unknown[] = "unknown ";
    const char *method;
    int service_length;
    size_t size;
    char *text;

    if (code != BERTH_UNIMPLEMENTED || message == NULL || self->path == NULL)
        return message;
    method = strrchr(self->path, '/') + 1;
    service_length = (int)(method - self->path) - 2;
    size = strlen(self->path) + 64;
    text = berth_arena_take(&self->base.arena, size);
    if (text == NULL)
        return message;
    snprintf(text, size, "%sservice %.*s", unknown, service_length, self->path + 1);
    if (strcmp(text, message) == 0)
        return text + strlen(unknown);
    snprintf(text, size, "%smethod %s for service %.*s", unknown, method, service_length, self->path + 1);
    if (strcmp(text, message) != 0)
        return message;
    snprintf(text, size, "method %s", method);
    return text;
}

static struct server_ttrpc_call *call_create(struct server_ttrpc *peer, uint32_t id)
{
    struct server_connection *connection = peer->connection;
    struct server_ttrpc_call *self = spares_take(&connection->server->ttrpc_calls);

    if (self == NULL)
        return NULL;
    memset(self, 0, offsetof(struct server_ttrpc_call, first));
    server_stream_init(&self->base, connection, self->first, sizeof(self->first));
    self->base.inbox.framing.max_message_bytes = UINT32_MAX;
    self->stream.inbox = &self->base.inbox;
    ttrpc_stream_join(&self->stream, &peer->session, id);
    return self;
}

/* From the top level, or without a call. */
static void call_destroy(struct server_ttrpc_call *self)
{
    server_stream_finish(&self->base);
    ttrpc_stream_leave(&self->stream);
    spares_give(&server_of(self)->ttrpc_calls, self);
}

static void finish(struct berth_stream *stream, enum berth_code code, const char *message,
                   const void *details, size_t details_length)
{
    struct server_ttrpc_call *self = from_router(stream);

    if (!server_stream_end(stream, code))
        return;
    if (!self->is_found)
        message = refusal_for(self, code, message);
    if (code != BERTH_OK && !self->is_streaming)
        outflow_clear(&stream->outflow);
    prepare_answer(self, code, message, details, details_length);
    ttrpc_stream_due(&self->stream);
}

static void drop_output(struct berth_stream *stream)
{
    outflow_clear(&stream->outflow);
}

/* @return false if the message is over the limit. */
static bool is_takeable(struct server_ttrpc_call *self, struct span message)
{
    uint64_t most = server_of(self)->limits.max_recv_message_bytes;
    char text[128];

    if (message.length <= most)
        return true;
    snprintf(text, sizeof(text), "ttrpc: received message larger than max (%zu vs. %llu)", message.length,
             (unsigned long long)most);
    server_stream_abort(&self->base, BERTH_RESOURCE_EXHAUSTED, text);
    return false;
}

static void call_take(struct server_ttrpc_call *self, struct span message)
{
    char text[160];

    if (self->base.call == NULL || !is_takeable(self, message))
        return;
    if (ttrpc_stream_give(&self->stream, message, server_stream_deliver, &self->base) == FRAMING_NO_ROOM)
        server_stream_abort(&self->base, BERTH_RESOURCE_EXHAUSTED,
                            server_describe_no_room(self->base.connection, text, sizeof(text)));
}

static void call_half_close(struct server_ttrpc_call *self)
{
    self->base.is_remote_ended = true;
    server_stream_half_close(&self->base);
}

/* Takes the payload of a call that has no other. */
static void call_take_only(struct server_ttrpc_call *self, struct span payload)
{
    if (self->base.inbox.is_paused)
        call_take(self, payload);
    else if (is_takeable(self, payload))
        server_stream_deliver_last(&self->base, payload.bytes, payload.length);
    call_half_close(self);
}

static void give_held(struct berth_stream *stream)
{
    ttrpc_stream_give_held(&from_router(stream)->stream, server_stream_deliver, stream);
}

/* The message that is the whole answer. */
static void put_reply(struct server_ttrpc_call *self, struct batch *batch)
{
    bool is_in_outflow = self->base.outflow.outbox.first != NULL;
    uint32_t length =
        is_in_outflow ? ttrpc_message_length(&self->base.outflow) : (uint32_t)self->reply.length;
    unsigned char prefix[TTRPC_PAYLOAD_PREFIX_MAX];
    size_t prefix_length = length == 0 ? 0 : ttrpc_response_payload_prefix(prefix, length);

    ttrpc_put_header(batch, (uint32_t)prefix_length + length, &self->stream, TTRPC_RESPONSE, 0);
    batch_add_bytes(batch, prefix, prefix_length);
    if (is_in_outflow)
        ttrpc_put_message(batch, &self->base.outflow);
    else
        batch_add_bytes(batch, self->reply.bytes, self->reply.length);
}

static void put_end(struct server_ttrpc_call *self, struct batch *batch)
{
    if (self->failure.length > 0) {
        ttrpc_put_header(batch, (uint32_t)self->failure.length, &self->stream, TTRPC_RESPONSE, 0);
        batch_add_bytes(batch, self->failure.bytes, self->failure.length);
    } else if (self->is_streaming) {
        ttrpc_put_header(batch, 0, &self->stream, TTRPC_DATA, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    } else {
        put_reply(self, batch);
    }
}

static bool call_put(struct ttrpc_stream *stream, struct batch *batch)
{
    struct server_ttrpc_call *self = from_stream(stream);

    if (self->is_streaming && self->base.outflow.outbox.first != NULL) {
        ttrpc_put_data(batch, stream, &self->base.outflow);
        return self->base.outflow.outbox.first != NULL || self->base.is_ended;
    }
    if (self->base.is_ended) {
        put_end(self, batch);
        call_destroy(self);
    }
    return false;
}

/* Replies up to this length wait in the call's own memory. */
#define REPLY_IN_ARENA_MAX 512

static void found(struct berth_stream *stream, enum berth_method_kind kind)
{
    struct server_ttrpc_call *self = from_router(stream);

    self->is_found = true;
    self->is_streaming = kind == BERTH_METHOD_SERVER_STREAM || kind == BERTH_METHOD_BIDI_STREAM;
}

static enum berth_code keep_reply(struct server_ttrpc_call *self, const void *message, size_t length)
{
    const char *copy = berth_arena_copy(&self->base.arena, message, length);

    if (copy == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    self->reply = (struct span){(const unsigned char *)copy, length};
    return BERTH_OK;
}

static enum berth_code send_message(struct berth_stream *stream, const void *message, size_t length)
{
    struct server_ttrpc_call *self = from_router(stream);
    const struct berth_rpc_server_options *limits = &server_of(self)->limits;
    uint64_t carried = TTRPC_DATA_MAX - (self->is_streaming ? 0 : TTRPC_PAYLOAD_PREFIX_MAX);
    uint64_t most = carried < limits->max_send_message_bytes ? carried : limits->max_send_message_bytes;
    enum berth_code code;

    if (!self->is_streaming && length <= REPLY_IN_ARENA_MAX && length <= most) {
        server_stream_sent(stream);
        return keep_reply(self, message, length);
    }
    code = server_stream_send(stream, message, length, most);
    if (code == BERTH_OK && self->is_streaming)
        ttrpc_stream_due(&self->stream);
    return code;
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

static const struct berth_stream_ops call_ops = {
    .size = sizeof(call_ops),
    .send = send_message,
    .can_send = server_stream_can_send,
    .add_header = drop_metadata,
    .add_trailer = drop_metadata,
    .send_headers = send_headers,
    .finish = finish,
    .pause = server_stream_pause,
    .resume = server_stream_resume,
    .found = found,
    .refusal = server_stream_refusal,
};

/* Strings that handlers get as C strings must end where the peer ended them. */
static bool is_word(struct span text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.bytes[i] <= ' ' || text.bytes[i] == 0x7f)
            return false;
    return true;
}

static const char *copy_key(struct berth_arena *arena, struct span key)
{
    char *copy = berth_arena_copy(arena, key.bytes, key.length);

    for (size_t i = 0; copy != NULL && i < key.length; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] + ('a' - 'A'));
    return copy;
}

static enum berth_code take_pair(struct server_ttrpc_call *self, const struct ttrpc_pair *pair)
{
    struct berth_metadata item = {.value_length = pair->value.length};

    if (pair->key.length == 0 || !is_word(pair->key))
        return BERTH_INVALID_ARGUMENT;
    item.key = copy_key(&self->base.arena, pair->key);
    item.value = berth_arena_copy(&self->base.arena, pair->value.bytes, pair->value.length);
    if (item.key == NULL || item.value == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    return metadata_add(&self->metadata, &self->base.arena, item);
}

static enum berth_code take_metadata(struct server_ttrpc_call *self, struct span rest)
{
    enum berth_code code = BERTH_OK;
    struct ttrpc_pair pair;

    while (code == BERTH_OK && ttrpc_metadata_next(&rest, &pair))
        code = take_pair(self, &pair);
    return code;
}

static char *append(char *place, struct span text)
{
    *place++ = '/';
    if (text.length > 0)
        memcpy(place, text.bytes, text.length);
    return place + text.length;
}

static char *make_path(struct server_ttrpc_call *self, const struct ttrpc_request *request)
{
    char *path = berth_arena_take(&self->base.arena, request->service.length + request->method.length + 3);

    if (path != NULL)
        *append(append(path, request->service), request->method) = '\0';
    return path;
}

/* @return NULL if the call is refused. */
static const char *take_head(struct server_ttrpc_call *self, const struct ttrpc_request *request,
                             struct span bytes)
{
    uint32_t most = server_of(self)->limits.max_header_list_bytes;
    enum berth_code code = BERTH_OK;
    const char *path = NULL;
    char text[128];

    if (request->service.length + request->method.length + request->metadata_bytes > most) {
        snprintf(text, sizeof(text), "request metadata exceeds the limit of %lu bytes", (unsigned long)most);
        finish(&self->base, BERTH_RESOURCE_EXHAUSTED, text, NULL, 0);
        return NULL;
    }
    if (!is_word(request->service) || !is_word(request->method)) {
        finish(&self->base, BERTH_UNIMPLEMENTED, "malformed method name", NULL, 0);
        return NULL;
    }
    if (request->metadata_count > 0)
        code = take_metadata(self, bytes);
    if (code == BERTH_OK && (path = make_path(self, request)) == NULL)
        code = BERTH_RESOURCE_EXHAUSTED;
    if (code != BERTH_OK)
        finish(&self->base, code, code == BERTH_INVALID_ARGUMENT ? "invalid metadata key" : "out of memory",
               NULL, 0);
    return path;
}

static void take_first(struct server_ttrpc_call *self, const struct ttrpc_request *request, unsigned flags)
{
    if (request->has_payload)
        call_take(self, request->payload);
    if ((flags & TTRPC_REMOTE_OPEN) == 0 || (flags & TTRPC_REMOTE_CLOSED) != 0)
        call_half_close(self);
}

/* Opens the call of a Request and passes it the payload. `bytes` is the parsed input. */
static void call_open(struct server_ttrpc_call *self, const struct ttrpc_request *request, struct span bytes,
                      unsigned flags)
{
    int64_t timeout = request->timeout_nano;
    uint64_t timeout_ns = timeout == 0 ? UINT64_MAX : timeout < 0 ? 0 : (uint64_t)timeout;

    server_of(self)->stats.calls_opened++;
    self->path = take_head(self, request, bytes);
    if (self->path == NULL ||
        !server_stream_open(&self->base, self->path, "ttrpc", &self->metadata, timeout_ns))
        return;
    if (server_stream_takes_one(&self->base))
        call_take_only(self, request->payload);
    else
        take_first(self, request, flags);
}

static struct server_ttrpc *from_session(struct ttrpc_session *session)
{
    return CONTAINER_OF(session, struct server_ttrpc, session);
}

static struct server_ttrpc_call *find(const struct server_ttrpc *peer, uint32_t id)
{
    struct ttrpc_stream *stream = ttrpc_session_find(&peer->session, id);

    return stream == NULL ? NULL : from_stream(stream);
}

/* A Response ends whatever the peer has under this id. */
BERTH_PRINTF(4, 5)
static void refuse(struct server_ttrpc *peer, uint32_t id, enum berth_code code, const char *format, ...)
{
    struct server_ttrpc_call *call = find(peer, id);
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    server_log(peer->connection->server, SERVER_CAUSE_ODD, BERTH_RPC_LOG_DEBUG, "%s: stream %lu: %s",
               peer->connection->peer.address, (unsigned long)id, text);
    if (call == NULL)
        ttrpc_session_refuse(&peer->session, id, code, text);
    else
        server_stream_abort(&call->base, code, text);
}

/* @return false if the call is refused. */
static bool may_begin(struct server_ttrpc *peer, const struct ttrpc_frame *frame)
{
    uint32_t most = peer->connection->server->limits.max_concurrent_streams;

    if (frame->id <= peer->last_id) {
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "StreamID cannot be re-used and must increment");
        return false;
    }
    peer->last_id = frame->id;
    if (peer->connection->refusal != NULL)
        refuse(peer, frame->id, BERTH_UNIMPLEMENTED, "%s", peer->connection->refusal);
    else if (peer->session.is_leaving)
        refuse(peer, frame->id, BERTH_UNAVAILABLE, "the server is shutting down");
    else if (peer->session.stream_count >= most)
        refuse(peer, frame->id, BERTH_RESOURCE_EXHAUSTED,
               "max_concurrent_streams (%lu) reached: this connection has as many calls in flight",
               (unsigned long)most);
    else
        return true;
    return false;
}

static void receive_request(struct server_ttrpc *peer, const struct ttrpc_frame *frame)
{
    const struct span bytes = {frame->data, frame->length};
    struct server_ttrpc_call *call;
    struct ttrpc_request request;
    const char *wrong;

    if (!may_begin(peer, frame))
        return;
    wrong = ttrpc_request_parse(bytes, &request);
    if (wrong != NULL) {
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "unmarshal request error: proto: %s", wrong);
        return;
    }
    call = call_create(peer, frame->id);
    if (call == NULL)
        refuse(peer, frame->id, BERTH_RESOURCE_EXHAUSTED, "out of memory");
    else
        call_open(call, &request, bytes, frame->flags);
}

static void receive_data(struct server_ttrpc *peer, const struct ttrpc_frame *frame)
{
    struct server_ttrpc_call *call = find(peer, frame->id);
    bool closes = (frame->flags & TTRPC_REMOTE_CLOSED) != 0;
    bool has_message = (frame->flags & TTRPC_NO_DATA) == 0;

    if (call == NULL) {
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "StreamID is no longer active");
    } else if (closes && frame->length > 0) {
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "data close message cannot include data");
    } else if (has_message && call->base.is_remote_ended) {
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "data handling error: ttrpc: stream closed");
    } else {
        if (has_message)
            call_take(call, (struct span){frame->data, frame->length});
        if (closes)
            call_half_close(call);
    }
}

static void on_frame(struct ttrpc_session *session, const struct ttrpc_frame *frame)
{
    struct server_ttrpc *peer = from_session(session);

    /* Other types are a later version's. */
    if (frame->type != TTRPC_REQUEST && frame->type != TTRPC_DATA)
        return;
    if (frame->id % 2 == 0)
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "StreamID must be odd for client initiated streams");
    else if (frame->type == TTRPC_REQUEST)
        receive_request(peer, frame);
    else
        receive_data(peer, frame);
}

static void on_skipped(struct ttrpc_session *session, const struct ttrpc_frame *frame, enum ttrpc_read why)
{
    struct server_ttrpc *peer = from_session(session);
    char text[160];

    if (why == TTRPC_READ_OVERSIZE)
        refuse(peer, frame->id, BERTH_RESOURCE_EXHAUSTED,
               "message length %lu exceed maximum message size of %lu", (unsigned long)frame->length,
               (unsigned long)TTRPC_DATA_MAX);
    else
        refuse(peer, frame->id, BERTH_RESOURCE_EXHAUSTED, "%s",
               server_describe_no_room(peer->connection, text, sizeof(text)));
}

static void on_stalled(struct ttrpc_stream *stream)
{
    server_stream_abort(&from_stream(stream)->base, BERTH_RESOURCE_EXHAUSTED,
                        "ttrpc: stream buffer full: the method is not reading its messages");
}

static void destroy(struct ttrpc_session *session)
{
    free(from_session(session));
}

static const struct ttrpc_side side = {
    .on_frame = on_frame,
    .on_skipped = on_skipped,
    .put = call_put,
    .on_stalled = on_stalled,
    .destroy = destroy,
};

static int start(struct server_connection *connection)
{
    struct server_ttrpc *peer = calloc(1, sizeof(*peer));

    if (peer == NULL)
        return UV_ENOMEM;
    peer->connection = connection;
    connection->ttrpc = peer;
    ttrpc_session_init(&peer->session, &connection->base, &side, &connection->unfinished,
                       connection->server->limits.write_timeout_ms);
    return connection_start(&connection->base, &ttrpc_protocol, &peer->session);
}

static void process(struct server_connection *connection)
{
    struct berth_stream *stream;

    while ((stream = server_stream_next(connection)) != NULL)
        server_stream_process(stream);
}

static bool is_receiving(const struct server_connection *connection)
{
    return connection->ttrpc != NULL && ttrpc_reader_is_inside(&connection->ttrpc->session.reader);
}

/* ttrpc has no frame for this: a peer without calls sees the connection close. */
static void drain(struct server_connection *connection)
{
    connection->drain_step = SERVER_DRAIN_FINAL;
    connection->ttrpc->session.is_leaving = true;
    connection->ttrpc->session.drops_partial = connection->is_idle;
    connection_touch(&connection->base);
}

static void end_call(struct ttrpc_stream *stream)
{
    server_stream_abort(&from_stream(stream)->base, BERTH_UNAVAILABLE, "the server is shutting down");
}

static void end(struct server_connection *connection, const char *reason)
{
    if (connection->ttrpc != NULL)
        ttrpc_session_each(&connection->ttrpc->session, end_call);
}

static void lose_call(struct ttrpc_stream *stream)
{
    struct server_ttrpc_call *call = from_stream(stream);

    server_stream_abort(&call->base, BERTH_CANCELLED, NULL);
    call_destroy(call);
}

static void lose(struct server_connection *connection)
{
    struct server_ttrpc *peer = connection->ttrpc;

    if (peer == NULL)
        return;
    ttrpc_session_lose(&peer->session);
    ttrpc_session_each(&peer->session, lose_call);
}

const struct server_protocol server_ttrpc = {
    .kind = GREETING_TTRPC,
    .call_size = sizeof(struct server_ttrpc_call),
    .stream_ops = &call_ops,
    .start = start,
    .process = process,
    .give_held = give_held,
    .drop_output = drop_output,
    .is_receiving = is_receiving,
    .drain = drain,
    .end = end,
    .lose = lose,
};
