/* SPDX-License-Identifier: Apache-2.0 */
/* One call over ttrpc on the server: carries its events to the router, and the router's answers away. */
#include "server_ttrpc.h"

#include <stdlib.h>
#include <string.h>

#include "container.h"

/* Replies up to this length wait in the call's own memory. */
#define REPLY_IN_ARENA_MAX 512

const size_t server_ttrpc_call_size = sizeof(struct server_ttrpc_call);

static const struct berth_stream_ops stream_ops;

/* To the router a server's end of a call is opaque. */
static struct server_ttrpc_call *from_router(struct berth_stream *stream)
{
    return (struct server_ttrpc_call *)(void *)stream;
}

static struct berth_rpc_server *server_of(const struct server_ttrpc_call *self)
{
    return self->peer->connection->server;
}

static const struct berth_router *router_of(const struct server_ttrpc_call *self)
{
    return server_of(self)->router;
}

static void ready(struct server_ttrpc_call *self)
{
    struct server_ttrpc *peer = self->peer;

    if (self->is_ready)
        return;
    self->is_ready = true;
    self->next_ready = NULL;
    *peer->end_ready = self;
    peer->end_ready = &self->next_ready;
    connection_touch(&peer->connection->base);
}

static void on_room(struct outflow *outflow)
{
    struct server_ttrpc_call *self = CONTAINER_OF(outflow, struct server_ttrpc_call, outflow);

    self->is_writable_due = true;
    ready(self);
}

struct server_ttrpc_call *server_ttrpc_call_create(struct server_ttrpc *peer, uint32_t id)
{
    struct berth_rpc_server *server = peer->connection->server;
    struct server_ttrpc_call *self = spares_take(&server->ttrpc_calls);

    if (self == NULL)
        return NULL;
    memset(self, 0, offsetof(struct server_ttrpc_call, first));
    self->peer = peer;
    self->is_opening = true;
    self->inbox.framing.budget = &peer->connection->unfinished;
    self->inbox.framing.max_message_bytes = UINT32_MAX;
    self->outflow.connection = &peer->connection->base;
    self->outflow.pool = &server->engine.pool;
    self->outflow.on_room = on_room;
    arena_init(&self->arena, self->first, sizeof(self->first));
    self->stream.inbox = &self->inbox;
    ttrpc_stream_join(&self->stream, &peer->session, id);
    server_call_began(peer->connection);
    return self;
}

static void leave_line(struct server_ttrpc_call *self)
{
    struct server_ttrpc *peer = self->peer;
    struct server_ttrpc_call **place = &peer->first_ready;

    if (!self->is_ready)
        return;
    while (*place != self)
        place = &(*place)->next_ready;
    *place = self->next_ready;
    if (peer->end_ready == &self->next_ready)
        peer->end_ready = place;
}

void server_ttrpc_call_destroy(struct server_ttrpc_call *self)
{
    struct berth_rpc_server *server = server_of(self);

    leave_line(self);
    deadlines_stop(&server->engine.deadlines, &self->deadline);
    outflow_clear(&self->outflow);
    inbox_finish(&self->inbox);
    ttrpc_stream_leave(&self->stream);
    arena_finish(&self->arena);
    server_call_ended(self->peer->connection);
    spares_give(&server->ttrpc_calls, self);
}

static void end(struct server_ttrpc_call *self, enum berth_code code, const char *message,
                const void *details, size_t details_length)
{
    struct berth_rpc_server *server = server_of(self);

    if (self->is_ended)
        return;
    self->is_ended = true;
    self->call = NULL;
    deadlines_stop(&server->engine.deadlines, &self->deadline);
    server_count_end(server, code);
    if (self->is_opening)
        message = server_ttrpc_refusal(code, message, &self->arena);
    if (self->is_opening && code == BERTH_OK && !self->has_reply)
        self->is_streaming = true;
    if (code != BERTH_OK && !self->is_streaming)
        outflow_clear(&self->outflow);
    server_ttrpc_answer(self, code, message, details, details_length);
    ttrpc_stream_due(&self->stream);
}

