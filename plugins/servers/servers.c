/* SPDX-License-Identifier: Apache-2.0 */
/* Servers for gRPC and ttrpc, on unix sockets and TCP with TLS: passes the configuration to libberth-rpc. */
#include "servers-plugin.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/address.h>
#include <berth/rpc/server.h>
#include <berth/types/server.h>

static_assert((int)GRPC_CONFIG_COMPRESSION_ON_REQUEST == (int)BERTH_RPC_COMPRESS_ON_REQUEST &&
                  (int)GRPC_CONFIG_COMPRESSION_ALWAYS == (int)BERTH_RPC_COMPRESS_ALWAYS &&
                  (int)GRPC_CONFIG_COMPRESSION_NEVER == (int)BERTH_RPC_COMPRESS_NEVER,
              "the setting's values are the library's, in its order");

static_assert((int)GRPC_TCP_CONFIG_COMPRESSION_ON_REQUEST == (int)BERTH_RPC_COMPRESS_ON_REQUEST &&
                  (int)GRPC_TCP_CONFIG_COMPRESSION_ALWAYS == (int)BERTH_RPC_COMPRESS_ALWAYS &&
                  (int)GRPC_TCP_CONFIG_COMPRESSION_NEVER == (int)BERTH_RPC_COMPRESS_NEVER,
              "the setting's values are the library's, in its order");

/* First member of an instance. */
struct server {
    const struct berth_host *host;
    /* The unix socket, or the TCP address with the port that is listened on. Owned. */
    char *address;
    struct berth_rpc_server *rpc;
    /* Frees the instance, this struct included. */
    void (*destroy)(struct server *self);
    /* The host waits for the end of a drain. */
    bool drain_is_pending;
    bool drained;
};

/* Rounded up, so that a short time does not become 0, which has another meaning. */
static inline uint32_t server_milliseconds(int64_t nanoseconds)
{
    return (uint32_t)((nanoseconds + 999999) / 1000000);
}

/* The settings of every server, as members of struct berth_rpc_server_options. */
#define SERVER_OPTIONS(config)                                                                               \
    .size = sizeof(struct berth_rpc_server_options), .max_connections = (uint32_t)(config)->max_connections, \
    .max_concurrent_streams = (uint32_t)(config)->max_concurrent_streams,                                    \
    .max_header_list_bytes = (uint32_t)(config)->max_header_list_bytes,                                      \
    .write_timeout_ms = server_milliseconds((config)->write_timeout),                                        \
    .max_recv_message_bytes = (uint64_t)(config)->max_recv_message_bytes,                                    \
    .max_send_message_bytes = (uint64_t)(config)->max_send_message_bytes,                                    \
    .max_unfinished_bytes =                                                                                  \
        (config)->has_max_unfinished_bytes ? (uint64_t)(config)->max_unfinished_bytes : 0,                   \
    .max_queued_bytes = (uint64_t)(config)->max_queued_bytes,                                                \
    .max_buffered_bytes = (uint64_t)(config)->max_buffered_bytes,                                            \
    .max_idle_ms = server_milliseconds((config)->max_idle),                                                  \
    .max_age_ms = server_milliseconds((config)->max_age),                                                    \
    .max_age_grace_ms = server_milliseconds((config)->max_age_grace)

/* The additional settings of HTTP/2 servers. */
#define SERVER_HTTP2_OPTIONS(config)                                                                         \
    .handshake_timeout_ms = server_milliseconds((config)->handshake_timeout),                                \
    .frame_timeout_ms = server_milliseconds((config)->frame_timeout),                                        \
    .compression = (enum berth_rpc_compression)(config)->compression,                                        \
    .keepalive_time_ms =                                                                                     \
        (config)->keepalive_time == 0 ? UINT32_MAX : server_milliseconds((config)->keepalive_time),          \
    .keepalive_timeout_ms = server_milliseconds((config)->keepalive_timeout),                                \
    .min_ping_interval_ms =                                                                                  \
        (config)->has_min_ping_interval ? server_milliseconds((config)->min_ping_interval) : 0

/* The settings of unix socket servers, as members of struct berth_rpc_unix_options. */
#define SERVER_UNIX_OPTIONS(config)                                                                          \
    .size = sizeof(struct berth_rpc_unix_options), .mode = (mode_t)strtoul((config)->mode, NULL, 8),         \
    .set_owner = (config)->has_uid || (config)->has_gid,                                                     \
    .uid = (config)->has_uid ? (uid_t)(config)->uid : (uid_t)-1,                                             \
    .gid = (config)->has_gid ? (gid_t)(config)->gid : (gid_t)-1

