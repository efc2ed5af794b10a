/* SPDX-License-Identifier: Apache-2.0 */
/* Servers for gRPC and ttrpc, on unix sockets and TCP with TLS: passes the configuration to libberth-rpc. */
#include "servers-plugin.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <berth/rpc/plugin.h>

static_assert((int)GRPC_CONFIG_COMPRESSION_ON_REQUEST == (int)BERTH_RPC_COMPRESS_ON_REQUEST &&
                  (int)GRPC_CONFIG_COMPRESSION_ALWAYS == (int)BERTH_RPC_COMPRESS_ALWAYS &&
                  (int)GRPC_CONFIG_COMPRESSION_NEVER == (int)BERTH_RPC_COMPRESS_NEVER,
              "the setting's values are the library's, in its order");

static_assert((int)GRPC_TCP_CONFIG_COMPRESSION_ON_REQUEST == (int)BERTH_RPC_COMPRESS_ON_REQUEST &&
                  (int)GRPC_TCP_CONFIG_COMPRESSION_ALWAYS == (int)BERTH_RPC_COMPRESS_ALWAYS &&
                  (int)GRPC_TCP_CONFIG_COMPRESSION_NEVER == (int)BERTH_RPC_COMPRESS_NEVER,
              "the setting's values are the library's, in its order");

/* The settings of every server, as members of struct berth_rpc_server_options. */
#define SERVER_OPTIONS(config)                                                                               \
    .size = sizeof(struct berth_rpc_server_options), .max_connections = (uint32_t)(config)->max_connections, \
    .max_concurrent_streams = (uint32_t)(config)->max_concurrent_streams,                                    \
    .max_header_list_bytes = (uint32_t)(config)->max_header_list_bytes,                                      \
    .write_timeout_ms = berth_rpc_milliseconds((config)->write_timeout),                                     \
    .max_recv_message_bytes = (uint64_t)(config)->max_recv_message_bytes,                                    \
    .max_send_message_bytes = (uint64_t)(config)->max_send_message_bytes,                                    \
    .max_unfinished_bytes =                                                                                  \
        (config)->has_max_unfinished_bytes ? (uint64_t)(config)->max_unfinished_bytes : 0,                   \
    .max_queued_bytes = (uint64_t)(config)->max_queued_bytes,                                                \
    .max_buffered_bytes = (uint64_t)(config)->max_buffered_bytes,                                            \
    .max_idle_ms = berth_rpc_milliseconds((config)->max_idle),                                               \
    .max_age_ms = berth_rpc_milliseconds((config)->max_age),                                                 \
    .max_age_grace_ms = berth_rpc_milliseconds((config)->max_age_grace)

/* The additional settings of HTTP/2 servers. */
#define SERVER_HTTP2_OPTIONS(config)                                                                         \
    .handshake_timeout_ms = berth_rpc_milliseconds((config)->handshake_timeout),                             \
    .frame_timeout_ms = berth_rpc_milliseconds((config)->frame_timeout),                                     \
    .compression = (enum berth_rpc_compression)(config)->compression,                                        \
    .keepalive_time_ms =                                                                                     \
        (config)->keepalive_time == 0 ? UINT32_MAX : berth_rpc_milliseconds((config)->keepalive_time),       \
    .keepalive_timeout_ms = berth_rpc_milliseconds((config)->keepalive_timeout),                             \
    .min_ping_interval_ms =                                                                                  \
        (config)->has_min_ping_interval ? berth_rpc_milliseconds((config)->min_ping_interval) : 0

/* Creates a server on a unix socket, whose address is known and exported from then on: the configured one,
 * or `name` in the daemon's state folder. */
static enum berth_code server_init_unix(struct berth_rpc_plugin *self, const char *configured,
                                        const char *name, struct berth_rpc_server_options *options,
                                        struct berth_error *err)
{
    enum berth_code code =
        berth_rpc_plugin_publish(self, berth_rpc_plugin_path(self->host, configured, name), err);

    return code == BERTH_OK ? berth_rpc_plugin_create(self, options, err) : code;
}

