/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of a channel, from connect to close. */
#include "client_state.h"

#include <stdlib.h>

#include "container.h"

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

static struct client_connection *from_base(struct connection *base)
{
    return CONTAINER_OF(base, struct client_connection, base);
}

static void on_ready(struct connection *base)
{
    channel_process(from_base(base)->channel);
}

static void on_chunk(struct http2 *http2, void *stream_data, int32_t stream_id, const uint8_t *bytes,
                     size_t length)
{
    if (stream_data == NULL)
        http2_consume(http2, stream_id, length);
    else
        client_call_take(stream_data, bytes, length);
}

static void end_calls(struct client_connection *connection, const char *reason)
{
    struct berth_rpc_call *next;
    char message[256];

    snprintf(message, sizeof(message), "the connection to %s was lost: %s", connection->channel->path,
             reason);
    for (struct berth_rpc_call *call = connection->calls.first; call != NULL; call = next) {
        next = call->next;
        if (call->is_unknown)
            continue;
        client_call_forget(call);
        if (!client_call_retry(call) && !call->is_remote_ended)
            client_call_end(call, BERTH_UNAVAILABLE, message);
    }
}

/* One that took no call is a try that failed, or it could be made again and again without a pause. */
void client_connection_leave(struct client_connection *connection, const char *reason)
{
    struct berth_rpc_channel *channel = connection->channel;

    if (channel->current != connection)
        return;
    channel->current = NULL;
    if (!connection->is_used)
        channel_connect_failed(channel, reason);
    turn_add(&channel->engine.turn, &channel->task);
}

static void on_lost(struct connection *base, const char *reason)
{
    struct client_connection *connection = from_base(base);
    struct berth_rpc_channel *channel = connection->channel;

    deadlines_stop(&channel->engine.deadlines, &connection->connect_deadline);
    end_calls(connection, reason);
    client_connection_leave(connection, reason);
}

static void on_closed(struct connection *base)
{
    struct client_connection *connection = from_base(base);
    struct berth_rpc_channel *channel = connection->channel;
    struct client_connection **place = &channel->connections;

    /* Calls that were not yet told of the end outlive the connection. */
    while (connection->calls.first != NULL)
        client_call_detach(connection->calls.first);
    while (*place != connection)
        place = &(*place)->next;
    *place = connection->next;
    free(connection);
    channel_settle(channel);
}

static const struct connection_events events = {
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_closed = on_closed,
};

bool client_connection_has_room(const struct client_connection *connection)
{
    return connection->open_streams < nghttp2_session_get_remote_settings(
                                          connection->http2.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

void client_connection_retire(struct client_connection *connection)
{
    client_connection_leave(connection, "all its stream numbers are used");
    nghttp2_submit_goaway(connection->http2.session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    connection_touch(&connection->base);
}

static void on_connect_overdue(struct deadline *deadline)
{
    struct client_connection *connection = CONTAINER_OF(deadline, struct client_connection, connect_deadline);

    connection_lose(&connection->base, "it did not answer in time");
}

static void on_connected(uv_connect_t *request, int status)
{
    struct client_connection *connection = request->data;

    if (connection->base.is_lost)
        return;
    if (status == 0 && client_session_start(connection) != 0)
        status = UV_ENOMEM;
    if (status == 0)
        status = connection_start(&connection->base, &http2_protocol, &connection->http2);
    if (status < 0)
        connection_lose(&connection->base, uv_strerror(status));
}

struct client_connection *client_connection_open(struct berth_rpc_channel *channel)
{
    struct client_connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL)
        return NULL;
    connection->channel = channel;
    call_list_init(&connection->calls);
    connection->next = channel->connections;
    connection->request.data = connection;
    connection->http2.connection = &connection->base;
    connection->http2.on_chunk = on_chunk;
    channel->connections = connection;
    connection_init(&connection->base, &channel->engine, UV_NAMED_PIPE, &events);
    uv_pipe_connect(&connection->request, &connection->base.socket.pipe, channel->path, on_connected);
    deadlines_start(&channel->engine.deadlines, &connection->connect_deadline,
                    uv_hrtime() + channel->limits.connect_timeout_ms * NANOSECONDS_PER_MILLISECOND,
                    on_connect_overdue);
    return connection;
}