static enum berth_log_level host_level(enum berth_rpc_log_level level)
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

static void on_log(void *context, enum berth_rpc_log_level level, const char *message)
{
    const struct server *self = context;

    berth_log(self->host, host_level(level), "%s", message);
}

/* `on_log` and `context` of the options are set here. */
static enum berth_code server_init(struct server *self, struct berth_rpc_server_options *options,
                                   struct berth_error *err)
{
    options->on_log = on_log;
    options->context = self;
    return berth_rpc_server_create(self->host->loop, options, self->host->router, &self->rpc, err);
}

/* Takes ownership of `address`, NULL if memory ran out, and publishes it. */
static enum berth_code server_export(struct server *self, char *address, struct berth_error *err)
{
    enum berth_code code;

    if (address == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server's address");
    self->address = address;
    code = berth_add_export(self->host, "address", address);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "cannot publish the address %s", address);
    return BERTH_OK;
}

/* NULL where memory is out. */
static char *make_path(const struct berth_host *host, const char *configured, const char *name)
{
    char *path;

    if (configured != NULL)
        return strdup(configured);
    return asprintf(&path, "%s/%s", host->inspect->daemon->state, name) < 0 ? NULL : path;
}

/* The same for one on a unix socket, whose address is known and exported from then on: the configured one,
 * or `name` in the daemon's state folder. */
static enum berth_code server_init_unix(struct server *self, const char *configured, const char *name,
                                        struct berth_rpc_server_options *options, struct berth_error *err)
{
    enum berth_code code = server_export(self, make_path(self->host, configured, name), err);

    return code == BERTH_OK ? server_init(self, options, err) : code;
}

/* Listens at `self->address`; `path` is set here. */
static enum berth_code server_listen_unix(struct server *self, struct berth_rpc_unix_options *options,
                                          struct berth_error *err)
{
    enum berth_code code;

    options->path = self->address;
    code = berth_rpc_server_listen_unix(self->rpc, options, err);
    if (code == BERTH_OK)
        berth_log(self->host, BERTH_LOG_INFO, "listening address=%s", self->address);
    return code;
}

static void on_drained(void *context)
{
    struct server *self = context;

    self->drained = true;
    if (self->drain_is_pending)
        berth_complete(self->host, BERTH_STEP_DRAIN, BERTH_OK, NULL);
}

static enum berth_code server_drain(struct server *self)
{
    berth_rpc_server_drain(self->rpc, on_drained, self);
    self->drain_is_pending = !self->drained;
    return self->drained ? BERTH_OK : BERTH_PENDING;
}

static void on_closed(void *context)
{
    struct server *self = context;
    const struct berth_host *host = self->host;

    self->destroy(self);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

static enum berth_code server_close(struct server *self)
{
    berth_rpc_server_close(self->rpc, on_closed, self);
    return BERTH_PENDING;
}

struct connection_visit {
    bool (*on_connection)(void *context, const struct berth_connection *connection);
    void *context;
};

static bool visit_connection(void *context, const struct berth_rpc_connection_info *told)
{
    const struct connection_visit *visit = context;
    const struct berth_connection connection = {
        .size = sizeof(connection),
        .number = told->number,
        .transport = told->transport,
        .peer = told->peer,
        .since_ns = told->since_ns,
        .calls = told->calls,
    };

    return visit->on_connection(visit->context, &connection);
}

static void each_connection(void *instance,
                            bool (*on_connection)(void *context, const struct berth_connection *connection),
                            void *context)
{
    const struct server *self = instance;
    struct connection_visit visit = {on_connection, context};

    berth_rpc_server_each_connection(self->rpc, visit_connection, &visit);
}

static enum berth_code close_connection(void *instance, uint64_t number, struct berth_error *err)
{
    const struct server *self = instance;

    return berth_rpc_server_close_connection(self->rpc, number, err);
}

#define SERVER_INTERFACE                                                                                     \
    {                                                                                                        \
        .size = sizeof(struct berth_server), .each_connection = each_connection,                             \
        .close_connection = close_connection                                                                 \
    }

const struct berth_server grpc_interface = SERVER_INTERFACE;
const struct berth_server grpc_tcp_interface = SERVER_INTERFACE;
const struct berth_server ttrpc_interface = SERVER_INTERFACE;

static void server_finish(struct server *self)
{
    free(self->address);
}

/* gRPC on a unix socket. */

struct grpc {
    struct server server;
    struct grpc_config config;
};

static void grpc_destroy(struct server *server)
{
    struct grpc *grpc = (struct grpc *)server;

    grpc_config_finish(&grpc->config);
    server_finish(server);
    free(grpc);
}

static enum berth_code grpc_set_up(struct grpc *grpc, struct berth_error *err)
{
    struct berth_rpc_server_options options = {SERVER_OPTIONS(&grpc->config),
                                               SERVER_HTTP2_OPTIONS(&grpc->config)};

    return server_init_unix(&grpc->server, grpc->config.address, "berth.sock", &options, err);
}

enum berth_code grpc_init(const struct berth_host *host, void *prepared, void **ret_instance,
                          struct berth_error *err)
{
    struct grpc *grpc = calloc(1, sizeof(*grpc));
    enum berth_code code;

    if (grpc == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server");
    grpc->server = (struct server){.host = host, .destroy = grpc_destroy};
    code = grpc_config_init(&grpc->config, host->settings, err);
    if (code == BERTH_OK)
        code = grpc_set_up(grpc, err);
    if (code == BERTH_OK)
        *ret_instance = grpc;
    else
        grpc_destroy(&grpc->server);
    return code;
}

enum berth_code grpc_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct grpc *grpc = instance;
    struct berth_rpc_unix_options options = {SERVER_UNIX_OPTIONS(&grpc->config)};

    return server_listen_unix(&grpc->server, &options, err);
}

enum berth_code grpc_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return server_drain(instance);
}