void server_ttrpc_call_abort(struct server_ttrpc_call *self, enum berth_code code, const char *message)
{
    struct berth_call *call = self->call;

    if (self->is_ended)
        return;
    if (code == BERTH_DEADLINE_EXCEEDED)
        outflow_clear(&self->outflow);
    end(self, code, message, NULL, 0);
    if (call != NULL)
        router_of(self)->cancel(call, code == BERTH_DEADLINE_EXCEEDED ? code : BERTH_CANCELLED);
}

static void on_overdue(struct deadline *deadline)
{
    server_ttrpc_call_abort(CONTAINER_OF(deadline, struct server_ttrpc_call, deadline),
                            BERTH_DEADLINE_EXCEEDED, "deadline exceeded");
}

/* @return false where there is no time left. */
static bool start_deadline(struct server_ttrpc_call *self, int64_t timeout, uint64_t *ret_deadline_ns)
{
    *ret_deadline_ns = 0;
    if (timeout == 0)
        return true;
    if (timeout < 0) {
        end(self, BERTH_DEADLINE_EXCEEDED, "deadline exceeded: the call came with no time left", NULL, 0);
        return false;
    }
    *ret_deadline_ns = uv_hrtime() + (uint64_t)timeout;
    if (deadlines_start(&server_of(self)->engine.deadlines, &self->deadline, *ret_deadline_ns, on_overdue))
        return true;
    end(self, BERTH_RESOURCE_EXHAUSTED, "out of memory", NULL, 0);
    return false;
}

/* What handlers get as a C string must end where the peer ended it. */
static bool is_word(struct span text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.bytes[i] <= ' ' || text.bytes[i] == 0x7f)
            return false;
    return true;
}

