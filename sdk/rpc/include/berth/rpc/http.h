/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 on a server of <berth/rpc/server.h>: which handlers (<berth/types/http.h>) answer below which
 * paths. The server listens with the protocol BERTH_RPC_HTTP, on unix sockets and TCP, with TLS or without:
 *
 *     const struct berth_rpc_http_mount mount = {.handler = &hello, .owner = "hello"};
 *     const struct berth_rpc_http_options http = {.size = sizeof(http), .mounts = &mount, .mount_count = 1};
 *     const struct berth_rpc_tcp_options where = {
 *         .size = sizeof(where), .address = "127.0.0.1:8080", .protocol = BERTH_RPC_HTTP};
 *
 *     berth_rpc_server_create(loop, NULL, router, &server, &err);
 *     berth_rpc_server_set_http(server, &http, &err);
 *     berth_rpc_server_listen_tcp(server, &where, &port, &err);
 *
 * Limits are those of struct berth_rpc_server_options: max_header_list_bytes bounds the request line with the
 * header fields, max_recv_message_bytes a request's body, max_queued_bytes what waits for a client to read.
 */
#ifndef BERTH_RPC_HTTP_H
#define BERTH_RPC_HTTP_H

#include <berth/rpc/connect.h>
#include <berth/rpc/server.h>
#include <berth/types/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One handler. Everything it points to must outlive the server. */
struct berth_rpc_http_mount {
    const struct berth_http *handler;
    /** `instance` of its requests. */
    void *instance;
    /** For people, in errors: a plugin's URI. */
    const char *owner;
};

struct berth_rpc_http_options {
    uint32_t size;
    /** The handler with the longest matching prefix answers. Copied. */
    const struct berth_rpc_http_mount *mounts;
    size_t mount_count;
    /**
     * Names under which clients may address the server (their Host field, without the port), which keeps
     * pages of foreign sites from reaching it by names of theirs that lead here. Always accepted: localhost
     * and any IP address. "*" accepts every name. Not checked on unix sockets, nor with TLS, where the
     * certificate says who this is. Copied.
     */
    const char *const *hosts;
    size_t host_count;
    /** Time from a request's first byte (or accept) to the end of its header fields. Default 10 s. */
    uint32_t head_timeout_ms;
    /** Time from there to the end of its body. Default 60 s. */
    uint32_t body_timeout_ms;
    /**
     * Methods of the router are called by the Connect protocol, at their paths, ahead of the mounts. NULL:
     * they are not.
     */
    const struct berth_rpc_connect_options *connect;
};

/**
 * Sets the handlers, before the server listens. Replaces earlier ones.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a handler without a valid prefix or methods;
 *         BERTH_ALREADY_EXISTS if two handlers have one prefix, naming both; BERTH_RESOURCE_EXHAUSTED without
 *         memory.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_set_http(struct berth_rpc_server *server,
                                                        const struct berth_rpc_http_options *options,
                                                        struct berth_error *err);

#ifdef __cplusplus
}
#endif

#endif
