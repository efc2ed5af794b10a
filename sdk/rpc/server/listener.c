/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's listeners: unix sockets and TCP addresses, from their socket to the last close. Connections
 * beyond the limit are closed at once.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <berth/address.h>

#define BACKLOG 1024

static void listener_free(struct berth_rpc_listener *listener)
{
    tls_context_unref(listener->tls);
    free(listener->name);
    free(listener);
}

static void on_handle_closed(struct berth_rpc_listener *listener)
{
    struct berth_rpc_server *server = listener->server;

    if (--listener->open_handles > 0)
        return;
    LIST_REMOVE(listener, link);
    listener_free(listener);
    server->settle(server);
}

static void on_listener_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

void berth_rpc_listener_close(struct berth_rpc_listener *listener)
{
    if (listener->is_closing)
        return;
    listener->is_closing = true;
    if (listener->files != NULL)
        tls_files_close(listener->files);
    listener->files = NULL;
    if (listener->has_place)
        unix_socket_release(&listener->place);
    uv_close(&listener->socket.handle, on_listener_closed);
}

void server_close_listeners(struct berth_rpc_server *server)
{
    struct berth_rpc_listener *listener;

    LIST_FOREACH(listener, &server->listeners, link)
    berth_rpc_listener_close(listener);
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

static void take_connection(struct berth_rpc_listener *listener, int status);

static void on_refused_closed(uv_handle_t *handle)
{
    struct berth_rpc_listener *listener = handle->data;

    listener->is_refusing = false;
    if (listener->has_waiting && !listener->is_closing)
        take_connection(listener, 0);
    on_handle_closed(listener);
}

/*
 * Closes the waiting connection if there is no memory to serve it: libuv listens again once it is accepted.
 */
static void refuse(struct berth_rpc_listener *listener)
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
static int accept_connection(struct berth_rpc_listener *listener)
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

static void take_connection(struct berth_rpc_listener *listener, int status)
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

enum berth_code berth_rpc_server_check_tls(const struct berth_rpc_tls_options *options,
                                           struct berth_error *err)
{
    struct tls_context *context = NULL;
    const char *warning;
    enum berth_code code = tls_context_create_server(options, false, &context, &warning, err);

    tls_context_unref(context);
    return code;
}

/* Reads files and keys. */
static enum berth_code load_tls(struct berth_rpc_listener *listener, const struct berth_rpc_tls_options *tls,
                                struct tls_context **ret_context, struct berth_error *err)
{
    const char *warning = NULL;
    enum berth_code code = tls_context_create_server(tls, listener->protocol->kind == GREETING_HTTP1,
                                                     ret_context, &warning, err);

    if (code == BERTH_OK && warning != NULL)
        server_log(listener->server, SERVER_CAUSE_TLS, BERTH_RPC_LOG_WARN, "%s: %s", listener->name, warning);
    return code;
}

static enum berth_code use_tls(struct berth_rpc_listener *listener, const struct berth_rpc_tls_options *tls,
                               struct berth_error *err)
{
    struct tls_context *context = NULL;
    enum berth_code code = load_tls(listener, tls, &context, err);

    if (code != BERTH_OK)
        return code;
    tls_context_unref(listener->tls);
    listener->tls = context;
    return BERTH_OK;
}

static void on_files_changed(void *context, const struct berth_rpc_tls_options *tls)
{
    struct berth_rpc_listener *listener = context;
    struct berth_error err;

    if (use_tls(listener, tls, &err) == BERTH_OK)
        server_tell(listener->server, BERTH_RPC_LOG_INFO,
                    "%s: using the changed TLS files for new connections", listener->name);
    else
        server_tell(listener->server, BERTH_RPC_LOG_WARN,
                    "%s: TLS files have changed, but those in use stay: %s", listener->name, err.message);
}

/* Without memory or inotify the files are read when they are set, and not again. */
static void follow(struct berth_rpc_listener *listener, const struct berth_rpc_tls_options *tls)
{
    struct berth_error err;

    if (listener->files != NULL)
        tls_files_close(listener->files);
    listener->files = tls_files_watch(listener->server->engine.loop, tls, on_files_changed, listener, &err);
    if (listener->files == NULL)
        server_tell(listener->server, BERTH_RPC_LOG_WARN, "%s: not watching the TLS files: %s",
                    listener->name, err.message);
}

/* What is needed before anybody is let in. */
static enum berth_code create(struct berth_rpc_server *server, const struct berth_rpc_socket_options *options,
                              struct berth_rpc_listener **ret_listener, struct berth_error *err)
{
    struct berth_rpc_listener *listener = calloc(1, sizeof(*listener));
    enum berth_code code = BERTH_OK;

    if (listener != NULL)
        listener->name = strdup(options->name);
    if (listener == NULL || listener->name == NULL) {
        free(listener);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot listen on %s: out of memory",
                               options->name);
    }
    listener->server = server;
    listener->protocol = find_protocol(server, options->protocol);
    if (options->tls != NULL)
        code = load_tls(listener, options->tls, &listener->tls, err);
    if (code == BERTH_OK)
        *ret_listener = listener;
    else
        listener_free(listener);
    return code;
}

