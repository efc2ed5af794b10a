/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's listeners: unix sockets and TCP addresses, from bind to the last close. Connections beyond the
 * limit are closed at once.
 */
#include "server.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <berth/address.h>

#define BACKLOG 1024

static void on_handle_closed(struct server_listener *listener)
{
    struct berth_rpc_server *server = listener->server;

    if (--listener->open_handles > 0)
        return;
    LIST_REMOVE(listener, link);
    tls_context_unref(listener->tls);
    free(listener);
    server->settle(server);
}

static void on_listener_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void close_listener(struct server_listener *listener)
{
    if (listener->is_closing)
        return;
    listener->is_closing = true;
    if (listener->socket.handle.type == UV_NAMED_PIPE)
        unix_socket_release(&listener->place);
    uv_close(&listener->socket.handle, on_listener_closed);
}

void server_close_listeners(struct berth_rpc_server *server)
{
    struct server_listener *listener;

    LIST_FOREACH(listener, &server->listeners, link)
    close_listener(listener);
}

/* Descriptors reserved for other uses: an eighth of all, and at most this many. */
#define DESCRIPTORS_RESERVED 64

static bool is_full(const struct berth_rpc_server *server)
{
    return server->stats.connections > server->limits.max_connections;
}

/* Files that plugins open, and second descriptors of sockets, need some too. */
static bool is_short_of_descriptors(int fd, struct rlimit *ret_limit)
{
    rlim_t reserve;

    if (getrlimit(RLIMIT_NOFILE, ret_limit) != 0 || ret_limit->rlim_cur == RLIM_INFINITY)
        return false;
    reserve = ret_limit->rlim_cur / 8 < DESCRIPTORS_RESERVED ? ret_limit->rlim_cur / 8 : DESCRIPTORS_RESERVED;
    return (rlim_t)fd + reserve >= ret_limit->rlim_cur;
}

/* @return false, with the reason logged, if there is no room for one more. */
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

static void take_connection(struct server_listener *listener, int status);

static void on_refused_closed(uv_handle_t *handle)
{
    struct server_listener *listener = handle->data;

    listener->is_refusing = false;
    if (listener->has_waiting && !listener->is_closing)
        take_connection(listener, 0);
    on_handle_closed(listener);
}

/*
 * Closes the waiting connection if there is no memory to serve it: libuv listens again once it is accepted.
 */
static void refuse(struct server_listener *listener)
{
    uv_loop_t *loop = listener->server->engine.loop;

    listener->has_waiting = listener->is_refusing;
    if (listener->is_refusing)
        return;
    if (listener->socket.handle.type == UV_TCP)
        uv_tcp_init(loop, &listener->refused.tcp);
    else
        uv_pipe_init(loop, &listener->refused.pipe, 0);
    listener->refused.handle.data = listener;
    listener->is_refusing = true;
    listener->open_handles++;
    uv_accept(&listener->socket.stream, &listener->refused.stream);
    uv_close(&listener->refused.handle, on_refused_closed);
}

/* @return 0 or a libuv error. */
static int accept_connection(struct server_listener *listener)
{
    struct server_connection *connection =
        server_connection_create(listener->server, listener->socket.handle.type, listener->protocol);
    int result;

    if (connection == NULL) {
        refuse(listener);
        return UV_ENOMEM;
    }
    result = uv_accept(&listener->socket.stream, &connection->base.socket.stream);
    if (result == 0 && !has_room(connection)) {
        connection_lose(&connection->base, "connection limit reached");
        return 0;
    }
    if (result == 0)
        result = server_connection_start(connection, listener->tls);
    if (result < 0)
        connection_lose(&connection->base, uv_strerror(result));
    return result;
}

static void take_connection(struct server_listener *listener, int status)
{
    if (status == 0)
        status = accept_connection(listener);
    if (status < 0)
        server_log(listener->server, SERVER_CAUSE_ACCEPT, BERTH_RPC_LOG_WARN,
                   "%s: cannot accept a connection: %s", listener->name, uv_strerror(status));
}

static void on_connection(uv_stream_t *stream, int status)
{
    take_connection(stream->data, status);
}

static struct server_listener *create(struct berth_rpc_server *server, const struct server_protocol *protocol)
{
    struct server_listener *listener = calloc(1, sizeof(*listener));

    if (listener == NULL)
        return NULL;
    listener->server = server;
    listener->protocol = protocol;
    return listener;
}

/* The handle is ready, so that only closing gets rid of the listener. */
static void join(struct server_listener *listener)
{
    listener->socket.handle.data = listener;
    LIST_INSERT_HEAD(&listener->server->listeners, listener, link);
    listener->open_handles = 1;
}

static int listen_on_pipe(struct server_listener *listener, int fd)
{
    int result;

    uv_pipe_init(listener->server->engine.loop, &listener->socket.pipe, 0);
    join(listener);
    result = uv_pipe_open(&listener->socket.pipe, fd);
    if (result < 0) {
        close(fd);
        return result;
    }
    return uv_listen(&listener->socket.stream, BACKLOG, on_connection);
}

