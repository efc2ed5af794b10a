/* SPDX-License-Identifier: Apache-2.0 */
/* Carries calls over gRPC on a unix socket: what the configuration says, handed to libberth-rpc. */
#include "server-grpc-plugin.h"

#include <stdlib.h>

#include <berth/rpc/server.h>

struct grpc {
    const struct berth_host *host;
    struct grpc_config config;
    char *address;
    struct berth_rpc_server *server;
    /** The host waits for the end of a drain. */
    bool drain_is_pending;
    bool drained;
};

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
    const struct grpc *grpc = context;

    berth_log(grpc->host, host_level(level), "%s", message);
}

/* The configured socket, or the one in the daemon's state folder; NULL where memory is out. */
static char *make_address(const struct berth_host *host, const struct grpc_config *config)
{
    char *address;

    if (config->address != NULL)
        return strdup(config->address);
    return asprintf(&address, "%s/berth.sock", host->inspect->daemon->state) < 0 ? NULL : address;
}

static enum berth_code make_server(struct grpc *grpc, struct berth_error *err)
{
    const struct berth_rpc_server_options options = {
        .size = sizeof(options),
        .max_connections = (uint32_t)grpc->config.max_connections,
        .max_concurrent_streams = (uint32_t)grpc->config.max_concurrent_streams,
        .max_recv_message_bytes = (uint64_t)grpc->config.max_recv_message_bytes,
        .max_send_message_bytes = (uint64_t)grpc->config.max_send_message_bytes,
        .on_log = on_log,
        .context = grpc,
    };

    return berth_rpc_server_create(grpc->host->loop, &options, grpc->host->router, &grpc->server, err);
}

static void grpc_destroy(struct grpc *grpc)
{
    grpc_config_finish(&grpc->config);
    free(grpc->address);
    free(grpc);
}

static enum berth_code set_up(struct grpc *grpc, struct berth_error *err)
{
    enum berth_code code;

    grpc->address = make_address(grpc->host, &grpc->config);
    if (grpc->address == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server's address");
    code = berth_add_export(grpc->host, "address", grpc->address);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "cannot publish the address %s", grpc->address);
    return make_server(grpc, err);
}

enum berth_code grpc_init(const struct berth_host *host, void *prepared, void **ret_instance,
                          struct berth_error *err)
{
    struct grpc *grpc = calloc(1, sizeof(*grpc));
    enum berth_code code;

    if (grpc == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server");
    grpc->host = host;
    code = grpc_config_init(&grpc->config, host->settings, err);
    if (code == BERTH_OK)
        code = set_up(grpc, err);
    if (code == BERTH_OK)
        *ret_instance = grpc;
    else
        grpc_destroy(grpc);
    return code;
}

enum berth_code grpc_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct grpc *grpc = instance;
    const struct grpc_config *config = &grpc->config;
    const struct berth_rpc_unix_options options = {
        .size = sizeof(options),
        .path = grpc->address,
        .mode = (mode_t)strtoul(config->mode, NULL, 8),
        .set_owner = config->has_uid || config->has_gid,
        .uid = config->has_uid ? (uid_t)config->uid : (uid_t)-1,
        .gid = config->has_gid ? (gid_t)config->gid : (gid_t)-1,
    };
    enum berth_code code = berth_rpc_server_listen_unix(grpc->server, &options, err);

    if (code == BERTH_OK)
        berth_log(host, BERTH_LOG_INFO, "listening address=%s", grpc->address);
    return code;
}

static void on_drained(void *context)
{
    struct grpc *grpc = context;

    grpc->drained = true;
    if (grpc->drain_is_pending)
        berth_complete(grpc->host, BERTH_STEP_DRAIN, BERTH_OK, NULL);
}

enum berth_code grpc_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct grpc *grpc = instance;

    berth_rpc_server_drain(grpc->server, on_drained, grpc);
    grpc->drain_is_pending = !grpc->drained;
    return grpc->drained ? BERTH_OK : BERTH_PENDING;
}

static void on_closed(void *context)
{
    struct grpc *grpc = context;
    const struct berth_host *host = grpc->host;

    grpc_destroy(grpc);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code grpc_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct grpc *grpc = instance;

    berth_rpc_server_close(grpc->server, on_closed, grpc);
    return BERTH_PENDING;
}