/* Opens the handle. Once that has been tried, only closing gets rid of the listener. */
static int open_handle(struct berth_rpc_listener *listener, int family, int fd)
{
    uv_loop_t *loop = listener->server->engine.loop;

    if (family == AF_UNIX)
        uv_pipe_init(loop, &listener->socket.pipe, 0);
    else
        uv_tcp_init(loop, &listener->socket.tcp);
    listener->socket.handle.data = listener;
    LIST_INSERT_HEAD(&listener->server->listeners, listener, link);
    listener->open_handles = 1;
    return family == AF_UNIX ? uv_pipe_open(&listener->socket.pipe, fd)
                             : uv_tcp_open(&listener->socket.tcp, fd);
}

/* A second listen(2) of the same socket only sets its backlog. The descriptor is closed on failure. */
static enum berth_code begin(struct berth_rpc_listener *listener, int family, int fd, uint32_t backlog,
                             struct berth_error *err)
{
    int most = backlog > 0 && backlog < INT_MAX ? (int)backlog : BACKLOG;
    int result = open_handle(listener, family, fd);
    enum berth_code code = BERTH_OK;

    listener->server->is_draining = false;
    listener->server->on_drained = NULL;
    if (result < 0)
        close(fd);
    else
        result = uv_listen(&listener->socket.stream, most, on_connection);
    if (result < 0)
        code = berth_error_set(err, BERTH_UNAVAILABLE, "cannot listen on %s: %s", listener->name,
                               uv_strerror(result));
    if (code != BERTH_OK)
        berth_rpc_listener_close(listener);
    return code;
}

enum berth_code berth_rpc_server_listen_unix(struct berth_rpc_server *server,
                                             const struct berth_rpc_unix_options *options,
                                             struct berth_error *err)
{
    bool has_protocol = options->size > offsetof(struct berth_rpc_unix_options, protocol);
    const struct unix_socket_options place = {
        .path = options->path,
        .mode = options->mode,
        .set_owner = options->set_owner,
        .uid = options->uid,
        .gid = options->gid,
    };
    struct berth_rpc_listener *listener;
    enum berth_code code = create(
        server,
        &(struct berth_rpc_socket_options){.name = options->path != NULL ? options->path : "",
                                           .protocol = has_protocol ? options->protocol : BERTH_RPC_GRPC},
        &listener, err);
    int fd;

    if (code != BERTH_OK)
        return code;
    code = unix_socket_claim(&listener->place, &place, &fd, err);
    if (code != BERTH_OK) {
        listener_free(listener);
        return code;
    }
    listener->has_place = true;
    return begin(listener, AF_UNIX, fd, 0, err);
}

/* With the port that a configured 0 has become. Without memory it keeps the configured name. */
static void take_name(struct berth_rpc_listener *listener, const struct sockaddr_storage *address)
{
    char text[TCP_ADDRESS_MAX];
    char *name;

    tcp_address_format(address, text);
    name = strdup(text);
    if (name == NULL)
        return;
    free(listener->name);
    listener->name = name;
}

