/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include <berth/rpc/http.h>
#include <berth/rpc/plugin.h>

/** Where a server listens: the settings of the anchor `place`. */
struct http_place {
    /** "HOST:PORT" or the path of a unix socket. */
    const char *address;
    struct berth_rpc_unix_options unix_options;
    struct berth_rpc_tls_options tls;
    bool insecure;
};

#define HTTP_PLACE(config)                                                                                   \
    {                                                                                                        \
        .address = (config)->address,                                                                        \
        .unix_options = {BERTH_RPC_PLUGIN_UNIX_OPTIONS(config), .protocol = BERTH_RPC_HTTP},                 \
        .tls = {.size = sizeof(struct berth_rpc_tls_options),                                                \
                .certificate_file = (config)->tls_cert,                                                      \
                .key_file = (config)->tls_key,                                                               \
                .ca_file = (config)->tls_ca},                                                                \
        .insecure = (config)->insecure,                                                                      \
    }

/** The settings of the anchor `limits`, as members of struct berth_rpc_server_options. */
#define HTTP_LIMITS(config)                                                                                  \
    .size = sizeof(struct berth_rpc_server_options), .max_connections = (uint32_t)(config)->max_connections, \
    .max_connections_per_peer = (config)->has_max_connections_per_peer                                       \
                                    ? (uint32_t)(config)->max_connections_per_peer                           \
                                    : berth_rpc_plugin_per_peer((config)->max_connections),                  \
    .max_header_list_bytes = (uint32_t)(config)->max_header_list_bytes,                                      \
    .max_recv_message_bytes = (uint64_t)(config)->max_recv_message_bytes,                                    \
    .max_queued_bytes = (uint64_t)(config)->max_queued_bytes,                                                \
    .max_buffered_bytes = (uint64_t)(config)->max_buffered_bytes,                                            \
    .write_timeout_ms = berth_rpc_milliseconds((config)->write_timeout),                                     \
    .max_idle_ms = berth_rpc_milliseconds((config)->max_idle)

/** The same of struct berth_rpc_http_options. */
#define HTTP_TIMEOUTS(config)                                                                                \
    .size = sizeof(struct berth_rpc_http_options),                                                           \
    .head_timeout_ms = berth_rpc_milliseconds((config)->head_timeout),                                       \
    .body_timeout_ms = berth_rpc_milliseconds((config)->body_timeout)

/** For `check`. */
void http_check_place(const struct berth_check *check, const struct http_place *place);

/** For `serve`: listens and publishes the address. If it fails, nothing has changed. */
enum berth_code http_listen(struct berth_rpc_plugin *self, const struct http_place *place,
                            struct berth_error *err);

/** For `reconfigure`: listens elsewhere, if that is what has changed. @return as reconfigure. */
enum berth_code http_move(struct berth_rpc_plugin *self, const struct http_place *before,
                          const struct http_place *place, struct berth_error *err);

#endif