enum berth_code grpc_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return server_close(instance);
}

/* gRPC on TCP. */

#define PER_PEER_LEAST 16

struct grpc_tcp {
    struct server server;
    struct grpc_tcp_config config;
};

static void grpc_tcp_destroy(struct server *server)
{
    struct grpc_tcp *tcp = (struct grpc_tcp *)server;

    grpc_tcp_config_finish(&tcp->config);
    server_finish(server);
    free(tcp);
}

static struct berth_rpc_tls_options tls_options(const struct grpc_tcp_config *config)
{
    return (struct berth_rpc_tls_options){
        .size = sizeof(struct berth_rpc_tls_options),
        .certificate_file = config->tls_cert,
        .key_file = config->tls_key,
        .ca_file = config->tls_ca,
    };
}

/* An address that other machines can reach needs TLS, unless the operator allows it without. */
static void check_address(const struct berth_check *check, const struct grpc_tcp_config *config)
{
    struct berth_address address;
    struct berth_error err;

    if (berth_address_parse_listener(config->address, &address, &err) != BERTH_OK)
        berth_check_problem(check, BERTH_LOG_ERROR, "address", "%s", err.message);
    else if (config->tls_cert == NULL && !config->insecure && !berth_address_is_loopback(&address.ip))
        berth_check_problem(check, BERTH_LOG_ERROR, "address",
                            "%s can be reached from other machines, and without TLS any of them may call; "
                            "set tls_cert and tls_key, or insecure: true",
                            config->address);
}

static void check_files(const struct berth_check *check, const struct grpc_tcp_config *config)
{
    const struct berth_rpc_tls_options tls = tls_options(config);
    struct berth_error err;

    if ((config->tls_cert == NULL) != (config->tls_key == NULL))
        berth_check_problem(check, BERTH_LOG_ERROR, config->tls_cert == NULL ? "tls_key" : "tls_cert",
                            "tls_cert and tls_key go together; set %s too",
                            config->tls_cert == NULL ? "tls_cert" : "tls_key");
    else if (config->tls_ca != NULL && config->tls_cert == NULL)
        berth_check_problem(check, BERTH_LOG_ERROR, "tls_ca",
                            "only TLS clients have certificates; set tls_cert and tls_key too");
    else if (config->tls_cert != NULL && berth_rpc_server_check_tls(&tls, &err) != BERTH_OK)
        berth_check_problem(check, BERTH_LOG_ERROR, "tls_cert", "%s", err.message);
}

void grpc_tcp_check(const struct berth_check *check)
{
    struct grpc_tcp_config config;
    struct berth_error err;

    if (grpc_tcp_config_init(&config, check->settings, &err) != BERTH_OK) {
        berth_check_problem(check, BERTH_LOG_ERROR, NULL, "%s", err.message);
        return;
    }
    check_address(check, &config);
    check_files(check, &config);
    grpc_tcp_config_finish(&config);
}

/* One peer may use an eighth of the connections, or a small number if that is more. */
static uint32_t per_peer(const struct grpc_tcp_config *config)
{
    uint32_t eighth = (uint32_t)config->max_connections / 8;

    if (config->has_max_connections_per_peer)
        return (uint32_t)config->max_connections_per_peer;
    return eighth > PER_PEER_LEAST ? eighth : PER_PEER_LEAST;
}