static const struct server_protocol *find_protocol(const struct berth_rpc_server *server,
                                                   enum berth_rpc_protocol protocol)
{
    switch (protocol) {
    case BERTH_RPC_TTRPC:
        return server->ttrpc;
    case BERTH_RPC_HTTP:
        return &server_http1;
    case BERTH_RPC_GRPC:
        break;
    }
    return server->grpc;
}

enum berth_code berth_rpc_server_listen_unix(struct berth_rpc_server *server,
                                             const struct berth_rpc_unix_options *options,
                                             struct berth_error *err)
{
    bool has_protocol = options->size > offsetof(struct berth_rpc_unix_options, protocol);
    struct server_listener *listener =
        create(server, find_protocol(server, has_protocol ? options->protocol : BERTH_RPC_GRPC));
    enum berth_code code;
    int result;
    int fd;

    if (listener == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot listen on %s: out of memory",
                               options->path);
    code = unix_socket_claim(&listener->place, options, &fd, err);
    if (code != BERTH_OK) {
        free(listener);
        return code;
    }
    listener->name = listener->place.path;
    result = listen_on_pipe(listener, fd);
    if (result == 0)
        return BERTH_OK;
    close_listener(listener);
    return berth_error_set(err, BERTH_UNAVAILABLE, "cannot listen on %s: %s", options->path,
                           uv_strerror(result));
}

static enum berth_code refuse_tcp(const char *address, int error, struct berth_error *err)
{
    if (error == UV_EADDRINUSE)
        return berth_error_set(
            err, BERTH_ALREADY_EXISTS,
            "cannot listen on %s: another process is already listening there; stop it or choose another port",
            address);
    if (error == UV_EADDRNOTAVAIL)
        return berth_error_set(
            err, BERTH_UNAVAILABLE,
            "cannot listen on %s: it is not an address of this machine (\"ip address\" lists them)", address);
    if (error == UV_EACCES || error == UV_EPERM)
        return berth_error_set(
            err, BERTH_PERMISSION_DENIED,
            "cannot listen on %s: %s (ports below 1024 require root or CAP_NET_BIND_SERVICE)", address,
            uv_strerror(error));
    return berth_error_set(err, BERTH_UNAVAILABLE, "cannot listen on %s: %s", address, uv_strerror(error));
}

static int listen_on_tcp(struct server_listener *listener, struct sockaddr_storage *address)
{
    int length = sizeof(*address);
    int result;

    uv_tcp_init(listener->server->engine.loop, &listener->socket.tcp);
    join(listener);
    /* libuv sets SO_REUSEADDR, and reports an address in use only when it listens. */
    result = uv_tcp_bind(&listener->socket.tcp, (struct sockaddr *)address, 0);
    if (result == 0)
        result = uv_listen(&listener->socket.stream, BACKLOG, on_connection);
    if (result == 0)
        result = uv_tcp_getsockname(&listener->socket.tcp, (struct sockaddr *)address, &length);
    if (result == 0)
        tcp_address_format(address, listener->address);
    listener->name = listener->address;
    return result;
}

enum berth_code berth_rpc_server_check_tls(const struct berth_rpc_tls_options *options,
                                           struct berth_error *err)
{
    struct tls_context *context = NULL;
    const char *warning;
    enum berth_code code = tls_context_create_server(options, false, &context, &warning, err);

    tls_context_unref(context);
    return code;
}

/* Files and keys are read before anybody is let in. */
static enum berth_code set_up_tls(struct server_listener *listener,
                                  const struct berth_rpc_tcp_options *options, struct berth_error *err)
{
    const char *warning = NULL;
    enum berth_code code;

    if (options->tls == NULL)
        return BERTH_OK;
    code = tls_context_create_server(options->tls, listener->protocol->kind == GREETING_HTTP1, &listener->tls,
                                     &warning, err);
    if (code == BERTH_OK && warning != NULL)
        server_log(listener->server, SERVER_CAUSE_TLS, BERTH_RPC_LOG_WARN, "%s: %s", options->address,
                   warning);
    return code;
}

enum berth_code berth_rpc_server_listen_tcp(struct berth_rpc_server *server,
                                            const struct berth_rpc_tcp_options *options, uint16_t *ret_port,
                                            struct berth_error *err)
{
    struct berth_address address;
    struct server_listener *listener;
    enum berth_code code = berth_address_parse_listener(options->address, &address, err);
    bool has_protocol = options->size > offsetof(struct berth_rpc_tcp_options, protocol);
    enum berth_rpc_protocol protocol = has_protocol ? options->protocol : BERTH_RPC_GRPC;
    int result;

    if (code != BERTH_OK)
        return code;
    if (protocol == BERTH_RPC_TTRPC)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "cannot listen on %s: ttrpc is not supported over TCP", options->address);
    listener = create(server, find_protocol(server, protocol));
    if (listener == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot listen on %s: out of memory",
                               options->address);
    code = set_up_tls(listener, options, err);
    if (code != BERTH_OK) {
        free(listener);
        return code;
    }
    result = listen_on_tcp(listener, &address.ip);
    if (result < 0) {
        close_listener(listener);
        return refuse_tcp(options->address, result, err);
    }
    if (ret_port != NULL)
        *ret_port = tcp_address_port(&address.ip);
    return BERTH_OK;
}