/* For `reconfigure`: listens elsewhere, or with another mode or owner, if that is what has changed. */
static enum berth_code server_move_unix(struct berth_rpc_plugin *self, const char *configured,
                                        const char *name, struct berth_rpc_unix_options *options,
                                        const struct berth_rpc_unix_options *before, struct berth_error *err)
{
    char *path = berth_rpc_plugin_path(self->host, configured, name);

    if (path != NULL && strcmp(path, self->address) == 0 && options->mode == before->mode &&
        options->set_owner == before->set_owner && options->uid == before->uid &&
        options->gid == before->gid) {
        free(path);
        return BERTH_OK;
    }
    return berth_rpc_plugin_move_unix(self, path, options, err);
}

const struct berth_server grpc_interface = BERTH_RPC_PLUGIN_INTERFACE;
const struct berth_server grpc_tcp_interface = BERTH_RPC_PLUGIN_INTERFACE;
const struct berth_server ttrpc_interface = BERTH_RPC_PLUGIN_INTERFACE;

/* gRPC on a unix socket. */

struct grpc {
    struct berth_rpc_plugin server;
    struct grpc_config config;
};

static void grpc_destroy(struct berth_rpc_plugin *server)
{
    struct grpc *grpc = (struct grpc *)server;

    grpc_config_finish(&grpc->config);
    berth_rpc_plugin_finish(server);
    free(grpc);
}

static struct berth_rpc_server_options grpc_options(const struct grpc_config *config)
{
    return (struct berth_rpc_server_options){SERVER_OPTIONS(config), SERVER_HTTP2_OPTIONS(config)};
}

static enum berth_code grpc_listen(struct berth_rpc_plugin *server, struct berth_error *err)
{
    const struct grpc *grpc = (const struct grpc *)server;
    struct berth_rpc_unix_options options = {BERTH_RPC_PLUGIN_UNIX_OPTIONS(&grpc->config)};

    return berth_rpc_plugin_listen_unix(server, &options, err);
}

static enum berth_code grpc_set_up(struct berth_rpc_plugin *server, struct berth_error *err)
{
    struct grpc *grpc = (struct grpc *)server;
    enum berth_code code = grpc_config_init(&grpc->config, server->host->settings, err);
    struct berth_rpc_server_options options = grpc_options(&grpc->config);

    server->listen_again = grpc_listen;

    return code == BERTH_OK ? server_init_unix(server, grpc->config.address, "berth.sock", &options, err)
                            : code;
}

enum berth_code grpc_init(const struct berth_host *host, void *prepared, void **ret_instance,
                          struct berth_error *err)
{
    return berth_rpc_plugin_init(host, sizeof(struct grpc), grpc_set_up, grpc_destroy, ret_instance, err);
}

enum berth_code grpc_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return grpc_listen(instance, err);
}

/* The address first, which alone can fail: then nothing has changed. */
enum berth_code grpc_reconfigure(const struct berth_host *host, void *instance,
                                 const struct berth_settings *before, struct berth_error *err)
{
    struct grpc *grpc = instance;
    struct grpc_config config;
    struct berth_rpc_server_options limits;
    struct berth_rpc_unix_options options;
    enum berth_code code = grpc_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    limits = grpc_options(&config);
    options = (struct berth_rpc_unix_options){BERTH_RPC_PLUGIN_UNIX_OPTIONS(&config)};
    code =
        server_move_unix(&grpc->server, config.address, "berth.sock", &options,
                         &(struct berth_rpc_unix_options){BERTH_RPC_PLUGIN_UNIX_OPTIONS(&grpc->config)}, err);
    if (code == BERTH_OK)
        code = berth_rpc_server_set_options(grpc->server.server, &limits, err);
    if (code != BERTH_OK) {
        grpc_config_finish(&config);
        return code;
    }
    grpc_config_finish(&grpc->config);
    grpc->config = config;
    return BERTH_OK;
}

enum berth_code grpc_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_drain(instance);
}

enum berth_code grpc_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_close(instance);
}

/* gRPC on TCP. */

struct grpc_tcp {
    struct berth_rpc_plugin server;
    struct grpc_tcp_config config;
};

