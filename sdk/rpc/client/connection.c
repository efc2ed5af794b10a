/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of a channel, from connect to close. */
#include "client.h"

#include <stdlib.h>
#include <unistd.h>

#include <sdk/base/container_of.h>
#include <sdk/rpc/tls/tls.h>

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

static struct client_connection *from_base(struct connection *base)
{
    return CONTAINER_OF(base, struct client_connection, base);
}

static void on_ready(struct connection *base)
{
    struct berth_rpc_channel *channel = from_base(base)->channel;

    channel->events->process(channel);
}

static void end_calls(struct client_connection *connection, const char *reason)
{
    struct berth_rpc_call *next;
    char message[256];

    snprintf(message, sizeof(message), "the connection to %s was lost: %s", connection->channel->path,
             reason);
    for (struct berth_rpc_call *call = TAILQ_FIRST(&connection->calls); call != NULL; call = next) {
        next = TAILQ_NEXT(call, link);
        if (call->is_unknown)
            continue;
        client_call_forget(call);
        if (!client_call_retry(call) && !call->is_remote_ended)
            client_call_end(call, BERTH_UNAVAILABLE, message);
    }
}

/* One that took no call is a try that failed, or it could be made again and again without a pause. */
void client_connection_ready(struct client_connection *connection)
{
    if (connection->is_ready)
        return;
    connection->is_ready = true;
    deadlines_stop(&connection->channel->engine.deadlines, &connection->connect_deadline);
    turn_add(&connection->channel->engine.turn, &connection->channel->task);
}

void client_connection_leave(struct client_connection *connection, const char *reason)
{
    struct berth_rpc_channel *channel = connection->channel;

    if (channel->current != connection)
        return;
    channel->current = NULL;
    if (!connection->is_used)
        channel->events->on_connect_failed(channel, reason);
    turn_add(&channel->engine.turn, &channel->task);
}

static void on_lost(struct connection *base, const char *reason)
{
    struct client_connection *connection = from_base(base);
    struct berth_rpc_channel *channel = connection->channel;

    deadlines_stop(&channel->engine.deadlines, &connection->connect_deadline);
    if (connection->is_dialling)
        dial_cancel(&connection->connecting.dial);
    channel->protocol->lose(connection);
    end_calls(connection, reason);
    client_connection_leave(connection, reason);
}

static void on_closed(struct connection *base)
{
    struct client_connection *connection = from_base(base);
    struct berth_rpc_channel *channel = connection->channel;

    /* Calls that have not been told their end outlive the connection. */
    while (!TAILQ_EMPTY(&connection->calls))
        client_call_detach(TAILQ_FIRST(&connection->calls));
    LIST_REMOVE(connection, link);
    free(connection);
    channel->events->settle(channel);
}

static const struct connection_events events = {
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_closed = on_closed,
};

static void on_connect_overdue(struct deadline *deadline)
{
    struct client_connection *connection = CONTAINER_OF(deadline, struct client_connection, connect_deadline);

    connection_lose(&connection->base, "the server did not respond in time");
}

static const char *on_foreign(struct greeting *greeting, enum greeting_kind kind)
{
    switch (greeting->expected) {
    case GREETING_TLS:
        return kind == GREETING_OTHER ? "the server does not speak TLS"
                                      : "the server does not speak TLS: connect without TLS";
    case GREETING_TTRPC:
        return kind == GREETING_TLS     ? "the server speaks TLS, not ttrpc"
               : kind == GREETING_HTTP1 ? "the server speaks HTTP/1.1, not ttrpc"
                                        : "the server speaks gRPC, not ttrpc";
    case GREETING_HTTP2:
    case GREETING_HTTP1:
    case GREETING_PARTIAL:
    case GREETING_OTHER:
        break;
    }
    return kind == GREETING_TLS     ? "the server speaks TLS: connect with TLS"
           : kind == GREETING_TTRPC ? "the server speaks ttrpc, not gRPC"
                                    : "the server speaks HTTP/1.1, not gRPC";
}

static enum greeting_kind expected_from(const struct berth_rpc_channel *channel)
{
    return channel->tls != NULL ? GREETING_TLS : channel->protocol->kind;
}

static void start(struct client_connection *connection)
{
    struct tls_context *tls = connection->channel->tls;
    int result = tls != NULL && tls_cover(&connection->base, tls, NULL) == NULL ? UV_ENOMEM : 0;

    connection->greeting = (struct greeting){
        .expected = expected_from(connection->channel), .from_server = true, .on_foreign = on_foreign};
    greeting_attach(&connection->greeting, &connection->base);
    if (result == 0)
        result = connection->channel->protocol->start(connection);
    if (result < 0)
        connection_lose(&connection->base, uv_strerror(result));
}

static void on_connected(uv_connect_t *request, int status)
{
    struct client_connection *connection = request->data;

    if (status < 0)
        connection_lose(&connection->base, uv_strerror(status));
    if (!connection->base.is_lost)
        start(connection);
}

static void on_dialled(struct dial *dial, int fd, const char *reason)
{
    struct client_connection *connection = CONTAINER_OF(dial, struct client_connection, connecting.dial);
    int result = fd < 0 ? 0 : uv_tcp_open(&connection->base.socket.tcp, fd);

    if (result < 0) {
        close(fd);
        reason = uv_strerror(result);
    }
    connection->is_dialling = false;
    if (fd < 0 || result < 0)
        connection_lose(&connection->base, reason);
    else
        start(connection);
    connection_release(&connection->base);
}

/* @return 0 or a libuv error. */
static int start_dialling(struct client_connection *connection)
{
    struct berth_rpc_channel *channel = connection->channel;
    int result;

    connection->connecting.dial.on_done = on_dialled;
    result = dial_start(&connection->connecting.dial, channel->engine.loop, channel->host, channel->port);
    connection->is_dialling = result == 0;
    return result;
}

static void start_connecting(struct client_connection *connection)
{
    connection->connecting.request.data = connection;
    uv_pipe_connect(&connection->connecting.request, &connection->base.socket.pipe, connection->channel->path,
                    on_connected);
}

struct client_connection *client_connection_open(struct berth_rpc_channel *channel, const char **ret_reason)
{
    struct client_connection *connection = calloc(1, sizeof(*connection));
    int result = connection == NULL ? UV_ENOMEM : 0;

    if (result == 0) {
        connection->channel = channel;
        result = channel->is_tcp ? start_dialling(connection) : 0;
    }
    if (result < 0) {
        *ret_reason = uv_strerror(result);
        free(connection);
        return NULL;
    }
    TAILQ_INIT(&connection->calls);
    LIST_INSERT_HEAD(&channel->connections, connection, link);
    connection_init(&connection->base, &channel->engine, channel->is_tcp ? UV_TCP : UV_NAMED_PIPE, &events);
    if (channel->is_tcp)
        connection_hold(&connection->base);
    else
        start_connecting(connection);
    deadlines_start(&channel->engine.deadlines, &connection->connect_deadline,
                    uv_hrtime() + channel->limits.connect_timeout_ms * NANOSECONDS_PER_MILLISECOND,
                    on_connect_overdue);
    return connection;
}
