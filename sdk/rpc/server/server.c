/* SPDX-License-Identifier: Apache-2.0 */
/* The server's public functions: listening, limits, draining and closing. */
#include "server.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>
#include <sdk/rpc/base/users.h>

#define MIB (UINT64_C(1024) * 1024)

/* Calls whose memory is kept for the next ones; a few busy connections' worth. */
#define SPARE_CALLS_MAX 256

static void default32(uint32_t *value, uint32_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void default64(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static enum berth_code take_options(struct berth_rpc_server_options *limits,
                                    const struct berth_rpc_server_options *options, struct berth_error *err)
{
    size_t size = options == NULL ? 0 : options->size;

    *limits = (struct berth_rpc_server_options){0};
    if (options != NULL)
        memcpy(limits, options, size < sizeof(*limits) ? size : sizeof(*limits));
    default32(&limits->max_connections, 4096);
    default32(&limits->max_concurrent_streams, 256);
    default32(&limits->max_header_list_bytes, 16 * 1024);
    default32(&limits->handshake_timeout_ms, 10 * 1000);
    default32(&limits->write_timeout_ms, 60 * 1000);
    default32(&limits->keepalive_time_ms, 2 * 3600 * 1000);
    default32(&limits->keepalive_timeout_ms, 20 * 1000);
    default64(&limits->max_recv_message_bytes, 16 * MIB);
    default64(&limits->max_send_message_bytes, 16 * MIB);
    default64(&limits->max_unfinished_bytes, 4 * limits->max_recv_message_bytes);
    default64(&limits->max_queued_bytes, 32 * MIB);
    default64(&limits->max_buffered_bytes, 256 * MIB);
    if (limits->max_recv_message_bytes > UINT32_MAX || limits->max_send_message_bytes > UINT32_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "a gRPC message has at most %lu bytes; choose a smaller limit",
                               (unsigned long)UINT32_MAX);
    if (limits->max_unfinished_bytes < limits->max_recv_message_bytes + 5)
        limits->max_unfinished_bytes = limits->max_recv_message_bytes + 5;
    if (limits->max_buffered_bytes < 2 * (limits->max_recv_message_bytes + 5))
        limits->max_buffered_bytes = 2 * (limits->max_recv_message_bytes + 5);
    return BERTH_OK;
}

static bool copy_transport(struct berth_rpc_server *server)
{
    const char *transport = server->limits.transport;

    server->transport = strdup(transport != NULL && transport[0] != '\0' ? transport : "grpc");
    server->limits.transport = server->transport;
    return server->transport != NULL;
}

static void drop_spares(struct ebb *ebb)
{
    struct berth_rpc_server *server = CONTAINER_OF(ebb, struct berth_rpc_server, engine.ebb);

    spares_finish(&server->http2_calls);
    spares_finish(&server->ttrpc_calls);
    spares_finish(&server->connect_calls);
    pool_finish(&server->engine.pool);
}

static void on_engine_closed(struct engine *engine)
{
    struct berth_rpc_server *server = CONTAINER_OF(engine, struct berth_rpc_server, engine);
    void (*on_closed)(void *) = server->on_closed;
    void *context = server->closed_context;

    spares_finish(&server->http2_calls);
    spares_finish(&server->ttrpc_calls);
    spares_finish(&server->connect_calls);
    server_http2_destroy(server);
    http1_mounts_finish(&server->http);
    free(server->transport);
    users_remove(server);
    free(server);
    if (on_closed != NULL)
        on_closed(context);
}

static void settle(struct berth_rpc_server *server)
{
    void (*on_drained)(void *) = server->on_drained;

    if (!LIST_EMPTY(&server->connections))
        return;
    if (server->is_draining && !server->is_closing && on_drained != NULL) {
        server->on_drained = NULL;
        on_drained(server->drained_context);
        return;
    }
    if (!server->is_closing || !LIST_EMPTY(&server->listeners) || server->is_engine_closing)
        return;
    server->is_engine_closing = true;
    turn_remove(&server->engine.turn, &server->close_task);
    turn_remove(&server->engine.turn, &server->end_task);
    engine_close(&server->engine, on_engine_closed);
}

enum berth_code berth_rpc_server_adopt(struct berth_rpc_server *server, int fd, struct berth_error *err)
{
    struct server_connection *connection;
    int result = server_connection_open(server, fd, &connection);

    if (result == 0)
        return BERTH_OK;
    return berth_error_set(err, BERTH_UNAVAILABLE, "cannot serve descriptor %d: %s", fd, uv_strerror(result));
}

static void drain(struct berth_rpc_server *server, bool spares_ttrpc, void (*on_drained)(void *context),
                  void *context)
{
    struct server_connection *connection;

    server->is_draining = true;
    server->is_retired = spares_ttrpc;
    server->on_drained = on_drained;
    server->drained_context = context;
    server_close_listeners(server);
    LIST_FOREACH(connection, &server->connections, link)
    if (connection->drain_step == SERVER_DRAIN_NONE &&
        !(spares_ttrpc && connection->protocol == server->ttrpc))
        server_connection_drain(connection);
    else if (connection->drain_step == SERVER_DRAIN_NOTICED && !spares_ttrpc)
        server_http2_hasten(connection);
    settle(server);
}

void berth_rpc_server_drain(struct berth_rpc_server *server, void (*on_drained)(void *context), void *context)
{
    drain(server, false, on_drained, context);
}

void berth_rpc_server_retire(struct berth_rpc_server *server, void (*on_drained)(void *context),
                             void *context)
{
    drain(server, true, on_drained, context);
}

static void close_all(struct turn_task *task)
{
    struct berth_rpc_server *server = CONTAINER_OF(task, struct berth_rpc_server, close_task);
    struct server_connection *connection;

    LIST_FOREACH(connection, &server->connections, link)
    server_connection_end(connection, "the server is shutting down");
    settle(server);
}

static void end_some(struct turn_task *task)
{
    struct berth_rpc_server *server = CONTAINER_OF(task, struct berth_rpc_server, end_task);
    struct server_connection *connection;

    LIST_FOREACH(connection, &server->connections, link)
    if (connection->is_to_end)
        server_connection_end(connection, "the connection was closed by the operator");
}

enum berth_code berth_rpc_server_create(uv_loop_t *loop, const struct berth_rpc_server_options *options,
                                        const struct berth_router *router,
                                        struct berth_rpc_server **ret_server, struct berth_error *err)
{
    struct berth_rpc_server *server = calloc(1, sizeof(*server));
    enum berth_code code;

    if (server == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot create a gRPC server: out of memory");
    code = take_options(&server->limits, options, err);
    if (code == BERTH_OK && !copy_transport(server))
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot create a gRPC server: out of memory");
    if (code == BERTH_OK && server_http2_create(server) != 0)
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot create a gRPC server: out of memory");
    if (code != BERTH_OK) {
        free(server->transport);
        free(server);
        return code;
    }
    server->router = router;
    server->grpc = &server_http2;
    server->ttrpc = &server_ttrpc;
    server->settle = settle;
    LIST_INIT(&server->connections);
    LIST_INIT(&server->listeners);
    server->buffered.limit = server->limits.max_buffered_bytes;
    server->http2_calls = (struct spares){.size = server->grpc->call_size, .max = SPARE_CALLS_MAX};
    server->ttrpc_calls = (struct spares){.size = server->ttrpc->call_size, .max = SPARE_CALLS_MAX};
    server->connect_calls = (struct spares){.size = server_http1.call_size, .max = SPARE_CALLS_MAX};
    server->close_task.run = close_all;
    server->end_task.run = end_some;
    engine_init(&server->engine, loop);
    ebb_watch(&server->engine.ebb, &server->buffered, loop, &server->engine.deadlines, drop_spares);
    users_add(server, __builtin_return_address(0));
    *ret_server = server;
    return BERTH_OK;
}

enum berth_code berth_rpc_server_set_options(struct berth_rpc_server *server,
                                             const struct berth_rpc_server_options *options,
                                             struct berth_error *err)
{
    struct berth_rpc_server_options limits;
    struct server_connection *connection;
    enum berth_code code = take_options(&limits, options, err);

    if (code != BERTH_OK)
        return code;
    limits.transport = server->limits.transport;
    limits.on_log = server->limits.on_log;
    limits.context = server->limits.context;
    server->limits = limits;
    server->buffered.limit = limits.max_buffered_bytes;
    LIST_FOREACH(connection, &server->connections, link)
    server_connection_set_limits(connection);
    return BERTH_OK;
}

void berth_rpc_server_close(struct berth_rpc_server *server, void (*on_closed)(void *context), void *context)
{
    server->is_closing = true;
    server->on_drained = NULL;
    server->on_closed = on_closed;
    server->closed_context = context;
    server_close_listeners(server);
    turn_add(&server->engine.turn, &server->close_task);
}

void berth_rpc_server_get_stats(const struct berth_rpc_server *server, struct berth_rpc_server_stats *stats)
{
    struct berth_rpc_server_stats full = server->stats;
    uint32_t size = stats->size < sizeof(full) ? stats->size : (uint32_t)sizeof(full);

    full.bytes_received = server->engine.bytes_received;
    full.bytes_sent = server->engine.bytes_sent;
    full.size = size;
    memcpy(stats, &full, size);
}

static const char *transport_of(const struct server_connection *connection)
{
    return connection->protocol == connection->server->ttrpc ? "ttrpc" : connection->server->transport;
}

void berth_rpc_server_each_connection(
    const struct berth_rpc_server *server,
    bool (*on_connection)(void *context, const struct berth_rpc_connection_info *connection), void *context)
{
    const struct server_connection *connection;

    LIST_FOREACH(connection, &server->connections, link)
    {
        const struct berth_rpc_connection_info info = {
            .size = sizeof(info),
            .number = connection->number,
            .transport = transport_of(connection),
            .peer = &connection->peer.who,
            .since_ns = connection->since_ns,
            .calls = connection->calls,
        };

        /* One that has no peer yet is about to be refused. */
        if (!connection->base.is_lost && connection->peer.who.address != NULL &&
            !on_connection(context, &info))
            return;
    }
}

enum berth_code berth_rpc_server_close_connection(struct berth_rpc_server *server, uint64_t number,
                                                  struct berth_error *err)
{
    struct server_connection *connection;

    LIST_FOREACH(connection, &server->connections, link)
    if (connection->number == number && !connection->base.is_lost) {
        connection->is_to_end = true;
        turn_add(&server->engine.turn, &server->end_task);
        return BERTH_OK;
    }
    return berth_error_set(err, BERTH_NOT_FOUND, "connection %llu not found; it may have closed",
                           (unsigned long long)number);
}
