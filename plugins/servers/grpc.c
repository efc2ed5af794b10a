/* SPDX-License-Identifier: Apache-2.0 */
/* Carries calls over gRPC on a unix socket: what the configuration says, handed to libberth-rpc. */
#include "servers-plugin.h"

#include <assert.h>
#include <stdlib.h>

#include "server.h"

static_assert((int)GRPC_CONFIG_COMPRESSION_ON_REQUEST == (int)BERTH_RPC_COMPRESS_ON_REQUEST &&
                  (int)GRPC_CONFIG_COMPRESSION_ALWAYS == (int)BERTH_RPC_COMPRESS_ALWAYS &&
                  (int)GRPC_CONFIG_COMPRESSION_NEVER == (int)BERTH_RPC_COMPRESS_NEVER,
              "the setting's values are the library's, in its order");

struct grpc {
    struct server server;
    struct grpc_config config;
};

static void destroy(struct server *server)
{
    struct grpc *grpc = (struct grpc *)server;

    grpc_config_finish(&grpc->config);
    server_finish(server);
    free(grpc);
}

static enum berth_code set_up(struct grpc *grpc, struct berth_error *err)
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
    grpc->server = (struct server){.host = host, .destroy = destroy};
    code = grpc_config_init(&grpc->config, host->settings, err);
    if (code == BERTH_OK)
        code = set_up(grpc, err);
    if (code == BERTH_OK)
        *ret_instance = grpc;
    else
        destroy(&grpc->server);
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
