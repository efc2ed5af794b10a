/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For plugins that are servers (io.containerd.server.v1): a server of <berth/rpc/server.h> in a plugin's
 * life. The instance begins with a struct berth_rpc_plugin:
 *
 *     struct hello {
 *         struct berth_rpc_plugin base;
 *         …
 *     };
 *
 * init is berth_rpc_plugin_init, whose `set_up` reads the settings and calls berth_rpc_plugin_create; serve:
 * berth_rpc_plugin_listen_unix or _tcp; drain and close are berth_rpc_plugin_drain and _close; `.interface`
 * is a constant BERTH_RPC_PLUGIN_INTERFACE.
 */
#ifndef BERTH_RPC_PLUGIN_H
#define BERTH_RPC_PLUGIN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/address.h>
#include <berth/plugin.h>
#include <berth/rpc/server.h>
#include <berth/types/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** First member of an instance. Everything is filled in here. */
struct berth_rpc_plugin {
    const struct berth_host *host;
    /** Frees the instance, this struct included, with berth_rpc_plugin_finish. */
    void (*destroy)(struct berth_rpc_plugin *self);
    /** The address listened on: a path, or a host and the actual port. Owned; NULL before it is known. */
    char *address;
    struct berth_rpc_server *server;
    /** Where it listens on a socket of the host's: the address there, owned. NULL: nowhere. */
    char *listened;
    struct berth_rpc_listener *listener;
    /** The host waits for the end of a drain. */
    bool drain_is_pending;
    bool drained;
    /** From a drain for another generation on: does the daemon stop meanwhile, or is the change given up? */
    struct berth_watch *changes;
    /** Listens as serve does, because the change is given up. Set by `set_up`; NULL: the server stays deaf.
     */
    enum berth_code (*listen_again)(struct berth_rpc_plugin *self, struct berth_error *err);
};

/**
 * The plugin's `init`: an instance of `size` bytes, zeroed but for its struct berth_rpc_plugin.
 *
 * @param set_up   reads the settings into the instance and creates the server. If it fails, `destroy`
 * follows.
 * @param destroy  frees the instance, also one that is set up in part only.
 */
