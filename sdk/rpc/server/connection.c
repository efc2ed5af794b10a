/* SPDX-License-Identifier: Apache-2.0 */
/* One peer of the server, from accept to close; and how it is asked to go. */
#include "state.h"

#include <stdlib.h>
#include <sys/resource.h>

#include <sdk/base/container_of.h>
#include <sdk/rpc/tls/tls.h>

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

/* Descriptors that no connection takes: an eighth of all, and at most so many. */
#define DESCRIPTORS_RESERVED 64

static struct server_connection *from_base(struct connection *base)
{
    return CONTAINER_OF(base, struct server_connection, base);
}

static void tell_refusals(struct berth_rpc_server *server)
{
    if (server->buffered.refusals == server->refusals_told)
        return;
    server->refusals_told = server->buffered.refusals;
    server_log(
        server, SERVER_CAUSE_FULL, BERTH_RPC_LOG_WARN,
        "max_buffered_bytes reached: calls beyond a connection's share end with RESOURCE_EXHAUSTED used=%llu "
        "limit=%llu connections=%u",
        (unsigned long long)server->buffered.used, (unsigned long long)server->buffered.limit,
        server->stats.connections);
}

static void on_ready(struct connection *base)
{
    struct server_connection *connection = from_base(base);

    connection->protocol->process(connection);
    tell_refusals(connection->server);
}

static void on_lost(struct connection *base, const char *reason)
{
    struct server_connection *connection = from_base(base);
    struct berth_rpc_server *server = connection->server;

    deadlines_stop(&server->engine.deadlines, &connection->handshake_deadline);
    deadlines_stop(&server->engine.deadlines, &connection->drain_deadline);
    server_age_stop(connection);
    if (connection->tls != NULL && tls_has_failed(connection->tls))
        server_log(server, SERVER_CAUSE_TLS, BERTH_RPC_LOG_WARN, "%s: %s", connection->peer.address, reason);
    else
        server_log(server, SERVER_CAUSE_LOST, BERTH_RPC_LOG_DEBUG, "%s: %s", connection->peer.address,
                   reason);
    connection->protocol->lose(connection);
}

static void on_closed(struct connection *base)
{
    struct server_connection *connection = from_base(base);
    struct berth_rpc_server *server = connection->server;

    *connection->previous = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    server->stats.connections--;
    server_peer_leave(connection);
    free(connection);
    server_settle(server);
}

static const struct connection_events events = {
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_closed = on_closed,
};

static void on_handshake_overdue(struct deadline *deadline)
{
    struct server_connection *connection =
        CONTAINER_OF(deadline, struct server_connection, handshake_deadline);

    /* A ttrpc peer is waited for only until it has said enough to be known as one; at the address of another
     * protocol, where nothing else bounds its time, for no longer at all. */
    if (!connection->protocol->has_handshake && connection->greeting.is_known && connection->refusal == NULL)
        return;
    connection_lose(&connection->base, "no HTTP/2 preface and settings came in time");
}

bool server_await_handshake(struct server_connection *connection, uint32_t timeout_ms)
{
    return deadlines_start(&connection->server->engine.deadlines, &connection->handshake_deadline,
                           uv_hrtime() + timeout_ms * NANOSECONDS_PER_MILLISECOND, on_handshake_overdue);
}

static struct server_connection *create(struct berth_rpc_server *server, uv_handle_type type,
                                        const struct server_protocol *protocol)
{
    struct server_connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL)
        return NULL;
    connection->server = server;
    connection->protocol = protocol;
    connection->unfinished.limit = server->limits.max_unfinished_bytes;
    connection->unfinished.parent = &server->buffered;
    connection->base.write_timeout_ms = server->limits.write_timeout_ms;
    connection->next = server->connections;
    connection->previous = &server->connections;
    if (connection->next != NULL)
        connection->next->previous = &connection->next;
    server->connections = connection;
    server->stats.connections++;
    connection_init(&connection->base, &server->engine, type, &events);
    connection->base.queued.parent = &server->buffered;
    return connection;
}

static void on_secured(struct connection *base)
{
    struct server_connection *connection = from_base(base);

    tls_identify(connection->tls, &connection->peer.who);
}

/* @param tls  NULL: in clear. */
static int start(struct server_connection *connection, struct tls_context *tls)
{
    struct berth_rpc_server *server = connection->server;
    uv_os_fd_t fd;
    int result = uv_fileno(&connection->base.socket.handle, &fd);

    if (result == 0)
        peer_init(&connection->peer, fd);
    if (result == 0 && tls != NULL) {
        connection->tls = tls_cover(&connection->base, tls, on_secured);
        result = connection->tls == NULL ? UV_ENOMEM : 0;
    }
    server_greeting_init(connection);
    if (result == 0)
        result = connection->protocol->start(connection);
    if (result == 0 && connection->protocol->has_handshake &&
        !server_await_handshake(connection, server->limits.handshake_timeout_ms))
        result = UV_ENOMEM;
    if (result == 0 && !server_age_start(connection))
        result = UV_ENOMEM;
    if (result == 0)
        server->stats.connections_accepted++;
    return result;
}