enum berth_code berth_rpc_server_listen_tcp(struct berth_rpc_server *server,
                                            const struct berth_rpc_tcp_options *options, uint16_t *ret_port,
                                            struct berth_error *err)
{
    bool has_protocol = options->size > offsetof(struct berth_rpc_tcp_options, protocol);
    struct berth_rpc_socket_options here = {
        .name = options->address,
        .protocol = has_protocol ? options->protocol : BERTH_RPC_GRPC,
        .tls = options->tls,
    };
    struct berth_address address;
    struct berth_rpc_listener *listener;
    socklen_t length = sizeof(address.ip);
    enum berth_code code = berth_address_parse_listener(options->address, &address, err);
    int fd;

    if (code != BERTH_OK)
        return code;
    if (here.protocol == BERTH_RPC_TTRPC)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "cannot listen on %s: ttrpc is not supported over TCP", options->address);
    code = create(server, &here, &listener, err);
    if (code != BERTH_OK)
        return code;
    code = tcp_socket_listen(&address.ip, options->address, 0, &fd, err);
    if (code != BERTH_OK) {
        listener_free(listener);
        return code;
    }
    getsockname(fd, (struct sockaddr *)&address.ip, &length);
    take_name(listener, &address.ip);
    if (ret_port != NULL)
        *ret_port = berth_address_port(&address.ip);
    return begin(listener, address.ip.ss_family, fd, 0, err);
}

static bool is_listening(int fd, struct sockaddr_storage *ret_address)
{
    socklen_t length = sizeof(int);
    socklen_t address_length = sizeof(*ret_address);
    int type = 0;
    int listens = 0;

    memset(ret_address, 0, sizeof(*ret_address));
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0 &&
           getsockname(fd, (struct sockaddr *)ret_address, &address_length) == 0;
}

enum berth_code berth_rpc_server_listen_socket(struct berth_rpc_server *server, int fd,
                                               const struct berth_rpc_socket_options *options,
                                               struct berth_rpc_listener **ret_listener,
                                               struct berth_error *err)
{
    struct berth_rpc_socket_options here = {0};
    struct sockaddr_storage address;
    struct berth_rpc_listener *listener;
    char name[sizeof(struct sockaddr_un) + 1];
    enum berth_code code;
    int own;

    memcpy(&here, options, options->size < sizeof(here) ? options->size : sizeof(here));
    if (!is_listening(fd, &address))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "cannot listen on descriptor %d: it is not a listening stream socket", fd);
    if (address.ss_family == AF_UNIX)
        snprintf(name, sizeof(name), "%.*s", (int)sizeof(((struct sockaddr_un *)NULL)->sun_path),
                 ((const struct sockaddr_un *)&address)->sun_path);
    else
        tcp_address_format(&address, name);
    if (here.name == NULL)
        here.name = name;
    if (address.ss_family == AF_UNIX && here.tls != NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "cannot listen on %s: TLS is for TCP", here.name);
    code = create(server, &here, &listener, err);
    if (code != BERTH_OK)
        return code;
    /* Whatever goes wrong with the handle closes its descriptor. */
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
        listener_free(listener);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot listen on %s: %s", here.name,
                               strerror(errno));
    }
    code = begin(listener, address.ss_family, own, here.backlog, err);
    if (code != BERTH_OK)
        return code;
    close(fd);
    if (here.follows_tls && here.tls != NULL)
        follow(listener, here.tls);
    if (ret_listener != NULL)
        *ret_listener = listener;
    return BERTH_OK;
}

enum berth_code berth_rpc_listener_set_tls(struct berth_rpc_listener *listener,
                                           const struct berth_rpc_tls_options *tls, struct berth_error *err)
{
    enum berth_code code;

    if ((tls != NULL) != (listener->tls != NULL))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: TLS cannot be turned on or off while listening", listener->name);
    if (tls == NULL)
        return BERTH_OK;
    code = use_tls(listener, tls, err);
    if (code == BERTH_OK && listener->files != NULL)
        follow(listener, tls);
    return code;
}
