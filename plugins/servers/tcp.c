/* SPDX-License-Identifier: Apache-2.0 */
/* Carries calls over gRPC on TCP, with TLS: what the configuration says, handed to libberth-rpc. */
#include "servers-plugin.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/address.h>

#include "server.h"

static_assert((int)GRPC_TCP_CONFIG_COMPRESSION_ON_REQUEST == (int)BERTH_RPC_COMPRESS_ON_REQUEST &&
                  (int)GRPC_TCP_CONFIG_COMPRESSION_ALWAYS == (int)BERTH_RPC_COMPRESS_ALWAYS &&
                  (int)GRPC_TCP_CONFIG_COMPRESSION_NEVER == (int)BERTH_RPC_COMPRESS_NEVER,
              "the setting's values are the library's, in its order");

#define PER_PEER_LEAST 16

struct grpc_tcp {
    struct server server;
    struct grpc_tcp_config config;
};

static void destroy(struct server *server)
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

/* What other machines reach must be protected, unless the operator says that it need not be. */
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

/* Nobody alone takes more than an eighth; few are left alone. */
static uint32_t per_peer(const struct grpc_tcp_config *config)
{
    uint32_t eighth = (uint32_t)config->max_connections / 8;

    if (config->has_max_connections_per_peer)
        return (uint32_t)config->max_connections_per_peer;
    return eighth > PER_PEER_LEAST ? eighth : PER_PEER_LEAST;
}

static enum berth_code make_server(struct grpc_tcp *tcp, struct berth_error *err)
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
    tcp->server = (struct server){.host = host, .destroy = destroy};
    code = grpc_tcp_config_init(&tcp->config, host->settings, err);
    if (code == BERTH_OK)
        code = make_server(tcp, err);
    if (code == BERTH_OK)
        *ret_instance = tcp;
    else
        destroy(&tcp->server);
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
