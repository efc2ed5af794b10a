/* SPDX-License-Identifier: Apache-2.0 */
/* Carries calls over ttrpc on a unix socket: what the configuration says, handed to libberth-rpc. */
#include "servers-plugin.h"

#include <stdlib.h>

#include "server.h"

struct ttrpc {
    struct server server;
    struct ttrpc_config config;
};

static void destroy(struct server *server)
{
    struct ttrpc *ttrpc = (struct ttrpc *)server;

    ttrpc_config_finish(&ttrpc->config);
    server_finish(server);
    free(ttrpc);
}

static enum berth_code set_up(struct ttrpc *ttrpc, struct berth_error *err)
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
    ttrpc->server = (struct server){.host = host, .destroy = destroy};
    code = ttrpc_config_init(&ttrpc->config, host->settings, err);
    if (code == BERTH_OK)
        code = set_up(ttrpc, err);
    if (code == BERTH_OK)
        *ret_instance = ttrpc;
    else
        destroy(&ttrpc->server);
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