static const char *copy_key(struct arena *arena, struct span key)
{
    char *copy = arena_copy(arena, key.bytes, key.length);

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
    item.key = copy_key(&self->arena, pair->key);
    item.value = arena_copy(&self->arena, pair->value.bytes, pair->value.length);
    if (item.key == NULL || item.value == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    return metadata_add(&self->metadata, &self->arena, item);
}

static enum berth_code take_metadata(struct server_ttrpc_call *self, struct span rest)
{
    enum berth_code code = BERTH_OK;
    struct ttrpc_pair pair;

    while (code == BERTH_OK && ttrpc_metadata_next(&rest, &pair))
        code = take_pair(self, &pair);
    return code;
}

static char *make_path(struct server_ttrpc_call *self, const struct ttrpc_request *request)
{
    char *path = arena_take(&self->arena, request->service.length + request->method.length + 3);
    unsigned char *place = (unsigned char *)path;

    if (path == NULL)
        return NULL;
    *place++ = '/';
    place = wire_write_raw(place, request->service.bytes, request->service.length);
    *place++ = '/';
    place = wire_write_raw(place, request->method.bytes, request->method.length);
    *place = '\0';
    return path;
}

/* @return NULL where the call is refused. */
static const char *take_head(struct server_ttrpc_call *self, const struct ttrpc_request *request,
                             struct span bytes)
{
    uint32_t most = server_of(self)->limits.max_header_list_bytes;
    enum berth_code code = BERTH_OK;
    const char *path = NULL;
    char text[128];

    if (request->service.length + request->method.length + request->metadata_bytes > most) {
        snprintf(text, sizeof(text), "the request's metadata is larger than this server takes (%lu bytes)",
                 (unsigned long)most);
        end(self, BERTH_RESOURCE_EXHAUSTED, text, NULL, 0);
        return NULL;
    }
    if (!is_word(request->service) || !is_word(request->method)) {
        end(self, BERTH_UNIMPLEMENTED, "malformed method name", NULL, 0);
        return NULL;
    }
    if (request->metadata_count > 0)
        code = take_metadata(self, bytes);
    if (code == BERTH_OK && (path = make_path(self, request)) == NULL)
        code = BERTH_RESOURCE_EXHAUSTED;
    if (code != BERTH_OK)
        end(self, code,
            code == BERTH_INVALID_ARGUMENT ? "a key of the request's metadata is no word" : "out of memory",
            NULL, 0);
    return path;
}

static bool deliver(void *context, const void *message, size_t length)
{
    struct server_ttrpc_call *self = context;

    router_of(self)->deliver(self->call, message, length);
    return self->call != NULL;
}

/* @return false where the message is over the limit. */
static bool is_takeable(struct server_ttrpc_call *self, struct span message)
{
    uint64_t most = server_of(self)->limits.max_recv_message_bytes;
    char text[128];

    if (message.length <= most)
        return true;
    snprintf(text, sizeof(text), "ttrpc: received message larger than max (%zu vs. %llu)", message.length,
             (unsigned long long)most);
    server_ttrpc_call_abort(self, BERTH_RESOURCE_EXHAUSTED, text);
    return false;
}

void server_ttrpc_call_take(struct server_ttrpc_call *self, struct span message)
{
    if (self->call == NULL || !is_takeable(self, message))
        return;
    if (ttrpc_stream_give(&self->stream, message, deliver, self) == FRAMING_NO_ROOM)
        server_ttrpc_call_abort(self, BERTH_RESOURCE_EXHAUSTED,
                                "this connection sends more unfinished messages than the server holds");
}

static void tell_half_close(struct server_ttrpc_call *self)
{
    if (self->call == NULL || self->is_half_close_told || self->inbox.is_paused ||
        inbox_is_holding(&self->inbox))
        return;
    self->is_half_close_told = true;
    router_of(self)->half_close(self->call);
}

void server_ttrpc_call_half_close(struct server_ttrpc_call *self)
{
    self->is_remote_ended = true;
    tell_half_close(self);
}

static bool has_deliver_last(const struct berth_router *router)
{
    return router->size > offsetof(struct berth_router, deliver_last) && router->deliver_last != NULL;
}

/* The payload is all that this method takes. */
static void take_only(struct server_ttrpc_call *self, struct span payload)
{
    const struct berth_router *router = router_of(self);

    self->is_remote_ended = true;
    if (self->inbox.is_paused || !has_deliver_last(router)) {
        server_ttrpc_call_take(self, payload);
        tell_half_close(self);
    } else if (is_takeable(self, payload)) {
        self->is_half_close_told = true;
        router->deliver_last(self->call, payload.bytes, payload.length);
    }
}

static void take_first(struct server_ttrpc_call *self, const struct ttrpc_request *request, unsigned flags)
{
    if (request->has_payload)
        server_ttrpc_call_take(self, request->payload);
    if ((flags & TTRPC_REMOTE_OPEN) == 0 || (flags & TTRPC_REMOTE_CLOSED) != 0)
        server_ttrpc_call_half_close(self);
}

/* What a handler sent before this was known may wait as Data. */
static void settle_kind(struct server_ttrpc_call *self)
{
    enum berth_method_kind kind = self->call->kind;

    self->is_opening = false;
    self->is_streaming = kind == BERTH_METHOD_SERVER_STREAM || kind == BERTH_METHOD_BIDI_STREAM;
    if (self->is_streaming && self->outflow.outbox.first != NULL)
        ttrpc_stream_due(&self->stream);
}

static void open_call(struct server_ttrpc_call *self, const char *path, uint64_t deadline_ns)
{
    const struct berth_call_request opening = {
        .size = sizeof(opening),
        .path = path,
        .transport = "ttrpc",
        .peer = &self->peer->connection->peer.who,
        .deadline_ns = deadline_ns,
        .metadata = self->metadata.items,
        .metadata_count = self->metadata.count,
        .stream = (struct berth_stream *)(void *)self,
        .stream_ops = &stream_ops,
    };
    struct berth_call *call = router_of(self)->open(router_of(self), &opening);

    if (!self->is_ended)
        self->call = call;
}

void server_ttrpc_call_open(struct server_ttrpc_call *self, const struct ttrpc_request *request,
                            struct span bytes, unsigned flags)
{
    const char *path = take_head(self, request, bytes);
    uint64_t deadline_ns;

    server_of(self)->stats.calls_opened++;
    /* Until the kind is known the caller's view of it is all there is. */
    self->is_streaming = (flags & TTRPC_REMOTE_CLOSED) != 0;
    if (path == NULL || !start_deadline(self, request->timeout_nano, &deadline_ns))
        return;
    open_call(self, path, deadline_ns);
    if (self->call == NULL)
        return;
    settle_kind(self);
    if (self->call->kind == BERTH_METHOD_UNARY || self->call->kind == BERTH_METHOD_SERVER_STREAM)
        take_only(self, request->payload);
    else
        take_first(self, request, flags);
}

void server_ttrpc_call_process(struct server_ttrpc_call *self)
{
    self->is_ready = false;
    if (self->call != NULL && !self->inbox.is_paused && inbox_is_holding(&self->inbox))
        ttrpc_stream_give_held(&self->stream, deliver, self);
    if (self->call != NULL && self->is_writable_due) {
        self->is_writable_due = false;
        router_of(self)->writable(self->call);
    }
    if (self->is_remote_ended)
        tell_half_close(self);
}

static enum berth_code keep_reply(struct server_ttrpc_call *self, const void *message, size_t length)
{
    const char *copy = arena_copy(&self->arena, message, length);

    if (copy == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    self->reply = (struct span){(const unsigned char *)copy, length};
    self->has_reply = true;
    return BERTH_OK;
}

static enum berth_code send_message(struct berth_stream *stream, const void *message, size_t length)
{
    struct server_ttrpc_call *self = from_router(stream);
    const struct berth_rpc_server_options *limits = &server_of(self)->limits;
    size_t most = TTRPC_DATA_MAX - (self->is_streaming ? 0 : TTRPC_PAYLOAD_PREFIX_MAX);
    enum berth_code code;

    if (length > most || length > limits->max_send_message_bytes)
        return BERTH_RESOURCE_EXHAUSTED;
    if (!self->is_streaming && !self->is_opening && length <= REPLY_IN_ARENA_MAX)
        return keep_reply(self, message, length);
    code = outflow_send(&self->outflow, message, length, limits->max_send_message_bytes,
                        limits->max_queued_bytes);
    if (code != BERTH_OK)
        return code;
    /* Two messages are a stream. */
    if (self->is_opening && self->has_reply)
        self->is_streaming = true;
    self->has_reply = true;
    if (self->is_streaming)
        ttrpc_stream_due(&self->stream);
    return BERTH_OK;
}

static bool can_send(struct berth_stream *stream)
{
    struct server_ttrpc_call *self = from_router(stream);

    return outflow_can_send(&self->outflow, server_of(self)->limits.max_queued_bytes);
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
    end(from_router(stream), code, message, details, details_length);
}

static void pause_call(struct berth_stream *stream)
{
    from_router(stream)->inbox.is_paused = true;
}

static void resume_call(struct berth_stream *stream)
{
    struct server_ttrpc_call *self = from_router(stream);

    self->inbox.is_paused = false;
    ready(self);
}

static const struct berth_stream_ops stream_ops = {
    .size = sizeof(stream_ops),
    .send = send_message,
    .can_send = can_send,
    .add_header = drop_metadata,
    .add_trailer = drop_metadata,
    .send_headers = send_headers,
    .finish = finish,
    .pause = pause_call,
    .resume = resume_call,
};