static inline enum berth_code berth_rpc_plugin_init(const struct berth_host *host, size_t size,
                                                    enum berth_code (*set_up)(struct berth_rpc_plugin *self,
                                                                              struct berth_error *err),
                                                    void (*destroy)(struct berth_rpc_plugin *self),
                                                    void **ret_instance, struct berth_error *err)
{
    struct berth_rpc_plugin *self = (struct berth_rpc_plugin *)calloc(1, size);
    enum berth_code code;

    if (self == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server");
    self->host = host;
    self->destroy = destroy;
    code = set_up(self, err);
    if (code == BERTH_OK)
        *ret_instance = self;
    else
        destroy(self);
    return code;
}

/** The default of max_connections_per_peer: an eighth of all connections, or 16 if that is more. */
static inline uint32_t berth_rpc_plugin_per_peer(int64_t max_connections)
{
    return max_connections / 8 > 16 ? (uint32_t)(max_connections / 8) : 16;
}

/** Rounded up, so that a short time does not become 0, which has another meaning. */
static inline uint32_t berth_rpc_milliseconds(int64_t nanoseconds)
{
    return (uint32_t)((nanoseconds + 999999) / 1000000);
}

static inline enum berth_log_level berth_rpc_plugin_level(enum berth_rpc_log_level level)
{
    switch (level) {
    case BERTH_RPC_LOG_ERROR:
        return BERTH_LOG_ERROR;
    case BERTH_RPC_LOG_WARN:
        return BERTH_LOG_WARN;
    case BERTH_RPC_LOG_INFO:
        return BERTH_LOG_INFO;
    case BERTH_RPC_LOG_DEBUG:
        break;
    }
    return BERTH_LOG_DEBUG;
}

static inline void berth_rpc_plugin_on_log(void *context, enum berth_rpc_log_level level, const char *message)
{
    const struct berth_rpc_plugin *self = (const struct berth_rpc_plugin *)context;

    berth_log(self->host, berth_rpc_plugin_level(level), "%s", message);
}

/** Creates the server on the host's loop and router. Sets `on_log` and `context` of the options. */
static inline enum berth_code berth_rpc_plugin_create(struct berth_rpc_plugin *self,
                                                      struct berth_rpc_server_options *options,
                                                      struct berth_error *err)
{
    options->on_log = berth_rpc_plugin_on_log;
    options->context = self;
    return berth_rpc_server_create(self->host->loop, options, self->host->router, &self->server, err);
}

/** Takes ownership of `address`, NULL if memory ran out, and exports it under the key "address". */
static inline enum berth_code berth_rpc_plugin_publish(struct berth_rpc_plugin *self, char *address,
                                                       struct berth_error *err)
{
    enum berth_code code;

    if (address == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server's address");
    free(self->address);
    self->address = address;
    code = berth_add_export(self->host, "address", address);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "cannot publish the address %s", address);
    return BERTH_OK;
}

/** @return a copy of the path, or of `name` in the daemon's state directory; NULL without memory. */
static inline char *berth_rpc_plugin_path(const struct berth_host *host, const char *configured,
                                          const char *name)
{
    const char *folder = host->inspect->daemon->state;
    char *path;
    size_t size;

    if (configured != NULL)
        return strdup(configured);
    size = strlen(folder) + strlen(name) + 2;
    path = (char *)malloc(size);
    if (path != NULL)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

/**
 * The settings mode, uid and gid of a generated config struct, as members of struct berth_rpc_unix_options.
 */
#define BERTH_RPC_PLUGIN_UNIX_OPTIONS(config)                                                                \
    .size = sizeof(struct berth_rpc_unix_options), .mode = (mode_t)strtoul((config)->mode, NULL, 8),         \
    .set_owner = (config)->has_uid || (config)->has_gid,                                                     \
    .uid = (config)->has_uid ? (uid_t)(config)->uid : (uid_t)-1,                                             \
    .gid = (config)->has_gid ? (gid_t)(config)->gid : (gid_t)-1

/* The host has no part in what is opened for a test, or by a host that is older than berth_listen. */
static inline bool berth_rpc_plugin_is_hosted(const struct berth_rpc_plugin *self)
{
    return BERTH_HAS(self->host, listen);
}

/* Accepts nothing further at the host's socket, and gives it back. */
static inline void berth_rpc_plugin_unlisten(struct berth_rpc_plugin *self)
{
    if (self->listener != NULL)
        berth_rpc_listener_close(self->listener);
    if (self->listened != NULL)
        berth_unlisten(self->host, self->listened);
    free(self->listened);
    self->listener = NULL;
    self->listened = NULL;
}

/**
 * Listens on a socket of the host's, and no longer on the one before, if there is one: a server has one
 * address. Connections stay. If it fails, nothing has changed.
 *
 * @param ret_port  of TCP; may be NULL.
 */
static inline enum berth_code berth_rpc_plugin_listen(struct berth_rpc_plugin *self,
                                                      const struct berth_listen *where,
                                                      const struct berth_rpc_socket_options *options,
                                                      uint16_t *ret_port, struct berth_error *err)
{
    struct berth_rpc_listener *listener = NULL;
    char *listened = strdup(where->address);
    struct sockaddr_storage ip;
    socklen_t length = sizeof(ip);
    enum berth_code code;
    int fd = -1;

    if (listened == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server's address");
    code = berth_listen(self->host, where, &fd, err);
    if (code == BERTH_OK) {
        memset(&ip, 0, sizeof(ip));
        if (ret_port != NULL && getsockname(fd, (struct sockaddr *)&ip, &length) == 0)
            *ret_port = berth_address_port(&ip);
        code = berth_rpc_server_listen_socket(self->server, fd, options, &listener, err);
        if (code != BERTH_OK) {
            close(fd);
            if (self->listened == NULL || strcmp(self->listened, listened) != 0)
                berth_unlisten(self->host, listened);
        }
    }
    if (code != BERTH_OK) {
        free(listened);
        return code;
    }
    if (self->listened != NULL && strcmp(self->listened, listened) == 0) {
        /* The same socket: only the descriptor is another. */
        berth_rpc_listener_close(self->listener);
        free(self->listened);
    } else {
        berth_rpc_plugin_unlisten(self);
    }
    self->listener = listener;
    self->listened = listened;
    return BERTH_OK;
}

static inline enum berth_code berth_rpc_plugin_open_unix(struct berth_rpc_plugin *self,
                                                         struct berth_rpc_unix_options *options,
                                                         struct berth_error *err)
{
    struct berth_rpc_socket_options socket;
    struct berth_listen where;

    if (!berth_rpc_plugin_is_hosted(self))
        return berth_rpc_server_listen_unix(self->server, options, err);
    memset(&where, 0, sizeof(where));
    where.size = sizeof(where);
    where.address = options->path;
    where.mode = (uint32_t)options->mode;
    where.set_owner = options->set_owner;
    where.uid = (uint32_t)options->uid;
    where.gid = (uint32_t)options->gid;
    memset(&socket, 0, sizeof(socket));
    socket.size = sizeof(socket);
    socket.name = options->path;
    socket.protocol = options->protocol;
    return berth_rpc_plugin_listen(self, &where, &socket, NULL, err);
}

/** Listens at `self->address`, which is published; sets the path of the options. */
static inline enum berth_code berth_rpc_plugin_listen_unix(struct berth_rpc_plugin *self,
                                                           struct berth_rpc_unix_options *options,
                                                           struct berth_error *err)
{
    enum berth_code code;

    options->path = self->address;
    code = berth_rpc_plugin_open_unix(self, options, err);
    if (code == BERTH_OK)
        berth_log(self->host, BERTH_LOG_INFO, "listening address=%s", self->address);
    return code;
}

/**
 * For `reconfigure`: listens at another path, or at the same one with another mode or owner; publishes it. If
 * it fails, nothing has changed.
 *
 * @param path  owned from here on; NULL if memory ran out.
 */
static inline enum berth_code berth_rpc_plugin_move_unix(struct berth_rpc_plugin *self, char *path,
                                                         struct berth_rpc_unix_options *options,
                                                         struct berth_error *err)
{
    enum berth_code code;

    if (path == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server's address");
    options->path = path;
    code = berth_rpc_plugin_open_unix(self, options, err);
    if (code != BERTH_OK) {
        free(path);
        return code;
    }
    code = berth_rpc_plugin_publish(self, path, err);
    if (code == BERTH_OK)
        berth_log(self->host, BERTH_LOG_INFO, "listening address=%s", self->address);
    return code;
}

static inline enum berth_code berth_rpc_plugin_open_tcp(struct berth_rpc_plugin *self,
                                                        const struct berth_rpc_tcp_options *options,
                                                        uint16_t *ret_port, struct berth_error *err)
{
    struct berth_rpc_socket_options socket;
    struct berth_listen where;

    if (!berth_rpc_plugin_is_hosted(self))
        return berth_rpc_server_listen_tcp(self->server, options, ret_port, err);
    memset(&where, 0, sizeof(where));
    where.size = sizeof(where);
    where.address = options->address;
    memset(&socket, 0, sizeof(socket));
    socket.size = sizeof(socket);
    socket.protocol = options->protocol;
    socket.tls = options->tls;
    socket.follows_tls = true;
    return berth_rpc_plugin_listen(self, &where, &socket, ret_port, err);
}

/** Listens, and publishes the address with the port that is listened on. */
static inline enum berth_code berth_rpc_plugin_listen_tcp(struct berth_rpc_plugin *self,
                                                          const struct berth_rpc_tcp_options *options,
                                                          struct berth_error *err)
{
    const char *configured = berth_address_skip_scheme(options->address, "tcp:");
    size_t size = strlen(configured) + 8;
    uint16_t port = 0;
    enum berth_code code = berth_rpc_plugin_open_tcp(self, options, &port, err);
    const char *colon;
    char *address;

    if (code != BERTH_OK)
        return code;
    colon = strrchr(configured, ':');
    address = (char *)malloc(size);
    if (address != NULL)
        snprintf(address, size, "%.*s:%u", (int)(colon - configured), configured, (unsigned)port);
    code = berth_rpc_plugin_publish(self, address, err);
    if (code == BERTH_OK)
        berth_log(self->host, BERTH_LOG_INFO, "listening address=%s tls=%s", self->address,
                  options->tls == NULL            ? "no"
                  : options->tls->ca_file == NULL ? "yes"
                                                  : "mutual");
    return code;
}

/**
 * For `reconfigure`: reads the TLS files again, for connections accepted from now on. The host calls it when
 * one of them has changed too. If it fails, those in use stay.
 */
static inline enum berth_code berth_rpc_plugin_set_tls(struct berth_rpc_plugin *self,
                                                       const struct berth_rpc_tls_options *tls,
                                                       struct berth_error *err)
{
    if (self->listener == NULL)
        return BERTH_OK;
    return berth_rpc_listener_set_tls(self->listener, tls, err);
}

/**
 * For `check`: reports an invalid TCP address, one that other machines can reach without TLS unless
 * `insecure`, and TLS files that cannot be used; by the settings address, tls_cert, tls_key and tls_ca.
 */
static inline void berth_rpc_plugin_check_tcp(const struct berth_check *check, const char *address,
                                              const struct berth_rpc_tls_options *tls, bool insecure)
{
    bool has_certificate = tls->certificate_file != NULL;
    struct berth_address parsed;
    struct berth_error err;

    if (berth_address_parse_listener(address, &parsed, &err) != BERTH_OK)
        berth_check_problem(check, BERTH_LOG_ERROR, "address", "%s", err.message);
    else if (!has_certificate && !insecure && !berth_address_is_loopback(&parsed.ip))
        berth_check_problem(check, BERTH_LOG_ERROR, "address",
                            "%s can be reached from other machines, and without TLS any of them may call; "
                            "set tls_cert and tls_key, or insecure: true",
                            address);
    if (has_certificate != (tls->key_file != NULL))
        berth_check_problem(check, BERTH_LOG_ERROR, has_certificate ? "tls_cert" : "tls_key",
                            "tls_cert and tls_key go together; set %s too",
                            has_certificate ? "tls_key" : "tls_cert");
    else if (tls->ca_file != NULL && !has_certificate)
        berth_check_problem(check, BERTH_LOG_ERROR, "tls_ca",
                            "only TLS clients have certificates; set tls_cert and tls_key too");
    else if (has_certificate && berth_rpc_server_check_tls(tls, &err) != BERTH_OK)
        berth_check_problem(check, BERTH_LOG_ERROR, "tls_cert", "%s", err.message);
}

static inline void berth_rpc_plugin_on_drained(void *context)
{
    struct berth_rpc_plugin *self = (struct berth_rpc_plugin *)context;

    self->drained = true;
    if (self->drain_is_pending)
        berth_complete(self->host, BERTH_STEP_DRAIN, BERTH_OK, NULL);
}

static inline void berth_rpc_plugin_unwatch(struct berth_rpc_plugin *self)
{
    if (self->changes != NULL)
        self->host->inspect->unwatch(self->host->inspect, self->changes);
    self->changes = NULL;
}

static inline void berth_rpc_plugin_on_change(void *context)
{
    struct berth_rpc_plugin *self = (struct berth_rpc_plugin *)context;

    struct berth_error err;
    enum berth_code code;

    if (self->host->inspect->daemon->draining) {
        berth_rpc_plugin_unwatch(self);
        berth_rpc_server_drain(self->server, berth_rpc_plugin_on_drained, self);
    } else if (berth_ending_of(self->host) != BERTH_ENDING_REPLACED) {
        berth_rpc_plugin_unwatch(self);
        self->drain_is_pending = false;
        self->drained = false;
        code = self->listen_again != NULL ? self->listen_again(self, &err) : BERTH_OK;
        if (code != BERTH_OK)
            berth_fail(self->host, code, err.message);
    }
}

/**
 * The result is that of the plugin's `drain`. Where another generation takes over, what waits at the socket
 * is left to it, and peers that ttrpc cannot ask to leave may stay until they close
 * their connections.
 */
static inline enum berth_code berth_rpc_plugin_drain(struct berth_rpc_plugin *self)
{
    const struct berth_inspect *inspect = self->host->inspect;

    /* The change before may have been given up just now. */
    berth_rpc_plugin_unwatch(self);
    self->drained = false;
    berth_rpc_plugin_unlisten(self);
    if (berth_ending_of(self->host) == BERTH_ENDING_REPLACED && BERTH_HAS(inspect, watch))
        self->changes = inspect->watch(inspect, berth_rpc_plugin_on_change, self);
    if (self->changes != NULL)
        berth_rpc_server_retire(self->server, berth_rpc_plugin_on_drained, self);
    else
        berth_rpc_server_drain(self->server, berth_rpc_plugin_on_drained, self);
    self->drain_is_pending = !self->drained;
    return self->drained ? BERTH_OK : BERTH_PENDING;
}

static inline void berth_rpc_plugin_on_closed(void *context)
{
    struct berth_rpc_plugin *self = (struct berth_rpc_plugin *)context;
    const struct berth_host *host = self->host;

    self->destroy(self);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

/** The result is that of the plugin's `close`; calls `destroy`. */
static inline enum berth_code berth_rpc_plugin_close(struct berth_rpc_plugin *self)
{
    berth_rpc_plugin_unwatch(self);
    berth_rpc_plugin_unlisten(self);
    berth_rpc_server_close(self->server, berth_rpc_plugin_on_closed, self);
    return BERTH_PENDING;
}

/** For `destroy`. */
static inline void berth_rpc_plugin_finish(struct berth_rpc_plugin *self)
{
    free(self->listened);
    free(self->address);
}

struct berth_rpc_plugin_visit {
    bool (*on_connection)(void *context, const struct berth_connection *connection);
    void *context;
};

static inline bool berth_rpc_plugin_on_connection(void *context, const struct berth_rpc_connection_info *told)
{
    const struct berth_rpc_plugin_visit *visit = (const struct berth_rpc_plugin_visit *)context;
    struct berth_connection connection;

    memset(&connection, 0, sizeof(connection));
    connection.size = sizeof(connection);
    connection.number = told->number;
    connection.transport = told->transport;
    connection.peer = told->peer;
    connection.since_ns = told->since_ns;
    connection.calls = told->calls;
    return visit->on_connection(visit->context, &connection);
}

static inline void berth_rpc_plugin_each_connection(
    void *instance, bool (*on_connection)(void *context, const struct berth_connection *connection),
    void *context)
{
    const struct berth_rpc_plugin *self = (const struct berth_rpc_plugin *)instance;
    struct berth_rpc_plugin_visit visit;

    visit.on_connection = on_connection;
    visit.context = context;
    berth_rpc_server_each_connection(self->server, berth_rpc_plugin_on_connection, &visit);
}

static inline enum berth_code berth_rpc_plugin_close_connection(void *instance, uint64_t number,
                                                                struct berth_error *err)
{
    const struct berth_rpc_plugin *self = (const struct berth_rpc_plugin *)instance;

    return berth_rpc_server_close_connection(self->server, number, err);
}

/** Initialises the struct berth_server of such a plugin. */
#define BERTH_RPC_PLUGIN_INTERFACE                                                                           \
    {                                                                                                        \
        sizeof(struct berth_server), berth_rpc_plugin_each_connection, berth_rpc_plugin_close_connection     \
    }

#ifdef __cplusplus
}
#endif

#endif
