/* SPDX-License-Identifier: Apache-2.0 */
/* Carries calls over gRPC on TCP, with TLS: what the configuration says, handed to libberth-rpc. */
#include "server-grpc-tcp-plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/rpc/server.h>

struct grpc_tcp {
    const struct berth_host *host;
    struct grpc_tcp_config config;
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
    const struct grpc_tcp *tcp = context;

    berth_log(tcp->host, host_level(level), "%s", message);
}

/* What other machines reach must be protected, unless the operator says that it need not be. */
static enum berth_code check_config(const struct grpc_tcp_config *config, struct berth_error *err)
{
    bool is_local = strncmp(config->address, "127.", 4) == 0 || strncmp(config->address, "[::1]:", 6) == 0;

    if ((config->tls_cert == NULL) != (config->tls_key == NULL))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "tls_cert and tls_key belong together; set %s too",
                               config->tls_cert == NULL ? "tls_cert" : "tls_key");
    if (config->tls_ca != NULL && config->tls_cert == NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "tls_ca is for clients that come over TLS; set tls_cert and tls_key too");
    if (config->tls_cert == NULL && !is_local && !config->insecure)
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "%s may be reached from other machines, and without TLS anybody there may call; "
            "set tls_cert and tls_key, or insecure: true",
            config->address);
    return BERTH_OK;
}

static enum berth_code make_server(struct grpc_tcp *tcp, struct berth_error *err)
{
    const struct berth_rpc_server_options options = {
        .size = sizeof(options),
        .max_connections = (uint32_t)tcp->config.max_connections,
        .max_concurrent_streams = (uint32_t)tcp->config.max_concurrent_streams,
        .max_recv_message_bytes = (uint64_t)tcp->config.max_recv_message_bytes,
        .max_send_message_bytes = (uint64_t)tcp->config.max_send_message_bytes,
        .on_log = on_log,
        .context = tcp,
        .transport = "tcp",
    };

    return berth_rpc_server_create(tcp->host->loop, &options, tcp->host->router, &tcp->server, err);
}

static void grpc_tcp_destroy(struct grpc_tcp *tcp)
{
    grpc_tcp_config_finish(&tcp->config);
    free(tcp);
}

static enum berth_code set_up(struct grpc_tcp *tcp, struct berth_error *err)
{
    enum berth_code code;

    if (tcp->config.address == NULL)
        return berth_error_set(err, BERTH_SKIP, "no address is set (try address: 127.0.0.1:50051)");
    code = check_config(&tcp->config, err);
    return code == BERTH_OK ? make_server(tcp, err) : code;
}

enum berth_code grpc_tcp_init(const struct berth_host *host, void *prepared, void **ret_instance,
                              struct berth_error *err)
{
    struct grpc_tcp *tcp = calloc(1, sizeof(*tcp));
    enum berth_code code;

    if (tcp == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server");
    tcp->host = host;
    code = grpc_tcp_config_init(&tcp->config, host->settings, err);
    if (code == BERTH_OK)
        code = set_up(tcp, err);
    if (code == BERTH_OK)
        *ret_instance = tcp;
    else
        grpc_tcp_destroy(tcp);
    return code;
}

/* The configured address with the port that is listened on. */
static enum berth_code publish(struct grpc_tcp *tcp, uint16_t port, struct berth_error *err)
{
    const char *configured = tcp->config.address;
    const char *colon = strrchr(configured, ':');
    char address[128];
    enum berth_code code;

    snprintf(address, sizeof(address), "%.*s:%u", (int)(colon - configured), configured, port);
    code = berth_add_export(tcp->host, "address", address);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "cannot publish the address %s", address);
    berth_log(tcp->host, BERTH_LOG_INFO, "listening address=%s tls=%s", address,
              tcp->config.tls_cert == NULL ? "no"
              : tcp->config.tls_ca == NULL ? "yes"
                                           : "mutual");
    return BERTH_OK;
}

enum berth_code grpc_tcp_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct grpc_tcp *tcp = instance;
    const struct grpc_tcp_config *config = &tcp->config;
    const struct berth_rpc_tls_options tls = {
        .size = sizeof(tls),
        .certificate_file = config->tls_cert,
        .key_file = config->tls_key,
        .ca_file = config->tls_ca,
    };
    const struct berth_rpc_tcp_options options = {
        .size = sizeof(options),
        .address = config->address,
        .tls = config->tls_cert == NULL ? NULL : &tls,
    };
    uint16_t port;
    enum berth_code code = berth_rpc_server_listen_tcp(tcp->server, &options, &port, err);

    return code == BERTH_OK ? publish(tcp, port, err) : code;
}

static void on_drained(void *context)
{
    struct grpc_tcp *tcp = context;

    tcp->drained = true;
    if (tcp->drain_is_pending)
        berth_complete(tcp->host, BERTH_STEP_DRAIN, BERTH_OK, NULL);
}

enum berth_code grpc_tcp_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct grpc_tcp *tcp = instance;

    berth_rpc_server_drain(tcp->server, on_drained, tcp);
    tcp->drain_is_pending = !tcp->drained;
    return tcp->drained ? BERTH_OK : BERTH_PENDING;
}

static void on_closed(void *context)
{
    struct grpc_tcp *tcp = context;
    const struct berth_host *host = tcp->host;

    grpc_tcp_destroy(tcp);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code grpc_tcp_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct grpc_tcp *tcp = instance;

    berth_rpc_server_close(tcp->server, on_closed, tcp);
    return BERTH_PENDING;
}
