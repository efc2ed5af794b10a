/* SPDX-License-Identifier: Apache-2.0 */
/* One call over ttrpc on the server: carries its events to the router, and the router's answers away. */
#include "ttrpc.h"

#include <string.h>

#include <sdk/base/container_of.h>

const size_t server_ttrpc_call_size = sizeof(struct server_ttrpc_call);

static const struct berth_router *router_of(const struct server_ttrpc_call *self)
{
    return server_ttrpc_call_server(self)->router;
}

void server_ttrpc_call_ready(struct server_ttrpc_call *self)
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
    server_ttrpc_call_ready(self);
}

struct server_ttrpc_call *server_ttrpc_call_create(struct server_ttrpc *peer, uint32_t id)
{
    struct berth_rpc_server *server = peer->connection->server;
    struct server_ttrpc_call *self = spares_take(&server->ttrpc_calls);

    if (self == NULL)
        return NULL;
    memset(self, 0, offsetof(struct server_ttrpc_call, first));
    self->peer = peer;
    self->inbox.framing.budget = &peer->connection->unfinished;
    self->inbox.framing.max_message_bytes = UINT32_MAX;
    self->outflow.queued = &peer->connection->base.queued;
    self->outflow.pool = &server->engine.pool;
    self->outflow.on_room = on_room;
    berth_arena_init(&self->arena, self->first, sizeof(self->first));
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
    struct berth_rpc_server *server = server_ttrpc_call_server(self);

    leave_line(self);
    deadlines_stop(&server->engine.deadlines, &self->deadline);
    outflow_clear(&self->outflow);
    inbox_finish(&self->inbox);
    ttrpc_stream_leave(&self->stream);
    berth_arena_finish(&self->arena);
    server_call_ended(self->peer->connection);
    spares_give(&server->ttrpc_calls, self);
}

void server_ttrpc_call_end(struct server_ttrpc_call *self, enum berth_code code, const char *message,
                           const void *details, size_t details_length)
{
    struct berth_rpc_server *server = server_ttrpc_call_server(self);

    if (self->is_ended)
        return;
    self->is_ended = true;
    self->call = NULL;
    deadlines_stop(&server->engine.deadlines, &self->deadline);
    server_count_end(server, code);
    if (!self->is_found)
        message = server_ttrpc_refusal(self, code, message);
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
    server_ttrpc_call_end(self, code, message, NULL, 0);
    if (call != NULL)
        router_of(self)->cancel(call, code == BERTH_DEADLINE_EXCEEDED ? code : BERTH_CANCELLED);
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
    uint64_t most = server_ttrpc_call_server(self)->limits.max_recv_message_bytes;
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
    char text[160];

    if (self->call == NULL || !is_takeable(self, message))
        return;
    if (ttrpc_stream_give(&self->stream, message, deliver, self) == FRAMING_NO_ROOM)
        server_ttrpc_call_abort(self, BERTH_RESOURCE_EXHAUSTED,
                                server_describe_no_room(self->peer->connection, text, sizeof(text)));
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

void server_ttrpc_call_take_only(struct server_ttrpc_call *self, struct span payload)
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