static void grpc_tcp_destroy(struct berth_rpc_plugin *server)
{
    struct grpc_tcp *tcp = (struct grpc_tcp *)server;

    grpc_tcp_config_finish(&tcp->config);
    berth_rpc_plugin_finish(server);
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

void grpc_tcp_check(const struct berth_check *check)
{
    struct grpc_tcp_config config;
    struct berth_rpc_tls_options tls;
    struct berth_error err;

    if (grpc_tcp_config_init(&config, check->settings, &err) != BERTH_OK) {
        berth_check_problem(check, BERTH_LOG_ERROR, NULL, "%s", err.message);
        return;
    }
    tls = tls_options(&config);
    berth_rpc_plugin_check_tcp(check, config.address, &tls, config.insecure);
    grpc_tcp_config_finish(&config);
}

static struct berth_rpc_server_options grpc_tcp_options(const struct grpc_tcp_config *config)
{
    return (struct berth_rpc_server_options){
        SERVER_OPTIONS(config),
        SERVER_HTTP2_OPTIONS(config),
        .transport = "tcp",
        .max_connections_per_peer = config->has_max_connections_per_peer
                                        ? (uint32_t)config->max_connections_per_peer
                                        : berth_rpc_plugin_per_peer(config->max_connections),
    };
}

static enum berth_code grpc_tcp_listen(struct grpc_tcp *tcp, const struct grpc_tcp_config *config,
                                       struct berth_error *err)
{
    const struct berth_rpc_tls_options tls = tls_options(config);
    const struct berth_rpc_tcp_options options = {
        .size = sizeof(options),
        .address = config->address,
        .tls = config->tls_cert == NULL ? NULL : &tls,
    };

    return berth_rpc_plugin_listen_tcp(&tcp->server, &options, err);
}

static enum berth_code grpc_tcp_listen_again(struct berth_rpc_plugin *server, struct berth_error *err)
{
    struct grpc_tcp *tcp = (struct grpc_tcp *)server;

    return grpc_tcp_listen(tcp, &tcp->config, err);
}

static enum berth_code grpc_tcp_set_up(struct berth_rpc_plugin *server, struct berth_error *err)
{
    struct grpc_tcp *tcp = (struct grpc_tcp *)server;
    enum berth_code code = grpc_tcp_config_init(&tcp->config, server->host->settings, err);
    struct berth_rpc_server_options options = grpc_tcp_options(&tcp->config);

    server->listen_again = grpc_tcp_listen_again;

    return code == BERTH_OK ? berth_rpc_plugin_create(server, &options, err) : code;
}

enum berth_code grpc_tcp_init(const struct berth_host *host, void *prepared, void **ret_instance,
                              struct berth_error *err)
{
    return berth_rpc_plugin_init(host, sizeof(struct grpc_tcp), grpc_tcp_set_up, grpc_tcp_destroy,
                                 ret_instance, err);
}

enum berth_code grpc_tcp_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return grpc_tcp_listen_again(instance, err);
}

static bool is_same_text(const char *left, const char *right)
{
    return left == right || (left != NULL && right != NULL && strcmp(left, right) == 0);
}

static bool grpc_tcp_moves(const struct grpc_tcp_config *before, const struct grpc_tcp_config *after)
{
    return !is_same_text(before->address, after->address) ||
           !is_same_text(before->tls_cert, after->tls_cert) ||
           !is_same_text(before->tls_key, after->tls_key) || !is_same_text(before->tls_ca, after->tls_ca);
}

/* Listens where and as the settings say. What files of the same names hold may be other than before. */
static enum berth_code grpc_tcp_move(struct grpc_tcp *tcp, const struct grpc_tcp_config *config,
                                     struct berth_error *err)
{
    const struct berth_rpc_tls_options tls = tls_options(config);

    /* Without an address the plugin is skipped, which the host decides. */
    if (config->address == NULL)
        return BERTH_RESTART;
    if (grpc_tcp_moves(&tcp->config, config))
        return grpc_tcp_listen(tcp, config, err);
    return config->tls_cert == NULL ? BERTH_OK : berth_rpc_plugin_set_tls(&tcp->server, &tls, err);
}