int server_connection_open(struct berth_rpc_server *server, int fd, struct server_connection **ret_connection)
{
    uv_handle_type type = uv_guess_handle(fd);
    struct server_connection *connection;
    int result;

    if (type != UV_TCP && type != UV_NAMED_PIPE)
        return UV_ENOTSOCK;
    connection = create(server, type, &server_http2);
    if (connection == NULL)
        return UV_ENOMEM;
    result = type == UV_TCP ? uv_tcp_open(&connection->base.socket.tcp, fd)
                            : uv_pipe_open(&connection->base.socket.pipe, fd);
    if (result < 0) {
        connection_lose(&connection->base, uv_strerror(result));
        return result;
    }
    result = start(connection, NULL);
    if (result < 0)
        connection_lose(&connection->base, uv_strerror(result));
    *ret_connection = connection;
    return 0;
}

static bool is_full(const struct berth_rpc_server *server)
{
    return server->stats.connections > server->limits.max_connections;
}

/* Files that plugins open, and second descriptors of sockets, must be had all the same. */
static bool is_short_of_descriptors(int fd, struct rlimit *ret_limit)
{
    rlim_t reserve;

    if (getrlimit(RLIMIT_NOFILE, ret_limit) != 0 || ret_limit->rlim_cur == RLIM_INFINITY)
        return false;
    reserve = ret_limit->rlim_cur / 8 < DESCRIPTORS_RESERVED ? ret_limit->rlim_cur / 8 : DESCRIPTORS_RESERVED;
    return (rlim_t)fd + reserve >= ret_limit->rlim_cur;
}

/* @return false, and the reason is logged, where there is no room for one more. */
static bool has_room(struct server_connection *connection)
{
    struct berth_rpc_server *server = connection->server;
    struct sockaddr_storage address;
    int length = sizeof(address);
    char text[TCP_ADDRESS_MAX] = "";
    struct rlimit limit;
    uv_os_fd_t fd;

    if (uv_fileno(&connection->base.socket.handle, &fd) != 0)
        return true;
    if (is_full(server)) {
        server_log(server, SERVER_CAUSE_REFUSED, BERTH_RPC_LOG_WARN,
                   "max_connections reached: closing new connections limit=%u",
                   server->limits.max_connections);
    } else if (is_short_of_descriptors(fd, &limit)) {
        server_log(server, SERVER_CAUSE_REFUSED, BERTH_RPC_LOG_WARN,
                   "RLIMIT_NOFILE nearly reached: closing new connections connections=%u limit=%llu",
                   server->stats.connections - 1, (unsigned long long)limit.rlim_cur);
    } else if (!server_peer_join(connection, fd)) {
        if (uv_tcp_getpeername(&connection->base.socket.tcp, (struct sockaddr *)&address, &length) == 0)
            tcp_address_format(&address, text);
        server_log(server, SERVER_CAUSE_REFUSED, BERTH_RPC_LOG_WARN,
                   "max_connections_per_peer reached: closing new connections peer=%s limit=%u", text,
                   server->limits.max_connections_per_peer);
    } else {
        return true;
    }
    server->stats.connections_refused++;
    return false;
}

int server_connection_accept(struct server_listener *listener)
{
    struct server_connection *connection =
        create(listener->server, listener->socket.handle.type, listener->protocol);
    int result;

    if (connection == NULL) {
        server_listener_refuse(listener);
        return UV_ENOMEM;
    }
    result = uv_accept(&listener->socket.stream, &connection->base.socket.stream);
    if (result == 0 && !has_room(connection)) {
        connection_lose(&connection->base, "the server has as many connections as it takes");
        return 0;
    }
    if (result == 0)
        result = start(connection, listener->tls);
    if (result < 0)
        connection_lose(&connection->base, uv_strerror(result));
    return result;
}

void server_connection_drain(struct server_connection *connection)
{
    connection->greeting.is_forced = true;
    if (!connection->base.is_lost && connection->drain_step != SERVER_DRAIN_FINAL)
        connection->protocol->drain(connection);
}

void server_connection_end(struct server_connection *connection, const char *reason)
{
    if (connection->base.is_lost)
        return;
    connection->greeting.is_forced = true;
    connection->protocol->end(connection, reason);
    if (connection->base.session != NULL && connection->base.writing == NULL)
        connection_write(&connection->base);
    connection_lose(&connection->base, reason);
}
