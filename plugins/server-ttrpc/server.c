/* SPDX-License-Identifier: Apache-2.0 */
/* Carries calls over ttrpc on a unix socket: what the configuration says, handed to libberth-rpc. */
#include "server-ttrpc-plugin.h"

#include <stdlib.h>

#include <berth/rpc/server.h>

struct ttrpc {
    const struct berth_host *host;
    struct ttrpc_config config;
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
    const struct ttrpc *ttrpc = context;

    berth_log(ttrpc->host, host_level(level), "%s", message);
}

/* The configured socket, or the one in the daemon's state folder; NULL where memory is out. */
static char *make_address(const struct berth_host *host, const struct ttrpc_config *config)
{
    char *address;

    if (config->address != NULL)
        return strdup(config->address);
    return asprintf(&address, "%s/berth.sock.ttrpc", host->inspect->daemon->state) < 0 ? NULL : address;
}

static enum berth_code make_server(struct ttrpc *ttrpc, struct berth_error *err)
{
    const struct berth_rpc_server_options options = {
        .size = sizeof(options),
        .max_connections = (uint32_t)ttrpc->config.max_connections,
        .max_concurrent_streams = (uint32_t)ttrpc->config.max_concurrent_streams,
        .max_recv_message_bytes = (uint64_t)ttrpc->config.max_recv_message_bytes,
        .max_send_message_bytes = (uint64_t)ttrpc->config.max_send_message_bytes,
        .on_log = on_log,
        .context = ttrpc,
    };

    return berth_rpc_server_create(ttrpc->host->loop, &options, ttrpc->host->router, &ttrpc->server, err);
}

static void ttrpc_destroy(struct ttrpc *ttrpc)
{
    ttrpc_config_finish(&ttrpc->config);
    free(ttrpc->address);
    free(ttrpc);
}

static enum berth_code set_up(struct ttrpc *ttrpc, struct berth_error *err)
{
    enum berth_code code;

    ttrpc->address = make_address(ttrpc->host, &ttrpc->config);
    if (ttrpc->address == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server's address");
    code = berth_add_export(ttrpc->host, "address", ttrpc->address);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "cannot publish the address %s", ttrpc->address);
    return make_server(ttrpc, err);
}

enum berth_code ttrpc_init(const struct berth_host *host, void *prepared, void **ret_instance,
                           struct berth_error *err)
{
    struct ttrpc *ttrpc = calloc(1, sizeof(*ttrpc));
    enum berth_code code;

    if (ttrpc == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server");
    ttrpc->host = host;
    code = ttrpc_config_init(&ttrpc->config, host->settings, err);
    if (code == BERTH_OK)
        code = set_up(ttrpc, err);
    if (code == BERTH_OK)
        *ret_instance = ttrpc;
    else
        ttrpc_destroy(ttrpc);
    return code;
}

enum berth_code ttrpc_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct ttrpc *ttrpc = instance;
    const struct ttrpc_config *config = &ttrpc->config;
    const struct berth_rpc_unix_options options = {
        .size = sizeof(options),
        .path = ttrpc->address,
        .protocol = BERTH_RPC_TTRPC,
        .mode = (mode_t)strtoul(config->mode, NULL, 8),
        .set_owner = config->has_uid || config->has_gid,
        .uid = config->has_uid ? (uid_t)config->uid : (uid_t)-1,
        .gid = config->has_gid ? (gid_t)config->gid : (gid_t)-1,
    };
    enum berth_code code = berth_rpc_server_listen_unix(ttrpc->server, &options, err);

    if (code == BERTH_OK)
        berth_log(host, BERTH_LOG_INFO, "listening address=%s", ttrpc->address);
    return code;
}

static void on_drained(void *context)
{
    struct ttrpc *ttrpc = context;

    ttrpc->drained = true;
    if (ttrpc->drain_is_pending)
        berth_complete(ttrpc->host, BERTH_STEP_DRAIN, BERTH_OK, NULL);
}

enum berth_code ttrpc_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct ttrpc *ttrpc = instance;

    berth_rpc_server_drain(ttrpc->server, on_drained, ttrpc);
    ttrpc->drain_is_pending = !ttrpc->drained;
    return ttrpc->drained ? BERTH_OK : BERTH_PENDING;
}

static void on_closed(void *context)
{
    struct ttrpc *ttrpc = context;
    const struct berth_host *host = ttrpc->host;

    ttrpc_destroy(ttrpc);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code ttrpc_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct ttrpc *ttrpc = instance;

    berth_rpc_server_close(ttrpc->server, on_closed, ttrpc);
    return BERTH_PENDING;
}