/* The address first, which alone can fail: then nothing has changed. */
enum berth_code grpc_tcp_reconfigure(const struct berth_host *host, void *instance,
                                     const struct berth_settings *before, struct berth_error *err)
{
    struct grpc_tcp *tcp = instance;
    struct grpc_tcp_config config;
    struct berth_rpc_server_options limits;
    enum berth_code code = grpc_tcp_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    limits = grpc_tcp_options(&config);
    code = grpc_tcp_move(tcp, &config, err);
    if (code == BERTH_OK)
        code = berth_rpc_server_set_options(tcp->server.server, &limits, err);
    if (code != BERTH_OK) {
        grpc_tcp_config_finish(&config);
        return code;
    }
    grpc_tcp_config_finish(&tcp->config);
    tcp->config = config;
    return BERTH_OK;
}

enum berth_code grpc_tcp_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_drain(instance);
}

enum berth_code grpc_tcp_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_close(instance);
}

/* ttrpc on a unix socket. */

struct ttrpc {
    struct berth_rpc_plugin server;
    struct ttrpc_config config;
};

static void ttrpc_destroy(struct berth_rpc_plugin *server)
{
    struct ttrpc *ttrpc = (struct ttrpc *)server;

    ttrpc_config_finish(&ttrpc->config);
    berth_rpc_plugin_finish(server);
    free(ttrpc);
}

static struct berth_rpc_server_options ttrpc_options(const struct ttrpc_config *config)
{
    return (struct berth_rpc_server_options){SERVER_OPTIONS(config)};
}

static enum berth_code ttrpc_listen(struct berth_rpc_plugin *server, struct berth_error *err)
{
    const struct ttrpc *ttrpc = (const struct ttrpc *)server;
    struct berth_rpc_unix_options options = {BERTH_RPC_PLUGIN_UNIX_OPTIONS(&ttrpc->config),
                                             .protocol = BERTH_RPC_TTRPC};

    return berth_rpc_plugin_listen_unix(server, &options, err);
}

static enum berth_code ttrpc_set_up(struct berth_rpc_plugin *server, struct berth_error *err)
{
    struct ttrpc *ttrpc = (struct ttrpc *)server;
    enum berth_code code = ttrpc_config_init(&ttrpc->config, server->host->settings, err);
    struct berth_rpc_server_options options = ttrpc_options(&ttrpc->config);

    server->listen_again = ttrpc_listen;

    return code == BERTH_OK
               ? server_init_unix(server, ttrpc->config.address, "berth.sock.ttrpc", &options, err)
               : code;
}

enum berth_code ttrpc_init(const struct berth_host *host, void *prepared, void **ret_instance,
                           struct berth_error *err)
{
    return berth_rpc_plugin_init(host, sizeof(struct ttrpc), ttrpc_set_up, ttrpc_destroy, ret_instance, err);
}

enum berth_code ttrpc_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return ttrpc_listen(instance, err);
}

/* The address first, which alone can fail: then nothing has changed. */
enum berth_code ttrpc_reconfigure(const struct berth_host *host, void *instance,
                                  const struct berth_settings *before, struct berth_error *err)
{
    struct ttrpc *ttrpc = instance;
    struct ttrpc_config config;
    struct berth_rpc_server_options limits;
    struct berth_rpc_unix_options options;
    enum berth_code code = ttrpc_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    limits = ttrpc_options(&config);
    options =
        (struct berth_rpc_unix_options){BERTH_RPC_PLUGIN_UNIX_OPTIONS(&config), .protocol = BERTH_RPC_TTRPC};
    code = server_move_unix(&ttrpc->server, config.address, "berth.sock.ttrpc", &options,
                            &(struct berth_rpc_unix_options){BERTH_RPC_PLUGIN_UNIX_OPTIONS(&ttrpc->config)},
                            err);
    if (code == BERTH_OK)
        code = berth_rpc_server_set_options(ttrpc->server.server, &limits, err);
    if (code != BERTH_OK) {
        ttrpc_config_finish(&config);
        return code;
    }
    ttrpc_config_finish(&ttrpc->config);
    ttrpc->config = config;
    return BERTH_OK;
}

enum berth_code ttrpc_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_drain(instance);
}

enum berth_code ttrpc_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_rpc_plugin_close(instance);
}