static enum berth_code grpc_tcp_set_up(struct grpc_tcp *tcp, struct berth_error *err)
{
    struct berth_rpc_server_options options = {SERVER_OPTIONS(&tcp->config),
                                               SERVER_HTTP2_OPTIONS(&tcp->config), .transport = "tcp"};

    options.max_connections_per_peer = per_peer(&tcp->config);

    return server_init(&tcp->server, &options, err);
}

enum berth_code grpc_tcp_init(const struct berth_host *host, void *prepared, void **ret_instance,
                              struct berth_error *err)
{
    struct grpc_tcp *tcp = calloc(1, sizeof(*tcp));
    enum berth_code code;

    if (tcp == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server");
    tcp->server = (struct server){.host = host, .destroy = grpc_tcp_destroy};
    code = grpc_tcp_config_init(&tcp->config, host->settings, err);
    if (code == BERTH_OK)
        code = grpc_tcp_set_up(tcp, err);
    if (code == BERTH_OK)
        *ret_instance = tcp;
    else
        grpc_tcp_destroy(&tcp->server);
    return code;
}

/* The configured address with the port that is listened on. */
static enum berth_code publish(struct grpc_tcp *tcp, uint16_t port, struct berth_error *err)
{
    const char *configured = berth_address_skip_scheme(tcp->config.address, "tcp:");
    const char *colon = strrchr(configured, ':');
    char *address;
    enum berth_code code;

    if (asprintf(&address, "%.*s:%u", (int)(colon - configured), configured, port) < 0)
        address = NULL;
    code = server_export(&tcp->server, address, err);
    if (code == BERTH_OK)
        berth_log(tcp->server.host, BERTH_LOG_INFO, "listening address=%s tls=%s", address,
                  tcp->config.tls_cert == NULL ? "no"
                  : tcp->config.tls_ca == NULL ? "yes"
                                               : "mutual");
    return code;
}

enum berth_code grpc_tcp_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct grpc_tcp *tcp = instance;
    const struct grpc_tcp_config *config = &tcp->config;
    const struct berth_rpc_tls_options tls = tls_options(config);
    const struct berth_rpc_tcp_options options = {
        .size = sizeof(options),
        .address = config->address,
        .tls = config->tls_cert == NULL ? NULL : &tls,
    };
    uint16_t port;
    enum berth_code code = berth_rpc_server_listen_tcp(tcp->server.rpc, &options, &port, err);

    return code == BERTH_OK ? publish(tcp, port, err) : code;
}

enum berth_code grpc_tcp_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return server_drain(instance);
}

enum berth_code grpc_tcp_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return server_close(instance);
}

/* ttrpc on a unix socket. */

struct ttrpc {
    struct server server;
    struct ttrpc_config config;
};

static void ttrpc_destroy(struct server *server)
{
    struct ttrpc *ttrpc = (struct ttrpc *)server;

    ttrpc_config_finish(&ttrpc->config);
    server_finish(server);
    free(ttrpc);
}

static enum berth_code ttrpc_set_up(struct ttrpc *ttrpc, struct berth_error *err)
{
    struct berth_rpc_server_options options = {SERVER_OPTIONS(&ttrpc->config)};

    return server_init_unix(&ttrpc->server, ttrpc->config.address, "berth.sock.ttrpc", &options, err);
}

enum berth_code ttrpc_init(const struct berth_host *host, void *prepared, void **ret_instance,
                           struct berth_error *err)
{
    struct ttrpc *ttrpc = calloc(1, sizeof(*ttrpc));
    enum berth_code code;

    if (ttrpc == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server");
    ttrpc->server = (struct server){.host = host, .destroy = ttrpc_destroy};
    code = ttrpc_config_init(&ttrpc->config, host->settings, err);
    if (code == BERTH_OK)
        code = ttrpc_set_up(ttrpc, err);
    if (code == BERTH_OK)
        *ret_instance = ttrpc;
    else
        ttrpc_destroy(&ttrpc->server);
    return code;
}

enum berth_code ttrpc_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct ttrpc *ttrpc = instance;
    struct berth_rpc_unix_options options = {SERVER_UNIX_OPTIONS(&ttrpc->config),
                                             .protocol = BERTH_RPC_TTRPC};

    return server_listen_unix(&ttrpc->server, &options, err);
}

enum berth_code ttrpc_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return server_drain(instance);
}

enum berth_code ttrpc_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return server_close(instance);
}
